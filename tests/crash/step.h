/* SPDX-License-Identifier: MIT */
/*
 * step.h - one operation, cut short everywhere.
 *
 * Images: the operation runs in a child, instruction by instruction. After each one that changed bytes of the
 * region, and after each system call, the region's files are what a process sees that opens them after the
 * child's death, or copies them: memory that is shared with the page cache has no other state than the files.
 * So they are copied, without SAS.run, and the copy is verified.
 *
 * Kills: at sampled instructions the child is killed, with a peer in the same region and SAS.run in use, and
 * the peer goes on; of some kills the one that recovers is killed as well, somewhere on its way. So what only
 * the living have (locks, slots, the derived index) is tested as well.
 */
#ifndef CRASH_STEP_H
#define CRASH_STEP_H

#include "ops.h"
#include "trace.h"
#include "watch.h"

#define STEP_POINTS 65536

/* How much is sampled. */
struct step_size {
	unsigned run;           /* images of so many changes by one instruction in a row, then */
	unsigned stride;        /* of each so manieth */
	unsigned kills;         /* per operation */
	unsigned cuts;          /* where an operation ends whose recovery is cut short */
	int far;                /* also where there are many files */
	unsigned one_in;        /* of all those images one in so many, by the seed; 0: all */
	int quick;              /* no instruction is stepped that neither stores nor calls: kills are some way behind one that does */
};

struct step_result {
	uint64_t steps, calls, stores, changes, images, recovered;
	uint64_t kills, survived, longest_ns;
	unsigned failures;
};

struct stepping {
	const struct op *op;
	struct scene *scene;
	struct step_size size;
	struct step_result result;
	uint64_t points[STEP_POINTS];   /* steps after which something had changed */
	size_t point_count;
	struct trace trace;             /* empty where quick */
	uint64_t events;                /* where quick: stores and calls that were met */
	unsigned random, seed;
	unsigned told;                  /* failures printed */
	int verdict;                    /* the last one; of a recovery all are the same */
};

/* All of it for t->op. */
void step_operation(struct stepping *t);
/* kill.c: the kills alone; the region before is there. */
void step_kills(struct stepping *t);

/* --- what both are made of */
static inline unsigned step_draw(unsigned *random, unsigned below)
{
	*random = *random * 1103515245U + 12345U;
	return (*random >> 8) % below;
}
/* Tell of a failure: the scene has the sentence. */
void step_fail(struct stepping *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A fresh copy of the region before. */
void step_work_copy(char path[PATH_MAX]);
/* A child on it, stopped before the operation. 0, or -1 and a failure is told. */
int step_start(struct stepping *t, struct watch *w, const char *path);

#endif
