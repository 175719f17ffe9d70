/* SPDX-License-Identifier: MIT */
/*
 * test_durable.c - what the sync calls ask of the kernel and of the processor, and what becomes of a
 * region when that fails. The port and the table of cache lines are replaced by ones that count, and fail.
 *
 * What the syncs promise for a power cut is tested by crash_power.
 */
#include <config.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "fixture.h"
#include "sas/ground/lines.h"
#include "sas/ground/port.h"
#include "sasalloc.h"
#include "sasepoch.h"
#include "sasmsync.h"

/* --- a port that counts, and fails when told */

static struct sas_port port;
static struct sas_lines lines;
static struct {
	int msyncs, fsyncs, starts;
	uint64_t bytes;                 /* of the msyncs */
	uint64_t written;               /* by pwrite */
	int msync_error, fsync_error, pwrite_error;
	unsigned flushed;               /* lines */
	int pending;                    /* not waited for yet */
} seen;

static int count_msync(void *address, size_t size, int flags)
{
	seen.msyncs++;
	seen.bytes += size;
	return seen.msync_error ? -seen.msync_error : sas_port_linux.msync(address, size, flags);
}

static int count_fsync(int fd)
{
	seen.fsyncs++;
	return seen.fsync_error ? -seen.fsync_error : sas_port_linux.fsync(fd);
}

static int count_start(int fd, uint64_t offset, uint64_t size)
{
	seen.starts++;
	return sas_port_linux.sync_file_range(fd, offset, size);
}

static ssize_t count_pwrite(int fd, const void *buffer, size_t size, uint64_t offset)
{
	seen.written += size;
	return seen.pwrite_error ? -seen.pwrite_error : sas_port_linux.pwrite(fd, buffer, size, offset);
}

/* A file system without persistent memory gives a mapping all the same. */
static void *map_without_sync(void *address, size_t size, int protection, int flags, int fd, uint64_t offset)
{
	return sas_port_linux.mmap(address, size, protection, flags & ~MAP_SYNC, fd, offset);
}

static void count_lines(uintptr_t from, uintptr_t to)
{
	seen.flushed += (unsigned)((to - (from & ~63UL) + 63) / 64);
	seen.pending = 1;
}

static void count_fence(void)
{
	seen.pending = 0;
}

static void count_begin(void)
{
	memset(&seen, 0, sizeof seen);
	port = sas_port_linux;
	port.msync = count_msync;
	port.fsync = count_fsync;
	port.sync_file_range = count_start;
	port.pwrite = count_pwrite;
	port.mmap = map_without_sync;
	lines = (struct sas_lines){ "counted", count_lines, count_fence };
	sas_port = &port;
}

static void counted_begin(void)
{
	count_begin();
	region_begin();
	memset(&seen, 0, sizeof seen);
}

static void counted_end(void)
{
	memset(&seen, 0, sizeof seen);
	region_end();
	sas_port = &sas_port_linux;
}

static void create(sas_durability_t durability)
{
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_CREATE);
	o.durability = durability;
	region = SASRegionJoin(store, &o);
	help_succeeds(region != NULL);
}

static void disk_begin(void)
{
	count_begin();
	store_begin();
	create(SASDurability__DISK);
	memset(&seen, 0, sizeof seen);
}

static void pmem_begin(void)
{
	count_begin();
	store_begin();
	sas_lines = &lines;
	create(SASDurability__PMEM);
	memset(&seen, 0, sizeof seen);
}

static void leave_and_join(void)
{
	help_succeeds(SASRegionLeave(region) == 0);
	region = SASRegionJoin(store, NULL);
}

/* --- arguments */

START_TEST(sync_range_outside_regions_gives_efault)
{
	unsigned char *block = take(HELP_SEGMENT), *end = (unsigned char *)help_info(region).base + HELP_REGION;
	char local[64] = "";

	help_fails(SASSyncRange(local, sizeof local) == -1, EFAULT, "64 bytes");
	help_fails(SASSyncRange(NULL, 1) == -1, EFAULT, "1 bytes");
	help_fails(SASSyncRange(block, HELP_REGION) == -1, EFAULT);
	help_fails(SASSyncRange(block, SIZE_MAX) == -1, EFAULT);
	help_fails(SASSyncRange(end - 4096, 4096) == -1, EFAULT, "does not exist");
	help_fails(SASSyncRange(end - 4096, 4097) == -1, EFAULT);
	help_succeeds(SASSyncRange(end - 4096, 0) == 0);
	ck_assert_int_eq(seen.msyncs, 0);
}
END_TEST

