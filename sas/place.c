/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "err.h"
#include "place.h"
#include "port.h"
#include "segment.h"

#define TMPFS 0x01021994UL
#define HUGETLBFS 0x958458f6UL

int sas_place_look(struct sas_region *r)
{
	struct statfs fs;

	r->file_system = SAS_FS_OTHER;
	if (sas_port->fstatfs(r->dir, &fs) != 0)
		return 0;
	if ((unsigned long)fs.f_type == TMPFS)
		r->file_system = SAS_FS_TMPFS;
	return 0;
}

/* The region's policy for segment n. */
static unsigned policy_of(const struct sas_m_anchor *a, uint64_t n, uint64_t nodes[SAS_NUMA_WORDS])
{
	uint64_t all[SAS_NUMA_WORDS];

	memcpy(nodes, a->numa_nodes, sizeof a->numa_nodes);
	if (a->numa_policy != SAS_M_NUMA_INTERLEAVE || a->numa_spread < SAS_M_SPREAD_SEGMENTS)
		return a->numa_policy;
	sas_numa_all(all);
	sas_numa_nth(a->numa_nodes, n, nodes);
	for (unsigned i = 0; i < SAS_NUMA_WORDS; i++)
		if (nodes[i])
			return SAS_NUMA_PREFERRED;
	sas_numa_nth(all, n, nodes);
	return SAS_NUMA_PREFERRED;
}

/* Once it is set, every page of the segment has some policy: its blocks may have got others, which stay. */
static int is_placed(const void *segment)
{
	uint64_t nodes[SAS_NUMA_WORDS];
	unsigned policy;

	return sas_numa_placement(segment, &policy, nodes) == 0 && policy != SAS_NUMA_DEFAULT;
}

int sas_place_segment(struct sas_region *r, uint64_t n)
{
	uint64_t nodes[SAS_NUMA_WORDS];
	void *segment = sas_at(r, n << r->segment_shift);
	unsigned policy;

	if (r->anchor.numa_policy == SAS_NUMA_DEFAULT || is_placed(segment))
		return 0;
	policy = policy_of(&r->anchor, n, nodes);
	return sas_numa_place(segment, r->segment_size, policy, nodes, 0);
}

void sas_place_tell(struct sas_region *r)
{
	if (r->anchor.numa_policy == SAS_NUMA_DEFAULT)
		return;
	sas_numa_warn(sas_place_segment(r, 0));
	if (r->file_system == SAS_FS_OTHER)
		sas_note(SAS_ERR_INFO, "%s: this file system places new pages by the policy of the thread that touches them "
			 "first; the region's policy holds on tmpfs and hugetlbfs", r->path);
}

int sas_place_range(struct sas_region *r, uint64_t offset, uint64_t size, unsigned policy,
		    const uint64_t nodes[SAS_NUMA_WORDS])
{
	uint64_t end = offset + size, of_region[SAS_NUMA_WORDS];
	int error = 0;

	if (policy != SAS_NUMA_DEFAULT)
		return sas_numa_place(sas_at(r, offset), size, policy, nodes, 1);
	while (offset < end && !error) {
		uint64_t n = sas_segment_of(r, offset), stop = (n + 1) << r->segment_shift;

		if (stop > end)
			stop = end;
		policy = policy_of(&r->anchor, n, of_region);
		error = sas_numa_place(sas_at(r, offset), stop - offset, policy, of_region, 1);
		offset = stop;
	}
	return error;
}
