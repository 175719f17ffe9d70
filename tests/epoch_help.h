/* SPDX-License-Identifier: MIT */
/*
 * epoch_help.h - what the tests of epochs share: a region, a reader that stays as long as it is told, calls that count.
 */
#ifndef EPOCH_HELP_H
#define EPOCH_HELP_H

#include <sasepoch.h>
#include "fixture.h"

#define RETIRED SAS_GENERATION_RETIRED

/* A checked fixture begins so, and ends with region_end(). */
void epoch_begin(void);
SASEpochInfo epoch_info(void);
/* Blocks in use that were not at the beginning. */
uint64_t blocks(void);
/* Memory that children share. */
void *shared(size_t size);

/* Two steps of another process: it says that it is there, and waits to go on. */
struct steps { int reached, go; };

static inline void step_reach(struct steps *s, int n) { __atomic_store_n(&s->reached, n, __ATOMIC_SEQ_CST); }
static inline void let_go(int *step, int n) { __atomic_store_n(step, n, __ATOMIC_SEQ_CST); }
static inline int step_is(const int *step, int n) { return __atomic_load_n(step, __ATOMIC_SEQ_CST) >= n; }
static inline void step_await(const int *step, int n) { must(until(step_is(step, n), PATIENCE)); }

/* A section from the first step to the second, of a thread; of a process. */
void *read_in_thread(void *steps);
void read_in_process(void *steps);

/* A deferred call, and how many were made. */
void add_one(void *arg);
int counted(void);

#endif
