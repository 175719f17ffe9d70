/* SPDX-License-Identifier: MIT */
/*
 * test_fuzz_inspect.c - whatever bytes a region's files hold, looking at them ends: no crash, no
 * endless loop, no call that succeeds with more than the files can say, and not a byte changed.
 * Nor do they crash a process that joins, allocates, frees and lists.
 *
 * A sample region is damaged at random in the places that readers interpret, looked at by every
 * inspecting call, and mended. Half of the rounds store a correct checksum after the damage, so
 * that what lies behind the checksum is reached. SAS_FUZZ_ROUNDS and SAS_FUZZ_SEED choose how often
 * and where to begin; a failure prints the seed of its round.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "image.h"
#include "sandbox.h"
#include "sas/anchor.h"
#include "sas/hold.h"
#include "sas/lock.h"
#include "sas/port.h"
#include "sas/run.h"
#include "sas/run_page.h"
#include "sas/tiles.h"
#include "sasinspect.h"

#define SEGMENTS 8
#define DAMAGES 8
#define SECONDS 20              /* that one round may take */

static struct image m;
static unsigned long seed, current;

static uint64_t draw(void)
{
	static uint64_t x;
	uint64_t z;

	if (seed) {
		x = seed;
		seed = 0;
	}
	z = x += 0x9E3779B97F4A7C15UL;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9UL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBUL;
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return draw() % n;
}

/* --- the sample */

#define ADDRESS (IMAGE_BASE + 0x1234)
#define LINES (SAS_RUN_BUCKETS + 64UL)
#define PAGES 64U

static void put(int fd, const void *bytes, size_t size, uint64_t offset)
{
	if (pwrite(fd, bytes, size, (off_t)offset) != (ssize_t)size)
		exit(99);
}

/* Thread 0 holds ADDRESS for reading, by its slot, and another address for writing, by a page; thread 1 waits for the first. */
static void make_locks(int fd)
{
	uint32_t bucket = sas_lock_bucket(ADDRESS);
	struct sas_run_line line = { .next.word = SAS_RUN_BUCKETS }, more = { .died = { 1 } };
	struct sas_run_page page = { .owner.word = 1, .kind = SAS_RUN_PAGE_HOLDS };
	struct sas_run_thread *t = calloc(2, sizeof(*t));
	uint32_t word = 77, record = sas_hold_record(SAS_RUN_BUCKETS << 2, SAS_HOLD_WRITE);

	line.lock[1].key.word = ADDRESS;
	line.lock[1].word.word = sas_lock_word(1 | SAS_LOCK_CHANGE_WAITS, 0, 9, 0);
	line.seen_word[1].word = sas_lock_word(1, 0, 9, 0);
	line.seen_at[1].word = 5;
	more.lock[0].key.word = ADDRESS + 1;
	more.lock[0].word.word = sas_lock_word(SAS_LOCK_WRITE, 0, 8, 1);
	memcpy(page.bytes, &record, sizeof(record));
	for (int i = 0; i < 2; i++) {
		t[i].state.word = SAS_RUN_USED;
		t[i].process = 1;
		memcpy(&t[i].life, &word, sizeof(word));
	}
	t[0].holds[3].word = sas_hold_record(bucket << 2 | 1, SAS_HOLD_READ);
	t[1].lock_wait.word = (bucket << 2 | 1U) << 4 | SAS_WAIT_OPEN | SAS_HOLD_WRITE;
	t[1].lock_wait_since.word = 6;
	put(fd, t, 2 * sizeof(*t), SAS_RUN_THREAD_OFFSET);
	put(fd, &page, sizeof(page), SAS_RUN_PAGE_OFFSET);
	put(fd, &line, sizeof(line), SAS_RUN_LOCK_OFFSET + bucket * SAS_RUN_LINE);
	put(fd, &more, sizeof(more), SAS_RUN_LOCK_OFFSET + SAS_RUN_BUCKETS * SAS_RUN_LINE);
	free(t);
}

static void make_run_file(void)
{
	struct sas_run_header *h = calloc(1, sizeof(*h));
	struct sas_run_process p = { .state.word = SAS_RUN_USED, .pid = 77 };
	struct stat st;
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "%s/SAS.run", m.path);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0640);
	if (fd < 0 || fstat(fd, &st))
		exit(99);
	h->device = st.st_dev;
	h->inode = st.st_ino;
	h->magic = SAS_RUN_MAGIC;
	sas_port_boot_id(h->boot_id);
	memcpy(h->uuid, m.anchor.uuid, sizeof(h->uuid));
	h->generation = m.anchor.generation;
	h->process_top.word = h->thread_top.word = 64;
	h->page_top.word = PAGES;
	h->line_space.word = h->line_top.word = LINES;
	put(fd, h, sizeof(*h), 0);
	put(fd, &p, sizeof(p), SAS_RUN_PROCESS_OFFSET);
	make_locks(fd);
	close(fd);
	free(h);
}

