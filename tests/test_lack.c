/* SPDX-License-Identifier: MIT */
/*
 * test_lack.c - lives of regions where some system calls never work, where descriptors run out, and where others join
 * or remove the region in the middle of a call.
 */
#include <config.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "life.h"
#include "sas/ground/port.h"

/* --- places where some calls never work */

static struct sas_port port;
static int no_tmpfile_error;
static unsigned denied;

static int without_tmpfile(int dir, const char *name, int flags, unsigned mode)
{
	if ((flags & O_TMPFILE) != O_TMPFILE)
		return sas_port_linux.openat(dir, name, flags, mode);
	denied++;
	return -no_tmpfile_error;
}

static int without_proc(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	if (!(flags & AT_SYMLINK_FOLLOW))
		return sas_port_linux.linkat(from_dir, from, to_dir, to, flags);
	denied++;
	return -ENOENT;
}

static int without_fallocate(int fd, int mode, uint64_t offset, uint64_t size)
{
	(void)fd;
	(void)mode;
	(void)offset;
	(void)size;
	denied++;
	return -EOPNOTSUPP;
}

static int without_holes(int fd, int mode, uint64_t offset, uint64_t size)
{
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		return sas_port_linux.fallocate(fd, mode, offset, size);
	denied++;
	return -EOPNOTSUPP;
}

static int without_attributes(int fd, const char *name, const void *value, size_t size)
{
	(void)fd;
	(void)name;
	(void)value;
	(void)size;
	denied++;
	return -EOPNOTSUPP;
}

static int without_advice(void *address, size_t size, int advice)
{
	(void)address;
	(void)size;
	(void)advice;
	denied++;
	return -EINVAL;
}

static ssize_t read_by_bits(int fd, void *buffer, size_t size, uint64_t offset)
{
	denied++;
	return sas_port_linux.pread(fd, buffer, size > 100 ? 100 : size, offset);
}

static ssize_t write_by_bits(int fd, const void *buffer, size_t size, uint64_t offset)
{
	denied++;
	return sas_port_linux.pwrite(fd, buffer, size > 100 ? 100 : size, offset);
}

static ssize_t list_by_bits(int fd, void *buffer, size_t size)
{
	denied++;
	return sas_port_linux.getdents64(fd, buffer, size > 64 ? 64 : size);
}

#ifdef HAVE_LIBNUMA
static int without_nodes(void *address, size_t size, int mode, const unsigned long *nodes, unsigned long bits, unsigned flags)
{
	(void)address;
	(void)size;
	(void)mode;
	(void)nodes;
	(void)bits;
	(void)flags;
	denied++;
	return -EPERM;
}
#endif

static void live_without(const char *what)
{
	struct life l = { .store = help_store() };
	int descriptors = help_descriptors();

	snprintf(context, sizeof context, "without %s", what);
	sas_port = &port;
	denied = 0;
	life_steps(&l, 0, step_count);
	ck_assert_uint_gt(denied, 0);
	help_works(l.store);
	ck_assert_int_eq(help_files(l.store, "SAS.tmp."), 0);
	ck_assert_int_eq(help_descriptors(), descriptors);
	port = sas_port_linux;
}

START_TEST(life_on_file_systems_that_lack_something)
{
	static const int errors[] = { EOPNOTSUPP, EISDIR, EINVAL, ENOENT };

	port = sas_port_linux;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		port.openat = without_tmpfile;
		no_tmpfile_error = errors[i];
		live_without("O_TMPFILE");
	}
	port.linkat = without_proc;
	live_without("/proc");
	port.fallocate = without_fallocate;
	live_without("fallocate");
	port.fallocate = without_holes;
	live_without("holes");
	port.fsetxattr = without_attributes;
	live_without("attributes");
	port.madvise = without_advice;
	live_without("advice");
#ifdef HAVE_LIBNUMA
	port.mbind = without_nodes;
	live_without("NUMA");
#endif
	port.pread = read_by_bits;
	port.pwrite = write_by_bits;
	port.getdents64 = list_by_bits;
	live_without("whole transfers");
}
END_TEST

/* --- temporary names */

static int die_before_link(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	(void)from_dir;
	(void)from;
	(void)to_dir;
	(void)to;
	(void)flags;
	raise(SIGKILL);
	return -EIO;
}

static void create_and_die(void *arg)
{
	struct life l = { .store = arg };

	port = sas_port_linux;
	port.openat = without_tmpfile;
	no_tmpfile_error = EOPNOTSUPP;
	port.linkat = die_before_link;
	sas_port = &port;
	life_create(&l);
}

static void grow_and_die(void *arg)
{
	struct life l = { .store = arg };

	port = sas_port_linux;
	port.openat = without_tmpfile;
	no_tmpfile_error = EOPNOTSUPP;
	sas_port = &port;
	life_create(&l);
	port.linkat = die_before_link;
	life_alloc_large(&l);
}

START_TEST(temporary_file_of_a_dead_maker_disappears_at_the_next_join)
{
	char *store = help_store();

	help_dies(create_and_die, store, SIGKILL);
	ck_assert_int_eq(help_files(store, ""), 1);
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 1);
	help_leave(help_create(store));
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 0);
	help_dies(grow_and_die, store, SIGKILL);
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 1);
	help_leave(help_create(store));
	ck_assert_int_eq(help_files(store, "SAS.tmp."), 0);
	help_works(store);
}
END_TEST

