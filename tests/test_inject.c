/* SPDX-License-Identifier: MIT */
/*
 * test_inject.c - every system call of the port made to fail, one at a time, in every step of a region's
 * life.
 *
 * A run is a child that takes the steps of a life, with one fault in one of them: the n-th call of one entry
 * of the port fails with one error, once or from there on. The step fails with an errno and a sentence, or
 * succeeds because there is another way; it never hangs, crashes or keeps a descriptor; and with the faults
 * gone the region is whole and works.
 */
#include <config.h>

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "help.h"
#include "sandbox.h"
#include "sas/port.h"
#include "sasinspect.h"

#define ANCHOR "SAS00000.DAT"
#define LARGE (2 * HELP_SEGMENT)
#define DEADLINE 10     /* seconds that a run may take */
#define ENOUGH 10       /* runs that went wrong in one entry of the port: the rest of it is left */

/* --- a port with faults */

#define ENTRIES(X)                                                                                 \
	X(int, openat, (int dir, const char *name, int flags, unsigned mode), (dir, name, flags, mode)) \
	X(int, fstat, (int fd, struct stat *st), (fd, st))                                         \
	X(int, fstatat, (int dir, const char *name, struct stat *st, int flags), (dir, name, st, flags)) \
	X(int, fstatfs, (int fd, struct statfs *st), (fd, st))                                     \
	X(int, ftruncate, (int fd, uint64_t size), (fd, size))                                     \
	X(int, fallocate, (int fd, int mode, uint64_t offset, uint64_t size), (fd, mode, offset, size)) \
	X(int64_t, lseek, (int fd, int64_t offset, int whence), (fd, offset, whence))              \
	X(int, linkat, (int from_dir, const char *from, int to_dir, const char *to, int flags),    \
	  (from_dir, from, to_dir, to, flags))                                                     \
	X(int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags))               \
	X(int, mkdirat, (int dir, const char *name, unsigned mode), (dir, name, mode))             \
	X(int, fchmod, (int fd, unsigned mode), (fd, mode))                                        \
	X(int, fchown, (int fd, unsigned uid, unsigned gid), (fd, uid, gid))                       \
	X(int, flock, (int fd, int operation), (fd, operation))                                    \
	X(int, ofd_lock, (int fd, int type, uint64_t offset, uint64_t size), (fd, type, offset, size)) \
	X(int, ofd_test, (int fd, int type, uint64_t offset, uint64_t size), (fd, type, offset, size)) \
	X(void *, mmap, (void *address, size_t size, int protection, int flags, int fd, uint64_t offset), \
	  (address, size, protection, flags, fd, offset))                                          \
	X(int, mprotect, (void *address, size_t size, int protection), (address, size, protection)) \
	X(int, madvise, (void *address, size_t size, int advice), (address, size, advice))         \
	X(int, mbind, (void *address, size_t size, int mode, const unsigned long *nodes, unsigned long bits, unsigned flags), \
	  (address, size, mode, nodes, bits, flags))                                               \
	X(int, get_mempolicy, (int *mode, unsigned long *nodes, unsigned long bits, const void *address, unsigned long flags), \
	  (mode, nodes, bits, address, flags))                                                     \
	X(ssize_t, fgetxattr, (int fd, const char *name, void *value, size_t size), (fd, name, value, size)) \
	X(int, fsetxattr, (int fd, const char *name, const void *value, size_t size),              \
	  (fd, name, value, size))                                                                 \
	X(ssize_t, getdents64, (int fd, void *buffer, size_t size), (fd, buffer, size))

#define NAME(type, name, parameters, arguments) ENTRY_##name,
enum entry {
	ENTRIES(NAME)
	ENTRY_close, ENTRY_munmap, ENTRY_fsync, ENTRY_fdatasync, ENTRY_msync, ENTRY_pread, ENTRY_pwrite,
	ENTRY_COUNT
};

