/* SPDX-License-Identifier: MIT */
/*
 * freenode.c - address-ordered first-fit lists of free ranges. Layer 5.
 *
 * Invariants, checked by each walk as far as it goes:
 *   F1  addresses ascend, and a range ends at or below the one that follows;
 *   F2  no range is smaller than its node, and none wraps around.
 * So a walk ends, whatever the nodes hold.
 *
 * Locks: none taken; the caller excludes other users of the list.
 * Crash: a range is taken, or given back, by one publishing store after its node is complete, so
 * that the list is whole at each moment. Where a free range joins the one above it, that one is
 * out of the list from one store to the next: a death between the two loses it, and no more.
 * Fork, signals: nothing to do; not async-signal-safe.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>

#include "sas/service.h"
#include "freenode.h"

/* The neighbours of an address in a list. */
struct place {
	FreeNode **link;                /* what points to `above` */
	FreeNode *below, *above;        /* NULL: none */
};

static uintptr_t address_of(const FreeNode *node)
{
	return (uintptr_t)node;
}

static uintptr_t end_of(const FreeNode *node)
{
	return address_of(node) + node->nodeSize;
}

/* The size in whole nodes; 0 where there is no such size. */
static node_size_t round_up(node_size_t size)
{
	return (size + nodeRound) & ~(node_size_t)nodeRound;
}

/* What can be given out of a range. */
static node_size_t usable(const FreeNode *node)
{
	return node->nodeSize & ~(node_size_t)nodeRound;
}

static int is_sound(const FreeNode *node)
{
	return node->nodeSize >= sizeof *node && end_of(node) > address_of(node) &&
	       (node->nextNode == NULL || address_of(node->nextNode) >= end_of(node));
}

static int report_broken(const FreeNode *node)
{
	return sas_service_fail(EUCLEAN,
			"the free range at %p, %lu bytes, next %p, breaks its list: it was written into",
			(const void *)node, node->nodeSize, (void *)node->nextNode);
}

/* The store that publishes: after it the list is the new one, before it the old one. */
static void publish_link(FreeNode **link, FreeNode *node)
{
	__atomic_store_n(link, node, __ATOMIC_RELEASE);
}

static void publish_size(FreeNode *node, node_size_t size)
{
	__atomic_store_n(&node->nodeSize, size, __ATOMIC_RELEASE);
}

void freeNode_init(FreeNode *freeNode, node_size_t size)
{
	if (freeNode == NULL || size < sizeof *freeNode || address_of(freeNode) % sizeof(void *) != 0) {
		sas_service_errno(sas_service_fail(EINVAL, "%lu bytes at %p cannot be a free range", size,
				      (void *)freeNode));
		return;
	}
	freeNode->nextNode = NULL;
	freeNode->nodeSize = size;
}

/* The link to the lowest range that has `size` bytes. */
static int find_fit(FreeNode **head, node_size_t size, FreeNode ***fit)
{
	for (FreeNode **link = head; *link != NULL; link = &(*link)->nextNode) {
		if (!is_sound(*link))
			return report_broken(*link);
		if (usable(*link) >= size) {
			*fit = link;
			return 0;
		}
	}
	return sas_service_fail(ENOSPC, "no free range of %lu bytes in the list", size);
}

static FreeNode *take_front(FreeNode **link, node_size_t size)
{
	FreeNode *node = *link, *rest;

	if (usable(node) == size) {
		publish_link(link, node->nextNode);
		return node;
	}
	rest = (FreeNode *)((char *)node + size);
	rest->nextNode = node->nextNode;
	rest->nodeSize = node->nodeSize - size;
	publish_link(link, rest);
	return node;
}

FreeNode *freeNode_allocSpace(FreeNode *freeNode, FreeNode **head, node_size_t size)
{
	FreeNode **fit = head;
	int error;

	(void)freeNode;
	if (head == NULL || size == 0)
		error = sas_service_fail(EINVAL, head == NULL ? "no list to take space from" : "a range of 0 bytes");
	else if (round_up(size) == 0)
		error = sas_service_fail(ENOSPC, "no free range of %lu bytes in the list", size);
	else
		error = find_fit(head, round_up(size), &fit);
	if (error != 0) {
		sas_service_errno(error);
		return NULL;
	}
	return take_front(fit, round_up(size));
}

