package route

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// User is one that can have a mailbox.
type User struct {
	Name     string
	UID, GID int
	Home     string
}

// Users is the user database.
type Users interface {
	// Lookup finds a user by the exact name. An error means that nobody knows.
	Lookup(name string) (User, bool, error)
	// Caller is the user who runs this program.
	Caller() (User, error)
}

// maxPasswd is what is read of a passwd file.
const maxPasswd = 16 << 20

// Passwd is a Users made of a passwd(5) file. It sees the file's changes. Users who are in a directory
// service only are known to that of SystemUsers, which asks the name service for whom the file does not know.
type Passwd struct {
	path string
	nss  *nss // nil: nobody else is asked

	mu     sync.Mutex
	read   bool
	mtime  time.Time
	size   int64
	byName map[string]User
}

// NewPasswd makes a Passwd of the file at path, usually /etc/passwd. It is read when first needed.
func NewPasswd(path string) *Passwd { return &Passwd{path: path} }

// Lookup finds a user by the exact name.
func (p *Passwd) Lookup(name string) (User, bool, error) {
	users, err := p.load()
	if err != nil {
		return User{}, false, err
	}
	u, ok := users[name]
	if !ok && p.nss != nil {
		return p.nss.lookup(name)
	}
	return u, ok, nil
}

// Caller is the user of this process. One whom the file does not know, as in some containers, is called as
// $LOGNAME or $USER says, and else by the number.
func (p *Passwd) Caller() (User, error) {
	uid, name := os.Getuid(), ""
	for _, key := range []string{"LOGNAME", "USER"} {
		if name == "" {
			name = os.Getenv(key)
		}
	}
	users, err := p.load()
	if err != nil && !os.IsNotExist(err) {
		return User{}, err
	}
	found := User{UID: -1}
	for _, u := range users {
		// Several names may share a number: the one logged in with counts, and else the first in order.
		if u.UID == uid && (found.UID < 0 || u.Name == name || found.Name != name && u.Name < found.Name) {
			found = u
		}
	}
	if found.UID >= 0 {
		return found, nil
	}
	if _, taken := users[name]; taken || !plainUserName(name) {
		name = strconv.Itoa(uid)
	}
	return User{Name: name, UID: uid, GID: os.Getgid(), Home: os.Getenv("HOME")}, nil
}

// plainUserName keeps a name from the environment from being anything but a name: it may end up in a path.
func plainUserName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && (i == 0 || !strings.ContainsRune("-_.", rune(s[i]))) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (p *Passwd) load() (map[string]User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := os.Stat(p.path)
	if err == nil && p.read && now.ModTime().Equal(p.mtime) && now.Size() == p.size { // opening costs much more
		return p.byName, nil
	}
	f, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	users, err := parsePasswd(io.LimitReader(f, maxPasswd))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", p.path, err)
	}
	p.read, p.mtime, p.size, p.byName = true, info.ModTime(), info.Size(), users
	return users, nil
}

// parsePasswd reads passwd(5) lines, name:password:uid:gid:gecos:home:shell. The first of two lines with one
// name counts. Lines that are none, and NIS's (+, -), are ignored.
func parsePasswd(r io.Reader) (map[string]User, error) {
	users := map[string]User{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		f := strings.Split(lines.Text(), ":")
		if len(f) != 7 || f[0] == "" || strings.ContainsAny(f[0][:1], "+-#") || strings.ContainsAny(f[0], "/\x00") {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if _, have := users[f[0]]; have || err1 != nil || err2 != nil || f[0] == "." || f[0] == ".." {
			continue
		}
		users[f[0]] = User{Name: f[0], UID: int(uid), GID: int(gid), Home: f[5]}
	}
	return users, lines.Err()
}
