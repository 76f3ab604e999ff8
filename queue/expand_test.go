package queue

import (
	"bytes"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
)

var testMembers = []Rcpt{
	{Address: "alice@r.test", ORcpt: "rfc822;list@r.test", Notify: NotifyNever},
	{Address: "bob", NoAlias: true, Sender: "owner-list@r.test"},
	{Address: "/bin/p 'a b'\n", Agent: "command", Via: "list@r.test"},
}

// withParent are members as they come back.
func withParent(parent int, members ...Rcpt) []Rcpt {
	out := slices.Clone(members)
	for i := range out {
		out[i].Parent = parent
	}
	return out
}

func TestExpandedRecipientsAreThereAgain(t *testing.T) {
	s := testSpool(t, Options{})
	e := submit(t, s, testEnvelope("list@r.test", "carol@r.test", "empty@r.test"), testText)
	c := claim(t, s, e.ID)
	if err := c.Expand(testTime, Expansion{Rcpt: 0, Members: testMembers, Text: "a list"}, Expansion{Rcpt: 2}); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(c.Envelope.Rcpts[:3]), withParent(1, testMembers...)...)
	check := func(when string, rcpts []Rcpt, h *History) {
		t.Helper()
		if !reflect.DeepEqual(rcpts, want) {
			t.Errorf("%s: %+v", when, rcpts)
		}
		for i, done := range []bool{true, false, true, false, true, false} {
			if h.Done(i) != done {
				t.Errorf("%s: recipient %d done: %v", when, i, !done)
			}
		}
		if r, _ := h.Last(0); r.Kind != Expanded || r.Members != 3 || r.Text != "a list" {
			t.Errorf("%s: %+v", when, r)
		}
	}
	if err := c.Record(Record{Time: testTime, Kind: Delivered, Rcpts: One(4)}); err != nil {
		t.Fatal(err)
	}
	check("the claim itself", c.Envelope.Rcpts, &c.History)
	if err := c.Defer(testTime); err != nil {
		t.Fatal(err)
	}
	c = claim(t, s, e.ID)
	check("the next claim", c.Envelope.Rcpts, &c.History)
	if err := c.Expand(testTime, Expansion{Rcpt: 1, Members: []Rcpt{{Address: "dave@r.test"}}}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	want = append(want, withParent(2, Rcpt{Address: "dave@r.test"})...)
	entry, err := s.Find(e.ID)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Read(entry)
	if err != nil || !reflect.DeepEqual(m.Envelope.Rcpts, want) || !m.History.Done(1) {
		t.Errorf("%v: %+v", err, m)
	}
}

// A user's .forward leads on from an alias, and partly to who is there already.
func TestMembersOfMembers(t *testing.T) {
	s := testSpool(t, Options{})
	e := submit(t, s, testEnvelope("list@r.test", "carol@r.test"), testText)
	c := claim(t, s, e.ID)
	alice := []Rcpt{{Address: "alice@r.test", NoAlias: true}}
	forward := []Rcpt{{Address: "x@r.test", Via: "alice@r.test"}, {Address: "carol@r.test", Via: "alice@r.test", Same: 2}, {Address: "|p", Agent: "command", Via: "alice@r.test"}}
	if err := c.Expand(testTime, Expansion{Members: alice}, Expansion{Rcpt: 2, Members: forward, Text: "forwarded", Relay: "local"}); err != nil {
		t.Fatal(err)
	}
	rcpts := slices.Clone(c.Envelope.Rcpts)
	for _, when := range []string{"the claim itself", "the next claim"} {
		if !reflect.DeepEqual(c.Envelope.Rcpts, rcpts) || len(rcpts) != 6 {
			t.Fatalf("%s: %+v", when, c.Envelope.Rcpts)
		}
		for i, want := range []struct {
			parent, root, forwarder string
			done                    bool
		}{{"", "", "", true}, {"", "", "", false}, {"list@r.test", "list@r.test", "", true}, {"alice@r.test", "list@r.test", "alice@r.test", false},
			{"alice@r.test", "list@r.test", "alice@r.test", true}, {"alice@r.test", "list@r.test", "alice@r.test", false}} {
			e := &c.Envelope
			if e.Parent(i) != want.parent || e.Root(i) != want.root || e.Forwarder(i) != want.forwarder || c.History.Done(i) != want.done {
				t.Errorf("%s: recipient %d: %q, %q, %q, %v", when, i, e.Parent(i), e.Root(i), e.Forwarder(i), c.History.Done(i))
			}
		}
		if last, _ := c.History.Last(4); last.Text != "forwarded" || last.Relay != "local" {
			t.Errorf("%s: %+v", when, last)
		}
		c.Close()
		c = claim(t, s, e.ID)
	}
}

