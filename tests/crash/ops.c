/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sasepoch.h"
#include "ops.h"
#include "watch.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)

static void *alloc(struct scene *s, SASRegion_t region, uint64_t size)
{
	void *p = SASRegionBlockAlloc(region, size);

	if (!p)
		scene_fail_call(s, "SASRegionBlockAlloc");
	return p;
}

static void give(struct scene *s, void *block, uint64_t size)
{
	if (SASBlockFree(block, size) != 0)
		scene_fail_call(s, "SASBlockFree");
}

/* --- preparations */

/* Free space that was used and is full of bytes: only the first page of what was freed is zero. */
static void stain(struct scene *s, SASRegion_t region, uint64_t size)
{
	void *p = alloc(s, region, size);

	memset(p, 0xA5, size);
	give(s, p, size);
}

static void furnish(struct scene *s, SASRegion_t region)
{
	static const uint64_t sizes[] = { KIB(4), KIB(4), KIB(8), KIB(16), KIB(4) };

	for (uint64_t size = KIB(32); size <= KIB(128); size *= 2)
		stain(s, region, size);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		model_alloc(s, region, sizes[i]);
	SASRegionSetFinder(region, (void *)s->blocks[0].address);
}

static void victim(struct scene *s, SASRegion_t region, uint64_t size)
{
	s->victim = (struct block){ .address = model_alloc(s, region, size), .size = size };
}

/* Nothing that is free has fewer than 128 KiB: a small block is cut from a large tile that is stained. */
static void prepare_cut(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	for (uint64_t size = KIB(4); size <= KIB(32); size *= 2)
		model_alloc(s, region, size);
}

/* The same for a block that is too large to be leased: the lower half of what is stained is in use. */
static void prepare_cut_large(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	stain(s, region, MIB(1));
	model_alloc(s, region, KIB(512));
	model_alloc(s, region, KIB(512));
}

static void prepare_free(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	victim(s, region, KIB(16));
	model_alloc(s, region, KIB(16));
}

static void prepare_free_small(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	victim(s, region, KIB(4));
	model_alloc(s, region, KIB(4));
}

static void prepare_large(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	model_alloc(s, region, MIB(2));
}

static void prepare_free_large(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	victim(s, region, MIB(4));
}

/* Whole segments that were used: the first of them has a zero page, the others have none. */
static void prepare_stained_segments(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	stain(s, region, MIB(4));
	model_alloc(s, region, MIB(2));
}

/* Segment 0 has no megabyte left. */
static void prepare_carve(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	model_alloc(s, region, MIB(1));
}

/* Nor has segment 1, and what is free is stained. */
static void prepare_carve_stained(struct scene *s, SASRegion_t region)
{
	prepare_stained_segments(s, region);
	model_alloc(s, region, MIB(1));
}

/* All segments below the first that holds its own map are in use. */
static void prepare_carve_own(struct scene *s, SASRegion_t region)
{
	prepare_carve(s, region);
	for (uint64_t size = MIB(2); size <= MIB(128); size *= 2)
		model_alloc(s, region, size);
}

/* Segments 1 to 3 are carved, 2 and 3 hold nothing any more. */
static void prepare_uncarve(struct scene *s, SASRegion_t region)
{
	void *blocks[4];

	prepare_carve(s, region);
	model_alloc(s, region, MIB(1));
	model_alloc(s, region, MIB(1));
	for (unsigned i = 0; i < 4; i++)
		blocks[i] = alloc(s, region, MIB(1));
	for (unsigned i = 0; i < 4; i++) {
		memset(blocks[i], 0xA5, MIB(1));
		give(s, blocks[i], MIB(1));
	}
}

/* Chunks of file space under free blocks, small and large. */
static void prepare_trim(struct scene *s, SASRegion_t region)
{
	furnish(s, region);
	stain(s, region, MIB(2));
	stain(s, region, MIB(8));
	model_alloc(s, region, MIB(4));
	stain(s, region, MIB(4));
}

static void prepare_nothing(struct scene *s, SASRegion_t region)
{
	(void)s;
	(void)region;
}

