package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"postrider/internal/address"
)

// check finds the values that have the right type and yet cannot be. What is empty has not been given.
func (d *decoder) check(c *Config) {
	top := place{}
	d.one(top.child("hostname"), c.Hostname, isDomain)
	d.one(top.child("origin"), c.Origin, isDomain)
	d.each(top.child("domains"), c.Domains, isDomain)
	d.one(top.child("spool"), c.Spool, isSpool)
	d.one(top.child("log"), c.Log, isLog)
	d.each(top.child("aliases"), c.Aliases, isPath)
	d.between(top.child("hop_limit"), c.HopLimit, 1, 1000)
	d.one(top.child("mailq_format"), c.MailqFormat, oneOf("sendmail", "postfix"))
	d.masquerade(c)
	d.smarthost(top.child("smarthost"), c.Smarthost)
	d.each(top.child("relay").child("networks"), c.Relay.Networks, isNetwork)
	d.each(top.child("relay").child("domains"), c.Relay.Domains, isDomains)
	for _, k := range keysOf(reflect.ValueOf(c.Tables), "") {
		d.one(top.child("tables").child(k.name), k.value.String(), isPath)
	}
	d.local(top.child("local"), c.Local)
	d.smtpd(top.child("smtpd"), c.Smtpd)
	for i, l := range c.Listen {
		d.listen(top.child("listen").element(i), l)
	}
	d.queue(top.child("queue"), c.Queue)
}

// A test says what is allowed when s is not, and "" when it is.
type test func(s string) (allowed string)

func (d *decoder) one(p place, s string, t test) {
	if s == "" {
		return
	}
	if allowed := t(s); allowed != "" {
		d.wrong(p, s, allowed)
	}
}

// each tests the elements of a list, none of which may be empty.
func (d *decoder) each(p place, list []string, t test) {
	for _, s := range list {
		if allowed := t(s); allowed != "" {
			d.wrong(p, s, allowed)
		}
	}
}

func (d *decoder) between(p place, n, low, high int) {
	if n < low || n > high {
		d.wrong(p, n, fmt.Sprintf("must be between %d and %d", low, high))
	}
}

func (d *decoder) within(p place, n, low, high time.Duration) {
	if n < low || n > high {
		d.wrong(p, formatDuration(n), fmt.Sprintf("must be between %q and %q", formatDuration(low), formatDuration(high)))
	}
}

func (d *decoder) masquerade(c *Config) {
	top := place{}
	d.one(top.child("masquerade"), c.Masquerade, isDomain)
	d.each(top.child("masquerade_domains"), c.MasqueradeDomains, isDomains)
	d.each(top.child("exposed_users"), c.ExposedUsers, isLocalpart)
	if len(c.MasqueradeDomains) > 0 && c.Masquerade == "" {
		d.wrong(top.child("masquerade_domains"), []any{}, "needs masquerade, the domain that takes their place")
	}
}

func (d *decoder) smarthost(p place, s Smarthost) {
	target, ok, err := s.Target()
	password := place{}
	switch {
	case s.PasswordFile != "":
		password = p.child("password_file")
	case s.PasswordCommand != "":
		password = p.child("password_command")
	}
	d.one(p.child("password_file"), s.PasswordFile, isPath)
	switch {
	case err != nil:
		d.wrong(p.child("url"), hidePassword(s.URL), err.Error())
	case s.PasswordFile != "" && s.PasswordCommand != "":
		d.wrong(p.child("password_command"), s.PasswordCommand, "password_file is set as well; only one may be")
	case target.User != "" && password.name == "":
		d.wrong(p.child("url"), s.URL, "names a user, so password_file or password_command must be set")
	case ok && target.User == "" && password.name != "":
		d.wrong(p.child("url"), s.URL, "has a password but names no user, as in submission://user@host")
	}
}

