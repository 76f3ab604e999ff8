package dns

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// maxFile is what is read of a hosts or resolv.conf file; the rest is ignored.
const maxFile = 8 << 20

// System is the resolver of this machine. It sees changes of /etc/hosts and /etc/resolv.conf. A missing
// /etc/resolv.conf means a server on this machine, as resolver(3) has it.
func System() (Resolver, error) {
	return system("/etc/hosts", "/etc/resolv.conf")
}

func system(hostsPath, confPath string) (Resolver, error) {
	hosts := &watched[*hostsFile]{path: hostsPath, parse: parseHosts}
	conf := &watched[resolvConf]{path: confPath, parse: parseResolvConf}
	if err := hosts.load(); err != nil {
		return nil, fmt.Errorf("cannot read the hosts file: %w", err)
	}
	if err := conf.load(); err != nil {
		return nil, fmt.Errorf("cannot read the resolver's configuration: %w", err)
	}
	return &resolver{
		asker:  &servers{conf: conf.get},
		hosts:  hosts.get,
		search: func() []string { return conf.get().search },
	}, nil
}

// watched is a parsed file that is read again when it has changed.
type watched[T any] struct {
	path  string
	parse func([]byte) T

	mu    sync.Mutex
	mtime time.Time
	size  int64
	read  bool
	value T
}

// get returns what the file says now or, when it cannot be read, what it said last.
func (w *watched[T]) get() T {
	_ = w.load() // reported when the resolver was made; a file that breaks later keeps its last meaning
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.value
}

func (w *watched[T]) load() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, err := os.Stat(w.path)
	if err == nil && w.read && now.ModTime().Equal(w.mtime) && now.Size() == w.size { // opening costs much more
		return nil
	}
	f, err := os.Open(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		w.value, w.read, w.mtime, w.size = w.parse(nil), true, time.Time{}, 0
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return err
	}
	w.value, w.read, w.mtime, w.size = w.parse(text), true, info.ModTime(), info.Size()
	return nil
}
