/* SPDX-License-Identifier: MIT */
/*
 * api_msync.c - write-back and advice for ranges of a region. Layer 4.
 *
 * A lazily mapped region is a reservation where nothing has been touched yet, and advice to a
 * reservation would be lost, so what the range covers is mapped first. Dropping pages loses nothing
 * in a region, because its mappings are shared; elsewhere, where memory may be private, the kernel is
 * asked to page it out instead.
 *
 * MS_ASYNC does nothing on Linux but to trust the kernel's own time. In a region write-back is begun by
 * sync_file_range(2).
 *
 * Locks: sync_lock (persist.h). Crash: nothing is changed.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "sasmsync.h"
#include "sasregion.h"

#include "ground/err.h"
#include "media/persist.h"
#include "ground/port.h"
#include "region/region.h"
#include "region/runtime.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21         /* since Linux 5.4 */
#endif

struct range {
	void *start;
	size_t size;
	struct sas_region *region;      /* NULL: other memory */
};

/* All of it is addresses of one region that is mapped at them, or none of it. */
static int find_region(struct range *range)
{
	uintptr_t first = (uintptr_t)range->start, last = first + range->size - 1;
	struct sas_region *r = sas_region_of(first);

	if (sas_region_of(last) != r)
		return sas_fail(EFAULT, "%zu bytes at %p begin or end outside a region", range->size, range->start);
	if (r && r->memory != r->base)
		return sas_fail(EFAULT, "%s: is mapped elsewhere than at %p", r->path, range->start);
	range->region = r;
	return 0;
}

/* Widen to pages, and map what is in a region. */
static int prepare(const void *start, size_t size, struct range *range)
{
	const uintptr_t mask = (uintptr_t)sas_port->page_size() - 1;
	uintptr_t first = (uintptr_t)start, end = first + size;

	if (start == NULL || end < first || end > UINTPTR_MAX - mask)
		return sas_fail(EINVAL, "%zu bytes at %p are no range", size, start);
	first &= ~mask;
	end = (end + mask) & ~mask;
	range->start = (void *)first;
	range->size = size == 0 ? 0 : end - first;
	range->region = NULL;
	if (size > 0 && find_region(range) != 0)
		return -EFAULT;
	if (range->region && SASMapAhead(range->start, range->size) != 0)
		return sas_fail(errno, "cannot map %zu bytes at %p: %s", range->size, range->start,
				strerror(errno));
	return 0;
}

static int advise(const struct range *range, int advice)
{
	int error = sas_port->madvise(range->start, range->size, advice);

	if (error == 0)
		return 0;
	return sas_fail(-error, "madvise of %zu bytes at %p: %s", range->size, range->start,
			strerror(-error));
}

/* Of a region whose sync failed nothing is written back. */
static int write_back(const struct range *range, int async)
{
	struct sas_region *r = range->region;
	struct sas_thread *t;
	int error = r ? sas_call_begin(r, 0, &t) : 0;

	if (error)
		return error;
	if (r)
		return sas_call_result(t, r, sas_sync_range(r, (uintptr_t)range->start - r->base, range->size, !async));
	error = sas_port->msync(range->start, range->size, async ? MS_ASYNC : MS_SYNC);
	if (error == 0)
		return 0;
	return sas_fail(-error, "cannot write back %zu bytes at %p: %s", range->size, range->start,
			strerror(-error));
}

static int drop(const struct range *range)
{
	return advise(range, range->region ? MADV_DONTNEED : MADV_PAGEOUT);
}

static int prepare_and_advise(const void *start, size_t size, int advice)
{
	struct range range;
	int error = prepare(start, size, &range);

	if (error == 0 && range.size > 0)
		error = advise(&range, advice);
	return sas_err_edge(error);
}

int sasMsyncPurge(void *startAddr, size_t size, int asyncBool)
{
	struct range range;
	int error = prepare(startAddr, size, &range);

	if (error == 0 && range.size > 0)
		error = write_back(&range, asyncBool);
	if (error == 0 && range.size > 0)
		error = drop(&range);
	return sas_err_edge(error);
}

int sasMsyncRelease(void *startAddr, size_t size)
{
	struct range range;
	int error = prepare(startAddr, size, &range);

	if (error == 0 && range.size > 0)
		error = drop(&range);
	return sas_err_edge(error);
}

int sasMsyncBring(void *startAddr, size_t size)
{
	return prepare_and_advise(startAddr, size, MADV_WILLNEED);
}

int sasMsyncSequential(void *startAddr, size_t size)
{
	return prepare_and_advise(startAddr, size, MADV_SEQUENTIAL);
}

int sasMsyncRandom(void *startAddr, size_t size)
{
	return prepare_and_advise(startAddr, size, MADV_RANDOM);
}

int sasMsyncWrite(void *startAddr, size_t size, int asyncBool)
{
	struct range range;
	int error = prepare(startAddr, size, &range);

	if (error == 0 && range.size > 0)
		error = write_back(&range, asyncBool);
	return sas_err_edge(error);
}