func TestParentsLeadInNoCircle(t *testing.T) {
	e := Envelope{Rcpts: []Rcpt{{Address: "a", Parent: 1}, {Address: "b", Parent: 3}, {Address: "c", Parent: 2}, {Address: "d", Parent: 9}}}
	for i, want := range []string{"", "", "b", ""} {
		if e.Root(i) != want || e.Parent(i) != want {
			t.Errorf("%d: %q, %q", i, e.Root(i), e.Parent(i))
		}
	}
}

func TestTooManyRecipientsAreNotRecorded(t *testing.T) {
	s := testSpool(t, Options{})
	e := submit(t, s, testEnvelope("list@r.test"), testText)
	c := claim(t, s, e.ID)
	x := Expansion{Members: testMembers}
	if err := c.openJournal(); err != nil {
		t.Fatal(err)
	}
	c.journaled = maxExpanded
	if err := c.Expand(testTime, x); err != ErrTooMany || len(c.Envelope.Rcpts) != 1 {
		t.Fatalf("%v: %+v", err, c.Envelope.Rcpts)
	}
	if err := c.Record(Record{Time: testTime, Kind: Deferred, Rcpts: One(0)}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if c = claim(t, s, e.ID); len(c.Envelope.Rcpts) != 1 || len(c.History.Events()) != 1 {
		t.Errorf("%+v", c.History.Events())
	}
}

// A journal that was cut anywhere has the whole expansion or nothing of it, and takes another one.
func TestPartsOfAnExpansionDoNotCount(t *testing.T) {
	var first []byte
	for i := range testMembers {
		m := testMembers[i]
		m.Parent = 1
		first = appendMember(first, testTime, 2+i, &m)
	}
	first = appendRecord(first, &Record{Time: testTime, Kind: Expanded, Rcpts: One(0), Members: 3})
	other := Rcpt{Address: "other@r.test", Parent: 1}
	second := appendMember(nil, testTime, 2, &other)
	second = appendRecord(second, &Record{Time: testTime, Kind: Expanded, Rcpts: One(0), Members: 1})
	third := appendRecord(nil, &Record{Time: testTime, Kind: Expanded, Rcpts: One(0)})
	for n := range len(first) - 1 {
		torn := append(slices.Clone(first[:n]), '\n')
		for _, c := range []struct {
			then []byte
			want []Rcpt
		}{{nil, nil}, {second, []Rcpt{other}}, {third, nil}, {first, withParent(1, testMembers...)}} {
			h := parseHistory(append(slices.Clone(torn), c.then...), 2)
			if !reflect.DeepEqual(h.members, c.want) || h.Done(0) != (c.then != nil) {
				t.Fatalf("%d of %d bytes: %+v", n, len(first), h.members)
			}
		}
	}
	for i := range testMembers { // a hole, as a power cut may leave it
		lines := bytes.SplitAfter(slices.Clone(first), []byte("\n"))
		clear(lines[i][:20])
		if h := parseHistory(bytes.Join(lines, nil), 2); len(h.members) > 0 || h.Done(0) {
			t.Errorf("without member %d: %+v", i, h.members)
		}
	}
}

// listLife is a process that delivers to an alias which leads to others in each generation.
type listLife struct {
	generation int
	accepted   bool
	begun      map[string]int
	recorded   map[string]bool
}

func (l *listLife) run(s *Spool) {
	if _, err := trySubmit(s, testEnvelope("list@r.test", "bob@r.test"), testText); err == nil {
		l.accepted = true
	}
	for range 2 {
		l.attempt(s)
	}
}

// attempt makes one delivery after the other; the first time only two.
func (l *listLife) attempt(s *Spool) {
	entries, _ := s.entries(New | Cur)
	for _, e := range entries {
		c, err := s.Claim(e)
		if err != nil {
			continue
		}
		l.deliver(c)
		c.Close()
	}
}

func (l *listLife) deliver(c *Claim) {
	if !c.History.Done(0) {
		x := Expansion{Rcpt: 0, Text: "list"}
		for i := range 3 - l.generation {
			x.Members = append(x.Members, Rcpt{Address: fmt.Sprintf("m%d.%d@r.test", l.generation, i)})
		}
		if c.Expand(testTime, x) != nil {
			return
		}
	}
	fresh := c.Entry.State == New
	for i, r := range c.Envelope.Rcpts {
		if c.History.Done(i) {
			continue
		}
		if fresh && i > 2 {
			c.Defer(testTime)
			return
		}
		l.begun[r.Address]++
		if c.Record(Record{Time: testTime, Kind: Delivered, Rcpts: One(i)}) != nil {
			return
		}
		l.recorded[r.Address] = true
	}
	c.Remove()
}

func newListLife(generation int) *listLife {
	return &listLife{generation: generation, begun: map[string]int{}, recorded: map[string]bool{}}
}

// check lets a process finish for which the alias means others now. Nobody may be served twice or forgotten, and only
// those of one generation may be served at all.
func (l *listLife) check(t *testing.T, f fsys.FS, when string) {
	t.Helper()
	s, err := Open("/spool", Options{FS: f, Now: lateClock})
	if err != nil {
		t.Fatalf("%s: reopening: %v", when, err)
	}
	rest := newListLife(1)
	for range 3 {
		rest.attempt(s)
	}
	served := map[string]int{}
	for _, life := range []*listLife{l, rest} {
		for who, n := range life.begun {
			served[who] += n
		}
	}
	generations := map[string]int{}
	for who, n := range served {
		if l.recorded[who] && rest.begun[who] > 0 || n > 2 {
			t.Fatalf("%s: %s was served %d times", when, who, n)
		}
		if strings.HasPrefix(who, "m") {
			generations[who[:2]]++
		}
	}
	if l.accepted && (served["bob@r.test"] == 0 || generations["m0"] != 3 && generations["m1"] != 2) {
		t.Fatalf("%s: somebody was forgotten: %v", when, served)
	}
	if len(generations) > 1 || served["list@r.test"] > 0 {
		t.Fatalf("%s: two lists got the message: %v", when, served)
	}
}

// inBlocks has expansions written in parts.
func inBlocks(t *testing.T) {
	before := expandBlock
	expandBlock = 100
	t.Cleanup(func() { expandBlock = before })
}

func TestPowerCutAroundAnExpansion(t *testing.T) {
	inBlocks(t)
	c, s := crashSpool(t)
	before := len(c.Ops())
	newListLife(0).run(s)
	total := len(c.Ops()) - before
	if total < 30 {
		t.Fatalf("a whole life has only %d operations", total)
	}
	for n := range total {
		c, s := crashSpool(t)
		c.CutAfter(n)
		l := newListLife(0)
		l.run(s)
		for _, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros} {
			l.check(t, c.Reboot(how, nil), fmt.Sprintf("power cut after %d of %d operations, survival %d", n, total, how))
		}
		for seed := range int64(5) {
			l.check(t, c.Reboot(fsys.Random, rand.New(rand.NewSource(seed))), fmt.Sprintf("power cut after %d operations, seed %d", n, seed))
		}
	}
}

