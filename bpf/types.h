/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The records that the packet path and its loader share. Go gets them by bpf2go
 * from these definitions; nobody mirrors them by hand. Addresses are bytes in
 * network order, IPv4 in its IPv6 form (::ffff:a.b.c.d); ports are in network
 * order; everything else is in host order. Times are ticks of 2^20 ns (some
 * 1.05 ms) of CLOCK_MONOTONIC, compared modulo 2^32 (52 days; no timeout is
 * longer than 31).
 */
#ifndef NARU_TYPES_H
#define NARU_TYPES_H

#include "include/kernel.h"

#define TICK_SHIFT 20

struct address {
	__u8 b[16];
} __aligned(4);

struct address4 {
	__u8 b[4];
} __aligned(4);

/* Forwards, as model.Forward. */
enum forward { FORWARD_DR, FORWARD_NAT, FORWARD_TUN, FORWARD_LOCAL };

/* Schedulers, as model.Scheduler. */
enum scheduler {
	SCHEDULER_WLC,
	SCHEDULER_RR,
	SCHEDULER_WRR,
	SCHEDULER_LC,
	SCHEDULER_SH,
	SCHEDULER_MH,
};

/* Conn states, as model.State; those of TCP as in ip_vs (include/net/ip_vs.h). */
enum state {
	STATE_NONE, /* also that of a record never used: see state_holds */
	STATE_ESTABLISHED,
	STATE_SYN_SENT,
	STATE_SYN_RECV,
	STATE_FIN_WAIT,
	STATE_TIME_WAIT,
	STATE_CLOSE,
	STATE_CLOSE_WAIT,
	STATE_LAST_ACK,
	STATE_LISTEN,
	STATE_SYNACK,
	STATE_UDP,
	STATES,
	STATE_FREE = 0xfe, /* the record is nobody's */
	STATE_DEAD = 0xff, /* its conn has ended; whoever set this is taking it apart */
};

/* A flow as one direction's packets carry it: the key of the conn table. */
struct flow4 {
	struct address4 src, dst;
	__be16 sport, dport;
	__u8 proto;
	__u8 zero[3];
};
_Static_assert(sizeof(struct flow4) == 16, "memory per conn");

/* What a flow's key leads to. */
struct conn_ref {
	__u32 index;
	__u32 generation; /* CONN_REPLY | generation of the record */
};
#define CONN_REPLY (1U << 31) /* the flow is that of the real's replies (NAT) */
#define GENERATION_MASK 0xffffffU

/*
 * A conn, whatever its family. word is generation << 8 | state and changes only by
 * compare-and-exchange, so that each change has one author, who also adjusts the
 * real's counts. A record is reused with the next generation: a reference to the
 * old conn no longer fits.
 */
struct conn {
	__u32 word;
	__u32 real;
	__u32 service;
	__u32 seen;         /* tick of the last packet */
	__u64 bytes;        /* IP bytes, both ways */
	__u32 packets;      /* likewise */
	__u32 ifindex;      /* where the client's packets come in */
	__u8 director[6];   /* the MAC that the client's side sends to … */
	__u8 client[6];     /* … and its own: replies of NAT go back that way */
	__u8 forward;       /* enum forward, fixed at the conn's beginning */
	__u8 zero[3];
};
_Static_assert(sizeof(struct conn) == 48, "memory per conn");

struct conn4 {
	struct conn head;
	struct flow4 flow; /* from the client */
};
_Static_assert(sizeof(struct conn4) == 64, "one cache line");

enum entry_flags {
	ENTRY_USED = 1,
	ENTRY_RETIRED = 2, /* its owner removed it; conns still name it */
	ENTRY_HELD = 4,    /* service: the director holds the VIP */
};

/*
 * A real of one service. The first cache line is what forwarding reads and only the
 * loader writes; the second is what scheduling reads and conns change.
 */
struct real {
	struct address address;
	struct address source; /* the director's address towards it: outer source of tunnels */
	__be16 port;
	__u8 forward;
	__u8 flags;
	__u32 ifindex; /* 0: the way to it is not known */
	__u8 mac[6];   /* of the real or its gateway */
	__u8 smac[6];  /* of the interface */
	__u32 mtu;     /* of the way, bytes of IP packet */
	__u32 service;

	__u32 weight __aligned(64);
	__u32 ring_weight; /* kept for the loader: the last weight above 0 */
	__u32 active;
	__u32 inactive;
};
_Static_assert(sizeof(struct real) == 128, "two cache lines");

