package compat

import (
	"strconv"
	"strings"
)

// maxTag is the length of a -L tag, as Sendmail has it.
const maxTag = 32

// flag makes the setter of an option without a value.
func flag(set func(*Invocation)) func(*parser, string) error {
	return func(p *parser, _ string) error {
		set(&p.inv)
		return nil
	}
}

// setFrom reads the envelope sender; the last one given counts. The forms of the null reverse-path that
// callers use are "", "<>" and either with blanks around it.
func setFrom(p *parser, v string) error {
	if s := strings.TrimSpace(v); s == "" || s == "<>" {
		v = ""
	}
	p.inv.From = &v
	return nil
}

func setFullName(p *parser, v string) error {
	p.inv.FullName = v
	return nil
}

func setBodyType(p *parser, v string) error {
	switch t := strings.ToUpper(v); t {
	case "7BIT", "8BITMIME":
		p.inv.BodyType = t
	default:
		p.unused("-B", v, "the body types are 7BIT and 8BITMIME")
	}
	return nil
}

// setConfig reads -C. Sendmail takes the next word when nothing is attached; here that word is an operand, so
// whoever expects otherwise is told.
func setConfig(p *parser, v string) error {
	if v == "" {
		p.unused("-C", v, "the file's name must follow without a blank")
		return nil
	}
	p.inv.ConfigFile = v
	p.unsafe("-C")
	return nil
}

func setTrafficLog(p *parser, v string) error {
	// -XV and -XVxy are Postfix's, and ask for VERP.
	if v[:min(1, len(v))] == "V" && (len(v) == 1 || len(v) == 3) {
		p.ignore("-X"+v, "every recipient is told of by a report, not by its own return address")
		return nil
	}
	p.inv.TrafficLog = v
	p.unsafe("-X")
	return nil
}

func setDebug(p *parser, v string) error {
	if v == "" {
		v = "0-99.1" // what Sendmail takes a bare -d for
	}
	p.inv.Debug = v
	return nil
}

func setHops(p *parser, v string) error {
	if n, ok := count(v); ok {
		p.inv.Hops = n
	} else {
		p.unused("-h", v, "not a count")
	}
	return nil
}

// count reads a number of hops.
func count(v string) (int, bool) {
	n, err := strconv.ParseUint(v, 10, 16)
	return int(n), err == nil
}

func setTag(p *parser, v string) error {
	if !printable(v) {
		p.unused("-L", v, "not a name")
		return nil
	}
	p.inv.Tag = v[:min(maxTag, len(v))]
	return nil
}

// setReceived reads "protocol" or "protocol:host".
func setReceived(p *parser, v string) error {
	proto, host, _ := strings.Cut(v, ":")
	if !printable(proto) || host != "" && !printable(host) {
		p.unused("-p", v, "not protocol:host")
		return nil
	}
	p.inv.Received = Via{proto, host}
	return nil
}

// printable tells whether s is a word of visible ASCII, fit for a log line or a Received field.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// setErrorMode reads -e and -oe. Only the first letter counts.
func setErrorMode(p *parser, v string) error {
	if v == "" || !strings.Contains("pqmwe", v[:1]) {
		p.unused("-e", v, "the error modes are p, q, m, w and e")
		return nil
	}
	p.inv.ErrorMode = v[0]
	return nil
}

func setQuarantine(p *parser, v string) error {
	p.inv.Quarantine = &v
	return nil
}
