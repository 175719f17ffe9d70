/* SPDX-License-Identifier: MIT */
/* api_sim.c - the public edge of sassim.h: the classic calls, on the default region. Layer 4. */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/block.h"
#include "ground/err.h"
#include "block/lease.h"
#include "media/persist.h"
#include "ground/rank.h"
#include "region/runtime.h"
#include "sasregion.h"
#include "sassim.h"
#include "sphthread.h"

/* --- life cycle */

static int join_classic(const char *path)
{
	struct sas_region *r;
	SASRegionOptions o;
	char copy[PATH_MAX];

	if (strnlen(path, sizeof copy) == sizeof copy)
		return sas_fail(ENAMETOOLONG, "the region's directory is longer than %d bytes", PATH_MAX - 1);
	strcpy(copy, path);     /* before any lock: see api_region.c */
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_CREATE | SAS_JOIN_MAP64;
	return sas_region_join(copy, &o, 1, &r);
}

int SASJoinRegionByName(const char *store_name)
{
	int error;

	if (!store_name) {
		sas_err_edge(sas_fail(EINVAL, "the region's directory is NULL"));
		return 3;
	}
	error = join_classic(store_name);
	sas_err_edge(error);
	return error == -ENOMEM ? 2 : error != 0;
}

int SASJoinRegion(void)
{
	const char *path = secure_getenv("SASSTOREPATH");

	return SASJoinRegionByName(path && *path ? path : ".");
}

static struct sas_region *joined(void)
{
	struct sas_region *r = sas_region_default();

	if (!r)
		sas_err_edge(sas_fail(EINVAL, "no classic region is joined: SASJoinRegion() comes first"));
	return r;
}

void SASCleanUp(void)
{
	struct sas_region *r = joined();

	if (r)
		sas_err_edge(sas_region_leave(r, 1));
}

void SASRemove(void)
{
	struct sas_region *r = joined();

	if (r)
		sas_err_edge(sas_region_remove(r));
}

void SASReset(void)
{
	struct sas_region *r = joined();

	if (r)
		sas_err_edge(sas_region_reset(r));
}

/* --- the finder */

void setSASFinder(void *finder)
{
	struct sas_region *r = joined();

	if (r)
		SASRegionSetFinder(r, finder);
}

void *getSASFinder(void)
{
	return SASRegionFinder(sas_region_default());
}

/* --- blocks */

void *SASBlockAlloc(unsigned long blockSize)
{
	struct sas_region *r = joined();

	return r ? SASRegionBlockAlloc(r, blockSize) : NULL;
}

void SASBlockDealloc(void *blockAddr, unsigned long blockSize)
{
	SASBlockFree(blockAddr, blockSize);
}

unsigned int SASS2Log2(unsigned long size)
{
	if (size < SAS_M_UNIT || (size & (size - 1)))
		return 0;
	return (unsigned)__builtin_ctzl(size) - SAS_M_UNIT_SHIFT;
}

unsigned long getMemLow(void)
{
	struct sas_region *r = sas_region_default();
	uintptr_t low, high;

	sas_memrange(&low, &high);
	return high ? low : r ? r->base : 0;
}

unsigned long getMemHigh(void)
{
	struct sas_region *r = sas_region_default();
	uintptr_t low, high;

	sas_memrange(&low, &high);
	return high ? high : r ? r->end : 0;
}

void setSASmemrange(unsigned long low, unsigned long high)
{
	sas_memrange_set(low, high);
}

/* --- the use list's form */

int getSASUseListFlag(void)
{
	struct sas_region *r = sas_region_default();

	return r && sas_m_load_acquire_u32(&r->state->list_mode) != SAS_M_LIST_LINEAR;
}

static void set_list_mode(uint32_t mode)
{
	struct sas_region *r = joined();
	struct sas_thread *t;
	int error = r ? sas_call_begin(r, SAS_CALL_WRITE, &t) : 0;

	if (!r || sas_err_edge(error))
		return;
	error = sas_refuse_poisoned(r);
	if (!error) {
		sas_m_store_release_u32(&r->state->list_mode, mode);
		error = sas_persist(r, &r->state->list_mode, sizeof mode);
	}
	sas_err_edge(error);
	sas_call_end(t);
}

void setSASLinearUseList(void) { set_list_mode(SAS_M_LIST_LINEAR); }
void setSASCompactUseList(void) { set_list_mode(0); }

/* --- lists: by size class, then by address */

static int by_class(const void *a, const void *b)
{
	const SASBlockInfo *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return x->address < y->address ? -1 : x->address > y->address;
}

