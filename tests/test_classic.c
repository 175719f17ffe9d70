/* SPDX-License-Identifier: MIT */
/*
 * test_classic.c - the classic calls: joins, what processes share through them, lists, names of segments.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "help.h"
#include "sassim.h"
#include "sasstname.h"

/* --- classic joins */

START_TEST(classic_calls_before_join_fail)
{
	void *block = NULL;
	unsigned long size = 0;
	int count = 7;

	ck_assert_ptr_null(SASRegionDefault());
	ck_assert_ptr_null(getSASFinder());
	ck_assert_uint_eq(getMemLow(), 0);
	ck_assert_uint_eq(getMemHigh(), 0);
	ck_assert_int_eq(getSASUseListFlag(), 0);
	help_fails(SASBlockAlloc(4096) == NULL, EINVAL, "SASJoinRegion");
	help_fails((SASBlockDealloc(&block, 4096), 1), EFAULT);
	help_fails((setSASFinder(&block), 1), EINVAL, "SASJoinRegion");
	help_fails((setSASLinearUseList(), 1), EINVAL);
	help_fails((setSASCompactUseList(), 1), EINVAL);
	help_fails((SASCleanUp(), 1), EINVAL);
	help_fails((SASRemove(), 1), EINVAL);
	help_fails((SASReset(), 1), EINVAL);
	help_fails((SASSeize(), 1), EINVAL);
	help_fails((SASRelease(), errno == EINVAL || errno == EPERM), errno);
	help_fails((SASResetSem(), 1), EINVAL);
	help_fails(SASListInUseMemN(&block, &size, 1, &count) == -1, EINVAL);
	ck_assert_int_eq(count, 0);
	SASThreadSetUp();
	SASThreadCleanUp();
	ck_assert_int_eq(SASMaxDepthUseMem(), 0);
	ck_assert_int_eq(SASMaxDepthAllocatedRegion(), 0);
}
END_TEST

START_TEST(join_by_environment_creates_region)
{
	char *store = help_store();

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_str_eq(help_info(SASRegionDefault()).path, store);
	ck_assert_ptr_null(getSASFinder());
	ck_assert_uint_eq(getMemLow(), HELP_BASE);
	ck_assert_uint_eq(getMemHigh(), HELP_BASE + HELP_REGION);
	ck_assert_int_eq(help_files(store, "SAS00000.DAT"), 1);
	SASCleanUp();
	ck_assert_ptr_null(SASRegionDefault());
	ck_assert_uint_eq(getMemLow(), 0);
	help_works(store);
}
END_TEST

START_TEST(join_without_environment_uses_working_directory)
{
	char *store = help_store();

	help_classic(store);
	ck_assert_int_eq(chdir(store), 0);
	unsetenv("SASSTOREPATH");
	ck_assert_int_eq(SASJoinRegion(), 0);
	SASCleanUp();
	setenv("SASSTOREPATH", "", 1);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_str_eq(help_info(SASRegionDefault()).path, store);
	/* The program may go elsewhere: the region stays where it is. */
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_ptr_nonnull(SASBlockAlloc(HELP_SEGMENT));
	SASCleanUp();
	help_works(store);
}
END_TEST

START_TEST(join_by_name_of_null_gives_3)
{
	help_fails(SASJoinRegionByName(NULL) == 3, EINVAL, "NULL");
	ck_assert_ptr_null(SASRegionDefault());
}
END_TEST

