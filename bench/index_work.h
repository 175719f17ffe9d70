/* SPDX-License-Identifier: MIT */
/*
 * index_work.h - processes that work on a peer's trees: each does one order after the other, and says how long it took. So the
 * peers of bench_index take turns, and two of them work at the same time.
 */
#ifndef BENCH_INDEX_WORK_H
#define BENCH_INDEX_WORK_H

#include <sys/types.h>
#include "index_keys.h"

enum work {
	WORK_OPEN, WORK_ATTACH, WORK_CLOSE,     /* make a tree; open the one that another process has made; destroy it */
	WORK_PUT, WORK_PUT_ORDERED, WORK_LOOK, WORK_MISS, WORK_REMOVE,  /* keys [from, to) */
	WORK_SCAN, WORK_LOAD,                   /* all */
	WORK_BYTES,
	WORK_READ_FOR, WORK_WRITE_FOR,          /* from the time `from` until the time `to`, in ns: lookups; puts and removals */
};

#define WORK_TREES 2U
struct order { enum work work; unsigned tree; uint64_t from, to; };
struct answer { uint64_t ns, count; };          /* count: operations done, or bytes */

struct worker { pid_t pid; int wire; };

/* It opens its trees in the directory `store`. */
void worker_start(struct worker *w, const struct index_peer *peer, const struct key_set *set, const char *store);
/* An order, and the answer to it: other workers may get theirs between the two. */
void worker_tell(struct worker *w, struct order order);
struct answer worker_hear(struct worker *w);
struct answer worker_do(struct worker *w, struct order order);
/* Trees that it has not closed stay in the store. */
void worker_stop(struct worker *w);

#endif
