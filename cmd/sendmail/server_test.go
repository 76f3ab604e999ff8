package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"postrider/internal/smtpd"
	"postrider/internal/status"
	"postrider/internal/submit"
	"postrider/queue"
)

// friends is a policy that lets the users of this machine do everything.
type friends struct{ smtpd.Policy }

func (friends) Connect(_ context.Context, c *smtpd.Client) smtpd.Verdict {
	c.Trusted = true
	return smtpd.Verdict{}
}
func (friends) Helo(context.Context, *smtpd.Client) smtpd.Verdict { return smtpd.Verdict{} }
func (friends) Mail(context.Context, *smtpd.Client, *smtpd.Transaction) smtpd.Verdict {
	return smtpd.Verdict{}
}
func (friends) Data(context.Context, *smtpd.Client, *smtpd.Transaction) smtpd.Verdict {
	return smtpd.Verdict{}
}
func (friends) Close(*smtpd.Client) {}

// serveAt serves a spool at a socket, until the returned function is called.
func serveAt(path string, spool *queue.Spool) (stop func(), err error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, err
	}
	s := &smtpd.Server{
		Hostname: "mail.example.org", Origin: "example.org", Spool: spool, Policy: friends{}, SizeLimit: 60000, HopLimit: 25, Recipients: 100, Timeout: time.Minute,
		IsLocal: func(d string) bool { return strings.EqualFold(d, "example.org") },
		User:    func(uid int) submit.User { return submit.User{UID: uid, Name: "alice", Gecos: "& Adams,,"} },
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { s.Serve(context.Background(), c, &smtpd.Port{Mode: smtpd.Local}) })
		}
	})
	return func() { l.Close(); sessions.Wait() }, nil
}