/* --- before what is watched */

/* The thread has its slot, and the index of segment 0 is built. */
void op_warm(struct scene *s, SASRegion_t region)
{
	give(s, alloc(s, region, KIB(256)), KIB(256));
}

/* Besides, the thread has free blocks of 4 KiB in hand. */
static void begin_hand(struct scene *s, SASRegion_t region)
{
	op_warm(s, region);
	give(s, alloc(s, region, KIB(4)), KIB(4));
}

/* As many as it may, of space that was stained: one more, and half of them go back. */
static void begin_full_hand(struct scene *s, SASRegion_t region)
{
	void *blocks[64];

	op_warm(s, region);
	for (unsigned i = 0; i < 64; i++)
		memset(blocks[i] = alloc(s, region, KIB(4)), 0xA5, KIB(4));
	for (unsigned i = 0; i < 64; i++)
		give(s, blocks[i], KIB(4));
}

static void cold(struct scene *s, SASRegion_t region)
{
	(void)s;
	(void)region;
}

/* Tiles of many sizes: the first of each size fills what is left below the chunk, the other lies in it. */
static void stain_pieces(struct scene *s, SASRegion_t region)
{
	void *blocks[16];
	unsigned count = 0;

	for (uint64_t size = MIB(1); size >= KIB(16); size /= 2)
		for (unsigned i = 0; i < 2; i++)
			memset(blocks[count++] = alloc(s, region, size), 0xA5, size);
	for (uint64_t size = KIB(16); size <= MIB(1); size *= 2)
		for (unsigned i = 0; i < 2; i++)
			give(s, blocks[--count], size);
}

/* In the process that is watched trim has something to do: the index knows what was stained. */
static void begin_trim(struct scene *s, SASRegion_t region)
{
	stain(s, region, MIB(8));
	stain(s, region, MIB(4));
	stain_pieces(s, region);
}

static void *hold_slot(void *arg)
{
	const int *fds = arg;
	SASRegion_t region = SASRegionOf((void *)SCENE_BASE);
	void *p = SASRegionBlockAlloc(region, KIB(4));
	char byte = p && SASBlockFree(p, KIB(4)) == 0;

	if (write(fds[1], &byte, 1) == 1)
		while (read(fds[2], &byte, 1) < 0 && errno == EINTR)
			;
	return NULL;
}

/* So many threads hold a log that one more needs a chunk of further logs. */
static void begin_growth(struct scene *s, SASRegion_t region)
{
	static int fds[4];
	pthread_t thread;
	char byte = 0;

	(void)region;
	if (pipe(fds) != 0 || pipe(fds + 2) != 0)
		scene_fail(s, "no pipe");
	for (unsigned i = 0; i < (KIB(128) - KIB(12)) / KIB(4) - 1; i++)
		if (pthread_create(&thread, NULL, hold_slot, fds) != 0 || read(fds[0], &byte, 1) != 1 ||
		    byte != 1)
			scene_fail(s, "thread %u has no slot", i);
}

/* --- what is watched */

static void run_alloc_4k(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	alloc(s, region, KIB(4));
}

static void run_alloc_8k(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	alloc(s, region, KIB(8));
}

static void run_alloc_512k(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	alloc(s, region, KIB(512));
}

static void run_alloc_1m(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	alloc(s, region, MIB(1));
}

static void run_alloc_2m(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	alloc(s, region, MIB(2));
}

static void run_alloc_4m(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	alloc(s, region, MIB(4));
}

static void run_free(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	give(s, (void *)s->victim.address, s->victim.size);
}

/* --- frees that wait for readers */

static void defer_free(struct scene *s)
{
	if (SASEpochFree((void *)s->victim.address, s->victim.size) != 0)
		scene_fail_call(s, "SASEpochFree");
}

/* The thread is no reader, and has a page for what it defers. */
static void begin_epoch(struct scene *s, SASRegion_t region)
{
	op_warm(s, region);
	if (SASEpochFree(alloc(s, region, KIB(4)), KIB(4)) != 0 || SASEpochReclaim(region) != 1)
		scene_fail_call(s, "SASEpochFree and SASEpochReclaim");
}

