package compat

import "time"

// Invocation is what one argument vector asks for. Its values are the caller's words, checked for form only:
// addresses are not parsed and files are not looked at.
type Invocation struct {
	Personality string // the last element of argv[0]: "sendmail", "mailq", ...
	Mode        Mode
	Loopback    bool // -bl: the daemon listens on the loopback interface only
	CRLF        bool // -ba: what is printed ends its lines in CR LF

	From              *string // -f, -r; nil when not given, "" is the null reverse-path
	FullName          string  // -F; "" when not given
	ExtractRecipients bool    // -t
	IgnoreDots        bool    // -i
	NoRecipientAction string  // -ONoRecipientAction, lower case; "" when not given
	Gateway           bool    // -G
	NoAlias           bool    // -n
	BodyType          string  // -B: "7BIT" or "8BITMIME"; "" when not given
	UTF8              bool    // -U
	Hops              int     // -h
	MaxHops           int     // -OMaxHopCount; 0 when not given
	Received          Via     // -p
	Tag               string  // -L

	Notify string // -N, as NOTIFY= carries it: "NEVER", or words of "SUCCESS,FAILURE,DELAY" in this order
	Ret    string // -R: "FULL" or "HDRS"
	EnvID  string // -V, as ENVID= carries it (xtext)

	Delivery  Delivery
	ErrorMode byte // -e: 'p' (the default), 'q', 'm', 'w' or 'e'
	Verbose   bool // -v

	ConfigFile string // -C; "" when not given
	QueueDir   string // -OQueueDirectory
	AliasFile  string // -OAliasFile
	TrafficLog string // -X
	Debug      string // -d; "" when not given

	QueueRun   Run
	Quarantine *string // -Q; nil when not given, "" ends the quarantine

	Recipients []string // the operands, as given
	Warnings   []string // to be printed, one line each: values that were not understood and not used
	Ignored    []string // for a debug log: options that were accepted and do nothing
	Unsafe     []string // options that only the spool's owner may give; who is privileged refuses them
}

// Via is what -p says of how a message came.
type Via struct {
	Proto, Host string
}

// Delivery says when an accepted message is delivered.
type Delivery int

// The delivery modes (-od). Background is the default.
const (
	Background Delivery = iota // b: accepted first, then delivered behind the caller's back
	Foreground                 // i, f: delivered before the program ends
	QueueOnly                  // q: left for the next queue run
	Deferred                   // d: as q, and nothing is looked up either
)

// Run is what the -q options ask for.
type Run struct {
	Set         bool          // a -q was given
	Foreground  bool          // -qf, or -v: the program waits for the end of the run
	Interval    time.Duration // 0: one run
	Quarantined bool          // -qQ: the messages held
	Lost        bool          // -qL: the damaged files
	Filters     []QueueFilter // of those for one field a message must pass at least one, as in Sendmail
}

// QueueFilter selects messages of a queue run or a listing by a part of one of their fields.
type QueueFilter struct {
	Field  byte // 'I' queue ID, 'R' a recipient, 'S' sender, 'Q' the reason it is held
	Negate bool
	Substr string // never ""
}
