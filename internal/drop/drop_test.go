package drop

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
	"postrider/queue"
)

var testTime = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

const (
	submitter = 4321
	spoolPath = "/spool"
	testText  = "Subject: hello\r\n\r\nbody\r\n.dot\r\n"
)

// request is what drop does for the submitter, with a spool in memory, or one whose operations fail.
func request(t testing.TB, wrap func(fsys.FS) fsys.FS) (*Request, *fsys.Crash, *queue.Spool) {
	t.Helper()
	c := fsys.NewCrash(spoolPath)
	s, err := queue.Open(spoolPath, queue.Options{FS: c})
	if err != nil {
		t.Fatal(err)
	}
	var f fsys.FS = c
	if wrap != nil {
		f = wrap(c)
	}
	box, err := queue.OpenDropbox(spoolPath, submitter, queue.Options{FS: f})
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Box: box, Spool: spoolPath, Limit: 100_000, UID: submitter, User: "alice", Now: func() time.Time { return testTime }}, c, s
}

// submission is what sendmail writes for an envelope and a text.
func submission(t testing.TB, e queue.Envelope, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, spoolPath)
	if err != nil {
		t.Fatal(err)
	}
	d, err := queue.HandOver("", e, sink{w})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(d, text); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type sink struct{ *Writer }

func (s sink) Commit() error { return s.End() }

func testEnvelope() queue.Envelope {
	return queue.Envelope{Arrival: time.UnixMicro(1), Sender: "alice@example.org", UID: -1, Ret: "HDRS", EnvID: "x", Tag: "t", NoAlias: true,
		Rcpts: []queue.Rcpt{{Address: "bob@r.test", Notify: queue.NotifyDelay, ORcpt: "rfc822;bob@r.test"}, {Address: "<not an address"}}}
}

