package dsn

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/emersion/go-message"

	"postrider/internal/status"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	arrival = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	last    = time.Date(2026, 11, 24, 13, 0, 0, 0, time.UTC)
	end     = time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
)

const originalText = "Received: from client by mail.example.org\r\nFrom: Alice <alice@example.org>\r\nTo: bob@example.net\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from\r\n here\r\nMessage-ID: <1@example.org>\r\n\r\nHello\r\n--not-our-boundary\r\n"

func section(s string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))
}

func report(rcpts ...Rcpt) *Report {
	return &Report{
		ID: "0006A2F00000000AAAA", Date: last, ReportingMTA: "mail.example.org", To: "alice@example.org",
		MessageID: "00061E9C55D8F0BBBB", Arrival: arrival, Original: section(originalText), Rcpts: rcpts,
		boundary: "=_BOUNDARY",
	}
}

func as(a Action, r Rcpt) Rcpt { r.Action = a; return r }

func with(r *Report, f func(*Report)) *Report { f(r); return r }

var (
	unknown = Rcpt{Address: "bob@example.net", ORcpt: "rfc822;Bob+2BList@example.net", Action: Failed, Remote: "mx.example.net[192.0.2.7]:25",
		Status: status.Remote("rcpt", 550, "5.1.1 <bob@example.net>: no such user here, and this reply goes on for so long that it has to be folded"), LastAttempt: last}
	expired = Rcpt{Address: "carol@example.com", Action: Failed, LastAttempt: last,
		Status: status.New("connect", 451, status.Code{4, 4, 1}, "connect to mx.example.com[192.0.2.9]:25: connection timed out", nil)}
	late = Rcpt{Address: "dave@example.com", Action: Delayed, Remote: "mx.example.com[192.0.2.9]:25", LastAttempt: last, WillRetryUntil: end,
		Status: status.Remote("data", 452, "4.3.1 disk full")}
	tooLate = Rcpt{Address: "dave@example.com", Action: Failed, LastAttempt: last,
		Status: status.New("queuerun", 554, status.Code{5, 4, 7}, "delivery time expired", nil)}
	done = Rcpt{Address: "erin@example.org", ORcpt: "rfc822;erin@example.org", Action: Delivered, LastAttempt: last,
		Status: status.New("local", 250, status.Code{2, 0, 0}, "delivered to mailbox", nil)}
	passed = Rcpt{Address: "frank@example.com", Action: Relayed, Remote: "mx.example.com[192.0.2.9]:25", LastAttempt: last,
		Status: status.Remote("data", 250, "ok: queued as 1234")}
	foreign = Rcpt{Address: "jörg@bücher.example", ORcpt: `utf-8;j\x{F6}rg@b\x{FC}cher.example`, Action: Failed, Remote: "mx.bücher.example[192.0.2.9]:25",
		Status: status.Remote("rcpt", 550, "5.1.1 unbekannt: jörg"), LastAttempt: last}
)

var goldens = []struct {
	name string
	r    *Report
}{
	{"failure", with(report(unknown, expired), func(r *Report) { r.EnvID = "QQ+2B314159" })},
	{"failure-hdrs", with(report(unknown), func(r *Report) { r.Ret = "HDRS" })},
	{"failure-large", with(report(unknown), func(r *Report) {
		r.Original = section("Subject: large\r\n\r\n" + strings.Repeat("0123456789\r\n", maxFull/12))
	})},
	{"failure-8bit", with(report(unknown), func(r *Report) {
		r.Original = section("Subject: Gr\xfc\xdfe\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n")
	})},
	{"failure-plain", with(report(expired), func(r *Report) { r.Original = section("Subject: plain\r\n\r\nbody\r\n") })},
	{"delay", report(late)},
	{"overdue", with(report(as(Overdue, late), as(Traced, passed)), func(r *Report) { r.By = arrival.Add(time.Hour) })},
	{"too-late", with(report(tooLate), func(r *Report) { r.By = arrival.Add(time.Hour) })},
	{"success", with(report(done, passed), func(r *Report) { r.Ret = "FULL" })},
	{"mixed", report(done, late, unknown)},
	{"double", with(report(unknown), func(r *Report) { r.To, r.Double = "postmaster@example.org", true })},
	{"utf8", with(report(foreign), func(r *Report) {
		r.UTF8, r.To = true, "ålice@example.org"
		r.Original = section("Subject: Grüße\r\nFrom: ålice@example.org\r\n\r\nHallo\r\n")
	})},
	{"utf8-hdrs", with(report(foreign), func(r *Report) {
		r.UTF8, r.To, r.Ret = true, "ålice@example.org", "HDRS"
		r.Original = section("Subject: Grüße\r\nFrom: ålice@example.org\r\n\r\nHallo\r\n")
	})},
	{"foreign-address", report(foreign)},
}

