package sched

import (
	"math/bits"
	"net/netip"
)

// MHSize is the default number of buckets of mh, that of ip_vs (ip_vs_mh.c with
// CONFIG_IP_VS_MH_TAB_INDEX 12).
const MHSize = 4093

// MHReal is one real as mh sees it. Weight is its last weight above 0: setting a weight
// to 0 moves no other client (ip_vs_ctl.c, last_weight).
type MHReal struct {
	Addr   netip.Addr
	Port   uint16
	Weight uint32
}

// The keys of mh's two hashes, the same on every director (ip_vs_mh.c, ip_vs_mh_init_svc).
const (
	mhKey1 = 2654435761
	mhKey2 = 2654446892
)

// mhTurn is a real's walk over the table: it starts at perm and steps by skip, and takes
// turns buckets each lap (ip_vs_mh.c, ip_vs_mh_dest_setup).
type mhTurn struct {
	perm, skip uint32
	turns      uint32
}

// MH returns the index of the real in each of size buckets, for reals in list order:
// Maglev's table as ip_vs_mh.c fills it (ip_vs_mh_permutate, ip_vs_mh_populate). The size is
// a prime from 251 to 131071. Reals that never had a weight take no bucket.
func MH(reals []MHReal, size int) []int {
	buckets := make([]int, size)
	for i := range buckets {
		buckets[i] = Empty
	}
	walks := mhTurns(reals, size)
	if walks == nil {
		return buckets
	}
	for filled := 0; ; {
		for i := range walks {
			w := &walks[i]
			for range w.turns {
				for buckets[w.perm] != Empty {
					if w.perm += w.skip; w.perm >= uint32(size) {
						w.perm -= uint32(size)
					}
				}
				buckets[w.perm] = i
				if filled++; filled == size {
					return buckets
				}
			}
		}
	}
}

// mhTurns prepares each real's walk, nil if no real has a weight. Weights are reduced
// by their greatest common divisor, and shifted if they are still too fine for the
// table (ip_vs_mh.c, ip_vs_mh_gcd_weight, ip_vs_mh_shift_weight).
func mhTurns(reals []MHReal, size int) []mhTurn {
	var divisor, heaviest uint32
	for _, r := range reals {
		divisor = gcd(r.Weight, divisor)
		heaviest = max(heaviest, r.Weight)
	}
	if divisor == 0 {
		return nil
	}
	// The table's index is the number of bits of its size: 8 for 251, 12 for 4093.
	shift := max(0, bits.Len32(heaviest/divisor)-bits.Len(uint(size))/2)
	walks := make([]mhTurn, len(reals))
	for i, r := range reals {
		sum := uint32(r.Port) + fold(r.Addr)
		walks[i] = mhTurn{
			perm: hsiphash(sum, mhKey1) % uint32(size),
			skip: hsiphash(sum, mhKey2)%uint32(size-1) + 1,
		}
		if r.Weight > 0 {
			walks[i].turns = max(1, r.Weight/divisor>>shift)
		}
	}
	return walks
}

// MHBucket returns the bucket of a client in a table of size buckets: its folded
// address without the port, as ip_vs does when the flag mh-port is not set.
func MHBucket(client netip.Addr, size int) int {
	return int(hsiphash(fold(client), mhKey1) % uint32(size))
}

// hsiphash is the kernel's hash of one 32-bit word on a 64-bit machine: SipHash-1-3,
// cut to 32 bits (lib/siphash.c, hsiphash_1u32). Both words of mh's keys are equal.
func hsiphash(word uint32, key uint64) uint32 {
	v0, v1 := key^0x736f6d6570736575, key^0x646f72616e646f6d
	v2, v3 := key^0x6c7967656e657261, key^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	block := 4<<56 | uint64(word) // the length in bytes, then the bytes
	v3 ^= block
	round()
	v0 ^= block
	v2 ^= 0xff
	round()
	round()
	round()
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}

func gcd(a, b uint32) uint32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
