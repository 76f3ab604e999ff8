package policy

import (
	"slices"
	"strings"
	"unicode/utf8"

	"postrider/internal/address"
	"postrider/internal/status"
)

// people are the users of this machine by their full names, as passwd(5) has them.
type people struct {
	names map[string]string   // login to full name
	words map[string][]string // a full name or a word of one, in lower case, to logins
}

// Caps on what is read of passwd(5).
const (
	maxPeople   = 1_000_000
	maxFullName = 100
	maxWords    = 8 // of a full name
)

// parsePeople reads passwd(5). Lines that are none are passed over: who may have mail is not decided here.
func parsePeople(_ string, text []byte) (*people, error) {
	p := &people{names: map[string]string{}, words: map[string][]string{}}
	for rest := string(text); rest != "" && len(p.names) < maxPeople; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if f := strings.Split(line, ":"); len(f) == 7 && f[0] != "" && !strings.ContainsAny(f[0][:1], "+-#") {
			p.add(f[0], fullName(f[0], f[4]))
		}
	}
	return p, nil
}

// fullName is what the gecos field says before its first comma. "&" in it is the login with a capital.
func fullName(login, gecos string) string {
	name, _, _ := strings.Cut(gecos, ",")
	if strings.Contains(name, "&") && len(name) <= maxFullName {
		name = strings.ReplaceAll(name, "&", strings.ToUpper(login[:1])+login[1:])
	}
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>()@,;:"\[]`, r) { // they would make another address of it
			return ' '
		}
		return r
	}, name)
	return status.Clean(strings.Join(strings.Fields(name), " "), maxFullName)
}

func (p *people) add(login, name string) {
	if _, have := p.names[login]; have || name == "" {
		return
	}
	p.names[login] = name
	words := strings.Fields(strings.ToLower(name))
	whole := strings.Join(words, " ")
	for _, w := range append(words[:min(len(words), maxWords)], whole) {
		if !slices.Contains(p.words[w], login) {
			p.words[w] = append(p.words[w], login)
		}
	}
}

// find returns the logins of those who are called so, by their full name or a word of it.
func (p *people) find(name string) []string {
	return p.words[strings.Join(strings.Fields(strings.ToLower(name)), " ")]
}

// shown is a mailbox as replies have it: with the full name, if there is one that every client can read.
func shown(name string, a address.Address) string {
	if name == "" || !isASCII(name) {
		return "<" + a.String() + ">"
	}
	return name + " <" + a.String() + ">"
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
