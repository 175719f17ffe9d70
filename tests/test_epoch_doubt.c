/* SPDX-License-Identifier: MIT */
/*
 * test_epoch_doubt.c - what epochs cannot know at once: frees that a death has left half done, and readers whose
 * stores the kernel does not order for us.
 *
 * The records that deaths at particular instructions leave are written by hand; epoch_free.c has the rules.
 */
#include <config.h>

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sasepoch.h>
#include "fixture.h"
#include "sas/block/block.h"
#include "sas/epoch/epoch.h"
#include "sas/ground/port.h"
#include "sas/run/run_page.h"

#define RETIRING 0x40UL
#define FREEING 0x80UL
#define WAITING 0UL

static uint64_t block;          /* offset of the one that all is about */

static void set_up(void)
{
	store_begin();
	region_create(GIB, 4 * MIB, 0);
	block = (uint64_t)SASRegionBlockAlloc(region, 4096) - region->base;
}

static int in_use(void)
{
	SASBlockInfo info;

	return SASBlockFind((void *)(region->base + block), &info) == 0;
}

static void condemn(void)
{
	struct sas_thread *t;

	ck_assert_int_eq(sas_call_begin(region, SAS_CALL_WRITE | SAS_CALL_SLOT, &t), 0);
	ck_assert_int_eq(sas_block_retire(region, block, 4096), 0);
	sas_call_end(t);
}

static struct sas_run_limbo_entry *record(uint32_t owner, uint64_t state)
{
	struct sas_run_limbo *page;
	uint32_t number;

	ck_assert_int_eq(sas_run_page_take(region, owner, SAS_RUN_PAGE_LIMBO, &number), 0);
	page = (struct sas_run_limbo *)&region->run->pages[number];
	sas_store_relaxed_u64(&page->entries[7].epoch, sas_epoch_tag(region->run));
	sas_store_release_u64(&page->entries[7].block, block | state);
	sas_store_release_u32(&region->run->header->epoch_orphans, 1);
	return &page->entries[7];
}

static void dead_record(uint64_t state) { record(SAS_RUN_ORPHAN, state); }

static uint64_t held(void)
{
	SASEpochInfo info = { .structSize = sizeof info };

	ck_assert_int_eq(SASEpochGetInfo(region, &info), 0);
	return info.heldFrees;
}

/* The block is freed, once, and nothing is held. */
static void goes_once(void)
{
	for (int i = 0; i < 4; i++)
		ck_assert_int_ge((int)SASEpochReclaim(region), 0);
	ck_assert(!in_use());
	ck_assert_uint_eq(held(), 0);
}

static void stays(void)
{
	for (int i = 0; i < 4; i++)
		ck_assert_int_ge((int)SASEpochReclaim(region), 0);
	ck_assert(in_use());
}

START_TEST(retiring_of_block_that_is_not_goes)
{
	dead_record(RETIRING);
	stays();
	ck_assert_uint_eq(held(), 0);
	ck_assert_int_eq(SASBlockFree((void *)(region->base + block), 4096), 0);
}
END_TEST

/* When it was retired nobody knows, so it waits anew. */
START_TEST(retiring_of_retired_block_waits_anew)
{
	dead_record(RETIRING);
	condemn();
	ck_assert_int_eq(SASEpochReclaim(region), 0);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	stays();
	ck_assert_uint_eq(held(), 1);
	ck_assert_int_eq(SASEpochExit(region), 0);
	goes_once();
}
END_TEST

START_TEST(freeing_of_block_that_is_used_again_goes)
{
	dead_record(FREEING);
	stays();
	ck_assert_uint_eq(held(), 0);
	ck_assert_int_eq(SASBlockFree((void *)(region->base + block), 4096), 0);
}
END_TEST

START_TEST(freeing_of_retired_block_frees)
{
	dead_record(FREEING);
	condemn();
	goes_once();
}
END_TEST

/* Freed, used and retired again: the new one's readers are waited for. */
static void new_one_is_waited_for(uint64_t state)
{
	dead_record(state);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_int_eq(SASEpochFree((void *)(region->base + block), 4096), 0);
	stays();
	ck_assert_uint_eq(held(), 1);
	ck_assert_int_eq(SASEpochExit(region), 0);
	goes_once();
}

