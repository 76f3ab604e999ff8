package compat

import (
	"strings"
	"testing"
	"time"
)

func TestMessageOptions(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		name string
		line string
		want ask
	}{
		{"-f is the sender", "sendmail -f a@b.test", from("a@b.test")},
		{"-r is -f", "sendmail -r a@b.test", from("a@b.test")},
		{"the last -f counts", "sendmail -fa -r b -fc", from("c")},
		{"-f '' is the null reverse-path", "sendmail -f ''", from("")},
		{"-f '<>' too", "sendmail -f '<>'", from("")},
		{"-f<> too", "sendmail -f<>", from("")},
		{"blanks around it are not", "sendmail -f ' <> '", from("")},
		{"a display name is the reader's work", "sendmail -f 'Some Name <s@a>'", from("Some Name <s@a>")},
		{"-F is a name", "sendmail -F 'Cron Daemon'", func(i *Invocation) { i.FullName = "Cron Daemon" }},
		{"-N never", "sendmail -N never", notify("NEVER")},
		{"-N is put into order", "sendmail -Ndelay,FAILURE,success,delay", notify("SUCCESS,FAILURE,DELAY")},
		{"never stands alone", "sendmail -N never,delay", warns("-N")},
		{"a bad -N is a warning", "sendmail -N sometimes", warns("-N")},
		{"an empty one too", "sendmail -N ''", warns("-N")},
		{"-R full", "sendmail -R FULL", ret("FULL")},
		{"-R hdrs", "sendmail -Rhdrs", ret("HDRS")},
		{"-R headers", "sendmail -R headers", ret("HDRS")},
		{"the last -R counts", "sendmail -Rhdrs -Rfull", ret("FULL")},
		{"a bad -R is a warning", "sendmail -R some", warns("-R")},
		{"-V takes xtext as it is", "sendmail -V a+2Bb", envID("a+2Bb")},
		{"-V encodes the rest", "sendmail -V 'a b=c+d'", envID("a+20b+3Dc+2Bd")},
		{"a broken escape is encoded", "sendmail -V a+2bx", envID("a+2B2bx")},
		{"-V may have 100 characters", "sendmail -V " + long, envID(long)},
		{"and no more", "sendmail -V x" + long, warns("-V")},
		{"encoded ones count", "sendmail -V =" + long[1:], warns("-V")},
		{"-V must be printable", "sendmail -V a\x01", warns("-V")},
		{"-V must not be empty", "sendmail -V ''", warns("-V")},
		{"-V+= is old VERP", "sendmail -V+= bob", every(ignores("-V+="), rcpts("bob"))},
		{"-XV is VERP", "sendmail -XV bob", every(ignores("-XV"), rcpts("bob"))},
		{"-XV+= is VERP", "sendmail -XV+= bob", every(ignores("-XV+="), rcpts("bob"))},
		{"-X is a log", "sendmail -X /tmp/log", every(func(i *Invocation) { i.TrafficLog = "/tmp/log" }, unsafe("-X"))},
		{"-B8BITMIME", "sendmail -B8BITMIME", eight},
		{"-B folds case", "sendmail -B 7bit", func(i *Invocation) { i.BodyType = "7BIT" }},
		{"a bad -B is a warning", "sendmail -B 9BIT", warns("-B")},
		{"-G", "sendmail -G", func(i *Invocation) { i.Gateway = true }},
		{"-U", "sendmail -U", func(i *Invocation) { i.UTF8 = true }},
		{"-n", "sendmail -n", func(i *Invocation) { i.NoAlias = true }},
		{"-h", "sendmail -h 17", func(i *Invocation) { i.Hops = 17 }},
		{"a bad -h is a warning", "sendmail -h many", warns("-h")},
		{"a negative one too", "sendmail -h-1", warns("-h")},
		{"an absurd one too", "sendmail -h 99999999999999999999", warns("-h")},
		{"-L", "sendmail -L nightly", func(i *Invocation) { i.Tag = "nightly" }},
		{"-L is cut to 32", "sendmail -L " + long, func(i *Invocation) { i.Tag = long[:32] }},
		{"-L is a word", "sendmail -L 'a b'", warns("-L")},
		{"-p", "sendmail -p UUCP:host.test", via("UUCP", "host.test")},
		{"-p without a host", "sendmail -pUUCP", via("UUCP", "")},
		{"-p with an IPv6 host", "sendmail -pSMTP:[IPv6:::1]", via("SMTP", "[IPv6:::1]")},
		{"-p is two words", "sendmail -p 'a b:c'", warns("-p")},
		{"without line ends", "sendmail -p 'a:c\n'", warns("-p")},
		{"-v waits", "sendmail -v", every(verbose, delivery(Foreground))},
		{"-v -odq does not", "sendmail -v -odq", every(verbose, delivery(QueueOnly))},
		{"-odb -v waits too: there is nothing to see elsewhere", "sendmail -odb -v", every(verbose, delivery(Foreground))},
		{"what is ignored", "sendmail -c -s -m -x -T5d -Mxval -Ac -D /x -Ejis -J bob",
			every(ignores("-c", "-s", "-m", "-x", "-T", "-M", "-A", "-D", "-E", "-J"), rcpts("bob"))},
		{"-M takes one word", "sendmail -M r bob", every(ignores("-M"), rcpts("bob"))},
	} {
		check(t, c.name, c.line, c.want)
	}
}

