/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * ICMP errors about a conn's packets go where those packets came from: a router's
 * error about what a real sent goes to that real, and by NAT a real's error about
 * what it was sent goes to the client, both with addresses as the receiver knows them
 * (RFC 5508, section 4). All other ICMP is the host's: a ping of the VIP is answered
 * by the director.
 */
#ifndef NARU_RELATED_H
#define NARU_RELATED_H

#include "forward.h"

struct icmp_error {
	struct icmphdr icmp;
	struct iphdr ip;   /* of the packet that it is about */
	__be16 ports[2];
} __packed __aligned(2);

/* The error behind the outer header, if it is one, whole, and about an unfragmented
 * or first packet without options. */
static __always_inline struct icmp_error *error_of(ctx_t *ctx, const struct packet *p)
{
	struct icmp_error *e = l4_header(ctx, p, sizeof(*e));

	if (p->fragment != FRAGMENT_NONE || !e)
		return NULL;
	if (e->icmp.type != ICMP_DEST_UNREACH && e->icmp.type != ICMP_TIME_EXCEEDED && e->icmp.type != ICMP_PARAMETER &&
	    e->icmp.type != ICMP_SOURCE_QUENCH)
		return NULL;
	if (e->ip.version != 4 || e->ip.ihl != 5 || e->ip.frag_off & IP_OFFSET)
		return NULL;
	return e->ip.protocol == IPPROTO_TCP || e->ip.protocol == IPPROTO_UDP ? e : NULL;
}

/* Rewrites the port in the embedded header, and ICMP's checksum with it. (An address
 * needs no such care: its change and that of the embedded header's checksum cancel.) */
static __always_inline void rewrite_port(struct icmp_error *e, int which, __be16 to)
{
	e->icmp.check = csum_replace4(e->icmp.check, e->ports[which], to);
	e->ports[which] = to;
}

static __always_inline enum exit related(ctx_t *ctx, struct packet *p)
{
	struct icmp_error *e = error_of(ctx, p);
	struct conn4 *c;
	struct real *r;
	struct iphdr *ip;
	enum exit exit;
	__be32 to;

	if (!e)
		return EXIT_PASS_OTHER;
	/* The flow that the embedded packet answers. */
	*(__be32 *)&p->flow.src = e->ip.daddr;
	*(__be32 *)&p->flow.dst = e->ip.saddr;
	p->flow.sport = e->ports[1];
	p->flow.dport = e->ports[0];
	p->flow.proto = e->ip.protocol;
	c = conn_find(p);
	if (!c)
		return EXIT_PASS_OTHER;
	r = bpf_map_lookup_elem(&reals, &c->head.real);
	ip = ip_header(ctx);
	e = error_of(ctx, p);
	if (!r || !ip || !e)
		return EXIT_DROP_ERROR;
	if (c->head.forward == FORWARD_LOCAL)
		return EXIT_LOCAL;
	if (p->ttl <= 1) /* no error about an error: RFC 1812, 4.3.2.7 */
		return EXIT_DROP_UNANSWERABLE;
	if (!r->ifindex && !(p->ref.generation & CONN_REPLY))
		return EXIT_DROP_NO_NEIGHBOUR;
	if (p->ref.generation & CONN_REPLY) {
		to = *(__be32 *)&c->flow.dst;
		e->ip.check = csum_replace4(e->ip.check, e->ip.daddr, to);
		e->ip.daddr = to;
		rewrite_port(e, 1, c->flow.dport);
		ip->check = csum_replace4(ip->check, ip->saddr, to);
		ip->saddr = to;
		age(ip);
		set_macs(eth_of(ip), c->head.client, c->head.director);
		return send(ctx, p, c->head.ifindex, EXIT_ICMP_RELATED);
	}
	if (c->head.forward == FORWARD_NAT) {
		to = *(__be32 *)&r->address.b[12];
		e->ip.check = csum_replace4(e->ip.check, e->ip.saddr, to);
		e->ip.saddr = to;
		rewrite_port(e, 0, r->port);
		ip->check = csum_replace4(ip->check, ip->daddr, to);
		ip->daddr = to;
	}
	if (c->head.forward == FORWARD_TUN)
		exit = forward_tun(ctx, p, r);
	else
		exit = forward_dr(ctx, p, r);
	return exit == EXIT_DROP_ERROR ? exit : EXIT_ICMP_RELATED;
}

#endif
