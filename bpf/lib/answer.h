/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the director itself says to a client: a TCP reset, or an ICMP error that
 * carries the head of the offending packet. The answer is the packet itself, cut and
 * turned round, out of the interface it came in by; so it is never larger than what
 * caused it by more than 28 bytes, and needs neither route nor neighbour.
 *
 * Packets with IP options get none: EXIT_DROP_UNANSWERABLE.
 *
 * A checksum that is only prepared (CHECKSUM_PARTIAL: the sender is on this machine)
 * is completed by the device that sends the frame, or never where no wire follows.
 * A reset keeps that working. An ICMP error over such a packet would have to know what
 * the device will write into the embedded header; it is right wherever no device
 * completes the checksum, which are veth, tap and bridges.
 */
#ifndef NARU_ANSWER_H
#define NARU_ANSWER_H

#include "conn.h"
#include "csum.h"
#include "send.h"

static __always_inline void turn_macs(struct ethhdr *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->dst, 6);
	__builtin_memcpy(eth->dst, eth->src, 6);
	__builtin_memcpy(eth->src, mac, 6);
}

/* The header of an answer: no options, DF, nothing to reassemble. */
static __always_inline void answer_ip(struct iphdr *ip, __u16 length, __u8 proto, __be32 from, __be32 to)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = htons(length);
	ip->id = 0;
	ip->frag_off = IP_DF;
	ip->ttl = 64;
	ip->protocol = proto;
	ip->saddr = from;
	ip->daddr = to;
	ip->check = csum_ip(ip);
}

/* RFC 9293, 3.10.7.1: a segment to a closed port. A reset itself gets no answer. */
__noinline enum exit answer_reset(ctx_t *ctx, struct packet *p)
{
	const __u32 size = sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr);
	const __u32 check = size - sizeof(struct tcphdr) + offsetof(struct tcphdr, check);
	struct tcphdr answer = {}, *tcp;
	__be32 client, vip;
	__be16 old_length;
	__u16 have, want;
	struct iphdr *ip;
	__u32 payload;
	__u64 sum;

	if (!p || p->options)
		return EXIT_DROP_UNANSWERABLE;
	ip = ip_header(ctx);
	tcp = hook_data(ctx) + size - sizeof(*tcp);
	if (!ip || (void *)(tcp + 1) > hook_end(ctx))
		return EXIT_DROP_ERROR;
	payload = ntohs(ip->tot_len) - sizeof(*ip) - (tcp->offset >> 4) * 4;
	old_length = htons(ntohs(ip->tot_len) - sizeof(*ip));
	client = ip->saddr;
	vip = ip->daddr;
	answer.source = tcp->dest;
	answer.dest = tcp->source;
	answer.offset = sizeof(*tcp) / 4 << 4;
	if (tcp->flags & TCP_ACK) {
		answer.seq = tcp->ack_seq;
		answer.flags = TCP_RST;
	} else {
		answer.ack_seq = htonl(ntohl(tcp->seq) + payload + !!(tcp->flags & TCP_SYN) + !!(tcp->flags & TCP_FIN));
		answer.flags = TCP_RST | TCP_ACK;
	}
	if (!hook_resize(ctx, size, 0) || !hook_l4_length(ctx, check, old_length, htons(sizeof(*tcp))))
		return EXIT_DROP_ERROR;
	ip = ip_header(ctx);
	tcp = hook_data(ctx) + size - sizeof(*tcp);
	if (!ip || (void *)(tcp + 1) > hook_end(ctx))
		return EXIT_DROP_ERROR;
	have = tcp->check;
	answer_ip(ip, sizeof(*ip) + sizeof(*tcp), IPPROTO_TCP, vip, client);
	turn_macs(eth_of(ip));
	sum = (__u64)vip + client + htons(IPPROTO_TCP) + htons(sizeof(*tcp));
	sum = bpf_csum_diff(NULL, 0, &answer, sizeof(answer), csum_fold(sum));
	want = ~csum_fold(sum);
	answer.check = have;
	__builtin_memcpy(tcp, &answer, sizeof(answer));
	if (!hook_l4_set(ctx, check, have, want))
		return EXIT_DROP_ERROR;
	return send(ctx, p, hook_ifindex(ctx), EXIT_ANSWER_RESET);
}

/* Bytes of the packet that an ICMP error returns: its header and what of the next one
 * holds the ports and the checksum. */
#define EMBEDDED_TCP (sizeof(struct iphdr) + sizeof(struct tcphdr))
#define EMBEDDED_UDP (sizeof(struct iphdr) + sizeof(struct udphdr))

/* An ICMP error (RFC 792), told by the exit to take, from the address that the client
 * spoke to. mtu is for EXIT_ANSWER_TOO_BIG (RFC 1191), else 0. */
__noinline enum exit answer_icmp(ctx_t *ctx, struct packet *p, enum exit exit, __u16 mtu)
{
	const __u32 room = sizeof(struct iphdr) + sizeof(struct icmphdr);
	const __u32 start = sizeof(struct ethhdr) + room;
	struct icmphdr *icmp;
	__be32 client, vip;
	struct iphdr *ip;
	void *embedded;
	__u32 size;
	__u64 sum;

	if (!p || p->options || p->fragment == FRAGMENT_LATER)
		return EXIT_DROP_UNANSWERABLE;
	size = p->flow.proto == IPPROTO_TCP ? EMBEDDED_TCP : EMBEDDED_UDP;
	client = *(__be32 *)&p->flow.src;
	vip = *(__be32 *)&p->flow.dst;
	if (!hook_resize(ctx, sizeof(struct ethhdr) + size, room))
		return EXIT_DROP_ERROR;
	ip = ip_header(ctx);
	icmp = hook_data(ctx) + sizeof(struct ethhdr) + sizeof(*ip);
	embedded = hook_data(ctx) + start;
	if (!ip || embedded + EMBEDDED_UDP > hook_end(ctx))
		return EXIT_DROP_ERROR;
	answer_ip(ip, room + size, IPPROTO_ICMP, vip, client);
	turn_macs(eth_of(ip));
	eth_of(ip)->proto = htons(ETH_P_IP);
	icmp->type = exit == EXIT_ANSWER_TIME_EXCEEDED ? ICMP_TIME_EXCEEDED : ICMP_DEST_UNREACH;
	icmp->code = exit == EXIT_ANSWER_TIME_EXCEEDED ? 0 :
		     exit == EXIT_ANSWER_TOO_BIG       ? ICMP_FRAG_NEEDED :
							 ICMP_PORT_UNREACH;
	icmp->check = 0;
	icmp->unused = 0;
	icmp->mtu = htons(mtu);
	sum = bpf_csum_diff(NULL, 0, (void *)icmp, sizeof(*icmp), 0);
	if (size == EMBEDDED_TCP) {
		if (embedded + EMBEDDED_TCP > hook_end(ctx))
			return EXIT_DROP_ERROR;
		sum = bpf_csum_diff(NULL, 0, embedded, EMBEDDED_TCP, sum);
	} else {
		sum = bpf_csum_diff(NULL, 0, embedded, EMBEDDED_UDP, sum);
	}
	icmp->check = ~csum_fold(sum);
	return send(ctx, p, hook_ifindex(ctx), exit);
}

#endif
