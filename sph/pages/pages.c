/* SPDX-License-Identifier: MIT */
/*
 * pages.c - blocks of pages: their form, and finding them. Layer 5.
 *
 * Crash: a block that is being formatted has no signature until all of it is there. A death cuts a thread between two instructions, so the
 *   compiler alone has to be kept from changing their order.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "pages_block.h"
#include "sasregion.h"
#include "sph/word.h"

#define SMALLEST_PAGE 512U
#define LARGEST_PAGE 65536U
#define GRANULE 512U            /* SASFindHeader() looks for headers at its multiples */

_Static_assert(offsetof(struct sph_m_pages, listed) + sizeof(SASBlockHeader) == 128 &&
	       offsetof(struct sph_m_page, version) == 8, "pages are media");

static int is_power(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static size_t first_page(size_t page_size)
{
	return page_size > SPH_PAGES_HEADER ? page_size : SPH_PAGES_HEADER;
}

int sph_pages_check_shape(size_t size, size_t page_size)
{
	size_t first = first_page(page_size);

	if (!is_power(page_size) || page_size < SMALLEST_PAGE || page_size > LARGEST_PAGE)
		return sas_service_fail(EINVAL, "pages of %zu bytes: they have 512 to 65536, a power of two", page_size);
	if (!is_power(size) || size < first + page_size)
		return sas_service_fail(EINVAL, "a block of %zu bytes: it is a power of two, and has room for a header "
					"of %zu and a page of %zu", size, first, page_size);
	if ((size - first) / page_size > UINT32_MAX)
		return sas_service_fail(EINVAL, "a block of %zu bytes has too many pages of %zu", size, page_size);
	return 0;
}

int sph_pages_map(struct sas_use *u, const void *block, size_t size)
{
	int error = 0;

	if (!u->region)
		return 0;
	for (size_t at = 0; at < size && !error; at += 1UL << u->shift)
		error = sas_use_reach(u, (const char *)block + at);
	return error;
}

/* What an earlier life of the memory left: no header may be found in it, and no owner. A page that is clean is not
 * written to, so that it takes no memory. */
static void clear_pages(char *block, size_t size, size_t first, size_t page_size)
{
	static const char zero[2 * sizeof(SASBlockHeader)];

	for (size_t at = first; at < size; at += GRANULE) {
		SASBlockHeader *header = (SASBlockHeader *)(void *)(block + at);

		if (at % page_size == 0 && memcmp(header, zero, sizeof zero) != 0)
			memset(header, 0, sizeof zero);
		else if (SOMSASCheckBlockSig(header))
			memset(header, 0, sizeof *header);
	}
}

static void fill_hints(struct sph_m_pages *p)
{
	uint32_t bits = ((p->count - 1) >> sph_pages_hint_shift(p)) + 1;

	memset(p->hint, 0xff, bits / 64 * sizeof p->hint[0]);
	if (bits % 64)
		p->hint[bits / 64] = (1ULL << bits % 64) - 1;
}

int sph_pages_format_block(SASBlockHeader *block, SASBlockHeader *base, size_t size, size_t page_size, int expanding,
			   sas_type_t type, int clean)
{
	struct sph_m_pages *p = sph_pages(block);
	int error = sph_pages_check_shape(size, page_size);

	if (!error && (uintptr_t)block % 16 != 0)
		error = sas_service_fail(EINVAL, "%p: a block of pages begins at a multiple of 16", (void *)block);
	if (error)
		return error;
	block->blockSig1 = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memset(block, 0, SPH_PAGES_HEADER);
	p->page_size = (uint32_t)page_size;
	p->first = (uint32_t)first_page(page_size);
	p->count = (uint32_t)((size - p->first) / page_size);
	p->expanding = expanding != 0;
	p->load_factor = expanding ? 75 : 100;
	fill_hints(p);
	if (!clean)
		clear_pages((char *)block, size, p->first, page_size);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	initSOMSASBlock(block, type, (long)size, NULL);
	block->baseBlock = base;
	return 0;
}

int sph_pages_format(void *block, size_t size, size_t page_size, int expanding, sas_type_t type, int clean)
{
	return sph_pages_format_block(block, block, size, page_size, expanding, type, clean);
}

static int is_sound(const SASBlockHeader *block)
{
	const struct sph_m_pages *p = sph_pages(block);

	return is_power(p->page_size) && p->page_size >= SMALLEST_PAGE && p->page_size <= LARGEST_PAGE &&
	       p->first == first_page(p->page_size) && is_power(block->blockSize) &&
	       block->blockSize >= p->first + p->page_size && p->count == (block->blockSize - p->first) / p->page_size;
}

int sph_pages_sound(const SASBlockHeader *block)
{
	const struct sph_m_pages *p = sph_pages(block);

	if (is_sound(block))
		return 0;
	return sas_service_fail(EUCLEAN, "%p: %u pages of %u bytes from %u on do not make a block of %zu: it was written into",
				(const void *)block, p->count, p->page_size, p->first, block->blockSize);
}

/* --- finding blocks */

uint64_t *sph_pages_entry(const SASBlockHeader *main, uint64_t n)
{
	struct sph_m_pages *p = sph_pages(main);
	uint64_t further = sph_load_acquire(&p->further);
	uint64_t *entry;

	if (n < SPH_PAGES_LISTED)
		return &p->listed[n];
	n -= SPH_PAGES_LISTED;
	if (!further || n >= (main->blockSize - SPH_PAGES_HEADER) / sizeof *entry)
		return NULL;
	entry = (uint64_t *)(further + SPH_PAGES_HEADER) + n;
	return SASMapAhead(entry, sizeof *entry) == 0 ? entry : NULL;
}

SASBlockHeader *sph_pages_block(const SASBlockHeader *main, uint64_t n)
{
	const uint64_t *entry;

	if (n == 0)
		return (SASBlockHeader *)(uintptr_t)main;
	/* Pairs with publish_block(). */
	if (n > sph_load_acquire(&sph_pages(main)->expansions))
		return NULL;
	entry = sph_pages_entry(main, n - 1);
	return entry ? (SASBlockHeader *)(uintptr_t)sph_load_relaxed(entry) : NULL;
}

static int is_block_of(const SASBlockHeader *block, const SASBlockHeader *main)
{
	return SOMSASCheckBlockSig(block) && block->blockType == main->blockType && block->blockSize == main->blockSize &&
	       block->baseBlock == main && sph_pages(block)->page_size == sph_pages(main)->page_size &&
	       is_sound(block);
}

SASBlockHeader *sph_pages_block_at(struct sas_use *u, SASBlockHeader *main, uint64_t n, int *error)
{
	SASBlockHeader *block = sph_pages_block(main, n);

	*error = 0;
	if (n == 0)
		return main;
	if (!block) {
		if (n <= sph_load_acquire(&sph_pages(main)->expansions))
			*error = sas_service_fail(EUCLEAN, "%p: expansion %lu of it is not listed", (void *)main, n);
		return NULL;
	}
	*error = sas_use_reach(u, block);
	if (!*error && !is_block_of(block, main))
		*error = sas_service_fail(EUCLEAN, "%p: what it lists as expansion %lu, %p, is none", (void *)main, n, (void *)block);
	return *error ? NULL : block;
}

SASBlockHeader *sph_pages_block_of(struct sas_use *u, SASBlockHeader *main, const void *address)
{
	SASBlockHeader *block = sph_pages_around(main, address);

	if (block == main)
		return main;
	if (!u->region || (uintptr_t)block - u->base >= u->size || sas_use_reach(u, block) != 0)
		return NULL;
	return is_block_of(block, main) ? block : NULL;
}
