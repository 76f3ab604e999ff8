package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMailboxes(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	got := w.send("Subject: hi\r\n\r\nFrom me\r\n..dot\r\n", "<alice@here.test> XRCPT=1", "<zoe@here.test>", "<bob@here.test> XRCPT=3")
	want := []string{"250 2.0.0 delivered to mailbox", "550 5.1.1 zoe@here.test: no such user here", "250 2.0.0 delivered to mailbox"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	for _, user := range []string{"alice", "bob"} {
		text := w.read("mail/" + user)
		if !strings.HasPrefix(text, "From bob@example.net ") || !strings.HasSuffix(text, "\nReturn-Path: <bob@example.net>\nDelivered-To: "+user+"@here.test\nSubject: hi\n\n>From me\n.dot\n\n") {
			t.Errorf("%s: %q", user, text)
		}
		owner(t, w, "mail/"+user, user, 0o600)
	}
}

// owner checks to whom a file belongs.
func owner(t *testing.T, w *world, name, user string, mode uint32) {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(w.path(name), &st); err != nil {
		t.Fatal(err)
	}
	if a := w.accounts[user]; int(st.Uid) != a.UID || st.Mode&0o7777 != mode {
		t.Errorf("%s: user %d, mode %o", name, st.Uid, st.Mode&0o7777)
	}
}

func TestMaildirsAreWrittenOnce(t *testing.T) {
	w := newWorld(t, func(w *world) { w.server.Config.Local.Mailbox = "maildir:{home}/Maildir" }, "alice")
	for range 3 {
		if got := w.send(letter, "<alice@here.test> XRCPT=1"); got[0] != "250 2.0.0 delivered to maildir" {
			t.Error(got)
		}
	}
	w.send(letter, "<alice@here.test> XRCPT=2")
	found, _ := filepath.Glob(w.path("home/alice/Maildir/new/1795510800.0ABCDEF_?.*"))
	if len(found) != 2 {
		t.Errorf("%v", found)
	}
	owner(t, w, "home/alice/Maildir", "alice", 0o700)
}

// The fourth descriptor is ls's own.
func TestCommandsRunAsTheirUser(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.write("who", "#!/bin/sh\ncat >/dev/null; echo $(id -u) $(id -g) $(id -G) $(pwd) $(ls -l /proc/self/fd | grep -c '[>] .*[0-9]') $USER; exit 75\n", 0o755)
		w.write("aliases", "list: \"|"+w.path("who")+" | cat; exit 75\", |"+w.path("who")+"\n", 0o644)
		a := w.accounts["alice"]
		a.Groups = []int{61500, 61501}
		w.accounts["alice"] = a
	}, "alice")
	w.forward("alice", "|"+w.path("who"))
	who := func(user string, groups ...int) string {
		a := w.accounts[user]
		list := strconv.Itoa(a.GID)
		for _, g := range groups {
			list += " " + strconv.Itoa(g)
		}
		return fmt.Sprintf("%d %d %s %s 4 %s", a.UID, a.GID, list, a.Home, user)
	}
	if !root() {
		t.Log("there is one user only")
		got := w.send(letter, "<alice@here.test> XMEMBER=|"+encodeXtext(w.path("who")))
		if !strings.Contains(got[0], w.accounts["alice"].Home) {
			t.Error(got)
		}
		return
	}
	got := w.send(letter, "<alice@here.test> XMEMBER=|"+w.path("who"), "<list@here.test> XMEMBER=|"+w.path("who"),
		"<list@here.test> XMEMBER="+encodeXtext("|"+w.path("who")+" | cat; exit 75"))
	want := []string{
		"451 4.3.0 command who ended with status 75: " + who("alice", 61500, 61501),
		"451 4.3.0 command who ended with status 75: " + who("default"),
		"451 4.3.0 command sh ended with status 75: " + who("default"),
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("\n got %s\nwant %s", got[i], want[i])
		}
	}
}

