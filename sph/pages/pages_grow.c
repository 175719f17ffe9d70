/* SPDX-License-Identifier: MIT */
/*
 * pages_grow.c - further blocks of an object, and giving them back. Layer 5.
 *
 * Invariant: the entry behind the last expansion is 0, or the address of a block of the object that nobody has reached yet.
 *
 * Crash. A block comes with its entry (sas_use_take_block()); it counts when `expansions` has passed the entry, after it has
 *   been formatted. Who grows the object next formats a block again that was left before that. Giving back goes the same way
 *   backwards: `expansions` first, then the block with its entry. The block that lists further ones is believed when it has a header.
 */
#include <config.h>

#include <errno.h>
#include <sched.h>

#include "pages_block.h"
#include "sph/word.h"

/* Until the word is ours: from nobody, or from who has died. A token of ours is left from a call that a handler left. */
static void begin_growing(struct sas_use *u, SASBlockHeader *main)
{
	uint64_t *growing = &sph_pages(main)->growing;

	for (;;) {
		uint64_t owner = sph_load_acquire(growing);

		if (owner == 0 || owner == u->token || (u->region && !sas_owner_lives(u->region, owner))) {
			if (sph_cas_acq_rel(growing, owner, u->token))
				return;
		} else {
			sched_yield();
		}
	}
}

static void end_growing(SASBlockHeader *main)
{
	sph_store_release(&sph_pages(main)->growing, 0);
}

/* The block that lists further ones is there, with its first entry 0. */
static int list_further(struct sas_use *u, SASBlockHeader *main)
{
	struct sph_m_pages *p = sph_pages(main);
	SASBlockHeader *list;
	int error = 0;

	if (!p->further)
		error = sas_use_take_block(u, main->blockSize, &p->further);
	if (error)
		return error;
	list = (SASBlockHeader *)p->further;
	error = sas_use_reach(u, list);
	if (error || SOMSASCheckBlockSig(list))
		return error;
	*(uint64_t *)((char *)list + SPH_PAGES_HEADER) = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	initSOMSASBlock(list, SAS_RUNTIME_SIMPLESPACE, (long)main->blockSize, NULL);
	return 0;
}

static int format_expansion(struct sas_use *u, SASBlockHeader *main, SASBlockHeader *block)
{
	int error = sph_pages_map(u, block, main->blockSize);

	return error ? error : sph_pages_format_block(block, main, main->blockSize, sph_pages(main)->page_size, 0,
						      main->blockType, 0);
}

/* n expansions are there, and growing is ours. */
static int grow(struct sas_use *u, SASBlockHeader *main, uint64_t n, SASBlockHeader **block)
{
	uint64_t *entry, *next;
	int error = n >= SPH_PAGES_LISTED ? list_further(u, main) : 0;

	if (error)
		return error;
	entry = sph_pages_entry(main, n);
	if (!entry)
		return sas_service_fail(ENOSPC, "%p: no more than %lu expansions can be listed", (void *)main, n);
	if (!*entry)
		error = sas_use_take_block(u, main->blockSize, entry);
	*block = error ? NULL : (SASBlockHeader *)*entry;
	if (!error)
		error = format_expansion(u, main, *block);
	if (error)
		return error;
	next = sph_pages_entry(main, n + 1);
	if (next)
		*next = 0;
	/* Publish: pairs with the load in sph_pages_block(). */
	sph_store_release(&sph_pages(main)->expansions, n + 1);
	return 0;
}

static int grow_from(struct sas_use *u, SASBlockHeader *main, const uint64_t *known, SASBlockHeader **block)
{
	struct sph_m_pages *p = sph_pages(main);
	int error = 0;

	*block = NULL;
	if (!p->expanding)
		return sas_service_fail(EINVAL, "%p: it was made not to expand", (void *)main);
	if (!u->region)
		return sas_service_fail(ENOSPC, "%p lies in no region, so there are no further blocks", (void *)main);
	begin_growing(u, main);
	if (!known || p->expansions == *known)
		error = grow(u, main, p->expansions, block);
	end_growing(main);
	return error;
}

int sph_pages_grow(struct sas_use *u, SASBlockHeader *main, uint64_t known, SASBlockHeader **block)
{
	return grow_from(u, main, &known, block);
}

SASBlockHeader *sph_pages_expand(struct sas_use *u, SASBlockHeader *main, int *error)
{
	SASBlockHeader *block;

	*error = grow_from(u, main, NULL, &block);
	return *error ? NULL : block;
}

int sph_pages_destroy(struct sas_use *u, SASBlockHeader *main)
{
	struct sph_m_pages *p = sph_pages(main);
	uint64_t *entry;
	int error = 0;

	if (!u->region)
		return 0;
	begin_growing(u, main);
	for (;;) {
		entry = sph_pages_entry(main, p->expansions);
		if (entry && *entry)
			error = sas_use_give_block(u, main->blockSize, entry);
		if (error || p->expansions == 0)
			break;
		sph_store_release(&p->expansions, p->expansions - 1);
	}
	if (!error && p->further)
		error = sas_use_give_block(u, main->blockSize, &p->further);
	end_growing(main);
	return error;
}