START_TEST(msync_calls_refuse_what_is_no_range)
{
	unsigned char *block = take(4096), *end = (unsigned char *)help_info(region).base + HELP_REGION;

	help_fails(sasMsyncWrite(NULL, 1, SAS_SYNC) == -1, EINVAL);
	help_fails(sasMsyncWrite(block, SIZE_MAX, SAS_SYNC) == -1, EINVAL);
	help_fails(sasMsyncWrite(end - 4096, 8192, SAS_SYNC) == -1, EFAULT, "outside a region");
	help_fails(sasMsyncPurge(end - 4096, 4096, SAS_SYNC) == -1, EFAULT);
	help_fails(sasMsyncRelease(end - 4096, 4096) == -1, EFAULT);
	help_fails(sasMsyncBring(end - 4096, 4096) == -1, EFAULT);
	help_fails((SASMemSync(block, -1, SAS_SYNC), 1), EINVAL, "-1 bytes");
	help_fails((SASMemRemove(block, -4096, SAS_SYNC), 1), EINVAL);
	help_fails((SASMemBring(block, -4096, SAS_SYNC), 1), EINVAL);
	help_succeeds(sasMsyncWrite(block, 0, SAS_SYNC) == 0);
	help_succeeds(sasMsyncPurge(block, 0, SAS_ASYNC) == 0);
	ck_assert_int_eq(seen.msyncs, 0);
}
END_TEST

/* --- what is asked of the kernel */

START_TEST(sync_asks_for_each_segment_and_the_directory)
{
	uint64_t there = help_info(region).segmentsPresent;

	while (there < 4) {
		take(HELP_SEGMENT / 2);
		there = help_info(region).segmentsPresent;
	}
	memset(&seen, 0, sizeof seen);
	help_succeeds(SASSync(region) == 0);
	ck_assert_int_eq(seen.msyncs + seen.fsyncs, (int)there + 1);
	ck_assert_int_ge(seen.fsyncs, 1);
	/* Nothing is mapped but the anchor: the files are opened. */
	leave_and_join();
	memset(&seen, 0, sizeof seen);
	help_succeeds(SASSync(region) == 0);
	ck_assert_int_eq(seen.msyncs, 1);
	ck_assert_int_eq(seen.fsyncs, (int)there);
}
END_TEST

/* msync of a mapping that cannot be written succeeds, and does nothing. */
START_TEST(sync_of_readers_asks_for_files)
{
	unsigned char *block = take(4096);
	uint64_t there;

	help_succeeds(SASRegionLeave(region) == 0);
	region_join(SAS_JOIN_READONLY | SAS_JOIN_EAGER);
	there = help_info(region).segmentsPresent;
	memset(&seen, 0, sizeof seen);
	help_succeeds(SASSync(region) == 0);
	ck_assert_int_eq(seen.fsyncs, (int)there + 1);
	help_succeeds(SASSyncRange(block, 4096) == 0);
	ck_assert_int_eq(seen.fsyncs, (int)there + 2);
	ck_assert_int_eq(seen.msyncs, 0);
}
END_TEST

START_TEST(ranges_are_widened_to_pages_of_all_their_segments)
{
	unsigned char *block = take(2 * HELP_SEGMENT);

	memset(&seen, 0, sizeof seen);
	help_succeeds(SASSyncRange(block + 4095, 2) == 0);
	ck_assert_int_eq(seen.msyncs, 0);       /* not mapped: its file is synced */
	ck_assert_int_eq(seen.fsyncs, 1);
	help_succeeds(sasMsyncWrite(block + 4095, 2, SAS_SYNC) == 0);
	ck_assert_int_eq(seen.msyncs, 1);
	ck_assert_uint_eq(seen.bytes, 8192);
	memset(&seen, 0, sizeof seen);
	SASMemSync(block + 5, 2 * HELP_SEGMENT - 5, SAS_SYNC);
	ck_assert_int_eq(seen.msyncs, 2);
	ck_assert_uint_eq(seen.bytes, 2 * HELP_SEGMENT);
	help_succeeds(SASSyncRange(block + HELP_SEGMENT - 1, 2) == 0);
	ck_assert_int_eq(seen.msyncs, 4);
}
END_TEST

