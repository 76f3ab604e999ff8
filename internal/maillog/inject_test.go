package maillog

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"postrider/internal/status"
)

var hostile = []string{
	"a\nB: removed", "a\r\nB: removed", "a\x00b", "a\x1b[2Jb", "a\u202eb\u2066c\u200f", "a\u2028b\u2029c\u0085d", "a\xff\xfe\xc3(",
	"a> , status=sent (250 ok)", "a, status=sent", "), status=sent (", "\t\v\f", strings.Repeat("x", 5000), strings.Repeat("é\n", 3000), "\ufeffa",
}

// eventNames lists the event functions: the methods of Logger but Close.
func eventNames() (names []string) {
	typ := reflect.TypeFor[*Logger]()
	for i := range typ.NumMethod() {
		if name := typ.Method(i).Name; name != "Close" {
			names = append(names, name)
		}
	}
	return names
}

// call calls an event function: string arguments are "v", but argument number n (counted among the strings) is s.
// It tells whether there is such an argument.
func call(l *Logger, name string, n int, s string) bool {
	m := reflect.ValueOf(l).MethodByName(name)
	args := make([]reflect.Value, m.Type().NumIn())
	strs := 0
	fill := func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString("v")
			if strs == n {
				v.SetString(s)
			}
			strs++
		case reflect.Int, reflect.Int64:
			v.SetInt(3)
		case reflect.Bool:
			v.SetBool(true)
		}
	}
	for i := range args {
		if args[i] = reflect.New(m.Type().In(i)).Elem(); args[i].Kind() != reflect.Struct {
			fill(args[i])
			continue
		}
		for j := range args[i].NumField() {
			fill(args[i].Field(j))
		}
	}
	m.Call(args)
	return n < strs
}

// checkLine holds a line to what every line promises.
func checkLine(t *testing.T, line string) {
	t.Helper()
	if !utf8.ValidString(line) {
		t.Errorf("invalid UTF-8: %q", line)
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("unprintable character at %d: %q", i, line)
	}
	if len(line) > 16<<10 {
		t.Errorf("%d bytes", len(line))
	}
}

func TestHostileArguments(t *testing.T) {
	for _, name := range eventNames() {
		for _, s := range hostile {
			for n := 0; ; n++ {
				lt, ct := captured(textLine)
				lj, cj := captured(jsonLine)
				more := call(lt, name, n, s)
				call(lj, name, n, s)
				if len(ct.lines) != 1 || len(cj.lines) != 1 {
					t.Fatalf("%s: %d and %d lines", name, len(ct.lines), len(cj.lines))
				}
				checkLine(t, ct.lines[0])
				checkLine(t, cj.lines[0])
				var m map[string]any
				if err := json.Unmarshal([]byte(cj.lines[0]), &m); err != nil {
					t.Errorf("%s: %v: %s", name, err, cj.lines[0])
				}
				if !more {
					break
				}
			}
		}
	}
}

func TestNoFieldIsForged(t *testing.T) {
	const evil = "x> , status=sent (250 ok), to=<y"
	l, c := captured(textLine)
	l.Queued(evil, evil, 1, 1, 1, evil, evil)
	l.Attempt(evil, evil, evil+"2", evil, 0, status.Code{4, 0, 0}, Deferred, "no", evil)
	l.Held(evil, "no", evil)
	l.Report(evil, evil, evil)
	l.Corrupt(evil, "no")
	l.Refused(evil, 1, status.Code{4, 0, 0}, "no")
	for _, line := range c.lines {
		if strings.Contains(line, " status=sent") || strings.Contains(line, " to=<y") {
			t.Errorf("forged: %s", line)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, id, word, text string) {
		lt, ct := captured(textLine)
		lj, cj := captured(jsonLine)
		for _, l := range []*Logger{lt, lj} {
			l.Attempt(id, word, text, word, time.Second, status.Code{2, 0, 0}, Sent, text, word)
			l.Queued(id, word, 1, 1, 1, word, text)
			l.Warning(id, text)
		}
		for _, line := range append(ct.lines, cj.lines...) {
			checkLine(t, line)
		}
		// What stands before the free text can hold neither a blank nor a bracket of its own.
		head, _, _ := strings.Cut(ct.lines[0], " (")
		if n := strings.Count(head, " status="); n != 1 {
			t.Errorf("%d status fields: %s", n, ct.lines[0])
		}
		for _, line := range cj.lines {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
	})
}
