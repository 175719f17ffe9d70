/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <limits.h>
#include <pthread.h>
#include <saslock.h>
#include <sasepoch.h>
#include <sasmsync.h>
#include <sassim.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "life.h"
#include "sas/lock/lock_table.h"

char context[256];

void expect(int holds, const char *format, ...)
{
	va_list args;

	if (holds)
		return;
	fprintf(stderr, "%s: ", context);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno %d, \"%s\")\n", errno, SASLastErrorMessage());
	_exit(1);
}

static void join_with(struct life *l, unsigned flags)
{
	SASRegionOptions o;

	help_options(&o, flags);
	o.durability = l->durability;
	o.mode = 0640;
	o.numaPolicy = SASNuma__INTERLEAVE_SEGMENTS;
	l->region = SASRegionJoin(l->store, &o);
	l->failed = !l->region;
}

void life_create(struct life *l) { join_with(l, SAS_JOIN_CREATE); }
static void do_join(struct life *l) { join_with(l, 0); }
static void do_join_eagerly(struct life *l) { join_with(l, SAS_JOIN_EAGER); }
static void do_join_to_read(struct life *l) { join_with(l, SAS_JOIN_READONLY); }

void life_leave(struct life *l)
{
	if (l->classic)
		SASCleanUp();
	else if (l->region)
		l->failed = SASRegionLeave(l->region) != 0;
	l->region = NULL;
	l->classic = 0;
}

static void take(struct life *l, void **block, size_t size)
{
	*block = SASRegionBlockAlloc(l->region, size);
	l->failed = !*block;
}

static void do_alloc_small(struct life *l) { take(l, &l->small, 4096); }
static void do_alloc_half(struct life *l) { take(l, &l->half, HELP_SEGMENT / 2); }
void life_alloc_large(struct life *l) { take(l, &l->large, LARGE); }

static void give(struct life *l, void **block, size_t size)
{
	if (*block)
		l->failed = SASBlockFree(*block, size) != 0;
	if (!l->failed)
		*block = NULL;
}

static void do_free_small(struct life *l) { give(l, &l->small, 4096); }
static void do_free_half(struct life *l) { give(l, &l->half, HELP_SEGMENT / 2); }
static void do_free_large(struct life *l) { give(l, &l->large, LARGE); }
static void do_set_finder(struct life *l) { l->failed = SASRegionSetFinder(l->region, l->small) != 0; }
static void do_sync(struct life *l) { l->failed = SASSync(l->region) != 0; }
static void do_trim(struct life *l) { l->failed = SASRegionTrim(l->region) < 0; }
static void do_recover(struct life *l) { l->failed = SASRegionRecover(l->region) < 0; }

static void do_check(struct life *l)
{
	long problems = SASRegionCheck(l->store, help_print_problem, context);

	expect(problems <= 0, "there are problems in what is whole");
	l->failed = problems < 0;
}

static void do_reset(struct life *l) { l->failed = SASRegionReset(l->region) != 0; }
static void do_remove_path(struct life *l) { l->failed = SASRegionRemovePath(l->store, 0) != 0; }

static void do_list(struct life *l)
{
	SASRegionInfo info = { .structSize = sizeof info };

	l->failed = SASRegionGetInfo(l->region, &info) != 0 ||
		    SASRegionListBlocks(l->region, SASBlock__UNCOMMITTED, NULL, 0) < 0;
}

static void do_remove(struct life *l)
{
	l->failed = SASRegionRemove(l->region) != 0;
	if (!l->failed)
		l->region = NULL;
}

static void do_map_ahead(struct life *l)
{
	l->failed = SASMapAhead(l->half, HELP_SEGMENT / 2) != 0;
}

/* A child of fork registers by itself. */
static void do_fork(struct life *l)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		void *block = SASRegionBlockAlloc(l->region, 4096);

		expect(block || errno, "it cannot allocate, without an errno");
		expect(!block || SASBlockFree(block, 4096) == 0 || errno, "it cannot free, without an errno");
		SASRegionLeave(l->region);
		_exit(0);
	}
	expect(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "the child ended with %d", status);
}

/* --- classic calls, first touches */

static void do_join_classically(struct life *l)
{
	help_classic(l->store);
	l->failed = SASJoinRegion() != 0;
	l->region = l->failed ? NULL : SASRegionDefault();
	l->classic = !l->failed;
}

