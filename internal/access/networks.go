package access

import (
	"net/netip"
	"slices"
)

// networks finds the smallest network of an address. Its zero value is empty.
type networks[T any] struct {
	byPrefix map[netip.Prefix]*T
	bits     [2][]int // the lengths that occur, longest first, of IPv4 and IPv6
}

// add puts in a masked prefix and returns what it already had, which stays.
func (n *networks[T]) add(p netip.Prefix, v *T) (before *T) {
	if before = n.byPrefix[p]; before != nil {
		return before
	}
	if n.byPrefix == nil {
		n.byPrefix = map[netip.Prefix]*T{}
	}
	n.byPrefix[p] = v
	lengths := &n.bits[family(p.Addr())]
	if i, have := slices.BinarySearchFunc(*lengths, p.Bits(), func(a, b int) int { return b - a }); !have {
		*lengths = slices.Insert(*lengths, i, p.Bits())
	}
	return nil
}

// get returns what the network p itself has; nil when it has nothing.
func (n *networks[T]) get(p netip.Prefix) *T { return n.byPrefix[p] }

// find returns what the smallest network of addr has, and its length; nil when there is none.
func (n *networks[T]) find(addr netip.Addr) (*T, int) {
	if len(n.byPrefix) == 0 || !addr.IsValid() {
		return nil, -1
	}
	addr = addr.Unmap().WithZone("")
	for _, bits := range n.bits[family(addr)] {
		p, err := addr.Prefix(bits)
		if v := n.byPrefix[p]; err == nil && v != nil {
			return v, bits
		}
	}
	return nil, -1
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
