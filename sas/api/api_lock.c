/* SPDX-License-Identifier: MIT */
/* api_lock.c - the public edge of saslock.h. Layer 4. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ground/err.h"
#include "lock/lock_newest.h"
#include "lock/lock_list.h"
#include "ground/port.h"
#include "saslock.h"

#define PATIENCE_NS 5000000U    /* between two tries of SASLock() where there is no memory or space for a lock */

#define MILLISECONDS_MAX 1000000000000L /* thirty years are for ever */

static const unsigned modes[] = { SAS_HOLD_READ, SAS_HOLD_WRITE, SAS_HOLD_INTENT };

/* 1: taken; 0: nothing has been done. */
static inline int take_newest(vm_address_t addr, sas_userlock_request_t mode)
{
	if (mode == SasUserLock__WRITE)
		return sas_newest_take((uintptr_t)addr, SAS_HOLD_WRITE);
	if (mode == SasUserLock__READ)
		return sas_newest_take((uintptr_t)addr, SAS_HOLD_READ);
	return mode == SasUserLock__INTENT && sas_newest_take((uintptr_t)addr, SAS_HOLD_INTENT);
}

static int take_at_once(vm_address_t addr, sas_userlock_request_t mode)
{
	return (unsigned)mode <= SasUserLock__INTENT && sas_lock_take_at_once((uintptr_t)addr, modes[mode]);
}

static int take(vm_address_t addr, sas_userlock_request_t mode, unsigned flags, uint64_t nanoseconds)
{
	if ((unsigned)mode > SasUserLock__INTENT)
		return sas_fail(EINVAL, "%d is not READ, WRITE or INTENT", (int)mode);
	return sas_lock_take((uintptr_t)addr, modes[mode], flags, nanoseconds);
}

/* Where nothing but patience helps. */
static void pause_for(uint64_t nanoseconds)
{
	static const uint32_t never;

	sas_port->futex_wait(&never, never, nanoseconds);
}

/* Never without the lock, as long as there is one. -EDEADLK: from inside a call, which cannot go on before we return. */
static __attribute__((noinline)) void lock_patiently(vm_address_t addr, sas_userlock_request_t mode)
{
	int error;

	if (take_at_once(addr, mode))
		return;
	while ((error = take(addr, mode, SAS_LOCK_PATIENT, SAS_LOCK_FOREVER)) != 0) {
		if (error == -ESTALE || error == -EROFS || error == -EINVAL || error == -EDEADLK)
			break;
		pause_for(PATIENCE_NS);
	}
	sas_err_edge(error);
}

void SASLock(vm_address_t addr, sas_userlock_request_t lockT)
{
	if (!LIKELY(take_newest(addr, lockT)))
		lock_patiently(addr, lockT);
}

static __attribute__((noinline)) int give(vm_address_t addr)
{
	return sas_err_edge(sas_lock_give((uintptr_t)addr));
}

int SASLockGive(vm_address_t addr)
{
	return LIKELY(sas_newest_give((uintptr_t)addr)) ? 0 : give(addr);
}

void SASUnlock(vm_address_t addr)
{
	if (!LIKELY(sas_newest_give((uintptr_t)addr)))
		give(addr);
}

int SASLockTake(vm_address_t addr, sas_userlock_request_t mode, unsigned flags, long milliseconds)
{
	uint64_t nanoseconds = milliseconds < 0 || milliseconds > MILLISECONDS_MAX ? SAS_LOCK_FOREVER :
			       (uint64_t)milliseconds * 1000000U;
	int error;

	if (flags & ~SAS_LOCK_OWNERDEAD)
		error = sas_fail(EINVAL, "unknown flags %#x", flags & ~SAS_LOCK_OWNERDEAD);
	else if (LIKELY(take_newest(addr, mode)) || take_at_once(addr, mode))
		return 0;
	else
		error = take(addr, mode, flags ? SAS_LOCK_TELL : 0, nanoseconds);
	return sas_err_edge(error);
}

int SASLockTry(vm_address_t addr, sas_userlock_request_t mode)
{
	return SASLockTake(addr, mode, 0, 0);
}

