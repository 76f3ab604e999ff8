package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"postrider/internal/config"
	"postrider/internal/sibling"
	"postrider/internal/status"
)

// readyFD, in the environment, is the descriptor on which a server in the background tells its parent that it serves.
const readyFD = "POSTRIDER_READY_FD"

// detach starts the server in a session of its own and in the root directory, and returns when that serves. Until then it
// has our standard error, where it says what is wrong, and its exit status is ours.
func (p *program) detach(conf config.Config) error {
	self, err := os.Executable()
	if err != nil {
		return cannotDetach(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return cannotDetach(err)
	}
	defer r.Close()
	sibling.CloseOnExec()
	cmd := exec.Command(self, p.detachedArgs(conf)...)
	cmd.Dir = "/"
	cmd.Stderr = p.err
	cmd.ExtraFiles = []*os.File{w}
	cmd.Env = append(os.Environ(), readyFD+"="+strconv.Itoa(firstPassed))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return cannotDetach(err)
	}
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		return cmd.Process.Release()
	}
	err = cmd.Wait()
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() > 0 {
		return exitStatus(failed.ExitCode())
	}
	return status.Fail("smtpd", status.ExitOSErr, "the server has not started", fmt.Errorf("%v", err))
}

func cannotDetach(err error) error {
	return status.Fail("smtpd", status.ExitOSErr, "cannot start the server in the background", err)
}

// detachedArgs are our options, with paths that hold in any directory.
func (p *program) detachedArgs(conf config.Config) []string {
	args := []string{"--foreground"}
	if p.opts.loopback {
		args = append(args, "--loopback")
	}
	if p.opts.queue {
		args = append(args, "--queue-only")
	}
	if p.opts.metrics != "" {
		args = append(args, "--metrics="+p.opts.metrics)
	}
	if p.opts.confined {
		args = append(args, "--confined")
	}
	if p.opts.spool != "" {
		args = append(args, "--spool="+p.opts.spool)
	}
	if conf.Path != "" {
		args = append(args, "--config="+conf.Path)
	}
	return args
}

// tellReady tells the parent, if we are a server in the background, and lets go of its standard error.
func tellReady() {
	fd, err := strconv.Atoi(os.Getenv(readyFD))
	if err != nil {
		return
	}
	os.Unsetenv(readyFD)
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		syscall.Dup3(int(null.Fd()), 2, 0)
		null.Close()
	}
	w := os.NewFile(uintptr(fd), "ready")
	w.Write([]byte{1})
	w.Close()
}
