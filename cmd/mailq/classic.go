package main

import (
	"slices"
	"strings"

	"postrider/compat"
	"postrider/queue"
)

// classic is what the command line says in Sendmail's form, for programs and people that know its mailq:
// "mailq -qRexample.org", "mailq -Ac". The library that reads the other options cannot read these.
type classic struct {
	filters []compat.QueueFilter
	states  queue.State
	config  string
}

// valued are the options of ours, without their dashes, that take the next word: it is a value whatever it looks
// like.
var valued = []string{"config", "C", "spool", "format", "id", "sender", "recipient"}

// take reads the words in Sendmail's form before the command and returns the others.
func (c *classic) take(argv []string) ([]string, error) {
	words := argv[:1:1]
	for i := 1; i < len(argv); i++ {
		word := argv[i]
		if !strings.HasPrefix(word, "-") || word == "-" || word == "--" {
			return append(words, argv[i:]...), nil
		}
		if slices.Contains(valued, strings.TrimLeft(word, "-")) && i+1 < len(argv) {
			words = append(words, word, argv[i+1])
			i++
			continue
		}
		if !isClassic(word) {
			words = append(words, word)
			continue
		}
		if err := c.read(word); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// isClassic tells whether a word is an option that only Sendmail's form has: a selection, the choice between its
// two queues, the mode that mailq is, a file glued to its letter.
func isClassic(word string) bool {
	return strings.HasPrefix(word, "-q") || word == "-Ac" || word == "-Am" || word == "-bp" ||
		strings.HasPrefix(word, "-C") && len(word) > 2 && word[2] != '='
}

func (c *classic) read(word string) error {
	inv, err := compat.Parse([]string{"mailq", word})
	if err != nil {
		return err
	}
	run := inv.QueueRun
	if run.Set && len(run.Filters) == 0 && !run.Quarantined && !run.Lost {
		return usage("%s would run the queue: that is \"mailq flush\" here", oneLine(word))
	}
	c.filters = append(c.filters, run.Filters...)
	switch {
	case run.Quarantined:
		c.states |= queue.Held
	case run.Lost:
		c.states |= queue.Corrupt
	}
	if inv.ConfigFile != "" {
		c.config = inv.ConfigFile
	}
	return nil
}