int SASLockHeld(vm_address_t addr)
{
	static const int names[] = { -1, SasUserLock__READ, SasUserLock__INTENT, SasUserLock__WRITE };

	return names[sas_lock_held((uintptr_t)addr)];
}

/* --- who holds, who waits */

static int begin_looking(struct sas_region *r, struct sas_thread **t)
{
	if (!r->run)
		return sas_fail(EROFS, "%s: there are no locks where " SAS_RUN_NAME " could not be opened", r->path);
	return sas_call_begin(r, 0, t);
}

static int list_locks(struct sas_region *r, SASLockInfo **list, size_t *count)
{
	struct sas_thread *t;
	int error = begin_looking(r, &t);

	if (error)
		return error;
	error = sas_lock_list(r->run, list, count);
	if (error)
		sas_fail(-error, "no memory for the locks of %s", r->path);
	sas_call_end(t);
	return error;
}

long SASLockList(SASRegion_t region, SASLockInfo *buffer, size_t capacity)
{
	SASLockInfo *list = NULL;
	size_t count = 0;
	int error = sas_region_known(region);

	if (!error && capacity && !buffer)
		error = sas_fail(EINVAL, "the buffer is NULL");
	if (!error)
		error = list_locks(region, &list, &count);
	if (!error && count && capacity)
		memcpy(buffer, list, (count < capacity ? count : capacity) * sizeof *list);
	free(list);
	return error ? sas_err_edge(error) : (long)count;
}

/* --- calls of the older runtime */

void SASLockReset(void)
{
	struct sas_region *r = sas_region_default();
	struct sas_thread *t;
	int error = r ? sas_call_begin(r, 0, &t) : sas_fail(EINVAL, "no region is joined");

	if (!error)
		error = sas_call_result(t, r, sas_recover(r));
	sas_err_edge(error);
}

void SASLockInit(void)
{
}

void SASLockDetach(void)
{
}

void SASLockRemove(void)
{
}

/* These two print by definition; nothing else in the library does. */
void SASLockPrintHighLevelStats(void)
{
	struct sas_region *r = sas_region_default();
	struct sas_lock_fill fill;
	struct sas_thread *t;
	int error = r ? begin_looking(r, &t) : sas_fail(EINVAL, "no region is joined");

	if (!error) {
		sas_lock_fill(r->run, &fill);
		sas_call_end(t);
		printf("Address locks of %s\n"
		       "Number of table slots: %u\n"
		       "Total items in table: %u (addresses that have a place, locked or not)\n"
		       "Number of table slots with items: %u\n"
		       "Highest item density: %u\n",
		       r->path, fill.buckets, fill.addresses, fill.used, fill.highest);
	}
	sas_err_edge(error);
}

static void print_lock(const SASLockInfo *lock, uint64_t now)
{
	static const char *const names[] = { "READ", "WRITE", "INTENT" };
	static const char *const states[] = { "held", "waited for", "announced" };

	printf("%p %-6s %s by process %u, thread %u%s", lock->address,
	       lock->state == SASLock__UPDATES ? "UPDATE" : names[lock->mode], states[lock->state], lock->pid, lock->tid,
	       lock->alive ? "" : ", which is dead");
	if (lock->since && lock->since <= now)
		printf(", for %.3f s%s", (double)(now - lock->since) / 1e9,
		       lock->state == SASLock__HOLDS ? " at least" : "");
	printf("%s\n", lock->ownerDied && lock->state == SASLock__HOLDS ? "; a holder has died" : "");
}

void SASLockPrintDetailedStats(void)
{
	struct sas_region *r = sas_region_default();
	SASLockInfo *list = NULL;
	size_t count = 0;
	int error = r ? list_locks(r, &list, &count) : sas_fail(EINVAL, "no region is joined");

	if (!error)
		printf("Address locks of %s that are held or waited for: %zu\n", r->path, count);
	for (size_t i = 0; !error && i < count; i++)
		print_lock(&list[i], sas_port->now_real_ns());
	free(list);
	sas_err_edge(error);
}
