/* SPDX-License-Identifier: MIT */
/* api_region.c - the public edge of sasregion.h. Layer 4. */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "media/anchor.h"
#include "block/block.h"
#include "ground/err.h"
#include "region/fault.h"
#include "block/index.h"
#include "block/lease.h"
#include "lock/lock_list.h"
#include "ground/numa.h"
#include "media/persist.h"
#include "media/place.h"
#include "ground/port.h"
#include "region/runtime.h"
#include "sasregion.h"
#include "media/segment.h"

#define JOIN_FLAGS 0x01ffU

/* Caller memory is read before any lock is taken: a program's fault handler may longjmp out of a bad pointer. */
static int copy_text(const char *text, char *copy, size_t size, const char *what)
{
	size_t length = strnlen(text, size);

	if (length == size)
		return sas_fail(ENAMETOOLONG, "%s is longer than %zu bytes", what, size - 1);
	memcpy(copy, text, length + 1);
	return 0;
}

void SASRegionOptionsInit(SASRegionOptions *options)
{
	memset(options, 0, sizeof *options);
	options->structSize = sizeof *options;
}

/* Read before anything else is, from a structure that may be an older one. */
static int copy_options(const SASRegionOptions *from, SASRegionOptions *o)
{
	size_t size = from->structSize;

	if (size != offsetof(SASRegionOptions, hugePages) && size != sizeof *o)
		return sas_fail(EINVAL, "SASRegionOptions was not set up by SASRegionOptionsInit()");
	memcpy(o, from, size);
	for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++)
		if (o->reserved[i])
			return sas_fail(EINVAL, "SASRegionOptions has an option that this library does not know");
	return 0;
}

static int check_options(const SASRegionOptions *o)
{
	if (o->flags & ~JOIN_FLAGS)
		return sas_fail(EINVAL, "unknown flags %#x", o->flags & ~JOIN_FLAGS);
	if ((o->flags & SAS_JOIN_CREATE) && (o->flags & (SAS_JOIN_READONLY | SAS_JOIN_RELOCATED)))
		return sas_fail(EINVAL, "a region cannot be created for reading only");
	if ((o->flags & SAS_JOIN_EXCLUSIVE) && !(o->flags & SAS_JOIN_CREATE))
		return sas_fail(EINVAL, "SAS_JOIN_EXCLUSIVE needs SAS_JOIN_CREATE");
	return 0;
}

SASRegion_t SASRegionJoin(const char *directory, const SASRegionOptions *options)
{
	SASRegionOptions o;
	struct sas_region *r = NULL;
	char path[PATH_MAX], nodes[512];
	int error = 0;

	SASRegionOptionsInit(&o);
	if (!directory)
		error = sas_fail(EINVAL, "the region's directory is NULL");
	else if (options)
		error = copy_options(options, &o);
	if (!error)
		error = check_options(&o);
	if (!error)
		error = copy_text(directory, path, sizeof path, "the region's directory");
	if (!error && o.numaNodes) {
		error = copy_text(o.numaNodes, nodes, sizeof nodes, "SASRegionOptions.numaNodes");
		o.numaNodes = nodes;
	}
	if (!error)
		error = sas_region_join(path, &o, 0, &r);
	sas_err_edge(error);
	return error ? NULL : r;
}

int SASRegionLeave(SASRegion_t region)
{
	return sas_err_edge(sas_region_leave(region, 0));
}

int SASRegionRemove(SASRegion_t region)
{
	return sas_err_edge(sas_region_remove(region));
}

int SASRegionRemovePath(const char *directory, int force)
{
	struct sas_thread *t;
	char path[PATH_MAX];
	int error = directory ? copy_text(directory, path, sizeof path, "the region's directory")
		: sas_fail(EINVAL, "the region's directory is NULL");

	if (!error)
		error = sas_frame_begin(&t);
	if (error)
		return sas_err_edge(error);
	error = sas_region_remove_path(path, force);
	sas_call_end(t);
	return sas_err_edge(error);
}

int SASRegionReset(SASRegion_t region)
{
	return sas_err_edge(sas_region_reset(region));
}

