package compat

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestHostTable(t *testing.T) {
	const head = " -------------- Hostname --------------- How long ago ---------Results---------\n"
	rows := []HostRow{
		{"mx.example.net", 5*time.Minute + 12*time.Second, "Deferred: Connection refused"},
		{"a.host.whose.name.is.longer.than.the.column.example", 50*time.Hour + 1*time.Second, "Deferred"},
		{"nasty\n\x1b[2J", -time.Second, "Deferred: \r\nno"},
	}
	for _, tc := range []struct {
		name    string
		rows    []HostRow
		verbose bool
		want    string
	}{
		{"no host", nil, false, head},
		{"results are cut", rows, false, head +
			" mx.example.net                              00:05:12 Deferred: Connection refu\n" +
			" a.host.whose.name.is.longer.than.the.column.example   2+02:00:01 Deferred\n" +
			" nasty\\x0A\\x1B[2J                            00:00:00 Deferred: \\x0D\\x0Ano\n"},
		{"but not when verbose", rows[:1], true, head +
			" mx.example.net                              00:05:12 Deferred: Connection refused\n"},
	} {
		var b bytes.Buffer
		if err := HostTable(&b, tc.rows, tc.verbose); err != nil || b.String() != tc.want {
			t.Errorf("%s: %v\n got %q\nwant %q", tc.name, err, b.String(), tc.want)
		}
	}
}

func TestHostTableTellsOfAWriterThatFails(t *testing.T) {
	full := errors.New("full")
	rows := make([]HostRow, 1000)
	for i := range rows {
		rows[i].Name = strings.Repeat("x", 100)
	}
	if err := HostTable(failing{full}, rows, false); !errors.Is(err, full) {
		t.Error(err)
	}
}