func (d *decoder) local(p place, l Local) {
	d.one(p.child("mailbox"), l.Mailbox, isMailbox)
	d.one(p.child("root"), l.Root, isRecipient)
	d.one(p.child("socket"), l.Socket, isPath)
	d.one(p.child("default_user"), l.DefaultUser, isPlainUser)
	d.between(p.child("concurrency"), l.Concurrency, 1, 1000)
	d.within(p.child("command_time_limit"), l.CommandTimeLimit, time.Second, 7*day)
	d.one(p.child("command_directory"), l.CommandDirectory, isPath)
}

func (d *decoder) smtpd(p place, s Smtpd) {
	d.one(p.child("user"), s.User, isUser)
	d.between(p.child("sessions"), s.Sessions, 1, 1_000_000)
	d.between(p.child("client_sessions"), s.ClientSessions, 1, 1_000_000)
	d.between(p.child("client_connections"), s.ClientConnections, 0, 1_000_000)
	d.between(p.child("client_messages"), s.ClientMessages, 0, 1_000_000)
	d.between(p.child("client_recipients"), s.ClientRecipients, 0, 1_000_000)
	d.between(p.child("client_auth_failures"), s.ClientAuthFailures, 0, 1_000_000)
	d.between(p.child("recipients"), s.Recipients, 100, 100_000) // RFC 5321 section 4.5.3.1.8
	d.within(p.child("timeout"), s.Timeout, time.Second, time.Hour)
	d.within(p.child("session_time"), s.SessionTime, time.Minute, 7*day)
	d.within(p.child("greeting_delay"), s.GreetingDelay, 0, time.Minute)
	d.one(p.child("vrfy"), s.Vrfy, oneOf("all", "trusted", "off"))
	d.one(p.child("expn"), s.Expn, oneOf("all", "trusted", "off"))
	d.one(p.child("etrn"), s.Etrn, oneOf("all", "trusted", "off"))
	d.one(p.child("access"), s.Access, isPath)
	d.one(p.child("helo"), s.Helo, oneOf("any", "valid", "known"))
	d.one(p.child("reverse_name"), s.ReverseName, oneOf("any", "some", "match"))
	d.each(p.child("dns_lists"), s.DNSLists, isDNSList)
	d.between(p.child("dns_score"), s.DNSScore, 1, 1000)
	d.one(p.child("sender_logins"), s.SenderLogins, isPath)
	d.each(p.child("proxies"), s.ProxyNetworks, isNetwork)
	d.each(p.child("xclient"), s.XClient, isNetwork)
}

func (d *decoder) listen(p place, l Listen) {
	if l.Address == "" {
		d.wrong(p.child("address"), "", "must be set: "+listenForms)
	}
	d.one(p.child("address"), l.Address, isListen)
	d.one(p.child("mode"), l.Mode, oneOf("smtp", "submission", "submissions", "lmtp", "local"))
	tls, auth := p.child("tls"), p.child("auth")
	d.one(tls.child("certificate"), l.TLS.Certificate, isPath)
	d.one(tls.child("key"), l.TLS.Key, isPath)
	d.one(tls.child("client_ca"), l.TLS.ClientCA, isPath)
	d.auth(auth, l.Auth)
	if (l.TLS.Certificate == "") != (l.TLS.Key == "") {
		d.wrong(tls, map[string]any{}, "must have both certificate and key")
	}
	if l.TLS.ClientCA != "" && l.TLS.Certificate == "" {
		d.wrong(tls, map[string]any{}, "has client_ca, so it must have certificate and key")
	}
	switch {
	case l.Mode == "submissions" && l.TLS.Certificate == "":
		d.wrong(p.child("mode"), l.Mode, "needs tls with certificate and key")
	case l.Mode == "local" && isPath(l.Address) != "" && !strings.HasPrefix(l.Address, "systemd:"):
		d.wrong(p.child("mode"), l.Mode, "needs the path of a Unix socket for its address")
	case l.Mode == "lmtp" && strings.HasSuffix(l.Address, ":25"):
		d.wrong(p.child("mode"), l.Mode, "may not be at port 25 (RFC 2033 section 5)")
	}
}

