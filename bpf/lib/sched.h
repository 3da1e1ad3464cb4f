/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The schedulers: which real of a service takes a new conn. Each is ip_vs's rule of
 * the same name (net/netfilter/ipvs/ip_vs_NAME.c); lists are newest real first, as
 * there, and the first of equals wins. Each returns the real's id, 0 for none.
 *
 * Scans go through bpf_loop: nested bounded loops over map values do not verify.
 * Until Linux 6.6 the verifier follows a callback once only, and takes what it knows of
 * the first round for the truth about all: what a callback compares must begin with a
 * value that the verifier does not know.
 *
 * rr and wrr keep their place in one 64-bit word that moves by compare-and-exchange:
 * exact as long as conns of the service do not arrive on two CPUs at once.
 */
#ifndef NARU_SCHED_H
#define NARU_SCHED_H

#include "../maps.h"
#include "parse.h"

static __always_inline __u32 range_offset(slot_range r) { return r >> 32; }
static __always_inline __u32 range_length(slot_range r) { return r; }

static __always_inline __u32 slot_at(__u32 index)
{
	__u32 key = index / SLOTS_PER_LINE;
	struct slot_line *line = bpf_map_lookup_elem(&slots, &key);

	return line ? READ_ONCE(line->id[index % SLOTS_PER_LINE]) : 0;
}

static __always_inline __u32 weight_of(__u32 id)
{
	struct real *r = bpf_map_lookup_elem(&reals, &id);

	return r ? READ_ONCE(r->weight) : 0;
}

/* lc, wlc: least overhead, 257*active + inactive (ip_vs.h, ip_vs_dest_conn_overhead),
 * for wlc per weight; compared by cross-multiplication in 64 bits. */
struct least {
	__u32 offset;
	__u32 weighted;
	__u32 id;
	__u32 weight;
	__u64 overhead;
};

static long least_one(__u32 i, struct least *l)
{
	__u32 id = slot_at(l->offset + i), weight;
	struct real *r = bpf_map_lookup_elem(&reals, &id);
	__u64 overhead;

	if (!r)
		return 0;
	weight = READ_ONCE(r->weight);
	if (!weight)
		return 0;
	overhead = (__u64)READ_ONCE(r->active) * 257 + READ_ONCE(r->inactive);
	if (!l->weighted)
		weight = 1;
	if (l->id && l->overhead * weight <= overhead * l->weight)
		return 0;
	l->id = id;
	l->weight = weight;
	l->overhead = overhead;
	return 0;
}

static __always_inline __u32 schedule_least(const struct service *s, bool weighted)
{
	slot_range list = READ_ONCE(s->list);
	__u64 nought = READ_ONCE(s->nought);
	struct least l = {
		.offset = range_offset(list),
		.weighted = weighted,
		.id = nought,
		.weight = nought,
		.overhead = nought,
	};

	bpf_loop(range_length(list), least_one, &l, 0);
	return l.id;
}

/* rr: the next with a weight after the last chosen. Also the search for any usable
 * real from a given place on. */
struct turn {
	__u32 offset;
	__u32 length;
	__u32 at; /* index of the next to look at */
	__u32 id;
	__s32 cw;
	__u32 gcd;
	__u32 max;
};

static long turn_one(__u32 i, struct turn *t)
{
	__u32 id;

	if (t->at >= t->length)
		t->at = 0;
	id = slot_at(t->offset + t->at++);
	if (!weight_of(id))
		return 0;
	t->id = id;
	return 1;
}

static __always_inline __u32 schedule_rr(struct service *s)
{
	for (int i = 0; i < 4; i++) {
		slot_range list = READ_ONCE(s->list);
		__u64 turn = READ_ONCE(s->turn);
		struct turn t = { .offset = range_offset(list), .length = range_length(list), .at = turn };

		bpf_loop(t.length, turn_one, &t, 0);
		if (!t.id || __sync_val_compare_and_swap(&s->turn, turn, t.at) == turn)
			return t.id;
	}
	return 0;
}

/* wrr: round the list for those of weight cw or more; cw falls by gcd each lap and
 * starts again at max - (gcd - 1). */
static long weighted_turn_one(__u32 i, struct turn *t)
{
	__u32 id;

	if (t->at >= t->length) {
		t->at = 0;
		t->cw -= t->gcd;
		if (t->cw <= 0)
			t->cw = t->max;
	}
	id = slot_at(t->offset + t->at++);
	if ((__s64)weight_of(id) < t->cw || t->cw <= 0)
		return 0;
	t->id = id;
	return 1;
}

