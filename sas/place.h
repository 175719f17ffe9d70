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

#include "numa.h"
#include "region.h"

/* Values of sas_region.file_system. */
#define SAS_FS_OTHER 0U
#define SAS_FS_TMPFS 1U
#define SAS_FS_HUGETLB 2U

/* Look what the region's directory lies on. EOPNOTSUPP: hugetlbfs with pages that are too large. */
int sas_place_look(struct sas_region *r);
/* Segment n has just been mapped: the policy that it has by the region. (h); -errno, no sentence. */
int sas_place_segment(struct sas_region *r, uint64_t n);
/* The same once more for the anchor's segment, by a join, to say what cannot be had. */
void sas_place_tell(struct sas_region *r);
/* A range in one block: its own policy, or with SAS_NUMA_DEFAULT the region's. Its segments are mapped. -errno, no sentence. */
int sas_place_range(struct sas_region *r, uint64_t offset, uint64_t size, unsigned policy,
		    const uint64_t nodes[SAS_NUMA_WORDS]);

#endif
