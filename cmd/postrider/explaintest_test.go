package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestALineThatIsTooLongDoesNotEndTestMode(t *testing.T) {
	var out bytes.Buffer
	m := &tester{app: &app{in: strings.NewReader(strings.Repeat("x", 100_000) + "\n$m\n$k"), out: &out}}
	if err := m.test(); err != nil || !strings.HasSuffix(out.String(), "\n> a line is longer than 4096 bytes: it does not count\n> \n> Undefined\n\n") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
