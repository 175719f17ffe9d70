/* SPDX-License-Identifier: MIT */
/*
 * test_pagesize.c - regions on a kernel with pages of 64 KiB.
 *
 * The port of these tests is such a kernel, as far as it can be told: it gives addresses at multiples of 64 KiB alone, takes all of
 * the pages that a size touches, and refuses any other address and offset as the kernel would. File space that is taken under
 * what is mapped must be whole pages. Each refusal is counted, also where the library can do without the call.
 */
#include <config.h>

#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fixture.h"
#include "sas/media/layout.h"
#include "sas/ground/port.h"
#include "sas/run/run.h"
#include "sasalloc.h"
#include "sasepoch.h"
#include "saslock.h"
#include "sasmsync.h"
#include "sassim.h"

#define PAGE (64 * KIB)

/* --- a kernel with such pages */

static struct sas_port port;
static unsigned long calls, refused;    /* threads of one test come one after the other */

static size_t up(size_t size)
{
	return (size + PAGE - 1) & ~(PAGE - 1);
}

/* 0, or -EINVAL, which is counted. */
static int take_pages(const char *call, uint64_t at)
{
	calls++;
	if (at % PAGE == 0)
		return 0;
	refused++;
	printf("%s refused: %#llx is no multiple of 64 KiB\n", call, (unsigned long long)at);
	return -EINVAL;
}

static size_t page_size(void)
{
	return PAGE;
}

