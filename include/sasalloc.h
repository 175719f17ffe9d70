/* SPDX-License-Identifier: MIT */
/*
 * sasalloc.h - the header that each object's block begins with, and how to find it from inside.
 *
 * Sizes are bytes. Calls that fail set errno and leave a sentence, but SASFindHeader(), which is
 * async-signal-safe, sets errno only. Whoever changes a block's header or its free list excludes
 * other users of the block. A block header is part of the media format.
 */
#ifndef SASPHERE_SASALLOC_H
#define SASPHERE_SASALLOC_H

#include <stddef.h>
#include <stdint.h>
#include "freenode.h"
#include "sasconf.h"
#include "sastype.h"

#define block__Size256 0x100L
#define block__Size512 0x200L
#define block__Size1K 0x400L
#define block__Size4K 0x1000L
#define block__Size16K 0x4000L
#define block__Size64K 0x10000L
#define block__Size256K 0x40000L
#define block__Size1M 0x100000L
#define block__Size4M 0x400000L
#define block__Size16M 0x1000000L
#define block__Size64M 0x4000000L
#define block__Size256M 0x10000000L
#define block__max SegmentSize

#define block__align256 block__Size256
#define block__align512 block__Size512
#define block__align1K block__Size1K
#define block__align4k block__Size4K
#define block__align16k block__Size16K
#define block__align64k block__Size64K
#define block__align256k block__Size256K
#define block__align1m block__Size1M
#define block__align4m block__Size4M
#define block__align16m block__Size16M
#define block__align64m block__Size64M
#define block__align256m block__Size256M

#define block__mask256 (-block__Size256)
#define block__mask512 (-block__Size512)
#define block__mask1k (-block__Size1K)
#define block__mask4k (-block__Size4K)
#define block__mask16k (-block__Size16K)
#define block__mask64k (-block__Size64K)
#define block__mask256k (-block__Size256K)
#define block__mask1m (-block__Size1M)
#define block__mask4m (-block__Size4M)
#define block__mask16m (-block__Size16M)
#define block__mask64m (-block__Size64M)
#define block__mask256m (-block__Size256M)

#define block__Signature_1 0x0102030405060708UL
#define block__Signature_2 0xA6A7A8A9AAABACADUL

#define block__private 0
#define block__shared 1

#define blockAlign 8
#define blockRound 7

#define heap_offset 128
#define default_page 4096
#define default_max 63

typedef struct SASBlockHeader {
	void *special;                  /* for the block's owner */
	uintptr_t blockSig1;            /* block__Signature_1 */
	sas_type_t blockType;
	uintptr_t blockSig2;            /* block__Signature_2 */
	block_size_t blockSize;
	FreeNode *blockFreeSpace;       /* free ranges inside the block, or NULL */
	struct SASBlockHeader *baseBlock;       /* the first block of the object */
	struct SASBlockHeader *nextBlock;       /* a further one, or NULL */
} SASBlockHeader;

/* The owner's word. NULL: NULL and EINVAL. */
extern __C__ void *getSASBlockSpecial (const void *block);
extern __C__ void setSASBlockSpecial (void *block, void *val);
/* Fill a header; the signatures are stored last. What lies between blockHeap and the end of the
 * block becomes one free range; NULL: there is none. Nothing else of the block is changed.
 * EINVAL: header is NULL, or blockHeap, aligned to 8, has no room for a range inside the block. */
extern __C__ void initSOMSASBlock (SASBlockHeader *header, sas_type_t sasType, long blockSize,
				     void *blockHeap);

/* 1 if both signatures stand there; 0 if not, or header is NULL. */
static inline int SOMSASCheckBlockSig (const SASBlockHeader *header)
{
	return header != NULL && header->blockSig1 == block__Signature_1 &&
	       header->blockSig2 == block__Signature_2;
}

/* The same, and the type byte is that of sasType. No block of the user-defined group passes. */
static inline int SOMSASCheckBlockSigAndType (const SASBlockHeader *header, sas_type_t sasType)
{
	return SOMSASCheckBlockSig (header) &&
	       (header->blockType & (sas_type_t)SAS_TYPE_CHECK_MASK) == (sasType & (sas_type_t)SAS_TYPE_MASK);
}