func written(t testing.TB, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, g := range goldens {
		path := filepath.Join("testdata", g.name+".eml")
		got := written(t, g.r)
		checkReport(t, g.name, got, g.r)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs from %s; it is now:\n%s", g.name, path, got)
		}
	}
}

// checkReport reads a report with an independent reader and returns the bodies of its parts.
func checkReport(t testing.TB, name, text string, r *Report) (bodies []string) {
	t.Helper()
	if ends := strings.Count(text, "\r\n"); strings.Count(text, "\r") != ends || strings.Count(text, "\n") != ends {
		t.Fatalf("%s: a CR or LF alone", name)
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 998 {
			t.Fatalf("%s: a line of %d bytes", name, len(line))
		}
	}
	e, err := message.Read(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	checkHeader(t, name, e)
	mr := e.MultipartReader()
	if mr == nil {
		t.Fatalf("%s: not multipart", name)
	}
	eight := false
	for {
		p, err := mr.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: part %d: %v", name, len(bodies)+1, err)
		}
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatalf("%s: part %d: %v", name, len(bodies)+1, err)
		}
		encoding := p.Header.Get("Content-Transfer-Encoding")
		if encoding == "7bit" && !isASCII(string(body)) {
			t.Errorf("%s: part %d is not 7bit", name, len(bodies)+1)
		}
		eight = eight || encoding == "8bit"
		bodies = append(bodies, string(body))
	}
	if len(bodies) != 3 {
		t.Fatalf("%s: %d parts", name, len(bodies))
	}
	if got := e.Header.Get("Content-Transfer-Encoding") == "8bit"; got != eight {
		t.Errorf("%s: outer 8bit is %v, inner %v", name, got, eight)
	}
	for _, c := range strings.ReplaceAll(bodies[0]+bodies[1], "\r\n", "") {
		if !unicode.IsPrint(c) {
			t.Fatalf("%s: %U in a text", name, c)
		}
	}
	checkFields(t, name, bodies[1], r)
	return bodies
}

func checkHeader(t testing.TB, name string, e *message.Entity) {
	t.Helper()
	allowed := []string{"Date", "From", "To", "Subject", "Message-Id", "In-Reply-To", "References", "Auto-Submitted",
		"Mime-Version", "Content-Type", "Content-Transfer-Encoding"}
	seen := map[string]bool{}
	for fields := e.Header.Fields(); fields.Next(); {
		if seen[fields.Key()] || !slices.Contains(allowed, fields.Key()) {
			t.Errorf("%s: field %s: %q", name, fields.Key(), fields.Value())
		}
		seen[fields.Key()] = true
	}
	kind, params, err := e.Header.ContentType()
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Errorf("%s: %s %v %v", name, kind, params, err)
	}
	if e.Header.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("%s: not marked as automatic", name)
	}
}