static void do_alloc_classically(struct life *l)
{
	l->half = SASBlockAlloc(HELP_SEGMENT / 2);
	l->failed = !l->half;
}

static sigjmp_buf untouched;
static volatile sig_atomic_t touching;

static void note_fault(int number)
{
	if (touching)
		siglongjmp(untouched, 1);
	signal(number, SIG_DFL);
}

/* A first touch that cannot be served is a SIGSEGV of the program, which has a handler. */
static void do_join_lazily(struct life *l)
{
	signal(SIGSEGV, note_fault);
	do_join(l);
}

static void do_touch(struct life *l)
{
	touching = 1;
	if (sigsetjmp(untouched, 1) == 0)
		store_byte(l->half, 1);
	else
		l->failed = 1;
	touching = 0;
}

/* --- locks */

#define LOCKS 20U       /* more than have records in a slot */

/* They share a bucket, so that its chain grows. */
static void *lock_of(size_t number)
{
	static uint64_t addresses[LOCKS];

	addresses[0] = HELP_BASE;
	for (size_t i = 1; i <= number; i++)
		while (addresses[i] == 0 || sas_lock_bucket(addresses[i]) != sas_lock_bucket(HELP_BASE))
			addresses[i] = (addresses[i] ? addresses[i] : addresses[i - 1]) + 64;
	return (void *)(uintptr_t)addresses[number];
}

static void *others_lock(void)
{
	return (void *)(HELP_BASE + 64);
}

struct other { pthread_t thread; int held[2], give[2]; int stop; };

static int somebody_waits(void)
{
	SASLockInfo list[2 * LOCKS];
	long count = SASLockList(SASRegionOf(others_lock()), list, 2 * LOCKS);

	for (long i = 0; i < count && i < 2 * LOCKS; i++)
		if (list[i].state == SASLock__WAITS)
			return 1;
	return 0;
}

/* Holds a lock until it is told to give it; then until somebody waits, or nobody will. */
static void *hold_lock(void *arg)
{
	struct other *o = arg;
	char byte = 0;

	expect(SASLockTake(others_lock(), SasUserLock__WRITE, 0, -1) == 0, "the other thread gets no lock");
	expect(write(o->held[1], &byte, 1) == 1 && read(o->give[0], &byte, 1) == 1, "no word of the other thread");
	while (!__atomic_load_n(&o->stop, __ATOMIC_ACQUIRE) && !somebody_waits())
		sched_yield();
	expect(SASLockGive(others_lock()) == 0, "the other thread cannot give its lock");
	return NULL;
}

static void do_other_locks(struct life *l)
{
	static struct other other;
	char byte;

	memset(&other, 0, sizeof other);
	expect(pipe(other.held) == 0 && pipe(other.give) == 0, "no pipe");
	expect(pthread_create(&other.thread, NULL, hold_lock, &other) == 0, "no thread");
	expect(read(other.held[0], &byte, 1) == 1, "no word of the other thread");
	l->other = &other;
}

static void tell_other(struct other *o, int stop)
{
	__atomic_store_n(&o->stop, stop, __ATOMIC_RELEASE);
	expect(write(o->give[1], "", 1) == 1, "the other thread cannot be told");
}

static void end_other(struct life *l)
{
	struct other *o = l->other;

	if (!o)
		return;
	l->other = NULL;
	__atomic_store_n(&o->stop, 1, __ATOMIC_RELEASE);
	expect(pthread_join(o->thread, NULL) == 0, "the other thread does not end");
	for (int i = 0; i < 2; i++) {
		close(o->held[i]);
		close(o->give[i]);
	}
}

static int lock(void *address, sas_userlock_request_t mode)
{
	return SASLockTake(address, mode, 0, 10000);
}

static void do_lock(struct life *l) { l->failed = lock(lock_of(0), SasUserLock__READ) != 0; }

static void do_nest(struct life *l)
{
	l->failed = lock(lock_of(0), SasUserLock__READ) != 0 || lock(lock_of(0), SasUserLock__WRITE) != 0 ||
		    SASLockGive(lock_of(0)) != 0 || SASLockGive(lock_of(0)) != 0;
}

static void do_lock_many(struct life *l)
{
	for (size_t i = 1; i < LOCKS && !l->failed; i++)
		l->failed = lock(lock_of(i), SasUserLock__WRITE) != 0;
}

