package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/local"
)

// Account is a user as the system knows him.
type Account struct {
	local.User
	GID    int
	Groups []int // beside GID
}

func (a Account) identity() identity { return identity{a.UID, a.GID, a.Groups} }

// key is equal for the same mailbox of the same user.
func (a Account) key() string { return a.Name + "\x00" + a.Home + "\x00" + a.identity().key() }

// Accounts is the user database. An error means that nobody knows.
type Accounts interface {
	// ByName finds a user by the exact name.
	ByName(name string) (Account, bool, error)
	// ByUID finds the first user of a number.
	ByUID(uid int) (Account, bool, error)
	// GroupID is the number of a group.
	GroupID(name string) (int, bool, error)
}

// Files are the accounts in /etc/passwd and /etc/group, read again when they have changed, and those that getent(1) knows
// where /etc/nsswitch.conf names other sources.
type Files struct {
	passwd, group, nsswitch string

	mu     sync.Mutex
	stamps [2]stamp
	byName map[string]Account
	byUID  map[int]Account
	groups map[string]int
	asked  map[string]answered
}

// stamp tells versions of a file apart.
type stamp struct {
	ino   uint64
	size  int64
	mtime time.Time
}

// SystemAccounts are the accounts of this machine.
func SystemAccounts() *Files {
	return &Files{passwd: "/etc/passwd", group: "/etc/group", nsswitch: "/etc/nsswitch.conf"}
}

// maxAccounts is what is read of a file.
const maxAccounts = 64 << 20

// ByName implements Accounts.
func (f *Files) ByName(name string) (Account, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return Account{}, false, err
	}
	if a, ok := f.byName[name]; ok || !plainName(name) {
		return a, ok, nil
	}
	return f.ask(name, func(a Account) bool { return a.Name == name }) // a service may fold letters, or take numbers
}

// ByUID implements Accounts.
func (f *Files) ByUID(uid int) (Account, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return Account{}, false, err
	}
	if a, ok := f.byUID[uid]; ok {
		return a, ok, nil
	}
	return f.ask(strconv.Itoa(uid), func(a Account) bool { return a.UID == uid })
}

// GroupID implements Accounts.
func (f *Files) GroupID(name string) (int, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.load()
	gid, ok := f.groups[name]
	return gid, ok, err
}

// load reads the files if they have changed.
func (f *Files) load() error {
	var now [2]stamp
	for i, name := range []string{f.passwd, f.group} {
		st, err := os.Stat(name)
		if err != nil && (i == 0 || !errors.Is(err, os.ErrNotExist)) {
			return err
		}
		if err == nil {
			now[i] = stamp{st.Sys().(*syscall.Stat_t).Ino, st.Size(), st.ModTime()}
		}
	}
	if now == f.stamps && f.byName != nil {
		return nil
	}
	passwd, err := fsys.ReadFile(f.passwd, maxAccounts)
	if err != nil {
		return err
	}
	group, err := fsys.ReadFile(f.group, maxAccounts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f.byName, f.byUID = map[string]Account{}, map[int]Account{}
	f.groups = map[string]int{}
	members := f.readGroups(string(group))
	for line := range strings.Lines(string(passwd)) {
		a, ok := parsePasswd(strings.TrimRight(line, "\n"))
		if _, have := f.byName[a.Name]; !ok || have {
			continue
		}
		a.Groups = members[a.Name]
		f.byName[a.Name] = a
		if _, have := f.byUID[a.UID]; !have {
			f.byUID[a.UID] = a
		}
	}
	f.stamps, f.asked = now, nil
	return nil
}

// readGroups notes the groups, and returns who is in which.
func (f *Files) readGroups(text string) map[string][]int {
	members := map[string][]int{}
	for line := range strings.Lines(text) {
		w := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(w) != 4 {
			continue
		}
		gid, err := strconv.ParseUint(w[2], 10, 31)
		if err != nil {
			continue
		}
		if _, have := f.groups[w[0]]; !have {
			f.groups[w[0]] = int(gid)
		}
		for name := range strings.SplitSeq(w[3], ",") {
			if name != "" && !slices.Contains(members[name], int(gid)) {
				members[name] = append(members[name], int(gid))
			}
		}
	}
	return members
}

// parsePasswd reads a line of passwd(5).
func parsePasswd(line string) (Account, bool) {
	w := strings.Split(line, ":")
	if len(w) != 7 || !plainName(w[0]) {
		return Account{}, false
	}
	uid, err1 := strconv.ParseUint(w[2], 10, 31)
	gid, err2 := strconv.ParseUint(w[3], 10, 31)
	if err1 != nil || err2 != nil {
		return Account{}, false
	}
	return Account{User: local.User{Name: w[0], UID: int(uid), Home: w[5], Shell: w[6]}, GID: int(gid)}, true
}

// plainName tells whether a word can be the name of a user, and no option, path or pattern.
func plainName(s string) bool {
	return s != "" && len(s) <= 255 && strings.IndexByte("-+.#", s[0]) < 0 &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("/:,*", r) })
}

// answered is what getent has said.
type answered struct {
	account Account
	ok      bool
	until   time.Time
}

const (
	askLimit  = 10 * time.Second // for getent
	askedFor  = 30 * time.Second // that an answer counts
	maxAsked  = 10_000           // answers that are kept
	maxGetent = 64 << 10         // bytes of an answer
)

// ask asks getent, where there is more to know than the files say.
func (f *Files) ask(key string, asked func(Account) bool) (Account, bool, error) {
	if !f.others() {
		return Account{}, false, nil
	}
	if a, have := f.asked[key]; have && time.Now().Before(a.until) {
		return a.account, a.ok && asked(a.account), nil
	}
	line, ok, err := getent("passwd", key)
	if err != nil {
		return Account{}, false, err
	}
	var a Account
	if ok {
		a, ok = parsePasswd(line)
	}
	if ok {
		if line, _, err = getent("initgroups", a.Name); err != nil {
			return Account{}, false, err
		}
		for _, w := range strings.Fields(line)[min(1, len(strings.Fields(line))):] {
			if gid, err := strconv.Atoi(w); err == nil && gid >= 0 && gid != a.GID {
				a.Groups = append(a.Groups, gid)
			}
		}
	}
	if f.asked == nil || len(f.asked) >= maxAsked {
		f.asked = map[string]answered{}
	}
	f.asked[key] = answered{a, ok, time.Now().Add(askedFor)}
	return a, ok && asked(a), nil
}

// others tells whether users are to be found elsewhere than in the files.
func (f *Files) others() bool {
	text, err := fsys.ReadFile(f.nsswitch, 64<<10)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		sources, ok := strings.CutPrefix(strings.TrimSpace(line), "passwd:")
		for _, s := range strings.Fields(sources) {
			if ok && s != "files" && s != "compat" && s != "systemd" && s[0] != '[' {
				return true
			}
		}
	}
	return false
}

// getent asks the name services for one entry. Exit status 2 says that there is none.
func getent(database, key string) (line string, ok bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/getent", database, key)
	cmd.Env, cmd.Dir, cmd.WaitDelay = environment, "/", time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("getent %s: %w", database, err)
	}
	if len(out) > maxGetent {
		return "", false, fmt.Errorf("getent %s: a long answer", database)
	}
	first, _, _ := bytes.Cut(out, []byte("\n"))
	return string(first), true, nil
}