static struct living { char *store; struct help_gate there, back; int swept; } living;

/* Another process joins while this one is between the temporary name and the real one. */
static void join_beside(void *arg)
{
	struct living *l = arg;

	help_gate_await(&l->there);
	sas_port = &sas_port_linux;
	help_leave(help_create(l->store));
	help_gate_open(&l->back);
}

static int join_before_link(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	port.linkat = sas_port_linux.linkat;
	help_gate_open(&living.there);
	help_gate_await(&living.back);
	living.swept = help_files(living.store, "SAS.tmp.") == 0;
	return sas_port_linux.linkat(from_dir, from, to_dir, to, flags);
}

START_TEST(temporary_file_of_a_living_maker_stays)
{
	struct life l = { .store = help_store() };
	pid_t other;

	living.store = l.store;
	help_gate_make(&living.there);
	help_gate_make(&living.back);
	other = help_fork(join_beside, &living);
	port = sas_port_linux;
	port.openat = without_tmpfile;
	no_tmpfile_error = EOPNOTSUPP;
	port.linkat = join_before_link;
	sas_port = &port;
	/* The other one was faster: its region it is. */
	life_create(&l);
	help_succeeds(!l.failed);
	help_done(other);
	ck_assert_int_eq(living.swept, 0);
	ck_assert_int_eq(help_files(l.store, "SAS.tmp."), 0);
	ck_assert_uint_eq(help_info(l.region).generation, 2);
	help_leave(l.region);
	help_works(l.store);
}
END_TEST

/* --- removal in the middle of a peer's call */

static struct { struct help_gate now; pid_t remover; int raced; } racing;

static void remove_beside(void *arg)
{
	sas_port = &sas_port_linux;
	help_gate_await(&racing.now);
	if (SASRegionRemovePath(arg, 1) != 0)
		_exit(errno == EBUSY ? 0 : 1);
}

/* The region goes between the making of a segment and its name; or it cannot go, and waits. */
static int remove_before_link(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	port.linkat = sas_port_linux.linkat;
	racing.raced = 1;
	help_gate_open(&racing.now);
	help_ended(racing.remover, 2000);
	return sas_port_linux.linkat(from_dir, from, to_dir, to, flags);
}

START_TEST(segment_made_beside_a_removal_is_no_orphan)
{
	static const size_t sizes[] = { HELP_SEGMENT, LARGE, HELP_SEGMENT / 2 };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct life l = { .store = help_store() };
		void *block;

		sas_port = &sas_port_linux;
		life_create(&l);
		help_succeeds(!l.failed);
		help_succeeds(SASRegionBlockAlloc(l.region, HELP_SEGMENT / 2) != NULL);
		racing.raced = 0;
		help_gate_make(&racing.now);
		racing.remover = help_fork(remove_beside, l.store);
		port = sas_port_linux;
		port.linkat = remove_before_link;
		sas_port = &port;
		block = SASRegionBlockAlloc(l.region, sizes[i]);
		ck_assert_msg(block != NULL || errno == ESTALE, "alloc: %s", SASLastErrorMessage());
		ck_assert_int_eq(racing.raced, 1);
		help_done(racing.remover);
		help_gate_drop(&racing.now);
		sas_port = &sas_port_linux;
		help_leave(l.region);
		help_works(l.store);
		ck_assert_int_eq(SASRegionRemovePath(l.store, 1), 0);
		ck_assert_int_eq(help_files(l.store, ""), 0);
	}
}
END_TEST

/* --- descriptors run out */

START_TEST(join_with_few_descriptors_fails_with_emfile_or_works)
{
	int open = help_descriptors(), worked = 0, refused = 0;
	struct rlimit limit;

	if (help_valgrind()) {
		printf("left out: valgrind keeps descriptors of its own\n");
		return;
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (rlim_t spare = 0; spare < 12; spare++) {
		struct life l = { .store = help_store() };

		limit.rlim_cur = (rlim_t)open + spare;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		life_create(&l);
		if (l.failed) {
			ck_assert_msg(errno == EMFILE, "errno %d: %s", errno, SASLastErrorMessage());
			refused++;
		} else {
			life_alloc_large(&l);
			ck_assert_msg(!l.failed || errno == EMFILE, "errno %d: %s", errno,
				      SASLastErrorMessage());
			life_leave(&l);
			worked++;
		}
		limit.rlim_cur = limit.rlim_max;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		ck_assert_int_eq(help_descriptors(), open);
		help_works(l.store);
	}
	ck_assert_int_gt(worked, 0);
	ck_assert_int_gt(refused, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lack");
	TCase *lack = help_case(s, "lack");

	tcase_add_test(lack, life_on_file_systems_that_lack_something);
	help_add_death(lack, temporary_file_of_a_dead_maker_disappears_at_the_next_join);
	tcase_add_test(lack, temporary_file_of_a_living_maker_stays);
	tcase_add_test(lack, segment_made_beside_a_removal_is_no_orphan);
	tcase_add_test(lack, join_with_few_descriptors_fails_with_emfile_or_works);
	return help_main(s);
}