SASRegion_t SASRegionDefault(void)
{
	return sas_region_default();
}

SASRegion_t SASRegionOf(const void *address)
{
	struct sas_region *r = sas_region_of((uintptr_t)address);

	if (!r)
		sas_err_edge(sas_fail(EFAULT, "%p lies in no region that this process has joined", address));
	return r;
}

/* --- information */

static int count_blocks(struct sas_region *r, SASRegionInfo *info)
{
	SASBlockInfo *list = NULL;
	size_t count = 0;
	int error = sas_block_list(r, SASBlock__IN_USE, &list, &count);

	for (size_t i = 0; !error && i < count; i++)
		if (list[i].generation) {
			info->blocksInUse++;
			info->bytesInUse += list[i].size;
		}
	free(list);
	for (int kind = SASBlock__FREE; !error && kind <= SASBlock__UNCOMMITTED; kind++) {
		list = NULL;
		error = sas_block_list(r, kind, &list, &count);
		for (size_t i = 0; !error && i < count; i++)
			info->bytesFree += list[i].size;
		free(list);
	}
	return error;
}

static int count_participants(struct sas_region *r, SASRegionInfo *info)
{
	struct sas_living living;
	struct sas_run_sums sums;
	uint32_t top;
	int error;

	if (!r->run)
		return 0;
	error = sas_table_lock(r);
	if (error)
		return error;
	sas_living_locked(r, &living);
	info->participants = living.readers + living.writers;
	top = sas_load_acquire_u32(&r->run->header->thread_top);
	for (uint32_t i = 0; i < top; i++)
		info->threads += sas_load_acquire_u32(&r->run->threads[i].state) == SAS_RUN_USED;
	info->recoveries = sas_load_relaxed_u32(&r->run->header->recoveries);
	sas_table_unlock(r);
	sas_run_sum(r->run, &sums);
	info->allocations = sums.allocations;
	info->frees = sums.frees;
	info->lockWaits = sums.lock_waits;
	return 0;
}

static void describe(const struct sas_region *r, SASRegionInfo *info)
{
	memcpy(info->path, r->path, sizeof info->path);
	memcpy(info->uuid, r->anchor.uuid, sizeof info->uuid);
	info->base = r->base;
	info->mappedAt = r->memory;
	info->regionSize = r->end - r->base;
	info->segmentSize = r->segment_size;
	info->segmentsMax = r->segments;
	for (uint64_t n = 0; n < r->segments; n++) {
		info->segmentsPresent += (uint64_t)sas_segment_present(r, n);
		info->segmentsMapped += (uint64_t)sas_segment_mapped(r, n);
	}
	info->generation = r->generation;
	info->flags = r->flags;
	if (r->anchor.compat & SAS_M_COMPAT_SPARSE)
		info->flags |= SAS_JOIN_SPARSE;
	if (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED)
		info->flags |= SAS_JOIN_PREALLOCATED;
	info->mode = r->anchor.mode;
	info->durability = (sas_durability_t)r->anchor.durability;
	info->numaPolicy = (sas_numa_t)sas_anchor_numa(&r->anchor);
	sas_numa_text(r->anchor.numa_nodes, info->numaNodes, sizeof info->numaNodes);
	info->faults = sas_load_relaxed_u64(&r->faults);
	info->busErrors = sas_load_relaxed_u64(&r->bus_errors);
}

/* What is there, not what was asked for: mappings tell. Reading them takes long, so only where there can be some. */
static void describe_huge(struct sas_region *r, SASRegionInfo *info)
{
	unsigned best = sas_place_huge(r->file_system, r->anchor.huge, info->hugeReason);
	int error = (int)sas_load_relaxed_u32(&r->huge_errno);

	info->hugeWanted = (sas_huge_t)r->anchor.huge;
	if (!best)
		return;
	info->hugeBytes = sas_port_huge_bytes(r->memory, r->end - r->base);
	info->hugePages = (sas_huge_t)best;
	if (best != SAS_M_HUGE_TRANSPARENT || info->hugeBytes)
		return;
	info->hugePages = SASHuge__NONE;
	snprintf(info->hugeReason, sizeof info->hugeReason, "%s%s", "the kernel has given none so far",
		 error == ENOMEM || error == EAGAIN ? ": no huge page is free" : "");
}

