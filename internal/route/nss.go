package route

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// How the name service is asked for users whom passwd(5) does not know.
const (
	getentTime  = 5 * time.Second // for one user
	getentMost  = 4               // users at once
	userTime    = time.Minute     // an answer is kept for so long
	maxAnswers  = 10_000          // and so many are
	maxUserName = 256             // bytes; directories have longer names than files
)

// nss asks the name service of the system for users, by getent(1): this program is linked without the C library, whose
// business it is. It is asked only where nsswitch.conf(5) has more sources of users than passwd(5).
//
// That it knows nobody of a name means something only while its sources work: getent says the same when one is out of
// reach or its module is not installed. So nobody counts as unknown unless each source but those that always work has
// been seen to answer within a minute; see source.
type nss struct {
	conf   string // the path of nsswitch.conf
	getent string
	now    func() time.Time
	limit  time.Duration // for one user
	busy   chan struct{}

	mu      sync.Mutex
	known   map[string]answer
	checked time.Time // when conf was read last
	others  []string  // what it said
	seen    map[string]source
}

type answer struct {
	user User
	ok   bool
	till time.Time
}

func newNSS(conf, getent string) *nss {
	return &nss{conf: conf, getent: getent, now: time.Now, limit: getentTime, busy: make(chan struct{}, getentMost),
		known: map[string]answer{}, seen: map[string]source{}}
}

// SystemUsers are the users of this machine: those of /etc/passwd and, where nsswitch.conf(5) has other sources, those.
func SystemUsers() *Passwd {
	p := NewPasswd("/etc/passwd")
	p.nss = newNSS("/etc/nsswitch.conf", "getent")
	return p
}

// lookup finds a user by the exact name. An error means that nobody knows.
func (n *nss) lookup(name string) (User, bool, error) {
	if !askable(name) {
		return User{}, false, nil
	}
	sources, err := n.sources()
	if len(sources) == 0 || err != nil {
		return User{}, false, err
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
		return User{}, false, fmt.Errorf("%s: too many questions at once", n.getent)
	}
	u, ok, err := n.ask(ctx, "", name)
	switch {
	case err != nil:
		return User{}, false, err
	case ok:
		n.witness(ctx, sources, name)
	default:
		if err := n.allWork(ctx, sources); err != nil {
			return User{}, false, err
		}
	}
	n.keep(name, answer{u, ok, n.now().Add(userTime)})
	return u, ok, nil
}

// askable tells whether a name may be a user's: getent takes what begins with a hyphen for an option, and a number for
// that of a user.
func askable(name string) bool {
	if name == "" || len(name) > maxUserName || name[0] == '-' || strings.Trim(name, "0123456789") == "" {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(":/,|\"'`$<>", r) })
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

// ask asks getent for a user: of one source, or with "" as nsswitch.conf(5) has them.
func (n *nss) ask(ctx context.Context, from, name string) (User, bool, error) {
	var out capped
	err := n.run(ctx, &out, from, name)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return User{}, false, fmt.Errorf("%s gave no answer within %v", n.getent, n.limit)
	case errors.As(err, &exit) && exit.ExitCode() == 2: // none of this name
		return User{}, false, nil
	case err != nil:
		return User{}, false, fmt.Errorf("%s: %w", n.getent, err)
	}
	users, err := parsePasswd(strings.NewReader(out.buf.String()))
	if err != nil {
		return User{}, false, fmt.Errorf("%s: %w", n.getent, err)
	}
	u, ok := users[name] // and nobody of a name that is alike
	return u, ok, nil
}

// run runs getent for the names of users; without one, for all.
func (n *nss) run(ctx context.Context, out io.Writer, from string, names ...string) error {
	var args []string
	if from != "" {
		args = []string{"-s", from}
	}
	cmd := exec.CommandContext(ctx, n.getent, slices.Concat(args, []string{"passwd"}, names)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}
	if path := systemPath(n.getent); path != "" {
		cmd.Path, cmd.Err = path, nil
	}
	cmd.Dir, cmd.WaitDelay, cmd.Stdout = "/", time.Second, out
	return cmd.Run()
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
