package foreign

import (
	"path"
	"strings"
)

// exim reads Debian's update-exim4.conf.conf, of which Exim's configuration is generated, and the files beside it.
type exim struct {
	*Import
	tree   Tree
	dir    string
	values map[string]line
	macros map[string]line // of exim4.conf.localmacros
	used   map[string]bool
}

// readExim reads the configuration in file.
func readExim(tree Tree, file string) (*Import, error) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return nil, unreadable(file, err)
	}
	x := &exim{Import: &Import{System: "exim", File: file}, tree: tree, dir: path.Dir(file), values: map[string]line{}, macros: map[string]line{}, used: map[string]bool{}}
	for _, l := range lines(file, text, false) {
		name, value, ok := strings.Cut(l.text, "=")
		if !ok {
			x.left(l.at, "not a line of the form name='value'")
			continue
		}
		x.values[strings.TrimSpace(name)] = line{unquoteShell(strings.TrimSpace(value)), l.at}
	}
	x.readMacros()
	for _, read := range []func(){x.names, x.relays, x.smarthost, x.listen, x.local, x.limits, x.addresses, x.unknown} {
		read()
	}
	return x.Import, nil
}

// readMacros reads what the administrator has put before the generated configuration.
func (x *exim) readMacros() {
	if own := x.dir + "/exim4.conf"; x.tree.exists(own) {
		x.left(Place{File: own}, "Exim uses this file and not the generated configuration; it is not read")
	}
	file := x.dir + "/exim4.conf.localmacros"
	text, err := x.tree.read(file, maxConfig)
	if err != nil {
		return
	}
	for _, l := range lines(file, text, false) {
		if name, value, ok := strings.Cut(l.text, "="); ok {
			x.macros[strings.TrimSpace(name)] = line{strings.TrimSpace(value), l.at}
		} else {
			x.left(l.at, "not a line of the form NAME = value")
		}
	}
}

// get is a value of the configuration.
func (x *exim) get(name string) (string, Place) {
	x.used[name] = true
	v := x.values[name]
	return v.text, v.at
}

// macro is a macro of the administrator's.
func (x *exim) macro(name string) (string, Place, bool) {
	x.used[name] = true
	v, ok := x.macros[name]
	return v.text, v.at, ok
}

