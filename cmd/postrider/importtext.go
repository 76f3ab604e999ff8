package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"postrider/compat/foreign"
	"postrider/internal/config"
	"postrider/internal/status"
)

// importedFile is a file that an import makes. The first is the configuration.
type importedFile struct {
	path, text string
	mode       fs.FileMode
	secret     bool
}

// part is what stands or falls together in a configuration: settings that are checked together, or a [[listen]].
type part struct {
	table string // "" for the top
	name  string
	text  string
	from  foreign.Place
}

// importFiles makes the files of an import. The configuration is one that loads, and the tables make sense: what does not
// is among its notes.
func importFiles(m *foreign.Import, path string) ([]importedFile, error) {
	mode := fs.FileMode(0o600)
	if isSystemDir(filepath.Dir(path)) {
		mode = 0o644 // every submitter reads it; it holds no secret
	}
	b := &builder{Import: m, dir: filepath.Dir(path), mode: mode}
	if b.hideCommand() || m.NeedsPassword {
		name := b.secret("smarthost.secret", m.Password)
		m.Settings = append(m.Settings, foreign.Setting{Key: "smarthost.password_file", Value: name, From: m.PasswordFrom})
	}
	for _, t := range m.Tables {
		b.table(t)
	}
	var good []part
	for _, p := range parts(m) {
		if reason := refused(p.text); reason != "" {
			if strings.Contains(p.text, commandLine) {
				reason = "the settings of the smarthost are refused" // the reason may repeat the command
			}
			b.left(p.from, p.name+" is not possible: "+reason)
			continue
		}
		good = append(good, p)
	}
	text := compose(m, good)
	if reason := refused(text); reason != "" {
		return nil, status.Fail("postrider.import", status.ExitSoftware, "import: the settings do not go together", errors.New(reason))
	}
	return append([]importedFile{{path: path, text: text, mode: mode}}, b.files...), nil
}

// commandLine begins the line of a command for a password, which may hold the password itself.
const commandLine = "password_command = "

// hideCommand takes a command for the password out of a configuration that everybody reads.
func (b *builder) hideCommand() bool {
	i := slices.IndexFunc(b.Settings, func(s foreign.Setting) bool { return s.Key == "smarthost.password_command" })
	if i < 0 || b.mode&0o077 == 0 {
		return false
	}
	b.PasswordFrom = b.Settings[i].From
	b.Settings = slices.Delete(b.Settings, i, i+1)
	b.Notes = slices.DeleteFunc(b.Notes, func(n foreign.Note) bool {
		return !n.Left && n.From == b.PasswordFrom && strings.HasPrefix(n.Text, "the command for the password")
	})
	b.left(b.PasswordFrom, "the command for the password: it may hold the password, and everybody reads this file; put the password into smarthost.password_file")
	return true
}

// isSystemDir tells whether a directory is that of the system's configuration.
func isSystemDir(dir string) bool { return dir == filepath.Dir(config.SystemPath) }

// parts are the settings in the order of the configuration.
func parts(m *foreign.Import) (list []part) {
	for _, table := range []string{"", "smarthost", "relay", "tables", "local", "queue", "smtpd"} {
		together := map[string]int{}
		for _, s := range m.Settings {
			of, key := cutKey(s.Key)
			if of != table {
				continue
			}
			group := s.Key
			switch {
			case table == "smarthost", strings.HasPrefix(s.Key, "queue.retry_"):
				group = table
			case strings.HasPrefix(s.Key, "masquerade"):
				group = "masquerade"
			}
			text := fmt.Sprintf("%s # %s\n", tomlLine(key, s.Value), comment(s.From.String()))
			if i, ok := together[group]; ok {
				list[i].text += text
				continue
			}
			together[group] = len(list)
			if table != "" {
				text = "[" + table + "]\n" + text
			}
			list = append(list, part{table, s.Key, text, s.From})
		}
	}
	for _, l := range m.Listen {
		list = append(list, part{"listen", "listening at " + l.Address, listenText(l), l.From})
	}
	return list
}

func cutKey(s string) (table, key string) {
	if table, key, ok := strings.Cut(s, "."); ok {
		return table, key
	}
	return "", s
}

// tomlLine is one setting in TOML.
func tomlLine(key string, value any) string {
	var b strings.Builder
	// What is a string, a number, a truth or a list of strings can be encoded, and memory written to.
	_ = toml.NewEncoder(&b).Encode(map[string]any{key: value})
	return strings.TrimSuffix(b.String(), "\n")
}