int SASRegionGetInfo(SASRegion_t region, SASRegionInfo *info)
{
	SASRegionInfo found = { 0 };
	struct sas_thread *t;
	size_t size = 0;
	int error = sas_region_known(region);

	if (!error && info)
		size = info->structSize;
	if (!error && size < offsetof(SASRegionInfo, hugeWanted))
		error = sas_fail(EINVAL, "SASRegionInfo.structSize is not set to the structure's size");
	if (!error)
		error = sas_call_begin(region, 0, &t);
	if (error)
		return sas_err_edge(error);
	error = count_participants(region, &found);
	describe(region, &found);
	describe_huge(region, &found);
	sas_call_end(t);
	if (!error)
		error = count_blocks(region, &found);
	if (error)
		return sas_err_edge(error);
	/* A caller that was built with another structure gets what both know. */
	memset(info, 0, size);
	memcpy(info, &found, size < sizeof found ? size : sizeof found);
	info->structSize = size;
	return sas_err_edge(error);
}

/* --- finder */

/* Async-signal-safe. What a relocated region's pointer names is found by SASRegionAddress(). */
void *SASRegionFinder(SASRegion_t region)
{
	if (!region || sas_m_load_acquire_u32(&region->state->life) != SAS_M_LIFE_ACTIVE)
		return NULL;
	return (void *)(uintptr_t)sas_m_load_acquire_u64(&region->state->finder);
}

static int set_finder(struct sas_region *r, uint64_t finder)
{
	uint64_t *word = &r->state->finder, old;
	int error = sas_refuse_poisoned(r);

	if (error)
		return error;
	old = sas_m_load_acquire_u64(word);
	/* One store: before it the old root, after it the new one. Pairs with the acquire in SASRegionFinder(). */
	sas_m_store_release_u64(word, finder);
	error = sas_persist(r, word, sizeof *word);
	if (error)
		sas_m_cas_acq_rel_u64(word, finder, old);
	return error;
}

int SASRegionSetFinder(SASRegion_t region, void *finder)
{
	struct sas_thread *t;
	int error = sas_region_known(region);

	if (!error)
		error = sas_call_begin(region, SAS_CALL_WRITE, &t);
	if (error)
		return sas_err_edge(error);
	return sas_err_edge(sas_call_result(t, region, set_finder(region, (uintptr_t)finder)));
}

/* --- blocks */

void *SASRegionBlockAlloc(SASRegion_t region, size_t size)
{
	uint64_t offset = 0;
	int error = sas_region_known(region);

	if (!error)
		error = sas_block_alloc(region, size, &offset);
	sas_err_edge(error);
	return error ? NULL : sas_at(region, offset);
}

int SASBlockFree(void *block, size_t size)
{
	struct sas_region *r = sas_region_of((uintptr_t)block);

	if (!r)
		return sas_err_edge(sas_fail(EFAULT, "%p lies in no region that this process has joined", block));
	return sas_err_edge(sas_block_free(r, (uintptr_t)block - r->base, size));
}

int SASBlockFind(const void *address, SASBlockInfo *info)
{
	struct sas_region *r = sas_region_of((uintptr_t)address);
	uint64_t start, size;
	uint32_t generation;
	int error;

	if (!r)
		return sas_err_edge(sas_fail(EFAULT, "%p lies in no region that this process has joined", address));
	error = sas_map_look(r, (uintptr_t)address - r->base, &start, &size, &generation);
	if (error)
		return sas_err_edge(sas_fail(-error, "%p lies in no block in use", address));
	*info = (SASBlockInfo){ (void *)(r->base + start), size, generation, SASBlock__IN_USE };
	return 0;
}

