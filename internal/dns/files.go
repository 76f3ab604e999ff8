package dns

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// resolvConf is what resolv.conf(5) says to us.
type resolvConf struct {
	servers  []string // host:port
	search   []string // without final dots, lower case
	timeout  time.Duration
	attempts int
}

// Caps on resolv.conf: those of resolver(3), with a little more room for servers.
const (
	maxServers = 5
	maxSearch  = 6
)

// parseResolvConf reads a resolv.conf. What it does not know or cannot read, it ignores, as every resolver
// does. A server may have a port, "[address]:port" (as on BSD).
func parseResolvConf(text []byte) resolvConf {
	conf := resolvConf{timeout: 5 * time.Second, attempts: 2}
	for line := range lines(text, "#;") {
		switch key, values := line[0], line[1:]; key {
		case "nameserver":
			if len(values) > 0 && len(conf.servers) < maxServers {
				if server, ok := serverAddr(values[0]); ok {
					conf.servers = append(conf.servers, server)
				}
			}
		case "domain", "search": // the last one wins
			conf.search = searchList(values)
		case "options":
			for _, option := range values {
				conf.option(option)
			}
		}
	}
	if len(conf.servers) == 0 {
		conf.servers = []string{"127.0.0.1:53"}
	}
	return conf
}

func (conf *resolvConf) option(s string) {
	key, value, _ := strings.Cut(s, ":")
	n, err := strconv.Atoi(value)
	if err != nil {
		return
	}
	switch key {
	case "timeout":
		conf.timeout = time.Duration(min(max(n, 1), 30)) * time.Second
	case "attempts":
		conf.attempts = min(max(n, 1), 5)
	}
}

func serverAddr(s string) (string, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap.String(), true
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return "", false
	}
	return net.JoinHostPort(ip.String(), "53"), true
}

func searchList(values []string) []string {
	var list []string
	for _, v := range values {
		if name, err := ascii(v); err == nil && len(list) < maxSearch {
			list = append(list, name)
		}
	}
	return list
}

// hostsFile is what hosts(5) says. Names are in lower case and without a final dot.
type hostsFile struct {
	addrs map[string][]netip.Addr
	names map[netip.Addr][]string
}

// parseHosts reads a hosts(5) file. Lines that are none are ignored.
func parseHosts(text []byte) *hostsFile {
	hosts := &hostsFile{addrs: map[string][]netip.Addr{}, names: map[netip.Addr][]string{}}
	for line := range lines(text, "#") {
		ip, err := netip.ParseAddr(line[0])
		if err != nil {
			continue
		}
		for _, name := range line[1:] {
			if name = strings.ToLower(strings.TrimSuffix(name, ".")); plainName(name) {
				hosts.add(name, ip.Unmap())
			}
		}
	}
	return hosts
}

func (h *hostsFile) add(name string, ip netip.Addr) {
	if len(h.addrs[name]) < MaxAddrs {
		h.addrs[name] = append(h.addrs[name], ip)
	}
	if len(h.names[ip]) < maxNames {
		h.names[ip] = append(h.names[ip], name)
	}
}

// lines yields the fields of each line that has any; a byte of comment starts a comment.
func lines(text []byte, comment string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range bytes.Lines(text) {
			if i := bytes.IndexAny(line, comment); i >= 0 {
				line = line[:i]
			}
			if fields := strings.Fields(string(line)); len(fields) > 0 && !yield(fields) {
				return
			}
		}
	}
}
