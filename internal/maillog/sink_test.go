package maillog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postrider/internal/status"
)

func readLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func open(t *testing.T, dest string) *Logger {
	t.Helper()
	l, err := Open("queuerun", dest, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestFileIsMadeWithItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "log")
	open(t, path).Removed(id)
	open(t, "json:"+path).Removed(id)
	lines := readLines(t, path)
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "]: "+id+": removed") || !strings.HasPrefix(lines[1], `{"time":`) {
		t.Errorf("%q", lines)
	}
}

func TestFileThatCannotBeOpened(t *testing.T) {
	if l, err := Open("queuerun", t.TempDir(), nil); err == nil || l != nil {
		t.Errorf("a directory: %v, %v", l, err)
	}
}

func TestRenamedFileIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	l.Removed("A1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Removed("A2")
	if old, now := readLines(t, path+".1"), readLines(t, path); len(old) != 1 || len(now) != 1 || !strings.Contains(now[0], "A2") {
		t.Errorf("old %q, new %q", old, now)
	}
}

func TestFileThatCannotBeReopenedIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Removed("A2")
	if old := readLines(t, path+".1"); len(old) != 1 || !strings.Contains(old[0], "A2") {
		t.Errorf("old %q", old)
	}
}

// A FIFO that nobody reads must not hold up whoever logs, nor one that is read too slowly.
func TestFIFOInPlaceOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("sendmail", path, nil); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("opened without a reader: %v", err)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	l := open(t, path)
	l.Removed("A1")
	if got := receive(t, fd); !strings.HasSuffix(got, "A1: removed\n") {
		t.Errorf("got %q", got)
	}
	for l.lost < 10 {
		l.Removed("A2")
	}
}

// Each Logger has its own open file, as each process has. The file is renamed away meanwhile.
func TestLinesOfSeveralWritersDoNotMix(t *testing.T) {
	const writers, each = 8, 200
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	var wg sync.WaitGroup
	for w := range writers {
		l := open(t, path)
		for g := range 2 {
			wg.Go(func() {
				for i := range each {
					text := strings.Repeat("x", (i*37+g)%400)
					l.Attempt(fmt.Sprintf("W%dG%dN%d", w, g, i), "c@d", "", "", time.Second, status.Code{2, 0, 0}, Sent, text, "")
					if w == 0 && g == 0 && i == each/2 {
						os.Rename(path, path+".1")
					}
				}
			})
		}
	}
	wg.Wait()
	whole := regexp.MustCompile(`^\S+ \S+ postrider/queuerun\[\d+\]: (W\dG\dN\d+): to=<c@d>, relay=none, delay=1, dsn=2\.0\.0, status=sent \(x*\)$`)
	seen := map[string]bool{}
	for _, line := range append(readLines(t, path), readLines(t, path+".1")...) {
		m := whole.FindStringSubmatch(line)
		if m == nil || seen[m[1]] {
			t.Fatalf("mixed or doubled: %q", line)
		}
		seen[m[1]] = true
	}
	if len(seen) != writers*2*each {
		t.Errorf("%d lines, want %d", len(seen), writers*2*each)
	}
}

// daemon binds a datagram socket at path, as a syslog daemon does.
func daemon(t *testing.T, path string) (fd int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return fd
}

func receive(t *testing.T, fd int) string {
	t.Helper()
	buf := make([]byte, 8192)
	n, err := syscall.Read(fd, buf)
	if err != nil {
		t.Fatalf("nothing received: %v", err)
	}
	return string(buf[:n])
}

func syslogTo(path string) *Logger {
	l, _ := captured(syslogLine)
	l.sink = newSyslog(path)
	return l
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := syslogTo(path)
	defer l.Close()

	l.Removed("A1") // nobody listens: lost, in silence
	fd := daemon(t, path)
	l.Removed("A1") // it was looked for a moment ago
	l.sink.(*syslogSink).absent = time.Time{}
	l.Removed("A2")
	if got := receive(t, fd); !strings.HasSuffix(got, "NOQUEUE: lines=2, lost") {
		t.Errorf("got %q", got)
	}
	if got, want := receive(t, fd), "<22>Nov 24 09:00:00 postrider/sendmail[42]: A2: removed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	syscall.Close(fd) // the daemon is restarted: nothing is lost
	os.Remove(path)
	fd = daemon(t, path)
	defer syscall.Close(fd)
	l.Removed("A3")
	if got := receive(t, fd); !strings.HasSuffix(got, "A3: removed") {
		t.Errorf("got %q", got)
	}
}

// A daemon that does not read costs one wait in all, and what it missed is counted.
func TestSyslogDaemonThatDoesNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	fd := daemon(t, path)
	defer syscall.Close(fd)
	l := syslogTo(path)
	defer l.Close()
	start := time.Now()
	for l.lost < 100 {
		l.Removed("A1")
	}
	if took := time.Since(start); took > 80*patience {
		t.Errorf("took %v", took)
	}
	for {
		if _, err := syscall.Read(fd, make([]byte, 8192)); err != nil {
			break
		}
	}
	l.Removed("A2")
	if got := receive(t, fd); !strings.Contains(got, "lost") {
		t.Errorf("got %q", got)
	}
	if got := receive(t, fd); !strings.HasSuffix(got, "A2: removed") {
		t.Errorf("got %q", got)
	}
	if s := l.sink.(*syslogSink); s.stuck {
		t.Error("still taken for stuck")
	}
}
