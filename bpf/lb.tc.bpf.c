/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The packet path at the TC ingress hook. */
#include "hook/tc.h"

#include "lb.h"
#include "lib/sweep.h"

char _license[] SEC("license") = "GPL";

/* Named here so that they reach Go, as no map holds them. */
const enum exit *exit_type __attribute__((unused));
const enum event *event_type __attribute__((unused));
const enum layout *layout_type __attribute__((unused));
const enum forward *forward_type __attribute__((unused));
const enum scheduler *scheduler_type __attribute__((unused));
const enum state *state_type __attribute__((unused));
const enum entry_flags *entry_flags_type __attribute__((unused));
const enum slot_tc *slot_tc_type __attribute__((unused));
const enum slot_xdp *slot_xdp_type __attribute__((unused));

/* What interfaces hold: a jump to the path in force, so that an upgrade is one write. */
SEC("tc")
int naru_tc(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &path_tc, SLOT_TC);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int lb_tc(struct __sk_buff *skb)
{
	return lb(skb, false);
}

/* On interfaces whose packet path is at the XDP hook: sends what that could not, and
 * leaves the rest alone, which has been through the path already. */
SEC("tc")
int naru_relay(struct __sk_buff *skb)
{
	struct relay *relay = (void *)(long)skb->data_meta;

	if ((void *)(relay + 1) > hook_data(skb) || relay->mark != RELAY_MARK)
		return TC_ACT_UNSPEC;
	return bpf_redirect(relay->ifindex, 0);
}

/* Run once by the loader, and again by each later one: (re)starts the sweep. */
SEC("tc")
int start_sweep(struct __sk_buff *skb)
{
	struct sweeper *s = bpf_map_lookup_elem(&sweeper, ZERO_KEY);

	if (!s)
		return 1;
	bpf_timer_init(&s->timer, &sweeper, CLOCK_MONOTONIC); /* EBUSY: it exists */
	if (bpf_timer_set_callback(&s->timer, sweep_slice))
		return 2;
	return bpf_timer_start(&s->timer, 0, 0) ? 3 : 0;
}
