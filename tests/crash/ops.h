/* SPDX-License-Identifier: MIT */
/*
 * ops.h - the operations that are cut short, and what may be found afterwards.
 *
 * Each is a few calls of the library, with a preparation that brings the region to where they do what the
 * name says, and a judge: a process that has joined afterwards, and so recovered, says how far the operation
 * is: 0 nothing of it is to be seen, 1 it is done (2 where it has a middle that is whole as well). All that
 * is neither fails. What the judge says may only grow from one instruction to a later one.
 */
#ifndef CRASH_OPS_H
#define CRASH_OPS_H

#include "scene.h"

#define OP_SPARSE 0x01U         /* blocks take no file space: for large regions */
#define OP_OUTSIDE 0x02U        /* the process has not joined when it starts */
#define OP_ABSENT 0x04U         /* there is no region before */
#define OP_ENDS 0x08U           /* the region that is there comes to its end */
#define OP_PREALLOCATED 0x10U
#define OP_KILL_ONLY 0x20U      /* changes no byte of the media */
#define OP_CUT 0x40U            /* starts from an image of `of`, cut short in the middle of its stores */
#define OP_FAR 0x80U            /* so many files that images are few, or one more of its kind: with size long alone */
#define OP_ALONE 0x100U         /* refused while others have joined: no kills beside a peer */

struct op {
	const char *name;
	unsigned flags;
	uint64_t segments, segment_size;        /* 0: the default of the tests */
	void (*prepare)(struct scene *s, SASRegion_t region);   /* then the region is left */
	void (*begin)(struct scene *s, SASRegion_t region);     /* joined again: before what is watched */
	void (*run)(struct scene *s, const char *path, SASRegion_t region);
	int (*judge)(struct scene *s, SASRegion_t region);
	void (*peer)(struct scene *s, SASRegion_t region);      /* NULL, or a call of a peer on what the operation changes */
	int done;               /* what the judge says of the end */
	const char *of;
};

extern const struct op ops[];
extern const size_t op_count;
const struct op *op_named(const char *name);

/* Options that make the region of this operation. */
void op_options(const struct op *op, SASRegionOptions *o);
uint64_t op_region_size(const struct op *op);
uint64_t op_segment_size(const struct op *op);
/* The calling thread has made a call that changes something and leaves nothing. */
void op_warm(struct scene *s, SASRegion_t region);

/* --- judges.c */
int judge_alloc(struct scene *s, SASRegion_t region);
int judge_free(struct scene *s, SASRegion_t region);
int judge_same(struct scene *s, SASRegion_t region);
int judge_finder(struct scene *s, SASRegion_t region);
int judge_words(struct scene *s, SASRegion_t region);
int judge_chunk(struct scene *s, SASRegion_t region);
int judge_new(struct scene *s, SASRegion_t region);
int judge_end(struct scene *s, SASRegion_t region);

/* --- ops_intent.c: changes by the intent log, which only the library can make so far */
void intent_prepare(struct scene *s, SASRegion_t region);
void intent_begin(struct scene *s, SASRegion_t region);
void intent_undo_commit(struct scene *s, const char *path, SASRegion_t region);
void intent_undo_abort(struct scene *s, const char *path, SASRegion_t region);
void intent_redo(struct scene *s, const char *path, SASRegion_t region);
void intent_both(struct scene *s, const char *path, SASRegion_t region);
/* What a word is before the operation, and after it. */
uint64_t intent_word(uint64_t address, int after);

