package queue

import (
	"time"

	"postrider/internal/fsys"
)

// Sink takes a message to somebody who commits it for us. Write gets a queue file from its beginning, but for its measured
// line, which is of no use; Commit says that this was all, and waits for what becomes of it.
type Sink interface {
	Write(p []byte) (int, error)
	Commit() error
}

// HandOver makes a Draft that goes to a sink, with the ID that it is to have. Its Commit is the sink's, wrapped in a temporary
// *status.Status; after Abort the sink gets nothing more.
func HandOver(id ID, e Envelope, to Sink) (*Draft, error) {
	d, err := newSpool("", Options{FS: handover{to: to}, Now: time.Now}).NewDraft(e)
	if err == nil {
		d.id = id
	}
	return d, err
}

// handover is as much of a file system as a Draft needs.
type handover struct {
	fsys.FS // there is none
	to      Sink
}

func (h handover) Create(string) (fsys.File, error) { return handoverFile{to: h.to}, nil }
func (h handover) Rename(string, string) error      { return h.to.Commit() }
func (h handover) Remove(string) error              { return nil }
func (h handover) SyncDir(string) error             { return nil }

type handoverFile struct {
	fsys.File
	to Sink
}

func (f handoverFile) Write(p []byte) (int, error)            { return f.to.Write(p) }
func (f handoverFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (f handoverFile) Sync() error                            { return nil }
func (f handoverFile) Lock() error                            { return nil }
func (f handoverFile) Unlock() error                          { return nil }
func (f handoverFile) Close() error                           { return nil }
