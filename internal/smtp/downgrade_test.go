package smtp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
)

// convert downgrades a message as a session does; LF in the arguments stands for CRLF.
func convert(in string) (string, error) {
	in = strings.ReplaceAll(in, "\n", "\r\n")
	p, st := planBody(Message{Body: section(in), EightBit: true}, extensions{}, false)
	if st != nil {
		return "", st
	}
	out, err := io.ReadAll(p.open(Message{Body: section(in)}))
	if err == nil && p.size != int64(len(out)) {
		err = errors.New("planned and real size differ")
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n"), err
}

func TestDowngrade(t *testing.T) {
	const mime = "MIME-Version: 1.0\n"
	for _, c := range []struct{ name, in, want string }{
		{"no MIME, no conversion", "A: b\n\ngrün\n", "A: b\n\ngrün\n"},
		{"a MIME-Version in the body is none", "A: b\n\nMIME-Version: 1.0\ngrün\n", "A: b\n\nMIME-Version: 1.0\ngrün\n"},
		{"text becomes quoted-printable", mime + "content-transfer-encoding:\n 8bit\nA: b\n\ngrün = \n\tx\n",
			mime + "A: b\nContent-Transfer-Encoding: quoted-printable\n\ngr=C3=BCn =3D=20\n\tx\n"},
		{"other things become base64", mime + "Content-Type: application/x\n\ngrün\n",
			mime + "Content-Type: application/x\nContent-Transfer-Encoding: base64\n\nZ3LDvG4NCg==\n"},
		{"text without a label too, when it has 8-bit bytes", mime + "\nü\n", mime + "Content-Transfer-Encoding: quoted-printable\n\n=C3=BC\n"},
		{"long lines are broken softly", mime + "\n" + strings.Repeat("x", 74) + "üx\n",
			mime + "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("x", 74) + "=\n=C3=BCx\n"},
		{"parts are treated each by itself", mime + "Content-Type: multipart/mixed;\n boundary=\"a b\"\nContent-Transfer-Encoding: 8bit\n\npreamble ü\n--a b\n\nplain\n--a b\nContent-Type: TEXT/html\n\nü\n--a b  \nContent-Type: image/x\nContent-Transfer-Encoding: binary\n\nü\n--a b--\nepilogue ü\n",
			mime + "Content-Type: multipart/mixed;\n boundary=\"a b\"\nContent-Transfer-Encoding: 7bit\n\npreamble ?\n--a b\n\nplain\n--a b\nContent-Type: TEXT/html\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--a b  \nContent-Type: image/x\nContent-Transfer-Encoding: base64\n\nw7w=\n--a b--\nepilogue ?\n"},
		{"an outer boundary ends an inner multipart", mime + "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nü\n--o\n\nü\n--i\n--o--\n",
			mime + "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--o\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--i\n--o--\n"},
		{"a message within is gone through", mime + "Content-Type: message/rfc822\n\nSubject: x\nContent-Type: application/x\n\nü\n",
			mime + "Content-Type: message/rfc822\n\nSubject: x\nContent-Type: application/x\nContent-Transfer-Encoding: base64\n\nw7wNCg==\n"},
		{"a digest holds messages", mime + "Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: y\n\nü\n--x--\n",
			mime + "Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: y\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--x--\n"},
		{"what is encoded stays", mime + "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Transfer-Encoding: BASE64\n\nw7w=\n--x\n\nü\n--x--\n",
			mime + "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Transfer-Encoding: BASE64\n\nw7w=\n--x\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--x--\n"},
		{"a part may be a header alone", mime + "Content-Type: multipart/mixed; boundary=x\n\n--x\nA: b\n--x\n\nü\n",
			mime + "Content-Type: multipart/mixed; boundary=x\n\n--x\nA: b\n--x\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n"},
	} {
		if got, err := convert(c.in); err != nil || got != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
	}
}

func TestWhatCannotBeConverted(t *testing.T) {
	const mime = "MIME-Version: 1.0\n"
	deep := strings.Repeat("Content-Type: message/rfc822\n\n", maxNesting+1)
	for _, c := range []struct{ name, in string }{
		{"message/partial", mime + "Content-Type: message/partial\n\nü\n"},
		{"a multipart without boundary", mime + "Content-Type: multipart/mixed\n\nü\n"},
		{"an unknown encoding", mime + "Content-Transfer-Encoding: x-uue\n\nü\n"},
		{"what is nested too deep", mime + deep + "A: b\n\nü\n"},
		{"what has too much header", mime + "A: " + strings.Repeat("x", maxHeader) + "\n\nü\n"},
	} {
		if _, err := convert(c.in); !errors.Is(err, errOpaque) {
			t.Errorf("%s: %v", c.name, err)
		}
		seven := strings.ReplaceAll(c.in, "ü", "ue")
		if got, err := convert(seven); err != nil || got != seven {
			t.Errorf("%s, in 7 bits: %v", c.name, err)
		}
	}
}

func TestMorePartsThanTheSurveyHolds(t *testing.T) {
	in := "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n", maxParts+10) + "--x\nContent-Transfer-Encoding: 8bit\n\nü\n--x--\n"
	got, err := convert(in)
	if err != nil || !strings.HasSuffix(got, "--x\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--x--\n") {
		t.Errorf("%v: %q", err, got[max(0, len(got)-100):])
	}
}

func TestEncodersAgreeWithTheLibrary(t *testing.T) {
	raw := make([]byte, 3*downgradeChunk)
	for i := range raw {
		raw[i] = byte(i*7 + i/256)
	}
	copy(raw[downgradeChunk-1:], "\r\n")
	body := string(raw)
	for _, kind := range []string{"text/plain", "application/x"} {
		header := "MIME-Version: 1.0\r\nContent-Type: " + kind + "\r\n"
		p, st := planBody(Message{Body: section(header + "\r\n" + body), EightBit: true}, extensions{}, false)
		if st != nil {
			t.Fatal(st)
		}
		out, err := io.ReadAll(p.open(Message{Body: section(header + "\r\n" + body)}))
		if err != nil {
			t.Fatal(err)
		}
		_, encoded, _ := bytes.Cut(out, []byte("\r\n\r\n"))
		var dec io.Reader = base64.NewDecoder(base64.StdEncoding, bytes.NewReader(encoded))
		want := body
		if kind == "text/plain" { // a bare LF is a line end in text
			dec = quotedprintable.NewReader(bytes.NewReader(encoded))
			want = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n")
		}
		if got, err := io.ReadAll(dec); err != nil || string(got) != want {
			t.Errorf("%s: %v, %d bytes, want %d", kind, err, len(got), len(want))
		}
	}
}

func FuzzDowngrade(f *testing.F) {
	f.Add("Content-Type: text/plain\r\n\r\n\xfc =\r\n")
	f.Add("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n\xff\r\n--x--\r\n")
	f.Add("Content-Type: multipart/digest; boundary=\"x\\\r\n--x\r\nContent-Type:message/rfc822\r\n\r\n")
	f.Add("Content-Transfer-Encoding: binary\r\nContent-Type: a/b\r\n\r\n\r\n\r\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		in = "MIME-Version: 1.0\r\n" + in
		p, st := planBody(Message{Body: section(in), EightBit: true}, extensions{}, false)
		if st != nil {
			return
		}
		out, err := io.ReadAll(p.open(Message{Body: section(in)}))
		if err != nil || int64(len(out)) != p.size {
			t.Fatalf("%v, %d bytes, planned %d", err, len(out), p.size)
		}
		if len(out) > 50*len(in)+1000 {
			t.Fatalf("%d bytes became %d", len(in), len(out))
		}
		checkWire(t, encode(t, string(out)))
	})
}

func TestAHeaderApartIsPartOfTheMessage(t *testing.T) {
	const whole = "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\ngr\xc3\xbcn\r\n"
	want, err := convert(strings.ReplaceAll(whole, "\r\n", "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		m := Message{Header: whole[:n], Body: section(whole[n:]), EightBit: true}
		p, st := planBody(m, extensions{}, false)
		if st != nil {
			t.Fatal(st)
		}
		out, err := io.ReadAll(p.open(m))
		if got := strings.ReplaceAll(string(out), "\r\n", "\n"); got != want || err != nil || p.size != int64(len(out)) {
			t.Errorf("cut at %d: %q, %v", n, got, err)
		}
	}
}