func (d *decoder) auth(p place, a Auth) {
	d.one(p.child("file"), a.File, isPath)
	d.one(p.child("dovecot"), a.Dovecot, isPath)
	d.one(p.child("introspection"), a.Introspection, isEndpoint)
	d.one(p.child("secret_file"), a.Secret, isPath)
	d.one(p.child("token_key"), a.TokenKey, isPath)
	switch {
	case a.File != "" && a.Dovecot != "":
		d.wrong(p, map[string]any{}, "must have file or dovecot, not both")
	case a.Introspection != "" && a.TokenKey != "":
		d.wrong(p, map[string]any{}, "must have introspection or token_key, not both")
	case a.Secret != "" && a.Introspection == "":
		d.wrong(p, map[string]any{}, "has secret_file, which is for introspection")
	case a.TokenKey != "" && (a.TokenIssuer == "" || a.TokenAudience == ""):
		d.wrong(p, map[string]any{}, "has token_key, so it must have token_issuer and token_audience")
	}
}

func (d *decoder) queue(p place, q Queue) {
	if q.RetryMin < time.Second {
		d.wrong(p.child("retry_min"), formatDuration(q.RetryMin), `must be at least "1s"`)
	}
	if _, given := d.found[p.child("retry_max").at]; q.RetryMax < q.RetryMin && given {
		d.wrong(p.child("retry_max"), formatDuration(q.RetryMax), fmt.Sprintf("must be at least retry_min (%q)", formatDuration(q.RetryMin)))
	} else if q.RetryMax < q.RetryMin {
		d.wrong(p.child("retry_min"), formatDuration(q.RetryMin), fmt.Sprintf("must be at most retry_max (%q)", formatDuration(q.RetryMax)))
	}
	d.between(p.child("concurrency"), q.Concurrency, 1, 1000)
	d.between(p.child("host_concurrency"), q.HostConcurrency, 1, 1000)
}

func oneOf(words ...string) test {
	return func(s string) string {
		if slices.Contains(words, s) {
			return ""
		}
		return "must be one of " + strings.Join(words, ", ")
	}
}

func isPath(s string) string {
	if path.IsAbs(s) && printable(s) {
		return ""
	}
	return "must be an absolute path"
}

// isSpool refuses the root directory: its tmp is everybody's.
func isSpool(s string) string {
	if isPath(s) == "" && path.Clean(s) == "/" {
		return "must be a directory of its own"
	}
	return isPath(s)
}

func isLog(s string) string {
	switch s {
	case "syslog", "stderr", "json":
		return ""
	}
	if isPath(strings.TrimPrefix(s, "json:")) == "" {
		return ""
	}
	return `must be "syslog", "stderr", "json", "/path" or "json:/path"`
}

func isDomain(s string) string {
	if validDomain(s) {
		return ""
	}
	return "must be a domain name such as example.org"
}

// isDomains takes a domain, or all below one: ".example.org".
func isDomains(s string) string {
	if validDomain(strings.TrimPrefix(s, ".")) {
		return ""
	}
	return `must be a domain name such as "example.org", or ".example.org" for all below it`
}

func validDomain(s string) bool {
	_, err := address.ASCIIDomain(s)
	return err == nil
}

func isMailbox(s string) string {
	kind, where, _ := strings.Cut(s, ":")
	if kind == "command" {
		return isMailboxCommand(where)
	}
	expanded := strings.ReplaceAll(strings.ReplaceAll(where, "{user}", "u"), "{home}", "/h")
	ok := path.IsAbs(expanded) && printable(expanded) && !strings.ContainsAny(expanded, "{}")
	if kind == "lmtp+unix" {
		ok = ok && expanded == where
	}
	if ok && (kind == "mbox" || kind == "maildir" || kind == "lmtp+unix") {
		return ""
	}
	return `must be "mbox:/path" or "maildir:/path", with {user} and {home} if need be, "command:/path arguments" or "lmtp+unix:/path"`
}

