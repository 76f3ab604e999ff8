//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	packages = append(packages, [2]string{"doveconf", "dovecot-core"}, [2]string{"../lib/dovecot/lmtp", "dovecot-lmtpd"})
}

// dovecotConf is the configuration of a Dovecot of our own with an LMTP server and the socket for logins. It uses accounts
// that every system has.
const dovecotConf = `base_dir = DIR/run
state_dir = DIR/state
libexec_dir = PROGRAMS
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = daemon
import_environment = LD_LIBRARY_PATH
log_path = DIR/log
protocols = lmtp
ssl = no
auth_mechanisms = plain login
disable_plaintext_auth = no
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:DIR/mail/%n
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%n DIR/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=DIR/mail/%n allow_all_users=yes
}
service auth {
  unix_listener auth-client {
    mode = 0666
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
`

// dovecot starts a Dovecot, and returns the directory of its sockets.
func (in *installation) dovecot() string {
	in.Helper()
	if os.Geteuid() != 0 {
		in.Fatal("a Dovecot of our own can be started by root only")
	}
	for _, name := range []string{"", "dovecot", "dovecot/state", "dovecot/mail"} {
		mode := os.FileMode(0o755)
		if name == "dovecot/mail" {
			mode = 0o777
		}
		if err := os.MkdirAll(in.path(name), mode); err != nil {
			in.Fatal(err)
		}
		if err := os.Chmod(in.path(name), mode); err != nil {
			in.Fatal(err)
		}
	}
	dir := in.path("dovecot")
	master := filepath.Join(filepath.Dir(find("doveconf")), "../sbin/dovecot")
	programs := filepath.Join(filepath.Dir(master), "../lib/dovecot")
	conf := in.write("dovecot/conf", strings.NewReplacer("DIR", dir, "PROGRAMS", programs).Replace(dovecotConf))
	users := in.write("dovecot/users", login+":{PLAIN}"+strings.ReplaceAll(password, ":", "")+"\n")
	if err := os.Chmod(users, 0o644); err != nil {
		in.Fatal(err)
	}
	cmd := in.command("", find("doveconf"), "-f", "service=master", "-c", conf, "-e", master, "-F", "-c", conf)
	cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+programs)
	if err := cmd.Start(); err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() { in.end(cmd) })
	for deadline := time.Now().Add(patience); !exists(dir + "/run/lmtp"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			in.Fatal("Dovecot does not listen")
		}
	}
	return dir + "/run"
}

func (in *installation) end(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM) // its children end with it
	cmd.Wait()
	if log, err := os.ReadFile(in.path("dovecot/log")); err == nil && in.Failed() {
		in.Logf("Dovecot logged:\n%s", log)
	}
}

// Users log in with what Dovecot knows of them.
func TestLoginByDovecot(t *testing.T) {
	s := newServer(t, strangers)
	sockets := s.dovecot()
	conf, err := os.ReadFile(s.path("postrider.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("postrider.toml", strings.ReplaceAll(string(conf), `file = "`+credential("users")+`"`, `dovecot = "`+sockets+`/auth-client"`))
	s.start()
	t.Cleanup(s.stop)
	word := strings.ReplaceAll(password, ":", "")
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		args := []string{"--server", s.host("submission"), "--port", s.port("submission"), "--tls", "--auth", mechanism, "--auth-user", login, "--from", "alice@home.example", "--to", "bob@remote.example"}
		s.use("", "swaks", append(args, "--auth-password", word)...)
		if m := s.only(); m.Login != login || m.Proto != "ESMTPSA" {
			t.Errorf("%s: logged in as %q by %s", mechanism, m.Login, m.Proto)
		}
		s.fails("535 5.7.8", "", "swaks", append(args, "--auth-password", "wrong")...)
	}
}

// Dovecot has the mailboxes, and the queue hands mail to its LMTP server.
func TestMailboxesOfDovecot(t *testing.T) {
	in := install(t)
	sockets := in.dovecot()
	conf, err := os.ReadFile(in.path("postrider.toml"))
	if err != nil {
		t.Fatal(err)
	}
	in.write("postrider.toml", strings.ReplaceAll(string(conf), "maildir:"+in.path("Maildir"), "lmtp+unix:"+sockets+"/lmtp"))
	in.run("Subject: x\n\ntext\n.\nFrom here\n", "sendmail", "-oi", "-odi", "-f", "alice@home.example", in.user)
	in.settled()
	files, err := filepath.Glob(in.path("dovecot/mail/" + in.user + "/new/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %q, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(text), "Return-Path: <alice@home.example>") || !strings.HasSuffix(string(text), "\n\ntext\n.\nFrom here\n") {
		t.Errorf("%q, %v", text, err)
	}
}