static void do_unlock_many(struct life *l)
{
	for (size_t i = LOCKS; --i > 0;)
		l->failed |= SASLockGive(lock_of(i)) != 0;
}

static void do_wait_in_vain(struct life *l)
{
	int error;

	expect(SASLockTake(others_lock(), SasUserLock__READ, 0, 3) != 0, "two threads hold a lock");
	error = errno;
	l->failed = error != ETIMEDOUT;
	expect(SASLockTry(others_lock(), SasUserLock__READ) != 0, "two threads hold a lock");
	if (!l->failed && errno != EBUSY)
		l->failed = 1;
	else
		errno = error;
}

static void do_wait(struct life *l)
{
	if (l->other)
		tell_other(l->other, 0);
	l->failed = lock(others_lock(), SasUserLock__WRITE) != 0;
	end_other(l);
}

static void do_unlock(struct life *l)
{
	l->failed = SASLockGive(others_lock()) != 0 || SASLockGive(lock_of(0)) != 0;
}

static void do_list_locks(struct life *l)
{
	l->failed = SASLockList(l->region, NULL, 0) < 0;
}

/* --- epochs */

static void nothing(void *arg)
{
	(void)arg;
}

static void do_alloc_many(struct life *l)
{
	while (l->count < FREES && (l->blocks[l->count] = SASRegionBlockAlloc(l->region, 4096)) != NULL)
		l->count++;
	l->failed = l->count < FREES;
}

/* Until so many are left. */
static void defer_frees(struct life *l, unsigned left)
{
	while (l->count > left && SASEpochFree(l->blocks[l->count - 1], 4096) == 0)
		l->count--;
	l->failed = l->count > left;
}

static void do_enter(struct life *l) { l->failed = SASEpochEnter(l->region) != 0; }
static void do_exit(struct life *l) { l->failed = SASEpochExit(l->region) != 0; }
static void do_defer(struct life *l) { l->failed = SASEpochDefer(l->region, nothing, NULL, 1) != 0; }
static void do_defer_free(struct life *l) { defer_frees(l, FREES - 1); }
static void do_defer_frees(struct life *l) { defer_frees(l, 0); }
static void do_epoch_limit(struct life *l) { l->failed = SASEpochSetLimit(l->region, GIB, 100000) != 0; }
static void do_synchronize(struct life *l) { l->failed = SASEpochSynchronize(l->region, 10000) != 0; }
static void do_reclaim(struct life *l) { l->failed = SASEpochReclaim(l->region) < 0; }

static void do_epoch_info(struct life *l)
{
	SASEpochInfo info = { .structSize = sizeof info };

	l->failed = SASEpochGetInfo(l->region, &info) != 0;
}

static void do_epoch_helper(struct life *l)
{
	l->failed = SASEpochHelperStart(l->region, 1) != 0 || SASEpochHelperStop(l->region) != 0;
}

/* --- placement, ranges, looking at files */

static void do_alloc_placed(struct life *l)
{
	l->half = SASRegionBlockAllocPlaced(l->region, HELP_SEGMENT / 2, SASNuma__INTERLEAVE, NULL);
	l->failed = !l->half;
}

static void do_place(struct life *l)
{
	l->failed = SASBlockPlace(l->half, HELP_SEGMENT / 2, SASNuma__PREFERRED, "0") != 0;
}

static void do_placement(struct life *l)
{
	sas_numa_t policy;
	char nodes[64];

	l->failed = SASBlockPlacement(l->half, &policy, nodes, sizeof nodes) != 0;
}

static void do_find(struct life *l)
{
	SASBlockInfo info;

	l->failed = SASBlockFind((char *)l->half + 5, &info) != 0;
}

static void do_sync_range(struct life *l)
{
	memset(l->half, 1, 8192);
	l->failed = SASSyncRange(l->half, 8192) != 0;
}

static void do_write_range(struct life *l)
{
	l->failed = sasMsyncWrite(l->half, 8192, SAS_ASYNC) != 0;
}

static int inspect_all(SASInspect_t in, struct life *l)
{
	SASInspectInfo info = { .structSize = sizeof info };
	char bytes[100];

	return SASInspectGetInfo(in, &info) != 0 || SASInspectListBlocks(in, SASBlock__FREE, NULL, 0) < 0 ||
	       SASInspectListSegments(in, NULL, 0) < 0 || SASInspectListParticipants(in, NULL, 0) < 0 ||
	       SASInspectListThreads(in, NULL, 0) < 0 || SASInspectListLocks(in, NULL, 0) < 0 ||
	       SASInspectRead(in, l->half, bytes, sizeof bytes) != 0;
}