START_TEST(join_by_name_of_what_is_no_directory_fails)
{
	char *store = help_store(), *missing = help_path(store, "missing"), *file = help_path(store, "file");
	int fd = open(file, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
	help_fails(SASJoinRegionByName("") == 1, ENOENT, "\"\"");
	help_fails(SASJoinRegionByName(missing) == 1, ENOENT, missing);
	help_fails(SASJoinRegionByName(file) == 1, ENOTDIR, file);
	setenv("SASSTOREPATH", missing, 1);
	help_fails(SASJoinRegion() == 1, ENOENT, missing);
	ck_assert_ptr_null(SASRegionDefault());
	ck_assert_int_eq(help_files(store, ""), 1);
}
END_TEST

START_TEST(join_by_name_takes_trailing_slash)
{
	char *store = help_store(), *slash = help_path(store, "");

	help_classic(store);
	ck_assert_int_eq(SASJoinRegionByName(slash), 0);
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	SASCleanUp();
	SASCleanUp();
	ck_assert_ptr_null(SASRegionDefault());
	help_works(store);
}
END_TEST

START_TEST(join_twice_is_counted)
{
	char *store = help_store();
	void *block;

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_int_eq(SASJoinRegionByName(store), 0);
	block = SASBlockAlloc(4096);
	ck_assert_ptr_nonnull(block);
	SASCleanUp();
	memset(block, 1, 4096);
	ck_assert_ptr_nonnull(SASRegionDefault());
	SASBlockDealloc(block, 4096);
	SASCleanUp();
	ck_assert_ptr_null(SASRegionDefault());
	help_works(store);
}
END_TEST

START_TEST(join_of_second_directory_gives_ebusy)
{
	char *store = help_store(), *other = help_store();

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	help_fails(SASJoinRegionByName(other) == 1, EBUSY, store, other, "SASRegionJoin");
	ck_assert_int_eq(help_files(other, ""), 0);
	SASCleanUp();
	ck_assert_int_eq(SASJoinRegionByName(other), 0);
	ck_assert_str_eq(help_info(SASRegionDefault()).path, other);
	SASCleanUp();
	help_clean(store);
	help_works(other);
}
END_TEST

START_TEST(clean_up_twice_is_harmless)
{
	char *store = help_store();

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	SASCleanUp();
	help_fails((SASCleanUp(), 1), EINVAL);
	ck_assert_int_eq(SASJoinRegion(), 0);
	SASCleanUp();
	help_works(store);
}
END_TEST

/* The classic calls undo classic joins alone. */
START_TEST(clean_up_keeps_joins_by_handle)
{
	char *store = help_store(), *other = help_store();
	SASRegion_t region;

	help_classic(store);
	region = help_create(store);
	ck_assert_ptr_null(SASRegionDefault());
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_ptr_eq(SASRegionDefault(), region);
	SASCleanUp();
	ck_assert_ptr_null(SASRegionDefault());
	SASCleanUp();
	help_succeeds(SASRegionBlockAlloc(region, 4096) != NULL);
	setenv("SAS_BASE", "0x565900000000", 1);
	help_succeeds(SASJoinRegionByName(other) == 0);
	SASCleanUp();
	help_leave(region);
	help_clean(other);
	help_works(store);
}
END_TEST

START_TEST(join_after_remove_makes_empty_region)
{
	char *store = help_store();
	SASRegionInfo before, after;

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	before = help_info(SASRegionDefault());
	setSASFinder(SASBlockAlloc(HELP_SEGMENT));
	ck_assert_ptr_nonnull(getSASFinder());
	SASRemove();
	ck_assert_ptr_null(SASRegionDefault());
	ck_assert_ptr_null(getSASFinder());
	ck_assert_int_eq(help_files(store, ""), 0);
	ck_assert_int_eq(SASJoinRegion(), 0);
	after = help_info(SASRegionDefault());
	ck_assert_ptr_null(getSASFinder());
	ck_assert_mem_ne(before.uuid, after.uuid, 16);
	ck_assert_uint_eq(after.blocksInUse, 0);
	SASCleanUp();
	help_works(store);
}
END_TEST

START_TEST(reset_empties_region_and_keeps_join)
{
	char *store = help_store();
	SASRegion_t region;
	SASBlockInfo found;
	void *block;

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_int_eq(SASJoinRegion(), 0);
	region = SASRegionDefault();
	setSASLinearUseList();
	block = SASBlockAlloc(65536);
	setSASFinder(block);
	ck_assert_ptr_nonnull(SASBlockAlloc(2 * HELP_SEGMENT));
	SASReset();
	ck_assert_ptr_eq(SASRegionDefault(), region);
	ck_assert_ptr_null(getSASFinder());
	ck_assert_int_eq(getSASUseListFlag(), 1);
	ck_assert_int_eq(SASBlockFind(block, &found), -1);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	ck_assert_uint_eq(help_info(region).segmentsPresent, 1);
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	SASCleanUp();
	ck_assert_ptr_eq(SASRegionDefault(), region);
	SASCleanUp();
	ck_assert_ptr_null(SASRegionDefault());
	help_works(store);
}
END_TEST

START_TEST(segment_names_create_exist_remove_16)
{
	char *store = help_store(), name[STORE_NAME_SIZE], wanted[STORE_NAME_SIZE + 32];
	struct stat st;

	ck_assert_str_eq(SASSegNameIndexed(name, 0), "SAS00000.DAT");
	ck_assert_str_eq(SASSegNameIndexed(name, 0xabcdef), "SASABCDEF.DAT");
	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_int_eq(SASSegIndexExists(0), 1);
	ck_assert_int_eq(SASSegIndexExists(16), 0);
	ck_assert_int_eq(SASSegStoreCreate(16), 0);
	ck_assert_int_eq(SASSegIndexExists(16), 1);
	snprintf(wanted, sizeof wanted, "%s/SAS00010.DAT", store);
	ck_assert_ptr_eq(SASSegNameIndexed(name, 16), name);
	ck_assert_str_eq(name, wanted);
	ck_assert_int_eq(SASSegNameExists(name), 1);
	ck_assert_int_eq(stat(name, &st), 0);
	ck_assert_int_eq(st.st_size, SegmentSize);
	help_fails(SASSegStoreCreate(16) == -1, EEXIST, name);
	ck_assert_int_eq(SASSegStoreRemove(16), 0);
	ck_assert_int_eq(SASSegIndexExists(16), 0);
	help_fails(SASSegStoreRemove(16) == -1, ENOENT, name);
	ck_assert_int_eq(SASSegStoreCreateByName(name), 0);
	ck_assert_int_eq(SASSegStoreRemoveByName(name), 0);
	help_fails(SASSegStoreCreateByName(NULL) == -1, EINVAL);
	help_fails(SASSegStoreRemoveByName(NULL) == -1, EINVAL);
	ck_assert_int_eq(SASSegNameExists(NULL), 0);
	help_fails(SASSegStoreRemove(0) == -1, EBUSY, "SAS00000.DAT");
	SASCleanUp();
	help_works(store);
}
END_TEST

/* --- what processes share */

struct list { struct list *next; int value; };

static void read_list(void *arg)
{
	struct list *root;

	ck_assert_int_eq(SASJoinRegionByName(arg), 0);
	root = getSASFinder();
	ck_assert_ptr_nonnull(root);
	ck_assert_ptr_eq(root->next->next, root);
	ck_assert_int_eq(root->value, 1);
	ck_assert_int_eq(root->next->value, 2);
	root->next->value = 3;
	setSASFinder(root->next);
	SASCleanUp();
}

START_TEST(finder_and_pointers_persist_across_processes)
{
	char *store = help_store();
	struct list *first, *second;

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	first = SASBlockAlloc(4096);
	second = SASBlockAlloc(2 * HELP_SEGMENT);
	*first = (struct list){ second, 1 };
	*second = (struct list){ first, 2 };
	setSASFinder(first);
	SASCleanUp();
	help_in_child(read_list, store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_ptr_eq(getSASFinder(), second);
	ck_assert_int_eq(second->value, 3);
	SASCleanUp();
	help_works(store);
}
END_TEST

static void answer_pointer(void *arg)
{
	struct help_peer *p = arg;
	int **root;

	ck_assert_int_eq(SASJoinRegionByName(p->store), 0);
	root = getSASFinder();
	help_peer_turn(p);
	**root = (int)getpid();
	*root = SASBlockAlloc(4096);
	**root = 5;
	help_peer_turn(p);
	SASCleanUp();
}

START_TEST(pointers_are_the_same_in_two_processes)
{
	struct help_peer p = { .store = help_store() };
	int **root, *value;

	help_classic(p.store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	root = SASBlockAlloc(4096);
	*root = value = SASBlockAlloc(4096);
	setSASFinder(root);
	SASCleanUp();
	help_peer_start(&p, answer_pointer);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_ptr_eq(getSASFinder(), root);
	help_peer_go_on(&p);
	ck_assert_int_eq(*value, p.pid);
	ck_assert_ptr_ne(*root, value);
	ck_assert_int_eq(**root, 5);
	help_peer_end(&p);
	SASCleanUp();
	help_works(p.store);
}
END_TEST

START_TEST(classic_region_has_the_documented_geometry)
{
	char *store = help_store();
	SASRegionInfo info;

	if (getenv("SAS_BASE") || getenv("SAS_REGION_SIZE") || getenv("SAS_SEGMENT_SIZE")) {
		printf("left out: the environment sets another geometry\n");
		return;
	}
	setenv("SASSTOREPATH", store, 1);
	ck_assert_int_eq(SASJoinRegion(), 0);
	info = help_info(SASRegionDefault());
	ck_assert_uint_eq(info.base, __SAS_BASE_ADDRESS);
	ck_assert_uint_eq(info.mappedAt, info.base);
	ck_assert_uint_eq(info.regionSize, RegionSize);
	ck_assert_uint_eq(info.segmentSize, SegmentSize);
	ck_assert_uint_eq(info.segmentsMax, RegionSize / SegmentSize);
	ck_assert_uint_eq(getMemLow(), __SAS_BASE_ADDRESS);
	ck_assert_uint_eq(getMemHigh(), __SAS_BASE_ADDRESS + RegionSize);
	ck_assert_uint_eq(SASAnchorFreeSpace(), 1043616);
	ck_assert_ptr_nonnull(SASBlockAlloc(SegmentSize));
	SASRemove();
}
END_TEST

START_TEST(region_by_handle_leaves_the_classic_range_free)
{
	char *store = help_store(), *other = help_store();
	SASRegionOptions options;
	SASRegion_t region;
	SASRegionInfo info;

	if (getenv("SAS_BASE") || getenv("SAS_REGION_SIZE") || getenv("SAS_SEGMENT_SIZE")) {
		printf("left out: the environment sets another geometry\n");
		return;
	}
	SASRegionOptionsInit(&options);
	options.flags = SAS_JOIN_CREATE;
	region = SASRegionJoin(store, &options);
	help_succeeds(region != NULL);
	info = help_info(region);
	ck_assert_uint_gt(info.base, __SAS_BASE_ADDRESS);
	ck_assert_uint_eq(info.regionSize, RegionSize);
	ck_assert(info.base >= __SAS_TEMP_FREE || info.base + info.regionSize <= __SAS_TEMP_ADDRESS);
	ck_assert_int_eq(SASJoinRegionByName(other), 0);
	SASCleanUp();
	help_leave(region);
	help_works(store);
}
END_TEST

/* --- lists of the classic calls */

typedef int (*bounded_list)(void **, unsigned long *, int, int *);
typedef void (*plain_list)(void **, unsigned long *, int *);

static const struct { bounded_list bounded; plain_list plain; int kind; } lists[] = {
	{ SASListFreeRegionN, SASListFreeRegion, SASBlock__FREE_REGION },
	{ SASListAllocatedRegionN, SASListAllocatedRegion, SASBlock__SEGMENT },
	{ SASListInUseMemN, SASListInUseMem, SASBlock__IN_USE_MERGED },
	{ SASListFreeMemN, SASListFreeMem, SASBlock__FREE },
	{ SASListUncommittedMemN, SASListUncommittedMem, SASBlock__UNCOMMITTED },
};

/* 1 + 3 blocks of 4 KiB with holes, one of a segment, one freed. */
static void fill_classic(void)
{
	void *blocks[8];

	for (int i = 0; i < 8; i++) {
		blocks[i] = SASBlockAlloc(4096);
		ck_assert_ptr_nonnull(blocks[i]);
	}
	ck_assert_ptr_nonnull(SASBlockAlloc(HELP_SEGMENT));
	for (int i = 0; i < 8; i += 2)
		SASBlockDealloc(blocks[i], 4096);
}

static int is_in_order(void *const *address, const unsigned long *size, int i)
{
	return size[i - 1] < size[i] || (size[i - 1] == size[i] && address[i - 1] < address[i]);
}

START_TEST(lists_agree_with_each_other_and_with_their_bounds)
{
	char *store = help_store();
	void *address[2048], *few[2048];
	unsigned long size[2048], few_sizes[2048], total = 0;

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	fill_classic();
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		int count = -1, bounded = -1;

		lists[i].plain(address, size, &count);
		ck_assert_int_ge(count, 0);
		ck_assert_int_eq(count, SASRegionListBlocks(SASRegionDefault(), lists[i].kind, NULL, 0));
		for (int n = 1; n < count; n++)
			ck_assert(is_in_order(address, size, n));
		for (int n = 0; n < count; n++) {
			ck_assert_uint_eq((uintptr_t)address[n] % size[n], 0);
			total += lists[i].kind == SASBlock__SEGMENT ? 0 : size[n];
		}
		memset(few, 0, sizeof few);
		ck_assert_int_eq(lists[i].bounded(few, few_sizes, 1, &bounded), 0);
		ck_assert_int_eq(bounded, count);
		if (count > 1) {
			ck_assert_ptr_eq(few[0], address[0]);
			ck_assert_ptr_null(few[1]);
		}
		ck_assert_int_eq(lists[i].bounded(NULL, NULL, 0, &bounded), 0);
		ck_assert_int_eq(bounded, count);
		ck_assert_int_eq(lists[i].bounded(few, few_sizes, -1, &bounded), 0);
		ck_assert_int_eq(lists[i].bounded(few, few_sizes, 2048, &bounded), 0);
		ck_assert_mem_eq(few, address, (size_t)count * sizeof few[0]);
		ck_assert_mem_eq(few_sizes, size, (size_t)count * sizeof size[0]);
	}
	/* In use, free, never used, and without a file: all of the region, once. */
	ck_assert_uint_eq(total, HELP_REGION);
	ck_assert_int_ge(SASMaxDepthUseMem(), 1);
	ck_assert_int_ge(SASMaxDepthAllocatedRegion(), 1);
	SASCleanUp();
	help_works(store);
}
END_TEST

START_TEST(use_list_is_linear_or_compact)
{
	char *store = help_store();
	void *address[64], *blocks[8];
	unsigned long size[64];
	int linear, compact;

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_int_eq(getSASUseListFlag(), 1);
	for (int i = 0; i < 8; i++)
		blocks[i] = SASBlockAlloc(4096);
	SASListInUseMem(address, size, &compact);
	setSASLinearUseList();
	ck_assert_int_eq(getSASUseListFlag(), 0);
	SASListInUseMem(address, size, &linear);
	ck_assert_int_gt(linear, compact);
	for (int i = 0; i < 8; i++)
		ck_assert_ptr_eq(address[i], blocks[i]);
	SASCleanUp();
	/* The flag is the region's. */
	ck_assert_int_eq(SASJoinRegion(), 0);
	ck_assert_int_eq(getSASUseListFlag(), 0);
	setSASCompactUseList();
	ck_assert_int_eq(getSASUseListFlag(), 1);
	SASCleanUp();
	help_works(store);
}
END_TEST

START_TEST(anchor_free_space_keeps_its_identities)
{
	char *store = help_store();
	void *blocks[64];
	unsigned int fresh, filled, linear;

	help_classic(store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	fresh = SASAnchorFreeSpace();
	for (int i = 0; i < 64; i++)
		blocks[i] = SASBlockAlloc(4096);
	filled = SASAnchorFreeSpace();
	setSASLinearUseList();
	linear = SASAnchorFreeSpace();
	/* The same blocks: the compact list takes less of the anchor than the linear one. */
	ck_assert_uint_gt(filled, linear);
	ck_assert_uint_le(filled, fresh);
	for (int i = 0; i < 64; i++) {
		SASBlockDealloc(blocks[i], 4096);
		/* It rises with each entry that leaves the list, by one node. */
		ck_assert_uint_eq(SASAnchorFreeSpace(), linear + 32 * ((unsigned)i + 1));
	}
	setSASCompactUseList();
	ck_assert_uint_eq(SASAnchorFreeSpace(), fresh);
	SASCleanUp();
	help_works(store);
}
END_TEST

START_TEST(size_classes_are_those_of_block_sizes)
{
	for (unsigned i = 0; i < 30; i++)
		ck_assert_uint_eq(SASS2Log2(4096UL << i), i);
	ck_assert_uint_eq(SASS2Log2(0), 0);
	ck_assert_uint_eq(SASS2Log2(2048), 0);
	ck_assert_uint_eq(SASS2Log2(12288), 0);
	ck_assert_uint_eq(SASS2Log2(8191), 0);
}
END_TEST

static void try_alloc(void *arg)
{
	struct help_peer *p = arg;

	ck_assert_int_eq(SASJoinRegionByName(p->store), 0);
	help_gate_open(&p->there);
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	help_gate_open(&p->there);
	SASCleanUp();
}

START_TEST(seize_keeps_others_out_until_release)
{
	struct help_peer p = { .store = help_store() };
	char byte;

	help_classic(p.store);
	ck_assert_int_eq(SASJoinRegion(), 0);
	SASSeize();
	SASSeize();
	ck_assert_ptr_nonnull(SASBlockAlloc(4096));
	help_peer_start(&p, try_alloc);
	SASRelease();
	SASResetSem();          /* never breaks the lock of who lives */
	help_spin(20000000);
	ck_assert_int_eq(fcntl(p.there.ends[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(read(p.there.ends[0], &byte, 1), -1);
	ck_assert_int_eq(fcntl(p.there.ends[0], F_SETFL, 0), 0);
	SASRelease();
	help_gate_await(&p.there);
	help_done(p.pid);
	help_fails((SASRelease(), 1), EPERM, "not seized");
	SASCleanUp();
	help_works(p.store);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("classic");
	TCase *classic = help_case(s, "classic"), *share = help_case(s, "share"), *list = help_case(s, "list");

	tcase_add_test(classic, classic_calls_before_join_fail);
	tcase_add_test(classic, join_by_environment_creates_region);
	tcase_add_test(classic, join_without_environment_uses_working_directory);
	tcase_add_test(classic, join_by_name_of_null_gives_3);
	tcase_add_test(classic, join_by_name_of_what_is_no_directory_fails);
	tcase_add_test(classic, join_by_name_takes_trailing_slash);
	tcase_add_test(classic, join_twice_is_counted);
	tcase_add_test(classic, join_of_second_directory_gives_ebusy);
	tcase_add_test(classic, clean_up_twice_is_harmless);
	tcase_add_test(classic, clean_up_keeps_joins_by_handle);
	tcase_add_test(classic, join_after_remove_makes_empty_region);
	tcase_add_test(classic, reset_empties_region_and_keeps_join);
	tcase_add_test(classic, segment_names_create_exist_remove_16);
	tcase_add_test(share, finder_and_pointers_persist_across_processes);
	tcase_add_test(share, pointers_are_the_same_in_two_processes);
	tcase_add_test(share, classic_region_has_the_documented_geometry);
	tcase_add_test(share, region_by_handle_leaves_the_classic_range_free);
	tcase_add_test(list, lists_agree_with_each_other_and_with_their_bounds);
	tcase_add_test(list, use_list_is_linear_or_compact);
	tcase_add_test(list, anchor_free_space_keeps_its_identities);
	tcase_add_test(list, size_classes_are_those_of_block_sizes);
	tcase_add_test(list, seize_keeps_others_out_until_release);
	return help_main(s);
}
