package smtpd

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"postrider/internal/fsys"
	"postrider/queue"
)

const (
	faultScript = "HELO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<joe@here.example>\r\nDATA\r\nSubject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n"
	largeScript = "HELO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<joe@here.example>\r\nBDAT 100000\r\n%sBDAT 0 LAST\r\nQUIT\r\n"
)

// faultySession runs a session over a spool whose operations fail, and tells what was said.
func faultySession(t *testing.T, s *Server, mode Mode, script string) string {
	t.Helper()
	conn := &scriptConn{from: netip.MustParseAddrPort("192.0.2.1:99"), pieces: [][]byte{[]byte(script)}}
	s.Serve(context.Background(), conn, &Port{Mode: mode})
	return conn.out.String()
}

// Whichever operation of the spool fails, and for however long: the client is told so, nothing is left of the message, and
// the next one is taken.
func TestEveryOperationOfTheSpoolFails(t *testing.T) {
	large := fmt.Sprintf(largeScript, strings.Repeat(strings.Repeat("y", 98)+"\r\n", 1000))
	for name, script := range map[string]string{"small": faultScript, "large": large} {
		for _, mode := range []Mode{MTA, Local} {
			for errno, reply := range map[error]string{syscall.ENOSPC: "452 4.3.1 ", syscall.EDQUOT: "452 4.3.1 ", fsys.ErrShort: "452 4.3.1 ", syscall.EIO: "451 4.3.0 ", syscall.EMFILE: "421 4.3.2 "} {
				n := 1
				for ; failAt(t, script, mode, n, errno, reply); n++ {
				}
				if n < 5 {
					t.Errorf("%s, mode %d, %v: only %d operations", name, mode, errno, n)
				}
			}
		}
	}
}

// failAt lets operation n of a session fail; false when there are not so many.
func failAt(t *testing.T, script string, mode Mode, n int, errno error, reply string) bool {
	t.Helper()
	under := fsys.NewCrash("/")
	faulty := fsys.NewFaulty(under)
	spool, err := queue.Open("/spool", queue.Options{FS: faulty})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := testServer(t, &testPolicy{trusted: true})
	s.Spool, s.SizeLimit = spool, 1<<20
	faulty.FailAt(n, 1, errno, nil)
	said := faultySession(t, s, mode, script)
	if !faulty.Struck() {
		if !strings.Contains(said, "queued as") {
			t.Fatalf("nothing failed, and yet: %q", said)
		}
		return false
	}
	accepted := strings.Contains(said, "queued as")
	count, err := spool.Count(queue.New)
	if err != nil || count == 1 != accepted || !accepted && !strings.Contains(said, "\r\n"+reply) {
		t.Fatalf("operation %d fails with %v: %d messages, %v, said %q", n, errno, count, err, said)
	}
	if tmp := 0; under.ReadDir("/spool/tmp", func(string) error { tmp++; return nil }) != nil || tmp > 0 {
		t.Fatalf("operation %d fails with %v: %d drafts left", n, errno, tmp)
	}
	if said := faultySession(t, s, mode, script); !strings.Contains(said, "queued as") {
		t.Fatalf("operation %d failed with %v, and the next session: %q", n, errno, said)
	}
	return true
}

// A commit that is cut off by the power was not acknowledged, or is there whole.
func TestPowerCutInASession(t *testing.T) {
	for n := 0; ; n++ {
		disk := fsys.NewCrash("/")
		spool, err := queue.Open("/spool", queue.Options{FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		s, _ := testServer(t, &testPolicy{trusted: true})
		s.Spool = spool
		disk.CutAfter(n)
		said := faultySession(t, s, MTA, faultScript)
		accepted := strings.Contains(said, "queued as")
		for _, how := range []fsys.Survival{fsys.Strict, fsys.Loose, fsys.Zeros} {
			after, err := queue.Open("/spool", queue.Options{FS: disk.Reboot(how, nil)})
			if err != nil {
				t.Fatal(err)
			}
			whole := 0
			err = after.Scan(queue.New, func(e queue.Entry) error {
				if c, err := after.Claim(e); err == nil {
					whole++
					c.Close()
				}
				return nil
			})
			if err != nil || accepted && whole != 1 || whole > 1 {
				t.Fatalf("power cut after %d operations, survival %d: accepted=%v, %d whole messages, %v", n, how, accepted, whole, err)
			}
		}
		if accepted {
			if n < 5 {
				t.Fatalf("only %d operations", n)
			}
			return
		}
	}
}