static void do_inspect(struct life *l)
{
	SASInspect_t in = SASInspectOpen(l->store);
	int error;

	l->failed = !in || inspect_all(in, l);
	error = errno;
	SASInspectClose(in);
	errno = error;
}

static void do_copy(struct life *l)
{
	char to[PATH_MAX];

	snprintf(to, sizeof to, "%s.copy", l->store);
	l->failed = SASRegionCopy(l->store, to) != 0;
}

static void do_check_copy(struct life *l)
{
	char to[PATH_MAX];
	long problems;

	snprintf(to, sizeof to, "%s.copy", l->store);
	problems = SASRegionCheck(to, help_print_problem, context);
	expect(problems <= 0, "the copy is broken");
	l->failed = problems != 0;
}

static void do_remove_copy(struct life *l)
{
	char to[PATH_MAX];

	snprintf(to, sizeof to, "%s.copy", l->store);
	l->failed = SASRegionRemovePath(to, 0) != 0;
}

static void print_repair(const char *file, uint64_t offset, const char *sentence, int done, void *arg)
{
	help_print_problem(file, offset, sentence, arg);
	(void)done;
}

static void do_repair(struct life *l)
{
	long left = SASRegionRepair(l->store, print_repair, context);

	expect(left <= 0, "%ld problems are left in what is whole", left);
	l->failed = left != 0;
}

/* --- all of it: lives that begin with nothing and leave nothing */

