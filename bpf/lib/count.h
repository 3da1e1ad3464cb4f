/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Counters. All are per CPU and need no atomics: the programs do not interrupt each
 * other on a CPU. */
#ifndef NARU_COUNT_H
#define NARU_COUNT_H

#include "../maps.h"
#include "parse.h"

static __always_inline void count_exit(enum exit exit)
{
	__u64 *n = bpf_map_lookup_elem(&exits, &exit);

	if (n)
		(*n)++;
}

static __always_inline void count_event(enum event event)
{
	__u64 *n = bpf_map_lookup_elem(&events, &event);

	if (n)
		(*n)++;
}

static __always_inline void count_in(struct counters *c, const struct packet *p)
{
	if (!c)
		return;
	c->in_packets += p->count;
	c->in_bytes += p->bytes;
}

static __always_inline void count_out(struct counters *c, const struct packet *p)
{
	if (!c)
		return;
	c->out_packets += p->count;
	c->out_bytes += p->bytes;
}

/* A packet of a conn, for its service and its real. */
static __always_inline void count_packet(const struct packet *p, __u32 service, __u32 real)
{
	if (p->ref.generation & CONN_REPLY) {
		count_out(bpf_map_lookup_elem(&service_counters, &service), p);
		count_out(bpf_map_lookup_elem(&real_counters, &real), p);
	} else {
		count_in(bpf_map_lookup_elem(&service_counters, &service), p);
		count_in(bpf_map_lookup_elem(&real_counters, &real), p);
	}
}

static __always_inline void count_conn(__u32 service, __u32 real)
{
	struct counters *c = bpf_map_lookup_elem(&service_counters, &service);

	if (c)
		c->conns++;
	c = bpf_map_lookup_elem(&real_counters, &real);
	if (c)
		c->conns++;
	count_event(EVENT_CONN_NEW);
}

#endif
