/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sas/media/anchor.h"
#include "sas/ground/lines.h"
#include "sas/run/log.h"
#include "sas/ground/port.h"
#include "sas/region/runtime.h"
#include "sas/media/segment.h"
#include "sas/block/tiles.h"
#include "sasepoch.h"
#include "sasinspect.h"
#include "disk.h"
#include "promise.h"
#include "store.h"
#include "verify.h"

#define PAGE 4096UL
#define SECTOR 512UL

static unsigned draw(struct promises *p, unsigned below)
{
	p->seed = p->seed * 1103515245U + 12345U;
	return (p->seed >> 8) % below;
}

/* --- content: a word in each sector of the first and the last page of a block */

static uint64_t mark_of(uint64_t address, uint32_t version)
{
	return (address + version) * 0x9E3779B97F4A7C15UL | 1;
}

static void mark(const struct promise *b)
{
	uint64_t last = b->address + b->size - PAGE;

	for (uint64_t at = 0; at < PAGE; at += SECTOR) {
		*(uint64_t *)(b->address + at) = mark_of(b->address + at, b->version);
		*(uint64_t *)(last + at) = mark_of(last + at, b->version);
	}
}

/* It is of the version that was synced, or a later one. */
static int is_marked(const struct promise *b, uint64_t where, uint64_t word)
{
	for (uint32_t v = b->synced ? b->synced - 1 : 0; v <= b->version; v++)
		if (word == mark_of(where, v))
			return 1;
	return 0;
}

static void check_marks(struct scene *s, const struct promise *b)
{
	for (uint64_t at = 0; at < PAGE; at += SECTOR)
		for (uint64_t k = 0; k < 2; k++) {
			uint64_t where = b->address + at + k * (b->size - PAGE);
			uint64_t word = *(const uint64_t *)where;

			if (!is_marked(b, where, word) && (b->synced || (word && k == 0)))
				scene_fail(s, "the word at %#lx of the block at %#lx, %lu bytes, is %#lx: %s",
					   where, b->address, b->size, word,
					   b->synced ? "its content was synced"
						     : "a new block begins with zeros");
		}
}

/* --- calls */

static void doing(struct promises *p, const char *what)
{
	p->settled = 0;
	snprintf(p->doing, sizeof p->doing, "%s", what);
}

static SASRegion_t join(struct scene *s, struct promises *p, const char *path)
{
	SASRegionOptions o;
	SASRegion_t region;

	doing(p, "SASRegionJoin");
	SASRegionOptionsInit(&o);
	o.flags = SAS_JOIN_CREATE;
	o.mode = 0600;
	o.base = SCENE_BASE;
	o.regionSize = p->region_size;
	o.segmentSize = p->segment_size;
	o.durability = p->durability;
	region = SASRegionJoin(path, &o);
	if (!region)
		scene_fail_call(s, "SASRegionJoin");
	if (p->strict)
		p->exists = 1;
	return region;
}

static uint64_t draw_size(struct promises *p)
{
	static const uint64_t large[] = { 1UL << 20, 2UL << 20, 4UL << 20, 8UL << 20, 16UL << 20 };

	return draw(p, 6) ? PAGE << draw(p, 8) : large[draw(p, 5)];
}

static void do_alloc(struct scene *s, struct promises *p, SASRegion_t region)
{
	struct promise *b = &p->blocks[draw(p, PROMISES / 4)];
	uint64_t size = draw_size(p), address;

	if (b->address)
		return;
	doing(p, "SASRegionBlockAlloc");
	p->freed = 0;
	address = (uintptr_t)SASRegionBlockAlloc(region, size);
	if (!address && errno == ENOMEM)
		return;
	if (!address)
		scene_fail_call(s, "SASRegionBlockAlloc");
	b->size = size;
	b->version = 0;
	b->synced = 0;
	b->held = 0;
	b->address = address;
	b->held = (uint32_t)p->strict;
	doing(p, "stores");
	mark(b);
}

/* Other content, and now and then a sync of these pages alone. */
static void do_change(struct scene *s, struct promises *p)
{
	struct promise *b = &p->blocks[draw(p, PROMISES / 4)];

	if (!b->address)
		return;
	doing(p, "stores");
	b->version++;
	mark(b);
	if (draw(p, 2))
		return;
	doing(p, "SASSyncRange");
	if (SASSyncRange((void *)b->address, PAGE) != 0 ||
	    SASSyncRange((void *)(b->address + b->size - PAGE), PAGE) != 0)
		scene_fail_call(s, "SASSyncRange");
	b->synced = b->version + 1;
}

static void free_now(struct scene *s, struct promises *p, const struct promise *b)
{
	doing(p, "SASBlockFree");
	if (SASBlockFree((void *)b->address, b->size) != 0)
		scene_fail_call(s, "SASBlockFree");
}

