package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postrider/internal/drop"
	"postrider/internal/status"
	"postrider/queue"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv("DROP_TEST"); mode != "" {
		os.Exit(helper(mode, os.Args[1:]))
	}
	status := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(status)
}

const testText = "Subject: hello\r\n\r\nbody\r\n.dot\r\n"

// submission is what sendmail writes.
func submission(t testing.TB, spool, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := drop.NewWriter(&b, spool)
	if err != nil {
		t.Fatal(err)
	}
	// Its first words are another's name: drop must not believe them.
	e := queue.Envelope{Sender: "alice@example.org", UID: bob, User: "bob", Proto: "local", Rcpts: []queue.Rcpt{{Address: "bob@r.test"}}}
	d, err := queue.HandOver("", e, sink{w})
	if err != nil {
		t.Fatal(err)
	}
	d.Write([]byte(text))
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type sink struct{ *drop.Writer }

func (s sink) Commit() error { return s.End() }

// As one's own program, without a set-id bit, it works on one's own spool.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	defer func(path string) { drop.SettingsPath = path }(drop.SettingsPath)
	drop.SettingsPath = filepath.Join(dir, "drop.conf")
	spool := filepath.Join(dir, "spool")
	if _, err := queue.Open(spool, queue.Options{}); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == owner { // other settings are not believed
		if err := os.WriteFile(drop.SettingsPath, []byte(drop.Settings{Spool: spool, Limit: 100}.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, text string
			exit       int
			says       string
		}{
			{"a message", testText, status.ExitOK, ""},
			{"a large one", strings.Repeat(testText, 10), status.ExitUnavailable, "drop: message size exceeds limit of 100 bytes\n"},
		} {
			var out, errw bytes.Buffer
			got := run([]string{"drop"}, bytes.NewReader(submission(t, spool, c.text)), &out, &errw)
			if _, err := queue.ParseID(strings.TrimSpace(out.String())); got != c.exit || errw.String() != c.says || err != nil {
				t.Errorf("%s: exit status %d, %q, %q", c.name, got, &out, &errw)
			}
		}
	}
	for _, c := range []struct {
		name, settings string
		argv           []string
		exit           int
		says           string
	}{
		{"an argument", "", []string{"drop", "-C/etc/passwd"}, status.ExitUsage, "drop: this program is started by sendmail, without arguments\n"},
		{"no name", "", nil, status.ExitTempFail, "drop: cannot open the mail spool"},
		{"settings that are wrong", "size x\n", []string{"drop"}, status.ExitTempFail, "drop: cannot use the settings of drop"},
	} {
		os.WriteFile(drop.SettingsPath, []byte(c.settings+"spool "+dir+"/missing\n"), 0o644)
		var out, errw bytes.Buffer
		got := run(c.argv, strings.NewReader(""), &out, &errw)
		if os.Geteuid() != owner && c.exit == status.ExitTempFail {
			c.says = "drop: cannot use the settings of drop" // they are ours
		}
		if got != c.exit || !strings.HasPrefix(errw.String(), c.says) || strings.Count(errw.String(), "\n") != 1 || out.Len() > 0 {
			t.Errorf("%s: exit status %d, %q, %q", c.name, got, &out, &errw)
		}
	}
}

func TestLoginName(t *testing.T) {
	if root, none := loginName(0), loginName(1<<31-2); root != "root" || none != "" {
		t.Errorf("%q, %q", root, none)
	}
}
