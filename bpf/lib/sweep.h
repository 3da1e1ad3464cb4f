/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Expiry. A timer in a pinned map looks through all records once a second, in slices
 * short enough not to delay packets (some 45 us: BenchmarkSweep), whether the daemon lives or not. A
 * slice is cut short by the conns that it ends, which cost more than those that stay.
 */
#ifndef NARU_SWEEP_H
#define NARU_SWEEP_H

#include "conn.h"

#define SWEEP_SLICE 4096U
#define SWEEP_ENDS 128U /* conns that a slice may end */
#define SWEEP_AGAIN_NS 500000ULL
#define SWEEP_PERIOD_NS 1000000000ULL

/* Ticks since seen. A packet that came after now was read is not 52 days old: no
 * timeout is longer than 31. */
static __always_inline __u32 idle_ticks(__u32 now, __u32 seen)
{
	__u32 idle = now - seen;

	return idle >= 0xf0000000 ? 0 : idle;
}

struct sweep {
	const struct settings *settings;
	__u32 base;
	__u32 now;
	__u32 looked; /* at so many records */
	__u32 ends;   /* conns that may still be ended */
};

static long sweep_one(__u32 i, struct sweep *s)
{
	__u32 index = s->base + i, word, timeout;
	struct conn4 *c = bpf_map_lookup_elem(&conns4, &index);
	__u32 state;

	if (!c || !s->ends)
		return 1;
	s->looked = i + 1;
	word = READ_ONCE(c->head.word);
	state = word_state(word);
	if (!state_holds(state))
		return 0;
	opaque(state);
	timeout = s->settings->timeouts[state & 15];
	if (idle_ticks(s->now, READ_ONCE(c->head.seen)) < timeout || !conn_end(c, word))
		return 0;
	s->ends--;
	conn_release(c, index);
	count_event(EVENT_CONN_EXPIRED);
	return 0;
}

static int sweep_slice(void *map, __u32 *key, struct sweeper *v)
{
	struct table_state *t = bpf_map_lookup_elem(&table_state, ZERO_KEY);
	struct sweep s = { .settings = bpf_map_lookup_elem(&settings, ZERO_KEY), .now = tick() };
	__u32 slices, used, length;

	if (!t || !s.settings)
		return 0;
	used = t->fresh < s.settings->capacity ? t->fresh : s.settings->capacity;
	s.base = t->cursor < used ? t->cursor : 0;
	s.ends = t->used < SWEEP_ENDS ? t->used + 1 : SWEEP_ENDS; /* not a constant: see sched.h */
	length = used - s.base < SWEEP_SLICE ? used - s.base : SWEEP_SLICE;
	bpf_loop(length, sweep_one, &s, 0);
	t->cursor = s.base + s.looked;
	slices = used / SWEEP_SLICE + 1;
	bpf_timer_start(&v->timer, s.looked < length ? SWEEP_AGAIN_NS : SWEEP_PERIOD_NS / slices, 0);
	return 0;
}

#endif
