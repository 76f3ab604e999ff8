package queue

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

func FuzzEnvelope(f *testing.F) {
	e := testEnvelope("bob@r.test", "carol@r.test")
	f.Add(appendEnvelope(nil, &e))
	f.Add([]byte("version: 1\nmeasured: 8bit=true\narrival: 1.0\nsender: \\\nx: y\nrcpt: a notify=NEVER orcpt=rfc822;a\n\nbody"))
	f.Add([]byte("version: 1\nmeasured: 8bit=true\narrival: 1.0\nsender: \\\nnoalias: yes\nrcpt: a noalias=yes\nrcpt: b noalias=no\n\n"))
	f.Add([]byte("version: 1\nmeasured: 8bit=true\narrival: 1.0\nsender: \\\nlogin: bob\nby: 1795514014.5\nbynotify: yes\nbytrace: no\nrelease: -62135596800.0\nrcpt: a\n\n"))
	f.Add([]byte("version: 1\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, _, n, err := parseEnvelope(b)
		if err != nil || n < 0 {
			return
		}
		out := appendEnvelope(nil, &e)
		again, _, m, err := parseEnvelope(out)
		if err != nil || m != len(out) || !reflect.DeepEqual(again, e) {
			t.Fatalf("%v\n%+v\n%+v", err, e, again)
		}
	})
}

func FuzzEnvelopeKeepsAnyBytes(f *testing.F) {
	f.Add("a@b", "c@d", "rfc822;x", "id", "user\nrcpt: x", true)
	f.Add("", "\\", "\x00", " ", "\xff\r\n\r\n", false)
	f.Fuzz(func(t *testing.T, sender, rcpt, orcpt, envid, user string, noAlias bool) {
		if rcpt == "" {
			rcpt = "x"
		}
		e := Envelope{Arrival: time.UnixMicro(1), Sender: sender, EnvID: envid, User: user, UID: -1, Rcpts: []Rcpt{{Address: rcpt, ORcpt: orcpt, NoAlias: noAlias}}}
		out := appendEnvelope(nil, &e)
		got, _, n, err := parseEnvelope(append(out, "version: 1\n\nbody"...))
		if err != nil || n != len(out) || !reflect.DeepEqual(got, e) {
			t.Fatalf("%v\n%q\n%+v\n%+v", err, out, e, got)
		}
	})
}

func FuzzJournal(f *testing.F) {
	r := Record{Time: testTime, Kind: Failed, Rcpts: Span{0, 3}, Reply: 550, Text: "no"}
	f.Add(appendRecord(nil, &r), 3)
	f.Add([]byte("00000000 1.0 delivered 1-1\n"), 0)
	m := Rcpt{Address: "a", Parent: 1}
	f.Add(appendRecord(appendMember(nil, testTime, 3, &m), &Record{Time: testTime, Kind: Expanded, Rcpts: One(0), Members: 1}), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n &= 0xff
		h := parseHistory(b, n)
		for i := range n {
			h.Last(i)
			h.Done(i)
			h.Intended(i)
		}
		var out []byte
		for _, r := range h.Events() {
			out = appendRecord(out, &r)
		}
		if len(h.members) > 0 {
			return // they are no events
		}
		if again := parseHistory(out, n); !reflect.DeepEqual(again, h) {
			t.Fatalf("%+v\n%+v", h, again)
		}
	})
}

func FuzzRecordKeepsAnyBytes(f *testing.F) {
	f.Add("text", "mx[192.0.2.1]:25")
	f.Add("a\nb", "")
	f.Fuzz(func(t *testing.T, text, relay string) {
		r := Record{Time: time.UnixMicro(5), Kind: Deferred, Rcpts: One(1), Text: text, Relay: relay}
		line := appendRecord(nil, &r)
		if bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q", line)
		}
		got, ok := parseRecord(string(line[:len(line)-1]))
		if !ok || got != r {
			t.Fatalf("%q: %+v", line, got)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add("0006563A1B2C3ZZ99,S=12:2,5", uint8(Cur))
	f.Fuzz(func(t *testing.T, name string, state uint8) {
		e, ok := parseName(State(state), name)
		if !ok || e.State == Corrupt {
			return
		}
		want := fileName(e.ID, e.Size)
		if e.State == Cur {
			want = dueName(e.ID, e.Size, e.Due)
		}
		if want != name {
			t.Fatalf("%q is also %q", name, want)
		}
	})
}
