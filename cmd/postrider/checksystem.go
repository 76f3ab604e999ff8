package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"postrider/internal/drop"
)

const mendSystem = "run: postrider setup --system"

// privileges looks whether a system installation is as SECURITY.md says: owners, modes, and who has which rights.
func (k *checker) privileges() []finding {
	if k.conf.User {
		return nil
	}
	in := &installer{app: k.app, conf: k.conf, uid: -1, gid: -1}
	list := in.checkUser()
	if in.uid < 0 || in.gid < 0 {
		return list
	}
	if k.uid != 0 {
		return append(list, finding{warn, "privileges: only root can look at them", "run it as root"})
	}
	for _, look := range []func() []finding{in.checkSpool, in.checkDrop, in.checkPrograms, in.checkFiles, in.checkKernel, in.checkAgent, in.checkUnits} {
		list = append(list, look()...)
	}
	for _, f := range list {
		if f.level != ok {
			return list
		}
	}
	return []finding{good("privileges: user %s has the spool, drop alone has a set-id bit", k.conf.Smtpd.User)}
}

// checkUser looks for the mail user. Without one, root has the spool, and only root submits.
func (in *installer) checkUser() []finding {
	name := in.conf.Smtpd.User
	var list []finding
	if _, err := in.group().look(); err != nil {
		list = append(list, finding{fail, err.Error(), "see group(5)"})
	}
	if _, err := in.user().look(); err != nil {
		list = append(list, finding{fail, err.Error(), "see passwd(5)"})
	}
	if len(list) == 0 && (in.uid < 0 || in.gid < 0) {
		return []finding{{warn, "there is no user " + name + ": all of the mail system runs as root, and only root can submit", mendSystem}}
	}
	return list
}

func (in *installer) checkSpool() []finding {
	if wrong := in.spoolFault(); wrong != "" {
		return []finding{{fail, "spool: " + wrong, mendSystem}}
	}
	return nil
}

func (in *installer) checkDrop() (list []finding) {
	path, err := in.dropPath()
	if err != nil {
		return []finding{{fail, err.Error(), "install all programs together, where only root can write"}}
	}
	if wrong := in.dropFault(path); wrong != "" {
		list = append(list, finding{fail, wrong + ": nobody can submit while the server is down", mendSystem})
	}
	have, err := drop.Load(in.host.settings, in.host.root)
	if err == nil && have != in.wantedSettings() {
		err = fmt.Errorf("%s has another spool or size than the configuration", in.host.settings)
	}
	if err != nil {
		list = append(list, finding{fail, err.Error(), mendSystem})
	}
	return list
}

// ownPrograms are the programs that must have no set-id bit, and that nobody but root may change.
var ownPrograms = []string{"sendmail", "mailq", "newaliases", "queuerun", "smtpd", "local", "postrider"}

func (in *installer) checkPrograms() (list []finding) {
	for _, name := range ownPrograms {
		path, err := in.program(name)
		if err != nil {
			continue // programs has told
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			continue
		}
		uid, _, mode, err := ownerOf(path)
		switch {
		case err != nil:
		case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
			list = append(list, finding{fail, fmt.Sprintf("%s has a set-id bit (mode %04o), which it must not have", path, unixMode(mode)), "run: chmod 0755 " + path})
		case uid != in.host.root || mode&0o022 != 0:
			list = append(list, finding{fail, fmt.Sprintf("%s can be changed by others than root", path), "run: chown root " + path + " && chmod 0755 " + path})
		}
	}
	return list
}

// checkFiles looks whether everybody can read the configuration, and nobody but root change it.
func (in *installer) checkFiles() (list []finding) {
	for _, path := range []string{in.host.config, filepath.Dir(in.host.config)} {
		uid, _, mode, err := ownerOf(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			list = append(list, finding{fail, err.Error(), "make it accessible"})
		case mode&fs.ModeSymlink != 0:
		case uid != in.host.root || mode&0o022 != 0:
			list = append(list, finding{fail, path + " can be changed by others than root", "run: chown root " + path + " && chmod go-w " + path})
		case path == in.host.config && mode&0o044 != 0o044:
			list = append(list, finding{fail, path + " cannot be read by everybody: sendmail needs it", "run: chmod 0644 " + path})
		}
	}
	return list
}

// hardlinks is the setting of the kernel by which nobody makes a name for another's file.
const hardlinks = "/proc/sys/fs/protected_hardlinks"

func (in *installer) checkKernel() []finding {
	if text, err := os.ReadFile(hardlinks); err == nil && strings.TrimSpace(string(text)) == "0" {
		return []finding{{warn, "users can make hard links to the files of others", "run: sysctl fs.protected_hardlinks=1, and set it in /etc/sysctl.d"}}
	}
	return nil
}

// checkAgent looks at the socket of the delivery agent, where it is to be used.
func (in *installer) checkAgent() []finding {
	path := in.conf.Local.Socket
	if strings.HasPrefix(in.conf.Local.Mailbox, "lmtp+unix:") || path == "" {
		return nil
	}
	uid, gid, mode, err := ownerOf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []finding{{warn, "the delivery agent does not run: there is no socket " + path, "start it: postrider-local.socket, or postrider run"}}
	}
	if err != nil {
		return []finding{{fail, err.Error(), "make it accessible"}}
	}
	if uid != in.host.root || mode&0o007 != 0 || mode&0o070 != 0 && gid != in.gid {
		return []finding{{fail, fmt.Sprintf("socket %s belongs to %d:%d and has mode %04o", path, uid, gid, unixMode(mode)), "it should be root's, with the group " + in.conf.Smtpd.User + " and mode 0660"}}
	}
	c, err := net.Dial("unix", path)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return []finding{{warn, "the delivery agent does not answer: " + err.Error(), "start it: postrider-local.socket, or postrider run"}}
	}
	if err == nil {
		c.Close()
	}
	return nil
}

func (in *installer) checkUnits() []finding {
	what, err := in.units().look()
	if err != nil || what == "" {
		return nil
	}
	return []finding{{warn, "systemd does not run all of the mail system: one should " + what, mendSystem}}
}
