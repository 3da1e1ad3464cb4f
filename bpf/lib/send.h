/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The last step of every way that ends in sending. */
#ifndef NARU_SEND_H
#define NARU_SEND_H

#include "parse.h"

/* Sends out of an interface; returns the exit that this is. */
static __always_inline enum exit send(ctx_t *ctx, struct packet *p, __u32 ifindex, enum exit exit)
{
	return likely(hook_send(ctx, ifindex, p->back, &p->verdict)) ? exit : EXIT_DROP_ERROR;
}

#endif
