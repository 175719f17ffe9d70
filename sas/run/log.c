/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "ground/err.h"
#include "ground/hash.h"
#include "block/index.h"
#include "log.h"
#include "media/persist.h"
#include "sasregion.h"
#include "media/segment.h"

#define ROOM (SAS_M_LOG_SIZE - sizeof(struct sas_m_log))

static uint64_t chunk_logs(const struct sas_region *r)
{
	return r->anchor.log_chunk_size / SAS_M_LOG_SIZE;
}

uint64_t sas_log_available(struct sas_region *r)
{
	uint64_t n = r->anchor.log_count;

	for (unsigned i = 0; i < SAS_M_LOG_CHUNKS && sas_m_load_acquire_u64(&r->state->log_chunk[i]); i++)
		n += chunk_logs(r);
	return n;
}

/* The offset comes from the file: it is followed only when it is that of a block of this size, the runtime's own. */
static int chunk_offset(struct sas_region *r, uint64_t i, uint64_t *offset)
{
	uint64_t size = r->anchor.log_chunk_size, start, found;
	uint32_t generation;

	*offset = i < SAS_M_LOG_CHUNKS ? sas_m_load_acquire_u64(&r->state->log_chunk[i]) : 0;
	if (*offset == 0 || *offset % size || *offset > r->anchor.region_size - size ||
	    !sas_segment_present(r, sas_segment_of(r, *offset)) ||
	    sas_map_look(r, *offset, &start, &found, &generation) != 0 || start != *offset || found != size || generation != 0)
		return sas_fail(EUCLEAN, "%s/" SAS_ANCHOR_NAME ", offset %zu: chunk %llu of the intent logs is nowhere",
				r->path, SAS_M_PAGE + offsetof(struct sas_m_state, log_chunk), (unsigned long long)i);
	return sas_segment_need(r, sas_segment_of(r, *offset));
}

struct sas_m_log *sas_log_at(struct sas_region *r, uint64_t n)
{
	uint64_t offset;

	if (n < r->anchor.log_count)
		return sas_at(r, r->anchor.log_offset + n * SAS_M_LOG_SIZE);
	n -= r->anchor.log_count;
	if (chunk_offset(r, n / chunk_logs(r), &offset) != 0)
		return NULL;
	return sas_at(r, offset + n % chunk_logs(r) * SAS_M_LOG_SIZE);
}

static struct sas_m_record *record_at(struct sas_m_log *log, uint32_t offset)
{
	return (void *)((char *)(log + 1) + offset);
}

static uint32_t record_size(uint32_t length)
{
	return (uint32_t)(sizeof(struct sas_m_record) + ((length + 7U) & ~7U));
}

static uint32_t record_check(const struct sas_m_record *record)
{
	struct sas_m_record head = *record;

	head.check = 0;
	return sas_hash32(record + 1, record->length, sas_hash32(&head, sizeof head, 0));
}

int sas_intent_begin(struct sas_region *r, uint64_t slot, struct sas_intent *intent)
{
	struct sas_m_log *log = sas_log_at(r, slot);
	/* An intent that could not be made durable is still in the log, for recovery. */
	int error = log ? sas_refuse_poisoned(r) : -EUCLEAN;

	if (error)
		return error;
	intent->region = r;
	intent->log = log;
	/* The log is IDLE: what is stored before ACTIVE means nothing yet. */
	log->magic = SAS_M_MAGIC_LOG;
	sas_m_store_relaxed_u32(&log->used, 0);
	log->sequence++;
	/* From here on recovery looks at the records; there is none. */
	sas_m_store_release_u32(&log->state, SAS_M_LOG_ACTIVE);
	return 0;
}

static int append(struct sas_intent *intent, uint32_t type, uint64_t where, const void *bytes, size_t length)
{
	struct sas_m_log *log = intent->log;
	uint32_t used = log->used, size = record_size((uint32_t)length);
	struct sas_m_record *record;
	int error = 0;

	if (length > ROOM || used + size > ROOM)
		return sas_fail(ENOSPC, "%s: an intent log is full", intent->region->path);
	record = record_at(log, used);
	record->type = type;
	record->length = (uint32_t)length;
	record->where = where;
	record->sequence = log->sequence;
	if (length)
		memcpy(record + 1, bytes, length);
	record->check = record_check(record);
	/* Publish the record: a death before this store forgets it, and what it covers has not been touched. Pairs with the
	 * acquire in replay(). */
	sas_m_store_release_u32(&log->used, used + size);
	if (type != SAS_M_RECORD_REINDEX)       /* the index does not outlive a power cut */
		error = sas_persist(intent->region, log, sizeof *log + log->used);
	return error;
}

