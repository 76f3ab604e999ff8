//go:build interop

package interop

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func init() {
	packages = append(packages, [2]string{"at.deb", "at"}, [2]string{"procmail.deb", "procmail"}, [2]string{"vacation.deb", "vacation"})
}

// wholeSystem is a world with the package, users alice and bob, and programs that give mail to the system and take it.
func wholeSystem(t *testing.T) *world {
	t.Helper()
	if err := deb(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"at.deb", "procmail.deb", "vacation.deb"} {
		if err := copyFile(filepath.Join(debDir, name), find(name)); err != nil {
			t.Fatal(err)
		}
	}
	w := installed(t)
	w.sh(`dpkg --install --force-depends /tmp/given/at.deb /tmp/given/procmail.deb /tmp/given/vacation.deb
hostname mail.example.org
for user in alice bob; do useradd --create-home --shell /bin/sh $user; done
{ echo 'hostname = "mail.example.org"'; echo 'origin = "example.org"'; echo 'domains = ["example.org"]'; echo 'log = "/var/log/postrider.log"'; cat /etc/postrider/postrider.toml; } >/tmp/toml
cat /tmp/toml >/etc/postrider/postrider.toml
install -m 666 /dev/null /var/log/postrider.log`)
	return w
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// as is a script as a user would run it after logging in.
func as(user, script string) string {
	return fmt.Sprintf("setpriv --reuid %s --regid %s --init-groups env -i HOME=/home/%s USER=%s LOGNAME=%s SHELL=/bin/sh PATH=/usr/bin:/bin:/usr/sbin sh -ec %s",
		user, user, user, user, user, quote("cd; "+script))
}

// quote makes a word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// start starts a service as its unit says: the commands, the user and the capabilities of it.
func (w *world) start(unit string) {
	w.Helper()
	user, caps := "", ""
	var script strings.Builder
	text := w.sh("cat /usr/lib/systemd/system/" + unit)
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "User":
			user = "setpriv --reuid " + value + " --regid " + value + " --init-groups --bounding-set "
		case "AmbientCapabilities":
			caps = "+" + strings.ToLower(strings.TrimPrefix(value, "CAP_"))
		case "RuntimeDirectory":
			fmt.Fprintf(&script, "install -d -o postrider -g postrider -m 755 /run/%s\n", value)
		}
	}
	if user != "" {
		set := "-all"
		if caps != "" {
			set += "," + caps + " --inh-caps " + caps + " --ambient-caps " + caps
		}
		user += set + " "
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		root := strings.HasPrefix(value, "+")
		value = strings.TrimPrefix(value, "+")
		switch {
		case key == "ExecStartPre" && root:
			fmt.Fprintln(&script, value)
		case key == "ExecStartPre":
			fmt.Fprintln(&script, user+value)
		case key == "ExecStart":
			fmt.Fprintf(&script, "cd /; setsid %s%s </dev/null >>/var/log/%s.out 2>&1 &\necho $! >/run/%s.pid\n", user, value, unit, unit)
		}
	}
	w.sh(script.String())
}

// stop ends a service, which has to end in order.
func (w *world) stop(unit string) {
	w.Helper()
	w.sh("kill $(cat /run/" + unit + ".pid)")
	w.eventually("the end of "+unit, "! kill -0 $(cat /run/"+unit+".pid) 2>/dev/null")
}

// has waits until a mailbox has a message, and returns the mailbox.
func (w *world) has(file, text string) string {
	w.Helper()
	return w.eventually(text+" in "+file, "grep -q -e "+quote(text)+" "+file+" && cat "+file)
}

