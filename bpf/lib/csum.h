/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The internet checksum (RFC 1071) and its incremental update (RFC 1624). All values
 * are as they lie in memory; byte order does not matter to the sum. */
#ifndef NARU_CSUM_H
#define NARU_CSUM_H

#include "../include/kernel.h"

/* Folds a sum into 16 bits; does not complement. */
static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The checksum after a 32-bit word of its data changed: HC' = ~(~HC + ~m + m'). */
static __always_inline __u16 csum_replace4(__u16 check, __be32 from, __be32 to)
{
	return ~csum_fold((__u64)(__u16)~check + (__u32)~from + to);
}

/* Of an IPv4 header without options, whose check field is taken as 0. */
static __always_inline __u16 csum_ip(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += i == 5 ? 0 : w[i];
	return ~csum_fold(sum);
}

#endif