static __always_inline __u32 schedule_wrr(struct service *s)
{
	for (int i = 0; i < 4; i++) {
		slot_range list = READ_ONCE(s->list);
		__u64 turn = READ_ONCE(s->turn);
		struct turn t = {
			.offset = range_offset(list),
			.length = range_length(list),
			.at = turn,
			.cw = turn >> 32,
			.gcd = s->gcd,
			.max = s->max_weight - (s->gcd - 1),
		};

		if (!s->max_weight)
			return 0;
		if (t.cw <= 0 || t.cw > (__s32)t.max)
			t.cw = t.max;
		/* What is left of this lap, and a whole one, in which the heaviest fits. */
		bpf_loop(2 * t.length, weighted_turn_one, &t, 0);
		if (!t.id) /* weights are just changing */
			return schedule_rr(s);
		if (__sync_val_compare_and_swap(&s->turn, turn, (__u64)(__u32)t.cw << 32 | t.at) == turn)
			return t.id;
	}
	return 0;
}

/* sh: 256 buckets by the client's address (ip_vs_sh.c; hash_32 of linux/hash.h). */
static __always_inline __u32 sh_bucket(__u32 client)
{
	return client * 0x61C88647U >> 24;
}

static __always_inline __u64 rotate(__u64 x, int by) { return x << by | x >> (64 - by); }

#define SIPROUND(v)                                                                    \
	do {                                                                           \
		v[0] += v[1]; v[1] = rotate(v[1], 13); v[1] ^= v[0]; v[0] = rotate(v[0], 32); \
		v[2] += v[3]; v[3] = rotate(v[3], 16); v[3] ^= v[2];                   \
		v[0] += v[3]; v[3] = rotate(v[3], 21); v[3] ^= v[0];                   \
		v[2] += v[1]; v[1] = rotate(v[1], 17); v[1] ^= v[2]; v[2] = rotate(v[2], 32); \
	} while (0)

/* SipHash-1-3 of one 32-bit word, cut to 32 bits, under ip_vs_mh.c's first key. */
static __always_inline __u32 mh_hash(__u32 word)
{
	const __u64 key = 2654435761U;
	__u64 v[4] = {
		0x736f6d6570736575ULL ^ key,
		0x646f72616e646f6dULL ^ key,
		0x6c7967656e657261ULL ^ key,
		0x7465646279746573ULL ^ key,
	};
	__u64 b = 4ULL << 56 | word;

	v[3] ^= b;
	SIPROUND(v);
	v[0] ^= b;
	v[2] ^= 0xff;
	SIPROUND(v);
	SIPROUND(v);
	SIPROUND(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* sh, mh: the real in the client's bucket, unless its weight is 0: then none, for
 * naru does not have the fallback flags yet. */
static __always_inline __u32 schedule_ring(const struct service *s, __u32 hash)
{
	slot_range ring = READ_ONCE(s->ring);
	__u32 id;

	if (!range_length(ring))
		return 0;
	id = slot_at(range_offset(ring) + hash % range_length(ring));
	return weight_of(id) ? id : 0;
}

/* The real for a new conn of p's flow. */
__noinline __u32 schedule(struct service *s, const struct packet *p)
{
	if (!s || !p)
		return 0;
	switch (s->scheduler) {
	case SCHEDULER_RR:
		return schedule_rr(s);
	case SCHEDULER_WRR:
		return schedule_wrr(s);
	case SCHEDULER_LC:
		return schedule_least(s, false);
	case SCHEDULER_SH:
		return schedule_ring(s, sh_bucket(ntohl(*(__be32 *)&p->flow.src)));
	case SCHEDULER_MH:
		return schedule_ring(s, mh_hash(ntohl(*(__be32 *)&p->flow.src)));
	}
	return schedule_least(s, true);
}

/* The real for a flow without a record, when the table is full: the same for all
 * packets of the flow as long as the list stays. */
__noinline __u32 schedule_stateless(struct service *s, const struct packet *p)
{
	struct turn t = {};
	slot_range list;

	if (!s || !p)
		return 0;
	if (s->scheduler == SCHEDULER_SH || s->scheduler == SCHEDULER_MH)
		return schedule(s, p);
	list = READ_ONCE(s->list);
	t.offset = range_offset(list);
	t.length = range_length(list);
	if (!t.length)
		return 0;
	t.at = mh_hash(*(__u32 *)&p->flow.src ^ (__u32)p->flow.sport << 16 ^ p->flow.dport) % t.length;
	bpf_loop(t.length, turn_one, &t, 0);
	return t.id;
}

#endif
