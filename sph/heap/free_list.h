/* SPDX-License-Identifier: MIT */
/*
 * free_list.h - lists of free ranges, inside bounds. The calls of freenode.h are the same without any.
 *
 * What leaves the bounds breaks the list; it is neither read nor written. 0, or -errno with a sentence: EINVAL, ENOSPC, EUCLEAN.
 */
#ifndef SPH_FREE_LIST_H
#define SPH_FREE_LIST_H

#include <stddef.h>
#include <stdint.h>
#include "freenode.h"
#include "sas/service.h"

struct sph_free_list {
	FreeNode **head;
	uintptr_t low, high;            /* the ranges lie in [low, high) */
	const struct sas_use *use;      /* what is about to be touched is mapped */
};

struct sph_free_totals {
	node_size_t bytes, count, largest;
};

/* Sizes are rounded up to nodeAlign. -ENOSPC: no range is large enough. */
int sph_free_take(const struct sph_free_list *list, node_size_t size, void **range);
/* What sph_free_take() would give. */
int sph_free_find(const struct sph_free_list *list, node_size_t size, void **range);
/* -EINVAL: some of it is free already, or outside the bounds. */
int sph_free_give(const struct sph_free_list *list, void *range, node_size_t size);
/* 1: this byte lies in a free range; 0. */
int sph_free_has(const struct sph_free_list *list, const void *byte);
int sph_free_total(const struct sph_free_list *list, struct sph_free_totals *totals);

/* 0: there is no such size. */
static inline node_size_t sph_free_round(node_size_t size)
{
	return (size + nodeRound) & ~(node_size_t)nodeRound;
}

#endif
