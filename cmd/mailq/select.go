package main

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"postrider/internal/address"
	"postrider/internal/status"
	"postrider/queue"
)

// everything is the operand that selects all messages.
const everything = "ALL"

func selectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "sender", Usage: "messages of exactly this `ADDRESS`, <> for none"},
		&cli.StringSliceFlag{Name: "recipient", Usage: "messages that wait for exactly this `ADDRESS`"},
	}
}

// selection says which messages are meant: those of ids, or all, that have one of the senders and one of the
// recipients where there are any.
type selection struct {
	all        bool
	ids        []queue.ID
	senders    []string // keys of addresses
	recipients []string
}

// exact tells whether the caller has named each message.
func (s *selection) exact() bool { return !s.all && len(s.senders)+len(s.recipients) == 0 }

// selection reads the selectors of a command.
func (p *program) selection(c *cli.Context) (sel selection, err error) {
	if sel.senders, err = keys(c, "sender"); err != nil {
		return sel, err
	}
	if sel.recipients, err = keys(c, "recipient"); err != nil {
		return sel, err
	}
	operands := c.Args().Slice()
	switch {
	case len(operands) > 0 && operands[0] != everything:
		sel.ids, err = p.ids(operands)
		return sel, err
	case len(operands) > 1:
		return sel, usage("%s: %s stands alone", c.Command.Name, everything)
	case len(operands) == 0 && len(sel.senders)+len(sel.recipients) == 0:
		return sel, usage("%s: which messages? Give IDs, --sender, --recipient or ALL", c.Command.Name)
	}
	sel.all = true
	return sel, nil
}

// keys are the addresses that an option names, in the form in which they are compared.
func keys(c *cli.Context, flag string) (list []string, err error) {
	for _, text := range c.StringSlice(flag) {
		if text == "" || text == "<>" {
			list = append(list, "")
			continue
		}
		a, err := address.Parse(strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">"))
		if err != nil {
			return nil, usage("--%s: %v", flag, err)
		}
		list = append(list, a.Key(false))
	}
	return list, nil
}

const maxIDs = 16 << 20 // bytes of IDs that are read from standard input

// ids reads queue IDs, each once; the operand "-" stands for those on standard input. A word that is none is an
// error before anything is done.
func (p *program) ids(operands []string) (list []queue.ID, err error) {
	seen := map[queue.ID]bool{}
	add := func(word string) error {
		id, err := queue.ParseID(word)
		if err != nil {
			return usage("%v", err)
		}
		if !seen[id] {
			seen[id] = true
			list = append(list, id)
		}
		return nil
	}
	for _, word := range operands {
		if word == "-" {
			err = words(io.LimitReader(p.in, maxIDs), add)
		} else {
			err = add(word)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// words calls fn with each word of a text.
func words(r io.Reader, fn func(string) error) error {
	scan := bufio.NewScanner(r)
	scan.Split(bufio.ScanWords)
	for scan.Scan() {
		if err := fn(scan.Text()); err != nil {
			return err
		}
	}
	if err := scan.Err(); err != nil {
		return status.Fail("mailq", status.ExitIOErr, "cannot read the IDs", err)
	}
	return nil
}

// each calls fn with each message that is meant. A message that was named and is not there, or cannot be read, is
// complained about; others just are not there.
func (p *program) each(s *queue.Spool, sel selection, fn func(*queue.Message) error) error {
	if sel.all {
		return s.List(anyState, func(m *queue.Message) error {
			if !sel.matches(m) {
				return nil
			}
			return fn(m)
		})
	}
	entries, err := find(s, sel.ids)
	if err != nil {
		return err
	}
	for _, id := range sel.ids {
		m, err := read(s, entries[id])
		switch {
		case errors.Is(err, queue.ErrGone):
			p.complain(status.ExitNoInput, "%s is not in the queue", id)
		case errors.Is(err, queue.ErrCorrupt):
			p.complain(status.ExitDataErr, "%s is damaged: the next queue run sets it aside", id)
		case err != nil:
			return err
		case sel.matches(m):
			if err := fn(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// find looks messages up in one pass over the queue, and in a second one if any is missing: it may have changed
// its state meanwhile.
func find(s *queue.Spool, ids []queue.ID) (map[queue.ID]queue.Entry, error) {
	entries := make(map[queue.ID]queue.Entry, len(ids))
	for _, id := range ids {
		entries[id] = queue.Entry{}
	}
	missing := len(entries)
	for pass := 0; pass < 2 && missing > 0; pass++ {
		err := s.Scan(anyState, func(e queue.Entry) error {
			if seen, wanted := entries[e.ID]; wanted {
				if seen.Name == "" {
					missing--
				}
				entries[e.ID] = e
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// read reads a message that was seen as e, and may have changed its state since.
func read(s *queue.Spool, e queue.Entry) (m *queue.Message, err error) {
	if e.Name == "" {
		return nil, queue.ErrGone
	}
	for range 3 {
		if m, err = s.Read(e); !errors.Is(err, queue.ErrGone) {
			return m, err
		}
		if e, err = s.Find(e.ID); err != nil {
			return nil, err
		}
	}
	return nil, queue.ErrGone
}

// matches tells whether a message has one of the senders, and one of the recipients is waiting.
func (s *selection) matches(m *queue.Message) bool {
	if len(s.senders) > 0 && !slices.Contains(s.senders, key(m.Envelope.Sender)) {
		return false
	}
	if len(s.recipients) == 0 {
		return true
	}
	for i, r := range m.Envelope.Rcpts {
		if m.History.Done(i) {
			continue
		}
		for _, a := range [...]string{r.Address, m.Envelope.Parent(i), m.Envelope.Root(i)} {
			if a != "" && slices.Contains(s.recipients, key(a)) {
				return true
			}
		}
	}
	return false
}

// key is the form in which an address of an envelope is compared; one that cannot be read matches nothing but
// itself.
func key(text string) string {
	if text == "" {
		return ""
	}
	a, err := address.Parse(text)
	if err != nil {
		return text
	}
	return a.Key(false)
}
