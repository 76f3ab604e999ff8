package queue

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"postrider/internal/status"
)

// A next hop that could not be reached has a small file in hosts/, so that not every run finds that out anew. Each
// failure appends a line with all that is known, and the last whole line counts. Nothing here is synced, and no
// error here matters to mail: a note that is lost, or torn, or never made costs one connection attempt.

const (
	hostAge      = 24 * time.Hour // what is older is worth nothing
	maxHosts     = 1000           // notes that are kept
	maxHostFile  = 4 << 10        // a file that has grown beyond this is started anew
	readHostFile = 16 << 10       // more than a file ever has
	maxHostField = 512            // bytes of a name, a relay, a text
	maxHostName  = 200            // bytes of a file's name
)

// Host is a next hop that could not be reached.
type Host struct {
	Name     string      // the key by which runs know the next hop
	Since    time.Time   // its first failure
	Tried    time.Time   // its last
	Until    time.Time   // no other try is worth while before
	Failures int         // how many there were in a row
	Code     status.Code // why it failed last
	Relay    string      // the host that was tried last; "" when there was none
	Text     string
}

// FailHost notes that a next hop could not be reached. Name, Until, Code, Relay and Text are the caller's; what
// else a Host has is kept here.
func (s *Spool) FailHost(h Host) {
	old, known := s.Host(h.Name)
	if len(h.Name) > maxHostField || !known && !s.roomForHost() {
		return
	}
	h.Tried = s.now()
	h.Since, h.Failures = h.Tried, 1
	if known {
		h.Since, h.Failures = old.Since, old.Failures+1
	}
	f, err := s.fs.Append(s.path(hostsDir, hostFile(h.Name)))
	if err != nil {
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && st.Size > maxHostFile {
		err = f.Truncate(0)
	}
	if err == nil {
		f.Write(appendHost([]byte("\n"), &h)) // after what may be a part of a line
	}
}

// Host tells what was noted of a next hop in the last day.
func (s *Spool) Host(name string) (Host, bool) {
	h, ok := s.readHost(hostFile(name))
	return h, ok && h.Name == name
}

// Hosts are all next hops that could not be reached in the last day, by name.
func (s *Spool) Hosts() ([]Host, error) {
	var list []Host
	err := s.fs.ReadDir(s.path(hostsDir), func(file string) error {
		if h, ok := s.readHost(file); ok && len(list) < maxHosts {
			list = append(list, h)
		}
		return nil
	})
	if err != nil && !(s.noCreate && errors.Is(err, fs.ErrNotExist)) {
		return nil, failed("hosts", err)
	}
	slices.SortFunc(list, func(a, b Host) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// ClearHost forgets that a next hop could not be reached.
func (s *Spool) ClearHost(name string) { s.fs.Remove(s.path(hostsDir, hostFile(name))) }

// ClearHosts forgets all that could not be reached.
func (s *Spool) ClearHosts() error {
	if _, err := s.sweepHosts(0); err != nil && !(s.noCreate && errors.Is(err, fs.ErrNotExist)) {
		return failed("clear hosts", err)
	}
	return nil
}

// roomForHost tells whether another next hop may be noted.
func (s *Spool) roomForHost() bool {
	n := 0
	err := s.fs.ReadDir(s.path(hostsDir), func(string) error { n++; return nil })
	if err == nil && n >= maxHosts {
		gone, _ := s.sweepHosts(hostAge)
		n -= gone
	}
	return err == nil && n < maxHosts
}

// sweepHosts removes the files that have not been written to for so long; 0: all. It goes on after an error and
// returns the first.
func (s *Spool) sweepHosts(age time.Duration) (n int, first error) {
	var files []string
	first = s.fs.ReadDir(s.path(hostsDir), func(file string) error { files = append(files, file); return nil })
	for _, file := range files {
		path, gone, err := s.path(hostsDir, file), age == 0, error(nil)
		if !gone {
			gone, err = s.stale(path, age)
		}
		if gone {
			if err = s.fs.Remove(path); err == nil {
				n++
			}
		}
		if first == nil && err != nil && !errors.Is(err, fs.ErrNotExist) {
			first = err
		}
	}
	return n, first
}

// readHost reads a file of hosts/; false when it tells nothing, or nothing new enough.
func (s *Spool) readHost(file string) (Host, bool) {
	f, err := s.fs.Open(s.path(hostsDir, file))
	if err != nil {
		return Host{}, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, readHostFile))
	if err != nil {
		return Host{}, false
	}
	h, ok := parseHosts(string(text))
	return h, ok && s.now().Sub(h.Tried) <= hostAge
}

// parseHosts is the last whole line of a file; false when it has none.
func parseHosts(text string) (last Host, ok bool) {
	for line := range strings.SplitSeq(text, "\n") {
		if h, whole := parseHost(line); whole {
			last, ok = h, true
		}
	}
	return last, ok
}

// appendHost writes a line: a checksum of the rest, three times in Unix seconds, the number of failures, the
// name, and why.
func appendHost(b []byte, h *Host) []byte {
	line := fmt.Appendf(nil, "%d %d %d %d ", h.Since.Unix(), h.Tried.Unix(), h.Until.Unix(), h.Failures)
	line = appendWord(line, h.Name)
	line = appendParam(line, "code", h.Code.String())
	line = appendParam(line, "relay", h.Relay[:min(len(h.Relay), maxHostField)])
	line = appendParam(line, "text", h.Text[:min(len(h.Text), maxHostField)])
	return appendChecked(b, line)
}

// parseHost reads a line of appendHost; false when it is torn or foreign.
func parseHost(line string) (h Host, ok bool) {
	rest, ok := cutChecked(line)
	if !ok {
		return h, false
	}
	var numbers [4]int64
	for i := range numbers {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		if numbers[i], ok = decimal(word); !ok {
			return h, false
		}
	}
	h.Since, h.Tried, h.Until = time.Unix(numbers[0], 0), time.Unix(numbers[1], 0), time.Unix(numbers[2], 0)
	h.Failures = int(numbers[3])
	if h.Name, rest, ok = cutWord(rest); !ok {
		return h, false
	}
	ok = params(rest, func(key, value string) {
		switch key {
		case "code":
			h.Code, _, _ = status.ParseCode(value)
		case "relay":
			h.Relay = value
		case "text":
			h.Text = value
		}
	})
	return h, ok
}

// hostFile is the name of a next hop's file: one element of a path, whatever the bytes of the next hop's name. What
// is too long is cut, with a checksum in place of the rest.
func hostFile(name string) string {
	var b []byte
	for i := range len(name) {
		c := name[i]
		plain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-_:@[]", c) >= 0
		if plain || c == '.' && i > 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	if len(b) == 0 || len(b) > maxHostName {
		b = fmt.Appendf(b[:min(len(b), maxHostName-9)], "~%08x", checksum([]byte(name)))
	}
	return string(b)
}