/* The same, and group, type and subtype are those of sasType. */
static inline int SOMSASCheckBlockSigAndTypeAndSubtype (const SASBlockHeader *header, sas_type_t sasType)
{
	return SOMSASCheckBlockSig (header) &&
	       (header->blockType & (sas_type_t)SAS_SUBTYPE_CHECK_MASK) ==
	       (sasType & (sas_type_t)SAS_SUBTYPE_CHECK_MASK);
}

/* The subtype byte alone; these four do not look at the signatures. */
static inline int SOMSASCheckBlockSubType (const SASBlockHeader *header, sas_type_t sasType)
{
	return ((header->blockType ^ sasType) & (sas_type_t)SAS_SUB_TYPE_MASK) == 0;
}

/* Replace the subtype byte by that of sasType. */
static inline void SOMSASSetBlockSubType (SASBlockHeader *header, sas_type_t sasType)
{
	header->blockType = (header->blockType & ~(sas_type_t)SAS_SUB_TYPE_MASK) |
			    (sasType & (sas_type_t)SAS_SUB_TYPE_MASK);
}

static inline sas_type_t SOMSASGetBlockSubType (const SASBlockHeader *header)
{
	return header->blockType & (sas_type_t)SAS_SUB_TYPE_MASK;
}

static inline sas_type_t SOMSASGetBlockType (const SASBlockHeader *header)
{
	return header->blockType;
}

/* The innermost header around an address: the first of the addresses aligned to 512, 1K, 2K, ...
 * at or below it that has both signatures. In a region it is searched inside the block that holds the
 * address; in the range of setSASmemrange() or [__SAS_TEMP_ADDRESS, __SAS_TEMP_FREE) inside the range.
 * NULL and ENOENT: there is none; EFAULT: the address lies elsewhere. */
extern __C__ SASBlockHeader *SASFindHeader (const void *nearObj);

/* Write a range back; also drop it from this process's memory, without loss; read it ahead.
 * asyncBool: SAS_SYNC or SAS_ASYNC of sasmsync.h, whose calls these are. */
extern __C__ void SASMemSync (void *startAddr, long size, int asyncBool);
extern __C__ void SASMemRemove (void *startAddr, long size, int asyncBool);
extern __C__ void SASMemBring (void *startAddr, long size, int asyncBool);

/* A block of the default region, all zero, of the next of the sizes 4K, 16K, 64K ... 256M. allocSize
 * is ignored. NULL: EINVAL, or errno of SASBlockAlloc(). */
extern __C__ void *SASSOMAlloc (long blockSize, long allocSize);
/* For a range inside such a block: nothing keeps account of it, so nothing changes. EINVAL: NULL,
 * or a negative size. */
extern __C__ void SASSOMDealloc (void *blockAddr, long allocSize);
/* Give the block back, with the blockSize it was asked with. */
extern __C__ void SASSOMDestroy (void *blockAddr, long blockSize);
/* Take and give back a range of a block's free list: freeNode_allocSpace(), freeNode_deallocSpace().
 * EINVAL: not a block's header, an object that keeps no such list, or a range outside the block. */
extern __C__ void *SASSOMHeapAlloc (SASBlockHeader *block, long allocSize);
extern __C__ void SASSOMHeapDealloc (SASBlockHeader *block, void *memAddr, long allocSize);

/* The same in the block whose header SASFindHeader() finds, under its address lock. Where it finds none, in no region
 * and in a region: malloc(3). NULL: EINVAL, ENOSPC, EUCLEAN, or errno of SASLockTake(). */
extern __C__ void *SASNearAlloc (void *nearObj, long allocSize);
/* allocSize: as it was asked for. What lies in no region nor range of SASFindHeader() is free(3)d. EINVAL: some of it is
 * free already, outside the object, or in a region and in no object; nothing is changed. */
extern __C__ void SASNearDealloc (void *memAddr, long allocSize);

/* Memory of this process alone: malloc(3) and free(3). */
extern __C__ void *SASLocalAlloc (long allocSize);
extern __C__ void SASLocalDealloc (void *memAddr, long allocSize);

#endif
