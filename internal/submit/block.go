package submit

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"postrider/internal/status"
	"postrider/queue"
)

// MaxBlock is the longest option block, in bytes.
const MaxBlock = 4 << 20

// The caps of what an option block may hold.
const (
	maxEnvID = 100 // RFC 3461 section 4.4
	maxTag   = 32
	maxWord  = 4 << 10 // a name or an address, however long its caller makes it
	maxHops  = 1 << 16
)

// AppendBlock appends what the command line says of a submission, for a server that has the rest: "key length:bytes" and
// a line end for each option that is not zero, whatever the bytes. It is read by ParseBlock.
func (o *Options) AppendBlock(b []byte) []byte {
	for _, r := range o.Recipients {
		b = appendOption(b, "rcpt", r)
	}
	for _, f := range []struct {
		key string
		set bool
	}{{"extract", o.Extract}, {"ignoredots", o.IgnoreDots}, {"gateway", o.Gateway}, {"utf8", o.UTF8}, {"noalias", o.NoAlias}} {
		if f.set {
			b = appendOption(b, f.key, "1")
		}
	}
	for _, f := range []struct {
		key string
		n   int
	}{{"norcpt", int(o.NoRcpt)}, {"hops", o.Hops}, {"hoplimit", o.HopLimit}} {
		if f.n > 0 {
			b = appendOption(b, f.key, strconv.Itoa(f.n))
		}
	}
	if o.From != nil {
		b = appendOption(b, "from", *o.From)
	}
	for _, f := range []struct{ key, value string }{
		{"name", o.FullName}, {"notify", o.Notify.String()}, {"ret", o.Ret}, {"envid", o.EnvID}, {"body", o.Body},
		{"tag", o.Tag}, {"proto", o.ReceivedProto}, {"host", o.ReceivedHost},
	} {
		if f.value != "" {
			b = appendOption(b, f.key, f.value)
		}
	}
	return b
}

func appendOption(b []byte, key, value string) []byte {
	b = append(append(b, key...), ' ')
	b = append(strconv.AppendInt(b, int64(len(value)), 10), ':')
	return append(append(b, value...), '\n')
}

// ParseBlock sets the options that a block holds; what o has of hops allowed can only become less. What the block says
// is a stranger's word: each value is one that sendmail itself would have taken.
func (o *Options) ParseBlock(b []byte) error {
	if len(b) > MaxBlock {
		return badBlock(errors.New("too long"))
	}
	limit := o.HopLimit
	for len(b) > 0 {
		key, value, rest, err := cutOption(b)
		if err == nil {
			err = o.set(key, value)
		}
		if err != nil {
			return badBlock(err)
		}
		b = rest
	}
	if limit > 0 && (o.HopLimit == 0 || o.HopLimit > limit) {
		o.HopLimit = limit
	}
	return nil
}

func badBlock(err error) error {
	return status.New("submit.block", 501, status.Code{5, 5, 4}, "bad options of a submission", err)
}

var errFraming = errors.New("bad framing")

// cutOption takes the first option of a block.
func cutOption(b []byte) (key, value string, rest []byte, err error) {
	head, _, ok := bytes.Cut(b[:min(len(b), 32)], []byte{':'})
	name, digits, two := bytes.Cut(head, []byte{' '})
	n, err := strconv.Atoi(string(digits))
	if !ok || !two || err != nil || n < 0 || n > MaxBlock || strconv.Itoa(n) != string(digits) {
		return "", "", nil, errFraming
	}
	b = b[len(head)+1:]
	if len(b) <= n || b[n] != '\n' {
		return "", "", nil, errFraming
	}
	return string(name), string(b[:n]), b[n+1:], nil
}

// set sets one option.
func (o *Options) set(key, value string) error {
	if key != "rcpt" && len(value) > maxWord {
		return fmt.Errorf("%s is too long", cut(key, maxTag))
	}
	switch key {
	case "rcpt":
		if len(o.Recipients) >= maxRcpts {
			return errors.New("too many recipients")
		}
		o.Recipients = append(o.Recipients, value)
	case "from":
		o.From = &value
	case "name":
		o.FullName = value
	case "proto":
		o.ReceivedProto = value
	case "host":
		o.ReceivedHost = value
	case "norcpt", "hops", "hoplimit":
		return o.setNumber(key, value)
	case "notify", "ret", "envid", "body", "tag":
		return o.setTerm(key, value)
	default:
		return o.setFlag(key, value)
	}
	return nil
}

func (o *Options) setFlag(key, value string) error {
	flags := map[string]*bool{"extract": &o.Extract, "ignoredots": &o.IgnoreDots, "gateway": &o.Gateway, "utf8": &o.UTF8, "noalias": &o.NoAlias}
	flag, ok := flags[key]
	if !ok || value != "1" {
		return fmt.Errorf("no such option: %q", cut(key, maxTag))
	}
	*flag = true
	return nil
}

func (o *Options) setNumber(key, value string) error {
	n, err := strconv.Atoi(value)
	switch {
	case err != nil || n <= 0 || n > maxHops:
		return fmt.Errorf("bad number of %s", key)
	case key == "hops":
		o.Hops = n
	case key == "hoplimit":
		o.HopLimit = n
	case n > int(AddUndisclosed):
		return errors.New("no such action")
	default:
		o.NoRcpt = NoRecipientAction(n)
	}
	return nil
}

// setTerm sets what other hosts are told of: it must be what SMTP carries.
func (o *Options) setTerm(key, value string) (err error) {
	ok := true
	switch key {
	case "notify":
		o.Notify, err = queue.ParseNotify(value)
	case "ret":
		o.Ret, ok = value, value == "FULL" || value == "HDRS"
	case "body":
		o.Body, ok = value, value == "7BIT" || value == "8BITMIME"
	case "envid":
		o.EnvID, ok = value, len(value) <= maxEnvID && isXtext(value)
	case "tag":
		o.Tag, ok = value, len(value) <= maxTag
	}
	if !ok {
		return fmt.Errorf("bad value of %s", key)
	}
	return err
}

// isXtext tells whether a word is xtext (RFC 3461 section 4).
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !upperHex(s[i+1]) || !upperHex(s[i+2]) {
				return false
			}
			i += 2
		case c <= ' ' || c > '~' || c == '=':
			return false
		}
	}
	return s != ""
}

func upperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }
