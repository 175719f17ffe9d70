/* SPDX-License-Identifier: MIT */
/*
 * epoch_free.c - frees of blocks that are deferred, and survive who deferred them.
 *
 * A free in limbo is two things: the block's map entry, which says `retired` (generation ffffff: in use, condemned),
 * and an entry in a page of SAS.run that the thread's slot owns, with the tag. How far it is stands in `block`:
 *
 *   RETIRING  written before the map entry is changed (one CAS, without a lock)
 *   WAITING   after that: this is the one entry of the block
 *   FREEING   block_lock is held, it is about to be freed; then the entry is cleared, under the same lock
 *
 * Crash. The pages of a thread that died become orphans, and who reclaims next takes them over (epoch.c). Of what is
 * WAITING nothing is in doubt. Of the other two states there is at most a batch per dead thread, and the map tells,
 * under block_lock:
 *   The block is not retired: it never was by this entry, or it is freed. The entry is cleared.
 *   It is retired, and no other entry names it: then by this one. RETIRING begins to wait anew, from the epoch that
 *     is now; FREEING had waited, and the block is freed.
 *   It is retired, and another entry names it. Whoever retires a block has an entry before, and keeps it until the
 *     block is free, which takes block_lock: so all that may have retired it are seen here.
 *       Ours is FREEING: it died after the free, and the block came to be used and retired again; or the other
 *         one is of a thread that tried to free the same block twice. One of the two has to go. If the other is a living
 *         thread's RETIRING, it may still fail, so both stay for now; else ours goes, and the other one, which waits at
 *         least as long as needed, frees the block.
 *       Ours is RETIRING: if the other is WAITING, that one has retired it, and ours goes. If it is a living thread's
 *         RETIRING, both stay for now; if a dead one's, ours goes. If it is FREEING, its thread is dead, as we hold
 *         block_lock: ours stays, waits anew, and the other one goes by the rule above.
 *   So of entries that name one retired block all but one go, in whatever order they are looked at.
 *
 * When SAS.run is lost (a reboot, a copy, a file formatted anew), so are all readers: the first that writes frees
 * whatever is retired (recover.c). The last that leaves frees all that is left.
 *
 * Locks: block_lock to free; none to defer.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include "block/block.h"
#include "epoch_defer.h"
#include "ground/err.h"
#include "ground/rank.h"
#include "run/run_page.h"

#define ORDER 0x3fUL
#define RETIRING 0x40UL
#define FREEING 0x80UL
#define STATE (RETIRING | FREEING)
#define OFFSET (~(SAS_M_UNIT - 1))

#define BATCH 64U               /* frees under one block_lock, and between two looks for readers */

static struct sas_run_limbo *page_at(const struct sas_run *run, uint32_t number)
{
	return (struct sas_run_limbo *)&run->pages[number];
}

static uint64_t size_of(uint64_t block)
{
	return SAS_M_UNIT << (block & ORDER);
}

/* --- deferring */

static int add_page(struct sas_limbo *l, uint32_t number, int first)
{
	uint32_t room = l->page_room ? 2 * l->page_room : 8, *more = l->pages;

	if (l->page_count == l->page_room) {
		more = realloc(l->pages, room * sizeof *more);
		if (!more)
			return sas_fail(ENOMEM, "no memory for what this thread defers");
		l->pages = more;
		l->page_room = room;
	}
	for (uint32_t i = l->page_count; first && i > 0; i--)
		l->pages[i] = l->pages[i - 1];
	l->pages[first ? 0 : l->page_count] = number;
	l->page_count++;
	return 0;
}

/* The next entry of this thread. */
static int next_entry(struct sas_region *r, struct sas_limbo *l, uint32_t slot, struct sas_run_limbo_entry **entry)
{
	uint32_t number;
	int error;

	if (l->page_count == 0 || l->fill == SAS_RUN_LIMBO_ENTRIES) {
		error = sas_run_page_take(r, slot + 1, SAS_RUN_PAGE_LIMBO, &number);
		if (!error && (error = add_page(l, number, 0)) != 0)
			sas_run_page_give(r->run, number);
		if (error)
			return error;
		l->fill = 0;
	}
	*entry = &page_at(r->run, l->pages[l->page_count - 1])->entries[l->fill];
	return 0;
}

static void count_frees(struct sas_run_thread *slot, int64_t frees, int64_t bytes)
{
	sas_store_relaxed_u64(&slot->epoch_frees, sas_load_relaxed_u64(&slot->epoch_frees) + (uint64_t)frees);
	sas_store_relaxed_u64(&slot->epoch_free_bytes, sas_load_relaxed_u64(&slot->epoch_free_bytes) + (uint64_t)bytes);
}

