package access

import (
	"errors"
	"fmt"
	"strings"

	"postrider/internal/status"
)

// words are the values that are one word, in upper case.
var words = map[string]Action{"OK": OK, "RELAY": Relay, "REJECT": Reject, "DISCARD": Discard, "SKIP": None}

// parseValue reads the value of a line. skip tells that it is SKIP.
func parseValue(s string) (r Rule, skip bool, err error) {
	word, rest := s, ""
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		word, rest = s[:i], strings.TrimSpace(s[i:])
	}
	if action, ok := words[strings.ToUpper(word)]; ok {
		if rest != "" && rest[0] != '#' {
			return r, false, fmt.Errorf("nothing may follow %s", word)
		}
		return Rule{Action: action}, action == None, nil
	}
	if text, ok := cutFold(s, "QUARANTINE:"); ok {
		if text = strings.TrimSpace(unquote(text)); text == "" {
			return r, false, errors.New("QUARANTINE: needs a reason")
		}
		return Rule{Action: Quarantine, Text: status.Clean(text, maxText)}, false, nil
	}
	text, tagged := cutFold(unquote(s), "ERROR:")
	if !tagged && (len(text) < 3 || !isDigit(text[0])) {
		return r, false, fmt.Errorf("%s is no value: one of OK, RELAY, REJECT, DISCARD, SKIP, ERROR:code text, QUARANTINE:text", shown(s))
	}
	st, err := ParseReply(text, [2]int{7, 1}, "access denied")
	return Rule{Action: Reject, Status: st}, false, err
}

// ParseReply reads a refusal as Sendmail's tables have it: a reply, "550 text" or "550 5.7.1 text", behind an enhanced code
// and a colon or a blank, or without. Quotes around the reply are taken away. detail is the enhanced code's but for its class,
// and otherwise is said, where the table has none.
func ParseReply(s string, detail [2]int, otherwise string) (*status.Status, error) {
	s = unquote(strings.TrimSpace(s))
	code, behind, coded := enhanced(s)
	if coded {
		s = unquote(strings.TrimLeft(behind, ": "))
	}
	reply, text := replyCode(s)
	switch {
	case reply == 0 && !coded:
		return nil, errors.New(`an error needs a reply code of 400 to 599, as in "550 go away"`)
	case reply == 0:
		reply = map[int]int{2: 0, 4: 451, 5: 550}[code[0]]
	case !coded:
		code = status.Code{reply / 100, detail[0], detail[1]}
	}
	if inner, rest, ok := enhanced(text); ok && (!coded || inner == code) {
		code, text = inner, strings.TrimLeft(rest, " ")
	}
	if code[0] != reply/100 {
		return nil, fmt.Errorf("the reply %d and the enhanced code %v disagree", reply, code)
	}
	if text == "" {
		text = otherwise
	}
	return status.New("access", reply, code, status.Clean(text, maxText), nil), nil
}

// enhanced cuts an enhanced code from s, up to a colon, a blank or the end.
func enhanced(s string) (status.Code, string, bool) {
	end := strings.IndexAny(s, ": ")
	if end < 0 {
		end = len(s)
	}
	code, rest, ok := status.ParseCode(s[:end])
	return code, s[end:], ok && rest == ""
}

// replyCode cuts a reply code of a refusal from s; 0 when there is none.
func replyCode(s string) (int, string) {
	if len(s) < 3 || s[0] != '4' && s[0] != '5' || !isDigit(s[1]) || !isDigit(s[2]) || len(s) > 3 && s[3] != ' ' && s[3] != '\t' {
		return 0, s
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), strings.TrimLeft(s[3:], " \t")
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
