// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Source or destination of a request: segments with guard bytes around each
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "cct.h"

#define GUARD	0xa5
#define GAP	32

/**
 * cct_side_init() - memory for data
 * @side: to be set up
 * @len: for up to that many bytes
 * @max: in up to that many segments
 *
 * Return: 0 or -ENOMEM; cct_side_exit() is due in either case.
 */
int cct_side_init(struct cct_side *side, unsigned int len, unsigned int max)
{
	side->max = max;
	/* Each gap may grow by what aligns the segment behind it */
	side->size = PAGE_ALIGN(2 * GAP + 16 + len + max * (GAP + 16));
	side->mem = alloc_pages_exact(side->size, GFP_KERNEL);
	side->sg = kvmalloc_array(max, sizeof(*side->sg), GFP_KERNEL);
	return side->mem && side->sg ? 0 : -ENOMEM;
}

/** cct_side_exit() - the end of it */
void cct_side_exit(struct cct_side *side)
{
	if (side->mem)
		free_pages_exact(side->mem, side->size);
	kvfree(side->sg);
}

/** cct_side_place() - make the list for @l; -E2BIG: it is too large */
int cct_side_place(struct cct_side *side, const struct cct_layout *l)
{
	size_t pos = GAP + l->lead;
	unsigned int i;

	if (!l->n || l->n > side->max)
		return -E2BIG;
	sg_init_table(side->sg, l->n);
	for (i = 0; i < l->n; i++) {
		if (pos + l->len[i] + GAP > side->size)
			return -E2BIG;
		sg_set_buf(&side->sg[i], side->mem + pos, l->len[i]);
		pos += l->len[i];
		if (!l->touching)
			pos += GAP;
	}
	side->n = l->n;
	side->extent = min(side->size, pos + GAP);
	return 0;
}

/** cct_side_fill() - put in @len bytes of @data (NULL: none), and guards */
void cct_side_fill(struct cct_side *side, const u8 *data, unsigned int len)
{
	unsigned int i, here;

	memset(side->mem, GUARD, side->extent);
	for (i = 0; data && len; i++) {
		here = min(len, side->sg[i].length);
		memcpy(sg_virt(&side->sg[i]), data, here);
		data += here;
		len -= here;
	}
}

/** cct_side_compare() - where is it not @data? @len: nowhere */
unsigned int cct_side_compare(const struct cct_side *side, const u8 *data,
			      unsigned int len)
{
	unsigned int i, here, done = 0;
	const u8 *p;

	for (i = 0; done < len; i++) {
		here = min(len - done, side->sg[i].length);
		p = sg_virt(&side->sg[i]);
		if (memcmp(p, data + done, here)) {
			while (*p == data[done]) {
				p++;
				done++;
			}
			return done;
		}
		done += here;
	}
	return len;
}

/** cct_side_guarded() - is all but the first @len bytes untouched? */
bool cct_side_guarded(const struct cct_side *side, unsigned int len)
{
	const u8 *from = side->mem, *p;
	unsigned int i, here;

	for (i = 0; i < side->n && len; i++) {
		here = min(len, side->sg[i].length);
		p = sg_virt(&side->sg[i]);
		if (p > from && memchr_inv(from, GUARD, p - from))
			return false;
		from = p + here;
		len -= here;
	}
	return !memchr_inv(from, GUARD, side->mem + side->extent - from);
}

/** cct_side_byte() - the byte at this position of the list */
u8 *cct_side_byte(const struct cct_side *side, unsigned int at)
{
	unsigned int i = 0;

	while (at >= side->sg[i].length)
		at -= side->sg[i++].length;
	return (u8 *)sg_virt(&side->sg[i]) + at;
}
