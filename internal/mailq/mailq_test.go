package mailq

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postrider/compat"
	"postrider/internal/status"
	"postrider/queue"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// listed is what Print prints, with the spool's directory made the one that a system has.
func listed(t *testing.T, s *queue.Spool, o Options) string {
	t.Helper()
	var out bytes.Buffer
	if err := Print(&out, s, o); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(out.String(), s.Root(), "/var/spool/postrider")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestListings(t *testing.T) {
	s := open(t, sample(t), nil)
	for name, o := range map[string]Options{
		"sendmail.golden": {},
		"verbose.golden":  {Format: "sendmail", Verbose: true},
		"postfix.golden":  {Format: "postfix"},
		"json.golden":     {Format: "json"},
		"held.golden":     {Format: "postfix", States: queue.Held},
		"damaged.golden":  {States: queue.Corrupt},
	} {
		golden(t, name, listed(t, s, o))
	}
}

func TestSenderWhoWantsAMessageSentLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	e := envelope("alice@example.org", "bob@r.test")
	e.Release, e.By, e.Login = epoch.Add(2*time.Hour), epoch.Add(3*time.Hour), "alice"
	put(t, dir, "66101EF6CA4000001", e, text, func(c *queue.Claim) error { return c.Defer(epoch.Add(time.Hour)) })
	for now, want := range map[time.Time]string{
		epoch:                    "(waits until 2026-11-24 11:00:00 +0000 as its sender asked)",
		epoch.Add(2 * time.Hour): "",
	} {
		s, err := queue.Open(dir, queue.Options{NoCreate: true, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"sendmail", "postfix"} {
			if got := listed(t, s, Options{Format: format}); strings.Contains(got, "waits") != (want != "") || !strings.Contains(got, want) {
				t.Errorf("%v, %s: %s", now, format, got)
			}
		}
		got := listed(t, s, Options{Format: "json"})
		if !strings.Contains(got, `"login": "alice", "release_time": 1795518000, "deliver_by": 1795521600`) {
			t.Errorf("%s", got)
		}
	}
}

func TestMonitoringFindsTheWordMqueue(t *testing.T) {
	for root, want := range map[string]string{
		"/var/spool/postrider":    "/var/spool/postrider/mqueue",
		"/var/spool/mqueue":       "/var/spool/mqueue",
		"/srv/mqueue.d/postrider": "/srv/mqueue.d/postrider",
		"/":                       "/mqueue",
	} {
		if got := shown(root); got != want {
			t.Errorf("%s: %s, want %s", root, got, want)
		}
	}
}

func TestAnEmptyQueueHasItsText(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "never", "made"), nil)
	for format, want := range map[string]string{
		"sendmail": "/var/spool/postrider/mqueue is empty\n\t\tTotal requests: 0\n",
		"postfix":  "Mail queue is empty\n",
		"json":     "",
	} {
		for _, filters := range [][]compat.QueueFilter{nil, {{Field: 'S', Substr: "x"}}} {
			if got := listed(t, s, Options{Format: format, Filters: filters}); got != want {
				t.Errorf("%s: %q", format, got)
			}
		}
	}
}

func TestAnUnknownFormatIsAUsageError(t *testing.T) {
	err := Print(new(bytes.Buffer), open(t, sample(t), nil), Options{Format: "exim"})
	if err == nil || status.From(err).Exit() != status.ExitUsage {
		t.Errorf("%v", err)
	}
}

// one is the path of a message in a directory of the spool.
func one(t *testing.T, dir, state, id string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, state, id+"*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", id, found, err)
	}
	return found[0]
}

func TestMessagesThatVanish(t *testing.T) {
	dir := sample(t)
	gone, moves := one(t, dir, "new", "66101EF6CA4000001"), one(t, dir, "cur", "66101EF6CA4000002")
	s := open(t, dir, func() {
		os.Remove(gone)
		name, _, _ := strings.Cut(filepath.Base(moves), ":")
		os.Rename(moves, filepath.Join(dir, "hold", name))
	})
	got := listed(t, s, Options{})
	if !strings.Contains(got, "(7 requests)") || !strings.Contains(got, "66101EF6CA4000001 (job completed)\n") ||
		!strings.Contains(got, "66101EF6CA4000002 ") || !strings.HasSuffix(got, "\t\tTotal requests: 7\n") {
		t.Errorf("got %s", got)
	}
}

