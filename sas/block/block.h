/* SPDX-License-Identifier: MIT */
/*
 * block.h - the block allocator. Layer 3.
 *
 * Blocks of less than a segment come from carved segments, by the 4 KiB units of the segment's
 * block map; larger ones are runs of whole segments, by the segment table. Both are the same
 * algorithm: take a run from the index, isolate it in the map, publish it with one store. What is at most 64 KiB
 * comes from the free tiles that the thread has in hand (lease.h), without a lock; here they are fetched.
 *
 * State: the block maps in the media (tiles.h), and the index derived from them (index.h).
 *
 * Locks: block_lock for everything that changes, but for what lease.h does; sas_block_find() takes none.
 * Crash: alloc publishes with the store in sas_tile_use(): before it the space is free, after it the
 *   block is the (dead) caller's, with its generation. free publishes with the first store in
 *   sas_tile_free(). The index is covered by the intent REINDEX, recorded before it is touched.
 * Multi-host: the maps and the table are covered by the address lock of the state page.
 */
#ifndef SAS_BLOCK_H
#define SAS_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include "run/log.h"
#include "region/runtime.h"

/* --- block.c: allocating, finding */
int sas_block_alloc(struct sas_region *r, uint64_t size, uint64_t *offset);
/* Within the intent of thread slot `slot`: a block of the runtime's own; undone when the intent is. table_lock held. */
int sas_block_take(struct sas_intent *intent, uint64_t slot, uint64_t size, uint64_t *offset);
/* The same with block_lock held: the intent is over before that is given back. -EINVAL: no block has such a size. */
int sas_block_take_undoable(struct sas_intent *intent, struct sas_thread *t, uint64_t size, uint64_t *offset);
/* The block in use that holds an address: its start and size. -EFAULT, -ENOENT. Async-signal-safe, no lock. */
int sas_block_find(const void *address, uint64_t *start, uint64_t *size);
/* The first 4 KiB of a block are zero when it is handed out. */
int sas_block_clear_head(struct sas_region *r, uint64_t offset);
/* In units of 1 << shift bytes. */
static inline uint32_t sas_order_of(uint64_t size, unsigned shift)
{
	return (uint32_t)__builtin_ctzll(size) - shift;
}

/* --- block_free.c */
int sas_block_free(struct sas_region *r, uint64_t offset, uint64_t size);
/* -ENOENT, -EINVAL, -EPERM: no such block is in use, or it is not the program's. */
int sas_block_check_in_use(struct sas_region *r, uint64_t offset, uint64_t size);
/* The map that holds the block's entry, and where. */
int sas_block_map_of(struct sas_region *r, uint64_t offset, uint64_t size, struct sas_map *map, uint64_t *unit);
uint32_t sas_block_order(const struct sas_region *r, uint64_t size);
/* EINVAL: no block can be of this size, and begin there. */
int sas_block_check_shape(const struct sas_region *r, uint64_t offset, uint64_t size);
/* Frees that are deferred (epoch_free.c): a retired block is in use, with SAS_M_GENERATION_RETIRED. */
int sas_block_is_retired(struct sas_region *r, uint64_t offset, uint64_t size);
/* Checks as sas_block_free(), and retires it. In a call; no lock needed. */
int sas_block_retire(struct sas_region *r, uint64_t offset, uint64_t size);
/* Free one that is. block_lock held. */
int sas_block_free_retired(struct sas_region *r, struct sas_thread *t, uint64_t offset, uint64_t size);
/* The same for who has no slot, as nobody writes beside it. block_lock held. */
int sas_block_reap(struct sas_region *r, uint64_t offset, uint64_t size);

/* --- block_word.c: blocks that come and go together with a word that names them; in a call, the word in the region and mapped */
int sas_block_take_word(struct sas_region *r, struct sas_thread *t, uint64_t size, uint64_t *word);
int sas_block_give_word(struct sas_region *r, struct sas_thread *t, uint64_t size, uint64_t *word);

/* --- block_lock.c */
/* block_lock, after recovery of a holder that died. Not for a thread that holds it. */
int sas_block_lock(struct sas_region *r, struct sas_thread *t);
void sas_block_unlock(struct sas_region *r, struct sas_thread *t);
/* For who holds table_lock, in the name of thread slot `slot`; ended by sas_block_unlock_unseized(). */
int sas_block_lock_beside_table(struct sas_region *r, int slot);
/* For recovery, which runs while the lock's state is in doubt: takes it as it is. */
int sas_block_lock_raw(struct sas_region *r);
int sas_block_trylock_raw(struct sas_region *r);
void sas_block_unlock_raw(struct sas_region *r);
/* For who gives back what it leases, in the name of thread slot `slot` (-1: nobody's): not while somebody has seized the
 * region (-EBUSY), nor while a dead holder waits for recovery (-EAGAIN). No sentence. */
int sas_block_lock_unseized(struct sas_region *r, int slot);
void sas_block_unlock_unseized(struct sas_region *r);
/* SASSeize(): the thread holds block_lock across calls, in the run file that it was taken in. */
static inline int sas_has_seized(const struct sas_thread *t, const struct sas_region *r)
{
	return t->seized && t->seized == r->run;
}
void sas_block_release_seized(struct sas_thread *t);

/* --- block_list.c */
struct SASBlockInfo;
/* malloc'd, ascending by address. */
int sas_block_list(struct sas_region *r, int kind, struct SASBlockInfo **list, size_t *count);

#endif
