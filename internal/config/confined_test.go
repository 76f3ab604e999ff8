package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postrider/internal/status"
)

func TestConfined(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	for _, c := range []struct {
		name, text, refused string
	}{
		{"defaults are free", ``, ""},
		{"a smarthost is free", `smarthost = { url = "smtp://mx.example.org" }`, ""},
		{"a spool is free", `spool = "` + dir + `/spool"`, ""},
		{"a Maildir at home is free", `local = { mailbox = "maildir:{home}/Maildir" }`, ""},
		{"a password beside it is free", `smarthost = { url = "submission://u@mx.example.org", password_file = "` + dir + `/secret" }`, ""},
		{"a command is not run", `smarthost = { url = "submission://u@mx.example.org", password_command = "id" }`, "password_command"},
		{"a password elsewhere is not read", `smarthost = { url = "submission://u@mx.example.org", password_file = "/etc/shadow" }`, "password_file"},
		{"a log is not written", `log = "/var/www/x.php"`, "log"},
		{"a JSON log is not written", `log = "json:/var/www/x.php"`, "log"},
		{"a table beside it is free", `tables = { virtusertable = "` + dir + `/virtusertable" }`, ""},
		{"a table elsewhere is not read", `tables = { mailertable = "/etc/shadow" }`, "tables.mailertable"},
		{"the system's tables are not those of such an installation", `tables = { mailertable = "/etc/mail/mailertable" }`, ""},
		{"an mbox is not written", `local = { mailbox = "mbox:/var/www/{user}.php" }`, "mailbox"},
	} {
		path := filepath.Join(dir, "postrider.toml")
		if err := os.WriteFile(path, []byte(c.text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		err = cfg.Confined()
		if c.refused == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if st := status.From(err); st.Exit() != status.ExitConfig || !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
