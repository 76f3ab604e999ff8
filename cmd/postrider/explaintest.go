package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/route"
	"postrider/internal/status"
)

// tester is the address test mode, "sendmail -bt": it reads commands and tells what becomes of addresses, in the words of
// Sendmail where it has such.
type tester struct {
	*app
	conf     config.Config
	router   *route.Router
	resolver dns.Resolver
	sender   bool // of addresses in /try: a sender and no recipient
}

const testHelp = `Help for test mode:
?                 :this help message.
rules addr        :show the way of addr, with file and line of each step; rules
                  are 0 (parse), 3 (canonify) or others, with commas between.
$j                :the name of this host.
$=w               :the local domains of the configuration.
/mx host          :the MX records of host.
/map mapname key  :look up key in a table: aliases, user, virtuser, mailertable,
                  domaintable, generics, local-host-names, relay-domains,
                  smarthosts.
/parse addr       :the mailer, host and user of addr.
/sender addr      :the sender that others see.
/try mailer addr  :addr as the mailer has it.
/tryflags flags   :what an address in /try is: S a sender, R a recipient.
/quit             :quit address test mode.
End of HELP info
`

// maxTestLine caps a command.
const maxTestLine = 4096

// test reads commands until there are no more.
func (t *tester) test() error {
	fmt.Fprint(t.out, "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)\nEnter <ruleset> <address>\n> ")
	in := bufio.NewReaderSize(t.in, maxTestLine)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			t.say("a line is longer than %d bytes: it does not count", maxTestLine)
			line = nil
		}
		if text := strings.TrimSpace(string(line)); t.command(text) {
			return nil
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return status.Fail("explain", status.ExitIOErr, "cannot read a command", err)
		}
		fmt.Fprint(t.out, "> ")
	}
	fmt.Fprintln(t.out)
	return nil
}

func (t *tester) say(format string, args ...any) {
	fmt.Fprintln(t.out, status.Clean(fmt.Sprintf(format, args...), 2*status.MaxText))
}

// command does what one line asks for.
func (t *tester) command(line string) (quit bool) {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case line == "" || line[0] == '#':
	case line == "?":
		fmt.Fprint(t.out, testHelp)
	case word == "/quit":
		return true
	case line[0] == '/':
		t.slash(word, rest)
	case line[0] == '$':
		t.macro(line)
	case strings.ContainsRune(".=-", rune(line[0])):
		t.say("there are neither rules nor macros here; ? tells what there is")
	case rest == "":
		t.say("No address!")
	default:
		t.rules(word, rest)
	}
	return false
}

func (t *tester) slash(word, rest string) {
	fields := strings.Fields(rest)
	switch {
	case word == "/mx" && len(fields) == 1:
		t.mx(fields[0])
	case word == "/map" && len(fields) == 2:
		t.lookup(fields[0], fields[1])
	case word == "/parse" && rest != "":
		t.parse(rest)
	case word == "/sender" && rest != "":
		t.outward(rest, true)
	case word == "/try" && len(fields) >= 2:
		t.try(fields[0], strings.TrimSpace(rest[len(fields[0]):]))
	case word == "/tryflags" && len(fields) == 1:
		t.sender = strings.ContainsAny(fields[0], "sS")
	case testUsage[word] != "":
		t.say("Usage: %s", testUsage[word])
	default:
		t.say("Unknown \"/\" command %s", word)
	}
}

var testUsage = map[string]string{
	"/mx": "/mx address", "/map": "/map mapname key", "/parse": "/parse address", "/sender": "/sender address", "/try": "/try mailer address",
	"/tryflags": "/tryflags [Hh|Ee][Ss|Rr]",
}

func (t *tester) macro(line string) {
	switch line {
	case "$j", "$w":
		t.say("%s", t.conf.Hostname)
	case "$m":
		_, domain, _ := strings.Cut(t.conf.Hostname, ".")
		t.say("%s", domain)
	case "$=w":
		for _, domain := range append([]string{t.conf.Hostname, "localhost"}, t.conf.Domains...) {
			t.say("%s", domain)
		}
	default:
		t.say("Undefined")
	}
}

