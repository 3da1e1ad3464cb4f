/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The forwards: the last rewrite of a packet and its way out. Each takes a packet
 * whose conn and real are known and returns an exit; those that send set p->verdict.
 */
#ifndef NARU_FORWARD_H
#define NARU_FORWARD_H

#include "conn.h"
#include "csum.h"
#include "send.h"

static __always_inline void set_macs(struct ethhdr *eth, const __u8 *dst, const __u8 *src)
{
	__builtin_memcpy(eth->dst, dst, 6);
	__builtin_memcpy(eth->src, src, 6);
}

/* A router's share: one hop less to live (RFC 1812, 5.3.1). The caller has seen that
 * more than one is left. */
static __always_inline void age(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

static __always_inline enum exit forward_dr(ctx_t *ctx, struct packet *p, const struct real *r)
{
	struct iphdr *ip = ip_header(ctx);

	if (!ip)
		return EXIT_DROP_ERROR;
	age(ip);
	set_macs(eth_of(ip), r->mac, r->smac);
	return send(ctx, p, r->ifindex, EXIT_DR);
}

/* Offset of the layer-4 checksum in the frame. */
static __always_inline __u32 l4_check(const struct packet *p)
{
	return p->l4 + (p->flow.proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check));
}

static __always_inline enum exit forward_nat(ctx_t *ctx, struct packet *p, const struct real *r)
{
	__be32 from = *(__be32 *)&p->flow.dst, to = *(__be32 *)&r->address.b[12];
	struct iphdr *ip;
	__be16 *ports;

	if (p->fragment != FRAGMENT_LATER &&
	    !hook_l4_replace(ctx, l4_check(p), p->flow.proto == IPPROTO_UDP, from, to, p->flow.dport, r->port))
		return EXIT_DROP_ERROR;
	ip = ip_header(ctx);
	if (!ip)
		return EXIT_DROP_ERROR;
	ip->check = csum_replace4(ip->check, ip->daddr, to);
	ip->daddr = to;
	age(ip);
	set_macs(eth_of(ip), r->mac, r->smac);
	if (p->fragment != FRAGMENT_LATER) {
		ports = l4_header(ctx, p, 2 * sizeof(*ports));
		if (!ports)
			return EXIT_DROP_ERROR;
		ports[1] = r->port;
	}
	return send(ctx, p, r->ifindex, EXIT_NAT);
}

/* A reply from the real: from the VIP again, back to where the client's packets come
 * from. */
static __always_inline enum exit forward_reply(ctx_t *ctx, struct packet *p, const struct conn4 *c)
{
	__be32 from = *(__be32 *)&p->flow.src, to = *(__be32 *)&c->flow.dst;
	struct iphdr *ip;
	__be16 *ports;

	if (p->fragment != FRAGMENT_LATER &&
	    !hook_l4_replace(ctx, l4_check(p), p->flow.proto == IPPROTO_UDP, from, to, p->flow.sport, c->flow.dport))
		return EXIT_DROP_ERROR;
	ip = ip_header(ctx);
	if (!ip)
		return EXIT_DROP_ERROR;
	ip->check = csum_replace4(ip->check, ip->saddr, to);
	ip->saddr = to;
	age(ip);
	set_macs(eth_of(ip), c->head.client, c->head.director);
	if (p->fragment != FRAGMENT_LATER) {
		ports = l4_header(ctx, p, 2 * sizeof(*ports));
		if (!ports)
			return EXIT_DROP_ERROR;
		ports[0] = c->flow.dport;
	}
	return send(ctx, p, c->head.ifindex, EXIT_NAT_REPLY);
}

/* IP in IP (RFC 2003); TOS and DF go to the outer header, as ip_vs does. */
static __always_inline enum exit forward_tun(ctx_t *ctx, struct packet *p, const struct real *r)
{
	struct iphdr *ip = ip_header(ctx), outer = {};

	if (!ip)
		return EXIT_DROP_ERROR;
	age(ip);
	outer.version = 4;
	outer.ihl = 5;
	outer.tos = ip->tos;
	outer.tot_len = htons(ntohs(ip->tot_len) + sizeof(outer));
	outer.id = ip->id;
	outer.frag_off = ip->frag_off & IP_DF;
	outer.ttl = 64;
	outer.protocol = IPPROTO_IPIP;
	outer.saddr = *(__be32 *)&r->source.b[12];
	outer.daddr = *(__be32 *)&r->address.b[12];
	outer.check = csum_ip(&outer);
	if (!hook_encap4(ctx, p->flow.proto))
		return EXIT_DROP_ERROR;
	ip = ip_header(ctx);
	if (!ip)
		return EXIT_DROP_ERROR;
	__builtin_memcpy(ip, &outer, sizeof(outer));
	set_macs(eth_of(ip), r->mac, r->smac);
	eth_of(ip)->proto = htons(ETH_P_IP);
	return send(ctx, p, r->ifindex, EXIT_TUN);
}

#endif
