package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"postrider/internal/fsys"
	"postrider/internal/route"
	"postrider/internal/status"
)

// userRun runs a command of user over a file.
func userRun(a *app, path string, args ...string) (exit int, said string) {
	var out bytes.Buffer
	a.out, a.err = &out, &out
	exit = a.run(append([]string{"postrider", "user", args[0], "--file", path}, args[1:]...))
	return exit, out.String()
}

func TestOnlyOneChangesTheUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("alice:*\n"), 0o604); err != nil {
		t.Fatal(err)
	}
	lock, err := fsys.OS{}.TryLock(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if exit, said := userRun(testApp(), path, "rm", "alice"); exit != status.ExitTempFail || !strings.Contains(said, "somebody else is changing "+path) {
		t.Errorf("exit status %d, %s", exit, said)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if exit, said := userRun(testApp(), path, "rm", "alice"); exit != 0 {
		t.Errorf("exit status %d, %s", exit, said)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != 0 || info.Mode().Perm() != 0o604 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAPasswordIsTypedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("alice:*\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		typed []string
		exit  int
		said  string
	}{
		{"two that differ", []string{"one", "two"}, status.ExitDataErr, "postrider: the passwords differ; nothing was changed"},
		{"one", []string{"one"}, status.ExitNoInput, "postrider: no password was given"},
		{"none", nil, status.ExitNoInput, "postrider: no password was given"},
		{"two that are empty", []string{"", ""}, status.ExitDataErr, "postrider: the password is empty"},
	} {
		a := testApp()
		a.terminal = true
		a.readSecret = func() (string, error) {
			if len(c.typed) == 0 {
				return "", io.EOF
			}
			word := c.typed[0]
			c.typed = c.typed[1:]
			return word, nil
		}
		if exit, said := userRun(a, path, "passwd", "alice"); exit != c.exit || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit status %d, %s", c.name, exit, said)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "alice:*\n" {
			t.Errorf("%s: %q, %v", c.name, text, err)
		}
	}
}

func TestUsersBehindALinkAreChangedWhereTheyAre(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	if exit, said := userRun(testApp(), link, "add", "--no-password", "alice"); exit != 0 {
		t.Fatalf("exit status %d, %s", exit, said)
	}
	text, err := os.ReadFile(path)
	info, linkErr := os.Lstat(link)
	if err != nil || linkErr != nil || string(text) != "alice:*\n" || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("%q, %v, %v", text, err, linkErr)
	}
}

func TestNewUsersBelongToTheServersGroup(t *testing.T) {
	dir := t.TempDir()
	passwd := filepath.Join(dir, "passwd")
	conf := filepath.Join(dir, "p.toml")
	line := "server:x:4000001:" + strconv.Itoa(os.Getgid()) + "::/:/bin/sh\n"
	if err := errors.Join(os.WriteFile(passwd, []byte(line), 0o600), os.WriteFile(conf, []byte("hostname = \"h.example\"\nsmtpd.user = \"server\"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POSTRIDER_CONFIG", conf)
	a := testApp()
	a.uid, a.users = 0, route.NewPasswd(passwd)
	path := filepath.Join(dir, "users")
	if exit, said := userRun(a, path, "add", "--no-password", "alice"); exit != 0 {
		t.Fatalf("exit status %d, %s", exit, said)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAFileThatCannotBeReplacedStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	if err := os.WriteFile(path, []byte("alice:*\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := replaceFile(path, "", func(*os.File) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	names, dirErr := os.ReadDir(dir)
	if err != nil || dirErr != nil || string(text) != "alice:*\n" || len(names) != 1 {
		t.Errorf("%q, %v, %v, %v", text, names, err, dirErr)
	}
}
