package status

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNewRefusesCodesThatDisagree(t *testing.T) {
	for _, c := range []struct {
		reply int
		code  Code
	}{{550, Code{4, 1, 1}}, {450, Code{5, 1, 1}}, {250, Code{5, 0, 0}}, {354, Code{3, 0, 0}}, {0, Code{}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%d, %v) did not panic", c.reply, c.code)
				}
			}()
			New("test", c.reply, c.code, "", nil)
		}()
	}
}

func TestRemote(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply int
		text  string
		class Class
		code  Code
		want  string
	}{
		{"a leading code is taken", 550, "5.1.1 no such user", Permanent, Code{5, 1, 1}, "no such user"},
		{"a code of another class is text", 450, "5.1.1 odd", Temporary, Code{4, 0, 0}, "5.1.1 odd"},
		{"no code is X.0.0", 250, "ok", Success, Code{2, 0, 0}, "ok"},
		{"a code alone leaves no text", 250, "2.0.0", Success, Code{2, 0, 0}, ""},
		{"a version number is text", 250, "2.0 beta", Success, Code{2, 0, 0}, "2.0 beta"},
		{"a reply outside the classes is temporary", 354, "go on", Temporary, Code{4, 5, 0}, "unexpected reply: 354 go on"},
		{"control bytes are escaped", 550, "a\r\nb\x00", Permanent, Code{5, 0, 0}, `a\x0D\x0Ab\x00`},
	} {
		s := Remote("test", c.reply, c.text)
		if s.Class() != c.class || s.Code() != c.code || s.Text() != c.want {
			t.Errorf("%s: %v %v %q", c.name, s.Class(), s.Code(), s.Text())
		}
	}
}

func TestFromIsTemporaryUnlessClassified(t *testing.T) {
	if From(nil) != nil {
		t.Error("From(nil) is not nil")
	}
	if s := From(io.ErrUnexpectedEOF); s.Class() != Temporary || !errors.Is(s, io.ErrUnexpectedEOF) {
		t.Errorf("unclassified: %v", s)
	}
	inner := New("test", 550, Code{5, 1, 1}, "no such user", nil)
	if From(fmt.Errorf("wrapped: %w", inner)) != inner {
		t.Error("a wrapped Status was not found")
	}
}

func TestFailKeepsItsExitStatus(t *testing.T) {
	for _, row := range sysexits {
		if s := Fail("test", row.exit, "", nil); s.Exit() != row.exit || s.Text() != row.text {
			t.Errorf("exit %d became %d, %q", row.exit, s.Exit(), s.Text())
		}
	}
	if s := Fail("test", 111, "strange", nil); s.Class() != Temporary || s.Exit() != ExitTempFail {
		t.Errorf("an unknown exit status became %v", s.Diagnostic())
	}
}

func TestExitByCode(t *testing.T) {
	for want, s := range map[int]*Status{
		ExitOK: New("", 250, Code{2, 0, 0}, "", nil), ExitTempFail: New("", 450, Code{4, 2, 0}, "", nil),
		ExitNoUser: New("", 550, Code{5, 1, 1}, "", nil), ExitNoHost: New("", 550, Code{5, 1, 2}, "", nil),
		ExitUnavailable: New("", 554, Code{5, 4, 6}, "", nil), ExitDataErr: New("", 554, Code{5, 6, 0}, "", nil),
		ExitNoPerm: New("", 550, Code{5, 7, 0}, "", nil), ExitConfig: New("", 550, Code{5, 3, 5}, "", nil),
	} {
		if s.Exit() != want {
			t.Errorf("%s: exit %d, want %d", s.Diagnostic(), s.Exit(), want)
		}
	}
}

func FuzzRemote(f *testing.F) {
	f.Add(550, "5.1.1 no such user")
	f.Add(250, "2.0.0\r\n250 forged")
	f.Add(-1, "\xff\u202e")
	f.Fuzz(func(t *testing.T, reply int, text string) {
		s := Remote("fuzz", reply, text)
		if int(s.Class()) != s.Reply()/100 || int(s.Class()) != s.Code()[0] {
			t.Fatalf("classes disagree: %s", s.Diagnostic())
		}
		if len(s.Text()) > MaxText+3 || strings.ContainsAny(s.Text(), "\r\n\x00\x7f\u202e") || !utf8.ValidString(s.Text()) {
			t.Fatalf("not clean: %q", s.Text())
		}
	})
}
