package queue

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// hostSpool is a spool in memory with a clock that a test moves.
func hostSpool(t *testing.T) (s *Spool, disk *fsys.Crash, now *time.Time) {
	t.Helper()
	now = new(time.Time)
	*now = testTime
	disk = fsys.NewCrash("/")
	disk.Now = func() time.Time { return *now }
	s, err := Open("/spool", Options{FS: disk, Now: disk.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s, disk, now
}

func deadHost(name string) Host {
	return Host{Name: name, Until: testTime.Add(5 * time.Minute), Code: status.Code{4, 4, 1}, Relay: "mx.x.test (192.0.2.1:25)", Text: "connection refused"}
}

func TestHostFailsAndIsCleared(t *testing.T) {
	s, _, now := hostSpool(t)
	if h, ok := s.Host("mx:x.test"); ok {
		t.Errorf("before: %+v", h)
	}
	want := deadHost("mx:x.test")
	s.FailHost(want)
	*now = now.Add(time.Minute)
	s.FailHost(want)
	s.FailHost(deadHost("mx:a.test"))
	want.Since, want.Tried, want.Failures = testTime, *now, 2
	got, ok := s.Host("mx:x.test")
	got.Since, got.Tried, got.Until = got.Since.UTC(), got.Tried.UTC(), got.Until.UTC()
	if !ok || got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	list, err := s.Hosts()
	if err != nil || len(list) != 2 || list[0].Name != "mx:a.test" || list[1].Failures != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	s.ClearHost("mx:x.test")
	s.ClearHost("mx:x.test")
	if _, ok := s.Host("mx:x.test"); ok {
		t.Error("it was not cleared")
	}
	if err := s.ClearHosts(); err != nil || len(names(t, s, hostsDir)) != 0 {
		t.Errorf("%v; left: %q", err, names(t, s, hostsDir))
	}
}

func TestHostsAreForgottenAfterADay(t *testing.T) {
	s, _, now := hostSpool(t)
	s.FailHost(deadHost("mx:old.test"))
	*now = now.Add(hostAge + time.Second)
	s.FailHost(deadHost("mx:new.test"))
	if _, ok := s.Host("mx:old.test"); ok {
		t.Error("it still counts")
	}
	if list, err := s.Hosts(); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if r, err := s.Recover(); err != nil || r != (Recovered{}) {
		t.Errorf("%+v, %v", r, err)
	}
	if left := names(t, s, hostsDir); len(left) != 1 || left[0] != "mx:new.test" {
		t.Errorf("left: %q", left)
	}
	s.ClearHost("mx:new.test")
	s.FailHost(deadHost("mx:old.test"))
	if h, _ := s.Host("mx:old.test"); h.Failures != 1 {
		t.Errorf("%d failures in a row", h.Failures)
	}
}

func TestLastWholeLineOfAHostCounts(t *testing.T) {
	a, b := deadHost("mx:x.test"), deadHost("mx:x.test")
	a.Since, a.Tried, a.Failures = testTime, testTime, 1
	b.Since, b.Tried, b.Failures = testTime, testTime.Add(time.Minute), 2
	one, two := string(appendHost(nil, &a)), string(appendHost(nil, &b))
	for _, tc := range []struct {
		name, text string
		want       int
	}{
		{"an empty file tells nothing", "", 0},
		{"one line", one, 1},
		{"the last of two", one + two, 2},
		{"a torn line is passed over", one + two[:len(two)-9], 1},
		{"a line after a torn one", two[:20] + "\n" + one, 1},
		{"a damaged line is passed over", one + strings.Replace(two, "refused", "accepts", 1), 1},
		{"what another program left", "hello\n", 0},
	} {
		got, ok := parseHosts(tc.text)
		if got.Failures != tc.want || ok != (tc.want > 0) {
			t.Errorf("%s: %d failures, %v", tc.name, got.Failures, ok)
		}
	}
}

func TestHostFileIsOneElementOfAPath(t *testing.T) {
	long := strings.Repeat("x/", 200)
	for name, want := range map[string]string{
		"mx:example.net":                 "mx:example.net",
		"host:[2001:db8::1]:25":          "host:[2001:db8::1]:25",
		"lmtp+unix:unix:/run/lmtp":       "lmtp%2Bunix:unix:%2Frun%2Flmtp",
		"smtp:h:25:a b%~":                "smtp:h:25:a%20b%25%7E",
		".":                              "%2E",
		"..":                             "%2E.",
		"\x00\n\xff":                     "%00%0A%FF",
		"":                               "~811c9dc5",
		long:                             strings.Repeat("x%2F", 50)[:maxHostName-9] + "~" + hostFile(long)[maxHostName-8:],
		"submission:mx.example:587:user": "submission:mx.example:587:user",
	} {
		if got := hostFile(name); got != want || len(got) > maxHostName {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if hostFile(long) == hostFile(long+"x") {
		t.Error("two long names have one file")
	}
}

func TestHostsAreBounded(t *testing.T) {
	s, _, now := hostSpool(t)
	for i := range maxHosts + 5 {
		s.FailHost(deadHost(fmt.Sprintf("mx:%d.test", i)))
	}
	if n := len(names(t, s, hostsDir)); n != maxHosts {
		t.Errorf("%d notes", n)
	}
	s.FailHost(deadHost("mx:0.test"))
	if h, _ := s.Host("mx:0.test"); h.Failures != 2 {
		t.Error("a host that is known is not noted when there are many")
	}
	*now = now.Add(hostAge + time.Second)
	s.FailHost(deadHost("mx:late.test"))
	if left := names(t, s, hostsDir); len(left) != 1 {
		t.Errorf("%d notes after a day", len(left))
	}
	huge := deadHost("mx:late.test")
	huge.Text, huge.Relay = strings.Repeat("\x00", 1<<20), strings.Repeat("\n", 1<<20)
	for range 5 {
		s.FailHost(huge)
	}
	h, ok := s.Host("mx:late.test")
	if !ok || h.Failures != 6 || len(h.Text) != maxHostField || len(h.Relay) != maxHostField {
		t.Errorf("%v, %d failures, %d and %d bytes", ok, h.Failures, len(h.Text), len(h.Relay))
	}
	st, err := s.fs.Stat(s.path(hostsDir, "mx:late.test"))
	if err != nil || st.Size > readHostFile {
		t.Errorf("%d bytes, %v", st.Size, err)
	}
	s.FailHost(deadHost(strings.Repeat("x", maxHostField+1)))
	if left := names(t, s, hostsDir); len(left) != 1 {
		t.Errorf("noted: %q", left)
	}
}

// TestHostsOnARealDisk also proves that what nobody may read, and what is no file, is harmless.
func TestHostsOnARealDisk(t *testing.T) {
	s := testSpool(t, Options{})
	if err := os.Mkdir(s.path(hostsDir, "mx:dir.test"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", s.path(hostsDir, "mx:link.test")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mx:dir.test", "mx:link.test", "mx:x.test"} {
		s.FailHost(Host{Name: name, Until: time.Now().Add(time.Minute)})
	}
	if list, err := s.Hosts(); err != nil || len(list) != 1 || list[0].Name != "mx:x.test" {
		t.Errorf("%+v, %v", list, err)
	}
	if err := s.ClearHosts(); err == nil || len(names(t, s, hostsDir)) != 1 {
		t.Errorf("%v; left: %q", err, names(t, s, hostsDir))
	}
}

func TestHostsOfASpoolThatIsNotThere(t *testing.T) {
	s, err := Open(t.TempDir()+"/spool", Options{NoCreate: true})
	if err != nil {
		t.Fatal(err)
	}
	s.FailHost(deadHost("mx:x.test"))
	if list, err := s.Hosts(); err != nil || list != nil {
		t.Errorf("%v, %v", list, err)
	}
	if err := s.ClearHosts(); err != nil {
		t.Error(err)
	}
}

// TestHostsSurviveFaults fails each operation, and cuts the power after each: what is read back is what was written,
// or an older state of it, or nothing.
func TestHostsSurviveFaults(t *testing.T) {
	life := func(s *Spool) {
		for range 3 {
			s.FailHost(deadHost("mx:x.test"))
		}
		s.Host("mx:x.test")
		s.ClearHost("mx:y.test")
		s.Hosts()
	}
	s, disk, _ := hostSpool(t)
	before := len(disk.Ops())
	life(s)
	ops := len(disk.Ops()) - before
	check := func(s *Spool, what string) {
		h, ok := s.Host("mx:x.test")
		if ok && (h.Failures < 1 || h.Failures > 3 || h.Text != "connection refused") {
			t.Errorf("%s: %+v", what, h)
		}
		s.FailHost(deadHost("mx:x.test"))
		if now, ok := s.Host("mx:x.test"); !ok || now.Failures != h.Failures+1 {
			t.Errorf("%s: the next failure is not noted: %+v after %+v", what, now, h)
		}
	}
	for n := 1; n <= ops; n++ {
		for _, cause := range []error{syscall.EIO, fsys.ErrShort} {
			_, disk, _ := hostSpool(t)
			faulty := fsys.NewFaulty(disk)
			s, err := Open("/spool", Options{FS: faulty, Now: disk.Now})
			if err != nil {
				t.Fatal(err)
			}
			faulty.FailAt(n, 1, cause, nil)
			life(s)
			faulty.FailAt(0, 0, nil, nil)
			check(s, fmt.Sprintf("%v at operation %d", cause, n))
		}
		for _, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros} {
			s, disk, _ := hostSpool(t)
			disk.CutAfter(n)
			life(s)
			s, err := Open("/spool", Options{FS: disk.Reboot(how, nil), Now: disk.Now})
			if err != nil {
				t.Fatal(err)
			}
			check(s, fmt.Sprintf("power cut after operation %d", n))
		}
	}
}

func FuzzHost(f *testing.F) {
	h := deadHost("mx:x.test")
	h.Since, h.Tried, h.Failures = testTime, testTime, 1
	f.Add(appendHost(nil, &h))
	f.Add([]byte("00000000 1 2 3 4 x code=4.4.1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseHosts(string(b))
		if !ok {
			return
		}
		line := appendHost(nil, &h)
		if again, ok := parseHosts(string(line)); !ok || bytes.Count(line, []byte("\n")) != 1 ||
			len(h.Relay) <= maxHostField && len(h.Text) <= maxHostField && !reflect.DeepEqual(again, h) {
			t.Fatalf("%+v\n%+v", h, again)
		}
	})
}

func FuzzHostKeepsAnyBytes(f *testing.F) {
	f.Add("mx:x.test", "mx.x.test (192.0.2.1:25)", "connection refused")
	f.Add("a\nb", "", "\\")
	f.Fuzz(func(t *testing.T, name, relay, text string) {
		h := Host{Name: name, Since: time.Unix(1, 0), Tried: time.Unix(2, 0), Until: time.Unix(3, 0), Failures: 4, Relay: relay, Text: text}
		got, ok := parseHosts(string(appendHost(nil, &h)))
		if !ok || got.Name != name || len(relay) <= maxHostField && got.Relay != relay || len(text) <= maxHostField && got.Text != text {
			t.Fatalf("%+v\n%+v", h, got)
		}
		if file := hostFile(name); strings.ContainsAny(file, "/\x00") || file == "." || file == ".." || len(file) > maxHostName {
			t.Fatalf("%q", file)
		}
	})
}
