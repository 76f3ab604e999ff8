package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/config"
)

// unixListener is a socket at a path. Its file is removed with it, but never one that has taken its place.
type unixListener struct {
	*net.UnixListener
	path    string
	mode    os.FileMode
	file    os.FileInfo
	instead bool // of one of ours, which lies aside until all is well
}

// aside is where the file of a socket lies that is about to be replaced.
func aside(path string) string { return path + ".old" }

// socketMode is the mode of the file of a socket.
func socketMode(l config.Listen) os.FileMode {
	if l.Mode == "local" {
		return 0o666 // the kernel tells who comes
	}
	return 0o660
}

// fits tells whether the socket is the one that a table asks for: it is still there, and open for the same users.
func (u *unixListener) fits(l config.Listen) bool { return u.mode == socketMode(l) && u.isAt(u.path) }

func (u *unixListener) isAt(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && u.file != nil && os.SameFile(st, u.file)
}

// Close closes the socket and removes its file.
func (u *unixListener) Close() error {
	for _, path := range []string{u.path, aside(u.path)} {
		if u.isAt(path) {
			syscall.Unlink(path)
		}
	}
	return u.UnixListener.Close()
}

// undo closes the socket, and the one whose place it has taken has it again.
func (u *unixListener) undo() {
	u.Close()
	if u.instead {
		os.Rename(aside(u.path), u.path)
	}
}

// unixPlace is the socket at a path.
func (s *sockets) unixPlace(l config.Listen) place {
	key := "unix " + l.Address
	return place{listen: l, key: key, where: l.Address, bind: func() (net.Listener, error) {
		old, _ := s.open[key].(*unixListener)
		return s.bindUnix(l.Address, socketMode(l), old)
	}}
}

// bindUnix opens a socket at a path. One that was left behind there is replaced, and so is old, which is ours.
func (s *sockets) bindUnix(path string, mode os.FileMode, old *unixListener) (net.Listener, error) {
	made, err := makeDirs(filepath.Dir(path), s.owner)
	s.made = append(s.made, made...)
	if err != nil {
		return nil, err
	}
	u := &unixListener{path: path, mode: mode, instead: old != nil && old.isAt(path)}
	if u.instead {
		err = os.Rename(path, aside(path))
	} else {
		err = removeStale(path)
	}
	if err != nil {
		return nil, err
	}
	if u.UnixListener, err = listenUnix(path, mode, s.owner); err != nil {
		if u.instead {
			os.Rename(aside(path), path)
		}
		return nil, bare(err)
	}
	u.SetUnlinkOnClose(false)
	if u.file, err = os.Lstat(path); err != nil {
		u.undo()
		return nil, err
	}
	return u, nil
}

// listenUnix opens a socket whose file has the mode, and the group of owner, from its beginning. The directory may be
// somebody else's, who can put a link in the place of the file; so when root has made it nothing is done to it any more.
func listenUnix(path string, mode os.FileMode, owner *identity) (l *net.UnixListener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread ends with this function. Until then it has a umask of its own, if it can be had, and group.
		runtime.LockOSThread()
		unix.Unshare(unix.CLONE_FS)
		defer syscall.Umask(syscall.Umask(0o777 &^ int(mode)))
		if owner != nil {
			if _, err = unix.SetfsgidRetGid(owner.gid); err != nil {
				return
			}
		}
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	}()
	<-done
	return l, err
}

// removeStale removes a socket at which nobody answers.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode()&os.ModeSocket == 0:
		return errors.New("there is a file that is no socket")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return syscall.EADDRINUSE
	}
	return os.Remove(path)
}
