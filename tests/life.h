/* SPDX-License-Identifier: MIT */
/*
 * life.h - the life of a region in steps, each of which may fail; for tests of what goes wrong in them.
 */
#ifndef TESTS_LIFE_H
#define TESTS_LIFE_H

#include "help.h"

#define LARGE (2 * HELP_SEGMENT)
#define FREES 300U      /* more than a page of SAS.run names */

struct life {
	char *store;
	sas_durability_t durability;
	int failed;                     /* the step gave its failure value */
	SASRegion_t region;
	void *small, *half, *large;
	void *blocks[FREES];            /* to be freed when nobody reads */
	unsigned count;
	int classic;                    /* joined by the classic call as well */
	struct other *other;            /* a thread that holds a lock */
};


/* What a run finds wrong: told with what it is, and the process ends. */
extern char context[256];
void expect(int holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ENDS 1          /* it may leave the region half removed, and the handle gone */
#define MUTE 2          /* gives errno, but no sentence */
#define STARTS 4        /* another life begins */
#define FAULTS 8        /* no call: gives neither */

extern const struct step {
	const char *name;
	void (*take)(struct life *l);
	const char *page;               /* says what errors it may give */
	int kind;
} steps[];
extern const int step_count;

/* The steps from this one to before that one; they succeed. */
void life_steps(struct life *l, int from, int to);
/* Those of its life before this one. */
void life_until(struct life *l, int step);
/* What the thread holds, and is in, ends; the other thread ends. */
void life_let_go(struct life *l);

/* Some of them. */
void life_create(struct life *l);
void life_alloc_large(struct life *l);
void life_leave(struct life *l);

#endif
