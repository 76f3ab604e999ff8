package aliases

import (
	"os"
	"testing"
)

func TestParseList(t *testing.T) {
	const text = "# my mail\n\\alice, bob@x.test\r\n\n  \"|vacation, alice\" , /home/a/mbox,/home/a/Maildir/\n:include:/l, Carol <c@x.test>\nno one@@\n"
	want := []Member{
		{Kind: User, Text: `\alice`}, {Kind: Address, Text: "bob@x.test"}, {Kind: Pipe, Text: "vacation, alice"},
		{Kind: File, Text: "/home/a/mbox"}, {Kind: Maildir, Text: "/home/a/Maildir"}, {Kind: Include, Text: "/l"},
		{Kind: Address, Text: "Carol <c@x.test>"}, {Kind: Error, Text: "no one@@"},
	}
	got := ParseList("/f", text)
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, m := range got {
		if m.Kind != want[i].Kind || m.Text != want[i].Text {
			t.Errorf("%d: %+v", i, m)
		}
	}
	if e := got[7].Err; len(e) < 6 || e[:5] != "/f:6:" {
		t.Errorf("where: %q", e)
	}
	if len(ParseList("/f", "")) != 0 || len(ParseList("/f", " \n#\n,,\n")) != 0 {
		t.Error("somebody is named by nothing")
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"", "a, b\n|c \"d\"", `"|a, b", \c, /d/`, ":include:/x\n#\n\x00", "a(", "\"", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		for _, m := range ParseList("f", text) {
			n += max(1, len(m.Text))
			if m.Kind == Error && m.Err == "" || m.Kind != Error && m.Kind != Address && m.Kind != User && m.Text == "" {
				t.Fatalf("%+v", m)
			}
		}
		if n > 2*len(text)+1 {
			t.Fatalf("%d bytes of members in %d", n, len(text))
		}
	})
}

// A command has the rights of who owns the file that names it.
func TestRecipientsHaveTheRightsOfTheirFile(t *testing.T) {
	name := t.TempDir() + "/aliases"
	if err := os.WriteFile(name, []byte("a: b, |x\nb: /f\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	x, ok, err := Open([]string{name}, Options{}).Expand("a")
	if err != nil || !ok || len(x.Recipients) != 2 {
		t.Fatalf("%v %v %v", x, ok, err)
	}
	for _, r := range x.Recipients {
		if int(r.UID) != os.Geteuid() {
			t.Errorf("%s: user %d", r.Text, r.UID)
		}
	}
}
