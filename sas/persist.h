/* SPDX-License-Identifier: MIT */
/*
 * persist.h - when a store has to be safe from a power cut. Layer 2.
 *
 * sas_persist() makes a range of the region's memory durable as its durability asks: nothing for
 * PROCESS, msync for DISK, cache-line write-back for PMEM. sas_fence() orders what follows after all
 * persisted before. The kernel may write any dirty page at any time besides, so a store that must not be
 * seen before another one is made only after the fence.
 *
 * A failed sync poisons the region: -EIO until it is joined again, because the kernel may have
 * dropped the pages (it reports a write error once).
 */
#ifndef SAS_PERSIST_H
#define SAS_PERSIST_H

#include <stddef.h>
#include "region.h"

/* -EIO and a sentence when an earlier sync failed: before a change that could not be made durable. */
int sas_refuse_poisoned(struct sas_region *r);
int sas_persist(struct sas_region *r, const void *address, size_t size);
void sas_fence(struct sas_region *r);
/* Every file of the region, and the directory. */
int sas_sync(struct sas_region *r);
/* A mapping with MAP_SYNC is to be had in this directory. */
int sas_pmem_probe(int dir);

#endif
