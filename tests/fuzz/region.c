/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "region.h"
#include "sample.h"
#include "sas/media/anchor.h"
#include "sas/ground/hash.h"
#include "sas/lock/lock.h"
#include "sas/run/run.h"
#include "sas/block/tiles.h"
#include "sasepoch.h"
#include "sasinspect.h"

#define ANCHOR "SAS00000.DAT"
#define FIRST "SAS00001.DAT"
#define RUN "SAS.run"

void (*fuzz_failed)(void);

static unsigned flags;

static void fail(const char *what)
{
	fprintf(stderr, "%s (errno %d: \"%s\")\n", what, errno, SASLastErrorMessage());
	if (fuzz_failed)
		fuzz_failed();
	abort();
}

/* --- places */

struct place {
	const char *file;
	uint64_t offset, size;
};

static struct place places[] = {
	{ ANCHOR, 0, sizeof(struct sas_m_anchor) },
	{ ANCHOR, SAS_M_PAGE, sizeof(struct sas_m_state) },
	{ ANCHOR, 0, SAMPLE_SEGMENTS * sizeof(struct sas_m_segment) },          /* the table */
	{ ANCHOR, 0, 512 },                                                     /* log 0 */
	{ ANCHOR, 0, 256 },                                                     /* log 1 */
	{ ANCHOR, 0, 4096 },                                                    /* the maps of segments 0 and 1 */
	{ ANCHOR, 0, 256 },                                                     /* the head of the latter */
	{ ANCHOR, IMAGE_SEGMENT, sizeof(struct sas_m_trailer) },
	{ FIRST, IMAGE_SEGMENT, sizeof(struct sas_m_trailer) },
	{ "SAS00002.DAT", IMAGE_SEGMENT, sizeof(struct sas_m_trailer) },
	{ FIRST, 0, 40 * SAS_M_UNIT },                                          /* blocks, a chunk of logs */
	{ FIRST, 32 * SAS_M_UNIT, 512 },                                        /* its first log */
	{ RUN, 0, sizeof(struct sas_run_header) },
	{ RUN, SAS_RUN_PROCESS_OFFSET, sizeof(struct sas_run_process) },
	{ RUN, SAS_RUN_THREAD_OFFSET, 2 * sizeof(struct sas_run_thread) },
	{ RUN, SAS_RUN_PAGE_OFFSET, 64 },
	{ RUN, 0, SAS_RUN_LINE },                                               /* the line of SAMPLE_LOCKED */
	{ RUN, SAS_RUN_LOCK_OFFSET + SAS_RUN_BUCKETS * SAS_RUN_LINE, SAS_RUN_LINE },
	{ RUN, SAS_RUN_INDEX_OFFSET, 4096 },
	{ ANCHOR, 0, IMAGE_SEGMENT + SAS_M_PAGE },                              /* anywhere */
	{ RUN, SAS_RUN_PAGE_OFFSET + SAS_RUN_PAGE, 64 },                        /* deferred frees */
	{ RUN, SAS_RUN_PAGE_OFFSET + 2 * SAS_RUN_PAGE, 64 },                    /* a free page, */
	{ RUN, SAS_RUN_THREAD_OFFSET + 2 * sizeof(struct sas_run_thread), sizeof(struct sas_run_thread) },      /* slot, */
	{ RUN, SAS_RUN_LOCK_OFFSET + (SAS_RUN_BUCKETS + 1) * SAS_RUN_LINE, SAS_RUN_LINE },                      /* line */
	{ RUN, SAS_RUN_INDEX_OFFSET + 4096, 3 * 4096 },                         /* indexes of segments */
};

const unsigned fuzz_places = sizeof(places) / sizeof(places[0]);

