package foreign

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func readSendmailText(qf, df string) string {
	return told(ReadSendmail(strings.NewReader(qf), strings.NewReader(df)))
}

func TestSendmailLines(t *testing.T) {
	const head = "V8\nT1700000000\nK0\nN0\nP30000\n"
	for _, tt := range []struct{ name, qf, df, want string }{
		{"a message", "S<a@b.example>\nRPFD:<c@d.example>\nH??Subject: x\n.\n", "text\n.dot\nlast", `from=a@b.example ret= envid= body= utf8=false client= login= warned=false to=c@d.example,,,false [] "Subject: x\r\n\r\ntext\r\n.dot\r\nlast\r\n"`},
		{"no brackets", "Sa@b.example\nRPFD:c@d.example\n.\n", "", `from=a@b.example`},
		{"an old recipient without flags", "Sa@b.example\nRc@d.example\n.\n", "", `to=c@d.example,`},
		{"the null reverse-path", "S<>\nRPFD:<c@d.example>\n.\n", "", `from= ret=`},
		{"a bare user", "Salice\nRPFD:root\n.\n", "", "from=alice ret= envid= body= utf8=false client= login= warned=false to=root,"},
		{"NOTIFY", "S<>\nQrfc822;x+2By@z.example\nRPNSF:<c@d.example>\nRPN:<e@d.example>\nRPFD:<f@d.example>\n.\n", "", "to=c@d.example,rfc822;x+2By@z.example,SUCCESS,FAILURE,false to=e@d.example,,NEVER,false to=f@d.example,,,false"},
		{"what an alias became", "S<>\nRPFDA:<c@d.example>\nRPFD:\\bob\n.\n", "", "to=c@d.example,,,true to=bob,,,true"},
		{"a command", "S<>\nRPFDA:\"|/usr/bin/vacation bob\"\n.\n", "", "not a queue file: a recipient is a command"},
		{"a file", "S<>\nRPFDA:/var/mail/x\n.\n", "", "not a queue file: a recipient is a command or a file"},
		{"RET and a warning", "Fwdn8\nS<>\nRPFD:<c@d.example>\nZenv+2B\n.\n", "", "ret=HDRS envid=env+2B body= utf8=false client= login= warned=true"},
		{"BODY", "B8BITMIME\nS<>\nRPFD:<c@d.example>\n.\n", "", "body=8BITMIME"},
		{"macros", "$_mx.example [192.0.2.1]\n${auth_authen}u\n$rESMTP\nS<>\nRPFD:<c@d.example>\n.\n", "", "client=mx.example[192.0.2.1] login=u"},
		{"a local client", "$_alice@localhost\nS<>\nRPFD:<c@d.example>\n.\n", "", "client= login="},
		{"a folded field", "S<>\nRPFD:<c@d.example>\nH??Received: from a\n\tby b; now\nH??To: c@d.example,\n\te@d.example\n.\n", "b", `"Received: from a\r\n\tby b; now\r\nTo: c@d.example,\r\n\te@d.example\r\n\r\nb\r\n"`},
		{"fields for some mailers", "S<>\nRPFD:<c@d.example>\nH?P?Return-Path: <\x81g>\nH?x?Full-Name: x\n\ty\nH?D?Date: now\nHTo: x\n.\n", "", `"Date: now\r\nTo: x\r\n\r\n"`},
		{"CRLF in the text", "S<>\nRPFD:<c@d.example>\n.\n", "a\r\n\r\nb", `"\r\na\r\n\r\nb\r\n"`},
		{"a deadline", "!3600;N\nS<>\nRPFD:<c@d.example>\n.\n", "", "[its deadline (DELIVERBY) is not carried over]"},
		{"nobody is left", "S<>\n.\n", "", "no recipient is left"},
		{"no end", "S<>\nRPFD:<c@d.example>\n", "", "the queue file is not complete"},
		{"half a line", "S<>\nRPFD:<c@d.exam", "", "the queue file is not complete"},
		{"no sender", "RPFD:<c@d.example>\n.\n", "", "not a queue file: it has no sender"},
		{"a version of the future", "V9\nS<>\n.\n", "", "not a queue file: version"},
		{"an empty line", "S<>\n\n.\n", "", "not a queue file: a line is empty"},
		{"a continuation of nothing", "S<>\n x\n.\n", "", "not a queue file: a line continues nothing"},
		{"not a sender", "Sa b@\nRPFD:<c@d.example>\n.\n", "", "not a queue file: the sender"},
		{"not an address", "S<>\nRPFD:<c@d@>\n.\n", "", "to=<c@d@,"},
	} {
		if got := readSendmailText(head+tt.qf, tt.df); !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	if _, err := ReadSendmail(strings.NewReader("S"+strings.Repeat("x", maxRecord+1)), nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("a long line: %v", err)
	}
}

// FuzzSendmailQueue reads anything as a qf file with anything as its df file.
func FuzzSendmailQueue(f *testing.F) {
	f.Add("V8\nT1\nS<a@b>\nQrfc822;x\nRPFD:<c@d>\nH?P?X: y\n\tz\n.\n", "text\r\n")
	f.Add("Fwdn\n$_a [b]\n${x}y\nZ+\nB7BIT\nSa\nR:|x\n.", "\r")
	f.Fuzz(func(t *testing.T, qf, df string) {
		m, err := ReadSendmail(strings.NewReader(qf), strings.NewReader(df))
		if err == nil {
			checkMessage(t, m, 2*(len(qf)+len(df))+1024)
		}
	})
}

func TestListQueue(t *testing.T) {
	dir := func(names ...string) fs.FS {
		fsys := fstest.MapFS{}
		for _, n := range names {
			fsys[n] = &fstest.MapFile{Mode: 0o600}
			if strings.HasSuffix(n, "/") {
				delete(fsys, n)
				fsys[strings.TrimSuffix(n, "/")] = &fstest.MapFile{Mode: fs.ModeDir | 0o700}
			}
		}
		return fsys
	}
	postfix := []string{"deferred/", "incoming/", "active/", "hold/", "pid/master.pid"}
	for _, tt := range []struct {
		name  string
		files []string
		want  string
	}{
		{"an empty queue of Postfix", postfix, "postfix:"},
		{"messages in all its directories", append(postfix, "deferred/A/A1234567890", "active/B1234567890", "hold/3xYzAbC0d1z2q", "incoming/C1234567890", "maildrop/D1234567890", "defer/A/A1234567890"),
			"postfix: hold/3xYzAbC0d1z2q=2 deferred/A/A1234567890=0 active/B1234567890=1 incoming/C1234567890=0 maildrop/D1234567890=3"},
		{"what is no message", append(postfix, "deferred/A/x.tmp", "deferred/long/A1234567890", "deferred/short"), "postfix:"},
		{"a queue of Sendmail", []string{"qf1ABCDEF12345", "df1ABCDEF12345", "hf2ABCDEF12345", "xf1ABCDEF12345", "tf1ABCDEF12345", "Qf9ABCDEF12345"}, "sendmail: hf2ABCDEF12345=2 qf1ABCDEF12345(df1ABCDEF12345)=0"},
		{"groups with directories for each kind", []string{"q1/qf/qf1ABCDEF12345", "q1/df/df1ABCDEF12345"}, "sendmail: q1/qf/qf1ABCDEF12345(q1/df/df1ABCDEF12345)=0"},
		{"an empty directory", nil, "sendmail:"},
		{"something else", []string{"file.txt"}, "no configuration of another mail system found: no queue of Postfix or Sendmail"},
	} {
		system, list, err := ListQueue(dir(tt.files...))
		got := system + ":"
		if err != nil {
			got = err.Error()
		}
		for _, w := range list {
			got += " " + w.File
			if w.Data != "" {
				got += "(" + w.Data + ")"
			}
			got += "=" + string(rune('0'+int(w.State)))
		}
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
