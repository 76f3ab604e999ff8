package compat

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"postrider/internal/status"
)

// words splits a command line at blanks outside single quotes.
func words(line string) []string {
	var out []string
	var word []byte
	quoted, begun := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			quoted, begun = !quoted, true
		case c == ' ' && !quoted:
			if begun {
				out = append(out, string(word))
			}
			word, begun = word[:0], false
		default:
			word, begun = append(word, c), true
		}
	}
	if begun {
		out = append(out, string(word))
	}
	return out
}

// ask is what the test expects of a command line, on top of the defaults of its personality.
type ask = func(*Invocation)

// rcpts are the operands that are expected.
func rcpts(r ...string) ask { return func(i *Invocation) { i.Recipients = r } }

func from(s string) ask { return func(i *Invocation) { i.From = &s } }

func mode(m Mode) ask { return func(i *Invocation) { i.Mode = m } }

func errorMode(c byte) ask { return func(i *Invocation) { i.ErrorMode = c } }

func delivery(d Delivery) ask { return func(i *Invocation) { i.Delivery = d } }

func run(r Run) ask {
	return func(i *Invocation) {
		if r.Set = true; i.Mode == Deliver {
			i.Mode = QueueRun
		}
		i.QueueRun = r
	}
}

func dots(i *Invocation)    { i.IgnoreDots = true }
func extract(i *Invocation) { i.ExtractRecipients = true }
func verbose(i *Invocation) { i.Verbose = true }
func eight(i *Invocation)   { i.BodyType = "8BITMIME" }

// ignores and warns expect as many entries, and that the last names the option.
func ignores(options ...string) ask { return func(i *Invocation) { i.Ignored = options } }
func warns(option string) ask       { return func(i *Invocation) { i.Warnings = []string{option} } }
func unsafe(options ...string) ask  { return func(i *Invocation) { i.Unsafe = options } }

func every(asks ...ask) ask {
	return func(i *Invocation) {
		for _, a := range asks {
			a(i)
		}
	}
}

// check compares what line parses to with the defaults changed by want. Of warnings and ignored options only
// the option is compared.
func check(t *testing.T, name, line string, want ...ask) {
	t.Helper()
	got, err := Parse(words(line))
	if err != nil {
		t.Errorf("%s: %s: %v", name, line, err)
		return
	}
	exp := newParser(words(line)[:1]).inv
	every(want...)(&exp)
	for i, s := range got.Ignored {
		got.Ignored[i], _, _ = strings.Cut(s, ": ")
	}
	for i, s := range got.Warnings {
		got.Warnings[i], _, _ = strings.Cut(s, ` "`)
	}
	if len(got.Recipients) == 0 {
		got.Recipients = nil
	}
	if !reflect.DeepEqual(*got, exp) {
		t.Errorf("%s: %s\n got %+v%s\nwant %+v%s", name, line, *got, null(got.From), exp, null(exp.From))
	}
}

func null(s *string) string {
	if s == nil {
		return " (no From)"
	}
	return " (From " + *s + ")"
}

// refused expects exit status 64 and a text.
func refused(t *testing.T, line, text string) {
	t.Helper()
	inv, err := Parse(words(line))
	var s *status.Status
	if inv != nil || !errors.As(err, &s) || s.Exit() != status.ExitUsage || s.Error() != text {
		t.Errorf("%s: %+v, %v; want %q", line, inv, err, text)
	}
}

