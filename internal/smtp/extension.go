package smtp

import (
	"slices"
	"strconv"
	"strings"
)

// extensions is what a peer offered in its reply to EHLO or LHLO. The zero value is a peer that knows HELO only.
type extensions struct {
	pipelining, eightBit, dsn, utf8, startTLS bool
	sizeKnown                                 bool     // SIZE was offered
	size                                      int64    // the peer's limit; 0: none, or not told
	auth                                      []string // mechanisms, upper case
	rcptMax, mailMax                          int      // LIMITS (RFC 9422); 0: not told
	deliverBy                                 bool     // DELIVERBY was offered (RFC 2852)
	local                                     bool     // XLOCAL was offered (see agent.go)
	byMin                                     int64    // the least seconds that it takes in mode R; 0: any
}

// parseExtensions reads the lines after the first. Keywords are case-insensitive (RFC 5321 section 4.1.1.1).
func parseExtensions(r reply) (e extensions) {
	_, lines, _ := strings.Cut(r.text, "\n")
	for line := range strings.SplitSeq(lines, "\n") {
		f := strings.Fields(strings.ToUpper(line))
		if len(f) == 0 {
			continue
		}
		e.keyword(f[0], f[1:])
	}
	return e
}

func (e *extensions) keyword(keyword string, args []string) {
	switch keyword {
	case "PIPELINING":
		e.pipelining = true
	case "8BITMIME":
		e.eightBit = true
	case "DSN":
		e.dsn = true
	case "SMTPUTF8":
		e.utf8 = true
	case "STARTTLS":
		e.startTLS = true
	case "SIZE":
		e.sizeKnown = true
		if len(args) > 0 {
			e.size = max(0, number(args[0]))
		}
	case "AUTH":
		e.auth = append(e.auth, args...)
	case "LIMITS":
		e.limits(args)
	case "XLOCAL":
		e.local = true
	case "DELIVERBY":
		e.deliverBy = true
		if len(args) > 0 {
			e.byMin = max(0, number(args[0]))
		}
	default: // "AUTH=LOGIN PLAIN", from before RFC 2554
		if first, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			e.auth = append(append(e.auth, first), args...)
		}
	}
}

func (e *extensions) limits(args []string) {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		n := int(min(max(0, number(value)), 1<<30))
		switch name {
		case "RCPTMAX":
			e.rcptMax = n
		case "MAILMAX":
			e.mailMax = n
		}
	}
}

func (e *extensions) offersAuth(mechanism string) bool { return slices.Contains(e.auth, mechanism) }

// withoutParameters is the peer without whatever MAIL and RCPT have parameters for.
func (e extensions) withoutParameters() extensions {
	e.sizeKnown, e.eightBit, e.dsn, e.utf8, e.deliverBy, e.auth = false, false, false, false, false, nil
	return e
}

// number is s as a number, 0 when it is none.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
