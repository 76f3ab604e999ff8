package route

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postrider/internal/config"
	"postrider/internal/dns"
	"postrider/internal/status"
)

const hostsZone = `
	$ORIGIN example.
	two      MX 20 b.two
	two      MX 10 a.two
	a.two    A 198.51.100.1
	a.two    AAAA 2001:db8:1::1
	b.two    A 198.51.100.2
	nomx     A 198.51.100.3
	null     MX 0 .
	odd      MX 0 .
	odd      MX 10 b.two
	dead     MX 10 nowhere
	halfdead MX 10 nowhere
	halfdead MX 20 b.two
	broken   MX 10 servfail
	backup   MX 5 a.two
	backup   MX 10 mail.example.org.
	backup   MX 10 b.two
	backup   MX 20 b.two
	best     MX 10 MAIL.example.org.
	best     MX 20 b.two
	byaddr   MX 10 me
	byaddr   MX 20 b.two
	late     MX 10 servfail
	late     MX 20 me
	sole     MX 10 nowhere
	sole     MX 20 me
	me       A 192.0.2.1
	loop     A 127.0.0.1
	any      A 0.0.0.0
	cast     A 224.0.0.1
	smtp     A 198.51.100.9
	mail     A 198.51.100.10
	many     MX 10 many6
	many     MX 20 many4
	many     MX 30 many2
	many     MX 40 nowhere
	twice    MX 10 a.two
	twice    MX 15 b.two
	twice    MX 20 a.two
	twice    MX 30 b.alias
	b.alias  A 198.51.100.2
	number   MX 10 192.0.2.7.
	number2  MX 10 192.0.2.7.
	number2  MX 20 servfail
	mail.example.org. A 192.0.2.1
	$SERVFAIL servfail.example.
	$SERVFAIL nodns.example.
`

// manyAddrs is a host with n addresses of each family.
func manyAddrs(host string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s A 203.0.%d.%d\n%s AAAA 2001:db8:%x::%x\n", host, host[4], i, host, host[4], i)
	}
	return b.String()
}

func list(hosts []Host, err error) string {
	if err != nil {
		return status.From(err).Diagnostic()
	}
	var parts []string
	for _, h := range hosts {
		if h.Socket != "" {
			parts = append(parts, h.Socket)
			continue
		}
		parts = append(parts, fmt.Sprintf("%s[%s]:%d", h.Name, h.Addr.Addr(), h.Addr.Port()))
	}
	return strings.Join(parts, " ")
}

