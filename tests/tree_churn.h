/* SPDX-License-Identifier: MIT */
/*
 * tree_churn.h - a tree that several change while others read, and what each of them may see.
 *
 * One key in CHURN_GAP stays; all others come and go. Each of these belongs to one writer, who knows what it has done: first it notes in memory
 * that all share what it is about to do, then that it is done. So of a writer that dies one change alone is in doubt, and who takes
 * its place looks. Readers know the keys that stay: they are always found, and a cursor meets each of them once.
 */
#ifndef TREE_CHURN_H
#define TREE_CHURN_H

#include "fixture.h"
#include "sph/tree/tree.h"

#define CHURN_GAP 64U
#define CHURN_STAY 200U
#define CHURN_KEYS (CHURN_GAP * CHURN_STAY)
#define CHURN_WRITERS 4U

struct churn {
	SASBlockHeader *tree;
	uint32_t stop;
	uint64_t changes, passes, doubts;       /* done; by readers; of the dead */
	uint64_t value[CHURN_KEYS];             /* 0: not there */
	struct churn_change { uint64_t key, before, after; } doing[CHURN_WRITERS];      /* key 0, which stays: nothing */
	uint64_t sequence[CHURN_WRITERS];
};

/* In memory that children share, with a tree in the region of the fixture. */
struct churn *churn_make(void);
/* One round of a writer's changes: some keys that lie together come, or go, or get other values. */
void churn_write(struct churn *c, unsigned writer, uint64_t *random);
/* Who takes the place of a dead writer. */
void churn_resume(struct churn *c, unsigned writer);
/* One pass of a reader. */
void churn_read(struct churn *c, uint64_t *random);
/* When all is quiet: no problem, and each key is as its writer has left it. */
void churn_judge(struct churn *c);

#endif
