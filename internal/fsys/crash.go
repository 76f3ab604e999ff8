package fsys

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"
)

// ErrPowerCut is what every operation returns after the power was cut.
var ErrPowerCut = errors.New("power cut")

// Survival says what a power cut leaves of what was not made durable.
type Survival int

const (
	// Strict keeps only what was synced: bytes by Sync, names by SyncDir.
	Strict Survival = iota
	// Loose keeps everything: the cache happened to be written out.
	Loose
	// Zeros keeps all names and sizes, but bytes that were not synced read as zero, as after a delayed
	// allocation.
	Zeros
	// Random keeps of each file's unsynced bytes all, a part or none, and of the unsynced names a random
	// choice in which one file's changes stay in order.
	Random
)

// Crash is a file system in memory that can lose its power. It is safe for concurrent use. Directories exist
// by Mkdir or NewCrash and are durable at once; nothing in a spool depends on the order of mkdir.
type Crash struct {
	Now func() time.Time // the clock for modification times; nil: time.Now

	mu      sync.Mutex
	dirs    map[string]*crashDir
	space   Space
	pending []nameChange // changes of names that no SyncDir has covered, oldest first
	nextIno uint64
	left    int // operations until the power goes; <0: no limit
	off     bool
	ops     []Op
}

type crashDir struct {
	names   map[string]*inode // what a reader sees
	durable map[string]*inode
}

type inode struct {
	ino    uint64
	data   []byte
	synced []byte // what Sync made durable
	mtime  time.Time
	owner  crashOwner
	readers,
	writers int // locks held
}

// crashOwner is what Become sets. It is durable at once.
type crashOwner struct{ uid, gid, mode uint32 }

// nameChange takes the name old away (if any) and gives the name new (if any) to one inode.
type nameChange struct {
	node     *inode
	old, new string
}

// NewCrash makes an empty file system with the given directories.
func NewCrash(dirs ...string) *Crash {
	c := &Crash{dirs: map[string]*crashDir{}, left: -1, space: Space{Bytes: Unlimited, Files: Unlimited}}
	for _, d := range dirs {
		c.dirs[path.Clean(d)] = newCrashDir()
	}
	return c
}

func newCrashDir() *crashDir {
	return &crashDir{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// CutAfter lets n more operations succeed; the next, and all after it, return ErrPowerCut and change nothing.
func (c *Crash) CutAfter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = n
}

// Ops are all operations so far.
func (c *Crash) Ops() []Op {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Op(nil), c.ops...)
}

// Reboot returns the file system as the next start finds it: no locks, no open files, power on. The old value
// is off for good. rnd is used for Random only.
func (c *Crash) Reboot(how Survival, rnd *rand.Rand) *Crash {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
	if how != Strict {
		for _, ch := range c.survivors(how, rnd) {
			c.apply(ch)
		}
	}
	next := &Crash{Now: c.Now, dirs: map[string]*crashDir{}, nextIno: c.nextIno, left: -1, space: c.space}
	copies := map[*inode]*inode{}
	for _, name := range slices.Sorted(maps.Keys(c.dirs)) {
		d, nd := c.dirs[name], newCrashDir()
		for _, n := range slices.Sorted(maps.Keys(d.durable)) {
			node := d.durable[n]
			cp := copies[node]
			if cp == nil {
				data := node.surviving(how, rnd)
				cp = &inode{ino: node.ino, data: data, synced: append([]byte(nil), data...), mtime: node.mtime, owner: node.owner}
				copies[node] = cp
			}
			nd.names[n], nd.durable[n] = cp, cp
		}
		next.dirs[name] = nd
	}
	return next
}

// survivors chooses which pending changes of names outlive the power cut.
func (c *Crash) survivors(how Survival, rnd *rand.Rand) []nameChange {
	if how != Random {
		return c.pending
	}
	var kept []nameChange
	stopped := map[*inode]bool{}
	for _, ch := range c.pending {
		if stopped[ch.node] || rnd.Intn(2) == 0 {
			stopped[ch.node] = true
			continue
		}
		kept = append(kept, ch)
	}
	return kept
}

func (n *inode) surviving(how Survival, rnd *rand.Rand) []byte {
	switch how {
	case Loose:
		return append([]byte(nil), n.data...)
	case Zeros:
		d := make([]byte, len(n.data))
		copy(d, n.synced)
		return d
	case Random:
		switch rnd.Intn(3) {
		case 0:
			return append([]byte(nil), n.data...)
		case 1:
			if len(n.data) > len(n.synced) {
				return append([]byte(nil), n.data[:len(n.synced)+rnd.Intn(len(n.data)-len(n.synced))]...)
			}
		}
	}
	return append([]byte(nil), n.synced...)
}

