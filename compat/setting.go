package compat

import "strings"

// setting is an option of -o (by letter) and -O (by name).
type setting struct {
	letter byte // 0: it has a name only
	name   string
	unsafe bool // only the spool's owner may set it
	does   string
	set    func(p *parser, value string) error
}

// settings are those that do something. Sendmail has some 150 more, and callers carry them for reasons long
// forgotten, so whatever is not here is ignored, even when Sendmail does not know it either.
var settings = []setting{
	{'A', "AliasFile", true, "the aliases file to rebuild",
		func(p *parser, v string) error { p.inv.AliasFile = v; return nil }},
	{'d', "DeliveryMode", false, "when to deliver: b, i, q or d", setDelivery},
	{'e', "ErrorMode", false, "as -e", setErrorMode},
	{'h', "MaxHopCount", true, "hops after which a message is refused", setMaxHops},
	{'i', "IgnoreDots", false, "as -i",
		func(p *parser, v string) error { p.inv.IgnoreDots = truth(v); return nil }},
	{0, "NoRecipientAction", false, "what a header without recipients gets", setNoRecipientAction},
	{'Q', "QueueDirectory", true, "the spool to use",
		func(p *parser, v string) error { p.inv.QueueDir = v; return nil }},
	{'v', "Verbose", false, "as -v",
		func(p *parser, v string) error { p.inv.Verbose = truth(v); return nil }},
}

// setShort reads -ox[value].
func setShort(p *parser, v string) error {
	if v == "" {
		p.ignore("-o", "it names no option")
		return nil
	}
	for i := range settings {
		if settings[i].letter == v[0] {
			return p.change(&settings[i], "-o"+v[:1], v[1:])
		}
	}
	p.ignore("-o"+v, "nothing here depends on it")
	return nil
}

// setLong reads -Oname=value; a name alone switches on what can be switched.
func setLong(p *parser, v string) error {
	name, value, _ := strings.Cut(v, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	for i := range settings {
		if strings.EqualFold(settings[i].name, name) {
			return p.change(&settings[i], "-O"+settings[i].name, value)
		}
	}
	p.ignore("-O"+v, "nothing here depends on it")
	return nil
}

func (p *parser) change(s *setting, option, value string) error {
	if s.unsafe {
		p.unsafe(option)
	}
	return s.set(p, value)
}

// truth reads a switch. Only a word that says no switches off: -oit is Sendmail's idiom for -oi.
func truth(v string) bool {
	return v == "" || !strings.Contains("fFnN0", v[:1])
}

// setDelivery reads -od. Only the first letter counts (Exim's callers write -odqs); f is Exim's and the LSB's
// foreground.
func setDelivery(p *parser, v string) error {
	switch v[:min(1, len(v))] {
	case "b":
		p.inv.Delivery = Background
	case "", "i", "f":
		p.inv.Delivery = Foreground
	case "q":
		p.inv.Delivery = QueueOnly
	case "d":
		p.inv.Delivery = Deferred
	default:
		p.unused("-od", v, "the delivery modes are b, i, q and d")
	}
	return nil
}

func setMaxHops(p *parser, v string) error {
	if n, ok := count(v); ok {
		p.inv.MaxHops = n
	} else {
		p.unused("-oh", v, "not a count")
	}
	return nil
}

func setNoRecipientAction(p *parser, v string) error {
	switch a := strings.ToLower(v); a {
	case "none", "add-to", "add-apparently-to", "add-bcc", "add-to-undisclosed":
		p.inv.NoRecipientAction = a
	default:
		p.unused("-ONoRecipientAction", v, "it takes none, add-to, add-apparently-to, add-bcc or add-to-undisclosed")
	}
	return nil
}
