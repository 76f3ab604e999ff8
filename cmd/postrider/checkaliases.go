package main

import (
	"errors"
	"fmt"
	"io/fs"

	"postrider/aliases"
)

// aliases reads the files of aliases. Mail for a name waits when its line is wrong, and for all local names when a file
// cannot be read.
func (k *checker) aliases() (list []finding) {
	for _, file := range k.conf.AliasFiles() {
		rep, err := aliases.Check(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			list = append(list, good("aliases %s: there is no such file, so it is an empty one", file))
			continue
		case err != nil:
			list = append(list, finding{fail, "aliases: " + err.Error(), "make it readable, and writable by its owner only: mail waits"})
			continue
		case rep.Bad > 0:
			make := "make"
			if rep.Bad == 1 {
				make = "makes"
			}
			list = append(list, finding{fail, fmt.Sprintf("aliases %s: %s that %s no sense", file, counted(rep.Bad, "line"), make), "run: postrider aliases check"})
		default:
			list = append(list, good("aliases %s: %s", file, counted(rep.Aliases, "name")))
		}
		if err := aliases.IndexState(file); err != nil && !errors.Is(err, aliases.ErrNoIndex) {
			list = append(list, finding{warn, "aliases " + file + ": " + indexState(file), "it works without, more slowly"})
		}
	}
	return list
}