// newServer is a real server and its spool.
func newServer(t testing.TB) (*server, *queue.Spool) {
	t.Helper()
	spool, err := queue.Open(t.TempDir()+"/spool", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "submit")
	stop, err := serveAt(path, spool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return &server{path: path, owner: os.Getuid(), wait: time.Minute}, spool
}

// stored is the one message of a spool, without its ID and its time.
func stored(t *testing.T, s *queue.Spool) (text string, e queue.Envelope) {
	t.Helper()
	n := 0
	err := s.List(queue.New, func(m *queue.Message) error {
		c, err := s.Claim(m.Entry)
		if err != nil {
			return err
		}
		n++
		body, err := io.ReadAll(c.Body())
		text, e = strings.ReplaceAll(string(body), string(m.ID), "ID"), c.Envelope
		return errors.Join(err, c.Remove())
	})
	if err != nil || n > 1 {
		t.Fatalf("%d messages, %v", n, err)
	}
	e.Arrival = time.Time{}
	return regexp.MustCompile(`(; |Date: |Message-ID: <).*`).ReplaceAllString(text, "$1"), e
}

func ptr(s string) *string { return &s }

// handovers are messages with the options that they are handed over with.
var handovers = []struct {
	name string
	o    submit.Options
	in   string
}{
	{"plain", submit.Options{Recipients: []string{"bob@r.test", "carol"}}, "Subject: x\n\ntext\n"},
	{"empty", submit.Options{Recipients: []string{"bob@r.test"}}, ""},
	{"a dot ends it", submit.Options{Recipients: []string{"bob@r.test"}}, "Subject: x\n\ntext\n.\r\nmore\n"},
	{"a dot does not", submit.Options{Recipients: []string{"bob@r.test"}, IgnoreDots: true}, "Subject: x\n\ntext\n.\nmore"},
	{"from the header", submit.Options{Extract: true}, "To: bob@r.test\nCc: a@b@c\nBcc: dave\n\n\xff\x00\r\r\n"},
	{"with terms", submit.Options{Recipients: []string{"bob@r.test"}, From: ptr(""), FullName: "Zoë", Notify: queue.NotifyDelay, Ret: "FULL", EnvID: "x+2B", Body: "8BITMIME", UTF8: true, NoAlias: true, Tag: "t"}, "\n"},
	{"as a gateway", submit.Options{Recipients: []string{"bob@r.test"}, From: ptr("a@b.test"), Gateway: true, ReceivedProto: "UUCP", ReceivedHost: "far.example", Hops: 3}, "X: y\n\n"},
	{"undisclosed", submit.Options{Recipients: []string{"bob@r.test"}, NoRcpt: submit.AddUndisclosed}, "X: y\n\n"},
	{"refused: no recipients", submit.Options{Extract: true}, "Subject: x\n\n"},
	{"refused: a bad recipient", submit.Options{Recipients: []string{"a@b@c", "d@e@f"}}, "Subject: x\n\n"},
	{"refused: a bad sender", submit.Options{Recipients: []string{"bob@r.test"}, From: ptr("a@b@c")}, "Subject: x\n\n"},
	{"refused: hops", submit.Options{Recipients: []string{"bob@r.test"}, Hops: 26}, "Subject: x\n\n"},
	{"refused: fewer hops", submit.Options{Recipients: []string{"bob@r.test"}, HopLimit: 1}, "Received: x\nReceived: y\n\n"},
	{"refused: too large", submit.Options{Recipients: []string{"bob@r.test"}}, strings.Repeat("0123456789\n", 8000)},
	{"refused: much too large", submit.Options{Recipients: []string{"bob@r.test"}}, strings.Repeat("0123456789\n", 800_000)},
	{"refused: a large header", submit.Options{Recipients: []string{"bob@r.test"}}, strings.Repeat("X: 0123456789\n", 400_000)},
}

// A server makes of a message what sendmail makes of it where the spool is its own.
func TestServerTakesAsTheSpoolDoes(t *testing.T) {
	s, theirs := newServer(t)
	ours, err := queue.Open(t.TempDir()+"/spool", queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range handovers {
		o := c.o
		o.User = submit.User{UID: os.Getuid(), Name: "alice", Gecos: "& Adams,,"}
		o.Hostname, o.Origin, o.SizeLimit = "mail.example.org", "example.org", 60000
		o.IsLocal = func(d string) bool { return strings.EqualFold(d, "example.org") }
		if o.HopLimit == 0 {
			o.HopLimit = 25
		}
		want, wantErr := submit.Submit(strings.NewReader(c.in), ours, o)
		got, gotErr := s.submit(strings.NewReader(c.in), c.o)
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) || gotErr != nil && status.From(gotErr).Exit() != status.From(wantErr).Exit() {
			t.Errorf("%s: %v, want %v", c.name, gotErr, wantErr)
		}
		if strings.HasPrefix(c.name, "refused") != (gotErr != nil) {
			t.Errorf("%s: %v", c.name, gotErr)
		}
		if fmt.Sprint(got.Bad) != fmt.Sprint(want.Bad) {
			t.Errorf("%s: bad: %v, want %v", c.name, got.Bad, want.Bad)
		}
		gotText, gotEnv := stored(t, theirs)
		wantText, wantEnv := stored(t, ours)
		if gotText != wantText || !reflect.DeepEqual(gotEnv, wantEnv) {
			t.Errorf("%s: %q\n%+v\nwant %q\n%+v", c.name, gotText, gotEnv, wantText, wantEnv)
		}
		s.answered = false
	}
}

func TestManyRecipients(t *testing.T) {
	s, spool := newServer(t)
	var o submit.Options
	for i := range 10_000 {
		o.Recipients = append(o.Recipients, fmt.Sprintf("recipient-number-%06d@a-host.example.org", i))
	}
	if _, err := s.submit(strings.NewReader("Subject: x\n\n"), o); err != nil {
		t.Fatal(err)
	}
	if _, e := stored(t, spool); len(e.Rcpts) != 10_000 || e.Rcpts[9999].Address != o.Recipients[9999] {
		t.Errorf("%d recipients", len(e.Rcpts))
	}
}

// fakeServer does with one connection what fn does, and then closes it.
func fakeServer(t testing.TB, fn func(net.Conn)) *server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "submit")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		fn(c)
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	return &server{path: path, owner: os.Getuid(), wait: time.Minute}
}