static uint64_t offset_of(const struct sas_intent *intent, const void *address)
{
	return (uintptr_t)address - intent->region->memory;
}

int sas_intent_undo(struct sas_intent *intent, const void *address, size_t size)
{
	return append(intent, SAS_M_RECORD_UNDO, offset_of(intent, address), address, size);
}

int sas_intent_redo(struct sas_intent *intent, void *address, const void *bytes, size_t size)
{
	return append(intent, SAS_M_RECORD_REDO, offset_of(intent, address), bytes, size);
}

int sas_intent_note(struct sas_intent *intent, uint32_t type, uint64_t where, const void *bytes, size_t size)
{
	return append(intent, type, where, bytes, size);
}

/* Records are read from the file: each is followed only when it is whole and points into the region. */
static int is_sound(struct sas_region *r, struct sas_m_log *log, uint32_t at, uint32_t used)
{
	struct sas_m_record *record = record_at(log, at);
	uint64_t size = r->anchor.region_size;

	if (used - at < sizeof *record || record->length > used - at - sizeof *record ||
	    record_size(record->length) > used - at)
		return 0;
	return record->sequence == log->sequence && record->check == record_check(record) &&
	       record->where < size && record->length <= size - record->where;
}

/* The record at *at, which moves on to the next; NULL at the end. One that is not whole was being written at a power
 * cut: it ends the log, and nothing that it covers has been touched. */
static struct sas_m_record *next_record(struct sas_region *r, struct sas_m_log *log, uint32_t *at)
{
	uint32_t used = sas_m_load_acquire_u32(&log->used);
	struct sas_m_record *record;

	if (used > ROOM)
		used = ROOM;
	if (*at >= used || !is_sound(r, log, *at, used))
		return NULL;
	record = record_at(log, *at);
	*at += record_size(record->length);
	return record;
}

static int overlaps(const struct sas_region *r, const struct sas_m_log *log, const struct sas_m_record *record)
{
	uint64_t at = (uintptr_t)log - r->memory;

	return record->where < at + SAS_M_LOG_SIZE && at < record->where + record->length;
}

/* A word that others may read meanwhile is stored whole. */
static void put(void *where, const void *bytes, uint32_t length)
{
	uint64_t whole;
	uint32_t half;

	if (length == sizeof whole && (uintptr_t)where % sizeof whole == 0) {
		memcpy(&whole, bytes, sizeof whole);
		sas_m_store_release_u64(where, whole);
	} else if (length == sizeof half && (uintptr_t)where % sizeof half == 0) {
		memcpy(&half, bytes, sizeof half);
		sas_m_store_release_u32(where, half);
	} else {
		memcpy(where, bytes, length);
	}
}

/* Durable with the fence of end(). */
static int restore(struct sas_region *r, const struct sas_m_log *log, const struct sas_m_record *record)
{
	int error;

	if (record->length == 0)
		return 0;
	/* Nobody writes such a record, and it would change what is being read. */
	if (overlaps(r, log, record))
		return sas_fail(EUCLEAN, "%s: an intent record is about the log that it is in", r->path);
	for (uint64_t n = sas_segment_of(r, record->where); n <= sas_segment_of(r, record->where + record->length - 1); n++)
		if (!sas_segment_present(r, n))
			return sas_fail(EUCLEAN, "%s: an intent record names segment %llu, which does not exist", r->path,
					(unsigned long long)n);
	error = sas_segment_need_range(r, record->where, record->length);
	if (error)
		return error;
	put(sas_at(r, record->where), record + 1, record->length);
	return sas_write_back(r, sas_at(r, record->where), record->length);
}

