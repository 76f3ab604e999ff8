package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

var testTime = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func testSpool(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "spool"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testEnvelope(rcpts ...string) Envelope {
	e := Envelope{Arrival: testTime, Sender: "alice@example.org", UID: -1}
	for _, r := range rcpts {
		e.Rcpts = append(e.Rcpts, Rcpt{Address: r})
	}
	return e
}

// submit commits a message and fails the test when it cannot.
func submit(t testing.TB, s *Spool, e Envelope, text string) Entry {
	t.Helper()
	entry, err := trySubmit(s, e, text)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func trySubmit(s *Spool, e Envelope, text string) (Entry, error) {
	d, err := s.NewDraft(e)
	if err != nil {
		return Entry{}, err
	}
	if _, err := io.WriteString(d, text); err != nil {
		d.Abort()
		return Entry{}, err
	}
	return d.Commit()
}

func names(t testing.TB, s *Spool, dir string) []string {
	t.Helper()
	var list []string
	if err := s.fs.ReadDir(s.path(dir), func(n string) error { list = append(list, n); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func claim(t testing.TB, s *Spool, id ID) *Claim {
	t.Helper()
	e, err := s.Find(id)
	if err != nil {
		t.Fatalf("find %s: %v", id, err)
	}
	c, err := s.Claim(e)
	if err != nil {
		t.Fatalf("claim %s: %v", id, err)
	}
	return c
}

const testText = "Subject: hello\r\n\r\nbody\r\n.dot\r\n"

func TestMessageGoesThroughAllStates(t *testing.T) {
	s := testSpool(t, Options{Now: func() time.Time { return testTime }})
	e := submit(t, s, testEnvelope("bob@r.test", "carol@r.test"), testText)
	if e.State != New || e.ID.Time().Before(testTime) {
		t.Errorf("committed as %v at %v", e.State, e.ID.Time())
	}
	c := claim(t, s, e.ID)
	if _, err := s.Claim(e); err != ErrBusy {
		t.Errorf("a second claim: %v", err)
	}
	body, err := io.ReadAll(c.Body())
	if string(body) != testText || err != nil {
		t.Errorf("body %q, %v", body, err)
	}
	if err := c.Record(Record{Time: testTime, Kind: Delivered, Rcpts: One(0), Reply: 250, Code: status.Code{2, 0, 0}, Relay: "mx[192.0.2.1]:25", Text: "ok"}); err != nil {
		t.Fatal(err)
	}
	due := testTime.Add(5 * time.Minute)
	if err := c.Defer(due); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(e); err != ErrGone {
		t.Errorf("a claim by the old name: %v", err)
	}
	c = claim(t, s, e.ID)
	if c.Entry.State != Cur || !c.Entry.Due.Equal(due) || !c.History.Done(0) || c.History.Done(1) {
		t.Errorf("deferred as %+v, history %+v", c.Entry, c.History)
	}
	if err := c.Hold("suspicious"); err != nil {
		t.Fatal(err)
	}
	c = claim(t, s, e.ID)
	if c.Entry.State != Held || c.History.HoldReason() != "suspicious" {
		t.Errorf("held as %+v, %q", c.Entry, c.History.HoldReason())
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	c = claim(t, s, e.ID)
	if c.Entry.State != Cur || !c.Entry.Due.Equal(testTime) || c.History.HoldReason() != "" || !c.History.Done(0) {
		t.Errorf("released as %+v", c.Entry)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{tmpDir, newDir, curDir, holdDir, corruptDir, journalDir} {
		if n := names(t, s, dir); len(n) != 0 {
			t.Errorf("%s holds %v at the end", dir, n)
		}
	}
	if _, err := s.Find(e.ID); err != ErrGone {
		t.Errorf("find after the end: %v", err)
	}
}

func TestEnvelopeComesBackAsItWas(t *testing.T) {
	s := testSpool(t, Options{})
	e := Envelope{
		Arrival: testTime.Add(123456 * time.Microsecond), Sender: `"a \" b
c"@x.test`, UID: 1000, User: "al ice", Client: "x[192.0.2.1]", Proto: "ESMTP",
		Ret: "HDRS", EnvID: "a+20b", Body: "8BITMIME", UTF8: true, Auth: "<>", Tag: "cron\n", NoAlias: true,
		Login: "al ice@x.test", By: testTime.Add(90 * time.Minute), ByNotify: true, ByTrace: true, Release: testTime.Add(time.Hour + time.Microsecond),
		Rcpts: []Rcpt{
			{Address: "bob@r.test", ORcpt: "rfc822;bob+40x", Notify: NotifySuccess | NotifyDelay},
			{Address: "\"x y\"@r.test", Notify: NotifyNever},
			{Address: "jörg@r.test"},
			{Address: "root@r.test", NoAlias: true},
		},
	}
	entry := submit(t, s, e, "\r\n")
	m, err := s.Read(entry)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []*time.Time{&m.Envelope.Arrival, &m.Envelope.By, &m.Envelope.Release} {
		*at = at.UTC()
	}
	if !reflect.DeepEqual(m.Envelope, e) {
		t.Errorf("got  %+v\nwant %+v", m.Envelope, e)
	}
	if m.Size != 2 {
		t.Errorf("size %d", m.Size)
	}
}

func TestUnknownFieldsAreKept(t *testing.T) {
	text := "version: 1\n" + string(measuredLine(Traits{})) + "arrival: 1.000002\nsender: \\\nfuture: a=b c\nrcpt: x\n\n"
	e, _, n, err := parseEnvelope([]byte(text))
	if err != nil || n != len(text) {
		t.Fatal(n, err)
	}
	if got := string(appendEnvelope(nil, &e)); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	s := testSpool(t, Options{})
	d, err := s.NewDraft(testEnvelope("bob@r.test"))
	if err != nil {
		t.Fatal(err)
	}
	d.Write(make([]byte, 2*blockSize))
	if n := names(t, s, tmpDir); len(n) != 1 {
		t.Errorf("tmp/ holds %v", n)
	}
	if err := d.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := d.Abort(); err != nil {
		t.Errorf("a second Abort: %v", err)
	}
	if n := append(names(t, s, tmpDir), names(t, s, newDir)...); len(n) != 0 {
		t.Errorf("left behind: %v", n)
	}
}

func TestAbortAfterCommitKeepsTheMessage(t *testing.T) {
	s := testSpool(t, Options{})
	d, err := s.NewDraft(testEnvelope("bob@r.test"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	d.Abort()
	if n := names(t, s, newDir); len(n) != 1 {
		t.Errorf("new/ holds %v", n)
	}
}

func TestDraftWithoutRecipientsIsRefused(t *testing.T) {
	s := testSpool(t, Options{})
	_, err := s.NewDraft(testEnvelope())
	if st := status.From(err); st.Exit() != status.ExitUsage {
		t.Errorf("%v, exit %d", err, st.Exit())
	}
}

func TestTraits(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, text string
		want       Traits
	}{
		{"an empty message has none", "", Traits{}},
		{"the longest line counts without its end", "a: b\r\n\r\nabc\r\n", Traits{MaxLine: 4, Header: 8}},
		{"a last line without an end counts", "a: b\r\n\r\nabcdef", Traits{MaxLine: 6, Header: 8}},
		{"a body may be 8-bit", "a: b\r\n\r\nb\xe9\r\n", Traits{EightBit: true, MaxLine: 4, Header: 8}},
		{"a header may be 8-bit", "a: \xe9\r\n\r\nb\r\n", Traits{EightBit: true, EightBitHeader: true, MaxLine: 4, Header: 8}},
		{"an 8-bit header without an end", "a: \xe9", Traits{EightBit: true, EightBitHeader: true, MaxLine: 4, Header: 4}},
		{"long lines", "a: b\r\n\r\n" + long + "\r\n" + long + "y\r\n", Traits{MaxLine: 100_001, Header: 8}},
		{"bare CR and LF", "a\rb\n\r\n", Traits{MaxLine: 3, Header: 6}},
	} {
		for _, step := range []int{1, 2, 3, 7, 1 << 20} {
			var m measure
			for p := []byte(c.text); len(p) > 0; {
				n := min(step, len(p))
				m.write(p[:n])
				p = p[n:]
			}
			got := m.finish()
			got.sum = 0
			if got != c.want {
				t.Errorf("%s, %d bytes at a time: %+v", c.name, step, got)
			}
		}
	}
}

func TestLargeMessageIsStoredWhole(t *testing.T) {
	s := testSpool(t, Options{})
	var rcpts []string
	for i := range 3000 {
		rcpts = append(rcpts, fmt.Sprintf("user%d@r.test", i))
	}
	text := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("y", 76)+"\r\n", 5000)
	d, err := s.NewDraft(testEnvelope(rcpts...))
	if err != nil {
		t.Fatal(err)
	}
	for p := text; p != ""; {
		n := min(len(p), 40_000)
		io.WriteString(d, p[:n])
		p = p[n:]
	}
	if d.Size() != int64(len(text)) {
		t.Errorf("size %d, want %d", d.Size(), len(text))
	}
	e, err := d.Commit()
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Claim(e)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body, _ := io.ReadAll(c.Body())
	if string(body) != text || len(c.Envelope.Rcpts) != 3000 || c.Traits.MaxLine != 76 {
		t.Errorf("%d bytes, %d recipients, %+v", len(body), len(c.Envelope.Rcpts), c.Traits)
	}
}

func TestDamagedFilesAreSetAside(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(path string) error
	}{
		{"a file cut short", func(p string) error { return os.Truncate(p, 40) }},
		{"an empty file", func(p string) error { return os.Truncate(p, 0) }},
		{"a changed byte", func(p string) error { return poke(p, -3, 'X') }},
		{"a foreign version", func(p string) error { return poke(p, 9, '2') }},
		{"a directory", func(p string) error { os.Remove(p); return os.Mkdir(p, 0o700) }},
		{"a FIFO", func(p string) error { os.Remove(p); return syscall.Mkfifo(p, 0o600) }},
		{"a link", func(p string) error { os.Rename(p, p+".moved"); return os.Symlink(p+".moved", p) }},
		{"a link to nothing", func(p string) error { os.Remove(p); return os.Symlink("nothing", p) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := testSpool(t, Options{})
			e := submit(t, s, testEnvelope("bob@r.test"), testText)
			other := submit(t, s, testEnvelope("bob@r.test"), testText)
			if err := c.damage(s.path(newDir, e.Name)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Claim(e); err != ErrCorrupt {
				t.Fatalf("claim: %v", err)
			}
			if n := names(t, s, corruptDir); len(n) != 1 || n[0] != e.Name {
				t.Errorf("corrupt/ holds %v", n)
			}
			claim(t, s, other.ID).Close()
		})
	}
}

func poke(path string, at int, b byte) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if at < 0 {
		at += len(text)
	}
	text[at] = b
	return os.WriteFile(path, text, 0o600)
}

func TestLinksAreNotFollowed(t *testing.T) {
	s := testSpool(t, Options{})
	e := submit(t, s, testEnvelope("bob@r.test"), testText)
	path := s.path(newDir, e.Name)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Rename(path, outside); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(e); err == nil {
		t.Error("a symbolic link was claimed")
	}
	if _, err := s.Read(e); err == nil {
		t.Error("a symbolic link was read")
	}
}

func TestTornJournalLinesArePassedOver(t *testing.T) {
	s := testSpool(t, Options{})
	e := submit(t, s, testEnvelope("a@r.test", "b@r.test", "c@r.test"), testText)
	c := claim(t, s, e.ID)
	for i := range 2 {
		if err := c.Record(Record{Time: testTime, Kind: Delivered, Rcpts: One(i), Text: fmt.Sprint("line ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	path := s.path(journalDir, string(e.ID))
	text, _ := os.ReadFile(path)
	os.WriteFile(path, text[:len(text)-5], 0o600)
	c = claim(t, s, e.ID)
	if !c.History.Done(0) || c.History.Done(1) {
		t.Errorf("history %+v", c.History)
	}
	if err := c.Record(Record{Time: testTime, Kind: Failed, Rcpts: One(2), Text: "after the torn line"}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c = claim(t, s, e.ID)
	defer c.Close()
	if r, ok := c.History.Last(2); !ok || r.Text != "after the torn line" {
		t.Errorf("a record after a torn line was lost: %+v", c.History)
	}
}

func TestRecordsOfAdjacentRecipientsAreOneLine(t *testing.T) {
	s := testSpool(t, Options{})
	rcpts := make([]string, 1000)
	records := make([]Record, 1000)
	for i := range rcpts {
		rcpts[i] = fmt.Sprintf("u%d@r.test", i)
		records[i] = Record{Time: testTime, Kind: Deferred, Rcpts: One(i), Reply: 451, Code: status.Code{4, 4, 1}, Text: "connection refused"}
	}
	records[500].Text = "other"
	e := submit(t, s, testEnvelope(rcpts...), testText)
	c := claim(t, s, e.ID)
	if err := c.Record(records...); err != nil {
		t.Fatal(err)
	}
	if n := len(c.History.Events()); n != 3 {
		t.Errorf("%d records", n)
	}
	c.Close()
	c = claim(t, s, e.ID)
	defer c.Close()
	for i, want := range records {
		got, ok := c.History.Last(i)
		if !ok || got.Text != want.Text || got.Code != want.Code || got.Reply != 451 {
			t.Fatalf("recipient %d: %+v", i, got)
		}
	}
	if c.History.Attempts() != 1 {
		t.Errorf("%d attempts", c.History.Attempts())
	}
}

func TestFinalOutcomesStay(t *testing.T) {
	h := newHistory(2)
	h.add(Record{Kind: Failed, Rcpts: One(0), Text: "first"})
	h.add(Record{Kind: Deferred, Rcpts: Span{0, 1}, Text: "second"})
	if r, _ := h.Last(0); r.Text != "first" {
		t.Errorf("recipient 0: %+v", r)
	}
	if r, _ := h.Last(1); r.Text != "second" {
		t.Errorf("recipient 1: %+v", r)
	}
	h.add(Record{Kind: Intent, Rcpts: One(0), ID: "R1"})
	if id, ok := h.Intended(0); id != "R1" || !ok || h.Reported(0) {
		t.Errorf("intended %v %v", id, ok)
	}
	h.add(Record{Kind: Reported, Rcpts: One(0), ID: "R1"})
	if _, ok := h.Intended(0); ok || !h.Reported(0) {
		t.Error("a committed report is still intended")
	}
}

func TestNames(t *testing.T) {
	const id = "0006563A1B2C3ZZ99"
	for _, c := range []struct {
		state State
		name  string
		ok    bool
	}{
		{New, id + ",S=12", true},
		{New, id + ",S=012", false},
		{New, id + ",S=-1", false},
		{New, id + ",S=", false},
		{New, id + ",S=12:2,5", false},
		{Cur, id + ",S=12:2,5", true},
		{Cur, id + ",S=12", false},
		{Cur, id + ",S=12:2,", false},
		{Cur, id + ",S=12:2,5x", false},
		{Held, id + ",S=0", true},
		{New, "0006563a1b2c3ZZ99,S=12", false},
		{New, id[:16] + ",S=12", false},
		{New, "", false},
		{New, ".nfs0000000000000001", false},
		{Corrupt, "anything", true},
	} {
		if _, ok := parseName(c.state, c.name); ok != c.ok {
			t.Errorf("%v %q: %v", c.state, c.name, ok)
		}
	}
}

func TestIDsAreUniqueAndSorted(t *testing.T) {
	last := ID("")
	for range 10_000 {
		id := newID(testTime) // the clock stands still
		if id <= last || !validID(string(id)) {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
}

func TestRecoverTakesOnlyOldDebris(t *testing.T) {
	now := time.Now()
	s := testSpool(t, Options{Now: func() time.Time { return now }})
	keep := submit(t, s, testEnvelope("bob@r.test"), testText)
	c := claim(t, s, keep.ID)
	c.Record(Record{Time: now, Kind: Deferred, Rcpts: One(0)})
	c.Close()
	d, err := s.NewDraft(testEnvelope("bob@r.test"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	d.Write(make([]byte, 2*blockSize))
	os.WriteFile(s.path(tmpDir, "0006563A1B2C3ZZ99"), []byte("left over"), 0o600)
	os.WriteFile(s.path(journalDir, "0006563A1B2C3ZZ98"), []byte("left over"), 0o600)
	os.WriteFile(s.path(newDir, "README"), []byte("foreign"), 0o600)
	os.WriteFile(s.path(corruptDir, "README"), []byte("foreign too"), 0o600)

	r, err := s.Recover()
	if err != nil || r != (Recovered{Foreign: 1}) {
		t.Errorf("young debris: %+v, %v", r, err)
	}
	now = now.Add(staleAge + time.Minute)
	r, err = s.Recover()
	if err != nil || r != (Recovered{Drafts: 1, Journals: 1}) {
		t.Errorf("old debris: %+v, %v", r, err)
	}
	if n := names(t, s, tmpDir); len(n) != 1 || n[0] != string(d.ID()) {
		t.Errorf("tmp/ holds %v", n)
	}
	if n := names(t, s, journalDir); len(n) != 1 || n[0] != string(keep.ID) {
		t.Errorf("journal/ holds %v", n)
	}
	if n := names(t, s, corruptDir); len(n) != 2 {
		t.Errorf("corrupt/ holds %v", n)
	}
}

func TestListIsSortedAndWhole(t *testing.T) {
	s := testSpool(t, Options{})
	var want []ID
	for i := range 20 {
		e := submit(t, s, testEnvelope("bob@r.test"), testText)
		want = append(want, e.ID)
		c := claim(t, s, e.ID)
		switch i % 3 {
		case 0:
			c.Record(Record{Time: testTime, Kind: Deferred, Rcpts: One(0), Text: "refused"})
			c.Defer(testTime)
		case 1:
			c.Hold("because")
		default:
			c.Close()
		}
	}
	os.WriteFile(s.path(newDir, "0006563A1B2C3ZZ99,S=3"), []byte("bad"), 0o600)
	var got []ID
	err := s.List(New|Cur|Held, func(m *Message) error {
		got = append(got, m.ID)
		if r, ok := m.History.Last(0); (m.State == Cur) != (ok && r.Text == "refused") {
			t.Errorf("%s in %v: %+v", m.ID, m.State, r)
		}
		return nil
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
}

func TestBusyMessagesShow(t *testing.T) {
	s := testSpool(t, Options{})
	e := submit(t, s, testEnvelope("bob@r.test"), testText)
	c := claim(t, s, e.ID)
	defer c.Close()
	m, err := s.Read(e)
	if err != nil || !m.Busy {
		t.Errorf("busy %v, %v", m != nil && m.Busy, err)
	}
}

func TestDaemonLock(t *testing.T) {
	s := testSpool(t, Options{})
	if s.Running() {
		t.Error("running before it was started")
	}
	release, err := s.LockRun()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LockRun(); err != ErrRunning || !s.Running() {
		t.Errorf("a second daemon: %v", err)
	}
	release()
	if s.Running() {
		t.Error("running after its end")
	}
}

// Each submission looks whether a daemon runs. That must not keep one from starting.
func TestDaemonStartsWhileOthersLook(t *testing.T) {
	s := testSpool(t, Options{})
	stop := make(chan struct{})
	var looking sync.WaitGroup
	for range 2 {
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.Running()
				}
			}
		})
	}
	defer looking.Wait()
	defer close(stop)
	for range 500 {
		release, err := s.LockRun()
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
}

func TestWatchSeesWhatIsAccepted(t *testing.T) {
	s := testSpool(t, Options{})
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := submit(t, s, testEnvelope("bob@r.test"), testText)
	got := <-ch
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	c, err := s.Claim(got)
	if err != nil {
		t.Fatalf("the message that woke us: %v", err)
	}
	c.Defer(testTime)
	if got := <-ch; got.ID != want.ID || got.State != Cur {
		t.Errorf("deferred: %+v", got)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	for _, c := range []struct {
		name, root string
		exit       int
	}{
		{"a file in the way is configuration", filepath.Join(dir, "file", "spool"), status.ExitConfig},
		{"no permission is temporary", "/proc/spool", status.ExitTempFail},
	} {
		_, err := Open(c.root, Options{})
		if st := status.From(err); st == nil || st.Exit() != c.exit {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Who only looks may look at anybody's spool.
func TestOpenRefusesWhatOthersCanWriteTo(t *testing.T) {
	shared, foreign := t.TempDir(), t.TempDir()
	if err := os.Chmod(shared, 0o1777); err != nil {
		t.Fatal(err)
	}
	roots := map[string]string{shared: "writable by everybody"}
	if os.Geteuid() == 0 {
		if err := os.Chown(foreign, 1, 1); err != nil {
			t.Fatal(err)
		}
		roots[foreign] = "belongs to user 1 "
	}
	for root, why := range roots {
		_, err := Open(root, Options{})
		if st := status.From(err); st.Exit() != status.ExitConfig || !strings.Contains(err.Error(), why) {
			t.Errorf("want %q, got %v", why, err)
		}
		if names, _ := os.ReadDir(root); len(names) > 0 {
			t.Errorf("%q were made", names)
		}
		if _, err := Open(root, Options{NoCreate: true}); err != nil {
			t.Errorf("looking: %v", err)
		}
	}
}

func TestRootMayBeALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(t.TempDir(), dir+"/link"); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir+"/link", Options{})
	if err != nil {
		t.Fatal(err)
	}
	claim(t, s, submit(t, s, testEnvelope("bob@r.test"), testText).ID).Close()
}

func TestOpenWithoutPermission(t *testing.T) {
	for _, c := range []struct {
		o    Options
		exit int
	}{
		{Options{}, status.ExitTempFail},
		{Options{NoCreate: true}, status.ExitNoPerm},
	} {
		f := fsys.NewFaulty(fsys.OS{})
		c.o.FS = f
		f.FailAt(1, 9, fs.ErrPermission, nil)
		if _, err := Open(t.TempDir(), c.o); status.From(err).Exit() != c.exit {
			t.Errorf("want %d: %v", c.exit, err)
		}
	}
}

func TestMeasuredLineHasOneLength(t *testing.T) {
	for _, traits := range []Traits{{}, {EightBit: true, EightBitHeader: true, MaxLine: 1 << 50, Header: 1<<32 - 1, sum: 1<<32 - 1}} {
		line := measuredLine(traits)
		var got Traits
		if len(line) != measuredLen || !got.parse(strings.TrimSuffix(string(line[len("measured: "):]), "\n")) {
			t.Errorf("%q", line)
		}
		traits.MaxLine = min(traits.MaxLine, 9999999999)
		if got != traits {
			t.Errorf("%+v, not %+v", got, traits)
		}
	}
}

func TestErrorsNameTheAct(t *testing.T) {
	f := fsys.NewFaulty(fsys.OS{})
	s := testSpool(t, Options{FS: f})
	f.FailAt(1, 1, fs.ErrPermission, func(op fsys.Op) bool { return op.Name == "rename" })
	_, err := trySubmit(s, testEnvelope("bob@r.test"), testText)
	if err == nil || !strings.Contains(err.Error(), "rename") || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
