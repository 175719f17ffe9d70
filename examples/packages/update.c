/* SPDX-License-Identifier: MIT */
/*
 * update.c - update STORE BOARD SLOT [finish]: one of the updaters. It adds, replaces and removes
 * entries until somebody kills it, at any instruction, and all the while others do the same.
 *
 * One change, and what a death leaves. The locks of the dead are given to others, as they are:
 *     1  the lock of the package, INTENT: who has it alone decides about the package's versions
 *     2  the next sequence number, so the numbers of a package's changes are in their order
 *     3  the change is written on the board as begun
 *     4  SASBlockAlloc, filled, marked as filled      a block that nothing leads to
 *     5  its edges are linked into reverse lists      readers skip them: their version is not listed
 *     6  the lock of the package, WRITE               for who would read under READ; our readers do not
 *     7  publish(&package->versions, ...)             THE store: before it nothing has changed; after
 *                                                     it the new entry is there, what it replaces is
 *                                                     not, and so are all their reverse dependencies
 *     8  back to INTENT; the change is acknowledged on the board
 *     9  what was replaced or removed is retired      (retire.c)
 *    10  the lock is given back
 * A death before 7 leaves a block and perhaps edges to it, a death between 7 and the end of 9 a block
 * that was replaced; whoever starts next finds either by its generation (leaks.c). A change that was
 * begun and not acknowledged may be there or not; there is one at most per death.
 */
#include <string.h>
#include <unistd.h>
#include <sassim.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

static uint64_t count_versions(const struct package *package)
{
	uint64_t count = 0;

	for (const struct version *v = follow(&package->versions); v != NULL; v = v->older)
		count++;
	return count;
}

static enum action choose_action(uint64_t versions, uint64_t random)
{
	if (versions == 0)
		return ACTION_ADD;
	if (random % 10 < 3 && versions < VERSIONS_MOST)
		return ACTION_ADD;
	return random % 10 < 7 ? ACTION_REPLACE : ACTION_REMOVE;
}

/* Steps 2 and 3. The lock of the package is held. */
static struct change begin_change(struct board *board, struct updater *me, const struct package *package)
{
	const struct version *newest = follow(&package->versions);
	uint64_t begun = atomic_load_explicit(&me->begun, memory_order_relaxed);
	struct change change = { .number = package->number, .depth = count_versions(package) };

	change.sequence = atomic_fetch_add_explicit(&board->sequence, 1, memory_order_relaxed) + 1;
	change.action = choose_action(change.depth, random_of(~(board->seed ^ change.sequence)));
	change.base = newest == NULL ? 0 : newest->sequence;
	linger(change.sequence, GAP_LOCKED);
	me->changes[begun] = change;
	atomic_store_explicit(&me->begun, begun + 1, memory_order_release);
	linger(change.sequence, GAP_BEGUN);
	return change;
}

/* Steps 6 to 8. */
static void publish_change(struct package *package, struct version *next, uint64_t sequence,
			   struct updater *me)
{
	lock_take(me, package, SasUserLock__WRITE);
	/* Publish: see step 7 above. Pairs with follow() in every reader. */
	publish(&package->versions, next);
	linger(sequence, GAP_PUBLISHED);
	lock_give(me, package);
	atomic_fetch_add_explicit(&me->acknowledged, 1, memory_order_release);
	linger(sequence, GAP_ACKNOWLEDGED);
}

/* Steps 2 to 9. */
static void change_locked(struct root *root, struct package *package, struct board *board,
			  struct updater *me)
{
	struct change change = begin_change(board, me, package);
	struct version *newest = follow(&package->versions);
	struct version *replaced = change.action == ACTION_ADD ? NULL : newest;
	struct version *next = replaced == NULL ? newest : replaced->older;