func TestEveryOperationAroundAnExpansionFails(t *testing.T) {
	inBlocks(t)
	for _, err := range []error{syscall.ENOSPC, syscall.EIO, fsys.ErrShort} {
		for _, times := range []int{1, 3, 1 << 20} {
			for n := 1; ; n++ {
				under, s := crashSpool(t)
				f := fsys.NewFaulty(under)
				s.fs, s.syncs.fs = f, f
				f.FailAt(n, times, err, nil)
				l := newListLife(0)
				l.run(s)
				if !f.Struck() {
					break
				}
				l.check(t, under, fmt.Sprintf("operations %d to %d fail with %v", n, n+times-1, err))
			}
		}
	}
}

func FuzzMemberKeepsAnyBytes(f *testing.F) {
	f.Add("a@b", "command", "owner-x@y", "rfc822;z", "v@w", 5, 0, uint8(NotifyFailure))
	f.Add("a\nb", "", " ", "\\", "", 0, 7, uint8(0))
	f.Fuzz(func(t *testing.T, address, agent, sender, orcpt, via string, parent, same int, notify uint8) {
		m := Rcpt{Address: address, Agent: agent, Sender: sender, ORcpt: orcpt, Via: via, Parent: parent, Same: max(same, 0), Notify: Notify(notify) & (NotifySuccess | NotifyFailure)}
		line := string(appendMember(nil, time.UnixMicro(5), 7, &m))
		l, ok := cutLine(strings.TrimSuffix(line, "\n"))
		if !ok || l.kind != memberRecord || l.span != One(7) || strings.Count(line, "\n") != 1 {
			t.Fatalf("%q: %+v", line, l)
		}
		got, ok := parseMember(l.rest)
		if ok != (address != "" && parent > 0) || got != m {
			t.Fatalf("%q: %+v, want %+v", line, got, m)
		}
	})
}

func BenchmarkExpansion(b *testing.B) {
	members := make([]Rcpt, 100_000)
	for i := range members {
		members[i] = Rcpt{Address: fmt.Sprintf("subscriber-%d@lists.example.org", i), Sender: "owner-list@r.test", NoAlias: true}
	}
	s := testSpool(b, Options{})
	for b.Loop() {
		e := submit(b, s, testEnvelope("list@r.test"), testText)
		c := claim(b, s, e.ID)
		if err := c.Expand(testTime, Expansion{Members: members}); err != nil {
			b.Fatal(err)
		}
		c.Close()
		c = claim(b, s, e.ID)
		if len(c.Envelope.Rcpts) != 100_001 {
			b.Fatal(len(c.Envelope.Rcpts))
		}
		c.Remove()
	}
}
