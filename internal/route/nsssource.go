package route

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"postrider/internal/fsys"
)

const (
	maxSwitch  = 64 << 10         // bytes of nsswitch.conf that are read
	sourceTime = time.Minute      // for so long a source that has answered is taken to work
	retryTime  = 10 * time.Second // for so long one that has not is not asked again whether it does
)

// source is what was seen of a source of users. It works when it has told of a user, whichever: when asked for one whom it
// knew before, or for all that it has.
type source struct {
	answered time.Time
	asked    time.Time // whether it works
	known    string    // a user whom it knew
}

// steady are the sources that have nobody but users of this machine and need nothing to work: that they know nobody is
// true, and so it is when they are not installed. Debian's default has systemd.
var steady = []string{"systemd", "mymachines"}

// sources are those of users other than files. A missing nsswitch.conf(5) has none. An error means that nobody knows.
func (n *nss) sources() ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := n.now(); n.checked.IsZero() || now.Sub(n.checked) > userTime || now.Before(n.checked) {
		text, err := fsys.ReadFile(n.conf, maxSwitch)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot read %s: %w", n.conf, err)
		}
		n.checked, n.others = now, otherSources(string(text))
	}
	return n.others, nil
}

// otherSources reads nsswitch.conf(5).
func otherSources(text string) (list []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		what, sources, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(what) != "passwd" {
			continue
		}
		for sources != "" { // but for [STATUS=action]
			before, after, _ := strings.Cut(sources, "[")
			for _, s := range strings.Fields(before) {
				if s != "files" && s != "compat" && !slices.Contains(list, s) {
					list = append(list, s)
				}
			}
			_, sources, _ = strings.Cut(after, "]")
		}
	}
	return list
}

// allWork is an error unless each source was seen to work: it might know whom nobody knows.
func (n *nss) allWork(ctx context.Context, sources []string) error {
	for _, s := range sources {
		if !slices.Contains(steady, s) && !n.works(ctx, s) {
			return fmt.Errorf("%s does not know the user, but %s, which %s names, was not seen to work", n.getent, s, n.conf)
		}
	}
	return nil
}

// works tells whether a source has told of a user within a minute, or does so now.
func (n *nss) works(ctx context.Context, name string) bool {
	now, s := n.state(name)
	if within(now, s.answered, sourceTime) {
		return true
	}
	if within(now, s.asked, retryTime) {
		return false
	}
	s.asked = now
	n.note(name, s)
	ok := false
	if s.known != "" {
		_, ok, _ = n.ask(ctx, name, s.known)
	}
	if !ok {
		var out first
		n.run(ctx, &out, name) // it may well be ended: the rest is of no interest
		ok = out.user()
	}
	if ok {
		s.answered = now
		n.note(name, s)
	}
	return ok
}

// witness finds out who has told of a user, unless all have told of one lately.
func (n *nss) witness(ctx context.Context, sources []string, user string) {
	for _, name := range sources {
		now, s := n.state(name)
		if slices.Contains(steady, name) || within(now, s.answered, sourceTime) {
			continue
		}
		if _, ok, _ := n.ask(ctx, name, user); ok {
			n.note(name, source{answered: now, known: user})
		}
	}
}

func (n *nss) state(name string) (time.Time, source) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now(), n.seen[name]
}

func (n *nss) note(name string, s source) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[name] = s
}

// within tells whether a time is not longer ago than d.
func within(now, t time.Time, d time.Duration) bool {
	return !t.IsZero() && !now.Before(t) && now.Sub(t) <= d
}

// first takes the first lines of a list of users, and no more than it needs.
type first struct{ buf bytes.Buffer }

var errFull = errors.New("there is more than is read")

func (f *first) Write(p []byte) (int, error) {
	f.buf.Write(p[:min(len(p), maxPassword-f.buf.Len())])
	if f.buf.Len() == maxPassword {
		return 0, errFull
	}
	return len(p), nil
}

// user tells whether there is a whole line of one.
func (f *first) user() bool {
	text := f.buf.Bytes()
	users, _ := parsePasswd(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	return len(users) > 0
}
