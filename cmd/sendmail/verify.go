package main

import (
	"os"
	"path/filepath"

	"postrider/compat"
	"postrider/internal/status"
)

// verify becomes the program that explains where mail goes: for -bv it prints a line for each recipient, for -bt it is the
// address test mode or, with addresses, it tells their way. What decides about addresses is too heavy to be linked here.
func (p *program) verify() (err error) {
	if p.inv.Mode == compat.Verify && len(p.inv.Recipients) == 0 {
		return status.Fail("sendmail", status.ExitUsage, "Recipient names must be specified", nil)
	}
	if p.cfg, err = p.configure(); err != nil {
		return err
	}
	args := append([]string{"explain"}, p.explained()...)
	if p.inv.Mode == compat.AddressTest {
		args = append(args, "--test")
	} else {
		args = append(args, "--verify")
	}
	if p.inv.Verbose {
		args = append(args, "--verbose")
	}
	if p.inv.From != nil {
		args = append(args, "--from="+*p.inv.From)
	}
	return p.exec("postrider", append(append(args, "--"), p.inv.Recipients...)...)
}

// explained are the options that make it explain our configuration.
func (p *program) explained() []string {
	env := os.Getenv("POSTRIDER_CONFIG")
	switch {
	case p.inv.ConfigFile != "":
		return []string{"--config=" + p.cfg.Path, "--confined"}
	case env != "" && !filepath.IsAbs(env):
		return []string{"--config=" + p.cfg.Path}
	}
	return nil
}
