// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ways to cut a buffer into segments
 */

#include <linux/minmax.h>
#include <linux/mm.h>

#include "cct.h"

/** cct_below() - a random number less than @limit */
unsigned int cct_below(struct rnd_state *rnd, unsigned int limit)
{
	return prandom_u32_state(rnd) % limit;
}

/** cct_layout_one() - one segment, @lead bytes behind an aligned address */
void cct_layout_one(struct cct_layout *l, unsigned int len, unsigned int lead)
{
	l->lead = lead;
	l->touching = false;
	l->n = 1;
	/* The API has no list without elements, nor elements without bytes */
	l->len[0] = max(len, 1U);
}

/** cct_layout_cut() - two segments, the first with @at bytes; 0: one */
void cct_layout_cut(struct cct_layout *l, unsigned int len, unsigned int at)
{
	cct_layout_one(l, len, 0);
	if (!at || at >= len)
		return;
	l->len[0] = at;
	l->len[1] = len - at;
	l->n = 2;
}

/** cct_layout_each() - segments of @step bytes, in the end what is left */
void cct_layout_each(struct cct_layout *l, unsigned int len, unsigned int step)
{
	cct_layout_one(l, len, 0);
	for (l->n = 0; len && l->n < CCT_SEGMENTS; l->n++) {
		l->len[l->n] = min(len, step);
		if (l->n == CCT_SEGMENTS - 1)
			l->len[l->n] = len;
		len -= l->len[l->n];
	}
}

/** cct_layout_extend() - @more bytes than the message, in a segment if it can */
void cct_layout_extend(struct cct_layout *l, unsigned int more)
{
	if (l->n < CCT_SEGMENTS)
		l->len[l->n++] = more;
	else
		l->len[l->n - 1] += more;
}

/** cct_layout_random() - up to @max segments of all sorts of lengths */
void cct_layout_random(struct cct_layout *l, struct rnd_state *rnd,
		       unsigned int len, unsigned int max)
{
	static const unsigned int limits[] = { 17, 100, 600, PAGE_SIZE + 50 };
	unsigned int step;

	cct_layout_one(l, len, cct_below(rnd, 16));
	l->touching = cct_below(rnd, 8) == 0;
	if (cct_below(rnd, 4) == 0 || !len)
		return;
	max = min(max, (unsigned int)CCT_SEGMENTS);
	for (l->n = 0; len; l->n++) {
		step = limits[cct_below(rnd, ARRAY_SIZE(limits))];
		step = min(len, 1 + cct_below(rnd, step));
		if (l->n == max - 1)
			step = len;
		l->len[l->n] = step;
		len -= step;
	}
}
