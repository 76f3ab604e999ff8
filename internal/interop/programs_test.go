//go:build interop

package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestSNail(t *testing.T) {
	in := install(t)
	in.run(hardBody+longLine, "s-nail", "-:/", "-S", "v15-compat", "-S", "mta="+in.recorder(), "-S", "mime-encoding=8bit", "-S", "ttycharset=utf-8",
		"-S", "from=Alice <alice@home.example>", "-r", "alice@home.example", "-s", "Gr\u00fc\u00dfe", "-c", "carol@remote.example",
		"-b", "hidden@remote.example", "bob@remote.example")
	m := in.recorded(mail{from: "alice@home.example", to: []string{"bob@remote.example", "carol@remote.example", "hidden@remote.example"}})
	if strings.Contains(m.wrote, "hidden") {
		t.Error("s-nail writes the blind recipient into the header: the test does not show what it should")
	}
	in.arrives(m)
}

func TestMutt(t *testing.T) {
	in := install(t)
	in.run(hardBody, "mutt", "-n", "-F", "/dev/null", "-e", "set sendmail='"+in.recorder()+" -oem -oi'",
		"-e", "set copy=no from='Alice <alice@home.example>' use_envelope_from=yes use_8bitmime=yes allow_8bit=yes charset=utf-8 send_charset=utf-8",
		"-e", "set dsn_notify='failure,delay' dsn_return=hdrs write_bcc=no",
		"-s", "Gr\u00fc\u00dfe", "-c", "carol@remote.example", "-b", "hidden@remote.example", "--", "bob@remote.example")
	m := in.recorded(mail{from: "alice@home.example", to: []string{"bob@remote.example", "carol@remote.example", "hidden@remote.example"}})
	m.terms = func(m receipt) error {
		if m.Mail.Return != smtp.DSNReturnHeaders || len(m.Rcpts[0].Notify) != 2 {
			return fmt.Errorf("DSN terms are RET=%q NOTIFY=%q", m.Mail.Return, m.Rcpts[0].Notify)
		}
		if m.Mail.Body != smtp.Body8BitMIME {
			return fmt.Errorf("BODY=%q", m.Mail.Body)
		}
		return nil
	}
	in.arrives(m)
}

func TestGitSendEmail(t *testing.T) {
	for _, how := range []string{"--sendmail-cmd", "--smtp-server"} {
		t.Run(how[2:], func(t *testing.T) {
			in := install(t)
			git := func(args ...string) {
				t.Helper()
				in.run("", "git", append([]string{"-C", in.path("home"), "-c", "user.name=Alice \u00c9", "-c", "user.email=alice@home.example"}, args...)...)
			}
			git("init", "-q")
			in.write("home/file", hardBody)
			git("add", "file")
			git("commit", "-q", "-m", "Subject with \u00fc\n\nBody\n.\n..dots\n\nFrom here\n")
			git("send-email", how+"="+in.recorder(), "--quiet", "--confirm=never", "--suppress-cc=all", "--transfer-encoding=8bit", "--no-validate",
				"--envelope-sender=bounce@home.example", "--to=bob@remote.example", "--cc=Carol <carol@remote.example>", "--bcc=hidden@remote.example", "-1")
			m := in.recorded(mail{from: "bounce@home.example", to: []string{"bob@remote.example", "carol@remote.example", "hidden@remote.example"}})
			in.arrives(m)
		})
	}
}

