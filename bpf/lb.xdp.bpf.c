/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The packet path at the XDP hook, native: on the tables of lb.tc.bpf.c. */
#include "hook/xdp.h"

#include "lb.h"

char _license[] SEC("license") = "GPL";

/* Of the interface whose stub this is; the loader sets them. */
const volatile __be16 own_mac[3];
const volatile __u32 own_slot; /* enum slot_xdp */

/* What interfaces hold, each its own: a jump to the path in force. A driver hands on
 * whatever arrived; frames to another machine's MAC are none of ours. */
SEC("xdp.frags")
int naru_xdp(struct xdp_md *ctx)
{
	struct ethhdr *eth = hook_data(ctx);
	__be16 *dst = (__be16 *)eth->dst;

	if ((void *)(eth + 1) > hook_end(ctx) || dst[0] != own_mac[0] || dst[1] != own_mac[1] || dst[2] != own_mac[2]) {
		count_exit(EXIT_PASS_OTHER);
		return XDP_PASS;
	}
	bpf_tail_call(ctx, &path_xdp, own_slot);
	return XDP_PASS;
}

SEC("xdp.frags")
int lb_xdp(struct xdp_md *ctx)
{
	return lb(ctx, false);
}

/* For interfaces that send frames straight back. */
SEC("xdp.frags")
int lb_xdp_back(struct xdp_md *ctx)
{
	return lb(ctx, true);
}
