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

// A password stands where it belongs and nowhere else.
func TestPasswordsAreNotRepeated(t *testing.T) {
	for _, files := range [][]string{
		{"/etc/postfix/main.cf", "relayhost=a.example\nsmtp_sasl_auth_enable=yes\nsmtp_sasl_password_maps=texthash:/p\n", "/p", "a.example me:s3cret\nb.example you:s3cret\n"},
		{"/etc/postfix/main.cf", "relayhost=a.example\nsmtp_sasl_auth_enable=yes\nsmtp_sasl_password_maps=static:me:s3cret\n"},
		{"/etc/postfix/main.cf", "smtp_sasl_auth_enable=yes\nsmtp_sasl_password_maps=inline:{{a=me:s3cret}\nx\n"},
		{"/etc/mail/sendmail.mc", "define(`SMART_HOST',`a.example')\nFEATURE(`authinfo')\n", "/etc/mail/authinfo", `AuthInfo:a.example "U:me" "P:s3cret"` + "\n" + `AuthInfo:b "P:s3cret"`},
		{"/etc/exim4/update-exim4.conf.conf", "dc_eximconfig_configtype=smarthost\ndc_smarthost=a.example\n", "/etc/exim4/passwd.client", "a.example:me:s3cret\ns3cret\nb:me:s3cret\n"},
		{"/etc/ssmtp/ssmtp.conf", "mailhub=a.example\nAuthUser=me\nAuthPass=s3cret\ns3cret\n"},
		{"/etc/msmtprc", "host a.example\nauth on\nuser me\npassword s3cret\n"},
		{"/etc/dma/dma.conf", "SMARTHOST a.example\nAUTHPATH /etc/dma/auth.conf\n", "/etc/dma/auth.conf", "me|a.example:s3cret\nb|s3cret\nc|d:s3cret"},
		{"/etc/nullmailer/remotes", "a.example smtp --user=me --pass=s3cret\nb.example smtp --pass=s3cret\n"},
	} {
		m := read(t, files...)
		m.Password = ""
		if got := describe(m); strings.Contains(got, "s3cret") {
			t.Errorf("%s:\n%s", m.System, got)
		}
	}
}