long SASRegionListBlocks(SASRegion_t region, sas_block_kind_t kind, SASBlockInfo *buffer, size_t capacity)
{
	SASBlockInfo *list = NULL;
	size_t count = 0;
	int error = sas_region_known(region);

	if (!error && (unsigned)kind > SASBlock__IN_USE_MERGED)
		error = sas_fail(EINVAL, "no such kind of block: %d", (int)kind);
	if (!error && capacity && !buffer)
		error = sas_fail(EINVAL, "the buffer is NULL");
	if (!error)
		error = sas_block_list(region, (int)kind, &list, &count);
	if (!error && count && capacity)
		memcpy(buffer, list, (count < capacity ? count : capacity) * sizeof *list);
	free(list);
	return error ? sas_err_edge(error) : (long)count;
}

long SASRegionTrim(SASRegion_t region)
{
	struct sas_thread *t;
	uint64_t bytes = 0;
	int error = sas_region_known(region);

	if (!error)
		error = sas_call_begin(region, SAS_CALL_WRITE | SAS_CALL_SLOT, &t);
	if (error)
		return sas_err_edge(error);
	error = sas_block_lock(region, t);
	if (!error) {
		sas_err_defer();
		if (sas_lease_own(t, region))
			sas_lease_flush(region, sas_lease_own(t, region));
		error = sas_space_return(region, 1, &bytes);
		sas_block_unlock(region, t);
		sas_err_flush();
	}
	error = sas_call_result(t, region, error);
	return error ? sas_err_edge(error) : (long)bytes;
}

/* --- mapping */

/* Async-signal-safe: errno, but no sentence. */
int SASMapAhead(const void *address, size_t length)
{
	struct sas_region *r = sas_region_of((uintptr_t)address);
	uint64_t first, last;
	int error = 0;

	if (!r || length > r->end - (uintptr_t)address) {
		errno = EFAULT;
		return -1;
	}
	if (length == 0)
		return 0;
	first = sas_segment_of(r, (uintptr_t)address - r->base);
	last = sas_segment_of(r, (uintptr_t)address - r->base + length - 1);
	for (uint64_t n = first; n <= last && !error; n++) {
		if (!sas_segment_present(r, n))
			error = -EFAULT;
		else if (!sas_segment_mapped(r, n))
			error = sas_segment_map_quiet(r, n);
	}
	if (error)
		errno = -error;
	return error ? -1 : 0;
}

int SASHandleFault(void *info, void *context)
{
	int kept = errno, mended = info ? sas_fault_mend(info, context) : 0;

	errno = kept;
	return mended;
}

const void *SASRegionAddress(SASRegion_t region, const void *address)
{
	int error = sas_region_known(region);

	if (!error && ((uintptr_t)address < region->base || (uintptr_t)address >= region->end))
		error = sas_fail(EFAULT, "%p is no address of %s", address, region->path);
	if (error) {
		sas_err_edge(error);
		return NULL;
	}
	return (const char *)region->memory + ((uintptr_t)address - region->base);
}

/* --- durability, recovery */

int SASSync(SASRegion_t region)
{
	struct sas_thread *t;
	int error = sas_region_known(region);

	if (!error)
		error = sas_call_begin(region, 0, &t);
	if (error)
		return sas_err_edge(error);
	return sas_err_edge(sas_call_result(t, region, sas_sync(region)));
}

/* Whether all of it lies in one region, mapped where its pointers say. */
static int find_range(const void *address, size_t size, struct sas_region **r)
{
	*r = sas_region_of((uintptr_t)address);
	if (!*r || size > (*r)->end - (uintptr_t)address)
		return sas_fail(EFAULT, "%zu bytes at %p are not in a region that this process has joined", size, address);
	return 0;
}

int SASSyncRange(const void *address, size_t size)
{
	struct sas_region *r;
	struct sas_thread *t;
	int error = find_range(address, size, &r);

	if (!error)
		error = sas_call_begin(r, 0, &t);
	if (error)
		return sas_err_edge(error);
	return sas_err_edge(sas_call_result(t, r, sas_sync_range(r, (uintptr_t)address - r->base, size, 1)));
}

int SASRegionRecover(SASRegion_t region)
{
	struct sas_thread *t;
	int count, error = sas_region_known(region);

	if (!error)
		error = sas_call_begin(region, SAS_CALL_WRITE, &t);
	if (error)
		return sas_err_edge(error);
	count = sas_call_result(t, region, sas_recover(region));
	return count < 0 ? sas_err_edge(count) : count;
}
