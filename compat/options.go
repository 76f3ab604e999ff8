package compat

// Arg says where an option's value is.
type Arg int

// The three kinds of options.
const (
	NoArg    Arg = iota // no value: the next letter is the next option
	Required            // the rest of the word or else the next word
	Optional            // the rest of the word, never the next word
)

// Option is one letter of the grammar. It either does something, or says why it is ignored.
type Option struct {
	Letter  byte
	Arg     Arg
	Value   string // how a usage text names the value
	Does    string
	Ignored string

	set func(p *parser, value string) error
}

// Options is the whole grammar of sendmail, by letter.
var Options = []Option{
	{'A', Required, "c|m", "", "one configuration serves submission and transport", nil},
	{'B', Required, "type", "body type, 7BIT or 8BITMIME", "", setBodyType},
	{'C', Optional, "file", "configuration file", "", setConfig},
	{'D', Required, "file", "", "debugging output goes to standard error", nil},
	{'E', Optional, "code", "", "Japanese encodings need no conversion", nil},
	{'F', Required, "name", "full name of the sender", "", setFullName},
	{'G', NoArg, "", "gateway submission: the header is left as it is", "", flag(func(i *Invocation) { i.Gateway = true })},
	{'I', NoArg, "", "rebuild the alias database, as -bi", "", setNewaliases},
	{'J', Optional, "code", "", "Japanese encodings need no conversion", nil},
	{'L', Required, "tag", "tag of the log lines", "", setTag},
	{'M', Required, "xvalue", "", "there are no macros", nil},
	{'N', Required, "when", "delivery reports wanted: never, or success,failure,delay", "", setNotify},
	{'O', Required, "name=value", "set an option by its long name", "", setLong},
	{'Q', Optional, "reason", "with -q: hold the messages selected, or release them", "", setQuarantine},
	{'R', Required, "full|hdrs", "what a failure report returns", "", setRet},
	{'T', Required, "time", "", "the lifetime of messages is configured", nil},
	{'U', NoArg, "", "addresses may be internationalized (SMTPUTF8)", "", flag(func(i *Invocation) { i.UTF8 = true })},
	{'V', Required, "envid", "envelope identifier for reports", "", setEnvID},
	{'X', Required, "file", "log the SMTP dialogue to a file", "", setTrafficLog},
	{'b', Required, "mode", "mode of operation", "", setMode},
	{'c', NoArg, "", "", "no mailer is expensive", nil},
	{'d', Optional, "level", "debugging level", "", setDebug},
	{'e', Required, "mode", "error mode: p, q, m, w or e", "", setErrorMode},
	{'f', Required, "address", "envelope sender", "", setFrom},
	{'h', Required, "count", "hops the message has behind it", "", setHops},
	{'i', NoArg, "", "a line with only a dot does not end the message", "", flag(func(i *Invocation) { i.IgnoreDots = true })},
	{'m', NoArg, "", "", "the sender is always included in an alias", nil},
	{'n', NoArg, "", "no aliasing", "", flag(func(i *Invocation) { i.NoAlias = true })},
	{'o', Required, "xvalue", "set an option by its letter", "", setShort},
	{'p', Required, "protocol[:host]", "how the message was received", "", setReceived},
	{'q', Optional, "what", "run the queue", "", setQueueRun},
	{'r', Required, "address", "as -f", "", setFrom},
	{'s', NoArg, "", "", "a From_ line is never part of the header", nil},
	{'t', NoArg, "", "take recipients from the header", "", flag(func(i *Invocation) { i.ExtractRecipients = true })},
	{'v', NoArg, "", "show the delivery", "", flag(func(i *Invocation) { i.Verbose = true })},
	{'x', NoArg, "", "", "only mailx of AIX knows its meaning", nil},
}
