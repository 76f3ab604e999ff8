//go:build interop

package interop

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

var clients = []client{
	{name: "swaks", mechanisms: []string{"PLAIN", "LOGIN"}, send: sendSwaks},
	{name: "smtplib", mechanisms: []string{"PLAIN", "LOGIN"}, send: sendSmtplib},
	{name: "curl", mechanisms: []string{"PLAIN", "LOGIN"}, send: sendCurl},
	{name: "msmtp", mechanisms: []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"}, send: sendMsmtp},
	{name: "s-nail", mechanisms: []string{"PLAIN", "LOGIN"}, classic: true, send: sendSNail},
	{name: "go-smtp", mechanisms: []string{"PLAIN", "LOGIN"}, send: sendGoSMTP},
	{name: "s_client", mechanisms: []string{"PLAIN"}, secure: true, send: sendOpenSSL},
	{name: "postfix", mechanisms: []string{"PLAIN", "LOGIN"}, send: sendPostfix},
}

// swaks is its command line for a way.
func (s *server) swaks(w way, args ...string) []string {
	args = append([]string{"--server", s.host(w.place), "--port", s.port(w.place), "--helo", "client.example", "--from", "alice@home.example", "--to", w.to}, args...)
	switch w.security {
	case startTLS:
		args = append(args, "--tls", "--tls-verify", "--tls-ca-path", credential("cert"))
	case implicit:
		args = append(args, "--tls-on-connect", "--tls-verify", "--tls-ca-path", credential("cert"))
	}
	if w.login {
		args = append(args, "--auth", w.mechanism, "--auth-user", login, "--auth-password", password)
	}
	return args
}

// swaks ends the text by itself.
func sendSwaks(s *server, w way) string {
	s.use("", "swaks", s.swaks(w, "--data", "@"+s.write("sample", strings.TrimSuffix(sample, "\r\n")))...)
	return sample
}

// smtplib connects, and leaves the connection to what follows.
const smtplib = `
import smtplib, ssl, sys
place, security, cert, mechanism, user, password, sender, to = sys.argv[1:9]
context = ssl.create_default_context(cafile=cert)
host, _, port = (place + ":0" if place.startswith("/") else place).rpartition(":")
if security == "LMTP":
    c = smtplib.LMTP(host, int(port), "client.example")
elif security == "implicit TLS":
    c = smtplib.SMTP_SSL(host, int(port), "client.example", context=context)
else:
    c = smtplib.SMTP(host, int(port), "client.example")
if security == "STARTTLS":
    c.starttls(context=context)
if mechanism:
    c.ehlo()
    c.user, c.password = user, password
    c.auth(mechanism, getattr(c, "auth_" + mechanism.lower()))
`

// smtplib runs a script on a connection.
func (s *server) smtplib(w way, script, stdin string) string {
	s.Helper()
	return s.run(stdin, "python3", "-c", smtplib+script, s.at[w.place], string(w.security), credential("cert"), w.mechanism, login, password, "alice@home.example", w.to)
}

func sendSmtplib(s *server, w way) string {
	s.smtplib(w, "c.sendmail(sender, [to], sys.stdin.buffer.read(), ['BODY=8BITMIME'])\nc.quit()\n", sample)
	return sample
}

// curl is its command line for a way.
func (s *server) curl(w way, args ...string) []string {
	scheme := "smtp://"
	switch w.security {
	case startTLS:
		args = append(args, "--ssl-reqd")
	case implicit:
		scheme = "smtps://"
	}
	if w.login {
		args = append(args, "--user", login+":"+password, "--login-options", "AUTH="+w.mechanism)
	}
	return append(args, "--silent", "--show-error", "--cacert", credential("cert"), scheme+s.at[w.place]+"/client.example")
}

func sendCurl(s *server, w way) string {
	s.use(sample, "curl", s.curl(w, "--upload-file", "-", "--mail-from", "alice@home.example", "--mail-rcpt", w.to)...)
	return sample
}

// msmtp is its command line for a way.
func (s *server) msmtp(w way, args ...string) []string {
	args = append([]string{"--host=" + s.host(w.place), "--port=" + s.port(w.place), "--domain=client.example", "--from=alice@home.example"}, args...)
	if w.security != clear {
		args = append(args, "--tls=on", "--tls-trust-file="+credential("cert"))
	}
	if w.security == implicit {
		args = append(args, "--tls-starttls=off")
	}
	if w.login {
		args = append(args, "--auth="+strings.ToLower(w.mechanism), "--user="+login, "--passwordeval=cat "+s.write("password", password))
	}
	return args
}

func sendMsmtp(s *server, w way) string {
	s.use(sample, "msmtp", s.msmtp(w, w.to)...)
	return sample
}

// s-nail writes the message itself, and keeps a record of what it has sent: a mailbox of the only message.
func sendSNail(s *server, w way) string {
	mta, auth := "localhost:"+s.port(w.place), "none"
	if w.login {
		mta, auth = login+":"+strings.ReplaceAll(url.QueryEscape(password), "+", "%20")+"@"+mta, strings.ToLower(w.mechanism)
	}
	scheme := "smtp://"
	if w.security == implicit {
		scheme = "submissions://"
	}
	args := []string{"-:/", "-S", "v15-compat", "-S", "mta=" + scheme + mta, "-S", "nosave", "-S", "smtp-auth=" + auth, "-S", "hostname=client.example",
		"-S", "tls-ca-file=" + credential("cert"), "-S", "tls-ca-no-defaults", "-S", "tls-verify=strict", "-S", "mime-encoding=8bit", "-S", "ttycharset=utf-8",
		"-S", "record=" + s.path("record"), "-S", "sendwait", "-r", "alice@home.example", "-s", "Gr\u00fc\u00dfe"}
	if w.security == startTLS {
		args = append(args, "-S", "smtp-use-starttls")
	}
	s.use(strings.ReplaceAll(hardBody, "From ", "from ")+longLine, "s-nail", append(args, w.to)...)
	record, err := os.ReadFile(s.path("record"))
	if err != nil {
		s.Fatal(err)
	}
	_, text, _ := strings.Cut(string(record), "\n") // the From_ line
	text = strings.TrimSuffix(text, "\n")           // and the empty line at the end
	return wire(regexp.MustCompile(`(?m)^Status: .*\n`).ReplaceAllString(text, ""))
}

// goSMTP is a connection of go-smtp's client.
func (s *server) goSMTP(w way) *smtp.Client {
	s.Helper()
	pem, err := os.ReadFile(credential("cert"))
	if err != nil {
		s.Fatal(err)
	}
	conf := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: hostname}
	conf.RootCAs.AppendCertsFromPEM(pem)
	var c *smtp.Client
	switch w.security {
	case clear:
		c, err = smtp.Dial(s.at[w.place])
	case startTLS:
		c, err = smtp.DialStartTLS(s.at[w.place], conf)
	case implicit:
		c, err = smtp.DialTLS(s.at[w.place], conf)
	}
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	if err := c.Hello("client.example"); err != nil && w.security != startTLS {
		s.Fatal(err)
	}
	if !w.login {
		return c
	}
	auth := sasl.NewPlainClient("", login, password)
	if w.mechanism == "LOGIN" {
		auth = sasl.NewLoginClient(login, password)
	}
	if err := c.Auth(auth); err != nil {
		s.Fatal(err)
	}
	return c
}

