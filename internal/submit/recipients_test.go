package submit

import (
	"fmt"
	"strings"
	"testing"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/queue"
)

func TestRecipients(t *testing.T) {
	for _, c := range []struct {
		name     string
		operands []string
		header   string // with -t when not ""
		want     string
	}{
		{"an operand may be a list", []string{"b@r, c@r"}, "", "b@r c@r"},
		{"an operand may be a list without commas", []string{"b@r c@r"}, "", "b@r c@r"},
		{"an operand may have a display name", []string{"Bob B <b@r>"}, "", "b@r"},
		{"an operand may have a comment", []string{"b@r (Bob, B)"}, "", "b@r"},
		{"an operand without domain gets the origin", []string{"root", "<bob>"}, "", "root@example.org bob@example.org"},
		{"an operand may begin with a hyphen", []string{"-f", "-b@r"}, "", "-f@example.org -b@r"},
		{"an operand that looks like a command or a file is an address", []string{"|cat", "/etc/passwd"}, "", "|cat@example.org /etc/passwd@example.org"},
		{"a line end is a blank", []string{"b@r\r\nDATA\nc@r\n"}, "", "b@r DATA@example.org c@r"},
		{"a backslash goes", []string{`\bob`, `\b@r.test`}, "", "bob@example.org b@r.test"},
		{"an address literal stays", []string{"b@[192.0.2.1]"}, "", "b@[192.0.2.1]"},
		{"quotes that are needed stay", []string{`"q r"@x`, `"joe"@x`}, "", `"q r"@x joe@x`},
		{"without -t the header gives none", []string{"b@r"}, "", "b@r"},

		{"-t joins operands and header, operands first", []string{"a@r"}, "To: b@r\nCc: c@r\nBcc: d@r\n", "a@r b@r c@r d@r"},
		{"-t reads the header in its order", nil, "Bcc: d@r\nTo: b@r\nCc: c@r\nTo: e@r\n", "d@r b@r c@r e@r"},
		{"commas in quotes and nested comments", nil, `To: "Doe, John" <b@r> (x, y), c@r (Carol (nested))` + "\n", "b@r c@r"},
		{"a group's members count", nil, "To: friends: b@r, c@r;\n", "b@r c@r"},
		{"an empty group has none", []string{"a@r"}, "To: undisclosed-recipients:;\n", "a@r"},
		{"blanks part addresses too", nil, "To: b@r c@r\n", "b@r c@r"},
		{"folded fields in any case", nil, "tO: b@r,\n\tc@r\n ,d@r\nBCC : e@r\n", "b@r c@r d@r e@r"},
		{"empty elements are none", nil, "To: , b@r,,\nCc:\n", "b@r"},
		{"encoded words are never decoded", nil, "To: =?utf-8?q?x=40y?= <b@r>\n", "b@r"},
		{"Apparently-To, Reply-To and others give none", nil, "To: b@r\nApparently-To: c@r\nReply-To: d@r\nX-To: e@r\nFrom: f@r\n", "b@r"},
		{"a resent message goes to Resent- fields alone", []string{"a@r"}, "To: b@r\nBcc: c@r\nResent-To: d@r\nResent-Cc: e@r\nResent-Bcc: f@r\n", "a@r d@r e@r f@r"},
		{"any Resent- field makes a message resent", []string{"a@r"}, "To: b@r\nResent-Date: now\n", "a@r"},

		{"a remote domain's case does not count", []string{"b@R.test", "b@r.TEST"}, "", "b@R.test"},
		{"a remote localpart's case does", []string{"b@r", "B@r"}, "", "b@r B@r"},
		{"in a local domain neither does", []string{"Bob", "bob@EXAMPLE.org"}, "To: BOB@example.org\n", "Bob@example.org"},
		{"quotes do not make another mailbox", []string{`"bob"@r`, "bob@r", `\bob@r`}, "", "bob@r"},
	} {
		o := testOptions(c.operands...)
		o.Extract = c.header != ""
		m, res := submit(t, c.header+"Subject: s\n\ntext\n", o)
		if got := rcptList(m.Envelope); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if len(res.Bad) > 0 {
			t.Errorf("%s: bad: %v", c.name, res.Bad)
		}
	}
}

