/* SPDX-License-Identifier: MIT */
/*
 * freenode.c - address-ordered first-fit lists of free ranges. Layer 5.
 *
 * Invariants, checked by each walk as far as it goes, before a node is followed:
 *   F1  addresses ascend, and a range ends at or below the one that follows;
 *   F2  no range is smaller than its node, and none wraps around or leaves the bounds of its list.
 * So a walk ends, whatever the nodes hold.
 *
 * Locks: none taken; the caller excludes other users of the list.
 * Crash: a range is taken, or given back, by one store, after all that the new list has and the old one has not was
 * written into memory that is in no list yet:
 *   a range loses its front         the link to it (8 bytes)
 *   a range appears, or grows down  the link to it (8 bytes)
 *   a range grows up                its node, both words at once (16 bytes): the range above may go in the same moment
 * So the list is whole after each instruction, and has the range or has it not.
 * Multi-host: the lock of the object that the list belongs to. Fork, signals: nothing to do; not async-signal-safe.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>

#include "free_list.h"

/* The neighbours of an address in a list. */
struct place {
	FreeNode **link;                /* what points to `above` */
	FreeNode *below, *above;        /* NULL: none */
};

static const struct sas_use no_use;

static struct sph_free_list unbounded(FreeNode **head)
{
	return (struct sph_free_list){ head, 0, UINTPTR_MAX, &no_use };
}

static uintptr_t address_of(const FreeNode *node)
{
	return (uintptr_t)node;
}

static uintptr_t end_of(const FreeNode *node)
{
	return address_of(node) + node->nodeSize;
}

/* What can be given out of a range. */
static node_size_t usable(const FreeNode *node)
{
	return node->nodeSize & ~(node_size_t)nodeRound;
}

static int is_sound(const struct sph_free_list *list, const FreeNode *node)
{
	return node->nodeSize >= sizeof *node && node->nodeSize <= list->high - address_of(node) &&
	       (node->nextNode == NULL || (address_of(node->nextNode) >= end_of(node) &&
					   address_of(node->nextNode) <= list->high - sizeof *node));
}

static int check_node(const struct sph_free_list *list, const FreeNode *node)
{
	int error;

	if (address_of(node) % sizeof(void *) != 0 || address_of(node) < list->low || list->high < sizeof *node ||
	    address_of(node) > list->high - sizeof *node)
		return sas_service_fail(EUCLEAN, "a free list leads to %p, outside of %#lx-%#lx: it was written into",
					(const void *)node, list->low, list->high);
	error = sas_use_reach(list->use, node);
	if (error == 0 && !is_sound(list, node))
		error = sas_service_fail(EUCLEAN, "the free range at %p, %lu bytes, next %p, breaks its list: "
					 "it was written into", (const void *)node, node->nodeSize,
					 (void *)node->nextNode);
	return error;
}

/* The store that publishes: after it the list is the new one, before it the old one. */
static void publish_link(FreeNode **link, FreeNode *node)
{
	__atomic_store_n(link, node, __ATOMIC_RELEASE);
}

/*
 * The same for both words of a node. A store of a vector of 16 bytes is one instruction (x86_64: movaps or movups; aarch64: str of
 * a q register), and a thread dies between two instructions, never in one: as the node lies in mapped memory nothing faults in the middle.
 * volatile: the compiler neither tears nor repeats it. Other processors may see two halves, but they wait for the lock.
 */
static void publish_node(FreeNode *node, FreeNode *next, node_size_t size)
{
	typedef unsigned long long both_words __attribute__((vector_size(16), aligned(8), may_alias));

	__atomic_signal_fence(__ATOMIC_RELEASE);
	*(volatile both_words *)node = (both_words){ address_of(next), size };
}

/* The link to the lowest range that has `size` bytes. */
static int find_fit(const struct sph_free_list *list, node_size_t size, FreeNode ***fit)
{
	for (FreeNode **link = list->head; *link != NULL; link = &(*link)->nextNode) {
		int error = check_node(list, *link);

		if (error != 0)
			return error;
		if (usable(*link) >= size) {
			*fit = link;
			return 0;
		}
	}
	return sas_service_fail(ENOSPC, "no free range of %lu bytes in the list", size);
}

static int take_front(const struct sph_free_list *list, FreeNode **link, node_size_t size)
{
	FreeNode *node = *link, *rest;
	int error;

	if (usable(node) == size) {
		publish_link(link, node->nextNode);
		return 0;
	}
	rest = (FreeNode *)((char *)node + size);
	error = sas_use_reach(list->use, rest);
	if (error != 0)
		return error;
	rest->nextNode = node->nextNode;
	rest->nodeSize = node->nodeSize - size;
	publish_link(link, rest);
	return 0;
}

/* *size: rounded up. */
static int find_range(const struct sph_free_list *list, node_size_t *size, FreeNode ***fit)
{
	if (*size == 0)
		return sas_service_fail(EINVAL, "a range of 0 bytes");
	*size = sph_free_round(*size);
	if (*size == 0)
		return sas_service_fail(ENOSPC, "no free range of that size in the list");
	return find_fit(list, *size, fit);
}

