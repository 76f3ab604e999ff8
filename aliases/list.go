package aliases

// Members are those that e names, with those that its included files name in their place; other aliases are not
// expanded. That is what EXPN shows. The error is a temporary *status.Status.
func (d *Database) Members(e Entry) ([]Member, error) {
	var out []Member
	l := lister{d: d, e: e, seen: map[string]bool{}}
	l.visit = func(m Member) { out = append(out, m) }
	return out, l.list(e.Members, 1)
}

// Private tells whether strangers may not see who e stands for: e has an owner, or it is in a file that not everybody on
// this machine may read, or includes one, or nobody can tell.
func (d *Database) Private(e Entry) bool {
	if e.secret {
		return true
	}
	v := d.view()
	owned, err := v.has(ownerOf(e.Name))
	v.release()
	if err != nil || owned {
		return true
	}
	l := lister{d: d, e: e, seen: map[string]bool{}, visit: func(Member) {}}
	return l.list(e.Members, 1) != nil || l.secret
}

// lister walks through an entry and the files that it includes, each once.
type lister struct {
	d      *Database
	e      Entry
	seen   map[string]bool
	visit  func(Member)
	n      int
	secret bool // a file is not for everybody
}

func (l *lister) list(members []Member, depth int) error {
	for _, m := range members {
		switch {
		case l.n >= maxMembers:
			return tooMany(l.e)
		case m.Kind != Include:
			l.n++
			l.visit(m)
		case l.seen[m.Text]:
		case depth >= maxDepth:
			l.visit(tooDeep(m))
		default:
			l.seen[m.Text] = true
			in, err := l.d.readInclude(m.Text, l.e.owner)
			if err != nil {
				return err
			}
			l.secret = l.secret || !in.public
			if err := l.list(in.members, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
