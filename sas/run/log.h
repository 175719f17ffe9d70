/* SPDX-License-Identifier: MIT */
/*
 * log.h - intent logs: how a change of several stores becomes all or nothing. Layer 2.
 *
 * Each thread slot has a log of its own in the anchor segment (or in a chunk of further logs). An intent is
 *      begin, then any of
 *        undo(range)   before the range is changed in place: recovery puts the old bytes back
 *        redo(range)   the new bytes, stored by commit: recovery stores them again
 *        note(type)    typed: what recovery does is in log_replay.c, by type
 *      then commit, or abort.
 * State machine, one store each:  IDLE -begin-> ACTIVE -commit-> COMMITTED -> IDLE,  ACTIVE -abort-> IDLE.
 * A record counts when `used` has passed it; `used` is stored (release) after the record's last byte.
 * Undo is done from the last record to the first, redo from the first to the last; both store
 * the same bytes however often they are run, so recovery may be killed and repeated.
 * Undo-only intents need no COMMITTED step: IDLE is their commit.
 *
 * Locks: a log is written by its thread alone, or by who recovers it: the holder of its life mutex.
 * Durability: begin..commit persist what DISK and PMEM need: records before the change they cover,
 * COMMITTED before redo is applied, the changed bytes before IDLE.
 * Crash points are listed in log.c at each store.
 */
#ifndef SAS_LOG_H
#define SAS_LOG_H

#include <stddef.h>
#include "region/region.h"

struct sas_intent {
	struct sas_region *region;
	struct sas_m_log *log;
};

/* How many logs there are. */
uint64_t sas_log_available(struct sas_region *r);
/* Log number n, mapped. NULL: there is none, with a sentence. */
struct sas_m_log *sas_log_at(struct sas_region *r, uint64_t n);

int sas_intent_begin(struct sas_region *r, uint64_t slot, struct sas_intent *intent);
int sas_intent_undo(struct sas_intent *intent, const void *address, size_t size);
int sas_intent_redo(struct sas_intent *intent, void *address, const void *bytes, size_t size);
int sas_intent_note(struct sas_intent *intent, uint32_t type, uint64_t where, const void *bytes, size_t size);
/* Applies redo records; typed records count as done. The intent is over. */
int sas_intent_commit(struct sas_intent *intent);
/* Undoes everything. The intent is over. */
int sas_intent_abort(struct sas_intent *intent);

/* Complete or undo what a dead thread left in its log. 1: there was something; 0; -errno. */
int sas_log_recover(struct sas_region *r, struct sas_m_log *log);

/* What recovery does with typed records: the layer above defines these (block.c). table_lock held, block_lock not. */
int sas_block_reindex(struct sas_region *r, uint64_t where);
int sas_block_unalloc(struct sas_region *r, uint64_t where, uint32_t order);

#endif
