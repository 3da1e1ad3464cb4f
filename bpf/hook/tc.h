/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The TC hook: what the core asks of a hook, done on an sk_buff. At TC a packet may
 * be a GSO packet of up to 64 KB whose checksum is only prepared
 * (CHECKSUM_PARTIAL), so checksums change through helpers that know, and a packet
 * counts as its segments.
 *
 * Every function that returns bool returns false when the kernel refused. Those
 * marked "moves" invalidate all pointers into the packet.
 */
#ifndef NARU_HOOK_TC_H
#define NARU_HOOK_TC_H

#include "../types.h"

typedef struct __sk_buff ctx_t;

static __always_inline void *hook_data(ctx_t *ctx) { return (void *)(long)ctx->data; }
static __always_inline void *hook_end(ctx_t *ctx) { return (void *)(long)ctx->data_end; }

/* Is this an untagged IPv4 frame for our MAC? A tagged one belongs to its VLAN's own
 * interface, where the hook sees it again without the tag. */
static __always_inline bool hook_ours(ctx_t *ctx)
{
	return ctx->protocol == htons(ETH_P_IP) && !ctx->vlan_present && ctx->pkt_type == PACKET_HOST;
}

static __always_inline __u32 hook_len(ctx_t *ctx) { return ctx->len; }
static __always_inline bool hook_holds(ctx_t *ctx, __u32 n) { return n <= ctx->len; }
static __always_inline __u32 hook_ifindex(ctx_t *ctx) { return ctx->ifindex; }

/* Segments that the packet will be on the wire, and the payload of each (0: one). */
static __always_inline __u32 hook_segments(ctx_t *ctx) { return ctx->gso_segs; }
static __always_inline __u32 hook_segment_size(ctx_t *ctx) { return ctx->gso_size; }

/* Makes the first len bytes directly accessible. Moves. */
static __always_inline bool hook_pull(ctx_t *ctx, __u32 len)
{
	return !bpf_skb_pull_data(ctx, len);
}

/*
 * Adjusts the layer-4 checksum at offset for an address and a port that are about to
 * change. With CHECKSUM_PARTIAL only the pseudo-header's share is in the packet, so
 * the port may not be folded in there: two calls. optional: a checksum of 0 means
 * none (UDP, RFC 768). Moves.
 */
static __always_inline bool hook_l4_replace(ctx_t *ctx, __u32 offset, bool optional, __be32 from, __be32 to,
					    __be16 from_port, __be16 to_port)
{
	__u64 mangled = optional ? BPF_F_MARK_MANGLED_0 : 0;

	if (bpf_l4_csum_replace(ctx, offset, from, to, BPF_F_PSEUDO_HDR | mangled | sizeof(to)))
		return false;
	return from_port == to_port || !bpf_l4_csum_replace(ctx, offset, from_port, to_port, mangled | sizeof(to_port));
}

/*
 * Sets a layer-4 checksum for contents that were rewritten. have is what stands
 * there, want what a complete checksum would be: without the pseudo-header flag the
 * helper acts only on complete checksums and leaves a prepared one alone. Moves.
 */
static __always_inline bool hook_l4_set(ctx_t *ctx, __u32 offset, __u16 have, __u16 want)
{
	return !bpf_l4_csum_replace(ctx, offset, 0, (__u64)(__u16)~want + have, 0);
}

/* Adjusts the pseudo-header's share of a checksum for a new length. Moves. */
static __always_inline bool hook_l4_length(ctx_t *ctx, __u32 offset, __be16 from, __be16 to)
{
	return !bpf_l4_csum_replace(ctx, offset, from, to, BPF_F_PSEUDO_HDR | sizeof(to));
}

/*
 * Makes room for an outer IPv4 header of 20 bytes behind the Ethernet header. The
 * kernel shortens TCP's segments so that they fit with it; a UDP GSO packet's
 * segments are datagrams and must keep their size. Moves.
 */
static __always_inline bool hook_encap4(ctx_t *ctx, __u8 proto)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;

	if (proto == IPPROTO_UDP)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	return !bpf_skb_adjust_room(ctx, sizeof(struct iphdr), BPF_ADJ_ROOM_MAC, flags);
}

/* Cuts the frame to len bytes, then makes room bytes behind the Ethernet header. Moves. */
static __always_inline bool hook_resize(ctx_t *ctx, __u32 len, __u32 room)
{
	if (ctx->len > len && bpf_skb_change_tail(ctx, len, 0))
		return false;
	if (room && bpf_skb_adjust_room(ctx, room, BPF_ADJ_ROOM_MAC, 0))
		return false;
	return !bpf_skb_pull_data(ctx, len + room);
}

/* The verdicts. PASS leaves the packet to whatever comes after us at this hook. */
static __always_inline int hook_pass(ctx_t *ctx) { return TC_ACT_UNSPEC; }
static __always_inline int hook_drop(ctx_t *ctx) { return TC_ACT_SHOT; }

/* Out of an interface. back has no meaning at this hook. */
static __always_inline bool hook_send(ctx_t *ctx, __u32 ifindex, bool back, int *verdict)
{
	*verdict = bpf_redirect(ifindex, 0);
	return true;
}

#endif