START_TEST(asynchronous_write_back_begins_and_does_not_wait)
{
	unsigned char *block = take(2 * HELP_SEGMENT);

	help_succeeds(SASMapAhead(block, 2 * HELP_SEGMENT) == 0);
	memset(&seen, 0, sizeof seen);
	help_succeeds(sasMsyncWrite(block, 2 * HELP_SEGMENT, SAS_ASYNC) == 0);
	ck_assert_int_eq(seen.starts, 2);
	ck_assert_int_eq(seen.msyncs + seen.fsyncs, 0);
}
END_TEST

START_TEST(dropped_pages_keep_their_bytes)
{
	static unsigned char own[4096];
	unsigned char *block = take(2 * HELP_SEGMENT);

	memset(block, 7, 2 * HELP_SEGMENT);
	SASMemRemove(block, 2 * HELP_SEGMENT, SAS_SYNC);
	ck_assert_int_eq(load_byte(block + HELP_SEGMENT), 7);
	help_succeeds(sasMsyncRelease(block, 2 * HELP_SEGMENT) == 0);
	ck_assert_int_eq(load_byte(block + 2 * HELP_SEGMENT - 1), 7);
	SASMemBring(block, 2 * HELP_SEGMENT, SAS_ASYNC);
	help_succeeds(sasMsyncSequential(block, 4096) == 0);
	help_succeeds(sasMsyncRandom(block, 4096) == 0);
	memset(own, 9, sizeof own);
	help_succeeds(sasMsyncPurge(own, sizeof own, SAS_ASYNC) == 0);
	ck_assert_int_eq(load_byte(own), 9);
}
END_TEST

/* --- failures */

START_TEST(failed_sync_is_never_repeated)
{
	unsigned char *block = take(4096);
	int asked;

	seen.msync_error = EIO;
	help_fails(SASSync(region) == -1, EIO, store, "SAS00000.DAT", "leave");
	seen.msync_error = 0;
	asked = seen.msyncs + seen.fsyncs;
	help_fails(SASSync(region) == -1, EIO, "earlier sync");
	help_fails(SASSyncRange(block, 1) == -1, EIO, "earlier sync");
	help_fails(sasMsyncWrite(block, 1, SAS_SYNC) == -1, EIO);
	help_fails(sasMsyncWrite(block, 1, SAS_ASYNC) == -1, EIO);
	help_fails(sasMsyncPurge(block, 1, SAS_SYNC) == -1, EIO);
	help_fails((SASMemSync(block, 1, SAS_SYNC), 1), EIO);
	ck_assert_int_eq(seen.msyncs + seen.fsyncs, asked);
	/* Blocks of this durability were promised nothing. */
	take(4096);
}
END_TEST

START_TEST(failed_sync_of_a_range_ends_all_promises)
{
	unsigned char *block = take(4096);

	seen.msync_error = ENOSPC;
	help_fails(sasMsyncWrite(block, 1, SAS_SYNC) == -1, EIO, "No space");
	seen.msync_error = 0;
	help_fails(SASSync(region) == -1, EIO);
}
END_TEST

static void sync_fails(void *arg)
{
	SASRegion_t own = SASRegionJoin(arg, NULL);

	must(own != NULL);
	must(SASSync(own) == -1 && errno == EIO);
	SASRegionLeave(own);
}

START_TEST(failed_sync_is_known_to_all_until_all_have_left)
{
	unsigned char *block = take(HELP_SEGMENT);

	memset(block, 5, HELP_SEGMENT);
	seen.fsync_error = EIO;         /* the directory's */
	help_fails(SASSync(region) == -1, EIO, "the directory");
	seen.fsync_error = 0;
	help_in_child(sync_fails, store);
	seen.written = 0;
	leave_and_join();
	help_succeeds(region != NULL);
	/* All data were written again. */
	ck_assert_uint_ge(seen.written, HELP_SEGMENT);
	help_succeeds(SASSync(region) == 0);
	ck_assert_int_eq(load_byte(block), 5);
	seen.written = 0;
	leave_and_join();
	ck_assert_uint_eq(seen.written, 0);
}
END_TEST

START_TEST(join_fails_as_long_as_data_cannot_be_written_again)
{
	seen.msync_error = EIO;
	help_fails(SASSync(region) == -1, EIO);
	seen.pwrite_error = EIO;
	help_succeeds(SASRegionLeave(region) == 0);
	help_fails((region = SASRegionJoin(store, NULL)) == NULL, EIO, "written again");
	seen.pwrite_error = 0;
	seen.fsync_error = EIO;
	help_fails((region = SASRegionJoin(store, NULL)) == NULL, EIO, "written again");
	memset(&seen, 0, sizeof seen);
	region_join(0);
	help_succeeds(SASSync(region) == 0);
}
END_TEST

