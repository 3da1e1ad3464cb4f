/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The packet path, whatever the hook: a frame goes down this file from the last
 * function to its exit.
 *
 *   lb        count the exit, return its verdict
 *   way       parse, find the conn, step its state, forward
 *   miss      no conn: find the service, choose a real, make the conn
 *   deliver   count the packet and hand it to the conn's forward
 *
 * A hook's own part is in hook/, one idea each in lib/.
 *
 * The slow parts are global functions: the verifier looks at each once, by itself,
 * instead of again at every call. There a pointer argument may be NULL for all it
 * knows, and map keys must lie on the function's own stack (until Linux 6.5).
 */
#ifndef NARU_LB_H
#define NARU_LB_H

#include "lib/answer.h"
#include "lib/forward.h"
#include "lib/related.h"
#include "lib/sched.h"

/* Ethernet, IPv4 and TCP headers with all their options. */
#define LONGEST_HEAD (sizeof(struct ethhdr) + 60 + 60)

#define OVERFLOW_TICKS ((__s32)(60 * (1000000000ULL >> TICK_SHIFT)))

/* To the real, if the packet fits the way and may live on. */
static __always_inline enum exit hand_over(ctx_t *ctx, struct packet *p, const struct real *r, __u8 forward)
{
	__u32 outer = forward == FORWARD_TUN ? sizeof(struct iphdr) : 0;
	__u32 longest = p->longest;

	if (unlikely(!r->ifindex))
		return EXIT_DROP_NO_NEIGHBOUR;
	if (unlikely(p->ttl <= 1))
		return answer_icmp(ctx, p, EXIT_ANSWER_TIME_EXCEEDED, 0);
	/* The kernel shortens the segments of a TCP GSO packet for an outer header. */
	if (p->count > 1 && p->flow.proto == IPPROTO_TCP)
		longest -= outer;
	if (unlikely(longest + outer > r->mtu)) {
		if (!p->df)
			return EXIT_DROP_TOO_BIG;
		return answer_icmp(ctx, p, EXIT_ANSWER_TOO_BIG, r->mtu - outer);
	}
	if (forward == FORWARD_DR)
		return forward_dr(ctx, p, r);
	if (forward == FORWARD_NAT)
		return forward_nat(ctx, p, r);
	return forward_tun(ctx, p, r);
}

static __always_inline enum exit deliver(ctx_t *ctx, struct packet *p, struct conn4 *c)
{
	struct real *r = bpf_map_lookup_elem(&reals, &c->head.real);
	struct ethhdr *eth = hook_data(ctx);

	if (unlikely(!r || r->flags & ENTRY_RETIRED))
		return EXIT_DROP_REAL_GONE;
	c->head.seen = p->now;
	c->head.packets += p->count;
	c->head.bytes += p->bytes;
	count_packet(p, c->head.service, c->head.real);
	if (p->ref.generation & CONN_REPLY) {
		if (unlikely(p->ttl <= 1)) /* the error would have to come from the client */
			return EXIT_DROP_UNANSWERABLE;
		return forward_reply(ctx, p, c);
	}
	if (c->head.forward == FORWARD_LOCAL)
		return EXIT_LOCAL;
	if (c->head.forward == FORWARD_NAT && (void *)(eth + 1) <= hook_end(ctx)) {
		/* Replies follow the client's last packet: its router may have changed. */
		__builtin_memcpy(c->head.director, eth->dst, 6);
		__builtin_memcpy(c->head.client, eth->src, 6);
		c->head.ifindex = hook_ifindex(ctx);
	}
	return hand_over(ctx, p, r, c->head.forward);
}

/* A new flow when the table is full: by hash, without a record. */
static __always_inline enum exit stateless(ctx_t *ctx, struct packet *p, struct service *s, __u32 service)
{
	struct table_state *t = bpf_map_lookup_elem(&table_state, ZERO_KEY);
	__u32 id = schedule_stateless(s, p);
	struct real *r = bpf_map_lookup_elem(&reals, &id);

	if (t)
		t->overflow = p->now | 1;
	if (!id || !r || r->forward == FORWARD_NAT)
		return EXIT_DROP_TABLE_FULL;
	count_event(EVENT_STATELESS);
	p->ref.index = ~0U; /* no record: nothing for later fragments to follow */
	p->ref.generation = 0;
	count_packet(p, service, id);
	if (r->forward == FORWARD_LOCAL)
		return EXIT_LOCAL;
	return hand_over(ctx, p, r, r->forward);
}

/* Whether an ACK without a conn may belong to a flow that stateless() forwarded. */
static __always_inline bool overflowed(const struct packet *p)
{
	struct table_state *t = bpf_map_lookup_elem(&table_state, ZERO_KEY);

	return t && t->overflow && (__s32)(p->now - t->overflow) < OVERFLOW_TICKS;
}

/* The real for a packet that may begin a conn: 0 and an exit if there is none. */
static __always_inline enum exit choose(ctx_t *ctx, struct packet *p, struct service *s, __u32 *id)
{
	const struct settings *set = bpf_map_lookup_elem(&settings, ZERO_KEY);

	if (p->flow.proto == IPPROTO_TCP && (p->event != TCP_EVENT_SYN || p->tcp_flags & TCP_ACK)) {
		if (p->event == TCP_EVENT_ACK && overflowed(p)) {
			*id = schedule_stateless(s, p);
			if (*id) {
				count_event(EVENT_PROMOTED);
				return GO_ON;
			}
		}
		if (p->event == TCP_EVENT_RST || !set || set->drop_misses)
			return EXIT_DROP_NO_CONN;
		return answer_reset(ctx, p);
	}
	*id = schedule(s, p);
	if (!*id)
		return answer_icmp(ctx, p, EXIT_ANSWER_UNREACHABLE, 0);
	return GO_ON;
}

