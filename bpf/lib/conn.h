/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The conn table. flows4 leads from a flow to {index, generation} of a record in
 * conns4. The life of a record:
 *
 *   free --conn_new--> a state --conn_step--> … --conn_end--> DEAD --release--> free
 *
 * Each arrow is one compare-and-exchange of conn.word, so it has one author, who
 * also adjusts the real's active and inactive counts: they are exact. A record is
 * complete before its flow leads to it, and no flow leads to it any more before it is
 * free. While it is DEAD its flow's packets are dropped (EXIT_DROP_CONN_BUSY), for
 * well under a microsecond: a new conn of the same flow could otherwise lose its key
 * to the old one's author.
 */
#ifndef NARU_CONN_H
#define NARU_CONN_H

#include "../maps.h"
#include "count.h"
#include "state.h"

#define ZERO_KEY ((const __u32[]){ 0 })

static __always_inline __u32 tick(void) { return bpf_ktime_get_coarse_ns() >> TICK_SHIFT; }

static __always_inline __u8 word_state(__u32 word) { return word; }

/* Whether a record in this state holds a conn. One that was never used is all zero,
 * STATE_NONE, in which no conn ever is. */
static __always_inline bool state_holds(__u8 state) { return state != STATE_NONE && state < STATES; }

static __always_inline __u32 word_generation(__u32 word) { return word >> 8; }
static __always_inline __u32 make_word(__u32 generation, __u8 state) { return generation << 8 | state; }

/* Makes a record's word v after everything else written to it: the exchange is a full
 * barrier, also on machines that reorder stores. */
static __always_inline void publish(__u32 *word, __u32 v) { __sync_lock_test_and_set(word, v); }

static __always_inline bool exchange(__u32 *word, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap(word, from, to) == from;
}

/* The record that p's flow leads to, or NULL; sets p->ref. */
static __always_inline struct conn4 *conn_find(struct packet *p)
{
	struct conn_ref *ref = bpf_map_lookup_elem(&flows4, &p->flow);
	struct conn4 *c;

	if (!ref)
		return NULL;
	p->ref = *ref;
	c = bpf_map_lookup_elem(&conns4, &p->ref.index);
	if (!c || word_generation(READ_ONCE(c->head.word)) != (p->ref.generation & GENERATION_MASK))
		return NULL;
	return c;
}

/* Moves the real's counts from one state's side to another's; STATE_FREE is no side. */
static __always_inline void account(__u32 id, __u8 from, __u8 to)
{
	struct real *r = bpf_map_lookup_elem(&reals, &id);

	if (!r)
		return;
	if (from != STATE_FREE)
		__sync_fetch_and_sub(state_active(from) ? &r->active : &r->inactive, 1);
	if (to != STATE_FREE)
		__sync_fetch_and_add(state_active(to) ? &r->active : &r->inactive, 1);
}

/* Carries a conn's state on by a packet; false if the conn ended meanwhile. */
static __always_inline bool conn_step(struct conn4 *c, const struct packet *p)
{
	__u8 view = VIEW_ONE_SIDED, state, next;
	__u32 word;

	if (c->head.forward == FORWARD_NAT)
		view = p->ref.generation & CONN_REPLY ? VIEW_REPLY : VIEW_CLIENT;
	for (int i = 0; i < 4; i++) {
		word = READ_ONCE(c->head.word);
		state = word_state(word);
		if (unlikely(!state_holds(state) || word_generation(word) != (p->ref.generation & GENERATION_MASK)))
			return false;
		next = next_state(view, p->event, state);
		if (likely(next == state))
			return true;
		if (exchange(&c->head.word, word, make_word(word_generation(word), next))) {
			if (state_active(state) != state_active(next))
				account(c->head.real, state, next);
			return true;
		}
	}
	return true; /* others carried it on four times while we looked */
}

/* The flow that the real's replies to a NAT conn have. */
static __always_inline void reply_flow(struct flow4 *f, const struct flow4 *client, const struct real *r)
{
	f->src = *(const struct address4 *)&r->address.b[12];
	f->dst = client->src;
	f->sport = r->port;
	f->dport = client->sport;
	f->proto = client->proto;
	__builtin_memset(f->zero, 0, sizeof(f->zero));
}

/* Takes a DEAD record's flows away. Its word is still DEAD afterwards. */
static __always_inline void conn_unhash(struct conn4 *c)
{
	struct flow4 f = c->flow;
	struct real *r;

	bpf_map_delete_elem(&flows4, &f);
	if (c->head.forward != FORWARD_NAT)
		return;
	r = bpf_map_lookup_elem(&reals, &c->head.real);
	if (!r)
		return;
	reply_flow(&f, &c->flow, r);
	bpf_map_delete_elem(&flows4, &f);
}

/*
 * Ends the conn that c was when its word was read: counts it out and takes its flows
 * away. Returns false if somebody else was first. The caller owns the record, in
 * state DEAD, and must reuse or release it.
 */
static __always_inline bool conn_end(struct conn4 *c, __u32 word)
{
	if (!exchange(&c->head.word, word, make_word(word_generation(word), STATE_DEAD)))
		return false;
	account(c->head.real, word_state(word), STATE_FREE);
	conn_unhash(c);
	return true;
}

