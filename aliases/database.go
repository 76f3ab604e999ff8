package aliases

import (
	"errors"

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
	// Report is told of an index that is there and cannot be used, when that is found out: the text is read instead. nil:
	// nobody is told. It may be called by several goroutines at once, and must not ask the Database.
	Report func(error)
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
		d.files = append(d.files, newFile(name, o.Report))
	}
	return d
}

// Lookup finds the alias that a localpart, without its quotes, stands for, if any. It is not expanded further. An error
// is a temporary *status.Status: nobody knows.
func (d *Database) Lookup(local string) (Entry, bool, error) {
	v := d.view()
	defer v.release()
	return v.find(local)
}

// view is what the files and Options.Root know at one instant. It is released by who has asked for it.
type view []loaded

type loaded struct {
	src  source
	err  error
	file *file
}

func (d *Database) view() view {
	v := make(view, len(d.files), len(d.files)+1)
	for i, f := range d.files {
		src, err := f.load()
		v[i] = loaded{src, err, f}
	}
	if d.o.Root != "" {
		t := newTable(RootSetting, 0)
		t.entries[root] = located{entryLines{text: d.o.Root}, 0}
		v = append(v, loaded{src: t})
	}
	return v
}

func (v view) release() {
	for _, l := range v {
		if l.src != nil {
			l.src.release()
		}
	}
}

func (v view) find(local string) (Entry, bool, error) {
	f, ok, err := v.search(local, 0)
	if !ok || err != nil {
		return Entry{}, false, err
	}
	return f.from.entry(f.name, f.located), true, nil
}

// found is an entry whose members were not read yet.
type found struct {
	located
	from *origin
	name string
}

// search finds the entry that a localpart means. See source.find for limit.
func (v view) search(local string, limit int) (found, bool, error) {
	if local == "" {
		return found{}, false, nil
	}
	for _, name := range keys(local) {
		if f, ok, err := v.locate(name, limit); ok || err != nil {
			return f, ok, err
		}
	}
	return found{}, false, nil
}

// locate finds the entry of exactly this name, in the first file that has one.
func (v view) locate(name string, limit int) (found, bool, error) {
	for i := range v {
		at, ok, err := v[i].find(name, limit)
		var p Problem
		switch {
		case errors.As(err, &p):
			return found{}, false, status.New("aliases", 451, status.Code{4, 3, 5}, "an alias is not written as it should be", p)
		case err != nil:
			return found{}, false, err
		case ok:
			return found{at, v[i].src.about(), name}, true, nil
		}
	}
	return found{}, false, nil
}

// find asks the file, by its text when the index is of no use.
func (l *loaded) find(name string, limit int) (located, bool, error) {
	if l.err != nil {
		return located{}, false, l.err
	}
	at, ok, err := l.src.find(name, limit)
	var bad *badIndex
	if !errors.As(err, &bad) {
		return at, ok, err
	}
	l.src.release()
	if l.src, l.err = l.file.withoutIndex(l.src, bad); l.err != nil {
		l.src = nil
		return located{}, false, l.err
	}
	return l.src.find(name, limit)
}

// has tells whether there is an entry of exactly this name.
func (v view) has(name string) (bool, error) {
	_, ok, err := v.locate(name, 1)
	return ok, err
}
