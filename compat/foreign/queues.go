package foreign

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// State is what the other system is doing with a message.
type State int

// The states of messages that wait.
const (
	Queued  State = iota
	Active        // it may be delivered at this moment, while the system runs
	Held          // for the administrator
	Dropped       // submitted, and not yet looked at: its header is not complete
)

// Waiting is a message's file in a queue.
type Waiting struct {
	System string
	ID     string
	File   string // in the directory's FS
	Data   string // of Sendmail's: the file of its text
	State  State
}

// postfixQueues are the directories of Postfix's queue that hold messages, in the order in which they go through.
var postfixQueues = []struct {
	dir   string
	state State
}{{"hold", Held}, {"deferred", Queued}, {"active", Active}, {"incoming", Queued}, {"maildrop", Dropped}}

// ListQueue lists the messages in a queue directory, and tells whose it is.
func ListQueue(dir fs.FS) (system string, list []Waiting, err error) {
	tree := Tree{dir}
	if tree.isDir("deferred") && tree.isDir("incoming") {
		list, err = listPostfix(dir)
		return "postfix", list, err
	}
	list, err = listSendmail(dir)
	if err == nil && len(list) == 0 && !looksLikeSendmail(dir) {
		return "", nil, fmt.Errorf("%w: no queue of Postfix or Sendmail", ErrNone)
	}
	return "sendmail", list, err
}

// maxListed bounds the files of a queue.
const maxListed = 1_000_000

// listPostfix walks the directories, which may be spread over others named by letters of the queue ID.
func listPostfix(dir fs.FS) (list []Waiting, err error) {
	for _, q := range postfixQueues {
		if !(Tree{dir}).isDir(q.dir) {
			continue
		}
		err := fs.WalkDir(dir, q.dir, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && strings.Count(name, "/") > 16, d.IsDir() && name != q.dir && len(d.Name()) != 1:
				return fs.SkipDir
			case d.Type().IsRegular() && isPostfixID(d.Name()):
				if len(list) == maxListed {
					return fmt.Errorf("more than %d messages", maxListed)
				}
				list = append(list, Waiting{System: "postfix", ID: d.Name(), File: name, State: q.state})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// isPostfixID takes short and long queue IDs.
func isPostfixID(s string) bool {
	return len(s) >= 6 && len(s) <= 40 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// listSendmail looks for qf and hf files in the directory and those of its queue groups, where qf and df files may have
// directories of their own.
func listSendmail(dir fs.FS) (list []Waiting, err error) {
	err = fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.Count(name, "/") > 2 {
				return fs.SkipDir
			}
			return nil
		}
		base := d.Name()
		if len(base) < 8 || !d.Type().IsRegular() || base[:2] != "qf" && base[:2] != "hf" {
			return nil
		}
		w := Waiting{System: "sendmail", ID: base[2:], File: name, Data: dataFile(dir, name)}
		if base[0] == 'h' {
			w.State = Held
		}
		if len(list) == maxListed {
			return fmt.Errorf("more than %d messages", maxListed)
		}
		list = append(list, w)
		return nil
	})
	slices.SortFunc(list, func(a, b Waiting) int { return strings.Compare(a.File, b.File) })
	return list, err
}

// dataFile is the df file of a qf file, "" when there is none.
func dataFile(dir fs.FS, qf string) string {
	name := "df" + path.Base(qf)[2:]
	for _, file := range []string{path.Join(path.Dir(qf), name), path.Join(path.Dir(qf), "..", "df", name)} {
		if (Tree{dir}).exists(file) {
			return file
		}
	}
	return ""
}

// looksLikeSendmail tells an empty queue from a directory that is none: by its name nothing can be told, so it is one that
// has nothing or only directories in it.
func looksLikeSendmail(dir fs.FS) bool {
	entries, err := fs.ReadDir(dir, ".")
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() && !isQueueName(e.Name()) })
}

// isQueueName takes the names that Sendmail gives.
func isQueueName(s string) bool {
	return len(s) > 2 && strings.IndexByte("dfhlqtxTQ", s[0]) >= 0 && s[1] == 'f' || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".pid")
}
