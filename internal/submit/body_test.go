package submit

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"postrider/internal/status"
)

// copied copies a body through blocks of the given size.
func copied(in string, dots bool, block int) string {
	var b bytes.Buffer
	w := &writer{to: &b, buf: make([]byte, 0, block)}
	(&input{src: strings.NewReader(in), buf: make([]byte, block), dots: dots}).copyBody(w)
	w.flush()
	return b.String()
}

// plainBody is what copyBody does, said in the simplest way.
func plainBody(in string, dots bool) string {
	var b strings.Builder
	for line := range strings.Lines(in) {
		line = strings.TrimRight(strings.TrimSuffix(line, "\n"), "\r")
		if dots && line == "." {
			break
		}
		b.WriteString(line + "\r\n")
	}
	return b.String()
}

func TestEveryShortBodyInBlocksOfEverySize(t *testing.T) {
	const alphabet, length = ".\r\na", 6
	var try func(string)
	try = func(in string) {
		for _, dots := range []bool{true, false} {
			want := plainBody(in, dots)
			for _, n := range []int{1, 2, 3, length} {
				if got := copied(in, dots, n); got != want {
					t.Fatalf("%q in blocks of %d, dots %v: %q, want %q", in, n, dots, got, want)
				}
			}
		}
		for i := 0; len(in) < length && i < len(alphabet); i++ {
			try(in + alphabet[i:i+1])
		}
	}
	try("")
}

func TestLinesAcrossBlocks(t *testing.T) {
	for _, line := range []string{"x", "\rx", "x\r", "\r\r\r\r\r", ".", ".\r", "..", "\r."} {
		for at := blockSize - 4; at <= blockSize+1; at++ {
			in := strings.Repeat("a", at-1) + "\n" + line + "\nafter"
			for _, dots := range []bool{true, false} {
				if got, want := copied(in, dots, blockSize), plainBody(in, dots); got != want {
					t.Errorf("%q at byte %d, dots %v: ends in %q, want %q", line, at, dots, got[at-1:], want[at-1:])
				}
			}
		}
	}
}

func TestNoLineIsKeptInMemory(t *testing.T) {
	for _, c := range []byte{'\r', 'a', 0, '\n', '.'} {
		in := newInput(io.LimitReader(repeat(c), 1<<20), true)
		w := newWriter(io.Discard, 0)
		if n := testing.AllocsPerRun(1, func() { in.copyBody(w) }); n > 100 {
			t.Errorf("%q: %v allocations", c, n)
		}
	}
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

func TestAReadErrorRefusesTheMessage(t *testing.T) {
	cause := errors.New("bad descriptor")
	for _, before := range []string{"", "Subject: s\n", "To: b@r", "To: b@r\n\ntext\n", "To: b@r\n\n" + strings.Repeat("text\n", 50_000)} {
		for _, o := range []Options{testOptions("bob@r.test"), faultOptions()} {
			in := io.MultiReader(strings.NewReader(before), iotest.ErrReader(cause))
			st, _ := refused(t, in, o)
			if st.Exit() != status.ExitIOErr || !errors.Is(st, cause) {
				t.Errorf("after %.20q, -t %v: exit %d, %v", before, o.Extract, st.Exit(), st)
			}
		}
	}
}

type emptyReads struct{}

func (emptyReads) Read([]byte) (int, error) { return 0, nil }

func TestAReaderWithoutProgressIsAnError(t *testing.T) {
	if st, _ := refused(t, emptyReads{}, testOptions("bob@r.test")); !errors.Is(st, io.ErrNoProgress) {
		t.Error(st)
	}
}

// A terminal gives an end of file once and then waits for more.
func TestTheEndIsReadOnce(t *testing.T) {
	for _, in := range []string{"", "Subject: s", "Subject: s\n\ntext", "Subject: s\n\ntext\n"} {
		r := &onceReader{r: strings.NewReader(in)}
		s, _ := memSpool(t)
		if _, err := Submit(r, s, testOptions("bob@r.test")); err != nil || r.ends != 1 {
			t.Errorf("%q: the end was read %d times, %v", in, r.ends, err)
		}
	}
}

type onceReader struct {
	r    io.Reader
	ends int
}

func (o *onceReader) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err == io.EOF {
		o.ends++
	}
	return n, err
}

func TestNothingIsReadBehindTheDot(t *testing.T) {
	in := io.MultiReader(strings.NewReader("Subject: s\n\ntext\n.\n"), iotest.ErrReader(errors.New("read on")))
	s, _ := memSpool(t)
	if _, err := Submit(in, s, testOptions("bob@r.test")); err != nil {
		t.Error(err)
	}
}