/* --- ops_compound.c: compound heaps */
void compound_prepare(struct scene *s, SASRegion_t region);
void compound_alloc(struct scene *s, const char *path, SASRegion_t region);
int compound_judge_alloc(struct scene *s, SASRegion_t region);
void compound_prepare_free(struct scene *s, SASRegion_t region);
void compound_free(struct scene *s, const char *path, SASRegion_t region);
int compound_judge_free(struct scene *s, SASRegion_t region);
void compound_prepare_init(struct scene *s, SASRegion_t region);
void compound_init(struct scene *s, const char *path, SASRegion_t region);
int compound_judge_init(struct scene *s, SASRegion_t region);
void compound_prepare_grow(struct scene *s, SASRegion_t region);
int compound_judge_grow(struct scene *s, SASRegion_t region);
void compound_prepare_destroy(struct scene *s, SASRegion_t region);
void compound_destroy(struct scene *s, const char *path, SASRegion_t region);
int compound_judge_destroy(struct scene *s, SASRegion_t region);
/* --- ops_context.c: contexts; which call it is the name of the operation tells */
void context_prepare(struct scene *s, SASRegion_t region);
void context_change(struct scene *s, const char *path, SASRegion_t region);
void context_recover(struct scene *s, const char *path, SASRegion_t region);
int context_judge(struct scene *s, SASRegion_t region);
void context_prepare_empty(struct scene *s, SASRegion_t region);
void context_plant(struct scene *s, const char *path, SASRegion_t region);
int context_judge_planted(struct scene *s, SASRegion_t region);
void context_destroy(struct scene *s, const char *path, SASRegion_t region);
int context_judge_destroyed(struct scene *s, SASRegion_t region);
void context_destroy_again(struct scene *s, const char *path, SASRegion_t region);
int context_judge_gone(struct scene *s, SASRegion_t region);
/* --- ops_object.c: heaps and stacks; the judges know the object by what it says of itself */
void heap_prepare_take(struct scene *s, SASRegion_t region);
void heap_prepare_take_exact(struct scene *s, SASRegion_t region);
void heap_prepare_give(struct scene *s, SASRegion_t region);
void heap_prepare_give_above(struct scene *s, SASRegion_t region);
void heap_prepare_give_below(struct scene *s, SASRegion_t region);
void heap_prepare_give_between(struct scene *s, SASRegion_t region);
void heap_take(struct scene *s, const char *path, SASRegion_t region);
void heap_take_near(struct scene *s, const char *path, SASRegion_t region);
void heap_give(struct scene *s, const char *path, SASRegion_t region);
int judge_heap(struct scene *s, SASRegion_t region);
void stack_prepare_take(struct scene *s, SASRegion_t region);
void stack_prepare_give(struct scene *s, SASRegion_t region);
void stack_take(struct scene *s, const char *path, SASRegion_t region);
void stack_give(struct scene *s, const char *path, SASRegion_t region);
int judge_stack(struct scene *s, SASRegion_t region);
void object_prepare_format(struct scene *s, SASRegion_t region);
void object_format(struct scene *s, const char *path, SASRegion_t region);
int judge_format(struct scene *s, SASRegion_t region);
/* --- ops_word.c: blocks with a word that names them */
void word_prepare(struct scene *s, SASRegion_t region);
void word_prepare_small(struct scene *s, SASRegion_t region);
void word_prepare_large(struct scene *s, SASRegion_t region);
void word_begin(struct scene *s, SASRegion_t region);
void word_take_small(struct scene *s, const char *path, SASRegion_t region);
void word_take_large(struct scene *s, const char *path, SASRegion_t region);
void word_give_small(struct scene *s, const char *path, SASRegion_t region);
void word_give_large(struct scene *s, const char *path, SASRegion_t region);
int judge_word_taken(struct scene *s, SASRegion_t region);
int judge_word_given(struct scene *s, SASRegion_t region);
/* --- ops_tree.c: trees; the operation's name says what happens to the nodes */
void tree_prepare(struct scene *s, SASRegion_t region);
void tree_begin(struct scene *s, SASRegion_t region);
void tree_run(struct scene *s, const char *path, SASRegion_t region);
void tree_peer(struct scene *s, SASRegion_t region);
int tree_judge(struct scene *s, SASRegion_t region);

#endif
