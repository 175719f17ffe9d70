/* SPDX-License-Identifier: MIT */
/*
 * object.c - objects of one block: their handles, their beginning, their end. Layer 5.
 *
 * Crash: a process that dies between sph_object_take() and the return to its caller leaves a block of its generation, as one
 *   that dies after SASBlockAlloc(). Destruction is that of the block: SASBlockFree() has freed it, header and all, or not.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "object.h"
#include "saslock.h"
#include "sasregion.h"
#include "sassim.h"

int sph_object_is(const SASBlockHeader *header, const struct sph_kind *kind)
{
	sas_type_t subtype = header->blockType & (sas_type_t)SAS_SUB_TYPE_MASK;

	if (!SOMSASCheckBlockSigAndType(header, kind->type))
		return 0;
	if ((kind->type & SAS_TYPE_MASK) != SAS_SIMPLEHEAP_TYPE)
		return 1;
	if (kind->type == SAS_RUNTIME_CONTEXT)
		return subtype == SAS_CONTEXT_SUBTYPE;
	/* The nodes of trees have the type of heaps, and nothing can be taken from them; nor behind the back of a context. */
	return subtype != SAS_STRINGBTREENODE_SUBTYPE && subtype != SAS_INDEXNODE_SUBTYPE && subtype != SAS_CONTEXT_SUBTYPE;
}

static int refuse(const void *object, const struct sph_kind *kind)
{
	return sas_service_fail(EINVAL, "%p is no %s", object, kind->name);
}

static int is_aligned(const void *object)
{
	return object != NULL && (uintptr_t)object % sizeof(void *) == 0;
}

int sph_object_check(const void *object, const struct sph_kind *kind)
{
	struct sas_look look;
	int error;

	if (!is_aligned(object))
		return refuse(object, kind);
	error = sas_look_begin_unlocked(&look, object);
	if (error == 0)
		error = sas_look_reach(&look, object);
	if (error == 0 && !sph_object_is(object, kind))
		error = refuse(object, kind);
	return error;
}

int sph_object_begin(struct sas_use *u, const void *object, const struct sph_kind *kind, enum sas_use_kind use)
{
	int error = sph_object_check(object, kind);

	if (error == 0)
		error = sas_use_begin(u, object, use);
	if (error != 0 || sph_object_is(object, kind))
		return error;
	/* While this thread waited for the lock. */
	return sas_use_result(u, refuse(object, kind));
}

int sph_object_reach(void *memory, const struct sph_kind *kind)
{
	struct sas_use use;
	int error;

	if (!is_aligned(memory))
		return sas_service_fail(EINVAL, "no %s can begin at %p", kind->name, memory);
	error = sas_use_begin(&use, memory, SAS_USE_UNLOCKED);
	return error != 0 ? error : sas_use_result(&use, sas_use_reach(&use, memory));
}

void sph_object_format(void *memory, const struct sph_kind *kind, size_t size, uint64_t word)
{
	/* What may have been there is no object any more before a byte of it changes. */
	__atomic_store_n(&((SASBlockHeader *)memory)->blockSig1, 0, __ATOMIC_RELEASE);
	memset(sph_object_words(memory), 0, heap_offset - sizeof(SASBlockHeader));
	*sph_object_words(memory) = word;
	initSOMSASBlock(memory, kind->type, (long)size, NULL);
}

void *sph_object_take(size_t size)
{
	void *block = SASBlockAlloc(size);
	int error;

	if (block == NULL || SASMapAhead(block, sizeof(SASBlockHeader)) == 0)
		return block;
	error = errno;
	SASBlockFree(block, size);
	errno = error;
	return NULL;
}

static int destroy(SASBlockHeader *header, const struct sph_kind *kind)
{
	if (!SOMSASCheckBlockSigAndTypeAndSubtype(header, kind->type))
		return sas_service_errno(refuse(header, kind));
	if (header->baseBlock != header)
		return sas_service_errno(sas_service_fail(EINVAL, "the %s at %p is a part of what lies at %p",
							  kind->name, (void *)header, (void *)header->baseBlock));
	return SASBlockFree(header, header->blockSize);
}

int sph_object_destroy(void *object, const struct sph_kind *kind, int lock)
{
	int error = sph_object_check(object, kind), result;

	if (error == 0 && SASRegionOf(object) == NULL)
		error = sas_service_fail(EINVAL, "the %s at %p is the program's own memory, not a block", kind->name,
					 object);
	if (error != 0)
		return sas_service_errno(error);
	/* The lock outside the call that frees, as a program would have it: that call has a frame of its own. */
	if (lock && SASLockTake(object, SasUserLock__WRITE, 0, -1) != 0)
		return -1;
	result = destroy(object, kind);
	if (lock) {
		error = errno;
		SASLockGive(object);
		errno = error;
	}
	return result;
}