static void find_places(void)
{
	const struct sas_m_anchor *a = &sample.anchor;

	places[2].offset = a->table_offset;
	places[3].offset = a->log_offset;
	places[4].offset = a->log_offset + SAS_M_LOG_SIZE;
	places[5].offset = a->map_offset;
	places[5].size = 2 * sas_map_bytes(a->segment_size);
	places[6].offset = a->map_offset + sas_map_bytes(a->segment_size);
	places[16].offset = SAS_RUN_LOCK_OFFSET + sas_lock_bucket(SAMPLE_LOCKED) * SAS_RUN_LINE;
}

uint64_t fuzz_place_size(unsigned place)
{
	return places[place].size;
}

/* --- changes */

static void cut(const struct place *p, uint64_t offset)
{
	int fd = sample_open(p->file, O_RDWR);

	if (ftruncate(fd, (off_t)(p->offset + offset)))
		fail("cutting a file");
	close(fd);
}

/* One change; how many bytes of input it took, 0 at the end. */
static size_t change(const uint8_t *input, size_t size)
{
	const struct place *p;
	uint64_t offset, length;

	if (size < 5)
		return 0;
	p = &places[input[0] % fuzz_places];
	offset = (uint64_t)(input[1] | input[2] << 8);
	if (p->size > 1UL << 16)
		offset *= p->size >> 16;
	offset %= p->size;
	if (input[3] & FUZZ_CUT) {
		cut(p, offset);
		return 4;
	}
	length = 1 + input[3] % FUZZ_BYTES;
	if (length > size - 4)
		length = size - 4;
	image_write(&sample, p->file, p->offset + offset, input + 4, length);
	return 4 + length;
}

/* Files that were cut too short for it are not corrected. */
static int read_whole(const char *file, uint64_t offset, void *bytes, size_t size)
{
	int fd = sample_open(file, O_RDONLY);
	ssize_t got = pread(fd, bytes, size, (off_t)offset);

	close(fd);
	return got == (ssize_t)size;
}

static void correct_trailer(const char *file)
{
	struct sas_m_trailer t;

	if (!read_whole(file, IMAGE_SEGMENT, &t, sizeof(t)))
		return;
	t.checksum = sas_trailer_checksum(&t);
	image_write(&sample, file, IMAGE_SEGMENT, &t, sizeof(t));
}

/* The records of a log belong to its intent, as far as they lie one behind the other. */
static void correct_log(const char *file, uint64_t offset)
{
	union { struct sas_m_log log; uint8_t bytes[SAS_M_LOG_SIZE]; } u;
	struct sas_m_record r;
	size_t at = sizeof(u.log);

	if (!read_whole(file, offset, &u, sizeof(u)))
		return;
	while (at + sizeof(r) <= sizeof(u)) {
		memcpy(&r, u.bytes + at, sizeof(r));
		if (r.type == 0 || r.length > sizeof(u) - at - sizeof(r))
			break;
		r.sequence = u.log.sequence;
		r.check = 0;
		r.check = sas_hash32(u.bytes + at + sizeof(r), r.length, sas_hash32(&r, sizeof(r), 0));
		memcpy(u.bytes + at, &r, sizeof(r));
		at += sizeof(r) + ((r.length + 7) & ~7U);
	}
	image_write(&sample, file, offset, &u, sizeof(u));
}

static void correct_sums(void)
{
	union {
		struct sas_m_anchor anchor;
		uint8_t page[SAS_M_PAGE];
	} u;

	if (read_whole(ANCHOR, 0, &u, sizeof(u))) {
		u.anchor.checksum = sas_anchor_checksum(&u.anchor);
		image_write(&sample, ANCHOR, 0, &u, sizeof(u));
	}
	correct_trailer(ANCHOR);
	correct_trailer(FIRST);
	correct_trailer("SAS00002.DAT");
	correct_log(ANCHOR, places[3].offset);
	correct_log(ANCHOR, places[4].offset);
	correct_log(FIRST, places[11].offset);
}

