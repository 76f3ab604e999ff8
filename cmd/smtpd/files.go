package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"postrider/internal/config"
)

// devLog is where syslog listens.
const devLog = "/dev/log"

// noLog tells why what is logged will be lost; "": it will not.
func noLog(log, device string) string {
	if _, err := os.Stat(device); log != "syslog" || err == nil {
		return ""
	}
	return "nothing is logged: log is syslog, and there is no " + device
}

// keyFiles are the files of keys and passwords that the configuration names. They are read again at SIGHUP.
func keyFiles(conf config.Config) (list []string) {
	for _, l := range conf.Listen {
		list = append(list, l.TLS.Certificate, l.TLS.Key, l.TLS.ClientCA, l.Auth.File, l.Auth.Secret, l.Auth.TokenKey)
	}
	return list
}

// unread is what becomes of a key file that the mail user may not read.
const unread = "SIGHUP will not read again"

// readable tries to open a file, and does not wait for one that is a FIFO. "" is none.
func readable(path string) error {
	if path == "" {
		return nil
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return unix.Close(fd)
}

// files looks whether the mail user may read what root may.
func (k *checker) files() (list []finding) {
	id, err := worker(k.conf)
	if id == nil || err != nil {
		return nil // said already, or nobody else
	}
	for _, path := range keyFiles(k.conf) {
		err := id.try(func() error { return readable(path) })
		if errors.Is(err, fs.ErrPermission) {
			list = append(list, finding{warn, unread + " what " + id.name + " may not: " + path, "let its group read it"})
		}
	}
	return list
}

// log looks whether there can be a log.
func (k *checker) log() []finding {
	if why := noLog(k.conf.Log, devLog); why != "" {
		return []finding{{warn, why, "start a syslog, or set log to a file"}}
	}
	path := strings.TrimPrefix(k.conf.Log, "json:")
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	try, who := func(do func() error) error { return do() }, "the caller"
	if id, err := worker(k.conf); err == nil && id != nil {
		try, who = id.try, id.name
	}
	if err := try(func() error { return writable(path) }); err != nil {
		return []finding{{warn, "nothing is logged: " + err.Error(), "let " + who + " write it"}}
	}
	return []finding{good("log: %s writes %s", who, path)}
}

// writable tells whether a file can be written, or made.
func writable(path string) error {
	mode := uint32(unix.W_OK)
	for {
		err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return &fs.PathError{Op: "write", Path: path, Err: err}
		}
		path, mode = filepath.Dir(path), unix.W_OK|unix.X_OK
	}
}

// try does something with the rights that the user has at files. Root calls it.
func (id *identity) try(do func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // which ends with this function, and its rights with it
		groups := make([]uint32, len(id.groups)+1)
		for i, g := range id.groups {
			groups[i] = uint32(g)
		}
		if _, _, no := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(id.groups)), uintptr(unsafe.Pointer(&groups[0])), 0); no != 0 {
			err = no
			return
		}
		if _, err = unix.SetfsgidRetGid(id.gid); err != nil {
			return
		}
		if _, err = unix.SetfsuidRetUid(id.uid); err == nil {
			err = do()
		}
	}()
	<-done
	return err
}
