package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/queuerun"
	"postrider/internal/status"
	"postrider/queue"
)

var flags = []cli.Flag{
	&cli.BoolFlag{Name: "all", Usage: "attempt all messages, due or not"},
	&cli.StringSliceFlag{Name: "id", Usage: "attempt the message with the queue ID `ID` (may be repeated)"},
	&cli.BoolFlag{Name: "held", Usage: "attempt the messages that are held, and no others"},
	&cli.StringSliceFlag{Name: "filter-id", Usage: "only messages with `TEXT` in the queue ID, or with !TEXT without it"},
	&cli.StringSliceFlag{Name: "filter-recipient", Usage: "only messages with `TEXT` in a recipient's address"},
	&cli.StringSliceFlag{Name: "filter-sender", Usage: "only messages with `TEXT` in the sender's address"},
	&cli.StringSliceFlag{Name: "filter-reason", Usage: "only messages held for a reason with `TEXT`"},
	&cli.BoolFlag{Name: "daemon", Aliases: []string{"d"}, Usage: "deliver what arrives and what is due, until told to stop"},
	&cli.DurationFlag{Name: "interval", Usage: "with --daemon: read the whole spool every `TIME`", Value: queuerun.DefaultInterval},
	&cli.BoolFlag{Name: "foreground", Usage: "with --daemon: stay attached to the caller"},
	&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show the SMTP dialogue"},
	&cli.BoolFlag{Name: "exit-status", Usage: "tell of the first recipient that failed for good by the exit status"},
	&cli.StringFlag{Name: "config", Aliases: []string{"C"}, Usage: "use the configuration in `FILE`"},
	&cli.BoolFlag{Name: "confined", Usage: "take from that configuration nothing that runs commands or names files"},
	&cli.StringFlag{Name: "spool", Usage: "use the spool in `DIR`"},
}

// filterFlags are the fields that the filter options look at.
var filterFlags = map[string]queuerun.Field{
	"filter-id": queuerun.ID, "filter-recipient": queuerun.Recipient, "filter-sender": queuerun.Sender, "filter-reason": queuerun.Reason,
}

// selection is which messages the options select. It also checks that the options fit together.
func selection(c *cli.Context) (queuerun.Selection, error) {
	sel := queuerun.Selection{All: c.Bool("all"), Held: c.Bool("held"), Insist: c.Bool("exit-status") || c.Bool("verbose")}
	if c.Args().Present() {
		return sel, usage("unexpected argument %q", status.Clean(c.Args().First(), 80))
	}
	for _, text := range c.StringSlice("id") {
		id, err := queue.ParseID(text)
		if err != nil {
			return sel, usage("--id %s: not a queue ID", status.Clean(text, 80))
		}
		sel.IDs = append(sel.IDs, id)
	}
	for name, field := range filterFlags {
		for _, text := range c.StringSlice(name) {
			f := queuerun.Filter{Field: field, Substr: strings.TrimPrefix(text, "!"), Negate: strings.HasPrefix(text, "!")}
			if f.Substr == "" {
				return sel, usage("--%s needs a text to look for", name)
			}
			sel.Filters = append(sel.Filters, f)
		}
	}
	if !c.Bool("daemon") {
		if c.IsSet("interval") || c.Bool("foreground") {
			return sel, usage("--interval and --foreground go with --daemon only")
		}
		return sel, nil
	}
	if sel.All || sel.Held || len(sel.IDs)+len(sel.Filters) > 0 || c.Bool("exit-status") {
		return sel, usage("--daemon takes no selection and has no exit status")
	}
	if c.Duration("interval") < 0 {
		return sel, usage("--interval %s: not a time to wait", c.Duration("interval"))
	}
	return sel, nil
}