func TestFilters(t *testing.T) {
	s := open(t, sample(t), nil)
	filter := func(words ...string) (list []compat.QueueFilter) {
		for _, w := range words {
			text, negate := strings.CutPrefix(w[1:], "!")
			list = append(list, compat.QueueFilter{Field: w[0], Negate: negate, Substr: text})
		}
		return list
	}
	for _, c := range []struct {
		name    string
		filters []compat.QueueFilter
		want    string // last digits of the IDs
	}{
		{"none", nil, "123456"},
		{"part of an ID, in any case of letters", filter("I101ef6ca4000002"), "2"},
		{"without a part of an ID", filter("I!00002"), "13456"},
		{"a sender's domain", filter("SEXAMPLE.org"), "12456"},
		{"the null sender has no text", filter("S!@"), "3"},
		{"one of several recipients", filter("Rdave@"), "2"},
		{"no recipient with the text", filter("R!r.test"), ""},
		{"either of two texts in one field", filter("Rdave@", "Rerin@"), "24"},
		{"either a text or the lack of another", filter("Rdave@", "R!bob@"), "245"},
		{"either of two in one field, and another field", filter("Rdave@", "Rbob@", "S!alice"), "36"},
		{"either of two in one field that excludes the other", filter("Salice", "S!alice"), "123456"},
		{"all of several fields", filter("Rbob@", "Salice"), "12"},
		{"a reason to hold", filter("Qodd"), "3"},
		{"nothing fits", filter("Snobody"), ""},
	} {
		got := ""
		for line := range strings.Lines(listed(t, s, Options{Format: "json", Filters: c.filters})) {
			got += regexp.MustCompile(`"queue_id": ".{16}(.)"`).FindStringSubmatch(line)[1]
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		n, err := Count(s, Options{Filters: c.filters, States: queue.New | queue.Cur | queue.Held})
		if damaged := len(c.filters) == 0; err != nil || n != len(c.want) && !damaged {
			t.Errorf("%s: counted %d, %v", c.name, n, err)
		}
	}
}

// The keys of postqueue -j, and the types and spacing that scripts rely on.
func TestEachLineIsJSON(t *testing.T) {
	out := listed(t, open(t, sample(t), nil), Options{Format: "json"})
	n := 0
	for line := range strings.Lines(out) {
		n++
		var m struct {
			QueueName, QueueID, Sender string
			Recipients                 []struct{ Address string }
			Client                     string
		}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(line, "queue_", "queue")), &m); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if !strings.HasPrefix(line, `{"queue_name": "`) || strings.Contains(line, "MAILER-DAEMON") != (m.QueueID == "66101EF6CA4000003") {
			t.Errorf("%s", line)
		}
		if m.QueueID == "66101EF6CA4000005" && m.Client != `evil\x0D\x0A-- 0 Kbytes in 0 Requests.\x1B[2J\x00"\,\xE2\x80\xAE\xFF` {
			t.Errorf("client %q", m.Client)
		}
	}
	if n != 6 {
		t.Errorf("%d lines", n)
	}
}

// Outside text must never begin a line of a listing or reach the terminal as it is.
func TestHostileTextStaysInItsPlace(t *testing.T) {
	s := open(t, sample(t), nil)
	for _, format := range []string{"sendmail", "postfix", "json"} {
		out := listed(t, s, Options{Format: format, States: queue.New | queue.Cur | queue.Held | queue.Corrupt, Verbose: true})
		if !utf8.ValidString(out) || strings.ContainsAny(out, "\x1b\x00\r\u202e") || strings.Contains(out, "\n-- 0 Kbytes") {
			t.Errorf("%s: %q", format, out)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("pipe closed") }

func TestAWriteThatFailsIsAnError(t *testing.T) {
	s := open(t, sample(t), nil)
	for _, format := range []string{"sendmail", "postfix", "json"} {
		if err := Print(failing{}, s, Options{Format: format}); err == nil {
			t.Errorf("%s: no error", format)
		}
	}
}