static void set_the_scene(void)
{
	uint32_t none = 0, active = SAS_M_LOG_ACTIVE, committed = SAS_M_LOG_COMMITTED, dead = SAMPLE_PID | FUTEX_OWNER_DIED;

	if (flags & FUZZ_UNCLEAN) {
		image_write(&sample, ANCHOR, SAS_M_PAGE + offsetof(struct sas_m_state, clean), &none, sizeof(none));
		image_write(&sample, ANCHOR, places[3].offset + offsetof(struct sas_m_log, state), &active, sizeof(active));
		image_write(&sample, ANCHOR, places[4].offset + offsetof(struct sas_m_log, state), &committed,
			    sizeof(committed));
	}
	if (flags & FUZZ_REBOOTED)
		image_write(&sample, ANCHOR, SAS_M_PAGE + offsetof(struct sas_m_state, boot_id), "another boot, so", 16);
	for (unsigned i = 0; i < 2 && (flags & FUZZ_DEAD); i++)
		image_write(&sample, RUN, SAS_RUN_THREAD_OFFSET + i * sizeof(struct sas_run_thread), &dead, sizeof(dead));
}

/* --- looking */

static long told;
static char first_problem[300];

static void count_problem(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	(void)arg;
	if (told++ == 0)
		snprintf(first_problem, sizeof(first_problem), "%s, offset %lu: %s", file, (unsigned long)offset, sentence);
	if (!*file || !*sentence)
		fail("a problem without a file or a sentence");
}

/* A failing call has an errno that the page names, and a sentence. */
static void expect_reason(const char *what)
{
	if ((errno != EUCLEAN && errno != EPROTONOSUPPORT && errno != ENOENT) || !*SASLastErrorMessage())
		fail(what);
}

#define MOST_BLOCKS 2048
static SASBlockInfo blocks[MOST_BLOCKS];

static void list_everything(SASInspect_t in)
{
	SASSegmentInfo segments[SAMPLE_SEGMENTS];
	SASParticipantInfo participants[64];

	for (sas_block_kind_t kind = SASBlock__IN_USE; kind <= SASBlock__IN_USE_MERGED; kind++) {
		long count = SASInspectListBlocks(in, kind, blocks, MOST_BLOCKS);
		uint64_t end = 0;

		if (count < 0)
			expect_reason("SASInspectListBlocks");
		for (long i = 0; i < count && i < MOST_BLOCKS; i++) {
			if ((uint64_t)blocks[i].address < end)
				fail("a list that is not ascending");
			end = (uint64_t)blocks[i].address + blocks[i].size;
		}
	}
	if (SASInspectListSegments(in, segments, SAMPLE_SEGMENTS) < 0)
		expect_reason("SASInspectListSegments");
	if (SASInspectListParticipants(in, participants, 64) < 0)
		expect_reason("SASInspectListParticipants");
}

static void list_locks(SASInspect_t in, int changed)
{
	SASLockInfo locks[16];
	SASThreadInfo threads[64];
	long count = SASInspectListLocks(in, locks, 16), heads = SASInspectListThreads(in, threads, 64);

	if (count < 0 || heads < 0)
		expect_reason("SASInspectListLocks");
	for (long i = 0; i < count && i < 16; i++)
		if ((unsigned)locks[i].mode > SasUserLock__INTENT || (unsigned)locks[i].state > SASLock__UPDATES ||
		    (i && (uintptr_t)locks[i].address < (uintptr_t)locks[i - 1].address))
			fail("a lock that cannot be");
	for (long i = 0; i < heads && i < 64; i++)
		if (threads[i].waits > 1 || (unsigned)threads[i].waitMode > SasUserLock__INTENT)
			fail("a thread that cannot be");
	if (changed)
		return;
	if (count != 3 || heads != 2 || (uint64_t)locks[0].address != SAMPLE_LOCKED || locks[0].since != 5 ||
	    locks[1].state != SASLock__WAITS || locks[1].mode != SasUserLock__WRITE || locks[1].since != 6 ||
	    locks[2].mode != SasUserLock__WRITE || !locks[2].ownerDied || locks[2].pid != SAMPLE_PID ||
	    threads[0].locksHeld != 2 || !threads[1].waits || (uint64_t)threads[1].waitsFor != SAMPLE_LOCKED)
		fail("the sample's locks are not listed as they are");
}