// checkFields reads the part for programs: a block of fields for the message and one for each recipient.
func checkFields(t testing.TB, name, body string, r *Report) {
	t.Helper()
	allowed := []string{"Original-Envelope-Id", "Reporting-Mta", "Arrival-Date", "Deliver-By-Date", "X-Postrider-Queue-Id", "Original-Recipient",
		"Final-Recipient", "Action", "Status", "Remote-Mta", "Diagnostic-Code", "Last-Attempt-Date", "Will-Retry-Until"}
	blocks := strings.Split(strings.TrimSuffix(body, "\r\n"), "\r\n\r\n")
	if len(blocks) != 1+len(r.Rcpts) {
		t.Fatalf("%s: %d blocks of fields for %d recipients", name, len(blocks), len(r.Rcpts))
	}
	for i, block := range blocks {
		e, err := message.Read(strings.NewReader(block + "\r\n\r\n"))
		if err != nil {
			t.Fatalf("%s: block %d: %v", name, i, err)
		}
		seen := map[string]bool{}
		for fields := e.Header.Fields(); fields.Next(); {
			if seen[fields.Key()] || !slices.Contains(allowed, fields.Key()) {
				t.Errorf("%s: block %d: field %s: %q", name, i, fields.Key(), fields.Value())
			}
			seen[fields.Key()] = true
		}
		if i == 0 {
			continue
		}
		action, code := string(r.Rcpts[i-1].Action), r.Rcpts[i-1].Status.Code().String()
		switch Action(action) { // RFC 2852 adds no actions
		case Overdue:
			action, code = "delayed", "4.4.7"
		case Traced:
			action = "relayed"
		}
		if e.Header.Get("Action") != action || e.Header.Get("Status") != code {
			t.Errorf("%s: block %d: %s", name, i, block)
		}
	}
}

func TestWhatIsReturned(t *testing.T) {
	big, huge := strings.Repeat("0123456789\r\n", maxFull/12), strings.Repeat("0123456789\r\n", maxAsked/12)
	const head = "Subject: x\r\n"
	for _, c := range []struct {
		name, ret string
		rcpt      Rcpt
		body      string
		whole     bool
	}{
		{"a failed message comes back", "", unknown, "text\r\n", true},
		{"not against HDRS", "hdrs", unknown, "text\r\n", false},
		{"a large one does not", "", unknown, big, false},
		{"unless FULL is asked for", "FULL", unknown, big, true},
		{"a huge one never does", "FULL", unknown, huge, false},
		{"a late one does not, whatever is asked for", "FULL", late, "text\r\n", false},
		{"a delivered one does not", "FULL", done, "text\r\n", false},
	} {
		r := report(c.rcpt)
		r.Ret, r.Original = c.ret, section(head+"\r\n"+c.body)
		got := checkReport(t, c.name, written(t, r), r)[2]
		want := head
		if c.whole {
			want = head + "\r\n" + c.body
		}
		if got != want {
			t.Errorf("%s: %d bytes returned", c.name, len(got))
		}
	}
}

func TestOriginalsOfEveryShape(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, c := range []struct{ name, in, whole, header string }{
		{"nothing", "", "", ""},
		{"no header", "hello\r\n", "hello\r\n", ""},
		{"no body", "A: 1\r\n", "A: 1\r\n", "A: 1\r\n"},
		{"no last line end", "A: 1", "A: 1", "A: 1"},
		{"line ends of all kinds", "A: 1\nB:\r2\r\n\nx\r", "A: 1\r\nB: 2\r\n\r\nx ", "A: 1\r\nB: 2\r\n"},
		{"a long line", "A: 1\r\n\r\n" + long, "A: 1\r\n\r\n" + long[:994] + "\r\n " + long[:993] + "\r\n " + long[:993] + "\r\n " + long[:20], "A: 1\r\n"},
		{"text ends the header", "A: 1\r\nno field\r\nB: 2\r\n\r\n", "A: 1\r\nno field\r\nB: 2\r\n\r\n", "A: 1\r\n"},
	} {
		for _, ret := range []string{"FULL", "HDRS"} {
			r := report(unknown)
			r.Ret, r.Original = ret, section(c.in)
			want := map[string]string{"FULL": c.whole, "HDRS": c.header}[ret]
			if got := checkReport(t, c.name, written(t, r), r)[2]; got != want {
				t.Errorf("%s, %s: %q", c.name, ret, got)
			}
		}
	}
}

func TestAnEndlessHeaderIsCut(t *testing.T) {
	for _, in := range []string{strings.Repeat("A: 1\r\n", maxHeader), "A: " + strings.Repeat("x", 2*maxHeader)} {
		r := report(unknown)
		r.Ret, r.Original = "HDRS", section(in)
		if got := checkReport(t, "endless", written(t, r), r)[2]; len(got) > maxHeader+maxHeader/100 || len(got) < maxHeader/2 {
			t.Errorf("%d bytes returned", len(got))
		}
	}
}

