package config

import (
	"fmt"
	"path/filepath"
	"reflect"

	"postrider/internal/status"
)

// Confined tells whether a configuration that whoever wrote our command line has named may be used. Programs that
// pass a stranger's words on to "sendmail -f" have let strangers add options, so what -C names must not be a way
// to run a command, to write a file or to read one that the caller may: it can have a log, a mailbox and a
// password only where everybody has them. The environment's POSTRIDER_CONFIG is the caller's own and is free.
func (c Config) Confined() error {
	refuse := func(key, why string) error {
		return status.Fail("config.confined", status.ExitConfig,
			fmt.Sprintf("%s: %s %s in a configuration named by -C; name it by POSTRIDER_CONFIG instead", c.Path, key, why), nil)
	}
	log := Default().Log
	if dir, err := here().stateDir(); err == nil && c.User {
		log = filepath.Join(dir, "log")
	}
	for _, k := range keysOf(reflect.ValueOf(c.Tables), "") {
		defaults := reflect.ValueOf(Default().Tables)
		if table := k.value.String(); table != "" && table != defaults.Field(fieldOf(defaults.Type(), k.name)).String() && filepath.Dir(table) != filepath.Dir(c.Path) {
			return refuse("tables."+k.name, "must lie beside it")
		}
	}
	switch {
	case c.Smarthost.PasswordCommand != "":
		return refuse("smarthost.password_command", "is not run")
	case c.Smarthost.PasswordFile != "" && filepath.Dir(c.Smarthost.PasswordFile) != filepath.Dir(c.Path):
		return refuse("smarthost.password_file", "must lie beside it")
	case filepath.IsAbs(c.Log) && c.Log != log || len(c.Log) > 5 && c.Log[:5] == "json:":
		return refuse("log", "may not be a file of its own")
	case c.Local.Mailbox != Default().Local.Mailbox && c.Local.Mailbox != "maildir:{home}/Maildir":
		return refuse("local.mailbox", "may not be a file of its own")
	}
	return nil
}