static int defer_free(struct sas_region *r, struct sas_limbo *l, uint32_t slot, uint64_t offset, uint64_t size)
{
	uint64_t block = offset | (uint64_t)__builtin_ctzll(size / SAS_M_UNIT);
	struct sas_run_limbo_entry *entry;
	int error = next_entry(r, l, slot, &entry);

	if (error)
		return error;
	sas_store_relaxed_u64(&entry->epoch, sas_epoch_tag(r->run));
	sas_store_release_u64(&entry->block, block | RETIRING);
	error = sas_block_retire(r, offset, size);
	sas_store_release_u64(&entry->block, error ? 0 : block);
	if (error)
		return error;
	l->fill++;
	l->frees_since++;
	count_frees(&r->run->threads[slot], 1, (int64_t)size);
	sas_fetch_add_relaxed_u64(&r->run->threads[slot].counters.deferred, 1);
	return 0;
}

/* 1: the limit is reached. */
static int free_once(struct sas_region *r, uint64_t offset, uint64_t size, int *due, int *nested)
{
	struct sas_limbo *l = NULL;
	struct sas_thread *t;
	int soon = 0, error = sas_call_begin(r, SAS_CALL_WRITE | SAS_CALL_SLOT, &t);

	if (error)
		return error;
	*nested = t->reclaiming;
	l = sas_limbo_of(t, r);
	if (!l)
		error = -ENOMEM;
	if (!error)
		error = sas_limbo_admit(r, l, size, &soon);
	if (!error)
		error = defer_free(r, l, (uint32_t)sas_thread_slot(t, r), offset, size);
	if (!error)
		*due = soon || l->frees_since >= BATCH;
	return sas_call_result(t, r, error);
}

int sas_epoch_free(struct sas_region *r, uint64_t offset, uint64_t size)
{
	int due = 0, nested = 0, error = sas_block_check_shape(r, offset, size);

	if (!error)
		error = free_once(r, offset, size, &due, &nested);
	if (error > 0 && !nested) {
		sas_epoch_reclaim(r, SAS_RECLAIM_ALL | SAS_RECLAIM_LOOK);
		error = free_once(r, offset, size, &due, &nested);
	}
	if (error > 0)
		return sas_epoch_refuse(r);
	if (!error && due && !nested)
		sas_epoch_reclaim(r, 0);
	return error;
}

/* --- in doubt, after a death */

/* What other entries name this block: the states that were seen. block_lock held. */
struct others { int waiting, freeing, retiring_living, retiring_dead; };

static void note_other(const struct sas_run *run, uint32_t owner, uint32_t self, uint64_t block, struct others *o)
{
	if (block & FREEING)
		o->freeing = 1;
	else if (!(block & RETIRING))
		o->waiting = 1;
	else if (owner != SAS_RUN_ORPHAN && owner != self && owner <= SAS_RUN_THREADS && sas_epoch_is_living(run, owner - 1))
		o->retiring_living = 1;
	else
		o->retiring_dead = 1;
}

static void find_others(const struct sas_run *run, const struct sas_run_limbo_entry *ours, uint32_t self, uint64_t block,
			struct others *o)
{
	uint32_t top = sas_load_acquire_u32(&run->header->page_top);

	*o = (struct others){ 0, 0, 0, 0 };
	for (uint32_t n = 0; n < top && n < SAS_RUN_PAGES; n++) {
		struct sas_run_limbo *page = page_at(run, n);
		uint32_t owner = sas_load_acquire_u32(&page->owner);

		if (owner == 0 || __atomic_load_n(&page->kind, __ATOMIC_ACQUIRE) != SAS_RUN_PAGE_LIMBO)
			continue;
		for (uint32_t i = 0; i < SAS_RUN_LIMBO_ENTRIES; i++) {
			uint64_t other = sas_load_acquire_u64(&page->entries[i].block);

			if (other && (other & ~STATE) == (block & ~STATE) && &page->entries[i] != ours)
				note_other(run, owner, self, other, o);
		}
	}
}

#define STAYS 0
#define GOES 1
#define IS_FREED 2

static int resolve_freeing(const struct others *o)
{
	if (o->retiring_living)
		return STAYS;
	return o->waiting || o->freeing || o->retiring_dead ? GOES : IS_FREED;
}

static int resolve_retiring(const struct others *o)
{
	if (o->waiting)
		return GOES;
	if (o->retiring_living)
		return STAYS;
	return o->retiring_dead ? GOES : STAYS;
}

/* block_lock held. The head of this file has the rules. */
static int resolve(struct sas_region *r, uint32_t self, struct sas_run_limbo_entry *entry, uint64_t block)
{
	struct others o;
	int what;

	if (!sas_block_is_retired(r, block & OFFSET, size_of(block)))
		return GOES;
	find_others(r->run, entry, self, block, &o);
	if (block & FREEING)
		return resolve_freeing(&o);
	what = resolve_retiring(&o);
	if (what == STAYS && !o.retiring_living) {
		sas_store_relaxed_u64(&entry->epoch, sas_epoch_tag(r->run));
		sas_store_release_u64(&entry->block, block & ~STATE);
	}
	return what;
}