static void make_sample(void)
{
	struct sas_m_log log = {
		.magic = SAS_M_MAGIC_LOG, .state = SAS_M_LOG_ACTIVE, .used = 64, .sequence = 1
	};

	image_make(&m, SEGMENTS);
	image_carve(&m, 1);
	image_entry(&m, 1, 0, SAS_M_USED, 0, 5);
	image_entry(&m, 1, 1, SAS_M_FREED, 0, 0);
	image_entry(&m, 1, 2, SAS_M_USED, 1, 6);
	image_entry(&m, 1, 4, SAS_M_DIRTY, 2, 0);
	image_entry(&m, 1, 32, SAS_M_USED, 5, 0);
	image_large_block(&m, 2, 1, 8);
	m.state.log_chunk[0] = IMAGE_SEGMENT + 32 * SAS_M_UNIT;
	sas_port_boot_id(m.state.boot_id);
	image_store(&m);
	image_write_segment(&m, 0, m.anchor.log_offset, &log, sizeof(log));
	make_run_file();
}

/* --- damage */

struct place {
	const char *file;
	uint64_t offset, size;
};

static struct place pick_place(void)
{
	const struct sas_m_anchor *a = &m.anchor;
	const struct place places[] = {
		{ "SAS00000.DAT", 0, sizeof(struct sas_m_anchor) },
		{ "SAS00000.DAT", SAS_M_PAGE, sizeof(struct sas_m_state) },
		{ "SAS00000.DAT", a->table_offset, SEGMENTS * sizeof(struct sas_m_segment) },
		{ "SAS00000.DAT", a->log_offset, 256 },
		{ "SAS00000.DAT", a->map_offset, 2 * sas_map_bytes(a->segment_size) },
		{ "SAS00000.DAT", a->map_offset, 64 },
		{ "SAS00000.DAT", IMAGE_SEGMENT, sizeof(struct sas_m_trailer) },
		{ "SAS00001.DAT", IMAGE_SEGMENT, sizeof(struct sas_m_trailer) },
		{ "SAS00001.DAT", 0, IMAGE_SEGMENT },
		{ "SAS.run", 0, sizeof(struct sas_run_header) },
		{ "SAS.run", SAS_RUN_PROCESS_OFFSET, sizeof(struct sas_run_process) },
		{ "SAS.run", SAS_RUN_THREAD_OFFSET, 2 * sizeof(struct sas_run_thread) },
		{ "SAS.run", SAS_RUN_PAGE_OFFSET, 16 },
		{ "SAS.run", SAS_RUN_LOCK_OFFSET + sas_lock_bucket(ADDRESS) * SAS_RUN_LINE, SAS_RUN_LINE },
		{ "SAS.run", SAS_RUN_LOCK_OFFSET + SAS_RUN_BUCKETS * SAS_RUN_LINE, SAS_RUN_LINE },
	};

	return places[below(sizeof(places) / sizeof(places[0]))];
}

struct damage {
	struct place at;
	uint8_t was[8];
};

/* Numbers that programs get wrong. */
static uint64_t pick_number(void)
{
	switch (below(6)) {
	case 0:
		return 0;
	case 1:
		return ~0UL;
	case 2:
		return 1UL << below(64);
	case 3:
		return (1UL << below(64)) - 1;
	case 4:
		return below(1 << 16);
	default:
		return draw();
	}
}

static void do_damage(struct damage *d)
{
	uint64_t value = pick_number(), size = 1UL << below(4);

	d->at = pick_place();
	d->at.offset += below(d->at.size) & ~(size - 1);
	d->at.size = size;
	image_read(&m, d->at.file, d->at.offset, d->was, size);
	if (below(2)) {
		memcpy(&value, d->was, size);
		value ^= 1UL << below(8 * size);
	}
	image_write(&m, d->at.file, d->at.offset, &value, size);
}

static void mend(const struct damage *d)
{
	image_write(&m, d->at.file, d->at.offset, d->was, d->at.size);
}

