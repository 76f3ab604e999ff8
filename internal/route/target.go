package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"postrider/internal/access"
	"postrider/internal/address"
	"postrider/internal/config"
	"postrider/internal/status"
)

// target is what the value of mailertable says, "mailer:host".
type target struct {
	mailer string         // "smtp", "local", "error", ...
	next   NextHop        // unless one of the next is set
	user   string         // of local: who gets the mail; "": whoever it is for
	local  bool           // into a mailbox of this machine
	error  *status.Status // not at all
}

// mailers are those that speak to other hosts, with their ports. relay and the kinds of smtp differ in Sendmail in what they
// rewrite and not in where they go.
var mailers = map[string]string{"relay": "25", "smtp": "25", "esmtp": "25", "smtp8": "25", "dsmtp": "25", "lmtp": "24"}

// parseTarget reads a value of mailertable: "mailer:host", a host alone, which is relay's, or a URL as of a smarthost.
// In a host, %1 stands for rest.
func parseTarget(value, rest string) (target, error) {
	name, where, ok := strings.Cut(value, ":")
	name = strings.ToLower(name)
	switch {
	case name == "error":
		st, err := parseError(where)
		return target{mailer: name, error: st}, err
	case name == "local":
		t := target{mailer: name, local: true, user: where}
		if a, err := address.Parse(where); where != "" && (err != nil || a.Domain() != "") {
			return t, errors.New("local: needs the name of a user, or nothing")
		}
		return t, nil
	case strings.Contains(value, "://") || name == "lmtp+unix":
		return urlTarget(value)
	case !ok || mailers[name] == "":
		if strings.Contains(value, "[") || !ok || strings.Contains(name, ".") {
			name, where = "relay", value
			break
		}
		return target{}, fmt.Errorf("there is no mailer %s; there are smtp, esmtp, relay, lmtp, local and error", shown(name))
	}
	if strings.ContainsAny(where, " \t@/") {
		return target{}, errors.New("the host is no host")
	}
	next, err := parseHosts(strings.ReplaceAll(where, "%1", rest), mailers[name], name == "lmtp")
	next.Mailer = name
	return target{mailer: name, next: next}, err
}

// urlTarget reads a value that is a URL.
func urlTarget(value string) (target, error) {
	t, ok, err := config.Smarthost{URL: value}.Target()
	switch {
	case err != nil:
		return target{}, err
	case !ok || t.User != "":
		return target{}, errors.New("a URL in this table may not name a user")
	}
	next := hop(t)
	next.Fixed = true
	return target{mailer: next.Mailer, next: next}, nil
}

// parseHosts reads a list of hosts with colons between them, to be tried one after the other. A host is a name, whose
// mail exchangers are meant, or a name or address in brackets, which is itself. A number behind a host is its port.
func parseHosts(list, port string, lmtp bool) (NextHop, error) {
	var hops []NextHop
	for list != "" {
		var host string
		host, list = cutHost(list)
		if strings.Trim(host, "0123456789") == "" {
			n, err := strconv.ParseUint(host, 10, 16)
			if err != nil || n == 0 || len(hops) == 0 || hops[len(hops)-1].Port != "" {
				return NextHop{}, fmt.Errorf("%s is no port of a host", shown(host))
			}
			hops[len(hops)-1].Port = strconv.FormatUint(n, 10)
			continue
		}
		next, err := parseHost(host)
		if err != nil {
			return NextHop{}, err
		}
		hops = append(hops, next)
	}
	if len(hops) == 0 || len(hops) > MaxHosts {
		return NextHop{}, errors.New("a mailer needs a host, as in smtp:[mail.example.org]")
	}
	keys := make([]string, len(hops))
	for i := range hops {
		h := &hops[i]
		h.LMTP, h.TLS, h.Fixed = lmtp, TLSMay, true
		if h.Port == "" {
			h.Port = port
		}
		keys[i] = h.key()
	}
	next := hops[0]
	next.Others, next.Key = hops[1:], strings.Join(keys, ":")
	return next, nil
}

// cutHost cuts a list at the first colon that is in no brackets.
func cutHost(s string) (host, rest string) {
	end := 0
	if strings.HasPrefix(s, "[") {
		end = max(0, strings.IndexByte(s, ']'))
	}
	if i := strings.IndexByte(s[end:], ':'); i >= 0 {
		return s[:end+i], s[end+i+1:]
	}
	return s, ""
}

func parseHost(s string) (NextHop, error) {
	inner, bracketed := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if bracketed != closed {
		return NextHop{}, fmt.Errorf("%s is no host", shown(s))
	}
	if a, err := address.Parse("x@[" + inner + "]"); err == nil && bracketed {
		ip, _ := a.Literal()
		return NextHop{Host: ip.String()}, nil
	}
	if ip, err := netip.ParseAddr(inner); err == nil && ip.Zone() == "" && bracketed {
		return NextHop{Host: ip.Unmap().String()}, nil
	}
	name, err := address.ASCIIDomain(inner)
	switch {
	case err != nil:
		return NextHop{}, fmt.Errorf("%s is no host", shown(s))
	case bracketed:
		return NextHop{Host: name}, nil
	}
	return NextHop{Domain: name}, nil
}

// key is equal for hops that are the same place by the same protocol.
func (n NextHop) key() string {
	scheme := "host:"
	switch {
	case n.LMTP:
		scheme = "lmtp:"
	case n.Domain != "" && n.Port == "25":
		return "mx:" + n.Domain
	case n.Domain != "":
		return "mx:" + net.JoinHostPort(n.Domain, n.Port)
	}
	if n.Domain != "" {
		return scheme + net.JoinHostPort(n.Domain, n.Port)
	}
	return scheme + net.JoinHostPort(n.Host, n.Port)
}

// mnemonics are the words with which Sendmail's tables name an exit status.
var mnemonics = map[string]int{
	"usage": status.ExitUsage, "dataerr": status.ExitDataErr, "nouser": status.ExitNoUser, "nohost": status.ExitNoHost,
	"unavailable": status.ExitUnavailable, "software": status.ExitSoftware, "tempfail": status.ExitTempFail,
	"protocol": status.ExitProtocol, "config": status.ExitConfig,
}

// parseError reads what follows "error:": a word or an enhanced code and a text, which may begin with a reply code.
func parseError(s string) (*status.Status, error) {
	word, text, _ := strings.Cut(strings.Replace(strings.TrimSpace(s), ":", " ", 1), " ")
	exit, ok := mnemonics[strings.ToLower(word)]
	if !ok {
		return access.ParseReply(s, [2]int{0, 0}, "no mail is taken for this recipient")
	}
	row := status.Fail("route.table", exit, "", nil)
	text = strings.TrimSpace(text)
	if text == "" {
		return row, nil
	}
	if said, err := access.ParseReply(text, [2]int{row.Code()[1], row.Code()[2]}, text); err == nil {
		text = said.Text()
	}
	return status.Fail("route.table", exit, status.Clean(text, maxErrorText), nil), nil
}

// maxErrorText caps what a table has us reply.
const maxErrorText = 400

func shown(s string) string { return status.Clean(s, 100) }
