/* SPDX-License-Identifier: MIT */
/* block_lock.c - block_lock: who holds it, after whose death, and who has seized it. Layer 3. */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <string.h>
#include "block.h"
#include "ground/err.h"
#include "ground/rank.h"
#include "region/runtime.h"
#include "sasregion.h"

/* Who changes something under the lock: a thread slot, and which life of it. -1: nobody. */
static void set_owner(struct sas_run_header *h, const struct sas_run_thread *threads, int slot)
{
	uint64_t owner = slot >= 0 ? (uint64_t)threads[slot].lives << 32 | (uint32_t)(slot + 1) : 0;

	sas_store_release_u64(&h->block_owner, owner);
}

/* After the lock was given back: before, a mark of death would count. Not what the next holder has stored. Dead before this, the name stays of
 * who holds nothing: it does not live, and recovery finds its slot free, or in another life. */
static void clear_owner(struct sas_run_header *h, uint64_t owner)
{
	__atomic_compare_exchange_n(&h->block_owner.word, &owner, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Whoever the lock was last given to lives: it holds it, or is about to say that it does not any more. */
static int owner_lives(void *arg)
{
	const struct sas_region *r = arg;
	const struct sas_run_header *h = r->run->header;
	uint64_t owner = sas_load_acquire_u64(&h->block_owner), number = (owner & 0xffffffffU) - 1;
	const struct sas_run_thread *slot;

	if (owner == 0 || number >= sas_load_acquire_u32(&h->thread_top))
		return 0;
	slot = &r->run->threads[number];
	return sas_load_acquire_u32(&slot->state) == SAS_RUN_USED && slot->lives == (uint32_t)(owner >> 32) &&
	       !sas_load_acquire_u32(&slot->ended) && sas_run_is_held(&slot->life);
}

/* A recoverer that dies has no owner: the first one's stays. */
static void mark_dirty(struct sas_run_header *h)
{
	uint64_t owner = sas_load_acquire_u64(&h->block_owner);

	if (owner)
		sas_store_relaxed_u64(&h->dirty_owner, owner);
	sas_store_release_u32(&h->seized, 0);   /* if it had */
	sas_store_release_u32(&h->block_dirty, 1);
}

void sas_block_release_seized(struct sas_thread *t)
{
	struct sas_run_header *h = t->seized->header;
	uint64_t owner = sas_load_acquire_u64(&h->block_owner);

	t->seized = NULL;
	t->seizes = 0;
	sas_store_release_u32(&h->seized, 0);
	sas_run_unlock(&h->block_lock);
	clear_owner(h, owner);
}

int sas_block_lock_raw(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	const struct sas_run_holder holder = { owner_lives, r };
	int died, error;

	sas_rank_take(SAS_RANK_BLOCK);
	error = sas_run_lock_of(&h->block_lock, &holder, &died);
	if (error)
		sas_rank_give(SAS_RANK_BLOCK);
	if (error)
		return sas_fail(-error, "%s: the block lock cannot be taken: %s", r->path, strerror(-error));
	if (died)
		mark_dirty(h);
	return 0;
}

int sas_block_trylock_raw(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	const struct sas_run_holder holder = { owner_lives, r };
	int died, error = sas_run_trylock_of(&h->block_lock, &holder, &died);

	if (died)
		mark_dirty(h);
	if (!error)
		sas_rank_take(SAS_RANK_BLOCK);
	return error;
}

void sas_block_unlock_raw(struct sas_region *r)
{
	sas_run_unlock(&r->run->header->block_lock);
	sas_rank_give(SAS_RANK_BLOCK);
}

int sas_block_lock_unseized(struct sas_region *r, int slot)
{
	struct sas_run_header *h = r->run->header;
	int error;

	while ((error = sas_block_trylock_raw(r)) == -EBUSY && !sas_load_acquire_u32(&h->seized))
		sched_yield();
	if (error)
		return error;
	if (sas_load_acquire_u32(&h->block_dirty)) {
		sas_block_unlock_raw(r);
		return -EAGAIN;
	}
	set_owner(h, r->run->threads, slot);
	return 0;
}

void sas_block_unlock_unseized(struct sas_region *r)
{
	struct sas_run_header *h = r->run->header;
	uint64_t owner = sas_load_acquire_u64(&h->block_owner);

	sas_block_unlock_raw(r);
	clear_owner(h, owner);
}

/* A holder that died is recovered first, under the locks in their order: recover is sas_recover, or its form
 * for who holds table_lock. */
static int lock_clean(struct sas_region *r, int (*recover)(struct sas_region *))
{
	int error;

	for (;;) {
		error = sas_block_lock_raw(r);
		/* Who only reads looks at the maps, which are whole. */
		if (error || !sas_load_acquire_u32(&r->run->header->block_dirty) || (r->flags & SAS_JOIN_READONLY))
			return error;
		sas_block_unlock_raw(r);
		error = recover(r);
		if (error < 0)
			return error;
	}
}

int sas_block_lock(struct sas_region *r, struct sas_thread *t)
{
	int error = sas_has_seized(t, r) ? 0 : lock_clean(r, sas_recover);

	if (!error)
		set_owner(r->run->header, r->run->threads, sas_thread_slot(t, r));
	return error;
}

int sas_block_lock_beside_table(struct sas_region *r, int slot)
{
	int error = lock_clean(r, sas_recover_locked);

	if (!error)
		set_owner(r->run->header, r->run->threads, slot);
	return error;
}

void sas_block_unlock(struct sas_region *r, struct sas_thread *t)
{
	if (sas_has_seized(t, r))
		return;
	sas_block_unlock_unseized(r);
}