static void correct_checksums(void)
{
	union {
		struct sas_m_anchor anchor;
		uint8_t page[SAS_M_PAGE];
	} u;
	struct sas_m_trailer t;

	image_read_segment(&m, 0, 0, &u, sizeof(u));
	u.anchor.checksum = sas_anchor_checksum(&u.anchor);
	image_write_segment(&m, 0, 0, &u, sizeof(u));
	image_read_segment(&m, 1, IMAGE_SEGMENT, &t, sizeof(t));
	t.checksum = sas_trailer_checksum(&t);
	image_write_segment(&m, 1, IMAGE_SEGMENT, &t, sizeof(t));
}

static void cut_file(uint64_t size)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/SAS0000%d.DAT", m.path, (int)below(2));
	if (truncate(path, (off_t)size))
		exit(99);
}

/* --- looking */

static void fail(const char *what)
{
	fprintf(stderr, "test_fuzz_inspect: SAS_FUZZ_SEED=%lu: %s: %s\n", current, what,
		SASLastErrorMessage());
	exit(1);
}

static long told;

static void count_problem(const char *file, uint64_t offset, const char *sentence, void *arg)
{
	(void)arg;
	(void)offset;
	told++;
	if (!*file || !*sentence)
		fail("a problem without a file or a sentence");
}

/* A failing call has an errno that the page names, and a sentence. */
static void expect_reason(const char *what)
{
	if ((errno != EUCLEAN && errno != EPROTONOSUPPORT && errno != ENOENT) || !*SASLastErrorMessage())
		fail(what);
}

static void list_everything(SASInspect_t in)
{
	static SASBlockInfo blocks[2048];
	SASSegmentInfo segments[SEGMENTS];
	SASParticipantInfo participants[64];

	for (sas_block_kind_t kind = SASBlock__IN_USE; kind <= SASBlock__IN_USE_MERGED; kind++) {
		long count = SASInspectListBlocks(in, kind, blocks, 2048);
		uint64_t end = IMAGE_BASE;

		if (count < 0)
			expect_reason("SASInspectListBlocks");
		for (long i = 0; i < count && i < 2048; i++) {
			if (i && (uint64_t)blocks[i].address < end)
				fail("a list that is not ascending");
			end = (uint64_t)blocks[i].address + blocks[i].size;
		}
	}
	if (SASInspectListSegments(in, segments, SEGMENTS) < 0)
		expect_reason("SASInspectListSegments");
	if (SASInspectListParticipants(in, participants, 64) < 0)
		expect_reason("SASInspectListParticipants");
}

static void list_locks(SASInspect_t in, int damaged)
{
	SASLockInfo locks[16];
	SASThreadInfo threads[64];
	long count = SASInspectListLocks(in, locks, 16), heads = SASInspectListThreads(in, threads, 64);

	if (count < 0 || heads < 0)
		expect_reason("SASInspectListLocks");
	for (long i = 0; i < count && i < 16; i++)
		if ((unsigned)locks[i].mode > SasUserLock__INTENT || (unsigned)locks[i].state > SASLock__WAITS ||
		    (i && (uintptr_t)locks[i].address < (uintptr_t)locks[i - 1].address))
			fail("a lock that cannot be");
	for (long i = 0; i < heads && i < 64; i++)
		if (threads[i].waits > 1 || (unsigned)threads[i].waitMode > SasUserLock__INTENT)
			fail("a thread that cannot be");
	if (damaged)
		return;
	if (count != 3 || heads != 2 || (uint64_t)locks[0].address != ADDRESS || locks[0].since != 5 ||
	    locks[1].state != SASLock__WAITS || locks[1].mode != SasUserLock__WRITE || locks[1].since != 6 ||
	    locks[2].mode != SasUserLock__WRITE || !locks[2].ownerDied || locks[2].pid != 77 ||
	    threads[0].locksHeld != 2 || !threads[1].waits || (uint64_t)threads[1].waitsFor != ADDRESS)
		fail("the sample's locks are not listed as they are");
}

static void look(int damaged)
{
	SASInspectInfo info = { .structSize = sizeof(info) };
	SASInspect_t in = SASInspectOpen(m.path);
	long problems;

	if (in) {
		if (SASInspectGetInfo(in, &info))
			expect_reason("SASInspectGetInfo");
		list_everything(in);
		if (!damaged || current % 3 == 0)      /* they read 12 MiB */
			list_locks(in, damaged);
	} else {
		expect_reason("SASInspectOpen");
	}
	SASInspectClose(in);
	told = 0;
	problems = SASRegionCheck(m.path, count_problem, NULL);
	if (problems < 0)
		expect_reason("SASRegionCheck");
	else if (problems != told)
		fail("a problem that was not told");
	if (!damaged && problems)
		fail("the mended sample is bad");
}

/* --- joining, in a child: it ends as programs end, whatever each call says */