// PHP ends lines in CRLF, and older versions in LF with the CRLFs of the script between them.
func TestPHPMail(t *testing.T) {
	script := `<?php
$headers = "From: Web <web@home.example>" . EOL . "Bcc: hidden@remote.example" . EOL . "X-Long: " . str_repeat("y ", 60);
exit(mail("bob@remote.example, Carol <carol@remote.example>", "Subject here", "One" . EOL . "." . EOL . ".dot" . EOL . "Gr\u{fc}\u{df}e" . EOL . "end", $headers, PARAM) ? 0 : 1);
`
	for _, c := range []struct{ name, eol, mixed, param, from string }{
		{"CRLF", `"\r\n"`, "0", "-f bounce@home.example", "bounce@home.example"},
		{"LF", `"\n"`, "0", "-fbounce@home.example", "bounce@home.example"},
		{"mixed as before PHP 8", `"\r\n"`, "1", "-f bounce@home.example", "bounce@home.example"},
		{"no parameter", `"\r\n"`, "0", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := install(t)
			text := strings.NewReplacer("EOL", c.eol, "PARAM", `"`+c.param+`"`).Replace(script)
			in.run("", "php", "-n", "-d", "mail.mixed_lf_and_crlf="+c.mixed, "-d", "sendmail_path="+in.recorder()+" -t -i", in.write("mail.php", text))
			if c.from == "" {
				c.from = in.user + "@" + hostname
			}
			m := in.recorded(mail{from: c.from, to: []string{"bob@remote.example", "carol@remote.example", "hidden@remote.example"},
				edits: []string{"Bcc: hidden@remote.example\r\n", ""}, added: []string{dateField, idField}})
			t.Logf("PHP wrote %d CRLF and %d line ends", strings.Count(m.wrote, "\r\n"), strings.Count(m.wrote, "\n"))
			in.arrives(m)
		})
	}
}

func TestPythonSubprocess(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         mail
	}{
		{"bytes with LF", `
text = b"From: alice@home.example\nTo: bob@remote.example\nSubject: x\n\none\n.\n..\n" + b"y" * 998 + b"\nno end"
subprocess.run([prog, "-t", "-oi"], input=text, check=True)`,
			mail{to: []string{"bob@remote.example"}, added: []string{dateField, idField}}},
		{"without -i a dot ends the message", `
text = b"From: alice@home.example\nTo: bob@remote.example\n\none\n"
subprocess.run([prog, "-t"], input=text + b".\nnot this\n", check=True)
open(record, "wb").write(text)`,
			mail{to: []string{"bob@remote.example"}, added: []string{dateField, idField}}},
		{"EmailMessage in UTF-8 with Bcc", `
m = email.message.EmailMessage(policy=email.policy.default.clone(utf8=True, cte_type="8bit"))
m["From"] = "J\u00fcrgen <alice@home.example>"
m["To"] = "Bob \u4f60 <bob@remote.example>"
m["Bcc"] = "hidden@remote.example"
m["Subject"] = "Gr\u00fc\u00dfe"
m.set_content("Gr\u00fc\u00dfe\n.\n", cte="8bit")
subprocess.run([prog, "-t", "-oi", "-f", "bounce@home.example"], input=m.as_bytes(), check=True)`,
			mail{from: "bounce@home.example", to: []string{"bob@remote.example", "hidden@remote.example"},
				edits: []string{"Bcc: hidden@remote.example\r\n", ""}, added: []string{dateField, idField}}},
		{"Mailman's sender and recipients in argv", `
text = b"From: list@home.example\nTo: list@home.example\nMessage-ID: <1@home.example>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\nbody\n"
subprocess.run([prog, "-f", "list-bounces@home.example", "--", "bob@remote.example", "carol@remote.example"], input=text, check=True)`,
			mail{from: "list-bounces@home.example", to: []string{"bob@remote.example", "carol@remote.example"}}},
		{"nothing but a header", `
subprocess.run([prog, "-t"], input=b"To: bob@remote.example\nSubject: empty\n", check=True)`,
			mail{to: []string{"bob@remote.example"}, added: []string{dateField, `From: .*` + hostname + `>?`, idField}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := install(t)
			in.run("import email.message, email.policy, subprocess, sys\nprog, record = sys.argv[1:]\n"+c.script, "python3", "-", in.recorder(), in.path("stdin"))
			m := in.recorded(c.want)
			if m.from == "" {
				m.from = in.user + "@" + hostname
			}
			in.arrives(m)
		})
	}
}

