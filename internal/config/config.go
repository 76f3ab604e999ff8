// Package config reads the configuration: one TOML file becomes one Config.
//
// No file and an empty file are valid: Default says what holds then. There are no globals; whoever needs the
// configuration is given a Config. A key that does not exist and a value that cannot be are errors which name
// file, line, key and what is allowed; nothing wrong is ever skipped. A key with the value "" has its default.
//
// Every start of sendmail loads the configuration, so this package links neither net nor os/user, and asks the
// system only for what the file does not say.
//
// postrider.toml(5) documents the keys, etc/postrider.toml shows them with their defaults. Tests compare both
// with the toml tags below.
package config

import (
	"strings"
	"time"
	"unicode/utf8"

	"postrider/internal/address"
)

// Config is a whole configuration. It is a value; who changes a copy must not change its slices.
type Config struct {
	// Path is the file that was read, "" when there was none.
	Path string `toml:"-"`
	// User tells that this is the installation of one user, not of the system: the configuration is not the one
	// in /etc/postrider, and everything runs as the caller.
	User bool `toml:"-"`

	Hostname         string   `toml:"hostname"`           // our name, fully qualified where the system knows how
	Origin           string   `toml:"origin"`             // completes bare addresses
	Domains          []string `toml:"domains"`            // local domains beside Hostname and localhost
	Spool            string   `toml:"spool"`              // directory
	Log              string   `toml:"log"`                // "syslog", "stderr", "json", "/path", "json:/path"
	Aliases          []string `toml:"aliases"`            // aliases(5) files
	MessageSizeLimit Bytes    `toml:"message_size_limit"` // 0: none
	HopLimit         int      `toml:"hop_limit"`          // Received fields in a message that is still accepted
	MailqFormat      string   `toml:"mailq_format"`       // "sendmail", "postfix"

	Masquerade        string   `toml:"masquerade"`         // the domain of our senders to everybody else; "": what they are
	MasqueradeDomains []string `toml:"masquerade_domains"` // whose place it takes, beside Hostname and localhost
	ExposedUsers      []string `toml:"exposed_users"`      // whose domain stays

	Smarthost Smarthost `toml:"smarthost"`
	Relay     Relay     `toml:"relay"`
	Tables    Tables    `toml:"tables"`
	Local     Local     `toml:"local"`
	Smtpd     Smtpd     `toml:"smtpd"`
	Listen    []Listen  `toml:"listen"`
	Queue     Queue     `toml:"queue"`
}

// Smarthost is the host that takes all mail for other domains. See Target.
type Smarthost struct {
	URL             string `toml:"url"`
	PasswordFile    string `toml:"password_file"`    // the password is its first line
	PasswordCommand string `toml:"password_command"` // prints the password; run by /bin/sh
}

// Relay says for whom we pass mail on.
type Relay struct {
	Networks []string `toml:"networks"` // clients, as addresses or prefixes
	Domains  []string `toml:"domains"`  // recipients' domains
}

// Tables are the text tables of routing, in Sendmail's syntax: their paths. One that does not exist is empty. In a user's
// installation those count that are not the system's.
type Tables struct {
	Virtusertable   string `toml:"virtusertable"`    // recipients to others
	Mailertable     string `toml:"mailertable"`      // domains to next hops
	Domaintable     string `toml:"domaintable"`      // domains to others
	Genericstable   string `toml:"genericstable"`    // senders to what everybody else sees
	GenericsDomains string `toml:"generics_domains"` // a list: domains whose senders genericstable has
	LocalHostNames  string `toml:"local_host_names"` // a list: local domains
	RelayDomains    string `toml:"relay_domains"`    // a list: domains and clients that we relay for
	Smarthosts      string `toml:"smarthosts"`       // senders to smarthosts; "": there is no such table
}

