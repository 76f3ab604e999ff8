package route

import (
	"path/filepath"
	"strings"
	"testing"

	"postrider/internal/address"
	"postrider/internal/config"
)

// FuzzTables holds decisions by tables of any text to what a decision must be, for recipients and senders of any kind.
func FuzzTables(f *testing.F) {
	f.Add(virtusers, mailertable, "info+x@v.example")
	f.Add("@v.example %1%2%3@v.example\n++@v.example error:nouser\n", ". relay:%1.x:25:[b]\n.example local:\n", `"a\"b+c@d"@v.example`)
	f.Add("a@b.example \"x y\"@c.example\n", "[IPv6:::1] smtp:[IPv6:::2]:3\nb.example lmtp+unix:/x\n", "a@[IPv6:::1]")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, virtual, mailer, rcpt string) {
		a, err := address.Parse(rcpt)
		if err != nil {
			return
		}
		conf := system(func(c *config.Config) {
			c.Tables.Virtusertable, c.Tables.Mailertable = filepath.Join(dir, "v"), filepath.Join(dir, "m")
			c.Tables.Genericstable, c.Tables.Domaintable = filepath.Join(dir, "v"), filepath.Join(dir, "m")
			c.Tables.RelayDomains, c.Tables.LocalHostNames, c.Tables.Smarthosts = filepath.Join(dir, "m"), filepath.Join(dir, "m"), filepath.Join(dir, "v")
		})
		if len(virtual)%2 == 0 { // as what it is, too, and not only as what is no such table
			conf.Tables.Genericstable, conf.Tables.Domaintable, conf.Tables.RelayDomains, conf.Tables.LocalHostNames, conf.Tables.Smarthosts = "", "", "", "", ""
		}
		for name, text := range map[string]string{"v": virtual, "m": mailer} {
			writeOld(t, filepath.Join(dir, name), text)
		}
		r := router(conf)
		d := r.ForSender(r.Route(a), rcpt, "")
		switch {
		case len(d.Steps) == 0 || (d.Kind == Refuse) != (d.Status != nil) || d.Kind < Local || d.Kind > Expand:
			t.Fatalf("%+v", d)
		case d.Kind == Relay && (d.Next.Key == "" || d.Next.Mailer == "" || d.Next.Domain+d.Next.Host+d.Next.Socket == "" || d.Address.Domain() == ""):
			t.Fatalf("%+v", d)
		case d.Kind == Local && d.User.Name == "":
			t.Fatalf("%+v", d)
		}
		for _, s := range d.Steps {
			if strings.ContainsAny(s.Text, "\r\n\x00") {
				t.Fatalf("%q", s.Text)
			}
		}
		if seen, err := r.Sender(a.String()); err == nil {
			if b, parseErr := address.Parse(seen); parseErr != nil || b.IsNull() {
				t.Fatalf("%s is seen as %q", rcpt, seen)
			}
		}
		if _, err := r.Place(a.Domain()); err != nil && len(r.Tables()) == 0 {
			t.Fatal(err)
		}
	})
}

// FuzzPlain holds the short way to the long one.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"user-1@host-2.example.com", "A.b+c_d@x", "a@1.2.3.4", "a@xn--x.example", "a..b@x", "a@b@c", "a@-x", "-a@x", "a@x9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !plain(s) {
			return
		}
		a, err := address.Parse(s)
		if err != nil || a.Domain() == "" || a.Key(true) != strings.ToLower(s) || a.NeedsUTF8() {
			t.Fatalf("%q: %v, %s", s, err, a.Key(true))
		}
	})
}
