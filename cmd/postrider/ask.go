package main

import (
	"bufio"
	"fmt"
	"io"

	"postrider/internal/status"
)

// talk is a conversation. After its end there are no more answers.
type talk struct {
	in  *bufio.Reader
	out io.Writer
	err error
}

// question asks for a value and returns the present one when the answer is an empty line.
func (t *talk) question(text, now string) string {
	if t.err != nil {
		return now
	}
	fmt.Fprintf(t.out, "%s [%s]: ", text, now)
	line, err := readLine(t.in)
	if err != nil {
		t.err = status.Fail("postrider.setup", status.ExitNoInput, "the answers ended early; nothing was changed", err)
	}
	if line == "" {
		return now
	}
	return line
}

// ask makes the plan in a conversation. What is answered with an empty line stays as it is.
func (a *app) ask(p *plan) error {
	t := &talk{in: bufio.NewReader(a.in), out: a.out}
	if err := a.askSmarthost(p, t); err != nil {
		return err
	}
	if origin := t.question("Domain that completes addresses without one", p.old.Origin); origin != p.old.Origin {
		p.set("", "origin", origin)
	}
	if root := t.question(`Address that gets root's mail ("none": root's mailbox)`, orNone(p.old.Local.Root)); root != orNone(p.old.Local.Root) {
		p.set("local", "root", unlessNone(root))
	}
	if err := a.defaultRecipient(p); err != nil {
		return err
	}
	p.to = unlessNone(t.question(`Send a test message to ("none": to nobody)`, p.to))
	return t.err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (a *app) askSmarthost(p *plan, t *talk) error {
	old, _, err := p.old.Smarthost.Target()
	if err != nil {
		return err
	}
	host := t.question(`Smarthost, as host, host:port or URL ("none": straight to the recipients' hosts)`, orNone(p.old.Smarthost.URL))
	if host == orNone(p.old.Smarthost.URL) && host == "none" {
		return nil
	}
	if host == "none" {
		p.set("smarthost", "url", "")
		p.password("", "")
		return nil
	}
	user := unlessNone(t.question(`User at the smarthost ("none": do not log in)`, orNone(old.User)))
	if t.err != nil {
		return t.err
	}
	target, err := p.target(host, true, user, true)
	if err != nil {
		return err
	}
	if url := smarthostURL(target); url != smarthostURL(old) {
		p.set("smarthost", "url", url)
	}
	if user == "" {
		p.password("", "")
		return nil
	}
	return a.askPassword(p, user)
}

// askPassword asks for the smarthost's password. Without an answer the present source of it stays.
func (a *app) askPassword(p *plan, user string) error {
	have := p.old.Smarthost.PasswordFile != "" || p.old.Smarthost.PasswordCommand != ""
	if !a.terminal {
		if have {
			return nil
		}
		return usage("setup: user %s needs --password-file, --password-command or --password-stdin", user)
	}
	hint := ""
	if have {
		hint = "; empty: as before"
	}
	fmt.Fprintf(a.out, "Password of %s (not shown%s): ", user, hint)
	password, err := a.readSecret()
	fmt.Fprintln(a.out)
	if err == nil && password != "" {
		p.keep(password)
		return nil
	}
	if have {
		return err
	}
	return status.Fail("postrider.setup", status.ExitNoInput, "no password was given", err)
}
