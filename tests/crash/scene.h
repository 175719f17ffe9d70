/* SPDX-License-Identifier: MIT */
/*
 * scene.h - what the processes of one crash test know in common, in memory that they share.
 *
 * The model: the blocks that were in use before the operation. Each is filled with words that say their own
 * address, so that a block's content can be checked wherever it turns up, and lost or mixed words are seen.
 */
#ifndef CRASH_SCENE_H
#define CRASH_SCENE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include "sasregion.h"

#define SCENE_BASE 0x565800000000UL     /* free also under the sanitizers and valgrind */
#define SCENE_BLOCKS 512
#define SCENE_WORDS 8

struct block {
	uint64_t address, size;
	uint32_t generation;
	uint32_t written;               /* it holds the pattern */
};

struct op;
struct scene {
	const struct op *op;
	struct block blocks[SCENE_BLOCKS];      /* in use before the operation, ascending by address */
	size_t count;
	struct block victim;            /* what the operation frees; the address is 0: nothing */
	uint64_t finder;                /* before the operation */
	uint64_t words[SCENE_WORDS];    /* addresses of words that the operation changes */
	size_t word_count;
	int verdict;                    /* of a judge: 0 nothing has happened, 1 and up: how far it is */
	int torn;                       /* the check told of problems before the join */
	int failed;
	char sentence[768];             /* why */
	uint64_t killed_ns;             /* when the process was killed; 0: it lives */
	uint64_t longest_ns;            /* of a peer's calls, from when nobody stood in its way any more */
};

struct scene *scene_new(void);
/* Ends this process of the scene: the sentence says what is wrong. */
void scene_fail(struct scene *s, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* The last failure of the library in a sentence of the scene. */
void scene_fail_call(struct scene *s, const char *call) __attribute__((noreturn));
/* In a child: 0; in the parent its pid. The child ends with the parent, and after `seconds` at the latest. */
int scene_fork(unsigned seconds);
/* SAS_TEST_SEED, or another one in each run. */
unsigned scene_seed(void);
/* Wait for it. 0: it ended well; else the scene has a sentence. */
int scene_wait(struct scene *s, int pid, const char *what);

/* --- model.c */
void pattern_fill(uint64_t address, uint64_t size);
/* 0: all is there; else the address of the first word that is not. */
uint64_t pattern_check(uint64_t address, uint64_t size);

/* Allocate a block, fill it, and note it. */
uint64_t model_alloc(struct scene *s, SASRegion_t region, uint64_t size);
/* Free a noted block. */
void model_free(struct scene *s, uint64_t address);
/* Note all that is in use now, also the runtime's own. */
void model_take(struct scene *s, SASRegion_t region);

struct found {
	struct block added[8], removed[8];
	size_t adds, removes;
};
/* What is in use now against the model; the content of all blocks that are in both is checked. */
void model_compare(struct scene *s, SASRegion_t region, struct found *found);
/* Allocate all that is free and give it back: the runtime's index must know all that its maps have. */
void model_exhaust(struct scene *s, SASRegion_t region);

#endif
