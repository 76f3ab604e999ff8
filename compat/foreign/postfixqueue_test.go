package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// record is a record in the file's form.
func record(kind byte, data string) string {
	b := []byte{kind}
	n := len(data)
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n&0x7f|0x80))
	}
	return string(append(b, byte(n))) + data
}

// records are records "Kdata" in turn.
func records(list ...string) string {
	var b strings.Builder
	for _, r := range list {
		b.WriteString(record(r[0], r[1:]))
	}
	return b.String()
}

// told is what was read of a message, in one line, and its text.
func told(m *Message, err error) string {
	if err != nil {
		return err.Error()
	}
	var text bytes.Buffer
	if err := m.Copy(&text); err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("from=%s ret=%s envid=%s body=%s utf8=%t client=%s login=%s warned=%t", m.Sender, m.Ret, m.EnvID, m.Body, m.UTF8, m.Client, m.Login, m.Warned)
	for _, r := range m.Rcpts {
		s += fmt.Sprintf(" to=%s,%s,%s,%t", r.Address, r.ORcpt, r.Notify, r.NoAlias)
	}
	return s + fmt.Sprintf(" %v %q", m.Notes, text.String())
}

func readPostfixText(s string) string {
	return told(ReadPostfix(strings.NewReader(s), int64(len(s))))
}

