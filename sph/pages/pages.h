/* SPDX-License-Identifier: MIT */
/*
 * pages.h - blocks cut into pages of one size: the ground of compound heaps and trees.
 *
 *   main block:   header page (4096 bytes, or a page where that is more) | page | page ...
 *   expansions:   the same, each of the main block's size; listed in the main block
 *
 * Media, frozen: struct sph_m_pages behind the SASBlockHeader of each block, struct sph_m_page behind the one of each page.
 *
 * A page is free when its owner is 0: that word is the truth. It is taken by one compare-and-swap from 0 to the thread that takes it
 * (IN_TRANSIT: a token, 1 in bit 63), and settled by a store of SPH_PAGE_USED when the object that wanted it reaches it. Given back by
 * one store of 0, after its first 64 bytes (the header that SASFindHeader() finds) have been zeroed; `version`, of which trees live, is never
 * zeroed while the block lives.
 * `hint` has a bit for each page (for several, where there are more than SPH_PAGE_HINTS pages): 1: perhaps free. It is derived: who
 * finds it wrong puts it right, sph_pages_reclaim() puts all of them right, and before a page is refused all pages are looked at. It makes
 * the lowest page come first, and says how full a block is.
 *
 * Locks: none; any number of threads, under any use. Growing: `growing`, a word that names its owner.
 * Crash: a page in transit whose owner is dead belongs to nobody, or to an object that reached it just before: the object knows
 *   (sph_pages_reclaim()). An expansion is listed in the same moment in which it is taken from the region (sas_use_take_block()).
 * Multi-host: the words named above belong to the object's address lock.
 */
#ifndef SPH_PAGES_H
#define SPH_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include "sasalloc.h"
#include "sas/service.h"

#define SPH_PAGE_USED 1ULL
#define SPH_PAGE_IN_TRANSIT 0x8000000000000000ULL      /* | token */

/* Bytes 64-127 of a page that is, or was, in use. */
struct sph_m_page {
	uint64_t owner;
	uint64_t version;               /* tree.h */
	uint64_t object[6];             /* the object's own: tree.h */
};

#define SPH_PAGES_LISTED 254U           /* expansions in the header page; further ones in a block of their own */
#define SPH_PAGE_HINTS 8192U
#define SPH_PAGES_OBJECT_OFFSET 3328U   /* in the header page: 768 bytes that are the object's own */

/* Bytes 64.. of the header page of each block; the fields from `load_factor` on count in the main block alone. */
struct sph_m_pages {
	uint32_t page_size;
	uint32_t first;                 /* offset of the first page */
	uint32_t count;                 /* of pages in this block */
	uint32_t expanding;
	int32_t load_factor;            /* percent at which an expansion counts as full */
	uint32_t reserved_1;
	uint64_t growing;               /* 0, or the token of the thread that grows it */
	uint64_t expansions;            /* listed; the entry is stored first */
	uint64_t further;               /* address of a block that lists further ones, or 0 */
	uint64_t reserved_2[2];
	uint64_t listed[SPH_PAGES_LISTED];      /* offset 128 */
	uint64_t hint[SPH_PAGE_HINTS / 64];
};

/* Formats block (all zero, or of unknown content: it zeroes the header page) with a SASBlockHeader of this type, stored last. 0; -EINVAL with a sentence:
 * size or page_size no power of two, page_size below 512 or above 64 KiB, no page fits. Every page's owner is made 0: costs a store per
 * page unless the block is known to be `clean` (fresh from the region: zero there). */
int sph_pages_format(void *block, size_t size, size_t page_size, int expanding, sas_type_t type, int clean);

/* What of that is said by sizes alone: before a block is taken for it. 0; -EINVAL with a sentence. */
int sph_pages_check_shape(size_t size, size_t page_size);
/* All of the block is mapped here, as formatting wants it. */
int sph_pages_map(struct sas_use *u, const void *block, size_t size);
/* The header page says what it can say: what the calls below rely on. 0; -EUCLEAN with a sentence. */
int sph_pages_sound(const SASBlockHeader *block);

/* A page in transit, its first 64 bytes 0, `version` kept. `near`: a page or block of the object in whose block to look first, or NULL:
 * then by the load factor (last block, first block below it, a new one). NULL: -ENOSPC in *error, with a sentence. */
void *sph_pages_take(struct sas_use *u, SASBlockHeader *main, const void *near, int *error);
/* The same in the blocks that there are: NULL, and *error 0: there is none, or the load factor wants a new block. */
void *sph_pages_find(struct sas_use *u, SASBlockHeader *main, const void *near, int *error);
/* The object reaches it now. */
void sph_pages_settle(void *page);
/* A page of this object, in transit by the caller, or settled; a death may leave a settled one without its header, and so lost: withdraw it
 * first. Its header is made 0, its other bytes are left. */
void sph_pages_give(SASBlockHeader *main, void *page);
/* From settled to in transit by this thread: it is about to be taken out of the object. 0; -EINVAL: it was not settled, which
 * among several who change an object is no error yet: there is no sentence. */
int sph_pages_withdraw(struct sas_use *u, void *page);

/* One more block. The block, or NULL and *error. */
SASBlockHeader *sph_pages_expand(struct sas_use *u, SASBlockHeader *main, int *error);
/* Give the expansions back to the region; the main block is the caller's. */
int sph_pages_destroy(struct sas_use *u, SASBlockHeader *main);

/* The block of the object in which an address lies, NULL: in none. */
SASBlockHeader *sph_pages_block_of(struct sas_use *u, SASBlockHeader *main, const void *address);
/* Blocks, the main one first; NULL after the last. n: 0 and up. */
SASBlockHeader *sph_pages_block(const SASBlockHeader *main, uint64_t n);
/* Bytes in free pages, and in those in transit whose owners are dead, in all blocks; exact while nobody changes it. */
size_t sph_pages_free_bytes(struct sas_use *u, SASBlockHeader *main);
/* Pages in transit whose owners are dead: `reached` tells whether the object reaches the page (NULL: no page); it is settled or given back.
 * How many were given back, and how many hints were wrong about free pages: whether it is worth while to look again. */
uint64_t sph_pages_reclaim(struct sas_use *u, SASBlockHeader *main, int (*reached)(void *page, void *arg), void *arg);

/* The same for the last block alone, which takes no longer than filling it took: when the object is about to grow. */
uint64_t sph_pages_reclaim_last(struct sas_use *u, SASBlockHeader *main, int (*reached)(void *page, void *arg), void *arg);

static inline struct sph_m_page *sph_page(void *page)
{
	return (struct sph_m_page *)((char *)page + sizeof(SASBlockHeader));
}
static inline struct sph_m_pages *sph_pages(const SASBlockHeader *block)
{
	return (struct sph_m_pages *)((char *)(uintptr_t)block + sizeof(SASBlockHeader));
}

_Static_assert(sizeof(SASBlockHeader) == 64 && sizeof(struct sph_m_page) == 64, "a page's header");
_Static_assert(sizeof(SASBlockHeader) + sizeof(struct sph_m_pages) <= SPH_PAGES_OBJECT_OFFSET, "the header page");

#endif
