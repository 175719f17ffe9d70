/* SPDX-License-Identifier: MIT */
/*
 * api_inspect.c - the public edge of sasinspect.h: lists and figures from a region's files.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ground/err.h"
#include "inspect/inspect.h"
#include "ground/numa.h"
#include "media/place.h"
#include "media/segment.h"

#define RUN_DEPTH 64            /* of buddies that wait to be merged: sizes fall by powers of two */

/* A list that grows in the caller's buffer, and is counted beyond its end. */
struct list {
	struct sas_inspect *in;
	sas_block_kind_t kind;
	SASBlockInfo *buffer;
	size_t capacity;
	long count;
	SASBlockInfo run[RUN_DEPTH];    /* not listed yet: may still merge with what follows */
	unsigned depth;
};

static void append(struct list *list, const SASBlockInfo *block)
{
	if ((size_t)list->count < list->capacity)
		list->buffer[list->count] = *block;
	list->count++;
}

static void flush_run(struct list *list)
{
	for (unsigned i = 0; i < list->depth; i++)
		append(list, &list->run[i]);
	list->depth = 0;
}

static int are_buddies(const struct list *list, const SASBlockInfo *low, const SASBlockInfo *high)
{
	uint64_t offset = (uint64_t)low->address - list->in->anchor.base;

	return low->size == high->size && (char *)low->address + low->size == (char *)high->address &&
	       !(offset & (2 * low->size - 1));
}

/* Buddies become one block of twice the size, and so on. What precedes a larger block, or a gap, can
 * grow no more; so the run holds neighbours of falling size. */
static void merge_buddy(struct list *list, const SASBlockInfo *block)
{
	SASBlockInfo *last = list->depth ? &list->run[list->depth - 1] : NULL;

	if (last && ((char *)last->address + last->size != (char *)block->address ||
		     block->size > last->size || list->depth == RUN_DEPTH))
		flush_run(list);
	list->run[list->depth++] = *block;
	while (list->depth > 1 &&
	       are_buddies(list, &list->run[list->depth - 2], &list->run[list->depth - 1])) {
		last = &list->run[--list->depth - 1];
		last->size *= 2;
		last->generation = list->run[list->depth].generation;
	}
}

static int is_listed(sas_block_kind_t kind, const struct sas_inspect_tile *tile)
{
	switch (kind) {
	case SASBlock__IN_USE:
	case SASBlock__IN_USE_MERGED:
		return tile->state == SAS_M_USED;
	case SASBlock__FREE:
		return tile->present && (tile->state == SAS_M_FREED || tile->state == SAS_M_DIRTY);
	case SASBlock__UNCOMMITTED:
		return tile->present && tile->state == SAS_M_NEVER;
	default:
		return 0;
	}
}

static void list_block(struct list *list, uint64_t offset, uint64_t size, uint32_t generation)
{
	SASBlockInfo block = {
		.address = (void *)(list->in->anchor.base + offset),
		.size = size,
		.generation = generation,
		.kind = list->kind,
	};

	if (list->kind == SASBlock__IN_USE || list->kind == SASBlock__SEGMENT)
		append(list, &block);
	else
		merge_buddy(list, &block);
}

static int list_tile(const struct sas_inspect_tile *tile, void *arg)
{
	struct list *list = arg;

	if (is_listed(list->kind, tile))
		list_block(list, tile->offset, tile->size, tile->state == SAS_M_USED ? tile->generation : 0);
	return 0;
}

static void list_files(struct list *list)
{
	uint64_t size = list->in->anchor.segment_size;

	for (uint64_t n = 0; n < list->in->segments; n++)
		if (sas_inspect_present(list->in, n) == (list->kind == SASBlock__SEGMENT))
			list_block(list, n * size, size, 0);
}

static int count_tile(const struct sas_inspect_tile *tile, void *arg)
{
	SASInspectInfo *info = arg;

	if (tile->state == SAS_M_USED && tile->generation) {
		info->bytesInUse += tile->size;
		info->blocksInUse++;
	} else if (tile->state != SAS_M_USED && tile->present) {
		info->bytesFree += tile->size;
	}
	return 0;
}