func TestGetopt(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		want ask
	}{
		{"letters are bundled", "sendmail -ti", every(extract, dots)},
		{"in any order", "sendmail -it", every(extract, dots)},
		{"a value ends a bundle", "sendmail -tif a@b.test c", every(extract, dots, from("a@b.test"), rcpts("c"))},
		{"a value is attached", "sendmail -fa@b.test", from("a@b.test")},
		{"or the next word", "sendmail -f a@b.test", from("a@b.test")},
		{"even when that looks like an option", "sendmail -f -t", from("-t")},
		{"bundled -o takes the rest", "sendmail -tio b", every(extract, dots, ignores("-ob"))},
		{"-oit is -oi, not -t", "sendmail -oit bob", every(dots, rcpts("bob"))},
		{"-o takes the next word", "sendmail -o i bob", every(dots, rcpts("bob"))},
		{"-q does not take the next word", "sendmail -q bob", every(run(Run{}), rcpts("bob"))},
		{"-q -v is a run shown", "sendmail -q -v", every(verbose, delivery(Foreground), run(Run{Foreground: true}))},
		{"-d does not take the next word", "sendmail -d bob", every(func(i *Invocation) { i.Debug = "0-99.1" }, rcpts("bob"))},
		{"-d0.1 is a level", "sendmail -d0.1", func(i *Invocation) { i.Debug = "0.1" }},
		{"-C does not take the next word", "sendmail -C bob", every(warns("-C"), rcpts("bob"))},
		{"-Cfile names a file", "sendmail -C/x.toml bob", every(func(i *Invocation) { i.ConfigFile = "/x.toml" }, unsafe("-C"), rcpts("bob"))},
		{"-Q does not take the next word", "sendmail -q -Q bob", every(run(Run{}), func(i *Invocation) { i.Quarantine = new(string) }, rcpts("bob"))},
		{"-tq is bundled", "sendmail -tq", every(extract, run(Run{}))},
		{"options end at the first operand", "sendmail bob -f x", rcpts("bob", "-f", "x")},
		{"options end at -", "sendmail -t - -i", every(extract, rcpts("-", "-i"))},
		{"options end at --", "sendmail -t -- -i", every(extract, rcpts("-i"))},
		{"only the first -- is dropped", "sendmail -- -- -x", rcpts("--", "-x")},
		{"an empty word is an operand", "sendmail -t '' -i", every(extract, rcpts("", "-i"))},
		{"operands are kept as they are", "sendmail -- 'Bob B <b@r>' 'b@r, c@r' ' x '", rcpts("Bob B <b@r>", "b@r, c@r", " x ")},
		{"--help", "sendmail -t --help bob", every(extract, mode(Help))},
		{"--version", "mailq --version", mode(Version)},
	} {
		check(t, c.name, c.line, c.want)
	}
}

func TestRefused(t *testing.T) {
	for line, text := range map[string]string{
		"sendmail -Z":                "unknown option -Z",
		"sendmail -tZ bob":           "unknown option -Z",
		"sendmail -\u20ac":           "unknown option -\u20ac",
		"sendmail -\x01":             `unknown option -\x01`,
		"sendmail --foo":             "unknown option --foo",
		"sendmail -t-":               "unknown option --",
		"sendmail -S":                "unknown option -S",
		"sendmail -bob@example.test": "unknown mode -bob@example.test",
		"sendmail -bz":               "unknown mode -bz",
		"sendmail -bf":               "unknown mode -bf",
		"sendmail -bpc":              "unknown mode -bpc",
		"sendmail -b ''":             "unknown mode -b",
		"sendmail -f":                "option -f needs a value",
		"sendmail -t -i -F":          "option -F needs a value",
		"sendmail -q30x":             `bad interval "30x" of -q`,
		"sendmail -q-1m":             `bad interval "-1m" of -q`,
		"sendmail -qpx":              `bad interval "x" of -q`,
		"sendmail -qff":              `bad interval "ff" of -q`,
		"sendmail -q99999999999w":    `bad interval "99999999999w" of -q`,
		"sendmail -q2000000000w":     `bad interval "2000000000w" of -q`,
		"sendmail -qR":               "option -qR needs a text to look for",
		"sendmail -q!I":              "option -q!I needs a text to look for",
		"sendmail -q!":               "unknown selection -q!",
		"sendmail -q!Q":              "unknown selection -q!Q",
		"sendmail -Qspam bob":        "option -Q needs -q to select messages",
		"rmail -f a bob":             "unknown option -f",
	} {
		refused(t, line, text)
	}
	for _, o := range Options {
		if o.Arg == Required {
			refused(t, "sendmail -t"+string(o.Letter), "option -"+string(o.Letter)+" needs a value")
		}
	}
}

