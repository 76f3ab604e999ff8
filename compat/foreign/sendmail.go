package foreign

import (
	"path"
	"strings"
	"time"
)

// sendmail reads a sendmail.mc, as far as it consists of the usual calls, or of a sendmail.cf the lines that are settings.
// The rules of a sendmail.cf are a program; they are not read.
type sendmail struct {
	*Import
	tree       Tree
	limited    bool              // what is masqueraded, to class M
	envelope   bool              // the envelope is masqueraded
	options    map[string][]line // by their long name in lower case
	macros     map[string]line
	classes    map[string][]line
	tables     map[string]line // the text files of maps
	ports      []line          // DaemonPortOptions
	noMSA      bool
	mailerPort map[string]string // of a mailer
}

// readSendmail reads the configuration in file.
func readSendmail(tree Tree, file string) (*Import, error) {
	text, err := tree.read(file, maxConfig)
	if err != nil {
		return nil, unreadable(file, err)
	}
	s := &sendmail{Import: &Import{System: "sendmail", File: file}, tree: tree, options: map[string][]line{}, macros: map[string]line{},
		classes: map[string][]line{}, tables: map[string]line{}, mailerPort: map[string]string{}}
	if strings.HasSuffix(file, ".mc") {
		s.mc(parseM4(file, text))
	} else {
		s.differs(Place{File: file}, "the rules are not read: what was changed in them is missing")
		s.noMSA = true // its port is among the lines
		s.cf(lines(file, text, true))
	}
	for _, read := range []func(){s.names, s.masquerade, s.domains, s.relays, s.aliasFiles, s.limits, s.privacy, s.smarthost, s.listen, s.mapFiles} {
		read()
	}
	return s.Import, nil
}

// cf takes lines of a sendmail.cf.
func (s *sendmail) cf(list []line) {
	for _, l := range list {
		kind, rest := l.text[0], l.text[1:]
		switch kind {
		case 'D':
			name, value := macroName(rest)
			s.macros[name] = line{value, l.at}
		case 'C':
			name, value := macroName(rest)
			for _, word := range words(value) {
				s.classes[name] = append(s.classes[name], line{word, l.at})
			}
		case 'F':
			name, value := macroName(rest)
			s.classFile(name, value, l.at)
		case 'O':
			if name, value, ok := strings.Cut(rest, "="); ok {
				s.option(strings.TrimSpace(name), strings.TrimSpace(value), l.at)
			}
		case 'K':
			name, spec := cutBlank(rest)
			s.table(strings.ToLower(name), spec, l.at)
		case 'M':
			s.mailer(rest)
		}
	}
}

// macroName cuts the name of a macro or class, one letter or a word in braces, off its value.
func macroName(s string) (name, value string) {
	if inner, rest, ok := cutBraces(s, '{', '}'); ok {
		return inner, strings.TrimSpace(rest)
	}
	if s == "" {
		return "", ""
	}
	return s[:1], strings.TrimSpace(s[1:])
}

// option keeps an option. Those that add to what they were are kept all.
func (s *sendmail) option(name, value string, at Place) {
	name = strings.ToLower(name)
	if name == "daemonportoptions" {
		s.ports = append(s.ports, line{value, at})
		return
	}
	s.options[name] = []line{{value, at}}
}

// get is an option's value.
func (s *sendmail) get(name string) (value string, at Place, ok bool) {
	if list := s.options[name]; len(list) > 0 {
		return list[0].text, list[0].at, true
	}
	return "", Place{}, false
}

// classFile reads the members of a class: "-o /path %[^\#]".
func (s *sendmail) classFile(class, spec string, at Place) {
	optional := false
	if rest, ok := strings.CutPrefix(spec, "-o"); ok {
		optional, spec = true, strings.TrimSpace(rest)
	}
	file, _ := cutBlank(spec)
	if !strings.HasPrefix(file, "/") {
		s.left(at, "the members of class %s: %s is not a file", class, file)
		return
	}
	key := map[string]string{"w": "tables.local_host_names", "R": "tables.relay_domains"}[class]
	into := class
	if key != "" && s.Get(key) == nil {
		s.set(key, file, at) // in the same format
		into, optional = class+" of a table", true
	}
	text, err := s.tree.read(file, maxConfig)
	if err != nil {
		if !optional {
			s.left(at, "%s cannot be read: %v", file, cause(err))
		}
		return
	}
	for _, l := range lines(file, text, false) {
		word, _, _ := strings.Cut(l.text, "#")
		for _, word := range words(word) {
			s.classes[into] = append(s.classes[into], line{word, l.at})
		}
	}
}

// table keeps the text file of a map: "hash -o /etc/mail/access".
func (s *sendmail) table(name, spec string, at Place) {
	for _, word := range strings.Fields(spec) {
		if strings.HasPrefix(word, "/") {
			s.tables[name] = line{strings.TrimSuffix(word, ".db"), at}
		}
	}
}