func listenText(l foreign.Listen) string {
	text := fmt.Sprintf("[[listen]] # %s\n%s\n%s\n", comment(l.From.String()), tomlLine("address", l.Address), tomlLine("mode", l.Mode))
	if l.Certificate != "" {
		tls := []string{tomlLine("certificate", l.Certificate), tomlLine("key", l.Key)}
		if l.ClientCA != "" {
			tls = append(tls, tomlLine("client_ca", l.ClientCA))
		}
		text += "tls = { " + strings.Join(tls, ", ") + " }\n"
	}
	if l.Dovecot != "" {
		text += "auth = { " + tomlLine("dovecot", l.Dovecot) + " }\n"
	}
	return text
}

// comment is text that cannot end a comment.
func comment(s string) string { return status.Clean(s, 2*status.MaxText) }

// compose is the whole configuration.
func compose(m *foreign.Import, list []part) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The configuration of postrider, carried over from %s (%s).\n# See postrider.toml(5), and run: postrider check\n", m.System, comment(m.File))
	writeNotes(&b, "Left out", m.Notes, true)
	writeNotes(&b, "To know", m.Notes, false)
	table := "listen"
	for _, p := range list {
		text := p.text
		if p.table == table && table != "listen" {
			text = strings.TrimPrefix(text, "["+table+"]\n")
		} else {
			b.WriteByte('\n')
		}
		table = p.table
		b.WriteString(text)
	}
	return b.String()
}

func writeNotes(b *strings.Builder, title string, notes []foreign.Note, left bool) {
	for _, n := range notes {
		if n.Left != left {
			continue
		}
		if title != "" {
			fmt.Fprintf(b, "#\n# %s:\n", title)
			title = ""
		}
		fmt.Fprintf(b, "#   %s\n", noteText(n))
	}
}

// noteText is a note in one line.
func noteText(n foreign.Note) string {
	if n.From == (foreign.Place{}) {
		return comment(n.Text)
	}
	return comment(n.From.String() + ": " + n.Text)
}

// refused says why a configuration would not load, "" when it would.
func refused(text string) string {
	f, err := os.CreateTemp("", "postrider-import.*.toml")
	if err != nil {
		return err.Error()
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err.Error()
	}
	if _, err = config.Load(f.Name()); err == nil {
		return ""
	}
	_, why, _ := strings.Cut(err.Error(), f.Name()+":")
	_, why, _ = strings.Cut(why, ": ")
	if why == "" {
		return err.Error()
	}
	return why
}

// writeImport writes the files, the configuration last. Without force none may be there before.
func (a *app) writeImport(files []importedFile, force bool) error {
	dir := filepath.Dir(files[0].path)
	dirMode := fs.FileMode(0o700)
	if isSystemDir(dir) {
		dirMode = 0o755
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return cannot("create", dir, err)
	}
	for _, f := range files {
		if _, err := os.Lstat(f.path); !force && !errors.Is(err, fs.ErrNotExist) {
			return status.Fail("postrider.import", status.ExitCantCreat, "import: "+f.path+" is there already", errors.New("--force replaces it"))
		}
	}
	for i := len(files) - 1; i >= 0; i-- {
		f := files[i]
		if err := writeFile(f.path, f.text, f.mode); err != nil {
			return cannot("write", f.path, err)
		}
		if f.secret {
			if err := a.giveSecret(f.path); err != nil {
				return err
			}
		}
		fmt.Fprintf(a.out, "wrote %s (mode %04o)\n", f.path, f.mode)
	}
	return nil
}

// giveSecret lets the mail system's user read a password, in an installation of the system.
func (a *app) giveSecret(path string) error {
	if !isSystemDir(filepath.Dir(path)) {
		return nil
	}
	if user, ok, err := a.users.Lookup("postrider"); ok && err == nil {
		if err := a.chown(path, user.UID); err != nil {
			return cannot("give to user postrider", path, err)
		}
	}
	return nil
}

// reportImport prints the notes.
func (a *app) reportImport(m *foreign.Import) {
	for _, n := range m.Notes {
		word := "note"
		if n.Left {
			word = "left out"
		}
		fmt.Fprintf(a.out, "%s: %s\n", word, noteText(n))
	}
}