const (
	hello    = "220 x\r\n250-x\r\n250 XSUBMIT\r\n"
	accepted = "250 2.0.0 Ok: queued as 0123456789ABCZZZZ\r\n"
)

// takeAll reads a whole submission. It returns how much of it was message.
func takeAll(c io.Reader) (size int64) {
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		line, err := r.ReadString('\n')
		words := strings.Fields(line)
		if err != nil || len(words) < 2 {
			return -1
		}
		n, _ := strconv.ParseInt(words[1], 10, 64)
		if words[0] == "EHLO" {
			continue
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			return -1
		}
		if words[0] == "BDAT" {
			size += n
		}
		if len(words) == 3 {
			return size
		}
	}
}

// after takes a whole submission and then says something.
func after(say string) func(net.Conn) {
	return func(c net.Conn) {
		takeAll(c)
		io.WriteString(c, say)
	}
}

// Whatever a server does, the outcome is one that is true, and there is one.
func TestOddServers(t *testing.T) {
	const unreached, unknown = "cannot reach the mail server at PATH: ", "no answer from the mail server at PATH: "
	big := strings.Repeat("0123456789\n", 800_000)
	for _, c := range []struct {
		name string
		do   func(net.Conn)
		in   string
		want string // "": accepted
		exit int
	}{
		{"a good one", after(hello + accepted), "x", "", 0},
		{"says it all before it reads", func(c net.Conn) { io.WriteString(c, hello+accepted); takeAll(c) }, "x", "", 0},
		{"says it in bytes", func(c net.Conn) {
			takeAll(c)
			for _, b := range []byte(hello + accepted) {
				c.Write([]byte{b})
			}
		}, big, "", 0},
		{"ends its lines in LF", after(strings.ReplaceAll(hello+accepted, "\r", "")), "x", "", 0},
		{"throws it away", after(hello + "250 2.0.0 Ok: discarded\r\n"), "x", "", 0},
		{"refuses", after(hello + "550-5.1.3 exit 64\r\n550-5.1.3 text \"no: why\"\r\n550 5.1.3 no\r\n"), "x", "no: why", 64},
		{"refuses for now", after(hello + "451-4.3.0 exit 75\r\n451 4.3.0 mail spool error\r\n"), "x", "mail spool error", 75},
		{"refuses without more words", after(hello + "550 5.7.1 no\r\n"), "x", "no", 69},
		{"refuses and goes, in the middle", func(c net.Conn) {
			io.WriteString(c, hello+"552-5.3.4 exit 69\r\n552 5.3.4 too big\r\n")
			io.CopyN(io.Discard, c, 3<<20)
		}, big, "too big", 69},
		{"goes at once", func(c net.Conn) {}, "x", unreached, 75},
		{"goes in the middle", func(c net.Conn) { io.CopyN(io.Discard, c, 3<<20) }, big, unreached, 75},
		{"goes before its greeting", after(""), "x", unreached + "unexpected EOF; nothing was queued", 75},
		{"goes when it has all", after(hello), "x", unknown + "unexpected EOF; it may have queued the message", 75},
		{"goes when it has all of much", after(hello), big, unknown, 75},
		{"goes within its answer", after(hello + accepted[:20]), "x", unknown, 75},
		{"takes nobody", func(c net.Conn) { io.WriteString(c, "421 4.3.2 too many sessions\r\n"); takeAll(c) }, "x", unreached + "it says 421 4.3.2 too many sessions; nothing was queued", 75},
		{"takes nobody's message", after(hello + "421 4.3.2 going down\r\n"), "x", unreached + "it says 421 4.3.2 going down; nothing was queued", 75},
		{"does not know us", after("220 x\r\n250 x\r\n500 5.5.1 what?\r\n"), "x", unreached + "it says 250 x; nothing was queued", 75},
		{"refuses EHLO", after("220 x\r\n550 5.7.1 no\r\n"), "x", unreached + "it says 550 5.7.1 no; nothing was queued", 75},
		{"accepts without an ID", after(hello + "250 2.0.0 Ok\r\n"), "x", unknown + "answer not understood", 75},
		{"accepts with another's ID", after(hello + "250 2.0.0 Ok: queued as ../x\r\n"), "x", unknown + "answer not understood", 75},
		{"asks for more", after(hello + "354 go on\r\n"), "x", "unexpected reply", 75},
		{"speaks another tongue", after("HTTP/1.1 400 Bad Request\r\n\r\n"), "x", unreached + "it does not speak SMTP", 75},
		{"speaks in no lines", after(strings.Repeat("2", 100_000)), "x", unreached + "it does not speak SMTP", 75},
		{"never ends", after(hello + strings.Repeat("250-2.0.0 and\r\n", 100_000)), "x", unknown + "it does not speak SMTP", 75},
		{"has empty lines", after("\r\n\r\n"), "x", unreached + "it does not speak SMTP", 75},
		{"has short lines", after("220\r\n250-\r\n250 XSUBMIT\r\n250\r\n"), "x", unknown + "answer not understood", 75},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := fakeServer(t, c.do)
			_, err := s.submit(strings.NewReader(c.in), submit.Options{Recipients: []string{"bob@r.test"}})
			exit := 0
			if err != nil {
				exit = status.From(err).Exit()
			}
			text := strings.ReplaceAll(fmt.Sprint(err), s.path, "PATH")
			if exit != c.exit || c.want != "" && !strings.HasPrefix(text, c.want) || strings.HasPrefix(text, unreached) && !strings.HasSuffix(text, "; nothing was queued") {
				t.Errorf("exit %d, %s", exit, text)
			}
		})
	}
}

