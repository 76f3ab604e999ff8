package aliases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scene is a file that is written while a Database is asked.
type scene struct {
	t    *testing.T
	path string
	d    *Database
	now  time.Time
}

// newScene begins with a text that was written long ago, or with none, and with an index of it.
func newScene(t *testing.T, text string, index bool) *scene {
	s := &scene{t: t, path: filepath.Join(tempDir(t), "aliases"), now: time.Now()}
	if text != "" {
		write(t, filepath.Dir(s.path), "aliases", text)
	}
	if index {
		rebuild(t, s.path)
	}
	s.restart()
	return s
}

// restart is another process.
func (s *scene) restart() {
	s.d = Open([]string{s.path}, Options{})
	s.d.files[0].clock = func() time.Time { return s.now }
}

// write writes the file in place, at an instant of the scene.
func (s *scene) write(text string) {
	s.t.Helper()
	if err := errors.Join(os.WriteFile(s.path, []byte(text), 0o644), os.Chtimes(s.path, s.now, s.now)); err != nil {
		s.t.Fatal(err)
	}
}

// check asks for names: "name=answer", where "wait" is that the file is being changed and "gone" that it is not there.
func (s *scene) check(what, want string) {
	s.t.Helper()
	var got []string
	for pair := range strings.FieldsSeq(want) {
		name, _, _ := strings.Cut(pair, "=")
		answer := lookup(s.d, name)
		switch {
		case strings.HasPrefix(answer, "error: the aliases are being changed"):
			answer = "wait"
		case strings.HasSuffix(answer, "no such file or directory"):
			answer = "gone"
		case strings.HasPrefix(answer, "error: "):
			answer = "error"
		}
		got = append(got, name+"="+answer)
	}
	if have := strings.Join(got, " "); have != want {
		s.t.Errorf("%s: %s, want %s", what, have, want)
	}
}

func TestHalfATextHidesNobody(t *testing.T) {
	const old = "info: root\next: joe\ngone: ann\n"
	for _, index := range []bool{false, true} {
		t.Run(fmt.Sprint("index ", index), func(t *testing.T) {
			s := newScene(t, old, index)
			s.check("at first", "info=root ext=joe gone=ann none=none")
			mid, end := "info=root ext=joe gone=ann none=none", "new=x info=bob ext=none gone=none none=none"
			if index { // which leads to the old text
				mid = "info=wait ext=wait gone=wait none=none"
			}
			s.write("")
			s.check("emptied", mid)
			s.now = s.now.Add(time.Hour)
			s.check("emptied long ago", mid)
			s.write("new: x\ninfo: b")
			s.check("half written", "new=x "+mid)
			s.write("new: x\ninfo: bob,\n")
			s.check("up to a comma", "new=x "+mid)
			s.write("new: x\ninfo: bob\n")
			s.check("all of it", "new=x info=bob "+strings.TrimPrefix(strings.TrimPrefix(mid, "info=root "), "info=wait "))
			s.now = s.now.Add(quiet - time.Millisecond)
			s.check("just before it counts", "new=x "+map[bool]string{false: "ext=joe", true: "ext=wait"}[index])
			s.now = s.now.Add(time.Millisecond)
			s.check("quiet", end)
			s.write("last: one\n")
			s.check("another change", "last=one "+end)
		})
	}
}

func TestAProcessThatFindsHalfAText(t *testing.T) {
	s := newScene(t, "gone: x\n", true)
	s.write("info: root\next: joe,")
	s.restart()
	s.check("half written", "info=root ext=wait none=wait")
	s.now = s.now.Add(quiet)
	s.check("quiet", "info=root ext=joe none=none")
	s = newScene(t, "", false)
	s.write("")
	s.check("empty, for all that anybody knows", "none=none")

	s = newScene(t, "info: root\n", true)
	s.write("")
	s.now = s.now.Add(time.Hour)
	s.restart()
	s.check("empty, but for what its index tells", "info=wait none=wait")
	rebuild(t, s.path)
	s.check("newaliases says that this is it", "info=none none=none")
}

func TestAWritingThatDoesNotEndHoldsNothingUp(t *testing.T) {
	s := newScene(t, "gone: x\n", true)
	for at := range 12 {
		s.write(fmt.Sprintf("info: root\ntime: x%d\n", at))
		want := "info=root none=wait"
		if at >= 10 {
			want = "info=root none=none"
		}
		if at == 0 {
			s.restart()
		}
		s.check(fmt.Sprintf("after %d seconds", at), want)
		s.now = s.now.Add(time.Second)
	}
	s.now = s.now.Add(-time.Hour)
	s.restart()
	s.check("a clock that is behind", "info=root none=wait")
	s.now = s.now.Add(patience)
	s.check("for long", "info=root none=none")
}

func TestAnIndexVouchesForAYoungText(t *testing.T) {
	s := newScene(t, "info: root\n", true)
	if changed, err := Add(s.path, "new", []string{"x"}); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if _, unwritten, err := testBuilder().rebuild(s.path); unwritten != nil || err != nil {
		t.Fatal(unwritten, err)
	}
	s.restart()
	s.check("in a new process", "info=root new=x none=none")
}

func TestAnotherOwnersTextSaysNothingOfThisOne(t *testing.T) {
	s := newScene(t, "info: root\n", false)
	s.check("at first", "info=root")
	s.d.files[0].src.about().owner++
	s.write("x: y\n")
	s.check("changed by its new owner", "info=wait x=y")
}

func TestAFileThatWasThereIsMissed(t *testing.T) {
	s := newScene(t, "", false)
	s.check("a file that never was", "info=none")
	s.write("info: root\n")
	s.check("it comes", "info=root none=none")
	s.now = s.now.Add(quiet)
	s.check("it stays", "info=root none=none")
	if err := os.Rename(s.path, s.path+"2"); err != nil {
		t.Fatal(err)
	}
	s.check("it goes", "info=gone none=gone")
	s.write("x: y\n")
	s.check("another comes", "x=y info=root none=none")
	s.now = s.now.Add(quiet)
	s.check("it stays", "x=y info=none none=none")
}

func TestAuditTakesATextAsItIs(t *testing.T) {
	s := newScene(t, "", false)
	s.write("info: b c, nobody\n")
	list, err := s.d.Audit(func(m Member) error { return errors.New("who?") })
	if got := fmt.Sprint(list); err != nil || !strings.Contains(got, "who?") {
		t.Errorf("%s, %v", got, err)
	}
}
