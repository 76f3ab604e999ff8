package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postrider/internal/drop"
)

// firstConfig is the configuration of a system that has none yet. Nobody but this machine can reach its server.
const firstConfig = `# The configuration of postrider: see postrider.toml(5).

[[listen]]
address = "127.0.0.1:25"
mode = "smtp"

[[listen]]
address = "/run/postrider/submit"
mode = "local"
`

// firstAliases is aliases(5) for a system that has none.
const firstAliases = "# See aliases(5). Give root's mail to somebody who reads it:\n# root: alice\npostmaster: root\n"

func (in *installer) configuration() step { return in.missing(in.host.config, firstConfig) }

func (in *installer) aliases() step {
	path := filepath.Join(in.host.etc, "aliases")
	if len(in.conf.Aliases) > 0 && in.host.etc == "/etc" {
		path = in.conf.Aliases[0]
	}
	return in.missing(path, firstAliases)
}

// missing writes a file that is not there.
func (in *installer) missing(path, text string) step {
	return step{
		look: func() (string, error) {
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return "write " + path, nil
			}
			return "", nil
		},
		do: func() error {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return writeFile(path, text, 0o644)
		},
	}
}

// dropSettings keeps what drop must know in step with the configuration.
func (in *installer) dropSettings() step {
	path, want := in.host.settings, in.wantedSettings()
	return step{
		look: func() (string, error) {
			have, err := drop.Load(path, in.host.root)
			if err == nil && have == want {
				return "", nil
			}
			return fmt.Sprintf("write %s: spool %s, messages of up to %d bytes", path, want.Spool, want.Limit), nil
		},
		do: func() error {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			return writeFile(path, want.String(), 0o644)
		},
	}
}

func (in *installer) wantedSettings() drop.Settings {
	return drop.Settings{Spool: filepath.Clean(in.conf.Spool), Limit: int64(in.conf.MessageSizeLimit)}
}
