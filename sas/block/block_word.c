/* SPDX-License-Identifier: MIT */
/*
 * block_word.c - blocks that come and go together with a word that names them. Layer 3.
 *
 * Taking: the intent allocates a block of the runtime's own (ALLOC: undone until it is committed). Redo records make it the caller's, and
 * store its address in the word: both count from the store of COMMITTED.
 * Giving: the block becomes the runtime's own, which nobody else frees by mistake (an undo record); redo records free it, and make the
 * word 0.
 *
 * Locks: block_lock from the begin of the intent to its end: who finds its holder dead recovers before anything is allocated, so that a
 *   recovery which is repeated finds what the first one left.
 * Crash: before COMMITTED neither, after it both. The dead one's log is recovered before its locks are others', and before
 *   sas_owner_lives() says that it is dead. The index is covered by REINDEX.
 */
#include <config.h>

#include <errno.h>
#include "block.h"
#include "ground/err.h"
#include "index.h"
#include "media/persist.h"
#include "region/runtime.h"

static int entry_of(struct sas_region *r, uint64_t offset, uint64_t size, uint32_t **entry)
{
	struct sas_map map;
	uint64_t unit;
	int error = sas_block_map_of(r, offset, size, &map, &unit);

	if (!error)
		*entry = map.entries + unit * map.stride;
	return error;
}

/* Both at once, when the intent is committed. */
static int record(struct sas_intent *intent, uint32_t *entry, uint32_t value, uint64_t *word, uint64_t names)
{
	int error = sas_intent_redo(intent, entry, &value, sizeof value);

	return error ? error : sas_intent_redo(intent, word, &names, sizeof names);
}

static int begin(struct sas_region *r, struct sas_thread *t, struct sas_intent *intent)
{
	int error = sas_block_lock(r, t);

	if (error)
		return error;
	sas_err_defer();
	error = sas_intent_begin(r, (uint64_t)sas_thread_slot(t, r), intent);
	if (error) {
		sas_block_unlock(r, t);
		sas_err_flush();
	}
	return error;
}

static void end(struct sas_region *r, struct sas_thread *t)
{
	sas_block_unlock(r, t);
	sas_err_flush();
}

static int take_once(struct sas_region *r, struct sas_thread *t, uint64_t size, uint64_t *word)
{
	struct sas_intent intent;
	uint32_t *entry;
	uint64_t offset;
	int error = begin(r, t, &intent);

	if (error)
		return error;
	error = sas_block_take_undoable(&intent, t, size, &offset);
	if (error) {
		sas_intent_commit(&intent);     /* it has undone what it did */
	} else {
		error = entry_of(r, offset, size, &entry);
		if (!error)
			error = record(&intent, entry, sas_entry(SAS_M_USED, sas_block_order(r, size), r->generation), word,
				       r->base + offset);
		if (!error)
			error = sas_intent_commit(&intent);
	}
	end(r, t);
	return error;
}

int sas_block_take_word(struct sas_region *r, struct sas_thread *t, uint64_t size, uint64_t *word)
{
	int error = take_once(r, t, size, word);

	/* What the dead had in hand is free when they are recovered. */
	if ((error == -ENOMEM || error == -ENOSPC) && !sas_has_seized(t, r) && sas_recover(r) > 0)
		error = take_once(r, t, size, word);
	if (!error)
		sas_run_count(&t->member[r->number].place->counters.allocations);
	return error;
}

/* The block is free: what is known of its bytes. */
static void clear(struct sas_region *r, uint64_t offset, uint64_t size)
{
	struct sas_map map;
	uint64_t unit;

	if (sas_block_clear_head(r, offset) == 0 && sas_block_map_of(r, offset, size, &map, &unit) == 0)
		sas_tile_free(&map, unit, sas_block_order(r, size), SAS_M_FREED);
}

/* Nobody looks at the index before we let go of block_lock, nor before our log is recovered. */
static void give_to_index(struct sas_region *r, uint64_t offset, uint64_t size)
{
	uint64_t n = sas_segment_of(r, offset);
	struct sas_buddy *b;

	if (sas_index_region(r, &b) != 0)
		return;
	if (size >= r->segment_size) {
		sas_buddy_give(b, n, sas_block_order(r, size));
	} else if (sas_index_segment(r, n, &b) == 0) {
		sas_buddy_give(b, (offset & (r->segment_size - 1)) >> SAS_M_UNIT_SHIFT, sas_block_order(r, size));
		sas_index_update(r, n);
	} else {
		sas_index_carved(r, n);
	}
}

/* REINDEX comes last, as redo goes forward: the index is made from the map after the block is free there. */
static int record_free(struct sas_intent *intent, uint32_t *entry, uint32_t order, uint64_t *word, uint64_t offset)
{
	int error = sas_intent_undo(intent, entry, sizeof *entry);

	if (!error)
		error = record(intent, entry, sas_entry(SAS_M_DIRTY, order, 0), word, 0);
	return error ? error : sas_intent_note(intent, SAS_M_RECORD_REINDEX, offset, NULL, 0);
}

/* The intent has records of what is not going to be. */
static void forget(struct sas_region *r, struct sas_thread *t, struct sas_intent *intent)
{
	if (sas_intent_begin(r, (uint64_t)sas_thread_slot(t, r), intent) == 0)
		sas_intent_commit(intent);
}

static int free_named(struct sas_region *r, struct sas_thread *t, struct sas_intent *intent, uint64_t offset, uint64_t size, uint64_t *word)
{
	uint32_t order = sas_block_order(r, size), *entry, used;
	int error = sas_block_check_in_use(r, offset, size);

	if (!error)
		error = entry_of(r, offset, size, &entry);
	if (error) {
		sas_intent_commit(intent);
		return error;
	}
	used = sas_m_load_acquire_u32(entry);
	error = record_free(intent, entry, order, word, offset);
	if (!error && (sas_entry_state(used) != SAS_M_USED || sas_entry_order(used) != order || sas_entry_generation(used) == 0 ||
		       !sas_m_cas_acq_rel_u32(entry, used, sas_entry(SAS_M_USED, order, 0))))
		error = sas_fail(ENOENT, "another thread frees the block at %#llx", (unsigned long long)(r->base + offset));
	if (error) {
		forget(r, t, intent);
		return error;
	}
	give_to_index(r, offset, size);
	error = sas_intent_commit(intent);
	if (!error)
		clear(r, offset, size);
	return error;
}

int sas_block_give_word(struct sas_region *r, struct sas_thread *t, uint64_t size, uint64_t *word)
{
	uint64_t offset = sas_m_load_acquire_u64(word) - r->base;
	struct sas_intent intent;
	int error = sas_block_check_shape(r, offset, size);

	if (!error && offset >= r->end - r->base)
		error = sas_fail(ENOENT, "the word at %p names no block", (void *)word);
	if (!error)
		error = begin(r, t, &intent);
	if (error)
		return error;
	error = free_named(r, t, &intent, offset, size, word);
	end(r, t);
	if (!error)
		sas_run_count(&t->member[r->number].place->counters.frees);
	return error;
}
