package compat

import (
	"path"
	"unicode/utf8"

	"postrider/internal/status"
)

// maxShown is how many bytes of a caller's word a message shows.
const maxShown = 60

// parser is the state of one Parse.
type parser struct {
	inv   Invocation
	table []Option
	rest  []string // words not yet read
}

// Parse reads an argument vector, argv[0] being the name the program was called by. Its error is a
// *status.Status with exit status 64, whose text says what was not understood.
//
// Parse takes time linear in the length of argv. Recipients shares argv's memory.
func Parse(argv []string) (*Invocation, error) {
	p := newParser(argv)
	if err := p.words(); err != nil {
		return nil, err
	}
	p.inv.Recipients = p.rest[:len(p.rest):len(p.rest)]
	if err := p.settle(); err != nil {
		return nil, err
	}
	return &p.inv, nil
}

func newParser(argv []string) *parser {
	p := &parser{table: Options}
	p.inv.Personality = "sendmail"
	p.inv.ErrorMode = 'p'
	if len(argv) > 0 {
		p.rest = argv[1:]
		if argv[0] != "" {
			p.inv.Personality = path.Base(argv[0])
		}
	}
	p.inv.Mode = personality(p.inv.Personality)
	if p.inv.Mode == Rmail {
		p.rmail()
	}
	return p
}

// words reads options up to the first operand.
func (p *parser) words() error {
	for len(p.rest) > 0 {
		word := p.rest[0]
		if len(word) < 2 || word[0] != '-' {
			return nil
		}
		p.rest = p.rest[1:]
		switch {
		case word == "--":
			return nil
		case word == "--help":
			p.inv.Mode = Help
		case word == "--version":
			p.inv.Mode = Version
		case word[1] == '-':
			return usage("unknown option " + status.Clean(word, maxShown))
		default:
			if err := p.letters(word[1:]); err != nil {
				return err
			}
			continue
		}
		p.rest = nil
	}
	return nil
}

// letters reads the letters of one word and the value of the last of them.
func (p *parser) letters(s string) error {
	for s != "" {
		o := p.find(s[0])
		if o == nil {
			_, n := utf8.DecodeRuneInString(s)
			return usage("unknown option -" + status.Clean(s[:n], maxShown))
		}
		s = s[1:]
		if o.Arg == NoArg {
			if err := p.apply(o, ""); err != nil {
				return err
			}
			continue
		}
		if o.Arg == Required && s == "" {
			if len(p.rest) == 0 {
				return usage("option -" + string(o.Letter) + " needs a value")
			}
			s, p.rest = p.rest[0], p.rest[1:]
		}
		return p.apply(o, s)
	}
	return nil
}

func (p *parser) find(letter byte) *Option {
	for i := range p.table {
		if p.table[i].Letter == letter {
			return &p.table[i]
		}
	}
	return nil
}

func (p *parser) apply(o *Option, value string) error {
	if o.set == nil {
		p.ignore("-"+string(o.Letter), o.Ignored)
		return nil
	}
	return o.set(p, value)
}

// settle draws the conclusions that need all options.
func (p *parser) settle() error {
	inv := &p.inv
	if inv.Quarantine != nil && !inv.QueueRun.Set {
		return usage("option -Q needs -q to select messages")
	}
	if inv.Mode == QueueRun { // called as runq
		inv.QueueRun.Set = true
	}
	if inv.Mode == Deliver && inv.QueueRun.Set {
		inv.Mode = QueueRun
	}
	if inv.Verbose {
		inv.QueueRun.Foreground = inv.QueueRun.Foreground || inv.QueueRun.Set && inv.QueueRun.Interval == 0
		if inv.Delivery == Background {
			inv.Delivery = Foreground
		}
	}
	return nil
}

// usage is a command line that is refused.
func usage(text string) error {
	return status.Fail("compat.parse", status.ExitUsage, text, nil)
}

// unused warns of a value that is not understood and does without it.
func (p *parser) unused(option, value, why string) {
	p.inv.Warnings = append(p.inv.Warnings, option+` "`+status.Clean(value, maxShown)+`" ignored: `+why)
}

func (p *parser) ignore(option, why string) {
	p.inv.Ignored = append(p.inv.Ignored, option+": "+why)
}

// unsafe notes an option that only the spool's owner may give.
func (p *parser) unsafe(option string) {
	p.inv.Unsafe = append(p.inv.Unsafe, option)
}
