package foreign

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMainCFExpansion(t *testing.T) {
	cf := parseMainCF("main.cf", "a = 1\nempty =\nb = <$a>\nloop = $loop\nhosts = x $empty y\n", &Import{})
	for _, tt := range []struct{ in, want string }{
		{"plain", "plain"}, {"$a", "1"}, {"${a}", "1"}, {"$(a)", "1"}, {"$b$b", "<1><1>"}, {"$a.$a", "1.1"}, {"$$a", "$a"}, {"$nothing", ""},
		{"${a?yes}", "yes"}, {"${empty?yes}", ""}, {"${empty:no}", "no"}, {"${a:no}", ""}, {"${a?{yes}:{no}}", "yes"}, {"${empty?{yes}:{no}}", "no"},
		{"${a?<$b>}", "<<1>>"}, {"$hosts", "x  y"},
		{"$", "!"}, {"${a", "!"}, {"${{a} == {b} ? {c} : {d}}", "!"}, {"$loop", "!"}, {"$-", "!"}, {"${a!b}", "!"},
	} {
		got, err := cf.expand(tt.in)
		if err != nil {
			got = "!"
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

// Values that hold others twice grow until they are cut off.
func TestMainCFExpansionEnds(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0 = x\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "a%d = $a%d$a%d\n", i, i-1, i-1)
	}
	start := time.Now()
	m := read(t, "/etc/postfix/main.cf", b.String()+"myhostname = $a29\n")
	check(t, m, "left /etc/postfix/main.cf:31: myhostname: the value expands without end")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestPostfixSettings(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"the last of two holds", "myhostname = a.example\nmyhostname = b.example", "hostname=b.example"},
		{"a value goes on in the next lines", "mydestination = a.example,\n# c\n  b.example", "domains=[a.example b.example]"},
		{"a line without a value", "myhostname", "left /etc/postfix/main.cf:1: not a line of the form name = value"},
		{"the origin is in a file", "myorigin = /etc/mailname", "origin=example.net"},
		{"without an origin it is the host", "myhostname = a.example", "origin=a.example"},
		{"what is local anyway is not repeated", "mydestination = $myhostname, localhost.$mydomain, localhost", "domains=[localhost.example.org]"},
		{"a table of domains", "mydestination = texthash:/etc/postfix/map", "domains=[k.example *]"},
		{"a file of domains", "mydestination = /etc/postfix/list", "domains=[l.example m.example]"},
		{"an exception among domains", "mydestination = !a.example, b.example", "left /etc/postfix/main.cf:1: mydestination: !a.example"},
		{"a machine without local mail", "mydestination =", "note /etc/postfix/main.cf:1: mail for the name of this host is delivered here"},
		{"networks", "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128 10.0.0.0/8", "relay.networks=[127.0.0.0/8 ::1/128 10.0.0.0/8]"},
		{"an exception among networks", "mynetworks = 127.0.0.1 !10.0.0.1", "left /etc/postfix/main.cf:1: mynetworks: !10.0.0.1"},
		{"a style of networks", "mynetworks_style = subnet", "left /etc/postfix/main.cf:1: mynetworks_style = subnet"},
		{"relay domains have those below them", "relay_domains = a.example", "relay.domains=[a.example .a.example]"},
		{"relay domains alone", "relay_domains = a.example\nparent_domain_matches_subdomains =", "relay.domains=[a.example]"},
		{"aliases are text", "alias_maps = hash:/etc/aliases, lmdb:/etc/postfix/map", "aliases=[/etc/aliases /etc/postfix/map]"},
		{"aliases that are no file", "alias_maps = nis:mail.aliases", "left /etc/postfix/main.cf:1: alias_maps: a table of type nis"},
		{"aliases without text", "alias_maps = hash:/gone", "left /etc/postfix/main.cf:1: alias_maps: there is no text file of hash:/gone"},
		{"size", "message_size_limit = 0", "message_size_limit=0"},
		{"a size that is none", "message_size_limit = big", "left /etc/postfix/main.cf:1: message_size_limit"},
		{"lifetime is in days", "maximal_queue_lifetime = 3", "queue.lifetime=3d"},
		{"warnings are in hours", "delay_warning_time = 4", "queue.warn_after=4h"},
		{"no warnings", "delay_warning_time = 0h", "queue.warn_after=0s"},
		{"a Maildir", "home_mailbox = Maildir/", "local.mailbox=maildir:{home}/Maildir"},
		{"a file at home", "home_mailbox = mbox", "local.mailbox=mbox:{home}/mbox"},
		{"mailboxes in one directory", "mail_spool_directory = /var/spool/mail", "local.mailbox=mbox:/var/spool/mail/{user}"},
		{"Dovecot's LMTP", "mailbox_transport = lmtp:unix:private/dovecot-lmtp", "local.mailbox=lmtp+unix:/var/spool/postfix/private/dovecot-lmtp"},
		{"procmail", "mailbox_command = /usr/bin/procmail -a \"$EXTENSION\" -t", "local.mailbox=command:/usr/bin/procmail -t\n"},
		{"a program that is told addresses", "mailbox_command = /x/lda -f \"$SENDER\" -d $USER", "local.mailbox=command:/x/lda -f {sender} -d {user}\n"},
		{"a command of the shell", "mailbox_command = procmail | cat", "left /etc/postfix/main.cf:1: mailbox_command: it needs a shell"},
		{"a variable of its own", "mailbox_command = /x $SHELL", "left /etc/postfix/main.cf:1: mailbox_command: $SHELL is not known"},
		{"subdomains are hidden", "masquerade_domains = a.example\nmasquerade_exceptions = root", "masquerade=a.example\nmasquerade_domains=[.a.example]\nexposed_users=[root]\n"},
		{"several domains are hidden", "masquerade_domains = a.example, b.example", "left /etc/postfix/main.cf:1: masquerade_domains"},
		{"another transport", "mailbox_transport = cyrus", "left /etc/postfix/main.cf:1: mailbox_transport = cyrus"},
		{"another delimiter", "recipient_delimiter = -", "left /etc/postfix/main.cf:1: recipient_delimiter"},
		{"a DNS list", "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, reject_rbl_client zen.example=127.0.0.[2..9]", "smtpd.dns_lists=[zen.example=127.0.0.[2..9]]"},
		{"the name of a client", "smtpd_client_restrictions = reject_unknown_client_hostname", "smtpd.reverse_name=match"},
		{"the strictest of two holds", "smtpd_helo_restrictions = reject_unknown_helo_hostname reject_invalid_helo_hostname", "smtpd.helo=known"},
		{"a policy service", "smtpd_recipient_restrictions = check_policy_service unix:private/spf, permit", "left /etc/postfix/main.cf:1: smtpd_recipient_restrictions: check_policy_service unix:private/spf"},
		{"a rate", "smtpd_client_message_rate_limit = 50", "smtpd.client_messages=50"},
		{"a rate of an hour", "anvil_rate_time_unit = 1h\nsmtpd_client_message_rate_limit = 50", "left /etc/postfix/main.cf:1: smtpd_client_message_rate_limit"},
		{"VRFY", "disable_vrfy_command = yes", "smtpd.vrfy=off"},
		{"what is known to be missing", "smtpd_milters = inet:localhost:8891", "left /etc/postfix/main.cf:1: smtpd_milters: there are no mail filters"},
		{"what is missing but off", "header_checks =", "!left"},
		{"what means nothing", "biff = no\nsmtp_tls_session_cache_database = btree:${data_directory}/s\nsmtp_helo_timeout = 3s", "!left"},
		{"what nobody knows", "my_own = 1", "left /etc/postfix/main.cf:1: my_own: there is no such setting here"},
		{"what is only there for others", "my_own = a.example\nmyhostname = $my_own", "!left"},
		{"an expression", "myhostname = ${{a} == {b} ? {c} : {d}}", "left /etc/postfix/main.cf:1: myhostname: the value holds an expression"},
		{"virtual aliases", "virtual_alias_maps = hash:/etc/postfix/virtual", "virtusertable: info@v.example -> virtual-3 ("},
		{"a virtual alias of several is a list", "virtual_alias_maps = hash:/etc/postfix/virtual\nmyorigin = /etc/mailname", "aliases: virtual-3 -> alice@example.net, bob@example.net ("},
		{"names here stay names", "virtual_alias_maps = hash:/etc/postfix/virtual\nmyorigin = $myhostname", "aliases: virtual-3 -> alice, bob ("},
		{"a virtual alias of one", "virtual_alias_maps = inline:{{a@v.example=b@w.example}, v.example=x}", "virtusertable: a@v.example -> b@w.example ("},
		{"a virtual alias of a bare name is an alias", "virtual_alias_maps = inline:{{root=b@w.example}}", "aliases: root -> b@w.example ("},
		{"a virtual alias of a command", "virtual_alias_maps = inline:{{root=|x}}", "left /etc/postfix/main.cf:1: the virtual alias root"},
		{"a whole domain", "virtual_alias_maps = hash:/etc/postfix/virtual", "virtusertable: @w.example -> %1%3@v.example ("},
		{"transports", "transport_maps = hash:/etc/postfix/transport", "mailertable: t.example -> smtp:[relay.example]:2525 ("},
		{"a transport of all", "transport_maps = hash:/etc/postfix/transport", "mailertable: . -> smtp:[all.example] ("},
		{"a transport that there is not", "transport_maps = hash:/etc/postfix/transport", "left /etc/postfix/transport:2: the transport of u.example: there is none like uucp:host"},
		{"outgoing addresses", "smtp_generic_maps = inline:{ {root@mail.example.org = admin@example.com}, bob=bob@example.com }", "genericstable: bob -> bob@example.com ("},
	} {
		m := read(t, "/etc/postfix/main.cf", tt.text+"\n", "/etc/postfix/master.cf", "", "/etc/mailname", "example.net\n", "/etc/aliases", "",
			"/etc/postfix/map", "k.example x\n* y\n", "/etc/postfix/list", "# c\nl.example, m.example\n",
			"/etc/postfix/virtual", "v.example anything\nw.example anything\ninfo@v.example alice,\n  bob\n@w.example @v.example\n",
			"/etc/postfix/transport", "t.example smtp:[relay.example]:2525\nu.example uucp:host\n* relay:[all.example]\n")
		if got := describe(m); strings.Contains(got, strings.TrimPrefix(tt.want, "!")) == strings.HasPrefix(tt.want, "!") {
			t.Errorf("%s: want %q of\n%s", tt.name, tt.want, got)
		}
	}
}

