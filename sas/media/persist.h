/* SPDX-License-Identifier: MIT */
/*
 * persist.h - when a store has to be safe from a power cut. Layer 2.
 *
 * One interface, three implementations (the table in persist.c), by the region's durability:
 *
 *              write_back                              fence
 *   PROCESS    nothing                                 nothing
 *   DISK       msync of the pages, and waits           nothing: it has waited
 *   PMEM       cache lines (lines.h)                   waits for them
 *
 * What publishes is stored after the fence that follows what it publishes: the kernel may write any dirty page, and the
 * processor any line, at any time besides.
 *
 * A failed sync poisons the region, for all who have joined: -EIO until all have left. The kernel tells of a write
 * error once per open file, and takes the pages for written. So a second sync would succeed without them; who joins
 * a poisoned region next has all of its data written again (sas_rewrite()).
 *   Syncs go through the segment's mapping where there is one: its file was opened when it was mapped, so that it
 * tells of every error since, whoever else was told, and cannot be evicted from the kernel's memory with its error. A file
 * that is opened anew tells only of errors that nobody was told of.
 *   Threads, and a fork's child and its parent, share these files, and one of them is told. So sync_lock (SAS.run, the last
 * one in the order) is held from each sync until its failure is noted, and looked at before the next one.
 *
 * Locks: sync_lock, for one file at a time. If its holder dies, nothing is left undone.
 * Crash: none of these changes anything. An error that the kernel told to a process which was killed before it could note
 *   it is known to those alone who have mapped the segment on their own.
 */
#ifndef SAS_PERSIST_H
#define SAS_PERSIST_H

#include <stddef.h>
#include "region/region.h"

/* -EIO and a sentence when an earlier sync failed: before a change that could not be made durable. */
int sas_refuse_poisoned(struct sas_region *r);
/* Durable with the next fence. */
int sas_write_back(struct sas_region *r, const void *address, size_t size);
void sas_fence(struct sas_region *r);
/* Both: durable when it returns. */
int sas_persist(struct sas_region *r, const void *address, size_t size);

/* --- whatever the durability, and whoever stored it */
/* Every file of the region, and the directory. */
int sas_sync(struct sas_region *r);
/* What an open file of the region, or its directory, has. */
int sas_sync_file(struct sas_region *r, int fd, const char *what);
/* The bytes of a range, in segments that are there; or (!wait) begin to. */
int sas_sync_range(struct sas_region *r, uint64_t offset, uint64_t size, int wait);
/* After a failed sync, and when nobody writes: all data once more, so that what is not on the disk is dirty again; and sync. */
int sas_rewrite(struct sas_region *r);

/* A mapping with MAP_SYNC is to be had in this directory, and cache lines can be written back. */
int sas_pmem_probe(int dir);

#endif
