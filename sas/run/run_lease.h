/* SPDX-License-Identifier: MIT */
/*
 * run_lease.h - whose free tiles are leased: the tags in block maps, and what thread slots say of them. Layer 2.
 *
 * The generation field of a free entry is 0, or the tag of the thread that leases the tile (lease.h): its slot, and which
 * life of it. A tag means something only while that slot is in use, in that life, and lists the segment in lease_of. So
 * nothing has to be undone in the maps when a thread dies, and a tag that comes from a copy or an earlier run is nothing.
 *
 * Lives are told apart modulo 1023. That is enough: a slot lists a segment only when its index is built, and building it
 * erases the tags that mean nothing; a life that ended with a segment in its list has had that index made stale before
 * the slot is taken again.
 *
 * Locks: block_lock for lease_of, all of it; its owner reads it without.
 * Crash: a segment is listed before the first tile of it is leased, and leaves the list after the last one has been given
 * back: so a free tile is in the index, or its segment is in the list of who died, from which recovery builds the index.
 */
#ifndef SAS_RUN_LEASE_H
#define SAS_RUN_LEASE_H

#include <stdint.h>
#include "region/region.h"

/* 24 bits, never 0. */
static inline uint32_t sas_lease_tag(uint32_t slot, uint32_t lives)
{
	return slot << 10 | (lives % 1023 + 1);
}
_Static_assert(SAS_RUN_THREADS <= 1U << 14, "a slot's number fits into a tag");

static inline int sas_lease_lists(const struct sas_run_thread *slot, uint64_t n)
{
	for (unsigned i = 0; i < SAS_RUN_LEASES; i++)
		if (sas_load_relaxed_u32(&slot->lease_of[i]) == n + 1)
			return 1;
	return 0;
}

/* A free tile of segment n with this tag is leased. */
int sas_lease_lives(const struct sas_region *r, uint64_t n, uint32_t tag);
/* Some segment is listed. */
int sas_lease_lists_any(const struct sas_run_thread *slot);

#endif
