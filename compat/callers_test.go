package compat

import "testing"

// TestCallers has the command lines that programs in the field run.
func TestCallers(t *testing.T) {
	cron := func(i *Invocation) { i.FullName = "CronDaemon" }
	name := func(s string) ask { return func(i *Invocation) { i.FullName = s } }
	for _, c := range []struct {
		name string
		line string
		want ask
	}{
		{"Debian cron", "/usr/sbin/sendmail -FCronDaemon -i -B8BITMIME -oem root,ops@a.test",
			every(cron, dots, eight, errorMode('m'), rcpts("root,ops@a.test"))},
		{"Vixie cron", "/usr/sbin/sendmail -FCronDaemon -i -odi -oem -or0s root",
			every(cron, dots, delivery(Foreground), errorMode('m'), ignores("-or0s"), rcpts("root"))},
		{"cronie", "/usr/sbin/sendmail -FCronDaemon -i -odi -oem -oi -t -f root",
			every(cron, dots, delivery(Foreground), errorMode('m'), extract, from("root"))},
		{"anacron", "/usr/sbin/sendmail -FAnacron -odi root",
			every(name("Anacron"), delivery(Foreground), rcpts("root"))},
		{"systemd-cron", "sendmail -i -B8BITMIME root", every(dots, eight, rcpts("root"))},
		{"at", "sendmail -i bob", every(dots, rcpts("bob"))},
		{"git send-email", "/usr/sbin/sendmail -f dev@a.test -i list@b.test c@b.test",
			every(from("dev@a.test"), dots, rcpts("list@b.test", "c@b.test"))},
		{"PHP mail()", "/usr/sbin/sendmail -t -i", every(extract, dots)},
		{"PHP mail() with a sender", "/usr/sbin/sendmail -t -i -f user@dom.test", every(extract, dots, from("user@dom.test"))},
		{"PHP mail() with it attached", "/usr/sbin/sendmail -t -i -fuser@dom.test", every(extract, dots, from("user@dom.test"))},
		{"PHPMailer", "/usr/sbin/sendmail -oi -fuser@dom.test -t", every(dots, from("user@dom.test"), extract)},
		{"PHPMailer without a sender", "/usr/sbin/sendmail -oi -t", every(dots, extract)},
		{"Symfony, SMTP", "/usr/sbin/sendmail -bs", mode(SMTP)},
		{"Symfony, -t", "/usr/sbin/sendmail -t -i -fuser@dom.test", every(extract, dots, from("user@dom.test"))},
		{"Symfony with Bcc", "/usr/sbin/sendmail -i -fuser@dom.test -- a@b.test c@b.test",
			every(dots, from("user@dom.test"), rcpts("a@b.test", "c@b.test"))},
		{"Python", "/usr/sbin/sendmail -t -oi", every(extract, dots)},
		{"Mailman 2", "/usr/sbin/sendmail -f list-bounces@a.test b@c.test", every(from("list-bounces@a.test"), rcpts("b@c.test"))},
		{"apt-listchanges", "/usr/sbin/sendmail -oi -t", every(dots, extract)},
		{"Perl Email::Sender", "sendmail -i -f a@b.test -- c@d.test e@f.test",
			every(dots, from("a@b.test"), rcpts("c@d.test", "e@f.test"))},
		{"Perl MIME::Lite", "/usr/lib/sendmail -t -oi -oem -fa@b.test", every(extract, dots, errorMode('m'), from("a@b.test"))},
		{"Perl Mail::Mailer", "sendmail -t", extract},
		{"Ruby mail", "/usr/sbin/sendmail -i -f 'a@b.test' -- 'c@d.test'", every(dots, from("a@b.test"), rcpts("c@d.test"))},
		{"nodemailer", "sendmail -i -f a@b.test c@d.test", every(dots, from("a@b.test"), rcpts("c@d.test"))},
		{"mutt", "/usr/sbin/sendmail -oem -oi -B8BITMIME -f a@b.test -N failure,delay -R hdrs -- c@d.test",
			every(errorMode('m'), dots, eight, from("a@b.test"), notify("FAILURE,DELAY"), ret("HDRS"), rcpts("c@d.test"))},
		{"s-nail", "sendmail -i -m -v -F 'Bob B.' -f a@b.test -- c@d.test",
			every(dots, ignores("-m"), verbose, delivery(Foreground), name("Bob B."), from("a@b.test"), rcpts("c@d.test"))},
		{"bsd-mailx", "sendmail -i -t -f a@b.test -m -v",
			every(dots, extract, from("a@b.test"), ignores("-m"), verbose, delivery(Foreground))},
		{"mailutils", "sendmail -oi -f a@b.test -t", every(dots, from("a@b.test"), extract)},
		{"alpine", "/usr/sbin/sendmail -bs -odb -oem", every(mode(SMTP), errorMode('m'))},
		{"emacs, interactive", "sendmail -oi -f a@b.test -oep -odi -t -N failure",
			every(dots, from("a@b.test"), delivery(Foreground), extract, notify("FAILURE"))},
		{"emacs", "sendmail -oi -oem -odb -t", every(dots, errorMode('m'), extract)},
		{"sudo, mdadm, logwatch, monit", "/usr/sbin/sendmail -t", extract},
		{"smartd examples", "sendmail root", rcpts("root")},
		{"cron-apt", "sendmail -t -oi", every(extract, dots)},
		{"reportbug", "/usr/sbin/sendmail -i -t", every(dots, extract)},
		{"popularity-contest", "sendmail -oi -f a@b.test survey@c.test", every(dots, from("a@b.test"), rcpts("survey@c.test"))},
		{"fail2ban", "sendmail -f 'fail2ban bot' 'root@a.test'", every(from("fail2ban bot"), rcpts("root@a.test"))},
		{"Gitea", "sendmail -f a@b.test -i -- c@d.test", every(from("a@b.test"), dots, rcpts("c@d.test"))},
		{"Sympa", "sendmail -oi -odi -oem -N success,delay,failure -V abc@list -f '' -- a@b.test c@d.test",
			every(dots, delivery(Foreground), errorMode('m'), notify("SUCCESS,FAILURE,DELAY"), envID("abc@list"), from(""), rcpts("a@b.test", "c@d.test"))},
		{"Majordomo", "/usr/lib/sendmail -oi -oee -fowner-list@a.test list", every(dots, errorMode('e'), from("owner-list@a.test"), rcpts("list"))},
		{"RT", "sendmail -oi -t -f a@b.test", every(dots, extract, from("a@b.test"))},
		{"RT, a bounce", "sendmail -oi -t -f '<>'", every(dots, extract, from(""))},
		{"procmail", "/usr/sbin/sendmail -oi bob@a.test", every(dots, rcpts("bob@a.test"))},
		{"maildrop", "/usr/sbin/sendmail -oi -f 'a@b.test' c@d.test", every(dots, from("a@b.test"), rcpts("c@d.test"))},
		{"fetchmail", "/usr/sbin/sendmail -i -f a@b.test -- bob", every(dots, from("a@b.test"), rcpts("bob"))},
		{"fetchmail, a bounce", "/usr/sbin/sendmail -i -f <> -- bob", every(dots, from(""), rcpts("bob"))},
		{"fetchmail, older", "/usr/sbin/sendmail -oem -f '' bob", every(errorMode('m'), from(""), rcpts("bob"))},
		{"vacation", "sendmail -f<> -oi bob@a.test", every(from(""), dots, rcpts("bob@a.test"))},
		{"rmail's", "sendmail -G -oee -odi -oi -pUUCP:host -fhost!bob <-x@a.test>",
			every(func(i *Invocation) { i.Gateway = true }, errorMode('e'), delivery(Foreground), dots, via("UUCP", "host"), from("host!bob"), rcpts("<-x@a.test>"))},
		{"acme.sh", "sendmail -f a@b.test c@d.test", every(from("a@b.test"), rcpts("c@d.test"))},
	} {
		check(t, c.name, c.line, c.want)
	}
}
