/* SPDX-License-Identifier: MIT */
/*
 * lock_list.h - who holds which lock and who waits, and what each thread has done: for people. Layer 3.
 *
 * The pointers of `run` lead into a mapping, or to what was read of the file: header, slots below process_top and thread_top,
 * pages below page_top, lines below line_top. Nothing of it is trusted: whatever the bytes are, a call ends.
 *
 * Locks: none, so what moves may be seen half way. What is listed as held was held when it was looked at, but for a lock that
 * was given back, and its place taken by another address, between two reads of a file.
 * Crash: nothing is written.
 */
#ifndef SAS_LOCK_LIST_H
#define SAS_LOCK_LIST_H

#include <stddef.h>
#include <stdint.h>
#include "run/run.h"
#include "sasinspect.h"

/* All holders and waiters, by address, holders first; malloc'd. -ENOMEM. */
int sas_lock_list(const struct sas_run *run, SASLockInfo **list, size_t *count);
/* The threads that have slots, by slot; malloc'd. -ENOMEM. */
int sas_thread_list(const struct sas_run *run, SASThreadInfo **list, size_t *count);

/* The counters of all slots; of former threads as well. */
struct sas_run_sums { uint64_t allocations, frees, lock_waits, faults; };
void sas_run_sum(const struct sas_run *run, struct sas_run_sums *sums);

/* How full the table is. */
struct sas_lock_fill {
	uint32_t buckets, used;         /* used: with addresses in them */
	uint32_t addresses, highest;    /* in all buckets; in the fullest one */
};
void sas_lock_fill(const struct sas_run *run, struct sas_lock_fill *fill);

#endif
