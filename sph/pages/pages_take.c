/* SPDX-License-Identifier: MIT */
/*
 * pages_take.c - taking pages and giving them back. Layer 5.
 *
 * The hint of a page may say that it is free when it is not, and, after a death, the reverse. While all live it does not
 * stay so: a giver stores the owner before it sets the bit, and who clears a bit then looks at the owners once more. Both
 * change the word of bits by one read-modify-write, so the later one of them has seen what the earlier one did.
 *
 * Crash: taking and withdrawing are one compare-and-swap, giving is one store.
 */
#include <config.h>

#include <errno.h>

#include "pages_block.h"
#include "sph/word.h"

static uint64_t *hint_word(const SASBlockHeader *block, uint32_t group)
{
	return &sph_pages(block)->hint[group / 64];
}

static uint64_t hint_bit(uint32_t group)
{
	return 1ULL << group % 64;
}

static uint32_t groups_of(const SASBlockHeader *block)
{
	const struct sph_m_pages *p = sph_pages(block);

	return ((p->count - 1) >> sph_pages_hint_shift(p)) + 1;
}

static int is_free(void *page)
{
	return sph_load_acquire(&sph_page(page)->owner) == 0;
}

static int is_in_transit(uint64_t owner)
{
	return (owner & SPH_PAGE_IN_TRANSIT) != 0;
}

static uint64_t ours(const struct sas_use *u)
{
	return SPH_PAGE_IN_TRANSIT | u->token;
}

/* In transit by a thread that is dead. */
static int is_abandoned(struct sas_use *u, uint64_t owner)
{
	return u->region && is_in_transit(owner) && owner != ours(u) &&
	       !sas_owner_lives(u->region, owner & ~SPH_PAGE_IN_TRANSIT);
}

/* The lowest page of a group that is free; it is taken, if take. NULL: *error, or 0: there is none. */
static void *look_in_group(struct sas_use *u, SASBlockHeader *block, uint32_t group, int take, int *error)
{
	const struct sph_m_pages *p = sph_pages(block);
	unsigned shift = sph_pages_hint_shift(p);
	uint32_t first = group << shift;
	uint32_t end = p->count - first > 1U << shift ? first + (1U << shift) : p->count;

	*error = 0;
	for (uint32_t i = first; i < end; i++) {
		void *page = sph_pages_reach(u, block, i, error);

		if (!page)
			return NULL;
		/* Pairs with the store in sph_pages_give(). */
		if (is_free(page) && (!take || sph_cas_acq_rel(&sph_page(page)->owner, 0, ours(u))))
			return page;
	}
	return NULL;
}

/* Nothing seemed free in the group. */
static void clear_hint(struct sas_use *u, SASBlockHeader *block, uint32_t group)
{
	int error;

	sph_fetch_and_acq_rel(hint_word(block, group), ~hint_bit(group));
	if (look_in_group(u, block, group, 0, &error) || error)
		sph_fetch_or_acq_rel(hint_word(block, group), hint_bit(group));
}

/* By the hints. */
static void *take_in(struct sas_use *u, SASBlockHeader *block, int *error)
{
	uint32_t groups = groups_of(block);

	for (uint32_t at = 0; at < groups; at += 64) {
		for (uint64_t bits = sph_load_relaxed(hint_word(block, at)); bits; bits &= bits - 1) {
			uint32_t group = at + (uint32_t)__builtin_ctzll(bits);
			void *page;

			if (group >= groups)
				break;
			page = look_in_group(u, block, group, 1, error);
			if (*error)
				return NULL;
			if (!page || sph_pages_hint_shift(sph_pages(block)) == 0)
				clear_hint(u, block, group);
			if (page)
				return page;
		}
	}
	return NULL;
}