	if (change.action != ACTION_REMOVE) {
		next = &entry_make(root, package, change.sequence, next, me)->version;
		version_link(next, me);
		linger(change.sequence, GAP_LINKED);
	}
	publish_change(package, next, change.sequence, me);
	if (replaced != NULL && replaced->sequence != 0)
		retire(version_block_of(replaced), me);
}

/* A name that the input does not have, in a block of its own. The lock of its bucket is held. */
static struct package *add_name(struct root *root, uint64_t number, struct package_word *bucket,
				struct updater *me)
{
	struct name_block *block;

	board_enter(me, CALL_ALLOC);
	block = SASBlockAlloc(4096);
	board_leave(me);
	if (block == NULL)
		die("no block for a name: %s", SASLastErrorMessage());
	block->head.kind = BLOCK_NAME;
	block->head.size = 4096;
	extra_name(block->name, sizeof(block->name), number - root->name_count);
	block->package.name = block->name;
	block->package.number = number;
	block->package.next = follow(bucket);
	atomic_store_explicit(&block->head.filled, GRAPH_MAGIC, memory_order_release);
	/* Publish: it has no version, so it is no entry yet, but it is there for good (G1). */
	publish(bucket, &block->package);
	return &block->package;
}

/* The package of that number, which is added where it is not there. */
static struct package *find_or_add(struct root *root, uint64_t number, struct updater *me)
{
	struct package *package = package_of_number(root, number);
	struct package_word *bucket;
	char name[64];

	if (package != NULL)
		return package;
	extra_name(name, sizeof(name), number - root->name_count);
	bucket = package_bucket(root, name, strlen(name));
	lock_take(me, bucket, SasUserLock__WRITE);
	/* Somebody may have added it before we had the lock. */
	package = package_of_number(root, number);
	if (package == NULL)
		package = add_name(root, number, bucket, me);
	lock_give(me, bucket);
	return package;
}

static void change_something(struct root *root, struct board *board, struct updater *me)
{
	uint64_t draw = atomic_fetch_add_explicit(&board->draws, 1, memory_order_relaxed);
	uint64_t start;
	struct package *package;

	scratch_use(me, random_of(random_of(board->seed ^ ~draw)));
	start = now();
	atomic_store_explicit(&me->changes_since, start, memory_order_relaxed);
	package = find_or_add(root, drawn_number(root, board->seed, draw), me);
	lock_take(me, package, SasUserLock__INTENT);
	change_locked(root, package, board, me);
	lock_give(me, package);
	keep_longest(&me->longest_change, start);
	atomic_store_explicit(&me->changes_since, 0, memory_order_relaxed);
}

/* Until a kill, or the end. */
static void run(struct root *root, struct board *board, struct updater *me)
{
	while (atomic_load(&board->updaters_stop) == 0)
		if (atomic_load_explicit(&me->begun, memory_order_relaxed) == BOARD_CHANGES)
			usleep(1000);
		else
			change_something(root, board, me);
}

int command_update(int argc, char **argv)
{
	struct board *board;
	struct updater *me;
	struct joined joined;

	if (argc != 4 && (argc != 5 || strcmp(argv[4], "finish") != 0))
		die("usage: update STORE BOARD SLOT [finish]");
	board = board_open(argv[2]);
	me = &board->updaters[number_argument(argv[3], BOARD_UPDATERS - 1)];
	board_enter(me, CALL_JOIN);
	joined = join_store(argc == 5 ? "updater" : NULL, argv[1]);
	board_leave(me);
	if (joined.root == NULL)
		die("%s: nothing is loaded", argv[1]);
	/* Before the first block is allocated: nobody must take it for a leak. */
	atomic_store_explicit(&me->generation, joined.generation, memory_order_seq_cst);
	leaks_free(joined.root, board, me);
	atomic_store_explicit(&me->ready, 1, memory_order_release);
	if (argc == 4)
		run(joined.root, board, me);
	else
		retire_finish();
	scratch_give_all(me);
	SASCleanUp();
	return 0;
}