// The commands of an alias have the rights of the owner of its file, when that is not root.
func TestAliasesOfAUsersOwnFile(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.write("aliases", "list: |/usr/bin/id -u\n", 0o644)
		w.own("aliases", "alice")
		w.server.Config.Local.DefaultUser = "nobody-at-all"
	}, "alice")
	if got := w.send(letter, "<list> XMEMBER="+encodeXtext("|/usr/bin/id -u")); got[0] != "250 2.0.0 delivered to command id" {
		t.Error(got)
	}
	if !root() {
		return
	}
	os.Chown(w.path("aliases"), 0, 0)
	w.write("aliases", "list: |/usr/bin/id -u \n#", 0o644)
	if err := os.Chtimes(w.path("aliases"), time.Time{}, time.Now().Add(-time.Minute)); err != nil { // so that it is no text that somebody writes
		t.Fatal(err)
	}
	if got := w.send(letter, "<list> XMEMBER="+encodeXtext("|/usr/bin/id -u")); !strings.HasPrefix(got[0], "451 4.3.5 there is no user to run") {
		t.Error(got)
	}
}

func TestRootsForwardRunsNothing(t *testing.T) {
	if !root() {
		t.Log("root's files are not to be had; the rule is tested in package local")
		return
	}
	w := newWorld(t, func(w *world) { w.addUser("root", 0) })
	w.forward("root", "|/bin/touch "+w.path("x")+"\nr@x.test")
	if got := w.send(letter, "<root@here.test>"); got[0] != `251-2.1.5 \root|251 2.1.5 r@x.test` {
		t.Error(got)
	}
	if got := w.send(letter, "<root> XMEMBER="+encodeXtext("|/bin/touch "+w.path("x"))); got[0] != `251-2.1.5 \root|251 2.1.5 r@x.test` {
		t.Error(got)
	}
	if got := w.send(letter, "<postmaster@here.test> XMAILBOX"); got[0] != "250 2.0.0 delivered to mailbox" {
		t.Error(got)
	}
	owner(t, w, "mail/root", "root", 0o600)
}

// On Debian group mail makes the mailboxes, and nobody else; elsewhere everybody, or root.
func TestSpoolsOfMailboxes(t *testing.T) {
	if !root() {
		t.Log("only root can have such directories")
		return
	}
	const mail = 61999
	for _, c := range []struct {
		name     string
		mode     uint32
		gid      int
		fileGID  int // -1: the user's
		want     string
		lockSeen bool
	}{
		{"Debian", 0o2775, mail, mail, "250 2.0.0 delivered to mailbox", true},
		{"FreeBSD", 0o775, mail, mail, "250 2.0.0 delivered to mailbox", true},
		{"everybody's, sticky", 0o1777, 0, -1, "250 2.0.0 delivered to mailbox", true},
		{"OpenBSD", 0o755, 0, -1, "250 2.0.0 delivered to mailbox", false},
		{"another group's", 0o775, 61998, -1, "450 4.2.0 mailbox cannot be written: permission denied", false},
	} {
		w := newWorld(t, nil, "alice")
		os.Chown(w.path("mail"), 0, c.gid)
		w.mkdir("mail", c.mode)
		for range 2 {
			if got := w.send(letter, "<alice@here.test>"); got[0] != c.want {
				t.Errorf("%s: %s", c.name, got)
			}
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(w.path("mail/alice"), &st); err != nil {
			if c.want[0] == '2' {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if c.fileGID < 0 {
			c.fileGID = w.accounts["alice"].GID
		}
		if int(st.Uid) != w.accounts["alice"].UID || int(st.Gid) != c.fileGID || st.Mode&0o777 != 0o600 {
			t.Errorf("%s: user %d, group %d, mode %o", c.name, st.Uid, st.Gid, st.Mode)
		}
	}
}

// Group mail is for the mailbox only.
func TestCommandsAreNotInGroupMail(t *testing.T) {
	if !root() {
		t.Log("only root can give groups")
		return
	}
	w := newWorld(t, func(w *world) { w.write("who", "#!/bin/sh\necho $(id -G); exit 75\n", 0o755) }, "alice")
	os.Chown(w.path("mail"), 0, 61999)
	w.mkdir("mail", 0o2775)
	w.forward("alice", "\\alice, |"+w.path("who"))
	got := w.send(letter, "<alice> XMAILBOX", "<alice> XMEMBER=|"+w.path("who"))
	if got[0] != "250 2.0.0 delivered to mailbox" || got[1] != fmt.Sprintf("451 4.3.0 command who ended with status 75: %d", w.accounts["alice"].GID) {
		t.Errorf("%q", got)
	}
}

// A mailbox that is not the user's, or more than a file, is not written to.
func TestHostileMailboxes(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(w *world) error
	}{
		{"a link to another's mailbox", func(w *world) error { return os.Symlink(w.path("mail/bob"), w.path("mail/alice")) }},
		{"a link to a file of the system", func(w *world) error { return os.Symlink("/etc/passwd", w.path("mail/alice")) }},
		{"another name of another's mailbox", func(w *world) error { return os.Link(w.path("mail/bob"), w.path("mail/alice")) }},
		{"a pipe", func(w *world) error { return syscall.Mkfifo(w.path("mail/alice"), 0o666) }},
		{"a directory", func(w *world) error { return os.Mkdir(w.path("mail/alice"), 0o777) }},
		{"another's file that everybody can write", func(w *world) error {
			w.write("mail/alice", "", 0o666)
			if !root() {
				return os.Remove(w.path("mail/alice")) // no other users: see TestMailboxOfAnother in package mailbox
			}
			return os.Lchown(w.path("mail/alice"), firstUID+2, -1)
		}},
	} {
		w := newWorld(t, nil, "alice", "bob")
		w.write("mail/bob", "bob's\n", 0o666)
		w.own("mail/bob", "bob")
		if err := c.make(w); err != nil {
			t.Fatal(err)
		}
		_, err := os.Lstat(w.path("mail/alice"))
		if got := w.send(letter, "<alice@here.test>"); err == nil && !strings.HasPrefix(got[0], "450 4.2.0 ") {
			t.Errorf("%s: %s", c.name, got)
		}
		if w.read("mail/bob") != "bob's\n" {
			t.Errorf("%s: bob's mailbox was written to", c.name)
		}
	}
}

// A user's deliveries come one after the other, over all sessions; those of others go on meanwhile.
func TestOneDeliveryAtATimePerUser(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.write("slow", "#!/bin/sh\nmkdir \"$HOME/lock\" || { echo two at once; exit 70; }\ncat >/dev/null; sleep 0.05; rmdir \"$HOME/lock\"\n", 0o755)
	}, "alice", "bob")
	w.forward("alice", "|"+w.path("slow"))
	var wg sync.WaitGroup
	for range 4 {
		c := w.dial()
		wg.Go(func() {
			for _, r := range c.send(letter, "<alice> XRCPT=1 XMEMBER=|"+w.path("slow"), "<alice> XRCPT=2 XMEMBER=|"+w.path("slow")) {
				if r != "250 2.0.0 delivered to command slow" {
					t.Error(r)
				}
			}
		})
	}
	wg.Wait()
}

