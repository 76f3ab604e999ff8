package main

import (
	"os"
	"strconv"
	"strings"

	"postrider/internal/fsys"
)

const (
	passwd    = "/etc/passwd"
	maxPasswd = 16 << 20 // bytes of it that are read
)

// account is what the system knows of a user.
type account struct{ name, gecos, home string }

// uidOf finds the user of a name in a passwd(5) file.
func uidOf(file, name string) (uid int, ok bool) {
	text, _ := fsys.ReadFile(file, maxPasswd)
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) >= 7 && f[0] == name {
			uid, err := strconv.Atoi(f[2])
			return uid, err == nil
		}
	}
	return 0, false
}

// lookup finds a user in a passwd(5) file. Of one who is not there (a static program knows no directory service) the
// environment tells the name, and nothing the home. Package os/user would cost every start more.
func lookup(file string, uid int) account {
	text, _ := fsys.ReadFile(file, maxPasswd)
	id := strconv.Itoa(uid)
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) >= 7 && f[2] == id {
			return account{name: f[0], gecos: f[4], home: f[5]}
		}
	}
	return account{name: os.Getenv("USER")}
}
