// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Decapsulation on real servers: TC ingress, one program, top to bottom.
 *
 * A director with forward tun wraps a client's packet in a second IPv4 header
 * (RFC 2003) addressed to the real. This program takes that header off again, so
 * that the packet goes on to the host as if the client had sent it to the VIP.
 * It decides by four questions, in this order:
 *
 *   is it ipip, whole and addressed to this host?       no: pass, untouched
 *   is the inner packet for one of our VIPs?            no: pass, untouched
 *   may this outer source send to that VIP?             no: drop
 *   is the inner packet what its header claims?         no: drop
 *
 * Whatever is passed untouched may belong to a tunnel device of the host. Headers
 * are read with bpf_skb_load_bytes: on ingress they need not lie in the linear part.
 */
#include "include/kernel.h"

/* What only this program uses of the kernel's interface (include/uapi/linux/bpf.h). */
#define BPF_MAP_TYPE_LPM_TRIE 11
#define BPF_F_NO_PREALLOC (1U << 0)
#define BPF_F_ADJ_ROOM_NO_CSUM_RESET (1ULL << 5)
#define BPF_FIB_LKUP_RET_NOT_FWDED 4
#define BPF_FIB_LKUP_RET_FWD_DISABLED 5
#define AF_INET 2
#define ETH_HLEN 14

struct bpf_fib_lookup { /* for IPv4 */
	__u8 family;
	__u8 l4_protocol;
	__be16 sport;
	__be16 dport;
	__u16 tot_len;
	__u32 ifindex;
	__u8 tos; /* of a union with flowinfo */
	__u8 unused[3];
	__be32 ipv4_src;
	__u32 ipv6_src[3];
	__be32 ipv4_dst;
	__u32 ipv6_dst[3];
	__u16 vlan[2];
	__u8 smac[6];
	__u8 dmac[6];
};
_Static_assert(sizeof(struct bpf_fib_lookup) == 64, "as the kernel checks");

static long (*const bpf_skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags) = (void *)9;
static long (*const bpf_l3_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size) = (void *)10;
static long (*const bpf_skb_load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)26;
static long (*const bpf_fib_lookup)(void *ctx, struct bpf_fib_lookup *params, int len, __u32 flags) = (void *)69;

#define ECN_MASK 3	   /* RFC 3168 section 5: 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE */
#define ECN_NOT_ECT 0
#define ECN_ECT_1 1
#define ECN_ECT_0 2
#define ECN_CE 3

/* Why a packet left the program. Those from EXIT_FIRST_DROP on were dropped. */
enum decap_exit {
	EXIT_DECAPSULATED,    /* outer header taken off, handed on to the host */
	EXIT_NOT_TUNNEL,      /* not IPv4 with protocol ipip */
	EXIT_OTHER_HOST,      /* the frame is not for this host's MAC */
	EXIT_OUTER_BROKEN,    /* outer header cut short, lying or with a wrong checksum */
	EXIT_FRAGMENT,	      /* a fragment of a tunnel packet */
	EXIT_NOT_LOCAL,	      /* the host would forward the tunnel packet */
	EXIT_INNER_TRUNCATED, /* ends inside the inner header, or that is not IPv4 */
	EXIT_STRANGER,	      /* the inner destination is no VIP of ours */
	EXIT_FIRST_DROP,
	EXIT_REFUSED = EXIT_FIRST_DROP, /* the outer source may not send to this VIP */
	EXIT_INNER_BROKEN,		/* the inner header claims more than there is */
	EXIT_ECN,			/* congestion marked, but the client cannot be told */
	EXIT_NO_ROOM,			/* the kernel could not take the header off */
	EXIT_MAX,
};

/* An address: IPv6, or IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
struct decap_addr {
	__u8 b[16];
};

/* What holds for one VIP. */
struct decap_vip {
	__u32 restricted; /* only sources listed in decap_sources may send to it */
};

/* Longest-prefix key: all of the VIP, then a prefix of the outer source. */
struct decap_source {
	__u32 prefixlen; /* in bits: 128 for the VIP and those of the source */
	struct decap_addr vip;
	struct decap_addr source;
};
_Static_assert(sizeof(struct decap_source) == 4 + 16 + 16, "LPM key without padding");

/* The VIPs whose packets are decapsulated. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct decap_addr);
	__type(value, struct decap_vip);
} decap_vips SEC(".maps");

/* Who may send to a restricted VIP. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct decap_source);
	__type(value, __u8);
} decap_sources SEC(".maps");

/* Packets by the reason for which they left the program. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EXIT_MAX);
	__type(key, enum decap_exit);
	__type(value, __u64);
} decap_exits SEC(".maps");

/* leave counts the exit and turns it into the verdict. UNSPEC lets other programs
 * on the hook and then the host have the packet. */