// step counts an operation; with the power gone it fails.
func (c *Crash) step(op, name string) error {
	if c.off || c.left == 0 {
		c.off = true
		return pathError(op, name, ErrPowerCut)
	}
	if c.left > 0 {
		c.left--
	}
	c.ops = append(c.ops, Op{op, name})
	return nil
}

func (c *Crash) dir(op, name string) (*crashDir, string, error) {
	d := c.dirs[path.Dir(name)]
	if d == nil {
		return nil, "", pathError(op, name, fs.ErrNotExist)
	}
	return d, path.Base(name), nil
}

func (c *Crash) lookup(op, name string) (*inode, error) {
	d, base, err := c.dir(op, name)
	if err != nil {
		return nil, err
	}
	if n := d.names[base]; n != nil {
		return n, nil
	}
	return nil, pathError(op, name, fs.ErrNotExist)
}

// apply makes one change of names durable.
func (c *Crash) apply(ch nameChange) {
	if ch.old != "" {
		delete(c.dirs[path.Dir(ch.old)].durable, path.Base(ch.old))
	}
	if ch.new != "" {
		c.dirs[path.Dir(ch.new)].durable[path.Base(ch.new)] = ch.node
	}
}

func (c *Crash) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Crash) create(op, name string, exclusive bool) (*inode, error) {
	d, base, err := c.dir(op, name)
	if err != nil {
		return nil, err
	}
	if n := d.names[base]; n != nil {
		if exclusive {
			return nil, pathError(op, name, syscall.EEXIST)
		}
		return n, nil
	}
	c.nextIno++
	n := &inode{ino: c.nextIno, mtime: c.now(), owner: crashOwner{uint32(os.Geteuid()), uint32(os.Getegid()), 0o600}}
	d.names[base] = n
	c.pending = append(c.pending, nameChange{node: n, new: name})
	return n, nil
}

// Create implements FS.
func (c *Crash) Create(name string) (File, error) { return c.open("create", name, true) }

// Append implements FS.
func (c *Crash) Append(name string) (File, error) { return c.open("append", name, false) }

func (c *Crash) open(op, name string, exclusive bool) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(op, name); err != nil {
		return nil, err
	}
	n, err := c.create(op, name, exclusive)
	if err != nil {
		return nil, err
	}
	return &crashFile{c: c, node: n, name: name, atEnd: !exclusive}, nil
}

// Open implements FS.
func (c *Crash) Open(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("open", name); err != nil {
		return nil, err
	}
	n, err := c.lookup("open", name)
	if err != nil {
		return nil, err
	}
	return &crashFile{c: c, node: n, name: name}, nil
}

// TryLock implements FS.
func (c *Crash) TryLock(name string, exclusive bool) (Lock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("lock", name); err != nil {
		return nil, err
	}
	n, err := c.lookup("lock", name)
	if err != nil {
		return nil, err
	}
	return c.lock(n, name, exclusive)
}

func (c *Crash) lock(n *inode, name string, exclusive bool) (*crashLock, error) {
	if n.writers > 0 || exclusive && n.readers > 0 {
		return nil, pathError("lock", name, ErrLocked)
	}
	if exclusive {
		n.writers++
	} else {
		n.readers++
	}
	return &crashLock{c: c, node: n, exclusive: exclusive}, nil
}

// Rename implements FS.
func (c *Crash) Rename(from, to string) error { return c.rename("rename", from, to, false) }

// Replace implements FS.
func (c *Crash) Replace(from, to string) error { return c.rename("replace", from, to, true) }

func (c *Crash) rename(op, from, to string, replace bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(op, from); err != nil {
		return err
	}
	n, err := c.lookup(op, from)
	if err != nil {
		return err
	}
	d, base, err := c.dir(op, to)
	if err != nil {
		return err
	}
	if d.names[base] != nil && !replace {
		return pathError(op, to, syscall.EEXIST)
	}
	delete(c.dirs[path.Dir(from)].names, path.Base(from))
	d.names[base] = n
	c.pending = append(c.pending, nameChange{node: n, old: from, new: to})
	return nil
}

// Remove implements FS.
func (c *Crash) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("remove", name); err != nil {
		return err
	}
	n, err := c.lookup("remove", name)
	if err != nil {
		return err
	}
	delete(c.dirs[path.Dir(name)].names, path.Base(name))
	c.pending = append(c.pending, nameChange{node: n, old: name})
	return nil
}