func TestAMessageForManyGoesToThemSideBySide(t *testing.T) {
	if !root() {
		t.Log("there is one user only")
		return
	}
	var users, rcpts []string
	for i := range 100 {
		users = append(users, fmt.Sprintf("u%d", i))
		rcpts = append(rcpts, fmt.Sprintf("<u%d@here.test> XRCPT=%d", i, i))
	}
	w := newWorld(t, nil, users...)
	for i, r := range w.send(letter, rcpts...) {
		if r != "250 2.0.0 delivered to mailbox" || !strings.Contains(w.read("mail/"+users[i]), "Delivered-To: "+users[i]+"@here.test\n") {
			t.Errorf("%s: %s", users[i], r)
		}
	}
}

// A child that dies at any time costs no mail: the client hears of success, and the message is there once and whole, or
// hears that it has to try again.
func TestChildrenThatDieAtAnyTime(t *testing.T) {
	w := newWorld(t, nil, "alice", "bob")
	text := "Subject: hi\r\n\r\n" + strings.Repeat("line of text\r\n", 20_000)
	c := w.dial()
	died, sent := 0, 1
	began := time.Now()
	if r := c.send(text, "<alice@here.test> XRCPT=100")[0]; r != "250 2.0.0 delivered to mailbox" {
		t.Fatal(r)
	}
	usual := time.Since(began)
	killChildren(t)
	for i := range 30 {
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			time.Sleep(time.Duration(i) * usual / 20)
			killChildren(t)
		}()
		switch r := c.send(text, fmt.Sprintf("<alice@here.test> XRCPT=%d", i))[0]; {
		case r == "250 2.0.0 delivered to mailbox":
			sent++
		case strings.HasPrefix(r, "451 4.3.0 the delivery process died"):
			died++
			os.Remove(w.path("mail/alice.lock")) // nobody waits in a test until it is stale
		case strings.HasPrefix(r, "450 4.2.0"):
			os.Remove(w.path("mail/alice.lock"))
		default:
			t.Errorf("%d: %s", i, r)
		}
		<-stop
	}
	whole := strings.Count(w.read("mail/alice"), "Subject: hi\n\n"+strings.Repeat("line of text\n", 20_000)+"\n")
	if whole < sent || whole > sent+died {
		t.Errorf("%d sent, %d died, %d are there", sent, died, whole)
	}
	got := c.send(letter, "<alice@here.test>")
	if strings.HasPrefix(got[0], "451 4.3.0 the delivery process died") { // the last of them was still dying
		got = c.send(letter, "<alice@here.test>")
	}
	if got[0] != "250 2.0.0 delivered to mailbox" {
		t.Error(got)
	}
}

