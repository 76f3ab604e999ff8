package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/local/server"
)

// TestMain lets the test binary be the program, and its children.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == server.ChildArg || os.Getenv("LOCAL_TEST") != "" {
		os.Unsetenv("LOCAL_TEST")
		main()
	}
	os.Exit(m.Run())
}

// place is a directory that nobody else can write, with a configuration.
func place(t *testing.T, more string) (dir, conf string) {
	t.Helper()
	dir = t.TempDir()
	conf = filepath.Join(dir, "postrider.toml")
	text := fmt.Sprintf("hostname = 'here.test'\nlog = 'stderr'\nspool = '%s'\naliases = []\n[local]\nmailbox = 'mbox:%s/{user}'\nsocket = '%s/socket'\n%s", dir, dir, dir, more)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, conf
}

// start runs the program until it has said that it has started.
func start(t *testing.T, files []*os.File, env []string, args ...string) (cmd *exec.Cmd, rest func() string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), "LOCAL_TEST=1"), env...)
	cmd.ExtraFiles = files
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	first, _ := r.ReadString('\n')
	if !strings.Contains(first, "state=started") {
		cmd.Wait()
		t.Fatalf("%s", first)
	}
	return cmd, func() string {
		var b bytes.Buffer
		b.ReadFrom(r)
		cmd.Wait()
		return b.String()
	}
}

// greeted connects and says what the server does.
func greeted(t *testing.T, path string) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

func TestItServesUntilToldToStop(t *testing.T) {
	dir, conf := place(t, "")
	socket := filepath.Join(dir, "socket")
	// What a crash has left behind is in nobody's way.
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()

	cmd, rest := start(t, nil, nil, "--config", conf)
	if got := greeted(t, socket); got != "220 here.test LMTP postrider local\r\n" {
		t.Errorf("%q", got)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	second := exec.Command(os.Args[0], "--config", conf)
	second.Env = append(os.Environ(), "LOCAL_TEST=1")
	if out, _ := second.CombinedOutput(); second.ProcessState.ExitCode() != 69 || !strings.Contains(string(out), "cannot listen at "+socket+": address already in use") {
		t.Errorf("a second one: %d %s", second.ProcessState.ExitCode(), out)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if got := rest(); !strings.Contains(got, "state=stopping") || !strings.Contains(got, "state=stopped") || cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("%d %s", cmd.ProcessState.ExitCode(), got)
	}
}

func TestSocketsThatAreGiven(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  bool
	}{
		{"by our parent", []string{"--fd", "3"}, false},
		{"by systemd", nil, true},
	} {
		dir, conf := place(t, "")
		path := filepath.Join(dir, "given")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		var cmd *exec.Cmd
		var rest func() string
		args := append([]string{"--config", conf}, c.args...)
		if c.env { // the process must know its own number
			cmd, rest = startAsSystemd(t, f, args)
		} else {
			cmd, rest = start(t, []*os.File{f}, nil, args...)
		}
		if got := greeted(t, path); !strings.HasPrefix(got, "220 ") {
			t.Errorf("%s: %q", c.name, got)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		rest()
		l.Close()
	}
}

// startAsSystemd starts the program from a shell that tells it its number.
func startAsSystemd(t *testing.T, f *os.File, args []string) (*exec.Cmd, func() string) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "systemd")
	text := "#!/bin/sh\nLISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x LOCAL_TEST=1 exec '" + os.Args[0] + "' \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	program := os.Args[0]
	os.Args[0] = script
	defer func() { os.Args[0] = program }()
	return start(t, []*os.File{f}, nil, args...)
}

func TestWhatIsWrong(t *testing.T) {
	dir, conf := place(t, "")
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(open, 0o777)
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"--fd", "3", "--socket", "/x"}, 64, "exclude each other"},
		{[]string{"x"}, 64, `unexpected argument "x"`},
		{[]string{"--nothing"}, 64, "flag provided but not defined"},
		{[]string{"--config", conf, "--fd", "1"}, 64, "descriptor 1 is no listening Unix socket"},
		{[]string{"--config", conf, "--fd", "999"}, 64, "descriptor 999 is no listening Unix socket"},
		{[]string{"--config", conf, "--socket", "x"}, 64, "not an absolute path"},
		{[]string{"--config", conf, "--socket", open + "/s"}, 69, "somebody else may write directory"},
		{[]string{"--config", conf, "--socket", conf}, 69, "a file that is no socket"},
		{[]string{"--config", conf, "--socket", "/nonexistent/s"}, 69, "no such file"},
		{[]string{"--config", "/nonexistent"}, 78, "cannot read"},
	} {
		var out, errw bytes.Buffer
		exit := run(append([]string{"local"}, c.args...), &out, &errw, func(string) string { return "" })
		if exit != c.exit || !strings.Contains(errw.String(), c.want) {
			t.Errorf("%q: %d %s", c.args, exit, errw.String())
		}
	}
}