func notify(s string) ask  { return func(i *Invocation) { i.Notify = s } }
func ret(s string) ask     { return func(i *Invocation) { i.Ret = s } }
func envID(s string) ask   { return func(i *Invocation) { i.EnvID = s } }
func via(p, h string) ask  { return func(i *Invocation) { i.Received = Via{p, h} } }
func maxHops(n int) ask    { return func(i *Invocation) { i.MaxHops = n } }
func action(s string) ask  { return func(i *Invocation) { i.NoRecipientAction = s } }
func spool(d string) ask   { return func(i *Invocation) { i.QueueDir = d } }
func aliases(f string) ask { return func(i *Invocation) { i.AliasFile = f } }

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		want ask
	}{
		{"-oi", "sendmail -oi", dots},
		{"-oif is off", "sendmail -i -oif", nil},
		{"-oi0 is off", "sendmail -i -oi0", nil},
		{"-oiNo is off", "sendmail -i -oiNo", nil},
		{"-oitrue", "sendmail -oitrue", dots},
		{"-oi1", "sendmail -oi1", dots},
		{"-OIgnoreDots", "sendmail -OIgnoreDots", dots},
		{"-OIgnoreDots=True", "sendmail -O ignoredots=True", dots},
		{"-OIgnoreDots=False", "sendmail -i -OIgnoreDots=False", nil},
		{"-odb", "sendmail -odq -odb", delivery(Background)},
		{"-odi", "sendmail -odi", delivery(Foreground)},
		{"-odf", "sendmail -odf", delivery(Foreground)},
		{"-od", "sendmail -od", delivery(Foreground)},
		{"-odq", "sendmail -odq", delivery(QueueOnly)},
		{"-odqs", "sendmail -odqs", delivery(QueueOnly)},
		{"-odd", "sendmail -odd", delivery(Deferred)},
		{"a bad -od is a warning", "sendmail -odz", warns("-od")},
		{"-O DeliveryMode", "sendmail -O DELIVERYMODE=queue", delivery(QueueOnly)},
		{"-oem", "sendmail -oem", errorMode('m')},
		{"-em", "sendmail -em", errorMode('m')},
		{"-e m", "sendmail -e m", errorMode('m')},
		{"-ep", "sendmail -em -ep", errorMode('p')},
		{"-eq", "sendmail -eq", errorMode('q')},
		{"-ew", "sendmail -ew", errorMode('w')},
		{"-oee", "sendmail -oee", errorMode('e')},
		{"-OErrorMode", "sendmail -OErrorMode=mail", errorMode('m')},
		{"a bad -oe is a warning", "sendmail -oex", warns("-e")},
		{"an empty one too", "sendmail -oe", warns("-e")},
		{"-ov", "sendmail -ov", every(verbose, delivery(Foreground))},
		{"-ovf is off", "sendmail -v -ovf", nil},
		{"-OVerbose", "sendmail -OVerbose=true", every(verbose, delivery(Foreground))},
		{"-oQ", "sendmail -oQ/q", every(spool("/q"), unsafe("-oQ"))},
		{"-OQueueDirectory", "sendmail -Oqueuedirectory=/q", every(spool("/q"), unsafe("-OQueueDirectory"))},
		{"-oA", "sendmail -bi -oA/etc/al", every(mode(Newaliases), aliases("/etc/al"), unsafe("-oA"))},
		{"-OAliasFile", "newaliases -O AliasFile=/etc/al", every(aliases("/etc/al"), unsafe("-OAliasFile"))},
		{"-oh does not take the next word", "sendmail -oh 5", every(warns("-oh"), unsafe("-oh"), rcpts("5"))},
		{"-oh30", "sendmail -oh30", every(maxHops(30), unsafe("-oh"))},
		{"-OMaxHopCount", "sendmail -OMaxHopCount=30", every(maxHops(30), unsafe("-OMaxHopCount"))},
		{"-ONoRecipientAction", "sendmail -ONoRecipientAction=Add-To", action("add-to")},
		{"a bad one is a warning", "sendmail -ONoRecipientAction=x", warns("-ONoRecipientAction")},
		{"blanks around = do not count", "sendmail -O 'NoRecipientAction = none'", action("none")},
		{"a value may hold =", "sendmail -ODaemonPortOptions=Addr=127.0.0.1", ignores("-ODaemonPortOptions=Addr=127.0.0.1")},
		{"the rest is ignored by name", "sendmail -OTimeout.queuereturn=1d -O NoSuchOption", ignores("-OTimeout.queuereturn=1d", "-ONoSuchOption")},
		{"and by letter", "sendmail -om -oo -o7 -o8 -o8m -or0s -oT5d -oL9 -oj -oEtext -of -o?x", ignores("-om", "-oo", "-o7", "-o8", "-o8m", "-or0s", "-oT5d", "-oL9", "-oj", "-oEtext", "-of", "-o?x")},
		{"even an empty one", "sendmail -o '' -O '' -O =x bob", every(ignores("-o", "-O", "-O=x"), rcpts("bob"))},
	} {
		if c.want == nil {
			c.want = every()
		}
		check(t, c.name, c.line, c.want)
	}
	for c := byte(' ' + 1); c < 0x7f; c++ {
		if _, err := Parse([]string{"sendmail", "-o" + string(c) + "x", "-o" + string(c), "-O" + string(c) + "=x", "bob"}); err != nil {
			t.Errorf("-o%c: %v", c, err)
		}
	}
}

