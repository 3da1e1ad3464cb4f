/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The XDP hook: what the core asks of a hook, done on a frame that a driver has just
 * received. Checksums are complete and a frame is one segment, so nothing needs a
 * helper that knows better; a long frame may lie in several buffers (xdp.frags), of
 * which the first holds the headers.
 *
 * Every function that returns bool returns false when the kernel refused. Those
 * marked "moves" invalidate all pointers into the packet.
 */
#ifndef NARU_HOOK_XDP_H
#define NARU_HOOK_XDP_H

#include "../lib/csum.h"
#include "../maps.h"

typedef struct xdp_md ctx_t;

static __always_inline void *hook_data(ctx_t *ctx) { return (void *)(long)ctx->data; }
static __always_inline void *hook_end(ctx_t *ctx) { return (void *)(long)ctx->data_end; }

/* Is this an untagged IPv4 frame? That it is to our MAC, the stub has seen (naru_xdp).
 * A tagged one belongs to its VLAN's own interface. */
static __always_inline bool hook_ours(ctx_t *ctx)
{
	struct ethhdr *eth = hook_data(ctx);

	return (void *)(eth + 1) <= hook_end(ctx) && eth->proto == htons(ETH_P_IP);
}

static __always_inline __u32 hook_len(ctx_t *ctx) { return bpf_xdp_get_buff_len(ctx); }

/* Whether the frame has n bytes. Only one in several buffers needs the helper. */
static __always_inline bool hook_holds(ctx_t *ctx, __u32 n)
{
	return likely(n <= ctx->data_end - ctx->data) || n <= hook_len(ctx);
}

static __always_inline __u32 hook_ifindex(ctx_t *ctx) { return ctx->ingress_ifindex; }
static __always_inline __u32 hook_segments(ctx_t *ctx) { return 0; }
static __always_inline __u32 hook_segment_size(ctx_t *ctx) { return 0; }

/* What lies outside the first buffer cannot be brought in. */
static __always_inline bool hook_pull(ctx_t *ctx, __u32 len) { return false; }

/* A 16-bit field of the frame, or NULL. No layer-4 checksum lies behind byte 127. */
static __always_inline __u16 *hook_check(ctx_t *ctx, __u32 offset)
{
	__u16 *check = hook_data(ctx) + (offset & 127);

	return (void *)(check + 1) > hook_end(ctx) ? NULL : check;
}

/* Adjusts the layer-4 checksum at offset for an address and a port that are about to
 * change. optional: a checksum of 0 means none (UDP, RFC 768). */
static __always_inline bool hook_l4_replace(ctx_t *ctx, __u32 offset, bool optional, __be32 from, __be32 to,
					    __be16 from_port, __be16 to_port)
{
	__u16 *check = hook_check(ctx, offset), sum;

	if (!check)
		return false;
	if (optional && !*check)
		return true;
	sum = csum_replace4(csum_replace4(*check, from, to), from_port, to_port);
	*check = optional && !sum ? 0xffff : sum;
	return true;
}

/* Sets a layer-4 checksum for contents that were rewritten. */
static __always_inline bool hook_l4_set(ctx_t *ctx, __u32 offset, __u16 have, __u16 want)
{
	__u16 *check = hook_check(ctx, offset);

	if (check)
		*check = want;
	return check;
}

/* A complete checksum is set as a whole, by hook_l4_set. */
static __always_inline bool hook_l4_length(ctx_t *ctx, __u32 offset, __be16 from, __be16 to) { return true; }

/* Makes room for an outer IPv4 header of 20 bytes in front of the packet; the caller
 * writes the Ethernet header anew. Moves. */
static __always_inline bool hook_encap4(ctx_t *ctx, __u8 proto)
{
	return !bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr));
}

/* Makes room bytes behind the Ethernet header. Moves. */
static __always_inline bool hook_widen(ctx_t *ctx, __u32 room)
{
	struct ethhdr *eth = hook_data(ctx), copy;

	if ((void *)(eth + 1) > hook_end(ctx))
		return false;
	copy = *eth;
	if (bpf_xdp_adjust_head(ctx, -(int)room))
		return false;
	eth = hook_data(ctx);
	if ((void *)(eth + 1) > hook_end(ctx))
		return false;
	*eth = copy;
	return true;
}

/* Cuts the frame to len bytes, then makes room bytes behind the Ethernet header. Moves. */
static __always_inline bool hook_resize(ctx_t *ctx, __u32 len, __u32 room)
{
	__u32 have = hook_len(ctx);

	if (have > len && bpf_xdp_adjust_tail(ctx, (int)len - (int)have))
		return false;
	return !room || hook_widen(ctx, room);
}

static __always_inline int hook_pass(ctx_t *ctx) { return XDP_PASS; }
static __always_inline int hook_drop(ctx_t *ctx) { return XDP_DROP; }

/*
 * Out of an interface. back: a frame may go straight back out of the interface that it
 * came in by. An interface that takes frames is in the map ports; to any other the
 * frame goes on as an sk_buff, which naru_relay sends at the TC hook, and only sends.
 */
static __always_inline bool hook_send(ctx_t *ctx, __u32 ifindex, bool back, int *verdict)
{
	struct relay *relay;

	*verdict = XDP_TX;
	if (back && ifindex == ctx->ingress_ifindex)
		return true;
	*verdict = bpf_redirect_map(&ports, ifindex, XDP_PASS);
	if (likely(*verdict != XDP_PASS))
		return true;
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*relay)))
		return false;
	relay = (void *)(long)ctx->data_meta;
	if ((void *)(relay + 1) > hook_data(ctx))
		return false;
	relay->mark = RELAY_MARK;
	relay->ifindex = ifindex;
	return true;
}

#endif
