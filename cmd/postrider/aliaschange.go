package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/aliases"
	"postrider/internal/config"
	"postrider/internal/status"
)

func (a *app) aliasAdd(c *cli.Context) error {
	if c.NArg() < 2 {
		return usage("aliases add: give a name and whom it stands for")
	}
	return a.changeAlias(c, aliases.Add)
}

func (a *app) aliasRemove(c *cli.Context) error {
	if c.NArg() < 1 {
		return usage("aliases rm: give a name, and the members that are to go unless all are")
	}
	return a.changeAlias(c, aliases.Remove)
}

// changeAlias changes the file in which a name is, or the first, makes its index again, and shows what has come of it.
func (a *app) changeAlias(c *cli.Context, change func(file, name string, members []string) (bool, error)) error {
	words := c.Args().Slice()
	for _, w := range words {
		if strings.HasPrefix(w, "--") {
			return usage("aliases %s: options stand before the name", c.Command.Name)
		}
	}
	conf, err := a.load(c)
	if err != nil {
		return err
	}
	file, err := aliasFile(c.String("file"), conf, words[0])
	if err != nil {
		return err
	}
	changed, err := change(file, words[0], words[1:])
	if err != nil {
		return aliasError("change", file, err)
	}
	if !changed {
		fmt.Fprintf(a.out, "%s: nothing to change\n", file)
		return nil
	}
	if _, unwritten, err := aliases.Rebuild(file); err != nil || unwritten != nil {
		fmt.Fprintf(a.err, "postrider: the index of %s is not made again: %v; mail goes by the file itself\n", file, errors.Join(err, unwritten))
	}
	return a.showChanged(conf, file, words[0])
}

// aliasFile is the file that is meant: the one that --file names, or the first that has the name, or the first.
func aliasFile(named string, conf config.Config, name string) (string, error) {
	if named != "" {
		return named, nil
	}
	files := conf.AliasFiles()
	if len(files) == 0 {
		return "", status.Fail("postrider.aliases", status.ExitConfig, "no file of aliases is configured: set aliases = [ \"...\" ], or give --file", nil)
	}
	for _, file := range files {
		if e, ok, _ := aliases.Open([]string{file}, aliases.Options{}).Lookup(name); ok && strings.EqualFold(e.Name, name) {
			return file, nil
		}
	}
	return files[0], nil
}

// showChanged tells what a name stands for now.
func (a *app) showChanged(conf config.Config, file, name string) error {
	for _, f := range append([]string{file}, conf.AliasFiles()...) {
		e, ok, err := aliases.Open([]string{f}, aliases.Options{}).Lookup(name)
		if err != nil || !ok || !strings.EqualFold(e.Name, name) {
			continue
		}
		var members []string
		for _, m := range e.Members {
			members = append(members, m.Spelled())
		}
		fmt.Fprintf(a.out, "%s: %s\n", status.Clean(e.Where(), 320), status.Clean(strings.Join(members, ", "), 1000))
		return nil
	}
	fmt.Fprintf(a.out, "%s is no alias any more\n", status.Clean(name, 80))
	return nil
}

// aliasError is the error of what cannot be done with a file.
func aliasError(act, file string, err error) *status.Status {
	exit := status.ExitCantCreat
	switch {
	case errors.Is(err, aliases.ErrMember):
		exit = status.ExitDataErr
	case errors.Is(err, aliases.ErrNoAlias):
		exit = status.ExitNoUser
	case errors.Is(err, aliases.ErrByHand), errors.Is(err, aliases.ErrNotText), errors.Is(err, aliases.ErrUnsafe):
		exit = status.ExitConfig
	case errors.Is(err, aliases.ErrBusy):
		exit = status.ExitTempFail
	case errors.Is(err, fs.ErrPermission):
		exit = status.ExitNoPerm
	case errors.Is(err, fs.ErrNotExist):
		exit = status.ExitNoInput
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return status.Fail("postrider.aliases", exit, "cannot "+act+" "+file, errors.New(strings.TrimPrefix(err.Error(), file+": ")))
}
