/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "ground/err.h"
#include "block/index.h"
#include "place.h"
#include "ground/port.h"
#include "segment.h"

#define TMPFS 0x01021994UL
#define HUGETLBFS 0x958458f6UL

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

int sas_place_file_system(int dir, const char *path)
{
	struct statfs fs;

	if (sas_port->fstatfs(dir, &fs) != 0)
		return SAS_FS_OTHER;
	if ((unsigned long)fs.f_type == TMPFS)
		return SAS_FS_TMPFS;
	if ((unsigned long)fs.f_type != HUGETLBFS)
		return SAS_FS_OTHER;
	/* File space is given and returned in chunks. */
	if ((uint64_t)fs.f_bsize > SAS_CHUNK)
		return sas_fail(EOPNOTSUPP, "%s: is on hugetlbfs with pages of %lld bytes; pages of up to %lu can be used", path,
				(long long)fs.f_bsize, SAS_CHUNK);
	return SAS_FS_HUGETLB;
}

/* --- huge pages */

static const char *refused(unsigned file_system)
{
	char text[128];

	sas_port_setting("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text);
	if (!text[0])
		return "the kernel has no transparent huge pages";
	sas_port_setting("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof text);
	if (file_system == SAS_FS_TMPFS && strstr(text, "[deny]"))
		return "/sys/kernel/mm/transparent_hugepage/shmem_enabled denies them";
	return NULL;
}

unsigned sas_place_huge(unsigned file_system, unsigned wanted, char reason[SAS_PLACE_REASON])
{
	const char *why = file_system == SAS_FS_HUGETLB || !wanted ? NULL : refused(file_system);

	reason[0] = '\0';
	if (file_system == SAS_FS_HUGETLB)
		return SAS_M_HUGE_TLB;
	if (!wanted)
		return 0;
	if (wanted >= SAS_M_HUGE_TLB)
		snprintf(reason, SAS_PLACE_REASON, "the directory is not on hugetlbfs%s%s", why ? "; " : "", why ? why : "");
	else if (why)
		snprintf(reason, SAS_PLACE_REASON, "%s", why);
	return why ? 0 : SAS_M_HUGE_TRANSPARENT;
}

static int wants_transparent(const struct sas_region *r)
{
	return r->anchor.huge && r->file_system != SAS_FS_HUGETLB;
}

int sas_place_needs_map(const struct sas_region *r)
{
	return r->anchor.numa_policy != SAS_NUMA_DEFAULT || (wants_transparent(r) && r->file_system == SAS_FS_TMPFS);
}

/*
 * fallocate(2) takes small pages on tmpfs, unless it was mounted with huge=always; this takes huge ones, whatever the mount
 * says. The kernel makes one where at least a small one is. Elsewhere file space is no memory: MADV_HUGEPAGE makes the
 * page cache read in huge pages, where it can.
 */
void sas_place_collapse(struct sas_region *r, int fd, uint64_t offset, uint64_t size)
{
	uint64_t at = offset & (r->segment_size - 1);
	int error = 0;

	if (!wants_transparent(r) || r->file_system != SAS_FS_TMPFS)
		return;
	for (uint64_t chunk = at; chunk < at + size && !error; chunk += SAS_CHUNK)
		error = sas_port->fallocate(fd, FALLOC_FL_KEEP_SIZE, chunk, SAS_M_PAGE);
	if (!error)
		error = sas_port->madvise(sas_at(r, offset), size, MADV_COLLAPSE);
	sas_store_relaxed_u32(&r->huge_errno, (uint32_t)-error);
}

/* --- nodes */

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

	if (wants_transparent(r))
		sas_port->madvise(segment, r->segment_size, MADV_HUGEPAGE);
	if (r->anchor.numa_policy == SAS_NUMA_DEFAULT || is_placed(segment))
		return 0;
	policy = policy_of(&r->anchor, n, nodes);
	return sas_numa_place(segment, r->segment_size, policy, nodes, 0);
}

void sas_place_tell(struct sas_region *r)
{
	char reason[SAS_PLACE_REASON];

	sas_place_huge(r->file_system, r->anchor.huge, reason);
	if (reason[0])
		sas_note(SAS_ERR_WARNING, "%s: it has not the huge pages that it was made for: %s", r->path, reason);
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
