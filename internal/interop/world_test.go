//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A world is a throw-away copy of this machine: its files, which can be changed without the machine's being changed, and
// processes, a network and mounts of its own. All of it goes away with the test.
type world struct {
	*testing.T
	init int // its first process, as this machine knows it
}

// The first process of a world is this program once more: it brings the loopback interface up, and says so.
func init() {
	if os.Getenv("INTEROP_WORLD") == "" {
		return
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err == nil {
		var req *unix.Ifreq
		if req, err = unix.NewIfreq("lo"); err == nil {
			req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
			err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
		}
	}
	if err != nil {
		fmt.Println("cannot bring the loopback interface up:", err)
		os.Exit(1)
	}
	if os.Getenv("INTEROP_WORLD") == "once" {
		os.Exit(0)
	}
	fmt.Println("ready")
	for { // until we are killed; orphans come to us
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// worldScript makes the root of a world. The changes are in memory.
const worldScript = `set -e
mount -t tmpfs -o mode=755 world "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" overlay "$1/root"
root=$1/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir "$root/tmp/given"
mount --bind "$2" "$root/tmp/given"
cp "$3" "$root/tmp/init"
exec chroot "$root" /tmp/init
`

// newWorld makes a world, which has what is in the directory given at /tmp/given.
func newWorld(t *testing.T, given string) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root can make a world of its own")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private",
		"/bin/sh", "-c", worldScript, "sh", t.TempDir(), given, self)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "INTEROP_WORLD=1"}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line := make([]byte, 256)
	if n, err := out.Read(line); string(line[:n]) != "ready\n" {
		t.Fatalf("no world: %q, %v", line[:n], err)
	}
	pid := cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	w := &world{T: t}
	if _, serr := fmt.Sscan(string(children), &w.init); err != nil || serr != nil {
		t.Fatalf("the world has no first process: %q, %v", children, err)
	}
	return w
}

// command is a shell script in the world, as root, with none of this machine's environment.
func (w *world) command(script string) *exec.Cmd {
	cmd := exec.Command("nsenter", "--target", fmt.Sprint(w.init), "--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd", "/bin/sh", "-ec", script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "TZ=UTC"}
	return cmd
}

// sh runs a script that must succeed, and returns what it prints.
func (w *world) sh(script string) string {
	w.Helper()
	var both bytes.Buffer
	cmd := w.command(script)
	cmd.Stdout, cmd.Stderr = &both, &both
	cmd.WaitDelay = time.Second // a daemon may have kept our pipe
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 0 {
		w.Fatalf("%s\n%v\n%s", script, err, &both)
	}
	return both.String()
}

// eventually repeats a script until it succeeds.
func (w *world) eventually(what, script string) string {
	w.Helper()
	var out []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if out, err = w.command(script).CombinedOutput(); err == nil {
			return string(out)
		}
	}
	w.Fatalf("%s does not happen: %s\n%s\nthe log:\n%s", what, script, out, w.sh("cat /var/log/postrider.log 2>/dev/null || true"))
	return ""
}

// deb builds the Debian package as "make deb" does, once, as debDir/postrider.deb.
var deb = sync.OnceValue(func() (err error) {
	if debDir, err = os.MkdirTemp("", "postrider-deb."); err != nil {
		return err
	}
	cmd := exec.Command("make", "-C", "../..", "deb", "DEBDIR="+debDir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make deb: %w\n%s", err, out)
	}
	made, err := filepath.Glob(debDir + "/postrider_*.deb")
	if err != nil || len(made) != 1 {
		return fmt.Errorf("make deb has made %q, %v", made, err)
	}
	return os.Rename(made[0], debDir+"/postrider.deb")
})

// installed is a world in which the package was installed, instead of whatever mail system this machine has.
func installed(t *testing.T) *world {
	t.Helper()
	if err := deb(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, debDir)
	w.sh(`for p in $(dpkg-query -W -f '${Package} ${Provides}\n' | grep mail-transport-agent | cut -d' ' -f1); do dpkg --remove --force-depends $p; done`)
	w.Log(w.sh("dpkg --install /tmp/given/postrider.deb"))
	return w
}

// linesWith are the lines of a text that have a word in them.
func linesWith(text, word string) (list []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}
