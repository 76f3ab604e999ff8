package foreign

import (
	"strings"
	"testing"
)

func TestEximList(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"127.0.0.1 ; ::1", "127.0.0.1|:1"}, {"127.0.0.1 ; ::::1", "127.0.0.1|::1"}, {"a.example:b.example", "a.example|b.example"}, {"smtp.example::587", "smtp.example:587"},
		{"<; ::::1", "::1"}, {"", ""}, {" ; a ;", "a"}, {"[2001::0db8::1]::587", "[2001:0db8:1]:587"},
	} {
		if got := strings.Join(eximList(tt.in), "|"); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestExim(t *testing.T) {
	const host = "dc_eximconfig_configtype='smarthost'\ndc_smarthost='smtp.example::587'\n"
	for _, tt := range []struct {
		name, text string
		wants      []string
	}{
		{"a smarthost with its login", host, []string{"smarthost.url=submission://me@smtp.example\n", "password=pa:ss\n", "left /etc/exim4/passwd.client:3: a login"}},
		{"a smarthost without a port", strings.Replace(host, "::587", "", 1), []string{"smarthost.url=submission://me@smtp.example:25\n"}},
		{"two smarthosts", "dc_eximconfig_configtype='satellite'\ndc_smarthost='a.example;b.example'\n", []string{"smarthost.url=smtp://a.example\n", "left /etc/exim4/update-exim4.conf.conf:2: dc_smarthost: only the first of 2"}},
		{"an internet site has none", "dc_eximconfig_configtype='internet'\ndc_smarthost='a.example'\n", []string{"!smarthost.url", "-"}},
		{"local mail alone", "dc_eximconfig_configtype='local'\n", []string{"left", "mail for other domains is sent"}},
		{"the name in front", "dc_eximconfig_configtype='satellite'\ndc_smarthost='a'\ndc_readhost='v.example'\ndc_hide_mailname='true'\ndc_other_hostnames='v.example;w.example'\n", []string{"origin=v.example", "domains=[w.example]", "!masquerade"}},
		{"the name in front of a smarthost", host + "dc_readhost='v.example'\ndc_hide_mailname='true'\ndc_other_hostnames='w.example'\n", []string{"origin=example.net", "masquerade=v.example", "masquerade_domains=[w.example]", "exposed_users=[]"}},
		{"the name of the machine", host, []string{"origin=example.net"}},
		{"local domains", host + "dc_other_hostnames='a.example; b.example'\n", []string{"domains=[a.example b.example]"}},
		{"a pattern of domains", host + "dc_other_hostnames='*.a.example'\n", []string{"left /etc/exim4/update-exim4.conf.conf:3: dc_other_hostnames"}},
		{"relays", host + "dc_relay_domains='r.example;*.s.example'\ndc_relay_nets='192.168.0.0/24'\n", []string{"relay.domains=[r.example .s.example]", "relay.networks=[127.0.0.0/8 ::1 192.168.0.0/24]"}},
		{"this machine", host + "dc_local_interfaces='127.0.0.1 ; ::::1 ; 192.0.2.1.2525'\n", []string{"listen 127.0.0.1:25 smtp", "listen [::1]:25 smtp", "listen 192.0.2.1:2525 smtp"}},
		{"everywhere", host, []string{"listen :25 smtp cert=/etc/exim4/exim.crt key=/k.pem"}},
		{"a Maildir", host + "dc_localdelivery='maildir_home'\n", []string{"local.mailbox=maildir:{home}/Maildir"}},
		{"another delivery", host + "dc_localdelivery='dovecot'\n", []string{"left /etc/exim4/update-exim4.conf.conf:3: dc_localdelivery"}},
		{"size", host, []string{"message_size_limit=20971520"}},
		{"outgoing addresses", host, []string{"genericstable: alice -> a@example.com"}},
		{"what means nothing", host + "dc_minimaldns='false'\nCFILEMODE='644'\ndc_use_split_config='false'\nOWN='x'\n", []string{"left /etc/exim4/update-exim4.conf.conf:6: OWN", "left /etc/exim4/exim4.conf.localmacros:4: MINE", "!minimaldns"}},
	} {
		m := read(t, "/etc/exim4/update-exim4.conf.conf", tt.text, "/etc/mailname", "example.net\n", "/etc/email-addresses", "alice: a@example.com\n",
			"/etc/exim4/passwd.client", "# c\nsmtp.example:me:pa:ss\nother.example:o:o\n",
			"/etc/exim4/exim4.conf.localmacros", "MAIN_TLS_ENABLE = true\nMAIN_TLS_PRIVATEKEY = /k.pem\nMESSAGE_SIZE_LIMIT = 20M\nMINE = 1\n")
		t.Run(tt.name, func(t *testing.T) {
			for i, want := range tt.wants {
				if want == "-" { // of the macros nothing but MINE
					tt.wants[i] = "!left /etc/exim4/update"
				}
			}
			check(t, m, tt.wants...)
		})
	}
	m := read(t, "/etc/exim4/update-exim4.conf.conf", host, "/etc/exim4/exim4.conf", "x")
	check(t, m, "left /etc/exim4/exim4.conf: Exim uses this file")
}

func TestSSMTP(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		wants      []string
	}{
		{"TLS from the beginning", "MailHub=smtp.example:465\nUseTLS=YES\nAuthUser=me\nAuthPass=p\n", []string{"smarthost.url=submissions://me@smtp.example\n", "password=p\n"}},
		{"STARTTLS", "mailhub=smtp.example:587\nUseTLS=Yes\nUseSTARTTLS=Yes\n", []string{"smarthost.url=submission://smtp.example\n"}},
		{"no TLS", "mailhub=smtp.example\n", []string{"smarthost.url=smtp://smtp.example\n"}},
		{"a password is missing", "mailhub=smtp.example\nAuthUser=me\n", []string{"left /etc/ssmtp/ssmtp.conf:2: the password is not known"}},
		{"the default", "root=postmaster\n", []string{"smarthost.url=smtp://mail\n", "local.root=postmaster"}},
		{"names", "hostname=h.example\nrewriteDomain=d.example\nFromLineOverride=YES\nmailhub=x", []string{"hostname=h.example", "origin=d.example", "!FromLine"}},
		{"outgoing addresses", "mailhub=x", []string{"genericstable: root -> admin@example.com", "left /etc/ssmtp/revaliases:2: the mailhub of bob"}},
		{"what nobody knows", "mailhub=x\nFoo=1\n", []string{"left /etc/ssmtp/ssmtp.conf:2: a key"}},
	} {
		m := read(t, "/etc/ssmtp/ssmtp.conf", tt.text, "/etc/ssmtp/revaliases", "root:admin@example.com\nbob:b@example.com:other:25\n")
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
}

func TestMSMTP(t *testing.T) {
	const work = "account work\nhost smtp.work.example\nport 587\ntls on\nauth on\nuser me@work.example\npasswordeval \"pass show work\"\nfrom me@work.example\n"
	for _, tt := range []struct {
		name, text string
		wants      []string
	}{
		{"one account", work, []string{"smarthost.url=submission://me@work.example@smtp.work.example\n", "smarthost.password_command=pass show work", "origin=work.example", "-"}},
		{"the default is another", work + "account home\nhost a.example\naccount default : home\n", []string{"smarthost.url=smtp://a.example\n", "left /etc/msmtprc:1: another account", "!:9: another account"}},
		{"defaults hold for all", "defaults\ntls on\ntls_starttls off\n" + "account default\nhost a.example\n", []string{"smarthost.url=submissions://a.example\n"}},
		{"no account has a name", "host a.example\nport 25\n", []string{"smarthost.url=smtp://a.example\n"}},
		{"none is the default", "account a\nhost a\naccount b\nhost b\n", []string{"left /etc/msmtprc: there is no account named default", "!smarthost"}},
		{"any certificate", "host a.example\ntls on\ntls_certcheck off\n", []string{"submission://a.example:25\n", "certificate is verified here"}},
		{"a password", "host a.example\ntls on\nauth plain\nuser u\npassword \"x y\"\n", []string{"password=x y\n"}},
		{"a login that is off", "host a.example\nauth off\nuser u\n", []string{"smarthost.url=smtp://a.example\n"}},
		{"a password of a keyring", "host a.example\nauth on\nuser u\n", []string{"left /etc/msmtprc:3: the password is not known"}},
		{"files and names", "host a.example\naliases /etc/aliases\ndomain h.example\nlogfile ~/.msmtp.log\n", []string{"aliases=[/etc/aliases]", "hostname=h.example", "-"}},
		{"a proxy", "host a.example\nproxy_host 127.0.0.1\nmine 1\n", []string{"left /etc/msmtprc:2: proxy_host", "left /etc/msmtprc:3: a key"}},
	} {
		m := read(t, "/etc/msmtprc", tt.text)
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
}

func TestDMA(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		wants      []string
	}{
		{"STARTTLS with a login", "SMARTHOST smtp.example\nPORT 587\nSECURETRANSFER\nSTARTTLS\nAUTHPATH /etc/dma/auth.conf\n", []string{"smarthost.url=submission://me@smtp.example\n", "password=pa|s:s\n", "left /etc/dma/auth.conf:2: a login"}},
		{"TLS from the beginning", "SMARTHOST smtp.example\nPORT 465\nSECURETRANS\n", []string{"smarthost.url=submissions://smtp.example\n"}},
		{"TLS when it is offered", "SMARTHOST smtp.example\nSECURETRANSFER\nSTARTTLS\nOPPORTUNISTIC_TLS\n", []string{"smarthost.url=smtp://smtp.example\n"}},
		{"no smarthost", "#SMARTHOST x\nMAILNAME /etc/mailname\n", []string{"!smarthost", "hostname=example.net", "origin=example.net"}},
		{"a name", "MAILNAME a.example\nALIASES /etc/mail/aliases\n", []string{"origin=a.example", "aliases=[/etc/mail/aliases]", "-"}},
		{"masquerading", "MASQUERADE a.example\n", []string{"masquerade=a.example\n", "exposed_users=[]", "-"}},
		{"masquerading of the user", "MASQUERADE me@a.example\n", []string{"masquerade=a.example\n", "left /etc/dma/dma.conf:1: MASQUERADE"}},
		{"logins that cannot be read", "SMARTHOST a\nAUTHPATH /gone\n", []string{"left /etc/dma/dma.conf:2: AUTHPATH"}},
		{"what is missing", "NULLCLIENT\nFINGERPRINT abc\nMINE\n", []string{"left /etc/dma/dma.conf:1: NULLCLIENT", "left /etc/dma/dma.conf:2: FINGERPRINT", "left /etc/dma/dma.conf:3: MINE"}},
	} {
		m := read(t, "/etc/dma/dma.conf", tt.text, "/etc/mailname", "example.net\n", "/etc/dma/auth.conf", "me|smtp.example:pa|s:s\no|other.example:o\n")
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
}

func TestNullmailer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		wants []string
	}{
		{"a login", []string{"remotes", "smtp.example smtp --port=587 --starttls --user=me --pass='my pass'\n"}, []string{"smarthost.url=submission://me@smtp.example\n", "password=my pass\n", "-"}},
		{"options without dashes", []string{"remotes", "smtp.example smtp port=587 starttls\n"}, []string{"smarthost.url=submission://smtp.example\n"}},
		{"a login behind blanks", []string{"remotes", "smtp.example smtp --port 587 --starttls --user me --pass secret\n"}, []string{"smarthost.url=submission://me@smtp.example\n", "password=secret\n", "-"}},
		{"TLS from the beginning", []string{"remotes", "smtp.example smtp --ssl --insecure\n"}, []string{"smarthost.url=submissions://smtp.example\n", "certificate is verified here"}},
		{"two remotes", []string{"remotes", "a.example\nb.example\n"}, []string{"smarthost.url=smtp://a.example\n", "left /etc/nullmailer/remotes:2: only the first"}},
		{"another protocol", []string{"remotes", "a.example qmqp\n"}, []string{"left /etc/nullmailer/remotes:1: an option or a protocol"}},
		{"an option that there is not", []string{"remotes", "a.example smtp --source=1.2.3.4\n"}, []string{"left /etc/nullmailer/remotes:1: an option or a protocol"}},
		{"names", []string{"remotes", "a\n", "me", "host\n", "defaultdomain", "d.example\n", "defaulthost", "o\n"}, []string{"hostname=host.d.example", "origin=o.d.example"}},
		{"root's mail", []string{"remotes", "a\n", "adminaddr", "admin@a.example, b@c\n"}, []string{"local.root=admin@a.example\n", "note /etc/nullmailer/adminaddr:1"}},
		{"times", []string{"remotes", "a\n", "pausetime", "300\n", "maxpause", "7200\n", "queuelifetime", "604800\n"}, []string{"queue.retry_min=5m", "queue.retry_max=2h", "queue.lifetime=7d"}},
		{"what is missing", []string{"remotes", "a\n", "allmailfrom", "x\n"}, []string{"left /etc/nullmailer/allmailfrom:1"}},
	} {
		for i := 0; i < len(tt.files); i += 2 {
			tt.files[i] = "/etc/nullmailer/" + tt.files[i]
		}
		m := read(t, tt.files...)
		t.Run(tt.name, func(t *testing.T) { check(t, m, tt.wants...) })
	}
}
