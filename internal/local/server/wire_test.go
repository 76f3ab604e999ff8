package server

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"postrider/internal/local"
	"postrider/internal/status"
)

func pair(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := socketOf(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := socketOf(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestRequestsAndResponsesArrive(t *testing.T) {
	a, b := pair(t)
	r := request{
		act: actMember, limit: time.Hour, directory: "/d", shells: "/s", user: local.User{Name: "a\xff", Home: "/h", Shell: "/sh", UID: -1}, extension: "x",
		spec: "mbox:/x", member: "|x\xfe", origin: local.FromAlias,
		items: []item{{local.Delivery{ID: "A", N: 3, Sender: "s", Rcpt: "r", Original: "o", Arrival: time.UnixMicro(1795510800123456)}, 1 << 40}, {}},
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString("hello")
	r.items[1].delivery.Arrival = time.UnixMicro(0)
	go send(a, &r, file, file)
	var got request
	files, err := receive(b, &got, maxRequest)
	if err != nil || len(files) != 2 || !reflect.DeepEqual(got, r) {
		t.Fatalf("%v %+v", err, got)
	}
	defer closeAll(files)
	f := files[1]
	text := make([]byte, 5)
	if f.ReadAt(text, 0); string(text) != "hello" {
		t.Errorf("%q", text)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Error("the descriptor is inherited")
	}
	answer := response{forward: local.Forward{Path: "p", Members: []string{"a", ""}}, outcomes: []result{{451, status.Code{4, 3, 0}, "t", "c"}, {}}}
	go send(b, &answer)
	var back response
	if files, err := receive(a, &back, maxResponse); err != nil || len(files) > 0 || !reflect.DeepEqual(back, answer) {
		t.Errorf("%v %+v", err, back)
	}
}

// A child's user may have it say anything.
func TestResponsesThatMakeNoSense(t *testing.T) {
	for _, r := range []result{
		{}, {reply: 250, code: status.Code{5, 0, 0}}, {reply: 354, code: status.Code{3, 0, 0}}, {reply: 200000, code: status.Code{2, 0, 0}},
		{reply: -250, code: status.Code{-2, 0, 0}}, {reply: 550, code: status.Code{5, -1, 0}}, {reply: 550, code: status.Code{5, 1, 1000000}},
	} {
		if st := r.status(); st.Class() != status.Temporary {
			t.Errorf("%+v: %s", r, st.Diagnostic())
		}
	}
	r := result{reply: 550, code: status.Code{5, 1, 1}, text: "a\r\n250 forged" + strings.Repeat("x", 10_000), cause: "\n\x1b[31m"}
	if st := r.status(); len(st.Text()) > 600 || strings.ContainsAny(st.Error(), "\r\n\x1b") {
		t.Errorf("%q", st.Error())
	}
}

func FuzzResponse(f *testing.F) {
	for _, r := range []response{{}, {outcomes: []result{{reply: 550, code: status.Code{5, 1, 1}, text: "x"}}}, {forward: local.Forward{Members: []string{"a", "b"}}}} {
		f.Add(frame(&r)[4:])
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r response
		x := fields{b: b, read: true}
		r.fields(&x)
		if x.err != nil {
			return
		}
		if len(r.forward.Members)+len(r.forward.Notes)+len(r.outcomes) > len(b) {
			t.Fatal("it grew")
		}
		r.status(0)
	})
}

func TestFilesOfAccounts(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := &Files{
		passwd: put("passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:A,,:/home/alice:/bin/bash\nalice:x:7:7::/:\nbad:x:y:1::/:\n+nis::::::\n"+
			"a/b:x:5:5::/:\n-x:x:6:6::/:\nshort:x:1\nsame:x:1000:1001::/home/same:\n"),
		group:    put("group", "mail:x:8:alice,bob\nstaff:x:50:alice\nwheel:x:z:alice\n"),
		nsswitch: put("nsswitch.conf", "passwd: files systemd [NOTFOUND=return]\n"),
	}
	a, ok, err := f.ByName("alice")
	if err != nil || !ok || !reflect.DeepEqual(a, Account{local.User{Name: "alice", Home: "/home/alice", Shell: "/bin/bash", UID: 1000}, 1000, []int{8, 50}}) {
		t.Errorf("%+v %v", a, err)
	}
	for _, name := range []string{"bad", "+nis", "a/b", "-x", "short", "", "Alice", "nobody-of-that-name"} {
		if a, ok, err := f.ByName(name); ok || err != nil {
			t.Errorf("%q: %+v %v", name, a, err)
		}
	}
	if a, ok, _ := f.ByUID(1000); !ok || a.Name != "alice" {
		t.Errorf("%+v", a)
	}
	if gid, ok, _ := f.GroupID("mail"); !ok || gid != 8 {
		t.Error(gid)
	}
	put("passwd", "carol:x:1001:1001::/home/carol:\n")
	if _, ok, _ := f.ByName("alice"); ok {
		t.Error("the file's change is not seen")
	}
	os.Remove(f.group)
	if a, ok, err := f.ByName("carol"); !ok || err != nil || len(a.Groups) > 0 {
		t.Errorf("%+v %v", a, err)
	}
	os.Remove(f.passwd)
	if _, _, err := f.ByName("carol"); err == nil {
		t.Error("a missing file is an empty one")
	}
}

// getent is asked where there is somebody else to ask, and its "no" is one.
func TestOtherAccounts(t *testing.T) {
	if _, err := os.Stat("/usr/bin/getent"); err != nil {
		t.Log("there is no getent")
		return
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"passwd": "", "nsswitch.conf": "# x\npasswd:\tfiles sss\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := &Files{passwd: dir + "/passwd", group: dir + "/group", nsswitch: dir + "/nsswitch.conf"}
	a, ok, err := f.ByName("root")
	if err != nil || !ok || a.UID != 0 || a.Home == "" {
		t.Errorf("%+v %v %v", a, ok, err)
	}
	for _, name := range []string{"no-such-user-here", "ROOT", "root:x", "--help", "0"} {
		if a, ok, err := f.ByName(name); ok || err != nil {
			t.Errorf("%q: %+v %v", name, a, err)
		}
	}
	if a, ok, err := f.ByUID(0); !ok || err != nil || a.Name != "root" {
		t.Errorf("%+v %v", a, err)
	}
}

// What children get cannot be changed by them.
func TestStoredMessagesCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{10, inMemory + 10} {
		s := &store{dir: dir}
		s.Write([]byte(strings.Repeat("x", size-5)))
		s.Write([]byte("12345"))
		f, err := s.open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Pwrite(int(f.Fd()), []byte("y"), 0); err == nil {
			t.Errorf("%d bytes: it can be written", size)
		}
		if err := syscall.Ftruncate(int(f.Fd()), 0); err == nil {
			t.Errorf("%d bytes: it can be cut", size)
		}
		b := make([]byte, 5)
		if f.ReadAt(b, int64(size-5)); string(b) != "12345" || s.size != int64(size) {
			t.Errorf("%d bytes: %q, %d", size, b, s.size)
		}
		f.Close()
		s.drop()
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v", left)
	}
}
