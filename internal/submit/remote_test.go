package submit

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"postrider/internal/status"
	"postrider/queue"
)

// everything is a submission with all that an option block holds.
func everything() Options {
	return Options{
		Recipients: []string{"bob@r.test, carol", "", "-x\r\n\x00", "rcpt 3:a@b\n"}, Extract: true, IgnoreDots: true, Gateway: true, From: ptr("<>"),
		FullName: "Zoë\n", NoRcpt: AddUndisclosed, Notify: queue.NotifySuccess | queue.NotifyDelay, Ret: "HDRS", EnvID: "a+2Bb", Body: "8BITMIME",
		UTF8: true, NoAlias: true, Tag: "nightly", Hops: 3, HopLimit: 9, ReceivedProto: "UUCP", ReceivedHost: "far.example",
	}
}

func TestBlock(t *testing.T) {
	for name, o := range map[string]Options{"all": everything(), "none": {}, "the null reverse-path": {From: null()}, "many": {Recipients: make([]string, maxRcpts)}} {
		var got Options
		if err := got.ParseBlock(o.AppendBlock(nil)); err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, got, o)
		}
	}
}

func TestBlockLessensHops(t *testing.T) {
	for _, c := range []struct{ have, given, want int }{{25, 10, 10}, {25, 30, 25}, {25, 0, 25}, {0, 10, 10}, {0, 0, 0}} {
		o := Options{HopLimit: c.have}
		if err := o.ParseBlock((&Options{HopLimit: c.given}).AppendBlock(nil)); err != nil || o.HopLimit != c.want {
			t.Errorf("%+v: %d, %v", c, o.HopLimit, err)
		}
	}
}

// What other hosts would be told of must not be made up by whoever writes a block, nor may the rest be more than sendmail
// would have taken.
func TestBadBlocks(t *testing.T) {
	long := strings.Repeat("x", 101)
	for name, b := range map[string]string{
		"an unknown key": "uid 1:0\n", "no key": "1:0\n", "no length": "rcpt :\n", "no colon": "rcpt 1", "no end": "rcpt 1:a", "another end": "rcpt 1:ab",
		"a length that is too long": "rcpt 9:a\n", "a negative length": "rcpt -1:\n", "a signed length": "rcpt +1:a\n", "a zero before it": "rcpt 01:a\n",
		"a huge length": "rcpt 99999999999999999999:a\n", "a flag that is off": "utf8 1:0\n", "an identifier that ends the command": "envid 6:a\r\nRSE\n",
		"an identifier with a blank": "envid 3:a b\n", "an empty identifier": "envid 0:\n", "a half escape": "envid 2:+2\n", "a small letter": "envid 3:+2b\n",
		"a long identifier": "envid 101:" + long + "\n", "a long tag": "tag 101:" + long + "\n", "a RET of its own": "ret 4:full\n", "a BODY of its own": "body 12:BINARYMIME\r\n\n",
		"a NOTIFY of its own": "notify 3:ALL\n", "an action that is none": "norcpt 1:5\n", "hops below zero": "hops 2:-1\n", "no hops": "hops 0:\n", "many hops": "hops 6:999999\n",
		"a long name": "name 4097:" + strings.Repeat("n", 4097) + "\n", "a long sender": "from 4097:" + strings.Repeat("n", 4097) + "\n",
		"an empty line": "\n", "too long": strings.Repeat("rcpt 0:\n", MaxBlock/8+1), "many recipients": strings.Repeat("rcpt 0:\n", maxRcpts+1),
	} {
		var o Options
		st := status.From(o.ParseBlock([]byte(b)))
		if st == nil || st.Reply() != 501 {
			t.Errorf("%s: %v", name, st)
		}
	}
}

func FuzzBlock(f *testing.F) {
	o := everything()
	f.Add(o.AppendBlock(nil))
	for _, s := range []string{"", "rcpt 1:a\nfrom 0:\n", "rcpt 99:a\n", "envid 3:+2B\n", "norcpt 1:4\nhops 1:1\nhoplimit 2:50\n", "x", ":\n", "notify 13:SUCCESS,DELAY\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o, again Options
		if o.ParseBlock(b) != nil {
			return
		}
		if o.EnvID != "" && strings.ContainsFunc(o.EnvID, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q", o.EnvID)
		}
		if err := again.ParseBlock(o.AppendBlock(nil)); err != nil || !reflect.DeepEqual(o, again) {
			t.Fatalf("%v\n%+v\n%+v", err, o, again)
		}
	})
}

