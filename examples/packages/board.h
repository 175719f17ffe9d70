/* SPDX-License-Identifier: MIT */
/*
 * board.h - what the updater, the readers and the killer share beside the region: memory that the
 * killer makes and the others inherit.
 *
 * It outlives the updater, so the killer reads from it what a dead one had acknowledged and whether
 * it died inside the library. It is run-time state: a copy of the region does not need it. It is no
 * file on a disk, whose writing back would hold up readers that announce their eras in it.
 */
#ifndef PACKAGES_BOARD_H
#define PACKAGES_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

#define BOARD_READERS 8
#define BOARD_CHANGES 65536

enum call { CALL_NONE, CALL_JOIN, CALL_LIST, CALL_ALLOC, CALL_FREE, CALLS };
enum action { ACTION_ADD = 1, ACTION_REPLACE = 2, ACTION_REMOVE = 3 };

/* The gaps between the steps of a change; a kill between two stores is rare unless one lingers there. */
enum gap {
	GAP_ALLOCATED,
	GAP_FILLED,
	GAP_LINKED,
	GAP_PUBLISHED,
	GAP_ACKNOWLEDGED,
	GAP_RETIRED,
	GAP_TAKEN_OFF,
	GAPS
};

struct change {
	uint64_t sequence;
	uint64_t number;                        /* of the package */
	uint64_t action;                        /* enum action */
};

struct reader {
	_Alignas(64) _Atomic uint64_t era;      /* root->era when its query began; 0: it is in none */
	_Atomic uint64_t generation;            /* blocks that carry it are in good hands */
	_Atomic uint64_t queries, calls, wrong;
	_Atomic uint64_t longest_query, longest_call;   /* nanoseconds */
	_Atomic uint64_t longest_pause;                 /* the same in work that touches no region */
};

struct board {
	_Atomic uint64_t inside;                /* the library call that the updater is in: enum call */
	_Atomic uint64_t ready;                 /* this updater has cleaned up after its predecessor */
	uint64_t seed;                          /* of all changes */
	_Atomic uint64_t stop;                  /* readers leave */
	_Atomic uint64_t sequence;              /* of the last change that any updater began */
	_Atomic uint64_t begun, acknowledged;   /* of this updater's changes[]; differ by one at most */
	struct change changes[BOARD_CHANGES];
	struct reader readers[BOARD_READERS];
};

/* Around each library call of the updater. */
static inline void board_enter(struct board *board, enum call call)
{
	atomic_store_explicit(&board->inside, (uint64_t)call, memory_order_release);
}

static inline void board_leave(struct board *board)
{
	atomic_store_explicit(&board->inside, CALL_NONE, memory_order_release);
}

#endif
