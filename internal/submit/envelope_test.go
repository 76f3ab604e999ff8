package submit

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"postrider/internal/status"
	"postrider/queue"
)

// fromSMTP is an envelope as a server gives it, and options that must not matter beside it.
func fromSMTP() Options {
	o := testOptions("nobody@operand.test")
	o.Extract, o.From, o.Notify, o.Tag = true, ptr("x@option.test"), queue.NotifyNever, "tag"
	o.User = User{UID: -1}
	o.IgnoreDots = true
	o.Envelope = &queue.Envelope{
		Arrival: testNow, Sender: "carol@c.test", Ret: "HDRS", EnvID: "e+2Bid", Body: "8BITMIME", UID: -1, Client: "c.test[192.0.2.1]", Proto: "ESMTPSA",
		Rcpts: []queue.Rcpt{{Address: "bob@r.test", ORcpt: "rfc822;B@r.test", Notify: queue.NotifySuccess}, {Address: "BOB@r.test"}, {Address: "bob@r.test"}},
	}
	return o
}

func TestEnvelopeIsStoredAsItIs(t *testing.T) {
	o := fromSMTP()
	m, res := submit(t, "To: dave@d.test\nBcc: eve@e.test\n\n.\ntext\n", o)
	if !reflect.DeepEqual(res.Envelope, *o.Envelope) {
		t.Errorf("the result tells of %+v", res.Envelope)
	}
	if !reflect.DeepEqual(m.Rcpts, o.Envelope.Rcpts) || m.Sender != "carol@c.test" || m.Proto != "ESMTPSA" || m.Client != o.Envelope.Client || m.Tag != "" {
		t.Errorf("stored: %+v", m.Envelope)
	}
	if strings.Contains(m.text, "Bcc") || !strings.Contains(m.text, "\r\nFrom: carol@c.test\r\n") || !strings.HasSuffix(m.text, "\r\n\r\n.\r\ntext\r\n") {
		t.Errorf("text: %q", m.text)
	}
}

func TestTraceStandsFirst(t *testing.T) {
	o := fromSMTP()
	o.Trace = func(id string) string { return "Received: by test\r\n\tid " + id + "\r\n" }
	m, _ := submit(t, "Subject: s\n\n", o)
	if !strings.HasPrefix(m.text, "Received: by test\r\n\tid "+m.id+"\r\nSubject: s\r\n") {
		t.Errorf("text: %q", m.text)
	}
}

func TestEnvelopeNeedsUTF8WithItsHeader(t *testing.T) {
	for in, want := range map[string]bool{"To: dave@d.test\n\n": false, "To: dävid@d.test\n\n": true, "Bcc: dävid@d.test\n\n": false} {
		o := fromSMTP()
		if m, _ := submit(t, in, o); m.UTF8 != want || o.Envelope.UTF8 {
			t.Errorf("%q: utf8=%v", in, m.UTF8)
		}
	}
	o := fromSMTP()
	o.Envelope.UTF8 = true
	if m, _ := submit(t, "\n", o); !m.UTF8 {
		t.Error("what the client declared is forgotten")
	}
}

func TestEnvelopeOfTheNullReversePath(t *testing.T) {
	o := fromSMTP()
	o.Envelope.Sender = ""
	if m, _ := submit(t, "\n", o); m.Sender != "" || !strings.Contains(m.text, "From: MAILER-DAEMON@mail.example.org\r\n") {
		t.Errorf("from=<%s> %q", m.Sender, m.text)
	}
}

// What a reader says is what Submit says, at whatever moment it says it.
func TestStatusOfTheReader(t *testing.T) {
	want := status.New("smtpd.text", 552, status.Code{5, 3, 4}, "too big", nil)
	for name, in := range map[string]string{"at once": "", "in the header": "To: a", "in the body": "\nte"} {
		r, w := io.Pipe()
		go func() {
			io.WriteString(w, in)
			w.CloseWithError(errors.Join(want))
		}()
		if st, _ := refused(t, r, fromSMTP()); st != want {
			t.Errorf("%s: %v", name, st)
		}
	}
}
