/* SPDX-License-Identifier: MIT */
/* check_simple.c - checks of simple heaps, spaces and stacks: simple_heap.c, space.c, stack.c say what they are. Layer 5. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sph/heap/object.h"

/* The word behind the header. */
static int read_word(struct sph_check *c, struct sph_object *o, const struct sph_place *p, uint64_t *word)
{
	return sph_check_read(c, o, p->address + sizeof p->header, word, sizeof *word);
}

static int keep_range(struct sph_ranges *r, uint64_t start, uint64_t end)
{
	/* Grows where the count is a power of two, or 0. */
	if (r && (r->count & (r->count - 1)) == 0) {
		void *at = realloc(r->at, (r->count ? 2 * r->count : 1) * sizeof *r->at);

		if (!at)
			return sas_service_fail(ENOMEM, "no memory of this process to check a heap with");
		r->at = at;
	}
	if (r) {
		r->at[r->count].start = start;
		r->at[r->count++].end = end;
	}
	return 0;
}

/* The ranges ascend inside the heap, so there is an end to them. */
int sph_check_ranges(struct sph_check *c, struct sph_object *o, const struct sph_place *p, struct sph_ranges *ranges)
{
	uint64_t low = p->address + heap_offset, high = p->address + p->header.blockSize;
	uint64_t at = (uint64_t)p->header.blockFreeSpace;
	FreeNode node;
	int error;

	if (p->header.blockSize < heap_offset + SPH_GRANULE) {
		sph_check_tell(c, o, p->address, "a heap of %zu bytes has no room for anything", p->header.blockSize);
		return 1;
	}
	for (; at != 0; at = (uint64_t)node.nextNode) {
		if (at % sizeof(void *) != 0 || at < low || at > high - sizeof node) {
			sph_check_tell(c, o, p->address, "its free ranges lead to %#lx: the next one is in %#lx-%#lx", at, low, high);
			return 1;
		}
		error = sph_check_read(c, o, at, &node, sizeof node);
		if (error)
			return error;
		if (node.nodeSize < sizeof node || node.nodeSize > high - at) {
			sph_check_tell(c, o, at, "a free range of %lu bytes, in a heap that ends at %#lx", node.nodeSize, high);
			return 1;
		}
		low = at + node.nodeSize;
		error = keep_range(ranges, at, low);
		if (error)
			return error;
	}
	return 0;
}

int sph_check_heap(struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	int error = sph_check_ranges(c, o, p, NULL);

	return error < 0 ? error : 0;
}

int sph_check_space(struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	uint64_t used;
	int error = read_word(c, o, p, &used);

	if (!error && (p->header.blockSize <= SPH_OBJECT_PAGE || used == 0 || used > p->header.blockSize - SPH_OBJECT_PAGE))
		sph_check_tell(c, o, p->address, "a space of %lu bytes behind the %u of its header, in %zu", used, SPH_OBJECT_PAGE,
			       p->header.blockSize);
	return error < 0 ? error : 0;
}

int sph_check_stack(struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	uint64_t top;
	int error = read_word(c, o, p, &top);

	if (!error && (top < SPH_OBJECT_PAGE || top > p->header.blockSize || top % SPH_GRANULE != 0))
		sph_check_tell(c, o, p->address, "a stack of %zu bytes is filled up to %#lx", p->header.blockSize, top);
	return error < 0 ? error : 0;
}
