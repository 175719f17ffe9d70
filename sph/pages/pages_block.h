/* SPDX-License-Identifier: MIT */
/* pages_block.h - what the files of pages.h share: blocks, and pages in them by number. */
#ifndef SPH_PAGES_BLOCK_H
#define SPH_PAGES_BLOCK_H

#include "pages.h"

_Static_assert(SPH_PAGE_HINTS == 1U << 13, "see sph_pages_hint_shift()");

#define SPH_PAGES_HEADER 4096U          /* bytes of the smallest header page */

static inline void *sph_pages_page(const SASBlockHeader *block, uint32_t i)
{
	const struct sph_m_pages *p = sph_pages(block);

	return (char *)(uintptr_t)block + p->first + (size_t)i * p->page_size;
}

/* Pages per bit of `hint`, as a shift. */
static inline unsigned sph_pages_hint_shift(const struct sph_m_pages *p)
{
	unsigned bits = 64U - (unsigned)__builtin_clzll((p->count - 1) | 1);

	return bits > 13 ? bits - 13 : 0;
}

/* Where the block begins that holds the address, if one of the object does: all lie at multiples of their size,
 * counted from the main one. */
static inline SASBlockHeader *sph_pages_around(const SASBlockHeader *main, const void *address)
{
	uintptr_t inside = ((uintptr_t)address - (uintptr_t)main) & (main->blockSize - 1);

	return (SASBlockHeader *)((uintptr_t)address - inside);
}

/* The page with its memory mapped; NULL and *error. */
static inline void *sph_pages_reach(struct sas_use *u, const SASBlockHeader *block, uint32_t i, int *error)
{
	void *page = sph_pages_page(block, i);

	*error = sas_use_reach(u, page);
	return *error ? NULL : page;
}

/* Formats a block of the object whose main block is `base`. */
int sph_pages_format_block(SASBlockHeader *block, SASBlockHeader *base, size_t size, size_t page_size, int expanding,
			   sas_type_t type, int clean);
/* The block of number n, its header mapped and looked at. NULL: *error is 0 after the last, else -errno. */
SASBlockHeader *sph_pages_block_at(struct sas_use *u, SASBlockHeader *main, uint64_t n, int *error);
/* One more block, unless there are not `known` expansions any more: then *block is NULL. */
int sph_pages_grow(struct sas_use *u, SASBlockHeader *main, uint64_t known, SASBlockHeader **block);
/* Where the address of expansion n stands, from 0. NULL: there is no room for it, or no block that lists it. */
uint64_t *sph_pages_entry(const SASBlockHeader *main, uint64_t n);

#endif
