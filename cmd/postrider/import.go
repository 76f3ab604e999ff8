package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/compat/foreign"
	"postrider/internal/config"
	"postrider/internal/status"
)

func (a *app) importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "carry over the configuration or the queue of another mail system", ArgsUsage: "[PATH]", Action: a.importAction,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "the other mail system is `NAME`: " + strings.Join(foreign.Systems(), ", ")},
			&cli.StringFlag{Name: "root", Usage: "its files are below `DIR`"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the configuration to `FILE`"},
			&cli.BoolFlag{Name: "write", Usage: "write the configuration where it belongs"},
			&cli.BoolFlag{Name: "force", Usage: "replace files that are there"},
			&cli.StringFlag{Name: "queue", Usage: "take in the messages that wait in `DIR`, or in the queue of postfix or sendmail"},
			&cli.BoolFlag{Name: "remove", Usage: "with --queue: remove what was taken in"},
		},
	}
}

func (a *app) importAction(c *cli.Context) error {
	if err := importUsage(c); err != nil {
		return err
	}
	if c.String("queue") != "" {
		return a.importQueue(c)
	}
	return a.importConfig(c)
}

// importUsage refuses options that do not go together.
func importUsage(c *cli.Context) error {
	queue, file, write := c.IsSet("queue"), c.IsSet("output"), c.Bool("write")
	from := c.String("from")
	switch {
	case c.NArg() > 1:
		return usage("import: unexpected argument %q", c.Args().Get(1))
	case c.NArg() == 1 && (c.IsSet("root") || queue):
		return usage("import: give a path, or --root or --queue")
	case queue && c.String("queue") == "":
		return usage("import: --queue needs a directory, or postfix or sendmail")
	case queue && (file || write || c.Bool("force") || c.IsSet("from")):
		return usage("import: --queue takes messages only; --from, --output, --write and --force are for configurations")
	case c.Bool("remove") && !queue:
		return usage("import: --remove is for --queue")
	case file && write:
		return usage("import: give --output or --write, not both")
	case c.Bool("force") && !file && !write:
		return usage("import: --force is for --output and --write")
	case from != "" && !slices.Contains(foreign.Systems(), from):
		return usage("import: --from must be one of %s", strings.Join(foreign.Systems(), ", "))
	}
	return nil
}

// importConfig reads the other system's configuration and writes ours.
func (a *app) importConfig(c *cli.Context) error {
	src, err := a.source(c)
	if err != nil {
		return err
	}
	m, err := foreign.Read(src)
	switch {
	case errors.Is(err, foreign.ErrAmbiguous):
		return usage("import: %v: say which by --from", err)
	case errors.Is(err, fs.ErrPermission):
		return status.Fail("postrider.import", status.ExitNoPerm, "import", err)
	case err != nil:
		return status.Fail("postrider.import", status.ExitNoInput, "import", err)
	}
	if dir := c.String("root"); dir != "" {
		m.Notes = append(m.Notes, foreign.Note{From: foreign.Place{File: dir}, Text: "files that are named here, such as aliases and certificates, are those of that system: bring them along"})
	}
	path, err := a.importPath(c)
	if err != nil {
		return err
	}
	write := c.Bool("write") || c.IsSet("output")
	files, err := importFiles(m, path)
	if err != nil {
		return err
	}
	if write {
		if err := a.writeImport(files, c.Bool("force")); err != nil {
			return err
		}
		a.reportImport(m)
	} else {
		a.showImport(files)
	}
	if m.Left() > 0 {
		return exitStatus(status.ExitDataErr)
	}
	return nil
}

// source says where the other system's files are. A root that is given is not left by links in it.
func (a *app) source(c *cli.Context) (foreign.Source, error) {
	src := foreign.Source{FS: os.DirFS("/"), From: c.String("from"), Home: a.getenv("HOME")}
	if dir := c.String("root"); dir != "" {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return src, cannotRead(dir, err)
		}
		src.FS = root.FS()
	}
	if c.NArg() == 1 {
		path, err := filepath.Abs(c.Args().First())
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return src, cannotRead(c.Args().First(), err)
		}
		src.Path = path
	}
	return src, nil
}

// importPath is where the configuration is to be, as setup would choose it.
func (a *app) importPath(c *cli.Context) (string, error) {
	if file := c.String("output"); file != "" {
		return filepath.Abs(file)
	}
	path, err := config.Locate(a.getenv, configOverride(c))
	if err != nil || path != "" {
		return path, err
	}
	if a.uid == 0 {
		return config.SystemPath, nil
	}
	return config.UserPath(a.getenv)
}

// cannotRead is the error of a file that is to be imported.
func cannotRead(path string, err error) error {
	exit := status.ExitNoInput
	if errors.Is(err, fs.ErrPermission) {
		exit = status.ExitNoPerm
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return status.Fail("postrider.import", exit, "cannot read "+path, err)
}