func TestRefused(t *testing.T) {
	f := func(edit func(*Options)) func(*Options) { return edit }
	extract := f(func(o *Options) { o.Extract, o.Recipients = true, nil })
	operands := func(words ...string) func(*Options) { return func(o *Options) { o.Recipients = words } }
	for _, c := range []struct {
		name string
		in   string
		with func(*Options)
		exit int
		code status.Code
		text string
	}{
		{"no recipients", "", operands(), 64, status.Code{5, 3, 0}, "Recipient addresses must be specified on the command line or via the -t option"},
		{"no recipients in the header", "Subject: s\n\n", extract, 64, status.Code{5, 3, 0}, "No recipient addresses found in message header"},
		{"no header", "To bob\nTo: b@r\n", extract, 64, status.Code{5, 3, 0}, "No recipient addresses found in message header"},
		{"none in the Resent- fields", "To: b@r\nResent-From: a@r\n\n", extract, 64, status.Code{5, 3, 0}, "No recipient addresses found in message header"},
		{"only bad ones in the header", "To: b@@r\n\n", extract, 64, status.Code{5, 3, 0}, "No valid recipient addresses found in message header"},
		{"an empty operand", "", operands("b@r", ""), 64, status.Code{5, 3, 0}, `bad recipient address ""`},
		{"a blank operand", "", operands(" \t"), 64, status.Code{5, 3, 0}, `bad recipient address " \x09"`},
		{"an operand with two @", "", operands("b@r", "foo@@bar"), 64, status.Code{5, 3, 0}, `bad recipient address "foo@@bar"`},
		{"an operand with an open bracket", "", operands("<foo@bar"), 64, status.Code{5, 3, 0}, `bad recipient address "<foo@bar"`},
		{"an operand with a control character", "", operands("a\x01\x1b[m@b"), 64, status.Code{5, 3, 0}, `bad recipient address "a\x01\x1B[m@b"`},
		{"an included file", "", operands(":include:/etc/passwd"), 64, status.Code{5, 3, 0}, `bad recipient address ":include:/etc/passwd"`},
		{"the null address", "", operands("<>"), 64, status.Code{5, 3, 0}, `bad recipient address "<>"`},
		{"a bad sender", "", f(func(o *Options) { o.From = ptr("a@@b") }), 64, status.Code{5, 3, 0}, `bad sender address "a@@b"`},
		{"two senders", "", f(func(o *Options) { o.From = ptr("a@b, c@d") }), 64, status.Code{5, 3, 0}, `bad sender address "a@b, c@d"`},
		{"too many hops", strings.Repeat("Received: x\n", 51), nil, 69, status.Code{5, 4, 6}, "too many hops"},
		{"too many hops by -h", "", f(func(o *Options) { o.Hops = 51 }), 69, status.Code{5, 4, 6}, "too many hops"},
		{"too large", "Subject: s\n\n" + strings.Repeat("a\n", 200), f(func(o *Options) { o.SizeLimit = 600 }), 69, status.Code{5, 3, 4}, "message size exceeds limit of 600 bytes"},
		{"much too large", "Subject: s\n\n" + strings.Repeat("a\n", 200_000), f(func(o *Options) { o.SizeLimit = 300_000 }), 69, status.Code{5, 3, 4}, "message size exceeds limit of 300000 bytes"},
		{"a header over the cap", "X: " + strings.Repeat("x", maxHeader) + "\n\n", nil, 65, status.Code{5, 6, 0}, "message header too large"},
		{"too many fields", strings.Repeat("a:\n", maxFields+1), nil, 65, status.Code{5, 6, 0}, "message header too large"},
		{"a list over the cap", "To: " + strings.Repeat("b@r.example,", 100_000) + "\n\n", extract, 65, status.Code{5, 6, 0}, "cannot read the recipients in the header"},
		{"too many recipients", "To: " + numbers(maxRcpts+1) + "\n\n", extract, 69, status.Code{5, 5, 3}, "too many recipients"},
	} {
		o := testOptions("bob@r.test")
		if c.with != nil {
			c.with(&o)
		}
		st, _ := refused(t, strings.NewReader(c.in), o)
		if st.Exit() != c.exit || st.Code() != c.code || c.text != "" && st.Text() != c.text {
			t.Errorf("%s: exit %d, %s", c.name, st.Exit(), st.Diagnostic())
		}
		if strings.ContainsAny(st.Text(), "\r\n") {
			t.Errorf("%s: more than one line: %q", c.name, st.Text())
		}
	}
}

// numbers is a list of n addresses.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()
}

func TestLimitsThatAreKept(t *testing.T) {
	o := testOptions("bob@r.test")
	submit(t, strings.Repeat("Received: x\n", 50)+"\n", o)
	m, _ := submit(t, "Subject: s\n\ntext\n", o)
	o.SizeLimit = int64(len(m.text))
	submit(t, "Subject: s\n\ntext\n", o)
	o.SizeLimit, o.HopLimit, o.Hops = 0, 0, 1000
	submit(t, strings.Repeat("Received: x\n", 100)+"\n", o)
	o.Recipients, o.Extract = nil, true
	if m, _ := submit(t, "To: "+numbers(maxRcpts)+"\n\n", o); len(m.Rcpts) != maxRcpts {
		t.Errorf("%d recipients of %d", len(m.Rcpts), maxRcpts)
	}
}