/* By looking at all of them. How many were wrong about free pages. */
static uint64_t refresh_hints(struct sas_use *u, SASBlockHeader *block, int *error)
{
	uint64_t wrong = 0;

	*error = 0;
	for (uint32_t group = 0; group < groups_of(block) && !*error; group++)
		if (!(sph_load_relaxed(hint_word(block, group)) & hint_bit(group)) &&
		    look_in_group(u, block, group, 0, error)) {
			sph_fetch_or_acq_rel(hint_word(block, group), hint_bit(group));
			wrong++;
		}
	return wrong;
}

/* Percent of its bytes, the header among them. */
static unsigned used_of(const SASBlockHeader *block)
{
	const struct sph_m_pages *p = sph_pages(block);
	uint64_t free_pages = 0;

	for (uint32_t at = 0; at < groups_of(block); at += 64)
		free_pages += (uint64_t)__builtin_popcountll(sph_load_relaxed(hint_word(block, at)));
	free_pages <<= sph_pages_hint_shift(p);
	if (free_pages > p->count)
		free_pages = p->count;
	return (unsigned)((block->blockSize - free_pages * p->page_size) * 100 / block->blockSize);
}

static unsigned load_of(const SASBlockHeader *main)
{
	return (unsigned)__atomic_load_n(&sph_pages(main)->load_factor, __ATOMIC_RELAXED);
}

/* In the last block, or the first one, that is not full by the load factor. */
static void *take_by_load(struct sas_use *u, SASBlockHeader *main, uint64_t last, int *error)
{
	unsigned load = load_of(main);
	SASBlockHeader *block = sph_pages_block_at(u, main, last, error);
	void *page = block && used_of(block) < load ? take_in(u, block, error) : NULL;

	for (uint64_t n = 0; !page && !*error && n < last; n++) {
		block = sph_pages_block_at(u, main, n, error);
		if (block && used_of(block) < load)
			page = take_in(u, block, error);
	}
	return page;
}

/* Any page, whatever the load factor and the hints say. */
static void *take_any(struct sas_use *u, SASBlockHeader *main, int *error)
{
	SASBlockHeader *block;

	for (uint64_t n = 0; (block = sph_pages_block_at(u, main, n, error)) != NULL; n++) {
		void *page = NULL;

		refresh_hints(u, block, error);
		if (!*error)
			page = take_in(u, block, error);
		if (page || *error)
			return page;
	}
	return NULL;
}

static void *take_growing(struct sas_use *u, SASBlockHeader *main, int *error)
{
	for (;;) {
		uint64_t known = sph_load_acquire(&sph_pages(main)->expansions);
		SASBlockHeader *block = NULL;
		void *page = take_by_load(u, main, known, error);

		if (page || *error)
			return page;
		*error = sph_pages_grow(u, main, known, &block);
		if (*error)
			return NULL;
		/* Not by the load factor, which an empty block may have reached. */
		page = block ? take_in(u, block, error) : NULL;
		if (page || *error)
			return page;
	}
}

void *sph_pages_find(struct sas_use *u, SASBlockHeader *main, const void *near, int *error)
{
	SASBlockHeader *block = near ? sph_pages_block_of(u, main, near) : NULL;
	void *page = NULL;

	*error = 0;
	if (block)
		page = take_in(u, block, error);
	if (page || *error)
		return page;
	if (!sph_pages(main)->expanding)
		return take_in(u, main, error);
	return take_by_load(u, main, sph_load_acquire(&sph_pages(main)->expansions), error);
}

void *sph_pages_take(struct sas_use *u, SASBlockHeader *main, const void *near, int *error)
{
	void *page = sph_pages_find(u, main, near, error);
	int refused;

	if (!page && !*error && sph_pages(main)->expanding)
		page = take_growing(u, main, error);
	refused = *error;
	/* Also where the region has no addresses left for a block. */
	if (page || (refused && refused != -ENOSPC && refused != -ENOMEM))
		return page;
	page = take_any(u, main, error);
	if (!page && !*error)
		*error = refused ? refused : sas_service_fail(ENOSPC, "%p: all %u pages are in use", (void *)main,
							      sph_pages(main)->count);
	return page;
}

