package compat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

var sunday = time.Date(2026, time.November, 22, 19, 55, 22, 0, time.UTC)

// sample is the message of the goldens.
func sample() *Row {
	return &Row{ID: "9E6189C60F4", Size: 2, Total: 270, Arrival: sunday, Sender: "alice@mail.example.org", Rcpts: []RowRcpt{
		{Address: "done@r.test", Reason: "sent", Done: true},
		{Address: "bob@r.test", Reason: "connect to 127.0.0.1[127.0.0.1]:2525: Connection refused"},
		{Address: "tempfail2@r.test", Reason: "connect to 127.0.0.1[127.0.0.1]:2525: Connection refused"},
	}}
}

// list writes rows with a layout made by make.
func list(t testing.TB, make func(io.Writer) Layout, rows ...*Row) string {
	t.Helper()
	var b bytes.Buffer
	l := make(&b)
	for _, r := range rows {
		if err := l.Row(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sendmail(total int, verbose bool) func(io.Writer) Layout {
	return func(w io.Writer) Layout { return SendmailLayout(w, "/var/spool/mqueue", total, verbose) }
}

// golden compares a listing with a text in which "→" is a tab.
func golden(t *testing.T, name, got, want string) {
	t.Helper()
	want = strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "→", "\t")
	if got != want {
		t.Errorf("%s:\n got %q\nwant %q", name, got, want)
	}
}

func TestPostfixLayout(t *testing.T) {
	golden(t, "empty", list(t, PostfixLayout), "Mail queue is empty\n")
	held := sample()
	held.Held = true
	big := &Row{ID: "A1B2C3", Total: 200_000, Arrival: sunday.AddDate(0, 0, 10), Active: true, Held: true,
		Rcpts: []RowRcpt{{Address: "a@r.test", Reason: "why"}, {Address: "b@r.test"}, {Address: "c@r.test"}}}
	third := &Row{ID: "0", Total: 900, Arrival: sunday, Sender: "s", Rcpts: []RowRcpt{{Address: "a@r.test"}}}
	golden(t, "short IDs", list(t, PostfixLayout, held, big, third), `
-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
9E6189C60F4!     270 Sun Nov 22 19:55:22  alice@mail.example.org
                    (connect to 127.0.0.1[127.0.0.1]:2525: Connection refused)
                                         bob@r.test
                                         tempfail2@r.test

A1B2C3*      200000 Wed Dec  2 19:55:22  MAILER-DAEMON
                                                                         (why)
                                         a@r.test
                                                          (reason unavailable)
                                         b@r.test
                                         c@r.test

0               900 Sun Nov 22 19:55:22  s
                                         a@r.test

-- 196 Kbytes in 3 Requests.
`)
	long := sample()
	long.ID = "0000000000000ABCD"
	golden(t, "long IDs", list(t, PostfixLayout, long), `
----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
0000000000000ABCD      270 Sun Nov 22 19:55:22 alice@mail.example.org
                    (connect to 127.0.0.1[127.0.0.1]:2525: Connection refused)
                                               bob@r.test
                                               tempfail2@r.test

-- 0 Kbytes in 1 Request.
`)
	long.Held, long.HoldReason, long.Rcpts = true, "suspicious", []RowRcpt{{Address: "bob@r.test"}}
	golden(t, "a held message's reason", list(t, PostfixLayout, &Row{ID: "x", Lost: true}, long, &Row{ID: "y", Gone: true}), `
----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
0000000000000ABCD!      270 Sun Nov 22 19:55:22 alice@mail.example.org
                                                                  (suspicious)
                                               bob@r.test

-- 0 Kbytes in 1 Request.
`)
}

func TestSendmailLayout(t *testing.T) {
	golden(t, "empty", list(t, sendmail(0, false)), `
/var/spool/mqueue is empty
→→Total requests: 0
`)
	root := &Row{ID: "6AMJtXGL000121", Size: 2, Arrival: sunday, Sender: "root", Priority: 30_042, Warned: true,
		Reason: "Deferred: Connection refused by [127.0.0.1]",
		Rcpts:  []RowRcpt{{Address: "bob@r.test", Reason: "Deferred: Connection refused by [127.0.0.1]"}, {Address: "d@r.test", Done: true}}}
	golden(t, "one request", list(t, sendmail(1, false), root), `
→→/var/spool/mqueue (1 request)
-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------
6AMJtXGL000121        2 Sun Nov 22 19:55 root
                 (Deferred: Connection refused by [127.0.0.1])
→→→→→ bob@r.test
→→Total requests: 1
`)
	short := &Row{ID: "6AMJ", Size: 12345, Arrival: sunday.AddDate(0, 0, 10), Body: "8BITMIME", Active: true,
		Reason: strings.Repeat("r", 61), Rcpts: []RowRcpt{{Address: strings.Repeat("a", 39)}}}
	held := &Row{ID: "0000000000000ABCD", Arrival: sunday, Sender: strings.Repeat("s", 79), Held: true, HoldReason: "suspicious"}
	golden(t, "marks and cuts", list(t, sendmail(4, false), short, held, &Row{ID: "gone", Gone: true}, &Row{ID: "lost", Lost: true, Arrival: sunday}), `
→→/var/spool/mqueue (4 requests)
-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------
         6AMJ*   12345 Wed Dec  2 19:55 MAILER-DAEMON
      8BITMIME   (rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr)
→→→→→ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
0000000000000ABCD        0 Sun Nov 22 19:55 ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss
     QUARANTINE: suspicious
         gone (job completed)
         lost?       0 Sun Nov 22 19:55 MAILER-DAEMON
→→Total requests: 4
`)
	golden(t, "verbose", list(t, sendmail(1, true), root), `
→→/var/spool/mqueue (1 request)
-----Q-ID----- --Size-- -Priority- ---Q-Time--- --------Sender/Recipient--------
6AMJtXGL000121        2      30042+Nov 22 19:55 root
                 (Deferred: Connection refused by [127.0.0.1])
→→→→→→bob@r.test
→→ (Deferred: Connection refused by [127.0.0.1])
→→Total requests: 1
`)
	golden(t, "all gone meanwhile", list(t, sendmail(1, false)), `
→→/var/spool/mqueue (1 request)
-----Q-ID----- --Size-- -----Q-Time----- ------------Sender/Recipient-----------
→→Total requests: 1
`)
}

func TestCutsKeepCharactersWhole(t *testing.T) {
	var p page
	p.cut(strings.Repeat("é", 20), 9)
	if got := string(p.buf); got != "éééé" {
		t.Errorf("%q", got)
	}
}

func TestTheLayoutsReportWriteErrors(t *testing.T) {
	full := errors.New("full")
	for _, l := range []Layout{PostfixLayout(failing{full}), SendmailLayout(failing{full}, "/q", 5, false)} {
		var err error
		for range 10_000 {
			if err = l.Row(sample()); err != nil {
				break
			}
		}
		if err != full || l.End() != full {
			t.Errorf("%v", err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestReaders has the rules by which monitoring programs read listings.
func TestReaders(t *testing.T) {
	two, one := sample(), sample()
	two.ID, one.ID = "0000000000000ABCD", "0000000000001ABCD"
	pfEmpty, pf := list(t, PostfixLayout), list(t, PostfixLayout, one, two)
	sm, smEmpty := list(t, sendmail(2, false), one, two), list(t, sendmail(0, false))
	lines := strings.Split(strings.TrimSuffix(pf, "\n"), "\n")
	last := lines[len(lines)-1]

	for _, c := range []struct {
		reader, rule, text string
		want               string // the first group, or the match
	}{
		{"check_mailq -M postfix", `Kbytes in (\d+)`, last, "2"},
		{"check_mailq -M postfix, empty", `Mail queue is empty`, strings.Split(pfEmpty, "\n")[0], "Mail queue is empty"},
		{"check_mailq -M sendmail", ` \((\d+) request`, sm, "2"},
		{"check_mailq -M sendmail, total", `(?im)^\s+Total\sRequests:\s(\d+)$`, sm, "2"},
		{"check_mailq -M sendmail, empty", `(?im)^\s+Total\sRequests:\s(\d+)$`, smEmpty, "0"},
		{"mackerel", `^-- \d+ Kbytes in (\d+) Requests\.$`, last, "2"},
		{"exporters", `^-- (\d+) Kbytes in \d+ Request`, last, "0"},
		{"exporters, empty", `^Mail queue is empty\n$`, pfEmpty, pfEmpty},
	} {
		m := regexp.MustCompile(c.rule).FindStringSubmatch(c.text)
		if m == nil || m[len(m)-1] != c.want {
			t.Errorf("%s: %q", c.reader, m)
		}
	}
	if f := strings.Fields(last); f[1] != "0" || f[4] != "2" {
		t.Errorf("netdata, awk: %q", f)
	}
	if n := len(regexp.MustCompile(`(?m)^[0-9A-Z]`).FindAllString(pf, -1)); n != 2 {
		t.Errorf("grep -c '^[0-9A-Z]' counts %d", n)
	}
	if n := len(regexp.MustCompile(`(?m)^[A-F0-9]{10,}`).FindAllString(pf, -1)); n != 2 {
		t.Errorf("grep -c '^[A-F0-9]\\{10,\\}' counts %d", n)
	}
}

// TestParagraphs is `mailq | tail -n +2 | awk 'BEGIN{RS=""} /bob@r.test/ {print $1}' | tr -d '*!'`.
func TestParagraphs(t *testing.T) {
	var rows []*Row
	for i := range 3 {
		r := sample()
		r.ID, r.Active, r.Held = fmt.Sprintf("000000000000%dABCD", i), i == 0, i == 1
		rows = append(rows, r)
	}
	_, body, _ := strings.Cut(list(t, PostfixLayout, rows...), "\n")
	var ids []string
	for _, paragraph := range strings.Split(body, "\n\n") {
		if strings.Contains(paragraph, "bob@r.test") {
			ids = append(ids, strings.Trim(strings.Fields(paragraph)[0], "*!"))
		}
	}
	if fmt.Sprint(ids) != "[0000000000000ABCD 0000000000001ABCD 0000000000002ABCD]" {
		t.Errorf("%q", ids)
	}
}

func BenchmarkLayouts(b *testing.B) {
	for name, layout := range map[string]func(io.Writer) Layout{
		"postfix": PostfixLayout, "sendmail": sendmail(10_000, false), "verbose": sendmail(10_000, true),
	} {
		b.Run(name, func(b *testing.B) {
			row := sample()
			row.ID, row.Reason = "0000000000000ABCD", row.Rcpts[1].Reason
			b.ReportAllocs()
			for b.Loop() {
				l := layout(io.Discard)
				for range 10_000 {
					_ = l.Row(row)
				}
				_ = l.End()
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	argv := words("/usr/sbin/sendmail -FCronDaemon -i -B8BITMIME -oem root@example.org")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Parse(argv)
	}
}
