package maillog

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

const manPage = "../../man/postrider-log.7"

// documented reads the tags of the outer list in a section of the man page, with the text below each.
func documented(t *testing.T, section string) map[string]string {
	t.Helper()
	page, err := os.ReadFile(manPage)
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(page), "\n.Sh "+section+"\n")
	if !ok {
		t.Fatalf("%s has no section %s", manPage, section)
	}
	body, _, _ = strings.Cut(body, "\n.Sh ")
	entries := map[string]string{}
	depth, tag := 0, ""
	for line := range strings.Lines(body) {
		switch {
		case strings.HasPrefix(line, ".Bl "):
			depth++
		case strings.HasPrefix(line, ".El"):
			depth--
		case strings.HasPrefix(line, ".It Cm ") && depth == 1:
			tag = strings.TrimSpace(strings.TrimPrefix(line, ".It Cm "))
			entries[tag] = ""
		default:
			entries[tag] += line
		}
	}
	delete(entries, "")
	return entries
}

// loggedEvents calls every event function and the golden cases, and lists the events and keys they log.
func loggedEvents(t *testing.T) (events, keys map[string]bool) {
	t.Helper()
	l, c := captured(jsonLine)
	for _, name := range eventNames() {
		call(l, name, 0, "x")
	}
	for _, tt := range golden {
		tt.call(l)
	}
	l.emit(lostLines(1))
	events, keys = map[string]bool{}, map[string]bool{}
	for _, line := range c.lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		events[m["event"].(string)] = true
		for key := range m {
			keys[key] = true
		}
	}
	for _, key := range []string{"time", "host", "program", "pid", "event", "id"} {
		delete(keys, key) // in the description
	}
	return events, keys
}

func compare(t *testing.T, what string, code map[string]bool, page map[string]string) {
	t.Helper()
	for name := range code {
		if _, ok := page[name]; !ok {
			t.Errorf("%s %q is not in %s", what, name, manPage)
		}
	}
	for name := range page {
		if !code[name] {
			t.Errorf("%s %q of %s is not in the code", what, name, manPage)
		}
	}
}

func TestManPageHasEveryEventAndField(t *testing.T) {
	events, keys := loggedEvents(t)
	compare(t, "event", events, documented(t, "EVENTS"))
	compare(t, "field", keys, documented(t, "FIELDS"))
}

// The line shown for an event names the fields that the golden lines of the event have.
func TestManPageShowsTheLines(t *testing.T) {
	page := documented(t, "EVENTS")
	event := regexp.MustCompile(`"event":"(\w+)"`)
	key := regexp.MustCompile(`(?:^|[ (])(\w+)=`)
	for _, tt := range golden {
		entry := page[event.FindStringSubmatch(tt.json)[1]]
		for _, m := range key.FindAllStringSubmatch(tt.text, -1) {
			if !strings.Contains(entry, m[1]+"=") {
				t.Errorf("%s: the entry does not show %s=", tt.name, m[1])
			}
		}
	}
}

// Every event function has a golden line.
func TestGoldenIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, tt := range golden {
		l, c := captured(jsonLine)
		tt.call(l)
		seen[eventOf(t, c.lines[0])] = true
	}
	for _, name := range eventNames() {
		l, c := captured(jsonLine)
		call(l, name, 0, "x")
		if e := eventOf(t, c.lines[0]); !seen[e] {
			t.Errorf("%s (event %s) has no golden line", name, e)
		}
	}
}

func eventOf(t *testing.T, line string) string {
	t.Helper()
	var m struct{ Event string }
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatal(err)
	}
	return m.Event
}