/* Problems, or -1. */
static long check(void)
{
	long problems;

	told = 0;
	problems = SASRegionCheck(sample.path, count_problem, NULL);
	if (problems < 0)
		expect_reason("SASRegionCheck");
	else if (problems != told)
		fail("a problem that was not told");
	return problems;
}

/* By everything that reads without joining, which changes nothing. Problems, or -1. */
static long look(int changed)
{
	uint64_t before = image_fingerprint(sample.path);
	SASInspectInfo info = { .structSize = sizeof(info) };
	SASInspect_t in = SASInspectOpen(sample.path);
	long problems;

	if (in) {
		if (SASInspectGetInfo(in, &info))
			expect_reason("SASInspectGetInfo");
		list_everything(in);
		if (flags & FUZZ_LOCKS)
			list_locks(in, changed);
	} else {
		expect_reason("SASInspectOpen");
	}
	SASInspectClose(in);
	problems = check();
	if (image_fingerprint(sample.path) != before)
		fail("looking changed a file");
	return problems;
}

/* --- joining */

/* Nobody else lives, so nothing is waited for. */
static void expect_no_wait(const char *what)
{
	if (errno == ETIMEDOUT || errno == EDEADLK || errno == EBUSY)
		fail(what);
}

#define MANY 40         /* locks: more than a thread's slot has records for */

static void use_locks(char *first)
{
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++)
			if (SASLockTake(first + i, i % 3 ? SasUserLock__WRITE : SasUserLock__READ, SAS_LOCK_OWNERDEAD, 20))
				expect_no_wait("a lock that nobody holds");
		for (unsigned i = 0; i < MANY; i++)
			SASUnlock(first + i);
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

static void use_epochs(SASRegion_t r, void *block)
{
	SASEpochEnter(r);
	SASEpochExit(r);
	SASEpochDefer(r, nothing, NULL, 100);
	if (block)
		SASEpochFree(block, 4096);
	if (SASEpochSynchronize(r, 20))
		expect_no_wait("readers that nobody is");
	SASEpochReclaim(r);
}

/* Whatever each call says. */
static void use(SASRegion_t r)
{
	SASRegionInfo info = { .structSize = sizeof(info) };
	uint64_t base;
	void *block[6];

	base = SASRegionGetInfo(r, &info) == 0 ? info.mappedAt : IMAGE_BASE;
	for (sas_block_kind_t kind = SASBlock__IN_USE; kind <= SASBlock__IN_USE_MERGED; kind++)
		SASRegionListBlocks(r, kind, blocks, MOST_BLOCKS);
	for (unsigned i = 0; i < 6; i++) {
		block[i] = SASRegionBlockAlloc(r, 4096UL << 2 * i);
		if (block[i] && SASMapAhead(block[i], 4096) == 0)
			memset(block[i], 1, 4096);
	}
	SASBlockFind((void *)(base + IMAGE_SEGMENT), &blocks[0]);
	SASBlockFree((void *)(base + IMAGE_SEGMENT), 4096);
	SASBlockFree((void *)(base + 2 * IMAGE_SEGMENT), 2 * IMAGE_SEGMENT);
	SASMapAhead((void *)(base + 3 * IMAGE_SEGMENT), 1);
	use_locks((char *)(base + SAMPLE_LOCKED - IMAGE_BASE));
	use_epochs(r, block[0]);
	for (int i = 2; i < 6; i += 2)
		if (block[i])
			SASBlockFree(block[i], 4096UL << 2 * i);
	SASRegionTrim(r);
	SASRegionRecover(r);
}

