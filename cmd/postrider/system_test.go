package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"postrider/internal/config"
	"postrider/internal/rights"
	"postrider/internal/status"
)

// machine is one on which a system is set up.
type machine struct {
	*testing.T
	dir      string
	uid, gid int
	commands []string        // that were run
	units    map[string]bool // that run
	app      *app
	out      bytes.Buffer
}

// newMachine has programs, and nothing else of the mail system.
func newMachine(t *testing.T) *machine {
	m := &machine{T: t, dir: t.TempDir(), uid: os.Getuid(), gid: os.Getgid(), units: map[string]bool{}}
	if m.uid == 0 {
		m.uid, m.gid = 54320, 54321
	}
	for _, dir := range []string{"etc", "bin", "var"} {
		m.must(os.Mkdir(m.path(dir), 0o755))
	}
	m.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	m.write("etc/group", "root:x:0:\n")
	for _, name := range append([]string{"drop"}, ownPrograms...) {
		m.write("bin/"+name, "#!/bin/sh\n")
		m.must(os.Chmod(m.path("bin/"+name), 0o755))
	}
	m.app = system(os.Stdin, &m.out, &m.out)
	m.app.uid = 0
	m.app.program = func(name string) (string, error) {
		_, err := os.Stat(m.path("bin/" + name))
		return m.path("bin/" + name), err
	}
	m.app.host = host{
		etc: m.path("etc"), config: m.path("etc/postrider/postrider.toml"), settings: m.path("etc/postrider/drop.conf"),
		root: os.Getuid(), systemd: m.path("systemd"), run: m.run, have: func(name string) bool { return name == "groupadd" || name == "useradd" },
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *machine) write(name, text string) {
	m.Helper()
	m.must(os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.must(os.WriteFile(m.path(name), []byte(text), 0o644))
}

func (m *machine) add(name, line string) {
	m.Helper()
	text, err := os.ReadFile(m.path(name))
	m.must(err)
	m.write(name, string(text)+line)
}

// run plays the programs that setup calls.
func (m *machine) run(name string, args ...string) error {
	m.commands = append(m.commands, name+" "+strings.Join(args, " "))
	switch last := args[len(args)-1]; {
	case name == "groupadd" || name == "addgroup":
		m.add("etc/group", fmt.Sprintf("postrider:x:%d:\n", m.gid))
	case name == "useradd" || name == "adduser":
		m.add("etc/passwd", fmt.Sprintf("postrider:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", m.uid, m.gid))
	case slices.Contains(args, "is-enabled") || slices.Contains(args, "is-active"):
		if !m.units[last] {
			return errors.New("exit status 1")
		}
	case slices.Contains(args, "enable"), slices.Contains(args, "disable"):
		for _, unit := range args[2:] {
			m.units[unit] = args[0] == "enable"
		}
	}
	return nil
}

// setup runs the command, and returns what it says.
func (m *machine) setup(exit int, args ...string) string {
	m.Helper()
	m.out.Reset()
	if _, err := os.Stat(m.app.host.config); err != nil { // the spool of a test
		m.write("etc/postrider/postrider.toml", "spool = \""+m.path("var/spool/postrider")+"\"\nmessage_size_limit = 1000\n")
	}
	if got := m.app.run(append([]string{"postrider", "setup", "--system"}, args...)); got != exit {
		m.Fatalf("%q: exit status %d, want %d: %s", args, got, exit, &m.out)
	}
	return m.out.String()
}

// check looks at the privileges.
func (m *machine) check() (list []string) {
	m.Helper()
	conf, err := config.Load(m.app.host.config)
	m.must(err)
	conf.User = false
	conf.Local.Socket = ""
	for _, f := range (&checker{m.app, conf, nil}).privileges() {
		list = append(list, f.String())
	}
	return list
}

func TestSetupSystem(t *testing.T) {
	m := newMachine(t)
	spool := m.path("var/spool/postrider")
	want := []string{"create the group postrider", "create the user postrider, who cannot log in", "write " + m.path("etc/postrider/drop.conf") +
		": spool " + spool + ", messages of up to 1000 bytes", "write " + m.path("etc/aliases"),
		"make the spool " + spool + ", and its directories new and tmp, postrider's, with modes 0710 and 1730 (it is missing)",
		"make " + m.path("bin/drop") + " set-group-ID postrider (root:postrider, mode 2755)"}
	dry := m.setup(0, "--dry-run")
	if dry != "would "+strings.Join(want, "\nwould ")+"\nsystemd does not run here: have \"postrider run\" started at boot\n" {
		t.Errorf("--dry-run says:\n%s", dry)
	}
	if len(m.commands) > 0 || len(m.check()) != 1 || !strings.Contains(m.check()[0], "there is no user postrider") {
		t.Errorf("--dry-run has run %q; check says %q", m.commands, m.check())
	}
	if _, err := os.Stat(spool); err == nil {
		t.Error("--dry-run has made the spool")
	}
	if got := m.setup(0); !strings.HasPrefix(got, strings.Join(want, "\n")+"\n") {
		t.Errorf("it says:\n%s", got)
	}
	if got := strings.Join(m.commands, "\n"); got != "groupadd --system postrider\nuseradd --system --gid postrider --home-dir /nonexistent "+
		"--no-create-home --shell /usr/sbin/nologin --comment postrider mail system postrider" {
		t.Errorf("it has run:\n%s", got)
	}
	if got := m.check(); len(got) != 1 || !strings.HasPrefix(got[0], "ok: privileges") {
		t.Errorf("check says %q", got)
	}
	if got := m.setup(0); !strings.HasPrefix(got, "nothing to do\n") {
		t.Errorf("once more it says:\n%s", got)
	}
}

func TestOnlyRootChecksPrivileges(t *testing.T) {
	m := newMachine(t)
	m.setup(0)
	m.app.uid = 1000
	if got := m.check(); len(got) != 1 || got[0] != "warn: privileges: only root can look at them — run it as root" {
		t.Errorf("%q", got)
	}
}

// What has become wrong check tells of, and setup mends.
func TestCheckPrivileges(t *testing.T) {
	m := newMachine(t)
	m.setup(0)
	spool := m.path("var/spool/postrider")
	for _, c := range []struct {
		name, says string
		spoil      func()
		mend       func() // nil: setup does
	}{
		{"a spool that is open", "fail: spool: " + spool + " has mode 0755 — run: postrider setup --system", func() { os.Chmod(spool, 0o755) }, nil},
		{"new without its bits", "fail: spool: " + spool + "/new has mode 0700", func() { os.Chmod(spool+"/new", 0o700) }, nil},
		{"tmp without its sticky bit", "fail: spool: " + spool + "/tmp has mode 0730", func() { os.Chmod(spool+"/tmp", 0o730) }, nil},
		{"tmp missing", "fail: spool: " + spool + "/tmp is missing", func() { os.Remove(spool + "/tmp") }, nil},
		{"drop without its bit", "has mode 0755: nobody can submit while the server is down", func() { os.Chmod(m.path("bin/drop"), 0o755) }, nil},
		{"drop writable by its group", "bin/drop can be changed by others", func() { os.Chmod(m.path("bin/drop"), 0o775|fs.ModeSetgid) },
			func() { os.Chmod(m.path("bin/drop"), 0o755|fs.ModeSetgid) }},
		{"drop setuid", "has mode 6755: nobody can", func() { os.Chmod(m.path("bin/drop"), 0o755|fs.ModeSetgid|fs.ModeSetuid) }, nil},
		{"drop's settings", "drop.conf has another spool or size than the configuration", func() { m.add("etc/postrider/drop.conf", "size 5\n") }, nil},
		{"drop's settings writable", "it is not a file that only root can write", func() { os.Chmod(m.path("etc/postrider/drop.conf"), 0o666) }, nil},
		{"sendmail with a set-id bit", "bin/sendmail has a set-id bit (mode 4755), which it must not have — run: chmod 0755", func() { os.Chmod(m.path("bin/sendmail"), 0o755|fs.ModeSetuid) },
			func() { os.Chmod(m.path("bin/sendmail"), 0o755) }},
		{"smtpd writable", "bin/smtpd can be changed by others than root", func() { os.Chmod(m.path("bin/smtpd"), 0o757) }, func() { os.Chmod(m.path("bin/smtpd"), 0o755) }},
		{"an open directory", "bin can be changed by others than root", func() { os.Chmod(m.path("bin"), 0o777) }, func() { os.Chmod(m.path("bin"), 0o755) }},
		{"drop missing", "the program drop is missing", func() { os.Rename(m.path("bin/drop"), m.path("bin/x")) }, func() { os.Rename(m.path("bin/x"), m.path("bin/drop")) }},
		{"a secret configuration", "postrider.toml cannot be read by everybody", func() { os.Chmod(m.app.host.config, 0o600) }, func() { os.Chmod(m.app.host.config, 0o644) }},
		{"an open configuration", "postrider.toml can be changed by others than root", func() { os.Chmod(m.app.host.config, 0o646) }, func() { os.Chmod(m.app.host.config, 0o644) }},
		{"a member of the group", "the group postrider has members (alice), who could write into the spool",
			func() { m.write("etc/group", fmt.Sprintf("postrider:x:%d:alice\n", m.gid)) }, func() { m.write("etc/group", fmt.Sprintf("postrider:x:%d:\n", m.gid)) }},
		{"another group of the user", "the user postrider has another group", func() { m.write("etc/passwd", fmt.Sprintf("postrider:x:%d:8:::\n", m.uid)) },
			func() { m.write("etc/passwd", fmt.Sprintf("postrider:x:%d:%d:::\n", m.uid, m.gid)) }},
	} {
		c.spoil()
		got := m.check()
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, "fail: ") && strings.Contains(line, c.says) }) {
			t.Errorf("%s: %q", c.name, got)
		}
		if c.mend != nil {
			c.mend()
		} else {
			m.setup(0)
		}
		if got := m.check(); len(got) != 1 || !strings.HasPrefix(got[0], "ok: ") {
			t.Fatalf("%s: afterwards %q", c.name, got)
		}
	}
}

