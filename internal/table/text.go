package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// text is the text of a table: a short one in memory, a long one in its file.
type text struct {
	*strings.Reader
	file *file
	size int64
}

// errChanged says that the file is not what it was when it was read.
var errChanged = errors.New("the table is being written")

// openText opens the file at path; "" is no text.
func openText(path string) (text, error) {
	if path == "" {
		return memory(""), nil
	}
	f, err := openFile(path)
	if err != nil {
		return text{}, err
	}
	switch size := f.stamp.size; {
	case size > maxFile:
		f.close()
		return text{}, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", maxFile)}
	case size > maxShort:
		return text{file: f, size: size}, nil
	}
	defer f.close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxShort+1))
	if err != nil {
		return text{}, err
	}
	return memory(string(b)), nil
}

func memory(s string) text { return text{Reader: strings.NewReader(s), size: int64(len(s))} }

func (x text) ReadAt(p []byte, at int64) (int, error) {
	if x.file != nil {
		return x.file.ReadAt(p, at)
	}
	return x.Reader.ReadAt(p, at)
}

func (x text) reader() io.Reader { return io.NewSectionReader(x, 0, x.size) }

// close ends the use of a text that nobody will look up anything in.
func (x text) close() {
	if x.file != nil {
		x.file.close()
	}
}

// steady is an error when the file has been written to since it was opened.
func (x text) steady() error {
	if x.file == nil {
		return nil
	}
	now, err := x.file.stat()
	if err != nil || now != x.file.stamp {
		return errChanged
	}
	return nil
}

// count is an upper bound of how many keys there are.
func (x text) count(words bool) (n int, err error) {
	r, buf := x.reader(), make([]byte, 64<<10)
	for n = 1; ; {
		k, err := r.Read(buf)
		n += bytes.Count(buf[:k], []byte("\n"))
		if words {
			n += bytes.Count(buf[:k], []byte(" ")) + bytes.Count(buf[:k], []byte("\t"))
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// line is the text from a place to the end of the line, without blanks at its end.
func (x text) line(at int64) (string, error) {
	var room [256]byte
	buf := room[:]
	for {
		n, err := x.ReadAt(buf, at)
		if end := bytes.IndexByte(buf[:n], '\n'); end >= 0 {
			return string(bytes.TrimRight(buf[:end], "\r \t")), nil
		}
		switch {
		case err == io.EOF:
			return string(bytes.TrimRight(buf[:n], "\r \t")), nil
		case err != nil:
			return "", err
		case len(buf) > maxLine:
			return "", errChanged
		}
		buf = make([]byte, maxLine+1)
	}
}

// file is a regular file that is open for reading. Package os would end a program that has run out of descriptors.
type file struct {
	fd    int
	path  string
	stamp stamp
}

// stamp tells one state of a file's text from another. The time of its last change of any kind would not do: it is
// another when the file loses its name.
type stamp struct {
	mtime syscall.Timespec
	size  int64
}

var (
	errIrregular = errors.New("not a regular file")
	errWritable  = errors.New("everybody may write it")
)

// openFile opens a file, through links. A FIFO is not waited for.
func openFile(path string) (*file, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := &file{fd: fd, path: path}
	runtime.SetFinalizer(f, (*file).close) // lookups may go on in a table that another has taken the place of
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		f.close()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if err := trusted(os.FileMode(st.Mode&0o777), st.Mode&syscall.S_IFMT == syscall.S_IFREG); err != nil {
		f.close()
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	f.stamp = stamp{st.Mtim, st.Size}
	return f, nil
}

// trusted tells why a file is not to be believed.
func trusted(mode os.FileMode, regular bool) error {
	switch {
	case !regular:
		return errIrregular
	case mode&0o002 != 0:
		return errWritable
	}
	return nil
}

func (f *file) close() {
	runtime.SetFinalizer(f, nil)
	syscall.Close(f.fd)
}

func (f *file) stat() (stamp, error) {
	var st syscall.Stat_t
	err := syscall.Fstat(f.fd, &st)
	runtime.KeepAlive(f)
	return stamp{st.Mtim, st.Size}, err
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		k, err := syscall.Pread(f.fd, p[n:], at+int64(n))
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return n, &fs.PathError{Op: "read", Path: f.path, Err: err}
		case k == 0:
			return n, io.EOF
		}
		n += k
	}
	runtime.KeepAlive(f)
	return n, nil
}