func (t *tester) mx(host string) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
	defer cancel()
	list, err := t.resolver.MX(ctx, host)
	if errors.Is(err, dns.ErrNotFound) {
		list, err = []dns.MX{{Host: host}}, nil
	}
	if err != nil {
		t.say("getmxrr(%s) returns -1 value(s): %s", host, status.From(err).Text())
		return
	}
	t.say("getmxrr(%s) returns %d value(s):", host, len(list))
	for _, mx := range list {
		fmt.Fprintf(t.out, "\t%s. %d\n", status.Clean(mx.Host, 256), mx.Pref)
	}
}

// lookup looks a key up in a table, in the aliases, or among the users.
func (t *tester) lookup(name, key string) {
	value, where, ok, err := "", "", false, error(nil)
	switch strings.ToLower(name) {
	case "aliases", "alias":
		e, found, lookupErr := t.router.Aliases().Lookup(key)
		names := make([]string, len(e.Members))
		for i, m := range e.Members {
			names[i] = m.Text
		}
		value, where, ok, err = strings.Join(names, ", "), e.Where(), found, lookupErr
	case "user", "passwd":
		u, found, lookupErr := t.users.Lookup(key)
		value, ok, err = u.Name, found, lookupErr
	default:
		value, where, ok, err = t.router.Map(name, key)
	}
	switch {
	case errors.Is(err, route.ErrNoMap):
		t.say("Map named \"%s\" not found", name)
	case err != nil:
		t.say("map_lookup: %s (%s) no match (%d): %s", name, key, status.From(err).Exit(), err)
	case !ok:
		t.say("map_lookup: %s (%s) no match (0)", name, key)
	default:
		t.say("map_lookup: %s (%s) returns %s (0)", name, key, value)
		if where != "" {
			fmt.Fprintf(t.out, "\t%s\n", status.Clean(where, status.MaxText))
		}
	}
}

// read is the address in a line, completed as sendmail does; not ok when there is none, which is said.
func (t *tester) read(text string) (address.Address, bool) {
	list, err := address.ParseList(text, address.Lenient)
	if err == nil && len(list) == 1 {
		err = list[0].Err
	}
	if err != nil || len(list) != 1 || list[0].Address.IsNull() {
		t.say("%s... %s", text, cmpErr(err))
		return address.Address{}, false
	}
	return list[0].Address, true
}

func cmpErr(err error) string {
	if err == nil {
		return "not one address"
	}
	return err.Error()
}

// ruleNames are the rulesets that there are in Sendmail. What two of them do is shown here; the others change nothing.
var ruleNames = map[string]string{
	"0": "parse", "1": "1", "2": "2", "3": "canonify", "4": "final", "5": "localaddr", "parse": "parse", "canonify": "canonify", "final": "final",
	"localaddr": "localaddr", "Parse0": "parse", "Parse1": "parse",
}

// rules runs an address through rulesets.
func (t *tester) rules(names, text string) {
	a, ok := t.read(text)
	if !ok {
		return
	}
	for _, rule := range strings.Split(names, ",") {
		name := ruleNames[strings.TrimSpace(rule)]
		switch {
		case name == "":
			t.say("Undefined ruleset %s", rule)
			return
		case name == "parse":
			t.resolve(a)
		default:
			t.say("%-18s input: %s", name, tokens(a.String()))
			t.say("%-16s returns: %s", name, focused(a, name))
		}
	}
}

// focused is an address as a ruleset leaves it: canonify marks its domain.
func focused(a address.Address, rule string) string {
	if rule != "canonify" || a.Domain() == "" {
		return tokens(a.String())
	}
	return tokens(a.Local()) + " < @ " + tokens(a.Domain()) + " . >"
}

