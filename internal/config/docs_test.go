package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	shippedFile = "../../etc/postrider.toml"
	manPage     = "../../man/postrider.toml.5"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// uncomment makes settings of the shipped file's commented ones: "#key = value", where a comment is "# text".
func uncomment(text string) string {
	return regexp.MustCompile(`(?m)^#([^ \n])`).ReplaceAllString(text, "$1")
}

// leafKeys lists the known keys that are not tables.
func leafKeys() []string {
	return slices.DeleteFunc(knownKeys(), func(k string) bool { return k == "listen" })
}

// parents turns each key of an inline table into that table's, as the shipped file has it.
func parents(keys []string) []string {
	for i, k := range keys {
		for _, table := range []string{"listen.tls", "listen.auth"} {
			if strings.HasPrefix(k, table+".") {
				keys[i] = table
			}
		}
	}
	return slices.Compact(keys)
}

func TestShippedFileIsAllComment(t *testing.T) {
	c, err := loadText(t, read(t, shippedFile))
	c.Path = ""
	if want := onHost(Default()); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestShippedFileShowsEveryDefault(t *testing.T) {
	c, err := loadText(t, uncomment(read(t, shippedFile)))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Listen) != 1 {
		t.Errorf("%d listen tables", len(c.Listen))
	}
	c.Path, c.Listen = "", nil
	want := onHost(Default())
	want.Domains, want.Relay.Domains, want.MasqueradeDomains = []string{}, []string{}, []string{}
	want.Smtpd.DNSLists, want.Smtpd.ProxyNetworks, want.Smtpd.XClient = []string{}, []string{}, []string{}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("\n got %+v\nwant %+v", c, want)
	}
}

func TestShippedFileHasEveryKeyInOrderAndExplained(t *testing.T) {
	var got []string
	table, explained := "", false
	for line := range strings.Lines(read(t, shippedFile)) {
		key, _, isKey := strings.Cut(strings.TrimPrefix(line, "#"), " = ")
		switch {
		case strings.HasPrefix(line, "# "):
			explained = true
			continue
		case strings.HasPrefix(line, "#["):
			table = strings.Trim(strings.TrimSpace(line), "#[]") + "."
		case strings.HasPrefix(line, "#") && isKey:
			got = append(got, table+key)
		case strings.TrimSpace(line) != "" && line != "#\n":
			t.Errorf("neither comment nor key: %s", line)
		}
		if strings.HasPrefix(line, "#") && line != "#\n" && !explained {
			t.Errorf("not explained: %s", line)
		}
		explained = false
	}
	want := parents(leafKeys())
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// manEntries reads the keys of the man page, each with its text. A subsection "[table]" prefixes its keys.
func manEntries(t *testing.T) map[string]string {
	t.Helper()
	entries := map[string]string{}
	prefix, key := "", ""
	for line := range strings.Lines(read(t, manPage)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ".Ss ["):
			prefix, key = strings.Trim(line[len(".Ss "):], "[]")+".", ""
		case strings.HasPrefix(line, ".Ss "), strings.HasPrefix(line, ".Sh "):
			prefix, key = "", ""
		case strings.HasPrefix(line, ".It Ic "):
			key = prefix + strings.Fields(line)[2]
			entries[key] = ""
		default:
			entries[key] += line + "\n"
		}
	}
	delete(entries, "")
	return entries
}

func TestManPageHasEveryKey(t *testing.T) {
	entries := manEntries(t)
	known := leafKeys()
	for _, k := range known {
		if _, ok := entries[k]; !ok {
			t.Errorf("%s does not document %s", manPage, k)
		}
	}
	for k := range entries {
		if !slices.Contains(known, k) {
			t.Errorf("%s documents %s, which does not exist", manPage, k)
		}
	}
}

func TestManPageHasEveryDefault(t *testing.T) {
	entries := manEntries(t)
	for _, k := range keysOf(reflect.ValueOf(Default()), "") {
		if k.name == "listen" {
			continue
		}
		want := "Default:"
		if !k.value.IsZero() {
			want += fmt.Sprintf("\n.Ql %s", strings.ReplaceAll(strings.Trim(format(k.value), `"`), `"`, `\(dq`))
		}
		if !strings.Contains(entries[k.name], want) {
			t.Errorf("the entry of %s lacks %q", k.name, want)
		}
	}
}
