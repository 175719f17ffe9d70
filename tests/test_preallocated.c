/* SPDX-License-Identifier: MIT */
/*
 * test_preallocated.c - a region in files that somebody else made at full size, where files can be neither
 * cut, grown, punched, linked nor deleted. The port refuses all that, and counts who asks it of a segment.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "help.h"
#include "sas/media/layout.h"
#include "sas/ground/port.h"
#include "sasinspect.h"

#define ANCHOR "SAS00000.DAT"
#define FILES 8

static struct sas_port port;
static unsigned asked;          /* of segment files: refused calls */
static const char *asked_what = "";

/* --- a file system of memory that never changes its files */

static int is_segment_name(const char *name)
{
	const char *file = strrchr(name, '/');

	file = file ? file + 1 : name;
	return strncmp(file, "SAS", 3) == 0 && strstr(file, ".DAT") != NULL;
}

static int is_segment(int fd)
{
	char link[64], path[4096];
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return is_segment_name(path);
}

static int refuse(int segment, const char *what)
{
	if (segment) {
		asked++;
		asked_what = what;
	}
	return -EOPNOTSUPP;
}

static int refuse_ftruncate(int fd, uint64_t size)
{
	(void)size;
	return refuse(is_segment(fd), "ftruncate");
}

static int refuse_fallocate(int fd, int mode, uint64_t offset, uint64_t size)
{
	(void)mode;
	(void)offset;
	(void)size;
	return refuse(is_segment(fd), "fallocate");
}

static int refuse_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	(void)from_dir;
	(void)from;
	(void)to_dir;
	(void)flags;
	return refuse(is_segment_name(to), "linkat");
}

static int refuse_unlinkat(int dir, const char *name, int flags)
{
	(void)dir;
	(void)flags;
	return refuse(is_segment_name(name), "unlinkat");
}

/* No new segment either, and no change of owner or mode. */
static int refuse_creation(int dir, const char *name, int flags, unsigned mode)
{
	if ((flags & O_TMPFILE) == O_TMPFILE || ((flags & O_CREAT) && is_segment_name(name)) ||
	    (flags & O_TRUNC))
		return refuse(1, "openat");
	return sas_port_linux.openat(dir, name, flags, mode);
}

static int refuse_fchmod(int fd, unsigned mode)
{
	return is_segment(fd) ? refuse(1, "fchmod") : sas_port_linux.fchmod(fd, mode);
}

static int refuse_fchown(int fd, unsigned uid, unsigned gid)
{
	return is_segment(fd) ? refuse(1, "fchown") : sas_port_linux.fchown(fd, uid, gid);
}

static void set_up(void)
{
	umask(022);
	port = sas_port_linux;
	port.openat = refuse_creation;
	port.ftruncate = refuse_ftruncate;
	port.fallocate = refuse_fallocate;
	port.linkat = refuse_linkat;
	port.unlinkat = refuse_unlinkat;
	port.fchmod = refuse_fchmod;
	port.fchown = refuse_fchown;
	sas_port = &port;
}

static void check_never_asked(void)
{
	ck_assert_msg(asked == 0, "%u calls of %s and such on segment files", asked, asked_what);
}

/* --- the files */