#define TEXT(type, name, parameters, arguments) #name,
static const char *const entry_names[] = {
	ENTRIES(TEXT)
	"close", "munmap", "fsync", "fdatasync", "msync", "pread", "pwrite"
};

/* In place of an error: transfers of half the size. */
#define SHORT 1000

static struct fault {
	int armed, entry, error, on;    /* on: all calls from that one on fail */
	long index;
	long counts[ENTRY_COUNT];
} *fault;       /* shared with the children of a run */

static int strikes(enum entry entry)
{
	long index = fault->counts[entry]++;

	return fault->armed && fault->entry == (int)entry &&
	       (fault->on ? index >= fault->index : index == fault->index);
}

#define WRAP(type, name, parameters, arguments)                                                    \
	static type fail_##name parameters                                                         \
	{ return strikes(ENTRY_##name) ? (type)(intptr_t)-fault->error : sas_port_linux.name arguments; }
ENTRIES(WRAP)

/* The kernel does it, and tells of an older failure. */
static int fail_close(int fd)
{
	int result = sas_port_linux.close(fd);

	return strikes(ENTRY_close) ? -fault->error : result;
}

static int fail_munmap(void *address, size_t size)
{
	int result = sas_port_linux.munmap(address, size);

	return strikes(ENTRY_munmap) ? -fault->error : result;
}

/* Nothing here survives a power cut: no need to wait for disks. */
static int fail_fsync(int fd)
{
	(void)fd;
	return strikes(ENTRY_fsync) ? -fault->error : 0;
}

static int fail_fdatasync(int fd)
{
	(void)fd;
	return strikes(ENTRY_fdatasync) ? -fault->error : 0;
}

static int fail_msync(void *address, size_t size, int flags)
{
	(void)address;
	(void)size;
	(void)flags;
	return strikes(ENTRY_msync) ? -fault->error : 0;
}

static size_t shortened(size_t size)
{
	return size > 1 ? size / 2 : size;
}

static ssize_t fail_pread(int fd, void *buffer, size_t size, uint64_t offset)
{
	if (!strikes(ENTRY_pread))
		return sas_port_linux.pread(fd, buffer, size, offset);
	if (fault->error != SHORT)
		return -fault->error;
	return sas_port_linux.pread(fd, buffer, shortened(size), offset);
}

static ssize_t fail_pwrite(int fd, const void *buffer, size_t size, uint64_t offset)
{
	if (!strikes(ENTRY_pwrite))
		return sas_port_linux.pwrite(fd, buffer, size, offset);
	if (fault->error != SHORT)
		return -fault->error;
	return sas_port_linux.pwrite(fd, buffer, shortened(size), offset);
}

static struct sas_port port;

static void install(void)
{
	fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fault == MAP_FAILED)
		_exit(3);
	port = sas_port_linux;
#define SET(type, name, parameters, arguments) port.name = fail_##name;
	ENTRIES(SET)
	port.close = fail_close;
	port.munmap = fail_munmap;
	port.fsync = fail_fsync;
	port.fdatasync = fail_fdatasync;
	port.msync = fail_msync;
	port.pread = fail_pread;
	port.pwrite = fail_pwrite;
	sas_port = &port;
}

static const struct { enum entry entry; int errors[7]; } errors_of[] = {
	{ ENTRY_openat, { EMFILE, EACCES, EIO, EROFS, ENOSPC, ENOMEM } },
	{ ENTRY_close, { EIO } },
	{ ENTRY_fstat, { EIO, ENOMEM } },
	{ ENTRY_fstatat, { EIO, EACCES } },
	{ ENTRY_fstatfs, { EIO } },
	{ ENTRY_pread, { EIO, SHORT } },
	{ ENTRY_pwrite, { ENOSPC, EIO, EDQUOT, SHORT } },
	{ ENTRY_ftruncate, { EIO, EFBIG, EACCES } },
	{ ENTRY_fallocate, { ENOSPC, EDQUOT, EIO, EOPNOTSUPP } },
	{ ENTRY_lseek, { EIO } },
	{ ENTRY_fsync, { EIO, ENOSPC } },
	{ ENTRY_fdatasync, { EIO } },
	{ ENTRY_linkat, { EIO, ENOSPC, EDQUOT, EACCES, ENOENT } },
	{ ENTRY_unlinkat, { EIO, EACCES, EROFS } },
	{ ENTRY_mkdirat, { EACCES } },
	{ ENTRY_fchmod, { EIO, EACCES } },
	{ ENTRY_fchown, { EPERM } },
	{ ENTRY_flock, { EIO, ENOLCK } },
	{ ENTRY_ofd_lock, { ENOLCK, EAGAIN } },
	{ ENTRY_ofd_test, { EIO } },
	{ ENTRY_mmap, { ENOMEM, EAGAIN, EACCES } },
	{ ENTRY_munmap, { ENOMEM } },
	{ ENTRY_mprotect, { ENOMEM } },
	{ ENTRY_msync, { EIO } },
	{ ENTRY_madvise, { EINVAL, ENOMEM } },
	{ ENTRY_mbind, { EPERM, ENOSYS, EINVAL } },
	{ ENTRY_get_mempolicy, { EPERM, ENOSYS } },
	{ ENTRY_fgetxattr, { EIO, EOPNOTSUPP } },
	{ ENTRY_fsetxattr, { ENOSPC, EOPNOTSUPP } },
	{ ENTRY_getdents64, { EIO } },
};

/* --- a life in steps */

struct life {
	char *store;
	sas_durability_t durability;
	int failed;                     /* the step gave its failure value */
	SASRegion_t region;
	void *small, *half, *large;
};

static char context[256];

/* What a run finds wrong; the parent counts them. */
static void expect(int holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void expect(int holds, const char *format, ...)
{
	va_list args;

	if (holds)
		return;
	fprintf(stderr, "%s: ", context);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno %d, \"%s\")\n", errno, SASLastErrorMessage());
	_exit(1);
}

static void join_with(struct life *l, unsigned flags)
{
	SASRegionOptions o;

	help_options(&o, flags);
	o.durability = l->durability;
	o.mode = 0640;
	o.numaPolicy = SASNuma__INTERLEAVE_SEGMENTS;
	l->region = SASRegionJoin(l->store, &o);
	l->failed = !l->region;
}

static void do_create(struct life *l) { join_with(l, SAS_JOIN_CREATE); }
static void do_join(struct life *l) { join_with(l, 0); }
static void do_join_eagerly(struct life *l) { join_with(l, SAS_JOIN_EAGER); }
static void do_join_to_read(struct life *l) { join_with(l, SAS_JOIN_READONLY); }

static void do_leave(struct life *l)
{
	if (l->region)
		l->failed = SASRegionLeave(l->region) != 0;
	l->region = NULL;
}

static void take(struct life *l, void **block, size_t size)
{
	*block = SASRegionBlockAlloc(l->region, size);
	l->failed = !*block;
}

static void do_alloc_small(struct life *l) { take(l, &l->small, 4096); }
static void do_alloc_half(struct life *l) { take(l, &l->half, HELP_SEGMENT / 2); }
static void do_alloc_large(struct life *l) { take(l, &l->large, LARGE); }

static void give(struct life *l, void **block, size_t size)
{
	if (*block)
		l->failed = SASBlockFree(*block, size) != 0;
	if (!l->failed)
		*block = NULL;
}

static void do_free_small(struct life *l) { give(l, &l->small, 4096); }
static void do_free_half(struct life *l) { give(l, &l->half, HELP_SEGMENT / 2); }
static void do_free_large(struct life *l) { give(l, &l->large, LARGE); }
static void do_set_finder(struct life *l) { l->failed = SASRegionSetFinder(l->region, l->small) != 0; }
static void do_sync(struct life *l) { l->failed = SASSync(l->region) != 0; }
static void do_trim(struct life *l) { l->failed = SASRegionTrim(l->region) < 0; }
static void do_recover(struct life *l) { l->failed = SASRegionRecover(l->region) < 0; }
static void do_check(struct life *l) { l->failed = SASRegionCheck(l->store, NULL, NULL) < 0; }
static void do_reset(struct life *l) { l->failed = SASRegionReset(l->region) != 0; }
static void do_remove_path(struct life *l) { l->failed = SASRegionRemovePath(l->store, 0) != 0; }

static void do_list(struct life *l)
{
	SASRegionInfo info = { .structSize = sizeof info };

	l->failed = SASRegionGetInfo(l->region, &info) != 0 ||
		    SASRegionListBlocks(l->region, SASBlock__UNCOMMITTED, NULL, 0) < 0;
}

static void do_remove(struct life *l)
{
	l->failed = SASRegionRemove(l->region) != 0;
	if (!l->failed)
		l->region = NULL;
}

static void do_map_ahead(struct life *l)
{
	l->failed = SASMapAhead(l->half, HELP_SEGMENT / 2) != 0;
}

/* A child of fork registers by itself. */
static void do_fork(struct life *l)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		void *block = SASRegionBlockAlloc(l->region, 4096);

		expect(block || errno, "it cannot allocate, without an errno");
		expect(!block || SASBlockFree(block, 4096) == 0 || errno, "it cannot free, without an errno");
		SASRegionLeave(l->region);
		_exit(0);
	}
	expect(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "the child ended with %d", status);
}

