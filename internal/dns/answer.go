package dns

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// lookup returns the records of qtype that name has, following aliases. The error is ErrNotFound when a
// server says that there are none.
func (r *resolver) lookup(ctx context.Context, name string, qtype uint16) ([]dns.RR, error) {
	name = dns.CanonicalName(name)
	for hops := 0; ; {
		msg, err := r.ask(ctx, name, qtype)
		if err != nil {
			return nil, err
		}
		switch msg.Rcode {
		case dns.RcodeSuccess:
		case dns.RcodeNameError:
			return nil, ErrNotFound
		default:
			return nil, fmt.Errorf("server answers %s", rcode(msg.Rcode))
		}
		end, n, err := follow(msg.Answer, name, maxAlias-hops)
		if err != nil {
			return nil, err
		}
		if rrs := ofType(msg.Answer, end, qtype); len(rrs) > 0 {
			return rrs, nil
		}
		if n == 0 || negative(msg) {
			return nil, ErrNotFound
		}
		// A server that does not know what its alias leads to leaves the rest to us.
		name, hops = end, hops+n
	}
}

// follow walks the aliases of rrs that start at name and returns where they end and how many they are.
// RFC 5321 section 5.1 lets a domain be an alias.
func follow(rrs []dns.RR, name string, max int) (end string, n int, err error) {
	next := map[string]string{}
	for _, rr := range rrs {
		if alias, ok := rr.(*dns.CNAME); ok {
			next[dns.CanonicalName(alias.Hdr.Name)] = dns.CanonicalName(alias.Target)
		}
	}
	for end = name; next[end] != ""; n++ {
		if n == max {
			return "", 0, fmt.Errorf("more than %d aliases (CNAME) in a row", maxAlias)
		}
		end = next[end]
	}
	return end, n, nil
}

func ofType(rrs []dns.RR, name string, qtype uint16) []dns.RR {
	var list []dns.RR
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype == qtype && h.Class == dns.ClassINET && strings.EqualFold(h.Name, name) {
			list = append(list, rr)
		}
	}
	return list
}

// negative reports whether msg says "no such record" with authority (RFC 2308 section 2.2).
func negative(msg *dns.Msg) bool {
	for _, rr := range msg.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			return true
		}
	}
	return false
}

func rcode(code int) string {
	if s := dns.RcodeToString[code]; s != "" {
		return s
	}
	return fmt.Sprintf("response code %d", code)
}
