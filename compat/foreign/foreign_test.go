package foreign

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// tree makes a file system of names and texts in turn.
func tree(files ...string) fstest.MapFS {
	fsys := fstest.MapFS{"etc/hostname": {Data: []byte("mail.example.org\n")}}
	for i := 0; i+1 < len(files); i += 2 {
		fsys[strings.TrimPrefix(files[i], "/")] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return fsys
}

// read reads the configuration that is there.
func read(t *testing.T, files ...string) *Import {
	t.Helper()
	m, err := Read(Source{FS: tree(files...), Home: "/home/alice"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// describe is what an import has, in words that a test can look for.
func describe(m *Import) string {
	var b strings.Builder
	for _, s := range m.Settings {
		fmt.Fprintf(&b, "%s=%v\n", s.Key, s.Value)
	}
	for _, l := range m.Listen {
		fmt.Fprintf(&b, "listen %s %s cert=%s key=%s dovecot=%s\n", l.Address, l.Mode, l.Certificate, l.Key, l.Dovecot)
	}
	for _, table := range m.Tables {
		for _, e := range table.Entries {
			fmt.Fprintf(&b, "%s: %s -> %s (%s)\n", table.Kind, e.Key, e.Value, e.Secret)
		}
	}
	if m.NeedsPassword {
		fmt.Fprintf(&b, "password=%s\n", m.Password)
	}
	for _, n := range m.Notes {
		word := "note"
		if n.Left {
			word = "left"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", word, n.From, n.Text)
	}
	return b.String()
}

// check compares an import with what it must have, each want in some line of its description; "!" begins what no line may
// have, "-" alone says that nothing is left out.
func check(t *testing.T, m *Import, wants ...string) {
	t.Helper()
	got := describe(m)
	for _, want := range wants {
		not, refused := strings.CutPrefix(want, "!")
		switch {
		case want == "-" && m.Left() > 0, refused && strings.Contains(got, not), want != "-" && !refused && !strings.Contains(got, want):
			t.Errorf("want %q of\n%s", want, got)
		}
	}
}

func TestDetect(t *testing.T) {
	const main = "myhostname = a.example.org\n"
	for _, tt := range []struct {
		name   string
		files  []string
		src    Source
		system string
		err    error
	}{
		{"one system is found", []string{"/etc/postfix/main.cf", main}, Source{}, "postfix", nil},
		{"two are too many", []string{"/etc/postfix/main.cf", main, "/etc/dma/dma.conf", ""}, Source{}, "", ErrAmbiguous},
		{"of two one is named", []string{"/etc/postfix/main.cf", main, "/etc/dma/dma.conf", ""}, Source{From: "dma"}, "dma", nil},
		{"none is there", nil, Source{}, "", ErrNone},
		{"the one named is not there", []string{"/etc/postfix/main.cf", main}, Source{From: "exim"}, "", ErrNone},
		{"a file is known by its name", []string{"/old/main.cf", main}, Source{Path: "/old/main.cf"}, "postfix", nil},
		{"a file of any name is what it is said to be", []string{"/old/x", main}, Source{Path: "/old/x", From: "postfix"}, "postfix", nil},
		{"a file of any name is nothing else", []string{"/old/x", main}, Source{Path: "/old/x"}, "", ErrNone},
		{"a directory is known by its files", []string{"/old/main.cf", main}, Source{Path: "/old"}, "postfix", nil},
		{"a user's own configuration counts", []string{"/home/alice/.msmtprc", "host a.example\n"}, Source{Home: "/home/alice"}, "msmtp", nil},
		{"the source of sendmail.cf comes first", []string{"/etc/mail/sendmail.mc", "", "/etc/mail/sendmail.cf", ""}, Source{}, "sendmail", nil},
		{"a sendmail.mc of any name", []string{"/old/site.mc", ""}, Source{Path: "/old/site.mc"}, "sendmail", nil},
		{"a directory is no file", []string{"/etc/postfix/main.cf/x", ""}, Source{}, "", errors.ErrUnsupported},
		{"a file is too large", []string{"/etc/postfix/main.cf", strings.Repeat("#\n", maxConfig)}, Source{}, "", errors.ErrUnsupported},
	} {
		tt.src.FS = tree(tt.files...)
		m, err := Read(tt.src)
		switch {
		case tt.err == errors.ErrUnsupported && err != nil: // any error
		case !errors.Is(err, tt.err), err == nil && m.System != tt.system:
			t.Errorf("%s: %v, %v", tt.name, m, err)
		}
	}
}

func TestNetwork(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"192.0.2.1", "192.0.2.1"}, {"192.0.2.77/24", "192.0.2.0/24"}, {"[2001:db8::1]", "2001:db8::1"}, {"[2001:db8::]/32", "2001:db8::/32"},
		{"[::ffff:127.0.0.0]/104", "127.0.0.0/8"}, {"10", "10.0.0.0/8"}, {"192.168.1", "192.168.1.0/24"}, {"IPv6:2001:db8::1", "2001:db8::1"},
		{"", ""}, {"!192.0.2.1", ""}, {"192.0.2.1/33", ""}, {"example.org", ""}, {"::ffff:0.0.0.0/8", ""}, {"1.2.3.4/-1", ""}, {"fe80::1%eth0", ""},
	} {
		if got, _ := parseNetwork(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"5d", "5d"}, {"0", "0s"}, {"300", "5m"}, {"1h30m", "90m"}, {"2w", "14d"}, {"90s", "90s"}, {"1D", "1d"},
		{"", "?"}, {"x", "?"}, {"5y", "?"}, {"-1", "?"}, {"99999999999999d", "?"}, {"9223372036s9223372036s", "?"},
	} {
		got := "?"
		if d, ok := parseDuration(tt.in, time.Second); ok {
			got = formatDuration(d)
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestCutPort(t *testing.T) {
	for _, tt := range []struct{ in, host, port string }{
		{"a.example", "a.example", ""}, {"a.example:587", "a.example", "587"}, {"[a.example]:submission", "a.example", "587"}, {"[a.example]", "a.example", ""},
		{"[IPv6:2001:db8::1]:25", "2001:db8::1", "25"}, {"2001:db8::1", "2001:db8::1", ""}, {"", "", ""}, {"[", "", ""},
	} {
		if host, port := cutPort(tt.in); host != tt.host || port != tt.port {
			t.Errorf("%q: %q %q", tt.in, host, port)
		}
	}
}

func TestLines(t *testing.T) {
	got := fmt.Sprint(lines("f", "a = 1\n# c\n  2\n\n\t3\nb\n #x\n\nc", true))
	if want := "[{a = 1 2 3 {f 1}} {b {f 6}} {c {f 9}}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A password stands where it belongs and nowhere else, whatever is wrong with the line that it is in.
func TestPasswordsAreNotRepeated(t *testing.T) {
	const sasl = "relayhost=[a.example]:587\nsmtp_sasl_auth_enable=yes\nsmtp_sender_dependent_authentication=yes\nsmtp_sasl_password_maps="
	const authinfo = "define(`SMART_HOST',`a.example')\nFEATURE(`authinfo')\n"
	const exim = "dc_eximconfig_configtype=smarthost\ndc_smarthost=a.example\n"
	for _, row := range []struct {
		files []string // the last is one of passwords, which has each of the lines in turn
		lines []string
	}{
		{[]string{"/etc/postfix/main.cf", sasl + "texthash:/p\n", "/p"}, []string{"a.example me:s3cret", "b.example you:s3cret", "a.example s3cret", "a.example me s3cret",
			"a.example me s3cret:x", "a.example :s3cret", "[a.example]:587:u:s3cret", "a.example:me:s3cret", "s3cret", "s3cret x:y", "x@y:s3cret x:y", "x@y:s3cret", "x@y s3cret", "[a.example]:587 s3cret", "[a.example]:587 me s3cret"}},
		{[]string{"/etc/postfix/main.cf"}, []string{sasl + "static:me:s3cret", sasl + "static:s3cret", sasl + "s3cret", sasl + "me:s3cret", sasl + "s3cret:x", sasl + "hash:/gone, me s3cret",
			sasl + "inline:{{a=me:s3cret}\nx", sasl + "inline:{s3cret}", sasl + "inline:{a.example=s3cret}", sasl + "inline:{{a.example=me s3cret}}", "smtp_sasl_password=s3cret", "smtp_sasl_password_maps s3cret",
			"relayhost = [a.example]:me:s3cret", "relayhost = me:s3cret@a.example", "relayhost = a.example:25:me:s3cret"}},
		{[]string{"/etc/mail/sendmail.mc", authinfo, "/etc/mail/authinfo"}, []string{`AuthInfo:a.example "U:me" "P:s3cret"`, `AuthInfo:b "P:s3cret"`, `AuthInfo:a.example"U:me""P:s3cret"`,
			`AuthInfo:s3cret`, `AuthInfo:a.example s3cret`, `AuthInfo:a.example "s3cret"`, `AuthInfo:a.example "P:s3cret"`, `AuthInfo:a.example "U:me s3cret"`, `AuthInfo:a.example "U:me:s3cret" "P:x"`, `AuthInfo:a.example "U:me" "P=s3cret"`, `s3cret`}},
		{[]string{"/etc/exim4/update-exim4.conf.conf", exim, "/etc/exim4/passwd.client"}, []string{"a.example:me:s3cret", "s3cret", "b:me:s3cret", "a.example me s3cret", "s3cret:a:b", "a.example:me s3cret:x", "a.example me:s3cret"}},
		{[]string{"/etc/exim4/update-exim4.conf.conf", exim, "/etc/exim4/exim4.conf.localmacros"}, []string{"PASSWORD = s3cret", "PASSWORD s3cret"}},
		{[]string{"/etc/ssmtp/ssmtp.conf"}, []string{"mailhub=a\nAuthUser=me\nAuthPass=s3cret", "s3cret", "AuthPass s3cret", "AuthPass:s3cret=x", "mailhub=a\nAuthUser=me s3cret", "mailhub=a\nAuthUser=me:s3cret", "mailhub=me:s3cret@a", "Pass=s3cret"}},
		{[]string{"/etc/msmtprc"}, []string{"host a\nauth on\nuser me\npassword s3cret", "password=s3cret", "host a\npassword:s3cret x", "s3cret x", "host a\nauth on\nuser me s3cret", "host a\nauth on\nuser me:s3cret\npassword x",
			"host a\nport s3cret", "account a\nhost a\naccount s3cret\nhost b\naccount default : a", "host a\nauth s3cret\nuser u", "host a\npasswd s3cret"}},
		{[]string{"/etc/dma/dma.conf", "SMARTHOST a.example\nAUTHPATH /etc/dma/auth.conf\n", "/etc/dma/auth.conf"}, []string{"me|a.example:s3cret", "b|s3cret", "c|d:s3cret", "s3cret", "me|s3cret:x", "me s3cret|a.example:x", "me:a.example:s3cret"}},
		{[]string{"/etc/dma/dma.conf"}, []string{"SMARTHOST a.example\nPASSWORD=s3cret", "AUTHPASS s3cret", "PASSWORD:s3cret"}},
		{[]string{"/etc/nullmailer/remotes"}, []string{"a.example smtp --user=me --pass=s3cret", "x\nb.example smtp --pass=s3cret", "a.example smtp --user me --pass s3cret", "a.example smtp user=me pass s3cret", "a.example s3cret",
			"a.example smtp --password=s3cret", "a.example smtp --password s3cret", "a.example smtp --user 'me s3cret'", "a.example --user=me:s3cret --pass=x", "a.example --s3cret", "a.example --port=s3cret", "a.example:me:s3cret", "a.example smtp --user --pass s3cret"}},
	} {
		for _, line := range row.lines {
			m := read(t, append(append([]string(nil), row.files...), line+"\n")...)
			m.Password = ""
			for _, table := range m.Tables {
				for i := range table.Entries {
					table.Entries[i].Secret = ""
				}
			}
			if got := describe(m); strings.Contains(strings.ToLower(got), "s3cret") {
				t.Errorf("%s, %q:\n%s", m.System, line, got)
			}
		}
	}
}
