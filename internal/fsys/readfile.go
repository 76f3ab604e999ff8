package fsys

import (
	"errors"
	"io"
	"slices"

	"golang.org/x/sys/unix"
)

var errNotRegular = errors.New("not a regular file")

// OpenFile opens an existing file for reading. It is for files of the system and of the configuration, so other than in
// FS links are followed. A FIFO or a device is not waited for.
func OpenFile(name string) (File, error) { return openLink(name, unix.O_RDONLY|unix.O_NONBLOCK) }

// StatFile tells of the file that has the name, or that a link of this name leads to.
func StatFile(name string) (Info, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(name, &st) }); err != nil {
		return Info{}, pathError("stat", name, err)
	}
	return info(&st), nil
}

// ReadFile returns what a regular file holds, or its first max bytes. The file is opened as OpenFile does; a FIFO or a device is an
// error.
//
// Unlike os.ReadFile it needs one descriptor and no poller: a program that has run out of descriptors gets an
// error where package os would end it.
func ReadFile(name string, max int) ([]byte, error) {
	f, err := OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Regular {
		return nil, pathError("read", name, errNotRegular)
	}
	text := make([]byte, 0, min(st.Size, int64(max))+1) // one more, to see the end of it
	for len(text) < max {
		text = slices.Grow(text, 1)
		n, err := f.Read(text[len(text):min(cap(text), max)])
		text = text[:len(text)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}
