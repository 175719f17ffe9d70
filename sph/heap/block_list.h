/* SPDX-License-Identifier: MIT */
/*
 * block_list.h - the free ranges of a block that begins with a SASBlockHeader: of simple heaps, and of any block that
 * initSOMSASBlock() gave a heap.
 */
#ifndef SPH_BLOCK_LIST_H
#define SPH_BLOCK_LIST_H

#include "free_list.h"
#include "sasalloc.h"

/* 0; -EINVAL: objects of this type keep no free ranges there. */
int sph_block_has_list(const SASBlockHeader *header);
/* Under a use of the block. -EINVAL, -ENOSPC, -EUCLEAN. */
int sph_block_take(const struct sas_use *u, SASBlockHeader *header, size_t size, void **range);
int sph_block_give(const struct sas_use *u, SASBlockHeader *header, void *range, size_t size);
/* The range that sph_block_take() would give. */
int sph_block_find(const struct sas_use *u, SASBlockHeader *header, size_t size, void **range);
/* 1: this byte is free; 0; -errno. */
int sph_block_has(const struct sas_use *u, SASBlockHeader *header, const void *byte);
int sph_block_total(const struct sas_use *u, SASBlockHeader *header, struct sph_free_totals *totals);

/* --- near.c: as SASNearAlloc() and SASNearDealloc(), with this kind of use */
void *sph_near_alloc(void *near, long size, enum sas_use_kind kind);
void sph_near_dealloc(void *memory, long size, enum sas_use_kind kind);

#endif
