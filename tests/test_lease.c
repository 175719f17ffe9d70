/* SPDX-License-Identifier: MIT */
/*
 * test_lease.c - free blocks that threads have in hand: who has them, that no lock is needed, and that none is lost,
 * however its thread ends.
 *
 * every_tile_has_a_place() is the invariant: a free tile is in the index of its segment or, with its tag in the map, in
 * the hand of a living thread that lists the segment; never in both, never in none.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sassim.h>

#include "../sas/block/block.h"
#include "../sas/block/index.h"
#include "../sas/block/lease.h"
#include "../sas/ground/port.h"
#include "../sas/run/run_lease.h"
#include "fixture.h"

/* --- the invariant */

struct census { uint64_t indexed, leased; };

static void mark_indexed(struct sas_buddy *b, unsigned char *indexed)
{
	for (uint32_t k = 0; k < b->orders; k++)
		for (int64_t u = sas_buddy_next(b, k, 0); u >= 0; u = sas_buddy_next(b, k, (uint64_t)u + 1))
			memset(indexed + u, 1, 1UL << k);
}

/* Entries change under way, but only between a block and a leased tile: both are out of the index. */
static void look_at_segment(uint64_t n, struct census *c)
{
	unsigned char *indexed = calloc(HELP_SEGMENT / 4096, 1);
	struct sas_buddy *b;
	struct sas_map map;
	struct sas_tile tile;
	uint64_t unit = 0;

	ck_assert_int_eq(sas_index_segment(region, n, &b), 0);
	ck_assert_int_eq(sas_map_units(region, n, &map), 0);
	mark_indexed(b, indexed);
	while (sas_tile_next(&map, &unit, &tile) > 0) {
		uint32_t tag = sas_entry_generation(tile.entry);
		int is_free = tile.state != SAS_M_USED, leased = is_free && tag;

		if (leased)
			ck_assert_msg(sas_lease_lives(region, n, tag), "segment %lu unit %lu: the tag %#x is nobody's", n,
				      tile.head, tag);
		for (uint64_t u = tile.head; u < unit; u++)
			ck_assert_msg(indexed[u] == (is_free && !leased), "segment %lu unit %lu, entry %#x: index %d", n, u,
				      tile.entry, indexed[u]);
		if (leased)
			c->leased += unit - tile.head;
		else if (is_free)
			c->indexed += unit - tile.head;
	}
	free(indexed);
}

/* When the dead have been recovered, its last holder among them. */
static void lock_blocks(void)
{
	for (;;) {
		ck_assert_int_ge(SASRegionRecover(region), 0);
		ck_assert_int_eq(sas_block_lock_raw(region), 0);
		if (!sas_load_acquire_u32(&region->run->header->block_dirty))
			return;
		sas_block_unlock_raw(region);
	}
}

static struct census every_tile_has_a_place(void)
{
	struct census c = { 0, 0 };
	struct sas_map map;
	struct sas_tile tile;

	lock_blocks();
	sas_map_segments(region, &map);
	for (uint64_t unit = 0; sas_tile_next(&map, &unit, &tile) > 0;)
		if (sas_entry_carved(tile.entry))
			look_at_segment(tile.head, &c);
	sas_block_unlock_raw(region);
	return c;
}

/* All that is free is handed out, unit by unit, and given back. */
static void nothing_is_lost(void)
{
	size_t room = HELP_REGION / 4096, count = 0;
	void **blocks = calloc(room, sizeof *blocks), *block;
	uint64_t used = help_sum(region, SASBlock__IN_USE);

	while (count < room && (block = SASRegionBlockAlloc(region, 4096)))
		blocks[count++] = block;
	ck_assert_int_eq(errno, ENOMEM);
	/* Segments that have a map of their own begin with it. */
	ck_assert_uint_ge(help_sum(region, SASBlock__IN_USE), HELP_REGION);
	ck_assert_uint_ge(used + count * 4096, HELP_REGION - HELP_REGION / HELP_SEGMENT * 4096);
	while (count > 0)
		give(blocks[--count], 4096);
	free(blocks);
}

/* --- one thread */

