package aliases

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Audit reads everything that the files lead to, and tells what is wrong beside the lines themselves, which Check tells
// of: included files that cannot be read or have members that nobody can make sense of, circles, aliases too deep inside
// each other, and members for whom known returns an error, which is a warning. A file that never was has nothing wrong.
func (d *Database) Audit(known func(Member) error) ([]Problem, error) {
	d = d.asIs()
	var list []Problem
	for _, f := range d.files {
		text, err := readText(f.name)
		if errors.Is(err, fs.ErrNotExist) && !f.missing() {
			continue
		}
		if err != nil {
			return nil, err
		}
		st, err := f.stat()
		if err != nil {
			return nil, err
		}
		t := parse(f.name, text, st.UID)
		names := make([]string, 0, len(t.entries))
		for name := range t.entries {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int { return t.entries[a].line - t.entries[b].line })
		for _, name := range names {
			list = append(list, d.audit(t.entry(name, t.entries[name]), known)...)
		}
	}
	return list, nil
}

// asIs is d as if its files were whole: who asks for what is wrong with a text has just written it.
func (d *Database) asIs() *Database {
	as := &Database{o: d.o, fs: d.fs}
	for _, f := range d.files {
		f := newFile(f.name, f.report)
		f.clock = func() time.Time { return time.Now().Add(quiet) }
		as.files = append(as.files, f)
	}
	return as
}

// audit looks at one entry.
func (d *Database) audit(e Entry, known func(Member) error) (list []Problem) {
	say := func(warning bool, format string, args ...any) {
		list = append(list, Problem{File: e.File, Line: e.Line, Text: shown(e.Name) + ": " + fmt.Sprintf(format, args...), Warning: warning})
	}
	for _, m := range e.Members {
		switch m.Kind {
		case Include:
			in, err := d.readInclude(m.Text, e.owner)
			if err != nil {
				say(false, "%v", err)
			}
			for _, m := range in.members {
				if m.Kind == Error {
					say(false, "%s", m.Err)
				}
			}
		case Address, User:
			d.auditAddress(m, known, say)
		}
	}
	x, ok, err := d.Probe(e.Name)
	if err != nil || !ok {
		return list // it is told of where it is
	}
	for _, r := range x.Recipients {
		if r.tangled {
			say(false, "%s", r.Err)
		}
	}
	return list
}

// auditAddress looks at a member that may be somebody here.
func (d *Database) auditAddress(m Member, known func(Member) error, say func(bool, string, ...any)) {
	if local := m.Address.Domain() == "" || d.o.Local != nil && d.o.Local(m.Address); !local {
		return
	}
	if _, ok, err := d.Lookup(m.Address.Unquoted()); m.Kind == Address && (ok || err != nil) {
		return
	}
	if err := known(m); err != nil {
		say(true, "%s: %v", shown(m.Text), err)
	}
}

// IndexState is nil when a file is read through its index; ErrNoIndex or ErrStale, or what is wrong with the index, when
// it is not.
func IndexState(name string) error {
	x, err := openIndex(name)
	if err != nil {
		return err
	}
	x.release()
	return nil
}
