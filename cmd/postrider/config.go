package main

import (
	"fmt"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"

	"postrider/internal/config"
)

// config prints the configuration as TOML that would load as the same.
func (a *app) config(c *cli.Context) error {
	conf, err := a.load(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "# %s\n", source(conf))
	if c.Bool("all") {
		return toml.NewEncoder(a.out).Encode(conf)
	}
	for _, line := range conf.Diff() {
		fmt.Fprintln(a.out, line)
	}
	return nil
}

// source names the file of a configuration.
func source(conf config.Config) string {
	if conf.Path == "" {
		return "no configuration file: the defaults hold"
	}
	return conf.Path
}
