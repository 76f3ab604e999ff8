package submit

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
	"postrider/queue"
)

var update = flag.Bool("update", false, "write the .out files of testdata anew")

var testNow = time.Date(2026, 11, 24, 9, 0, 0, 0, time.FixedZone("", 3600))

func testOptions(rcpts ...string) Options {
	return Options{
		Recipients: rcpts,
		User:       User{Name: "alice", Gecos: "& Adams,room 5", UID: 1000},
		Hostname:   "mail.example.org",
		Origin:     "example.org",
		IsLocal:    func(d string) bool { return strings.EqualFold(d, "example.org") },
		HopLimit:   50,
		Now:        func() time.Time { return testNow },
	}
}

// memSpool is a spool on a file system in memory, and that file system.
func memSpool(t testing.TB) (*queue.Spool, *fsys.Crash) {
	t.Helper()
	c := fsys.NewCrash("/spool")
	return openSpool(t, c), c
}

func openSpool(t testing.TB, f fsys.FS) *queue.Spool {
	t.Helper()
	s, err := queue.Open("/spool", queue.Options{FS: f})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stored is a message as a queue run finds it.
type stored struct {
	queue.Envelope
	id   string
	text string
}

func contents(t testing.TB, s *queue.Spool) (all []stored) {
	t.Helper()
	err := s.Scan(queue.New|queue.Cur|queue.Held, func(e queue.Entry) error {
		c, err := s.Claim(e)
		if err != nil {
			return err
		}
		defer c.Close()
		text, err := io.ReadAll(c.Body())
		all = append(all, stored{c.Envelope, string(e.ID), string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// submit submits a message that is accepted, and returns what is in the spool then.
func submit(t testing.TB, in string, o Options) (stored, Result) {
	t.Helper()
	s, _ := memSpool(t)
	res, err := Submit(strings.NewReader(in), s, o)
	if err != nil {
		t.Fatalf("%q: %v", in, err)
	}
	all := contents(t, s)
	if len(all) != 1 {
		t.Fatalf("%d messages in the spool", len(all))
	}
	if int64(len(all[0].text)) != res.Size || all[0].id != string(res.Entry.ID) {
		t.Errorf("the result tells of %s, %d bytes; stored were %s, %d", res.Entry.ID, res.Size, all[0].id, len(all[0].text))
	}
	return all[0], res
}

// refused submits a message that is not accepted.
func refused(t testing.TB, in io.Reader, o Options) (*status.Status, Result) {
	t.Helper()
	s, c := memSpool(t)
	res, err := Submit(in, s, o)
	if err == nil {
		t.Fatalf("accepted: %+v", res)
	}
	noTrace(t, c, err.Error())
	st, ok := err.(*status.Status)
	if !ok {
		t.Fatalf("no status: %v", err)
	}
	return st, res
}

// noTrace fails the test when there is a file in tmp/ or new/.
func noTrace(t testing.TB, f fsys.FS, when string) {
	t.Helper()
	for _, dir := range []string{"/spool/tmp", "/spool/new", "/spool/cur"} {
		f.ReadDir(dir, func(name string) error {
			t.Fatalf("%s: left %s/%s", when, dir, name)
			return nil
		})
	}
}

func rcptList(e queue.Envelope) string {
	var all []string
	for _, r := range e.Rcpts {
		all = append(all, r.Address)
	}
	return strings.Join(all, " ")
}

func null() *string { return ptr("") }

func ptr(s string) *string { return &s }

// goldens are pairs in testdata: NAME.in is standard input, NAME.out the envelope and the message. In both, lines
// end in LF, \r is a CR, \0 a NUL, and \c before a line's end takes that end away.
var goldens = []struct {
	name string
	says string
	with func(*Options)
}{
	{"complete", "a whole header gets a Received field and nothing else", nil},
	{"missing", "what is missing is added behind the originals", nil},
	{"nonsense", "nonsense and duplicates in Date, From and Message-ID stay", nil},
	{"empty", "no input at all is a message", nil},
	{"header-only", "a header without a body is a message", nil},
	{"unended-header", "the end of the input ends a header and its last line", nil},
	{"no-header", "a first line that is no field begins the body", nil},
	{"blank-first", "an empty first line ends an empty header", nil},
	{"continuation-first", "a continuation of nothing begins the body", nil},
	{"no-colon", "a line that is no field ends the header, and an empty line is put in", nil},
	{"from-lines", "From_ lines before the header are dropped", nil},
	{"from-field", "a From field with a blank before its colon is no From_ line", nil},
	{"dropped", "Bcc, Resent-Bcc, Return-Path and Content-Length are dropped, all other fields stay", nil},
	{"space-colon", "blanks before the colon go, and the name counts without them", nil},
	{"origin", "addresses without a domain get the origin, and no other byte changes", nil},
	{"resent", "a resent message is completed as such and its own fields are left alone", func(o *Options) { o.Extract, o.Recipients = true, nil }},
	{"gateway", "a gateway's header is not completed", func(o *Options) { o.Gateway, o.ReceivedProto, o.ReceivedHost = true, "UUCP", "far.example" }},
	{"null-sender", "the null reverse-path writes as MAILER-DAEMON", func(o *Options) { o.From = null() }},
	{"quoted-name", "a full name with specials is quoted", func(o *Options) { o.FullName = "Alice A. (X)" }},
	{"long-name", "a full name beyond ASCII is encoded and folded", func(o *Options) { o.FullName = "Zoë " + strings.Repeat("Škvorecká ", 9) }},
	{"hostile-name", "a full name cannot make a field", func(o *Options) { o.FullName = "a\r\nBcc: x@r.test\r\n\r\n\x00b\xff" }},
	{"odd-login", "a login name that is no localpart is quoted", func(o *Options) { o.User = User{Name: `W\a b`, UID: 7} }},
	{"no-login", "a user without a login name is known by the UID", func(o *Options) { o.User = User{UID: 4711} }},
	{"dot", "a line of one dot ends the message", nil},
	{"dot-crlf", "a line of one dot and CRLF ends the message", nil},
	{"dot-header", "a line of one dot ends the message in the header too", nil},
	{"dot-ignored", "-i takes a line of one dot as text", func(o *Options) { o.IgnoreDots = true }},
	{"dots", "other lines that begin with a dot stay as they are", nil},
	{"controls", "a CR inside a line and a NUL stay", nil},
	{"undisclosed", "add-to-undisclosed names nobody", func(o *Options) { o.NoRcpt = AddUndisclosed }},
	{"add-to", "add-to names the recipients", func(o *Options) { o.NoRcpt = AddTo; o.Recipients = []string{"bob@r.test", "carol"} }},
	{"add-to-blind", "add-to names nobody when there was a Bcc field", func(o *Options) { o.NoRcpt = AddTo }},

	{"caller-cron", "cron: -FCronDaemon -i -B8BITMIME -oem root,ops@r.test", func(o *Options) {
		o.FullName, o.IgnoreDots, o.Body, o.Recipients = "CronDaemon", true, "8BITMIME", []string{"root,ops@r.test"}
	}},
	{"caller-cronie", "cronie: -FCronDaemon -i -odi -oem -oi -t -f root", func(o *Options) {
		o.FullName, o.IgnoreDots, o.Extract, o.From, o.Recipients = "CronDaemon", true, true, ptr("root"), nil
	}},
	{"caller-anacron", "anacron: -FAnacron -odi root", func(o *Options) { o.FullName, o.Recipients = "Anacron", []string{"root"} }},
	{"caller-php8", "PHP 8: -t -i -f www@dom.test, CRLF everywhere", func(o *Options) {
		o.Extract, o.IgnoreDots, o.From, o.Recipients = true, true, ptr("www@dom.test"), nil
	}},
	{"caller-php7", "PHP 7: -t -i, LF with CRLF and CRCRLF among them", func(o *Options) { o.Extract, o.IgnoreDots, o.Recipients = true, true, nil }},
	{"caller-git", "git send-email: -i -f dev@example.net list@r.test hidden@r.test", func(o *Options) {
		o.IgnoreDots, o.From, o.Recipients = true, ptr("dev@example.net"), []string{"list@r.test", "hidden@r.test"}
	}},
	{"caller-mutt", "mutt: -oem -oi -f alice@example.net -N failure,delay -R hdrs -- bob@r.test", func(o *Options) {
		o.IgnoreDots, o.From, o.Notify, o.Ret = true, ptr("alice@example.net"), queue.NotifyFailure|queue.NotifyDelay, "HDRS"
	}},
	{"caller-mailx", "bsd-mailx: -i -t, Bcc for sendmail to delete", func(o *Options) { o.Extract, o.IgnoreDots, o.Recipients = true, true, nil }},
	{"caller-sudo", "sudo: -t", func(o *Options) { o.Extract, o.Recipients = true, nil }},
	{"caller-procmail", "procmail: -oi bob@r.test, the message with its From_ line", func(o *Options) { o.IgnoreDots = true }},
	{"caller-sympa", "sympa: -oi -odi -oem -N success,delay,failure -V id -f '' -- ...", func(o *Options) {
		o.IgnoreDots, o.From, o.EnvID = true, null(), "list+2Bid"
		o.Notify = queue.NotifySuccess | queue.NotifyDelay | queue.NotifyFailure
		o.Recipients = []string{"bob@r.test", "carol@r.test"}
	}},
	{"caller-fetchmail", "fetchmail: -i -f '<>' -- alice, a message with >From first", func(o *Options) {
		o.IgnoreDots, o.From, o.Recipients = true, ptr("<>"), []string{"alice"}
	}},
}

func TestGolden(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			o := testOptions("bob@r.test")
			if g.with != nil {
				g.with(&o)
			}
			base := filepath.Join("testdata", g.name)
			in, err := os.ReadFile(base + ".in")
			if err != nil {
				t.Fatal(err)
			}
			got := show(submit(t, plain.Replace(string(in)), o))
			if *update {
				if err := os.WriteFile(base+".out", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(base + ".out")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s:\n--- got\n%s--- want\n%s", g.says, got, want)
			}
		})
	}
}

func TestEveryGoldenFileIsUsed(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in")
	if len(files) != len(goldens) {
		t.Errorf("%d files .in, %d golden tests", len(files), len(goldens))
	}
}

var (
	plain   = strings.NewReplacer(`\r`, "\r", `\0`, "\x00", "\\c\n", "")
	visible = strings.NewReplacer("\r\n", "\n", "\r", `\r`, "\x00", `\0`)
)

// show is the .out form of a message.
func show(m stored, res Result) string {
	var b bytes.Buffer
	b.WriteString("from=<" + m.Sender + ">")
	for name, value := range map[string]string{" ret=": m.Ret, " envid=": m.EnvID, " body=": m.Body} {
		if value != "" {
			b.WriteString(name + value)
		}
	}
	if m.UTF8 {
		b.WriteString(" utf8")
	}
	b.WriteByte('\n')
	for _, r := range m.Rcpts {
		b.WriteString(strings.TrimSuffix("to=<"+r.Address+"> "+r.Notify.String(), " ") + "\n")
	}
	for _, bad := range res.Bad {
		b.WriteString("bad " + bad.Field + ": " + bad.Text + ": " + bad.Err.Error() + "\n")
	}
	b.WriteString("----\n")
	b.WriteString(visible.Replace(strings.ReplaceAll(m.text, m.id, "QID")))
	return b.String()
}
