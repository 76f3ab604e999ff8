package foreign

import (
	"errors"
	"fmt"
	"io/fs"
)

// The errors of Read.
var (
	ErrNone      = errors.New("no configuration of another mail system found")
	ErrAmbiguous = errors.New("it is not clear which configuration is meant")
)

// unreadable is the error of the main file.
func unreadable(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist", ErrNone, file)
	}
	return fmt.Errorf("cannot read %s: %w", file, cause(err))
}

func notFound(src Source) error {
	switch {
	case src.Path != "" && src.From == "":
		return fmt.Errorf("%w: %s has no name that tells whose it is", ErrNone, src.Path)
	case src.Path != "":
		return fmt.Errorf("%w: there is none of %s in %s", ErrNone, src.From, src.Path)
	case src.From != "":
		return fmt.Errorf("%w: there is none of %s", ErrNone, src.From)
	}
	return ErrNone
}