/* --- freeing */

static int free_block(struct sas_region *r, struct sas_thread *t, struct sas_run_limbo_entry *entry, uint64_t block)
{
	uint64_t offset = block & OFFSET, size = size_of(block);
	int error = 0;

	sas_store_release_u64(&entry->block, (block & ~STATE) | FREEING);
	/* Not retired: somebody has freed it by force, or wrote into the map. */
	if (sas_block_is_retired(r, offset, size))
		error = sas_block_free_retired(r, t, offset, size);
	sas_store_release_u64(&entry->block, error ? block & ~STATE : 0);
	return error;
}

/* block_lock held. 1: the entry is cleared; 0: it stays; -errno. */
static int free_entry(struct sas_region *r, struct sas_thread *t, struct sas_run_limbo_entry *entry)
{
	uint32_t self = (uint32_t)sas_thread_slot(t, r) + 1;
	uint64_t block = sas_load_relaxed_u64(&entry->block);
	int error, what = IS_FREED;

	if (block & STATE)
		what = resolve(r, self, entry, block);
	if (what == STAYS)
		return 0;
	if (what == GOES)
		sas_store_release_u64(&entry->block, 0);
	error = what == IS_FREED ? free_block(r, t, entry, block) : 0;
	if (error)
		return error;
	count_frees(&r->run->threads[self - 1], -1, -(int64_t)size_of(block));
	return 1;
}

static int is_ready(const struct sas_run_limbo_entry *entry, uint64_t safe)
{
	uint64_t block = sas_load_relaxed_u64(&entry->block);

	return block && ((block & STATE) || sas_load_relaxed_u64(&entry->epoch) < safe);
}

/* Up to a batch of a page's entries from *at on. How many were freed. */
static long free_batch(struct sas_region *r, struct sas_thread *t, struct sas_run_limbo *page, uint64_t safe, uint32_t *at)
{
	long count = 0;
	int cleared = 0, error = sas_block_lock(r, t);

	if (error)
		return error;
	sas_err_defer();
	for (uint32_t n = 0; n < BATCH && *at < SAS_RUN_LIMBO_ENTRIES && cleared >= 0; ++*at) {
		if (!is_ready(&page->entries[*at], safe))
			continue;
		cleared = free_entry(r, t, &page->entries[*at]);
		count += cleared > 0;
		n++;
	}
	sas_block_unlock(r, t);
	sas_err_flush();
	return cleared < 0 ? cleared : count;
}

static int has_ready(const struct sas_run_limbo *page, uint64_t safe, uint32_t *at)
{
	while (*at < SAS_RUN_LIMBO_ENTRIES && !is_ready(&page->entries[*at], safe))
		++*at;
	return *at < SAS_RUN_LIMBO_ENTRIES;
}

static int is_empty(const struct sas_run_limbo *page)
{
	for (uint32_t i = 0; i < SAS_RUN_LIMBO_ENTRIES; i++)
		if (sas_load_relaxed_u64(&page->entries[i].block))
			return 0;
	return 1;
}

static long free_page(struct sas_region *r, struct sas_thread *t, struct sas_run_limbo *page, uint64_t safe)
{
	long count = 0;
	uint32_t at = 0;

	while (has_ready(page, safe, &at)) {
		long freed = free_batch(r, t, page, safe, &at);

		if (freed < 0)
			return freed;
		count += freed;
	}
	return count;
}

/* --- what the dead left */

static void adopt_page(struct sas_region *r, struct sas_limbo *l, uint32_t number, uint32_t slot)
{
	struct sas_run_limbo *page = page_at(r->run, number);
	uint32_t owner = SAS_RUN_ORPHAN;

	if (!sas_cas_acq_rel_u32(&page->owner, &owner, slot + 1))
		return;
	/* In front: it waits longest, and the last page is the one that is being filled. */
	if (l->page_count == 0)
		l->fill = SAS_RUN_LIMBO_ENTRIES;
	if (add_page(l, number, 1) != 0) {
		sas_store_release_u32(&page->owner, SAS_RUN_ORPHAN);
		return;
	}
	for (uint32_t i = 0; i < SAS_RUN_LIMBO_ENTRIES; i++) {
		uint64_t block = sas_load_relaxed_u64(&page->entries[i].block);

		if (block)
			count_frees(&r->run->threads[slot], 1, (int64_t)size_of(block));
	}
}