START_TEST(pairs_take_no_lock)
{
	void *block;

	give(take(4096), 4096);
	ck_assert_int_eq(sas_block_lock_raw(region), 0);
	for (int i = 0; i < 1000; i++) {
		block = SASRegionBlockAlloc(region, 4096);
		ck_assert_ptr_nonnull(block);
		ck_assert(all_zero(block, 4096));
		memset(block, 0xA5, 4096);
		ck_assert_int_eq(SASBlockFree(block, 4096), 0);
	}
	sas_block_unlock_raw(region);
	ck_assert_uint_gt(every_tile_has_a_place().leased, 0);
}
END_TEST

START_TEST(lists_do_not_show_what_is_in_hand)
{
	uint64_t free_before = help_sum(region, SASBlock__FREE), never = help_sum(region, SASBlock__UNCOMMITTED);

	for (size_t size = 4096; size <= 64 * KIB; size *= 2) {
		void *block = take(size);

		never -= size;
		ck_assert_uint_eq(help_sum(region, SASBlock__UNCOMMITTED), never);
		ck_assert_uint_eq(help_sum(region, SASBlock__FREE), free_before);
		give(block, size);
		free_before += size;
		ck_assert_uint_eq(help_sum(region, SASBlock__FREE), free_before);
		ck_assert_uint_eq(help_sum(region, SASBlock__UNCOMMITTED), never);
	}
	every_tile_has_a_place();
}
END_TEST

START_TEST(blocks_come_from_the_lowest_address)
{
	unsigned char *first = take(4096), *second = take(4096), *third = take(4096);

	ck_assert_ptr_eq(second, first + 4096);
	ck_assert_ptr_eq(third, second + 4096);
	give(third, 4096);
	give(second, 4096);
	give(first, 4096);
	ck_assert_ptr_eq(take(4096), first);
}
END_TEST

/* More segments than a slot lists, and more blocks than a hand holds. */
START_TEST(frees_all_over_the_region_are_not_lost)
{
	uint64_t state = help_seed("lease");
	size_t count = 0, room = HELP_REGION / 4096;
	void **blocks = calloc(room, sizeof *blocks), *block;

	while ((block = SASRegionBlockAlloc(region, 4096)))
		blocks[count++] = block;
	ck_assert_uint_gt(count * 4096, (SAS_RUN_LEASES + 1) * HELP_SEGMENT - 4 * MIB);
	while (count > 0) {
		size_t k = help_below(&state, count);

		give(blocks[k], 4096);
		blocks[k] = blocks[--count];
		if (count % 1000 == 0)
			every_tile_has_a_place();
	}
	free(blocks);
	nothing_is_lost();
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	every_tile_has_a_place();
}
END_TEST

START_TEST(own_tiles_are_not_in_the_way_of_large_blocks)
{
	void *blocks[1024];
	uint64_t size = HELP_REGION / 4;

	/* What is freed last stays in hand: the highest ones, in the second quarter. */
	for (unsigned i = 0; i < 1024; i++)
		blocks[i] = take(64 * KIB >> i % 5);
	ck_assert_uint_gt((uintptr_t)blocks[1000], region->base + size);
	for (unsigned i = 0; i < 1024; i++)
		give(blocks[i], 64 * KIB >> i % 5);
	ck_assert_uint_gt(every_tile_has_a_place().leased, 0);
	/* All but the quarter that holds the anchor. */
	for (unsigned i = 0; i < 3; i++)
		blocks[i] = take(size);
	for (unsigned i = 0; i < 3; i++)
		give(blocks[i], size);
}
END_TEST