// isMailboxCommand takes a program, which no placeholder may name, and its arguments. Addresses are strangers' words: one
// that begins with a hyphen must not pass for an option.
func isMailboxCommand(s string) string {
	args := strings.Fields(s)
	if len(args) == 0 || !path.IsAbs(args[0]) || strings.ContainsAny(args[0], "{}") || !printable(s) || strings.ContainsAny(s, `\"'`) {
		return `must name a program by its path, without quotes, as "command:/usr/bin/procmail -d {user}"`
	}
	for i, arg := range args {
		address := strings.Contains(arg, "{sender}") || strings.Contains(arg, "{recipient}")
		if address && (arg[0] != '{' || !strings.HasPrefix(args[i-1], "-")) {
			return "must have {sender} and {recipient} as arguments of their own, each after an option"
		}
		rest := strings.NewReplacer("{user}", "", "{home}", "", "{sender}", "", "{recipient}", "").Replace(arg)
		if strings.ContainsAny(rest, "{}") {
			return "may have {user}, {home}, {sender} and {recipient}, and no other braces"
		}
	}
	return ""
}

func isRecipient(s string) string {
	if a, err := address.Parse(s); err == nil && !a.IsNull() {
		return ""
	}
	return "must be one address, or the name of a user"
}

func isLocalpart(s string) string {
	if a, err := address.Parse(s); err == nil && !a.IsNull() && a.Domain() == "" {
		return ""
	}
	return "must be the name of a user, without a domain"
}

const listenForms = `"host:port", ":port", "/path" or "systemd:NAME"`

func isListen(s string) string {
	if isPath(s) == "" {
		return ""
	}
	host, port, ok := cutLast(s, ":")
	if host == "systemd" && port != "" && printable(port) {
		return ""
	}
	if ok && (host == "" || isHost(host)) && isPort(port) {
		return ""
	}
	return "must be " + listenForms
}

// isHost takes a name, an IPv4 address, or an IPv6 address in brackets.
func isHost(s string) bool {
	inner, bracketed := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if a, err := netip.ParseAddr(inner); err == nil && bracketed == closed {
		return a.Is6() == bracketed && a.Zone() == ""
	}
	return validDomain(s)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// printable refuses control characters: no path or name that can be meant has them.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isUser takes the name of a login, or a number.
func isUser(s string) string {
	if printable(s) && !strings.ContainsAny(s, ":/ ") {
		return ""
	}
	return "must be the name of a user"
}

// isPlainUser takes a user that commands may run as: not root.
func isPlainUser(s string) string {
	if s == "root" || strings.Trim(s, "0") == "" {
		return "must not be root: these commands are others' as well"
	}
	return isUser(s)
}

// isDNSList takes a zone of addresses with an optional answer that counts and an optional weight:
// "zone[=127.0.0.2][*weight]". The last number of the answer may be a range, "[2..9]".
func isDNSList(s string) string {
	const allowed = `must be a zone such as "bl.example.org", "bl.example.org*2" or "bl.example.org=127.0.0.[2..9]*-1"`
	rest, weight, weighted := cutLast(s, "*")
	if weighted {
		if n, err := strconv.Atoi(weight); err != nil || n < -100 || n > 100 {
			return allowed
		}
	}
	zone, answer, answered := strings.Cut(rest, "=")
	if !validDomain(zone) || answered && !isListAnswer(answer) {
		return allowed
	}
	return ""
}

func isListAnswer(s string) bool {
	if head, set, ok := strings.Cut(s, "["); ok {
		from, to, isRange := strings.Cut(strings.TrimSuffix(set, "]"), "..")
		a, err1 := strconv.ParseUint(from, 10, 8)
		b, err2 := strconv.ParseUint(to, 10, 8)
		if !strings.HasSuffix(set, "]") || !isRange || err1 != nil || err2 != nil || a > b {
			return false
		}
		s = head + from
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4() && a.IsLoopback()
}

// isEndpoint takes a URL to which a token may be sent: nobody else may read it.
func isEndpoint(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return `must be a URL that begins with "https://", without a password`
	}
	return ""
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