// Everything that a machine has to do with mail goes through the package that is installed on it, and all of that goes
// away again.
func TestWholeSystem(t *testing.T) {
	w := wholeSystem(t)
	before := w.sh("dpkg-query -W -f '${Package}\\n' | sort")
	units := []string{"postrider-local.service", "postrider-queuerun.service", "postrider-smtpd.service"}
	for _, unit := range units {
		w.start(unit)
	}
	w.eventually("the server", "test -S /run/postrider/submit && test -S /run/postrider-local.sock")

	t.Run("a user writes to another", func(t *testing.T) {
		w.sh(as("alice", `printf 'Subject: hello\n\ntext\nFrom here\n' | sendmail -t -i bob`))
		box := w.has("/var/mail/bob", "Subject: hello")
		if !strings.Contains(box, "\n>From here\n") || !strings.Contains(box, "From: alice <alice@example.org>\n") && !strings.Contains(box, "From: alice@example.org\n") {
			t.Errorf("%s", box)
		}
		if got := w.sh("stat -c '%U:%G %a' /var/mail/bob"); got != "bob:mail 600\n" && got != "bob:mail 660\n" && got != "bob:bob 600\n" {
			t.Errorf("the mailbox is %s", got)
		}
	})

	t.Run("cron", func(t *testing.T) {
		w.sh(as("alice", `echo '@reboot echo from cron' | crontab -`))
		w.sh("cron")
		if box := w.has("/var/mail/alice", "^from cron"); !strings.Contains(box, "Subject: Cron <alice@mail") {
			t.Errorf("%s", box)
		}
	})

	t.Run("at", func(t *testing.T) {
		w.sh("atd")
		w.sh(as("bob", `echo 'echo from at' | at now`))
		if box := w.has("/var/mail/bob", "^from at"); !strings.Contains(box, "Subject: Output from your job") {
			t.Errorf("%s", box)
		}
	})

	t.Run("vacation", func(t *testing.T) {
		w.sh(as("alice", `printf 'Subject: away\nPrecedence: bulk\n\nI am away.\n' >.vacation.msg; vacation -I
echo '\alice, "|/usr/bin/vacation alice"' >.forward; chmod 600 .forward`))
		w.sh(as("bob", `printf 'To: alice@example.org\nSubject: are you there\n\ntext\n' | sendmail -t`))
		w.has("/var/mail/alice", "Subject: are you there")
		if box := w.has("/var/mail/bob", "^I am away."); !strings.Contains(box, "Subject: away") {
			t.Errorf("%s", box)
		}
	})

	t.Run("procmail", func(t *testing.T) {
		w.sh(as("bob", `printf 'LOGFILE=$HOME/procmail.log\n:0:\n* ^Subject: sort this\nsorted\n' >.procmailrc
echo '"|/usr/bin/procmail"' >.forward; chmod 600 .forward`))
		w.sh(as("alice", `printf 'Subject: sort this\n\ntext\n' | sendmail bob; printf 'Subject: not this\n\ntext\n' | sendmail bob`))
		if box := w.has("/home/bob/sorted", "Subject: sort this"); strings.Contains(box, "not this") {
			t.Errorf("%s", box)
		}
		w.has("/var/mail/bob", "Subject: not this")
		if got := w.sh("stat -c %U /home/bob/sorted"); got != "bob\n" {
			t.Errorf("the folder is %s", got)
		}
	})

	t.Run("nothing runs, and no mail is lost", func(t *testing.T) {
		for _, unit := range units[1:] {
			w.stop(unit)
		}
		w.sh(as("bob", `printf 'Subject: dropped\n\ntext\n' | sendmail alice`))
		if got := w.sh("stat -c '%U:%G %a' /var/spool/postrider/new/*"); got != "bob:postrider 640\n" {
			t.Errorf("dropped: %s", got)
		}
		if got := w.sh("mailq"); !strings.Contains(got, "bob@example.org") || !strings.Contains(got, "alice@example.org") {
			t.Errorf("mailq: %s", got)
		}
		for _, unit := range units[1:] {
			w.start(unit)
		}
		box := w.has("/var/mail/alice", "Subject: dropped")
		if got := w.sh("id -u bob"); !strings.Contains(box, "(postrider, from userid "+strings.TrimSpace(got)+")") {
			t.Errorf("%s", box)
		}
	})

	t.Run("check is content", func(t *testing.T) {
		check := w.sh("postrider check || true")
		for _, line := range append(linesWith(check, "fail: "), linesWith(check, "warn: ")...) {
			if !strings.Contains(line, "name server") && !strings.Contains(line, "resolv.conf") && !strings.Contains(line, "root's mailbox") && !strings.Contains(line, "in DNS") {
				t.Errorf("%s", line)
			}
		}
		if !strings.Contains(check, "ok: privileges: ") {
			t.Errorf("%s", check)
		}
	})

	t.Run("all of it goes away", func(t *testing.T) {
		w.eventually("an empty queue", `test "$(find /var/spool/postrider/new /var/spool/postrider/cur /var/spool/postrider/journal /var/spool/postrider/corrupt -type f | wc -l)" = 0`)
		for _, unit := range units {
			w.stop(unit)
		}
		for _, unit := range units {
			if out := w.sh("cat /var/log/" + unit + ".out"); out != "" {
				t.Logf("%s says:\n%s", unit, out)
			}
		}
		w.sh("dpkg --purge postrider")
		if got, want := w.sh("dpkg-query -W -f '${Package}\\n' | sort"), strings.Replace(before, "postrider\n", "", 1); got != want {
			t.Errorf("packages are %q", got)
		}
		if got := w.sh("find /usr /etc /var -xdev -name '*postrider*' -not -path '/var/cache/*' -not -path '/var/tmp/*' -not -path '/var/log/*' -not -path /var/spool/postrider"); got != "" {
			t.Errorf("left: %s", got)
		}
		if got := w.sh("ls /proc/*/exe -l 2>/dev/null | grep -c postrider || true"); got != "0\n" {
			t.Errorf("%s processes are left", got)
		}
	})
}
