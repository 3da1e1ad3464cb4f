/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * From a frame to a flow. Everything that is read is inside the packet, and the
 * packet's own lengths agree with each other and with the frame's; what does not is
 * EXIT_PASS_MALFORMED. GO_ON means: parsed, nothing decided yet.
 */
#ifndef NARU_PARSE_H
#define NARU_PARSE_H

#include "../types.h"

#define GO_ON EXITS

/* Which of a TCP packet's flags decides, by ip_vs's precedence (ip_vs_proto_tcp.c). */
enum tcp_event { TCP_EVENT_RST, TCP_EVENT_SYN, TCP_EVENT_FIN, TCP_EVENT_ACK, TCP_EVENT_NONE, TCP_EVENTS };

enum fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

struct packet {
	struct flow4 flow;
	struct conn_ref ref; /* set by conn_find */
	__u32 l4;      /* offset of the layer-4 header in the frame */
	__u32 bytes;   /* IP bytes of all segments */
	__u32 count;   /* segments */
	__u32 longest; /* IP bytes of the longest segment */
	__u32 now;     /* tick */
	__be16 id;
	__u8 event;
	__u8 tcp_flags;
	__u8 fragment;
	__u8 header;  /* bytes of the TCP or UDP header */
	__u8 options; /* has IP options */
	__u8 df;      /* must not be fragmented */
	__u8 ttl;
	__u8 back;   /* see hook_send */
	int verdict; /* what the hook returns for an exit that sends */
};

static __always_inline __u8 tcp_event(__u8 flags)
{
	if (flags & TCP_RST)
		return TCP_EVENT_RST;
	if (flags & TCP_SYN)
		return TCP_EVENT_SYN;
	if (flags & TCP_FIN)
		return TCP_EVENT_FIN;
	return flags & TCP_ACK ? TCP_EVENT_ACK : TCP_EVENT_NONE;
}

/* The IPv4 header of a frame, or NULL if the frame is shorter. */
static __always_inline struct iphdr *ip_header(ctx_t *ctx)
{
	struct iphdr *ip = hook_data(ctx) + sizeof(struct ethhdr);

	return (void *)(ip + 1) > hook_end(ctx) ? NULL : ip;
}

/* The Ethernet header before an IPv4 header that ip_header returned. */
static __always_inline struct ethhdr *eth_of(struct iphdr *ip) { return (struct ethhdr *)ip - 1; }

/* The layer-4 header, if size bytes of it are there. No IPv4 header is longer than 60
 * bytes; the mask says so to the verifier. */
static __always_inline void *l4_header(ctx_t *ctx, const struct packet *p, __u32 size)
{
	void *l4 = hook_data(ctx) + (p->l4 & 127);

	return l4 + size > hook_end(ctx) ? NULL : l4;
}

/* Ports, and TCP's flags, into p. */
static __always_inline enum exit parse_l4(ctx_t *ctx, struct packet *p, __u32 room)
{
	if (p->flow.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = l4_header(ctx, p, sizeof(*tcp));
		__u32 header;

		if (room < sizeof(*tcp) || !tcp)
			return EXIT_PASS_MALFORMED;
		header = (tcp->offset >> 4) * 4;
		if (header < sizeof(*tcp) || header > room)
			return EXIT_PASS_MALFORMED;
		p->flow.sport = tcp->source;
		p->flow.dport = tcp->dest;
		p->header = header;
		p->tcp_flags = tcp->flags;
		p->event = tcp_event(tcp->flags);
		return GO_ON;
	}
	struct udphdr *udp = l4_header(ctx, p, sizeof(*udp));

	if (room < sizeof(*udp) || !udp)
		return EXIT_PASS_MALFORMED;
	/* A GSO packet's length field may speak of one segment only. */
	if (p->fragment == FRAGMENT_NONE && (ntohs(udp->len) < sizeof(*udp) || ntohs(udp->len) > room))
		return EXIT_PASS_MALFORMED;
	p->header = sizeof(*udp);
	p->flow.sport = udp->source;
	p->flow.dport = udp->dest;
	return GO_ON;
}

/* What a packet counts for: a GSO packet as the segments that it will be. */
static __always_inline void measure(ctx_t *ctx, struct packet *p, __u32 length)
{
	__u32 segments = hook_segments(ctx);
	__u32 headers = p->l4 - sizeof(struct ethhdr) + p->header;

	p->bytes = p->longest = length;
	p->count = 1;
	if (unlikely(segments > 1)) {
		p->count = segments;
		p->bytes = length + (segments - 1) * headers;
		p->longest = hook_segment_size(ctx) + headers;
	}
}

static __always_inline enum exit parse(ctx_t *ctx, struct packet *p)
{
	struct iphdr *ip;
	__u32 ihl, length;
	enum exit e;

	if (!hook_ours(ctx))
		return EXIT_PASS_OTHER;
	ip = ip_header(ctx);
	if (unlikely(!ip))
		return EXIT_PASS_MALFORMED;
	p->flow.proto = ip->protocol;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_ICMP)
		return EXIT_PASS_OTHER;
	ihl = ip->ihl * 4;
	length = ntohs(ip->tot_len);
	if (unlikely(!length && hook_segment_size(ctx))) /* a GSO packet over 64 KB */
		length = hook_len(ctx) - sizeof(struct ethhdr);
	if (unlikely(ip->version != 4 || ihl < sizeof(*ip) || length < ihl ||
		     !hook_holds(ctx, sizeof(struct ethhdr) + length)))
		return EXIT_PASS_MALFORMED;
	*(__be32 *)&p->flow.src = ip->saddr;
	*(__be32 *)&p->flow.dst = ip->daddr;
	__builtin_memset(p->flow.zero, 0, sizeof(p->flow.zero));
	p->id = ip->id;
	p->ttl = ip->ttl;
	p->df = !!(ip->frag_off & IP_DF);
	p->options = ihl != sizeof(*ip);
	p->l4 = sizeof(struct ethhdr) + ihl;
	p->event = TCP_EVENT_NONE;
	p->tcp_flags = 0;
	p->header = 0;
	p->fragment = FRAGMENT_NONE;
	if (unlikely(ip->frag_off & (IP_MF | IP_OFFSET)))
		p->fragment = ip->frag_off & IP_OFFSET ? FRAGMENT_LATER : FRAGMENT_FIRST;
	p->flow.sport = p->flow.dport = 0;
	if (ip->protocol != IPPROTO_ICMP && p->fragment != FRAGMENT_LATER) {
		e = parse_l4(ctx, p, length - ihl);
		if (e != GO_ON)
			return e;
	}
	measure(ctx, p, length);
	return GO_ON;
}

#endif