// unquoteShell takes the quotes of a shell's word away.
func unquoteShell(s string) string {
	if len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// eximList reads a list that semicolons separate, or colons.
func eximList(s string) (list []string) {
	s = strings.TrimSpace(s)
	sep := ":"
	if rest, ok := strings.CutPrefix(s, "<;"); ok {
		s, sep = rest, ";"
	} else if strings.Contains(s, ";") {
		sep = ";"
	}
	const colon = "\x00"
	if sep == ":" {
		s = strings.ReplaceAll(s, "::", colon) // a doubled separator is one that is meant
	}
	for _, word := range strings.Split(s, sep) {
		word = strings.ReplaceAll(word, colon, ":")
		if sep == ";" {
			word = strings.ReplaceAll(word, "::", ":")
		}
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
}

// kind is one of internet, smarthost, satellite (a machine without mail of its own), local and none.
func (x *exim) kind() string { kind, _ := x.get("dc_eximconfig_configtype"); return kind }

func (x *exim) names() {
	if host, at, ok := x.macro("MAIN_HARDCODE_PRIMARY_HOSTNAME"); ok {
		x.set("hostname", host, at)
	}
	hide, hideAt := x.get("dc_hide_mailname")
	read, readAt := x.get("dc_readhost")
	x.set("origin", x.tree.firstLine("/etc/mailname"), Place{File: "/etc/mailname"})
	switch kind := x.kind(); {
	case kind == "satellite" && read != "": // all local mail goes there
		x.set("origin", read, readAt)
	case kind == "smarthost" && isTrue(hide) && read != "":
		x.set("masquerade", read, hideAt)
		x.exposed(hideAt, nil)
	}
	domains, domainsAt := x.get("dc_other_hostnames")
	for _, d := range eximList(domains) {
		if x.kind() == "satellite" && strings.EqualFold(d, read) {
			continue
		}
		if strings.ContainsAny(d, "*@/!") {
			x.left(domainsAt, "dc_other_hostnames: %s", d)
			continue
		}
		x.add("domains", domainsAt, d)
		if x.Get("masquerade") != nil {
			x.add("masquerade_domains", domainsAt, d)
		}
	}
}

func (x *exim) relays() {
	domains, at := x.get("dc_relay_domains")
	for _, d := range eximList(domains) {
		d = strings.TrimPrefix(d, "*")
		x.add("relay.domains", at, d)
	}
	nets, at := x.get("dc_relay_nets")
	for _, word := range eximList(nets) {
		network, err := parseNetwork(word)
		if err != nil {
			x.left(at, "dc_relay_nets: %s: %v", word, err)
			continue
		}
		if x.Get("relay.networks") == nil {
			x.add("relay.networks", at, "127.0.0.0/8", "::1") // as Exim does
		}
		x.add("relay.networks", at, network)
	}
}

// smarthost is dc_smarthost with the line of passwd.client that has its name.
func (x *exim) smarthost() {
	value, at := x.get("dc_smarthost")
	hosts := eximList(value)
	if kind := x.kind(); kind != "smarthost" && kind != "satellite" {
		if kind == "local" {
			x.left(at, "dc_eximconfig_configtype = local: mail for other domains is sent, not refused")
		}
		return
	}
	if len(hosts) == 0 {
		x.left(at, "dc_smarthost: there is no host")
		return
	}
	if len(hosts) > 1 {
		x.left(at, "dc_smarthost: only the first of %d hosts is used", len(hosts))
	}
	h := smarthost{from: at, tls: opportunistic}
	h.host, h.port = cutPort(hosts[0])
	if i := strings.LastIndex(hosts[0], "::"); i > 0 && h.port == "" && !strings.HasPrefix(hosts[0], "[") && strings.Count(hosts[0], ":") == 2 {
		h.host, h.port = hosts[0][:i], hosts[0][i+2:]
	}
	if protocol, _, ok := x.macro("REMOTE_SMTP_SMARTHOST_PROTOCOL"); ok && protocol == "smtps" {
		h.tls = implicit
	} else if _, _, ok := x.macro("REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS"); ok {
		h.tls = verified
	} else if h.port == "465" {
		h.tls = implicit
	}
	x.login(&h)
	x.setSmarthost(h)
}

// login reads passwd.client: "host:user:password", where the first line that fits holds.
func (x *exim) login(h *smarthost) {
	file := x.dir + "/passwd.client"
	text, err := x.tree.read(file, maxConfig)
	if err != nil {
		return
	}
	for _, l := range lines(file, text, false) {
		fields := strings.SplitN(l.text, ":", 3)
		switch {
		case len(fields) != 3:
			x.left(l.at, "not a line of the form host:user:password")
		case h.user == "" && (fields[0] == "*" || strings.EqualFold(strings.TrimPrefix(fields[0], "*."), h.host) || strings.HasPrefix(fields[0], "*.") && strings.HasSuffix(strings.ToLower(h.host), strings.ToLower(fields[0][1:]))):
			h.user, h.password, h.login = fields[1], fields[2], l.at
			if fields[0] == "*" {
				x.differs(l.at, "the password is for the smarthost alone")
			}
		default:
			x.left(l.at, "a login: only the smarthost's is used")
		}
	}
}

// listen are the addresses at which mail is taken, with TLS where the administrator has switched it on.
func (x *exim) listen() {
	value, at := x.get("dc_local_interfaces")
	list := eximList(value)
	if len(list) == 0 {
		list = []string{""}
	}
	cert, key := "", ""
	if on, _, _ := x.macro("MAIN_TLS_ENABLE"); isTrue(on) {
		cert, key = x.certificate()
	}
	for _, word := range list {
		host, port := cutPort(word)
		if port == "" {
			host, port = dottedPort(host)
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		x.Listen = append(x.Listen, Listen{Address: host + ":" + port, Mode: "smtp", Certificate: cert, Key: key, From: at})
	}
}

// dottedPort is the old way to write a port: 127.0.0.1.2525.
func dottedPort(s string) (host, port string) {
	if i := strings.LastIndexByte(s, '.'); i > 0 && strings.Count(s, ".") == 4 {
		return s[:i], s[i+1:]
	}
	return s, "25"
}

// certificate is that of the server, in the usual place unless it is said.
func (x *exim) certificate() (cert, key string) {
	cert, key = x.dir+"/exim.crt", x.dir+"/exim.key"
	if both, _, ok := x.macro("MAIN_TLS_CERTKEY"); ok {
		return both, both
	}
	if own, _, ok := x.macro("MAIN_TLS_CERTIFICATE"); ok {
		cert = own
	}
	if own, _, ok := x.macro("MAIN_TLS_PRIVATEKEY"); ok {
		key = own
	}
	return cert, key
}

func (x *exim) local() {
	switch how, at := x.get("dc_localdelivery"); how {
	case "", "mail_spool":
	case "maildir_home":
		x.set("local.mailbox", "maildir:{home}/Maildir", at)
	case "procmail_pipe":
		x.set("local.mailbox", "command:/usr/bin/procmail", at)
	case "maildrop_pipe":
		x.set("local.mailbox", "command:/usr/bin/maildrop", at)
	default:
		x.left(at, "dc_localdelivery = %s: mail goes to local.mailbox", how)
	}
}

func (x *exim) limits() {
	value, at, ok := x.macro("MESSAGE_SIZE_LIMIT")
	if !ok {
		return
	}
	units := map[string]int{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
	digits := strings.TrimRight(value, "KMG")
	if n, valid := number(digits); valid && len(value)-len(digits) <= 1 && n < 1<<31 {
		x.set("message_size_limit", n*max(1, units[value[len(digits):]]), at)
	} else {
		x.left(at, "MESSAGE_SIZE_LIMIT = %s: not a size", value)
	}
}

// addresses are the outgoing addresses of local users, "user: address".
func (x *exim) addresses() {
	const file = "/etc/email-addresses"
	text, err := x.tree.read(file, maxMap)
	if err != nil {
		return
	}
	for _, l := range lines(file, text, false) {
		if user, address, ok := strings.Cut(l.text, ":"); ok {
			x.addEntry("genericstable", Entry{Key: strings.TrimSpace(user), Value: strings.TrimSpace(address), From: l.at})
		}
	}
}

// unknown is what nobody has asked for.
func (x *exim) unknown() {
	for _, name := range []string{"dc_minimaldns", "dc_use_split_config", "CFILEMODE", "dc_mailname_in_oh", "ue4c_keepcomments"} {
		x.used[name] = true
	}
	for _, values := range []map[string]line{x.values, x.macros} {
		for _, name := range sortedKeys(values) {
			if !x.used[name] {
				x.left(values[name].at, "%s: there is no such setting here", name)
			}
		}
	}
}