START_TEST(freeing_of_block_that_is_retired_again_goes) { new_one_is_waited_for(FREEING); }
END_TEST

START_TEST(retiring_of_block_that_another_retired_goes) { new_one_is_waited_for(RETIRING); }
END_TEST

static void two_records(uint64_t one, uint64_t other)
{
	dead_record(one);
	dead_record(other);
	condemn();
	goes_once();
}

START_TEST(two_in_doubt_free_once)
{
	static const uint64_t states[] = { RETIRING, FREEING, WAITING };

	two_records(states[_i % 3], states[_i / 3]);
}
END_TEST

START_TEST(three_in_doubt_free_once)
{
	dead_record(FREEING);
	dead_record(RETIRING);
	dead_record(FREEING);
	condemn();
	goes_once();
}
END_TEST

/* --- a living thread in the midst of it */

static pthread_barrier_t met;
static uint32_t other_slot;

static void *be_there(void *arg)
{
	struct sas_thread *t;

	must(sas_call_begin(region, SAS_CALL_SLOT, &t) == 0);
	other_slot = (uint32_t)sas_thread_slot(t, region);
	sas_call_end(t);
	pthread_barrier_wait(&met);
	pthread_barrier_wait(&met);
	return arg;
}

/* It may still fail, or come to wait: nothing is decided before. */
START_TEST(doubt_waits_for_living_thread)
{
	static const uint64_t states[] = { RETIRING, FREEING };
	struct sas_run_limbo_entry *entry;
	pthread_t thread;

	pthread_barrier_init(&met, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, be_there, NULL), 0);
	pthread_barrier_wait(&met);
	dead_record(states[_i]);
	entry = record(other_slot + 1, RETIRING);
	condemn();
	stays();
	/* It has failed: ours is the one. */
	sas_store_release_u64(&entry->block, 0);
	goes_once();
	pthread_barrier_wait(&met);
	pthread_join(thread, NULL);
}
END_TEST

/* Nobody is left who could see anything: the last one frees all that is retired, in whatever state. */
START_TEST(last_leaver_frees_what_is_in_doubt)
{
	static const uint64_t states[] = { RETIRING, FREEING, WAITING };

	dead_record(states[_i]);
	condemn();
	ck_assert_int_eq(SASRegionLeave(region), 0);
	region_join(0);
	ck_assert(!in_use());
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* --- membarrier(2) refused */

static struct sas_port port;
static int refuse_register, refuse_order;

static int refuse(int command)
{
	if (command == MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED && refuse_register)
		return -EPERM;
	if (command == MEMBARRIER_CMD_GLOBAL_EXPEDITED && refuse_order)
		return -ENOSYS;
	return sas_port_linux.membarrier(command);
}

static void use_port(int no_register, int no_order)
{
	port = sas_port_linux;
	port.membarrier = refuse;
	refuse_register = no_register;
	refuse_order = no_order;
	sas_port = &port;
}

static int count;
static void add_one(void *arg)
{
	(void)arg;
	count++;
}

static SASEpochInfo epoch_info(void)
{
	SASEpochInfo info = { .structSize = sizeof info };

	ck_assert_int_eq(SASEpochGetInfo(region, &info), 0);
	return info;
}

START_TEST(refused_registration_uses_full_fences)
{
	use_port(1, 1);
	ck_assert_int_eq(SASEpochEnter(region), 0);
	ck_assert_uint_eq(epoch_info().asymmetric, 0);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 0);
	ck_assert_int_eq(SASEpochExit(region), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), 1);
	ck_assert_int_eq(count, 1);
	ck_assert_uint_eq(epoch_info().refused, 0);
}
END_TEST

/* The process has another slot in another run file, which must say the same. */
START_TEST(reset_registers_light_fences_anew)
{
#ifdef __SANITIZE_THREAD__
	return;
#endif
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(epoch_info().asymmetric, 0);
		ck_assert_int_eq(SASEpochEnter(region), 0);
		ck_assert_int_eq(SASEpochExit(region), 0);
		ck_assert_uint_eq(epoch_info().asymmetric, 1);
		ck_assert_uint_eq(sas_load_relaxed_u32(&region->run->header->epoch_light), 1);
		ck_assert(sas_epoch_light_lives(region->run));
		ck_assert_int_eq(SASRegionReset(region), 0);
	}
}
END_TEST