func TestHosts(t *testing.T) {
	mx := func(domain string) NextHop { return NextHop{Domain: domain, Port: "25"} }
	for _, c := range []struct {
		name string
		conf config.Config
		next NextHop
		want string
	}{
		{"exchangers by preference, families in turn", system(), mx("two.example"), "a.two.example[2001:db8:1::1]:25 a.two.example[198.51.100.1]:25 b.two.example[198.51.100.2]:25"},
		{"no MX record: the domain's own address", system(), mx("nomx.example"), "nomx.example[198.51.100.3]:25"},
		{"no MX and no address", system(), mx("nowhere.example"), "550 5.1.2 nowhere.example has neither mail exchanger nor address in DNS"},
		{"a null MX refuses at once", system(), mx("null.example"), "556 5.1.10 null.example takes no mail (null MX)"},
		{"a null MX among others is ignored", system(), mx("odd.example"), "b.two.example[198.51.100.2]:25"},
		{"exchangers without addresses", system(), mx("dead.example"), "550 5.4.4 no mail exchanger of dead.example has an address"},
		{"one exchanger of two exists", system(), mx("halfdead.example"), "b.two.example[198.51.100.2]:25"},
		{"an exchanger that cannot be looked up now", system(), mx("broken.example"), "451 4.4.3 DNS lookup of servfail.example failed"},
		{"a host and an address are tried once", system(), mx("twice.example"), "a.two.example[2001:db8:1::1]:25 a.two.example[198.51.100.1]:25 b.two.example[198.51.100.2]:25"},
		{"an exchanger that is an address and no name", system(), mx("number.example"), "550 5.4.4 no mail exchanger of number.example has an address"},
		{"and another that cannot be looked up now", system(), mx("number2.example"), "451 4.4.3 DNS lookup of servfail.example failed"},
		{"a domain that cannot be looked up now", system(), mx("nodns.example"), "451 4.4.3 DNS lookup of nodns.example failed"},
		{"a backup sends to better exchangers only", system(), mx("backup.example"), "a.two.example[2001:db8:1::1]:25 a.two.example[198.51.100.1]:25"},
		{"the best exchanger is this machine by name", system(), mx("best.example"), "554 5.4.6 mail for best.example loops back to this machine"},
		{"the best exchanger is this machine by address", system(), mx("byaddr.example"), "554 5.4.6 mail for byaddr.example loops back to this machine"},
		{"a better exchanger that cannot be looked up now", system(), mx("late.example"), "451 4.4.3 DNS lookup of servfail.example failed"},
		{"a better exchanger that does not exist", system(), mx("sole.example"), "554 5.4.6 mail for sole.example loops back to this machine"},
		{"a domain at this machine's address", system(), mx("me.example"), "554 5.4.6 mail for me.example loops back to this machine"},
		{"a domain at the loopback", system(), mx("loop.example"), "554 5.4.6 mail for loop.example loops back to this machine"},
		{"a domain at no address", system(), mx("any.example"), "554 5.4.6 mail for any.example loops back to this machine"},
		{"a domain at a multicast address", system(), mx("cast.example"), "550 5.1.2 cast.example has neither mail exchanger nor address in DNS"},
		{"a user installation is nobody's exchanger", system(userInstallation), mx("byaddr.example"), "me.example[192.0.2.1]:25 b.two.example[198.51.100.2]:25"},
		{"a smarthost by name is not looked up for MX", system(), NextHop{Host: "smtp.example", Port: "587"}, "smtp.example[198.51.100.9]:587"},
		{"a smarthost by address", system(), NextHop{Host: "2001:db8::9", Port: "465"}, "2001:db8::9[2001:db8::9]:465"},
		{"a smarthost on this machine is allowed", system(), NextHop{Host: "localhost", Port: "2525"}, "localhost[::1]:2525 localhost[127.0.0.1]:2525"},
		{"a smarthost that does not exist makes mail wait", system(), NextHop{Host: "nowhere.example", Port: "25"}, "451 4.4.4 the smarthost's name is not found"},
		{"a literal that is no host", system(), NextHop{Host: "224.0.0.1", Port: "25"}, "550 5.4.4 224.0.0.1 is no address of a host"},
		{"a port that is none makes mail wait", system(), NextHop{Host: "smtp.example", Port: "0"}, "451 4.3.5 the next hop's port is no number"},
		{"a socket", system(), NextHop{Socket: "/run/lmtp"}, "/run/lmtp"},
	} {
		r := New(c.conf, dns.Zone(hostsZone), users).onMachine("192.0.2.1", "2001:db8::1")
		if got := list(r.Hosts(context.Background(), c.next)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestIPv4ComesFirstWithoutAnIPv6Address(t *testing.T) {
	r := New(system(), dns.Zone(hostsZone), users).onMachine("192.0.2.1", "::1", "fe80::1", "fd00::1")
	got := list(r.Hosts(context.Background(), NextHop{Domain: "two.example", Port: "25"}))
	if !strings.HasPrefix(got, "a.two.example[198.51.100.1]:25 a.two.example[2001:db8:1::1]:25") {
		t.Error(got)
	}
}

func TestAddressesAreCapped(t *testing.T) {
	zone := dns.Zone(hostsZone + manyAddrs("many6.example.", 60) + manyAddrs("many4.example.", 60) + manyAddrs("many2.example.", 60))
	hosts, err := New(system(), zone, users).onMachine("192.0.2.1").Hosts(context.Background(), NextHop{Domain: "many.example", Port: "25"})
	if err != nil || len(hosts) != MaxHosts {
		t.Fatalf("%d hosts, %v", len(hosts), err)
	}
	count := map[string]int{}
	for _, h := range hosts {
		count[h.Name]++
		count[fmt.Sprint(h.Addr.Addr().Is6())]++
	}
	if count["many6.example"] != maxPerName || count["many4.example"] != maxPerName || count["true"] != MaxHosts/2 {
		t.Errorf("%v", count)
	}
}

func TestEqualPreferencesAreShuffledAndOthersKeepTheirOrder(t *testing.T) {
	zone := "best.example. MX 1 first.example.\nfirst.example. A 198.51.100.1\n"
	for i, name := range []string{"a", "b", "c"} {
		zone += fmt.Sprintf("best.example. MX 5 %s.example.\n%s.example. A 198.51.100.%d\n", name, name, i+2)
	}
	r := New(system(), dns.Zone(zone), users).onMachine("192.0.2.1")
	r.shuffle = rand.New(rand.NewPCG(1, 2)).Shuffle
	firsts := map[string]int{}
	for range 300 {
		hosts, err := r.Hosts(context.Background(), NextHop{Domain: "best.example", Port: "25"})
		if err != nil || len(hosts) != 4 || hosts[0].Name != "first.example" {
			t.Fatalf("%v, %v", hosts, err)
		}
		firsts[hosts[1].Name]++
	}
	for name, n := range firsts {
		if n < 70 || n > 130 {
			t.Errorf("%s came second %d times of 300", name, n)
		}
	}
	if len(firsts) != 3 {
		t.Errorf("%v", firsts)
	}
}

func TestAnOwnExchangerTakesItsEqualsAway(t *testing.T) {
	r := New(system(), dns.Zone(hostsZone), users).onMachine("192.0.2.1")
	for seed := range uint64(20) {
		r.shuffle = rand.New(rand.NewPCG(seed, 0)).Shuffle
		got := list(r.Hosts(context.Background(), NextHop{Domain: "backup.example", Port: "25"}))
		if strings.Contains(got, "b.two.example") || !strings.Contains(got, "a.two.example") {
			t.Fatalf("seed %d: %s", seed, got)
		}
	}
}

// slowly is a resolver that finds what is asked for first, and then waits for the context to end.
type slowly struct {
	dns.Resolver
	fast string
}

func (s slowly) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == s.fast {
		return s.Resolver.Addrs(ctx, host)
	}
	<-ctx.Done()
	return nil, status.New("test", 451, status.Code{4, 4, 3}, "no answer", ctx.Err())
}

func TestLookupsEnd(t *testing.T) {
	r := New(system(), slowly{dns.Zone(hostsZone), "a.two.example."}, users).onMachine("192.0.2.1")
	r.lookupTime = 20 * time.Millisecond
	for domain, want := range map[string]string{"two.example": "a.two.example[198.51.100.1]:25 a.two.example[2001:db8:1::1]:25", "nomx.example": "451 4.4.3 no answer"} {
		if got := list(r.Hosts(context.Background(), NextHop{Domain: domain, Port: "25"})); got != want {
			t.Errorf("%s: %s", domain, got)
		}
	}
}
