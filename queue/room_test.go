package queue

import (
	"errors"
	"math"
	"syscall"
	"testing"
	"time"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

func TestRoom(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		sentence     string
		bytes, files int64
		size         int64
		ok           bool
	}{
		{"there is room on an empty disk", 1 << 40, 1 << 20, 50 * mib, true},
		{"half as much again as the message is free", 150 * mib, 1000, 100 * mib, true},
		{"less than half as much again is free", 150*mib - 1, 1000, 100 * mib, false},
		{"a small message leaves the reserve", 10 * mib, 1000, 1, true},
		{"the reserve is not for messages", 10*mib - 1, 1000, 1, false},
		{"a message of unknown size needs the reserve", 10 * mib, 1000, 0, true},
		{"a hundred files can be made", 1 << 40, 100, 1, true},
		{"fewer than a hundred files can be made", 1 << 40, 99, 1, false},
		{"a file system that counts no files", 1 << 40, fsys.Unlimited, 1, true},
		{"a size that no file has", 1 << 40, 1000, math.MaxInt64, false},
		{"a size below nothing counts as unknown", 10 * mib, 1000, math.MinInt64, true},
		{"a disk that is full", 0, 0, 0, false},
	} {
		disk, s := crashSpool(t)
		disk.SetSpace(fsys.Space{Bytes: c.bytes, Files: c.files})
		err := s.Room(c.size)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.sentence, err)
		}
		if st := status.From(err); err != nil && (st.Reply() != 452 || st.Code() != status.Code{4, 3, 1} || st.Exit() != status.ExitTempFail) {
			t.Errorf("%s: %v", c.sentence, st)
		}
	}
}

// asked counts how often the file system was asked.
func asked(c *fsys.Crash) (n int) {
	for _, op := range c.Ops() {
		if op.Name == "statfs" {
			n++
		}
	}
	return n
}

func TestRoomIsAskedForOnceASecond(t *testing.T) {
	disk, s := crashSpool(t)
	now := testTime
	s.now = func() time.Time { return now }
	disk.SetSpace(fsys.Space{Bytes: 100 << 20, Files: 102})
	room := func(what string, size int64, want bool, calls int) {
		t.Helper()
		if err := s.Room(size); (err == nil) != want || asked(disk) != calls {
			t.Errorf("%s: %v after %d calls, want %v after %d", what, err, asked(disk), want, calls)
		}
	}
	room("the first", 1<<20, true, 1)
	room("another", 60<<20, true, 1)
	room("what was promised is not free, but the disk says it is", 60<<20, true, 2)
	room("a file more", 0, true, 2)
	room("and one", 0, true, 2)
	room("no file is left by our count, but by the disk's", 0, true, 3)
	disk.SetSpace(fsys.Space{})
	room("within the second", 1, true, 3)
	now = now.Add(roomAge)
	room("after it", 1, false, 4)
	disk.SetSpace(fsys.Space{Bytes: 100 << 20, Files: 1000})
	room("as soon as there is room", 1, true, 5)
	now = now.Add(-time.Hour)
	disk.SetSpace(fsys.Space{})
	room("the clock was set back", 1, false, 6)
}

func TestRoomOfADiskThatDoesNotAnswer(t *testing.T) {
	under, s := crashSpool(t)
	f := fsys.NewFaulty(under)
	s.fs = f
	f.FailAt(1, 1, syscall.EIO, nil)
	err := s.Room(1)
	if st := status.From(err); !errors.Is(err, syscall.EIO) || st.Class() != status.Temporary {
		t.Errorf("%v", err)
	}
	if err := s.Room(1); err != nil {
		t.Errorf("the next time: %v", err)
	}
}