// killChildren kills the children of this process that deliver.
func killChildren(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(files) == 0 {
		t.Error("the children cannot be found")
	}
	for _, f := range files {
		list, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(list)) {
			args, _ := os.ReadFile("/proc/" + word + "/cmdline")
			if pid, err := strconv.Atoi(word); err == nil && strings.HasSuffix(string(args), "\x00"+ChildArg+"\x00") {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// A service that goes down ends the commands that it runs, and says so.
func TestGoingDown(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.write("hang", "#!/bin/sh\necho $$ >\"$HOME/p\"; mv \"$HOME/p\" \"$HOME/pid\"; exec sleep 60\n", 0o755)
	}, "alice")
	w.forward("alice", "|"+w.path("hang"))
	idle := w.dial()
	done := make(chan string)
	c := w.dial()
	go func() { done <- c.send(letter, "<alice> XMEMBER=|"+w.path("hang"))[0] }()
	for {
		if _, err := os.Stat(w.path("home/alice/pid")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	w.stop()
	if r := idle.reply(); r != "421 4.3.2 the service goes down" && !strings.HasPrefix(r, "421 4.4.2") {
		t.Errorf("idle: %s", r)
	}
	w.kill()
	if r := <-done; !strings.HasPrefix(r, "451 4.3.2 ") {
		t.Errorf("%s", r)
	}
	<-w.ended
	pid := strings.TrimSpace(w.read("home/alice/pid"))
	for range 500 {
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("command %s lives", pid)
}

func TestTooLargeAMessage(t *testing.T) {
	w := newWorld(t, func(w *world) { w.server.Config.MessageSizeLimit = 100 }, "alice")
	c := w.dial()
	if r := c.say("MAIL FROM:<> SIZE=101"); r != "552 5.3.4 the message is too large" {
		t.Error(r)
	}
	if got := c.send("Subject: x\r\n\r\n"+strings.Repeat("x\r\n", 100), "<alice>"); got[0] != "552 5.3.4 the message is too large" {
		t.Error(got)
	}
	if got := c.send(letter, "<alice>"); got[0] != "250 2.0.0 delivered to mailbox" {
		t.Error(got)
	}
}

// What does not fit into memory is delivered just so; where there is no room for it, it waits.
func TestLargeMessages(t *testing.T) {
	w := newWorld(t, nil, "alice")
	text := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 100_000)
	if got := w.send(text, "<alice>"); got[0] != "250 2.0.0 delivered to mailbox" {
		t.Error(got)
	}
	if got := w.read("mail/alice"); !strings.HasSuffix(got, strings.ReplaceAll(text, "\r\n", "\n")+"\n") {
		t.Errorf("%d bytes", len(got))
	}
	w.server.TempDir = "/nonexistent"
	if got := w.send(text, "<alice>"); got[0] != "452 4.3.1 the message cannot be held" {
		t.Error(got)
	}
}

func TestProgramsAsMailboxes(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.write("lda", "#!/bin/sh\necho \"$@\" >\"$HOME/args\"; exec cat >\"$HOME/got\"\n", 0o755)
		w.server.Config.Local.Mailbox = "command:" + w.path("lda") + " -d {user} -a {recipient}"
	}, "alice")
	if got := w.send(letter, "<alice+x@here.test>"); got[0] != "250 2.0.0 delivered to command lda" {
		t.Error(got)
	}
	if got := w.read("home/alice/args"); got != "-d alice -a alice+x@here.test\n" {
		t.Errorf("%q", got)
	}
}
