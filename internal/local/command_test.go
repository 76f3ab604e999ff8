package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/mailbox"
	"postrider/internal/status"
)

func TestSplitCommand(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // words, separated by "|"; "!" and a part of the error
	}{
		{"/usr/bin/vacation alice", "/usr/bin/vacation|alice"},
		{"  a\tb  ", "a|b"},
		{`a 'b c' "d e" f\ g`, "a|b c|d e|f g"},
		{`a "x\"y" "\z" '\n'`, `a|x"y|\z|\n`},
		{`a "" ''`, "a||"},
		{`a'b'"c"d`, "abcd"},
		{"exec /usr/bin/procmail -f-", "/usr/bin/procmail|-f-"},
		{"a -o x=y {} a~b a#b %s ^ , @", "a|-o|x=y|{}|a~b|a#b|%s|^|,|@"},
		{"a '|;&$(x)`y`<>*?['", "a||;&$(x)`y`<>*?["},
		{"a; b", "!needs a shell"},
		{"a | b", "!needs a shell"},
		{"a && b", "!needs a shell"},
		{"a > b", "!needs a shell"},
		{"a $HOME", "!needs a shell"},
		{`a "$HOME"`, "!needs a shell"},
		{"a \"`id`\"", "!needs a shell"},
		{"a *", "!needs a shell"},
		{"a ~", "!needs a shell"},
		{"a #b", "!needs a shell"},
		{"a \\", "!needs a shell"},
		{"IFS=' ' a", "!needs a shell"},
		{"cd /tmp", "!needs a shell"},
		{"exec", "!needs a shell"},
		{"exec -a x y", "!needs a shell"},
		{"a 'b", "!does not end"},
		{`a "b`, "!does not end"},
		{"", "!no command"},
		{"''", "!no command"},
	} {
		words, err := splitCommand(c.in)
		if want, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %q, %v", c.in, words, err)
			}
		} else if got := strings.Join(words, "|"); err != nil || got != c.want {
			t.Errorf("%q: %q, %v", c.in, got, err)
		}
	}
}

// script makes a program of a shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prog")
	put(t, path, "#!/bin/sh\n"+text, 0o755)
	return path
}

func TestCommands(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"success", "cat >/dev/null", "250 2.0.0 delivered to command prog"},
		{"it does not read", "exit 0", "250 2.0.0 delivered to command prog"},
		{"it closes its input", "exec <&-; exit 0", "250 2.0.0 delivered to command prog"},
		{"it fails for now", "echo no room; exit 75", "451 4.3.0 command prog ended with status 75: no room"},
		{"no such user", "exit 67", "550 5.1.1 command prog ended with status 67"},
		{"it may not", "echo 'you  may' >&2; echo not; exit 77", "550 5.7.0 command prog ended with status 77: you may not"},
		{"unavailable", "exit 69", "554 5.3.0 command prog ended with status 69"},
		{"a status that means nothing", "exit 1", "451 4.3.0 command prog ended with status 1"},
		{"a signal", "kill -SEGV $$", "451 4.3.0 command prog died of segmentation fault"},
		{"output that is no text", "printf '\\033[31mred\\r\\n\\377'; exit 65", `550 5.6.0 command prog ended with status 65: \x1B[31mred \xFF`},
	} {
		s := Agent{}.member(t.Context(), "|"+script(t, c.script), FromUser, me(t.TempDir()), delivery(text))
		if s.Diagnostic() != c.want {
			t.Errorf("%s: %s, %v", c.name, s.Diagnostic(), s.Unwrap())
		}
	}
}

func TestACommandGetsTheMessage(t *testing.T) {
	home := t.TempDir()
	s := Agent{}.member(t.Context(), "|"+script(t, `cat >"$HOME/got"; pwd >"$HOME/pwd"; ls -l /proc/self/fd/ >"$HOME/fds"`), FromUser, me(home), delivery(text))
	if s.Class() != status.Success {
		t.Fatal(s.Diagnostic())
	}
	const want = "From bob@example.net Tue Nov 24 09:00:00 2026\nReturn-Path: <bob@example.net>\nDelivered-To: alice@example.org\n" +
		"Received: by x\nSubject: hi\n\nFrom here\n"
	if got := read(t, filepath.Join(home, "got")); got != want {
		t.Errorf("%q", got)
	}
	if got := strings.TrimSpace(read(t, filepath.Join(home, "pwd"))); got != home {
		t.Errorf("in %s", got)
	}
	// Three descriptors, the one on fds itself (which is one of them) and that of the directory.
	if got := strings.Count(read(t, filepath.Join(home, "fds")), " -> "); got > 4 {
		t.Errorf("descriptors:\n%s", read(t, filepath.Join(home, "fds")))
	}
}

