/* SPDX-License-Identifier: MIT */
/*
 * link.c - an updater's locks, and the edges of a version in the reverse lists of the packages that it
 * names.
 *
 * A reverse list is guarded by the lock that is the address of its head. It is a leaf: one at a time, and
 * under it nothing else is taken. Linking and unlinking an edge is one store each: a list whose updater
 * was killed with its lock held is whole, and may have the edge or not (G3). All blocks whose edges are in
 * a list are in use, as they are given back after they are out of all lists: so who holds its lock may
 * walk it without a section.
 *
 * The board says what is surely held: from when the call that takes it has returned to before the call that
 * gives it back.
 */
#include "board.h"
#include "packages.h"

void lock_take(struct updater *me, void *address, sas_userlock_request_t mode)
{
	uint64_t start = now();

	atomic_store_explicit(&me->waits_since, start, memory_order_relaxed);
	board_enter(me, CALL_LOCK);
	SASLock(address, mode);
	board_leave(me);
	keep_longest(&me->longest_wait, start);
	atomic_store_explicit(&me->waits_since, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&me->holding, 1, memory_order_release);
}

void lock_give(struct updater *me, void *address)
{
	atomic_fetch_sub_explicit(&me->holding, 1, memory_order_release);
	board_enter(me, CALL_UNLOCK);
	SASUnlock(address);
	board_leave(me);
}

static void edges_of(struct version *version, struct updater *me, void (*visit)(struct edge *edge))
{
	for (uint64_t d = 0; d < version->dependency_count; d++)
		for (uint64_t e = 0; e < version->dependencies[d].edge_count; e++) {
			struct edge *edge = &version->dependencies[d].edges[e];

			lock_take(me, &edge->to->reverse, SasUserLock__WRITE);
			visit(edge);
			lock_give(me, &edge->to->reverse);
		}
}

void version_link(struct version *version, struct updater *me)
{
	edges_of(version, me, edge_link);
}

/* Edges that are in no list are left alone: it can be repeated after a death. */
void version_unlink(struct version *version, struct updater *me)
{
	edges_of(version, me, edge_unlink);
}