func sendGoSMTP(s *server, w way) string {
	c := s.goSMTP(w)
	if err := c.SendMail("alice@home.example", []string{w.to}, strings.NewReader(sample)); err != nil {
		s.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		s.Fatal(err)
	}
	return sample
}

// openssl is a dialogue through openssl s_client, which knows no SMTP beyond STARTTLS.
func (s *server) openssl(w way) *talk {
	args := []string{"s_client", "-quiet", "-verify_return_error", "-CAfile", credential("cert"), "-connect", s.at[w.place]}
	if w.security == startTLS {
		args = append(args, "-starttls", "smtp")
	}
	return s.pipes(s.tool("", "openssl", args...))
}

// pipes is a dialogue with a program.
func (s *server) pipes(cmd *exec.Cmd) *talk {
	cmd.Stdin = nil
	in, err := cmd.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return newTalk(struct {
		io.Reader
		io.WriteCloser
	}{out, in})
}

func sendOpenSSL(s *server, w way) string {
	k := s.openssl(w)
	steps := [][2]string{{"EHLO client.example", "250"}, {"MAIL FROM:<alice@home.example> BODY=8BITMIME", "250 2.1.0 "}, {"RCPT TO:<" + w.to + ">", "250 2.1.5 "},
		{"DATA", "354 "}, {strings.ReplaceAll(sample, "\r\n.", "\r\n..") + ".", "250 2.0.0 "}, {"QUIT", "221 2.0.0 "}}
	if w.login {
		steps = append(steps[:1], append([][2]string{{"AUTH PLAIN " + plainLogin(password), "235 2.7.0 "}}, steps[1:]...)...)
	}
	if w.security == implicit { // with -starttls s_client keeps the greeting to itself
		if err := k.expect("220 "); err != nil {
			s.Fatal(err)
		}
	}
	for _, step := range steps {
		if err := k.say(step[0]+"\r\n", step[1]); err != nil {
			s.Fatal(err)
		}
	}
	return sample
}