// A server that does nothing is waited for, but not for ever.
func TestServerThatHangs(t *testing.T) {
	silent := func(c net.Conn) { takeAll(c); io.ReadAll(c) }
	greets := func(c net.Conn) { io.WriteString(c, hello); io.ReadAll(c) }
	drips := func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, "220-x\r\n"); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	stops := make(chan struct{})
	unread := func(c net.Conn) { <-stops }
	for name, c := range map[string]struct {
		do   func(net.Conn)
		in   string
		want string
	}{
		"silent": {silent, "x", "it takes too long; nothing was queued"},
		"greets": {greets, "x", "it takes too long; it may have queued the message"},
		"drips":  {drips, "x", "it takes too long; nothing was queued"},
		"unread": {unread, strings.Repeat("0123456789\n", 800_000), "it takes too long; nothing was queued"},
	} {
		s := fakeServer(t, c.do)
		s.wait = 100 * time.Millisecond
		if _, err := s.submit(strings.NewReader(c.in), submit.Options{Recipients: []string{"bob@r.test"}}); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.submit(strings.NewReader("x"), submit.Options{}); err != s.failed {
			t.Errorf("%s: it was waited for once more: %v", name, err)
		}
	}
	close(stops)
}

func TestNobodyListens(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/left", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	os.WriteFile(dir+"/file", nil, 0o600)
	for path, want := range map[string]string{
		dir + "/none":                   "no such file or directory",
		dir + "/left":                   "connection refused",
		dir + "/file":                   "connection refused",
		dir + "/file/x":                 "not a directory",
		dir + strings.Repeat("/x", 100): "invalid argument",
	} {
		s := &server{path: path, owner: os.Getuid(), wait: time.Minute}
		_, err := s.submit(strings.NewReader("x"), submit.Options{})
		if st := status.From(err); st.Exit() != 75 || st.Error() != "cannot reach the mail server at "+path+": "+want+"; nothing was queued" {
			t.Errorf("%v", err)
		}
	}
}

// plant listens at a socket that somebody planted, and tells what came.
func plant(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Chmod(path, 0o666)
	fmt.Println("ready")
	c, err := l.Accept()
	if err == nil {
		text, _ := io.ReadAll(c)
		fmt.Printf("%d bytes\n", len(text))
	}
	os.Exit(0)
}

