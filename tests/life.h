/* SPDX-License-Identifier: MIT */
/*
 * life.h - the life of a region in steps, each of which may fail; for tests of what goes wrong in them.
 */
#ifndef TESTS_LIFE_H
#define TESTS_LIFE_H

#include "help.h"

#define LARGE (2 * HELP_SEGMENT)

struct life {
	char *store;
	sas_durability_t durability;
	int failed;                     /* the step gave its failure value */
	SASRegion_t region;
	void *small, *half, *large;
};


/* What a run finds wrong: told with what it is, and the process ends. */
extern char context[256];
void expect(int holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ENDS 1          /* it may leave the region half removed, and the handle gone */
#define MUTE 2          /* gives errno, but no sentence */
#define JOINS 4         /* not joined before it */

extern const struct step {
	const char *name;
	void (*take)(struct life *l);
	int kind;
} steps[];
extern const int step_count;

/* All steps before this one; they succeed. */
void take_until(struct life *l, int step);

/* Some of them. */
void life_create(struct life *l);
void life_alloc_large(struct life *l);
void life_leave(struct life *l);

#endif