// answered is what a client makes of an outcome.
func answered(res Result, err error) (Result, error) {
	reply, code := 250, status.Code{2, 0, 0}
	if err != nil {
		st := status.From(err)
		reply, code = st.Reply(), st.Code()
	}
	return ParseAnswer(reply, code, Answer(res, err))
}

func TestAnswerOfRefusal(t *testing.T) {
	for _, err := range []error{
		refuse("No recipient addresses found in message header"),
		status.Fail("submit.rcpt", status.ExitUsage, `bad recipient address "x y"`, errors.New(`say "ä"`)),
		status.Fail("submit.header", status.ExitDataErr, "message header too large", nil),
		status.New("submit.hops", 554, status.Code{5, 4, 6}, "too many hops", nil),
		status.New("queue.write", 451, status.Code{4, 3, 0}, "mail spool error", errors.New("write: no space left on device")),
		status.New("policy", 421, status.Code{4, 7, 0}, "later", nil),
		errors.New("nobody knows"),
	} {
		want := status.From(err)
		_, got := answered(Result{}, err)
		st, ok := got.(*status.Status)
		if !ok || st.Exit() != want.Exit() || st.Class() != want.Class() || st.Error() != want.Error() {
			t.Errorf("%v: %v", want, got)
		}
	}
}

func TestAnswerTellsOfBadAddresses(t *testing.T) {
	id := queue.Entry{ID: "0123456789ABCZZZZ"}
	for n := range 13 {
		res := Result{Entry: id}
		for i := range n {
			res.Bad = append(res.Bad, BadRcpt{"To", `"x ` + strconv.Itoa(i) + `" <`, errors.New("why")})
		}
		for _, err := range []error{nil, refuse("no")} {
			got, _ := answered(res, err)
			if len(got.Bad) != min(n, maxTold) || got.More != max(0, n-maxTold) {
				t.Fatalf("%d: %d and %d", n, len(got.Bad), got.More)
			}
			for i, b := range got.Bad {
				if w := res.Bad[i]; b.Field != w.Field || b.Text != w.Text || b.Err.Error() != w.Err.Error() {
					t.Errorf("%+v, want %+v", b, w)
				}
			}
		}
	}
	if got, err := answered(Result{Entry: id}, nil); err != nil || got.Entry != id {
		t.Errorf("%+v %v", got, err)
	}
}

// What is not our server's answer is neither a success nor a refusal.
func TestAnswerThatIsNone(t *testing.T) {
	for _, lines := range [][]string{nil, {""}, {"Ok"}, {"Ok: queued as x"}, {"exit 64", "Ok: queued as 0123456789ABCZZZZ"}, {"more x", "Ok: queued as 0123456789ABCZZZZ"}, {`bad "To"`, "Ok: queued as 0123456789ABCZZZZ"}, {"text x", "no"}} {
		_, err := ParseAnswer(250, status.Code{2, 0, 0}, lines)
		if _, known := err.(*status.Status); err == nil || known {
			t.Errorf("%q: %v", lines, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(250, "bad \"a\" \"b\" \"c\"\nmore 3\nOk: queued as 0123456789ABCZZZZ")
	f.Add(550, "exit 64\ntext \"x\"\nno")
	f.Fuzz(func(t *testing.T, reply int, text string) {
		res, err := ParseAnswer(reply, status.Code{5, 0, 0}, strings.Split(text, "\n"))
		if err == nil && (reply/100 != 2 || res.Entry.ID == "" && !strings.HasSuffix(text, Discarded)) {
			t.Fatalf("%d %q: accepted", reply, text)
		}
		if st, ok := err.(*status.Status); ok && st.Class() == status.Success {
			t.Fatalf("%d %q: refused with a success", reply, text)
		}
	})
}
