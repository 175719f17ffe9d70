/* SPDX-License-Identifier: MIT */
/*
 * api_msync.c - msync(2) and madvise(2) for ranges of a region. Layer 4.
 *
 * A lazily mapped region is a reservation where nothing has been touched yet, and advice to a
 * reservation would be lost, so what the range covers is mapped first. Dropping pages loses nothing
 * in a region, because its mappings are shared; elsewhere, where memory may be private, the kernel is
 * asked to page it out instead.
 *
 * Locks: none. Crash: nothing is changed.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "sasmsync.h"
#include "sasregion.h"

#include "err.h"
#include "port.h"
#include "region.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21         /* since Linux 5.4 */
#endif

struct range {
	void *start;
	size_t size;
	int in_region;
};

/* Whether all of it is addresses of one region that is mapped at them. */
static int is_in_region(uintptr_t first, uintptr_t last)
{
	const struct sas_region *r = sas_region_of(first);

	return r != NULL && r->memory == r->base && sas_region_of(last) == r;
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
	range->in_region = size > 0 && is_in_region(first, end - 1);
	if (range->in_region && SASMapAhead(range->start, range->size) != 0)
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

static int write_back(const struct range *range, int async)
{
	int error = sas_port->msync(range->start, range->size, async ? MS_ASYNC : MS_SYNC);

	if (error == 0)
		return 0;
	return sas_fail(-error, "cannot write back %zu bytes at %p: %s", range->size, range->start,
			strerror(-error));
}

static int drop(const struct range *range)
{
	return advise(range, range->in_region ? MADV_DONTNEED : MADV_PAGEOUT);
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
