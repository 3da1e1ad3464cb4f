// Package sched builds the lookup tables of the hashing schedulers and says which
// bucket a client falls into, both exactly as ip_vs does, so that a director of each
// kind sends a client to the same real. The packet path carries the lookup out; the
// functions here are what it is compared with. The package is pure.
package sched

import (
	"encoding/binary"
	"net/netip"
)

// Empty marks a bucket that no real took.
const Empty = -1

// fold reduces an address to the 32 bits that ip_vs hashes: IPv4 as it is, IPv6 as the
// exclusive or of its four words, in host order (ip_vs_sh.c, ip_vs_sh_hashkey).
func fold(a netip.Addr) uint32 {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	var word uint32
	for i := 0; i < len(b); i += 4 {
		word ^= binary.BigEndian.Uint32(b[i:])
	}
	return word
}
