package main

import (
	"fmt"

	"postrider/internal/status"
)

// The mail user has a group of the same name, which is drop's too, and of which nobody else is a member.

func (in *installer) group() step {
	name := in.conf.Smtpd.User
	return step{
		look: func() (string, error) {
			g, err := in.entry("group", name)
			if err != nil || g == nil {
				return "create the group " + name, err
			}
			in.gid, err = number(g, 2)
			if err == nil && g[3] != "" && g[3] != name {
				err = status.Fail("postrider.setup", status.ExitConfig, fmt.Sprintf("the group %s has members (%s), who could write into the spool: remove them", name, g[3]), nil)
			}
			return "", err
		},
		do: func() (err error) {
			if in.host.have("groupadd") {
				err = in.host.run("groupadd", "--system", name)
			} else {
				err = in.host.run("addgroup", "-S", name) // BusyBox
			}
			if err != nil {
				return err
			}
			g, err := in.entry("group", name)
			if err == nil && g == nil {
				err = fmt.Errorf("there is still no group %s in group(5)", name)
			}
			if err == nil {
				in.gid, err = number(g, 2)
			}
			return err
		},
	}
}

func (in *installer) user() step {
	name := in.conf.Smtpd.User
	look := func() (string, error) {
		u, err := in.entry("passwd", name)
		if err != nil || u == nil {
			return "create the user " + name + ", who cannot log in", err
		}
		gid, err := number(u, 3)
		if err == nil && gid != in.gid && in.gid >= 0 {
			err = status.Fail("postrider.setup", status.ExitConfig, fmt.Sprintf("the user %s has another group than %s: run: usermod -g %s %s", name, name, name, name), nil)
		}
		if err == nil {
			in.uid, err = number(u, 2)
		}
		return "", err
	}
	return step{look, func() error {
		var err error
		if in.host.have("useradd") {
			err = in.host.run("useradd", "--system", "--gid", name, "--home-dir", "/nonexistent", "--no-create-home",
				"--shell", "/usr/sbin/nologin", "--comment", "postrider mail system", name)
		} else {
			err = in.host.run("adduser", "-S", "-D", "-H", "-G", name, "-h", "/nonexistent", "-s", "/sbin/nologin", "-g", "postrider mail system", name)
		}
		if err != nil {
			return err
		}
		if missing, err := look(); err != nil || missing != "" {
			return fmt.Errorf("there is still no user %s in passwd(5) (%v)", name, err)
		}
		return nil
	}}
}