func TestPostfixSmarthost(t *testing.T) {
	const auth = "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = lmdb:/etc/postfix/sasl\n"
	for _, tt := range []struct {
		name, text string
		wants      []string
	}{
		{"a host", "relayhost = [r.example]", []string{"smarthost.url=smtp://r.example", "!MX"}},
		{"a domain", "relayhost = r.example", []string{"smarthost.url=smtp://r.example", "MX"}},
		{"a port", "relayhost = [r.example]:2525", []string{"smarthost.url=smtp://r.example:2525", "!password"}},
		{"an address of IPv6", "relayhost = [2001:db8::1]:2525", []string{"smarthost.url=smtp://[2001:db8::1]:2525"}},
		{"two hosts", "relayhost = [r.example], [s.example]", []string{"smarthost.url=smtp://r.example", "left /etc/postfix/main.cf:1: relayhost: only the first of 2"}},
		{"a login", "relayhost = [smtp.example]:587\nsmtp_tls_security_level = encrypt\n" + auth,
			[]string{"smarthost.url=submission://me%2Fyou@smtp.example\n", "password=pa:ss word\n", "left /etc/postfix/sasl:2: a login"}},
		{"a login whose host has no port in the table", "relayhost = [plain.example]:587\nsmtp_tls_security_level = secure\n" + auth, []string{"submission://p@plain.example\n", "!verified"}},
		{"a login without TLS asks for TLS", "relayhost = [plain.example]\n" + auth, []string{"smarthost.url=submission://p@plain.example:25\n", "over TLS only"}},
		{"a login at this machine", "relayhost = [127.0.0.1]:11125\n" + auth, []string{"smarthost.url=smtp://l@127.0.0.1:11125\n", "!over TLS only"}},
		{"no login is for the host", "relayhost = [r.example]\n" + auth, []string{"left /etc/postfix/main.cf:3: smtp_sasl_password_maps: none of the logins"}},
		{"logins are off", "relayhost = [plain.example]\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl", []string{"smarthost.url=smtp://plain.example\n"}},
		{"the table is gone", "relayhost = [r.example]\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/gone", []string{"left /etc/postfix/main.cf:3: smtp_sasl_password_maps: the text file of hash:/gone cannot be read"}},
		{"a table of another kind", "relayhost = [r.example]\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = mysql:/x", []string{"left /etc/postfix/main.cf:3: smtp_sasl_password_maps: a table of type mysql cannot be read"}},
		{"logins of senders", "relayhost = [r.example]:587\nsmtp_tls_security_level = secure\nsmtp_sender_dependent_authentication = yes\n" + auth, []string{"smarthosts: a@b.example -> submission://x@r.example (y)"}},
		{"logins of senders that do not count", "relayhost = [r.example]\n" + auth, []string{"left /etc/postfix/sasl:5: the login of a sender, which"}},
		{"TLS from the beginning", "relayhost = [r.example]:465\nsmtp_tls_wrappermode = yes", []string{"smarthost.url=submissions://r.example\n"}},
		{"TLS for any certificate", "relayhost = [r.example]:587\nsmtp_tls_security_level = encrypt", []string{"submission://r.example\n", "certificate is verified here"}},
		{"the old words", "relayhost = [r.example]:587\nsmtp_enforce_tls = yes", []string{"submission://r.example\n"}},
		{"a policy of the host", "relayhost = [r.example]:587\nsmtp_tls_policy_maps = hash:/etc/postfix/tls", []string{"submission://r.example\n", "left /etc/postfix/tls:2: the TLS policy of other.example"}},
		{"a fingerprint", "relayhost = [r.example]\nsmtp_tls_security_level = fingerprint\nsmtp_tls_fingerprint_digest = sha256", []string{"submission://r.example:25\n", "left /etc/postfix/main.cf:2: TLS of level fingerprint"}},
		{"TLS for all hosts", "smtp_tls_security_level = encrypt", []string{"left /etc/postfix/main.cf:1: TLS cannot be demanded of all hosts", "!smarthost.url"}},
		{"smarthosts of senders", "sender_dependent_relayhost_maps = hash:/etc/postfix/senders", []string{"smarthosts: a@b.example -> smtp://x.example ()"}},
		{"smarthosts of senders with their logins", "sender_dependent_relayhost_maps = hash:/etc/postfix/senders\n" + auth, []string{"smarthosts: @c.example -> submission://p@plain.example (p)", "!left /etc/postfix/sasl:3"}},
	} {
		m := read(t, "/etc/postfix/main.cf", tt.text+"\n", "/etc/postfix/master.cf", "", "/etc/postfix/sasl",
			"[smtp.example]:587 me/you:pa:ss word\nother.example o:o\nplain.example p:p\n[127.0.0.1]:11125 l:l\na@b.example x:y\n",
			"/etc/postfix/tls", "[r.example]:587 verify\nother.example none\n", "/etc/postfix/senders", "a@b.example [x.example]\n@c.example [plain.example]:587\n")
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
}

func TestPostfixServices(t *testing.T) {
	const tls = "smtpd_tls_cert_file = /c.pem\nsmtpd_tls_key_file = /k.pem\nsmtpd_tls_security_level = may\n"
	const sasl = "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n"
	const smtp = "smtp inet n - y - - smtpd\n"
	for _, tt := range []struct {
		name, main, master string
		wants              []string
	}{
		{"everywhere", "", smtp, []string{"listen :25 smtp cert= key= dovecot=\n", "-"}},
		{"on this machine", "inet_interfaces = loopback-only", smtp, []string{"listen 127.0.0.1:25 smtp", "listen [::1]:25 smtp"}},
		{"on this machine by IPv4", "inet_interfaces = loopback-only\ninet_protocols = ipv4", smtp, []string{"listen 127.0.0.1:25 smtp", "!::1"}},
		{"by IPv4", "inet_protocols = ipv4", smtp, []string{"listen 0.0.0.0:25 smtp"}},
		{"at some addresses", "inet_interfaces = 192.0.2.1, [2001:db8::1]", smtp, []string{"listen 192.0.2.1:25", "listen [2001:db8::1]:25"}},
		{"nowhere", "", "#" + smtp + "pickup unix n - y 60 1 pickup\n", []string{"!listen "}},
		{"with TLS", tls, smtp, []string{"listen :25 smtp cert=/c.pem key=/k.pem"}},
		{"TLS is off", strings.Replace(tls, "may", "none", 1), smtp, []string{"listen :25 smtp cert= key="}},
		{"one file of key and certificates", "smtpd_tls_chain_files = /both.pem\nsmtpd_tls_security_level = may", smtp, []string{"cert=/both.pem key=/both.pem"}},
		{"users", tls + sasl, "submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n",
			[]string{"listen :587 submission cert=/c.pem key=/k.pem dovecot=/var/spool/postfix/private/auth", "note", "Dovecot", "-"}},
		{"users with TLS from the beginning", tls + sasl, "smtps inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes\n  -o { smtpd_sasl_auth_enable = yes }\n", []string{"listen :465 submissions cert=/c.pem"}},
		{"another port of users", tls + sasl, "2587 inet n - y - - smtpd -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n", []string{"listen :2587 submission", "left /etc/postfix/master.cf:1: nobody can log in"}},
		{"Cyrus", "smtpd_sasl_auth_enable = yes", smtp, []string{"left /etc/postfix/master.cf:1: logins are checked by Cyrus SASL"}},
		{"an address of its own", "", "127.0.0.1:10025 inet n - n - - smtpd -o content_filter=\n", []string{"listen 127.0.0.1:10025 smtp"}},
		{"a filter", "content_filter = smtp-amavis:[127.0.0.1]:10024", smtp, []string{"left /etc/postfix/master.cf:1: content_filter = smtp-amavis"}},
		{"a setting of one service", "", "smtp inet n - y - - smtpd -o smtpd_milters=x -o syslog_name=a\n", []string{"left /etc/postfix/master.cf:1: -o smtpd_milters", "!syslog_name"}},
		{"postscreen", "", "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n", []string{"listen :25 smtp", "left /etc/postfix/master.cf:1: postscreen"}},
	} {
		m := read(t, "/etc/postfix/main.cf", tt.main+"\nmessage_size_limit=0\ndelay_warning_time=0\n", "/etc/postfix/master.cf", tt.master)
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
	m := read(t, "/etc/postfix/main.cf", "")
	check(t, m, "listen :25 smtp", "left /etc/postfix/master.cf: cannot be read")
}

// A line of virtusertable makes mail for its domain taken from anybody: only domains for which Postfix takes it may get one.
func TestPostfixVirtualIsNoOpenRelay(t *testing.T) {
	const maps = "virtual_alias_maps = hash:/v\n"
	for _, tt := range []struct {
		name, main, aliases string
		wants               []string
	}{
		{"an address of somebody else's", maps, "friend@gmail.example root@us.example\n", []string{"left /v:1: the virtual alias friend@gmail.example: Postfix takes no mail", "!virtusertable:"}},
		{"a list for an address of somebody else's", maps, "friend@gmail.example a, b\n", []string{"left /v:1", "!virtual-1"}},
		{"a domain of somebody else's", maps, "@w.example @z.example\n", []string{"left /v:1: the virtual alias @w.example", "!virtusertable:"}},
		{"a domain that is a key", maps, "V.example x\na@v.example b\n@v.example @z.example\n", []string{"virtusertable: a@v.example -> b (", "virtusertable: @v.example -> %1%3@z.example (", "-"}},
		{"below a domain that is a key", maps, "v.example x\n.v.example x\na@b.v.example b\n", []string{"left /v:3", "!virtusertable:"}},
		{"a domain that is listed", maps + "virtual_alias_domains = v.example\n", "a@V.example b\na@w.example b\n", []string{"virtusertable: a@V.example -> b (", "left /v:2", "!virtusertable: a@w"}},
		{"with a list keys are none", maps + "virtual_alias_domains = v.example\n", "w.example x\na@w.example b\n", []string{"left /v:2", "!virtusertable:"}},
		{"an empty list", maps + "virtual_alias_domains =\n", "w.example x\na@w.example b\n", []string{"left /v:2", "!virtusertable:"}},
		{"a list in a table", maps + "virtual_alias_domains = hash:/d\n", "a@d.example b\na@w.example b\n", []string{"virtusertable: a@d.example -> b (", "left /v:2"}},
		{"the maps and a list", maps + "virtual_alias_domains = $virtual_alias_maps, l.example\n", "v.example x\na@v.example b\na@l.example b\n", []string{"virtusertable: a@v.example", "virtusertable: a@l.example", "-"}},
		{"an exception in a list", maps + "virtual_alias_domains = !d.example, hash:/d\n", "a@d.example b\na@e.example b\n", []string{"left /v:1", "virtusertable: a@e.example -> b ("}},
		{"an exception that is a file", maps + "virtual_alias_domains = !/d, v.example\n", "a@v.example b\n", []string{"left /v:1", "!virtusertable:"}},
		{"a list that cannot be read", maps + "virtual_alias_domains = mysql:/d\n", "v.example x\na@v.example b\n", []string{"left /v:2", "left /etc/postfix/main.cf:2: virtual_alias_domains", "!virtusertable:"}},
		{"a local domain", maps + "mydestination = l.example\n", "a@l.example b\n", []string{"virtusertable: a@l.example -> b (", "-"}},
		{"this host", maps, "a@mail.example.org b\n", []string{"virtusertable: a@mail.example.org -> b (", "-"}},
		{"a domain of mailboxes", maps + "virtual_mailbox_domains = m.example\n", "a@m.example b\n", []string{"virtusertable: a@m.example -> b (", "left /etc/postfix/main.cf:2: virtual_mailbox_domains"}},
		{"a relay domain", maps + "relay_domains = r.example\n", "a@r.example b\nc@r.example b\n", []string{"virtusertable: a@r.example -> b (", "note /v:1: mail for addresses in r.example", "!note /v:2", "-"}},
		{"below a relay domain", maps + "relay_domains = !x.r.example, r.example\n", "a@b.r.example b\na@x.r.example b\na@y.x.r.example b\n", []string{"virtusertable: a@b.r.example -> b (", "left /v:2", "left /v:3"}},
		{"below a relay domain that stands for itself alone", maps + "relay_domains = r.example\nparent_domain_matches_subdomains =\n", "a@b.r.example b\n", []string{"left /v:1", "!virtusertable:"}},
		{"a star in a table is no domain", maps + "relay_domains = static:x\n", "a@b.example b\n* x\n", []string{"left /v:1", "!virtusertable:"}},
		{"the old name of the maps", "virtual_maps = hash:/v\n", "v.example x\na@v.example b\na@w.example b\n", []string{"virtusertable: a@v.example", "left /v:3"}},
	} {
		m := read(t, "/etc/postfix/main.cf", tt.main, "/etc/postfix/master.cf", "", "/v", tt.aliases, "/d", "d.example x\ne.example x\n")
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
}
