package foreign

import (
	"fmt"
	"strings"
	"testing"
)

func TestM4(t *testing.T) {
	for _, tt := range []struct{ name, in, calls, raw string }{
		{"a call", "define(`A', `b c')dnl", "define[A|b c]1", ""},
		{"quotes are not needed", "FEATURE(x, y z)", "FEATURE[x|y z]1", ""},
		{"quotes nest, and the outermost go", "define(`A', ``b'')", "define[A|`b']1", ""},
		{"a comma in quotes", "F(`a, b')", "F[a, b]1", ""},
		{"parentheses nest", "F(a(b, c), d)", "F[a(b, c)|d]1", ""},
		{"over several lines", "define(`A',\n\t`b\nc')\nF(x)", "define[A|b\nc]1 F[x]4", ""},
		{"dnl in arguments", "define(`A',dnl c)\n`b')", "define[A|b]1", ""},
		{"dnl is a comment", "dnl F(a)\nF(b)dnl F(c)\n", "F[b]2", ""},
		{"a hash is a comment before the macros are there", "# F(a) don't\nF(b)\n", "F[b]2", ""},
		{"a hash is none behind them", "include(`cf.m4')\n# F(a)\n", "F[a]2", "#2"},
		{"what is diverted is not written, and defined all the same", "divert(-1)\nCwa\nF(b)\ndivert(0)dnl\nCwc\n", "F[b]3", "Cwc5"},
		{"lines of sendmail.cf go through", "LOCAL_CONFIG\nDMa.example\nO Timeout.x=1 # y\n", "", "LOCAL_CONFIG1 DMa.example2 O Timeout.x=13"},
		{"an end is missing", "define(`a", "define[a]1", ""},
		{"a quote's end is missing", "F(a", "F[a]1", ""},
	} {
		p := parseM4("f", tt.in)
		var calls, raw []string
		for _, c := range p.calls {
			calls = append(calls, fmt.Sprintf("%s[%s]%d", c.name, strings.Join(c.args, "|"), c.at.Line))
		}
		for _, l := range p.raw {
			raw = append(raw, fmt.Sprintf("%s%d", l.text, l.at.Line))
		}
		if got := strings.Join(calls, " "); got != tt.calls {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.calls)
		}
		if got := strings.Join(raw, " "); got != tt.raw {
			t.Errorf("%s: lines %q, want %q", tt.name, got, tt.raw)
		}
	}
}

