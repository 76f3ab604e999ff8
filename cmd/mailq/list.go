package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/compat"
	"postrider/internal/mailq"
	"postrider/queue"
)

// filterFlags are the options that select what is listed, and the letters of "sendmail -q" for them.
var filterFlags = []struct {
	name  string
	field byte
	where string
}{
	{"id", 'I', "queue ID"},
	{"sender", 'S', "sender"},
	{"recipient", 'R', "recipient"},
}

func listFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "format", Usage: "list in the `FORM` sendmail, postfix or json"},
		&cli.BoolFlag{Name: "json", Usage: "list as --format json does"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "a reason for each recipient (sendmail)"},
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
	}
	for _, f := range filterFlags {
		flags = append(flags, &cli.StringSliceFlag{Name: f.name, Usage: "only messages with `TEXT` in the " + f.where + ", with !TEXT without it"})
	}
	return flags
}

// list prints the queue.
func (p *program) list(c *cli.Context) error {
	if c.Bool("version") {
		_, err := fmt.Fprintf(p.out, "postrider mailq %s\n", version)
		return err
	}
	if word := c.Args().First(); c.Args().Present() {
		if _, err := queue.ParseID(word); err == nil {
			return usage("%s is no command; \"mailq show %s\" tells about the message", word, word)
		}
		return usage("unknown command %q: show, hold, release, requeue, rm, flush or summary", oneLine(word))
	}
	o := mailq.Options{Verbose: c.Bool("verbose"), States: p.classic.states, Filters: p.classic.filters}
	for _, f := range filterFlags {
		for _, text := range c.StringSlice(f.name) {
			substr, negate := strings.CutPrefix(text, "!")
			if substr == "" {
				return usage("--%s needs a text to look for", f.name)
			}
			o.Filters = append(o.Filters, compat.QueueFilter{Field: f.field, Negate: negate, Substr: substr})
		}
	}
	s, cfg, err := p.open(c)
	if err != nil {
		return err
	}
	o.Format = cfg.MailqFormat
	if c.IsSet("format") {
		o.Format = c.String("format")
	}
	if c.Bool("json") {
		o.Format = "json"
	}
	return mailq.Print(p.out, s, o)
}
