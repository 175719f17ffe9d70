/* SPDX-License-Identifier: MIT */
/*
 * look.c - plain readers: what they need of a region, and whether somebody held the lock meanwhile. Layer 3.
 *
 * The lock's word is read before and after. A word does not come back (lock_table.h), so if it is the same, nobody took WRITE between the two; if it
 * is another one, somebody may have: then the reader takes READ for real, which happens to few.
 */
#include <config.h>

#include <errno.h>
#include "ground/err.h"
#include "lock/lock_newest.h"
#include "lock/update.h"
#include "region/runtime.h"
#include "service.h"

static inline int own_slot(const struct sas_region *r)
{
	return sas_self ? sas_thread_slot(sas_self, r) : -1;
}

static int begin(struct sas_look *l, const void *object)
{
	struct sas_region *r = sas_region_of((uintptr_t)object);

	/* Not the use, which is rare and large. */
	l->region = r;
	l->base = l->size = 0;
	l->mapped = NULL;
	l->shift = 0;
	l->word = 0;
	l->watched = l->used = 0;
	if (!LIKELY(r != NULL))
		return 0;
	if (r->memory != r->base)
		return sas_fail(ENOTSUP, "%s: is mapped elsewhere than at its addresses, where objects cannot be used: %p", r->path, object);
	l->base = r->base;
	l->size = r->end - r->base;
	l->mapped = r->mapped;
	l->shift = r->segment_shift;
	return LIKELY(sas_region_is_alive(r)) ? 0 : sas_region_alive(r);
}

int sas_look_begin_unlocked(struct sas_look *l, const void *object)
{
	return begin(l, object);
}

static int lock(struct sas_look *l, const void *object)
{
	int error = sas_use_begin(&l->use, object, SAS_USE_READ);

	l->used = !error;
	return error;
}

/* Whoever holds WRITE waits for us first, if we announce an update of it. */
static int is_shut(const struct sas_region *r, uint64_t word, const void *object)
{
	const struct sas_run_thread *slot;

	if (LIKELY(!sas_update_is_shut(word, -1)) || !sas_update_is_shut(word, own_slot(r)))
		return 0;
	slot = sas_own_slot(r);
	return !slot || !sas_update_is_announced(slot, (uintptr_t)object);
}

int sas_look_begin(struct sas_look *l, const void *object)
{
	int error = begin(l, object);

	if (error || !l->region || !l->region->run)
		return error;
	l->watched = 1;
	l->word = sas_update_look(l->region->run, (uintptr_t)object);
	return LIKELY(!is_shut(l->region, l->word, object)) ? 0 : lock(l, object);
}

int sas_look_ok(struct sas_look *l, const void *object)
{
	uint64_t before = l->word;

	if (!LIKELY(!l->used)) {
		sas_use_end(&l->use);
		l->used = 0;
		return 1;
	}
	if (!l->watched)
		return 1;
	sas_fence_reads();
	l->word = sas_update_look(l->region->run, (uintptr_t)object);
	if (LIKELY(l->word == before) && !is_shut(l->region, l->word, object))
		return 1;
	/* Who cannot have the lock reads on without it, until nobody comes between. */
	return lock(l, object) == -ESTALE;
}
