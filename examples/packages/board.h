/* SPDX-License-Identifier: MIT */
/*
 * board.h - what the updaters, the readers and the killer share beside the region: memory that the
 * killer makes and the others inherit.
 *
 * It outlives them, so the killer reads from it what a dead updater had begun and acknowledged, whether
 * it died inside the library, and whether it held a lock. It is run-time state: a copy of the region does
 * not need it. Each updater and each reader writes its own slot alone; draws and sequence are of all.
 */
#ifndef PACKAGES_BOARD_H
#define PACKAGES_BOARD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_READERS 8
#define BOARD_UPDATERS 8
#define BOARD_CHANGES 65536

enum call {
	CALL_NONE,
	CALL_JOIN,
	CALL_LIST,                              /* SASRegionListBlocks, SASBlockFind */
	CALL_ALLOC,
	CALL_FREE,
	CALL_LOCK,
	CALL_UNLOCK,
	CALL_EPOCH,                             /* SASEpochEnter, SASEpochExit */
	CALL_RETIRE,                            /* SASEpochFree, which also frees what others left */
	CALLS
};
enum action { ACTION_ADD = 1, ACTION_REPLACE = 2, ACTION_REMOVE = 3 };

/* The gaps between the steps of a change; a kill between two stores is rare unless one lingers there. */
enum gap {
	GAP_LOCKED,
	GAP_BEGUN,
	GAP_ALLOCATED,
	GAP_FILLED,
	GAP_LINKED,
	GAP_PUBLISHED,
	GAP_ACKNOWLEDGED,
	GAP_UNLINKED,
	GAPS
};

struct change {
	uint64_t sequence;                      /* of all changes; taken under the lock of the package */
	uint64_t number;                        /* of the package */
	uint64_t action;                        /* enum action */
	uint64_t base;                          /* sequence of the newest version before it; 0: input, none */
	uint64_t depth;                         /* versions before it */
};

struct updater {
	_Alignas(64) _Atomic uint64_t generation;       /* 0: none; blocks that carry it are in good hands */
	_Atomic uint64_t inside;                /* the library call that it is in: enum call */
	_Atomic uint64_t holding;               /* locks that it surely holds */
	_Atomic uint64_t ready;                 /* it has cleaned up after the dead */
	_Atomic uint64_t begun, acknowledged;   /* of changes[]; differ by one at most */
	_Atomic uint64_t waits_since, changes_since;    /* what it is in now; 0: it is in none */
	_Atomic uint64_t longest_wait, longest_change;  /* nanoseconds; of all that have used the slot */
	_Atomic uint64_t freed;                 /* blocks of the dead; of all that have used the slot */
	struct change changes[BOARD_CHANGES];
};

struct reader {
	_Alignas(64) _Atomic uint64_t generation;       /* as an updater's */
	_Atomic uint64_t queries, calls, wrong;
	_Atomic uint64_t longest_query, longest_call;   /* nanoseconds */
	_Atomic uint64_t longest_pause;                 /* the same in work that touches no region */
};

struct board {
	uint64_t seed;                          /* of all changes */
	_Atomic uint64_t updaters_stop;         /* they leave between two changes */
	_Atomic uint64_t readers_stop;
	_Alignas(64) _Atomic uint64_t draws;    /* each says what package a change is about */
	_Atomic uint64_t sequence;              /* of the last change that any updater began */
	struct updater updaters[BOARD_UPDATERS];
	struct reader readers[BOARD_READERS];
};

/* Around each library call of an updater; NULL: the caller is none. */
static inline void board_enter(struct updater *me, enum call call)
{
	if (me != NULL)
		atomic_store_explicit(&me->inside, (uint64_t)call, memory_order_release);
}

static inline void board_leave(struct updater *me)
{
	board_enter(me, CALL_NONE);
}

#endif
