/* SPDX-License-Identifier: MIT */
/*
 * api_alloc.c - block headers, and what sasalloc.h builds on them. Layer 4.
 *
 * Locks: none taken; users of a block exclude each other. SASBlockAlloc() and SASBlockDealloc()
 * take their own.
 * Signals: SASFindHeader() is async-signal-safe. It maps what it is going to read, so that it
 * works where the fault handler does not.
 * Crash: initSOMSASBlock() stores the signatures last: before them there is no header.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sasalloc.h"
#include "sasmsync.h"
#include "sasregion.h"
#include "sassim.h"

#include "block/block.h"
#include "ground/err.h"
#include "ground/port.h"
#include "region/runtime.h"

_Static_assert(sizeof(SASBlockHeader) == 64 && offsetof(SASBlockHeader, blockSig1) == 8 &&
	       offsetof(SASBlockHeader, blockType) == 16 && offsetof(SASBlockHeader, blockSig2) == 24 &&
	       offsetof(SASBlockHeader, blockSize) == 32 && offsetof(SASBlockHeader, blockFreeSpace) == 40 &&
	       offsetof(SASBlockHeader, baseBlock) == 48 && offsetof(SASBlockHeader, nextBlock) == 56,
	       "a block header is media");
_Static_assert(sizeof(FreeNode) == nodeAlign && offsetof(FreeNode, nodeSize) == 8, "a free node is media");

#define SMALLEST_GRANULE 512UL
#define CHUNK_SHIFT 21          /* segments are multiples of 2 MiB: a chunk lies in one of them */

/* Where a header may lie. */
struct bounds {
	uintptr_t low, high;
	uintptr_t origin;               /* alignments count from here */
	uint64_t largest;               /* granule */
	int in_region;
};

void *getSASBlockSpecial(const void *block)
{
	if (block == NULL) {
		sas_err_edge(sas_fail(EINVAL, "NULL is no block"));
		return NULL;
	}
	return ((const SASBlockHeader *)block)->special;
}

void setSASBlockSpecial(void *block, void *val)
{
	if (block == NULL)
		sas_err_edge(sas_fail(EINVAL, "NULL is no block"));
	else
		((SASBlockHeader *)block)->special = val;
}

static int check_block(const SASBlockHeader *header, long size, const void *heap)
{
	uintptr_t start = (uintptr_t)header, end = start + (uintptr_t)size, from = (uintptr_t)heap;

	if (header == NULL)
		return sas_fail(EINVAL, "NULL is no block");
	if (size < (long)sizeof *header || end < start)
		return sas_fail(EINVAL, "a block of %ld bytes has no room for its header", size);
	if (heap != NULL && (from < start + sizeof *header || from > end - sizeof(FreeNode) ||
			     from % blockAlign != 0))
		return sas_fail(EINVAL, "the heap at %p is not inside the block at %p, %ld bytes", heap,
				(const void *)header, size);
	return 0;
}

void initSOMSASBlock(SASBlockHeader *header, sas_type_t sasType, long blockSize, void *blockHeap)
{
	int error = check_block(header, blockSize, blockHeap);

	if (error != 0) {
		sas_err_edge(error);
		return;
	}
	memset(header, 0, sizeof *header);
	header->blockType = sasType;
	header->blockSize = (block_size_t)blockSize;
	header->baseBlock = header;
	if (blockHeap != NULL) {
		freeNode_init(blockHeap, (node_size_t)((char *)header + blockSize - (char *)blockHeap));
		header->blockFreeSpace = blockHeap;
	}
	/* Publish: pairs with the loads in has_signatures(). */
	__atomic_store_n(&header->blockSig1, block__Signature_1, __ATOMIC_RELEASE);
	__atomic_store_n(&header->blockSig2, block__Signature_2, __ATOMIC_RELEASE);
}

/* Looks at words that may be anything: other threads' data, redzones, never written. */
__attribute__((no_sanitize("thread"), no_sanitize("address"), noinline))
static int has_signatures(uintptr_t address)
{
	const SASBlockHeader *header = (const SASBlockHeader *)address;

	return __atomic_load_n(&header->blockSig1, __ATOMIC_ACQUIRE) == block__Signature_1 &&
	       __atomic_load_n(&header->blockSig2, __ATOMIC_ACQUIRE) == block__Signature_2;
}

/* Whether the header-sized range can be read. Outside regions it may be a hole; kernels that
 * cannot tell (before 5.14) are believed not to have one. */
static int is_readable(uintptr_t address, const struct bounds *bounds)
{
#ifdef MADV_POPULATE_READ
	uint64_t from = address, to = address + 1;
	int error;
#endif

	if (bounds->in_region)
		return SASMapAhead((const void *)address, sizeof(SASBlockHeader)) == 0;
#ifdef MADV_POPULATE_READ
	sas_port_widen(&from, &to);
	error = sas_port->madvise((void *)from, to - from, MADV_POPULATE_READ);
	return error == 0 || error == -EINVAL;
#else
	return 1;
#endif
}

