package queue

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"postrider/internal/fsys"
)

// originsFile names the messages that were taken in from the queues of other mail systems.
const originsFile = "origins"

// maxOrigins bounds what is read of it.
const maxOrigins = 256 << 20

// Origins is the record of messages that were taken in from elsewhere, by keys of their reader's making, so that none is
// taken twice. Who takes one in commits it as held, adds its key, and then releases it: whatever a crash interrupts, the
// message is in the record or held, and has not been delivered. Only one process at a time has it.
type Origins struct {
	s    *Spool
	file fsys.File
	keys map[string]struct{}
	torn bool // the file may end in a part of a line
}

// Origins opens the record. The error is ErrBusy when somebody else has it.
func (s *Spool) Origins() (*Origins, error) {
	f, err := s.fs.Append(s.path(originsFile))
	if err != nil {
		return nil, failed("origins", err)
	}
	o := &Origins{s: s, file: f, keys: map[string]struct{}{}}
	switch err = f.Lock(); {
	case errors.Is(err, fsys.ErrLocked):
		f.Close()
		return nil, ErrBusy
	case err == nil:
		err = o.load()
	}
	if err != nil {
		f.Close()
		return nil, failed("origins", err)
	}
	return o, nil
}

// load reads the record. A line that a crash has torn is none.
func (o *Origins) load() error {
	text, err := io.ReadAll(io.NewSectionReader(o.file, 0, maxOrigins+1))
	if err != nil {
		return err
	}
	if len(text) > maxOrigins {
		return fmt.Errorf("%s is larger than %d bytes", originsFile, maxOrigins)
	}
	o.torn = len(text) > 0 && text[len(text)-1] != '\n'
	for line := range strings.Lines(string(text)) {
		if word, ok := cutChecked(strings.TrimSuffix(line, "\n")); ok {
			if key, ok := readWord(word); ok {
				o.keys[key] = struct{}{}
			}
		}
	}
	return nil
}

// Has tells whether a message was taken in.
func (o *Origins) Has(key string) bool {
	_, ok := o.keys[key]
	return ok
}

// Add records messages. It is durable when Add returns nil; after an error it is not known what is recorded.
func (o *Origins) Add(keys ...string) error {
	var text []byte
	if o.torn {
		text = append(text, '\n')
	}
	for _, key := range keys {
		text = appendChecked(text, appendWord(nil, key))
	}
	o.torn = true
	_, err := o.file.Write(text)
	if err == nil {
		o.torn = false
		err = o.file.Sync()
	}
	if err == nil {
		err = o.s.fs.SyncDir(o.s.path())
	}
	if err != nil {
		return failed("origins", err)
	}
	for _, key := range keys {
		o.keys[key] = struct{}{}
	}
	return nil
}

// Close gives the record back.
func (o *Origins) Close() error { return o.file.Close() }