struct steps { int reached, go; };

static void read_lightly(void *arg)
{
	struct steps *s = arg;

	sas_port = &sas_port_linux;
	must(SASEpochEnter(region) == 0);
	must(SASEpochExit(region) == 0);
	__atomic_store_n(&s->reached, 1, __ATOMIC_SEQ_CST);
	must(until(__atomic_load_n(&s->go, __ATOMIC_SEQ_CST) == 1, PATIENCE));
	must(SASEpochReclaim(region) >= 0);
	__atomic_store_n(&s->reached, 2, __ATOMIC_SEQ_CST);
	must(until(__atomic_load_n(&s->go, __ATOMIC_SEQ_CST) == 2, PATIENCE));
}

/* The other process has light readers, and this one cannot order their stores: it concludes nothing, and says so. The
 * other one can, and what it finds helps this one. When that has died all is well again. */
START_TEST(refused_order_concludes_nothing_while_light_readers_live)
{
	struct steps *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t safe;
	pid_t child;

#ifdef __SANITIZE_THREAD__
	return;                 /* no reader is light there */
#endif
	use_port(1, 1);
	child = help_fork(read_lightly, s);
	ck_assert(until(__atomic_load_n(&s->reached, __ATOMIC_SEQ_CST) == 1, PATIENCE));
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	safe = epoch_info().safe;
	errno = 0;
	ck_assert_int_eq((int)SASEpochReclaim(region), -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	ck_assert_msg(strstr(SASLastErrorMessage(), "membarrier") != NULL, "%s", SASLastErrorMessage());
	ck_assert_int_eq(SASEpochSynchronize(region, -1), -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	ck_assert_uint_eq(epoch_info().refused, 1);
	ck_assert_uint_eq(epoch_info().safe, safe);
	ck_assert_int_eq(count, 0);
	__atomic_store_n(&s->go, 1, __ATOMIC_SEQ_CST);
	ck_assert(until(__atomic_load_n(&s->reached, __ATOMIC_SEQ_CST) == 2, PATIENCE));
	ck_assert_int_eq((int)SASEpochReclaim(region), 1);
	ck_assert_int_eq(count, 1);
	ck_assert_int_eq(SASEpochDefer(region, add_one, NULL, 0), 0);
	ck_assert_int_eq((int)SASEpochReclaim(region), -1);
	kill(child, SIGKILL);
	ck_assert_int_eq(help_wait(child, PATIENCE), 128 + SIGKILL);
	ck_assert_int_eq((int)SASEpochReclaim(region), 1);
	ck_assert_int_eq(count, 2);
	ck_assert_uint_eq(epoch_info().refused, 0);
}
END_TEST

static Suite *doubt_suite(void)
{
	Suite *s = suite_create("epoch_doubt");
	TCase *t = tcase_create("doubt");

	tcase_add_checked_fixture(t, set_up, region_end);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, retiring_of_block_that_is_not_goes);
	tcase_add_test(t, retiring_of_retired_block_waits_anew);
	tcase_add_test(t, freeing_of_block_that_is_used_again_goes);
	tcase_add_test(t, freeing_of_retired_block_frees);
	tcase_add_test(t, freeing_of_block_that_is_retired_again_goes);
	tcase_add_test(t, retiring_of_block_that_another_retired_goes);
	tcase_add_loop_test(t, two_in_doubt_free_once, 0, 9);
	tcase_add_test(t, three_in_doubt_free_once);
	tcase_add_loop_test(t, doubt_waits_for_living_thread, 0, 2);
	tcase_add_loop_test(t, last_leaver_frees_what_is_in_doubt, 0, 3);
	tcase_add_test(t, refused_registration_uses_full_fences);
	tcase_add_test(t, reset_registers_light_fences_anew);
	tcase_add_test(t, refused_order_concludes_nothing_while_light_readers_live);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return help_main(doubt_suite());
}