func TestPostfixRecords(t *testing.T) {
	const head, end = "T1700000000 250000", "E"
	line := func(s ...string) []string { return append(append([]string{head}, s...), "X", end) }
	for _, tt := range []struct {
		name    string
		records []string
		want    string
	}{
		{"a message", line("Sa@b.example", "Rc@d.example", "M", "NSubject: x", "N", "Ntext"), `from=a@b.example`},
		{"its text", line("Sa@b.example", "Rc@d.example", "M", "NSubject: x", "N", "Ntext"), `"Subject: x\r\n\r\ntext\r\n"`},
		{"a long line", line("S", "Rc@d.example", "M", "Lpart ", "Lof ", "Na line"), `"part of a line\r\n"`},
		{"a line without an end", line("S", "Rc@d.example", "M", "Na", "Lb"), `"a\r\nb\r\n"`},
		{"CRs at the end of lines", line("S", "Rc@d.example", "M", "Na\r", "N\r", "Nb\rc"), `"a\r\n\r\nb\rc\r\n"`},
		{"dots stay", line("S", "Rc@d.example", "M", "N.", "N.."), `".\r\n..\r\n"`},
		{"padding is nothing", line("S", "Rc@d.example", "M", "Na", "w0000", "Nb"), `"a\r\nb\r\n"`},
		{"who has got it is gone", line("S", "Da@d.example", "Rb@d.example", "/c@d.example", "M"), `warned=false to=b@d.example,,,false`},
		{"nobody is left", line("S", "Da@d.example", "M"), "no recipient is left"},
		{"recipients of the header", append([]string{head, "S", "M", "N", "X", "Rx@d.example"}, end), "to=x@d.example"},
		{"DSN", line("S", "<2", "ia+b", "n6", "orfc822;x+y@d.example", "Rx@d.example", "Ry@d.example", "M"), "ret=HDRS envid=a+2Bb body= utf8=false client= login= warned=false to=x@d.example,rfc822;x+2By@d.example,SUCCESS,FAILURE,false to=y@d.example,,,false"},
		{"DSN of who has got it", line("S", "n1", "Dx@d.example", "Ry@d.example", "M"), "to=y@d.example,,,false"},
		{"attributes", line("S", "Alog_client_name=h.example", "Alog_client_address=192.0.2.1", "Asasl_username=u", "Aencoding=8bit", "Anotify_flags=1", "Rx@d.example", "M"), "body=8BITMIME utf8=false client=h.example[192.0.2.1] login=u warned=false to=x@d.example,,NEVER,false"},
		{"the sender was warned", line("S", "W              0", "Rx@d.example", "M"), "warned=true"},
		{"the sender is to be warned", line("S", "W     1700000000", "Rx@d.example", "M"), "warned=false"},
		{"SMTPUTF8", line("C 1 2 3 4 5 3", "S", "Rx@d.example", "M"), "utf8=true"},
		{"SMTPUTF8 that was only asked for", line("C 1 2 3 4 5 1", "S", "Rx@d.example", "M"), "utf8=false"},
		{"addresses that need quotes", line(`Sodd name@b.example`, `Ra"b@d.example`, "M"), `from="odd name"@b.example`},
		{"what is no address", line("S", "Ra@b@", "M"), "to=<a@b@,"},
		{"what is no sender", line("Sa@[", "Rx@d.example", "M"), "not a queue file: the sender \"a@[\" is no address"},
		{"a line end in an address", line("Sa\r\nb@c.example", "Rx@d.example", "M"), "not a queue file: the sender"},
		{"redirected", line("S", "Rx@d.example", "Ry@d.example", "M", "N", "X", ">z@d.example"), "warned=false to=z@d.example,,,false "},
		{"VERP", line("Sa@b.example", "V+=", "Rx@d.example", "M"), "[its sender is no longer made for each recipient (VERP)]"},
		{"no sender", line("Rx@d.example", "M"), "not a queue file: it has no sender"},
		{"no text", []string{head, "S", "Rx@d.example", end}, "not a queue file: it has no text"},
		{"no end", []string{head, "S", "Rx@d.example", "M", "Na"}, "the queue file is not complete"},
		{"half a record", []string{head, "S", "Rx@d.example", "M", "Na", "\x80"}, "the queue file is not complete"},
		{"nothing", nil, "not a queue file: it has no records"},
	} {
		if got := readPostfixText(records(tt.records...)); !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// A file that was edited in place goes on elsewhere and comes back.
func TestPostfixPointers(t *testing.T) {
	ptr := func(to int) string { return record('p', fmt.Sprintf("%15d", to)) }
	const width = 17
	head := records("T1", "Sa@b.example", "Rc@d.example", "M")
	end := records("Nbody", "X", "E")
	at := len(head) + width + len(end)
	back := len(head) + width
	text := head + ptr(at) + end + records("NSubject: added") + ptr(back)
	if got := readPostfixText(text); !strings.Contains(got, `"Subject: added\r\nbody\r\n"`) {
		t.Error(got)
	}
	for name, bad := range map[string]string{
		"a circle":              head + ptr(len(head)),
		"a circle of a message": head + records("N"+strings.Repeat("x", 100)) + ptr(0) + ptr(len(head)),
		"nowhere":               head + ptr(1<<40) + end,
		"before the start":      head + record('p', "-5") + end,
		"no number":             head + record('p', "x") + end,
		"a record without end":  head + "N\xff\xff\xff\xff\xff",
		"a record of 2 MiB":     head + "N\x80\x80\x80\x01",
	} {
		if _, err := ReadPostfix(strings.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := readPostfixText(head + ptr(0) + end); !strings.Contains(got, `"body\r\n"`) {
		t.Errorf("room for a pointer: %s", got)
	}
}

// Files that Postfix 3.7 has written.
func TestPostfixFiles(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"deferred/3/39B909C6B6E", `from=s@example.org ret=FULL envid=QQ314159 body=8BITMIME utf8=false client=mail.lab.test[127.0.0.1] login= warned=false ` +
			`to=x@example.net,rfc822;Orig+2Bx@example.com,NEVER,false to=y@example.net,rfc822;y@example.net,,false [] "Received: from x`},
		{"deferred/E/E32C49C6B38", `from=alice@example.org ret=HDRS envid=env+2B1 body= utf8=false client= login= warned=false ` +
			`to=bob@example.net,rfc822;bob@example.net,SUCCESS,FAILURE,false to=d@example.net,rfc822;d@example.net,SUCCESS,FAILURE,false [] "Received: by mail`},
		{"deferred/E/E64709C6B36", `from= ret= envid= body= utf8=false client= login= warned=false to=dave@example.net,rfc822;dave@example.net,,false [] "Received`},
		{"deferred/E/EE65F9C6B39", `from=odd@lab.test ret= envid= body=8BITMIME utf8=true client=`},
		{"maildrop/693669C6C0D", `from=alice@lab.test ret= envid= body= utf8=false client= login= warned=false to=labuser,,,false to=bob@example.net,,,false [] "Subject: dropped\r\n\r\nin maildrop\r\n"`},
	} {
		text, err := os.ReadFile("testdata/postfix/" + tt.file)
		if err != nil {
			t.Fatal(err)
		}
		if got := readPostfixText(string(text)); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.file, got, tt.want)
		}
	}
	text, _ := os.ReadFile("testdata/postfix/deferred/E/E32C49C6B38")
	m, _ := ReadPostfix(bytes.NewReader(text), int64(len(text)))
	if got := m.ArrivalOr(time.Time{}).UTC().Format(time.DateTime); got != "2026-11-24 17:38:39" {
		t.Errorf("arrival %s", got)
	}
	if got := told(m, nil); !strings.Contains(got, `\r\nHello\r\n.dot\r\nlast\r\n"`) {
		t.Errorf("text %s", got)
	}
	if long := readPostfixText(readFile(t, "testdata/postfix/deferred/E/E64709C6B36")); !strings.Contains(long, strings.Repeat("0123456789", 700)+`\r\nend\r\n`) {
		t.Error("a long line was cut")
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// FuzzPostfixQueue reads anything as a queue file. What is read can be copied, and has no line end where SMTP has none.
func FuzzPostfixQueue(f *testing.F) {
	for _, name := range []string{"deferred/3/39B909C6B6E", "deferred/E/E32C49C6B38", "maildrop/693669C6C0D"} {
		text, err := os.ReadFile("testdata/postfix/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(records("T1 2", "Sa@b", "orfc822;a", "n7", "Ra@b", "M", "Lx", "p              0", "Ny", "X", "E"))
	f.Add(records("p             17"))
	f.Add(records("S", "Ra@b", "E"))
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ReadPostfix(strings.NewReader(s), int64(len(s)))
		if err == nil {
			checkMessage(t, m, 2*len(s)+1024)
		}
	})
}

// checkMessage holds what every message keeps to.
func checkMessage(t *testing.T, m *Message, most int) {
	words := []string{m.Sender, m.Ret, m.EnvID, m.Body}
	for _, r := range m.Rcpts {
		words = append(words, r.Address, r.ORcpt, r.Notify)
	}
	for _, w := range words {
		if strings.ContainsAny(w, "\r\n\x00") {
			t.Errorf("a control byte in %q", w)
		}
	}
	if len(m.Rcpts) == 0 {
		t.Error("no recipient")
	}
	var text bytes.Buffer
	if err := m.Copy(&text); err != nil {
		t.Error(err)
	}
	b := text.Bytes()
	if n := len(b); n > 2*most || n > 0 && !bytes.HasSuffix(b, crlf) {
		t.Errorf("%d bytes that end in %q", n, b[max(0, n-2):])
	}
	if bytes.Count(b, []byte("\n")) != bytes.Count(b, crlf) {
		t.Error("a line end is not CRLF")
	}
}
