package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"postrider/internal/dns"
	"postrider/internal/status"
)

// dnsZone is one zone of DNS lists and the answers that count there.
type dnsZone struct {
	name    string
	answers []dnsAnswer
}

// dnsAnswer is what an answer of a DNS list weighs.
type dnsAnswer struct {
	from, to netip.Addr // the last number may be anything between; not valid: every answer counts
	weight   int
}

func (a dnsAnswer) matches(ip netip.Addr) bool {
	if !a.from.IsValid() {
		return !codes.Contains(ip)
	}
	return a.from.Compare(ip) <= 0 && ip.Compare(a.to) <= 0
}

var (
	// A DNS list answers with addresses of the loopback network (RFC 5782 section 2.1). Any other address comes from
	// somebody who has the zone now, or from a resolver that invents answers.
	answersNet = netip.MustParsePrefix("127.0.0.0/8")
	// codes tell that the question was refused; they say nothing of the address.
	codes = netip.MustParsePrefix("127.255.255.0/24")
)

// dnsZones reads the lists of the configuration: "zone", "zone*weight", "zone=127.0.0.[2..9]*weight". A zone that comes
// several times is asked once.
func dnsZones(list []string) ([]dnsZone, error) {
	var zones []dnsZone
	at := map[string]int{}
	for _, s := range list {
		zone, a, err := dnsList(s)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		if _, have := at[zone]; !have {
			at[zone] = len(zones)
			zones = append(zones, dnsZone{name: zone})
		}
		z := &zones[at[zone]]
		z.answers = append(z.answers, a)
	}
	return zones, nil
}

func dnsList(s string) (zone string, a dnsAnswer, err error) {
	a.weight = 1
	if i := strings.LastIndexByte(s, '*'); i >= 0 {
		if a.weight, err = strconv.Atoi(s[i+1:]); err != nil {
			return "", a, errors.New("the weight is no number")
		}
		s = s[:i]
	}
	zone, answer, ok := strings.Cut(s, "=")
	if !ok {
		return strings.ToLower(zone), a, nil
	}
	low, high := answer, answer
	if head, set, ok := strings.Cut(answer, "["); ok {
		from, to, _ := strings.Cut(strings.TrimSuffix(set, "]"), "..")
		low, high = head+from, head+to
	}
	if a.from, err = netip.ParseAddr(low); err != nil {
		return "", a, err
	}
	a.to, err = netip.ParseAddr(high)
	return strings.ToLower(zone), a, err
}

// listName is what a zone is asked for about an address: its numbers in reverse order (RFC 5782 section 2).
func listName(addr netip.Addr, zone string) string {
	var b strings.Builder
	bytes := addr.AsSlice()
	for i := len(bytes) - 1; i >= 0; i-- {
		if addr.Is4() {
			b.WriteString(strconv.Itoa(int(bytes[i])) + ".")
			continue
		}
		const hex = "0123456789abcdef"
		b.Write([]byte{hex[bytes[i]&15], '.', hex[bytes[i]>>4], '.'})
	}
	return b.String() + zone
}

// askLists asks all lists about addr at once and adds up the weights of what they say. whole is false when one of them
// did not answer.
func (p *Policy) askLists(ctx context.Context, addr netip.Addr) (listed *refusal, whole bool) {
	type answer struct {
		ips []netip.Addr
		err error
	}
	all := make([]chan answer, len(p.lists))
	for i, zone := range p.lists {
		all[i] = make(chan answer, 1)
		go func() {
			ips, err := p.o.Resolver.A(ctx, listName(addr, zone.name))
			all[i] <- answer{ips, err}
		}()
	}
	whole = true
	sum, worst, worstZone := 0, 0, ""
	var why []string
	for i, zone := range p.lists {
		a := <-all[i]
		if a.err != nil && !errors.Is(a.err, dns.ErrNotFound) {
			whole = false
			p.report("DNS list "+zone.name, a.err)
		}
		weight, hit := p.weigh(zone, a.ips)
		if !hit {
			continue
		}
		sum += weight
		why = append(why, fmt.Sprintf("%s*%d", zone.name, weight))
		if weight > worst {
			worst, worstZone = weight, zone.name
		}
	}
	if len(why) == 0 || sum < p.conf.Smtpd.DNSScore {
		return nil, whole
	}
	return p.listedBy(ctx, addr, worstZone, strings.Join(why, " ")), whole
}

// weigh is the weight of a zone's answers; each line of the configuration counts once.
func (p *Policy) weigh(zone dnsZone, ips []netip.Addr) (weight int, hit bool) {
	counted := make([]bool, len(zone.answers))
	for _, ip := range ips {
		if !answersNet.Contains(ip) || codes.Contains(ip) {
			p.report("DNS list "+zone.name, fmt.Errorf("it answers %v, which says nothing", ip))
		}
		if !answersNet.Contains(ip) {
			continue
		}
		for i, a := range zone.answers {
			if !counted[i] && a.matches(ip) {
				counted[i], hit = true, true
				weight += a.weight
			}
		}
	}
	return weight, hit
}

// listedBy makes the refusal of an address that has too much weight, with the words of the zone that weighs most.
func (p *Policy) listedBy(ctx context.Context, addr netip.Addr, zone, why string) *refusal {
	text := "your address " + addr.String() + " is listed by " + zone
	if list, err := p.o.Resolver.TXT(ctx, listName(addr, zone)); err == nil && len(list) > 0 {
		text += ": " + status.Clean(list[0], 200)
	}
	return &refusal{status: status.New("policy.dnslist", 554, status.Code{5, 7, 1}, text, nil), why: "dns_lists(" + why + ")"}
}
