/* SPDX-License-Identifier: MIT */
/*
 * service.h - what the runtime gives to objects. The one header of it that sph/ sees. Layer 3.
 *
 * A call on an object is framed by a use: sas_use_begin() ... sas_use_end(). The frame refuses re-entry (EDEADLK), finds the object's
 * region, gives the thread its slot there, and keeps other plain calls and holders of the object's address lock apart as the
 * kind says. Inside it other uses may be nested, one in the other, for the objects that a call of an object changes as well. An object outside every region (formatted by an Init call in memory of the program's own) has no region: no lock is
 * taken, nobody is found dead, the program excludes.
 *
 *      UNLOCKED    the program excludes, or the object needs nobody kept out: the NoLock and _nolock calls
 *      UPDATE      a change that works beside other changes: compatible with UPDATE alone
 *      EXCLUSIVE   the object's address lock in mode WRITE
 *      READ        the same in mode READ; for objects whose readers lock
 *
 * A plain reader of an object that readers do not lock needs no use: sas_look_begin() ... sas_look_ok(), which store nothing.
 *
 * UPDATE (update.c): the thread announces the object in its slot (`updates`), a store to its own line, and then sees that nobody holds the
 * lock: neither has a fence where the kernel orders processes by membarrier(2). Who takes READ, INTENT or WRITE of an address on
 * which some thread has ever announced an update (a bit in SAS.run by the address's hash) waits, once the word is
 * his, until nobody else announces it. Where the lock is held, a plain call takes it for real: WRITE for UPDATE, READ for a reader.
 * The thread's own holds keep nobody out but others. It announces up to four objects at a time, further ones it locks.
 *
 * Owners. A word in an object may name the thread that changes something: sas_use.token, of which bits 62 and 63 are 0, which is never 0, and
 * which no other thread has as long as the region's files exist (its slot, the slot's life, the era of SAS.run). Whoever is kept
 * waiting by such a word asks sas_owner_lives(): a thread of an earlier run, or of before the copy, does not.
 */
#ifndef SAS_SERVICE_H
#define SAS_SERVICE_H

#include <stddef.h>
#include <stdint.h>
#include "ground/pause.h"       /* sas_pause(), which objects use as well */

struct sas_region;
struct sas_thread;

enum sas_use_kind { SAS_USE_UNLOCKED, SAS_USE_UPDATE, SAS_USE_EXCLUSIVE, SAS_USE_READ };

struct sas_use {
	struct sas_region *region;      /* NULL: outside all */
	struct sas_thread *thread;
	const void *object;
	uint64_t token;
	uintptr_t base, size;           /* the region's addresses */
	const uint8_t *mapped;          /* per segment */
	unsigned shift;
	enum sas_use_kind kind;
	int locked;                     /* the address lock was taken for real */
	unsigned announced;             /* the place of the announcement + 1; 0: none */
	int nested;
};

/*
 * 0, or -errno with a sentence: EDEADLK inside another call, or where to wait for the lock would never end; ESTALE; EROFS: all but READ in a
 * region that is joined read-only; ENOTSUP: the region is mapped elsewhere; EAGAIN (no slot); what locks say. A use that did not begin is
 * not ended. Cancellation stays as it is: who is cancelled in the middle counts as dead. What the runtime does inside a use disables it.
 */
int sas_use_begin(struct sas_use *u, const void *object, enum sas_use_kind kind);
/* A further one inside `outer`, begun by this thread and ended before it; any region. A use of an object that this thread announces already
 * does not announce it again. */
int sas_use_nested(struct sas_use *inner, const struct sas_use *outer, const void *object, enum sas_use_kind kind);
void sas_use_end(struct sas_use *u);
/* Ends it, and gives the error that the caller is told. */
int sas_use_result(struct sas_use *u, int error);

/* A plain reader: what it needs of the region, and the word of the object's lock. The thread needs no slot, and is not marked as being
 * in a call: it may be interrupted by a handler that reads as well. Who looks inside a use looks at an object that it uses, or at no lock. */
struct sas_look {
	struct sas_region *region;      /* NULL: outside all */
	uintptr_t base, size;
	const uint8_t *mapped;
	unsigned shift;
	uint64_t word;                  /* of the lock, when the look began */
	int watched;                    /* that counts */
	int used;
	struct sas_use use;             /* of who had to lock */
};
int sas_look_begin(struct sas_look *l, const void *object);
/* The same for the _nolock calls: looks at no lock. */
int sas_look_begin_unlocked(struct sas_look *l, const void *object);
/* 1: what was read counts, and the look is over; 0: somebody held the lock meanwhile: read again (it is had for real now). */
int sas_look_ok(struct sas_look *l, const void *object);

/* The segment of an address in the region is mapped: the handler is not relied on. Addresses outside are the program's. 0, -errno. */
int sas_reach(struct sas_region *r, uintptr_t address);
static inline int sas_use_reach(const struct sas_use *u, const void *address)
{
	uintptr_t offset = (uintptr_t)address - u->base;

	if (__builtin_expect(offset >= u->size || u->mapped[offset >> u->shift], 1))
		return 0;
	return sas_reach(u->region, (uintptr_t)address);
}
static inline int sas_look_reach(const struct sas_look *l, const void *address)
{
	uintptr_t offset = (uintptr_t)address - l->base;

	if (__builtin_expect(offset >= l->size || l->mapped[offset >> l->shift], 1))
		return 0;
	return sas_reach(l->region, (uintptr_t)address);
}

/* May the owner of a word still act? 0: it is dead, and will not, and of blocks that it was taking or giving both the block and the word are
 * as they were, or as they were to be. 1 outside all regions, where nobody is found dead, and for a word that is there all the same. */
int sas_owner_lives(struct sas_region *r, uint64_t token);

/*
 * Blocks that come and go together with the word in an object that names them, by its address: a death leaves both or neither. The
 * word, 8-aligned and in the region, is 0 before a block is taken, and after it was given; other threads may read it meanwhile. Of the block the
 * first 4 KiB are zero. Taking: -ENOSPC, -ENOMEM (no range of addresses), -EINVAL; giving: -ENOENT, -EINVAL: no such block in use.
 */
int sas_use_take_block(struct sas_use *u, size_t size, uint64_t *where);
int sas_use_give_block(struct sas_use *u, size_t size, uint64_t *where);

/* The reason of a failure, as err.h does it for the runtime: -error. */
int sas_service_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* At the public edge: errno from an error of the library. -1. */
int sas_service_errno(int error);

#endif
