package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/mailbox"
	"postrider/internal/status"
)

const (
	defaultTimeLimit = time.Hour
	// lingering is how long we go on reading the output of what a command has left running behind it.
	lingering = 500 * time.Millisecond
	maxOutput = 4 << 10
)

// program is a command as it is run.
type program struct {
	argv  []string
	shown string // in replies
	dir   string
}

// mailboxCommand has the administrator's program store d.
func (a Agent) mailboxCommand(ctx context.Context, where spec, u User, d Delivery, m mailbox.Message) *status.Status {
	argv, err := where.argv(u, d)
	if err != nil {
		return misconfigured("mailbox is not configured correctly", err)
	}
	if s := asRoot(u); s != nil {
		return s
	}
	return a.run(ctx, program{argv: argv, shown: filepath.Base(argv[0]), dir: u.Home}, u, d, m)
}

// asRoot refuses to do more as root than to write root's mailbox; nil when u is somebody else.
func asRoot(u User) *status.Status {
	if u.UID != 0 {
		return nil
	}
	return misconfigured("root runs no commands and writes no files for mail: an alias must send it to somebody else", nil)
}

// program makes a program of a command as aliases(5) has it. shell allows it to need one.
func (a Agent) program(command string, shell bool) (program, error) {
	argv, err := splitCommand(command)
	if errors.Is(err, errShell) && shell && a.CommandDirectory == "" {
		argv, err = []string{"/bin/sh", "-c", command}, nil
	}
	if err != nil {
		return program{}, err
	}
	p := program{argv: argv, shown: filepath.Base(argv[0])}
	switch {
	case a.CommandDirectory != "":
		p.argv[0] = filepath.Join(a.CommandDirectory, filepath.Base(argv[0]))
	case !strings.Contains(argv[0], "/"):
		p.argv[0], err = lookPath(argv[0])
	case !filepath.IsAbs(argv[0]):
		err = errors.New("its path does not begin with a slash")
	}
	return p, err
}

// lookPath finds a program in commandPath.
func lookPath(name string) (string, error) {
	for dir := range strings.SplitSeq(commandPath, ":") {
		path := filepath.Join(dir, name)
		if executable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %q in %s", name, commandPath)
}

// run gives a message to a program, and makes its exit status an outcome. Whatever happens, nothing of its process group
// is left when run returns, unless it has exited by itself and has left something behind on purpose.
func (a Agent) run(ctx context.Context, p program, u User, d Delivery, m mailbox.Message) *status.Status {
	limit := a.CommandTimeLimit
	if limit == 0 {
		limit = defaultTimeLimit
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var output tail
	cmd := exec.Cmd{
		Path: p.argv[0], Args: p.argv, Env: environment(u, d), Dir: p.dir,
		Stdout: &output, Stderr: &output, WaitDelay: lingering,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	err := a.feed(limited, &cmd, m)
	switch {
	case ctx.Err() != nil && err != nil:
		return status.New(op, 451, status.Code{4, 3, 2}, "delivery was interrupted", err)
	case limited.Err() != nil && err != nil:
		return status.New(op, 451, status.Code{4, 3, 0}, fmt.Sprintf("command %s took longer than %v and was killed", p.shown, limit), err)
	}
	return exited(p.shown, err, output.String())
}

// feed starts a command, writes the message to it and waits for its end.
func (a Agent) feed(ctx context.Context, cmd *exec.Cmd, m mailbox.Message) error {
	// A command gets its three descriptors, and none that whoever started us has left open.
	err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == unix.ENOSYS || err == unix.EINVAL { // Linux before 5.11
		err = nil
	}
	var in io.WriteCloser
	if err == nil {
		in, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return &startError{err}
	}
	kill := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	stop := context.AfterFunc(ctx, kill)
	defer stop()
	fed := make(chan error, 1)
	go func() { fed <- write(in, m, kill) }()
	err = cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it went well, and something that it has started lives on
	}
	in.Close()
	if unread := <-fed; unread != nil {
		return unread
	}
	return err
}

// write writes the message to a command. That the command does not read it, or not to its end, is the command's own
// business. When it cannot be read on our side the command dies before it could take a part for the whole.
func write(in io.WriteCloser, m mailbox.Message, kill func()) error {
	source := &noting{r: m.Content}
	m.Content = source
	mailbox.WritePlain(in, m)
	if source.err != nil {
		kill()
	}
	in.Close()
	return source.err
}

// noting notes the error with which reading ended.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return k, err
}

// startError says that a command could not be started.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// exited makes an outcome of a command's end and of what it has said.
func exited(name string, err error, output string) *status.Status {
	text := "command " + status.Clean(name, 80)
	var start *startError
	var exit *exec.ExitError
	switch {
	case err == nil:
		return status.New(op, 250, status.Code{2, 0, 0}, "delivered to "+text, nil)
	case errors.As(err, &start):
		return misconfigured(text+" cannot be run", err)
	case !errors.As(err, &exit):
		return outcome(err)
	}
	ws := exit.Sys().(syscall.WaitStatus)
	if output != "" {
		output = ": " + output
	}
	if ws.Signaled() {
		return status.New(op, 451, status.Code{4, 3, 0}, fmt.Sprintf("%s died of %v%s", text, ws.Signal(), output), err)
	}
	return status.Fail(op, ws.ExitStatus(), fmt.Sprintf("%s ended with status %d%s", text, ws.ExitStatus(), output), err)
}

// tail keeps the beginning of a command's output, as one line.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[:min(len(p), maxOutput-len(t.b))]...)
	return len(p), nil
}

func (t *tail) String() string {
	return status.Clean(strings.Join(strings.Fields(string(t.b)), " "), status.MaxText)
}

// homeOf is where the command of an alias begins: the home of its user, if there is one.
func homeOf(u User) string {
	if info, err := os.Stat(u.Home); err == nil && info.IsDir() {
		return u.Home
	}
	return "/"
}
