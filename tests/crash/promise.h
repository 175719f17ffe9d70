/* SPDX-License-Identifier: MIT */
/*
 * promise.h - a process at work, and what the library has promised it about a power cut.
 *
 * With the durability of processes: what was in use, with its content, when SASSync() returned, until it is
 * freed; or the join says EUCLEAN, and the map entries of these blocks are still there. With those of disks and
 * of persistent memory the join always works; and what a call has done when it returns is there: a block is in use
 * and begins with zeros or what the program stored, a freed block is free, the finder is set, an intent is done; an intent
 * that has not returned is done or undone; a range has the content that it had when SASSyncRange() returned.
 *   Content that was changed since it was synced is, word by word, what it was or became. If nothing was done since a
 * SASSync(), all is exactly as it was, whatever the durability. When a reset has returned there is the new region, empty;
 * inside it there is the old one, the new one, or none and nothing in the way of one. A copy that has returned is there whole.
 *
 * The process keeps the table below in memory that it shares with the test: what a call will end is taken
 * back before it, what it promises is written after it.
 */
#ifndef CRASH_PROMISE_H
#define CRASH_PROMISE_H

#include <sys/syscall.h>
#include "sasregion.h"
#include "scene.h"

#define PROMISES 256
#define PROMISE_WORDS 5

struct promise {
	uint64_t address, size;         /* 0: none */
	uint32_t held;                  /* it must be there */
	uint32_t version;               /* of its content; the stores of this one may be going on */
	uint32_t synced;                /* the version that was synced + 1; 0: none */
};

struct promises {
	sas_durability_t durability;
	int strict;                     /* not that of processes */
	int settled;                    /* nothing was done since a sync */
	int dense;                      /* what is done is short and rare: it is cut at each of its calls */
	int copying;
	unsigned seed, calls;
	uint64_t region_size, segment_size;
	int exists;                     /* there must be a region */
	struct promise blocks[PROMISES];
	uint64_t freed;                 /* must be free; 0: nothing is known */
	uint64_t freed_size;
	uint64_t finder[2];             /* may be: before, and after the present call */
	int finder_known;
	uint64_t words;                 /* a block of words that intents change together; 0: none */
	uint64_t value[2];              /* all of them may be: before, and after the present intent */
	int words_known;
	char doing[64];                 /* the call */
};

/* In the watched process and in those after the cut: persistent memory on a file system that has none. What is written
 * back is told as disk.h wants it. */
void promise_port(const struct promises *p);
/* The system call that the watched process makes when it has synced, to be cut there. */
#define PROMISE_SETTLED SYS_getppid

/* In the watched process: create the region in path and work on it. */
void promise_work(struct scene *s, struct promises *p, const char *path);
/* In the watched process: copy the region, which is at rest, into an empty directory. */
void promise_copy(struct scene *s, struct promises *p, const char *from, const char *to);
/* In a fresh process: join what a cut has left, and hold it against the promises. s->verdict: 0 there is no
 * region yet, 1 joined, 2 EUCLEAN and all entries there. */
void promise_verify(struct scene *s, const struct promises *p, const char *path);

#endif
