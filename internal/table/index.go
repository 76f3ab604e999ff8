package table

import (
	"hash/maphash"
	"math/bits"
)

// index finds places in a text by hashes: a table of slots that is probed one after the other from where the hash
// points. A slot holds some bits of the hash and the place, so whoever asks must look whether it is the right one.
type index struct {
	seed  maphash.Seed
	slots []uint64 // 0: empty; else tag<<placeBits | place+1
	n     int
}

const (
	placeBits = 40
	placeMask = 1<<placeBits - 1
)

// newIndex makes an index for up to n places, three quarters full with them.
func newIndex(n int) index {
	return index{seed: maphash.MakeSeed(), slots: make([]uint64, n+n/3+1)}
}

// find calls match with each place that key may be at, until it says yes. free is where key would be put.
func (x *index) find(key string, match func(at int64) (bool, error)) (at int64, found bool, free int, err error) {
	h := maphash.String(x.seed, key)
	hi, _ := bits.Mul64(h, uint64(len(x.slots)))
	i := int(hi)
	for x.slots[i] != 0 {
		if s := x.slots[i]; s>>placeBits == tag(h) {
			at = int64(s&placeMask) - 1
			if ok, err := match(at); ok || err != nil {
				return at, ok, i, err
			}
		}
		if i++; i == len(x.slots) {
			i = 0
		}
	}
	return 0, false, i, nil
}

// put fills a slot that find has told of.
func (x *index) put(slot int, key string, at int64) {
	x.slots[slot] = tag(maphash.String(x.seed, key))<<placeBits | uint64(at+1)
	x.n++
}

// tag is what a slot keeps of a hash. The bits that choose the slot are others.
func tag(h uint64) uint64 { return h & (1<<(64-placeBits) - 1) }

// set is a set of strings, of which it keeps hashes of 64 bits. Their seed is nobody's to know, so that no two strings
// can be made to meet.
type set struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
	last   string // it is most likely the next one too
}

func (s *set) add(name string) {
	if s.hashes == nil {
		s.seed, s.hashes = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	if name != s.last {
		s.hashes[maphash.String(s.seed, name)] = struct{}{}
		s.last = name
	}
}

func (s *set) has(name string) bool {
	if s.hashes == nil {
		return false
	}
	_, ok := s.hashes[maphash.String(s.seed, name)]
	return ok
}
