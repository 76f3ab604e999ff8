package queuerun

import (
	"testing"

	"postrider/queue"
)

func TestSelection(t *testing.T) {
	for _, tc := range []struct {
		name string
		sel  Selection
		want string // the messages that are attempted
	}{
		{"what is new and due", Selection{}, "1"},
		{"everything", Selection{All: true}, "1 2 3"},
		{"a recipient, due or not", Selection{Filters: []Filter{{Field: Recipient, Substr: "BOB"}}}, "2"},
		{"without a recipient", Selection{Filters: []Filter{{Field: Recipient, Substr: "bob", Negate: true}}}, "1 3"},
		{"a sender", Selection{Filters: []Filter{{Field: Sender, Substr: "@y.test"}}}, "2 3"},
		{"a sender and a recipient", Selection{Filters: []Filter{{Field: Sender, Substr: "@y.test"}, {Field: Recipient, Substr: "carol"}}}, "3"},
		{"one of two recipients", Selection{Filters: []Filter{{Field: Recipient, Substr: "bob"}, {Field: Recipient, Substr: "carol"}}}, "2 3"},
		{"one of two recipients, or the lack of one", Selection{Filters: []Filter{{Field: Recipient, Substr: "bob"}, {Field: Recipient, Substr: "carol", Negate: true}}}, "1 2"},
		{"one of two recipients, and a sender", Selection{Filters: []Filter{{Field: Recipient, Substr: "alice"}, {Field: Recipient, Substr: "carol"}, {Field: Sender, Substr: "y.test"}}}, "3"},
		{"an ID that is none", Selection{Filters: []Filter{{Field: ID, Substr: "!"}}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.Config.Queue.Concurrency = 1
			for i, m := range [][2]string{{"s@x.test", "alice@x.test"}, {"s@y.test", "bob@x.test"}, {"s@y.test", "carol@x.test"}} {
				id := b.queue(string(rune('1'+i)), queue.Envelope{Sender: m[0], Rcpts: []queue.Rcpt{{Address: m[1]}}})
				if i > 0 {
					b.postpone(id)
				}
			}
			b.run(tc.sel)
			got := ""
			for i, who := range []string{"alice", "bob", "carol"} {
				if b.world.count(who+"@x.test "+string(rune('1'+i))) > 0 {
					got += string(rune('1'+i)) + " "
				}
			}
			if got != tc.want && got != tc.want+" " {
				t.Errorf("attempted %q, want %q", got, tc.want)
			}
		})
	}
}

// postpone defers a message by a minute.
func (b *bench) postpone(id queue.ID) {
	b.t.Helper()
	e, err := b.spool.Find(id)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := b.spool.Claim(e)
	if err == nil {
		err = c.Defer(b.clock.Now().Add(60e9))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