__noinline enum exit miss(ctx_t *ctx, struct packet *p)
{
	struct service_key key = {};
	__u32 *service, index, id = 0;
	struct service *s;
	struct ethhdr *eth;
	struct conn4 *c;
	struct real *r;
	enum exit e;

	if (!p)
		return EXIT_DROP_ERROR;
	key.vip.b[10] = key.vip.b[11] = 0xff;
	*(__be32 *)&key.vip.b[12] = *(__be32 *)&p->flow.dst;
	key.port = p->flow.dport;
	key.protocol = p->flow.proto;
	service = bpf_map_lookup_elem(&service_ids, &key);
	if (!service)
		return EXIT_PASS_NO_SERVICE;
	s = bpf_map_lookup_elem(&services, service);
	if (!s || !(s->flags & ENTRY_HELD))
		return EXIT_PASS_VIP_NOT_HELD;
	p->now = tick();
	e = choose(ctx, p, s, &id);
	if (e != GO_ON)
		return e;
	r = bpf_map_lookup_elem(&reals, &id);
	eth = hook_data(ctx);
	if (!r || (void *)(eth + 1) > hook_end(ctx))
		return EXIT_DROP_ERROR;
	switch (conn_new(p, *service, id, r, eth, hook_ifindex(ctx))) {
	case CONN_MADE:
		break;
	case CONN_FULL:
		return stateless(ctx, p, s, *service);
	case CONN_TAKEN:
		return EXIT_DROP_CONN_BUSY;
	case CONN_COLLISION:
		return EXIT_DROP_NAT_COLLISION;
	}
	index = p->ref.index;
	c = bpf_map_lookup_elem(&conns4, &index);
	return c ? deliver(ctx, p, c) : EXIT_DROP_ERROR;
}

/* A SYN on a conn that is over asks for a new one: ip_vs's conn_reuse_mode 1. */
static __always_inline bool reuses_port(const struct packet *p, __u8 state)
{
	return p->event == TCP_EVENT_SYN && !(p->tcp_flags & TCP_ACK) && !(p->ref.generation & CONN_REPLY) &&
	       (state == STATE_TIME_WAIT || state == STATE_CLOSE);
}

/* A conn's fragments: the first leaves a trace that the others follow. */
static __always_inline void remember_fragment(const struct packet *p)
{
	struct fragment_key key = { .src = p->flow.src, .dst = p->flow.dst, .id = p->id, .proto = p->flow.proto };

	bpf_map_update_elem(&fragments4, &key, &p->ref, BPF_ANY);
}

__noinline enum exit later_fragment(ctx_t *ctx, struct packet *p)
{
	struct fragment_key key = {};
	struct conn_ref *ref;
	struct conn4 *c;
	__u32 index;

	if (!p)
		return EXIT_DROP_ERROR;
	key.src = p->flow.src;
	key.dst = p->flow.dst;
	key.id = p->id;
	key.proto = p->flow.proto;
	ref = bpf_map_lookup_elem(&fragments4, &key);
	if (!ref)
		return EXIT_PASS_FRAGMENT;
	p->ref = *ref;
	index = p->ref.index;
	c = bpf_map_lookup_elem(&conns4, &index);
	if (!c || word_generation(READ_ONCE(c->head.word)) != (p->ref.generation & GENERATION_MASK))
		return EXIT_PASS_FRAGMENT;
	p->now = tick();
	return deliver(ctx, p, c);
}

static __always_inline enum exit found(ctx_t *ctx, struct packet *p, struct conn4 *c)
{
	__u32 word = READ_ONCE(c->head.word);

	if (unlikely(reuses_port(p, word_state(word)))) {
		if (!conn_end(c, word))
			return EXIT_DROP_CONN_BUSY;
		conn_release(c, p->ref.index);
		return miss(ctx, p);
	}
	p->now = tick();
	if (unlikely(!conn_step(c, p)))
		return EXIT_DROP_CONN_BUSY;
	if (unlikely(p->fragment == FRAGMENT_FIRST))
		remember_fragment(p);
	return deliver(ctx, p, c);
}

static __always_inline enum exit way(ctx_t *ctx, struct packet *p)
{
	struct conn4 *c;
	enum exit e;

	p->verdict = 0;
	e = parse(ctx, p);
	if (unlikely(e == EXIT_PASS_MALFORMED)) {
		/* Its head may only lie outside the linear part. */
		if (!hook_pull(ctx, hook_len(ctx) < LONGEST_HEAD ? hook_len(ctx) : LONGEST_HEAD))
			return e;
		e = parse(ctx, p);
	}
	if (e != GO_ON)
		return e;
	if (unlikely(p->flow.proto == IPPROTO_ICMP))
		return related(ctx, p);
	if (unlikely(p->fragment == FRAGMENT_LATER))
		return later_fragment(ctx, p);
	c = conn_find(p);
	if (likely(c))
		return found(ctx, p, c);
	e = miss(ctx, p);
	if (unlikely(p->fragment == FRAGMENT_FIRST) && e >= EXIT_LOCAL && e <= EXIT_TUN)
		remember_fragment(p);
	return e;
}

/* A frame's way through naru, to what the hook is to return. back: see hook_send. */
static __always_inline int lb(ctx_t *ctx, bool back)
{
	struct packet p;
	enum exit exit;

	p.back = back;
	exit = way(ctx, &p);
	count_exit(exit);
	if (exit <= EXIT_LOCAL)
		return hook_pass(ctx);
	return exit >= EXIT_DROP_NO_CONN ? hook_drop(ctx) : p.verdict;
}

#endif
