package main

import "postrider/internal/newaliases"

// newaliases checks the aliases and makes their indexes: -bi, -I and the name newaliases.
func (p *program) newaliases() error {
	code, err := newaliases.Run(p.name, p.inv, p.configure, p.out, p.err)
	if err != nil {
		return err
	}
	return exit(code)
}
