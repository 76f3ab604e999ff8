package main

import (
	"net"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/status"
)

var flags = []cli.Flag{
	&cli.BoolFlag{Name: "foreground", Usage: "serve, attached to the caller (the default)"},
	&cli.BoolFlag{Name: "daemon", Aliases: []string{"d"}, Usage: "serve in the background, once all sockets are open"},
	&cli.BoolFlag{Name: "loopback", Usage: "listen at loopback addresses only"},
	&cli.BoolFlag{Name: "queue-only", Usage: "start no queue run for what is accepted"},
	&cli.StringFlag{Name: "metrics", Usage: "tell Prometheus what has been done, at `ADDRESS`"},
	&cli.BoolFlag{Name: "inetd", Usage: "serve at the socket on standard input"},
	&cli.BoolFlag{Name: "stdio", Usage: "take mail from the caller by SMTP on standard input and output"},
	&cli.BoolFlag{Name: "batch", Usage: "the same without replies; what is refused is told on standard error"},
	&cli.BoolFlag{Name: "check", Usage: "look whether the server can work, and refuses to relay for strangers"},
	&cli.StringFlag{Name: "config", Aliases: []string{"C"}, Usage: "use the configuration in `FILE`"},
	&cli.BoolFlag{Name: "confined", Usage: "take from that configuration nothing that runs commands or names files"},
	&cli.StringFlag{Name: "spool", Usage: "use the spool in `DIR`"},
}

// modes are the ways to run, by the option that asks for them.
const (
	modeForeground = "foreground"
	modeDaemon     = "daemon"
	modeInetd      = "inetd"
	modeStdio      = "stdio"
	modeBatch      = "batch"
	modeCheck      = "check"
)

// options are what the command line asks for.
type options struct {
	mode     string
	loopback bool
	queue    bool   // what is accepted waits for a queue run of others
	metrics  string // "host:port"
	config   string
	confined bool
	spool    string // an absolute path; "" as configured
}

func readOptions(c *cli.Context) (o options, err error) {
	if c.Args().Present() {
		return o, usage("unexpected argument %q", status.Clean(c.Args().First(), 80))
	}
	for _, mode := range []string{modeForeground, modeDaemon, modeInetd, modeStdio, modeBatch, modeCheck} {
		switch {
		case !c.Bool(mode):
		case o.mode != "":
			return o, usage("--%s does not go with --%s", mode, o.mode)
		default:
			o.mode = mode
		}
	}
	if o.mode == "" {
		o.mode = modeForeground
	}
	o.loopback, o.metrics, o.queue = c.Bool("loopback"), c.String("metrics"), c.Bool("queue-only")
	o.config, o.confined = c.String("config"), c.Bool("confined")
	serves := o.mode == modeForeground || o.mode == modeDaemon
	switch {
	case o.loopback && !serves && o.mode != modeCheck:
		return o, usage("--loopback does not go with --%s", o.mode)
	case o.metrics != "" && !serves && o.mode != modeCheck:
		return o, usage("--metrics does not go with --%s", o.mode)
	case o.metrics != "":
		if o.metrics, err = metricsAddress(o.metrics); err != nil {
			return o, err
		}
	}
	if dir := c.String("spool"); dir != "" {
		o.spool, err = filepath.Abs(dir)
	}
	return o, err
}

// metricsAddress completes the address for --metrics: a port alone is one of the loopback address, since the figures are
// nobody else's business.
func metricsAddress(s string) (string, error) {
	if !strings.Contains(s, ":") {
		s = ":" + s
	}
	host, port, err := net.SplitHostPort(s)
	if _, perr := net.LookupPort("tcp", port); err != nil || port == "" || perr != nil {
		return "", usage("--metrics %s: not a port, nor an address such as 127.0.0.1:9125", status.Clean(s, 80))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