static int find_place(FreeNode **head, uintptr_t address, struct place *place)
{
	place->below = NULL;
	for (place->link = head; *place->link != NULL; place->link = &place->below->nextNode) {
		if (!is_sound(*place->link))
			return report_broken(*place->link);
		if (address_of(*place->link) > address)
			break;
		place->below = *place->link;
	}
	place->above = *place->link;
	return 0;
}

static int check_range(const FreeNode *node, FreeNode *const *head, node_size_t size)
{
	if (head == NULL)
		return sas_service_fail(EINVAL, "no list to give space to");
	if (node == NULL || address_of(node) % sizeof(void *) != 0)
		return sas_service_fail(EINVAL, "no range begins at %p", (const void *)node);
	if (round_up(size) == 0 || round_up(size) > UINTPTR_MAX - address_of(node))
		return sas_service_fail(EINVAL, "no range at %p has %lu bytes", (const void *)node, size);
	return 0;
}

static int check_overlap(const FreeNode *node, node_size_t size, const struct place *place)
{
	const FreeNode *other = NULL;

	if (place->below != NULL && end_of(place->below) > address_of(node))
		other = place->below;
	else if (place->above != NULL && address_of(place->above) < address_of(node) + size)
		other = place->above;
	if (other == NULL)
		return 0;
	return sas_service_fail(EINVAL, "%lu bytes at %p: the free range at %p, %lu bytes, has some of them already",
			size, (const void *)node, (const void *)other, other->nodeSize);
}

static void link_range(FreeNode *node, node_size_t size, const struct place *place)
{
	FreeNode *above = place->above;

	if (above != NULL && address_of(above) == address_of(node) + size) {
		node->nextNode = above->nextNode;
		node->nodeSize = size + above->nodeSize;
	} else {
		node->nextNode = above;
		node->nodeSize = size;
	}
	publish_link(place->link, node);
}

/* The range begins where the one below it ends. */
static void grow_below(FreeNode *below, node_size_t size, FreeNode *above)
{
	publish_size(below, below->nodeSize + size);
	if (above == NULL || address_of(above) != end_of(below))
		return;
	size = above->nodeSize;
	publish_link(&below->nextNode, above->nextNode);
	publish_size(below, below->nodeSize + size);
}

static int give_range(FreeNode *node, FreeNode **head, node_size_t size)
{
	struct place place = {0};
	int error = check_range(node, head, size);

	if (error == 0)
		error = find_place(head, address_of(node), &place);
	if (error != 0)
		return error;
	size = round_up(size);
	error = check_overlap(node, size, &place);
	if (error != 0)
		return error;
	if (place.below != NULL && end_of(place.below) == address_of(node))
		grow_below(place.below, size, place.above);
	else
		link_range(node, size, &place);
	return 0;
}

void freeNode_deallocSpace(FreeNode *freeNode, FreeNode **head, node_size_t size)
{
	sas_service_errno(give_range(freeNode, head, size));
}

struct totals {
	node_size_t bytes, count, largest;
};

/* All zero, with errno set, where the list is broken. */
static struct totals add_up(const FreeNode *node)
{
	struct totals totals = {0, 0, 0};

	for (; node != NULL; node = node->nextNode) {
		if (!is_sound(node)) {
			sas_service_errno(report_broken(node));
			return (struct totals){0, 0, 0};
		}
		totals.bytes += node->nodeSize;
		totals.count++;
		if (node->nodeSize > totals.largest)
			totals.largest = node->nodeSize;
	}
	return totals;
}

node_size_t freeNode_freeSpaceTotal(const FreeNode *freeNode)
{
	return add_up(freeNode).bytes;
}

node_size_t freeNode_freeFragmentsTotal(const FreeNode *freeNode)
{
	return add_up(freeNode).count;
}

node_size_t freeNode_maxFragment(const FreeNode *freeNode)
{
	return add_up(freeNode).largest;
}