START_TEST(misuse_is_refused_with_tiles_in_hand)
{
	unsigned char *block = take(8192);

	ck_assert_int_eq(SASBlockFree(block, 4096), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(SASBlockFree(block + 4096, 4096), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(SASBlockFree((void *)region->base, 4096), -1);
	ck_assert_int_eq(errno, EPERM);
	give(block, 8192);
	ck_assert_int_eq(SASBlockFree(block, 8192), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_str_eq(SASLastErrorMessage() + strlen(SASLastErrorMessage()) - 15, "never allocated");
	ck_assert_uint_eq((uintptr_t)take(8192), (uintptr_t)block);
}
END_TEST

START_TEST(durable_regions_lease_nothing)
{
	SASRegionOptions o;
	char path[300];
	struct sas_region *kept = region;

	SASRegionOptionsInit(&o);
	snprintf(path, sizeof path, "%s/disk", store);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	o.flags = SAS_JOIN_CREATE;
	o.base = region->base + GIB;
	o.regionSize = 8 * MIB;
	o.segmentSize = HELP_SEGMENT;
	o.durability = SASDurability__DISK;
	region = SASRegionJoin(path, &o);
	ck_assert_msg(region != NULL, "%s", SASLastErrorMessage());
	give(take(4096), 4096);
	ck_assert_uint_eq(every_tile_has_a_place().leased, 0);
	ck_assert_int_eq(SASRegionRemove(region), 0);
	region = kept;
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

/* --- several threads */

static pthread_barrier_t gate;

/* The threads wait for a turn without sleeping, so that their calls meet. */
static struct { void *block; long turn, done; int sum; } race;

static void await(const long *word, long value)
{
	for (unsigned spins = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) != value; spins++)
		if (spins > 2000)
			sched_yield();
}

/* A slow one has nothing in hand each time, and so takes the lock. */
static void *free_one(void *slow)
{
	uint64_t state = slow ? 7 : 5;

	give(take(4096), 4096);
	for (long turn = 1;; turn++) {
		uint64_t delay = help_below(&state, 400);
		int error;

		if (slow)
			ck_assert_int_ge(SASRegionTrim(region), 0);
		__atomic_fetch_add(&race.done, 1, __ATOMIC_ACQ_REL);
		await(&race.turn, turn);
		if (!race.block)
			return NULL;
		while (delay-- > 0)
			__asm__ volatile("" : : : "memory");
		error = SASBlockFree(race.block, 4096) == 0 ? 0 : errno;
		__atomic_fetch_add(&race.sum, error == 0 ? 1 : error == ENOENT ? 0x100 : 0x10000, __ATOMIC_ACQ_REL);
	}
}

static void race_to_free(void *slow, long rounds)
{
	pthread_t threads[2];

	memset(&race, 0, sizeof race);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, free_one, NULL), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, free_one, slow), 0);
	for (long turn = 1; turn <= rounds + 1; turn++) {
		await(&race.done, 2 * turn);
		ck_assert_int_eq(race.sum, turn > 1 ? 0x101 : 0);
		race.sum = 0;
		race.block = turn <= rounds ? take(4096) : NULL;
		__atomic_store_n(&race.turn, turn, __ATOMIC_RELEASE);
	}
	for (int k = 0; k < 2; k++)
		pthread_join(threads[k], NULL);
	every_tile_has_a_place();
}

START_TEST(block_freed_by_two_threads_is_freed_once)
{
	race_to_free(NULL, help_size(500, 20000, 200000));
	race_to_free(&race, help_size(500, 5000, 50000));
}
END_TEST

static void *use_some(void *arg)
{
	void *blocks[100];

	(void)arg;
	for (int i = 0; i < 100; i++)
		blocks[i] = take(4096UL << i % 5);
	for (int i = 0; i < 100; i++)
		give(blocks[i], 4096UL << i % 5);
	return NULL;
}

START_TEST(thread_that_ends_gives_back)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, use_some, NULL), 0);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < SAS_RUN_STEP; i++)
		ck_assert(!sas_lease_lists_any(&region->run->threads[i]));
	ck_assert_uint_eq(every_tile_has_a_place().leased, 0);
	ck_assert_uint_eq(help_info(region).threads, 0);
	nothing_is_lost();
}
END_TEST

static int hammer_stop;