func TestBadAddressesInTheHeaderAreReported(t *testing.T) {
	o := testOptions()
	o.Extract = true
	m, res := submit(t, "To: b@r, foo@@bar, <c@r>\nCc: <x y@r>, d\x01@r\nBcc: "+strings.Repeat("x", 400)+"\n\n", o)
	if got := rcptList(m.Envelope); got != "b@r c@r foo@@bar <x y@r> d\\x01@r "+strings.Repeat("x", maxBadText)+"..." {
		t.Errorf("recipients %s", got)
	}
	want := []string{"To foo@@bar", "Cc <x y@r>", `Cc d\x01@r`, "Bcc " + strings.Repeat("x", maxBadText) + "..."}
	var got []string
	for _, b := range res.Bad {
		if b.Err == nil {
			t.Errorf("%s: no cause", b.Text)
		}
		got = append(got, b.Field+" "+b.Text)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("bad: %q", got)
	}
	_, res = refused(t, strings.NewReader(""), testOptions("b@r", "", "a@@b"))
	if len(res.Bad) != 2 || res.Bad[1].Text != "a@@b" || res.Bad[1].Field != "" {
		t.Errorf("operands: %v", res.Bad)
	}
}

func TestBadRecipientsAreNeverAddresses(t *testing.T) {
	r := newRecipients("example.org", nil)
	for _, text := range []string{"", "bob", "bob@r.test", "foo@@bar", "<x y@r>"} {
		r.bad = append(r.bad, BadRcpt{Field: "To", Text: text})
	}
	r.appendBad()
	for i, rcpt := range r.list {
		if _, err := address.Parse(rcpt.Address); err == nil || rcpt.Address == "" {
			t.Errorf("%q became %q", r.bad[i].Text, rcpt.Address)
		}
	}
}

func TestSender(t *testing.T) {
	for from, want := range map[string]string{
		"": "", "<>": "", " <> ": "", "s@a": "s@a", "Some Name <s@a>": "s@a", "root": "root@example.org",
		"<root>": "root@example.org", "s@a (comment)": "s@a", `"q r"@a`: `"q r"@a`,
	} {
		o := testOptions("bob@r.test")
		o.From = &from
		if m, _ := submit(t, "", o); m.Sender != want {
			t.Errorf("-f %q: <%s>, want <%s>", from, m.Sender, want)
		}
	}
}

func TestUTF8IsAskedForWhenAnAddressNeedsIt(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		with func(*Options)
		want bool
	}{
		{"text beyond ASCII does not need it", "Subject: ä\nFrom: Zoë <z@r>\n\nä\n", nil, false},
		{"a recipient does", "", func(o *Options) { o.Recipients = []string{"ä@r"} }, true},
		{"the sender does", "", func(o *Options) { o.From = ptr("ä@r") }, true},
		{"an address in the header does", "Reply-To: <ä@r>\n\n", nil, true},
		{"an address in a dropped field does not", "Bcc: <ä@r>\n\n", nil, false},
		{"a name in another field does not", "X-From: <ä@r>\n\n", nil, false},
		{"-U asks for it", "", func(o *Options) { o.UTF8 = true }, true},
	} {
		o := testOptions("bob@r.test")
		if c.with != nil {
			c.with(&o)
		}
		if m, _ := submit(t, c.in, o); m.UTF8 != c.want {
			t.Errorf("%s: %v", c.name, m.UTF8)
		}
	}
}

func TestEnvelopeCarriesTheOptions(t *testing.T) {
	o := testOptions("a@r", "b@r")
	o.Notify, o.Ret, o.EnvID, o.Body, o.Tag, o.NoAlias = queue.NotifyNever, "FULL", "id", "7BIT", "tag", true
	m, res := submit(t, "", o)
	e := m.Envelope
	if e.Ret != "FULL" || e.EnvID != "id" || e.Body != "7BIT" || e.Tag != "tag" || !e.NoAlias ||
		e.UID != 1000 || e.User != "alice" || e.Proto != "local" || !e.Arrival.Equal(testNow) {
		t.Errorf("%+v", e)
	}
	for _, r := range append(e.Rcpts, res.Envelope.Rcpts...) {
		if r.Notify != queue.NotifyNever {
			t.Errorf("%s: NOTIFY=%s", r.Address, r.Notify)
		}
	}
}

func TestABackslashKeepsARecipientFromTheAliases(t *testing.T) {
	for _, c := range []struct{ operands, text, want string }{
		{`\alice`, "", "alice"},
		{`\alice,\bob`, "", "alice bob"},
		{`\alice,bob`, "", "alice"},
		{`bob,\bob`, "", ""},
		{`\bob,bob`, "", "bob"},
		{`bob`, "", ""},
		{`"\\bob"`, "", ""},
		{"", "To: x, \\alice@r (c)\nCc: Bob <\\bob>\n\n", "alice@r bob"},
	} {
		o := testOptions(c.operands)
		o.Extract = c.operands == ""
		if o.Extract {
			o.Recipients = nil
		}
		m, _ := submit(t, c.text, o)
		var got []string
		for _, r := range m.Envelope.Rcpts {
			if r.NoAlias {
				got = append(got, strings.TrimSuffix(r.Address, "@example.org"))
			}
		}
		if strings.Join(got, " ") != c.want || m.NoAlias {
			t.Errorf("%s%s: %q, and for all %v", c.operands, c.text, got, m.NoAlias)
		}
	}
}
