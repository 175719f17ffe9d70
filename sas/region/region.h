/* SPDX-License-Identifier: MIT */
/*
 * region.h - a region and a thread as this process sees them: data alone. Layer 2.
 *
 * What the mechanisms work on. Who changes which field, and the calls that make, join and leave
 * a region, are in runtime.h.
 */
#ifndef SAS_REGION_H
#define SAS_REGION_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>
#include "ground/atomic.h"
#include "media/layout.h"
#include "run/run.h"
#include "block/tiles.h"

#define SAS_REGIONS_MAX 64
#define SAS_ANCHOR_NAME "SAS00000.DAT"
#define SAS_TEMPORARY_PREFIX "SAS.tmp."

struct sas_region {
	unsigned number;                /* in sas_regions[] */
	uint64_t serial;                /* tells two lives of a number apart */
	uint32_t count;                 /* joins of this process */
	unsigned flags;                 /* SAS_JOIN_... */
	struct sas_m_anchor anchor;     /* the validated copy: geometry comes from here alone */
	uintptr_t memory;               /* where the region's first byte is mapped */
	uintptr_t base, end;            /* its addresses, as pointers in it name them */
	uint64_t segment_size, segments;
	unsigned segment_shift;
	uint64_t index_fixed, index_stride;     /* index.c: sizes of its parts in SAS.run */
	int reserved;                   /* the whole range is reserved, not only its segments */
	const struct sas_m_anchor *live;        /* the anchor page itself: only to see that it is still ours */
	struct sas_m_state *state;
	struct sas_m_segment *table;
	struct sas_run *run;            /* NULL: read-only, and SAS.run could not be mapped */
	uint8_t *mapped;                /* per segment: 1 mapped in this process */
	sas_u32_t epoch_fences;         /* SAS_FENCES_...: of this process's readers, epoch.h */
	sas_u32_t epoch_refused;        /* the kernel refused to order other processes' readers */
	sas_u64_t epoch_looked;         /* for deaths that are not marked: CLOCK_MONOTONIC, ns */
	sas_u32_t maps;                 /* counts mappings made: tells a repeated fault from a race */
	sas_u64_t faults, bus_errors;
	sas_u64_t bus_address;
	sas_u32_t fault_errno;          /* why the last fault could not be mended */
	uint64_t token;                 /* of this process's slot */
	uint32_t process;               /* slot + 1; 0: not registered (a fork's child) */
	uint32_t generation;            /* of this process in this region */
	uint64_t ticket, ticket_end;    /* the next one for a thread of this process, and the first that is not its own; table_lock */
	uint32_t next_generation;       /* of the anchor that a reset makes */
	uint8_t created[16];            /* UUID of the region that the join that is going on has made */
	int dir;                        /* descriptor of the directory, checked before use */
	sas_u32_t spare;                /* descriptor + 1, given up when descriptors run out in the fault handler */
	uint32_t file_system;           /* SAS_FS_... of place.h */
	sas_u32_t huge_errno;           /* why space was last not taken in huge pages; 0: it was */
	dev_t dir_dev;
	ino_t dir_ino;
	uid_t uid;
	gid_t gid;
	char path[PATH_MAX];
};

/*
 * The regions of this process. The fault handler and sas_region_of() read the slots without a lock: the ranges lie
 * here and not in the region, which another thread may be leaving. A slot's region is stored last, and withdrawn first.
 */
struct sas_region_slot {
	sas_ptr_t region;
	sas_u64_t base, size;           /* addresses, as pointers in the region name them */
	sas_u64_t memory;               /* where they are mapped */
	sas_u32_t handlers;             /* fault handlers that use the region */
};
extern struct sas_region_slot sas_regions[SAS_REGIONS_MAX];
extern sas_u32_t sas_regions_top;       /* those at and after it were never used */

struct sas_locks;
struct sas_lease;
struct sas_limbo;
struct sas_membership {
	uint64_t serial;
	uint32_t slot;
	uint32_t nesting;               /* critical sections that it is in: epoch.h */
	struct sas_run *run;            /* NULL: none */
	struct sas_run_thread *place;   /* the slot itself */
	struct sas_locks *locks;        /* NULL: it has taken none here */
	struct sas_lease *lease;        /* free blocks in hand; NULL: none yet */
	struct sas_limbo *limbo;        /* what it has deferred: epoch_defer.h */
	uint64_t token;                 /* owner.c */
};

_Static_assert(sizeof(struct sas_membership) == 64, "indexed by a shift");

struct sas_thread {
	int cancel;                     /* the state that the call found */
	struct sas_run *seized;         /* SASSeize(): this thread holds the block lock in it across calls */
	unsigned seizes;
	int reclaiming;                 /* inside deferred calls */
	struct sas_membership member[SAS_REGIONS_MAX];
};

/* A region in which the calling thread has its place, as long as the stamp is sas_stamp(). */
struct sas_note {
	const struct sas_region *region;
	struct sas_membership *member;
	const sas_u64_t *epoch;         /* the region's, where the thread enters critical sections without a fence; else NULL */
	uint32_t stamp;
};

/* What calls of some nanoseconds read first. */
#define SAS_NOTES 4
struct sas_here {
	int depth;                      /* the thread is inside a library call */
	struct sas_note notes[SAS_NOTES];
};
extern __thread struct sas_here sas_here __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* The calling thread's record, NULL before its first call. Static TLS, so that the fault handler may look. */
extern __thread struct sas_thread *sas_self __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* --- tokens of threads, for words in objects: ticket << 14 | slot, a ticket for each life of a slot that may write */
#define SAS_TICKETS 4096U               /* that a process draws at a time */
#define SAS_TICKET_MASK ((1ULL << 47) - 1)
#define SAS_TOKEN_SLOT 0x3fffU
#define SAS_TOKEN_PLAIN (1ULL << 61)    /* without a ticket: outside all regions, or of who only reads */
static inline uint64_t sas_token(uint64_t ticket, uint32_t slot) { return ticket << 14 | slot; }
_Static_assert(SAS_RUN_THREADS == SAS_TOKEN_SLOT + 1, "a token has room for each slot");

/* --- small things */
/* The calling thread's slot in r, or NULL. Async-signal-safe. */
static inline struct sas_run_thread *sas_own_slot(const struct sas_region *r)
{
	const struct sas_membership *m = sas_self ? &sas_self->member[r->number] : 0;

	return m && m->run && m->serial == r->serial ? &m->run->threads[m->slot] : 0;
}
static inline void *sas_at(const struct sas_region *r, uint64_t offset)
{
	return (void *)(r->memory + offset);
}
/* The joined region whose addresses hold `address`; one that lies there before one that is mapped elsewhere. NULL.
 * Async-signal-safe. */
static inline struct sas_region *sas_region_of(uintptr_t address)
{
	struct sas_region *relocated = 0;

	for (unsigned i = 0, top = sas_load_acquire_u32(&sas_regions_top); i < top; i++) {
		const struct sas_region_slot *slot = &sas_regions[i];
		struct sas_region *r = sas_load_acquire_ptr(&slot->region);
		uint64_t base = sas_load_relaxed_u64(&slot->base);

		if (!r || address - base >= sas_load_relaxed_u64(&slot->size))
			continue;
		if (sas_load_relaxed_u64(&slot->memory) == base)
			return r;
		relocated = r;
	}
	return relocated;
}
static inline uint64_t sas_segment_of(const struct sas_region *r, uint64_t offset)
{
	return offset >> r->segment_shift;
}

#endif