func TestThreading(t *testing.T) {
	for _, c := range []struct{ name, header, id string }{
		{"the message's ID", "Message-ID: <a@b>\r\n", "<a@b>"},
		{"folded", "Message-Id:\r\n <a@b>\r\n", "<a@b>"},
		{"the first of two", "message-id: <a@b>\r\nMessage-ID: <c@d>\r\n", "<a@b>"},
		{"not one with a blank", "Message-ID: <a b@c>\r\n", ""},
		{"not two", "Message-ID: <a@b> <c@d>\r\n", ""},
		{"not one beyond ASCII", "Message-ID: <\xc3\xa4@b>\r\n", ""},
		{"not an endless one", "Message-ID: <" + strings.Repeat("a", 300) + "@b>\r\n", ""},
		{"not one in the body", "A: 1\r\n\r\nMessage-ID: <a@b>\r\n", ""},
	} {
		r := report(unknown)
		r.Original = section(c.header + "\r\n")
		e, err := message.Read(strings.NewReader(written(t, r)))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Header.Get("In-Reply-To"); got != c.id || e.Header.Get("References") != c.id {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestAdviceFitsTheCode(t *testing.T) {
	for _, c := range []struct {
		code status.Code
		want string
	}{
		{status.Code{5, 1, 1}, "no such mailbox"}, {status.Code{5, 1, 2}, "no such mail domain"}, {status.Code{5, 1, 10}, "takes no mail"},
		{status.Code{5, 1, 3}, "check the address"}, {status.Code{4, 2, 2}, "full"}, {status.Code{5, 3, 4}, "too large"},
		{status.Code{5, 4, 6}, "in circles"}, {status.Code{5, 4, 7}, "more time"}, {status.Code{4, 4, 1}, "out of reach"}, {status.Code{5, 6, 7}, "internationalized"},
		{status.Code{5, 7, 1}, "rules"}, {status.Code{5, 0, 0}, "postmaster"},
	} {
		if got := advice(c.code); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q", c.code, got)
		}
	}
}

func TestErrorsOfReaderAndWriterAreTold(t *testing.T) {
	broken := errors.New("broken")
	r := report(unknown)
	r.Original = io.NewSectionReader(badReader{broken}, 0, 100)
	if err := Write(io.Discard, r); !errors.Is(err, broken) {
		t.Errorf("reading: %v", err)
	}
	r = report(unknown, expired)
	size := len(written(t, r))
	for n := 0; n < size; n += 61 {
		if err := Write(&shortWriter{left: n, err: broken}, r); !errors.Is(err, broken) {
			t.Fatalf("writing %d bytes: %v", n, err)
		}
	}
}

type badReader struct{ err error }

func (b badReader) ReadAt([]byte, int64) (int, error) { return 0, b.err }

type shortWriter struct {
	left int
	err  error
}

func (s *shortWriter) Write(p []byte) (int, error) {
	if len(p) > s.left {
		return 0, s.err
	}
	s.left -= len(p)
	return len(p), nil
}

func TestManyRecipients(t *testing.T) {
	r := report()
	for i := range 10_000 {
		rcpt := unknown
		rcpt.Address = fmt.Sprintf("user%d@example.net", i)
		r.Rcpts = append(r.Rcpts, rcpt)
	}
	checkReport(t, "many", written(t, r), r)
}

func TestWireWriter(t *testing.T) {
	umlauts := strings.Repeat("ü", 1000)
	for _, c := range []struct{ name, in, want string }{
		{"a long line is split between characters", umlauts, umlauts[:994] + "\r\n " + umlauts[994:1988] + "\r\n " + umlauts[1988:]},
		{"or anywhere where there are none", strings.Repeat("\x80", 1000), strings.Repeat("\x80", 998) + "\r\n \x80\x80"},
	} {
		var b bytes.Buffer
		o := &original{text: section(c.in)}
		if err := o.write(&b); err != nil || b.String() != c.want {
			t.Errorf("%s: %d bytes, %v", c.name, b.Len(), err)
		}
	}
}

func TestMemoryDoesNotGrowWithTheMessage(t *testing.T) {
	r := report(unknown)
	r.Ret, r.Original = "FULL", section("Subject: x\r\n\r\n"+strings.Repeat("0123456789\r\n", maxAsked/12-10))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := Write(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated for a message of %d", used, r.Original.Size())
	}
}
