/* SPDX-License-Identifier: MIT */
/* api_place.c - where the memory of a block lies: the calls of sasregion.h. Layer 4. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "block/block.h"
#include "ground/err.h"
#include "block/index.h"
#include "media/place.h"
#include "region/runtime.h"
#include "sasregion.h"
#include "media/segment.h"

/* Caller memory is read before anything is done: see api_region.c. */
static int parse(sas_numa_t policy, const char *nodes, uint64_t mask[SAS_NUMA_WORDS])
{
	char copy[SAS_NUMA_TEXT];

	if ((unsigned)policy > SASNuma__INTERLEAVE)
		return sas_fail(EINVAL, "a block cannot have the NUMA policy %u", (unsigned)policy);
	if (nodes && strnlen(nodes, sizeof copy) == sizeof copy)
		return sas_fail(ENAMETOOLONG, "the list of NUMA nodes is longer than %zu bytes", sizeof copy - 1);
	if (nodes)
		strcpy(copy, nodes);
	return sas_numa_parse(nodes ? copy : NULL, mask);
}

static int check_block(struct sas_region *r, uint64_t offset, size_t size)
{
	uint64_t start, found;
	uint32_t generation;
	int error = sas_map_look(r, offset, &start, &found, &generation);

	if (error)
		return sas_fail(-error, "%p lies in no block in use", (void *)(r->base + offset));
	if (generation == 0)
		return sas_fail(EPERM, "%p is a block of the runtime", (void *)(r->base + offset));
	if (start != offset || found != size)
		return sas_fail(EINVAL, "%p is not a block of %zu bytes: the block there begins at %p and has %llu",
				(void *)(r->base + offset), size, (void *)(r->base + start), (unsigned long long)found);
	return 0;
}

static int place(struct sas_region *r, uint64_t offset, size_t size, sas_numa_t policy, const uint64_t mask[SAS_NUMA_WORDS])
{
	struct sas_thread *t;
	int unheard = 0, error = sas_call_begin(r, SAS_CALL_WRITE, &t);

	if (error)
		return error;
	error = check_block(r, offset, size);
	if (!error)
		error = sas_segment_need_range(r, offset, size);
	if (!error)
		unheard = sas_place_range(r, offset, size, policy, mask);
	error = sas_call_result(t, r, error);
	if (!error)
		sas_numa_warn(unheard);
	return error;
}

int SASBlockPlace(void *block, size_t size, sas_numa_t policy, const char *nodes)
{
	struct sas_region *r = sas_region_of((uintptr_t)block);
	uint64_t mask[SAS_NUMA_WORDS];
	int error = r ? parse(policy, nodes, mask) :
		sas_fail(EFAULT, "%p lies in no region that this process has joined", block);

	if (!error)
		error = place(r, (uintptr_t)block - r->base, size, policy, mask);
	return sas_err_edge(error);
}

void *SASRegionBlockAllocPlaced(SASRegion_t region, size_t size, sas_numa_t policy, const char *nodes)
{
	uint64_t mask[SAS_NUMA_WORDS], offset = 0;
	int error = parse(policy, nodes, mask);

	if (!error)
		error = sas_region_known(region);
	if (!error)
		error = sas_block_alloc(region, size, &offset);
	if (error) {
		sas_err_edge(error);
		return NULL;
	}
	error = place(region, offset, size, policy, mask);
	if (error) {
		sas_block_free(region, offset, size);
		sas_err_edge(error);
		return NULL;
	}
	return sas_at(region, offset);
}

int SASBlockPlacement(const void *address, sas_numa_t *policy, char *nodes, size_t size)
{
	struct sas_region *r = sas_region_of((uintptr_t)address);
	uint64_t mask[SAS_NUMA_WORDS], offset;
	unsigned found = SAS_NUMA_DEFAULT;
	struct sas_thread *t;
	int error = 0;

	if (!r)
		error = sas_fail(EFAULT, "%p lies in no region that this process has joined", address);
	else if (!policy || (!nodes && size))
		error = sas_fail(EINVAL, "SASBlockPlacement: a NULL argument");
	if (!error)
		error = sas_call_begin(r, 0, &t);
	if (error)
		return sas_err_edge(error);
	offset = (uintptr_t)address - r->base;
	if (!sas_segment_present(r, sas_segment_of(r, offset)))
		error = sas_fail(ENOENT, "%p lies in a segment that has no file yet", address);
	if (!error)
		error = sas_segment_need_range(r, offset, 1);
	if (!error && sas_numa_placement(sas_at(r, offset), &found, mask) != 0)
		memset(mask, 0, sizeof mask);   /* no NUMA here: all memory is alike */
	error = sas_call_result(t, r, error);
	if (error)
		return sas_err_edge(error);
	*policy = (sas_numa_t)found;
	if (size)
		sas_numa_text(mask, nodes, size);
	return 0;
}
