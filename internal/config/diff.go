package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Diff lists the settings that differ from the defaults, as lines "key = value" that are TOML: a file of them
// loads as the same configuration.
func (c Config) Diff() []string {
	return c.diff(here())
}

func (c Config) diff(s surroundings) (lines []string) {
	def := Default()
	def.User, def.Hostname, def.Spool, def.Log = c.User, "", "", ""
	_ = s.complete(&def) // it fails for a user without a home, whose Spool and Log have no default
	def.Origin = s.origin(c.Hostname)
	defaults := keysOf(reflect.ValueOf(def), "")
	for i, k := range keysOf(reflect.ValueOf(c), "") {
		if now, was := format(k.value), format(defaults[i].value); now != was && now != `""` {
			lines = append(lines, k.name+" = "+now)
		}
	}
	return lines
}

// format is a value as TOML in one line.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return quote(x)
	case Bytes:
		return quote(x.String())
	case time.Duration:
		return quote(formatDuration(x))
	case int:
		return strconv.Itoa(x)
	case bool:
		return strconv.FormatBool(x)
	}
	var parts []string
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			parts = append(parts, format(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	for _, k := range keysOf(v, "") {
		if !k.value.IsZero() {
			parts = append(parts, k.name+" = "+format(k.value))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// quote makes a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
