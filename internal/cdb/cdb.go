// Package cdb writes and reads constant databases in the format of D. J. Bernstein's cdb
// (https://cr.yp.to/cdb/cdb.txt): a file that finds the value of a key in a few reads, is made in one pass and is never
// changed.
//
// A file begins with 256 pairs of numbers, where each of 256 hash tables is and how many slots it has; then come the
// records (length of the key, length of the value, key, value), then the hash tables. A slot is the hash of a key and
// the place of its record, and is searched for from (hash / 256) mod slots on, to the first that is empty. All numbers
// have 32 bits, least significant byte first.
//
// Rules:
//   - A key is in a file once. Who adds it again chooses which record stays.
//   - Writing needs 8 bytes of memory for a record, and a buffer.
//   - A Reader has the places of the tables in memory and trusts nothing that it reads: what points out of the file, or makes it search
//     for long, is ErrDamaged. It does not notice other damage: who must know adds checksums beneath it.
package cdb

import (
	"encoding/binary"
	"errors"
)

// ErrDamaged says that a file is no constant database, or not as it was written.
var ErrDamaged = errors.New("the database is damaged")

// ErrCrowded says that there are too many keys of the same hash. It takes malice.
var ErrCrowded = errors.New("too many keys have the same hash")

const (
	tables   = 256
	tableOf  = tables - 1 // hash & tableOf is the table
	headSize = tables * 8
	slotSize = 8
	pairSize = 8 // the two lengths before a record

	maxSize  = 1<<32 - 1 // bytes of a file
	maxKey   = 1 << 16   // bytes
	maxValue = 1 << 24   // bytes
	maxSame  = 64        // keys of one hash
	maxProbe = 1 << 14   // slots that are searched for a key; some names need a thousand: the hash is a simple one

	writeSize = 64 << 10 // bytes that are written at once
	readSlots = 16       // that are read at once, at first
	readMore  = 256      // and later
)

func hash(key string) uint32 {
	h := uint32(5381)
	for i := range len(key) {
		h = (h<<5 + h) ^ uint32(key[i])
	}
	return h
}

// pair reads two numbers.
func pair(b []byte) (uint32, uint32) {
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
}

func appendPair(b []byte, x, y uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, x), y)
}
