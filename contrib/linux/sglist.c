// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Scatterlists for a virtqueue, which takes each list to its end
 */

#include "ct1.h"

/**
 * ct1_sg_exact() - does a list hold exactly what is to be done?
 * @sg: the list
 * @len: bytes
 * @max: how many entries there may be
 *
 * Return: the number of entries; 0 if the list is longer than @len, in bytes,
 * or than @max, in entries, or has empty ones.
 */
int ct1_sg_exact(struct scatterlist *sg, unsigned int len, unsigned int max)
{
	unsigned int n = 0;

	for (; sg; sg = sg_next(sg)) {
		if (!sg->length || sg->length > len || ++n > max)
			return 0;
		len -= sg->length;
	}
	return len ? 0 : n;
}

/**
 * ct1_sg_take() - a list of a part of what another one holds
 * @to: the new list, of @room entries
 * @room: how many entries it may have
 * @from: the list taken from
 * @skip: bytes of @from ahead of the part
 * @len: bytes of the part
 *
 * Return: how many bytes it holds; less than @len if @room was too little.
 */
unsigned int ct1_sg_take(struct scatterlist *to, unsigned int room,
			 struct scatterlist *from, unsigned int skip,
			 unsigned int len)
{
	unsigned int n = 0, taken = 0;

	sg_init_table(to, room);
	for (; from && taken < len && n < room; from = sg_next(from)) {
		unsigned int size;

		if (skip >= from->length) {
			skip -= from->length;
			continue;
		}
		size = min(from->length - skip, len - taken);
		sg_set_page(&to[n++], sg_page(from), size, from->offset + skip);
		taken += size;
		skip = 0;
	}
	if (n)
		sg_mark_end(&to[n - 1]);
	return taken;
}
