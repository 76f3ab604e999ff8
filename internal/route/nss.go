package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"postrider/internal/fsys"
)

// How the name service is asked for users whom passwd(5) does not know.
const (
	getentTime  = 5 * time.Second // for one question
	getentMost  = 4               // questions at once
	userTime    = time.Minute     // an answer is kept for so long
	maxAnswers  = 10_000          // and so many are
	maxUserName = 256             // bytes; directories have longer names than files
	maxSwitch   = 64 << 10        // bytes of nsswitch.conf that are read
)

// nss asks the name service of the system for users, by getent(1): this program is linked without the C library, whose
// business it is. It is asked only where nsswitch.conf(5) has more sources of users than passwd(5).
type nss struct {
	conf    string   // the path of nsswitch.conf
	command []string // getent passwd
	now     func() time.Time
	limit   time.Duration // for one question
	busy    chan struct{}

	mu      sync.Mutex
	known   map[string]answer
	checked time.Time // when conf was read last
	asks    bool      // what it said
}

type answer struct {
	user User
	ok   bool
	till time.Time
}

func newNSS(conf string, command ...string) *nss {
	return &nss{conf: conf, command: command, now: time.Now, limit: getentTime, busy: make(chan struct{}, getentMost), known: map[string]answer{}}
}

// SystemUsers are the users of this machine: those of /etc/passwd and, where nsswitch.conf(5) has other sources, those.
func SystemUsers() *Passwd {
	p := NewPasswd("/etc/passwd")
	p.nss = newNSS("/etc/nsswitch.conf", "getent", "passwd")
	return p
}

// lookup finds a user by the exact name. An error means that nobody knows.
func (n *nss) lookup(name string) (User, bool, error) {
	if !askable(name) || !n.needed() {
		return User{}, false, nil
	}
	if a, ok := n.cached(name); ok {
		return a.user, a.ok, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), n.limit)
	defer cancel()
	select {
	case n.busy <- struct{}{}:
		defer func() { <-n.busy }()
	case <-ctx.Done():
		return User{}, false, fmt.Errorf("%s: too many questions at once", n.command[0])
	}
	u, ok, err := n.ask(ctx, name)
	if err == nil {
		n.keep(name, answer{u, ok, n.now().Add(userTime)})
	}
	return u, ok, err
}

// askable tells whether a name may be a user's: getent takes what begins with a hyphen for an option, and a number for
// that of a user.
func askable(name string) bool {
	if name == "" || len(name) > maxUserName || name[0] == '-' || strings.Trim(name, "0123456789") == "" {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(":/,|\"'`$<>", r) })
}

// needed tells whether there are other sources of users than files.
func (n *nss) needed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := n.now(); n.checked.IsZero() || now.Sub(n.checked) > userTime || now.Before(n.checked) {
		text, err := fsys.ReadFile(n.conf, maxSwitch)
		n.checked, n.asks = now, err == nil && otherSources(string(text))
	}
	return n.asks
}

// otherSources reads nsswitch.conf(5).
func otherSources(text string) bool {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		what, sources, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(what) != "passwd" {
			continue
		}
		for sources != "" { // but for [STATUS=action]
			before, after, _ := strings.Cut(sources, "[")
			for _, s := range strings.Fields(before) {
				if s != "files" && s != "compat" {
					return true
				}
			}
			_, sources, _ = strings.Cut(after, "]")
		}
	}
	return false
}

func (n *nss) cached(name string) (answer, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.known[name]
	return a, ok && n.now().Before(a.till)
}

func (n *nss) keep(name string, a answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) >= maxAnswers {
		clear(n.known)
	}
	n.known[name] = a
}

// ask runs getent. Its exit status is 2 when there is no such user.
func (n *nss) ask(ctx context.Context, name string) (User, bool, error) {
	cmd := exec.CommandContext(ctx, n.command[0], append(n.command[1:len(n.command):len(n.command)], name)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}
	if path := systemPath(n.command[0]); path != "" {
		cmd.Path, cmd.Err = path, nil
	}
	cmd.Dir, cmd.WaitDelay = "/", time.Second
	var out capped
	cmd.Stdout = &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return User{}, false, fmt.Errorf("%s gave no answer within %v", n.command[0], n.limit)
	case errors.As(err, &exit) && exit.ExitCode() == 2:
		return User{}, false, nil
	case err != nil:
		return User{}, false, fmt.Errorf("%s: %w", n.command[0], err)
	}
	users, err := parsePasswd(strings.NewReader(out.buf.String()))
	if err != nil {
		return User{}, false, fmt.Errorf("%s: %w", n.command[0], err)
	}
	u, ok := users[name] // and nobody of a name that is alike
	return u, ok, nil
}

// systemPath finds a program of the system, whatever PATH our caller has; "" when it is not there or is a path already.
func systemPath(name string) string {
	for _, dir := range []string{"/usr/bin/", "/bin/"} {
		if info, err := os.Stat(dir + name); err == nil && info.Mode().IsRegular() && !strings.Contains(name, "/") {
			return dir + name
		}
	}
	return ""
}
