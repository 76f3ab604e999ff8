package aliases

import (
	"postrider/internal/address"
	"postrider/internal/fsys"
	"postrider/internal/status"
)

// Options are what a Database must be told of its surroundings.
type Options struct {
	// Local tells whether an address with a domain is one of this machine, so that its localpart may be an alias. nil:
	// none is. A bare address always is.
	Local func(address.Address) bool
	// User tells whether there is a user of a name. It decides who ends a circle of aliases. nil: there is.
	User func(name string) (bool, error)
	// Root is who gets root's mail when no file says so: a member, as in a file. "": nobody, it is the user root.
	Root string
}

// RootSetting stands for the file in the Entry that Options.Root makes.
const RootSetting = "local.root"

// Database is what one or more aliases(5) files know. It may be used by several goroutines at once.
type Database struct {
	files []*file
	o     Options
	fs    fsys.FS // included files are read through it
}

// Open makes a Database of files, the most important first. They are read when first needed, and again when they have
// changed.
func Open(files []string, o Options) *Database {
	d := &Database{o: o, fs: fsys.OS{}}
	for _, name := range files {
		d.files = append(d.files, &file{name: name})
	}
	return d
}

// Lookup finds the alias that a localpart, without its quotes, stands for, if any. It is not expanded further. An error
// is a temporary *status.Status: nobody knows.
func (d *Database) Lookup(local string) (Entry, bool, error) { return d.view().find(local) }

// view is what the files and Options.Root know at one instant.
type view []loaded

type loaded struct {
	table *table
	err   error
}

func (d *Database) view() view {
	v := make(view, len(d.files), len(d.files)+1)
	for i, f := range d.files {
		v[i].table, v[i].err = f.load()
	}
	if d.o.Root != "" {
		t := newTable(RootSetting, 0)
		t.entries[root] = located{entryLines{text: d.o.Root}, 0}
		v = append(v, loaded{table: t})
	}
	return v
}

func (v view) find(local string) (Entry, bool, error) {
	f, err := v.search(local)
	if f.table == nil || err != nil {
		return Entry{}, false, err
	}
	return f.table.entry(f.name, f.located), true, nil
}

// found is an entry whose members were not read yet; table is nil when there is none.
type found struct {
	located
	table *table
	name  string
}

// search finds the entry that a localpart means.
func (v view) search(local string) (found, error) {
	if local == "" {
		return found{}, nil
	}
	for _, name := range keys(local) {
		t, l, err := v.locate(name)
		if t != nil || err != nil {
			return found{l, t, name}, err
		}
	}
	return found{}, nil
}

// locate finds the file that has an entry, nil when none has.
func (v view) locate(name string) (*table, located, error) {
	for _, l := range v {
		if l.err != nil {
			return nil, located{}, l.err
		}
		if at, ok := l.table.entries[name]; ok {
			return l.table, at, nil
		}
		if p, ok := l.table.broken[name]; ok {
			return nil, located{}, status.New("aliases", 451, status.Code{4, 3, 5}, "an alias is not written as it should be", p)
		}
	}
	return nil, located{}, nil
}

// has tells whether there is an entry of exactly this name.
func (v view) has(name string) (bool, error) {
	t, _, err := v.locate(name)
	return t != nil, err
}
