package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// SystemPath is the file of a system installation.
const SystemPath = "/etc/postrider/postrider.toml"

// surroundings is all that this package learns from outside of the file.
type surroundings struct {
	getenv   func(string) string
	hostname func() (string, error)
	uid      int
	etc      string // "/etc"
}

func here() surroundings {
	return surroundings{getenv: os.Getenv, hostname: os.Hostname, uid: os.Getuid(), etc: "/etc"}
}

// Locate finds the file to Load: override, or else POSTRIDER_CONFIG, or else the system's, or else the user's
// (see UserPath), or else "": none. The first two are taken without a look, the others when they exist. A
// privileged program gives neither an override nor the caller's environment.
func Locate(getenv func(string) string, override string) (string, error) {
	s := here()
	s.getenv = getenv
	return s.locate(override)
}

func (s surroundings) locate(override string) (string, error) {
	if override == "" {
		override = s.getenv("POSTRIDER_CONFIG")
	}
	if override != "" {
		return filepath.Abs(override)
	}
	candidates := []string{s.etc + "/postrider/postrider.toml"}
	if user, err := s.userPath(); err == nil {
		candidates = append(candidates, user)
	}
	for _, path := range candidates {
		// What exists and cannot be read must not be passed over: Load will say so.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return path, nil
		}
	}
	return "", nil
}

// UserPath is the file of a user's installation: postrider/postrider.toml in $XDG_CONFIG_HOME or ~/.config.
func UserPath(getenv func(string) string) (string, error) {
	s := here()
	s.getenv = getenv
	return s.userPath()
}

func (s surroundings) userPath() (string, error) {
	dir, err := s.xdg("XDG_CONFIG_HOME", ".config")
	return filepath.Join(dir, "postrider", "postrider.toml"), err
}

// stateDir holds spool and log of a user's installation.
func (s surroundings) stateDir() (string, error) {
	dir, err := s.xdg("XDG_STATE_HOME", ".local/state")
	return filepath.Join(dir, "postrider"), err
}

// xdg is a base directory. The specification has relative paths ignored.
func (s surroundings) xdg(variable, fallback string) (string, error) {
	if dir := s.getenv(variable); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := s.home()
	return filepath.Join(home, fallback), err
}

// home is $HOME, or else what /etc/passwd says: cron-like callers may clear the environment.
func (s surroundings) home() (string, error) {
	if home := s.getenv("HOME"); filepath.IsAbs(home) {
		return home, nil
	}
	uid := strconv.Itoa(s.uid)
	for line := range strings.Lines(readSome(s.etc + "/passwd")) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) >= 7 && f[2] == uid && filepath.IsAbs(f[5]) {
			return f[5], nil
		}
	}
	return "", fmt.Errorf("HOME is not set, and /etc/passwd has no home for user %s", uid)
}
