/* SPDX-License-Identifier: MIT */
/*
 * anchor.h - what the anchor and the trailers of a region may say. Layer 2, pure: no I/O.
 *
 * The rules by which a new region is laid out, and the checks that every reader of a file makes
 * before it follows anything in it: join, fault handler, inspection. A valid anchor promises:
 * all its areas lie inside segment 0, in order, without overlap; all counts are bounded by
 * SAS_M_MAX_SEGMENTS and the segment size; no sum of them overflows.
 *
 * Locks: none. Signals: sas_trailer_fits() and the inline functions are async-signal-safe.
 * Crash: nothing is stored.
 */
#ifndef SAS_ANCHOR_H
#define SAS_ANCHOR_H

#include <stdint.h>
#include "layout.h"

#define SAS_ADDRESS_END (1UL << 47)             /* one past the last address of a region */
#define SAS_ANCHOR_MIN_LOGS 8UL                 /* intent logs that the first chunk has room for */

/* May a region have this geometry? 0, or -EINVAL and a sentence. */
int sas_geometry_check(uint64_t base, uint64_t region_size, uint64_t segment_size);

/* From base, region_size and segment_size, which sas_geometry_check() accepts: sets anchor_size,
 * table_offset, log_offset, log_count, log_chunk_size, map_offset, map_size, maps. */
void sas_anchor_compute(struct sas_m_anchor *a);

/* The classic block header, which is zero: programs find the anchor as they find every object. */
void sas_anchor_set_header(struct sas_m_anchor *a);

/* What the checksum fields must say. The anchor's pointer names a whole page, SAS_M_PAGE bytes, and
 * its header_size is at most that; 0 is given where it is larger. */
uint64_t sas_anchor_checksum(const struct sas_m_anchor *a);
uint64_t sas_trailer_checksum(const struct sas_m_trailer *t);

/* Where in a file something is wrong, and what. */
struct sas_fault {
	uint64_t offset;
	char text[240];
};

/* `a` is the first page of `file`, all SAS_M_PAGE bytes of it. 0; -EUCLEAN: no anchor, or a broken
 * one; -EPROTONOSUPPORT: made by a newer library or another kind of machine. A sentence says why.
 * A region may be opened only for reading where ro_compat has a bit outside SAS_M_RO_COMPAT_KNOWN;
 * that is the caller's to ask. */
int sas_anchor_validate(const struct sas_m_anchor *a, const char *file);

/* Is `t` the trailer of segment `number` of the region of `a`, which is valid? 1 yes, 0 no. */
int sas_trailer_fits(const struct sas_m_trailer *t, const struct sas_m_anchor *a, uint64_t number);

/* The same two that tell the caller alone what is wrong: 0, or the errors of sas_anchor_validate(). */
int sas_anchor_examine(const struct sas_m_anchor *a, struct sas_fault *fault);
int sas_trailer_examine(const struct sas_m_trailer *t, const struct sas_m_anchor *a, uint64_t number,
			struct sas_fault *fault);

/* Segments that the region may have. */
static inline uint64_t sas_segments_of(const struct sas_m_anchor *a)
{
	return a->region_size / a->segment_size;
}

/* The sas_numa_t that it was made with. */
static inline uint32_t sas_anchor_numa(const struct sas_m_anchor *a)
{
	return a->numa_policy + (a->numa_policy == SAS_M_NUMA_INTERLEAVE && a->numa_spread >= SAS_M_SPREAD_SEGMENTS);
}

/* May a segment's file have this size? */
static inline int sas_file_size_fits(const struct sas_m_anchor *a, uint64_t size)
{
	if (a->incompat & SAS_M_INCOMPAT_PREALLOCATED)
		return size >= a->segment_size;
	return size == a->segment_size + SAS_M_PAGE || size == a->segment_size + SAS_M_LARGE_TAIL;
}

/* Bytes of the block map of one segment. */
static inline uint64_t sas_map_bytes(uint64_t segment_size)
{
	uint64_t bytes = segment_size / SAS_M_UNIT * sizeof(uint32_t);

	return bytes > SAS_M_PAGE ? bytes : SAS_M_PAGE;
}

/* File space is taken for whole pages of any machine: a store into a mapping may want all of its page's. */
static inline uint64_t sas_round_space(uint64_t size)
{
	return (size + SAS_M_PAGE_MAX - 1) & ~(SAS_M_PAGE_MAX - 1);
}

/* Offset in the region of a segment's block map. */
static inline uint64_t sas_map_of(const struct sas_m_anchor *a, uint64_t segment)
{
	if (segment < a->maps)
		return a->map_offset + segment * sas_map_bytes(a->segment_size);
	return segment * a->segment_size;
}

#endif