/* Where nobody says where, a page more is mapped, and what is too much is given back. */
static void *large_mmap(void *address, size_t size, int protection, int flags, int fd, uint64_t offset)
{
	char *p, *start;

	size = up(size);
	if (take_pages("mmap", offset) || take_pages("mmap", (uintptr_t)address))
		return (void *)(intptr_t)-EINVAL;
	if (address)
		return sas_port_linux.mmap(address, size, protection, flags, fd, offset);
	p = sas_port_linux.mmap(NULL, size + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (SAS_MAP_FAILED(p))
		return p;
	start = (char *)up((uintptr_t)p);
	if (start > p)
		sas_port_linux.munmap(p, (size_t)(start - p));
	sas_port_linux.munmap(start + size, PAGE - (size_t)(start - p));
	return sas_port_linux.mmap(start, size, protection, flags | MAP_FIXED, fd, offset);
}

static int large_munmap(void *address, size_t size)
{
	int error = take_pages("munmap", (uintptr_t)address);

	return error ? error : sas_port_linux.munmap(address, up(size));
}

static int large_mprotect(void *address, size_t size, int protection)
{
	int error = take_pages("mprotect", (uintptr_t)address);

	return error ? error : sas_port_linux.mprotect(address, up(size), protection);
}

static int large_msync(void *address, size_t size, int flags)
{
	int error = take_pages("msync", (uintptr_t)address);

	return error ? error : sas_port_linux.msync(address, up(size), flags);
}

static int large_madvise(void *address, size_t size, int advice)
{
	int error = take_pages("madvise", (uintptr_t)address);

	return error ? error : sas_port_linux.madvise(address, up(size), advice);
}

/* But for the trailer, which nobody maps. Files make their blocks as they like: what is counted is the library's mistake. */
static int large_fallocate(int fd, int mode, uint64_t offset, uint64_t size)
{
	if (offset != HELP_SEGMENT && (take_pages("fallocate", offset) || take_pages("fallocate", size)))
		return -EINVAL;
	return sas_port_linux.fallocate(fd, mode, offset, size);
}

static void use_large_pages(int on)
{
	port = sas_port_linux;
	port.page_size = page_size;
	port.mmap = large_mmap;
	port.munmap = large_munmap;
	port.mprotect = large_mprotect;
	port.msync = large_msync;
	port.madvise = large_madvise;
	port.fallocate = large_fallocate;
	sas_port = on ? &port : &sas_port_linux;
}

static void begin(void)
{
	store_begin();
	use_large_pages(1);
}

static void end(void)
{
	region_end();
	ck_assert_uint_gt(calls, 0);
	ck_assert_uint_eq(refused, 0);
}

static void create(sas_durability_t durability, unsigned flags)
{
	SASRegionOptions o;

	help_options(&o, flags | SAS_JOIN_CREATE);
	o.durability = durability;
	region = SASRegionJoin(store, &o);
	ck_assert_msg(region != NULL, "%s", SASLastErrorMessage());
}

/* Blocks of all sizes; one stays, and is the finder's. */
static void use_blocks(void)
{
	unsigned char *blocks[24];

	for (unsigned i = 0; i < 24; i++) {
		blocks[i] = take(4096UL << i % 12);
		ck_assert_int_eq(SASMapAhead(blocks[i], 4096UL << i % 12), 0);
		ck_assert(all_zero(blocks[i], 4096));
		memset(blocks[i], (int)i + 1, 4096UL << i % 12);
	}
	for (unsigned i = 0; i < 24; i += 2)
		give(blocks[i], 4096UL << i % 12);
	for (unsigned i = 1; i < 24; i += 2)
		ck_assert_uint_eq(blocks[i][(4096UL << i % 12) - 1], i + 1);
	ck_assert_int_eq(SASRegionSetFinder(region, blocks[1]), 0);
	ck_assert_int_ge(SASRegionTrim(region), 0);
	lists_add_up();
	for (unsigned i = 3; i < 24; i += 2)
		give(blocks[i], 4096UL << i % 12);
}

/* --- */

START_TEST(page_of_4k_is_refused_and_counted)
{
	char *p = sas_port->mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(!SAS_MAP_FAILED(p));
	ck_assert_uint_eq((uintptr_t)p % PAGE, 0);
	p[PAGE - 1] = 1;
	ck_assert_int_eq(sas_port->madvise(p + 4096, 4096, MADV_NORMAL), -EINVAL);
	ck_assert_int_eq(sas_port->msync(p + 4096, 4096, MS_SYNC), -EINVAL);
	ck_assert_uint_eq(refused, 2);
	ck_assert_int_eq(sas_port_write_back(p + PAGE - 1, 1), 0);
	ck_assert_int_eq(sas_port->munmap(p, 4096), 0);
	ck_assert_uint_eq(refused, 2);
	refused = 0;
}
END_TEST

static void live(sas_durability_t durability, unsigned flags)
{
	create(durability, flags);
	use_blocks();
	ck_assert_int_eq(SASSync(region), 0);
	region_leave();
	help_clean(store);
	region_join(0);
	use_blocks();
	region_leave();
	region_join(SAS_JOIN_EAGER);
	ck_assert_int_eq(SASRegionReset(region), 0);
	use_blocks();
	ck_assert_int_eq(SASRegionRemove(region), 0);
	region = NULL;
	ck_assert_int_eq(help_files(store, "SAS"), 0);
}

START_TEST(region_lives) { live(SASDurability__PROCESS, 0); } END_TEST
START_TEST(sparse_region_lives) { live(SASDurability__PROCESS, SAS_JOIN_SPARSE); } END_TEST
START_TEST(region_on_disk_lives) { live(SASDurability__DISK, 0); } END_TEST

/* Made with these pages, or with those, it is the same region. */
START_TEST(region_moves_between_page_sizes)
{
	for (int made = 0; made < 2; made++) {
		void *finder;

		use_large_pages(made);
		create(SASDurability__DISK, 0);
		use_blocks();
		finder = SASRegionFinder(region);
		region_leave();
		for (int round = 0; round < 4; round++) {
			use_large_pages(round & 1);
			region_join(0);
			ck_assert_ptr_eq(SASRegionFinder(region), finder);
			ck_assert_uint_eq(load_byte(finder), 2);
			use_blocks();
			ck_assert_int_eq(SASRegionSetFinder(region, finder), 0);
			region_leave();
			help_clean(store);
		}
		use_large_pages(made);
		ck_assert_int_eq(SASRegionRemovePath(store, 0), 0);
	}
}
END_TEST

/* The first join after a reboot writes the maps back. */
START_TEST(region_recovers_after_reboot)
{
	static const uint32_t unclean;
	uint8_t boot[16];
	int fd;

	create(SASDurability__DISK, 0);
	use_blocks();
	region_leave();
	memset(boot, 0xB0, sizeof boot);
	fd = open(help_path(store, "SAS00000.DAT"), O_RDWR);
	ck_assert_int_eq(pwrite(fd, boot, 16, SAS_M_PAGE + offsetof(struct sas_m_state, boot_id)), 16);
	ck_assert_int_eq(pwrite(fd, &unclean, 4, SAS_M_PAGE + offsetof(struct sas_m_state, clean)), 4);
	close(fd);
	ck_assert_int_eq(unlink(help_path(store, SAS_RUN_NAME)), 0);
	region_join(0);
	use_blocks();
}
END_TEST

START_TEST(copy_has_space_in_whole_pages)
{
	char *to = help_path(store, "copy");

	create(SASDurability__PROCESS, 0);
	for (unsigned i = 0; i < 100; i++)
		memset(take(4096), 1, 4096);
	use_blocks();
	region_leave();
	ck_assert_msg(SASRegionCopy(store, to) == 0, "%s", SASLastErrorMessage());
	help_clean(to);
	ck_assert_int_eq(SASRegionRemovePath(store, 0), 0);
	region = help_join(to, 0);
	use_blocks();
	region_leave();
	help_clean(to);
	ck_assert_int_eq(SASRegionRemovePath(to, 0), 0);
}
END_TEST

/* A part of a page that is in no segment yet, and one that is not the start of a page. */
START_TEST(advice_is_for_whole_pages)
{
	unsigned char *block;

	create(SASDurability__PROCESS, 0);
	block = take(HELP_SEGMENT);
	memset(block, 7, HELP_SEGMENT);
	ck_assert_int_eq(sasMsyncWrite(block + 4096, 10, 0), 0);
	ck_assert_int_eq(sasMsyncBring(block + 4096, 4096), 0);
	ck_assert_int_eq(sasMsyncRandom(block + 100, PAGE), 0);
	ck_assert_int_eq(sasMsyncSequential(block + PAGE - 1, 2), 0);
	ck_assert_int_eq(sasMsyncPurge(block + 4096, 4096, 0), 0);
	ck_assert_int_eq(sasMsyncRelease(block + 3 * 4096, 4096), 0);
	ck_assert_uint_eq(block[4096 + 1], 7);
	ck_assert_uint_eq(block[HELP_SEGMENT - 1], 7);
}
END_TEST

/* The header that is looked for lies at 4 KiB in a page; before it nothing can be read. */
START_TEST(header_outside_of_regions_is_found)
{
	char *p = sas_port->mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SASBlockHeader *header = (SASBlockHeader *)(void *)(p + 4096);

	ck_assert(!SAS_MAP_FAILED(p));
	setSASmemrange((uintptr_t)p, (uintptr_t)p + 2 * PAGE);
	initSOMSASBlock(header, SAS_RUNTIME_SIMPLEHEAP, 4096, NULL);
	ck_assert_ptr_eq(SASFindHeader(p + 4096 + 100), header);
	ck_assert_int_eq(sas_port->munmap(p, 2 * PAGE), 0);
}
END_TEST

/* More slots, pages and lines of SAS.run than it begins with. */
START_TEST(run_file_grows)
{
	enum { LOCKS = 4000 };
	unsigned char *block;

	create(SASDurability__PROCESS, 0);
	block = take(MIB);
	for (unsigned i = 0; i < LOCKS; i++)
		ck_assert_int_eq(SASLockTake(block + i, SasUserLock__WRITE, 0, -1), 0);
	for (unsigned i = 0; i < LOCKS; i++)
		ck_assert_int_eq(SASLockGive(block + i), 0);
	for (unsigned i = 0; i < 600; i++)
		ck_assert_int_eq(SASEpochFree(take(4096), 4096), 0);
	ck_assert_int_gt(SASEpochReclaim(region), 0);
}
END_TEST

static void touch_all(void *arg)
{
	(void)arg;
	use_large_pages(1);
	for (unsigned i = 0; i < LAZY; i++)
		must(load_byte(at[i] + HELP_SEGMENT - 1) == value(i));
	must(SASRegionBlockAlloc(region, 4096) != NULL);
	must(refused == 0);
}

START_TEST(touched_segments_are_mapped)
{
	region_leave();         /* what the other kernel has mapped, it unmaps */
	use_large_pages(1);
	region_join(0);
	touch_all(NULL);
	help_in_child(touch_all, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pagesize");
	TCase *c = help_case(suite, "pagesize"), *lazy = help_case(suite, "lazy");

	tcase_add_checked_fixture(c, begin, end);
	tcase_add_test(c, page_of_4k_is_refused_and_counted);
	tcase_add_test(c, region_lives);
	tcase_add_test(c, sparse_region_lives);
	tcase_add_test(c, region_on_disk_lives);
	tcase_add_test(c, region_moves_between_page_sizes);
	tcase_add_test(c, region_recovers_after_reboot);
	tcase_add_test(c, copy_has_space_in_whole_pages);
	tcase_add_test(c, advice_is_for_whole_pages);
	tcase_add_test(c, header_outside_of_regions_is_found);
	tcase_add_test(c, run_file_grows);
	tcase_add_checked_fixture(lazy, lazy_begin, end);
	tcase_add_test(lazy, touched_segments_are_mapped);
	return help_main(suite);
}