static void make_file(const char *store, unsigned n, uint64_t size, unsigned mode)
{
	char name[32], page[65536];
	int fd;

	snprintf(name, sizeof name, "SAS%05X.DAT", n);
	memset(page, 0xa5, sizeof page);
	fd = open(help_path(store, name), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	for (uint64_t at = 0; at < size; at += sizeof page)
		ck_assert_int_eq(pwrite(fd, page, sizeof page, (off_t)at), sizeof page);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

/* Files full of what was there before. */
static char *make_files(unsigned count)
{
	char *store = help_store();

	for (unsigned n = 0; n < count; n++)
		make_file(store, n, HELP_SEGMENT, 0640);
	return store;
}

static SASRegion_t try_create(const char *store, unsigned flags)
{
	SASRegionOptions o;

	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_PREALLOCATED | flags);
	o.regionSize = FILES * HELP_SEGMENT;
	return SASRegionJoin(store, &o);
}

static SASRegion_t create(const char *store)
{
	SASRegion_t region = try_create(store, 0);

	help_succeeds(region != NULL);
	ck_assert(help_info(region).flags & SAS_JOIN_PREALLOCATED);
	return region;
}

static void check_sizes(const char *store, unsigned count)
{
	struct stat st;
	char name[32];

	for (unsigned n = 0; n < count; n++) {
		snprintf(name, sizeof name, "SAS%05X.DAT", n);
		ck_assert_int_eq(stat(help_path(store, name), &st), 0);
		ck_assert_int_eq(st.st_size, HELP_SEGMENT);
		ck_assert_uint_eq(st.st_mode & 07777, 0640);
		ck_assert_int_eq(st.st_blocks * 512 >= st.st_size, 1);
	}
}

static void *take(SASRegion_t region, size_t size)
{
	void *block = SASRegionBlockAlloc(region, size);

	help_succeeds(block != NULL);
	ck_assert_uint_eq((uintptr_t)block % size, 0);
	ck_assert(all_zero(block, 4096));
	memset(block, 0x5c, size);
	return block;
}

static void give(void *block, size_t size)
{
	help_succeeds(SASBlockFree(block, size) == 0);
}

/* --- tests */

START_TEST(create_in_files_refuses_those_that_do_not_fit)
{
	char *store = help_store(), *file;
	SASRegionOptions o;

	help_fails(try_create(store, 0) == NULL, ENOENT, store, "preallocated");
	make_file(store, 0, HELP_SEGMENT / 2, 0640);
	help_fails(try_create(store, 0) == NULL, EINVAL, store, ANCHOR);
	ck_assert_int_eq(unlink(help_path(store, ANCHOR)), 0);
	make_file(store, 0, HELP_SEGMENT, 0640);
	make_file(store, 1, HELP_SEGMENT / 2, 0640);
	file = help_path(store, "SAS00001.DAT");
	help_fails(try_create(store, 0) == NULL, EINVAL, store, "SAS00001.DAT", "bytes");
	ck_assert_int_eq(unlink(file), 0);
	make_file(store, 1, HELP_SEGMENT, 0600);
	help_fails(try_create(store, 0) == NULL, EINVAL, store, "SAS00001.DAT", "mode");
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(symlink("/etc/passwd", file), 0);
	help_fails(try_create(store, 0) == NULL, EINVAL, store, "SAS00001.DAT", "regular");
	ck_assert_int_eq(unlink(file), 0);
	help_options(&o, SAS_JOIN_CREATE | SAS_JOIN_PREALLOCATED);
	o.durability = SASDurability__DISK;
	help_fails(SASRegionJoin(store, &o) == NULL, EINVAL, store, "durability");
	o.durability = SASDurability__PROCESS;
	o.segmentSize = 3UL << 20;
	help_fails(SASRegionJoin(store, &o) == NULL, EINVAL, "segment size");
	/* None of that made a region. */
	help_fails(SASRegionJoin(store, NULL) == NULL, EUCLEAN, ANCHOR);
	help_leave(create(store));
	check_never_asked();
	help_clean(store);
}
END_TEST

START_TEST(region_lives_in_files_as_they_are)
{
	char *store = make_files(FILES), **root;
	SASRegion_t region = create(store);
	void *small[300], *large, *middle;

	for (int i = 0; i < 300; i++)
		small[i] = take(region, 16384);         /* over more than two segments */
	large = take(region, 2 * HELP_SEGMENT);
	middle = take(region, HELP_SEGMENT / 2);
	ck_assert_uint_eq(help_info(region).segmentsPresent, FILES);
	ck_assert_uint_eq(help_info(region).blocksInUse, 302);
	ck_assert_int_eq(SASRegionListBlocks(region, SASBlock__FREE_REGION, NULL, 0), 0);
	for (int i = 0; i < 300; i += 2)
		give(small[i], 16384);
	for (int i = 0; i < 300; i += 2)
		small[i] = take(region, 16384);
	root = small[0];
	*root = large;
	help_succeeds(SASRegionSetFinder(region, root) == 0);
	help_succeeds(SASRegionTrim(region) == 0);
	help_succeeds(SASSync(region) == 0);
	help_clean(store);
	help_leave(region);
	help_clean(store);
	region = SASRegionJoin(store, NULL);
	help_succeeds(region != NULL);
	root = SASRegionFinder(region);
	ck_assert_ptr_eq(root, small[0]);
	ck_assert_ptr_eq(*root, large);
	for (uint64_t at = 0; at < 2 * HELP_SEGMENT; at += 4096)
		ck_assert_int_eq((*root)[at], 0x5c);
	give(large, 2 * HELP_SEGMENT);
	give(middle, HELP_SEGMENT / 2);
	for (int i = 0; i < 300; i++)
		give(small[i], 16384);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	help_leave(region);
	check_sizes(store, FILES);
	check_never_asked();
	help_clean(store);
}
END_TEST

START_TEST(full_files_give_enospc)
{
	static void *blocks[FILES * HELP_SEGMENT / 4096];
	char *store = make_files(FILES);
	SASRegion_t region = create(store);
	int count = 0;

	while ((blocks[count] = SASRegionBlockAlloc(region, 4096)) != NULL) {
		ck_assert(all_zero(blocks[count], 4096));
		memset(blocks[count++], 0x11, 4096);
	}
	ck_assert(errno == ENOSPC || errno == ENOMEM);
	ck_assert_int_gt(count, (int)((FILES - 1) * HELP_SEGMENT / 4096));
	help_clean(store);
	give(blocks[100], 4096);
	ck_assert_ptr_eq(take(region, 4096), blocks[100]);
	for (int i = 0; i < count; i++)
		give(blocks[i], 4096);
	/* All of it is one again. */
	take(region, FILES / 2 * HELP_SEGMENT);
	help_leave(region);
	check_sizes(store, FILES);
	check_never_asked();
	help_clean(store);
}
END_TEST

/* The region has addresses for more files than somebody made. */
START_TEST(missing_files_give_enospc)
{
	char *store = make_files(3);
	SASRegion_t region = create(store);
	void *first, *second;

	ck_assert_uint_eq(help_info(region).segmentsPresent, 3);
	first = take(region, HELP_SEGMENT);
	second = take(region, HELP_SEGMENT);
	help_fails(SASRegionBlockAlloc(region, HELP_SEGMENT) == NULL, ENOSPC, store, "preallocated");
	help_fails(SASRegionBlockAlloc(region, 2 * HELP_SEGMENT) == NULL, ENOSPC, store);
	help_clean(store);
	give(first, HELP_SEGMENT);
	give(second, HELP_SEGMENT);
	take(region, HELP_SEGMENT);
	help_leave(region);
	check_sizes(store, 3);
	check_never_asked();
	help_clean(store);
}
END_TEST

START_TEST(reset_works_in_place_for_who_is_alone)
{
	char *store = make_files(FILES);
	SASRegion_t region = create(store);
	uint8_t uuid[16];

	memcpy(uuid, help_info(region).uuid, 16);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++)
			take(region, 65536);
		help_succeeds(SASRegionSetFinder(region, take(region, 4096)) == 0);
		help_succeeds(SASRegionReset(region) == 0);
		ck_assert_ptr_null(SASRegionFinder(region));
		ck_assert_uint_eq(help_info(region).blocksInUse, 0);
		ck_assert_uint_eq(help_info(region).segmentsPresent, FILES);
		ck_assert_mem_ne(help_info(region).uuid, uuid, 16);
		help_clean(store);
	}
	take(region, 2 * HELP_SEGMENT);
	help_leave(region);
	check_sizes(store, FILES);
	check_never_asked();
	help_clean(store);
}
END_TEST