int sph_free_find(const struct sph_free_list *list, node_size_t size, void **range)
{
	FreeNode **fit = NULL;
	int error = find_range(list, &size, &fit);

	if (error == 0)
		*range = *fit;
	return error;
}

int sph_free_take(const struct sph_free_list *list, node_size_t size, void **range)
{
	FreeNode **fit = NULL;
	int error = find_range(list, &size, &fit);

	if (error != 0)
		return error;
	*range = *fit;
	return take_front(list, fit, size);
}

static int find_place(const struct sph_free_list *list, uintptr_t address, struct place *place)
{
	place->below = NULL;
	for (place->link = list->head; *place->link != NULL; place->link = &place->below->nextNode) {
		int error = check_node(list, *place->link);

		if (error != 0)
			return error;
		if (address_of(*place->link) > address)
			break;
		place->below = *place->link;
	}
	place->above = *place->link;
	return 0;
}

static int check_range(const struct sph_free_list *list, const FreeNode *node, node_size_t size)
{
	if (node == NULL || address_of(node) % sizeof(void *) != 0)
		return sas_service_fail(EINVAL, "no range begins at %p", (const void *)node);
	if (sph_free_round(size) == 0 || address_of(node) < list->low || address_of(node) >= list->high ||
	    sph_free_round(size) > list->high - address_of(node))
		return sas_service_fail(EINVAL, "no range at %p has %lu bytes", (const void *)node, size);
	return sas_use_reach(list->use, node);
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

/* Does the free range above begin where this one ends? Then they are one. */
static void join_above(uintptr_t end, FreeNode **above, node_size_t *size)
{
	if (*above != NULL && address_of(*above) == end) {
		*size += (*above)->nodeSize;
		*above = (*above)->nextNode;
	}
}

static void link_range(FreeNode *node, node_size_t size, const struct place *place)
{
	FreeNode *above = place->above;

	join_above(address_of(node) + size, &above, &size);
	node->nextNode = above;
	node->nodeSize = size;
	publish_link(place->link, node);
}

/* The range begins where the one below it ends. */
static void grow_below(FreeNode *below, node_size_t size, FreeNode *above)
{
	size += below->nodeSize;
	join_above(address_of(below) + size, &above, &size);
	publish_node(below, above, size);
}

int sph_free_give(const struct sph_free_list *list, void *range, node_size_t size)
{
	struct place place = {0};
	FreeNode *node = range;
	int error = check_range(list, node, size);

	if (error == 0)
		error = find_place(list, address_of(node), &place);
	if (error != 0)
		return error;
	size = sph_free_round(size);
	error = check_overlap(node, size, &place);
	if (error != 0)
		return error;
	if (place.below != NULL && end_of(place.below) == address_of(node))
		grow_below(place.below, size, place.above);
	else
		link_range(node, size, &place);
	return 0;
}

int sph_free_has(const struct sph_free_list *list, const void *byte)
{
	struct place place = {0};
	int error = find_place(list, (uintptr_t)byte, &place);

	return error != 0 ? error : place.below != NULL && end_of(place.below) > (uintptr_t)byte;
}

int sph_free_total(const struct sph_free_list *list, struct sph_free_totals *totals)
{
	*totals = (struct sph_free_totals){0, 0, 0};
	for (const FreeNode *node = *list->head; node != NULL; node = node->nextNode) {
		int error = check_node(list, node);

		if (error != 0)
			return error;
		totals->bytes += node->nodeSize;
		totals->count++;
		if (node->nodeSize > totals->largest)
			totals->largest = node->nodeSize;
	}
	return 0;
}

/* --- the public calls */

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

FreeNode *freeNode_allocSpace(FreeNode *freeNode, FreeNode **head, node_size_t size)
{
	struct sph_free_list list = unbounded(head);
	void *range = NULL;
	int error;

	(void)freeNode;
	error = head == NULL ? sas_service_fail(EINVAL, "no list to take space from") :
		sph_free_take(&list, size, &range);
	if (error != 0) {
		sas_service_errno(error);
		return NULL;
	}
	return range;
}

void freeNode_deallocSpace(FreeNode *freeNode, FreeNode **head, node_size_t size)
{
	struct sph_free_list list = unbounded(head);
	int error = head == NULL ? sas_service_fail(EINVAL, "no list to give space to") :
		    sph_free_give(&list, freeNode, size);

	if (error != 0)
		sas_service_errno(error);
}

/* All zero, with errno set, where the list is broken. */
static struct sph_free_totals add_up(const FreeNode *node)
{
	FreeNode *head = (FreeNode *)(uintptr_t)node;
	struct sph_free_list list = unbounded(&head);
	struct sph_free_totals totals;
	int error = sph_free_total(&list, &totals);

	if (error == 0)
		return totals;
	sas_service_errno(error);
	return (struct sph_free_totals){0, 0, 0};
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
