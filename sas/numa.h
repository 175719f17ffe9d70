/* SPDX-License-Identifier: MIT */
/*
 * numa.h - on which nodes memory is placed. Layer 0.
 *
 * Placement is a wish: without libnuma, NUMA or permission the program runs all the same, and the
 * sink gets one warning. Not async-signal-safe, but for sas_numa_place().
 */
#ifndef SAS_NUMA_H
#define SAS_NUMA_H

#include <stddef.h>
#include <stdint.h>

#define SAS_NUMA_WORDS 16       /* of a mask: bit n of word w is node 64 * w + n */

/* The values of sas_numa_t in sasregion.h, and of the anchor. */
enum sas_numa_policy {
	SAS_NUMA_DEFAULT = 0,
	SAS_NUMA_PREFERRED = 1,
	SAS_NUMA_BIND = 2,
	SAS_NUMA_INTERLEAVE = 3
};

/* A list as numactl(8) reads it ("0-1,3", "!0", "+0", "all"); NULL gives the empty mask, which
 * means all nodes. 0; -EINVAL: not a list, or not of nodes that this process may use. */
int sas_numa_parse(const char *nodes, uint64_t mask[SAS_NUMA_WORDS]);
/* Ask for the placement of what will be touched in a mapping. -errno, no sentence; async-signal-safe. */
int sas_numa_place(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS]);
/* The same; a failure is told to the sink once. */
void sas_numa_apply(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS]);

#endif
