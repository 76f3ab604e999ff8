// Package dns answers the questions that routing of mail asks, which hosts take mail for a domain and which
// addresses a host has; and those that a server asks about its clients: which names an address has, and what DNS
// lists say of it.
//
// System is the resolver of this machine: /etc/hosts first (addresses and names only), then the servers of
// /etc/resolv.conf over UDP, and over TCP when an answer is truncated. Zone is a resolver made of zone text,
// for tests. Both share the reading of answers, so what a test proves of one holds for the other.
//
// Rules:
//   - An answer is hostile input: its ID and question are checked, its records are counted, chains of aliases
//     are short, and a name that is no host name is dropped.
//   - "There is none" (ErrNotFound) is permanent and said by a server. Everything else that goes wrong is
//     temporary. Every error carries a status.Status.
//   - Names may be given in Unicode; they are asked for in their ASCII form (IDNA). A name for MX is always
//     absolute. A name for Addrs that has a single label and no final dot is completed from the search list.
//   - localhost and all below it are the loopback addresses, whatever anybody says (RFC 6761 section 6.3).
//   - A name that an address has is what the address's owner says of itself. Who believes it asks for the name's
//     addresses first.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"postrider/internal/status"
)

// Caps on what one answer may bring. More is cut: the best preferences and the first addresses stay.
const (
	MaxMX    = 100
	MaxAddrs = 100
	maxNames = 10
	maxTexts = 10
	maxText  = 4096 // bytes of one TXT record
	maxAlias = 8    // CNAME records followed for one question
)

// ErrNotFound says that a name does not exist or has no record of the type asked for.
var ErrNotFound = errors.New("not found in DNS")

// MX is one host that takes mail for a domain. Host has no final dot; it is "" in a null MX (RFC 7505).
type MX struct {
	Host string
	Pref uint16
}

// Resolver answers the questions of routing and of a server. Its errors are *status.Status: permanent and wrapping
// ErrNotFound when a server says that there is none, temporary otherwise.
type Resolver interface {
	// MX returns the mail exchangers of domain, best preference first.
	MX(ctx context.Context, domain string) ([]MX, error)
	// Addrs returns the addresses of host, which may be an address itself.
	Addrs(ctx context.Context, host string) ([]netip.Addr, error)
	Lookup
}

// Lookup is what a server asks about its clients.
type Lookup interface {
	// KnownNames returns the names that the hosts file gives to addr. It asks nobody and does not wait.
	KnownNames(addr netip.Addr) []string
	// Names returns the names of addr: those of the hosts file, or else those that its PTR records say it has.
	Names(ctx context.Context, addr netip.Addr) ([]string, error)
	// A returns the IPv4 addresses that the DNS has for name, which is absolute. It is for DNS lists, so the hosts
	// file is not looked at.
	A(ctx context.Context, name string) ([]netip.Addr, error)
	// TXT returns the texts of name, which is absolute; the strings of one record are one text. They are bytes as
	// somebody else wrote them.
	TXT(ctx context.Context, name string) ([]string, error)
}

// notFound is the permanent outcome of a lookup (RFC 3463: X.1.2, bad destination system address).
func notFound(op, name, what string) error {
	return status.New(op, 550, status.Code{5, 1, 2}, fmt.Sprintf("%s: %s", shown(name), what), ErrNotFound)
}

// failed is the temporary outcome of a lookup (RFC 3463: X.4.3, directory server failure).
func failed(op, name string, err error) error {
	return status.New(op, 451, status.Code{4, 4, 3}, fmt.Sprintf("DNS lookup of %s failed", shown(name)), err)
}

// badName is the outcome of asking for something that is no domain name.
func badName(op, name string, err error) error {
	return status.New(op, 550, status.Code{5, 1, 2}, fmt.Sprintf("%s: not a domain name", shown(name)), err)
}

func shown(name string) string { return status.Clean(strings.TrimSuffix(name, "."), 255) }
