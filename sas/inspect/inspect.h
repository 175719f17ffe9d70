/* SPDX-License-Identifier: MIT */
/*
 * inspect.h - a region's files, read without joining it. Layer 3.
 *
 * Everything comes by pread() through the port and nothing of it is trusted: whatever bytes the
 * files hold, a call ends, with an error where they make no sense. Memory is bounded by the numbers
 * that anchor.h lets pass: the segment table (32 MiB at most), SAS.run's slots (9 MiB) and, for lists of locks
 * and threads, its pages and lock lines (96 MiB) are read at once, block maps are read in windows.
 *
 * What is read of a region in use may be a change half way; only the anchor never changes.
 *
 * Locks: none taken, one thread at a time. Signals: not async-signal-safe. Fork: the child may go on.
 * Crash: nothing is written.
 */
#ifndef SAS_INSPECT_H
#define SAS_INSPECT_H

#include <stdint.h>
#include <sys/stat.h>
#include "media/anchor.h"
#include "media/layout.h"
#include "lock/lock_list.h"
#include "sasinspect.h"
#include "ground/xattr.h"

#define SAS_INSPECT_WINDOW 4096U        /* map entries read at once */

struct sas_inspect {
	int dir;
	int anchor_fd;                  /* segment 0 */
	int segment_fd;                 /* the segment opened last; -1: none */
	uint64_t segment;               /* its number */
	struct stat stat;               /* of segment 0 */
	union {
		struct sas_m_anchor anchor;
		uint8_t page[SAS_M_PAGE];
	};
	struct sas_m_state state;
	uint64_t segments;
	struct sas_m_segment *table;    /* [segments] */
	uint8_t *use;                   /* [segments]: 0 free, 1 carved, 2 part of a larger block */
	struct SASParticipantInfo *participants;
	uint32_t participant_count, alive;
	struct sas_run_sums sums;       /* of all threads' counters */
	uint32_t recoveries;
	uint32_t seized_by;             /* a thread id; 0: nobody */
	int locked;                     /* somebody holds a lock in SAS.run, perhaps another host */
	struct sas_fault fault;         /* of the anchor, where opening gave -EUCLEAN; else no text */
	uint32_t window[SAS_INSPECT_WINDOW];
	char path[4096];
};

/* A tile: a block, or free space. */
struct sas_inspect_tile {
	uint64_t offset, size;          /* in the region */
	uint32_t state;                 /* SAS_M_NEVER .. SAS_M_USED */
	uint32_t generation;
	int present;                    /* there are files under it */
};

/* 0, or -errno and a sentence: ENOENT no region, EUCLEAN, EPROTONOSUPPORT. After -EUCLEAN *out is
 * set nevertheless, for who wants to say where; close it. */
int sas_inspect_open(const char *path, struct sas_inspect **out);
void sas_inspect_close(struct sas_inspect *in);

/* Read the state page and the segment table again. */
int sas_inspect_reload(struct sas_inspect *in);

static inline int sas_inspect_present(const struct sas_inspect *in, uint64_t n)
{
	return n < in->segments && in->table[n].file == SAS_M_SEGMENT_PRESENT;
}

/* What lies under segment n's name, links not followed. -errno, no sentence. */
int sas_inspect_stat(const struct sas_inspect *in, uint64_t n, struct stat *st);
/* A descriptor of segment n's file for reading, owned by `in`: good until the next call. Only a regular file
 * is opened. -errno, no sentence. */
int sas_inspect_file(struct sas_inspect *in, uint64_t n, int *fd);
/* Do segment n's attributes say what the file is? As sas_xattr_compare(); -errno, no sentence, of a file that cannot be opened. */
int sas_inspect_attributes(struct sas_inspect *in, uint64_t n, char said[SAS_XATTR_SAID]);
/* Reads [offset, +size) of the region. What lies beyond the end of a file is zero. -errno, no sentence. */
int sas_inspect_read(struct sas_inspect *in, uint64_t offset, void *buffer, uint64_t size);

/* Entries [first, first + count) of a segment's map, count <= SAS_INSPECT_WINDOW. -errno, no sentence. */
int sas_inspect_entries(struct sas_inspect *in, uint64_t segment, uint64_t first, uint64_t count,
			uint32_t *entries);
/* M1: may a tile with this entry begin at `unit` of a map of `units`? */
int sas_inspect_fits(uint64_t unit, uint64_t units, uint32_t entry);

/* Every tile, ascending by offset; carved segments by their tiles; free space of more than one segment in
 * a call per segment. Stops where the visitor gives something else than 0, and gives that; the visitor
 * reads no map. -EUCLEAN and a sentence where a map breaks M1. */
typedef int (*sas_inspect_visitor)(const struct sas_inspect_tile *tile, void *arg);
int sas_inspect_each(struct sas_inspect *in, sas_inspect_visitor visit, void *arg);
/* The same for one segment that is carved. */
int sas_inspect_each_in(struct sas_inspect *in, uint64_t segment, sas_inspect_visitor visit, void *arg);

/* Calls visit for the offset of each log. A chunk outside the present segments is left out. */
int sas_inspect_each_log(struct sas_inspect *in, int (*visit)(uint64_t offset, void *arg), void *arg);
/* Logs that hold an intent: of threads at work, or of dead ones. -errno and a sentence. */
int sas_inspect_intents(struct sas_inspect *in, uint32_t *count);

/* Who has joined, by SAS.run; again, the newest state. Called by sas_inspect_open(). */
int sas_inspect_participants(struct sas_inspect *in);
/* Keep others from joining, until `in` is closed; nobody has joined. -EBUSY: says who. What could be read is read again. */
int sas_inspect_claim(struct sas_inspect *in);
/* The lock alone, for who cannot read the tables yet. */
int sas_inspect_lock(struct sas_inspect *in);
/* SAS.run looks as if its own locks were held. */
int sas_inspect_run_held(struct sas_inspect *in);
/* Its address locks, its threads; again, the newest state; malloc'd. -errno and a sentence. */
int sas_inspect_locks(struct sas_inspect *in, struct SASLockInfo **list, size_t *count);
int sas_inspect_threads(struct sas_inspect *in, struct SASThreadInfo **list, size_t *count);

/* --- check.c */
long sas_check(const char *path, SASProblem problem, void *arg);
/* The same, told to nobody; doubtful[n] is set for each segment whose free space does not keep what the map promises. */
long sas_check_doubt(const char *path, uint8_t *doubtful);
/* --- copy.c */
int sas_copy(const char *from, const char *to);
/* --- repair.c: how many problems are left; -errno */
long sas_repair(const char *path, SASRepaired told, void *arg);

#endif