#define ENDS 1          /* it may leave the region half removed, and the handle gone */
#define MUTE 2          /* gives errno, but no sentence */
#define JOINS 4         /* not joined before it */

static const struct step {
	const char *name;
	void (*take)(struct life *l);
	int kind;
} steps[] = {
	{ "create", do_create, JOINS },
	{ "alloc small", do_alloc_small, 0 },
	{ "alloc large", do_alloc_large, 0 },
	{ "alloc half", do_alloc_half, 0 },
	{ "set finder", do_set_finder, 0 },
	{ "list", do_list, 0 },
	{ "free large", do_free_large, 0 },
	{ "sync", do_sync, 0 },
	{ "trim", do_trim, 0 },
	{ "recover", do_recover, 0 },
	{ "check", do_check, 0 },
	{ "fork", do_fork, 0 },
	{ "free small", do_free_small, 0 },
	{ "leave", do_leave, 0 },
	{ "join", do_join, JOINS },
	{ "map ahead", do_map_ahead, MUTE },
	{ "alloc large again", do_alloc_large, 0 },
	{ "leave again", do_leave, 0 },
	{ "join eagerly", do_join_eagerly, JOINS },
	{ "free half", do_free_half, 0 },
	{ "trim again", do_trim, 0 },
	{ "leave a third time", do_leave, 0 },
	{ "join to read", do_join_to_read, JOINS },
	{ "leave after reading", do_leave, 0 },
	{ "join to reset", do_join, JOINS },
	{ "reset", do_reset, ENDS },
	{ "alloc after reset", do_alloc_large, 0 },
	{ "remove", do_remove, ENDS },
	{ "create again", do_create, JOINS },
	{ "alloc", do_alloc_large, 0 },
	{ "leave for good", do_leave, 0 },
	{ "remove by path", do_remove_path, ENDS | JOINS },
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static void take_until(struct life *l, int step)
{
	for (int i = 0; i < step; i++) {
		l->failed = 0;
		steps[i].take(l);
		expect(!l->failed, "the step \"%s\" before it fails", steps[i].name);
	}
}

static void check_whole(const struct life *l, const char *when)
{
	expect(SASRegionCheck(l->store, help_print_problem, context) == 0, "the check %s finds problems", when);
}

/* Without faults: it is whole, and works. */
static void check_life_after(struct life *l, int step)
{
	void *small, *large;

	if (l->region && SASRegionLeave(l->region) != 0)
		expect(steps[step].kind & ENDS, "the region cannot be left");
	if (!(steps[step].kind & ENDS) && access(help_path(l->store, ANCHOR), F_OK) == 0)
		check_whole(l, "after the fault");
	do_create(l);
	expect(!l->failed, "the region cannot be joined any more");
	check_whole(l, "after a join");
	small = SASRegionBlockAlloc(l->region, 4096);
	expect(small != NULL, "no small block");
	large = SASRegionBlockAlloc(l->region, LARGE);
	expect(large != NULL, "no large block");
	memset(help_map(large, LARGE), 1, LARGE);
	expect(SASBlockFree(large, LARGE) == 0, "a large block cannot be freed");
	expect(SASBlockFree(small, 4096) == 0, "a small block cannot be freed");
	expect(SASRegionReset(l->region) == 0, "it cannot be reset");
	expect(SASRegionLeave(l->region) == 0, "it cannot be left");
	expect(help_files(l->store, "SAS.tmp.") == 0, "there is a temporary file");
	check_whole(l, "at the end");
}

/* A poisoned region says EIO until it is joined again; a half removed one ESTALE. */
static void check_handle(struct life *l, int step)
{
	void *block;

	if (!l->region || (steps[step].kind & ENDS))
		return;
	block = SASRegionBlockAlloc(l->region, 8192);
	if (!block) {
		expect(errno == EIO || errno == EROFS, "the handle does not work any more");
		return;
	}
	memset(block, 1, 8192);
	expect(SASBlockFree(block, 8192) == 0, "its block cannot be freed");
}

struct run { int step, entry, error, on, descriptors; long index; sas_durability_t durability; char *store; };

static void describe(const struct run *r)
{
	snprintf(context, sizeof context, "%s%s: %s %s call %ld: %s", steps[r->step].name,
		 r->durability ? " (disk)" : "", entry_names[r->entry], r->on ? "from" : "at", r->index,
		 r->error == SHORT ? "short" : strerror(r->error));
}

static void run_life(const struct run *r)
{
	struct life l = { .store = r->store, .durability = r->durability };

	describe(r);
	install();
	take_until(&l, r->step);
	memset(fault, 0, sizeof *fault);
	fault->entry = r->entry;
	fault->error = r->error;
	fault->index = r->index;
	fault->on = r->on;
	fault->armed = 1;
	l.failed = 0;
	errno = 0;
	steps[r->step].take(&l);
	fault->armed = 0;
	if (l.failed) {
		expect(errno > 0 && errno < 200, "it fails without an errno");
		expect((steps[r->step].kind & MUTE) || SASLastErrorMessage()[0],
		       "it fails without a sentence");
	}
	check_handle(&l, r->step);
	check_life_after(&l, r->step);
	/* A descriptor that cannot be looked at may be the program's by now: it is left open. */
	if (r->entry != ENTRY_fstat)
		expect(help_descriptors() == r->descriptors, "%d descriptors are open, not %d",
		       help_descriptors(), r->descriptors);
}

/* How often the step makes each call. */
static void count_calls(int step, sas_durability_t durability, long counts[ENTRY_COUNT])
{
	long *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct life l = { .store = help_store(), .durability = durability };
	int status;
	pid_t pid;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		snprintf(context, sizeof context, "%s without faults", steps[step].name);
		install();
		take_until(&l, step);
		memset(fault, 0, sizeof *fault);
		l.failed = 0;
		steps[step].take(&l);
		memcpy(shared, fault->counts, sizeof fault->counts);
		expect(!l.failed, "it fails");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	memcpy(counts, shared, ENTRY_COUNT * sizeof *counts);
	munmap(shared, 4096);
}

/* Each call with each error, once and from there on; smaller tests take one in so many of these. */
static int is_chosen(const struct run *r, int kind, int kinds)
{
	long turn = r->index + kind + r->step, one_in = help_size(3, r->durability ? 3 : 1, 0) * kinds;

	if (help_valgrind())
		one_in *= 4;
	return one_in == 0 || turn % one_in == 0;
}

/* 0: good. */
static int run_one(struct run *r)
{
	int status, late;
	pid_t pid;

	r->store = help_store();
	fflush(NULL);
	/* Of the children: what this process has open now. */
	r->descriptors = help_descriptors();
	pid = fork();
	if (pid == 0) {
		run_life(r);
		_exit(0);
	}
	late = !help_ended(pid, (help_instrumented() ? 10 : 1) * DEADLINE * 1000);
	if (late)
		kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (status == 0)
		SASRegionRemovePath(r->store, 1);
	describe(r);
	if (late || WIFSIGNALED(status))
		fprintf(stderr, "%s: %s\n", context, late ? "hangs" : strsignal(WTERMSIG(status)));
	return status != 0;
}

static int count_errors(const int errors[])
{
	int count = 0;

	while (errors[count])
		count++;
	return count;
}

/* All faults of one entry; how many runs went wrong. */
static unsigned run_entry(struct run *r, const int errors[], long count, unsigned *runs)
{
	int kinds = 2 * count_errors(errors);
	unsigned bad = 0;

	for (r->index = 0; r->index < count; r->index++)
		for (int kind = 0; kind < kinds && bad < ENOUGH; kind++) {
			if (!is_chosen(r, kind, kinds))
				continue;
			r->error = errors[kind / 2];
			r->on = kind % 2;
			++*runs;
			bad += (unsigned)run_one(r);
		}
	return bad;
}

START_TEST(step_with_one_fault_fails_clearly_or_succeeds)
{
	struct run r = { .step = _i % STEPS };
	unsigned runs = 0, bad = 0;
	long counts[ENTRY_COUNT];

	r.durability = _i < STEPS ? SASDurability__PROCESS : SASDurability__DISK;
	count_calls(r.step, r.durability, counts);
	for (size_t e = 0; e < sizeof errors_of / sizeof errors_of[0]; e++) {
		r.entry = (int)errors_of[e].entry;
		bad += run_entry(&r, errors_of[e].errors, counts[r.entry], &runs);
	}
	ck_assert_msg(bad == 0, "%s: %u of %u runs went wrong", steps[r.step].name, bad, runs);
}
END_TEST

/* --- places where some calls never work */

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
	take_until(&l, STEPS);
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
	do_create(&l);
}

