/* SPDX-License-Identifier: MIT */
/*
 * space.c - one block as one range of bytes behind a header page. Layer 5.
 *
 *   0     SASBlockHeader
 *   64    how many bytes behind the header page are the program's
 *   4096  the bytes
 *
 * Locks: none but at its end: nothing of it changes between SASSimpleSpaceInit() and SASSimpleSpaceDestroy().
 * Crash: a space is one when its signatures stand, which are stored last.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>

#include "object.h"
#include "sassimplespace.h"

static const struct sph_kind space_kind = { SAS_RUNTIME_SIMPLESPACE, "simple space" };

static int check_sizes(size_t block_size, size_t space_size)
{
	if (space_size != 0 && block_size > SPH_OBJECT_PAGE && block_size <= LONG_MAX &&
	    space_size <= block_size - SPH_OBJECT_PAGE)
		return 0;
	return sas_service_fail(EINVAL, "a simple space of %zu bytes in a block of %zu: %u of them are its header's",
				space_size, block_size, SPH_OBJECT_PAGE);
}

SASSimpleSpace_t SASSimpleSpaceInit(void *heap_block, block_size_t block_size, block_size_t space_size)
{
	int error = check_sizes(block_size, space_size);

	if (error == 0)
		error = sph_object_reach(heap_block, &space_kind);
	if (error != 0)
		return sph_null(error);
	sph_object_format(heap_block, &space_kind, block_size, space_size);
	return heap_block;
}

SASSimpleSpace_t SASSimpleSpaceCreate(block_size_t space_size)
{
	size_t size = 2 * SPH_OBJECT_PAGE;
	void *block;
	int error;

	/* No region has blocks of half of all addresses. */
	while (size <= LONG_MAX / 2 && size - SPH_OBJECT_PAGE < space_size)
		size *= 2;
	error = check_sizes(size, space_size);
	if (error != 0)
		return sph_null(error);
	block = sph_object_take(size);
	return block != NULL ? SASSimpleSpaceInit(block, size, space_size) : NULL;
}

int SASSimpleSpaceDestroy(SASSimpleSpace_t space)
{
	return sph_object_destroy(space, &space_kind, 1);
}

int SASSimpleSpaceDestroyNoLock(SASSimpleSpace_t space)
{
	return sph_object_destroy(space, &space_kind, 0);
}

void *SASSimpleSpaceToAddr(SASSimpleSpace_t space)
{
	int error = sph_object_check(space, &space_kind);

	return error == 0 ? (char *)space + SPH_OBJECT_PAGE : sph_null(error);
}

SASSimpleSpace_t SASSimpleSpaceFromAddr(void *space)
{
	uintptr_t address = (uintptr_t)space;
	void *handle = (void *)(address - SPH_OBJECT_PAGE);
	int error;

	if (address <= SPH_OBJECT_PAGE)
		error = sas_service_fail(EINVAL, "no simple space begins at %p", space);
	else
		error = sph_object_check(handle, &space_kind);
	return error == 0 ? handle : sph_null(error);
}

block_size_t SASSimpleSpaceFreeSpace(SASSimpleSpace_t space)
{
	const SASBlockHeader *header = space;
	int error = sph_object_check(space, &space_kind);

	if (error == 0)
		return header->blockSize - SPH_OBJECT_PAGE - *sph_object_words(space);
	sas_service_errno(error);
	return 0;
}