func TestQueueRuns(t *testing.T) {
	filter := func(f ...QueueFilter) ask { return run(Run{Filters: f}) }
	for _, c := range []struct {
		line string
		want ask
	}{
		{"sendmail -q", run(Run{})},
		{"sendmail -q0", run(Run{})},
		{"sendmail -q30m", run(Run{Interval: 30 * time.Minute})},
		{"sendmail -q30", run(Run{Interval: 30 * time.Minute})},
		{"sendmail -q1h30m", run(Run{Interval: 90 * time.Minute})},
		{"sendmail -q1h30", run(Run{Interval: 90 * time.Minute})},
		{"sendmail -q1w2d3h4m5s", run(Run{Interval: 9*24*time.Hour + 3*time.Hour + 4*time.Minute + 5*time.Second})},
		{"sendmail -bd -q30m", every(mode(Daemon), run(Run{Interval: 30 * time.Minute}))},
		{"sendmail -q30m -bd", every(mode(Daemon), run(Run{Interval: 30 * time.Minute}))},
		{"sendmail -bm -q", run(Run{})},
		{"sendmail -qf", run(Run{Foreground: true})},
		{"sendmail -qp", run(Run{Interval: 5 * time.Minute})},
		{"sendmail -qp10s", run(Run{Interval: 10 * time.Second})},
		{"sendmail -q30m -v", every(run(Run{Interval: 30 * time.Minute}), verbose, delivery(Foreground))},
		{"sendmail -qGname", every(run(Run{}), ignores("-qGname"))},
		{"sendmail -qI6AMJ", filter(QueueFilter{'I', false, "6AMJ"})},
		{"sendmail -qRexample.org", filter(QueueFilter{'R', false, "example.org"})},
		{"sendmail -qSalice", filter(QueueFilter{'S', false, "alice"})},
		{"sendmail -q!I6AMJ", filter(QueueFilter{'I', true, "6AMJ"})},
		{"sendmail -q!Rx", filter(QueueFilter{'R', true, "x"})},
		{"sendmail -q!Sx", filter(QueueFilter{'S', true, "x"})},
		{"sendmail -qRa -q!Rb", filter(QueueFilter{'R', false, "a"}, QueueFilter{'R', true, "b"})},
		{"sendmail -qRa -qSb -qf", run(Run{Foreground: true, Filters: []QueueFilter{{'R', false, "a"}, {'S', false, "b"}}})},
		{"sendmail -qQ", run(Run{Quarantined: true})},
		{"sendmail -qQspam", run(Run{Quarantined: true, Filters: []QueueFilter{{'Q', false, "spam"}}})},
		{"sendmail -qL", run(Run{Lost: true})},
		{"sendmail -bp -qRx", every(mode(ListQueue), filter(QueueFilter{'R', false, "x"}))},
		{"mailq -qQ", run(Run{Quarantined: true})},
		{"sendmail -Qspam -qRx", every(filter(QueueFilter{'R', false, "x"}), quarantine("spam"))},
		{"sendmail -qQ -Q", every(run(Run{Quarantined: true}), quarantine(""))},
	} {
		check(t, "queue run", c.line, c.want)
	}
}

