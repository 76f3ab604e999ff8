package submit

import (
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"postrider/internal/address"
	"postrider/internal/status"
)

var blindField = regexp.MustCompile(`(?i)^(resent-)?bcc[ \t]*:`)

func FuzzSubmit(f *testing.F) {
	for i, in := range []string{
		"To: bob@r.test\nBcc: x@r.test\n\ntext\n.\nmore\n", "From x\n>From y\nBCC : a,\n b\n\n", "\n", "", " a\r\r\n", "a:b\r\n.\r\n",
		"Resent-To: a (b (c)) <d@e>, f: g, h;\r\n\r\n\r.\r\n\x00", "no colon\nBcc: x\n", "From:\xff <\xc3\xa4@r>\nTo: \"a\\\"\" <@x,@y:b@c>\n",
		"To: a@[192.0.2.1], \\b, c d, =?utf-8?q?x?= <e>\n\n", "Subject: a\rBcc: b\n\n", "Bcc:\n\x00: x\n",
	} {
		f.Add(in, "bob@r.test, carol", "Alice & Co", uint8(i*37))
	}
	f.Fuzz(func(t *testing.T, in, operand, name string, flags uint8) {
		o := testOptions(operand)
		o.FullName, o.User.Name, o.User.Gecos = name, operand, name
		o.Extract, o.IgnoreDots, o.Gateway = flags&1 != 0, flags&2 != 0, flags&4 != 0
		if flags&8 != 0 {
			o.Recipients = nil
		}
		if flags&16 != 0 {
			o.From = &name
		}
		s, c := memSpool(t)
		res, err := Submit(strings.NewReader(in), s, o)
		if err != nil {
			noTrace(t, c, err.Error())
			if st := err.(*status.Status); st.Exit() != status.ExitUsage && st.Exit() != status.ExitDataErr && st.Exit() != status.ExitUnavailable {
				t.Fatalf("exit %d: %v", st.Exit(), err)
			}
			return
		}
		m := contents(t, s)[0]
		checkText(t, m.text)
		good := len(m.Rcpts) - len(res.Bad)
		for _, r := range m.Rcpts[:good] {
			checkAddress(t, r.Address)
		}
		for _, r := range m.Rcpts[good:] {
			if _, err := address.Parse(r.Address); err == nil {
				t.Fatalf("a bad recipient is an address: %q", r.Address)
			}
		}
		if m.Sender != "" {
			checkAddress(t, m.Sender)
		}
		s, _ = memSpool(t)
		if _, err := Submit(iotest.OneByteReader(strings.NewReader(in)), s, o); err != nil {
			t.Fatalf("a byte at a time: %v", err)
		}
		slow := contents(t, s)[0]
		if strings.ReplaceAll(slow.text, slow.id, m.id) != m.text {
			t.Fatalf("a byte at a time: %q, at once: %q", slow.text, m.text)
		}
	})
}

// checkText fails the test when a stored message has a line end that is not CRLF, or a Bcc field.
func checkText(t *testing.T, text string) {
	t.Helper()
	if n := strings.Count(text, "\n"); n != strings.Count(text, "\r\n") || !strings.HasSuffix(text, "\r\n") {
		t.Fatalf("a line does not end in CRLF: %q", text)
	}
	if strings.Contains(text, "\r\r\n") {
		t.Fatalf("a line ends in more than one CR: %q", text)
	}
	header, _, ok := strings.Cut(text, "\r\n\r\n")
	if !ok || !strings.HasPrefix(header, "Received: ") {
		t.Fatalf("the header has no Received field or no end: %q", text)
	}
	for line := range strings.SplitSeq(header, "\r\n") {
		if blindField.MatchString(line) {
			t.Fatalf("a Bcc field is left: %q", header)
		}
		if _, body := fieldName([]byte(line)); body == 0 && line[0] != ' ' && line[0] != '\t' {
			t.Fatalf("not a field: %q in %q", line, header)
		}
	}
}

func checkAddress(t *testing.T, s string) {
	t.Helper()
	if a, err := address.Parse(s); err != nil || a.Domain() == "" || a.String() != s {
		t.Fatalf("not a whole address in wire form: %q, %v", s, err)
	}
}
