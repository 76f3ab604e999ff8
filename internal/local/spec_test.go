package local

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	alice := User{Name: "alice", Home: "/home/alice"}
	for _, c := range []struct {
		name, spec string
		user       User
		want       string // a path, or part of an error that begins with "!"
	}{
		{"the usual mbox", "mbox:/var/mail/{user}", alice, "/var/mail/alice"},
		{"the usual Maildir", "maildir:{home}/Maildir", alice, "/home/alice/Maildir"},
		{"a trailing slash does no harm", "maildir:{home}/Maildir/", alice, "/home/alice/Maildir"},
		{"both", "mbox:/srv/{user}{home}", alice, "/srv/alice/home/alice"},
		{"a name in a directory service's form", "mbox:/var/mail/{user}", User{Name: `EX\al-ice.b_2@ex$`}, `/var/mail/EX\al-ice.b_2@ex$`},
		{"no scheme", "/var/mail/{user}", alice, "!none of mbox:PATH"},
		{"an unknown scheme", "mh:{home}/Mail", alice, "!none of mbox:PATH"},
		{"LMTP is not for here", "lmtp+unix:/run/lmtp", alice, "!none of mbox:PATH"},
		{"an unknown placeholder", "mbox:/var/mail/{address}", alice, "!unknown placeholder {address}"},
		{"an open brace", "mbox:/var/mail/{user", alice, `!a "{" without`},
		{"a stray brace", "mbox:/var/mail/user}", alice, `!a "}" without`},
		{"a relative path", "mbox:mail/{user}", alice, `!must begin with "/"`},
		{"an mbox that is a directory", "mbox:/var/mail/{user}/", alice, "!a file, not a directory"},
		{"a way up", "mbox:/var/mail/../{user}", alice, `!holds ".."`},
		{"a NUL", "mbox:/var/mail/\x00", alice, "!NUL"},
		{"a user called ..", "mbox:/var/mail/{user}", User{Name: ".."}, "!cannot be part of a path"},
		{"a user that is an option", "mbox:/var/mail/{user}", User{Name: "-x"}, "!cannot be part of a path"},
		{"a user with a slash", "mbox:/var/mail/{user}", User{Name: "a/b"}, "!cannot be part of a path"},
		{"a user with a NUL", "mbox:/var/mail/{user}", User{Name: "a\x00"}, "!cannot be part of a path"},
		{"a user without a name", "mbox:/var/mail/{user}", User{}, "!cannot be part of a path"},
		{"a user without a home", "mbox:{home}/mbox", User{Name: "a"}, "!no home directory"},
		{"a home that leads up", "mbox:{home}/mbox", User{Name: "a", Home: "/home/../etc"}, `!holds ".."`},
		{"braces in a value stay", "mbox:{home}/mbox", User{Name: "a", Home: "/home/{user}"}, "/home/{user}/mbox"},
	} {
		s, err := parseSpec(c.spec)
		if (CheckSpec(c.spec) == nil) != (err == nil) {
			t.Errorf("%s: CheckSpec disagrees", c.name)
		}
		got := ""
		if err == nil {
			got, err = s.expand(c.user)
		}
		if want, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q, %v", c.name, got, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}
