/* SPDX-License-Identifier: MIT */
/*
 * numa.h - on which nodes memory is placed. Layer 0.
 *
 * Placement is a wish: without libnuma, NUMA or permission the program runs all the same, and the
 * sink gets one warning. Not async-signal-safe, but where it says so.
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

/* A list as numactl(8) reads it ("0-1,3", "!0", "+0", "all"); NULL gives the empty mask, which means all nodes. A plain
 * list may name nodes that are not here: a region is made for more than one machine. 0; -EINVAL: not a list. */
int sas_numa_parse(const char *nodes, uint64_t mask[SAS_NUMA_WORDS]);
/* The inverse: "0-1,3"; "" for none. Cut where the text has no room. */
#define SAS_NUMA_TEXT 4096
char *sas_numa_text(const uint64_t mask[SAS_NUMA_WORDS], char *text, size_t size);
/* The n-th node of the mask alone, counted from 0, and round again; none of an empty one. Async-signal-safe. */
void sas_numa_nth(const uint64_t mask[SAS_NUMA_WORDS], uint64_t n, uint64_t one[SAS_NUMA_WORDS]);
/* The nodes that this process may use. */
void sas_numa_all(uint64_t mask[SAS_NUMA_WORDS]);
/* Ask for the placement of a mapping's memory, from now on; move: also pages that are there, and that nobody else has mapped.
 * -errno, no sentence; -ENODEV: it may use none of the nodes. Async-signal-safe. */
int sas_numa_place(void *addr, size_t size, unsigned policy, const uint64_t mask[SAS_NUMA_WORDS], int move);
/* What the kernel has for an address. -errno, no sentence. Async-signal-safe. */
int sas_numa_placement(const void *addr, unsigned *policy, uint64_t mask[SAS_NUMA_WORDS]);
/* Tell the sink why sas_numa_place() failed, the first time. */
void sas_numa_warn(int error);

#endif
