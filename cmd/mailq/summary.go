package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"postrider/queue"
)

// buckets are the ages up to which recipients are counted together, as qshape of Postfix does; the last has no
// end.
var buckets = []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute,
	160 * time.Minute, 320 * time.Minute, 640 * time.Minute, 1280 * time.Minute}

// heap is the recipients of one domain that wait.
type heap struct {
	Domain string `json:"domain"`
	Count  int    `json:"count"`
	Ages   []int  `json:"ages"`                 // by bucket
	Relay  string `json:"last_relay,omitempty"` // who answered last
	Reason string `json:"last_reason,omitempty"`

	last time.Time
}

func newHeap(domain string) *heap { return &heap{Domain: domain, Ages: make([]int, len(buckets)+1)} }

func (h *heap) add(age time.Duration) {
	h.Count++
	i, _ := slices.BinarySearch(buckets, age)
	h.Ages[i]++
}

// summary counts the recipients that wait, by domain and by the age of their message.
func (p *program) summary(c *cli.Context) error {
	if c.Args().Present() {
		return usage("summary: unexpected argument %q", oneLine(c.Args().First()))
	}
	s, _, err := p.open(c)
	if err != nil {
		return err
	}
	total, heaps, err := p.count(s)
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

// count makes the heaps, the largest first.
func (p *program) count(s *queue.Spool) (*heap, []*heap, error) {
	total, by, now := newHeap("TOTAL"), map[string]*heap{}, p.now()
	err := s.List(anyState, func(m *queue.Message) error {
		age := now.Sub(m.Envelope.Arrival)
		for i, r := range m.Envelope.Rcpts {
			if m.History.Done(i) {
				continue
			}
			domain := domainOf(r.Address)
			h := by[domain]
			if h == nil {
				h = newHeap(domain)
				by[domain] = h
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
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Domain, b.Domain))
	})
	return total, heaps, err
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
	wide := len(total.Domain)
	for _, h := range heaps {
		wide = max(wide, len(h.Domain))
	}
	column := max(5, len(fmt.Sprint(total.Count))+1)
	fmt.Fprintf(w, "%*s%*s", wide, "", column, "T")
	for _, b := range buckets {
		fmt.Fprintf(w, "%*d", column, b/time.Minute)
	}
	fmt.Fprintf(w, "%*s\n", column+1, fmt.Sprintf("%d+", buckets[len(buckets)-1]/time.Minute))
	for _, h := range append([]*heap{total}, heaps...) {
		fmt.Fprintf(w, "%*s%*d", wide, h.Domain, column, h.Count)
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