/* The kernel tells one of two threads, which share the file. */
static struct { int first, second_comes, in; } race;

static int tell_one(void *address, size_t size, int flags)
{
	(void)address;
	(void)size;
	(void)flags;
	if (__atomic_exchange_n(&race.first, 1, __ATOMIC_SEQ_CST))
		return 0;
	__atomic_store_n(&race.in, 1, __ATOMIC_SEQ_CST);
	until(__atomic_load_n(&race.second_comes, __ATOMIC_SEQ_CST), PATIENCE);
	help_spin(2000000);     /* it has the time to be told that all is well */
	return -EIO;
}

static void *sync_second(void *arg)
{
	int *result = arg;

	until(__atomic_load_n(&race.in, __ATOMIC_SEQ_CST), PATIENCE);
	__atomic_store_n(&race.second_comes, 1, __ATOMIC_SEQ_CST);
	*result = SASSync(region) == -1 && errno == EIO;
	return NULL;
}

START_TEST(failure_that_another_thread_is_told_of_fails_both)
{
	pthread_t thread;
	int second = 0;

	memset(&race, 0, sizeof race);
	port.msync = tell_one;
	ck_assert_int_eq(pthread_create(&thread, NULL, sync_second, &second), 0);
	help_fails(SASSync(region) == -1, EIO);
	pthread_join(thread, NULL);
	ck_assert_int_eq(second, 1);
	port.msync = count_msync;
}
END_TEST

/* --- durability disk */

START_TEST(change_that_cannot_be_synced_has_not_happened)
{
	unsigned char *block = take(4096);
	SASBlockInfo info;

	help_succeeds(SASRegionSetFinder(region, block) == 0);
	seen.msync_error = EIO;
	help_fails(SASRegionSetFinder(region, NULL) == -1, EIO);
	seen.msync_error = 0;
	ck_assert_ptr_eq(SASRegionFinder(region), block);
	seen.msyncs = 0;
	help_fails(SASRegionSetFinder(region, NULL) == -1, EIO);
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, EIO);
	help_fails(SASBlockFree(block, 4096) == -1, EIO);
	help_fails(SASEpochFree(block, 4096) == -1, EIO);
	ck_assert_int_eq(seen.msyncs, 0);
	help_succeeds(SASBlockFind(block, &info) == 0);
	leave_and_join();
	help_succeeds(region != NULL);
	ck_assert_ptr_eq(SASRegionFinder(region), block);
	give(block, 4096);
}
END_TEST

/* --- durability pmem: the code, on a file system that has none */

