package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"postrider/aliases"
	"postrider/compat/foreign"
	"postrider/internal/config"
	"postrider/internal/route"
)

// builder makes the files beside the configuration.
type builder struct {
	*foreign.Import
	dir     string
	mode    fs.FileMode
	files   []importedFile
	secrets int
}

func (b *builder) left(from foreign.Place, text string) {
	b.Notes = append(b.Notes, foreign.Note{From: from, Text: text, Left: true})
}

// secret makes the file of a password, unless that is not known, and returns its path.
func (b *builder) secret(name, password string) string {
	path := filepath.Join(b.dir, name)
	if password != "" {
		b.files = append(b.files, importedFile{path, password + "\n", 0o600, true})
	}
	return path
}

// table makes the file of a table and the setting that names it.
func (b *builder) table(t foreign.Table) {
	key := "tables." + t.Kind
	if b.Get(key) != nil {
		b.left(t.Entries[0].From, key+" is set already; a table of "+strconv.Itoa(len(t.Entries))+" lines is missing")
		return
	}
	path := filepath.Join(b.dir, t.Kind)
	var lines []string
	for _, e := range t.Entries {
		lines = append(lines, b.line(t.Kind, e))
	}
	for i, why := range wrongLines(t.Kind, lines) {
		b.left(t.Entries[i].From, fmt.Sprintf("%s is not possible: %s", t.Entries[i].Key, why))
		lines[i] = ""
	}
	text := fmt.Sprintf("# Carried over from %s (%s).\n", b.System, comment(t.Entries[0].From.File))
	for _, line := range lines {
		if line != "" {
			text += line + "\n"
		}
	}
	b.files = append(b.files, importedFile{path: path, text: text, mode: b.mode})
	if t.Kind == "aliases" {
		b.aliasFile(path, t.Entries[0].From)
		return
	}
	b.Settings = append(b.Settings, foreign.Setting{Key: key, Value: path, From: t.Entries[0].From})
}

// aliasFile puts a file of aliases before the others.
func (b *builder) aliasFile(path string, from foreign.Place) {
	for i, s := range b.Settings {
		if list, ok := s.Value.([]string); ok && s.Key == "aliases" {
			b.Settings[i].Value = append([]string{path}, list...)
			return
		}
	}
	b.Settings = append(b.Settings, foreign.Setting{Key: "aliases", Value: append([]string{path}, config.Default().Aliases...), From: from})
}

// line is a line of a table.
func (b *builder) line(kind string, e foreign.Entry) string {
	switch {
	case kind == "aliases":
		return e.Key + ": " + e.Value
	case kind == "generics_domains":
		return e.Key
	case e.Secret != "":
		b.secrets++
		return e.Key + "  " + e.Value + " " + b.secret(fmt.Sprintf("smarthost-%d.secret", b.secrets), e.Secret)
	}
	return e.Key + "  " + e.Value
}

// maxPasses bounds how often a table is read to find the lines that are wrong: some are told each time.
const maxPasses = 100

// wrongLines are the lines that our reader of a table refuses, and why.
func wrongLines(kind string, lines []string) map[int]string {
	wrong := map[int]string{}
	lines = append([]string(nil), lines...)
	for i, line := range lines {
		if strings.ContainsAny(line, "\r\n\x00") || strings.HasPrefix(line, "#") {
			wrong[i], lines[i] = "it would be another line", ""
		}
	}
	for range maxPasses {
		err := readTable(kind, strings.Join(lines, "\n")+"\n")
		if err == nil {
			return wrong
		}
		for _, m := range lineError.FindAllStringSubmatch(err.Error(), -1) {
			if n, _ := strconv.Atoi(m[1]); n > 0 && n <= len(lines) {
				wrong[n-1], lines[n-1] = m[2], ""
			}
		}
	}
	for i := range lines {
		wrong[i] = "the table as a whole cannot be read"
	}
	return wrong
}

// lineError is the form of errors about tables, and of those about aliases, which is Sendmail's.
var lineError = regexp.MustCompile(`(?m)/table:(?: line )?(\d+): (.*)$`)

// readTable lets our reader read a table.
func readTable(kind, text string) error {
	dir, err := os.MkdirTemp("", "postrider-import.*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "table")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if kind == "aliases" {
		report, err := aliases.Check(path)
		for _, p := range report.Problems {
			if !p.Warning {
				err = errors.Join(err, p)
			}
		}
		return err
	}
	conf := config.Config{User: true}
	tables := reflect.ValueOf(&conf.Tables).Elem()
	for i := range tables.NumField() {
		if tables.Type().Field(i).Tag.Get("toml") == kind {
			tables.Field(i).SetString(path)
		}
	}
	for _, state := range route.New(conf, nil, nil).Tables() {
		if state.Path == path {
			err = errors.Join(err, state.Err)
		}
	}
	return err
}

// showImport prints the configuration, and the other files as comments, but for secrets and commands that may hold one.
func (a *app) showImport(files []importedFile) {
	for line := range strings.Lines(files[0].text) {
		if strings.HasPrefix(line, commandLine) {
			line = "# password_command is a command that may hold a password: --write and --output write it.\n"
		}
		fmt.Fprint(a.out, line)
	}
	for _, f := range files[1:] {
		if f.secret {
			fmt.Fprintf(a.out, "\n# %s is to hold a password, with mode 0600: --write makes it.\n", comment(f.path))
			continue
		}
		fmt.Fprintf(a.out, "\n# %s is to be this, and --write makes it:\n", comment(f.path))
		for line := range strings.Lines(f.text) {
			fmt.Fprintf(a.out, "#   %s\n", comment(strings.TrimSuffix(line, "\n")))
		}
	}
}
