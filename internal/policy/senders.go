package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postrider/internal/address"
	"postrider/internal/smtpd"
	"postrider/internal/status"
)

// senders are the logins that may use a sender, by its key: "user@domain", "@domain" or the localpart of a bare one.
type senders map[string][]string

// maxSenderLine caps a line of the table of senders.
const maxSenderLine = 64 << 10

// parseSenders reads the table of senders: a line is an address or @domain, and the logins that may use it, with blanks
// or commas between; * is everybody who has logged in. Lines for one sender add up. Lines that are empty or begin with #
// are comments.
func parseSenders(name string, text []byte) (senders, error) {
	table := senders{}
	n := 0
	for rest := string(text); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		n++
		fields := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r,", r) })
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		key, err := senderKey(fields[0])
		switch {
		case err != nil:
		case len(line) > maxSenderLine:
			err = errors.New("the line is too long")
		case len(fields) == 1:
			err = errors.New("no login may use this sender; leave the line out")
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", name, n, status.Clean(fields[0], 100), err)
		}
		table[key] = append(table[key], fields[1:]...)
	}
	return table, nil
}

func senderKey(s string) (string, error) {
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		domain, err := address.ASCIIDomain(domain)
		return "@" + domain, err
	}
	a, err := address.Parse(s)
	return a.Key(true), err
}

// mayUse tells whether a client that has logged in may use a sender. Others are not bound: their sender proves nothing.
func (p *Policy) mayUse(c *smtpd.Client, a address.Address) smtpd.Verdict {
	if p.logins == nil || c.Login == "" {
		return smtpd.Verdict{}
	}
	if p.logins.Get().allow(a, c.Login) {
		return smtpd.Verdict{}
	}
	v := refuse(553, status.Code{5, 7, 1}, a, "you may not send as this")
	v.Reason = "sender_logins"
	return v
}

// allow tells whether login may use a. The line for an address counts before that for its domain. Names of logins are
// compared as they are.
func (t senders) allow(a address.Address, login string) bool {
	key := a.Key(true)
	logins, ok := t[key]
	if !ok && a.Domain() != "" {
		logins, ok = t[key[strings.LastIndexByte(key, '@'):]]
	}
	return ok && (slices.Contains(logins, login) || slices.Contains(logins, "*"))
}