/* Condemned, which a cut makes free; now and then freed as well. */
static void free_later(struct scene *s, struct promises *p, SASRegion_t region, const struct promise *b)
{
	doing(p, "SASEpochFree");
	if (SASEpochFree((void *)b->address, b->size) != 0)
		scene_fail_call(s, "SASEpochFree");
	if (draw(p, 3))
		return;
	doing(p, "SASEpochReclaim");
	if (SASEpochReclaim(region) < 0)
		scene_fail_call(s, "SASEpochReclaim");
}

static void do_free(struct scene *s, struct promises *p, SASRegion_t region)
{
	struct promise *b = &p->blocks[draw(p, PROMISES / 4)];
	uint64_t address = b->address;

	if (!address)
		return;
	b->held = 0;
	if (draw(p, 2))
		free_now(s, p, b);
	else
		free_later(s, p, region, b);
	b->address = 0;
	if (p->strict) {
		p->freed_size = b->size;
		p->freed = address;
	}
}

static void do_sync(struct scene *s, struct promises *p, SASRegion_t region)
{
	doing(p, "SASSync");
	if (SASSync(region) != 0)
		scene_fail_call(s, "SASSync");
	p->exists = 1;
	for (unsigned i = 0; i < PROMISES; i++)
		if (p->blocks[i].address) {
			p->blocks[i].synced = p->blocks[i].version + 1;
			p->blocks[i].held = 1;
		}
	p->finder_known = p->words_known = 1;
	p->settled = 1;
	syscall(PROMISE_SETTLED);
}

static void do_finder(struct scene *s, struct promises *p, SASRegion_t region)
{
	uint64_t finder = SCENE_BASE + 8UL * draw(p, 1000);

	doing(p, "SASRegionSetFinder");
	p->finder[1] = finder;
	p->finder_known &= p->strict;
	if (SASRegionSetFinder(region, (void *)finder) != 0)
		scene_fail_call(s, "SASRegionSetFinder");
	p->finder[0] = finder;
	p->finder_known |= p->strict;
}

static void do_trim(struct scene *s, struct promises *p, SASRegion_t region)
{
	doing(p, "SASRegionTrim");
	if (SASRegionTrim(region) < 0)
		scene_fail_call(s, "SASRegionTrim");
}

/* --- intents: a word in each of several sectors of a block, all with one value */

static uint64_t word_at(const struct promises *p, unsigned i)
{
	return p->words + 3 * SECTOR * i;
}

static void make_words(struct scene *s, struct promises *p, SASRegion_t region)
{
	uint64_t words = (uintptr_t)SASRegionBlockAlloc(region, 8192);

	if (!words)
		scene_fail_call(s, "SASRegionBlockAlloc");
	p->words = words;
	do_sync(s, p, region);
}

/* Free space of large tiles: what is cut from them later has its entries in other sectors than their heads.
 */
static void make_tiles(struct scene *s, struct promises *p, SASRegion_t region)
{
	doing(p, "SASRegionBlockAlloc and SASBlockFree");
	for (uint64_t size = 4UL << 20; size >= 1UL << 20; size /= 2) {
		void *block = SASRegionBlockAlloc(region, size);

		if (!block || SASBlockFree(block, size) != 0)
			scene_fail_call(s, "SASRegionBlockAlloc and SASBlockFree");
	}
}

static int change(struct sas_intent *intent, uint64_t at, uint64_t value, int redo)
{
	uint64_t *word = (void *)at;
	int error;

	if (redo)
		return sas_intent_redo(intent, word, &value, sizeof value);
	error = sas_intent_undo(intent, word, sizeof *word);
	if (!error)
		*word = value;
	return error;
}

static void do_intent(struct scene *s, struct promises *p, SASRegion_t region)
{
	struct sas_thread *t;
	struct sas_intent intent;
	unsigned kind = draw(p, 3);
	int error;

	doing(p, kind ? "sas_intent: undo" : "sas_intent: redo");
	p->dense = 1;
	p->value[1] = p->value[0] + 1;
	p->words_known &= p->strict;
	error = sas_call_begin(region, SAS_CALL_WRITE | SAS_CALL_SLOT, &t);
	if (!error)
		error = sas_intent_begin(region, (uint64_t)sas_thread_slot(t, region), &intent);
	for (unsigned i = 0; i < PROMISE_WORDS && !error; i++)
		error = change(&intent, word_at(p, i), p->value[1], kind == 0);
	if (!error)
		error = kind < 2 ? sas_intent_commit(&intent) : sas_intent_abort(&intent);
	if (error)
		scene_fail_call(s, "sas_intent");
	if (kind < 2)
		p->value[0] = p->value[1];
	p->value[1] = p->value[0];
	sas_call_end(t);
	p->dense = 0;
}

