package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// load is Load in given surroundings.
func (s surroundings) load(path string) (Config, error) {
	c := Default()
	if path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return Config{}, status.Fail("config.load", status.ExitTempFail, "", err)
		}
		path = abs
	}
	c.Path, c.User = path, !s.isSystem(path)
	c.Spool, c.Log = "", ""
	if path != "" {
		text, err := readFile(path)
		if err != nil {
			return Config{}, err
		}
		if err := decode(&c, path, text); err != nil {
			return Config{}, err
		}
	}
	for i := range c.Listen {
		if c.Listen[i].Mode == "" {
			c.Listen[i].Mode = "smtp"
		}
	}
	c.Hostname, c.Origin = wireDomain(c.Hostname), wireDomain(c.Origin)
	if err := s.complete(&c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// complete fills in what depends on the system and was not given.
func (s surroundings) complete(c *Config) error {
	if c.Hostname == "" {
		c.Hostname = s.fqdn()
	}
	if c.Origin == "" {
		c.Origin = s.origin(c.Hostname)
	}
	def := Default()
	if c.User && (c.Spool == "" || c.Log == "") {
		state, err := s.stateDir()
		if err != nil {
			return status.Fail("config.load", status.ExitConfig, "", fmt.Errorf("spool and log have no default: %w", err))
		}
		def.Spool, def.Log = filepath.Join(state, "spool"), filepath.Join(state, "log")
	}
	if c.Spool == "" {
		c.Spool = def.Spool
	}
	if c.Log == "" {
		c.Log = def.Log
	}
	return nil
}

// isSystem tells whether path is in the directory of the system's configuration.
func (s surroundings) isSystem(path string) bool {
	return strings.HasPrefix(path, s.etc+"/postrider/")
}

// readFile reads a regular file of bounded size.
func readFile(path string) (string, error) {
	text, err := fsys.ReadFile(path, maxFile+1)
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return "", unreadable(path, err)
	}
	return string(text), nil
}

// unreadable tells what the administrator must mend (EX_CONFIG) from what time will (EX_TEMPFAIL).
func unreadable(path string, err error) error {
	exit := status.ExitConfig
	for _, passing := range []error{syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR, syscall.ESTALE} {
		if errors.Is(err, passing) {
			exit = status.ExitTempFail
		}
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return status.Fail("config.load", exit, "", fmt.Errorf("cannot read %s: %w", path, err))
}
