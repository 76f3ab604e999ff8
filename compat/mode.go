package compat

import "postrider/internal/status"

// Mode is what the program is asked to do.
type Mode int

// The modes of operation.
const (
	Deliver          Mode = iota // read a message and accept it
	ListQueue                    // list the queue
	Newaliases                   // rebuild the alias database
	SMTP                         // SMTP on standard input and output
	BatchSMTP                    // SMTP commands on standard input, no replies
	Daemon                       // listen, in the background
	DaemonForeground             // listen, in the foreground
	Verify                       // verify addresses
	AddressTest                  // show how addresses are resolved
	HostStatus                   // print the status of remote hosts
	PurgeHostStatus              // forget the status of remote hosts
	CountQueue                   // print the number of messages in the queue
	CheckConfig                  // check the configuration
	QueueRun                     // run the queue
	Rmail                        // read UUCP From_ lines and a message
	Help                         // print Usage
	Version                      // print the version
)

// modes are the values of -b.
var modes = []struct {
	letter byte
	mode   Mode
	does   string
}{
	{'a', Deliver, "as -bm, with CR LF line ends in what is printed"},
	{'C', CheckConfig, "check the configuration"},
	{'D', DaemonForeground, "run as a daemon in the foreground"},
	{'d', Daemon, "run as a daemon"},
	{'H', PurgeHostStatus, "forget the status of remote hosts"},
	{'h', HostStatus, "print the status of remote hosts"},
	{'i', Newaliases, "rebuild the alias database"},
	{'l', Daemon, "run as a daemon on the loopback interface"},
	{'m', Deliver, "read a message from standard input (the default)"},
	{'P', CountQueue, "print the number of messages in the queue"},
	{'p', ListQueue, "list the queue"},
	{'S', BatchSMTP, "read SMTP commands, write no replies"},
	{'s', SMTP, "speak SMTP on standard input and output"},
	{'t', AddressTest, "show how addresses are resolved"},
	{'v', Verify, "verify addresses"},
}

// personalities are the names that mean more than sendmail does.
var personalities = []struct {
	name string
	mode Mode
}{
	{"sendmail", Deliver},
	{"send-mail", Deliver},
	{"mailq", ListQueue},
	{"newaliases", Newaliases},
	{"smtpd", Daemon},
	{"hoststat", HostStatus},
	{"purgestat", PurgeHostStatus},
	{"runq", QueueRun},
	{"bsmtp", BatchSMTP},
	{"rsmtp", BatchSMTP},
	{"rmail", Rmail},
}

// personality is the mode that a name stands for; an unknown name is sendmail's.
func personality(name string) Mode {
	for _, p := range personalities {
		if p.name == name {
			return p.mode
		}
	}
	return Deliver
}

func setMode(p *parser, v string) error {
	for _, m := range modes {
		if v == string(m.letter) {
			p.inv.Mode = m.mode
			p.inv.Loopback = m.letter == 'l'
			p.inv.CRLF = m.letter == 'a'
			return nil
		}
	}
	return usage("unknown mode -b" + status.Clean(v, maxShown))
}

func setNewaliases(p *parser, _ string) error {
	p.inv.Mode = Newaliases
	return nil
}

// rmailOptions is the grammar of rmail, which knows none of sendmail's options.
var rmailOptions = []Option{
	{'D', Required, "domain", "protocol that Received names, UUCP by default", "", setDomain},
	{'T', NoArg, "", "", "there is nothing to trace", nil},
}

// rmail prepares for a UUCP site's call: what rmail of Sendmail passes on to sendmail is set here. The caller
// takes Received.Host and From of the From_ lines that lead the message.
func (p *parser) rmail() {
	p.table = rmailOptions
	p.inv.Gateway, p.inv.IgnoreDots = true, true
	p.inv.ErrorMode = 'e'
	p.inv.Delivery = Foreground
	p.inv.Received.Proto = "UUCP"
}

func setDomain(p *parser, v string) error {
	if !printable(v) {
		p.unused("-D", v, "not a name")
		return nil
	}
	p.inv.Received.Proto = v
	return nil
}
