package sched

import "net/netip"

// SHSize is the number of buckets of sh (ip_vs_sh.c, IP_VS_SH_TAB_SIZE).
const SHSize = 256

const shBits = 8

// SH returns the index of the real in each bucket, for reals of these weights in list
// order. Each takes as many buckets in a row as it has weight, round after round; one
// of weight 0 still takes one, and a client that hits it is refused
// (ip_vs_sh.c, ip_vs_sh_reassign).
func SH(weights []uint32) []int {
	buckets := make([]int, SHSize)
	real, taken := 0, uint32(0)
	for i := range buckets {
		if len(weights) == 0 {
			buckets[i] = Empty
			continue
		}
		buckets[i] = real
		if taken++; taken >= weights[real] {
			real, taken = (real+1)%len(weights), 0
		}
	}
	return buckets
}

// SHBucket returns the bucket of a client: hash_32 of its folded address, without the
// port, as ip_vs does when the flag sh-port is not set (ip_vs_sh.c, ip_vs_sh_hashkey).
func SHBucket(client netip.Addr) int {
	const goldenRatio32 = 0x61C88647 // include/linux/hash.h
	return int(fold(client) * goldenRatio32 >> (32 - shBits))
}
