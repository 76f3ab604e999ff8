package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"postrider/internal/drop"
	"postrider/internal/status"
	"postrider/queue"
)

// Users that no system has.
const (
	mailUser = 54320
	group    = 54321
	alice    = 54322
	bob      = 54323
)

// system is an installation: the real program with its set-id bit, and a spool of the mail user's.
type system struct {
	*testing.T
	dir, drop, spool string
}

// install makes an installation. Only root can.
func install(t *testing.T) *system {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a program the rights of a group")
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	s := &system{T: t, dir: t.TempDir(), drop: built + "/drop"}
	s.spool = filepath.Join(s.dir, "spool")
	for _, dir := range []string{filepath.Dir(s.dir), s.dir} {
		s.must(os.Chmod(dir, 0o755))
	}
	s.settings(1_000_000)
	s.prepare()
	return s
}

// built is where build puts the program and its settings.
var built string

// build makes the real program, with its set-id bit, once.
var build = sync.OnceValue(func() (err error) {
	if built, err = os.MkdirTemp("", "drop."); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w -X postrider/internal/drop.SettingsPath="+built+"/drop.conf", "-o", built+"/drop", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return errors.Join(os.Chmod(built, 0o755), os.Chown(built+"/drop", 0, group), os.Chmod(built+"/drop", 0o755|os.ModeSetgid))
})

func (s *system) settings(limit int64) {
	s.must(os.WriteFile(built+"/drop.conf", []byte(drop.Settings{Spool: s.spool, Limit: limit}.String()), 0o644))
}

func (s *system) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// prepare makes the spool as the installation does.
func (s *system) prepare() {
	s.Helper()
	s.must(os.MkdirAll(s.spool, 0o700))
	if _, err := queue.Open(s.spool, queue.Options{}); err != nil {
		s.Fatal(err)
	}
	s.must(filepath.WalkDir(s.spool, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, mailUser, group))
	}))
	s.must(os.Chmod(s.spool, 0o710))
	for _, dir := range []string{"new", "tmp"} {
		s.must(os.Chmod(filepath.Join(s.spool, dir), 0o730|os.ModeSticky))
	}
}

// as is a command of a user who has no other groups than those given.
func as(uid int, groups []uint32, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: groups[0], Groups: groups}}
	return cmd
}

// user is a command of one whose group is his own.
func user(uid int, name string, args ...string) *exec.Cmd {
	return as(uid, []uint32{uint32(uid)}, name, args...)
}

// result is what a program did.
type result struct {
	exit     int // -1: a signal
	out, err string
}

func (s *system) run(cmd *exec.Cmd, in []byte) result {
	s.Helper()
	var out, errw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errw
	if in != nil {
		cmd.Stdin = bytes.NewReader(in)
	}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errw.String()}
}

// files lists what is in new/ and tmp/.
func (s *system) files() (names []string) {
	s.Helper()
	for _, dir := range []string{"new", "tmp"} {
		list, err := os.ReadDir(filepath.Join(s.spool, dir))
		s.must(err)
		for _, e := range list {
			names = append(names, filepath.Join(s.spool, dir, e.Name()))
		}
	}
	return names
}

// empty removes what is in new/ and tmp/.
func (s *system) empty() {
	for _, name := range s.files() {
		os.RemoveAll(name)
	}
}

// claims lets the mail user claim everything in new/: it returns "uid user text" or an error for each.
func (s *system) claims() (list []string) {
	s.Helper()
	self, err := os.Executable()
	s.must(err)
	copied := filepath.Join(s.dir, "helper")
	if _, err := os.Stat(copied); err != nil {
		s.must(exec.Command("cp", self, copied).Run())
		s.must(os.Chmod(copied, 0o755))
	}
	cmd := as(mailUser, []uint32{group}, copied, s.spool)
	cmd.Env = []string{"DROP_TEST=claim"}
	r := s.run(cmd, nil)
	if r.exit != 0 {
		s.Fatalf("the mail user: %+v", r)
	}
	for line := range strings.Lines(r.out) {
		list = append(list, strings.TrimSuffix(line, "\n"))
	}
	return list
}

