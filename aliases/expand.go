package aliases

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"postrider/internal/address"
	"postrider/internal/status"
)

// Recipient is where an expansion ends: a Member that is no Include and, when it is an Address, no alias.
type Recipient struct {
	Member
	Owner string // the alias that hears of failures, "owner-list"; "" when there is none
	Via   string // Entry.Where of the alias that named it
	Key   string // equal for those that mean the same recipient: see AddressKey
	UID   uint32 // who owns the file that names it, and with whose rights it is a command or a file
}

// Expansion is all that an alias comes to.
type Expansion struct {
	Entry      Entry
	Recipients []Recipient // each once, in the order of the files
	Aliases    []string    // the aliases that were expanded on the way, Entry's first
}

// Expand finds all that a localpart comes to; false when it is no alias. Members that nobody can make sense of are among
// the recipients, as Errors. An error is a temporary *status.Status and means that there is no knowing now.
func (d *Database) Expand(local string) (*Expansion, bool, error) {
	return d.expand(local, maxMembers)
}

// probeMembers is how many recipients a Probe finds. A handful is what people write by hand, and forget when one leaves.
const probeMembers = 20

// Probe is Expand for those who ask for one recipient after the other, and anybody may have them ask: it reads no included
// files and goes on only until there are more than a few recipients. An Expansion without Recipients comes to several, or
// may.
func (d *Database) Probe(local string) (*Expansion, bool, error) {
	x, ok, err := d.expand(local, probeMembers)
	if errors.Is(err, errSeveral) {
		return &Expansion{Entry: x.Entry}, true, nil
	}
	return x, ok, err
}

// errSeveral ends a Probe.
var errSeveral = errors.New("several recipients")

// expand finds at most so many recipients.
func (d *Database) expand(local string, most int) (*Expansion, bool, error) {
	v := d.view()
	defer v.release()
	x := expander{d: d, view: v, most: most, seen: map[string]bool{}, have: map[string]bool{}}
	e, ok, err := x.find(local)
	if err != nil && !errors.Is(err, errSeveral) || !ok {
		return nil, false, err
	}
	x.result.Entry = e
	if err != nil {
		return &x.result, true, err
	}
	return &x.result, true, x.entry(e, scope{})
}

// expander is one expansion under way.
type expander struct {
	d      *Database
	view   view
	most   int             // recipients; one more is an error
	path   []string        // the aliases that are being expanded, the outermost first
	seen   map[string]bool // aliases and included files that are, or were
	have   map[string]bool // recipients, by their key
	result Expansion
}

// scope is the alias that members are named in.
type scope struct {
	uid   uint32 // who owns its file
	owner string // Recipient.Owner
	via   string // Recipient.Via
	depth int
}

// entry expands an alias inside another, or outside of all.
func (x *expander) entry(e Entry, in scope) error {
	own := ownerOf(e.Name)
	if ok, err := x.view.has(own); err != nil {
		return err
	} else if ok {
		in.owner = own
	}
	in.uid, in.via = e.owner, e.Where()
	in.depth++
	x.seen[e.Name] = true
	x.result.Aliases = append(x.result.Aliases, e.Name)
	x.path = append(x.path, e.Name)
	defer func() { x.path = x.path[:len(x.path)-1] }()
	return x.members(e.Members, in)
}

func (x *expander) members(list []Member, in scope) error {
	for _, m := range list {
		if err := x.member(m, in); err != nil {
			return err
		}
	}
	return nil
}

func (x *expander) member(m Member, in scope) error {
	switch m.Kind {
	case Include:
		return x.include(m, in)
	case User:
		if x.local(m.Address) {
			return x.add(m, in)
		}
		m.Kind = Address // a backslash says nothing to other machines
	case Address:
		if x.local(m.Address) {
			return x.name(m, in)
		}
	}
	return x.add(m, in)
}