static int replay_one(struct sas_region *r, const struct sas_m_log *log, const struct sas_m_record *record, uint32_t state)
{
	uint32_t order;

	switch (record->type) {
	case SAS_M_RECORD_UNDO:
		return state == SAS_M_LOG_ACTIVE ? restore(r, log, record) : 0;
	case SAS_M_RECORD_REDO:
		return state == SAS_M_LOG_COMMITTED ? restore(r, log, record) : 0;
	case SAS_M_RECORD_REINDEX:
		return sas_block_reindex(r, record->where);
	case SAS_M_RECORD_ALLOC:
		if (state != SAS_M_LOG_ACTIVE || record->length != sizeof order)
			return 0;
		memcpy(&order, record + 1, sizeof order);
		return sas_block_unalloc(r, record->where, order);
	default:
		return sas_fail(EUCLEAN, "%s: an intent record has the unknown type %u", r->path, record->type);
	}
}

#define RECORDS_MAX (ROOM / sizeof(struct sas_m_record))

/* Undo runs from the last record to the first, redo from the first to the last. */
static int replay(struct sas_region *r, struct sas_m_log *log, uint32_t state)
{
	struct sas_m_record *records[RECORDS_MAX], *record;
	unsigned count = 0;
	uint32_t at = 0;
	int error = 0;

	while ((record = next_record(r, log, &at)))
		records[count++] = record;
	for (unsigned i = 0; i < count && !error; i++)
		error = replay_one(r, log, records[state == SAS_M_LOG_ACTIVE ? count - 1 - i : i], state);
	return error;
}

static int has_type(struct sas_region *r, struct sas_m_log *log, uint32_t type)
{
	struct sas_m_record *record;
	uint32_t at = 0;

	while ((record = next_record(r, log, &at)))
		if (record->type == type)
			return 1;
	return 0;
}

/* Records of the media, and not only of the index, which does not outlive a power cut. */
static int covers_media(struct sas_region *r, struct sas_m_log *log)
{
	return has_type(r, log, SAS_M_RECORD_UNDO) || has_type(r, log, SAS_M_RECORD_REDO) ||
	       has_type(r, log, SAS_M_RECORD_ALLOC);
}

/*
 * The end of an intent. What it changed is durable before the log forgets it; and that it is over is durable before anything
 * else is, as a power cut would have old bytes put back over newer ones.
 */
static int end(struct sas_region *r, struct sas_m_log *log)
{
	int media = r->anchor.durability != SASDurability__PROCESS && covers_media(r, log);

	sas_fence(r);
	sas_m_store_release_u32(&log->state, SAS_M_LOG_IDLE);
	return media ? sas_persist(r, log, sizeof *log) : 0;
}

static int apply_redo(struct sas_region *r, struct sas_m_log *log)
{
	struct sas_m_record *record;
	uint32_t at = 0;
	int error = 0;

	while (!error && (record = next_record(r, log, &at)))
		if (record->type == SAS_M_RECORD_REDO)
			error = restore(r, log, record);
	return error;
}

/* What was changed in place under undo records. */
static int persist_changed(struct sas_region *r, struct sas_m_log *log)
{
	struct sas_m_record *record;
	uint32_t at = 0;
	int error = 0;

	while (!error && (record = next_record(r, log, &at)))
		if (record->type == SAS_M_RECORD_UNDO)
			error = sas_write_back(r, sas_at(r, record->where), record->length);
	sas_fence(r);
	return error;
}

int sas_intent_commit(struct sas_intent *intent)
{
	struct sas_region *r = intent->region;
	struct sas_m_log *log = intent->log;
	int error = r->anchor.durability != SASDurability__PROCESS ? persist_changed(r, log) : 0;

	if (!error && has_type(r, log, SAS_M_RECORD_REDO)) {
		/* The store that decides: before it recovery undoes, after it recovery redoes. */
		sas_m_store_release_u32(&log->state, SAS_M_LOG_COMMITTED);
		error = sas_persist(r, log, sizeof *log);
		if (!error)
			error = apply_redo(r, log);
	}
	/* On failure the log stays, and the next recovery decides by its state. */
	return error ? error : end(r, log);
}

int sas_intent_abort(struct sas_intent *intent)
{
	int error = replay(intent->region, intent->log, SAS_M_LOG_ACTIVE);

	return error ? error : end(intent->region, intent->log);
}

int sas_log_recover(struct sas_region *r, struct sas_m_log *log)
{
	uint32_t state = sas_m_load_acquire_u32(&log->state);
	int error;

	if (log->magic != SAS_M_MAGIC_LOG || (state != SAS_M_LOG_ACTIVE && state != SAS_M_LOG_COMMITTED))
		return 0;
	error = replay(r, log, state);
	if (!error)
		error = end(r, log);
	return error ? error : 1;
}