const struct step steps[] = {
	{ "create", life_create, "SASRegionJoin", STARTS },
	{ "alloc small", do_alloc_small, "SASBlockAlloc", 0 },
	{ "alloc large", life_alloc_large, "SASBlockAlloc", 0 },
	{ "alloc half", do_alloc_half, "SASBlockAlloc", 0 },
	{ "set finder", do_set_finder, "SASRegionFinder", 0 },
	{ "list", do_list, "SASRegionListBlocks", 0 },
	{ "free large", do_free_large, "SASBlockAlloc", 0 },
	{ "sync", do_sync, "SASSync", 0 },
	{ "trim", do_trim, "SASRegionTrim", 0 },
	{ "recover", do_recover, "SASRegionRecover", 0 },
	{ "check", do_check, "SASRegionCheck", 0 },
	{ "fork", do_fork, "SASBlockAlloc", 0 },
	{ "free small", do_free_small, "SASBlockAlloc", 0 },
	{ "leave", life_leave, "SASRegionLeave", 0 },
	{ "join", do_join, "SASRegionJoin", 0 },
	{ "map ahead", do_map_ahead, "SASMapAhead", MUTE },
	{ "alloc large again", life_alloc_large, "SASBlockAlloc", 0 },
	{ "leave again", life_leave, "SASRegionLeave", 0 },
	{ "join eagerly", do_join_eagerly, "SASRegionJoin", 0 },
	{ "free half", do_free_half, "SASBlockAlloc", 0 },
	{ "trim again", do_trim, "SASRegionTrim", 0 },
	{ "leave a third time", life_leave, "SASRegionLeave", 0 },
	{ "join to read", do_join_to_read, "SASRegionJoin", 0 },
	{ "leave after reading", life_leave, "SASRegionLeave", 0 },
	{ "join to reset", do_join, "SASRegionJoin", 0 },
	{ "reset", do_reset, "SASRegionRemove", ENDS },
	{ "alloc after reset", life_alloc_large, "SASBlockAlloc", 0 },
	{ "remove", do_remove, "SASRegionRemove", ENDS },
	{ "create again", life_create, "SASRegionJoin", 0 },
	{ "alloc", life_alloc_large, "SASBlockAlloc", 0 },
	{ "leave for good", life_leave, "SASRegionLeave", 0 },
	{ "remove by path", do_remove_path, "SASRegionRemove", ENDS },

	{ "join classically", do_join_classically, "SASRegionJoin", STARTS },
	{ "alloc classically", do_alloc_classically, "SASBlockAlloc", 0 },
	{ "map again", do_map_ahead, "SASMapAhead", MUTE },
	{ "clean up", life_leave, "SASRegionJoin", 0 },
	{ "join lazily", do_join_lazily, "SASRegionJoin", 0 },
	{ "touch", do_touch, NULL, FAULTS },
	{ "leave after touch", life_leave, "SASRegionLeave", 0 },

	{ "create for locks", life_create, "SASRegionJoin", STARTS },
	{ "lock", do_lock, "SASLockTake", 0 },
	{ "nest and upgrade", do_nest, "SASLockTake", 0 },
	{ "lock many", do_lock_many, "SASLockTake", 0 },
	{ "unlock many", do_unlock_many, "SASLockTake", 0 },
	{ "another one locks", do_other_locks, "SASLockTake", 0 },
	{ "wait in vain", do_wait_in_vain, "SASLockTake", 0 },
	{ "list locks", do_list_locks, "SASLockList", 0 },
	{ "wait", do_wait, "SASLockTake", 0 },
	{ "unlock", do_unlock, "SASLockTake", 0 },
	{ "fork beside locks", do_fork, "SASBlockAlloc", 0 },
	{ "leave locks", life_leave, "SASRegionLeave", 0 },

	{ "create for epochs", life_create, "SASRegionJoin", STARTS },
	{ "enter", do_enter, "SASEpochEnter", 0 },
	{ "exit", do_exit, "SASEpochEnter", 0 },
	{ "defer", do_defer, "SASEpochDefer", 0 },
	{ "alloc many", do_alloc_many, "SASBlockAlloc", 0 },
	{ "defer a free", do_defer_free, "SASEpochDefer", 0 },
	{ "defer many frees", do_defer_frees, "SASEpochDefer", 0 },
	{ "epoch info", do_epoch_info, "SASEpochGetInfo", 0 },
	{ "epoch limit", do_epoch_limit, "SASEpochDefer", 0 },
	{ "synchronize", do_synchronize, "SASEpochEnter", 0 },
	{ "reclaim", do_reclaim, "SASEpochDefer", 0 },
	{ "epoch helper", do_epoch_helper, "SASEpochDefer", 0 },
	{ "leave epochs", life_leave, "SASRegionLeave", 0 },

	{ "create for looking", life_create, "SASRegionJoin", STARTS },
	{ "alloc placed", do_alloc_placed, "SASBlockAlloc", 0 },
	{ "place", do_place, "SASBlockPlace", 0 },
	{ "placement", do_placement, "SASBlockPlace", 0 },
	{ "find", do_find, "SASBlockAlloc", 0 },
	{ "sync range", do_sync_range, "SASSync", 0 },
	{ "write range", do_write_range, "sasMsyncWrite", 0 },
	{ "inspect", do_inspect, "SASInspectOpen", 0 },
	{ "leave to look", life_leave, "SASRegionLeave", 0 },
	{ "inspect what is left", do_inspect, "SASInspectOpen", 0 },
	{ "copy", do_copy, "SASRegionCopy", 0 },
	{ "check the copy", do_check_copy, "SASRegionCheck", 0 },
	{ "remove the copy", do_remove_copy, "SASRegionRemove", 0 },
	{ "repair", do_repair, "SASRegionRepair", 0 },
	{ "remove what is left", do_remove_path, "SASRegionRemove", ENDS },
};
const int step_count = sizeof steps / sizeof steps[0];

void life_steps(struct life *l, int from, int to)
{
	for (int i = from; i < to; i++) {
		if (steps[i].kind & STARTS)
			*l = (struct life){ .store = l->store, .durability = l->durability };
		l->failed = 0;
		steps[i].take(l);
		expect(!l->failed, "the step \"%s\" before it fails", steps[i].name);
	}
}

void life_until(struct life *l, int step)
{
	int first = step;

	while (!(steps[first].kind & STARTS))
		first--;
	life_steps(l, first, step);
}

void life_let_go(struct life *l)
{
	if (l->other)
		tell_other(l->other, 1);
	end_other(l);
	if (!l->region)
		return;
	while (SASEpochExit(l->region) == 0)
		;
	for (size_t i = 0; i < LOCKS; i++)
		while (SASLockHeld(lock_of(i)) >= 0)
			expect(SASLockGive(lock_of(i)) == 0, "a lock cannot be given back");
	while (SASLockHeld(others_lock()) >= 0)
		expect(SASLockGive(others_lock()) == 0, "the other lock cannot be given back");
}
