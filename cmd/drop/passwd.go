package main

import (
	"strconv"
	"strings"

	"postrider/internal/fsys"
)

const (
	passwd    = "/etc/passwd"
	maxPasswd = 16 << 20 // bytes of it that are read
)

// loginName is the name of a user; "" for one who is not in passwd(5): a static program knows no directory service.
func loginName(uid int) string {
	text, _ := fsys.ReadFile(passwd, maxPasswd)
	id := strconv.Itoa(uid)
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) >= 7 && f[2] == id {
			return f[0]
		}
	}
	return ""
}
