package local

import (
	"io"
	"strings"
	"testing"
)

func TestScanHeader(t *testing.T) {
	const rcpt = "alice@example.org"
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, in, kept   string
		looped, headless bool
	}{
		{"nothing to do", "A: 1\r\n\r\nbody", "A: 1\r\n\r\nbody", false, false},
		{"Return-Path goes, with its continuation", "A: 1\r\nreturn-path: <x>\r\n y\r\nB: 2\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n", false, false},
		{"two in a row go", "Return-Path: a\r\nReturn-Path: b\r\n\r\nReturn-Path: c\r\n", "\r\nReturn-Path: c\r\n", false, false},
		{"a long one goes", "Return-Path: " + long + "\r\nA: 1\r\n", "A: 1\r\n", false, false},
		{"a long line is one line", "A: " + long + "Return-Path: x\r\n\r\n", "A: " + long + "Return-Path: x\r\n\r\n", false, false},
		{"our own Delivered-To is a loop", "A: 1\r\nDelivered-To : alice@example.ORG \r\n\r\n", "A: 1\r\nDelivered-To : alice@example.ORG \r\n\r\n", true, false},
		{"another's is none", "Delivered-To: alice@example.org.uk\r\n\r\n", "Delivered-To: alice@example.org.uk\r\n\r\n", false, false},
		{"in the body it is none", "A: 1\r\n\r\nDelivered-To: alice@example.org\r\n", "A: 1\r\n\r\nDelivered-To: alice@example.org\r\n", false, false},
		{"text ends the header", "A: 1\r\nno field\r\nReturn-Path: x\r\n", "A: 1\r\nno field\r\nReturn-Path: x\r\n", false, false},
		{"a message without header", "hello world\r\n", "hello world\r\n", false, true},
		{"a message that begins with a blank", " hello\r\n", " hello\r\n", false, true},
		{"an empty header", "\r\nhello\r\n", "\r\nhello\r\n", false, false},
		{"an empty message", "", "", false, true},
		{"a header and nothing more", "A: 1", "A: 1", false, false},
	} {
		body := io.NewSectionReader(strings.NewReader(c.in), 0, int64(len(c.in)))
		h, err := scanHeader(body, rcpt)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		kept, _ := io.ReadAll(io.MultiReader(h.kept(body)...))
		if string(kept) != c.kept || h.looped != c.looped || h.headless != c.headless {
			t.Errorf("%s: looped %v, headless %v, %.200q", c.name, h.looped, h.headless, kept)
		}
	}
}

func TestManyReturnPathsTakeBoundedMemory(t *testing.T) {
	in := strings.Repeat("Return-Path: x\r\nA: 1\r\n", 10_000)
	h, err := scanHeader(strings.NewReader(in), "a")
	if err != nil || len(h.cuts) != maxCuts {
		t.Errorf("%d cuts, %v", len(h.cuts), err)
	}
}

// What is kept is the input less some of its lines; the body is never touched.
func FuzzScanHeader(f *testing.F) {
	for _, s := range []string{"", "A: 1\r\nReturn-Path: <x>\r\n y\r\n\r\nReturn-Path: z\r\n", "Return-Path:\nDelivered-To: a\n", " x\r\n:\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		body := io.NewSectionReader(strings.NewReader(in), 0, int64(len(in)))
		h, err := scanHeader(body, "a")
		if err != nil {
			t.Fatal(err)
		}
		kept, err := io.ReadAll(io.MultiReader(h.kept(body)...))
		if err != nil {
			t.Fatal(err)
		}
		cut := 0
		for _, c := range h.cuts {
			gone := in[c.start:c.end]
			if !strings.EqualFold(gone[:min(11, len(gone))], "return-path") {
				t.Fatalf("cut %q", gone)
			}
			cut += len(gone)
		}
		if len(kept)+cut != len(in) {
			t.Fatalf("%d bytes of %d are kept and %d cut", len(kept), len(in), cut)
		}
		if _, text, ok := strings.Cut(in, "\r\n\r\n"); ok && !strings.HasSuffix(string(kept), text) {
			t.Fatalf("the body was touched: %q", kept)
		}
	})
}