func TestPersonalities(t *testing.T) {
	for _, c := range []struct {
		line string
		want ask
	}{
		{"sendmail", mode(Deliver)},
		{"/usr/lib/sendmail bob", rcpts("bob")},
		{"/usr/bin/send-mail bob", rcpts("bob")},
		{"mail.postrider bob", rcpts("bob")},
		{"/usr/bin/mailq", mode(ListQueue)},
		{"mailq -v", every(mode(ListQueue), verbose, delivery(Foreground))},
		{"mailq -qRexample", every(mode(ListQueue), run(Run{Filters: []QueueFilter{{'R', false, "example"}}}))},
		{"mailq -bm bob", every(mode(Deliver), rcpts("bob"))},
		{"newaliases", mode(Newaliases)},
		{"newaliases -bp", mode(ListQueue)},
		{"smtpd", mode(Daemon)},
		{"smtpd -bs", mode(SMTP)},
		{"smtpd -q30m", every(mode(Daemon), run(Run{Interval: 30 * time.Minute}))},
		{"hoststat -v", every(mode(HostStatus), verbose, delivery(Foreground))},
		{"purgestat", mode(PurgeHostStatus)},
		{"runq", run(Run{})},
		{"runq -v", every(run(Run{Foreground: true}), verbose, delivery(Foreground))},
		{"runq -bp", mode(ListQueue)},
		{"bsmtp", mode(BatchSMTP)},
		{"rsmtp", mode(BatchSMTP)},
		{"rmail bob alice@a.test", rcpts("bob", "alice@a.test")},
		{"rmail -D uucp.test -T bob", every(func(i *Invocation) { i.Received.Proto = "uucp.test" }, ignores("-T"), rcpts("bob"))},
		{"rmail -- -bob", rcpts("-bob")},
	} {
		check(t, "personality", c.line, c.want)
	}
}

func TestRmailIsWhatRmailPassesToSendmail(t *testing.T) {
	rm, err := Parse(words("rmail bob"))
	if err != nil {
		t.Fatal(err)
	}
	sm, err := Parse(words("sendmail -G -oee -odi -oi -pUUCP bob"))
	if err != nil {
		t.Fatal(err)
	}
	rm.Personality, rm.Mode = sm.Personality, sm.Mode
	if !reflect.DeepEqual(rm, sm) {
		t.Errorf("%+v\n%+v", rm, sm)
	}
}

func TestNoArgv(t *testing.T) {
	for _, argv := range [][]string{nil, {}, {""}} {
		inv, err := Parse(argv)
		if err != nil || inv.Personality != "sendmail" || inv.Mode != Deliver {
			t.Errorf("%q: %+v, %v", argv, inv, err)
		}
	}
}

func TestModes(t *testing.T) {
	for flag, want := range map[string]Mode{
		"-bm": Deliver, "-bp": ListQueue, "-bs": SMTP, "-bS": BatchSMTP, "-bd": Daemon, "-bD": DaemonForeground,
		"-bi": Newaliases, "-I": Newaliases, "-bv": Verify, "-bt": AddressTest, "-bh": HostStatus, "-bH": PurgeHostStatus,
		"-bP": CountQueue, "-bC": CheckConfig, "-b p": ListQueue, "-bm -bs": SMTP, "-bs -I": Newaliases,
	} {
		check(t, "mode", "sendmail "+flag+" x", mode(want), rcpts("x"))
	}
	check(t, "loopback", "sendmail -bl", mode(Daemon), func(i *Invocation) { i.Loopback = true })
	check(t, "the last mode counts", "sendmail -bl -bd", mode(Daemon))
	check(t, "CR LF", "sendmail -ba bob", func(i *Invocation) { i.CRLF = true }, rcpts("bob"))
}