// tokens is a text with blanks around the operators that Sendmail knows.
func tokens(s string) string {
	var b strings.Builder
	quoted := false
	for _, r := range s {
		if r == '"' {
			quoted = !quoted
		}
		if strings.ContainsRune(".:%@!^/[]+", r) && !quoted {
			b.WriteString(" " + string(r) + " ")
			continue
		}
		b.WriteRune(r)
	}
	return strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return unicode.IsSpace(r) && !quoted }), " ")
}

// resolve shows the steps of an address and what they come to.
func (t *tester) resolve(a address.Address) route.Decision {
	t.say("%-18s input: %s", "parse", tokens(a.String()))
	if a.Domain() == "" {
		a = a.WithDomain(t.conf.Origin)
		fmt.Fprintf(t.out, "\tsendmail completes it with origin: %s\n", a)
	}
	d := t.router.Route(a)
	for _, s := range d.Steps {
		fmt.Fprintf(t.out, "\t%s\n", s.Text)
	}
	t.say("%-16s returns: %s", "parse", triple(d))
	return d
}

// triple is a decision as ruleset 0 returns one: mailer, host, user.
func triple(d route.Decision) string {
	switch d.Kind {
	case route.Local:
		mailer, user, _ := strings.Cut(localMailer(d), ", user ")
		mailer, host, _ := strings.Cut(mailer, ", host ")
		if host != "" {
			host = " $@ " + tokens(host)
		}
		return "$# " + mailer + host + " $: " + user
	case route.Relay:
		return "$# " + d.Next.Mailer + " $@ " + tokens(hostOf(d.Next)) + " $: " + focused(d.Address, "canonify")
	case route.Expand:
		names := make([]string, len(d.Members))
		for i, m := range d.Members {
			names[i] = m.Address
		}
		return "$# local $: " + d.Address.Local() + " (" + strings.Join(names, ", ") + ")"
	}
	return "$# error $@ " + tokens(d.Status.Code().String()) + " $: " + d.Status.Text()
}

// parse tells who gets mail for an address.
func (t *tester) parse(text string) {
	a, ok := t.read(text)
	if !ok {
		return
	}
	t.say("Cracked address = %s", strings.Replace(text, a.String(), "$g", 1))
	t.say("Parsing envelope recipient address")
	switch d := t.resolve(a); d.Kind {
	case route.Local:
		t.say("mailer %s", localMailer(d))
	case route.Relay:
		t.say("mailer %s, host %s, user %s", d.Next.Mailer, hostOf(d.Next), d.Address)
	case route.Expand:
		t.say("mailer local, user %s", d.Address.Local())
	default:
		t.say("%s... %s", text, why(d.Status))
	}
}

// outward tells what others see of a sender.
func (t *tester) outward(text string, sender bool) {
	a, ok := t.read(text)
	if !ok {
		return
	}
	to, steps := a, []route.Step(nil)
	if sender {
		var err error
		if to, steps, err = t.router.Outward(a.WithDomain(t.conf.Origin)); err != nil {
			t.say("Rcode = %d, addr = %s: %s", status.From(err).Exit(), a, status.From(err))
			return
		}
	}
	for _, s := range steps {
		fmt.Fprintf(t.out, "\t%s\n", s.Text)
	}
	t.say("Rcode = 0, addr = %s", to)
}

// try tells how an address looks to a mailer. Those of this machine change nothing.
func (t *tester) try(mailer, text string) {
	what := map[bool]string{true: "sender", false: "recipient"}[t.sender]
	away := map[string]bool{"smtp": true, "esmtp": true, "smtp8": true, "dsmtp": true, "relay": true, "lmtp": true}
	here := map[string]bool{"local": true, "prog": true, "*file*": true, "*include*": true}
	if !away[mailer] && !here[mailer] {
		t.say("Unknown mailer %s", mailer)
		return
	}
	t.say("Trying envelope %s address %s for mailer %s", what, text, mailer)
	t.outward(text, t.sender && away[mailer])
}
