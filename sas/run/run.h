/* SPDX-License-Identifier: MIT */
/*
 * run.h - SAS.run: the run-time state that the participants of one host share. Layer 2.
 *
 * Nothing in it is needed in a copy of the region, and nothing survives a reboot: it is formatted
 * anew when its boot, region or layout is not ours and nobody lives in it. It may therefore hold
 * the C library's process-shared mutexes; `layout` tells which library and compiler made them.
 *
 * The file is mapped at its largest size; file space is taken as it grows, so that no store
 * meets a hole: slots, pages and lock lines in steps, the index of a segment when it is first built.
 *
 * Locks (see runtime.h for the order): table_lock covers the slots' allocation, the top counts, and
 * the transitions of `clean` in the anchor. block_lock covers the maps and everything in the index area. grow_lock
 * covers the file space of pages and lock lines, and the chaining of lines. sync_lock keeps the kernel's news of a failed sync
 * with the one who notes it in `poisoned`.
 * Crash: the locks are robust. The slots are changed so that each single store leaves them whole;
 * the index is covered by the REINDEX intent of the thread that changes it; line_link tells whether a line has been chained.
 */
#ifndef SAS_RUN_H
#define SAS_RUN_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>
#include "ground/atomic.h"

#define SAS_RUN_NAME "SAS.run"
#define SAS_RUN_MAGIC 0x31304E5552534153ULL     /* "SASRUN01" */
#define SAS_RUN_PROCESSES 4096U
#define SAS_RUN_THREADS 16384U
#define SAS_RUN_STEP 64U                /* slots that the file grows by */

struct sas_run_header {
	uint64_t magic;                 /* written last */
	uint64_t layout;
	uint8_t boot_id[16];
	uint8_t uuid[16];
	uint32_t generation;            /* the anchor's */
	uint32_t reserved;
	uint64_t device, inode;         /* of this very file: a copy of it is formatted anew */
	pthread_mutex_t table_lock __attribute__((aligned(64)));
	sas_u32_t process_top, thread_top;      /* slots below have file space and made mutexes */
	sas_u32_t recoveries;
	sas_u32_t index_epoch;          /* an index of another epoch is stale */
	sas_u32_t poisoned;             /* a sync failed: nothing is durable until all have left */
	sas_u64_t directory_time;       /* st_mtime of the directory, ns, when all files were last seen in place */
	sas_u32_t page_top;             /* pages below have file space */
	sas_u32_t line_space, line_top; /* lock lines that have file space, and that are in chains */
	sas_u32_t line_link;            /* the line + 1 that the line at line_top is being chained to */
	sas_u32_t line_era;             /* lock_table.h: drawn by who comes when nobody lives */
	sas_u64_t lock_looked;          /* CLOCK_MONOTONIC, ns: when a waiter last looked for the dead */
	/* epoch.h */
	sas_u64_t epoch __attribute__((aligned(64)));   /* even; each look for readers begins the next one */
	sas_u64_t epoch_safe;           /* what was deferred in an epoch below can be seen by nobody any more */
	sas_u64_t epoch_limit_bytes, epoch_limit_count; /* of what is held back; 0: the default */
	sas_u32_t epoch_light;          /* 1: a process with light fences has come */
	sas_u32_t epoch_begun;          /* 1: since it was formatted a first writer has freed what was retired before */
	sas_u32_t epoch_orphans;        /* 1: a thread died: it may have left pages of deferred frees */
	pthread_mutex_t grow_lock __attribute__((aligned(64)));
	pthread_mutex_t sync_lock __attribute__((aligned(64)));         /* persist.h */
	pthread_mutex_t block_lock __attribute__((aligned(64)));
	sas_u64_t block_owner;          /* the holder, or who has just given it back: its slot's lives << 32 | slot + 1; 0: it changes nothing */
	sas_u64_t dirty_owner;          /* the holder that died */
	sas_u32_t taken;                /* chunks taken since space was last returned */
	sas_u32_t block_dirty;          /* a holder of block_lock died: recover before the index is used */
	sas_u32_t seized __attribute__((aligned(64)));  /* lease.h: nobody allocates or frees without block_lock */
	sas_u32_t unfenced;             /* lease.h: some process relies on membarrier(2) by who seizes */
};

#define SAS_RUN_FREE 0U
#define SAS_RUN_USED 1U