static void begin_epoch_reclaim(struct scene *s, SASRegion_t region)
{
	begin_epoch(s, region);
	defer_free(s);
}

/* A process that has died leaves the free to the one that is watched. */
static void begin_epoch_adopt(struct scene *s, SASRegion_t region)
{
	int pid;

	begin_epoch(s, region);
	pid = scene_fork(60);
	if (pid == 0) {
		defer_free(s);
		kill(getpid(), SIGKILL);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static void run_epoch_free(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	(void)region;
	defer_free(s);
}

static void run_epoch_reclaim(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASEpochReclaim(region) != 1)
		scene_fail_call(s, "SASEpochReclaim");
}

static void run_trim(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASRegionTrim(region) <= 0)
		scene_fail_call(s, "SASRegionTrim");
}

static void run_finder(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASRegionSetFinder(region, (void *)s->blocks[s->count - 1].address) != 0)
		scene_fail_call(s, "SASRegionSetFinder");
}

static void run_list(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASRegionListBlocks(region, SASBlock__IN_USE_MERGED, NULL, 0) < 0)
		scene_fail_call(s, "SASRegionListBlocks");
}

static void run_sync(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASSync(region) != 0)
		scene_fail_call(s, "SASSync");
}

static void run_join(struct scene *s, const char *path, SASRegion_t region)
{
	SASRegionOptions o;

	(void)region;
	op_options(s->op, &o);
	if (!SASRegionJoin(path, &o))
		scene_fail_call(s, "SASRegionJoin");
}

static void run_leave(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASRegionLeave(region) != 0)
		scene_fail_call(s, "SASRegionLeave");
}

static void run_reset(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASRegionReset(region) != 0)
		scene_fail_call(s, "SASRegionReset");
}

static void run_remove(struct scene *s, const char *path, SASRegion_t region)
{
	(void)path;
	if (SASRegionRemove(region) != 0)
		scene_fail_call(s, "SASRegionRemove");
}

static void run_remove_path(struct scene *s, const char *path, SASRegion_t region)
{
	(void)region;
	if (SASRegionRemovePath(path, 0) != 0 && errno != EBUSY)
		scene_fail_call(s, "SASRegionRemovePath");
}

/* --- the table */

