package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/internal/config"
	"postrider/queue"
)

// buckets are the ages up to which recipients are counted together, as qshape of Postfix does; the last has no
// end.
var buckets = []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute,
	160 * time.Minute, 320 * time.Minute, 640 * time.Minute, 1280 * time.Minute}

// heap is the recipients that wait for one next hop.
type heap struct {
	NextHop string `json:"next_hop"` // or the recipients' domain, when that was asked for
	Count   int    `json:"count"`
	Ages    []int  `json:"ages"`                 // by bucket
	Relay   string `json:"last_relay,omitempty"` // who answered last
	Reason  string `json:"last_reason,omitempty"`

	last time.Time
}

func newHeap(name string) *heap { return &heap{NextHop: name, Ages: make([]int, len(buckets)+1)} }

func (h *heap) add(age time.Duration) {
	h.Count++
	i, _ := slices.BinarySearch(buckets, age)
	h.Ages[i]++
}

// summary counts the recipients that wait, by next hop and by the age of their message.
func (p *program) summary(c *cli.Context) error {
	if c.Args().Present() {
		return usage("summary: unexpected argument %q", oneLine(c.Args().First()))
	}
	s, cfg, err := p.open(c)
	if err != nil {
		return err
	}
	name := domainOf
	if !c.Bool("domain") {
		name = nextHops(cfg)
	}
	total, heaps, err := p.count(s, name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(p.out)
	if c.Bool("json") {
		err = writeJSON(w, heaps)
	} else {
		writeTable(w, total, heaps)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// count makes the heaps, the largest first. name is what an address is counted under.
func (p *program) count(s *queue.Spool, name func(address string) string) (*heap, []*heap, error) {
	total, by, now := newHeap("TOTAL"), map[string]*heap{}, p.now()
	err := s.List(anyState, func(m *queue.Message) error {
		age := now.Sub(m.Envelope.Arrival)
		for i, r := range m.Envelope.Rcpts {
			if m.History.Done(i) {
				continue
			}
			key := name(r.Address)
			h := by[key]
			if h == nil {
				h = newHeap(key)
				by[key] = h
			}
			h.add(age)
			total.add(age)
			if last, ok := m.History.Last(i); ok && !last.Time.Before(h.last) {
				h.last, h.Relay, h.Reason = last.Time, oneLine(last.Relay), oneLine(last.Text)
			}
		}
		return nil
	})
	heaps := make([]*heap, 0, len(by))
	for _, h := range by {
		heaps = append(heaps, h)
	}
	slices.SortFunc(heaps, func(a, b *heap) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.NextHop, b.NextHop))
	})
	return total, heaps, err
}

// nextHops tells where an address leads by the configuration: to "local", to the smarthost, or to the hosts of its
// domain.
func nextHops(cfg config.Config) func(string) string {
	smarthost := ""
	if t, ok, err := cfg.Smarthost.Target(); ok && err == nil {
		if smarthost = t.Socket; smarthost == "" {
			smarthost = net.JoinHostPort(t.Host, t.Port)
		}
	}
	return func(address string) string {
		domain := domainOf(address)
		switch {
		case domain == "local" || cfg.IsLocalDomain(domain):
			return "local"
		case smarthost != "":
			return smarthost
		}
		return domain
	}
}

// domainOf is the domain of an address in lower case, "local" for a bare one.
func domainOf(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "local"
	}
	return oneLine(strings.ToLower(address[at+1:]))
}

// writeTable writes the heaps in columns as qshape does: T, the total, and the ages in minutes.
func writeTable(w io.Writer, total *heap, heaps []*heap) {
	wide := len(total.NextHop)
	for _, h := range heaps {
		wide = max(wide, len(h.NextHop))
	}
	column := max(5, len(fmt.Sprint(total.Count))+1)
	fmt.Fprintf(w, "%*s%*s", wide, "", column, "T")
	for _, b := range buckets {
		fmt.Fprintf(w, "%*d", column, b/time.Minute)
	}
	fmt.Fprintf(w, "%*s\n", column+1, fmt.Sprintf("%d+", buckets[len(buckets)-1]/time.Minute))
	for _, h := range append([]*heap{total}, heaps...) {
		fmt.Fprintf(w, "%*s%*d", wide, h.NextHop, column, h.Count)
		for i, n := range h.Ages {
			if i == len(buckets) {
				fmt.Fprintf(w, "%*d", column+1, n)
			} else {
				fmt.Fprintf(w, "%*d", column, n)
			}
		}
		if h.Relay != "" {
			fmt.Fprintf(w, "  %s", h.Relay)
		}
		fmt.Fprintln(w)
	}
}

func writeJSON(w io.Writer, heaps []*heap) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, h := range heaps {
		if err := enc.Encode(h); err != nil {
			return err
		}
	}
	return nil
}