// Local is about delivery on this machine.
type Local struct {
	Mailbox          string        `toml:"mailbox"`            // "mbox:PATH", "maildir:PATH", "command:/PATH ARGS" with {user} and so on, "lmtp+unix:PATH"
	Root             string        `toml:"root"`               // where mail for root, postmaster and MAILER-DAEMON goes; "": root's mailbox
	Socket           string        `toml:"socket"`             // at which the delivery agent is found
	DefaultUser      string        `toml:"default_user"`       // who runs the commands in root's aliases
	Concurrency      int           `toml:"concurrency"`        // users to whom the agent delivers at once
	CommandTimeLimit time.Duration `toml:"command_time_limit"` // then a command is killed
	CommandDirectory string        `toml:"command_directory"`  // where commands must lie; "": anywhere
}

// Smtpd is what all sessions of the server have in common: its limits, and whom it trusts with what. A rate of 0 is
// no limit. "trusted" is clients in Relay.Networks and those who have logged in.
type Smtpd struct {
	User string `toml:"user"` // whom smtpd becomes when root has started it

	Sessions           int           `toml:"sessions"`             // at once
	ClientSessions     int           `toml:"client_sessions"`      // at once from one client
	ClientConnections  int           `toml:"client_connections"`   // from one client within a minute
	ClientMessages     int           `toml:"client_messages"`      // from one client within a minute
	ClientRecipients   int           `toml:"client_recipients"`    // from one client within a minute
	ClientAuthFailures int           `toml:"client_auth_failures"` // from one client within an hour
	Recipients         int           `toml:"recipients"`           // of one message
	Timeout            time.Duration `toml:"timeout"`              // for a client's next command
	SessionTime        time.Duration `toml:"session_time"`         // for a whole session
	GreetingDelay      time.Duration `toml:"greeting_delay"`       // before the greeting, in which a client must be silent

	Vrfy string `toml:"vrfy"` // for whom: "all", "trusted", "off"
	Expn string `toml:"expn"`
	Etrn string `toml:"etrn"`

	Access        string   `toml:"access"`        // access table in Sendmail's syntax; one that is missing is empty
	Helo          string   `toml:"helo"`          // what a stranger's HELO must be: "any", "valid", "known"
	ReverseName   string   `toml:"reverse_name"`  // what a stranger's address must have: "any", "some", "match"
	DNSLists      []string `toml:"dns_lists"`     // "zone", "zone*weight", "zone=127.0.0.2*weight"
	DNSScore      int      `toml:"dns_score"`     // a client with so much weight is refused
	SenderLogins  string   `toml:"sender_logins"` // table of the senders that a login may use; "": all
	AskNextHop    bool     `toml:"ask_next_hop"`  // whether the host of a relay domain knows a recipient
	ProxyNetworks []string `toml:"proxies"`       // clients that begin with a PROXY header
	XClient       []string `toml:"xclient"`       // clients that may use XCLIENT
}

// Listen is one address at which smtpd listens.
type Listen struct {
	Address string `toml:"address"` // "host:port", "/path", "systemd:NAME"
	Mode    string `toml:"mode"`    // "smtp", "submission", "submissions", "lmtp", "local"
	TLS     TLS    `toml:"tls"`
	Auth    Auth   `toml:"auth"`
}

// TLS is a certificate chain and its private key, two PEM files. The zero value means no TLS.
type TLS struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	ClientCA    string `toml:"client_ca"` // PEM file of those whose certificates of clients are a login
}

// Auth says who checks passwords: a file of ours or Dovecot's authentication socket; and who checks tokens of OAuth:
// an introspection endpoint (RFC 7662) or a public key (RFC 7519). The zero value means that no one may log in.
type Auth struct {
	File          string `toml:"file"`
	Dovecot       string `toml:"dovecot"`
	Introspection string `toml:"introspection"` // URL
	Secret        string `toml:"secret_file"`   // what we show the endpoint, "user:password" or a bearer token
	TokenKey      string `toml:"token_key"`     // PEM file
	TokenIssuer   string `toml:"token_issuer"`
	TokenAudience string `toml:"token_audience"`
}