/* The check finds nothing, and excuses nothing by an intent that waits. */
static int is_whole(void)
{
	SASInspectInfo info = { .structSize = sizeof(info) };
	SASInspect_t in = SASInspectOpen(sample.path);
	int settled = in && SASInspectGetInfo(in, &info) == 0 && info.intents == 0;

	SASInspectClose(in);
	return settled && check() == 0;
}

/* What the living share is theirs: a join makes it anew, or finds it as they left it, and all are dead. */
static void leave_run_to_dead(void)
{
	uint64_t threads = SAS_RUN_THREAD_OFFSET;
	char path[4200];
	uint32_t word;

	snprintf(path, sizeof(path), "%s/" RUN, sample.path);
	if (!(flags & FUZZ_DEAD)) {
		unlink(path);
		return;
	}
	for (unsigned i = 0; i < SAMPLE_THREADS; i++, threads += sizeof(struct sas_run_thread))
		if (read_whole(RUN, threads, &word, sizeof(word)) && (word & FUTEX_TID_MASK) && !(word & FUTEX_OWNER_DIED)) {
			word |= FUTEX_OWNER_DIED;
			image_write(&sample, RUN, threads, &word, sizeof(word));
		}
}

/* A region that is whole stays whole. */
static void join(void)
{
	int whole;
	SASRegionOptions options;
	SASRegion_t r;

	leave_run_to_dead();
	whole = is_whole();
	SASRegionOptionsInit(&options);
	options.flags = flags & FUZZ_READ_ONLY ? SAS_JOIN_READONLY : 0;
	errno = 0;
	r = SASRegionJoin(sample.path, &options);
	if (!r) {
		if (errno <= 0 || errno > 200 || !*SASLastErrorMessage())
			fail("a join without an errno or a sentence");
		return;
	}
	use(r);
	if (SASRegionLeave(r))
		fail("a region that cannot be left");
	if (whole && check() != 0)
		fail(first_problem);            /* a whole region was broken by its use */
}

/* --- repairing */

static void hear(const char *file, uint64_t offset, const char *sentence, int done, void *arg)
{
	(void)offset;
	(void)done;
	(void)arg;
	if (!*file || !*sentence)
		fail("a repair without a file or a sentence");
}

/* Where it leaves no problem there is none. */
static void repair(void)
{
	long left;

	leave_run_to_dead();
	errno = 0;
	left = SASRegionRepair(sample.path, hear, NULL);
	if (left < 0 && (errno <= 0 || errno > 200 || !*SASLastErrorMessage()))
		fail("a repair without an errno or a sentence");
	if (left == 0 && check() != 0)
		fail(first_problem);
}

/* --- inputs */

void fuzz_one(const uint8_t *input, size_t size)
{
	size_t took;

	if (size == 0)
		return;
	flags = *input++;
	size--;
	set_the_scene();
	while ((took = change(input, size)) > 0) {
		input += took;
		size -= took;
	}
	if (flags & FUZZ_SUMS)
		correct_sums();
	look(1);
	if (flags & FUZZ_JOIN)
		join();
	else if (flags & FUZZ_REPAIR)
		repair();
	sample_restore();
}

/* The join has recovered both threads, so it has gone by the SAS.run that it found. */
static void expect_recovered(void)
{
	struct sas_run_header h;

	if (!read_whole(RUN, 0, &h, sizeof(h)) || h.recoveries.word != 2)
		fail("the sample's dead were not recovered");
}

void fuzz_begin(void)
{
	sample_make();
	find_places();
	flags = FUZZ_LOCKS;
	if (look(0) != 0)
		fail("the sample is bad");
	flags = FUZZ_UNCLEAN | FUZZ_DEAD;
	set_the_scene();
	join();
	expect_recovered();
	sample_restore();
	if (look(0) != 0)
		fail("the restored sample is bad");
}
