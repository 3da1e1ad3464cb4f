/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The packet path inside a measurement. A test run repeats a program on one packet,
 * which the path changes: from the second round on it would measure its own output. So
 * every round first makes the packet new, with a source port from a counter. What that
 * costs, bench_floor tells. Tunnels cannot be measured so at this hook: the mark that a
 * packet is encapsulated stays on the sk_buff when the header is taken off again.
 */
#include "hook/tc.h"

#include "lb.h"
#include "lib/sweep.h"

char _license[] SEC("license") = "GPL";

struct bench {
	__u32 flows;  /* a power of two; 0: every round is a new conn */
	__u32 next;   /* counts rounds */
	__be32 vip;
	__be16 port;
	__u8 flags;   /* TCP flags of the packets */
	__u8 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench);
} bench SEC(".maps");

/* One slice of the sweep, over records that are all in use and stay. */
SEC("tc")
int bench_sweep(struct __sk_buff *skb)
{
	struct sweep s = { .settings = bpf_map_lookup_elem(&settings, ZERO_KEY), .now = tick() };

	if (!s.settings)
		return TC_ACT_SHOT;
	s.ends = s.settings->capacity; /* not a constant: see sched.h */
	bpf_loop(SWEEP_SLICE, sweep_one, &s, 0);
	return s.looked == SWEEP_SLICE ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* Makes the 64-byte frame new. False if it is not there. */
static __always_inline bool renew(ctx_t *ctx)
{
	struct bench *b = bpf_map_lookup_elem(&bench, ZERO_KEY);
	struct iphdr *ip = ip_header(ctx);
	struct tcphdr *tcp = (void *)(ip + 1);
	__u32 n;

	if (!b || !ip || (void *)(tcp + 1) > hook_end(ctx))
		return false;
	n = b->next++;
	if (b->flows)
		n &= b->flows - 1;
	__builtin_memset(eth_of(ip)->dst, 0, 6);
	__builtin_memset(eth_of(ip)->src, 2, 6);
	ip->ttl = 64;
	ip->saddr = htonl(0x0a000000 | (n >> 14 & 0xffff) << 2 | 1);
	ip->daddr = b->vip;
	tcp->source = htons(1024 + (n & 0x3fff));
	tcp->dest = b->port;
	tcp->flags = b->flags;
	return true;
}

SEC("tc")
int bench_floor(struct __sk_buff *skb)
{
	return renew(skb) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int bench_path(struct __sk_buff *skb)
{
	return renew(skb) ? lb(skb, false) : TC_ACT_SHOT;
}
