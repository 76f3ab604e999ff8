package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"postrider/internal/config"
	"postrider/internal/status"
	"postrider/queue"
)

// How long a test message is watched when a daemon delivers it.
const (
	looks    = 40
	interval = 250 * time.Millisecond
)

// maxLog is what is read of a log after a test.
const maxLog = 1 << 20

// test submits a message, delivers it, and shows what happened. The exit status tells whether it went.
func (a *app) test(conf config.Config, p *plan) error {
	tag := fmt.Sprintf("setup-%d", time.Now().UnixNano())
	logged := logSize(conf)
	fmt.Fprintf(a.out, "sending a test message to %s\n", p.to)
	if err := a.submit(conf, p.to, tag); err != nil {
		return err
	}
	spool, err := openSpool(conf.Spool)
	if err != nil {
		return err
	}
	id, err := queued(spool, conf, tag, logged)
	if err != nil {
		return err
	}
	if id == "" {
		fmt.Fprintln(a.out, "accepted, and gone from the queue at once: see the log")
		return nil
	}
	fmt.Fprintf(a.out, "queued as %s\n", id)
	if spool.Running() {
		a.await(spool, id, len(p.settings) > 0)
		return a.outcome(conf, spool, id, logged, false)
	}
	// The log may be out of sight, and a message that was returned is gone like one that went.
	code, err := a.exec(conf, nil, "queuerun", "--id", string(id), "--verbose", "--exit-status")
	if err != nil {
		return err
	}
	return a.outcome(conf, spool, id, logged, code != status.ExitOK)
}

// submit gives the message to sendmail, which only queues it.
func (a *app) submit(conf config.Config, to, tag string) error {
	text := "To: " + to + "\nSubject: Test message from postrider on " + conf.Hostname + "\n\n" +
		"postrider setup sent this message to show that mail leaves this machine.\n" +
		"If you can read it, it does.\n"
	code, err := a.exec(conf, strings.NewReader(text), "sendmail", "-i", "-odq", "-L", tag, "--", to)
	if err != nil {
		return err
	}
	if code != status.ExitOK {
		fmt.Fprintf(a.err, "postrider: sendmail refused the test message (exit status %d)\n", code)
		return exitStatus(code)
	}
	return nil
}

// queued finds the test message by its tag: in the spool or, when a daemon was faster, in the log.
func queued(spool *queue.Spool, conf config.Config, tag string, logged int64) (id queue.ID, err error) {
	done := errors.New("found")
	err = spool.List(queue.New|queue.Cur|queue.Held, func(m *queue.Message) error {
		if m.Envelope.Tag != tag {
			return nil
		}
		id = m.ID
		return done
	})
	if err != nil && err != done {
		return "", err
	}
	for _, line := range logLines(conf, logged) {
		if id == "" && strings.Contains(line, tag) {
			for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" :\",", r) }) {
				if found, err := queue.ParseID(word); err == nil {
					id = found
				}
			}
		}
	}
	return id, nil
}

// await waits for the daemon that is at the message.
func (a *app) await(spool *queue.Spool, id queue.ID, changed bool) {
	fmt.Fprintln(a.out, "the daemon delivers it")
	if changed {
		fmt.Fprintln(a.out, "the daemon has the configuration that it was started with: start it anew, and try again with postrider setup --to")
	}
	for range looks {
		e, err := spool.Find(id)
		if err != nil || e.State != queue.New {
			return
		}
		a.sleep(interval)
	}
}

// outcome shows the log lines of the message and, when it is still there, why. failed tells that it is known to have
// failed for good, if it is gone.
func (a *app) outcome(conf config.Config, spool *queue.Spool, id queue.ID, logged int64, failed bool) error {
	for _, line := range logLines(conf, logged) {
		if strings.Contains(line, string(id)) {
			fmt.Fprintln(a.out, line)
			failed = failed || strings.Contains(line, "bounced") || strings.Contains(line, "expired")
		}
	}
	if _, ok := logFile(conf); !ok {
		fmt.Fprintf(a.out, "the log goes to %s: look for %s there\n", conf.Log, id)
	}
	e, err := spool.Find(id)
	if errors.Is(err, queue.ErrGone) {
		if failed {
			fmt.Fprintln(a.out, "the test message was returned")
			return exitStatus(status.ExitUnavailable)
		}
		fmt.Fprintln(a.out, "the test message has left this machine's queue")
		return nil
	}
	if err != nil {
		return err
	}
	m, err := spool.Read(e)
	if err != nil {
		return err
	}
	why := "not tried yet"
	if r, ok := m.History.Last(0); ok {
		why = r.Text
	}
	fmt.Fprintf(a.out, "the test message waits: %s\n", status.Clean(why, status.MaxText))
	return exitStatus(status.ExitTempFail)
}

// exec runs a program of this installation with the configuration conf and returns its exit status. The
// configuration is named in the environment: what an option names has less power.
func (a *app) exec(conf config.Config, in io.Reader, name string, args ...string) (int, error) {
	path, err := a.program(name)
	if err != nil {
		return 0, status.Fail("postrider.setup", status.ExitUnavailable, "cannot run "+name, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "POSTRIDER_CONFIG="+conf.Path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, a.out, a.err
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, status.Fail("postrider.setup", status.ExitUnavailable, "cannot run "+name, err)
	}
	return status.ExitOK, nil
}

// logFile is the file to which conf logs, if it is one.
func logFile(conf config.Config) (string, bool) {
	path := strings.TrimPrefix(conf.Log, "json:")
	return path, strings.HasPrefix(path, "/")
}

func logSize(conf config.Config) int64 {
	path, ok := logFile(conf)
	if !ok {
		return 0
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// logLines are the lines that were logged since the log had this size, as far as the log is a file.
func logLines(conf config.Config, since int64) []string {
	path, ok := logFile(conf)
	if !ok {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, since, maxLog))
	if err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, status.Clean(strings.TrimRight(line, "\n"), 2048))
	}
	return lines
}
