package interop

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// One address of the header is bad: the others get the message, and the sender gets it back for that one.
func TestBadAddressInTheHeaderIsReturned(t *testing.T) {
	in := install(t)
	in.run("From: alice@home.example\nTo: bob@remote.example, foo@@bar\nSubject: x\n\ntext\n", "sendmail", "-t", "-oi", "-f", "alice@home.example")
	got := []receipt{in.next.wait(t), in.next.wait(t)}
	in.settled()
	slices.SortFunc(got, func(a, b receipt) int { return strings.Compare(b.From, a.From) })
	if got[0].From != "alice@home.example" || !slices.Equal(got[0].To, []string{"bob@remote.example"}) {
		t.Errorf("the message went from %q to %q", got[0].From, got[0].To)
	}
	report := got[1]
	if report.From != "" || !slices.Equal(report.To, []string{"alice@home.example"}) {
		t.Errorf("the report went from %q to %q", report.From, report.To)
	}
	for _, line := range []string{`Content-Type: multipart/report;`, `Final-Recipient: rfc822; .*foo`, `Action: failed`, `Status: 5\.1\.[13]`} {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(report.Text) {
			t.Errorf("the report has no line %q:\n%s", line, report.Text)
		}
	}
}

// A message for an unknown user of this machine and one for a known one, with the installation's own programs only.
func TestLocalUsers(t *testing.T) {
	in := install(t)
	in.run("Subject: x\n\ntext\n.\nFrom here\n", "sendmail", "-oi", "-odi", "-oee", "-f", "alice@home.example", in.user, "no-such-user-here")
	report := in.next.wait(t)
	in.settled()
	if report.From != "" || !strings.Contains(report.Text, "Status: 5.1.1\r\n") {
		t.Errorf("from %q:\n%s", report.From, report.Text)
	}
	if text := in.mailbox(); len(text) != 1 || !strings.HasSuffix(text[0], "\n\ntext\n.\nFrom here\n") {
		t.Errorf("the mailbox holds %q", text)
	}
	log := in.logged(regexp.MustCompile(`(\w{17}): from=<alice@home.example>`))
	for _, line := range []string{"status=sent", "status=bounced", "report=", "removed"} {
		if !strings.Contains(log, line) {
			t.Errorf("one grep of the queue ID does not tell of %q:\n%s", line, log)
		}
	}
}

// -v shows the dialogue and waits for the delivery, and -odi tells by the exit status that a recipient was refused.
func TestForeground(t *testing.T) {
	in := install(t)
	out := in.run("Subject: x\n\ntext\n", "sendmail", "-v", "-f", "alice@home.example", "bob@remote.example")
	in.next.wait(t)
	for _, line := range []string{`^220 next\.example`, `^>>> MAIL From:<alice@home\.example>`, `^>>> RCPT To:<bob@remote\.example>`, `^>>> \.$`, `^bob@remote\.example\.\.\. Sent`} {
		if !regexp.MustCompile("(?m)" + line).MatchString(out) {
			t.Errorf("-v shows no line %q:\n%s", line, out)
		}
	}
	in.settled()
	cmd := in.command("Subject: x\n\ntext\n", "sendmail", "-odi", "-f", "alice@home.example", "no-such-user-here")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 67 {
		t.Errorf("an unknown user: %v", err)
	}
	in.next.wait(t) // the report
	in.settled()
}

// A daemon that runs delivers what sendmail accepts, and sendmail starts no run of its own.
func TestDaemon(t *testing.T) {
	in := install(t)
	daemon := in.command("", "queuerun", "--daemon", "--foreground")
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer daemon.Wait()
	defer daemon.Process.Signal(syscall.SIGTERM)
	in.running()
	for range 3 {
		in.run("Subject: x\n\ntext\n", "sendmail", "-f", "alice@home.example", "bob@remote.example", in.user)
		in.next.wait(t)
		in.settled()
	}
	if n := len(in.mailbox()); n != 3 {
		t.Errorf("%d messages in the mailbox", n)
	}
	log := in.logged(regexp.MustCompile(`queuerun\[(\d+)\]`))
	if all := in.logged(regexp.MustCompile(`(queuerun)\[`)); all != log {
		t.Errorf("more than the daemon ran the queue:\n%s", all)
	}
}
