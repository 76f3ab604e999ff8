package address

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// show prints a list as "addr; Name <addr>; !error" for comparing.
func show(list []Mailbox) string {
	var out []string
	for _, m := range list {
		switch {
		case m.Err != nil:
			out = append(out, "!"+m.Err.Error())
		case m.Name != "":
			out = append(out, fmt.Sprintf("%s <%s>", m.Name, m.Address))
		default:
			out = append(out, m.Address.String())
		}
	}
	return strings.Join(out, "; ")
}

func TestParseListBothModes(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"blanks", " \r\n\t", ""},
		{"one", "b@r", "b@r"},
		{"two", "b@r, c@r", "b@r; c@r"},
		{"quoted commas and nested comments", `"Doe, John" <b@r> (x, y), c@r (Carol (nested))`, "Doe, John <b@r>; c@r"},
		{"a display name", "Bob B <b@r>", "Bob B <b@r>"},
		{"a display name with a dot", "Bob B. Bee <b@r>", "Bob B. Bee <b@r>"},
		{"a quoted name with quotes", `"Bob \"B\" Bee" <b@r>`, `Bob "B" Bee <b@r>`},
		{"words and quoted strings", `Bob "B," Bee <b@r>`, `Bob B, Bee <b@r>`},
		{"a folded name", "\"Bob\r\n Bee\" <b@r>", "Bob Bee <b@r>"},
		{"a name in UTF-8", "Jürgen <b@r>", "Jürgen <b@r>"},
		{"an encoded-word is not decoded", "=?utf-8?q?x=2C_y=40z?= <b@r>", "=?utf-8?q?x=2C_y=40z?= <b@r>"},
		{"an encoded-word as localpart is literal", "=?utf-8?q?b?=@r", "=?utf-8?q?b?=@r"},
		{"a group", "friends: b@r, c@r;", "b@r; c@r"},
		{"a group among others", "a@r, friends: b@r, Carol <c@r>;, d@r", "a@r; b@r; Carol <c@r>; d@r"},
		{"an empty group", "undisclosed-recipients:;", ""},
		{"an empty group with a comment", "undisclosed recipients: (none) ;", ""},
		{"a quoted group name", `"my: friends": b@r;`, "b@r"},
		{"a route", "<@x,@y:b@r>", "b@r"},
		{"an obsolete route", "Bob <@x , , @y (c) : b@r>", "Bob <b@r>"},
		{"a literal", "b@[192.0.2.1], c@[ IPv6:::1 ]", "b@[192.0.2.1]; c@[IPv6:::1]"},
		{"a quoted localpart", `"b c"@r`, `"b c"@r`},
		{"a quoted localpart with @", `"user@evil"@us`, `"user@evil"@us`},
		{"a bare localpart", "root", "root"},
		{"bare localparts", "root, Bob <bob>", "root; Bob <bob>"},
		{"a folded list", "b@r,\r\n\tc@r,\r\n d@r", "b@r; c@r; d@r"},
		{"empty elements", ",, b@r,, c@r,", "b@r; c@r"},
		{"blanks in an address", "joe . bee @ example . org", "joe.bee@example.org"},
		{"comments in an address", "joe(x).(y)bee(z)@(u)example.org", "joe.bee@example.org"},
		{"a localpart of words and quotes", `joe."b c".x@r`, `"joe.b c.x"@r`},
		{"a root dot", "b@r., c@r", "b@r; c@r"},
		{"a comment with brackets and commas", `(a \) <x@y>, ) b@r`, "b@r"},
		{"UTF-8", "jürgen@example.org", "jürgen@example.org"},
		{"blanks in brackets", "< b@r >", "b@r"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range []Mode{Strict, Lenient} {
				list, err := ParseList(c.in, mode)
				if got := show(list); err != nil || got != c.want {
					t.Errorf("mode %d: got %q, %v, want %q", mode, got, err, c.want)
				}
			}
		})
	}
}