// Queue is the retry schedule and its limits.
type Queue struct {
	RetryMin        time.Duration `toml:"retry_min"`        // to the second attempt
	RetryMax        time.Duration `toml:"retry_max"`        // between late attempts
	Lifetime        time.Duration `toml:"lifetime"`         // then the message is returned; 0: after one attempt
	WarnAfter       time.Duration `toml:"warn_after"`       // then the sender is told of the delay; 0: never
	Concurrency     int           `toml:"concurrency"`      // deliveries at once
	HostConcurrency int           `toml:"host_concurrency"` // deliveries at once to one next hop
}

const day = 24 * time.Hour

// Default is the configuration of the system without a file. Its Hostname and Origin are "": Load asks the
// system for them.
func Default() Config {
	return Config{
		Spool:            "/var/spool/postrider",
		Log:              "syslog",
		Aliases:          []string{"/etc/aliases"},
		MessageSizeLimit: 50 << 20,
		HopLimit:         50,
		MailqFormat:      "sendmail",
		ExposedUsers:     []string{"root"},
		Relay:            Relay{Networks: []string{"127.0.0.0/8", "::1"}},
		Tables: Tables{
			Virtusertable:   "/etc/mail/virtusertable",
			Mailertable:     "/etc/mail/mailertable",
			Domaintable:     "/etc/mail/domaintable",
			Genericstable:   "/etc/mail/genericstable",
			GenericsDomains: "/etc/mail/generics-domains",
			LocalHostNames:  "/etc/mail/local-host-names",
			RelayDomains:    "/etc/mail/relay-domains",
		},
		Local: Local{
			Mailbox:          "mbox:/var/mail/{user}",
			Socket:           "/run/postrider-local.sock",
			DefaultUser:      "nobody",
			Concurrency:      20,
			CommandTimeLimit: time.Hour,
		},
		Smtpd: Smtpd{
			User:               "postrider",
			Sessions:           1000,
			ClientSessions:     50,
			ClientAuthFailures: 20,
			Recipients:         1000,
			Timeout:            5 * time.Minute,
			SessionTime:        2 * time.Hour,
			Vrfy:               "trusted",
			Expn:               "trusted",
			Etrn:               "trusted",
			Access:             "/etc/mail/access",
			Helo:               "valid",
			ReverseName:        "any",
			DNSScore:           1,
		},
		Queue: Queue{
			RetryMin:        5 * time.Minute,
			RetryMax:        4 * time.Hour,
			Lifetime:        5 * day,
			WarnAfter:       4 * time.Hour,
			Concurrency:     20,
			HostConcurrency: 20,
		},
	}
}

// Load reads the file at path (see Locate) and fills in what it leaves out. With path "" there is no file. Every
// error is a *status.Status: EX_CONFIG, or EX_TEMPFAIL when the system could not read the file just now.
func Load(path string) (Config, error) {
	return here().load(path)
}

// IsLocalDomain tells whether mail for domain d is delivered on this machine: d is Hostname, localhost or one
// of Domains.
func (c Config) IsLocalDomain(d string) bool {
	d = canonical(d)
	if d == "" {
		return false
	}
	if d == "localhost" || d == canonical(c.Hostname) {
		return true
	}
	for _, local := range c.Domains {
		if d == canonical(local) {
			return true
		}
	}
	return false
}

// SystemSubmit is the socket by which the users of a system submit, unless a table of Listen has another.
const SystemSubmit = "/run/postrider/submit"

// Submit is the path of the socket at which a server takes the messages of those who may not write to the spool; ""
// when there is none: a user's installation has one only when it says so.
func (c Config) Submit() string {
	for _, l := range c.Listen {
		if l.Mode == "local" && strings.HasPrefix(l.Address, "/") {
			return l.Address
		}
	}
	if c.User {
		return ""
	}
	return SystemSubmit
}

// wireDomain is a domain as every host understands it: with A-labels where it is internationalized. What we put into
// each message and greeting must not make them need SMTPUTF8.
func wireDomain(d string) string {
	for i := range len(d) {
		if d[i] >= utf8.RuneSelf {
			return canonical(d)
		}
	}
	return d
}

// canonical is a domain in the form in which equal domains are equal strings.
func canonical(d string) string {
	if ascii, err := address.ASCIIDomain(d); err == nil {
		return ascii
	}
	return strings.ToLower(d)
}
