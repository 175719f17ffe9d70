/* SPDX-License-Identifier: MIT */
/*
 * place.h - on which nodes and in which pages the memory of a region lies. Layer 2.
 *
 * All of it is a wish: what the machine does not give changes nothing but speed.
 *
 * A region's policy is set by whoever maps a segment first. On tmpfs and hugetlbfs it then belongs to the file, for all who
 * map it, as long as the file is there; so do the policies of blocks. Elsewhere the kernel keeps it for a mapping, and
 * takes it for pages that move, while a new page is placed by the policy of the thread that touches it first.
 *
 * Locks: none. Signals: what is marked (h) is async-signal-safe and serves the fault handler.
 * Crash: nothing is stored that a region needs.
 */
#ifndef SAS_PLACE_H
#define SAS_PLACE_H

#include "ground/numa.h"
#include "region/region.h"

/* Values of sas_region.file_system. */
#define SAS_FS_OTHER 0U
#define SAS_FS_TMPFS 1U
#define SAS_FS_HUGETLB 2U

/* What a directory lies on: SAS_FS_... -EOPNOTSUPP and a sentence: hugetlbfs with pages that are too large. */
int sas_place_file_system(int dir, const char *path);
/* Which pages a region with this wish gets on that file system, as far as this can be told before they are there; the reason
 * why not those that it was made for, or "". SAS_M_HUGE_..., 0: small ones. */
#define SAS_PLACE_REASON 160
unsigned sas_place_huge(unsigned file_system, unsigned wanted, char reason[SAS_PLACE_REASON]);
/* Segment n has just been mapped: the policy and the pages that it has by the region. (h); -errno, no sentence. */
int sas_place_segment(struct sas_region *r, uint64_t n);
/* The same once more for the anchor's segment, by a join, to say what cannot be had. */
void sas_place_tell(struct sas_region *r);
/* Space is about to be taken for [offset, +size) of a segment: does it have to be mapped before? */
int sas_place_needs_map(const struct sas_region *r);
/* It is mapped, and whole chunks: take their space in huge pages, where the region wants them. fd: the segment's file. */
void sas_place_collapse(struct sas_region *r, int fd, uint64_t offset, uint64_t size);
/* A range in one block: its own policy, or with SAS_NUMA_DEFAULT the region's. Its segments are mapped. -errno, no sentence. */
int sas_place_range(struct sas_region *r, uint64_t offset, uint64_t size, unsigned policy,
		    const uint64_t nodes[SAS_NUMA_WORDS]);

#endif
