package maillog

import (
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/internal/status"
)

// capture keeps lines, and fails the next `fail` writes.
type capture struct {
	lines []string
	fail  int
}

func (c *capture) write(line []byte) error {
	if c.fail > 0 {
		c.fail--
		return errors.New("no")
	}
	c.lines = append(c.lines, string(line))
	return nil
}

func (*capture) close() error { return nil }

var noon = time.Date(2026, 11, 24, 9, 0, 0, 123456789, time.UTC)

func captured(f formatter) (*Logger, *capture) {
	c := &capture{}
	o := origin{host: "host", program: "sendmail", pid: 42}
	return &Logger{origin: o, now: func() time.Time { return noon }, format: f, sink: c}, c
}

const id = "4C1RKT2QZ0001"

// golden has every event function, with and without what is optional.
var golden = []struct {
	name string
	call func(*Logger)
	text string
	json string
}{
	{"queued, nothing more known", func(l *Logger) { l.Queued(id, "a@b", 812, 2, -1, "", "") },
		"4C1RKT2QZ0001: from=<a@b>, size=812, nrcpt=2 (queued)",
		`"event":"queued","id":"4C1RKT2QZ0001","from":"a@b","size":812,"nrcpt":2`},
	{"a local delivery", func(l *Logger) {
		l.Local(id, LocalDelivery{To: "list@here", User: "nobody", UID: 65534, Into: "|/bin/x -y", Took: 200 * time.Millisecond, Code: status.Code{4, 3, 0}, Text: "command x ended with status 75"})
	},
		`4C1RKT2QZ0001: rcpt=<list@here>, user=<nobody>, uid=65534, into=<|/bin/x\x20-y>, delay=0.2, dsn=4.3.0, local delivery (command x ended with status 75)`,
		`"event":"local","id":"4C1RKT2QZ0001","rcpt":"list@here","user":"nobody","uid":65534,"into":"|/bin/x -y","delay":0.2,"dsn":"4.3.0","text":"command x ended with status 75"`},
	{"a .forward that does not count", func(l *Logger) {
		l.ForwardIgnored(id, "alice", "/home/alice/.forward: its group or everybody may write it")
	},
		"4C1RKT2QZ0001: user=<alice>, forward ignored (/home/alice/.forward: its group or everybody may write it)",
		`"event":"forward_ignored","id":"4C1RKT2QZ0001","user":"alice","text":"/home/alice/.forward: its group or everybody may write it"`},
	{"queued, all known", func(l *Logger) { l.Queued(id, "", 812, 2, 0, "mx.d[192.0.2.7]", "nightly") },
		"4C1RKT2QZ0001: from=<>, size=812, nrcpt=2 (queued), uid=0, client=mx.d[192.0.2.7], tag=nightly",
		`"event":"queued","id":"4C1RKT2QZ0001","from":"","size":812,"nrcpt":2,"uid":0,"client":"mx.d[192.0.2.7]","tag":"nightly"`},
	{"deferred", func(l *Logger) {
		l.Attempt(id, "c@d", "", "mx.d[192.0.2.7]:25", 1400*time.Millisecond, status.Code{4, 4, 1}, Deferred, "connection refused", "")
	},
		"4C1RKT2QZ0001: to=<c@d>, relay=mx.d[192.0.2.7]:25, delay=1.4, dsn=4.4.1, status=deferred (connection refused)",
		`"event":"attempt","id":"4C1RKT2QZ0001","to":"c@d","relay":"mx.d[192.0.2.7]:25","delay":1.4,"dsn":"4.4.1","status":"deferred","text":"connection refused"`},
	{"sent over TLS for an alias", func(l *Logger) {
		l.Attempt(id, "c@d", "root", "mx.d[192.0.2.7]:25", 30*time.Millisecond, status.Code{2, 0, 0}, Sent, "250 2.0.0 ok", "TLSv1.3")
	},
		"4C1RKT2QZ0001: to=<c@d>, orig_to=<root>, relay=mx.d[192.0.2.7]:25, delay=0.03, dsn=2.0.0, status=sent (tls=TLSv1.3: 250 2.0.0 ok)",
		`"event":"attempt","id":"4C1RKT2QZ0001","to":"c@d","orig_to":"root","relay":"mx.d[192.0.2.7]:25","delay":0.03,"dsn":"2.0.0","status":"sent","tls":"TLSv1.3","text":"250 2.0.0 ok"`},
	{"bounced before any host was reached", func(l *Logger) {
		l.Attempt(id, "c@d", "c@d", "", 0, status.Code{5, 1, 2}, Bounced, "", "")
	},
		"4C1RKT2QZ0001: to=<c@d>, relay=none, delay=0, dsn=5.1.2, status=bounced ()",
		`"event":"attempt","id":"4C1RKT2QZ0001","to":"c@d","relay":"none","delay":0,"dsn":"5.1.2","status":"bounced","text":""`},
	{"a peer's tls= does not pass for ours", func(l *Logger) {
		l.Attempt(id, "c@d", "", "unix:/run/lmtp", 5*24*time.Hour, status.Code{4, 4, 7}, Expired, "tls=TLSv1.3: ok", "")
	},
		`4C1RKT2QZ0001: to=<c@d>, relay=unix:/run/lmtp, delay=432000, dsn=4.4.7, status=expired (\x74ls=TLSv1.3: ok)`,
		`"event":"attempt","id":"4C1RKT2QZ0001","to":"c@d","relay":"unix:/run/lmtp","delay":432000,"dsn":"4.4.7","status":"expired","text":"tls=TLSv1.3: ok"`},
	{"removed", func(l *Logger) { l.Removed(id) },
		"4C1RKT2QZ0001: removed",
		`"event":"removed","id":"4C1RKT2QZ0001"`},
	{"held", func(l *Logger) { l.Held(id, "too many bounces", "root") },
		"4C1RKT2QZ0001: by=root, held (too many bounces)",
		`"event":"held","id":"4C1RKT2QZ0001","by":"root","text":"too many bounces"`},
	{"held by nobody known, for no reason given", func(l *Logger) { l.Held(id, "", "") },
		"4C1RKT2QZ0001: held",
		`"event":"held","id":"4C1RKT2QZ0001"`},
	{"released", func(l *Logger) { l.Released(id, "root") },
		"4C1RKT2QZ0001: by=root, released",
		`"event":"released","id":"4C1RKT2QZ0001","by":"root"`},
	{"requeued", func(l *Logger) { l.Requeued(id, "root") },
		"4C1RKT2QZ0001: by=root, requeued",
		`"event":"requeued","id":"4C1RKT2QZ0001","by":"root"`},
	{"deleted", func(l *Logger) { l.Deleted(id, "root") },
		"4C1RKT2QZ0001: by=root, deleted",
		`"event":"deleted","id":"4C1RKT2QZ0001","by":"root"`},
	{"report", func(l *Logger) { l.Report(id, "4C1RKT2QZ0002", "failure") },
		"4C1RKT2QZ0001: report=4C1RKT2QZ0002, kind=failure",
		`"event":"report","id":"4C1RKT2QZ0001","report":"4C1RKT2QZ0002","kind":"failure"`},
	{"refused", func(l *Logger) { l.Refused("a@b", 1000, status.Code{5, 2, 3}, "message exceeds 50MiB") },
		"NOQUEUE: from=<a@b>, uid=1000, dsn=5.2.3, refused (message exceeds 50MiB)",
		`"event":"refused","from":"a@b","uid":1000,"dsn":"5.2.3","text":"message exceeds 50MiB"`},
	{"refused, submitter not known", func(l *Logger) { l.Refused("", -1, status.Code{4, 3, 0}, "spool is full") },
		"NOQUEUE: from=<>, dsn=4.3.0, refused (spool is full)",
		`"event":"refused","from":"","dsn":"4.3.0","text":"spool is full"`},
	{"corrupt", func(l *Logger) { l.Corrupt(id+",S=812", "size is 400") },
		"NOQUEUE: file=<4C1RKT2QZ0001,S=812>, corrupt (size is 400)",
		`"event":"corrupt","file":"4C1RKT2QZ0001,S=812","text":"size is 400"`},
	{"run starts", func(l *Logger) { l.RunStart("interval") },
		"NOQUEUE: run started (interval)",
		`"event":"run_start","text":"interval"`},
	{"run ends", func(l *Logger) {
		l.RunEnd(RunStats{Messages: 9, Sent: 5, Deferred: 3, Bounced: 2, Expired: 1, Took: 1234 * time.Millisecond})
	},
		"NOQUEUE: messages=9, sent=5, deferred=3, bounced=2, expired=1, delay=1.2, run ended",
		`"event":"run_end","messages":9,"sent":5,"deferred":3,"bounced":2,"expired":1,"delay":1.2`},
	{"warning about a message", func(l *Logger) { l.Warning(id, "cannot write journal: no space left on device") },
		"4C1RKT2QZ0001: warning (cannot write journal: no space left on device)",
		`"event":"warning","id":"4C1RKT2QZ0001","text":"cannot write journal: no space left on device"`},
	{"warning about no message", func(l *Logger) { l.Warning("", "cannot open /etc/aliases: permission denied") },
		"NOQUEUE: warning (cannot open /etc/aliases: permission denied)",
		`"event":"warning","text":"cannot open /etc/aliases: permission denied"`},
	{"received", func(l *Logger) {
		l.Received(id, "a@b", 812, 1, -1, Arrival{Client: "mx.d[192.0.2.7]", Helo: "mx.d", Proto: "ESMTPSA", TLS: "TLSv1.3/TLS_AES_128_GCM_SHA256", Login: "joe", Reason: "login"})
	},
		`4C1RKT2QZ0001: from=<a@b>, size=812, nrcpt=1 (queued), client=mx.d[192.0.2.7], helo=<mx.d>, proto=ESMTPSA, tls=TLSv1.3/TLS_AES_128_GCM_SHA256, login=<joe>, why=login`,
		`"event":"queued","id":"4C1RKT2QZ0001","from":"a@b","size":812,"nrcpt":1,"client":"mx.d[192.0.2.7]","helo":"mx.d","proto":"ESMTPSA","tls":"TLSv1.3/TLS_AES_128_GCM_SHA256","login":"joe","why":"login"`},
	{"received from a user of this machine", func(l *Logger) { l.Received(id, "", 812, 1, 1000, Arrival{Proto: "ESMTP"}) },
		"4C1RKT2QZ0001: from=<>, size=812, nrcpt=1 (queued), uid=1000, proto=ESMTP",
		`"event":"queued","id":"4C1RKT2QZ0001","from":"","size":812,"nrcpt":1,"uid":1000,"proto":"ESMTP"`},
	{"discarded", func(l *Logger) {
		l.Discarded("a@b", 1, Arrival{Client: "unknown[192.0.2.7]", Helo: "x", Reason: "access(From:a@b)"})
	},
		"NOQUEUE: client=unknown[192.0.2.7], helo=<x>, from=<a@b>, nrcpt=1, discarded (access(From:a@b))",
		`"event":"discarded","client":"unknown[192.0.2.7]","helo":"x","from":"a@b","nrcpt":1,"text":"access(From:a@b)"`},
	{"a recipient discarded", func(l *Logger) {
		l.RcptDiscarded("a@b", "c@d", Arrival{Client: "unknown[192.0.2.7]", Via: "192.0.2.1", Helo: "x", Login: "joe", Reason: "access(To:c@d)"})
	},
		"NOQUEUE: client=unknown[192.0.2.7], via=192.0.2.1, helo=<x>, login=<joe>, from=<a@b>, to=<c@d>, discarded (access(To:c@d))",
		`"event":"discarded","client":"unknown[192.0.2.7]","via":"192.0.2.1","helo":"x","login":"joe","from":"a@b","to":"c@d","text":"access(To:c@d)"`},
	{"turned", func(l *Logger) {
		l.Turned("d.example", "250 2.0.0 queue run started", Arrival{Client: "mx.d[192.0.2.7]", Helo: "mx.d"})
	},
		"NOQUEUE: client=mx.d[192.0.2.7], helo=<mx.d>, domain=d.example, queue run wanted (250 2.0.0 queue run started)",
		`"event":"turned","client":"mx.d[192.0.2.7]","helo":"mx.d","domain":"d.example","text":"250 2.0.0 queue run started"`},
	{"rejected", func(l *Logger) {
		l.Rejected(Rejection{Command: "RCPT", Client: "unknown[192.0.2.7]", Helo: "x", Login: "joe", Mail: true, From: "a@b", To: "c@d", Reply: "550 5.7.1 relaying denied", Reason: "not ours"})
	},
		`NOQUEUE: client=unknown[192.0.2.7], helo=<x>, login=<joe>, command=RCPT, from=<a@b>, why=not\x20ours, to=<c@d>, rejected (550 5.7.1 relaying denied)`,
		`"event":"rejected","client":"unknown[192.0.2.7]","helo":"x","login":"joe","command":"RCPT","from":"a@b","why":"not ours","to":"c@d","text":"550 5.7.1 relaying denied"`},
	{"a client rejected", func(l *Logger) {
		l.Rejected(Rejection{Command: "CONNECT", Client: "unknown[192.0.2.7]", Reply: "421 4.7.0 too many"})
	},
		`NOQUEUE: client=unknown[192.0.2.7], command=CONNECT, rejected (421 4.7.0 too many)`,
		`"event":"rejected","client":"unknown[192.0.2.7]","command":"CONNECT","text":"421 4.7.0 too many"`},
	{"logged in", func(l *Logger) { l.LoggedIn("unknown[192.0.2.7]", "PLAIN", "joe") },
		"NOQUEUE: client=unknown[192.0.2.7], mechanism=PLAIN, login=<joe>, logged in",
		`"event":"login","client":"unknown[192.0.2.7]","mechanism":"PLAIN","login":"joe"`},
	{"login failed", func(l *Logger) { l.LoginFailed("unknown[192.0.2.7]", "PLAIN", "joe", "535 5.7.8 login failed") },
		"NOQUEUE: client=unknown[192.0.2.7], mechanism=PLAIN, login=<joe>, login failed (535 5.7.8 login failed)",
		`"event":"login_failed","client":"unknown[192.0.2.7]","mechanism":"PLAIN","login":"joe","text":"535 5.7.8 login failed"`},
	{"session", func(l *Logger) {
		l.Session("unknown[192.0.2.7]", "x", "ESMTPS", "TLSv1.2/X", SessionCount{5, 1, 2, 3}, 1200*time.Millisecond, "quit")
	},
		`NOQUEUE: client=unknown[192.0.2.7], helo=<x>, proto=ESMTPS, tls=TLSv1.2/X, commands=5, messages=1, rcpts=2, refused=3, delay=1.2, session ended (quit)`,
		`"event":"session","client":"unknown[192.0.2.7]","helo":"x","proto":"ESMTPS","tls":"TLSv1.2/X","commands":5,"messages":1,"rcpts":2,"refused":3,"delay":1.2,"text":"quit"`},
	{"server", func(l *Logger) { l.Server(ServerNotReloaded, "postrider.toml:3: unknown key") },
		"NOQUEUE: state=not-reloaded (postrider.toml:3: unknown key)",
		`"event":"server","state":"not-reloaded","text":"postrider.toml:3: unknown key"`},
}