// What Lenient forgives or reports, Strict refuses.
func TestParseListLenient(t *testing.T) {
	cases := []struct{ name, in, want, strict string }{
		{"blanks between addresses", "b@r c@r", "b@r; c@r", "missing comma"},
		{"blanks between bare ones", "alice bob", "alice; bob", "missing comma"},
		{"blanks between bracketed ones", "<b@r> Carol <c@r> d@r", "b@r; Carol <c@r>; d@r", "missing comma"},
		{"a comment between addresses", "b@r(x)c@r", "b@r; c@r", "missing comma"},
		{"semicolons between addresses", "b@r; c@r", "b@r; c@r", "without group"},
		{"semicolons between bare ones", "<b@r>; bob", "b@r; bob", "without group"},
		{"no comma after a group", "x: b@r; c@r", "b@r; c@r", "missing comma"},
		{"a group without end", "undisclosed-recipients:", "", "without ';'"},
		{"a group inside a group", "x: y: b@r;;", "b@r", "group inside"},
		{"an address as name", "foo@bar.com <b@r>", "foo@bar.com <b@r>", "display name"},
		{"a name in Latin-1", "J\xf6rg <b@r>", "J\uFFFDrg <b@r>", "display name"},
		{"a name with a control character", "Bo\x01b <b@r>", "Bob <b@r>", "display name"},
		{"a name that begins with a dot", ".Bob <b@r>", ".Bob <b@r>", "display name"},
		{"a smiley", "Bob ;) <b@r>", "Bob; ) <b@r>", "without group"},
		{"a backslash", `\root, \b@r`, "root; b@r", "misplaced special"},
		{"a backslash before @", `b\@c@r`, `"b@c"@r`, "misplaced special"},
		{"dots anywhere in a localpart", "b..c.@r", `"b..c."@r`, "misplaced dot"},
		{"an open bracket", "<foo@bar", "!< without >", "without >"},
		{"an open bracket before a good address", "<foo@bar, c@r", "!< without >; c@r", "without >"},
		{"a bracket too many", "foo@bar>, c@r", "!misplaced special character; c@r", "misplaced special"},
		{"two brackets", "<<b@r>>, c@r", "!< without >; c@r", "without >"},
		{"two @", "foo@@bar, c@r", "!more than one @; c@r", "more than one @"},
		{"two @ apart", "user@evil@us, c@r", "!more than one @; c@r", "more than one @"},
		{"an empty bracket", "<>, c@r", "!empty address; c@r", "empty address"},
		{"an open quote", `b@r, "foo, c@r`, "b@r; !quoted string without end", "quoted string"},
		{"an open comment", `b@r, c@r (foo, d@r`, "b@r; !comment without end", "comment without end"},
		{"an open literal", `b@[192.0.2.1, c@r`, "!invalid domain literal; c@r", "domain literal"},
		{"an address with a port is no group", "b@r:25, c@r", "!misplaced ':'; c@r", "misplaced ':'"},
		{"a colon first", ": b@r, c@r", "!misplaced ':'; c@r", "misplaced ':'"},
		{"a second route", "<@a:@b:c@r>, d@r", "!invalid source route; d@r", "source route"},
		{"two addresses in brackets", "<b@r c@r>, d@r", "!blank inside an address; d@r", "blank inside"},
		{"words after brackets", "<b@r> Bob, c@r", "b@r; !missing comma between addresses; c@r", "missing comma"},
		{"a line end in a quoted localpart", "\"b\r\n c\"@r, d@r", "!invalid character in localpart; d@r", "invalid character"},
		{"a NUL", "b\x00c@r, d@r", "!invalid character in localpart; d@r", "invalid character"},
		{"no domain", "b@, c@r", "!missing domain after @; c@r", "missing domain"},
		{"a dot between blanks joins", "b@r. c@r", "!more than one @", "more than one @"},
		{"a bad one and a good one", "b@r%x c@r", "!invalid domain; c@r", "missing comma"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			list, err := ParseList(c.in, Lenient)
			if got := show(list); err != nil || got != c.want {
				t.Errorf("lenient: got %q, %v, want %q", got, err, c.want)
			}
			list, err = ParseList(c.in, Strict)
			if list != nil || err == nil || !strings.Contains(err.Error(), c.strict) {
				t.Errorf("strict: got %q, error %v, want error %q", show(list), err, c.strict)
			}
		})
	}
}

func TestParseListSpans(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"an address", " b@r , c@r", "b@r|c@r"},
		{"inside brackets and after a route", "Bob < @x:b@r (c) >", "b@r"},
		{"a comment inside", "joe (x) @ r (y), c", "joe (x) @ r|c"},
		{"a backslash", `\root x`, `\root|x`},
		{"a bad element", "a@r, Bob <b@r ,c@@r", "a@r|Bob <b@r|c@@r"},
		{"a group", "x: b@r,c;", "b@r|c"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			list, _ := ParseList(c.in, Lenient)
			var got []string
			for _, m := range list {
				got = append(got, c.in[m.Start:m.End])
			}
			if s := strings.Join(got, "|"); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func TestParseListIsCapped(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"20,000 addresses with blanks between", strings.Repeat("a@b ", 20000), strings.Repeat("a@b; ", 19999) + "a@b"},
		{"an endless element", strings.Repeat("@", 70000) + ", a@b", "!address too long; a@b"},
		{"an endless element in brackets", "<" + strings.Repeat("a. ", 70000) + ">, a@b", "!address too long; a@b"},
		{"a long route", "<" + strings.Repeat("@a,", 200) + "@a:a@b>", "a@b"},
	} {
		if list, err := ParseList(c.in, Lenient); err != nil || show(list) != c.want {
			t.Errorf("%s: %.100q, %v", c.name, show(list), err)
		}
	}
	for _, mode := range []Mode{Strict, Lenient} {
		if _, err := ParseList(strings.Repeat(",", MaxList+1), mode); !errors.Is(err, errListLong) {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
}