func quarantine(s string) ask { return func(i *Invocation) { i.Quarantine = &s } }

func TestEveryOptionSaysWhatItDoesOrWhyNot(t *testing.T) {
	for _, o := range Options {
		if (o.Does == "") == (o.Ignored == "") || (o.set == nil) != (o.Ignored != "") {
			t.Errorf("-%c: %+v", o.Letter, o)
		}
		if (o.Arg == NoArg) != (o.Value == "") {
			t.Errorf("-%c: value %q", o.Letter, o.Value)
		}
	}
}

func TestHostileValuesAreShownHarmless(t *testing.T) {
	inv, err := Parse([]string{"sendmail", "-N", "x\nforged: " + strings.Repeat("y", 10000)})
	if err != nil || len(inv.Warnings) != 1 || strings.Contains(inv.Warnings[0], "\n") || len(inv.Warnings[0]) > 200 {
		t.Errorf("%+v, %v", inv, err)
	}
}

func TestUsageNamesEveryOption(t *testing.T) {
	text := Usage()
	for _, o := range Options {
		if !strings.Contains(text, "\n  "+o.form()+" ") {
			t.Errorf("-%c is missing", o.Letter)
		}
	}
	for _, m := range modes {
		if !strings.Contains(text, "\n  -b"+string(m.letter)+" ") {
			t.Errorf("-b%c is missing", m.letter)
		}
	}
}

func TestLongArgv(t *testing.T) {
	const n = 200_000
	argv := make([]string, 0, n+2)
	argv = append(argv, "sendmail", "-"+strings.Repeat("i", n)+"m")
	for range n / 2 {
		argv = append(argv, "-m", "-oX")
	}
	argv = append(argv, "--")
	for range n {
		argv = append(argv, "a@b.test")
	}
	inv, err := Parse(argv)
	if err != nil || len(inv.Recipients) != n || len(inv.Ignored) != n+1 {
		t.Fatal(err)
	}
}