func TestGolden(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			l, c := captured(textLine)
			tt.call(l)
			want := "2026-11-24T09:00:00.123456Z host postrider/sendmail[42]: " + tt.text
			if !slices.Equal(c.lines, []string{want}) {
				t.Errorf("text\n got %q\nwant %q", c.lines, want)
			}
			l, c = captured(jsonLine)
			tt.call(l)
			want = `{"time":"2026-11-24T09:00:00.123456Z","host":"host","program":"sendmail","pid":42,` + tt.json + "}"
			if !slices.Equal(c.lines, []string{want}) {
				t.Errorf("JSON\n got %q\nwant %q", c.lines, want)
			}
			tt.call(nil) // a nil Logger is silent
		})
	}
}

func TestSyslogForm(t *testing.T) {
	l, c := captured(syslogLine)
	l.Removed(id)
	l.Warning("", "w")
	want := []string{
		"<22>Nov 24 09:00:00 postrider/sendmail[42]: 4C1RKT2QZ0001: removed",
		"<20>Nov 24 09:00:00 postrider/sendmail[42]: NOQUEUE: warning (w)",
	}
	if !slices.Equal(c.lines, want) {
		t.Errorf("got %q, want %q", c.lines, want)
	}
}

// The expressions are of the kind with which readers of Postfix logs take lines apart.
func TestReadersOfPostfixLogs(t *testing.T) {
	l, c := captured(textLine)
	l.Queued(id, "a@b", 812, 2, 1000, "", "")
	l.Attempt(id, "c@d", "root", "mx.d[192.0.2.7]:25", time.Second, status.Code{2, 0, 0}, Sent, "250 ok", "TLSv1.3")
	l.Removed(id)
	for i, re := range []string{
		`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \S+ postrider/sendmail\[\d+\]: [0-9A-Z]+: from=<([^>]*)>, size=(\d+), nrcpt=(\d+) \(`,
		`\]: [0-9A-Z]+: to=<([^>]*)>, (?:orig_to=<[^>]*>, )?relay=([^,]+), delay=([^,]+), dsn=([^,]+), status=(\S+) \((.*)\)$`,
		`\]: [0-9A-Z]+: removed$`,
	} {
		if !regexp.MustCompile(re).MatchString(c.lines[i]) {
			t.Errorf("%s\ndoes not match\n%s", c.lines[i], re)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0", 0: "0", 4 * time.Millisecond: "0", 10 * time.Millisecond: "0.01", 100 * time.Millisecond: "0.1",
		990 * time.Millisecond: "0.99", 999 * time.Millisecond: "1", time.Second: "1", 1449 * time.Millisecond: "1.4",
		9940 * time.Millisecond: "9.9", 9970 * time.Millisecond: "10", 100 * time.Second: "100",
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestLostLinesAreCounted(t *testing.T) {
	l, c := captured(textLine)
	c.fail = 3
	l.Removed("A1")
	l.Removed("A2") // the count cannot be written either
	l.Removed("A3")
	l.Removed("A4")
	l.Removed("A5")
	var got []string
	for _, line := range c.lines {
		_, msg, _ := strings.Cut(line, "]: ")
		got = append(got, msg)
	}
	if want := []string{"NOQUEUE: lines=3, lost", "A4: removed", "A5: removed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnknownDestination(t *testing.T) {
	for _, dest := range []string{"", "file", "json:x", "relative/path"} {
		if l, err := Open("sendmail", dest, nil); err == nil || l != nil {
			t.Errorf("Open(%q) = %v, %v", dest, l, err)
		}
	}
}

func TestDoesNotLinkNet(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if dep == "net" || strings.HasPrefix(dep, "crypto/") || dep == "log/syslog" {
			t.Errorf("imports %s", dep)
		}
	}
}
