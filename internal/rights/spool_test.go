package rights

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestPrepareSpool(t *testing.T) {
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 54320, 54321
	}
	dir := t.TempDir()
	spool := filepath.Join(dir, "var/spool/postrider")
	for _, before := range []func(){
		func() {},                                // it is missing
		func() {},                                // it is there
		func() { os.Chmod(spool+"/new", 0o755) }, // it was changed
		func() { os.Remove(spool + "/tmp") },     // some of it is missing
	} {
		before()
		if err := PrepareSpool(spool, uid, gid); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]fs.FileMode{"": SpoolMode, "/new": DropMode, "/tmp": DropMode} {
			info, err := os.Lstat(spool + path)
			if err != nil {
				t.Fatal(err)
			}
			st := info.Sys().(*syscall.Stat_t)
			if info.Mode() != fs.ModeDir|mode || int(st.Uid) != uid || int(st.Gid) != gid {
				t.Errorf("%s: %d:%d, mode %v", path, st.Uid, st.Gid, info.Mode())
			}
		}
	}
}

// What the spool's owner leads elsewhere stays as it is.
func TestPrepareSpoolFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	spool, victim := filepath.Join(dir, "spool"), filepath.Join(dir, "victim")
	for _, d := range []string{spool, victim} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../victim", spool+"/new"); err != nil {
		t.Fatal(err)
	}
	if err := PrepareSpool(spool, os.Getuid(), os.Getgid()); err == nil {
		t.Error("a link was taken for a directory")
	}
	if info, err := os.Stat(victim); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	os.Remove(spool + "/new")
	if err := os.WriteFile(spool+"/new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := PrepareSpool(spool, os.Getuid(), os.Getgid()); err == nil {
		t.Error("a file was taken for a directory")
	}
}
