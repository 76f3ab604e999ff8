package queuerun

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/fsys"
	"postrider/internal/local"
	"postrider/internal/route"
	"postrider/internal/smtp"
	"postrider/internal/status"
	"postrider/queue"
)

// withAgent makes a bench whose users are served by the delivery agent.
func withAgent(t testing.TB, fs fsys.FS, forwards map[string][]string) *bench {
	t.Helper()
	b := newBench(t, fs)
	b.world.forwards = forwards
	delete(b.world.connect, config.Default().Local.Socket)
	b.useAgent()
	return b
}

func (b *bench) useAgent() { b.Ours = func(route.Decision) bool { return false } }

// once is what is delivered once each, given as "rcpt rcpt".
func once(words string) map[string]int {
	want := map[string]int{}
	for w := range strings.FieldsSeq(words) {
		want[strings.ReplaceAll(w, "%", " ")+" hello"] = 1
	}
	return want
}

func TestWhoGetsWhatIsForwarded(t *testing.T) {
	for _, tc := range []struct {
		name     string
		forwards string // "user: member member; ..."; all users are of local.test
		aliases  string // the same
		rcpts    string
		want     string // addresses are mailboxes; % is a blank
	}{
		{"a user without .forward has a mailbox", "", "", "alice", "alice"},
		{"one elsewhere", "alice: x@x.test", "", "alice", "x@x.test"},
		{"oneself is the mailbox", "alice: alice x@x.test", "", "alice", "alice x@x.test"},
		{"and so is \\oneself", `alice: \alice x@x.test`, "", "alice", "alice x@x.test"},
		{"from one to the next", "alice: bob; bob: carol; carol: x@x.test", "", "alice", "x@x.test"},
		{"who is a recipient already gets it once", "alice: bob x@x.test", "", "alice bob x@x.test", "bob x@x.test"},
		{"a command is the user's", "alice: |/bin/p", "", "alice", "alice%|/bin/p"},
		{"one command of two users is two", "alice: |/bin/p; bob: |/bin/p", "", "alice bob", "alice%|/bin/p bob%|/bin/p"},

		{"a circle ends in the mailbox of its first", "alice: bob; bob: alice", "", "alice", "alice"},
		{"or of the one who would close it", "alice: bob; bob: alice", "", "bob alice", "bob"},
		{"of three, all of whom are recipients", "alice: bob; bob: carol; carol: alice", "", "alice bob carol", "alice"},
		{"others in a circle get it too", "alice: bob x@x.test; bob: alice y@y.test", "", "alice", "alice x@x.test y@y.test"},
		{"two ways into one circle", "alice: bob carol; bob: alice; carol: alice", "", "alice", "alice"},
		{"a circle behind others", "dave: alice; alice: bob; bob: alice", "", "dave", "alice"},
		{"no circle: both lead to one who is there", "alice: x@x.test; bob: alice", "", "alice bob x@x.test", "x@x.test"},
		{"no circle: one leads to another who is not asked yet", "alice: bob; carol: alice", "", "alice bob carol", "bob"},

		{"an alias behind a .forward", "alice: staff", "staff: bob x@x.test", "alice", "bob x@x.test"},
		{"an alias with the one who forwards to it", "alice: staff", "staff: alice bob", "alice", "alice bob"},
		{"the same, when it is to the alias", "alice: staff", "staff: alice bob", "staff", "alice bob"},
		{"the same, when it is to both", "alice: staff", "staff: alice bob", "alice staff", "alice bob"},
		{"a .forward behind an alias", "alice: x@x.test", "staff: alice bob", "staff", "x@x.test bob"},
		{"a mailbox in an alias is no matter of the .forward", "alice: x@x.test", `staff: \alice bob`, "staff", "alice bob"},
		{"a mailbox and its user are one when he has no .forward", "", `staff: \alice bob; all: alice`, "staff alice", "alice bob"},
		{"and two when he has", "alice: x@x.test", `staff: \alice bob; all: alice`, "staff alice", "alice x@x.test bob"},
		{"a command in an alias is the alias's", "", "staff: bob |/bin/p", "staff", "bob staff%|/bin/p"},
	} {
		b := withAgent(t, nil, parseLists(tc.forwards))
		b.world.aliases = map[string][]route.Member{}
		for name, list := range parseLists(tc.aliases) {
			b.world.aliases[name] = aliasMembers(name, list)
		}
		b.submit("hello", localNames(tc.rcpts)...)
		b.run(Selection{})
		b.want(once(strings.Join(localNames(tc.want), " ")))
		b.wantEmpty()
		if t.Failed() {
			t.Fatal(tc.name)
		}
	}
}

