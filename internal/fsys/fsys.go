// Package fsys is the few file operations that a spool needs, as an interface with three implementations: OS
// does them, Faulty makes a chosen one fail, and Crash keeps a file system in memory that can lose its power
// and then holds only what was made durable.
//
// What the package assumes of a file system, and what Crash therefore keeps to: rename is atomic, also across
// a power cut and between two directories of one file system; a file's bytes are durable after Sync of the
// file and its name after SyncDir of the directory, and neither carries the other with it.
package fsys

import (
	"errors"
	"io"
	"math"
	"time"
)

// ErrLocked says that somebody else holds a conflicting lock.
var ErrLocked = errors.New("locked by another process")

// FS is a file system. Names are paths. Errors are *fs.PathError around a syscall.Errno, so errors.Is works
// with fs.ErrNotExist and with syscall.ENOSPC alike.
type FS interface {
	// Create makes a file of mode 0600 that must not exist, open for reading and writing.
	Create(name string) (File, error)
	// Append opens a file for writing at its end and makes it with mode 0600 when it is missing.
	Append(name string) (File, error)
	// Open opens an existing file for reading. The last element of name is not followed if it is a link.
	Open(name string) (File, error)
	// TryLock takes a lock on an existing file without waiting. The lock belongs to the inode: it stays
	// when the file is renamed. The error is ErrLocked when the lock is held in a conflicting way.
	TryLock(name string, exclusive bool) (Lock, error)
	// Rename gives a file another name. A file that has that name already is an error, fs.ErrExist.
	Rename(from, to string) error
	// Replace gives a file another name, and takes that name from the file that may have it: whoever looks finds the one
	// or the other. A link is replaced, and not what it leads to.
	Replace(from, to string) error
	// Remove takes a file's name away.
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// ReadDir calls fn with each name in a directory, in no order, until fn returns an error. Names that
	// come or go meanwhile may or may not be seen.
	ReadDir(name string, fn func(name string) error) error
	// Stat tells of the file that has the name, without following a link.
	Stat(name string) (Info, error)
	// Mkdir makes a directory of mode 0700.
	Mkdir(name string) error
	// Space tells what is free on the file system that holds name. A link is followed.
	Space(name string) (Space, error)
}

// File is an open regular file. Sync makes its bytes durable, not its name. Lock takes the exclusive lock that
// TryLock would, without another opening; Unlock or Close gives it back. Become gives the file an owner, a group and
// permission bits; an owner and group that it has need no privilege.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (Info, error)
	Lock() error
	Unlock() error
	Become(uid, gid, mode uint32) error
}

// Lock is a lock that is held. Release gives it back; Stat tells of the locked file.
type Lock interface {
	Stat() (Info, error)
	Release() error
}

// Info is what the spool wants to know of a file.
type Info struct {
	Size    int64
	ModTime time.Time
	Changed time.Time // bytes, names, owner or mode
	Regular bool
	Dev     uint64
	Ino     uint64
	Links   uint64
	UID     uint32
	GID     uint32
	Mode    uint32 // permission bits
}

// Space is what a file system has left. What it does not count is Unlimited.
type Space struct {
	Bytes int64 // for users without privileges
	Files int64 // that can still be made
}

// Unlimited is more of anything than there is.
const Unlimited = math.MaxInt64

// Same tells whether two Infos are of one file.
func (i Info) Same(j Info) bool { return i.Dev == j.Dev && i.Ino == j.Ino }
