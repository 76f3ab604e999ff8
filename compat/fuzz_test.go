package compat

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"postrider/internal/status"
)

// FuzzParse gives Parse the words of a text, one a line.
func FuzzParse(f *testing.F) {
	for _, o := range Options {
		f.Add("sendmail\n-" + string(o.Letter) + "\nx\nbob")
		f.Add("sendmail\n-" + string(o.Letter) + "x\nbob")
	}
	for _, seed := range []string{
		"", "mailq", "rmail\n-D\nd\nbob", "sendmail\n-tif\n\n-", "sendmail\n-q!Rx\n--\n-x", "sendmail\n-q9w9999999999",
		"sendmail\n-OA=b\n-O\nIgnoreDots=", "sendmail\n--help\nx", "sendmail\n-V=+\n-N,\n-\xff\xe2\x82\xac",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		argv := strings.Split(text, "\n")
		inv, err := Parse(argv)
		if err != nil {
			var s *status.Status
			if inv != nil || !errors.As(err, &s) || s.Exit() != status.ExitUsage || s.Text() == "" {
				t.Fatalf("%q: %v, %v", argv, inv, err)
			}
			plain(t, s.Text())
			return
		}
		n := len(argv) - len(inv.Recipients)
		if n < 1 && len(inv.Recipients) > 0 {
			t.Fatalf("%q: %d operands", argv, len(inv.Recipients))
		}
		for i, r := range inv.Recipients {
			if r != argv[n+i] {
				t.Fatalf("%q: operand %d is %q", argv, i, r)
			}
		}
		if !strings.Contains("pqmwe", string(inv.ErrorMode)) || inv.QueueRun.Interval < 0 || len(inv.EnvID) > maxEnvID || len(inv.Tag) > maxTag {
			t.Fatalf("%q: %+v", argv, inv)
		}
		for _, w := range inv.Warnings {
			plain(t, w)
		}
	})
}

// plain fails on what could forge a line.
func plain(t *testing.T, s string) {
	t.Helper()
	if strings.ContainsAny(s, "\r\n\x00\x1b") || len(s) > 5*maxShown {
		t.Fatalf("not one short line: %q", s)
	}
}

// FuzzLayouts lists hostile text: no field may begin a line of its own.
func FuzzLayouts(f *testing.F) {
	f.Add("ID", "a@b\n-- 1 Kbytes in 1 Request.", "why\r\nQ", "\u202e\xff")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, id, sender, why, rcpt string) {
		r := &Row{ID: id, Sender: sender, Reason: why, Held: true, HoldReason: why, Body: rcpt,
			Rcpts: []RowRcpt{{Address: rcpt, Reason: why}, {Address: sender}}}
		for _, c := range []struct {
			layout func(*bytes.Buffer) Layout
			lines  int
		}{
			{func(b *bytes.Buffer) Layout { return PostfixLayout(b) }, 8},
			{func(b *bytes.Buffer) Layout { return SendmailLayout(b, id, 1, false) }, 8},
			{func(b *bytes.Buffer) Layout { return SendmailLayout(b, id, 1, true) }, 9},
		} {
			var out bytes.Buffer
			l := c.layout(&out)
			if err := errors.Join(l.Row(r), l.End()); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), "\n"); n > c.lines || strings.ContainsAny(out.String(), "\r\x00\x1b\u202e") {
				t.Fatalf("%d lines: %q", n, out.String())
			}
		}
	})
}
