package route

import (
	"errors"
	"strings"

	"postrider/internal/address"
	"postrider/internal/table"
)

// ErrNoMap says that there is no table of a name.
var ErrNoMap = errors.New("there is no such table")

// maps are the tables by the names that sendmail.cf gives them, and by those of their files.
func (t *tables) maps() map[string]*table.Map {
	return map[string]*table.Map{
		"virtuser": t.virtual, "virtusertable": t.virtual, "mailertable": t.mailer, "domaintable": t.domain,
		"generics": t.generics, "genericstable": t.generics, "generics-domains": t.genericsOf, "local-host-names": t.names,
		"relay-domains": t.relays, "smarthosts": t.smarthosts,
	}
}

// Map looks up one key in a table, as it is but for the case of its letters, and tells what is there, and where.
func (r *Router) Map(name, key string) (value, where string, ok bool, err error) {
	m, ok := r.tables.maps()[strings.ToLower(name)]
	if !ok {
		return "", "", false, ErrNoMap
	}
	if a, err := address.Parse(key); err == nil && a.Domain() != "" {
		key = a.Key(true)
	}
	e, ok, err := m.Lookup(strings.ToLower(key))
	if value = e.Value; ok && value == "" {
		value = e.Key
	}
	return value, e.Where(), ok, err
}