static void use_region(SASRegion_t r)
{
	static SASBlockInfo blocks[2048];
	SASRegionInfo info = { .structSize = sizeof(info) };
	void *block[6];

	SASRegionGetInfo(r, &info);
	for (sas_block_kind_t kind = SASBlock__IN_USE; kind <= SASBlock__IN_USE_MERGED; kind++)
		SASRegionListBlocks(r, kind, blocks, 2048);
	for (int i = 0; i < 6; i++) {
		block[i] = SASRegionBlockAlloc(r, 4096UL << 2 * i);
		if (block[i] && SASMapAhead(block[i], 4096) == 0)
			memset(block[i], 1, 4096);
	}
	SASBlockFind((void *)(IMAGE_BASE + IMAGE_SEGMENT), &blocks[0]);
	SASBlockFree((void *)(IMAGE_BASE + IMAGE_SEGMENT), 4096);
	SASBlockFree((void *)(IMAGE_BASE + 2 * IMAGE_SEGMENT), 2 * IMAGE_SEGMENT);
	for (int i = 0; i < 6; i += 2)
		if (block[i])
			SASBlockFree(block[i], 4096UL << 2 * i);
	SASRegionTrim(r);
	SASRegionRecover(r);
}

static void join(int damaged)
{
	char run[4200];
	pid_t child;
	int status;

	/* What the living share is theirs; a join makes it anew. */
	snprintf(run, sizeof(run), "%s/SAS.run", m.path);
	unlink(run);
	child = fork();
	if (child == 0) {
		SASRegionOptions options;
		SASRegion_t r;

		alarm(SECONDS);
		SASRegionOptionsInit(&options);
		options.flags = current % 3 ? 0 : SAS_JOIN_READONLY;
		r = SASRegionJoin(m.path, &options);
		if (r) {
			use_region(r);
			SASRegionLeave(r);
		}
		_exit(r || (damaged && *SASLastErrorMessage()) ? 0 : 97);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		fail("a join that crashed, or gave no sentence");
}

static void run_round(void)
{
	struct damage damage[DAMAGES];
	struct sas_m_anchor anchor;
	struct sas_m_trailer trailer;
	uint64_t count = 1 + below(DAMAGES), before;
	int cut = below(16) == 0, sum = below(2) == 0, joined = current % 4 == 0;

	image_read_segment(&m, 0, 0, &anchor, sizeof(anchor));
	image_read_segment(&m, 1, IMAGE_SEGMENT, &trailer, sizeof(trailer));
	for (uint64_t i = 0; i < count; i++)
		do_damage(&damage[i]);
	if (sum)
		correct_checksums();
	if (cut)
		cut_file(below(IMAGE_SEGMENT + 2 * SAS_M_PAGE));
	before = image_fingerprint(m.path);
	alarm(SECONDS);
	look(1);
	alarm(0);
	if (image_fingerprint(m.path) != before)
		fail("looking changed a file");
	if (joined)
		join(1);
	if (cut || joined) {
		image_destroy(&m);
		make_sample();
		return;
	}
	for (uint64_t i = count; i-- > 0;)
		mend(&damage[i]);
	image_write_segment(&m, 0, 0, &anchor, sizeof(anchor));
	image_write_segment(&m, 1, IMAGE_SEGMENT, &trailer, sizeof(trailer));
}

/* A crash, or a look that does not end. */
static void die_of(int number)
{
	char text[100];

	if (write(STDERR_FILENO, text,
		  (size_t)snprintf(text, sizeof(text), "test_fuzz_inspect: SAS_FUZZ_SEED=%lu: signal %d\n",
				   current, number)) < 0)
		_exit(98);
	signal(number, SIG_DFL);
	raise(number);
}

static unsigned long number_of(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

static int run_rounds(int argc, char **argv)
{
	const char *size = getenv("SAS_TEST_SIZE");
	unsigned long usual = !size ? 3000 : strcmp(size, "long") == 0 ? 200000 : 300;
	unsigned long rounds = number_of("SAS_FUZZ_ROUNDS", usual), first = number_of("SAS_FUZZ_SEED", 1);

	(void)argc;
	(void)argv;
	signal(SIGALRM, die_of);
	signal(SIGSEGV, die_of);
	signal(SIGBUS, die_of);
	make_sample();
	look(0);
	join(0);
	image_destroy(&m);
	make_sample();
	for (unsigned long i = 0; i < rounds; i++) {
		seed = current = first + i;
		run_round();
	}
	look(0);
	image_destroy(&m);
	printf("%lu rounds from seed %lu\n", rounds, first);
	return 0;
}

int main(int argc, char **argv)
{
	return sandbox_run(run_rounds, argc, argv);
}