static __always_inline int leave(enum decap_exit reason)
{
	__u64 *count = bpf_map_lookup_elem(&decap_exits, &reason);

	if (count)
		(*count)++;
	return reason >= EXIT_FIRST_DROP ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

static __always_inline void widen(struct decap_addr *to, __be32 addr)
{
	__builtin_memset(to->b, 0, 10);
	to->b[10] = to->b[11] = 0xff;
	__builtin_memcpy(to->b + 12, &addr, 4);
}

/* sound says whether the outer header is one that ip_rcv would take: version,
 * lengths and checksum. Taking it off is what hides it from ip_rcv. */
static __always_inline int sound(struct __sk_buff *skb, const struct iphdr *outer)
{
	__u32 len = outer->ihl * 4, total = ntohs(outer->tot_len);
	__be32 header[16] = {};

	if (outer->version != 4 || outer->ihl < 5 || total < len)
		return 0;
	if (total > skb->len - ETH_HLEN)
		return 0;
	asm volatile("" : "+r"(len)); /* the verifier must see the bounds that follow */
	if (bpf_skb_load_bytes(skb, ETH_HLEN, header, ((len - 1) & 0x3f) + 1))
		return 0;
	__s64 sum = bpf_csum_diff(NULL, 0, header, sizeof(header), 0);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* for_host says whether the host would receive the packet itself. With forwarding
 * off it does nothing else; otherwise the routes tell, of which only a unicast one
 * leads away (bpf_ipv4_fib_lookup, net/core/filter.c). */
static __always_inline int for_host(struct __sk_buff *skb, const struct iphdr *outer)
{
	struct bpf_fib_lookup fib = {
		.family = AF_INET,
		.l4_protocol = IPPROTO_IPIP,
		.tot_len = ntohs(outer->tot_len),
		.ifindex = skb->ifindex,
		.tos = outer->tos,
		.ipv4_src = outer->saddr,
		.ipv4_dst = outer->daddr,
	};
	long ret = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);

	return ret == BPF_FIB_LKUP_RET_FWD_DISABLED || ret == BPF_FIB_LKUP_RET_NOT_FWDED;
}

/* refused says whether the VIP is restricted and this source is not listed for it. */
static __always_inline int refused(const struct decap_vip *rule, const struct decap_addr *vip,
				   __be32 source)
{
	struct decap_source key = { .prefixlen = 256, .vip = *vip };

	if (!rule->restricted)
		return 0;
	widen(&key.source, source);
	return !bpf_map_lookup_elem(&decap_sources, &key);
}

/* ecn returns the inner DS field after decapsulation (RFC 6040 section 4.2), or -1
 * if the packet must be dropped: marked on the way, but its ends do not speak ECN. */
static __always_inline int ecn(__u8 outer, __u8 inner)
{
	__u8 mark = outer & ECN_MASK, own = inner & ECN_MASK;

	if (own == ECN_NOT_ECT)
		return mark == ECN_CE ? -1 : inner;
	if (mark == ECN_CE)
		return inner | ECN_CE;
	if (mark == ECN_ECT_1 && own == ECN_ECT_0)
		return (inner & ~ECN_MASK) | ECN_ECT_1;
	return inner;
}

/* unwrap takes the outer header off; segments keep their size, and what the NIC
 * said about the checksum of the transport header stays true (ip_tunnel_rcv). */
static __always_inline enum decap_exit unwrap(struct __sk_buff *skb, const struct iphdr *outer,
					      const struct iphdr *inner)
{
	const __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	int ds = ecn(outer->tos, inner->tos);

	if (ds < 0)
		return EXIT_ECN;
	if (bpf_skb_adjust_room(skb, -(__s32)(outer->ihl * 4), BPF_ADJ_ROOM_MAC, flags))
		return EXIT_NO_ROOM;
	if (ds == inner->tos)
		return EXIT_DECAPSULATED;

	__u8 tos = ds, first = *(const __u8 *)inner;
	__be16 from = htons(first << 8 | inner->tos), to = htons(first << 8 | tos);

	if (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), from, to, 2) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct iphdr, tos), &tos, 1, 0))
		return EXIT_NO_ROOM;
	return EXIT_DECAPSULATED;
}

SEC("tc")
int naru_decap(struct __sk_buff *skb)
{
	struct iphdr outer, inner;
	struct decap_addr vip;

	if (skb->protocol != htons(ETH_P_IP))
		return leave(EXIT_NOT_TUNNEL);
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &outer, sizeof(outer)))
		return leave(EXIT_OUTER_BROKEN);
	if (outer.protocol != IPPROTO_IPIP)
		return leave(EXIT_NOT_TUNNEL);
	if (skb->pkt_type != PACKET_HOST)
		return leave(EXIT_OTHER_HOST);
	if (!sound(skb, &outer))
		return leave(EXIT_OUTER_BROKEN);
	if (outer.frag_off & (IP_MF | IP_OFFSET))
		return leave(EXIT_FRAGMENT);
	if (!for_host(skb, &outer))
		return leave(EXIT_NOT_LOCAL);

	__u32 outer_len = outer.ihl * 4, room = ntohs(outer.tot_len) - outer_len;

	if (room < sizeof(inner) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + outer_len, &inner, sizeof(inner)) ||
	    inner.version != 4)
		return leave(EXIT_INNER_TRUNCATED);

	widen(&vip, inner.daddr);
	struct decap_vip *rule = bpf_map_lookup_elem(&decap_vips, &vip);

	if (!rule)
		return leave(EXIT_STRANGER);
	if (refused(rule, &vip, outer.saddr))
		return leave(EXIT_REFUSED);

	__u32 inner_len = ntohs(inner.tot_len);

	if (inner.ihl < 5 || inner_len < inner.ihl * 4 || inner_len > room)
		return leave(EXIT_INNER_BROKEN);
	return leave(unwrap(skb, &outer, &inner));
}

char _license[] SEC("license") = "GPL";
