package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postrider/aliases"
	"postrider/compat"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../man/newaliases.1")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestManPage holds newaliases(1) to the options: those that do something here are in it, and no others.
func TestManPage(t *testing.T) {
	var described []string
	for line := range strings.Lines(page(t)) {
		if strings.HasPrefix(line, ".It Fl ") {
			for _, m := range regexp.MustCompile(`Fl (\S+)`).FindAllStringSubmatch(line, -1) {
				described = append(described, m[1])
			}
		}
	}
	slices.Sort(described)
	if want := []string{"C", "O", "oA", "v"}; !slices.Equal(described, want) {
		t.Errorf("described are %q, and not %q", described, want)
	}
	inv, err := compat.Parse([]string{"newaliases", "-Cc", "-oAa", "-v"})
	if err != nil || inv.Mode != compat.Newaliases || inv.ConfigFile != "c" || inv.AliasFile != "a" || !inv.Verbose {
		t.Errorf("%+v, %v", inv, err)
	}
	if !strings.Contains(page(t), "/etc/aliases"+aliases.IndexSuffix) {
		t.Error("the index has another name")
	}
}

// What the page says that a line can be told of is said of this file, and nothing else.
func TestTheManualHasWhatIsSaidOfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aliases")
	text := " x\na: b\na: c\nu@d: x\nb: c,\\\n d\nbad\nc:\n: d\na b: c\n" + strings.Repeat("x", 256) + ": y\nd: e@\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	rep, err := aliases.Check(path)
	if err != nil {
		t.Fatal(err)
	}
	var phrases []string
	for line := range strings.Lines(page(t)) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), ".It Sy "); ok {
			phrases = append(phrases, strings.Split(list, " , Sy ")...)
		}
	}
	used := map[string]bool{}
	for _, p := range rep.Problems {
		i := slices.IndexFunc(phrases, func(s string) bool { return strings.Contains(p.Text, s) })
		if i < 0 {
			t.Errorf("newaliases.1 does not have %q", p.Text)
			continue
		}
		used[phrases[i]] = true
	}
	for _, s := range phrases {
		if !used[s] {
			t.Errorf("nothing says %q", s)
		}
	}
}