// Whoever is neither root nor the owner of the spool gets nothing.
func TestPlantedSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "planted.")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	bin, path := dir+"/planted", dir+"/submit"
	if err := os.WriteFile(bin, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, path)
	cmd.Env = []string{noRaceSleep}
	planter := os.Getuid()
	if planter == 0 {
		planter = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q %v", line, err)
	}
	s := &server{path: path, owner: planter + 1, wait: time.Minute}
	_, err = s.submit(strings.NewReader("Subject: secret\n\n"), submit.Options{Recipients: []string{"bob@r.test"}})
	want := fmt.Sprintf(": user %d listens there, who is neither root nor the owner of the queue; nothing was queued", planter)
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v", err)
	}
	if line, err := lines.ReadString('\n'); line != "0 bytes\n" {
		t.Errorf("the planter got %q, %v", line, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// bytesReader is so many bytes of lines.
type bytesReader struct{ left int64 }

var manyLines = bytes.Repeat([]byte("0123456789abcde\n"), 4096)

func (r *bytesReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], manyLines)
	r.left -= int64(n)
	return n, nil
}

// A large message takes no more memory than one of the size that is read before the server is called. What is measured
// is all that was allocated, by the fake server as well.
func TestMemoryIsBounded(t *testing.T) {
	const size, bound = 128 << 20, 16 << 20
	var took int64
	s := fakeServer(t, func(c net.Conn) {
		took = takeAll(c)
		io.WriteString(c, hello+accepted)
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.submit(&bytesReader{size}, submit.Options{Recipients: []string{"bob@r.test"}})
	runtime.ReadMemStats(&after)
	if err != nil || took != size {
		t.Fatalf("%d bytes, %v", took, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > bound {
		t.Errorf("%d KiB were allocated", n>>10)
	}
}

// While a job writes nothing more for a time, the server hears of it.
func TestServerIsToldThatThereIsMore(t *testing.T) {
	told := make(chan struct{})
	s := fakeServer(t, func(c net.Conn) {
		r := bufio.NewReader(io.TeeReader(c, io.Discard))
		for n := 0; n < 3; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasSuffix(line, "BDAT 0\r\n") {
				n++
			}
		}
		close(told)
		takeAll(r)
		io.WriteString(c, hello+accepted)
	})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.Copy(w, &bytesReader{keepLimit + 1<<16})
		<-told
		io.WriteString(w, "the end\n")
		w.Close()
	}()
	in := newInput(r)
	in.quick, in.waiting, in.every = keepLimit, s.stillWaiting, time.Millisecond
	if _, err := s.submit(in, submit.Options{Recipients: []string{"bob@r.test"}}); err != nil {
		t.Error(err)
	}
}

// An input that fails is no message, at whatever moment it fails.
func TestInputFailsOnTheWayToTheServer(t *testing.T) {
	for _, size := range []int64{0, 10, keepLimit - 1, keepLimit, keepLimit + 10, 2 * keepLimit} {
		s, spool := newServer(t)
		in := io.MultiReader(&bytesReader{size}, iotest.ErrReader(syscall.EIO))
		_, err := s.submit(in, submit.Options{Recipients: []string{"bob@r.test"}})
		if st := status.From(err); st == nil || st.Exit() != 74 || !errors.Is(err, syscall.EIO) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if n, err := spool.Count(queue.New); n != 0 || err != nil {
			t.Errorf("%d bytes: %d messages, %v", size, n, err)
		}
	}
}

var dotLine = regexp.MustCompile(`(?:^|\n)\.\r*\n`)

func FuzzLineOfDot(f *testing.F) {
	for _, s := range []string{".\n", "a\n.\r\n", "a\n.\r\r\nb", "..\n", ".a\n", "\r.\n", "a.\n", "\n.", ".\r.\n"} {
		f.Add(s, uint8(1))
	}
	f.Fuzz(func(t *testing.T, in string, every uint8) {
		var d lineOfDot
		got := false
		for rest := in; rest != "" && !got; {
			n := min(len(rest), int(every)+1)
			got = d.in([]byte(rest[:n]))
			rest = rest[n:]
		}
		if want := dotLine.MatchString(in); got != want {
			t.Errorf("%q by %d: %v", in, every, got)
		}
		if off := (&lineOfDot{off: true}); off.in([]byte(in)) {
			t.Errorf("%q: a dot that means nothing", in)
		}
	})
}