static void be_peer(void *arg)
{
	struct help_peer *p = arg;
	SASRegion_t region = SASRegionJoin(p->store, NULL);
	void *block;

	help_succeeds(region != NULL);
	block = take(region, 4096);
	help_peer_turn(p);
	give(block, 4096);
	help_leave(region);
	check_never_asked();
}

START_TEST(reset_beside_others_gives_ebusy)
{
	struct help_peer p = { .store = make_files(FILES) };
	SASRegion_t region;
	void *block;

	help_leave(create(p.store));
	help_peer_start(&p, be_peer);
	region = SASRegionJoin(p.store, NULL);
	help_succeeds(region != NULL);
	block = take(region, 4096);
	help_fails(SASRegionReset(region) == -1, EBUSY, p.store, "others");
	memset(block, 1, 4096);
	help_peer_end(&p);
	ck_assert_uint_eq(help_info(region).blocksInUse, 1);
	help_succeeds(SASRegionReset(region) == 0);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	help_leave(region);
	check_never_asked();
	help_clean(p.store);
}
END_TEST

static void lose_region(void *arg)
{
	struct help_peer *p = arg;
	SASRegion_t region = SASRegionJoin(p->store, NULL);
	void *block;

	help_succeeds(region != NULL);
	block = take(region, 4096);
	help_peer_turn(p);
	help_fails(SASRegionBlockAlloc(region, 4096) == NULL, ESTALE);
	help_fails(SASBlockFree(block, 4096) == -1, ESTALE);
	help_fails(SASRegionSetFinder(region, block) == -1, ESTALE);
	ck_assert_ptr_null(SASRegionFinder(region));
	help_leave(region);
	check_never_asked();
}