static int list(sas_block_kind_t kind, void **address, unsigned long *size, int capacity, int *count)
{
	struct sas_region *r = joined();
	SASBlockInfo *entries = NULL;
	size_t found = 0;
	int error = r ? sas_block_list(r, (int)kind, &entries, &found) : -EINVAL;

	if (!error && found > INT_MAX)
		error = sas_fail(EOVERFLOW, "more than %d entries; SASRegionListBlocks() counts further", INT_MAX);
	if (error) {
		*count = 0;
	} else {
		qsort(entries, found, sizeof *entries, by_class);
		for (size_t i = 0; i < found && i < (size_t)capacity; i++) {
			address[i] = entries[i].address;
			size[i] = entries[i].size;
		}
		*count = (int)found;
	}
	free(entries);
	return sas_err_edge(error);
}

static sas_block_kind_t use_kind(void)
{
	return getSASUseListFlag() ? SASBlock__IN_USE_MERGED : SASBlock__IN_USE;
}

#define LIST(name, kind)                                                                           \
	int SASList##name##N(void **address, unsigned long *size, int capacity, int *count)        \
	{ return list(kind, address, size, capacity < 0 ? 0 : capacity, count); }                  \
	void SASList##name(void **address, unsigned long *size, int *count)                        \
	{ list(kind, address, size, INT_MAX, count); }
LIST(FreeRegion, SASBlock__FREE_REGION)
LIST(AllocatedRegion, SASBlock__SEGMENT)
LIST(InUseMem, use_kind())
LIST(FreeMem, SASBlock__FREE)
LIST(UncommittedMem, SASBlock__UNCOMMITTED)

static size_t count_of(sas_block_kind_t kind)
{
	struct sas_region *r = joined();
	SASBlockInfo *entries = NULL;
	size_t found = 0;

	if (r)
		sas_err_edge(sas_block_list(r, (int)kind, &entries, &found));
	free(entries);
	return found;
}

static int depth(size_t nodes)
{
	return nodes ? 63 - __builtin_clzll(nodes) : 0;
}

int SASMaxDepthAllocatedRegion(void) { return depth(count_of(SASBlock__SEGMENT)); }
int SASMaxDepthUseMem(void) { return depth(count_of(use_kind())); }

/* What the lists of the older runtime, 32 bytes an entry, would leave of its 1 MiB anchor block: programs compare it. */
unsigned int SASAnchorFreeSpace(void)
{
	const size_t room = 1043616 + 2 * 32, entries = count_of(use_kind());

	return entries * 32 < room ? (unsigned)(room - entries * 32) : 0;
}

/* --- the lock of all block calls */

void SASSeize(void)
{
	struct sas_region *r = joined();
	struct sas_thread *t;
	int error = r ? sas_call_begin(r, SAS_CALL_WRITE | SAS_CALL_SLOT, &t) : 0;

	if (!r || sas_err_edge(error))
		return;
	if (t->seized && !sas_has_seized(t, r))
		error = sas_fail(EDEADLK, "this thread has seized another region");
	if (!error)
		error = sas_block_lock(r, t);
	if (!error && !t->seized) {
		error = sas_lease_seize(r, t);
		if (error)
			sas_block_unlock(r, t);
	}
	if (!error) {
		/* From here on it is the program's, across calls: sas_table_lock() refuses it by t->seized. */
		if (!t->seized)
			sas_rank_give(SAS_RANK_BLOCK);
		t->seized = r->run;
		t->seizes++;
	}
	sas_err_edge(error);
	sas_call_end(t);
}

/* Also of a region that was reset or removed meanwhile. */
void SASRelease(void)
{
	struct sas_thread *t;
	int error = sas_frame_begin(&t);

	if (sas_err_edge(error))
		return;
	if (!t->seized)
		error = joined() ? sas_fail(EPERM, "this thread has not seized a region") : -EINVAL;
	else if (--t->seizes == 0)
		sas_block_release_seized(t);
	sas_err_edge(error);
	sas_call_end(t);
}

/* A dead holder's lock is taken over by itself; a living one's is never broken. */
void SASResetSem(void)
{
	struct sas_region *r = joined();

	if (r)
		SASRegionRecover(r);
}

/* --- threads */

void SASThreadSetUp(void)
{
	struct sas_region *r = sas_region_default();
	struct sas_thread *t;

	sphdeGetTID();          /* programs read threadID after this call */
	if (r && sas_err_edge(sas_call_begin(r, SAS_CALL_WRITE | SAS_CALL_SLOT, &t)) == 0)
		sas_call_end(t);
}

void SASThreadCleanUp(void)
{
	struct sas_region *r = sas_region_default();
	struct sas_thread *t;

	if (r && sas_err_edge(sas_call_begin(r, 0, &t)) == 0) {
		sas_thread_release(r);
		sas_call_end(t);
	}
}
