package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Zone is a resolver that answers from zone text (RFC 1035 section 5), for tests. What the text does not
// hold does not exist. Every record names its owner: blanks at the start of a line mean nothing here. Two
// directives of our own express failure:
//
//	$SERVFAIL name [type ...]   the server fails for these types of name, for all when none is given
//	$TIMEOUT  name [type ...]   no server answers
//
// Like regexp.MustCompile, Zone panics when the text is malformed.
func Zone(text string) Resolver {
	z := &zone{records: map[string][]dns.RR{}, fail: map[string]string{}}
	var rest strings.Builder
	for _, line := range strings.Split(text, "\n") {
		if !z.directive(strings.Fields(line)) {
			rest.WriteString(strings.TrimLeft(line, " \t") + "\n")
		}
	}
	parser := dns.NewZoneParser(strings.NewReader(rest.String()), ".", "zone")
	parser.SetDefaultTTL(3600)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := dns.CanonicalName(rr.Header().Name)
		z.records[name] = append(z.records[name], rr)
	}
	if err := parser.Err(); err != nil {
		panic(fmt.Sprintf("dns: %v", err))
	}
	return &resolver{asker: z}
}

type zone struct {
	records map[string][]dns.RR
	fail    map[string]string // "name TYPE", or "name *" for all types, to the directive
}

// directive takes a line of our own and reports whether it was one.
func (z *zone) directive(fields []string) bool {
	if len(fields) < 2 || fields[0] != "$SERVFAIL" && fields[0] != "$TIMEOUT" {
		return false
	}
	name, types := dns.CanonicalName(fields[1]), fields[2:]
	if len(types) == 0 {
		types = []string{"*"}
	}
	for _, t := range types {
		z.fail[name+" "+t] = fields[0]
	}
	return true
}

func (z *zone) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name = dns.CanonicalName(name)
	msg := new(dns.Msg)
	switch z.failure(name, qtype) {
	case "$TIMEOUT":
		return nil, errors.New("time limit exceeded")
	case "$SERVFAIL":
		msg.Rcode = dns.RcodeServerFailure
		return msg, nil
	}
	rrs, ok := z.records[name]
	if !ok {
		msg.Rcode = dns.RcodeNameError
		return msg, nil
	}
	for _, rr := range rrs {
		if t := rr.Header().Rrtype; t == qtype || t == dns.TypeCNAME {
			msg.Answer = append(msg.Answer, rr)
		}
	}
	return msg, nil
}

func (z *zone) failure(name string, qtype uint16) string {
	if f := z.fail[name+" *"]; f != "" {
		return f
	}
	return z.fail[name+" "+dns.TypeToString[qtype]]
}
