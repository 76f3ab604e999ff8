package route

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"postrider/internal/config"
)

func generics(c *config.Tables, path string)   { c.Genericstable = path }
func genericsOf(c *config.Tables, path string) { c.GenericsDomains = path }

func masquerade(domain string, domains ...string) func(*config.Config) {
	return func(c *config.Config) {
		c.Masquerade, c.MasqueradeDomains, c.ExposedUsers = domain, domains, []string{"root", "Cron"}
	}
}

const genericText = `
alice	Alice.A@public.example
bob@example.org	bob.b@public.example
bob@gen.example	b@public.example
@host.example	%1@other.example
carol	carol.c
dave+*	dave+%1@public.example
dave+x@example.org	x@public.example
erin	erin.e@public.example
frank@mail.example.org	frank.f
`

func outwardConf(t testing.TB, edits ...func(*config.Config)) config.Config {
	return system(append([]func(*config.Config){
		withTable(t, generics, genericText), withTable(t, genericsOf, "gen2.example\n"), withTable(t, domains, "old.example\texample.org\n"),
	}, edits...)...)
}

func TestSendersAsOthersSeeThem(t *testing.T) {
	masked := masquerade("masq.example", "dept.example", ".deep.example")
	for _, c := range []struct {
		name string
		conf config.Config
		from string
		want string
	}{
		{"a user of ours", outwardConf(t), "alice@mail.example.org", "Alice.A@public.example"},
		{"in any case", outwardConf(t), "ALICE@Example.ORG", "Alice.A@public.example"},
		{"a bare name", outwardConf(t), "alice", "Alice.A@public.example"},
		{"a user at origin", outwardConf(t, origin("provider.example")), "alice@provider.example", "Alice.A@public.example"},
		{"a user of a domain of the list", outwardConf(t), "erin@gen2.example", "erin.e@public.example"},
		{"a namesake elsewhere", outwardConf(t), "alice@example.net", "alice@example.net"},
		{"an address", outwardConf(t), "bob@example.org", "bob.b@public.example"},
		{"the same user of another domain of ours", outwardConf(t), "bob@mail.example.org", "bob@mail.example.org"},
		{"an address in a domain of no list", outwardConf(t), "bob@gen.example", "b@public.example"},
		{"a bare key does not count there", outwardConf(t), "alice@gen.example", "alice@gen.example"},
		{"a domain", outwardConf(t), "any.body@host.example", "any.body@other.example"},
		{"detail goes", outwardConf(t), "alice+news@example.org", "Alice.A@public.example"},
		{"detail that is kept", outwardConf(t), "dave+news@mail.example.org", "dave+news@public.example"},
		{"detail of its own", outwardConf(t), "dave+x@example.org", "x@public.example"},
		{"the old name of a domain", outwardConf(t), "eve@old.example", "eve@example.org"},
		{"and what the others have for the new one", outwardConf(t), "bob@old.example", "bob.b@public.example"},
		{"a name without a domain gets ours", outwardConf(t), "carol@example.org", "carol.c@mail.example.org"},
		{"or that of masquerade", outwardConf(t, masked), "carol@example.org", "carol.c@masq.example"},
		{"and nothing else is masqueraded after genericstable", outwardConf(t, masquerade("masq.example", "public.example")), "alice", "Alice.A@public.example"},

		{"masquerade", system(masked), "eve@mail.example.org", "eve@masq.example"},
		{"of localhost", system(masked), "eve@localhost", "eve@masq.example"},
		{"of a bare name", system(masked), "eve", "eve@masq.example"},
		{"of its domains", system(masked), "eve@DEPT.example", "eve@masq.example"},
		{"of all below one", system(masked), "eve@a.b.deep.example", "eve@masq.example"},
		{"but not that one", system(masked), "eve@deep.example", "eve@deep.example"},
		{"nor what is below another", system(masked), "eve@sub.dept.example", "eve@sub.dept.example"},
		{"nor local domains that are not named", system(masked), "eve@example.org", "eve@example.org"},
		{"nor others", system(masked), "eve@example.net", "eve@example.net"},
		{"nor literals", system(masked), "eve@[192.0.2.1]", "eve@[192.0.2.1]"},
		{"root is exposed", system(masked), "Root@mail.example.org", "Root@mail.example.org"},
		{"so is root with detail", system(masked), "root+cron@mail.example.org", "root+cron@mail.example.org"},
		{"and others that are named", system(masked), "cron@mail.example.org", "cron@mail.example.org"},
		{"a name in quotes", system(masked), `"a b"@mail.example.org`, `"a b"@masq.example`},
		{"the null sender", system(masked), "", ""},
		{"what is no address", system(masked), "a b", "a b"},
		{"nothing is configured", system(), "eve@mail.example.org", "eve@mail.example.org"},
	} {
		if got, err := router(c.conf).Sender(c.from); got != c.want || err != nil {
			t.Errorf("%s: %s: %s, %v, want %s", c.name, c.from, got, err, c.want)
		}
	}
}

func TestWhileATableIsBrokenNoSenderIsTakenForAStranger(t *testing.T) {
	r := router(system(withTable(t, generics, "alice a@public.example\n"), withTable(t, names, "x..y\n")))
	if got, err := r.Sender("alice@own.example"); err == nil {
		t.Errorf("local-host-names: %s", got)
	}
	r = router(system(withTable(t, generics, "alice a@public.example\n"), withTable(t, genericsOf, "x..y\n")))
	if got, err := r.Sender("alice@own.example"); err == nil {
		t.Errorf("generics-domains: %s", got)
	}
}

func TestKeysOfGenericstableAreOfItsDomainsAndOurs(t *testing.T) {
	r := router(system(withTable(t, generics, genericText), withTable(t, genericsOf, "gen2.example\n")))
	for domain, want := range map[string]string{"far.example": "[]", "host.example": "[a@host.example @host.example]", "gen2.example": "[a@gen2.example @gen2.example a]"} {
		if keys, err := r.genericKeys(parse("a@" + domain)); err != nil || fmt.Sprint(keys) != want {
			t.Errorf("%s: %v, %v, want %s", domain, keys, err, want)
		}
	}
}

func TestABrokenTableHoldsMailThatLeaves(t *testing.T) {
	r := router(system(withTable(t, generics, "alice\n")))
	if _, err := r.Sender("alice@example.org"); err == nil {
		t.Error("a sender passes")
	}
	if _, err := r.Message(section("From: alice\r\n\r\n")); err == nil {
		t.Error("a message passes")
	}
	for _, text := range []string{"alice a b", "alice \u00fc@example.org", "a@@b x", "@nodomain..x y"} {
		if list := router(system(withTable(t, generics, text))).Tables(); len(list) != 1 || list[0].Err == nil {
			t.Errorf("%s: %+v", text, list)
		}
	}
}

func section(s string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))
}

func text(t testing.TB, s *io.SectionReader) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	if err != nil || int64(len(b)) != s.Size() {
		t.Fatalf("%d of %d bytes, %v", len(b), s.Size(), err)
	}
	return string(b)
}

