//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tree lists what is below a directory, with the modes of files.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(root, path)
		list[rel] = info.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func runMake(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("make", append([]string{"-C", "../.."}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("make %q: %v\n%s", args, err, out)
	}
}

// container is "postrider run" as the first process of what an image has in it.
type container struct {
	*testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	init int
}

func (c *container) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *container) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

const containerScript = `set -e
mount -t tmpfs -o mode=755 run "$1/run"
mount -t tmpfs -o mode=755 dev "$1/dev"
for d in null zero urandom; do : >"$1/dev/$d"; mount --bind "/dev/$d" "$1/dev/$d"; done
mount -t tmpfs -o mode=755 spool "$1/var/spool/postrider"
mount -t proc proc "$1/proc"
INTEROP_WORLD=once "$2"
exec chroot "$1" /usr/sbin/postrider run
`

func startContainer(t *testing.T, root string) *container {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &container{T: t, cmd: exec.Command("unshare", "--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "--propagation", "private",
		"/bin/sh", "-c", containerScript, "sh", root, self)}
	c.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	c.cmd.Stdout, c.cmd.Stderr = c, c
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	pid := c.cmd.Process.Pid
	c.until("the daemons run", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		fmt.Sscan(string(children), &c.init)
		return strings.Contains(c.output(), "postrider/smtpd") && strings.Contains(c.output(), "postrider/queuerun")
	})
	return c
}

func (c *container) until(what string, ok func() bool) {
	c.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("%s: never\n%s", what, c.output())
		}
	}
}

// run runs a program in the container.
func (c *container) run(stdin string, uid int, args ...string) (string, int) {
	c.Helper()
	cmd := exec.Command("nsenter", append([]string{"--target", fmt.Sprint(c.init), "--mount", "--pid", "--net", "--uts", "--root", "--wd",
		"--setuid", fmt.Sprint(uid), "--setgid", fmt.Sprint(uid)}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin"}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		c.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// stopped waits for the end.
func (c *container) stopped() int {
	c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// What the image has in it is what make install makes, and a few files of the system; its one process runs all there is.
func TestContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("only root can make what an image has in it")
	}
	dir := t.TempDir()
	root, plain, out := dir+"/root", dir+"/plain", dir+"/bin"
	runMake(t, "container-tree", "DESTDIR="+root, "OUT="+out)
	runMake(t, "install", "DESTDIR="+plain, "OUT="+out, "PREFIX=/usr")
	has, installed := tree(t, root), tree(t, plain)
	for name, mode := range installed {
		if name == "usr/libexec/postrider/drop" {
			mode = "grwxr-xr-x"
		}
		if has[name] != mode {
			t.Errorf("%s has mode %q in the image, want %q", name, has[name], mode)
		}
		delete(has, name)
	}
	for _, name := range []string{"etc/passwd", "etc/group", "etc/aliases", "etc/postrider/postrider.toml", "etc/ssl/certs/ca-certificates.crt"} {
		if has[name] != "-rw-r--r--" {
			t.Errorf("%s has mode %q in the image", name, has[name])
		}
		delete(has, name)
	}
	if len(has) > 0 {
		t.Errorf("the image has %v as well", has)
	}
	text, err := os.ReadFile("../../Containerfile")
	if err != nil || !strings.Contains(string(text), "RUN make container-tree DESTDIR=/tree\n") || !strings.Contains(string(text), "COPY --from=build /tree /\n") {
		t.Errorf("the image is made of something else: %v\n%s", err, text)
	}

	c := startContainer(t, root)
	if says, code := c.run("Subject: x\n\ntext\n", 1000, "/usr/sbin/sendmail", "nobody"); code != 0 {
		t.Errorf("sendmail: %d, %s", code, says)
	}
	c.until("a delivery", func() bool {
		return strings.Contains(c.output(), "to=<nobody@") && strings.Contains(c.output(), "status=sent")
	})
	if box, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/var/mail/nobody", c.init)); err != nil || !strings.Contains(string(box), "\ntext\n") {
		t.Errorf("the mailbox: %q, %v", box, err)
	}
	for name, want := range map[string]string{"smtpd": "[925]", "queuerun": "[925]", "local": "[0 65534]"} { // it has a child that is nobody
		if got := fmt.Sprint(uids(t, c.init, name)); got != want {
			t.Errorf("%s runs as %s, want %s", name, got, want)
		}
	}
	if says, code := c.run("", 0, "/usr/sbin/postrider", "check"); strings.Contains(says, "fail: ") && !strings.Contains(says, "name server") {
		t.Errorf("check: %d\n%s", code, says)
	}
	syscall.Kill(c.init, syscall.SIGTERM)
	if code := c.stopped(); code != 0 {
		t.Errorf("SIGTERM: exit status %d\n%s", code, c.output())
	}

	c = startContainer(t, root)
	c.run("", 0, "/usr/sbin/postrider", "version")
	for _, pid := range processes(t, c.init, "queuerun") {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if code := c.stopped(); code != 70 || !strings.Contains(c.output(), "postrider: queuerun has ended (killed)\n") {
		t.Errorf("queuerun is killed: exit status %d\n%s", code, c.output())
	}
}

// processes are those of a program in the process namespace of another.
func processes(t *testing.T, init int, name string) (pids []int) {
	t.Helper()
	mine, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init))
	if err != nil {
		t.Fatal(err)
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		exe, _ := os.Readlink(dir + "/exe")
		ns, _ := os.Readlink(dir + "/ns/pid")
		pid := 0
		if fmt.Sscan(filepath.Base(dir), &pid); filepath.Base(exe) == name && ns == mine {
			pids = append(pids, pid)
		}
	}
	return pids
}

// uids are the users that run a program.
func uids(t *testing.T, init int, name string) (list []uint32) {
	t.Helper()
	for _, pid := range processes(t, init, name) {
		if info, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			list = append(list, info.Sys().(*syscall.Stat_t).Uid)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
