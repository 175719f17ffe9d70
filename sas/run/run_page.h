/* SPDX-License-Identifier: MIT */
/*
 * run_page.h - pages of SAS.run that thread slots own: records for which the slot has no room. Layer 2.
 *
 * A page is free, or has an owner: a slot + 1, or SAS_RUN_ORPHAN. Only who is the slot (its thread, or who recovers
 * it) writes the bytes; anybody may read them. `kind` tells what the bytes are; where it is 0 they are nothing yet.
 *
 * Locks: none to take and to give; grow_lock for file space.
 * Crash: `owner` is the only store that counts, so recovery finds a dead slot's pages by it. The bytes of a page are made zero when
 * it is taken, before its kind is told; a death in between leaves it its owner's, with kind 0.
 */
#ifndef SAS_RUN_PAGE_H
#define SAS_RUN_PAGE_H

#include <stdint.h>
#include "region/region.h"

#define SAS_RUN_PAGE_HOLDS 1U   /* hold.h */
#define SAS_RUN_PAGE_LIMBO 2U   /* epoch.h */

#define SAS_RUN_ORPHAN 0xffffffffU      /* its slot's thread died; whoever comes first takes it over */

/* A page for slot `owner` - 1, all zero but for its head. -EAGAIN: all are in use; -ENOSPC. A sentence is left. */
int sas_run_page_take(struct sas_region *r, uint32_t owner, uint32_t kind, uint32_t *number);
/* The caller is its owner. */
void sas_run_page_give(struct sas_run *run, uint32_t number);
/* All pages of an owner that has died, when what they held has been dealt with. */
void sas_run_page_give_all(struct sas_run *run, uint32_t owner);
/* The next page of this owner and kind at or after `number`; -1: none. */
int64_t sas_run_page_next(const struct sas_run *run, uint32_t owner, uint32_t kind, uint32_t number);

#endif