// helper is the test program as another user.
func helper(mode string, args []string) int {
	switch mode {
	case "claim":
		return claim(args[0])
	case "hostile":
		return hostile(args)
	case "limit":
		return limited(args)
	}
	return 1
}

// claim takes all messages, and then cleans up.
func claim(root string) int {
	s, err := queue.Open(root, queue.Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s.Scan(queue.New, func(e queue.Entry) error {
		c, err := s.Claim(e)
		if err != nil {
			fmt.Println("error:", err)
			return nil
		}
		text := make([]byte, c.Body().Size())
		c.Body().ReadAt(text, 0)
		fmt.Printf("%d %q %q\n", c.Envelope.UID, c.Envelope.User, text)
		c.Remove()
		return nil
	})
	return 0
}

func TestUsersDrop(t *testing.T) {
	s := install(t)
	in := submission(t, s.spool, testText)
	for _, who := range []int{alice, bob, 0, mailUser} {
		if r := s.run(user(who, s.drop), in); r.exit != 0 || len(r.out) != 18 || r.err != "" {
			t.Fatalf("user %d: %+v", who, r)
		}
		names := s.files()
		if len(names) != 1 {
			t.Fatalf("user %d: %q", who, names)
		}
		var st syscall.Stat_t
		s.must(syscall.Stat(names[0], &st))
		if st.Uid != uint32(who) || st.Gid != group || st.Mode != syscall.S_IFREG|0o640 {
			t.Errorf("user %d: the file is %d:%d, mode %o", who, st.Uid, st.Gid, st.Mode)
		}
		name := ""
		if who == 0 {
			name = "root"
		}
		if got, want := s.claims(), fmt.Sprintf("%d %q %q", who, name, testText); len(got) != 1 || got[0] != want {
			t.Errorf("user %d: %q, want %q", who, got, want)
		}
	}
	if left := s.files(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// Users see nothing of the spool, nor does the program show them anything.
func TestUsersSeeNothing(t *testing.T) {
	s := install(t)
	for _, command := range []string{"ls SPOOL", "ls SPOOL/new", "cat SPOOL/lock", "cat SPOOL/new/*", "touch SPOOL/new/x", "touch SPOOL/tmp/x", "rm -f SPOOL/lock"} {
		if r := s.run(user(alice, "/bin/sh", "-c", strings.ReplaceAll(command, "SPOOL", s.spool)), nil); r.exit == 0 {
			t.Errorf("%s: %+v", command, r)
		}
	}
	without := filepath.Join(s.dir, "without")
	s.must(exec.Command("cp", s.drop, without).Run()) // and without the bit
	if r := s.run(user(alice, without), submission(t, s.spool, testText)); r.exit != status.ExitTempFail || !strings.Contains(r.err, "has not the rights of its group") {
		t.Errorf("without its bit: %+v", r)
	}
}

func TestHostileSurroundings(t *testing.T) {
	s := install(t)
	in := filepath.Join(s.dir, "in")
	s.must(os.WriteFile(in, submission(t, s.spool, testText), 0o644))
	huge := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, script string
		env          []string
		exit         int
		accepted     bool
	}{
		{"standard input closed", "exec DROP <&-", nil, status.ExitIOErr, false},
		{"standard output closed", "exec DROP <IN >&-", nil, 0, true},
		{"standard error closed", "exec DROP <IN 2>&-", nil, 0, true},
		{"all closed", "exec DROP <&- >&- 2>&-", nil, status.ExitIOErr, false},
		{"standard input open for writing only", "exec DROP 0>/dev/null", nil, status.ExitIOErr, false},
		{"standard input a directory", "exec DROP </", nil, status.ExitIOErr, false},
		{"output full", "exec DROP <IN >/dev/full 2>/dev/full", nil, status.ExitIOErr, false},
		{"output read by nobody", "DROP <IN | true", nil, 0, false},
		{"other descriptors open", "exec 3<IN 4<IN 5</ 9>/dev/null; exec DROP <IN", nil, 0, true},
		{"an argument", "exec DROP -C x <IN", nil, status.ExitUsage, false},
		{"many arguments", "exec DROP $(seq 100000) <IN", nil, status.ExitUsage, false},
		{"a huge environment", "exec DROP <IN", []string{"A=" + huge, "B=" + huge, "C=" + huge, "D=" + huge, "E=" + huge, "=", "", "x"}, 0, true},
		{"GODEBUG and friends", "exec DROP <IN 2>/dev/null", []string{"GODEBUG=inittrace=1,gctrace=1,invalidptr=1,asyncpreemptoff=1,madvdontneed=1,panicnil=1", "GOTRACEBACK=crash", "GOGC=1",
			"GOMEMLIMIT=1", "GOMAXPROCS=1000", "GOCOVERDIR=/tmp", "GORACE=log_path=/tmp/x"}, 0, true},
		{"the loader's variables", "exec DROP <IN", []string{"LD_PRELOAD=" + in, "LD_LIBRARY_PATH=/tmp", "LD_AUDIT=x", "TZ=:/etc/shadow", "ZONEINFO=/etc/shadow", "TMPDIR=/etc"}, 0, true},
		{"our own variables", "exec DROP <IN", []string{"POSTRIDER_CONFIG=" + in, "HOME=/root", "USER=root", "LOGNAME=root", "XDG_STATE_HOME=/root"}, 0, true},
		{"umask 0", "umask 0; exec DROP <IN", nil, 0, true},
		{"umask 777", "umask 777; exec DROP <IN", nil, 0, true},
		{"no directory", "mkdir /tmp/$$ && cd /tmp/$$ && rmdir /tmp/$$; exec DROP <IN", nil, 0, true},
		{"the lowest priority", "exec nice -n 19 DROP <IN", nil, 0, true},
	} {
		cmd := user(alice, "/bin/sh", "-c", strings.NewReplacer("DROP", s.drop, "IN", in).Replace(c.script))
		cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, c.env...)
		r := s.run(cmd, nil)
		if got := len(s.files()); r.exit != c.exit || (got == 1) != c.accepted {
			t.Errorf("%s: %+v, %d files", c.name, r, got)
		}
		if got := s.claims(); c.accepted && (len(got) != 1 || got[0] != fmt.Sprintf("%d %q %q", alice, "", testText)) {
			t.Errorf("%s: %q", c.name, got)
		}
		s.empty()
	}
}

// limited lowers a limit and becomes a program.
func limited(args []string) int {
	var what, n int
	fmt.Sscan(args[0], &what)
	fmt.Sscan(args[1], &n)
	if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(syscall.Exec(args[2], args[2:], nil))
	return 1
}

// Whatever the limits are, a message is accepted as a whole, or the program fails and nothing is.
func TestLimits(t *testing.T) {
	s := install(t)
	s.claims() // makes the helper
	text := strings.Repeat(testText, 10_000)
	in, refused := submission(t, s.spool, text), 0
	const nproc = 6
	for _, c := range []struct {
		name   string
		what   int
		limits []int
	}{
		{"size of files", syscall.RLIMIT_FSIZE, []int{0, 1, 100, 4096, 65536, 200_000, 10_000_000}},
		{"descriptors", syscall.RLIMIT_NOFILE, []int{0, 3, 4, 5, 6, 7, 8, 10, 20}},
		{"address space", syscall.RLIMIT_AS, []int{1 << 20, 16 << 20, 64 << 20, 100 << 20, 200 << 20, 1 << 30}},
		{"data", syscall.RLIMIT_DATA, []int{0, 1 << 20, 4 << 20, 16 << 20, 64 << 20}},
		{"stack", syscall.RLIMIT_STACK, []int{64 << 10, 1 << 20}},
		{"processes", nproc, []int{1, 2, 3, 4, 10}},
		{"processor time", syscall.RLIMIT_CPU, []int{1}},
	} {
		for _, n := range c.limits {
			cmd := user(alice, filepath.Join(s.dir, "helper"), fmt.Sprint(c.what), fmt.Sprint(n), s.drop)
			cmd.Env = []string{"DROP_TEST=limit"}
			r := s.run(cmd, in)
			got := s.claims()
			switch whole := fmt.Sprintf("%d %q %q", alice, "", text); {
			case r.exit == 0 && (len(got) != 1 || got[0] != whole):
				t.Errorf("%s %d: accepted, but there are %d messages", c.name, n, len(got))
			case r.exit != 0 && len(got) > 0:
				t.Errorf("%s %d: %+v, but there is a message", c.name, n, r)
			case r.exit != 0:
				refused++
			}
			s.empty()
		}
	}
	if refused < 5 {
		t.Errorf("only %d limits made it fail", refused)
	}
}

// Signals do not end it: when they end sendmail, the input ends.
func TestSignals(t *testing.T) {
	s := install(t)
	in := submission(t, s.spool, testText)
	for _, whole := range []bool{true, false} {
		for _, sig := range ignored {
			cmd := user(alice, s.drop)
			stdin, err := cmd.StdinPipe()
			s.must(err)
			stdout, err := cmd.StdoutPipe()
			s.must(err)
			s.must(cmd.Start())
			if n, err := stdout.Read(make([]byte, 64)); n != 18 || err != nil { // it is ready
				t.Fatal(n, err)
			}
			stdin.Write(in[:len(in)/2])
			s.must(cmd.Process.Signal(sig))
			if whole {
				stdin.Write(in[len(in)/2:])
			}
			stdin.Close()
			err = cmd.Wait()
			if left := len(s.files()); whole && (err != nil || left != 1) || !whole && (cmd.ProcessState.ExitCode() != status.ExitIOErr || left > 0) {
				t.Errorf("%v, whole %v: %v, %d files", sig, whole, err, left)
			}
			s.empty()
		}
	}
}

// A full or a read-only spool makes the message wait with whoever sends it, who is told why.
func TestFullSpool(t *testing.T) {
	s := install(t)
	if err := syscall.Mount("tmpfs", s.spool, "tmpfs", 0, "size=12m,mode=700"); err != nil {
		t.Skipf("this machine lets root mount nothing: %v", err)
	}
	defer syscall.Unmount(s.spool, syscall.MNT_DETACH)
	s.prepare()
	s.settings(100_000_000)
	in := submission(t, s.spool, strings.Repeat(testText, 500_000))
	for _, c := range []struct {
		name string
		do   func() error
		says string
	}{
		{"it does not fit", func() error { return nil }, "no space left on device"},
		{"nearly full", func() error { return os.WriteFile(s.spool+"/fill", make([]byte, 4<<20), 0o600) }, "insufficient system storage"},
		{"read-only", func() error { return syscall.Mount("", s.spool, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "") }, "insufficient system storage"},
	} {
		s.must(c.do())
		r := s.run(user(alice, s.drop), in)
		if left := s.files(); r.exit != status.ExitTempFail || !strings.Contains(r.err, c.says) || len(left) > 0 {
			t.Errorf("%s: %+v, %q", c.name, r, left)
		}
	}
	s.must(syscall.Mount("", s.spool, "", syscall.MS_REMOUNT, "size=100m,mode=710"))
	s.must(syscall.Mount("", s.spool, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	if r := s.run(user(alice, s.drop), in); r.exit != status.ExitTempFail || !strings.Contains(r.err, "read-only file system") {
		t.Errorf("read-only: %+v", r)
	}
}

// hostile does what somebody could who had got hold of the group's rights, "alice" with a bad file and "bob" as a bystander:
// each word is a deed, and what it printed is what came of it.
func hostile(args []string) int {
	spool, theirs := args[0], args[1]
	own := spool + "/new/" + args[2]
	for name, do := range map[string]func() error{
		"read names":      func() error { _, err := os.ReadDir(spool + "/new"); return err },
		"read drafts":     func() error { _, err := os.ReadDir(spool + "/tmp"); return err },
		"enter cur":       func() error { _, err := os.Stat(spool + "/cur/x"); return denied(err) },
		"enter journal":   func() error { _, err := os.Stat(spool + "/journal/x"); return denied(err) },
		"remove another":  func() error { return os.Remove(theirs) },
		"rename another":  func() error { return os.Rename(theirs, own) },
		"change another":  func() error { return os.Truncate(theirs, 0) },
		"replace another": func() error { os.WriteFile(own, nil, 0o640); return os.Rename(own, theirs) },
		"take the lock":   func() error { _, err := os.Open(spool + "/lock"); return err },
		"replace new":     func() error { return os.Rename(spool+"/new", spool+"/old") },
	} {
		if err := do(); err == nil {
			fmt.Println(name)
		}
	}
	os.Remove(own)
	return 0
}

// denied is an error only when that was the reason.
func denied(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return err
	}
	return nil
}

func TestSomebodyHasTheGroup(t *testing.T) {
	s := install(t)
	s.claims()
	in := submission(t, s.spool, testText)
	if r := s.run(user(bob, s.drop), in); r.exit != 0 {
		t.Fatalf("%+v", r)
	}
	cmd := as(alice, []uint32{group}, filepath.Join(s.dir, "helper"), s.spool, s.files()[0], "0000000000000AAAA,S=1")
	cmd.Env = []string{"DROP_TEST=hostile"}
	if r := s.run(cmd, nil); r.exit != 0 || r.out != "" {
		t.Errorf("who has the group's rights can: %+v", r)
	}
	if got := s.claims(); len(got) != 1 || got[0] != fmt.Sprintf("%d %q %q", bob, "", testText) {
		t.Errorf("%q", got)
	}
}

// What lies about its owner, or is no file of one's own, is set aside, and leads the mail user nowhere.
func TestWhatSomebodyPutsIntoTheSpool(t *testing.T) {
	s := install(t)
	for _, c := range []struct {
		name string
		do   func(real string) error
	}{
		{"a message of bob's that alice owns", func(real string) error { return os.Lchown(real, alice, group) }},
		{"a message that has two names", func(real string) error { return os.Link(real, s.dir+"/copy"+filepath.Base(real)) }},
		{"a link to a file of the mail user's", func(real string) error {
			return errors.Join(os.Remove(real), os.Symlink(s.spool+"/lock", real), os.Lchown(real, alice, group))
		}},
		{"a file without an end", func(real string) error { return os.Truncate(real, 100) }},
		{"another text", func(real string) error {
			f, err := os.OpenFile(real, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			st, err := f.Stat()
			if err == nil {
				_, err = f.WriteAt([]byte("X"), st.Size()-3)
			}
			return errors.Join(err, f.Close())
		}},
		{"a FIFO", func(real string) error {
			return errors.Join(os.Remove(real), syscall.Mkfifo(real, 0o644), os.Lchown(real, alice, group))
		}},
	} {
		if r := s.run(user(bob, s.drop), submission(t, s.spool, testText)); r.exit != 0 {
			t.Fatalf("%+v", r)
		}
		s.must(c.do(s.files()[0]))
		if got := s.claims(); len(got) != 1 || got[0] != "error: "+queue.ErrCorrupt.Error() {
			t.Errorf("%s: %q", c.name, got)
		}
		if left := s.files(); len(left) > 0 {
			t.Errorf("%s: %q are left", c.name, left)
		}
		if _, err := os.Lstat(s.spool + "/lock"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Many users drop at a time, and each message is there once.
func TestManyAtATime(t *testing.T) {
	s := install(t)
	in := submission(t, s.spool, testText)
	var started []*exec.Cmd
	ids := make([]bytes.Buffer, 40)
	for i := range ids {
		cmd := user([]int{alice, bob}[i%2], s.drop)
		cmd.Stdin, cmd.Stdout = bytes.NewReader(in), &ids[i]
		s.must(cmd.Start())
		started = append(started, cmd)
	}
	var all []string
	for i, cmd := range started {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		all = append(all, ids[i].String())
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) != len(ids) || len(s.claims()) != len(ids) {
		t.Errorf("%d IDs", len(all))
	}
}
