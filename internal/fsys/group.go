package fsys

// NewGroup makes a file system of one that a program sees as a member of a group: what it creates the group can read
// (mode 0640), and it can make names durable in directories that the group may write and search, but not read. It is for one
// goroutine, and what SyncDir needs of it is a file that was created and is still open.
func NewGroup(under FS) FS { return &group{FS: under} }

type group struct {
	FS
	last File // created
}

// Create implements FS.
func (g *group) Create(name string) (File, error) {
	f, err := g.FS.Create(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil {
		err = f.Become(st.UID, st.GID, 0o640)
	}
	if err != nil {
		f.Close()
		g.FS.Remove(name)
		return nil, err
	}
	g.last = f
	return f, nil
}

// SyncDir implements FS. A directory must be opened for reading to be synced. Where that is not allowed all of the file
// system is, by the file that was created last.
func (g *group) SyncDir(name string) error {
	if f, ok := g.last.(*osFile); ok {
		return f.syncAll()
	}
	return g.FS.SyncDir(name)
}