static SASBlockHeader *find_signatures(uintptr_t address, const struct bounds *bounds)
{
	const unsigned shift = bounds->in_region ? CHUNK_SHIFT : SAS_M_UNIT_SHIFT;
	uintptr_t checked = 0, last = 0;

	for (uint64_t granule = SMALLEST_GRANULE; granule <= bounds->largest; granule *= 2) {
		uintptr_t start = bounds->origin + ((address - bounds->origin) & ~(granule - 1));

		if (start < bounds->low)
			break;
		if (start == last || start > bounds->high - sizeof(SASBlockHeader))
			continue;
		last = start;
		if (start >> shift != checked >> shift || checked == 0) {
			if (!is_readable(start, bounds))
				continue;
			checked = start;
		}
		if (has_signatures(start))
			return (SASBlockHeader *)start;
	}
	errno = ENOENT;
	return NULL;
}

static int is_in(uintptr_t address, uintptr_t low, uintptr_t high)
{
	return address >= low && address < high && high - low >= sizeof(SASBlockHeader);
}

/* The block, or the range, that an address lies in. */
static int find_bounds(uintptr_t address, struct bounds *bounds)
{
	uint64_t start, size;

	memset(bounds, 0, sizeof *bounds);
	if (sas_block_find((const void *)address, &start, &size) == 0) {
		/* A block is aligned to its size in its region, which may lie at any 2 MiB. */
		bounds->origin = bounds->low = start;
		bounds->high = start + size;
		bounds->largest = size;
		bounds->in_region = 1;
		return 0;
	}
	bounds->largest = block__Size256M;
	sas_memrange(&bounds->low, &bounds->high);
	if (is_in(address, bounds->low, bounds->high))
		return 0;
	bounds->low = __SAS_TEMP_ADDRESS;
	bounds->high = __SAS_TEMP_FREE;
	if (is_in(address, bounds->low, bounds->high))
		return 0;
	return sas_region_of(address) != NULL ? -ENOENT : -EFAULT;
}

SASBlockHeader *SASFindHeader(const void *nearObj)
{
	struct bounds bounds;
	int error = find_bounds((uintptr_t)nearObj, &bounds);

	if (error != 0) {
		errno = -error;
		return NULL;
	}
	return find_signatures((uintptr_t)nearObj, &bounds);
}

static int check_range(const void *start, long size)
{
	if (size >= 0)
		return 0;
	return sas_err_edge(sas_fail(EINVAL, "%ld bytes at %p are no range", size, start));
}

void SASMemSync(void *startAddr, long size, int asyncBool)
{
	if (check_range(startAddr, size) == 0)
		sasMsyncWrite(startAddr, (size_t)size, asyncBool);
}

void SASMemRemove(void *startAddr, long size, int asyncBool)
{
	if (check_range(startAddr, size) == 0)
		sasMsyncPurge(startAddr, (size_t)size, asyncBool);
}

/* Reading ahead is always asynchronous. */
void SASMemBring(void *startAddr, long size, int asyncBool)
{
	(void)asyncBool;
	if (check_range(startAddr, size) == 0)
		sasMsyncBring(startAddr, (size_t)size);
}

/* The next of 4K, 16K, 64K ... 256M; 0 and EINVAL where there is none. */
static unsigned long round_block(long size)
{
	unsigned long rounded = block__Size4K;

	if (size <= 0 || size > block__Size256M) {
		sas_err_edge(sas_fail(EINVAL, "a block of %ld bytes: it must be 1 to %ld", size,
				      block__Size256M));
		return 0;
	}
	while (rounded < (unsigned long)size)
		rounded *= 4;
	return rounded;
}

void *SASSOMAlloc(long blockSize, long allocSize)
{
	unsigned long size = round_block(blockSize);
	void *block = size > 0 ? SASBlockAlloc(size) : NULL;

	(void)allocSize;
	if (block == NULL)
		return NULL;
	if (SASMapAhead(block, size) != 0) {
		int error = errno;

		SASBlockDealloc(block, size);
		sas_err_edge(sas_fail(error, "cannot map the new block at %p: %s", block, strerror(error)));
		return NULL;
	}
	return memset(block, 0, size);
}

void SASSOMDealloc(void *blockAddr, long allocSize)
{
	if (blockAddr == NULL)
		sas_err_edge(sas_fail(EINVAL, "NULL is no block"));
	else
		check_range(blockAddr, allocSize);
}

void SASSOMDestroy(void *blockAddr, long blockSize)
{
	unsigned long size = round_block(blockSize);

	if (size > 0)
		SASBlockDealloc(blockAddr, size);
}

void *SASLocalAlloc(long allocSize)
{
	void *memory;

	if (allocSize < 0) {
		sas_err_edge(sas_fail(EINVAL, "memory of %ld bytes", allocSize));
		return NULL;
	}
	memory = malloc((size_t)allocSize);
	if (memory == NULL)
		sas_err_edge(sas_fail(ENOMEM, "no memory of %ld bytes", allocSize));
	return memory;
}

void SASLocalDealloc(void *memAddr, long allocSize)
{
	(void)allocSize;
	free(memAddr);
}
