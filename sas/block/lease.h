/* SPDX-License-Identifier: MIT */
/*
 * lease.h - free blocks that a thread has in hand, so that it allocates and frees without a lock. Layer 3.
 *
 * A thread leases free tiles of up to 64 KiB in batches, under block_lock. They leave the index, and their entries in the
 * block map carry the thread's tag (run_lease.h). From then on only that thread changes these entries:
 *
 *   allocate    {FREED, order, tag} -> {USED, order, generation}: one store publishes the block
 *   free        {USED, order, generation} -> {DIRTY, order, tag}, by compare and swap, as other threads may free the same block
 *               by mistake; the first 4 KiB are cleared; then {FREED, order, tag}
 *
 * Whoever frees gets the tile, whoever allocated the block. What is too much goes back to the index in batches.
 *
 * What a thread leases at most, of each of the five sizes: 512 KiB, or 1/64 of a segment where that is less. So 2.5 MiB of a
 * region with segments of 32 MiB or more may be free and in other threads' hands when an allocation finds no space; its own
 * leases, and those of the dead, are given back first.
 *
 * Only in regions of durability `process`: elsewhere each of these stores waits for a disk.
 *
 * Locks: block_lock in the calls whose comment says so. sas_lease_alloc() and sas_lease_free() take none.
 *   Seizing: SASSeize() must keep them out. They store `lease_busy` in the thread's slot and then load `seized`; who
 *   seizes stores `seized`, has every running thread execute a fence (membarrier), and then loads all lease_busy. So a
 *   thread whose load of `seized` gave 0 had stored lease_busy before that fence, and is waited for; any other goes the slow
 *   way, and waits for block_lock. Where the kernel has no membarrier, both sides store and load in one total order.
 * Signals: not safe in handlers; the frame refuses re-entry.
 * Fork: the tiles stay the parent's; the child forgets them.
 * Crash: the map is right after each of the stores above: a tile is free until it is USED, and free from DIRTY on. The
 *   dead thread's slot lists the segments that it leased from (run_lease.h): recovery makes their indexes stale, and as the tags
 *   mean nothing any more, they are built with its tiles as free. No intent is needed: the list is written before, and erased
 *   after, any of it.
 * Multi-host: the tags name thread slots of one host; a lease would carry the host's number as well.
 */
#ifndef SAS_LEASE_H
#define SAS_LEASE_H

#include <stdint.h>
#include "region/runtime.h"

#define SAS_LEASE_ORDERS 5U             /* 4 KiB to 64 KiB */
#define SAS_LEASE_BYTES (512UL << 10)   /* of each order */
#define SAS_LEASE_TILES (SAS_LEASE_BYTES >> SAS_M_UNIT_SHIFT)

/* Blocks of this size may be leased. */
int sas_lease_fits(uint64_t size);
/* --- without a lock. 1: done; 0: by the slow way, which also finds the errors. */
int sas_lease_alloc(struct sas_region *r, uint64_t size, uint64_t *offset);
int sas_lease_free(struct sas_region *r, uint64_t offset, uint64_t size);

/* The calling thread's, for blocks of this size. NULL: they are not leased here. Not under block_lock: the first one of a
 * process with several threads waits milliseconds for the kernel. */
struct sas_lease *sas_lease_get(struct sas_region *r, struct sas_thread *t, uint64_t size);

/* --- block_lock held */
/* Any that it has. NULL: none. */
struct sas_lease *sas_lease_own(const struct sas_thread *t, const struct sas_region *r);
/* A tile for a block of this size is there. */
int sas_lease_has(const struct sas_lease *l, uint64_t size);
/* How many tiles to fetch now: 0 while there are some. */
unsigned sas_lease_wants(struct sas_lease *l, uint32_t order);
/* Segment n, whose index is built, is about to have tiles leased. */
void sas_lease_list(struct sas_region *r, struct sas_lease *l, uint64_t n);
/* A free run of a listed segment, taken from its index. The last one added is allocated first. -EUCLEAN. */
int sas_lease_add(struct sas_region *r, struct sas_lease *l, const struct sas_map *map, uint64_t offset, uint32_t order);
/* Allocate one of those in hand. */
uint64_t sas_lease_take(struct sas_region *r, struct sas_lease *l, uint32_t order);
/* Free a block of a listed segment, one that is in use or (retired) one whose free was deferred. 0: it is none of this size any more. */
int sas_lease_give(struct sas_region *r, struct sas_lease *l, uint64_t offset, uint32_t order, int retired);
/* Room for one more. */
void sas_lease_make_room(struct sas_region *r, struct sas_lease *l, uint32_t order);
/* All go back to the index; how many. */
unsigned sas_lease_flush(struct sas_region *r, struct sas_lease *l);
/* The thread has taken block_lock to keep it: no other one allocates or frees from here on. -errno: it must let go. */
int sas_lease_seize(struct sas_region *r, const struct sas_thread *t);

/* --- ends; these take block_lock, unless somebody has seized the region: then the segments stay listed */
/* The calling thread gives up its slot. */
void sas_lease_end(struct sas_region *r, struct sas_thread *t);
/* The process leaves, while threads of it still have slots. table_lock held. */
void sas_lease_abandon(struct sas_region *r);
/* What thread slot `number` lists was a dead thread's, or of one that could not give it back. */
int sas_lease_recover(struct sas_region *r, uint32_t number);
/* A fork's child: they are the parent's. */
void sas_lease_forget(struct sas_lease *l);
void sas_lease_drop(struct sas_lease *l);

#endif
