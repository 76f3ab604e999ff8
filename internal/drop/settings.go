package drop

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"postrider/internal/fsys"
	"postrider/internal/status"
)

// SettingsPath is the file that Load reads; set when the program is built.
var SettingsPath = "/etc/postrider/drop.conf"

// Settings are what drop must know of the configuration. It does not read that itself: a program with special rights
// should read as little as it can.
type Settings struct {
	Spool string
	Limit int64 // bytes of a message; 0: any number
}

// Default are the settings where there is no file. They are those of a configuration that says nothing else.
func Default() Settings { return Settings{Spool: "/var/spool/postrider", Limit: 50 << 20} }

const maxSettings = 4 << 10

var errOthers = errors.New("it is not a file that only root can write")

// Load reads the settings, lines of a key, a blank and a value:
//
//	spool /var/spool/postrider
//	size 52428800
//
// A file that somebody else than owner, who is root, can write is an error, as is a line that is not understood: temporary
// ones, so that no message is refused for good.
func Load(path string, owner int) (Settings, error) {
	s, err := load(path, owner)
	if err != nil {
		return s, status.Fail("drop.settings", status.ExitTempFail, "cannot use the settings of drop", err)
	}
	return s, nil
}

func load(path string, owner int) (Settings, error) {
	s := Default()
	f, err := fsys.OS{}.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return s, err
	}
	if !st.Regular || int(st.UID) != owner || st.Mode&0o022 != 0 {
		return s, fmt.Errorf("%s: %w", path, errOthers)
	}
	b := make([]byte, maxSettings)
	n, err := f.Read(b)
	if n < 0 || err != nil && n == 0 && st.Size > 0 {
		return s, err
	}
	for i, line := range strings.Split(string(b[:n]), "\n") {
		if err := s.set(line); err != nil {
			return s, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	return s, nil
}

// set reads one line.
func (s *Settings) set(line string) (err error) {
	if line == "" || line[0] == '#' {
		return nil
	}
	key, value, _ := strings.Cut(line, " ")
	switch key {
	case "spool":
		if s.Spool = value; !filepath.IsAbs(value) || filepath.Clean(value) != value {
			return errors.New("spool must be an absolute path")
		}
	case "size":
		if s.Limit, err = strconv.ParseInt(value, 10, 64); err != nil || s.Limit < 0 {
			return errors.New("size must be a number of bytes")
		}
	default:
		return fmt.Errorf("unknown setting %q", key)
	}
	return nil
}

// String is the text that Load reads.
func (s Settings) String() string {
	return fmt.Sprintf("# What drop(8) takes of postrider.toml: written by postrider setup --system.\nspool %s\nsize %d\n", s.Spool, s.Limit)
}