static void grow_and_die(void *arg)
{
	struct life l = { .store = arg };

	port = sas_port_linux;
	port.openat = without_tmpfile;
	no_tmpfile_error = EOPNOTSUPP;
	sas_port = &port;
	do_create(&l);
	port.linkat = die_before_link;
	do_alloc_large(&l);
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
	do_create(&l);
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
		do_create(&l);
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
		do_create(&l);
		if (l.failed) {
			ck_assert_msg(errno == EMFILE, "errno %d: %s", errno, SASLastErrorMessage());
			refused++;
		} else {
			do_alloc_large(&l);
			ck_assert_msg(!l.failed || errno == EMFILE, "errno %d: %s", errno,
				      SASLastErrorMessage());
			do_leave(&l);
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
	Suite *s = suite_create("inject");
	TCase *each = tcase_create("each"), *lack = tcase_create("lack");

	sandbox_prefer_memory();        /* thousands of stores */
	tcase_set_timeout(each, (int)help_size(600, 600, 36000));
	tcase_set_timeout(lack, 120);
	tcase_add_loop_test(each, step_with_one_fault_fails_clearly_or_succeeds, 0, 2 * STEPS);
	tcase_add_test(lack, life_on_file_systems_that_lack_something);
	help_add_death(lack, temporary_file_of_a_dead_maker_disappears_at_the_next_join);
	tcase_add_test(lack, temporary_file_of_a_living_maker_stays);
	tcase_add_test(lack, segment_made_beside_a_removal_is_no_orphan);
	tcase_add_test(lack, join_with_few_descriptors_fails_with_emfile_or_works);
	suite_add_tcase(s, each);
	suite_add_tcase(s, lack);
	return help_main(s);
}
