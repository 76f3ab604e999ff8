package config

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// CheckFiles looks at the files that the configuration names and at its own: secrets must not be readable by
// others, and nothing that tells us what to run may be writable by them. Each error says what to do. Load does
// not do this: a wrong mode is no reason to refuse mail.
func (c Config) CheckFiles() (errs []error) {
	look := func(key, path string, forbidden fs.FileMode, word, mode string) {
		if path == "" {
			return
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		case info.Mode()&forbidden != 0:
			errs = append(errs, fmt.Errorf("%s: %s is %s by others (mode %04o); run: chmod %s %s", key, path, word, info.Mode().Perm(), mode, path))
		}
	}
	secret := func(key, path string) { look(key, path, 0o007, "accessible", "o-rwx") }
	look("configuration", c.Path, 0o022, "writable", "go-w")
	secret("smarthost.password_file", c.Smarthost.PasswordFile)
	for i, l := range c.Listen {
		name := "listen " + strconv.Itoa(i+1) + " "
		secret(name+"tls.key", l.TLS.Key)
		secret(name+"auth.file", l.Auth.File)
		secret(name+"auth.secret_file", l.Auth.Secret)
	}
	return errs
}
