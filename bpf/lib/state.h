/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The state of a conn after a packet: ip_vs's rules (ip_vs_proto_tcp.c). Three
 * views: of the client's packets when the replies are seen too (NAT), of those
 * replies, and of the client's packets alone (DR, TUN, local). One difference: a TCP
 * packet without any flag leaves the state as it is, where ip_vs closes the conn, so
 * that one forged packet cannot end it.
 */
#ifndef NARU_STATE_H
#define NARU_STATE_H

#include "../types.h"
#include "parse.h"

enum view { VIEW_CLIENT, VIEW_REPLY, VIEW_ONE_SIDED, VIEWS };

#define NO STATE_NONE
#define ES STATE_ESTABLISHED
#define SS STATE_SYN_SENT
#define SR STATE_SYN_RECV
#define FW STATE_FIN_WAIT
#define TW STATE_TIME_WAIT
#define CL STATE_CLOSE
#define CW STATE_CLOSE_WAIT
#define LA STATE_LAST_ACK
#define LI STATE_LISTEN
#define SA STATE_SYNACK

/* Padded to 16 states, so that the index is a few shifts. */
static const __u8 next_states[VIEWS][4][16] = {
	[VIEW_CLIENT] = {
		/* from:             NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
		[TCP_EVENT_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR },
		[TCP_EVENT_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[TCP_EVENT_FIN] = { CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW },
		[TCP_EVENT_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
	},
	[VIEW_REPLY] = {
		[TCP_EVENT_RST] = { CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL },
		[TCP_EVENT_SYN] = { SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR },
		[TCP_EVENT_FIN] = { TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW },
		[TCP_EVENT_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES },
	},
	[VIEW_ONE_SIDED] = {
		[TCP_EVENT_RST] = { CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL },
		[TCP_EVENT_SYN] = { SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR },
		[TCP_EVENT_FIN] = { CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW },
		[TCP_EVENT_ACK] = { ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES },
	},
};

#undef NO
#undef ES
#undef SS
#undef SR
#undef FW
#undef TW
#undef CL
#undef CW
#undef LA
#undef LI
#undef SA

_Static_assert(STATE_UDP < 16, "next_states is padded to 16");

static __always_inline __u8 next_state(__u8 view, __u8 event, __u8 state)
{
	if (event >= TCP_EVENT_NONE || state >= STATE_UDP || view >= VIEWS)
		return state;
	return next_states[view][event & 3][state & 15];
}

/* Whether a conn in this state counts as active; all others count as inactive. */
static __always_inline bool state_active(__u8 state)
{
	const __u32 active = 1U << STATE_ESTABLISHED | 1U << STATE_SYN_SENT | 1U << STATE_SYN_RECV |
			     1U << STATE_SYNACK;

	return state < 32 && (active >> state & 1);
}

#endif