func TestSetupSystemRefuses(t *testing.T) {
	m := newMachine(t)
	for _, c := range []struct {
		name, says string
		exit       int
		args       []string
		spoil      func()
	}{
		{"with a setting", "--system and --origin exclude each other", status.ExitUsage, []string{"--origin", "x.example"}, func() {}},
		{"for others than root", "only root can set the system up", status.ExitNoPerm, nil, func() { m.app.uid = 1000 }},
		{"a group with members", "the group postrider has members (alice)", status.ExitConfig, nil, func() { m.app.uid = 0; m.add("etc/group", "postrider:x:77:alice\n") }},
		{"root's number", `postrider has a number that cannot be: "0"`, status.ExitTempFail, nil, func() { m.write("etc/group", "postrider:x:0:\n") }},
		{"a spool of other things", "holds other things than mail", status.ExitConfig, nil, func() { m.write("etc/group", ""); m.write("var/spool/postrider/precious", "x") }},
		{"drop where others can write", "can be changed by others than root: drop must not have rights there", status.ExitConfig, nil, func() {
			os.Remove(m.path("var/spool/postrider/precious"))
			os.Chmod(m.path("bin"), 0o777)
		}},
	} {
		c.spoil()
		if got := m.setup(c.exit, c.args...); !strings.Contains(got, c.says) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// Who has a directory can put a link there, so what is in it is given away before.
func TestASpoolIsGivenAwayFromTheInside(t *testing.T) {
	files := fstest.MapFS{"new/x": {}, "tmp/y": {}, "lock": {}}
	names, err := insideOut(files)
	if err != nil || len(names) != 6 || names[5] != "." {
		t.Fatal(names, err)
	}
	for _, dir := range []string{"new", "tmp"} {
		for _, inside := range names[slices.Index(names, dir):] {
			if strings.HasPrefix(inside, dir+"/") {
				t.Errorf("%s is after its directory: %q", inside, names)
			}
		}
	}
}

// A spool that root has used so far is the mail user's afterwards, with all that is in it.
func TestSpoolChangesHands(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	m := newMachine(t)
	for _, dir := range []string{"new", "cur", "journal"} {
		m.write("var/spool/postrider/"+dir+"/x", "message")
	}
	m.write("var/spool/postrider/lock", "")
	m.setup(0)
	for _, name := range []string{"", "lock", "new", "cur/x", "journal"} {
		if uid, gid, _, err := ownerOf(m.path("var/spool/postrider/" + name)); err != nil || uid != m.uid || gid != m.gid {
			t.Errorf("%s: %d:%d, %v", name, uid, gid, err)
		}
	}
	if err := rights.PrepareSpool(m.path("var/spool/postrider"), m.uid+1, m.gid); err != nil {
		t.Fatal(err)
	}
	if got := m.setup(status.ExitConfig); !strings.Contains(got, fmt.Sprintf("belongs to user %d", m.uid+1)) {
		t.Errorf("a third user's: %s", got)
	}
}

func TestUnderSystemd(t *testing.T) {
	m := newMachine(t)
	m.must(os.Mkdir(m.path("systemd"), 0o755))
	all := strings.Join(units, ", ")
	if got := m.setup(0, "--without-units"); strings.Contains(got, "enable") || len(m.units) > 0 {
		t.Errorf("--without-units: %s", got)
	}
	if got := m.setup(0); got != "enable and start "+all+"\n" {
		t.Errorf("%s", got)
	}
	if got := m.setup(0); got != "nothing to do\n" {
		t.Errorf("once more: %s", got)
	}
	m.units["postrider-queuerun.service"] = false
	if got := m.check(); len(got) != 1 || !strings.HasPrefix(got[0], "warn: systemd does not run all") {
		t.Errorf("one is off: %q", got)
	}
	if got := m.setup(0, "--remove"); !strings.HasPrefix(got, "take the set-group-ID bit from "+m.path("bin/drop")+"\nstop and disable postrider-local.socket, postrider-smtpd.service\n") {
		t.Errorf("--remove: %s", got)
	}
	if got := m.setup(0, "--remove"); !strings.HasPrefix(got, "nothing to do\n") || m.units["postrider-smtpd.service"] {
		t.Errorf("--remove once more: %s", got)
	}
}

// BusyBox has other programs for users.
func TestSetupOnBusyBox(t *testing.T) {
	m := newMachine(t)
	m.app.host.have = func(string) bool { return false }
	m.setup(0)
	if got := strings.Join(m.commands, "\n"); got != "addgroup -S postrider\nadduser -S -D -H -G postrider -h /nonexistent -s /sbin/nologin -g postrider mail system postrider" {
		t.Errorf("it has run:\n%s", got)
	}
}

// The package has the configuration that setup writes.
func TestFirstConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../etc/debian/postrider.toml")
	if err != nil || string(text) != firstConfig {
		t.Errorf("%q, %v", text, err)
	}
	path := filepath.Join(t.TempDir(), "postrider.toml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if conf, err := config.Load(path); err != nil || len(conf.Listen) != 2 || conf.Listen[1].Mode != "local" {
		t.Errorf("%+v, %v", conf.Listen, err)
	}
}