// SyncDir implements FS: the pending changes in the directory become durable, and with them those changes of
// the same files, in other directories, that came before.
func (c *Crash) SyncDir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("syncdir", name); err != nil {
		return err
	}
	name = path.Clean(name)
	if c.dirs[name] == nil {
		return pathError("syncdir", name, fs.ErrNotExist)
	}
	last := map[*inode]int{} // the newest change of each file that the directory has seen
	for i, ch := range c.pending {
		if ch.old != "" && path.Dir(ch.old) == name || ch.new != "" && path.Dir(ch.new) == name {
			last[ch.node] = i
		}
	}
	var rest []nameChange
	for i, ch := range c.pending {
		if newest, ok := last[ch.node]; ok && i <= newest {
			c.apply(ch)
		} else {
			rest = append(rest, ch)
		}
	}
	c.pending = rest
	return nil
}

// ReadDir implements FS.
func (c *Crash) ReadDir(name string, fn func(string) error) error {
	names, err := c.list(name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := fn(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *Crash) list(name string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("readdir", name); err != nil {
		return nil, err
	}
	d := c.dirs[path.Clean(name)]
	if d == nil {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	return slices.Sorted(maps.Keys(d.names)), nil
}

// Stat implements FS.
func (c *Crash) Stat(name string) (Info, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("stat", name); err != nil {
		return Info{}, err
	}
	if c.dirs[path.Clean(name)] != nil {
		return Info{}, nil
	}
	n, err := c.lookup("stat", name)
	if err != nil {
		return Info{}, err
	}
	return n.info(), nil
}

// Mkdir implements FS.
func (c *Crash) Mkdir(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("mkdir", name); err != nil {
		return err
	}
	if c.dirs[path.Clean(name)] != nil {
		return pathError("mkdir", name, syscall.EEXIST)
	}
	c.dirs[path.Clean(name)] = newCrashDir()
	return nil
}

// SetSpace sets what Space tells. Writing uses nothing up.
func (c *Crash) SetSpace(s Space) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.space = s
}

// Space implements FS.
func (c *Crash) Space(name string) (Space, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step("statfs", name); err != nil {
		return Space{}, err
	}
	return c.space, nil
}

func (n *inode) info() Info {
	return Info{Size: int64(len(n.data)), ModTime: n.mtime, Changed: n.mtime, Regular: true, Dev: 1, Ino: n.ino, Links: 1,
		UID: n.owner.uid, GID: n.owner.gid, Mode: n.owner.mode}
}

type crashLock struct {
	c         *Crash
	node      *inode
	exclusive bool
}

func (l *crashLock) Stat() (Info, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.node.info(), nil
}

func (l *crashLock) Release() error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.node == nil {
		return nil
	}
	if l.exclusive {
		l.node.writers--
	} else {
		l.node.readers--
	}
	l.node = nil
	return nil
}

type crashFile struct {
	c      *Crash
	node   *inode
	name   string
	off    int64
	atEnd  bool
	locked *crashLock
}

func (f *crashFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step("read", f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) Write(p []byte) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.atEnd {
		f.off = int64(len(f.node.data))
	}
	n, err := f.writeAt(p, f.off)
	f.off += int64(n)
	return n, err
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return f.writeAt(p, off)
}

func (f *crashFile) writeAt(p []byte, off int64) (int, error) {
	if err := f.c.step("write", f.name); err != nil {
		return 0, err
	}
	if need := off + int64(len(p)) - int64(len(f.node.data)); need > 0 {
		f.node.data = append(f.node.data, make([]byte, need)...)
	}
	f.node.mtime = f.c.now()
	return copy(f.node.data[off:], p), nil
}

func (f *crashFile) Sync() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step("fsync", f.name); err != nil {
		return err
	}
	f.node.synced = append([]byte(nil), f.node.data...)
	return nil
}

func (f *crashFile) Truncate(size int64) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step("truncate", f.name); err != nil {
		return err
	}
	f.node.data = append(f.node.data[:min(size, int64(len(f.node.data)))], make([]byte, max(0, size-int64(len(f.node.data))))...)
	return nil
}

func (f *crashFile) Become(uid, gid, mode uint32) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step("become", f.name); err != nil {
		return err
	}
	f.node.owner = crashOwner{uid, gid, mode}
	return nil
}

func (f *crashFile) Stat() (Info, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step("fstat", f.name); err != nil {
		return Info{}, err
	}
	return f.node.info(), nil
}

func (f *crashFile) Lock() (err error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step("lock", f.name); err != nil {
		return err
	}
	f.locked, err = f.c.lock(f.node, f.name, true)
	return err
}

// Unlock needs no power and is not counted.
func (f *crashFile) Unlock() error {
	if f.locked == nil {
		return nil
	}
	return f.locked.Release()
}

// Close needs no power and is not counted.
func (f *crashFile) Close() error { return f.Unlock() }
