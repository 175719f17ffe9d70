/* SPDX-License-Identifier: MIT */
/*
 * run_check.h - may recovery follow what a SAS.run says in which nobody lives? Layer 2.
 *
 * The living trust each other, but a file at rest may be damaged. Who finds nobody in it looks at every reference that recovery
 * follows: at the slots in use, and at the pages that they own, by the counts in the header. One that cannot be has the file formatted:
 * the intents of the dead are in the logs, what they deferred is in the maps, and their locks are nobody's.
 *
 * What is not looked at is made anew by who comes first, or needs it first: a free slot and a free page when they are taken, the indexes when
 * the first one registers, the words of the locks before the first lock is taken (lock_table.c).
 *
 * Locks: the anchor's file lock, shared: a verdict over a file that somebody joins meanwhile means nothing.
 */
#ifndef SAS_RUN_CHECK_H
#define SAS_RUN_CHECK_H

#include "region/region.h"

/* The counts of the header are within their bounds (run.c). */
int sas_run_is_sound(struct sas_region *r, const struct sas_run *run);
/* Some thread slot says that its thread lives. */
int sas_run_claims_life(const struct sas_run *run);

#endif
