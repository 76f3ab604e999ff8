package auth

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParseObject(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       string // JSON of it; "": an error
	}{
		{"an object", ` {"a": 1, "b": {"c": ["x", {"d": null}]}} `, `{"a":1,"b":{"c":["x",{"d":null}]}}`},
		{"an empty object", `{}`, `{}`},
		{"names in several cases", `{"a":1,"A":2}`, `{"A":2,"a":1}`},
		{"a name of its own in an inner object", `{"a":{"a":1}}`, `{"a":{"a":1}}`},
		{"a name that is there twice", `{"a":1,"a":1}`, ""},
		{"a name in two spellings", `{"a":1,"\u0061":1}`, ""},
		{"an array", `[{"a":1}]`, ""},
		{"a null", `null`, ""},
		{"a string", `"a"`, ""},
		{"nothing", ``, ""},
		{"no end", `{"a":1`, ""},
		{"another end", `{"a":1]`, ""},
		{"a comma too many", `{"a":1,}`, ""},
		{"a comma too few", `{"a":1 "b":2}`, ""},
		{"no colon", `{"a" 1}`, ""},
		{"no value", `{"a"}`, ""},
		{"a name that is a number", `{1:1}`, ""},
		{"more than one", `{"a":1}{"a":1}`, ""},
		{"more behind it", `{"a":1} x`, ""},
		{"an end too many", `{"a":1}}`, ""},
	} {
		o, err := parseObject([]byte(c.text))
		got := ""
		if err == nil {
			text, _ := json.Marshal(o)
			got = string(text)
		}
		if got != c.want || err != nil && !errors.Is(err, errObject) {
			t.Errorf("%s: %s, %v", c.name, got, err)
		}
	}
}

func FuzzObject(f *testing.F) {
	f.Add(`{"sub":"17","iss":"https://idp.example","aud":["web","mail"],"exp":1795521601}`)
	f.Add(`{"a":{"a":1},"A":null}`)
	f.Add(`{"a":1,"a":1}`)
	f.Add(strings.Repeat(`{"a":`, 20))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseObject([]byte(text))
		var all map[string]json.RawMessage
		other := json.Unmarshal([]byte(text), &all)
		if err == nil && (other != nil || len(o) != len(all)) {
			t.Errorf("%q: %d members, but others say %d, %v", text, len(o), len(all), other)
		}
		for name, value := range o {
			if string(all[name]) != string(value) {
				t.Errorf("%q: %q is %s, but others say %s", text, name, value, all[name])
			}
		}
	})
}
