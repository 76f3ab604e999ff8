package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postrider/internal/config"
	"postrider/internal/status"
)

// maxConfig is more than a configuration file may have.
const maxConfig = 1 << 20

// writeFile replaces the file at path by one with text, whole or not at all, durably.
func writeFile(path, text string, mode fs.FileMode) error {
	return replaceFile(path, text, func(f *os.File) error { return f.Chmod(mode) })
}

// replaceFile is writeFile where attributes gives the new file more than a mode.
func replaceFile(path, text string, attributes func(*os.File) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(text)
	err = errors.Join(err, attributes(f), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readConfig is the text of the configuration at path, "" when there is none.
func readConfig(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	return string(text), err
}

// loadText reads text as if it were the configuration at path.
func loadText(path, text string) (config.Config, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".check.*.toml")
	if err != nil {
		return config.Config{}, cannot("write", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return config.Config{}, cannot("write", path, err)
	}
	conf, err := config.Load(f.Name())
	conf.Path = path
	if err != nil {
		cause := strings.ReplaceAll(err.Error(), f.Name(), path)
		return conf, status.Fail("postrider.setup", status.ExitUsage, "these settings are not possible", errors.New(cause))
	}
	return conf, nil
}

// cannot is the error of a file operation that setup could not do.
func cannot(act, path string, err error) error {
	exit := status.ExitCantCreat
	if errors.Is(err, fs.ErrPermission) {
		exit = status.ExitNoPerm
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return status.Fail("postrider.setup", exit, "cannot "+act+" "+path, err)
}