// localNames are words of which those without a domain are users of local.test.
func localNames(words string) []string {
	list := strings.Fields(words)
	for i, w := range list {
		if user, command, ok := strings.Cut(w, "%"); ok {
			list[i] = user + "@local.test%" + command
		} else if !strings.ContainsAny(w, "@|") {
			list[i] = w + "@local.test"
		}
	}
	return list
}

func parseLists(text string) map[string][]string {
	lists := map[string][]string{}
	for part := range strings.SplitSeq(text, ";") {
		if name, words, ok := strings.Cut(part, ":"); ok {
			lists[strings.TrimSpace(name)+"@local.test"] = localNames(words)
		}
	}
	return lists
}

// aliasMembers are members as *route.Router has them: local names are final.
func aliasMembers(name string, list []string) []route.Member {
	ms := members("", list...)
	for i, s := range list {
		switch m := &ms[i]; {
		case s[0] == '|':
			m.Address, m.Via = s, name
		case s[0] == '\\':
			*m = members("", s[1:])[0]
			m.Agent, m.Key = route.AgentMailbox, route.AgentMailbox+" "+m.Key
		}
	}
	return ms
}

// In any tangle of users who forward to one another, and whenever each of them is asked, everybody gets the message who
// should, once, and nobody's mail ends nowhere.
func TestTanglesLoseNothing(t *testing.T) {
	for seed := range int64(300) {
		rnd := rand.New(rand.NewSource(seed))
		users := make([]string, 2+rnd.Intn(5))
		for i := range users {
			users[i] = fmt.Sprintf("u%d@local.test", i)
		}
		forwards := map[string][]string{}
		for _, u := range users {
			for range rnd.Intn(4) + int(seed%2) { // the odd ones are full of circles
				switch to := users[rnd.Intn(len(users))]; rnd.Intn(5 + 20*int(seed%2)) {
				case 0:
					forwards[u] = append(forwards[u], fmt.Sprintf("x%d@x.test", rnd.Intn(3)))
				case 1:
					forwards[u] = append(forwards[u], `\`+u)
				default:
					forwards[u] = append(forwards[u], to)
				}
			}
		}
		var rcpts []string
		for _, u := range users {
			if rnd.Intn(2) == 0 {
				rcpts = append(rcpts, u)
			}
		}
		rcpts = append(rcpts, users[0])
		slices.Sort(rcpts)
		rcpts = slices.Compact(rcpts)

		b := withAgent(t, nil, forwards)
		b.submit("hello", rcpts...)
		for range 4 { // not all can be asked at once
			clear(b.world.refuse)
			for _, u := range users {
				if rnd.Intn(2) == 0 {
					b.world.refuse[u] = refusal(451, status.Code{4, 2, 1}, "later")
				}
			}
			hidden := b.hideRefused(forwards)
			b.run(Selection{All: true})
			hidden()
			b.clock.add(time.Minute)
		}
		clear(b.world.refuse)
		b.run(Selection{All: true})
		b.wantEmpty()
		checkTangle(b, forwards, rcpts)
		if t.Failed() {
			t.Fatalf("seed %d: to %v, forwards %v: delivered %v", seed, rcpts, forwards, b.world.delivered)
		}
	}
}

// hideRefused keeps the agent from telling of those who are refused for now. The result undoes that.
func (b *bench) hideRefused(forwards map[string][]string) func() {
	b.world.forwards = map[string][]string{}
	for u, list := range forwards {
		if b.world.refuse[u] == nil {
			b.world.forwards[u] = list
		}
	}
	return func() { b.world.forwards = forwards }
}

// checkTangle follows what is forwarded by itself.
func checkTangle(b *bench, forwards map[string][]string, rcpts []string) {
	must := map[string]bool{}                    // who is named otherwise than as a user who forwards
	reach := func(from string) map[string]bool { // all that somebody leads to, and himself if in a circle
		seen := map[string]bool{}
		for todo := slices.Clone(forwards[from]); len(todo) > 0; {
			s := todo[0]
			todo = todo[1:]
			if !seen[s] {
				seen[s] = true
				todo = append(todo, forwards[s]...)
			}
		}
		return seen
	}
	all := map[string]bool{}
	for _, r := range rcpts {
		all[r] = true
		for s := range reach(r) {
			all[s] = true
		}
	}
	for s := range all {
		if name := strings.TrimPrefix(s, `\`); name != s || forwards[s] == nil {
			must[name] = true
		}
	}
	for s := range must {
		if n := b.world.count(s + " hello"); n != 1 {
			b.t.Errorf("%s got it %d times", s, n)
		}
	}
	for key, n := range b.world.delivered {
		user := strings.TrimSuffix(key, " hello")
		if n != 1 || !must[user] && !reach(user)[user] {
			b.t.Errorf("%q was delivered %d times", key, n)
		}
	}
	for _, r := range rcpts { // a circle that nothing else comes of has a mailbox
		got := b.world.count(r+" hello") > 0
		for s := range reach(r) {
			got = got || b.world.count(strings.TrimPrefix(s, `\`)+" hello") > 0
		}
		if !got {
			b.t.Errorf("the mail for %s has ended nowhere", r)
		}
	}
}

func TestTheAgentHearsWhatItNeeds(t *testing.T) {
	b := withAgent(t, nil, map[string][]string{"alice@local.test": {`\alice`, "|/bin/p", "x@x.test"}})
	arrival := b.clock.Now()
	id := b.submit("hello", "bob@local.test", "alice@local.test", `carol@local.test`)
	b.run(Selection{})
	var got []string
	for _, m := range b.world.sent {
		if m.ID != "" && (m.ID != string(id) || !m.Arrival.Equal(arrival)) {
			t.Errorf("%s, %v", m.ID, m.Arrival)
		}
		for _, r := range m.Rcpts {
			got = append(got, fmt.Sprintf("%s %d %v %s", r.Address, r.Number, r.Mailbox, r.Member))
		}
	}
	want := []string{"bob@local.test 1 false ", "alice@local.test 2 false ", "carol@local.test 3 false ",
		"alice@local.test 5 false |/bin/p", "x@x.test 0 false ", "alice@local.test 4 true "}
	if !slices.Equal(got, want) {
		t.Errorf("%q,\nwant %q", got, want)
	}
}

// Who gives up on a command that goes on runs it again.
func TestTheAgentHasTheTimeThatACommandHas(t *testing.T) {
	b := withAgent(t, nil, nil)
	b.Config.Local.CommandTimeLimit = 3 * time.Hour
	asked := map[string]smtp.Timeouts{}
	dial := b.Dial
	b.Dial = func(c context.Context, t smtp.Target, o smtp.Options) (Session, error) {
		asked[t.Network] = o.Timeouts
		return dial(c, t, o)
	}
	b.submit("hello", "alice@local.test", "a@x.test")
	b.run(Selection{})
	if got := asked["unix"]; got.Final < 3*time.Hour+5*time.Minute || got.Transaction < maxRcpts*got.Final {
		t.Errorf("the agent has %+v", got)
	}
	if got, ok := asked["tcp"]; !ok || got != (smtp.Timeouts{}) {
		t.Errorf("others have %+v", got)
	}
}

func TestEscapedUsersAreMailboxes(t *testing.T) {
	b := withAgent(t, nil, map[string][]string{"alice@local.test": {"x@x.test"}})
	b.queue("hello", queue.Envelope{Sender: "s@here.test", Rcpts: []queue.Rcpt{{Address: "alice@local.test", NoAlias: true}, {Address: "y@y.test", NoAlias: true}}})
	b.run(Selection{})
	b.want(once("alice@local.test y@y.test"))
}

func TestForwardedCopiesSayWhereTheyWere(t *testing.T) {
	b := withAgent(t, nil, map[string][]string{"alice@local.test": {"bob", "x@x.test"}, "bob@local.test": {"y@x.test", "carol"}})
	b.submit("hello", "alice@local.test", "z@x.test")
	b.run(Selection{})
	headers := map[string]string{}
	for _, m := range b.world.sent {
		for _, r := range m.Rcpts {
			headers[r.Address] = m.Header
		}
	}
	for rcpt, want := range map[string]string{
		"z@x.test": "", "x@x.test": "Delivered-To: alice@local.test\r\n", "carol@local.test": "",
		"y@x.test": "Delivered-To: bob@local.test\r\nDelivered-To: alice@local.test\r\n",
	} {
		if headers[rcpt] != want {
			t.Errorf("%s: %q, want %q", rcpt, headers[rcpt], want)
		}
	}
}

func TestForwardingLoopsAreCut(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int
	}{
		{"Delivered-To: alice@local.test\r\n\r\nhello\r\n", 0},
		{"A: b\r\nDELIVERED-TO :  ALICE@here.test \r\n\r\nhello\r\n", 0}, // the same user
		{strings.Repeat("Delivered-To: x@y.test\r\n", maxDeliveredTo) + "\r\nhello\r\n", 0},
		{"Delivered-To: bob@local.test\r\nB: c\r\n Delivered-To: alice@local.test\r\n\r\nDelivered-To: alice@local.test\r\nhello\r\n", 1},
		{"X: " + strings.Repeat("x", 5000) + "\r\nDelivered-To: x@y.test\r\n\r\nhello\r\n", 1},
		{"\r\nDelivered-To: alice@local.test\r\nhello\r\n", 1},
		{"no header, Delivered-To: alice@local.test\r\nhello\r\n", 1},
	} {
		b := withAgent(t, nil, map[string][]string{"alice@local.test": {"x@x.test"}})
		b.queueText(tc.text, queue.Envelope{Sender: "s@here.test", Rcpts: []queue.Rcpt{{Address: "alice@local.test", Notify: queue.NotifyNever}}})
		res := b.run(Selection{})
		if got := b.world.count("x@x.test hello"); got != tc.want || res.Bounced != 1-tc.want {
			t.Errorf("%.60q: forwarded %d times, %+v", tc.text, got, res)
		}
		if m := b.world.sent[len(b.world.sent)-1]; tc.want > 0 {
			want := "Delivered-To: alice@local.test\r\n"
			if strings.HasPrefix(tc.text, "no header") {
				want += "\r\n" // what begins a body is no field
			}
			if m.Header != want {
				t.Errorf("%.60q: header %q", tc.text, m.Header)
			}
		}
	}
}

func TestMailWaitsForTheAgent(t *testing.T) {
	b := newBench(t, nil)
	b.useAgent()
	b.submit("hello", "alice@local.test", "x@x.test")
	res := b.run(Selection{})
	last, _ := b.message().History.Last(0)
	socket := config.Default().Local.Socket
	if want := socket + ": cannot connect: no such file or directory: local(8), the delivery agent, must run"; res.Deferred != 1 || last.Text != want || last.Code != (status.Code{4, 4, 1}) {
		t.Errorf("%+v, %+v", res, last)
	}
	if h, ok := b.spool.Host(agentKey); ok {
		t.Errorf("others are told: %+v", h)
	}
	delete(b.world.connect, socket)
	b.clock.add(time.Hour)
	b.run(Selection{})
	b.want(once("alice@local.test x@x.test"))
	b.wantEmpty()
}

func TestTermsOfForwardedMail(t *testing.T) {
	const success = queue.NotifySuccess | queue.NotifyFailure
	for _, tc := range []struct {
		name     string
		forward  string
		owner    string
		notify   queue.Notify
		want     string // transaction with x.test
		expanded bool   // the sender is told so
	}{
		{"who forwards to one lets that one tell", "x@x.test", "", success, "s@here.test SUCCESS,FAILURE rfc822;orig", false},
		{"who forwards to several is told of as expanded", "x@x.test y@x.test", "", success, "s@here.test FAILURE rfc822;orig", true},
		{"nothing was asked for", "x@x.test y@x.test", "", 0, "s@here.test  rfc822;orig", false},
		{"members of a list are their owner's", "x@x.test", theOwner, success, theOwner + "  ", false},
	} {
		b := withAgent(t, nil, map[string][]string{"alice@local.test": strings.Fields(tc.forward)})
		b.world.dsn = true
		rcpt := "alice@local.test"
		if tc.owner != "" {
			b.alias(tc.owner, rcpt)
			rcpt = "list@here.test"
		}
		b.queue("hello", queue.Envelope{Sender: "s@here.test", Rcpts: []queue.Rcpt{{Address: rcpt, ORcpt: "rfc822;orig", Notify: tc.notify}}})
		b.run(Selection{})
		b.wantEmpty()
		m := b.world.sent[0]
		for i := range b.world.sent {
			if b.world.sent[i].Rcpts[0].Address == "x@x.test" {
				m = b.world.sent[i]
			}
		}
		if got := fmt.Sprint(m.Sender, " ", m.Rcpts[0].Notify, " ", m.Rcpts[0].ORcpt); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if got := b.world.count("s@here.test report") > 0; got != (tc.expanded || tc.owner != "") {
			t.Errorf("%s: a report: %v", tc.name, got)
		}
	}
}

func TestUsersOfThisProcessForwardToo(t *testing.T) {
	b := newBench(t, nil)
	b.Forward = func(u local.User, ext string) (local.Forward, error) {
		switch u.Name + " " + ext {
		case "alice ":
			return local.Forward{Members: []string{`\alice`, "|/bin/p", "y@y.test"}, Notes: []string{"odd"}}, nil
		case "bob ":
			return local.Forward{Members: []string{`\bob`}}, nil
		}
		return local.Forward{}, outage(status.Code{4, 3, 0}, "no home")
	}
	b.Ours = func(route.Decision) bool { return true }
	b.Member = func(_ context.Context, member string, by local.Origin, u local.User, d local.Delivery) *status.Status {
		if by != local.FromUser || u.Name != "alice" || d.Rcpt != "alice@local.test" || d.Original != "alice@local.test" {
			t.Errorf("%s by %v, %+v, %+v", member, by, u, d)
		}
		return b.world.took(member, d.Body)
	}
	b.submit("hello", "alice@local.test", "bob@local.test", "carol@local.test")
	res := b.run(Selection{})
	b.want(once("alice@local.test bob@local.test y@y.test |/bin/p"))
	if res.Deferred != 1 {
		t.Errorf("%+v", res)
	}
}

func TestAListOfUsersWhoForward(t *testing.T) {
	const n = 1000
	b := withAgent(t, nil, map[string][]string{})
	var list []string
	want := map[string]int{}
	for i := range n {
		u := fmt.Sprintf("u%d@local.test", i)
		list = append(list, u)
		switch i % 10 {
		case 0:
			b.world.forwards[u] = []string{fmt.Sprintf("x%d@x.test", i), "shared@x.test"}
			want[fmt.Sprintf("x%d@x.test hello", i)], want["shared@x.test hello"] = 1, 1
		case 1:
			b.world.forwards[u] = []string{fmt.Sprintf("u%d@local.test", i+1)}
		default:
			want[u+" hello"] = 1
		}
	}
	b.alias(theOwner, list...)
	b.submit("hello", "list@here.test")
	b.run(Selection{})
	b.want(want)
	b.wantEmpty()
}

func TestOthersAreAskedForAgain(t *testing.T) {
	b := withAgent(t, nil, nil)
	b.world.send = func(p *peer, m smtp.Message) (smtp.Result, error) {
		res := p.accept(m)
		if len(m.Rcpts) == 3 {
			res.Members = [][]string{{"x@x.test"}, nil, nil}
			res.Rcpts = []*status.Status{refusal(251, status.Code{2, 1, 5}, "forwarded"),
				refusal(452, status.Code{4, 5, 3}, "too many are named at once"), refusal(550, status.Code{5, 1, 1}, "no such user")}
			clear(b.world.delivered)
		}
		return res, nil
	}
	b.queue("hello", queue.Envelope{Sender: "s@here.test", Rcpts: []queue.Rcpt{{Address: "a@local.test"}, {Address: "b@local.test"}, {Address: "c@local.test", Notify: queue.NotifyNever}}})
	b.run(Selection{})
	b.want(once("x@x.test b@local.test"))
	b.wantEmpty()
}

// forwardScenario is a message to a list with users who forward, in a circle and to commands, and to one of them.
func forwardScenario(b *bench) {
	b.Config.Queue.Concurrency = 1
	delete(b.world.connect, config.Default().Local.Socket)
	b.useAgent()
	b.world.aliases = map[string][]route.Member{"list@here.test": members(theOwner, "alice@local.test", "d@y.test")}
	b.world.forwards = map[string][]string{
		"alice@local.test": {"bob", "x@x.test", "|/bin/p"}, "bob@local.test": {"alice", "carol"}, "carol@local.test": {"bob", "u@refused.test"},
	}
	b.submit("hello", "list@here.test", "carol@local.test")
}

// checkForwards has everybody forward elsewhere from now on, and a healthy process finish.
func (b *bench) checkForwards(most func(key string) int) {
	b.t.Helper()
	b.useAgent()
	for _, u := range []string{"alice", "bob", "carol"} {
		b.world.forwards[u+"@local.test"] = []string{u + "new@x.test"}
	}
	for range 4 {
		b.clock.add(10 * time.Minute)
		b.run(Selection{})
	}
	b.wantEmpty()
	for key, n := range b.world.delivered {
		if n > most(key) {
			b.t.Errorf("%q delivered %d times", key, n)
		}
	}
	got := func(keys ...string) bool {
		for _, key := range keys {
			if b.world.count(key+" hello") == 0 {
				return false
			}
		}
		return true
	}
	bob := got("bobnew@x.test") || got("carolnew@x.test") || b.world.count("carol@local.test hello") > 0 || got("bob@local.test") || got("alice@local.test")
	alice := got("alicenew@x.test") || got("x@x.test", "alice@local.test |/bin/p") && bob
	carol := got("carolnew@x.test") || b.world.count("sender@here.test report")+b.world.count(theOwner+" report") > 0
	if !got("d@y.test") || !alice || !carol {
		b.t.Errorf("somebody was forgotten: %v", b.world.delivered)
	}
}

func TestForwardsSurviveEveryFault(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO, fsys.ErrShort} {
		for n := 1; ; n++ {
			faulty := fsys.NewFaulty(newDisk(newClock()))
			b := newBench(t, faulty)
			forwardScenario(b)
			faulty.FailAt(n, 1, cause, nil)
			b.struck()
			struck := faulty.Struck()
			faulty.FailAt(0, 0, nil, nil)
			b.checkForwards(func(string) int { return 1 })
			if t.Failed() {
				t.Fatalf("operation %d fails with %v", n, cause)
			}
			if !struck {
				break
			}
		}
	}
}

func TestForwardsSurviveAPowerCut(t *testing.T) {
	disk := newDisk(newClock())
	b := newBench(t, disk)
	forwardScenario(b)
	before := len(disk.Ops())
	b.struck()
	ops := len(disk.Ops()) - before
	for n := range ops + 1 {
		for seed, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros, fsys.Random, fsys.Random} {
			disk := newDisk(newClock())
			b := newBench(t, disk)
			forwardScenario(b)
			sure := map[string]bool{} // others of the message came after them
			b.world.hook = func() {
				for key := range b.world.delivered {
					sure[key] = strings.HasSuffix(key, " hello")
				}
			}
			disk.CutAfter(n)
			b.struck()
			b.world.hook = nil
			b.open(disk.Reboot(how, rand.New(rand.NewSource(int64(seed)))))
			b.Config.Queue.Concurrency = 1
			b.checkForwards(func(key string) int {
				if sure[key] {
					return 1
				}
				return 2
			})
			if t.Failed() {
				t.Fatalf("power cut after operation %d of %d, survival %d", n, ops, how)
			}
		}
	}
}

func FuzzScanHeader(f *testing.F) {
	f.Add("Delivered-To: a@b\r\n\r\nx")
	f.Add("x")
	f.Add("A: b\r\n c\r\nDelivered-To:x\n")
	f.Add(strings.Repeat("y", 5000) + ":\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := scanHeader(strings.NewReader(text))
		if err != nil || len(h.deliveredTo) > maxDeliveredTo {
			t.Fatalf("%d, %v", len(h.deliveredTo), err)
		}
		for _, s := range h.deliveredTo {
			if !strings.Contains(text, s) || strings.ContainsAny(s, "\n") {
				t.Fatalf("%q", s)
			}
		}
	})
}

func TestACircleIsSeenAttemptsLater(t *testing.T) {
	forwards := map[string][]string{"alice@local.test": {"bob"}, "bob@local.test": {"alice"}}
	b := withAgent(t, nil, forwards)
	b.world.refuse["bob@local.test"] = refusal(451, status.Code{4, 2, 1}, "later")
	b.submit("hello", "alice@local.test", "bob@local.test")
	b.world.forwards = map[string][]string{"alice@local.test": {"bob"}}
	b.run(Selection{})
	b.want(map[string]int{})
	clear(b.world.refuse)
	b.world.forwards = forwards
	b.clock.add(time.Hour)
	b.run(Selection{})
	b.want(once("alice@local.test"))
	b.wantEmpty()
}
