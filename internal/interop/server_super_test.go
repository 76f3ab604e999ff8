//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Others open the socket and start the server for a connection, or at the first one. The lines for the inetds are those
// that we install.
func TestStartedByOthers(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(s *server) *exec.Cmd
	}{
		{"inetd nowait", func(s *server) *exec.Cmd { return s.inetd("smtp\tstream\ttcp\tnowait") }},
		{"inetd wait", func(s *server) *exec.Cmd { return s.inetd("#smtp\tstream\ttcp\twait") }},
		{"xinetd nowait", func(s *server) *exec.Cmd { return s.xinetd("no") }},
		{"xinetd wait", func(s *server) *exec.Cmd { return s.xinetd("yes") }},
		{"systemd Accept=no", func(s *server) *exec.Cmd { return s.activate("--foreground") }},
		{"systemd Accept=no, by name", func(s *server) *exec.Cmd {
			conf, err := os.ReadFile(s.path("postrider.toml"))
			if err != nil {
				s.Fatal(err)
			}
			s.write("postrider.toml", strings.Replace(string(conf), strconv.Quote(s.at["smtp"]), `"systemd:mail"`, 1))
			return s.activate("--foreground", "--fdname=mail")
		}},
		{"systemd Accept=no, as inetd", func(s *server) *exec.Cmd { return s.activate("--inetd", "--inetd") }},
		{"systemd Accept=yes", func(s *server) *exec.Cmd { return s.activate("--foreground", "--accept") }},
		{"systemd Accept=yes, as inetd", func(s *server) *exec.Cmd { return s.activate("--inetd", "--accept", "--inetd") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, strangers)
			s.startBy(c.start(s))
			for _, w := range []way{{place: "smtp", security: clear, to: "bob@relay.example", proto: "ESMTP"}, ways[2], ways[3]} {
				if w.login {
					w.mechanism = "PLAIN"
				}
				sendSwaks(s, w)
				s.holds(w, sample)
				sendGoSMTP(s, w)
				s.holds(w, sample)
			}
		})
	}
}

// startBy starts a program that starts the server when somebody connects.
func (s *server) startBy(cmd *exec.Cmd) {
	s.Helper()
	out, err := os.Create(s.path("output"))
	if err != nil {
		s.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		s.endChildren()
		if text, err := os.ReadFile(s.path("output")); err == nil && s.Failed() {
			s.Logf("%s wrote:\n%s", cmd.Path, text)
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		k, err := dial(s.at["smtp"])
		if err == nil {
			k.say("QUIT\r\n", "221")
			k.Close()
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("no server: %v", err)
		}
	}
}

// endChildren ends servers that have been started for us, and wait for further clients.
func (s *server) endChildren() {
	log, _ := os.ReadFile(s.path("log"))
	for _, m := range regexp.MustCompile(`(?m) postrider/smtpd\[(\d+)\]: `).FindAllSubmatch(log, -1) {
		pid, err := strconv.Atoi(string(m[1]))
		if err != nil {
			continue
		}
		if exe, err := os.Readlink("/proc/" + string(m[1]) + "/exe"); err == nil && exe == filepath.Join(bin, "smtpd") {
			syscall.Kill(pid, syscall.SIGTERM)
		}
	}
}

// adapted is a file that we install, with some texts replaced, each of which must be there.
func (s *server) adapted(file string, edits ...string) string {
	s.Helper()
	data, err := os.ReadFile("../../etc/" + file)
	if err != nil {
		s.Fatal(err)
	}
	text := string(data)
	edits = append(edits, "/usr/local/sbin/smtpd", filepath.Join(bin, "smtpd"), "--config=/etc/postrider/postrider.toml", "--queue-only --config="+s.path("postrider.toml"))
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			s.Fatalf("%s has no %q", file, edits[i])
		}
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	return text
}

// inetd is an inetd with the line of our example that begins with some words.
func (s *server) inetd(words string) *exec.Cmd {
	s.Helper()
	for line := range strings.Lines(s.adapted("inetd.conf.example", "\tpostrider\t", "\t"+s.user+"\t")) {
		if rest, ok := strings.CutPrefix(line, words+"\t"); ok {
			_, socket, _ := strings.Cut(words, "\t")
			return s.tool("", "inetd", "-i", s.write("inetd.conf", s.at["smtp"]+"\t"+socket+"\t"+rest))
		}
	}
	s.Fatalf("inetd.conf.example has no line %q", words)
	return nil
}

// xinetd is an xinetd with our service.
func (s *server) xinetd(wait string) *exec.Cmd {
	s.Helper()
	conf := s.adapted("xinetd/postrider", "service smtp\n", "service mail\n", "= postrider\n", "= "+s.user+"\n",
		"flags\t\t= IPv6", "type = UNLISTED\n\tbind = 127.0.0.1\n\tport = "+s.port("smtp"), "wait\t\t= no", "wait = "+wait)
	return s.tool("", "xinetd", "-dontfork", "-pidfile", s.path("xinetd.pid"), "-filelog", s.path("xinetd.log"), "-f", s.write("xinetd.conf", conf))
}

// activate is systemd-socket-activate, which opens a socket as a unit would have it.
func (s *server) activate(mode string, args ...string) *exec.Cmd {
	args = append(append([]string{"--listen=" + s.at["smtp"]}, args...), filepath.Join(bin, "smtpd"), mode, "--queue-only", "--config="+s.path("postrider.toml"))
	return s.tool("", "systemd-socket-activate", args...)
}