START_TEST(remove_leaves_the_files_and_makes_them_no_region)
{
	struct help_peer p = { .store = make_files(FILES) };
	SASRegion_t region;
	uint64_t before;

	help_leave(create(p.store));
	help_peer_start(&p, lose_region);
	region = SASRegionJoin(p.store, NULL);
	help_succeeds(region != NULL);
	take(region, 4096);
	help_succeeds(SASRegionRemove(region) == 0);
	check_sizes(p.store, FILES);
	help_fails(SASRegionJoin(p.store, NULL) == NULL, EUCLEAN, ANCHOR);
	/* The peer has the files mapped, and may be in the middle of a call: no new region under its feet. */
	before = help_fingerprint(p.store);
	help_fails(try_create(p.store, 0) == NULL, EBUSY, p.store);
	ck_assert_uint_eq(help_fingerprint(p.store), before);
	help_peer_end(&p);
	region = create(p.store);
	ck_assert_uint_eq(help_info(region).blocksInUse, 0);
	take(region, 4096);
	help_leave(region);
	help_succeeds(SASRegionRemovePath(p.store, 0) == 0);
	check_sizes(p.store, FILES);
	help_fails(SASRegionJoin(p.store, NULL) == NULL, EUCLEAN, ANCHOR);
	help_leave(create(p.store));
	check_never_asked();
	help_clean(p.store);
}
END_TEST

START_TEST(create_again_joins_and_exclusively_gives_eexist)
{
	char *store = make_files(FILES);
	SASRegion_t region = create(store);
	void *block = take(region, 4096);

	help_succeeds(SASRegionSetFinder(region, block) == 0);
	help_leave(region);
	help_fails(try_create(store, SAS_JOIN_EXCLUSIVE) == NULL, EEXIST, store);
	region = create(store);
	ck_assert_ptr_eq(SASRegionFinder(region), block);
	help_leave(region);
	check_never_asked();
	help_clean(store);
}
END_TEST

static void create_and_use(void *arg)
{
	struct help_peer *p = arg;
	SASRegion_t region;

	help_gate_await(&p->back);
	region = create(p->store);
	give(take(region, 4096), 4096);
	help_leave(region);
	check_never_asked();
}

START_TEST(processes_that_create_at_once_make_one_region)
{
	struct help_peer p = { .store = make_files(FILES) };
	SASInspectInfo info;
	pid_t children[8];

	help_gate_make(&p.back);
	for (int i = 0; i < 8; i++)
		children[i] = help_fork(create_and_use, &p);
	for (int i = 0; i < 8; i++)
		help_gate_open(&p.back);
	for (int i = 0; i < 8; i++)
		help_done(children[i]);
	info = help_inspect(p.store);
	ck_assert_uint_eq(info.generation, 8);
	ck_assert_uint_eq(info.preallocated, 1);
	ck_assert_uint_eq(info.clean, 1);
	help_clean(p.store);
}
END_TEST

/* A creator that died before the last page left files that are no region, and the next one can make it. */
START_TEST(creation_cut_short_is_done_again)
{
	char *store = make_files(FILES), page[SAS_M_PAGE];
	SASRegion_t region;
	int fd;

	help_leave(create(store));
	memset(page, 0xa5, sizeof page);
	fd = open(help_path(store, ANCHOR), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, page, sizeof page, 0), sizeof page);
	close(fd);
	help_fails(SASRegionJoin(store, NULL) == NULL, EUCLEAN, ANCHOR);
	region = create(store);
	take(region, 4096);
	help_leave(region);
	check_never_asked();
	help_clean(store);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("preallocated");
	TCase *c = tcase_create("life");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, set_up, NULL);
	tcase_add_test(c, create_in_files_refuses_those_that_do_not_fit);
	tcase_add_test(c, region_lives_in_files_as_they_are);
	tcase_add_test(c, full_files_give_enospc);
	tcase_add_test(c, missing_files_give_enospc);
	tcase_add_test(c, reset_works_in_place_for_who_is_alone);
	tcase_add_test(c, reset_beside_others_gives_ebusy);
	tcase_add_test(c, remove_leaves_the_files_and_makes_them_no_region);
	tcase_add_test(c, create_again_joins_and_exclusively_gives_eexist);
	tcase_add_test(c, processes_that_create_at_once_make_one_region);
	tcase_add_test(c, creation_cut_short_is_done_again);
	suite_add_tcase(s, c);
	return help_main(s);
}
