package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"postrider/internal/status"
)

func TestErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		// keys
		{"\nspol = 1", `:2: unknown key "spol" (nearest known: "spool")`},
		{"Hostname = 1", `:1: unknown key "Hostname" (nearest known: "hostname")`},
		{"# c\n\n[quue]\nretry_min = \"5m\"", `:3: unknown key "quue" (nearest known: "queue")`},
		{"[queue]\nretry_min = \"5m\"\n retry_maxx = 1", `:3: unknown key "queue.retry_maxx" (nearest known: "queue.retry_max")`},
		{"retry_min = \"5m\"", `:1: unknown key "retry_min" (nearest known: "queue.retry_min")`},
		{"\n[[listen]]\naddress=\":25\"\n[[listen]]\naddress=\":26\"\nmodus='smtp'", `:6: unknown key "listen.modus" (nearest known: "listen.mode")`},
		{"\n[[listen]]\naddress=':25'\nmodus='a'\n[[listen]]\naddress=':26'\nmodus='smtp'", `:4: unknown key "listen.modus"`},
		{"[[listen]]\naddress=':25'\ntls = {cert='/c', key='/k'}", `:3: unknown key "listen.tls.cert" (nearest known: "listen.tls.key")`},
		{"[[listen]]\naddress=':25'\n[listen.tls]\n\ncertificat='/c'", `:5: unknown key "listen.tls.certificat" (nearest known: "listen.tls.certificate")`},
		{"x = 1\ny = 2", `:1: unknown key "x"`},
		{strings.Repeat("k", 1000) + "=1", `:1: unknown key "kkkk`},
		{"\"\\n\\u202e\" = 1", `:1: unknown key "\\x0A\\xE2\\x80\\xAE"`},
		{"a = \"\"\"\n\n\"\"\"\nb = 1\nspool = 1", `:1: unknown key "a"`},
		// types
		{"\n\nspool = 1", `:3: spool = 1: must be a string`},
		{"spool = true", `:1: spool = true: must be a string`},
		{"domains = 'a'", `:1: domains = "a": must be a list of strings such as ["a", "b"]`},
		{"domains = [1]", `:1: domains = 1: must be a list of strings`},
		{"hop_limit = 'a'", `:1: hop_limit = "a": must be a whole number`},
		{"hop_limit = 1.5", `:1: hop_limit = 1.5: must be a whole number`},
		{"queue = 1", `:1: queue = 1: must be a table, begun by [queue]`},
		{"[[queue]]", `:1: queue = [...]: must be a table, begun by [queue]`},
		{"[listen]", `:1: listen = {...}: must be tables, each begun by [[listen]]`},
		{"listen = 1", `:1: listen = 1: must be tables, each begun by [[listen]]`},
		{"listen = [1]", `:1: listen = [...]: must be tables, each begun by [[listen]]`},
		// values
		{"hop_limit = 0", `:1: hop_limit = 0: must be between 1 and 1000`},
		{"message_size_limit = -1", `:1: message_size_limit = -1: must be a size`},
		{"message_size_limit = '50mib'", `:1: message_size_limit = "50mib": unknown unit "mib"; must be a size such as 52428800 or "50MiB" (KiB MiB GiB KB MB GB)`},
		{"message_size_limit = '9999999999GiB'", `:1: message_size_limit = "9999999999GiB": too large; must be a size`},
		{"message_size_limit = ''", `:1: message_size_limit = "": a number is missing; must be a size`},
		{"message_size_limit = []", `:1: message_size_limit = [...]: must be a size`},
		{"[queue]\nretry_min = 300", `:2: queue.retry_min = 300: must be a duration in quotes such as "5m" or "1h30m" (s m h d w)`},
		{"[queue]\nretry_min = '5 minutes'", `:2: queue.retry_min = "5 minutes": unknown unit " minutes"; must be a duration`},
		{"[queue]\nretry_min = ''", `:2: queue.retry_min = "": a number is missing; must be a duration`},
		{"[queue]\nretry_min = '0'", `:2: queue.retry_min = "0s": must be at least "1s"`},
		{"[queue]\nlifetime = '99999999999w'", `:2: queue.lifetime = "99999999999w": too large`},
		{"[queue]\nlifetime = '15000w15000w'", `:2: queue.lifetime = "15000w15000w": too large`},
		{"[queue]\nretry_min = '5h'", `:2: queue.retry_min = "5h": must be at most retry_max ("4h")`},
		{"[queue]\nretry_max = '1m'", `:2: queue.retry_max = "1m": must be at least retry_min ("5m")`},
		{"[queue]\nconcurrency = 0", `:2: queue.concurrency = 0: must be between 1 and 1000`},
		{"[smtpd]\nrecipients = 99", `:2: smtpd.recipients = 99: must be between 100 and 100000`},
		{"[smtpd]\ntimeout = '0'", `:2: smtpd.timeout = "0s": must be between "1s" and "1h"`},
		{"[smtpd]\nvrfy = 'on'", `:2: smtpd.vrfy = "on": must be one of all, trusted, off`},
		{"[smtpd]\nask_next_hop = 1", `:2: smtpd.ask_next_hop = 1: must be true or false`},
		{"[smtpd]\ndns_lists = ['a.example*x']", `:2: smtpd.dns_lists = "a.example*x": must be a zone such as`},
		{"[smtpd]\ndns_lists = ['a.example=192.0.2.1']", `:2: smtpd.dns_lists = "a.example=192.0.2.1": must be a zone such as`},
		{"[smtpd]\ndns_lists = ['a.example=127.0.0.[9..2]']", `:2: smtpd.dns_lists = "a.example=127.0.0.[9..2]": must be a zone`},
		{"[smtpd]\nxclient = ['example.org']", `:2: smtpd.xclient = "example.org": must be an address or a network`},
		{"[[listen]]\naddress=':25'\nmode='lmtp'", `:3: listen.mode = "lmtp": may not be at port 25`},
		{"[[listen]]\naddress=':2525'\nmode='local'", `:3: listen.mode = "local": needs the path of a Unix socket`},
		{"[[listen]]\naddress=':25'\ntls={client_ca='/ca'}", `:3: listen.tls = {...}: has client_ca, so it must have certificate and key`},
		{"[[listen]]\naddress=':25'\nauth={introspection='http://idp.example/'}", `:3: listen.auth.introspection = "http://idp.example/": must be a URL that begins with "https://"`},
		{"[[listen]]\naddress=':25'\nauth={introspection='https://a/', token_key='/k'}", `:3: listen.auth = {...}: must have introspection or token_key`},
		{"[[listen]]\naddress=':25'\nauth={introspection='http://127.0.0.1.example/'}", `:3: listen.auth.introspection = "http://127.0.0.1.example/": must be`},
		{"[[listen]]\naddress=':25'\nauth={token_key='/k'}", `:3: listen.auth = {...}: has token_key, so it must have token_issuer and token_audience`},
		{"[relay]\ndomains = ['..a']", `:2: relay.domains = "..a": must be a domain name such as "example.org", or ".example.org" for all below it`},
		{"mailq_format = 'exim'", `:1: mailq_format = "exim": must be one of sendmail, postfix`},
		{"hostname = 'a b'", `:1: hostname = "a b": must be a domain name`},
		{"origin = '192.0.2.1'", `:1: origin = "192.0.2.1": must be a domain name`},
		{"domains = ['ok', '']", `:1: domains = "": must be a domain name`},
		{"spool = 'var/spool'", `:1: spool = "var/spool": must be an absolute path`},
		{"spool = '/./'", `:1: spool = "/./": must be a directory of its own`},
		{"spool = \"/a\\nb\"", `:1: spool = "/a\x0Ab": must be an absolute path`},
		{"log = 'file'", `:1: log = "file": must be "syslog", "stderr", "json", "/path" or "json:/path"`},
		{"[relay]\nnetworks = ['192.0.2.0/33']", `:2: relay.networks = "192.0.2.0/33": must be an address or a network`},
		{"[relay]\nnetworks = ['::ffff:10.0.0.0/8']", `:2: relay.networks = "::ffff:10.0.0.0/8": must have a length of 96 or more, or be written as IPv4`},
		{"[local]\nmailbox = 'mh:/x'", `:2: local.mailbox = "mh:/x": must be "mbox:/path"`},
		{"[local]\nmailbox = 'mbox:mail/{user}'", `:2: local.mailbox = "mbox:mail/{user}": must be`},
		{"[local]\nmailbox = 'mbox:/mail/{name}'", `:2: local.mailbox = "mbox:/mail/{name}": must be`},
		{"[local]\nmailbox = 'lmtp+unix:/run/{user}'", `:2: local.mailbox = "lmtp+unix:/run/{user}": must be`},
		{"[local]\nmailbox = 'command:procmail -d {user}'", `:2: local.mailbox = "command:procmail -d {user}": must name a program by its path`},
		{"[local]\nmailbox = 'command:/bin/{user}'", `:2: local.mailbox = "command:/bin/{user}": must name a program`},
		{"[local]\nmailbox = 'command:/bin/lda {sender}'", `:2: local.mailbox = "command:/bin/lda {sender}": must have {sender} and {recipient} as arguments of their own`},
		{"[local]\nmailbox = 'command:/bin/lda -a{recipient}'", `:2: local.mailbox = "command:/bin/lda -a{recipient}": must have`},
		{"[local]\nmailbox = 'command:/bin/lda -d {name}'", `:2: local.mailbox = "command:/bin/lda -d {name}": may have {user}, {home}`},
		{"[local]\ndefault_user = 'root'", `:2: local.default_user = "root": must not be root`},
		{"[local]\ndefault_user = '00'", `:2: local.default_user = "00": must not be root`},
		{"[local]\nconcurrency = 0", `:2: local.concurrency = 0: must be between 1 and 1000`},
		{"[local]\ncommand_time_limit = '0'", `:2: local.command_time_limit = "0s": must be between "1s"`},
		{"[local]\nroot = 'a@b, c@d'", `:2: local.root = "a@b, c@d": must be one address`},
		// smarthost
		{"[smarthost]\nurl = 'http://h'", `:2: smarthost.url = "http://h": must be scheme://user@host:port, with a scheme of smtp, submission, submissions, lmtp, lmtp+unix`},
		{"[smarthost]\nurl = 'smtp.example.com:587'", `:2: smarthost.url = "smtp.example.com:587": must be scheme://`},
		{"[smarthost]\nurl = 'submission://u:secret@h'", `:2: smarthost.url = "submission://u:***@h": must not hold a password; put it into password_file`},
		{"[smarthost]\nurl = 'submission://u@h'", `:2: smarthost.url = "submission://u@h": names a user, so password_file or password_command must be set`},
		{"[smarthost]\nurl = 'smtp://h'\npassword_file = '/p'", `:2: smarthost.url = "smtp://h": has a password but names no user`},
		{"[smarthost]\npassword_command = 'a'\npassword_file = '/p'", `:2: smarthost.password_command = "a": password_file is set as well`},
		{"[smarthost]\nurl = 'lmtp+unix:x'", `:2: smarthost.url = "lmtp+unix:x": must be lmtp+unix:/path`},
		// listen
		{"[[listen]]\nmode = 'smtp'", `:1: listen.address = "": must be set`},
		{"[[listen]]\naddress = '25'", `:2: listen.address = "25": must be "host:port"`},
		{"[[listen]]\naddress = ':0'", `:2: listen.address = ":0": must be`},
		{"[[listen]]\naddress = ':25'\nmode = 'smtps'", `:3: listen.mode = "smtps": must be one of smtp, submission, submissions, lmtp`},
		{"[[listen]]\naddress = ':465'\nmode = 'submissions'", `:3: listen.mode = "submissions": needs tls`},
		{"[[listen]]\naddress = ':25'\ntls = {key = '/k'}", `:3: listen.tls = {...}: must have both certificate and key`},
		{"[[listen]]\naddress = ':25'\nauth = {file = '/f', dovecot = '/d'}", `:3: listen.auth = {...}: must have file or dovecot, not both`},
		// TOML
		{"\nhostname mail", `:2: = is missing before "mail"`},
		{"\nhostname = mail", `:2: `},
		{"hostname = 'a", `:1: a string has no end`},
		{"hostname = \"\"\"a\nb", `:2: a string has no end`},
		{"spool = '/a'\nspool = '/b'", `:2: `},
		{"[queue\n", `:1: ] is missing before ""`},
		{"[[listen]\n", `:1: ]] is missing before "]"`},
		{"spool = '/a' '/b'", `:1: `},
		{"= 1", `:1: a key is missing before "= 1"`},
		{"spool = \"\\q\"", `:1: `},
		{"\x00", `:1: `},
		{"a.b.c.d.e.f.g.h.i = 1", `:1: a key of more than 8 parts`},
		{"a = " + strings.Repeat("[", 100000), `:1: more than 1000 keys, or a value nested deeper than 8`},
		{"a = {" + strings.Repeat("b.", 100000) + "c = 1}", `:1: more than 1000 keys, or a value nested deeper than 8`},
		{strings.Repeat("a = 1\n", 1001), `:1001: more than 1000 keys`},
		{strings.Repeat("[[listen]]\n", 1001), `:1001: more than 1000 keys`},
	} {
		start := time.Now()
		c, err := loadText(t, tt.text)
		var s *status.Status
		if !errors.As(err, &s) || s.Exit() != status.ExitConfig {
			t.Errorf("%.80q: %v, %+v", tt.text, err, c)
			continue
		}
		_, where, _ := strings.Cut(err.Error(), "postrider.toml")
		if !strings.HasPrefix(where, tt.want) || !strings.HasPrefix(err.Error(), "local configuration error: /") {
			t.Errorf("%.80q:\n got %s\nwant %s", tt.text, where, tt.want)
		}
		if strings.Contains(err.Error(), "secret") || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%.80q: %v", tt.text, err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%.80q took %v", tt.text, took)
		}
	}
}

func TestLargeFilesAreLinear(t *testing.T) {
	fill := func(prefix, unit, suffix string) string {
		return prefix + strings.Repeat(unit, (maxFile-len(prefix)-len(suffix))/len(unit)) + suffix
	}
	for _, text := range []string{
		fill("", "#\n", ""), fill("", "#", ""), fill("domains = [", "'a',", "]"), fill("domains = [", "\n", "]"), fill(`spool = "`, `\n`, `"`),
		fill("spool = '/", "x", "'"), fill("spool = \"\"\"\n", "\n", `"""`), fill("", "k", " = 1"), fill("spool = ", "1", ""), fill("", "\r\n", ""),
		fill("domains = [", "{},", "]"), fill("", " ", ""), fill("hop_limit = ", "1_", "1"), fill("\"", "\\u0041", "\" = 1"),
	} {
		start := time.Now()
		_, err := loadText(t, text)
		if took := time.Since(start); took > time.Minute { // 0.2 s on an idle machine; minutes if it were quadratic
			t.Errorf("%.30q (%v) took %v", text, err, took)
		}
	}
}
