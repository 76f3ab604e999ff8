package rights

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postrider/internal/config"
)

// The program under test changes who it is, so it is another process: this binary once more, with SPOOL set.
func TestMain(m *testing.M) {
	spool := os.Getenv("SPOOL")
	if spool == "" {
		os.Exit(m.Run())
	}
	err := BecomeOwner(config.Config{Spool: spool, User: os.Getenv("OWN") != "", Smtpd: config.Smtpd{User: os.Getenv("MAILUSER")}})
	groups, _ := syscall.Getgroups()
	fmt.Println(os.Getuid(), os.Geteuid(), os.Getgid(), groups, syscall.Setuid(0) == nil, err)
}

// becomes runs the process, and returns what it has become.
func becomes(t *testing.T, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestNobodyElseChanges(t *testing.T) {
	if os.Geteuid() == 0 {
		for _, env := range [][]string{{"SPOOL=" + t.TempDir()}, {"SPOOL=" + t.TempDir(), "OWN=1", "MAILUSER=nobody"}, {"SPOOL=/nonexistent/spool", "MAILUSER=no-such-user"}} {
			if got := becomes(t, env...); !strings.HasPrefix(got, "0 0 ") || !strings.HasSuffix(got, "<nil>") {
				t.Errorf("%v: %s", env, got)
			}
		}
		return
	}
	want := fmt.Sprintf("%d %d ", os.Getuid(), os.Geteuid())
	if got := becomes(t, "SPOOL="+t.TempDir()); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "<nil>") {
		t.Errorf("%s", got)
	}
}

// Root becomes the owner of the spool, and of one that is missing the mail user, for good.
func TestRootBecomesTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	os.Chmod(filepath.Dir(dir), 0o755)
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if got := becomes(t, "SPOOL="+dir); got != "65534 65534 65534 [65534] false <nil>" {
		t.Errorf("the owner: %s", got)
	}
	missing := filepath.Join(t.TempDir(), "var", "spool")
	if got := becomes(t, "SPOOL="+missing, "MAILUSER=nobody"); got != "65534 65534 65534 [65534] false <nil>" {
		t.Errorf("the mail user: %s", got)
	}
	info, err := os.Stat(missing)
	if err != nil || info.Mode().Perm() != SpoolMode || info.Sys().(*syscall.Stat_t).Uid != 65534 {
		t.Errorf("%v %v", info, err)
	}
}
