package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var errObject = errors.New("not an object of JSON")

// object is an object of JSON, by the names of its members as they were written: encoding/json would take "EXP" for
// "exp", and the last of several for all.
type object map[string]json.RawMessage

// parseObject reads text that is one object and nothing else. A name that is there twice is an error, since others may
// have looked at the other one (RFC 7519 section 4).
func parseObject(text []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return nil, errObject
	}
	o := object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errObject
		}
		s, ok := name.(string)
		if _, twice := o[s]; twice || !ok {
			return nil, fmt.Errorf("%w: a name is there twice", errObject)
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, errObject
		}
		o[s] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errObject
	}
	return o, nil
}

// get reads a member. One that is missing, or null, leaves the variable as it is.
func (o object) get(name string, into any) error {
	value, ok := o[name]
	if !ok || string(value) == "null" {
		return nil
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("%w with a member %q as it should be", errObject, name)
	}
	return nil
}
