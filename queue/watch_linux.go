package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// Watch reports what other processes make ready to be tried: each message that was accepted, when its writer
// has let go of it, and each that came to wait in cur/. The zero Entry means that something was missed and the
// directories must be read. The channel is closed when ctx ends.
func (s *Spool) Watch(ctx context.Context) (<-chan Entry, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, failed("watch", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	states := map[int32]State{}
	for _, w := range []struct {
		state State
		mask  uint32
	}{{New, unix.IN_CLOSE_WRITE}, {Cur, unix.IN_MOVED_TO}} {
		wd, err := unix.InotifyAddWatch(fd, s.path(w.state.dir()), w.mask|unix.IN_ONLYDIR)
		if err != nil {
			f.Close()
			return nil, failed("watch", err)
		}
		states[int32(wd)] = w.state
	}
	ch := make(chan Entry, 256)
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer close(ch)
		defer stop()
		defer f.Close()
		readEvents(ctx, f, states, ch)
	}()
	return ch, nil
}

func readEvents(ctx context.Context, f *os.File, states map[int32]State, ch chan<- Entry) {
	buf := make([]byte, blockSize)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00"))
			b = b[end:]
			e, ok := parseName(states[wd], name)
			if mask&unix.IN_Q_OVERFLOW != 0 {
				e, ok = Entry{}, true
			}
			if !ok {
				continue
			}
			select {
			case ch <- e:
			case <-ctx.Done():
				return
			}
		}
	}
}