func TestHeadersAsOthersSeeThem(t *testing.T) {
	r := router(outwardConf(t, masquerade("masq.example")))
	long := strings.Repeat("x", maxField)
	for _, c := range []struct{ name, in, want string }{
		{"From", "From: alice@example.org\r\nTo: bob@example.net\r\n\r\nbody", "From: Alice.A@public.example\r\nTo: bob@example.net\r\n\r\nbody"},
		{"with a name and a comment", "From: \"Alice, A.\" <alice@example.org> (alice@example.org)\r\n\r\n", "From: \"Alice, A.\" <Alice.A@public.example> (alice@example.org)\r\n\r\n"},
		{"every field of a sender", "from : alice\r\nSENDER: alice\r\nReply-To: alice\r\nResent-From:alice\r\nResent-Sender: alice\r\nResent-Reply-To: alice\r\nErrors-To: alice\r\nReturn-Receipt-To: alice\r\nDisposition-Notification-To: alice\r\n\r\n",
			"from : A\r\nSENDER: A\r\nReply-To: A\r\nResent-From:A\r\nResent-Sender: A\r\nResent-Reply-To: A\r\nErrors-To: A\r\nReturn-Receipt-To: A\r\nDisposition-Notification-To: A\r\n\r\n"},
		{"recipients stay", "To: alice@example.org\r\nCc: x@mail.example.org\r\nSubject: alice@example.org\r\n\r\n", "To: alice@example.org\r\nCc: x@mail.example.org\r\nSubject: alice@example.org\r\n\r\n"},
		{"but for domaintable", "To: x@old.example, y@example.net\r\nCc: <x@old.example>\r\n\r\n", "To: x@example.org, y@example.net\r\nCc: <x@example.org>\r\n\r\n"},
		{"several in a folded field", "Reply-To: alice@example.org,\r\n\tGroup: x@mail.example.org, y@example.net;,\r\n <z@localhost>\r\nX: y\r\n\r\n",
			"Reply-To: A,\r\n\tGroup: x@masq.example, y@example.net;,\r\n <z@masq.example>\r\nX: y\r\n\r\n"},
		{"what is no address stays", "From: alice@example.org, a@@b, <alice@example.org>\r\n\r\n", "From: A, a@@b, <A>\r\n\r\n"},
		{"the body stays", "X: y\r\n\r\nFrom: alice@example.org\r\n\r\nFrom: alice@example.org\r\n", "X: y\r\n\r\nFrom: alice@example.org\r\n\r\nFrom: alice@example.org\r\n"},
		{"a body alone", "\r\nFrom: alice@example.org\r\n", "\r\nFrom: alice@example.org\r\n"},
		{"a header alone", "From: alice@example.org\r\n", "From: A\r\n"},
		{"one without an end", "From: alice@example.org", "From: A"},
		{"line feeds alone", "From: alice@example.org\nX: y\n\nbody", "From: A\nX: y\n\nbody"},
		{"a field that is too long", "Reply-To: alice@example.org,\r\n " + long + "\r\nFrom: alice\r\n\r\n", "Reply-To: alice@example.org,\r\n " + long + "\r\nFrom: A\r\n\r\n"},
		{"a long field of no interest", "X: " + long + "\r\nFrom: alice\r\n\r\n", "X: " + long + "\r\nFrom: A\r\n\r\n"},
		{"a header that is too long", strings.Repeat("X: "+long[:1000]+"\r\n", 1100) + "From: alice\r\n\r\n", strings.Repeat("X: "+long[:1000]+"\r\n", 1100) + "From: alice\r\n\r\n"},
		{"nothing", "", ""},
	} {
		for i := range 2 {
			in := section(c.in)
			if i == 1 { // somewhere in a file
				in = io.NewSectionReader(strings.NewReader("envelope\n\n"+c.in+"after"), 10, int64(len(c.in)))
			}
			out, err := r.Message(in)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			want := strings.NewReplacer(": A\r", ": Alice.A@public.example\r", ":A\r", ":Alice.A@public.example\r", ": A\n", ": Alice.A@public.example\n", ": A,", ": Alice.A@public.example,",
				"<A>", "<Alice.A@public.example>").Replace(c.want)
			want = strings.TrimSuffix(want, "From: A") + map[bool]string{true: "From: Alice.A@public.example"}[strings.HasSuffix(want, "From: A")]
			if got := text(t, out); got != want {
				t.Errorf("%s:\n got %.300q\nwant %.300q", c.name, got, want)
			}
			if c.in == c.want && out != in {
				t.Errorf("%s: it is another text", c.name)
			}
			if err := iotest.TestReader(io.NewSectionReader(out, 0, out.Size()), []byte(want)); err != nil && len(want) < 1000 {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

func TestABodyThatCannotBeReadIsAnError(t *testing.T) {
	r := router(system(masquerade("masq.example")))
	if _, err := r.Message(io.NewSectionReader(failing{}, 0, 100)); err == nil {
		t.Error("no error")
	}
	out, err := r.Message(io.NewSectionReader(failing{"From: a\r\n\r\n"}, 0, 10_000))
	if err == nil {
		_, err = io.ReadAll(out)
	}
	if err == nil {
		t.Error("no error behind the header")
	}
}

// failing is a text that cannot be read any further.
type failing []string

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	n := 0
	if len(f) > 0 && at < int64(len(f[0])) {
		n = copy(b, f[0][at:])
	}
	return n, errors.New("input/output error")
}

func FuzzMessage(f *testing.F) {
	f.Add("From: alice@example.org\r\nTo: x@old.example\r\n y\r\n\r\nbody")
	f.Add("Reply-To: G: a@localhost, \"q\" <b@mail.example.org>;\n\n")
	f.Add("From:alice\r\n\tbob\r\n: x\r\nFrom")
	r := router(outwardConf(f, masquerade("masq.example")))
	f.Fuzz(func(t *testing.T, in string) {
		out, err := r.Message(section(in))
		if err != nil {
			t.Fatal(err)
		}
		got := text(t, out)
		if strings.Count(got, "\n") != strings.Count(in, "\n") || strings.Count(got, "\r") != strings.Count(in, "\r") {
			t.Fatalf("%q becomes %q", in, got)
		}
		_, body, found := strings.Cut(in, "\r\n\r\n")
		if found && !strings.Contains(strings.SplitN(in, "\r\n\r\n", 2)[0], "\n\n") && !strings.HasSuffix(got, body) {
			t.Fatalf("the body of %q becomes that of %q", in, got)
		}
		again, err := r.Message(section(got))
		if err != nil || len(in) < maxField/8 && !bytes.Equal([]byte(text(t, again)), []byte(got)) {
			t.Fatalf("%q, %v: again %q", got, err, text(t, again))
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	in := section("Received: from x by y; " + strings.Repeat("z", 200) + "\r\nFrom: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: s\r\n\r\n" + strings.Repeat("body\r\n", 1000))
	for name, r := range map[string]*Router{"rewritten": router(outwardConf(b, masquerade("masq.example"))), "off": router(system())} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Message(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
