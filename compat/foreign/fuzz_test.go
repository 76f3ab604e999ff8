package foreign

import (
	"strings"
	"testing"
	"time"
)

// FuzzRead reads any text as the main file of each system, with the same text in the files that it may name. Every place
// must be in a file, and nothing may take long.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"a = $b\nb = ${a?{x}:{y}}\nmyhostname = $(a)\n", "relayhost = [a]:587\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/t\n",
		"smtp inet n - y - - smtpd\n  -o { a = b } -o smtpd_tls_wrappermode=yes\n", "mydestination = inline:{{a=b}, c=d}, /t, hash:/t\n",
		"define(`SMART_HOST', `relay:[a]')dnl\nFEATURE(`authinfo', `hash /t')\nLOCAL_DOMAIN(`a b')\n", "DSa\nCwb\nFw-o /t\nO DaemonPortOptions=Port=x, M=s\nMrelay, A=TCP $h 1\n",
		"AuthInfo:a \"U:u\" \"P=!!\"\n", "dc_smarthost='a::1;b'\ndc_eximconfig_configtype=smarthost\n", "mailhub=a:1\nAuthUser=u\n", "account a : b,c\nhost x\naccount default : a\n",
		"SMARTHOST a\nAUTHPATH /t\n", "a smtp --user='x y' --pass=\\'\n", "u|h:p\n", "h:u:p\n", "{", "${", "`", "(", "[", "a=[", "[]:",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fsys := tree("/t", text, "/etc/mailname", text, "/etc/mail/access", text, "/etc/mail/local-host-names", text)
		for _, s := range systems {
			file := s.files[len(s.files)-1]
			for _, name := range []string{file, "/etc/postfix/master.cf", "/etc/exim4/passwd.client", "/etc/exim4/exim4.conf.localmacros", "/etc/ssmtp/revaliases"} {
				fsys[name[1:]] = tree("/x", text)["x"]
			}
			start := time.Now()
			m, err := s.read(Tree{fsys}, file)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s took %v", s.name, took)
			}
			for _, n := range m.Notes {
				if n.From.File == "" || n.From.Line > strings.Count(text, "\n")+1 {
					t.Errorf("%s: a note about %v: %s", s.name, n.From, n.Text)
				}
			}
		}
	})
}

// What is large takes time in proportion.
func TestLargeFilesAreLinear(t *testing.T) {
	for _, unit := range []string{
		"a = b\n", " b\n", "$a", "${a?", "mydestination = a\n", "(", "`", "{", "'", "F(", "Cwa\n", "define(`A', `b')\n", "account a\n", "account a : a\nb c\n", "host a\n",
		"a smtp --user=x\n", "::", ";", "a:b:c\n", "smtp inet n - y - - smtpd -o a=b\n", "\\",
	} {
		text := strings.Repeat(unit, maxConfig/4/len(unit))
		for _, s := range systems {
			file := s.files[len(s.files)-1]
			start := time.Now()
			fsys := tree(file, text, "/etc/postfix/master.cf", text, "/etc/exim4/passwd.client", text)
			if _, err := s.read(Tree{fsys}, file); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 30*time.Second { // a tenth of a second on an idle machine
				t.Errorf("%s: %.20q took %v", s.name, unit, took)
			}
		}
	}
}