static void *hammer(void *arg)
{
	uint64_t *turns = arg;

	while (!__atomic_load_n(&hammer_stop, __ATOMIC_ACQUIRE)) {
		void *block = SASRegionBlockAlloc(region, 4096);

		if (block)
			SASBlockFree(block, 4096);
		__atomic_fetch_add(turns, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static uint64_t in_use_hash(void)
{
	size_t count;
	SASBlockInfo *list = help_list(region, SASBlock__IN_USE, &count);
	uint64_t hash = count;

	for (size_t i = 0; i < count; i++)
		hash = hash * 31 + (uintptr_t)list[i].address + list[i].size;
	free(list);
	return hash;
}

static struct sas_port port;

static int no_membarrier(int command)
{
	(void)command;
	return -ENOSYS;
}

static void forbid_membarrier(void)
{
	port = sas_port_linux;
	port.membarrier = no_membarrier;
	sas_port = &port;
}

/* While it is seized no other thread's call changes anything, and each goes on afterwards. */
static void seize_often(void)
{
	uint64_t turns = 0, seen;
	pthread_t thread;

	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	hammer_stop = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, hammer, &turns), 0);
	for (long i = help_size(20, 300, 5000); i > 0; i--) {
		seen = __atomic_load_n(&turns, __ATOMIC_ACQUIRE);
		ck_assert(until(__atomic_load_n(&turns, __ATOMIC_ACQUIRE) > seen + 10, PATIENCE));
		SASSeize();
		seen = in_use_hash();
		for (int k = 0; k < 20; k++)
			ck_assert_uint_eq(in_use_hash(), seen);
		give(take(4096), 4096);
		SASRelease();
	}
	__atomic_store_n(&hammer_stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	SASCleanUp();
	every_tile_has_a_place();
}

START_TEST(seizing_stops_calls_without_a_lock)
{
	seize_often();
	ck_assert_uint_eq(sas_load_acquire_u32(&region->run->header->unfenced), 1);
}
END_TEST

START_TEST(seizing_works_where_the_kernel_has_no_membarrier)
{
	forbid_membarrier();
	seize_often();
	ck_assert_uint_eq(sas_load_acquire_u32(&region->run->header->unfenced), 0);
	sas_port = &sas_port_linux;
}
END_TEST

/* Others rely on it already. */
START_TEST(seizing_without_membarrier_is_refused_beside_those_that_have_it)
{
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	give(take(4096), 4096);
	forbid_membarrier();
	errno = 0;
	SASSeize();
	ck_assert_int_eq(errno, ENOSYS);
	errno = 0;
	SASRelease();
	ck_assert_int_eq(errno, EPERM);
	ck_assert_uint_eq(sas_load_acquire_u32(&region->run->header->seized), 0);
	give(take(4096), 4096);
	sas_port = &sas_port_linux;
	SASCleanUp();
}
END_TEST

struct seizer { int done, released, seen; };

static void *seize(void *arg)
{
	struct seizer *s = arg;

	SASSeize();
	s->seen = __atomic_load_n(&s->released, __ATOMIC_ACQUIRE);
	__atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
	SASRelease();
	return NULL;
}

/* Our slot says that we are in the middle of a call. */
START_TEST(seizer_waits_for_calls_without_a_lock)
{
	struct seizer s = { 0, 0, 0 };
	pthread_t thread;

	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	give(take(4096), 4096);
	sas_store_release_u32(&region->run->threads[0].lease_busy, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, seize, &s), 0);
	ck_assert(until(sas_load_acquire_u32(&region->run->header->seized), PATIENCE));
	for (int i = 0; i < 10000; i++)
		sched_yield();
	ck_assert(!__atomic_load_n(&s.done, __ATOMIC_ACQUIRE));
	__atomic_store_n(&s.released, 1, __ATOMIC_RELEASE);
	sas_store_release_u32(&region->run->threads[0].lease_busy, 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(s.seen, 1);
	SASCleanUp();
}
END_TEST

static void die_busy(void *arg)
{
	(void)arg;
	region_join(0);
	give(take(4096), 4096);
	for (unsigned i = 0; i < SAS_RUN_STEP; i++)
		if (region->run->threads[i].tid == (uint32_t)gettid())
			sas_store_release_u32(&region->run->threads[i].lease_busy, 1);
	kill(getpid(), SIGKILL);
}

START_TEST(seizer_does_not_wait_for_the_dead)
{
	struct seizer s = { 0, 0, 0 };

	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	help_dies(die_busy, NULL, SIGKILL);
	ck_assert_uint_eq(sas_load_acquire_u32(&region->run->threads[0].lease_busy), 1);
	seize(&s);
	SASCleanUp();
	every_tile_has_a_place();
}
END_TEST

static void die_with_all_seized(void *arg)
{
	(void)arg;
	must(SASJoinRegionByName(store) == 0);
	SASSeize();
	kill(getpid(), SIGKILL);
}

/* And without a lock again. */
START_TEST(seizer_that_dies_lets_go)
{
	give(take(4096), 4096);
	help_dies(die_with_all_seized, NULL, SIGKILL);
	ck_assert_uint_eq(sas_load_acquire_u32(&region->run->header->seized), 1);
	give(take(4096), 4096);
	ck_assert_uint_eq(sas_load_acquire_u32(&region->run->header->seized), 0);
	every_tile_has_a_place();
}
END_TEST

/* --- several processes */

static int to_parent[2], to_child[2];

static void make_pipes(void)
{
	ck_assert_int_eq(pipe(to_parent), 0);
	ck_assert_int_eq(pipe(to_child), 0);
}

static void tell(int fd)
{
	must(write(fd, "", 1) == 1);
}

static void hear(int fd)
{
	char byte;

	must(read(fd, &byte, 1) == 1);
}

static void die_with_tiles(void *arg)
{
	region_join(0);
	use_some(arg);
	take(4096);
	kill(getpid(), SIGKILL);
}

START_TEST(tiles_of_a_killed_process_are_free)
{
	give(take(4096), 4096);
	help_dies(die_with_tiles, NULL, SIGKILL);
	ck_assert_int_eq(SASRegionRecover(region), 1);
	ck_assert_uint_le(every_tile_has_a_place().leased, 32);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	nothing_is_lost();
}
END_TEST

START_TEST(tiles_of_a_killed_process_are_found_when_space_runs_out)
{
	help_dies(die_with_tiles, NULL, SIGKILL);
	nothing_is_lost();
}
END_TEST

static void *use_and_stay(void *arg)
{
	use_some(arg);
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	return NULL;
}

/* The other thread has tiles in hand, lives on, and cannot reach the region any more. */
static void leave_beside_a_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	pthread_barrier_init(&gate, NULL, 2);
	must(pthread_create(&thread, NULL, use_and_stay, NULL) == 0);
	pthread_barrier_wait(&gate);
	must(SASRegionLeave(region) == 0);
	tell(to_parent[1]);
	hear(to_child[0]);
	pthread_barrier_wait(&gate);
	pthread_join(thread, NULL);
}

START_TEST(process_that_leaves_gives_back_for_its_threads)
{
	pid_t pid;

	make_pipes();
	pid = help_fork(leave_beside_a_thread, NULL);
	hear(to_parent[0]);
	ck_assert_uint_eq(every_tile_has_a_place().leased, 0);
	nothing_is_lost();
	tell(to_child[1]);
	help_done(pid);
}
END_TEST

static void use_as_child(void *arg)
{
	void **taken = arg;

	for (int i = 0; i < 64; i++) {
		taken[i] = SASRegionBlockAlloc(region, 4096);
		must(taken[i] != NULL);
	}
}

START_TEST(child_of_a_fork_does_not_use_its_parents_tiles)
{
	void **taken = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *own[64];

	use_some(NULL);
	help_in_child(use_as_child, taken);
	for (int i = 0; i < 64; i++)
		own[i] = take(4096);
	for (int i = 0; i < 64; i++)
		for (int k = 0; k < 64; k++)
			ck_assert_ptr_ne(own[i], taken[k]);
	every_tile_has_a_place();
	munmap(taken, 4096);
}
END_TEST

/* --- blocks that go from process to process, while processes are killed */

#define PLACES 256
#define PEERS 3
static void **places;                   /* shared: blocks that anybody may take out and free */

/* Low bits of an address say the size. */
static void exchange(uint64_t *state)
{
	unsigned k = (unsigned)help_below(state, 5);
	char *block = SASRegionBlockAlloc(region, 4096UL << k);
	void *old;

	must(block || errno == ENOMEM);
	if (!block)
		return;
	must(all_zero(block, 4096));
	memset(block, 0xA5, 4096);
	old = __atomic_exchange_n(&places[help_below(state, PLACES)], block + k, __ATOMIC_ACQ_REL);
	if (old) {
		k = (uintptr_t)old & 4095;
		must(*((char *)old - k) == (char)0xA5);
		must(SASBlockFree((char *)old - k, 4096UL << k) == 0);
	}
}

static void *exchange_in_thread(void *arg)
{
	uint64_t state = (uintptr_t)arg | 1;

	for (int i = 0; i < 2000; i++)
		exchange(&state);
	return NULL;
}

static void exchange_for_ever(void *arg)
{
	uint64_t state = ((uintptr_t)arg ^ (uint64_t)getpid() << 20) | 1;

	region_join(0);
	for (;;) {
		pthread_t thread;

		must(pthread_create(&thread, NULL, exchange_in_thread, (void *)(uintptr_t)help_random(&state)) == 0);
		exchange_in_thread((void *)(uintptr_t)help_random(&state));
		pthread_join(thread, NULL);
	}
}

START_TEST(blocks_freed_by_other_processes_are_not_lost_by_kills)
{
	uint64_t state = help_seed("exchange"), began, most = 0;
	long kills = help_size(10, 60, 3000);
	pid_t peers[PEERS];

	places = mmap(NULL, PLACES * sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < PEERS; i++)
		peers[i] = help_fork(exchange_for_ever, (void *)(uintptr_t)help_random(&state));
	for (long i = 0; i < kills; i++) {
		unsigned k = (unsigned)help_below(&state, PEERS);
		uint64_t count = help_below(&state, 3000);

		began = help_now();
		while (count-- > 0)
			exchange(&state);
		most = help_now() - began > most ? help_now() - began : most;
		kill(peers[k], SIGKILL);
		ck_assert_int_eq(help_wait(peers[k], PATIENCE), 128 + SIGKILL);
		every_tile_has_a_place();
		peers[k] = help_fork(exchange_for_ever, (void *)(uintptr_t)help_random(&state));
	}
	for (int i = 0; i < PEERS; i++) {
		kill(peers[i], SIGKILL);
		help_wait(peers[i], PATIENCE);
	}
	every_tile_has_a_place();
	for (int i = 0; i < PLACES; i++)
		if (places[i])
			give((char *)((uintptr_t)places[i] & ~4095UL), 4096UL << ((uintptr_t)places[i] & 4095));
	/* A block between a process's hands when it was killed belongs to its generation. */
	ck_assert_uint_le(help_info(region).blocksInUse, (uint64_t)(kills + PEERS) * 4);
	nothing_is_lost();
	munmap(places, PLACES * sizeof *places);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lease");
	TCase *tests = tcase_create("lease");

	tcase_add_checked_fixture(tests, region_begin, region_end);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, pairs_take_no_lock);
	tcase_add_test(tests, lists_do_not_show_what_is_in_hand);
	tcase_add_test(tests, blocks_come_from_the_lowest_address);
	tcase_add_test(tests, frees_all_over_the_region_are_not_lost);
	tcase_add_test(tests, own_tiles_are_not_in_the_way_of_large_blocks);
	tcase_add_test(tests, misuse_is_refused_with_tiles_in_hand);
	tcase_add_test(tests, durable_regions_lease_nothing);
	tcase_add_test(tests, block_freed_by_two_threads_is_freed_once);
	tcase_add_test(tests, thread_that_ends_gives_back);
	tcase_add_test(tests, seizing_stops_calls_without_a_lock);
	tcase_add_test(tests, seizing_works_where_the_kernel_has_no_membarrier);
	tcase_add_test(tests, seizing_without_membarrier_is_refused_beside_those_that_have_it);
	tcase_add_test(tests, seizer_waits_for_calls_without_a_lock);
	help_add_death(tests, seizer_does_not_wait_for_the_dead);
	help_add_death(tests, seizer_that_dies_lets_go);
	help_add_death(tests, tiles_of_a_killed_process_are_free);
	help_add_death(tests, tiles_of_a_killed_process_are_found_when_space_runs_out);
	tcase_add_test(tests, process_that_leaves_gives_back_for_its_threads);
	tcase_add_test(tests, child_of_a_fork_does_not_use_its_parents_tiles);
	help_add_death(tests, blocks_freed_by_other_processes_are_not_lost_by_kills);
	suite_add_tcase(suite, tests);
	return help_main(suite);
}
