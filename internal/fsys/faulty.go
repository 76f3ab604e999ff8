package fsys

import (
	"errors"
	"sync"
	"syscall"
)

// Op is one operation that went through a Faulty or a Crash: its name and the path that it was on.
type Op struct{ Name, Path string }

// ErrShort asks Faulty for a short write: half of the bytes arrive, then ENOSPC. Operations other than
// writes fail with ENOSPC alone.
var ErrShort = errors.New("short write")

// Faulty is a file system whose operations fail when a test says so. It is safe for concurrent use.
type Faulty struct {
	under FS
	mu    sync.Mutex
	ops   []Op
	at    int // operation to fail, counted from 1; 0: none
	until int // last operation to fail
	err   error
	only  func(Op) bool
}

// NewFaulty makes a Faulty over another file system; until FailAt is called nothing fails.
func NewFaulty(under FS) *Faulty { return &Faulty{under: under} }

// FailAt forgets the operations so far and makes the n-th from now (from 1) fail with err, and the times-1
// operations after it. Operations that only is given and does not accept are not counted.
func (f *Faulty) FailAt(n, times int, err error, only func(Op) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops, f.at, f.until, f.err, f.only = nil, n, n+times-1, err, only
}

// Ops are the operations since FailAt, or since the start.
func (f *Faulty) Ops() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Op(nil), f.ops...)
}

// Struck tells whether an operation has failed since FailAt.
func (f *Faulty) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at > 0 && len(f.ops) >= f.at
}

// step counts an operation and returns the error it is to fail with.
func (f *Faulty) step(name, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := Op{name, path}
	if f.only != nil && !f.only(op) {
		return nil
	}
	f.ops = append(f.ops, op)
	if n := len(f.ops); n < f.at || n > f.until || f.at == 0 {
		return nil
	}
	if f.err == ErrShort {
		if name == "write" {
			return ErrShort
		}
		return pathError(name, path, syscall.ENOSPC)
	}
	return pathError(name, path, f.err)
}

func (f *Faulty) file(op, name string, open func(string) (File, error)) (File, error) {
	if err := f.step(op, name); err != nil {
		return nil, err
	}
	u, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: u, fs: f, name: name}, nil
}

// Create implements FS.
func (f *Faulty) Create(name string) (File, error) { return f.file("create", name, f.under.Create) }

// Append implements FS.
func (f *Faulty) Append(name string) (File, error) { return f.file("append", name, f.under.Append) }

// Open implements FS.
func (f *Faulty) Open(name string) (File, error) { return f.file("open", name, f.under.Open) }

// TryLock implements FS.
func (f *Faulty) TryLock(name string, exclusive bool) (Lock, error) {
	if err := f.step("lock", name); err != nil {
		return nil, err
	}
	return f.under.TryLock(name, exclusive)
}

// Rename implements FS.
func (f *Faulty) Rename(from, to string) error {
	if err := f.step("rename", from); err != nil {
		return err
	}
	return f.under.Rename(from, to)
}

// Replace implements FS.
func (f *Faulty) Replace(from, to string) error {
	if err := f.step("replace", from); err != nil {
		return err
	}
	return f.under.Replace(from, to)
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.step("remove", name); err != nil {
		return err
	}
	return f.under.Remove(name)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(name string) error {
	if err := f.step("syncdir", name); err != nil {
		return err
	}
	return f.under.SyncDir(name)
}

// ReadDir implements FS.
func (f *Faulty) ReadDir(name string, fn func(string) error) error {
	if err := f.step("readdir", name); err != nil {
		return err
	}
	return f.under.ReadDir(name, fn)
}

// Stat implements FS.
func (f *Faulty) Stat(name string) (Info, error) {
	if err := f.step("stat", name); err != nil {
		return Info{}, err
	}
	return f.under.Stat(name)
}

// Mkdir implements FS.
func (f *Faulty) Mkdir(name string) error {
	if err := f.step("mkdir", name); err != nil {
		return err
	}
	return f.under.Mkdir(name)
}

// Space implements FS.
func (f *Faulty) Space(name string) (Space, error) {
	if err := f.step("statfs", name); err != nil {
		return Space{}, err
	}
	return f.under.Space(name)
}

type faultyFile struct {
	File
	fs   *Faulty
	name string
}

func (f *faultyFile) Read(p []byte) (int, error) {
	if err := f.fs.step("read", f.name); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.step("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) Write(p []byte) (int, error) {
	return f.write(p, f.File.Write)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *faultyFile) write(p []byte, write func([]byte) (int, error)) (int, error) {
	err := f.fs.step("write", f.name)
	if err == ErrShort {
		n, err := write(p[:len(p)/2])
		if err == nil {
			err = pathError("write", f.name, syscall.ENOSPC)
		}
		return n, err
	}
	if err != nil {
		return 0, err
	}
	return write(p)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.step("fsync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.step("truncate", f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Lock() error {
	if err := f.fs.step("lock", f.name); err != nil {
		return err
	}
	return f.File.Lock()
}

func (f *faultyFile) Become(uid, gid, mode uint32) error {
	if err := f.fs.step("become", f.name); err != nil {
		return err
	}
	return f.File.Become(uid, gid, mode)
}

func (f *faultyFile) Stat() (Info, error) {
	if err := f.fs.step("fstat", f.name); err != nil {
		return Info{}, err
	}
	return f.File.Stat()
}

// Close closes the file even when it is to fail: a failed close leaves no descriptor behind.
func (f *faultyFile) Close() error {
	injected := f.fs.step("close", f.name)
	err := f.File.Close()
	if injected != nil {
		return injected
	}
	return err
}