func held(t testing.TB, s *queue.Spool) (n int) {
	t.Helper()
	n, err := s.Count(queue.New)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTake(t *testing.T) {
	for name, text := range map[string]string{"short": testText, "long": strings.Repeat(testText, 3000), "empty": ""} {
		r, _, s := request(t, nil)
		e := testEnvelope()
		e.UID, e.User, e.Client, e.Login, e.Auth, e.Proto = 0, "root", "mx[192.0.2.1]", "bob", "bob", "ESMTPS"
		e.By, e.Release = testTime, testTime
		var answer strings.Builder
		if err := r.Take(bytes.NewReader(submission(t, e, text)), &answer); err != nil {
			t.Fatal(name, err)
		}
		id, err := queue.ParseID(strings.TrimSuffix(answer.String(), "\n"))
		if err != nil {
			t.Fatal(name, err)
		}
		entry, err := s.Find(id)
		if err != nil {
			t.Fatal(name, err)
		}
		m, err := s.Read(entry)
		if err != nil {
			t.Fatal(name, err)
		}
		got := m.Envelope
		if got.UID != submitter || got.User != "alice" || got.Client+got.Login+got.Auth != "" || got.Proto != "local" || !got.By.IsZero() ||
			!got.Release.IsZero() || !got.Arrival.Equal(testTime) {
			t.Errorf("%s: what the input says of who submits it is kept: %+v", name, got)
		}
		if got.Sender != e.Sender || len(got.Rcpts) != 2 || got.Rcpts[0].Notify != queue.NotifyDelay || got.Rcpts[1].Address != "<not an address" ||
			got.Ret != "HDRS" || got.EnvID != "x" || got.Tag != "t" || !got.NoAlias {
			t.Errorf("%s: %+v", name, got)
		}
		body, err := s.Text(m)
		if err != nil {
			t.Fatal(name, err)
		}
		if b, err := io.ReadAll(body); string(b) != text || err != nil || m.Traits.EightBit {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

// A submission that ends too early, wherever that is, is not one.
func TestCutOffEverywhere(t *testing.T) {
	whole := submission(t, testEnvelope(), testText)
	for n := range whole {
		r, _, s := request(t, nil)
		err := r.Take(iotest.HalfReader(bytes.NewReader(whole[:n])), io.Discard)
		if got := status.From(err).Exit(); err == nil || got != status.ExitIOErr || held(t, s) > 0 {
			t.Fatalf("%d of %d bytes: exit status %d, %v, %d messages", n, len(whole), got, err, held(t, s))
		}
	}
}

// Any other byte in the framing is an error, and in the text it is only another text.
func TestOneByteChanged(t *testing.T) {
	whole := submission(t, testEnvelope(), testText)
	for i := range whole {
		for _, c := range []byte{0, '\n', '0', '9', ' ', 'x', 0xff} {
			r, f, s := request(t, nil)
			in := bytes.Clone(whole)
			in[i] = c
			err := r.Take(bytes.NewReader(in), io.Discard)
			if n := held(t, s); (err == nil) != (n == 1) {
				t.Fatalf("byte %d is %q: %v, %d messages", i, c, err, n)
			}
			drafts := 0
			f.ReadDir(spoolPath+"/tmp", func(string) error { drafts++; return nil })
			if drafts > 0 {
				t.Fatalf("byte %d is %q: a draft is left", i, c)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	big := strings.Repeat("0123456789abcde\n", 7000)
	frame := func(frames ...string) string { return "spool 6:/spool\n" + strings.Join(frames, "") }
	lines := testEnvelope()
	lines.Rcpts[0].Address = "a>\r\nDATA"
	for _, c := range []struct {
		name, in string
		exit     int
		says     string
	}{
		{"nothing", "", status.ExitIOErr, "cut off"},
		{"a message", testText, status.ExitDataErr, "not a submission"},
		{"another spool", "spool 6:/other\ntext 1:x\nend 1:1\n", status.ExitConfig, "another spool"},
		{"no spool", "text 1:x\nend 1:1\n", status.ExitDataErr, "begin with the spool"},
		{"no text", frame("end 1:0\n"), status.ExitDataErr, "ends in its envelope"},
		{"an unknown frame", frame("file 11:/etc/shadow\n"), status.ExitDataErr, "unknown frame"},
		{"an empty text", frame("text 0:\n"), status.ExitDataErr, "unknown frame"},
		{"a huge frame", frame("text 262145:"), status.ExitDataErr, "framing"},
		{"a negative length", frame("text -1:\n"), status.ExitDataErr, "framing"},
		{"a length with zeros", frame("text 01:x\n"), status.ExitDataErr, "framing"},
		{"a length that overflows", frame("text 99999999999999999999:x\n"), status.ExitDataErr, "framing"},
		{"a long key", frame(strings.Repeat("x", 100)), status.ExitDataErr, "framing"},
		{"no line end", frame("text 1:xx"), status.ExitDataErr, "framing"},
		{"no envelope", frame("text 4:x\n\ny\n"), status.ExitDataErr, "no envelope"},
		{"an envelope without end", frame(strings.Repeat("text 100000:"+strings.Repeat("x", 100_000)+"\n", maxEnvelope/100_000+1)), status.ExitDataErr, "no envelope"},
		{"too large", string(submission(t, testEnvelope(), big)), status.ExitUnavailable, "exceeds limit of 100000 bytes"},
		{"a recipient of two lines", string(submission(t, lines, testText)), status.ExitDataErr, "bad characters in recipient 1"},
		{"a wrong sum", strings.Replace(string(submission(t, testEnvelope(), testText)), "end 3:", "end 3:1", 1), status.ExitDataErr, "framing"},
	} {
		r, f, s := request(t, nil)
		err := r.Take(strings.NewReader(c.in), io.Discard)
		if got := status.From(err).Exit(); err == nil || got != c.exit || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: exit status %d, %v", c.name, got, err)
		}
		left := held(t, s)
		f.ReadDir(spoolPath+"/tmp", func(string) error { left++; return nil })
		if left > 0 {
			t.Errorf("%s: something is left", c.name)
		}
	}
}

func TestNoLimit(t *testing.T) {
	r, _, s := request(t, nil)
	r.Limit = 0
	if err := r.Take(bytes.NewReader(submission(t, testEnvelope(), strings.Repeat(testText, 50_000))), io.Discard); err != nil || held(t, s) != 1 {
		t.Errorf("%v, %d messages", err, held(t, s))
	}
}

// When the spool fails the message waits with its sender, who is told why.
func TestSpoolFails(t *testing.T) {
	in := submission(t, testEnvelope(), strings.Repeat(testText, 3000))
	for _, fault := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT, syscall.EFBIG, syscall.EIO, fsys.ErrShort} {
		for n := 1; ; n++ {
			var faulty *fsys.Faulty
			r, f, s := request(t, func(under fsys.FS) fsys.FS { faulty = fsys.NewFaulty(under); return faulty })
			faulty.FailAt(n, 1, fault, func(op fsys.Op) bool { return op.Name != "close" && op.Name != "fstat" })
			err := r.Take(bytes.NewReader(in), io.Discard)
			if !faulty.Struck() {
				if err != nil || n < 8 {
					t.Errorf("only %d operations, %v", n, err)
				}
				break
			}
			want := fault
			if fault == fsys.ErrShort {
				want = syscall.ENOSPC
			}
			drafts := 0
			f.ReadDir(spoolPath+"/tmp", func(string) error { drafts++; return nil })
			if status.From(err).Exit() != status.ExitTempFail || !errors.Is(err, want) || held(t, s) > 0 || drafts > 0 {
				t.Errorf("operation %d fails with %v: %v; %d messages, %d drafts", n, fault, err, held(t, s), drafts)
			}
		}
	}
	r, f, s := request(t, nil)
	f.SetSpace(fsys.Space{Bytes: 1 << 20, Files: 1 << 20})
	if err := r.Take(bytes.NewReader(in), io.Discard); status.From(err).Exit() != status.ExitTempFail || held(t, s) > 0 {
		t.Errorf("a spool that is nearly full: %v", err)
	}
}

// Nobody who reads the ID: the message is not accepted before anybody knows its name.
func TestAnswerFails(t *testing.T) {
	r, _, s := request(t, nil)
	err := r.Take(bytes.NewReader(submission(t, testEnvelope(), testText)), failing{})
	if status.From(err).Exit() != status.ExitIOErr || held(t, s) > 0 {
		t.Errorf("%v, %d messages", err, held(t, s))
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestWriterFails(t *testing.T) {
	if _, err := NewWriter(failing{}, spoolPath); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("NewWriter: %v", err)
	}
	w := &Writer{w: failing{}}
	if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write: %d, %v", n, err)
	}
	if err := w.End(); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("End: %v", err)
	}
}

func TestSettings(t *testing.T) {
	me, dir := os.Geteuid(), t.TempDir()
	path := filepath.Join(dir, "drop.conf")
	if s, err := Load(path, me); err != nil || s != Default() {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	want := Settings{Spool: "/srv/spool", Limit: 1234}
	for _, c := range []struct{ name, text, says string }{
		{"what is written is read", want.String(), ""},
		{"in any order, without line end", "size 1234\nspool /srv/spool", ""},
		{"a relative spool", "spool srv/spool\n", "drop.conf:1: spool must be an absolute path"},
		{"a spool with dots", "spool /srv/../spool\n", "drop.conf:1: spool must be"},
		{"no spool", "\nspool\n", "drop.conf:2: spool must be"},
		{"no size", "size \n", "drop.conf:1: size must be"},
		{"a negative size", "size -1\n", "drop.conf:1: size must be"},
		{"an unknown setting", "# x\nuid 0\n", `drop.conf:2: unknown setting "uid"`},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Load(path, me)
		if c.says == "" && (err != nil || s != want) {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || status.From(err).Exit() != status.ExitTempFail) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	unlimited := Settings{Spool: "/srv/spool"}
	if err := os.WriteFile(path, []byte(unlimited.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(path, me); err != nil || s != unlimited {
		t.Errorf("without a limit: %+v, %v", s, err)
	}
	if _, err := Load(path, me+1); !errors.Is(err, errOthers) {
		t.Errorf("another user's file: %v", err)
	}
	for _, mode := range []os.FileMode{0o664, 0o646} {
		os.Chmod(path, mode)
		if _, err := Load(path, me); !errors.Is(err, errOthers) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	os.Symlink(path, path+".link")
	if _, err := Load(path+".link", me); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a link: %v", err)
	}
	if _, err := Load(dir, me); !errors.Is(err, errOthers) {
		t.Errorf("a directory: %v", err)
	}
}

func FuzzTake(f *testing.F) {
	f.Add(submission(f, testEnvelope(), testText))
	f.Add([]byte("spool 6:/spool\ntext 4:x\n\ny\nend 1:4\n"))
	f.Add([]byte("spool 6:/spool\ntext 9999999999:"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, _, s := request(t, nil)
		err := r.Take(bytes.NewReader(in), io.Discard)
		if (err == nil) != (held(t, s) == 1) {
			t.Fatalf("%v, %d messages", err, held(t, s))
		}
		if err != nil {
			return
		}
		err = s.List(queue.New, func(m *queue.Message) error { return m.Envelope.Submitted(submitter) })
		if err != nil || !bytes.Contains(in, []byte("\nend ")) {
			t.Fatalf("%v was accepted of %q", err, in)
		}
	})
}