/* A process that has joined. 128 bytes. */
struct sas_run_process {
	sas_u32_t state;                /* published last */
	uint32_t pid;                   /* in its own pid namespace: for people */
	uint64_t pid_namespace;
	uint64_t token;                 /* random: tells two lives of a slot apart */
	uint64_t joined_at;
	uint32_t generation;
	uint32_t read_only;
	sas_u32_t epoch_light;          /* epoch.h: its readers have light fences */
	uint32_t reserved_1;
	sas_u64_t epoch_calls, epoch_bytes;     /* held back, of its threads that have ended */
	uint8_t reserved[64];
};

/* Written by the owner alone, with plain stores; anybody reads them. They count on through the slot's lives. */
struct sas_run_counters {
	sas_u64_t allocations, frees;   /* of blocks */
	sas_u64_t lock_waits;           /* locks that were not had at once */
	sas_u64_t faults;               /* segments mapped by the fault handler */
	sas_u64_t recoveries;           /* dead threads recovered */
	sas_u64_t deferred, reclaimed;  /* epochs */
	uint64_t reserved;
};

#define SAS_RUN_HOLDS 16U       /* records in the slot; further ones in pages */

#define SAS_RUN_LEASES 31U      /* segments that a thread leases free tiles of */

#define SAS_RUN_UPDATES 4U      /* objects that a thread announces updates of at once */

/* A thread that has called. 512 bytes. Its intent log has the same number. */
struct sas_run_thread {
	pthread_mutex_t life;           /* robust; held as long as the thread lives; first, its first word is the
					 * futex word: 0 free, else the owner's id and FUTEX_OWNER_DIED */
	sas_u32_t state __attribute__((aligned(64)));
	uint32_t process;
	uint32_t tid;
	uint32_t generation;
	uint64_t token;                 /* of the process: its slot may be another's by now */
	uint32_t lives;                 /* counts the threads that have had this slot */
	sas_u32_t lock_saved;           /* hold.h: evidence, by whoever changes a lock's word next */
	uint64_t ticket;                /* of this life, for ever: owner.c; 0: it only reads */
	sas_u32_t ended;                /* whoever holds `life`, it is not the thread: it has died */
	uint8_t reserved_1[20];
	sas_u64_t lock_pending __attribute__((aligned(64)));    /* hold.h */
	sas_u64_t epoch;                /* epoch.h: 0 outside critical sections */
	sas_u64_t epoch_calls, epoch_bytes;     /* deferred calls that it holds back */
	sas_u64_t epoch_frees, epoch_free_bytes;        /* and frees of blocks */
	sas_u64_t epoch_seen;           /* what epoch was when a look found it behind, */
	sas_u64_t epoch_since;          /* and when it first did: CLOCK_MONOTONIC, ns */
	struct sas_run_counters counters __attribute__((aligned(64)));
	sas_u64_t lock_wait __attribute__((aligned(64)));       /* hold.h: what it waits for; 0: nothing */
	sas_u64_t lock_wait_since;      /* CLOCK_REALTIME, ns */
	sas_u32_t lock_latch;           /* lock_table.h: the bucket + 1 whose latch it may hold */
	sas_u32_t update_awaited;       /* update.h: a bit for each of `updates` that somebody waits for */
	sas_u64_t updates[SAS_RUN_UPDATES];     /* update.h: objects that it is changing; 0: none */
	uint8_t reserved_3[8];
	sas_u32_t holds[SAS_RUN_HOLDS] __attribute__((aligned(64)));    /* hold.h */
	sas_u32_t lease_busy;           /* lease.h: it is allocating or freeing without block_lock */
	sas_u32_t lease_of[SAS_RUN_LEASES];     /* run_lease.h: segment + 1; block_lock */
};

/* A page that a thread slot owns, for what does not fit into the slot: see run_page.h. */
#define SAS_RUN_PAGE 4096UL
#define SAS_RUN_PAGES 8192U
struct sas_run_page {
	sas_u32_t owner;                /* slot + 1; 0 free */
	uint32_t kind;
	uint8_t bytes[SAS_RUN_PAGE - 8];
};

/* The table of the address locks (lock_table.h): so many buckets of one line each, then lines that they overflow into. */
#define SAS_RUN_LINE 128UL
#define SAS_RUN_BUCKETS 32768U
#define SAS_RUN_LINES (16U * SAS_RUN_BUCKETS)
struct sas_run_line;

/* A bit for the hash of each address on which an update was ever announced: update.h. */
#define SAS_RUN_UPDATED_BITS 65536U
#define SAS_RUN_UPDATED_OFFSET 4096UL

