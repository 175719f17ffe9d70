/* SPDX-License-Identifier: MIT */
/*
 * rank.h - the lock order of runtime.h, checked while running in builds with --enable-debug-checks. Layer 0.
 *
 * A thread that takes a lock while it holds one of the same or a higher rank is stopped by assert(3): in the test
 * that runs it, and not in the field years later. Other builds do nothing here.
 */
#ifndef SAS_RANK_H
#define SAS_RANK_H

#define SAS_RANK_PROCESS 1U
#define SAS_RANK_TABLE 3U
#define SAS_RANK_BLOCK 5U
#define SAS_RANK_GROW 6U
#define SAS_RANK_SYNC 7U

#ifdef SAS_DEBUG
void sas_rank_take(unsigned rank);
void sas_rank_give(unsigned rank);
#else
static inline void sas_rank_take(unsigned rank) { (void)rank; }
static inline void sas_rank_give(unsigned rank) { (void)rank; }
#endif

#endif