/* Gives a DEAD record back. */
static __always_inline void conn_release(struct conn4 *c, __u32 index)
{
	struct table_state *t = bpf_map_lookup_elem(&table_state, ZERO_KEY);
	__u32 generation = (word_generation(c->head.word) + 1) & GENERATION_MASK;

	publish(&c->head.word, make_word(generation, STATE_FREE));
	bpf_map_push_elem(&free4, &index, BPF_ANY);
	if (t)
		__sync_fetch_and_sub(&t->used, 1);
}

/* Whether a conn may make room for a new one: half open, or one packet of UDP. */
static __always_inline bool conn_expendable(const struct conn4 *c, __u8 state)
{
	return state == STATE_SYN_RECV || (state == STATE_UDP && c->head.packets <= 1);
}

struct reclaim {
	__u32 index;
	__u32 records; /* 0 to records-1 are looked at */
	bool found;
};

static long reclaim_one(__u32 i, struct reclaim *r)
{
	__u32 index = (__u64)bpf_get_prandom_u32() * r->records >> 32;
	struct conn4 *c = bpf_map_lookup_elem(&conns4, &index);
	__u32 word;

	if (!c)
		return 0;
	word = READ_ONCE(c->head.word);
	if (!conn_expendable(c, word_state(word)) || !conn_end(c, word))
		return 0;
	r->index = index;
	r->found = true;
	return 1;
}

/*
 * Takes a record for a new conn: true and its index. Above 90 % of the capacity a
 * new conn takes the place of a random half-open one; the rest is for conns that
 * completed their handshake (established), so a flood of SYNs cannot lock them out.
 */
static __always_inline bool conn_take(__u32 *index, bool established)
{
	const struct settings *s = bpf_map_lookup_elem(&settings, ZERO_KEY);
	struct table_state *t = bpf_map_lookup_elem(&table_state, ZERO_KEY);
	struct reclaim r = {};

	if (!s || !t)
		return false;
	if (unlikely(!established && t->used >= s->capacity - s->capacity / 10)) {
		r.records = t->fresh < s->capacity ? t->fresh : s->capacity;
		bpf_loop(8, reclaim_one, &r, 0);
		if (r.found) {
			*index = r.index;
			count_event(EVENT_CONN_RECLAIMED);
		}
		return r.found;
	}
	if (bpf_map_pop_elem(&free4, index)) {
		if (t->fresh >= s->capacity)
			return false;
		*index = __sync_fetch_and_add(&t->fresh, 1);
		if (*index >= s->capacity)
			return false;
	}
	__sync_fetch_and_add(&t->used, 1);
	return true;
}

enum conn_made { CONN_MADE, CONN_FULL, CONN_TAKEN, CONN_COLLISION };

/*
 * Makes a conn of p's flow, bound to a real, and sets p->ref. CONN_FULL: no room;
 * CONN_TAKEN: another CPU has just made it; CONN_COLLISION: by NAT, this client and
 * port are already in use at this real, through another service.
 */
static __always_inline enum conn_made conn_new(struct packet *p, __u32 service, __u32 id, const struct real *r,
					       const struct ethhdr *eth, __u32 ifindex)
{
	bool established = p->event == TCP_EVENT_ACK;
	struct flow4 flow = p->flow, f;
	struct conn_ref ref;
	struct conn4 *c;
	__u32 index;
	__u8 state;
	int err;

	if (!conn_take(&index, established))
		return CONN_FULL;
	c = bpf_map_lookup_elem(&conns4, &index);
	if (!c)
		return CONN_FULL;
	p->ref.index = index;
	p->ref.generation = (word_generation(c->head.word) + 1) & GENERATION_MASK;
	c->head.real = id;
	c->head.service = service;
	c->head.seen = p->now;
	c->head.bytes = c->head.packets = 0;
	c->head.ifindex = ifindex;
	__builtin_memcpy(c->head.director, eth->dst, sizeof(c->head.director));
	__builtin_memcpy(c->head.client, eth->src, sizeof(c->head.client));
	c->head.forward = r->forward;
	c->flow = p->flow;
	state = p->flow.proto == IPPROTO_UDP ? STATE_UDP : established ? STATE_ESTABLISHED : STATE_SYN_RECV;
	account(id, STATE_FREE, state);
	publish(&c->head.word, make_word(p->ref.generation, state));
	if (r->forward == FORWARD_NAT) {
		reply_flow(&f, &p->flow, r);
		ref.index = index;
		ref.generation = p->ref.generation | CONN_REPLY;
		err = bpf_map_update_elem(&flows4, &f, &ref, BPF_NOEXIST);
		if (err) {
			publish(&c->head.word, make_word(p->ref.generation, STATE_DEAD));
			account(id, state, STATE_FREE);
			conn_release(c, index);
			return err == -EEXIST ? CONN_COLLISION : CONN_FULL;
		}
	}
	ref = p->ref;
	err = bpf_map_update_elem(&flows4, &flow, &ref, BPF_NOEXIST);
	if (err) {
		publish(&c->head.word, make_word(p->ref.generation, STATE_DEAD));
		account(id, state, STATE_FREE);
		if (r->forward == FORWARD_NAT)
			bpf_map_delete_elem(&flows4, &f);
		conn_release(c, index);
		return err == -EEXIST ? CONN_TAKEN : CONN_FULL;
	}
	count_conn(service, id);
	return CONN_MADE;
}

#endif