/* The old region's promises end with the call, and the new one's begin: it has nothing. */
static void do_reset(struct scene *s, struct promises *p, SASRegion_t region)
{
	doing(p, "SASRegionReset");
	p->dense = 1;
	p->exists = p->finder_known = p->words_known = 0;
	p->freed = p->words = 0;
	memset(p->blocks, 0, sizeof p->blocks);
	memset(p->finder, 0, sizeof p->finder);
	memset(p->value, 0, sizeof p->value);
	if (SASRegionReset(region) != 0)
		scene_fail_call(s, "SASRegionReset");
	p->finder_known = p->exists = 1;
	p->dense = 0;
	make_words(s, p, region);
}

void promise_copy(struct scene *s, struct promises *p, const char *from, const char *to)
{
	doing(p, "SASRegionCopy");
	if (SASRegionCopy(from, to) != 0)
		scene_fail_call(s, "SASRegionCopy");
	p->copying = 0;
	p->exists = 1;
	syscall(PROMISE_SETTLED);
}

/* --- persistent memory */

static struct sas_port memory_port;

static void *map_without_sync(void *address, size_t size, int protection, int flags, int fd, uint64_t offset)
{
	return sas_port_linux.mmap(address, size, protection, flags & ~MAP_SYNC, fd, offset);
}

static void tell_lines(uintptr_t from, uintptr_t to)
{
	syscall(SYS_msync, from, to - from, DISK_LINES);
}

static void tell_fence(void)
{
	syscall(SYS_msync, 0, 0, DISK_FENCE);
}

void promise_port(const struct promises *p)
{
	static const struct sas_lines told = { "told", tell_lines, tell_fence };

	if (p->durability != SASDurability__PMEM)
		return;
	memory_port = sas_port_linux;
	memory_port.mmap = map_without_sync;
	sas_port = &memory_port;
	sas_lines = &told;
}

/* --- at work */

void promise_work(struct scene *s, struct promises *p, const char *path)
{
	SASRegion_t region = join(s, p, path);

	make_words(s, p, region);
	make_tiles(s, p, region);
	for (unsigned i = 0; i < p->calls; i++) {
		unsigned n = draw(p, 100);

		if (i == p->calls / 2) {
			do_reset(s, p, region);
		} else if (n < 40) {
			do_alloc(s, p, region);
		} else if (n < 62) {
			do_free(s, p, region);
		} else if (n < 70) {
			do_change(s, p);
		} else if (n < 78) {
			do_sync(s, p, region);
		} else if (n < 84) {
			do_finder(s, p, region);
		} else if (n < 88) {
			do_trim(s, p, region);
		} else if (n < 95) {
			do_intent(s, p, region);
		} else {
			doing(p, "SASRegionLeave");
			if (SASRegionLeave(region) != 0)
				scene_fail_call(s, "SASRegionLeave");
			region = join(s, p, path);
		}
	}
	do_sync(s, p, region);
	doing(p, "SASRegionLeave");
	SASRegionLeave(region);
}

/* --- after the cut */

static void check_block(struct scene *s, const struct promise *b)
{
	SASBlockInfo info;

	if (SASBlockFind((void *)b->address, &info) != 0 || (uintptr_t)info.address != b->address ||
	    info.size != b->size)
		scene_fail(s, "the block at %#lx, %lu bytes, is lost", b->address, b->size);
	check_marks(s, b);
}

static void check_words(struct scene *s, const struct promises *p)
{
	uint64_t first = *(const uint64_t *)word_at(p, 0);

	if (first != p->value[0] && first != p->value[1])
		scene_fail(s, "an intent's first word is %lu, not %lu or %lu", first, p->value[0],
			   p->value[1]);
	for (unsigned i = 1; i < PROMISE_WORDS; i++)
		if (*(const uint64_t *)word_at(p, i) != first)
			scene_fail(s, "an intent is half done: word 0 is %lu, word %u is %lu", first, i,
				   *(const uint64_t *)word_at(p, i));
}

static int is_promised(const struct promises *p, const SASBlockInfo *block)
{
	uint64_t address = (uintptr_t)block->address;
	int found = block->generation == 0 || address == p->words;

	for (unsigned i = 0; i < PROMISES && !found; i++)
		found = p->blocks[i].address == address;
	return found;
}

/* Nothing but what was there. */
static void check_nothing_else(struct scene *s, const struct promises *p, SASRegion_t region)
{
	SASBlockInfo list[PROMISES];
	long count = SASRegionListBlocks(region, SASBlock__IN_USE, list, PROMISES);

	if (count < 0 || count > PROMISES)
		scene_fail_call(s, "SASRegionListBlocks");
	for (long i = 0; i < count; i++)
		if (!is_promised(p, &list[i]))
			scene_fail(s, "the block at %p, %lu bytes, generation %#x, is in use, though it was not at the sync, "
				   "and nothing was done since", list[i].address, list[i].size, list[i].generation);
	if (s->torn)
		scene_fail(s, "the check tells of problems, though nothing was done since the sync");
}

