package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postrider/internal/status"
)

// dropProgram gives drop its group and its set-id bit.
func (in *installer) dropProgram() step {
	var path string
	return step{
		look: func() (string, error) {
			var err error
			if path, err = in.dropPath(); err != nil {
				return "", err
			}
			if in.dropFault(path) == "" {
				return "", nil
			}
			return fmt.Sprintf("make %s set-group-ID %s (root:%s, mode 2755)", path, in.conf.Smtpd.User, in.conf.Smtpd.User), nil
		},
		do: func() error {
			if err := os.Lchown(path, in.host.root, in.gid); err != nil {
				return err
			}
			return os.Chmod(path, fs.ModeSetgid|0o755)
		},
	}
}

// dropPath is where drop is. Nobody but root may be able to put another program there.
func (in *installer) dropPath() (string, error) {
	path, err := in.program("drop")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", status.Fail("postrider.setup", status.ExitOSFile, "the program drop is missing: install all programs together", err)
	}
	for p := path; ; p = filepath.Dir(p) {
		uid, _, mode, err := ownerOf(p)
		if err != nil {
			return "", err
		}
		if uid != in.host.root && uid != 0 || mode&0o022 != 0 && mode&fs.ModeSticky == 0 {
			return "", status.Fail("postrider.setup", status.ExitConfig, fmt.Sprintf("%s can be changed by others than root: drop must not have rights there", p), nil)
		}
		if p == "/" || p == filepath.Dir(p) {
			return path, nil
		}
	}
}

// dropFault is what is wrong with the program.
func (in *installer) dropFault(path string) string {
	uid, gid, mode, err := ownerOf(path)
	switch {
	case err != nil:
		return err.Error()
	case uid != in.host.root || gid != in.gid || mode != fs.ModeSetgid|0o755:
		return fmt.Sprintf("%s belongs to %d:%d and has mode %04o", path, uid, gid, unixMode(mode))
	}
	return ""
}

// dropOff takes the set-id bit away.
func (in *installer) dropOff() step {
	var path string
	return step{
		look: func() (string, error) {
			var err error
			if path, err = in.program("drop"); err != nil {
				return "", nil
			}
			if info, err := os.Stat(path); err != nil || info.Mode()&fs.ModeSetgid == 0 {
				return "", nil
			}
			return "take the set-group-ID bit from " + path, nil
		},
		do: func() error { return os.Chmod(path, 0o755) },
	}
}