struct service_key {
	struct address vip;
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

/* Part of the slots array: offset << 32 | length; flips by one write. */
typedef __u64 slot_range;

struct service {
	struct service_key key;
	__u8 scheduler;
	__u8 flags;
	__u8 zero[2];
	slot_range list; /* ids of its reals, newest first */
	slot_range ring; /* sh, mh: bucket to real id, 0 for none */
	__u64 turn;      /* rr, wrr: cw << 32 | 1 + index of the last chosen in list */
	__u32 gcd;       /* wrr: of the weights above 0 */
	__u32 max_weight;
	__u64 nought; /* 0, but the verifier cannot know */
};
_Static_assert(sizeof(struct service) == 64, "one cache line");

/* A line of the slots array. The kernel rounds an array's values up to 8 bytes, so ids
 * one by one would take twice the room. */
#define SLOTS_PER_LINE 16
struct slot_line {
	__u32 id[SLOTS_PER_LINE];
};

struct counters {
	__u64 conns;
	__u64 in_packets;
	__u64 in_bytes;
	__u64 out_packets;
	__u64 out_bytes;
};

/* Changes with every change of a record's meaning that its size does not show: a
 * loader does not take over tables of another layout. */
enum layout { LAYOUT = 1 };

/* What the loader sets. */
struct settings {
	__u32 layout;      /* enum layout */
	__u32 timeouts[16]; /* ticks, by state; padded, so that a mask keeps inside */
	__u32 capacity;         /* of the conn table */
	__u32 drop_misses;      /* TCP without a conn and without SYN: drop, not RST */
};

/* What the packet path keeps about the conn table as a whole. */
struct table_state {
	__u32 used;     /* records that hold a conn */
	__u32 fresh;    /* records 0 to fresh-1 have been used at least once */
	__u32 overflow; /* tick | 1 of the last new flow forwarded without a record; 0: never */
	__u32 cursor;   /* next record to sweep */
};

struct sweeper {
	struct bpf_timer timer;
};

struct fragment_key {
	struct address4 src, dst;
	__be16 id;
	__u8 proto;
	__u8 zero;
};

/* In the metadata of a frame that XDP rewrote for an interface that takes no frames. */
struct relay {
	__u32 mark; /* RELAY_MARK: another program may have put metadata of its own */
	__u32 ifindex;
};
#define RELAY_MARK 0x6e617275U

/* Where packets leave the path. Each packet is counted under exactly one. */
enum exit {
	EXIT_PASS_OTHER,        /* not IPv4, not TCP, UDP or an ICMP error, tagged, or not to our MAC */
	EXIT_PASS_MALFORMED,    /* truncated or contradicting itself: the host's stack judges it */
	EXIT_PASS_NO_SERVICE,   /* no conn and no service: not ours */
	EXIT_PASS_VIP_NOT_HELD, /* a service, but another director holds the VIP */
	EXIT_PASS_FRAGMENT,     /* its first fragment left no trace: it came later, or is not ours */
	EXIT_LOCAL,             /* to this host as the real */
	EXIT_DR,
	EXIT_NAT,
	EXIT_NAT_REPLY,
	EXIT_TUN,
	EXIT_ICMP_RELATED,        /* an ICMP error about a conn, sent after it */
	EXIT_ANSWER_RESET,        /* TCP without conn and SYN: answered with RST */
	EXIT_ANSWER_UNREACHABLE,  /* no usable real: answered with port unreachable */
	EXIT_ANSWER_TOO_BIG,      /* answered with fragmentation needed */
	EXIT_ANSWER_TIME_EXCEEDED,
	EXIT_DROP_NO_CONN,        /* as ANSWER_RESET, but a RST, or the option says drop */
	EXIT_DROP_NO_NEIGHBOUR,   /* the way to the real, or its MAC, is not known */
	EXIT_DROP_REAL_GONE,      /* the conn's real was removed */
	EXIT_DROP_CONN_BUSY,      /* another CPU is just making the conn, or taking it apart */
	EXIT_DROP_TABLE_FULL,     /* no record, and NAT cannot do without */
	EXIT_DROP_NAT_COLLISION,  /* client and port are taken at this real by another service */
	EXIT_DROP_TOO_BIG,        /* and fragmenting is allowed, which naru leaves to others */
	EXIT_DROP_UNANSWERABLE,   /* an answer was due, but not to IP options, a real or an ICMP error */
	EXIT_DROP_ERROR,          /* the kernel refused an operation */
	EXITS,
};

/* What happened to the conn table. A packet may count under several or none. */
enum event {
	EVENT_CONN_NEW,
	EVENT_CONN_EXPIRED,
	EVENT_CONN_RECLAIMED, /* a half-open conn gave its record to a new one */
	EVENT_STATELESS,      /* forwarded by hash: the table is full */
	EVENT_PROMOTED,       /* a stateless flow got its record at its first ACK */
	EVENTS,
};

#endif
