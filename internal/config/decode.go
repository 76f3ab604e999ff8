package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"postrider/internal/status"
)

// decode reads text into c, which holds the defaults. file is its name in errors.
func decode(c *Config, file, text string) error {
	s, err := scan(strings.TrimPrefix(text, "\ufeff"))
	if err != nil {
		return fail(file, s.line, err)
	}
	if len(s.found) == 0 {
		return nil
	}
	var table map[string]any
	if _, err := toml.Decode(s.code.String(), &table); err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return fail(file, syntax.Position.Line, errors.New(syntax.Message))
		}
		return fail(file, 1, err)
	}
	d := &decoder{found: s.found}
	d.table(reflect.ValueOf(c).Elem(), table, place{})
	if len(d.problems) == 0 {
		d.check(c)
	}
	if len(d.problems) == 0 {
		return nil
	}
	first := slices.MinFunc(d.problems, func(a, b problem) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return strings.Compare(a.what, b.what)
	})
	return fail(file, first.line, errors.New(first.what))
}

// fail makes the error of a wrong file. Its text may repeat what stands in the file, which may be anything.
func fail(file string, line int, err error) error {
	what := status.Clean(err.Error(), status.MaxText)
	return status.Fail("config.load", status.ExitConfig, "", fmt.Errorf("%s:%d: %s", file, line, what))
}

// place is where a value stands: its dotted name and its location.
type place struct {
	name string
	at   location
}

func (p place) child(name string) place {
	dotted := name
	if p.name != "" {
		dotted = p.name + "." + name
	}
	return place{dotted, p.at.child(name)}
}

func (p place) element(i int) place { return place{p.name, p.at.element(i)} }

type problem struct {
	line int
	what string
}

// decoder stores TOML values in a Config, and collects what is wrong with them.
type decoder struct {
	found    positions
	problems []problem
}

// wrong reports that the value of a key is not what is allowed.
func (d *decoder) wrong(p place, value any, allowed string) {
	what := fmt.Sprintf("%s = %s: %s", p.name, show(value), allowed)
	d.problems = append(d.problems, problem{d.found.line(p.at), what})
}

func (d *decoder) unknown(p place) {
	what := fmt.Sprintf("unknown key %q (nearest known: %q)", status.Clean(p.name, 64), nearest(p.name))
	d.problems = append(d.problems, problem{d.found.line(p.at), what})
}

func (d *decoder) table(into reflect.Value, table map[string]any, at place) {
	for key, v := range table {
		p := at.child(key)
		if i := fieldOf(into.Type(), key); i >= 0 {
			d.value(into.Field(i), v, p)
		} else {
			d.unknown(p)
		}
	}
}

// fieldOf is the index of the field that holds key, or -1.
func fieldOf(t reflect.Type, key string) int {
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("toml"); tag == key && tag != "-" {
			return i
		}
	}
	return -1
}

func (d *decoder) value(into reflect.Value, v any, at place) {
	switch target := into.Addr().Interface().(type) {
	case *string:
		if s, ok := v.(string); !ok {
			d.wrong(at, v, "must be a string")
		} else if s != "" {
			*target = s
		}
	case *int:
		n, ok := v.(int64)
		if !ok || int64(int(n)) != n {
			d.wrong(at, v, "must be a whole number")
		}
		*target = int(n)
	case *bool:
		b, ok := v.(bool)
		if !ok {
			d.wrong(at, v, "must be true or false")
		}
		*target = b
	case *Bytes:
		d.bytes(target, v, at)
	case *time.Duration:
		d.duration(target, v, at)
	case *[]string:
		d.list(target, v, at)
	default:
		d.tables(into, v, at)
	}
}

func (d *decoder) bytes(into *Bytes, v any, at place) {
	const allowed = `must be a size such as 52428800 or "50MiB" (KiB MiB GiB KB MB GB)`
	switch v := v.(type) {
	case int64:
		if *into = Bytes(v); v < 0 {
			d.wrong(at, v, allowed)
		}
	case string:
		n, err := parseBytes(v)
		if err != nil {
			d.wrong(at, v, fmt.Sprintf("%v; %s", err, allowed))
		}
		*into = n
	default:
		d.wrong(at, v, allowed)
	}
}

func (d *decoder) duration(into *time.Duration, v any, at place) {
	const allowed = `must be a duration in quotes such as "5m" or "1h30m" (s m h d w)`
	s, ok := v.(string)
	if !ok {
		d.wrong(at, v, allowed)
		return
	}
	n, err := parseDuration(s)
	if err != nil {
		d.wrong(at, v, fmt.Sprintf("%v; %s", err, allowed))
	}
	*into = n
}

func (d *decoder) list(into *[]string, v any, at place) {
	const allowed = `must be a list of strings such as ["a", "b"]`
	elems, ok := v.([]any)
	if !ok {
		d.wrong(at, v, allowed)
		return
	}
	list := make([]string, 0, len(elems))
	for _, e := range elems {
		s, ok := e.(string)
		if !ok {
			d.wrong(at, e, allowed)
			return
		}
		list = append(list, s)
	}
	*into = list
}

// tables stores a table, or an array of tables.
func (d *decoder) tables(into reflect.Value, v any, at place) {
	if into.Kind() == reflect.Struct {
		if table, ok := v.(map[string]any); ok {
			d.table(into, table, at)
		} else {
			d.wrong(at, v, fmt.Sprintf("must be a table, begun by [%s]", at.name))
		}
		return
	}
	elems, ok := tablesOf(v)
	if !ok {
		d.wrong(at, v, fmt.Sprintf("must be tables, each begun by [[%s]]", at.name))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(elems), len(elems)))
	for i, table := range elems {
		d.table(into.Index(i), table, at.element(i))
	}
}

// tablesOf takes both forms of an array of tables: [[name]] and name = [{...}, {...}].
func tablesOf(v any) ([]map[string]any, bool) {
	if tables, ok := v.([]map[string]any); ok {
		return tables, true
	}
	elems, ok := v.([]any)
	var tables []map[string]any
	for _, e := range elems {
		table, isTable := e.(map[string]any)
		ok = ok && isTable
		tables = append(tables, table)
	}
	return tables, ok
}

// show is a value as a message repeats it.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return `"` + status.Clean(v, 128) + `"`
	case []any, []map[string]any:
		return "[...]"
	case map[string]any:
		return "{...}"
	}
	return fmt.Sprint(v)
}