func TestTheEnvironmentOfACommand(t *testing.T) {
	t.Setenv("LD_PRELOAD_NOT", "ours")
	home := t.TempDir()
	d := delivery(text)
	d.Sender, d.Rcpt, d.Original = "a`id`$x@example.net", `"alice+Det;ail'"@example.org`, "info@example.org"
	u := me(home)
	u.Shell = "/bin/bash"
	s := Agent{}.member(t.Context(), "|"+script(t, `env >"$HOME/env"`), FromUser, u, d)
	if s.Class() != status.Success {
		t.Fatal(s.Diagnostic())
	}
	got := strings.Split(strings.TrimSpace(read(t, filepath.Join(home, "env"))), "\n")
	got = slices.DeleteFunc(got, func(v string) bool { // the shell's own
		return strings.HasPrefix(v, "PWD=") || strings.HasPrefix(v, "OLDPWD=") || strings.HasPrefix(v, "SHLVL=") || strings.HasPrefix(v, "_=")
	})
	slices.Sort(got)
	want := []string{
		"DOMAIN=example.org", "EXTENSION=Det;ail_", "HOME=" + home, "LOCAL=alice+Det;ail_", "LOGNAME=alice",
		"ORIGINAL_RECIPIENT=info@example.org", "PATH=" + commandPath, "RECIPIENT=_alice+Det;ail__@example.org",
		"SENDER=a_id__x@example.net", "SHELL=/bin/bash", "USER=alice",
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// A command that hangs is killed with all that it has started.
func TestACommandThatHangs(t *testing.T) {
	home := t.TempDir()
	a := Agent{CommandTimeLimit: 100 * time.Millisecond}
	s := a.member(t.Context(), "|"+script(t, `sleep 60 & echo $! >"$HOME/pid"; cat >/dev/null; wait`), FromUser, me(home), delivery(text))
	if want := "451 4.3.0 command prog took longer than 100ms and was killed"; s.Diagnostic() != want {
		t.Errorf("%s", s.Diagnostic())
	}
	gone(t, strings.TrimSpace(read(t, filepath.Join(home, "pid"))))
}

// gone waits until there is no process of a number, or it is dead and nobody has looked.
func gone(t *testing.T, pid string) {
	t.Helper()
	for range 200 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("process %s lives", pid)
}

func TestACommandThatIsInterrupted(t *testing.T) {
	home := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	context.AfterFunc(ctx, func() {})
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(home, "pid")); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	s := Agent{}.member(ctx, "|"+script(t, `echo $$ >"$HOME/p"; mv "$HOME/p" "$HOME/pid"; exec sleep 60`), FromUser, me(home), delivery(text))
	if want := "451 4.3.2 delivery was interrupted"; s.Diagnostic() != want {
		t.Errorf("%s", s.Diagnostic())
	}
	gone(t, strings.TrimSpace(read(t, filepath.Join(home, "pid"))))
}

// What a command leaves running on purpose lives on, and does not keep us.
func TestACommandThatLeavesSomethingRunning(t *testing.T) {
	home := t.TempDir()
	began := time.Now()
	s := Agent{}.member(t.Context(), "|"+script(t, `sleep 60 & echo $! >"$HOME/pid"; exit 0`), FromUser, me(home), delivery(text))
	if s.Class() != status.Success || time.Since(began) > 10*time.Second {
		t.Errorf("%s after %v", s.Diagnostic(), time.Since(began))
	}
	pid := strings.TrimSpace(read(t, filepath.Join(home, "pid")))
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Errorf("it does not live: %v", err)
	}
	if p := atoi(pid); p > 1 {
		syscall.Kill(p, syscall.SIGKILL)
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

func TestACommandThatFloods(t *testing.T) {
	s := Agent{}.member(t.Context(), "|"+script(t, "head -c 20000000 /dev/zero | tr '\\0' x; exit 75"), FromUser, me(t.TempDir()), delivery(text))
	if s.Class() != status.Temporary || len(s.Text()) > status.MaxText+100 {
		t.Errorf("%d bytes: %.100s", len(s.Text()), s.Diagnostic())
	}
}

// A message that cannot be read to its end must not pass for a whole one.
func TestAMessageThatBreaksOffKillsTheCommand(t *testing.T) {
	home := t.TempDir()
	m := mailbox.Message{Sender: "a@b", Content: io.MultiReader(strings.NewReader("Subject: hi\r\n"), broken{})}
	p := program{argv: []string{script(t, `cat >/dev/null; touch "$HOME/whole"; sleep 60`)}, dir: home}
	if s := (Agent{}).run(t.Context(), p, me(home), delivery(""), m); s.Class() != status.Temporary {
		t.Errorf("%s", s.Diagnostic())
	}
	if _, err := os.Stat(filepath.Join(home, "whole")); err == nil {
		t.Error("the command has seen an end")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, syscall.EIO }

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, command string
		shell         bool
		directory     string
		want          string
	}{
		{"by its path", "/bin/x -y", false, "", "/bin/x -y"},
		{"looked for", "sh -c x", false, "", "/bin/sh -c x"},
		{"with a shell, for the administrator", "a | b", true, "", "/bin/sh -c a | b"},
		{"without one, where none is needed", "/bin/x", true, "", "/bin/x"},
		{"no shell for users", "a | b", false, "", "!needs a shell"},
		{"a relative path", "bin/x", false, "", "!does not begin with a slash"},
		{"nowhere", "no-such-program-here", false, "", "!there is no program"},
		{"in the directory that is allowed", "/usr/bin/../bin/x y", false, dir, dir + "/x y"},
		{"no shell around it", "a | b", true, dir, "!needs a shell"},
		{"a way out of it", "/ok/..", false, dir, dir + "/.."},
	} {
		p, err := Agent{CommandDirectory: c.directory}.program(c.command, c.shell)
		got := strings.Join(p.argv, " ")
		if c.name == "looked for" {
			got = strings.Replace(got, "/usr/bin/", "/bin/", 1)
		}
		if c.name == "a way out of it" { // a directory is no program
			if err == nil && executable(p.argv[0]) == nil {
				t.Errorf("%s: %q", c.name, got)
			}
			continue
		}
		if want, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q, %v", c.name, got, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestCommandsThatCannotBeRun(t *testing.T) {
	for _, command := range []string{"|/nonexistent/x", "|" + t.TempDir(), "|a; b", "|no-such-program-here"} {
		s := Agent{}.member(t.Context(), command, FromUser, me(t.TempDir()), delivery(text))
		if !strings.HasPrefix(s.Diagnostic(), "451 4.3.5 ") {
			t.Errorf("%s: %s", command, s.Diagnostic())
		}
	}
}

func TestMailboxCommand(t *testing.T) {
	home := t.TempDir()
	prog := script(t, `for a; do echo "[$a]"; done >"$HOME/args"; cat >"$HOME/got"`)
	u := me(home)
	where, err := parseSpec("command:" + prog + " -d {user} -f {sender} --to={home}")
	if err != nil {
		t.Fatal(err)
	}
	d := delivery(text)
	d.Sender = `"; touch x;"@example.net`
	m, _ := prepare(d)
	argv, err := where.argv(u, d)
	if err != nil {
		t.Fatal(err)
	}
	s := Agent{}.run(t.Context(), program{argv: argv, shown: "prog", dir: home}, u, d, m)
	want := "[-d]\n[alice]\n[-f]\n[\"; touch x;\"@example.net]\n[--to=" + home + "]\n"
	if got := read(t, filepath.Join(home, "args")); s.Class() != status.Success || got != want {
		t.Errorf("%s: %q", s.Diagnostic(), got)
	}
	u.UID = 0
	if s := (Agent{}).mailboxCommand(t.Context(), where, u, d, m); !strings.HasPrefix(s.Diagnostic(), "451 4.3.5 root runs no commands") {
		t.Errorf("as root: %s", s.Diagnostic())
	}
	if _, err := where.argv(User{Name: "-x"}, d); err == nil {
		t.Error("a user that is an option")
	}
}

func TestRootRunsNothing(t *testing.T) {
	u := User{Name: "root", Home: t.TempDir(), UID: 0}
	for _, member := range []string{"|/bin/true", u.Home + "/file", u.Home + "/dir/"} {
		if s := asRoot(u); s == nil || s.Class() != status.Temporary {
			t.Errorf("%s: %v", member, s)
		}
		if os.Geteuid() != 0 {
			continue
		}
		if s := (Agent{}).Member(t.Context(), member, FromAlias, u, delivery(text)); s.Class() != status.Temporary {
			t.Errorf("%s: %s", member, s.Diagnostic())
		}
	}
	if left, _ := os.ReadDir(u.Home); len(left) > 0 {
		t.Errorf("%v", left)
	}
}

func FuzzSplitCommand(f *testing.F) {
	for _, s := range []string{"a b", `a "b" 'c' \d`, "exec a", "a|b", `"`, `\`, "''"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		words, err := splitCommand(s)
		if err != nil {
			return
		}
		n := 0
		for _, w := range words {
			n += len(w)
		}
		if len(words) == 0 || words[0] == "" || n > len(s) {
			t.Fatalf("%q", words)
		}
		if errors.Is(err, errShell) {
			t.Fatal(err)
		}
	})
}