func (x *expander) include(m Member, in scope) error {
	if x.most == probeMembers {
		return errSeveral
	}
	if x.seen[includeWord+m.Text] {
		return nil
	}
	if in.depth >= maxDepth {
		return x.add(tooDeep(m), in)
	}
	x.seen[includeWord+m.Text] = true
	f, err := x.d.readInclude(m.Text, in.uid)
	if err != nil {
		return err
	}
	in.depth++
	return x.members(f.members, in)
}

// find is view.find. A Probe does not read entries so long that they are sure to be of several.
func (x *expander) find(local string) (Entry, bool, error) {
	limit := 0
	if x.most == probeMembers {
		limit = 2 * maxText
	}
	f, ok, err := x.view.search(local, limit)
	if !ok || err != nil {
		return Entry{}, false, err
	}
	if limit > 0 && len(f.text) > limit {
		return f.from.head(f.name, f.located), true, errSeveral
	}
	return f.from.entry(f.name, f.located), true, nil
}

// name expands a member that is local, or finds that it is no alias, or none any more.
func (x *expander) name(m Member, in scope) error {
	next, ok, err := x.find(m.Address.Unquoted())
	switch {
	case err != nil:
		return err
	case !ok:
		return x.add(m, in)
	}
	if i := slices.Index(x.path, next.Name); i >= 0 {
		if m, err = x.circle(m, x.path[i:]); err != nil {
			return err
		}
		return x.add(m, in)
	}
	if x.seen[next.Name] {
		return nil // its members are there
	}
	if in.depth >= maxDepth {
		return x.add(tooDeep(m), in)
	}
	return x.entry(next, in)
}

func tooDeep(m Member) Member {
	return Member{Kind: Error, Text: m.Text, Err: fmt.Sprintf("%s: more than %d aliases inside each other", m.Text, maxDepth), tangled: true}
}

// circle is who ends the circle that m closes: m itself when an alias names itself, or else the first of its aliases
// that is a user.
func (x *expander) circle(m Member, names []string) (Member, error) {
	if len(names) == 1 {
		m.Kind = User
		return m, nil
	}
	for _, name := range names {
		a, err := address.Parse(name)
		if err != nil || a.Domain() != "" {
			continue // what must be quoted is no user
		}
		ok := true
		if x.d.o.User != nil {
			if ok, err = x.d.o.User(name); err != nil {
				return m, err
			}
		}
		if ok {
			return Member{Kind: User, Text: name, Address: a}, nil
		}
	}
	return Member{Kind: Error, Text: m.Text, Err: "aliases lead in a circle: " + strings.Join(append(slices.Clone(names), names[0]), ", "), tangled: true}, nil
}

func (x *expander) local(a address.Address) bool {
	return a.Domain() == "" || x.d.o.Local != nil && x.d.o.Local(a)
}

// add takes a recipient in, unless it is there.
func (x *expander) add(m Member, in scope) error {
	key := x.key(m)
	if x.have[key] {
		return nil
	}
	if len(x.result.Recipients) >= x.most {
		return x.tooMany()
	}
	x.have[key] = true
	x.result.Recipients = append(x.result.Recipients, Recipient{m, in.owner, in.via, key, in.uid})
	return nil
}

func (x *expander) tooMany() error {
	if x.most == probeMembers {
		return errSeveral
	}
	return tooMany(x.result.Entry)
}

func tooMany(e Entry) error {
	return status.New("aliases.expand", 451, status.Code{4, 2, 4}, "the list has too many recipients",
		fmt.Errorf("%s: more than %d", e.Where(), maxMembers))
}

func (x *expander) key(m Member) string {
	if m.Kind == Address || m.Kind == User {
		return AddressKey(m.Address, x.local(m.Address))
	}
	return string(rune('0'+m.Kind)) + " " + m.Text
}

// AddressKey is equal for addresses that mean the same recipient: local ones, whatever domain of this machine they have,
// or others.
func AddressKey(a address.Address, local bool) string {
	if local {
		return "local " + fold(a.Unquoted())
	}
	return "address " + a.Key(false)
}