static void describe_anchor(const struct sas_inspect *in, SASInspectInfo *info)
{
	const struct sas_m_anchor *a = &in->anchor;

	memcpy(info->uuid, a->uuid, sizeof(info->uuid));
	info->base = a->base;
	info->regionSize = a->region_size;
	info->segmentSize = a->segment_size;
	info->segmentsMax = in->segments;
	info->finder = in->state.finder;
	info->createdAt = a->created_at;
	info->generation = in->state.generation;
	info->formatVersion = a->format;
	info->incompat = a->incompat;
	info->roCompat = a->ro_compat;
	info->compat = a->compat;
	info->mode = a->mode;
	info->uid = in->stat.st_uid;
	info->gid = in->stat.st_gid;
	info->clean = in->state.clean == 1;
	info->sparse = (a->compat & SAS_M_COMPAT_SPARSE) != 0;
	info->preallocated = (a->incompat & SAS_M_INCOMPAT_PREALLOCATED) != 0;
	info->participantsAlive = in->alive;
	info->participantsDead = in->participant_count - in->alive;
	info->allocations = in->sums.allocations;
	info->frees = in->sums.frees;
	info->lockWaits = in->sums.lock_waits;
	info->faults = in->sums.faults;
	info->recoveries = in->recoveries;
	info->durability = (sas_durability_t)a->durability;
	info->numaPolicy = (sas_numa_t)sas_anchor_numa(a);
	sas_numa_text(a->numa_nodes, info->numaNodes, sizeof(info->numaNodes));
	info->linearUseList = in->state.list_mode == SAS_M_LIST_LINEAR;
	info->seizedBy = in->seized_by;
}

static void describe_huge(const struct sas_inspect *in, SASInspectInfo *info)
{
	int file_system = sas_place_file_system(in->dir, in->path);

	info->hugeWanted = (sas_huge_t)in->anchor.huge;
	if (file_system < 0)    /* no process can join it here */
		snprintf(info->hugeReason, sizeof(info->hugeReason), "its pages are too large");
	else
		info->hugePages = (sas_huge_t)sas_place_huge((unsigned)file_system, in->anchor.huge, info->hugeReason);
}

static uint64_t allocated_bytes(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512;
}

static void count_attributes(struct sas_inspect *in, uint64_t n, SASInspectInfo *info)
{
	char name[SAS_SEGMENT_NAME], said[SAS_XATTR_SAID];
	int found = sas_inspect_attributes(in, n, said);

	info->attributesFit += found == SAS_XATTR_FIT;
	info->attributesMissing += found == SAS_XATTR_MISSING;
	info->attributesDiffer += found == SAS_XATTR_DIFFER;
	if (said[0] && !info->attributesSaid[0])
		snprintf(info->attributesSaid, sizeof(info->attributesSaid), "%s: %s", sas_segment_name(name, n), said);
}

static void count_files(struct sas_inspect *in, SASInspectInfo *info)
{
	for (uint64_t n = 0; n < in->segments; n++) {
		struct stat st;

		if (!sas_inspect_present(in, n))
			continue;
		info->segmentsPresent++;
		if (sas_inspect_stat(in, n, &st) == 0)
			info->allocatedBytes += allocated_bytes(&st);
		count_attributes(in, n, info);
	}
}

static int get_info(struct sas_inspect *in, SASInspectInfo *out)
{
	SASInspectInfo info = { .structSize = sizeof(info) };
	size_t size;
	int error;

	if (!in || !out)
		return sas_fail(EINVAL, "SASInspectGetInfo: a NULL argument");
	size = out->structSize;
	if (size < sizeof(info.structSize) + sizeof(info.uuid))
		return sas_fail(EINVAL, "SASInspectGetInfo: structSize %zu is not set by the caller", size);
	describe_anchor(in, &info);
	describe_huge(in, &info);
	count_files(in, &info);
	error = sas_inspect_each(in, count_tile, &info);
	if (!error)
		error = sas_inspect_intents(in, &info.intents);
	if (error)
		return error;
	/* A caller that was built with a shorter structure gets what it knows. */
	memset(out, 0, size);
	memcpy(out, &info, size < sizeof(info) ? size : sizeof(info));
	out->structSize = size;
	return 0;
}

