package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Killed between any two system calls, from the one on by which the program answers, it leaves a whole message or a draft,
// which is nobody's.
func TestKilledAtEverySystemCall(t *testing.T) {
	s := install(t)
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	in := submission(t, s.spool, testText)
	drafts, accepted := 0, 0
	for n := 0; ; n++ {
		exit := s.killAt(n, in)
		if exit > 0 {
			t.Fatalf("after %d stops: exit status %d", n, exit)
		}
		files := s.files()
		if len(files) > 1 {
			t.Fatalf("after %d stops: %q", n, files)
		}
		for _, file := range files {
			if strings.HasPrefix(file, s.spool+"/tmp/") {
				drafts++
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil || !strings.HasSuffix(file, fmt.Sprintf(",S=%d", len(text))) || !bytes.HasSuffix(text, []byte(testText)) {
				t.Fatalf("after %d stops %s has %q, %v", n, file, text, err)
			}
			accepted++
		}
		s.empty()
		if exit == 0 {
			if len(files) != 1 || drafts < 4 || accepted < 3 || n < 20 {
				t.Errorf("%d stops: %d drafts, %d messages", n, drafts, accepted)
			}
			return
		}
	}
}

// killAt kills the program at a stop before or after a system call, counted from its answer on. It returns its exit status, -1
// for one that was killed.
func (s *system) killAt(stops int, in []byte) int {
	s.Helper()
	stdin, err := os.Open(s.inputFile(in))
	s.must(err)
	defer stdin.Close()
	answer, stdout, err := os.Pipe()
	s.must(err)
	defer answer.Close()
	wait, start, err := os.Pipe()
	s.must(err)
	defer start.Close()
	// The kernel gives a program its rights only when its tracer has them, who must have come from outside.
	cmd := user(alice, "/bin/sh", "-c", "read x <&3; exec "+s.drop+" 3<&-")
	cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = stdin, stdout, []*os.File{wait}
	cmd.SysProcAttr.Setpgid = true
	s.must(cmd.Start())
	stdout.Close()
	wait.Close()
	defer cmd.Process.Release()
	pid, begun := cmd.Process.Pid, false
	s.must(syscall.PtraceAttach(pid))
	start.WriteString("\n")
	for first := true; ; first = false {
		var ws syscall.WaitStatus
		who, err := syscall.Wait4(-pid, &ws, syscall.WALL, nil) // any of its threads: it leads a process group
		s.must(err)
		switch {
		case who == pid && ws.Exited():
			return ws.ExitStatus()
		case who == pid && ws.Signaled():
			return -1
		case !ws.Stopped():
			continue
		case first:
			s.must(syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL))
		case ws.StopSignal() == syscall.SIGTRAP|0x80:
			begun = begun || readable(answer)
			if begun {
				stops--
			}
			if stops < 0 {
				syscall.Kill(pid, syscall.SIGKILL)
				continue
			}
		}
		pass := 0
		if sig := ws.StopSignal(); sig != syscall.SIGTRAP && sig != syscall.SIGTRAP|0x80 && sig != syscall.SIGSTOP {
			pass = int(sig)
		}
		syscall.PtraceSyscall(who, pass) // it may be dead by now
	}
}

func (s *system) inputFile(in []byte) string {
	path := filepath.Join(s.dir, "in")
	if _, err := os.Stat(path); err != nil {
		s.must(os.WriteFile(path, in, 0o644))
	}
	return path
}

// readable tells whether something can be read.
func readable(f *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
}