// mailer keeps the port of a mailer: "A=TCP $h 587".
func (s *sendmail) mailer(spec string) {
	name, rest, _ := strings.Cut(spec, ",")
	_, args, ok := strings.Cut(rest, "A=")
	if fields := strings.Fields(args); ok && len(fields) >= 3 && (fields[0] == "TCP" || fields[0] == "IPC") {
		s.mailerPort[strings.TrimSpace(name)] = portNumber(strings.TrimSuffix(fields[2], ","))
	}
}

// names are the host's own name and the domain that its users write from.
func (s *sendmail) names() {
	if j, ok := s.macros["j"]; ok {
		host := j.text
		if short, _, _ := strings.Cut(s.tree.hostname(), "."); short != "" {
			host = strings.ReplaceAll(host, "$w", short)
		}
		if strings.Contains(host, "$") {
			s.left(j.at, "the name of this host: %s is computed", j.text)
		} else {
			s.set("hostname", host, j.at)
		}
	}
}

// masquerade is macro M, for all of the site's own names, or with limited_masquerade for those of class M alone.
func (s *sendmail) masquerade() {
	m := s.macros["M"]
	if m.text == "" {
		return
	}
	s.set("masquerade", m.text, m.at)
	classes := append([]line(nil), s.classes["M"]...)
	if !s.limited {
		classes = append(append(classes, s.classes["w"]...), s.classes["w of a table"]...)
	}
	for _, l := range classes {
		if !strings.ContainsAny(l.text, "[$") && !strings.EqualFold(l.text, "localhost") {
			s.add("masquerade_domains", l.at, l.text)
		}
	}
	var users []string
	for _, l := range s.classes["E"] {
		users = append(users, l.text)
	}
	if len(users) > 0 {
		s.exposed(s.classes["E"][0].at, users)
	}
	if !s.envelope {
		s.differs(m.at, "masquerading: the envelope sender is masqueraded as well")
	}
}

// domains are those of class w.
func (s *sendmail) domains() {
	for _, l := range s.classes["w"] {
		if strings.EqualFold(l.text, "localhost") || strings.HasPrefix(l.text, "[") || strings.Contains(l.text, "$") {
			continue
		}
		s.add("domains", l.at, l.text)
	}
}

// relays are those of class R: domains, and addresses of clients.
func (s *sendmail) relays() {
	for i, l := range s.classes["R"] {
		if network, err := parseNetwork(l.text); err == nil {
			if s.Get("relay.networks") == nil {
				s.add("relay.networks", l.at, "127.0.0.0/8", "::1")
			}
			s.add("relay.networks", l.at, network)
			continue
		}
		d := strings.TrimPrefix(l.text, ".")
		s.add("relay.domains", l.at, d, "."+d)
		if i == 0 {
			s.differs(l.at, "relay domains: mail for them is passed on; that a client's name is in them lets it send nowhere else")
		}
	}
}

// aliasFiles are text files, of whatever type the map is.
func (s *sendmail) aliasFiles() {
	value, at, _ := s.get("aliasfile")
	for _, word := range words(value) {
		if i := strings.IndexByte(word, ':'); i >= 0 {
			word = word[i+1:]
		}
		if !path.IsAbs(word) {
			s.left(at, "aliases of %s: not a file", word)
			continue
		}
		s.add("aliases", at, word)
	}
}

// limits are the options that are numbers and times.
func (s *sendmail) limits() {
	s.number("maxmessagesize", "message_size_limit", 0)
	s.number("maxhopcount", "hop_limit", 1)
	s.number("maxrecipientspermessage", "smtpd.recipients", 100)
	s.number("maxdaemonchildren", "smtpd.sessions", 1)
	s.time("timeout.queuereturn", "queue.lifetime", 24*time.Hour)
	s.time("timeout.queuewarn", "queue.warn_after", time.Hour)
	s.time("minqueueage", "queue.retry_min", time.Minute)
	s.time("maxqueueage", "queue.retry_max", time.Minute)
}

func (s *sendmail) number(option, key string, low int) {
	value, at, ok := s.get(option)
	if !ok {
		return
	}
	n, ok := number(value)
	switch {
	case !ok:
		s.left(at, "%s = %s: not a number", option, value)
	case n == 0 && low > 0: // no limit
	case n < low:
		s.left(at, "%s = %s: %s is at least %d", option, value, key, low)
	default:
		s.set(key, n, at)
	}
}

func (s *sendmail) time(option, key string, unit time.Duration) {
	value, at, ok := s.get(option)
	if !ok || value == "" {
		return
	}
	d, ok := parseDuration(value, unit)
	switch {
	case !ok:
		s.left(at, "%s = %s: not a time", option, value)
	case d > 0 || key == "queue.warn_after":
		s.set(key, formatDuration(d), at)
	}
}

// privacy are the PrivacyOptions that keep strangers from asking.
func (s *sendmail) privacy() {
	value, at, _ := s.get("privacyoptions")
	for _, word := range words(strings.ToLower(value)) {
		switch word {
		case "goaway":
			s.set("smtpd.vrfy", "off", at)
			s.set("smtpd.expn", "off", at)
		case "novrfy":
			s.set("smtpd.vrfy", "off", at)
		case "noexpn":
			s.set("smtpd.expn", "off", at)
		case "noetrn":
			s.set("smtpd.etrn", "off", at)
		}
	}
}