static long list_blocks(struct sas_inspect *in, sas_block_kind_t kind, SASBlockInfo *buffer, size_t capacity)
{
	struct list list = { .in = in, .kind = kind, .buffer = buffer, .capacity = capacity };
	int error = 0;

	if (!in || (!buffer && capacity))
		return sas_fail(EINVAL, "SASInspectListBlocks: a NULL argument");
	if ((unsigned)kind > SASBlock__IN_USE_MERGED)
		return sas_fail(EINVAL, "SASInspectListBlocks: there is no list %u", (unsigned)kind);
	if (kind == SASBlock__SEGMENT || kind == SASBlock__FREE_REGION)
		list_files(&list);
	else
		error = sas_inspect_each(in, list_tile, &list);
	flush_run(&list);
	return error ? error : list.count;
}

static long list_segments(struct sas_inspect *in, SASSegmentInfo *buffer, size_t capacity)
{
	long count = 0;

	if (!in || (!buffer && capacity))
		return sas_fail(EINVAL, "SASInspectListSegments: a NULL argument");
	for (uint64_t n = 0; n < in->segments; n++) {
		char said[SAS_XATTR_SAID];
		struct stat st = { 0 };
		SASSegmentInfo *s;
		int found;

		if (!sas_inspect_present(in, n) || (size_t)count++ >= capacity)
			continue;
		s = &buffer[count - 1];
		memset(s, 0, sizeof(*s));
		s->number = n;
		s->size = in->anchor.segment_size;
		s->address = in->anchor.base + n * s->size;
		if (sas_inspect_stat(in, n, &st) == 0)
			s->allocatedBytes = allocated_bytes(&st);
		s->use = in->use[n];
		s->uid = st.st_uid;
		s->gid = st.st_gid;
		s->mode = st.st_mode & 07777;
		found = sas_inspect_attributes(in, n, said);
		s->attributes = (sas_attributes_t)(found < 0 ? SAS_XATTR_NONE : found);
	}
	return count;
}

static long list_participants(struct sas_inspect *in, SASParticipantInfo *buffer, size_t capacity)
{
	int error;

	if (!in || (!buffer && capacity))
		return sas_fail(EINVAL, "SASInspectListParticipants: a NULL argument");
	error = sas_inspect_participants(in);
	if (error)
		return error;
	for (size_t i = 0; i < in->participant_count && i < capacity; i++)
		buffer[i] = in->participants[i];
	return (long)in->participant_count;
}

/* As much of a malloc'd list as fits, which is freed. */
static long hand_over(int error, void *list, size_t count, size_t size, void *buffer, size_t capacity)
{
	if (!error && count && capacity)
		memcpy(buffer, list, (count < capacity ? count : capacity) * size);
	free(list);
	return error ? error : (long)count;
}

static long list_locks(struct sas_inspect *in, SASLockInfo *buffer, size_t capacity)
{
	SASLockInfo *list;
	size_t count;
	int error;

	if (!in || (!buffer && capacity))
		return sas_fail(EINVAL, "SASInspectListLocks: a NULL argument");
	error = sas_inspect_locks(in, &list, &count);
	return hand_over(error, list, count, sizeof(*list), buffer, capacity);
}

static long list_threads(struct sas_inspect *in, SASThreadInfo *buffer, size_t capacity)
{
	SASThreadInfo *list;
	size_t count;
	int error;

	if (!in || (!buffer && capacity))
		return sas_fail(EINVAL, "SASInspectListThreads: a NULL argument");
	error = sas_inspect_threads(in, &list, &count);
	return hand_over(error, list, count, sizeof(*list), buffer, capacity);
}