func TestSendmailMC(t *testing.T) {
	const port = "DAEMON_OPTIONS(`Port=smtp, Addr=127.0.0.1, Name=MTA')\nFEATURE(`no_default_msa')\n"
	for _, tt := range []struct {
		name, text string
		wants      []string
	}{
		{"a smarthost", "define(`SMART_HOST', `[r.example]')", []string{"smarthost.url=smtp://r.example\n", "!MX"}},
		{"a smarthost with its mailer and port", "define(`SMART_HOST', `relay:[r.example]')\ndefine(`RELAY_MAILER_ARGS', `TCP $h 587')", []string{"smarthost.url=smtp://r.example:587\n"}},
		{"the port of another mailer", "define(`SMART_HOST', `esmtp:r.example')\ndefine(`RELAY_MAILER_ARGS', `TCP $h 587')", []string{"smarthost.url=smtp://r.example\n", "MX"}},
		{"a login in a table", "define(`SMART_HOST', `[smtp.example]')\nFEATURE(`authinfo', `hash -o /etc/mail/authinfo.db')", []string{"smarthost.url=submission://me@smtp.example:25\n", "password=pa ss\n", "left /etc/mail/authinfo:2: a login"}},
		{"a login in the access table", "define(`SMART_HOST', `[x.example]')\nFEATURE(`access_db')", []string{"smarthost.url=submission://you@x.example:25\n", "password=secret\n"}},
		{"a table of logins that is gone", "define(`SMART_HOST', `a')\nFEATURE(`authinfo', `hash /gone')", []string{"left /etc/mail/sendmail.mc:2: /gone cannot be read"}},
		{"masquerading", "MASQUERADE_AS(`a.example')\nMASQUERADE_DOMAIN(`b.example')", []string{"masquerade=a.example", "masquerade_domains=[b.example]", "!origin"}},
		{"the host's name", "define(`confDOMAIN_NAME', `$w.example.net')", []string{"hostname=mail.example.net"}},
		{"a name that is computed", "define(`confDOMAIN_NAME', `$k.net')", []string{"left /etc/mail/sendmail.mc:1: the name of this host"}},
		{"local domains", "LOCAL_DOMAIN(`a.example b.example')\nFEATURE(`use_cw_file')\nMASQUERADE_AS(`m')\nEXPOSED_USER(`root bob')", []string{"domains=[a.example b.example]", "tables.local_host_names=/etc/mail/local-host-names", "masquerade_domains=[a.example b.example c.example]", "exposed_users=[root bob]"}},
		{"nothing but what is named is masqueraded", "LOCAL_DOMAIN(`a.example')\nMASQUERADE_AS(`m')\nFEATURE(`limited_masquerade')", []string{"masquerade=m", "!masquerade_domains"}},
		{"relays", "RELAY_DOMAIN(`a.example 192.168.1')", []string{"relay.domains=[a.example .a.example]", "relay.networks=[127.0.0.0/8 ::1 192.168.1.0/24]"}},
		{"aliases", "define(`ALIAS_FILE', `/etc/mail/aliases,hash:/etc/mail/lists')", []string{"aliases=[/etc/mail/aliases /etc/mail/lists]"}},
		{"size", "define(`confMAX_MESSAGE_SIZE', `20000000')", []string{"message_size_limit=20000000"}},
		{"times", "define(`confTO_QUEUERETURN', `3d')\ndefine(`confTO_QUEUEWARN', `6h')\ndefine(`confMIN_QUEUE_AGE', `10')", []string{"queue.lifetime=3d", "queue.warn_after=6h", "queue.retry_min=10m"}},
		{"privacy", "define(`confPRIVACY_FLAGS', `authwarnings,novrfy,noexpn,restrictqrun')", []string{"smtpd.vrfy=off", "smtpd.expn=off", "!etrn"}},
		{"on this machine alone", port, []string{"listen 127.0.0.1:25 smtp", "!587", "-"}},
		{"users as well, by default", "dnl", []string{"listen :25 smtp", "listen :587 submission"}},
		{"both families", "DAEMON_OPTIONS(`Family=inet, Name=MTA-v4, Port=smtp')\nDAEMON_OPTIONS(`Family=inet6, Port=587, M=Ea')\nFEATURE(`no_default_msa')", []string{"listen 0.0.0.0:25 smtp", "listen [::]:587 submission"}},
		{"TLS", port + "DAEMON_OPTIONS(`Port=smtps, M=s')\ndefine(`confSERVER_CERT', `/c')\ndefine(`confSERVER_KEY', `/k')", []string{"listen 127.0.0.1:25 smtp cert=/c key=/k", "listen :465 submissions cert=/c"}},
		{"TLS without a certificate", port + "DAEMON_OPTIONS(`Port=smtps, M=s')", []string{"left /etc/mail/sendmail.mc:3: port for TLS", "!listen :465"}},
		{"logins to the server", "define(`confAUTH_MECHANISMS', `LOGIN PLAIN')", []string{"left /etc/mail/sendmail.mc:1: logins are checked by Cyrus SASL"}},
		{"DNS lists", "FEATURE(`dnsbl', `zen.example', `\"554 no\"')\nFEATURE(`enhdnsbl', `b.example')", []string{"smtpd.dns_lists=[zen.example b.example]"}},
		{"a greeting that waits", "FEATURE(`greet_pause', `2500')", []string{"smtpd.greeting_delay=3s"}},
		{"classic tables", "FEATURE(`virtusertable', `hash -o /etc/mail/virtusertable.db')\nFEATURE(`mailertable')", []string{"tables.virtusertable=/etc/mail/virtusertable\n", "tables.mailertable=/etc/mail/mailertable\n", "note /etc/mail/domaintable: Sendmail does not use"}},
		{"procmail", "FEATURE(`local_procmail')", []string{"local.mailbox=command:/usr/bin/procmail\n"}},
		{"senders that others see", "FEATURE(`genericstable')\nGENERICS_DOMAIN(`a.example b.example')", []string{"tables.genericstable=/etc/mail/genericstable", "generics_domains: b.example ->"}},
		{"a filter", "INPUT_MAIL_FILTER(`x', `S=local:/x')", []string{"left /etc/mail/sendmail.mc:1: INPUT_MAIL_FILTER"}},
		{"what means nothing", "VERSIONID(`x')\nOSTYPE(`debian')\nundefine(`confHOST_STATUS_DIRECTORY')\nMAILER(`smtp')\ndefine(`confTO_IDENT', `0')\n" + port, []string{"-"}},
		{"what nobody knows", "define(`confMINE', `1')\nFEATURE(`mine')\nMINE(`x')", []string{"left /etc/mail/sendmail.mc:1: confMINE", "left /etc/mail/sendmail.mc:2: FEATURE(mine)", "left /etc/mail/sendmail.mc:3: MINE"}},
		{"rules", "LOCAL_RULESETS\nSLocal_check_rcpt\nR$*\t$: $1\n" + port, []string{"left /etc/mail/sendmail.mc:2: a rule", "left /etc/mail/sendmail.mc:3: a rule"}},
		{"lines of sendmail.cf", "LOCAL_CONFIG\nCwa.example\nDMb.example\nO MaxMessageSize=5\n" + port, []string{"domains=[a.example]", "masquerade=b.example", "message_size_limit=5"}},
	} {
		m := read(t, "/etc/mail/sendmail.mc", tt.text+"\n", "/etc/mail/local-host-names", "# mine\nlocalhost\nc.example # too\n",
			"/etc/mail/authinfo", `AuthInfo:smtp.example "U:root" "I:me" "P:pa ss" "M:PLAIN"`+"\n"+`authinfo:other.example "U:o" "P:o"`+"\n",
			"/etc/mail/access", "Connect:10 RELAY\nAuthInfo:x.example \"U:you\" \"P=c2VjcmV0\"\n", "/etc/mail/virtusertable", "a@b c\n", "/etc/mail/domaintable", "")
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
}

func TestSendmailCF(t *testing.T) {
	const cf = "# comment\nV10/Berkeley\nDSrelay:[r.example]\nDMa.example\nDj$w.example.net\nCwlocalhost b.example\nC{w}c.example\nFw-o /etc/mail/local-host-names %[^\\#]\n" +
		"FR-o /etc/mail/relay-domains\nO AliasFile=/etc/mail/aliases\nO MaxMessageSize=1000000\nO Timeout.queuereturn=4d\nO PrivacyOptions=goaway\n" +
		"O DaemonPortOptions=Name=MTA, Addr=127.0.0.1\nO DaemonPortOptions=Port=587, Name=MSA, M=E\nKaccess hash -T<TMPF> /etc/mail/acc\n" +
		"Mrelay,\t\tP=[IPC], F=mDFMuXa8k, S=EnvFromSMTP/HdrFromSMTP,\n\t\tE=\\r\\n, L=2040,\n\t\tA=TCP $h 2525\nR$*\t\t$: $1\n"
	m := read(t, "/etc/mail/sendmail.cf", cf, "/etc/mail/relay-domains", "d.example\n", "/etc/mail/local-host-names", "e.example\n", "/etc/mail/acc", "AuthInfo: \"I:i\" \"P:p\"\n")
	check(t, m, "smarthost.url=submission://i@r.example:2525\n", "masquerade=a.example", "hostname=mail.example.net", "domains=[b.example c.example]", "tables.local_host_names=/etc/mail/local-host-names",
		"tables.relay_domains=/etc/mail/relay-domains", "aliases=[/etc/mail/aliases]", "message_size_limit=1000000", "queue.lifetime=4d", "smtpd.vrfy=off",
		"listen 127.0.0.1:25 smtp", "listen :587 submission", "smtpd.access=/etc/mail/acc", "the rules are not read", "-")
}
