/* SPDX-License-Identifier: MIT */
/*
 * near.c - space from the free ranges of a block: of one that is given, or of the one around an address. Layer 5.
 *
 * Locks: the near calls take the address lock of the block whose header they find, and look again whether it is there.
 * Crash: freenode.c: one store takes a range or gives it back.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "block_list.h"
#include "object.h"

int sph_block_has_list(const SASBlockHeader *header)
{
	static const struct sph_kind heap = { SAS_RUNTIME_SIMPLEHEAP, "simple heap" };
	sas_type_t type = header->blockType & (sas_type_t)SAS_TYPE_CHECK_MASK;
	int has = type == SAS_SIMPLEHEAP_TYPE ? sph_object_is(header, &heap) :
		  type < SAS_ANCHOR_TYPE || type > SAS_PCQUEUE_TYPE;

	return has ? 0 : sas_service_fail(EINVAL, "the object at %p, type %#x, has no space of its own to give",
					  (const void *)header, header->blockType);
}

static struct sph_free_list list_of(const struct sas_use *u, SASBlockHeader *header)
{
	uintptr_t start = (uintptr_t)header;
	int is_heap = (header->blockType & (sas_type_t)SAS_TYPE_CHECK_MASK) == SAS_SIMPLEHEAP_TYPE;

	return (struct sph_free_list){ &header->blockFreeSpace, start + (is_heap ? heap_offset : sizeof *header),
				       start + header->blockSize, u };
}

int sph_block_take(const struct sas_use *u, SASBlockHeader *header, size_t size, void **range)
{
	struct sph_free_list list = list_of(u, header);

	return sph_free_take(&list, size, range);
}

int sph_block_find(const struct sas_use *u, SASBlockHeader *header, size_t size, void **range)
{
	struct sph_free_list list = list_of(u, header);

	return sph_free_find(&list, size, range);
}

int sph_block_has(const struct sas_use *u, SASBlockHeader *header, const void *byte)
{
	struct sph_free_list list = list_of(u, header);

	return sph_free_has(&list, byte);
}

int sph_block_give(const struct sas_use *u, SASBlockHeader *header, void *range, size_t size)
{
	struct sph_free_list list = list_of(u, header);

	if ((uintptr_t)range < list.low || (uintptr_t)range >= list.high || size == 0 ||
	    size > list.high - (uintptr_t)range)
		return sas_service_fail(EINVAL, "%zu bytes at %p are not inside the block at %p, %zu bytes", size,
					range, (void *)header, header->blockSize);
	return sph_free_give(&list, range, size);
}

int sph_block_total(const struct sas_use *u, SASBlockHeader *header, struct sph_free_totals *totals)
{
	struct sph_free_list list = list_of(u, header);

	return sph_free_total(&list, totals);
}

/* --- a block that the caller knows */

static int begin_in(struct sas_use *u, SASBlockHeader *block, long size)
{
	if (!SOMSASCheckBlockSig(block))
		return sas_service_fail(EINVAL, "%p is no block's header", (void *)block);
	if (size <= 0)
		return sas_service_fail(EINVAL, "a range of %ld bytes in the block at %p", size, (void *)block);
	if (sph_block_has_list(block) != 0)
		return -EINVAL;
	return sas_use_begin(u, block, SAS_USE_UNLOCKED);
}

void *SASSOMHeapAlloc(SASBlockHeader *block, long allocSize)
{
	void *range = NULL;
	struct sas_use use;
	int error = begin_in(&use, block, allocSize);

	if (error == 0)
		error = sas_use_result(&use, sph_block_take(&use, block, (size_t)allocSize, &range));
	return error == 0 ? range : sph_null(error);
}

void SASSOMHeapDealloc(SASBlockHeader *block, void *memAddr, long allocSize)
{
	struct sas_use use;
	int error = begin_in(&use, block, allocSize);

	if (error == 0)
		error = sas_use_result(&use, sph_block_give(&use, block, memAddr, (size_t)allocSize));
	if (error != 0)
		sas_service_errno(error);
}

/* --- the block around an address */

/* SASFindHeader() has read the header, so it can be read. */
static int begin_around(struct sas_use *u, SASBlockHeader *header, enum sas_use_kind kind)
{
	int error = sph_block_has_list(header);

	if (error == 0)
		error = sas_use_begin(u, header, kind);
	if (error == 0 && kind != SAS_USE_UNLOCKED &&
	    (!SOMSASCheckBlockSig(header) || sph_block_has_list(header) != 0))
		error = sas_use_result(u, sas_service_fail(EINVAL, "the block at %p has gone meanwhile",
							   (void *)header));
	return error;
}

static int check_size(long size)
{
	return size > 0 ? 0 : sas_service_fail(EINVAL, "a range of %ld bytes", size);
}

void *sph_near_alloc(void *near, long size, enum sas_use_kind kind)
{
	SASBlockHeader *header;
	void *range = NULL;
	struct sas_use use;
	int error = check_size(size);

	header = error == 0 ? SASFindHeader(near) : NULL;
	if (error == 0 && header == NULL)
		return SASLocalAlloc(size);
	if (error == 0)
		error = begin_around(&use, header, kind);
	if (error == 0)
		error = sas_use_result(&use, sph_block_take(&use, header, (size_t)size, &range));
	return error == 0 ? range : sph_null(error);
}

static int give_near(void *memory, long size, enum sas_use_kind kind)
{
	SASBlockHeader *header;
	struct sas_use use;
	int error = check_size(size);

	header = error == 0 ? SASFindHeader(memory) : NULL;
	if (error != 0)
		return error;
	/* EFAULT: in no region and no range of SASFindHeader(): what sph_near_alloc() has from malloc(). */
	if (header == NULL && errno == EFAULT)
		free(memory);
	if (header == NULL)
		return errno == EFAULT ? 0 : sas_service_fail(EINVAL, "%p lies in no object", memory);
	error = begin_around(&use, header, kind);
	return error != 0 ? error : sas_use_result(&use, sph_block_give(&use, header, memory, (size_t)size));
}

void sph_near_dealloc(void *memory, long size, enum sas_use_kind kind)
{
	int error = give_near(memory, size, kind);

	if (error != 0)
		sas_service_errno(error);
}

void *SASNearAlloc(void *nearObj, long allocSize)
{
	return sph_near_alloc(nearObj, allocSize, SAS_USE_EXCLUSIVE);
}

void SASNearDealloc(void *memAddr, long allocSize)
{
	sph_near_dealloc(memAddr, allocSize, SAS_USE_EXCLUSIVE);
}