const struct op ops[] = {
	{ .name = "alloc", .done = 1,
	  .prepare = furnish, .begin = op_warm, .run = run_alloc_4k, .judge = judge_alloc },
	{ .name = "alloc-cut", .done = 1,
	  .prepare = prepare_cut, .begin = op_warm, .run = run_alloc_4k, .judge = judge_alloc },
	{ .name = "alloc-in-hand", .done = 1,
	  .prepare = furnish, .begin = begin_hand, .run = run_alloc_4k, .judge = judge_alloc },
	{ .name = "alloc-batch", .done = 1,
	  .prepare = prepare_cut, .begin = begin_hand, .run = run_alloc_8k, .judge = judge_alloc },
	{ .name = "alloc-new", .done = 1,
	  .prepare = furnish, .begin = op_warm, .run = run_alloc_512k, .judge = judge_alloc },
	{ .name = "alloc-stained", .done = 1,
	  .prepare = prepare_cut_large, .begin = op_warm, .run = run_alloc_512k, .judge = judge_alloc },
	{ .name = "alloc-first", .done = 1,
	  .prepare = furnish, .begin = cold, .run = run_alloc_4k, .judge = judge_alloc },
	{ .name = "alloc-segment", .done = 1,
	  .prepare = furnish, .begin = op_warm, .run = run_alloc_2m, .judge = judge_alloc },
	{ .name = "alloc-large", .segments = 8, .done = 1,
	  .prepare = furnish, .begin = op_warm, .run = run_alloc_4m, .judge = judge_alloc },
	{ .name = "alloc-large-again", .done = 1,
	  .prepare = prepare_stained_segments, .begin = op_warm, .run = run_alloc_2m, .judge = judge_alloc },
	{ .name = "free", .done = 1,
	  .prepare = prepare_free, .begin = op_warm, .run = run_free, .judge = judge_free },
	{ .name = "free-into-hand", .done = 1,
	  .prepare = prepare_free_small, .begin = begin_hand, .run = run_free, .judge = judge_free },
	{ .name = "free-into-full-hand", .done = 1,
	  .prepare = prepare_free_small, .begin = begin_full_hand, .run = run_free, .judge = judge_free },
	{ .name = "free-first", .done = 1,
	  .prepare = prepare_free, .begin = cold, .run = run_free, .judge = judge_free },
	{ .name = "free-large", .done = 1,
	  .prepare = prepare_free_large, .begin = op_warm, .run = run_free, .judge = judge_free },
	{ .name = "epoch-free", .done = 1,
	  .prepare = prepare_free, .begin = begin_epoch, .run = run_epoch_free, .judge = judge_free },
	{ .name = "epoch-free-large", .done = 1,
	  .prepare = prepare_free_large, .begin = begin_epoch, .run = run_epoch_free, .judge = judge_free },
	{ .name = "epoch-reclaim", .done = 1,
	  .prepare = prepare_free, .begin = begin_epoch_reclaim, .run = run_epoch_reclaim, .judge = judge_free },
	{ .name = "epoch-adopt", .done = 1,
	  .prepare = prepare_free_large, .begin = begin_epoch_adopt, .run = run_epoch_reclaim, .judge = judge_free },
	{ .name = "carve", .done = 1,
	  .prepare = prepare_carve, .begin = op_warm, .run = run_alloc_1m, .judge = judge_alloc },
	{ .name = "carve-again", .done = 1,
	  .prepare = prepare_carve_stained, .begin = op_warm, .run = run_alloc_1m, .judge = judge_alloc },
	{ .name = "carve-own-map", .flags = OP_SPARSE | OP_FAR, .segments = 130, .done = 1,
	  .prepare = prepare_carve_own, .begin = op_warm, .run = run_alloc_1m, .judge = judge_alloc },
	{ .name = "uncarve", .done = 1,
	  .prepare = prepare_uncarve, .begin = op_warm, .run = run_alloc_4m, .judge = judge_alloc },
	{ .name = "trim", .segments = 8, .segment_size = MIB(4),
	  .prepare = prepare_trim, .begin = begin_trim, .run = run_trim, .judge = judge_same },
	{ .name = "set-finder", .done = 1,
	  .prepare = prepare_large, .begin = op_warm, .run = run_finder, .judge = judge_finder },
	{ .name = "list", .flags = OP_KILL_ONLY,
	  .prepare = furnish, .begin = op_warm, .run = run_list, .judge = judge_same },
	{ .name = "sync", .flags = OP_KILL_ONLY,
	  .prepare = furnish, .begin = op_warm, .run = run_sync, .judge = judge_same },
	{ .name = "join", .flags = OP_OUTSIDE,
	  .prepare = prepare_large, .run = run_join, .judge = judge_same },
	{ .name = "leave",
	  .prepare = prepare_large, .begin = op_warm, .run = run_leave, .judge = judge_same },
	{ .name = "leave-with-hand",
	  .prepare = prepare_large, .begin = begin_full_hand, .run = run_leave, .judge = judge_same },
	{ .name = "create", .flags = OP_OUTSIDE | OP_ABSENT, .done = 1,
	  .run = run_join, .judge = judge_new },
	{ .name = "create-preallocated", .flags = OP_OUTSIDE | OP_ABSENT | OP_PREALLOCATED, .done = 1,
	  .run = run_join, .judge = judge_new },
	{ .name = "reset", .flags = OP_ENDS, .done = 2,
	  .prepare = prepare_large, .begin = op_warm, .run = run_reset, .judge = judge_end },
	{ .name = "reset-preallocated", .flags = OP_ENDS | OP_PREALLOCATED | OP_ALONE, .done = 2,
	  .prepare = furnish, .begin = op_warm, .run = run_reset, .judge = judge_end },
	{ .name = "remove", .flags = OP_ENDS, .done = 1,
	  .prepare = prepare_large, .begin = op_warm, .run = run_remove, .judge = judge_end },
	{ .name = "remove-unjoined", .flags = OP_ENDS | OP_OUTSIDE, .done = 1,
	  .prepare = prepare_large, .run = run_remove_path, .judge = judge_end },
	{ .name = "log-growth", .done = 2,
	  .prepare = prepare_nothing, .begin = begin_growth, .run = run_alloc_4k, .judge = judge_chunk },
	{ .name = "undo-commit", .done = 1,
	  .prepare = intent_prepare, .begin = intent_begin, .run = intent_undo_commit, .judge = judge_words },
	{ .name = "undo-abort",
	  .prepare = intent_prepare, .begin = intent_begin, .run = intent_undo_abort, .judge = judge_words },
	{ .name = "redo", .done = 1,
	  .prepare = intent_prepare, .begin = intent_begin, .run = intent_redo, .judge = judge_words },
	{ .name = "undo-and-redo", .done = 1,
	  .prepare = intent_prepare, .begin = intent_begin, .run = intent_both, .judge = judge_words },
	{ .name = "compound-alloc", .done = 1,
	  .prepare = compound_prepare, .begin = op_warm, .run = compound_alloc, .judge = compound_judge_alloc },
	{ .name = "compound-free", .done = 1,
	  .prepare = compound_prepare_free, .begin = op_warm, .run = compound_free, .judge = compound_judge_free },
	{ .name = "compound-init", .done = 1,
	  .prepare = compound_prepare_init, .begin = op_warm, .run = compound_init, .judge = compound_judge_init },
	{ .name = "compound-grow", .done = 2,
	  .prepare = compound_prepare_grow, .begin = op_warm, .run = compound_alloc, .judge = compound_judge_grow },
	{ .name = "compound-destroy", .done = 3,
	  .prepare = compound_prepare_destroy, .begin = op_warm, .run = compound_destroy, .judge = compound_judge_destroy },
	{ .name = "context-add", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-alias", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-rename", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-rename-alias", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-remove", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-remove-alias", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-remove-only", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-clear", .done = 1,
	  .prepare = context_prepare, .begin = op_warm, .run = context_change, .judge = context_judge },
	{ .name = "context-plant", .done = 2,
	  .prepare = context_prepare_empty, .begin = op_warm, .run = context_plant, .judge = context_judge_planted },
	{ .name = "context-destroy", .done = 2,
	  .prepare = context_prepare, .begin = op_warm, .run = context_destroy, .judge = context_judge_destroyed },
	{ .name = "heap-take", .done = 1,
	  .prepare = heap_prepare_take, .begin = op_warm, .run = heap_take, .judge = judge_heap },
	{ .name = "heap-take-exact", .done = 1,
	  .prepare = heap_prepare_take_exact, .begin = op_warm, .run = heap_take, .judge = judge_heap },
	{ .name = "heap-take-near", .done = 1,
	  .prepare = heap_prepare_take, .begin = op_warm, .run = heap_take_near, .judge = judge_heap },
	{ .name = "heap-give", .done = 1,
	  .prepare = heap_prepare_give, .begin = op_warm, .run = heap_give, .judge = judge_heap },
	{ .name = "heap-give-above", .done = 1,
	  .prepare = heap_prepare_give_above, .begin = op_warm, .run = heap_give, .judge = judge_heap },
	{ .name = "heap-give-below", .done = 1,
	  .prepare = heap_prepare_give_below, .begin = op_warm, .run = heap_give, .judge = judge_heap },
	{ .name = "heap-give-between", .done = 1,
	  .prepare = heap_prepare_give_between, .begin = op_warm, .run = heap_give, .judge = judge_heap },
	{ .name = "stack-take", .done = 1,
	  .prepare = stack_prepare_take, .begin = op_warm, .run = stack_take, .judge = judge_stack },
	{ .name = "stack-give", .done = 1,
	  .prepare = stack_prepare_give, .begin = op_warm, .run = stack_give, .judge = judge_stack },
	{ .name = "object-format", .done = 2,
	  .prepare = object_prepare_format, .begin = op_warm, .run = object_format, .judge = judge_format },
	{ .name = "take-word", .done = 1,
	  .prepare = word_prepare, .begin = word_begin, .run = word_take_small, .judge = judge_word_taken },
	{ .name = "take-word-large", .done = 1,
	  .prepare = word_prepare, .begin = word_begin, .run = word_take_large, .judge = judge_word_taken },
	{ .name = "give-word", .done = 1,
	  .prepare = word_prepare_small, .begin = word_begin, .run = word_give_small, .judge = judge_word_given },
	{ .name = "give-word-large", .done = 1,
	  .prepare = word_prepare_large, .begin = word_begin, .run = word_give_large, .judge = judge_word_given },
	{ .name = "tree-first", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-insert", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-replace", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-remove", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-pack-leaf", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-split-leaf", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-split-last", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-share", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-first-root", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-split-inner", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-split-root", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-join-leaves", .done = 2,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-drop-leaf", .done = 2,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-join-inner", .done = 2,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-drop-root", .done = 2,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-last-root", .done = 2,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-last", .done = 2,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge, .peer = tree_peer },
	{ .name = "tree-load", .done = 1,
	  .prepare = tree_prepare, .begin = tree_begin, .run = tree_run, .judge = tree_judge },
	{ .name = "recover-undo", .of = "undo-commit", .flags = OP_OUTSIDE | OP_CUT,
	  .prepare = intent_prepare, .run = run_join, .judge = judge_words },
	{ .name = "recover-redo", .of = "redo", .flags = OP_OUTSIDE | OP_CUT,
	  .prepare = intent_prepare, .run = run_join, .judge = judge_words },
	{ .name = "recover-give-word", .of = "give-word", .flags = OP_OUTSIDE | OP_CUT,
	  .prepare = word_prepare_small, .run = run_join, .judge = judge_word_given },
	{ .name = "recover-context-alias", .of = "context-alias", .flags = OP_OUTSIDE | OP_CUT | OP_FAR,
	  .prepare = context_prepare, .run = context_recover, .judge = context_judge },
	{ .name = "recover-context-rename", .of = "context-rename", .flags = OP_OUTSIDE | OP_CUT,
	  .prepare = context_prepare, .run = context_recover, .judge = context_judge },
	{ .name = "recover-context-remove", .of = "context-remove", .flags = OP_OUTSIDE | OP_CUT | OP_FAR,
	  .prepare = context_prepare, .run = context_recover, .judge = context_judge },
	{ .name = "recover-context-clear", .of = "context-clear", .flags = OP_OUTSIDE | OP_CUT,
	  .prepare = context_prepare, .run = context_recover, .judge = context_judge },
	{ .name = "recover-context-destroy", .of = "context-destroy", .flags = OP_OUTSIDE | OP_CUT,
	  .prepare = context_prepare, .run = context_destroy_again, .judge = context_judge_gone },
	{ .name = "recover-growth", .of = "log-growth", .flags = OP_OUTSIDE | OP_CUT,
	  .prepare = prepare_nothing, .run = run_join, .judge = judge_chunk },
};
const size_t op_count = sizeof ops / sizeof ops[0];

const struct op *op_named(const char *name)
{
	for (size_t i = 0; i < op_count; i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

uint64_t op_segment_size(const struct op *op)
{
	return op->segment_size ? op->segment_size : MIB(2);
}

uint64_t op_region_size(const struct op *op)
{
	return (op->segments ? op->segments : 4) * op_segment_size(op);
}

void op_options(const struct op *op, SASRegionOptions *o)
{
	SASRegionOptionsInit(o);
	o->flags = SAS_JOIN_CREATE;
	o->base = SCENE_BASE;
	o->mode = 0600;
	o->regionSize = op_region_size(op);
	o->segmentSize = op_segment_size(op);
	if (op->flags & OP_SPARSE)
		o->flags |= SAS_JOIN_SPARSE;
	if (op->flags & OP_PREALLOCATED)
		o->flags |= SAS_JOIN_PREALLOCATED;
}