void sph_pages_settle(void *page)
{
	sph_store_release(&sph_page(page)->owner, SPH_PAGE_USED);
}

int sph_pages_withdraw(struct sas_use *u, void *page)
{
	return sph_cas_acq_rel(&sph_page(page)->owner, SPH_PAGE_USED, ours(u)) ? 0 : -EINVAL;
}

void sph_pages_give(SASBlockHeader *main, void *page)
{
	SASBlockHeader *block = sph_pages_around(main, page);
	const struct sph_m_pages *p = sph_pages(block);
	uint32_t i = (uint32_t)((size_t)((char *)page - (char *)block - p->first) / p->page_size);
	uint32_t group = i >> sph_pages_hint_shift(p);

	/* By words: who reads beside others, a cursor or who frees the page too, may be copying them. */
	for (unsigned w = 0; w < sizeof(SASBlockHeader) / sizeof(uint64_t); w++)
		sph_store_relaxed((uint64_t *)page + w, 0);
	/* Publish: before this store the page is ours, or, when we die, sph_pages_reclaim() finds it. Pairs with look_in_group(). */
	sph_store_release(&sph_page(page)->owner, 0);
	sph_fetch_or_acq_rel(hint_word(block, group), hint_bit(group));
}

static size_t count_free(struct sas_use *u, SASBlockHeader *block, int *error)
{
	const struct sph_m_pages *p = sph_pages(block);
	size_t count = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		void *page = sph_pages_reach(u, block, i, error);
		uint64_t owner;

		if (!page)
			break;
		owner = sph_load_acquire(&sph_page(page)->owner);
		count += owner == 0 || is_abandoned(u, owner);
	}
	return count;
}

size_t sph_pages_free_bytes(struct sas_use *u, SASBlockHeader *main)
{
	size_t count = 0;
	SASBlockHeader *block;
	int error;

	for (uint64_t n = 0; (block = sph_pages_block_at(u, main, n, &error)) != NULL; n++)
		count += count_free(u, block, &error);
	return count * sph_pages(main)->page_size;
}

/* 1: it was given back. */
static int reclaim_page(struct sas_use *u, SASBlockHeader *main, void *page, int (*reached)(void *page, void *arg), void *arg)
{
	uint64_t owner = sph_load_acquire(&sph_page(page)->owner);

	/* Ours, before anything is looked at: nobody else does the same. */
	if (!is_abandoned(u, owner) || !sph_cas_acq_rel(&sph_page(page)->owner, owner, ours(u)))
		return 0;
	if (reached && reached(page, arg)) {
		sph_pages_settle(page);
		return 0;
	}
	sph_pages_give(main, page);
	return 1;
}

static uint64_t reclaim_block(struct sas_use *u, SASBlockHeader *main, SASBlockHeader *block,
			      int (*reached)(void *page, void *arg), void *arg)
{
	uint64_t given = 0;
	int error;

	for (uint32_t i = 0; i < sph_pages(block)->count; i++) {
		void *page = sph_pages_reach(u, block, i, &error);

		if (!page)
			break;
		given += (uint64_t)reclaim_page(u, main, page, reached, arg);
	}
	return given + refresh_hints(u, block, &error);
}

uint64_t sph_pages_reclaim_last(struct sas_use *u, SASBlockHeader *main, int (*reached)(void *page, void *arg), void *arg)
{
	int error;
	SASBlockHeader *block = sph_pages_block_at(u, main, sph_load_acquire(&sph_pages(main)->expansions), &error);

	return block ? reclaim_block(u, main, block, reached, arg) : 0;
}

uint64_t sph_pages_reclaim(struct sas_use *u, SASBlockHeader *main, int (*reached)(void *page, void *arg), void *arg)
{
	uint64_t given = 0;
	SASBlockHeader *block;
	int error;

	for (uint64_t n = 0; (block = sph_pages_block_at(u, main, n, &error)) != NULL; n++)
		given += reclaim_block(u, main, block, reached, arg);
	return given;
}
