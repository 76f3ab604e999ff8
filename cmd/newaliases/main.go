// Newaliases checks the aliases and makes their indexes. See newaliases(1); package newaliases does the work, here as for
// sendmail -bi.
package main

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"postrider/compat"
	"postrider/internal/config"
	"postrider/internal/newaliases"
	"postrider/internal/sibling"
	"postrider/internal/status"
)

func main() {
	syscall.Umask(0o022)
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in; it returns an exit status.
func run(argv []string, out, errw io.Writer) int {
	argv = append([]string{"newaliases"}, argv[min(1, len(argv)):]...)
	inv, err := compat.Parse(argv)
	if err != nil {
		return fail(errw, err)
	}
	if inv.Mode != compat.Newaliases {
		return fail(errw, become("sendmail", argv))
	}
	for _, w := range inv.Warnings {
		fmt.Fprintf(errw, "newaliases: %s\n", w)
	}
	code, err := newaliases.Run("newaliases", inv, func() (config.Config, error) { return configure(inv) }, out, errw)
	if err != nil {
		return fail(errw, err)
	}
	return code
}

// configure loads the configuration, as sendmail does.
func configure(inv *compat.Invocation) (config.Config, error) {
	path, err := config.Locate(os.Getenv, inv.ConfigFile)
	if err != nil {
		return config.Config{}, err
	}
	cfg, err := config.Load(path)
	if err == nil && inv.ConfigFile != "" {
		err = cfg.Confined()
	}
	return cfg, err
}

// become goes on as another program, which has the modes that other options ask for: newaliases -bp lists the queue.
func become(name string, argv []string) error {
	path, err := sibling.Path(name)
	if err == nil {
		err = syscall.Exec(path, argv, os.Environ())
	}
	return status.Fail("newaliases", status.ExitUnavailable, "cannot start "+name, err)
}

func fail(errw io.Writer, err error) int {
	st := status.From(err)
	fmt.Fprintf(errw, "newaliases: %s\n", status.Clean(st.Error(), 2*status.MaxText))
	return st.Exit()
}