#define SAS_RUN_PROCESS_OFFSET (SAS_RUN_UPDATED_OFFSET + SAS_RUN_UPDATED_BITS / 8)
#define SAS_RUN_THREAD_OFFSET (SAS_RUN_PROCESS_OFFSET + SAS_RUN_PROCESSES * 128UL)
#define SAS_RUN_PAGE_OFFSET (SAS_RUN_THREAD_OFFSET + SAS_RUN_THREADS * 512UL)
#define SAS_RUN_LOCK_OFFSET (SAS_RUN_PAGE_OFFSET + SAS_RUN_PAGES * SAS_RUN_PAGE)
#define SAS_RUN_INDEX_OFFSET (SAS_RUN_LOCK_OFFSET + SAS_RUN_LINES * SAS_RUN_LINE)

_Static_assert(sizeof(struct sas_run_header) <= 4096, "run header");
_Static_assert(sizeof(struct sas_run_process) == 128, "process slot");
_Static_assert(sizeof(struct sas_run_thread) == 512, "thread slot");
_Static_assert(sizeof(struct sas_run_page) == SAS_RUN_PAGE, "page");

/* A mapping of SAS.run. Threads hold mutexes in it, so it stays until the last of them has let go. */
struct sas_run {
	struct sas_run_header *header;
	sas_u64_t *updated;             /* SAS_RUN_UPDATED_BITS */
	struct sas_run_process *processes;
	struct sas_run_thread *threads;
	struct sas_run_page *pages;
	struct sas_run_line *lines;
	char *index;
	size_t size;                    /* of the mapping */
	int fd;
	dev_t device;                   /* of the file that is mapped */
	ino_t inode;
	sas_u32_t references;           /* the region's, and one per thread slot of this process */
};

struct sas_region;

/* A counter of the calling thread's slot: nobody else writes it. */
static inline void sas_run_count(sas_u64_t *counter)
{
	sas_store_relaxed_u64(counter, sas_load_relaxed_u64(counter) + 1);
}

/* What tells C libraries with other mutexes apart. */
uint64_t sas_run_layout(void);
/* Open r's SAS.run, or format it when it is absent or nobody can live in it. The caller holds a shared lock on
 * the anchor file `anchor_fd`; formatting changes it to exclusive and back. *let_go: that was done, so look at the anchor again. */
int sas_run_open(struct sas_region *r, int anchor_fd, int *let_go);
/* No other process holds the file lock of a slot. */
int sas_run_is_deserted(struct sas_region *r, struct sas_run *run);
/* Its descriptor, opened again (and its byte locked) when the program closed it. -errno. */
int sas_run_fd(struct sas_region *r, struct sas_run *run);
/* The byte of the file that the process of a slot holds a lock on. */
static inline uint64_t sas_run_lock_byte(uint32_t slot)
{
	return SAS_RUN_PROCESS_OFFSET + slot * 128UL;
}
/* File space for [offset, offset + size) of the mapping. */
int sas_run_reserve(struct sas_region *r, struct sas_run *run, uint64_t offset, uint64_t size);
void sas_run_drop(struct sas_run *run);
/* From before table_lock until after it, a process that joins or leaves holds a shared lock on the first byte: it has
 * no slot of its own to show that it lives. */
int sas_run_show(struct sas_region *r, int on);
/* A robust lock of the header; *died when its last owner did. -errno. */
int sas_run_make_lock(pthread_mutex_t *lock);
int sas_run_lock(pthread_mutex_t *lock, int *died);
/* -EBUSY: somebody holds it. Life mutexes as well. */
int sas_run_trylock(pthread_mutex_t *lock, int *died);
/* The same where somebody can say whether the holder that is marked as dead lives: then the mark is a mistake (run.c), and the lock is
 * held. */
struct sas_run_holder {
	int (*lives)(void *arg);
	void *arg;
};
int sas_run_lock_of(pthread_mutex_t *lock, const struct sas_run_holder *holder, int *died);
int sas_run_trylock_of(pthread_mutex_t *lock, const struct sas_run_holder *holder, int *died);
void sas_run_unlock(pthread_mutex_t *lock);
/* Does a living thread hold it? By its first word, the futex, which the kernel marks when the owner dies. */
int sas_run_is_held(const pthread_mutex_t *lock);
/* grow_lock. */
int sas_run_grow_lock(struct sas_region *r);
void sas_run_grow_unlock(struct sas_region *r);

#endif