static void adopt(struct sas_region *r, struct sas_limbo *l, uint32_t slot)
{
	struct sas_run_header *h = r->run->header;
	int64_t number = -1;

	if (!sas_load_acquire_u32(&h->epoch_orphans) || !sas_exchange_acq_rel_u32(&h->epoch_orphans, 0))
		return;
	while ((number = sas_run_page_next(r->run, SAS_RUN_ORPHAN, SAS_RUN_PAGE_LIMBO, (uint32_t)(number + 1))) >= 0)
		adopt_page(r, l, (uint32_t)number, slot);
}

uint64_t sas_limbo_oldest_free(const struct sas_limbo *l)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; l->page_count && i < SAS_RUN_LIMBO_ENTRIES; i++) {
		const struct sas_run_limbo_entry *entry = &page_at(l->run, l->pages[0])->entries[i];

		if (sas_load_relaxed_u64(&entry->block) && sas_load_relaxed_u64(&entry->epoch) < oldest)
			oldest = sas_load_relaxed_u64(&entry->epoch);
	}
	return oldest;
}

/* Pages ascend by tag, so the first that keeps an entry ends it. */
long sas_limbo_free_ready(struct sas_region *r, struct sas_thread *t, struct sas_limbo *l)
{
	uint64_t safe = sas_epoch_safe(r->run);
	uint32_t done = 0, kept;
	long count = 0;

	l->frees_since = 0;
	adopt(r, l, (uint32_t)sas_thread_slot(t, r));
	while (done < l->page_count) {
		uint32_t number = l->pages[done];
		long freed = free_page(r, t, page_at(r->run, number), safe);

		if (freed < 0 && count == 0)
			count = freed;
		else if (freed > 0)
			count += freed;
		if (freed < 0 || !is_empty(page_at(r->run, number)))
			break;
		sas_run_page_give(r->run, number);
		done++;
	}
	kept = l->page_count - done;
	for (uint32_t i = 0; done && i < kept; i++)
		l->pages[i] = l->pages[i + done];
	l->page_count = kept;
	if (count > 0)
		sas_fetch_add_relaxed_u64(&r->run->threads[sas_thread_slot(t, r)].counters.reclaimed, (uint64_t)count);
	return count;
}

void sas_epoch_orphans(const struct sas_run *run, uint64_t *frees, uint64_t *bytes)
{
	int64_t number = -1;

	*frees = *bytes = 0;
	while ((number = sas_run_page_next(run, SAS_RUN_ORPHAN, SAS_RUN_PAGE_LIMBO, (uint32_t)(number + 1))) >= 0)
		for (uint32_t i = 0; i < SAS_RUN_LIMBO_ENTRIES; i++) {
			uint64_t block = sas_load_acquire_u64(&page_at(run, (uint32_t)number)->entries[i].block);

			if (!block)
				continue;
			++*frees;
			*bytes += size_of(block);
		}
}

/* --- nobody writes */

/* block_lock held. Whatever is retired may go, whoever did it. */
static int reap_page(struct sas_region *r, struct sas_run_limbo *page)
{
	for (uint32_t i = 0; i < SAS_RUN_LIMBO_ENTRIES; i++) {
		uint64_t block = sas_load_acquire_u64(&page->entries[i].block);
		int error = 0;

		if (block && sas_block_is_retired(r, block & OFFSET, size_of(block)))
			error = sas_block_reap(r, block & OFFSET, size_of(block));
		if (error)
			return error;
		sas_store_release_u64(&page->entries[i].block, 0);
	}
	return 0;
}

static int is_left(const struct sas_run *run, uint32_t number)
{
	const struct sas_run_page *page = &run->pages[number];

	return sas_load_acquire_u32(&page->owner) != 0 && __atomic_load_n(&page->kind, __ATOMIC_ACQUIRE) == SAS_RUN_PAGE_LIMBO;
}

int sas_epoch_left(const struct sas_run *run)
{
	uint32_t top = sas_load_acquire_u32(&run->header->page_top);

	for (uint32_t n = 0; n < top && n < SAS_RUN_PAGES; n++)
		if (is_left(run, n))
			return 1;
	return 0;
}

int sas_epoch_reap_locked(struct sas_region *r)
{
	uint32_t top = sas_load_acquire_u32(&r->run->header->page_top);
	int error = 0;

	for (uint32_t n = 0; n < top && n < SAS_RUN_PAGES && !error; n++) {
		if (!is_left(r->run, n))
			continue;
		error = reap_page(r, page_at(r->run, n));
		if (!error)
			sas_run_page_give(r->run, n);
	}
	return error;
}

int sas_epoch_reap(struct sas_region *r)
{
	int error;

	if (!sas_epoch_left(r->run))
		return 0;
	error = sas_block_lock_raw(r);
	if (error)
		return error;
	error = sas_epoch_reap_locked(r);
	sas_block_unlock_raw(r);
	return error;
}