// The command lines of cron's daemons and what they write before the output of a job.
func TestCron(t *testing.T) {
	debian := "From: %[1]s (Cron Daemon)\nTo: %[2]s\nSubject: Cron <%[1]s@%[3]s> echo hello\nMIME-Version: 1.0\n" +
		"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\nX-Cron-Env: <LOGNAME=%[1]s>\n\nhello\n.\nGr\u00fc\u00dfe\n"
	cronie := "From: \"(Cron Daemon)\" <%[1]s>\nTo: %[2]s\nSubject: Cron <%[1]s@%[3]s> echo hello\nMIME-Version: 1.0\n" +
		"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\nPrecedence: bulk\n" +
		"X-Cron-Env: <SHELL=/bin/sh>\n\nhello\n.\nGr\u00fc\u00dfe\n"
	anacron := "From: Anacron <%[1]s>\nTo: %[2]s\nContent-Type: text/plain; charset=\"UTF-8\"\nSubject: Anacron job 'cron.daily' on %[3]s\n\nhello\nGr\u00fc\u00dfe\n"
	for _, c := range []struct{ name, args, mailto, text string }{
		{"Debian", "-FCronDaemon -i -B8BITMIME -oem  %[2]s", "bob@remote.example", debian},
		{"Debian to several", "-FCronDaemon -i -B8BITMIME -oem  %[2]s", "bob@remote.example,carol@remote.example", debian},
		{"older Debian", "-FCronDaemon -i -odi -oem -or0s %[2]s", "bob@remote.example", debian},
		{"cronie", "-FCronDaemon -i -odi -oem -oi -t -f %[1]s", "bob@remote.example", cronie},
		{"anacron", "-FAnacron -odi %[2]s", "bob@remote.example", anacron},
		{"systemd-cron", "-i -B8BITMIME %[2]s", "bob@remote.example", debian},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := install(t)
			fill := func(s string) string {
				return strings.ReplaceAll(fmt.Sprintf(s+"%[1]s%[2]s%[3]s", in.user, c.mailto, hostname), in.user+c.mailto+hostname, "")
			}
			in.run(fill(c.text), in.recorder(), strings.Fields(fill(c.args))...)
			m := in.recorded(mail{from: in.user + "@" + hostname, to: strings.Split(c.mailto, ","), added: []string{dateField, idField}})
			// The bare name of the user gets the origin, and nothing else changes.
			m.edits = []string{"From: " + in.user + " (", "From: " + in.user + "@" + hostname + " (", " <" + in.user + ">\r\n", " <" + in.user + "@" + hostname + ">\r\n"}
			in.arrives(m)
		})
	}
}

// TestCron tests the command line that cron has.
func TestCronHasTheCommandLineThatIsTested(t *testing.T) {
	text, err := os.ReadFile("/usr/sbin/cron")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"%s -FCronDaemon -i -B8BITMIME -oem  %s\x00", "/usr/sbin/sendmail\x00", "X-Cron-Env: <%s>\n\x00"} {
		if !strings.Contains(string(text), s) {
			t.Errorf("cron does not contain %q", s)
		}
	}
}

// Debian's bsd-mailx names all recipients in the header and leaves it to sendmail to take out Bcc.
func TestMailxWithRecipientsInTheHeader(t *testing.T) {
	in := install(t)
	text := "To: bob@remote.example, \"Doe, Jane\" <jane@remote.example>\nSubject: x\nCc: carol@remote.example\nBcc: hidden@remote.example,\n\tdeep@remote.example\n" +
		"MIME-Version: 1.0\nContent-Type: text/plain; charset=\"UTF-8\"\nContent-Transfer-Encoding: 8bit\n\n" + hardBody + longLine + "no end"
	in.run(text, in.recorder(), "-i", "-t", "-f", "alice@home.example", "-m")
	m := in.recorded(mail{from: "alice@home.example", added: []string{dateField, "From: .*<?alice@home.example>?", idField},
		to:    []string{"bob@remote.example", "jane@remote.example", "carol@remote.example", "hidden@remote.example", "deep@remote.example"},
		edits: []string{"Bcc: hidden@remote.example,\r\n\tdeep@remote.example\r\n", ""}})
	in.arrives(m)
}
