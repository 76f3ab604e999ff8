package server

import (
	"os"
	"strings"
	"testing"
)

// Whatever a user puts in the place of files and directories while mail is delivered, nothing of another's is read or
// written: the child has the user's rights only.
func TestPathsThatChangeMeanwhile(t *testing.T) {
	w := newWorld(t, func(w *world) { w.server.Config.Local.Mailbox = "maildir:{home}/Maildir" }, "alice", "bob")
	for _, dir := range []string{"secret", "secret/new", "secret/tmp", "secret/cur"} {
		w.mkdir("home/bob/"+dir, 0o700)
		w.own("home/bob/"+dir, "bob")
	}
	w.write("home/bob/secret/forward", "|/usr/bin/touch "+w.path("home/bob/secret/touched")+"\n", 0o600)
	w.own("home/bob/secret/forward", "bob")
	before := names(t, w.path("home/bob/secret/new"))

	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		home := w.path("home/alice")
		for {
			select {
			case <-stop:
				return
			default:
			}
			os.RemoveAll(home + "/Maildir")
			os.Symlink(w.path("home/bob/secret"), home+"/Maildir")
			os.Symlink(w.path("home/bob/secret/forward"), home+"/f")
			os.Rename(home+"/f", home+"/.forward")
			os.Remove(home + "/Maildir")
			os.Link(w.path("home/bob/secret/forward"), home+"/f")
			os.Rename(home+"/f", home+"/.forward")
			os.Remove(home + "/.forward")
			os.Remove(home + "/f")
		}
	}()
	c := w.dial()
	for range 200 {
		r := c.send(letter, "<alice@here.test>")[0]
		forwarded := strings.HasPrefix(r, "251 ") && !root() // there is one user, whose file it is
		if !strings.HasPrefix(r, "250 2.0.0 ") && r[0] != '4' && !forwarded {
			t.Errorf("%s", r)
		}
	}
	close(stop)
	<-done
	if root() && names(t, w.path("home/bob/secret/new")) != before {
		t.Errorf("bob has got %s", names(t, w.path("home/bob/secret/new")))
	}
	if _, err := os.Stat(w.path("home/bob/secret/touched")); err == nil {
		t.Error("a command was run")
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range list {
		b.WriteString(e.Name() + "\n")
	}
	return b.String()
}
