// Demo shows the main job done, with a private spool and ports on loopback: an alias is made, a message is piped into
// sendmail -t while the next hop is down, waits in the queue, and is delivered by SMTP and into a Maildir once the
// next hop is up. "make demo" runs it.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

func main() {
	bin := flag.String("bin", "bin", "where the programs are")
	flag.Parse()
	if err := run(*bin); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

const message = `From: Demo <alice@example.org>
To: "Bob, the receiver" <bob@remote.example>, %s
Subject: postrider demo

Two recipients: one behind a next hop that is down, and an alias of this machine.
.dots and
From lines arrive as they were.
`

func run(bin string) error {
	d, err := newDemo(bin)
	if err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	for _, step := range []func() error{d.aliases, d.submit, d.waiting, d.nextHop, d.deliver, d.delivered, d.log} {
		if err := step(); err != nil {
			return err
		}
	}
	fmt.Println("\ndemo: every step did what it should")
	return nil
}

// demo is a private installation.
type demo struct {
	bin, dir string
	user     string
	address  string // of the next hop
	env      []string
	id       string // queue ID of the message
	inbox    inbox
}

func newDemo(bin string) (*demo, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "postrider-demo.")
	if err != nil {
		return nil, err
	}
	// A port that is free now and that nobody listens on until nextHop.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	d := &demo{bin: bin, dir: dir, user: me.Username, address: l.Addr().String()}
	d.env = append(os.Environ(), "POSTRIDER_CONFIG="+dir+"/postrider.toml")
	config := fmt.Sprintf(`hostname = "demo.example.org"
spool = %q
log = %q
mailq_format = "postfix"
aliases = [%q]

[smarthost]
url = "smtp://%s"

[local]
mailbox = "maildir:%s/Maildir"
`, dir+"/spool", dir+"/log", dir+"/aliases", d.address, dir)
	return d, os.WriteFile(dir+"/postrider.toml", []byte(config), 0o600)
}

// show runs a program and prints its command line and what it says, in the words of someone at a shell.
func (d *demo) show(stdin string, name string, args ...string) (string, error) {
	fmt.Printf("\n$ %s%s\n", map[bool]string{true: "", false: "cat message | "}[stdin == ""], strings.Join(append([]string{name}, args...), " "))
	cmd := exec.Command(filepath.Join(d.bin, name), args...)
	cmd.Env = d.env
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	os.Stdout.Write(out)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return string(out), nil
}

// aliases makes a name for the user of this machine.
func (d *demo) aliases() error {
	if _, err := d.show("", "postrider", "aliases", "add", "desk", d.user); err != nil {
		return err
	}
	out, err := d.show("", "newaliases")
	if err == nil && !strings.Contains(out, ": 1 aliases, ") {
		err = errors.New("there is no alias")
	}
	fmt.Println()
	return err
}

func (d *demo) submit() error {
	text := fmt.Sprintf(message, "desk")
	fmt.Printf("The message:\n\n%s", text)
	_, err := d.show(text, "sendmail", "-t", "-i", "-f", "alice@example.org")
	return err
}

// waiting shows the queue once the attempt that sendmail started in the background has failed.
func (d *demo) waiting() error {
	for range 100 {
		cmd := exec.Command(filepath.Join(d.bin, "mailq"))
		cmd.Env = d.env
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("mailq: %w", err)
		}
		if m := regexp.MustCompile(`(?m)^([0-9A-Z]{12,}) `).FindSubmatch(out); m != nil && bytes.Contains(out, []byte("refused")) {
			d.id = string(m[1])
			_, err := d.show("", "mailq")
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the message does not wait in the queue, refused by the next hop")
}

func (d *demo) nextHop() error {
	l, err := net.Listen("tcp", d.address)
	if err != nil {
		return err
	}
	fmt.Printf("\nThe next hop comes up at %s.\n", d.address)
	s := smtp.NewServer(&d.inbox)
	s.Domain = "remote.example"
	s.EnableDSN = true
	go s.Serve(l)
	return nil
}

func (d *demo) deliver() error {
	if _, err := d.show("", "sendmail", "-q", "-v"); err != nil {
		return err
	}
	out, err := d.show("", "mailq")
	if err == nil && !strings.Contains(out, "Mail queue is empty") {
		err = errors.New("the queue is not empty")
	}
	return err
}

func (d *demo) delivered() error {
	text := d.inbox.all()
	fmt.Printf("\nWhat the next hop received:\n\n%s", strings.ReplaceAll(text, "\r\n", "\n"))
	files, err := filepath.Glob(d.dir + "/Maildir/new/*")
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%d messages in the Maildir", len(files))
	}
	local, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	fmt.Printf("\n$ cat Maildir/new/*\n%s", local)
	for _, got := range []string{text, string(local)} {
		if !strings.Contains(strings.ReplaceAll(got, "\r\n", "\n"), "\n.dots and\nFrom lines arrive as they were.\n") {
			return errors.New("the message did not arrive as it was")
		}
	}
	return nil
}

func (d *demo) log() error {
	text, err := os.ReadFile(d.dir + "/log")
	if err != nil {
		return err
	}
	fmt.Printf("\n$ grep %s log\n", d.id)
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, d.id) {
			fmt.Print(line)
			n++
		}
	}
	if n < 5 {
		return fmt.Errorf("the log has only %d lines about %s", n, d.id)
	}
	return nil
}

// inbox is a server that keeps the messages it gets.
type inbox struct {
	mu       sync.Mutex
	messages []string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{b}, nil }

// all is what has come.
func (b *inbox) all() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.messages, "\n")
}

type session struct{ box *inbox }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	s.box.messages = append(s.box.messages, string(text))
	return nil
}
