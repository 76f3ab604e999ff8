package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"postrider/internal/config"
	"postrider/queue"
)

// What a spool should have left.
const (
	fewBytes  = 64 << 20
	fewInodes = 1000
)

// spool looks whether messages can be accepted.
func (k *checker) spool() []finding {
	dir := k.conf.Spool
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return []finding{k.missingSpool(dir)}
	}
	if err != nil {
		return []finding{{fail, "spool: " + err.Error(), "make it accessible"}}
	}
	if !info.IsDir() {
		return []finding{{fail, "spool " + dir + " is not a directory", "set spool to a directory"}}
	}
	var list []finding
	if unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		list = append(list, finding{fail, "spool " + dir + " is not writable", "give it to the user that runs the mail system"})
	}
	if k.conf.User && info.Mode()&0o077 != 0 {
		list = append(list, finding{warn, fmt.Sprintf("spool %s is open to others (mode %04o)", dir, info.Mode().Perm()), "run: chmod 0700 " + dir})
	}
	if f := k.owner(info); f.level != ok {
		list = append(list, f)
	}
	if f := room(dir); f.level != ok {
		list = append(list, f)
	}
	if len(list) > 0 {
		return list
	}
	return append([]finding{good("spool %s is writable and has room", dir)}, k.contents()...)
}

// owner looks whether the system's spool belongs to the mail system's user, where there is one.
func (k *checker) owner(info fs.FileInfo) finding {
	user, found, err := k.users.Lookup("postrider")
	stat, known := info.Sys().(*syscall.Stat_t)
	if k.conf.User || err != nil || !found || !known || int(stat.Uid) == user.UID {
		return good("owner")
	}
	return finding{fail, fmt.Sprintf("spool %s belongs to user %d", k.conf.Spool, stat.Uid), "run: chown -R postrider " + k.conf.Spool}
}

// missingSpool looks whether the spool can be made, as it is when first used.
func (k *checker) missingSpool(dir string) finding {
	parent := filepath.Dir(dir)
	for parent != "/" {
		if _, err := os.Stat(parent); err == nil {
			break
		}
		parent = filepath.Dir(parent)
	}
	if unix.Access(parent, unix.W_OK|unix.X_OK) != nil {
		return finding{fail, "spool " + dir + " does not exist and cannot be made in " + parent, "make it, for the user that runs the mail system, with mode 0700"}
	}
	return good("spool %s does not exist yet: it is made when first used", dir)
}

// room looks at the space on the spool's file system.
func room(dir string) finding {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return finding{warn, "spool: free space is unknown: " + err.Error(), "look at df"}
	}
	free := config.Bytes(uint64(s.Bavail) * uint64(s.Bsize) >> 20 << 20)
	switch {
	case free < fewBytes:
		return finding{fail, fmt.Sprintf("spool %s has %s free", dir, free), "make room: mail is refused when the disk is full"}
	case s.Files > 0 && s.Ffree < fewInodes:
		return finding{fail, fmt.Sprintf("spool %s has %d inodes free", dir, s.Ffree), "remove small files: mail is refused without inodes"}
	}
	return good("%s free", free)
}

// contents looks for damaged files and for somebody who runs the queue.
func (k *checker) contents() []finding {
	spool, err := openSpool(k.conf.Spool)
	if err != nil {
		return []finding{{fail, "spool: " + err.Error(), "make it accessible"}}
	}
	var list []finding
	if n, err := spool.Count(queue.Corrupt); err == nil && n > 0 {
		list = append(list, finding{warn, fmt.Sprintf("%d damaged files in %s", n, filepath.Join(k.conf.Spool, "corrupt")), "look at them, and remove them"})
	}
	waiting, err := spool.Count(queue.New | queue.Cur)
	if err == nil && waiting > 0 && !spool.Running() {
		list = append(list, finding{warn, fmt.Sprintf("%d messages wait and no daemon runs the queue", waiting), "start queuerun as a daemon, or run it from cron"})
	}
	return list
}

// log looks whether log lines arrive somewhere.
func (k *checker) log() []finding {
	if k.conf.Log == "syslog" {
		c, err := net.Dial("unixgram", "/dev/log")
		if err != nil {
			return []finding{{warn, "log: nobody takes lines at /dev/log", "start a syslog daemon, or set log to a file"}}
		}
		c.Close()
		return []finding{good("log goes to syslog")}
	}
	path, isFile := logFile(k.conf)
	if !isFile {
		return []finding{good("log goes to standard error (%s)", k.conf.Log)}
	}
	for p := path; ; p = filepath.Dir(p) {
		err := unix.Access(p, unix.W_OK)
		switch {
		case err == nil:
			return []finding{good("log %s is writable", path)}
		case !errors.Is(err, fs.ErrNotExist) || p == "/":
			return []finding{{warn, "log " + path + " is not writable: " + err.Error(), "make it so, or set log"}}
		}
	}
}

// openSpool opens a spool, and makes one that is missing unless it is another user's, as that of a system is for root.
func openSpool(dir string) (*queue.Spool, error) {
	var st syscall.Stat_t
	others := syscall.Stat(dir, &st) == nil && int(st.Uid) != os.Geteuid()
	return queue.Open(dir, queue.Options{NoCreate: others})
}
