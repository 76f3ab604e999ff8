//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// postfixMain is the configuration of a Postfix of our own, which passes everything on to one host. It uses accounts that
// every system has.
const postfixMain = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
daemon_directory = DAEMONS
command_directory = COMMANDS
shlib_directory = LIBRARIES
meta_directory = DIR
mail_owner = mail
setgid_group = news
default_privs = nobody
myhostname = postfix.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
relayhost = [HOST]:PORT
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtputf8_enable = yes
smtpd_relay_restrictions = permit_mynetworks, reject
maillog_file = DIR/maillog
maillog_file_prefixes = DIR
import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME LD_LIBRARY_PATH
smtp_tls_CAfile = CERT
smtp_tls_loglevel = 1
smtp_sasl_password_maps = inline:{ { [HOST]:PORT = USER:PASSWORD } }
smtp_sasl_security_options =
`

const postfixMaster = `LISTEN inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// postfix starts a Postfix that relays to the server, and returns where it listens itself.
func (s *server) postfix(w way) string {
	s.Helper()
	master := find("master")
	switch {
	case os.Geteuid() != 0:
		s.Fatal("a Postfix of our own can be started by root only")
	case master == "":
		s.Fatal("missing: the programs of package postfix")
	}
	listen := freePort(s.T)
	dir := s.postfixDirs()
	main := strings.NewReplacer("DIR", dir, "DAEMONS", filepath.Dir(master), "COMMANDS", filepath.Dir(find("smtp-source")), "LIBRARIES", filepath.Dir(filepath.Dir(master)),
		"HOST", s.host(w.place), "PORT", s.port(w.place), "CERT", credential("cert"), "USER", login, "PASSWORD", password).Replace(postfixMain)
	if w.security != clear {
		main += "smtp_tls_security_level = verify\nsmtp_tls_verify_cert_match = " + hostname + "\n"
	}
	if w.security == implicit {
		main += "smtp_tls_wrappermode = yes\n"
	}
	if w.login {
		main += "smtp_sasl_auth_enable = yes\nsmtp_sasl_mechanism_filter = " + w.mechanism + "\n"
	}
	s.write("postfix/main.cf", main)
	s.write("postfix/master.cf", strings.Replace(postfixMaster, "LISTEN", listen, 1))
	cmd := s.tool("", "master", "-c", dir, "-s")
	cmd.Env = append(cmd.Env, "MAIL_CONFIG="+dir)
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // its children end with it
		cmd.Wait()
		if log, err := os.ReadFile(s.path("postfix/maillog")); err == nil && s.Failed() {
			s.Logf("Postfix logged:\n%s", log)
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if k, err := dial(listen); err == nil {
			k.Close()
			return listen
		}
		if time.Now().After(deadline) {
			s.Fatal("Postfix does not answer")
		}
	}
}

// postfixDirs makes the directories that Postfix wants.
func (s *server) postfixDirs() string {
	s.Helper()
	mail, err := user.Lookup("mail")
	if err != nil {
		s.Fatal(err)
	}
	uid, err := strconv.Atoi(mail.Uid)
	if err != nil {
		s.Fatal(err)
	}
	for dir, mode := range map[string]os.FileMode{"": 0o755, "/queue": 0o755, "/queue/pid": 0o755, "/data": 0} {
		s.directory("postfix"+dir, mode, uid)
	}
	for _, dir := range strings.Fields("active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace") {
		s.directory("postfix/queue/"+dir, 0, uid)
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { // all is below it
		s.Fatal(err)
	}
	return s.path("postfix")
}

// directory makes a directory of root's, or with mode 0 one that is a user's alone.
func (s *server) directory(name string, mode os.FileMode, uid int) {
	s.Helper()
	err := os.MkdirAll(s.path(name), 0o755)
	if err == nil && mode == 0 {
		if err = os.Chmod(s.path(name), 0o700); err == nil {
			err = os.Chown(s.path(name), uid, -1)
		}
	}
	if err != nil {
		s.Fatal(err)
	}
}

// arrived waits until the spool has so many messages.
func (s *server) arrived(n int) {
	s.Helper()
	for deadline := time.Now().Add(patience); len(s.spooled("new")) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(s.path("log"))
			s.Fatalf("%d messages have arrived\n%s", len(s.spooled("new")), log)
		}
	}
}

var postfixTrace = regexp.MustCompile(`Received: from client\.example \(\S+ \[127\.0\.0\.1\]\)\r\n\tby postfix\.example \(Postfix\) with \S+ id \S+\r\n(\tfor [^\r]*; |\t)[^\r]*\r\n`)

// sendPostfix hands the sample to a Postfix, which relays it.
func sendPostfix(s *server, w way) string {
	c, err := smtp.Dial(s.postfix(w))
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("client.example"); err != nil {
		s.Fatal(err)
	}
	if err := c.SendMail("alice@home.example", []string{w.to}, strings.NewReader(sample)); err != nil {
		s.Fatal(err)
	}
	s.arrived(1)
	return s.addedByPostfix() + sample
}

// addedByPostfix is the field that Postfix has put before the message that came last.
func (s *server) addedByPostfix() string {
	s.Helper()
	names := s.spooled("new")
	text, err := os.ReadFile(s.path(names[len(names)-1]))
	if err != nil {
		s.Fatal(err)
	}
	field := postfixTrace.FindString(string(text))
	if field == "" {
		s.Fatal(fmt.Errorf("no Received field of Postfix: %q", text))
	}
	return field
}