#define DURABLE(call)                                                                          \
	do {                                                                                   \
		memset(&seen, 0, sizeof seen);                                                 \
		help_succeeds(call);                                                           \
		ck_assert_msg(seen.flushed > 0, #call ": no line is written back");            \
		ck_assert_msg(!seen.pending, #call ": the last lines are not waited for");     \
	} while (0)

START_TEST(pmem_calls_wait_for_their_lines)
{
	unsigned char *block, *large;

	DURABLE((block = SASRegionBlockAlloc(region, 4096)) != NULL);
	ck_assert_int_eq(seen.msyncs, 0);
	DURABLE((large = SASRegionBlockAlloc(region, 2 * HELP_SEGMENT)) != NULL);
	DURABLE(SASRegionSetFinder(region, block) == 0);
	ck_assert_uint_eq(seen.flushed, 1);
	DURABLE(SASBlockFree(large, 2 * HELP_SEGMENT) == 0);
	DURABLE(SASEpochFree(block, 4096) == 0);
	DURABLE((leave_and_join(), region != NULL));
}
END_TEST

START_TEST(pmem_ranges_are_lines)
{
	unsigned char *block = take(2 * HELP_SEGMENT);

	help_succeeds(SASMapAhead(block, 2 * HELP_SEGMENT) == 0);
	DURABLE(SASSyncRange(block + 63, 2) == 0);
	ck_assert_uint_eq(seen.flushed, 2);
	DURABLE(SASSyncRange(block + HELP_SEGMENT - 64, 128) == 0);
	ck_assert_uint_eq(seen.flushed, 2);
	DURABLE((SASMemSync(block, 4096, SAS_SYNC), 1));
	ck_assert_uint_eq(seen.flushed, 64);
	ck_assert_int_eq(seen.msyncs + seen.fsyncs, 0);
	help_succeeds(SASSync(region) == 0);
	ck_assert_int_ge(seen.msyncs, 3);
}
END_TEST

START_TEST(pmem_region_elsewhere_is_not_joined)
{
	help_succeeds(SASRegionLeave(region) == 0);
	sas_port = &sas_port_linux;
	region = SASRegionJoin(store, NULL);
	/* A file system that has it joins. */
	if (!region)
		help_fails((region = SASRegionJoin(store, NULL)) == NULL, EOPNOTSUPP, "MAP_SYNC");
	sas_port = &port;
	if (!region)
		region_join(0);
}
END_TEST

START_TEST(pmem_without_known_instruction_is_refused)
{
	SASRegionOptions o;

	help_succeeds(SASRegionLeave(region) == 0);
	sas_lines = NULL;
	help_fails((region = SASRegionJoin(store, NULL)) == NULL, EOPNOTSUPP);
	help_options(&o, SAS_JOIN_CREATE);
	o.durability = SASDurability__PMEM;
	help_fails(SASRegionJoin(help_store(), &o) == NULL, EOPNOTSUPP);
	sas_lines = &lines;
	region_join(0);
}
END_TEST

/* --- instructions */

START_TEST(each_instruction_leaves_the_bytes_as_they_are)
{
	static const char *const names[] = { "clwb", "clflushopt", "clflush", "dc cvap", "dc cvac" };
	unsigned char *bytes = aligned_alloc(4096, 8192);
	unsigned found = 0;

	ck_assert_ptr_null(sas_lines_named("none"));
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct sas_lines *l = sas_lines_named(names[i]);

		if (!l)
			continue;
		/* The best that there is was chosen. */
		ck_assert(found++ > 0 || sas_lines == l);
		memset(bytes, (int)i + 1, 8192);
		l->write_back((uintptr_t)bytes + 1, (uintptr_t)bytes + 8192);
		l->write_back((uintptr_t)bytes + 5, (uintptr_t)bytes + 5);
		l->fence();
		for (unsigned at = 0; at < 8192; at++)
			ck_assert_uint_eq(bytes[at], i + 1);
	}
	ck_assert(found > 0 || !sas_lines);
	free(bytes);
}
END_TEST

static TCase *add(Suite *suite, const char *name, void (*begin)(void))
{
	TCase *c = help_case(suite, name);

	tcase_add_checked_fixture(c, begin, counted_end);
	return c;
}

int main(void)
{
	Suite *suite = suite_create("durable");
	TCase *process = add(suite, "process", counted_begin), *disk = add(suite, "disk", disk_begin);
	TCase *pmem = add(suite, "pmem on a port without MAP_SYNC", pmem_begin), *chip = help_case(suite, "lines");

	tcase_add_test(process, sync_range_outside_regions_gives_efault);
	tcase_add_test(process, msync_calls_refuse_what_is_no_range);
	tcase_add_test(process, sync_asks_for_each_segment_and_the_directory);
	tcase_add_test(process, sync_of_readers_asks_for_files);
	tcase_add_test(process, ranges_are_widened_to_pages_of_all_their_segments);
	tcase_add_test(process, asynchronous_write_back_begins_and_does_not_wait);
	tcase_add_test(process, dropped_pages_keep_their_bytes);
	tcase_add_test(process, failed_sync_is_never_repeated);
	tcase_add_test(process, failed_sync_of_a_range_ends_all_promises);
	tcase_add_test(process, failed_sync_is_known_to_all_until_all_have_left);
	tcase_add_test(process, join_fails_as_long_as_data_cannot_be_written_again);
	tcase_add_test(process, failure_that_another_thread_is_told_of_fails_both);
	tcase_add_test(disk, change_that_cannot_be_synced_has_not_happened);
	/* The emulator knows no MAP_SHARED_VALIDATE. */
	if (!help_emulated()) {
		tcase_add_test(pmem, pmem_calls_wait_for_their_lines);
		tcase_add_test(pmem, pmem_ranges_are_lines);
		tcase_add_test(pmem, pmem_region_elsewhere_is_not_joined);
		tcase_add_test(pmem, pmem_without_known_instruction_is_refused);
	}
	tcase_add_test(chip, each_instruction_leaves_the_bytes_as_they_are);
	return help_main(suite);
}