static void check_joined(struct scene *s, const struct promises *p, SASRegion_t region)
{
	uint64_t finder = (uintptr_t)SASRegionFinder(region);
	SASBlockInfo info;

	for (unsigned i = 0; i < PROMISES; i++)
		if (p->blocks[i].held)
			check_block(s, &p->blocks[i]);
	if (p->freed && SASBlockFind((void *)p->freed, &info) == 0)
		scene_fail(s, "the block at %#lx, %lu bytes, was freed and is in use", p->freed,
			   p->freed_size);
	if (p->finder_known && finder != p->finder[0] && finder != p->finder[1])
		scene_fail(s, "the finder is %#lx, not %#lx or %#lx", finder, p->finder[0], p->finder[1]);
	if (p->words && p->words_known)
		check_words(s, p);
	if (p->settled)
		check_nothing_else(s, p, region);
}

/* --- what the maps say, read as bytes: any mixture of their pages has the entries of these blocks */

static uint32_t read_entry(struct scene *s, const char *path, uint64_t segment, uint64_t offset)
{
	char name[PATH_MAX + SAS_SEGMENT_NAME + 1], file[SAS_SEGMENT_NAME];
	uint32_t entry = 0;
	int fd;

	snprintf(name, sizeof name, "%s/%s", path, sas_segment_name(file, segment));
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, sizeof entry, (off_t)offset) != sizeof entry)
		scene_fail(s, "%s: %s", name, strerror(errno));
	close(fd);
	return entry;
}

static void read_anchor(struct scene *s, const char *path, struct sas_m_anchor *a)
{
	union { struct sas_m_anchor anchor; char page[SAS_M_PAGE]; } u;
	char name[PATH_MAX + SAS_SEGMENT_NAME + 1];
	int fd;

	snprintf(name, sizeof name, "%s/SAS00000.DAT", path);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &u, sizeof u, 0) != sizeof u || sas_anchor_validate(&u.anchor, name) != 0)
		scene_fail(s, "%s: no anchor (%s)", name, SASLastErrorMessage());
	close(fd);
	*a = u.anchor;
}

static void check_entry(struct scene *s, const char *path, const struct sas_m_anchor *a,
			const struct promise *b)
{
	uint64_t at = b->address - a->base, n = at / a->segment_size, map = sas_map_of(a, n), unit, wanted;
	uint32_t table = read_entry(s, path, 0, a->table_offset + n * sizeof(struct sas_m_segment) +
				    offsetof(struct sas_m_segment, block));
	uint32_t entry = table;

	wanted = (uint64_t)__builtin_ctzll(b->size / a->segment_size | 1UL << 63);
	if (b->size < a->segment_size) {
		unit = (at - n * a->segment_size) / SAS_M_UNIT;
		wanted = (uint64_t)__builtin_ctzll(b->size / SAS_M_UNIT);
		if (!sas_entry_carved(table))
			scene_fail(s, "segment %lu, which holds the block at %#lx, is not carved: %#x", n,
				   b->address, table);
		entry = read_entry(s, path, map / a->segment_size,
				   map % a->segment_size + unit * sizeof entry);
	}
	if (sas_entry_state(entry) != SAS_M_USED || sas_entry_order(entry) != wanted)
		scene_fail(s, "the map entry of the block at %#lx, %lu bytes, is %#x", b->address, b->size,
			   entry);
}

static void check_entries(struct scene *s, const struct promises *p, const char *path)
{
	struct sas_m_anchor a;

	if (!p->exists)
		return;
	read_anchor(s, path, &a);
	for (unsigned i = 0; i < PROMISES; i++)
		if (p->blocks[i].held)
			check_entry(s, path, &a, &p->blocks[i]);
}

void promise_verify(struct scene *s, const struct promises *p, const char *path)
{
	SASRegion_t region;

	s->verdict = 0;
	promise_port(p);
	check_entries(s, p, path);
	s->torn = SASRegionCheck(path, NULL, NULL) != 0;
	region = SASRegionJoin(path, NULL);
	if (!region && errno == ENOENT && !p->exists && (p->copying || store_count(path) == 0))
		return;
	if (!region && errno == EUCLEAN && !p->strict && !p->settled) {
		s->verdict = 2;
		return;
	}
	if (!region)
		scene_fail_call(s, "SASRegionJoin");
	check_joined(s, p, region);
	model_exhaust(s, region);
	check_joined(s, p, region);
	if (SASRegionLeave(region) != 0)
		scene_fail_call(s, "SASRegionLeave");
	verify_check(s, path, "after recovery");
	s->verdict = 1;
}
