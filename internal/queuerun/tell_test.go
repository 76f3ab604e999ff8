package queuerun

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/internal/maillog"
	"postrider/internal/status"
	"postrider/queue"
)

func TestLogTellsTheWholeStory(t *testing.T) {
	b := newBench(t, nil)
	b.Config.Queue.Concurrency = 1
	path := filepath.Join(t.TempDir(), "log")
	var err error
	if b.Log, err = maillog.Open("queuerun", path, b.clock.Now); err != nil {
		t.Fatal(err)
	}
	down(b.world, nil)
	b.world.refuse["c@y.test"] = refusal(550, status.Code{5, 7, 1}, "not you")
	id := b.submit("hello", "a@x.test", "b@y.test", "c@y.test", "d@local.test")
	b.clock.add(90 * time.Second)
	b.run(Selection{})
	delete(b.world.connect, "mx.x.test")
	b.clock.add(time.Hour)
	b.run(Selection{})
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for line := range strings.Lines(string(text)) {
		if _, rest, ok := strings.Cut(line, ": "+string(id)+": "); ok {
			story = append(story, strings.TrimSpace(rest))
		}
	}
	want := []string{
		"to=<a@x.test>, relay=none, delay=90, dsn=4.4.1, status=deferred (mx.x.test (192.0.2.1:25): connection refused)",
		"to=<b@y.test>, relay=mx.y.test[192.0.2.1]:25, delay=90, dsn=2.0.0, status=sent (250 2.0.0 ok)",
		"to=<c@y.test>, relay=mx.y.test[192.0.2.1]:25, delay=90, dsn=5.7.1, status=bounced (550 5.7.1 not you)",
		"to=<d@local.test>, relay=local, delay=90, dsn=2.0.0, status=sent (ok)",
		"report=ID, kind=failure",
		"to=<a@x.test>, relay=mx.x.test[192.0.2.1]:25, delay=3690, dsn=2.0.0, status=sent (250 2.0.0 ok)",
		"removed",
	}
	for i, line := range story {
		if rest, ok := strings.CutPrefix(line, "report="); ok {
			story[i] = "report=ID" + rest[len(id):]
		}
	}
	if got := strings.Join(story, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the log has\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestSpokenOutcomes(t *testing.T) {
	for _, tc := range []struct {
		kind queue.Kind
		st   *status.Status
		want string
	}{
		{queue.Delivered, refusal(250, status.Code{2, 0, 0}, "ok"), "Sent (ok)"},
		{queue.Deferred, outage(status.Code{4, 4, 1}, "connection refused"), "Deferred: connection refused"},
		{queue.Failed, refusal(550, status.Code{5, 1, 1}, "who?"), "User unknown: who?"},
		{queue.Failed, refusal(550, status.Code{5, 7, 1}, "not you"), "not you"},
		{queue.Expired, outage(status.Code{4, 4, 1}, "connection refused"), "Expired: connection refused"},
	} {
		if got := spoken(tc.kind, tc.st.Code(), tc.st.Text()); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

func TestDialogueHasALineForEachRecipient(t *testing.T) {
	b := newBench(t, nil)
	var out bytes.Buffer
	b.Dialogue = &out
	b.submit("hello", "a@x.test", "u@refused.test")
	b.run(Selection{})
	want := "u@refused.test... User unknown: no such user\n" +
		"a@x.test... Connecting to mx.x.test (192.0.2.1:25) via esmtp...\n" +
		"a@x.test... Sent (ok)\n" +
		"sender@here.test... Sent (ok)\n"
	if out.String() != want {
		t.Errorf("it says\n%s", &out)
	}
}
