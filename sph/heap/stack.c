/* SPDX-License-Identifier: MIT */
/*
 * stack.c - one block that is filled from its beginning, and emptied back to any point. Layer 5.
 *
 *   0     SASBlockHeader
 *   64    `top`, the offset of the first free byte
 *   4096  what is handed out, up to `top`
 *
 * Locks: calls that change it, the stack's address lock, WRITE. A query looks at one word.
 * Crash: one store of `top` takes, or gives back. A stack is one when its signatures stand, which are stored last.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>

#include "object.h"
#include "sassimplestack.h"

static const struct sph_kind stack_kind = { SAS_RUNTIME_SIMPLESTACK, "simple stack" };

static int check_size(size_t size)
{
	if (size >= SPH_OBJECT_PAGE + SPH_GRANULE && size <= LONG_MAX)
		return 0;
	return sas_service_fail(EINVAL, "a simple stack of %zu bytes: %u of them are its header's", size,
				SPH_OBJECT_PAGE);
}

SASSimpleStack_t SASSimpleStackInit(void *heap_block, block_size_t block_size)
{
	int error = check_size(block_size);

	if (error == 0)
		error = sph_object_reach(heap_block, &stack_kind);
	if (error != 0)
		return sph_null(error);
	sph_object_format(heap_block, &stack_kind, block_size, SPH_OBJECT_PAGE);
	return heap_block;
}

SASSimpleStack_t SASSimpleStackCreate(block_size_t stack_size)
{
	int error = check_size(stack_size);
	void *block;

	if (error != 0)
		return sph_null(error);
	block = sph_object_take(stack_size);
	return block != NULL ? SASSimpleStackInit(block, stack_size) : NULL;
}

int SASSimpleStackDestroy(SASSimpleStack_t stack)
{
	return sph_object_destroy(stack, &stack_kind, 1);
}

int SASSimpleStackDestroyNoLock(SASSimpleStack_t stack)
{
	return sph_object_destroy(stack, &stack_kind, 0);
}

/* --- the top */

static int load_top(SASSimpleStack_t stack, uint64_t *top)
{
	const SASBlockHeader *header = stack;

	*top = __atomic_load_n(sph_object_words(stack), __ATOMIC_RELAXED);
	if (*top >= SPH_OBJECT_PAGE && *top <= header->blockSize && *top % SPH_GRANULE == 0)
		return 0;
	return sas_service_fail(EUCLEAN, "the simple stack at %p, %zu bytes, is filled up to %#lx: it was written into",
				stack, header->blockSize, *top);
}

static void publish_top(SASSimpleStack_t stack, uint64_t top)
{
	__atomic_store_n(sph_object_words(stack), top, __ATOMIC_RELEASE);
}

static int take(SASSimpleStack_t stack, size_t size, void **range)
{
	const SASBlockHeader *header = stack;
	uint64_t top, units = size / SPH_GRANULE + (size % SPH_GRANULE != 0);
	int error = load_top(stack, &top);

	if (error != 0)
		return error;
	if (units > (header->blockSize - top) / SPH_GRANULE)
		return sas_service_fail(ENOSPC, "%zu bytes of the simple stack at %p: %zu are free", size, stack,
					header->blockSize - top);
	publish_top(stack, top + units * SPH_GRANULE);
	*range = (char *)stack + top;
	return 0;
}

static void *alloc(SASSimpleStack_t stack, size_t size, enum sas_use_kind kind)
{
	void *range = NULL;
	struct sas_use use;
	int error = sph_object_begin(&use, stack, &stack_kind, kind);

	if (error == 0)
		error = sas_use_result(&use, take(stack, size, &range));
	return error == 0 ? range : sph_null(error);
}

void *SASSimpleStackAlloc(SASSimpleStack_t stack, block_size_t alloc_size)
{
	return alloc(stack, alloc_size, SAS_USE_EXCLUSIVE);
}

void *SASSimpleStackAllocNoLock(SASSimpleStack_t stack, block_size_t alloc_size)
{
	return alloc(stack, alloc_size, SAS_USE_UNLOCKED);
}

static void *alloc_near(void *near, size_t size, enum sas_use_kind kind)
{
	SASBlockHeader *header = SASFindHeader(near);

	if (header != NULL)
		return alloc(header, size, kind);
	return sph_null(sas_service_fail(errno, "%p lies in no object", near));
}

void *SASSimpleStackNearAlloc(void *near_stack, block_size_t alloc_size)
{
	return alloc_near(near_stack, alloc_size, SAS_USE_EXCLUSIVE);
}

void *SASSimpleStackNearAllocNoLock(void *near_stack, block_size_t alloc_size)
{
	return alloc_near(near_stack, alloc_size, SAS_USE_UNLOCKED);
}

/* -ERANGE: outside of what is handed out; -EDOM: not where a range begins. */
static int give(SASSimpleStack_t stack, const void *pointer)
{
	uint64_t top, offset = (uintptr_t)pointer - (uintptr_t)stack;
	int error = load_top(stack, &top);

	if (error != 0)
		return error;
	if (offset < SPH_OBJECT_PAGE || offset > top)
		return sas_service_fail(ERANGE, "%p is not in the filled part of the simple stack at %p", pointer, stack);
	if (offset % SPH_GRANULE != 0)
		return sas_service_fail(EDOM, "nothing in the simple stack at %p begins at %p", stack, pointer);
	publish_top(stack, offset);
	return 0;
}

static int dealloc(SASSimpleStack_t stack, const void *pointer, enum sas_use_kind kind)
{
	struct sas_use use;
	int error = sph_object_begin(&use, stack, &stack_kind, kind);

	if (error == 0)
		error = sas_use_result(&use, give(stack, pointer));
	if (error == 0)
		return 0;
	if (error != -ERANGE && error != -EDOM)
		return sas_service_errno(error);
	sas_service_errno(-EINVAL);
	return error == -ERANGE ? -2 : -3;
}

int SASSimpleStackDealloc(SASSimpleStack_t stack, void *stack_pointer)
{
	return dealloc(stack, stack_pointer, SAS_USE_EXCLUSIVE);
}

int SASSimpleStackDeallocNoLock(SASSimpleStack_t stack, void *stack_pointer)
{
	return dealloc(stack, stack_pointer, SAS_USE_UNLOCKED);
}

/* --- queries */

static size_t free_space(SASSimpleStack_t stack, int (*begin)(struct sas_look *, const void *))
{
	const SASBlockHeader *header = stack;
	struct sas_look look;
	uint64_t top = 0;
	int error = sph_object_check(stack, &stack_kind);

	if (error == 0)
		error = begin(&look, stack);
	if (error == 0) {
		do
			error = load_top(stack, &top);
		while (!sas_look_ok(&look, stack));
	}
	if (error == 0)
		return header->blockSize - top;
	sas_service_errno(error);
	return 0;
}

block_size_t SASSimpleStackFreeSpace(SASSimpleStack_t stack)
{
	return free_space(stack, sas_look_begin);
}

block_size_t SASSimpleStackFreeSpaceNoLock(SASSimpleStack_t stack)
{
	return free_space(stack, sas_look_begin_unlocked);
}