static int read_bytes(struct sas_inspect *in, uint64_t address, char *buffer, size_t size)
{
	const struct sas_m_anchor *a = in ? &in->anchor : NULL;
	uint64_t offset = a ? address - a->base : 0;

	if (!in || (!buffer && size))
		return sas_fail(EINVAL, "SASInspectRead: a NULL argument");
	if (address < a->base || offset > a->region_size || size > a->region_size - offset)
		return sas_fail(EFAULT, "%s: %zu bytes at 0x%llx are not all in the region, 0x%llx-0x%llx", in->path, size,
				(unsigned long long)address, (unsigned long long)a->base,
				(unsigned long long)(a->base + a->region_size));
	while (size) {
		uint64_t left = a->segment_size - offset % a->segment_size, piece = size < left ? size : left;
		int error = sas_inspect_present(in, offset / a->segment_size) ? sas_inspect_read(in, offset, buffer, piece) :
			    (memset(buffer, 0, piece), 0);

		if (error)
			return sas_fail(-error, "%s: segment %llu cannot be read: %s", in->path,
					(unsigned long long)(offset / a->segment_size), strerror(-error));
		offset += piece;
		buffer += piece;
		size -= piece;
	}
	return 0;
}

/* No call is cancelled half way: descriptors and locks would stay. */
static int begin(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

static long end(int state, long result)
{
	long edge = result < 0 ? sas_err_edge((int)result) : result;

	pthread_setcancelstate(state, NULL);
	return edge;
}

SASInspect_t SASInspectOpen(const char *directory)
{
	int state = begin();
	struct sas_inspect *in;
	int error = sas_inspect_open(directory, &in);

	if (error) {
		sas_inspect_close(in);
		in = NULL;
	}
	end(state, error);
	return in;
}

void SASInspectClose(SASInspect_t inspect)
{
	int state = begin();

	sas_inspect_close(inspect);
	pthread_setcancelstate(state, NULL);
}

int SASInspectGetInfo(SASInspect_t inspect, SASInspectInfo *info)
{
	int state = begin();

	return (int)end(state, get_info(inspect, info));
}

long SASInspectListBlocks(SASInspect_t inspect, sas_block_kind_t kind, SASBlockInfo *buffer, size_t capacity)
{
	int state = begin();

	return end(state, list_blocks(inspect, kind, buffer, capacity));
}

long SASInspectListSegments(SASInspect_t inspect, SASSegmentInfo *buffer, size_t capacity)
{
	int state = begin();

	return end(state, list_segments(inspect, buffer, capacity));
}

long SASInspectListParticipants(SASInspect_t inspect, SASParticipantInfo *buffer, size_t capacity)
{
	int state = begin();

	return end(state, list_participants(inspect, buffer, capacity));
}

int SASInspectRead(SASInspect_t inspect, const void *address, void *buffer, size_t size)
{
	int state = begin();

	return (int)end(state, read_bytes(inspect, (uint64_t)address, buffer, size));
}

long SASInspectListLocks(SASInspect_t inspect, SASLockInfo *buffer, size_t capacity)
{
	int state = begin();

	return end(state, list_locks(inspect, buffer, capacity));
}

long SASInspectListThreads(SASInspect_t inspect, SASThreadInfo *buffer, size_t capacity)
{
	int state = begin();

	return end(state, list_threads(inspect, buffer, capacity));
}

long SASRegionCheck(const char *directory, SASProblem problem, void *arg)
{
	int state = begin();

	return end(state, sas_check(directory, problem, arg));
}

long SASRegionRepair(const char *directory, SASRepaired told, void *arg)
{
	int state = begin();

	return end(state, sas_repair(directory, told, arg));
}

int SASRegionCopy(const char *from, const char *to)
{
	int state = begin();

	return (int)end(state, sas_copy(from, to));
}
