/* SPDX-License-Identifier: MIT */
/*
 * port.c - the table of system calls that Linux fills, and what is read from /proc. Layer 0.
 *
 * Locks: none. Fork: nothing to do; what is cached holds for the whole boot.
 * Signals: the entries that port.h marks (h) are plain system calls. The others too, but those
 * that ask for the file size limit first.
 * Cancellation: several entries are cancellation points; callers that hold something disable it.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "port.h"

#define WIPED_BYTES 4096U

/* The result of a call, made again as long as a signal interrupts it, or -errno. */
#define UNINTERRUPTED(call)                                                                        \
	({                                                                                         \
		__typeof__(call) result_;                                                          \
		do                                                                                 \
			result_ = (call);                                                          \
		while (result_ == -1 && errno == EINTR);                                           \
		result_ == -1 ? (__typeof__(call))-errno : result_;                                \
	})

static int linux_openat(int dir, const char *name, int flags, unsigned mode)
{
	return UNINTERRUPTED(openat(dir, name, flags, (mode_t)mode));
}

/* An interrupted close has closed: to repeat it could hit a descriptor of another thread. */
static int linux_close(int fd)
{
	return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

static int linux_fstat(int fd, struct stat *st)
{
	return UNINTERRUPTED(fstat(fd, st));
}

static int linux_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	return UNINTERRUPTED(fstatat(dir, name, st, flags));
}

static int linux_fstatfs(int fd, struct statfs *st)
{
	return UNINTERRUPTED(fstatfs(fd, st));
}

/* Whether [offset, offset + size) has offsets that no off_t can say. */
static int is_past_off_t(uint64_t offset, uint64_t size)
{
	return offset > INT64_MAX || size > INT64_MAX - offset;
}

/* The process's limit for the size of a file: whoever passes it gets SIGXFSZ, which kills. */
static uint64_t file_size_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

/* Whether a file would grow to `end`, and that is beyond the limit. */
static int grows_past_limit(int fd, uint64_t end)
{
	struct stat st;

	return end > file_size_limit() && fstat(fd, &st) == 0 && end > (uint64_t)st.st_size;
}

static ssize_t linux_pread(int fd, void *buffer, size_t size, uint64_t offset)
{
	return UNINTERRUPTED(pread(fd, buffer, size, (off_t)offset));
}

static ssize_t linux_pwrite(int fd, const void *buffer, size_t size, uint64_t offset)
{
	/* The kernel shortens a write across the limit by itself. */
	if (is_past_off_t(offset, size) || (size > 0 && offset >= file_size_limit()))
		return -EFBIG;
	return UNINTERRUPTED(pwrite(fd, buffer, size, (off_t)offset));
}

static int linux_ftruncate(int fd, uint64_t size)
{
	if (is_past_off_t(size, 0) || grows_past_limit(fd, size))
		return -EFBIG;
	return UNINTERRUPTED(ftruncate(fd, (off_t)size));
}

static int linux_fallocate(int fd, int mode, uint64_t offset, uint64_t size)
{
	if (is_past_off_t(offset, size))
		return -EFBIG;
	if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && grows_past_limit(fd, offset + size))
		return -EFBIG;
	return UNINTERRUPTED(fallocate(fd, mode, (off_t)offset, (off_t)size));
}

static int64_t linux_lseek(int fd, int64_t offset, int whence)
{
	return UNINTERRUPTED(lseek(fd, offset, whence));
}

static int linux_fsync(int fd)
{
	return UNINTERRUPTED(fsync(fd));
}

static int linux_fdatasync(int fd)
{
	return UNINTERRUPTED(fdatasync(fd));
}

static int linux_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return UNINTERRUPTED(linkat(from_dir, from, to_dir, to, flags));
}

static int linux_unlinkat(int dir, const char *name, int flags)
{
	return UNINTERRUPTED(unlinkat(dir, name, flags));
}

static int linux_mkdirat(int dir, const char *name, unsigned mode)
{
	return UNINTERRUPTED(mkdirat(dir, name, (mode_t)mode));
}

static int linux_fchmod(int fd, unsigned mode)
{
	return UNINTERRUPTED(fchmod(fd, (mode_t)mode));
}

static int linux_fchown(int fd, unsigned uid, unsigned gid)
{
	return UNINTERRUPTED(fchown(fd, (uid_t)uid, (gid_t)gid));
}

static int linux_flock(int fd, int operation)
{
	return UNINTERRUPTED(flock(fd, operation));
}

static struct flock lock_range(int type, uint64_t offset, uint64_t size)
{
	struct flock range = {
		.l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)offset,
		.l_len = (off_t)size,
	};

	return range;
}

static int linux_ofd_lock(int fd, int type, uint64_t offset, uint64_t size)
{
	struct flock range = lock_range(type, offset, size);

	return UNINTERRUPTED(fcntl(fd, F_OFD_SETLK, &range));
}

static int linux_ofd_test(int fd, int type, uint64_t offset, uint64_t size)
{
	struct flock range = lock_range(type, offset, size);
	int error = UNINTERRUPTED(fcntl(fd, F_OFD_GETLK, &range));

	return error < 0 ? error : range.l_type != F_UNLCK;
}

static void *linux_mmap(void *address, size_t size, int protection, int flags, int fd, uint64_t offset)
{
	void *result;

	do
		result = mmap(address, size, protection, flags, fd, (off_t)offset);
	while (result == MAP_FAILED && errno == EINTR);
	return result == MAP_FAILED ? (void *)(intptr_t)-errno : result;
}

static int linux_munmap(void *address, size_t size)
{
	return UNINTERRUPTED(munmap(address, size));
}

static int linux_mprotect(void *address, size_t size, int protection)
{
	return UNINTERRUPTED(mprotect(address, size, protection));
}

static int linux_msync(void *address, size_t size, int flags)
{
	return UNINTERRUPTED(msync(address, size, flags));
}

static int linux_sync_file_range(int fd, uint64_t offset, uint64_t size)
{
	return UNINTERRUPTED(sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE));
}

static int linux_madvise(void *address, size_t size, int advice)
{
	return UNINTERRUPTED(madvise(address, size, advice));
}

static int linux_mbind(void *address, size_t size, int mode, const unsigned long *nodes, unsigned long bits, unsigned flags)
{
	return UNINTERRUPTED((int)syscall(SYS_mbind, address, size, mode, nodes, bits, flags));
}

static int linux_get_mempolicy(int *mode, unsigned long *nodes, unsigned long bits, const void *address, unsigned long flags)
{
	return UNINTERRUPTED((int)syscall(SYS_get_mempolicy, mode, nodes, bits, address, flags));
}

static int linux_munlock(const void *address, size_t size)
{
	return UNINTERRUPTED(munlock(address, size));
}

static int linux_membarrier(int command)
{
	return UNINTERRUPTED((int)syscall(SYS_membarrier, command, 0, 0));
}

static ssize_t linux_fgetxattr(int fd, const char *name, void *value, size_t size)
{
	return UNINTERRUPTED(fgetxattr(fd, name, value, size));
}

static int linux_fsetxattr(int fd, const char *name, const void *value, size_t size)
{
	return UNINTERRUPTED(fsetxattr(fd, name, value, size, 0));
}

static ssize_t linux_getdents64(int fd, void *buffer, size_t size)
{
	return UNINTERRUPTED(syscall(SYS_getdents64, fd, buffer, size));
}

static int linux_futex_wait(const uint32_t *word, uint32_t expected, uint64_t nanoseconds)
{
	struct timespec t = { (time_t)(nanoseconds / 1000000000U), (long)(nanoseconds % 1000000000U) };

	if (syscall(SYS_futex, word, FUTEX_WAIT, expected, &t, NULL, 0) == 0 || errno == EAGAIN)
		return 0;
	return -errno;
}

static int linux_futex_wake(const uint32_t *word, int count)
{
	return (int)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static size_t linux_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t linux_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static uint64_t linux_now_real_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static uint64_t linux_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

const struct sas_port sas_port_linux = {
	.openat = linux_openat,
	.close = linux_close,
	.fstat = linux_fstat,
	.fstatat = linux_fstatat,
	.fstatfs = linux_fstatfs,
	.pread = linux_pread,
	.pwrite = linux_pwrite,
	.ftruncate = linux_ftruncate,
	.fallocate = linux_fallocate,
	.lseek = linux_lseek,
	.fsync = linux_fsync,
	.fdatasync = linux_fdatasync,
	.linkat = linux_linkat,
	.unlinkat = linux_unlinkat,
	.mkdirat = linux_mkdirat,
	.fchmod = linux_fchmod,
	.fchown = linux_fchown,
	.flock = linux_flock,
	.ofd_lock = linux_ofd_lock,
	.ofd_test = linux_ofd_test,
	.mmap = linux_mmap,
	.munmap = linux_munmap,
	.mprotect = linux_mprotect,
	.msync = linux_msync,
	.sync_file_range = linux_sync_file_range,
	.madvise = linux_madvise,
	.mbind = linux_mbind,
	.get_mempolicy = linux_get_mempolicy,
	.munlock = linux_munlock,
	.membarrier = linux_membarrier,
	.fgetxattr = linux_fgetxattr,
	.fsetxattr = linux_fsetxattr,
	.getdents64 = linux_getdents64,
	.futex_wait = linux_futex_wait,
	.futex_wake = linux_futex_wake,
	.page_size = linux_page_size,
	.now_ns = linux_now_ns,
	.now_real_ns = linux_now_real_ns,
	.now_s = linux_now_s,
};

const struct sas_port *sas_port = &sas_port_linux;

int sas_port_pread_all(int fd, void *buffer, size_t size, uint64_t offset)
{
	char *to = buffer;

	while (size > 0) {
		ssize_t n = sas_port->pread(fd, to, size, offset);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		to += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

#define HUGETLBFS 0x958458f6UL
#define WINDOW (2UL << 20)

/* hugetlbfs has no write(2): there through a mapping, of a page that has its space before it is touched. */
static int write_mapped(int fd, const char *from, size_t size, uint64_t offset)
{
	struct statfs fs;
	struct stat st;
	int error = sas_port->fstatfs(fd, &fs);

	if (!error)
		error = sas_port->fstat(fd, &st);
	if (error)
		return error;
	if ((unsigned long)fs.f_type != HUGETLBFS || offset + size > (uint64_t)st.st_size)
		return -EINVAL;
	while (size > 0) {
		uint64_t start = offset & ~(WINDOW - 1), length = start + WINDOW - offset;
		char *window;

		if (length > size)
			length = size;
		error = sas_port->fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length);
		if (error)
			return error;
		window = sas_port->mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, start);
		if (SAS_MAP_FAILED(window))
			return (int)(intptr_t)window;
		memcpy(window + (offset - start), from, length);
		sas_port->munmap(window, WINDOW);
		from += length;
		size -= length;
		offset += length;
	}
	return 0;
}

int sas_port_pwrite_all(int fd, const void *buffer, size_t size, uint64_t offset)
{
	const char *from = buffer;

	while (size > 0) {
		ssize_t n = sas_port->pwrite(fd, from, size, offset);

		if (n == -EINVAL)
			return write_mapped(fd, from, size, offset);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		from += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

void sas_port_widen(uint64_t *from, uint64_t *to)
{
	uint64_t mask = sas_port->page_size() - 1;

	*from &= ~mask;
	*to = (*to + mask) & ~mask;
}

int sas_port_write_back(const void *address, size_t size)
{
	uint64_t from = (uintptr_t)address, to = from + size;

	sas_port_widen(&from, &to);
	return sas_port->msync((void *)from, to - from, MS_SYNC);
}

int sas_port_is(int fd, dev_t device, ino_t inode)
{
	struct stat st;
	int error = fd < 0 ? -EBADF : sas_port->fstat(fd, &st);

	/* Of an open descriptor we learn nothing new when the call fails for another reason. */
	if (error)
		return error != -EBADF;
	return st.st_dev == device && st.st_ino == inode;
}

void sas_port_close_own(int fd, dev_t device, ino_t inode)
{
	if (sas_port_is(fd, device, inode))
		sas_port->close(fd);
}

int sas_port_random(void *buffer, size_t size)
{
	char *to = buffer;

	while (size > 0) {
		ssize_t n = UNINTERRUPTED(getrandom(to, size, 0));

		if (n < 0)
			return (int)n;
		to += n;
		size -= (size_t)n;
	}
	return 0;
}

/* The start of a small file, as a string; its length, or -errno. */
static ssize_t read_text(const char *path, char *text, size_t size)
{
	size_t length = 0;
	ssize_t n;
	int fd = sas_port->openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	do {
		n = sas_port->pread(fd, text + length, size - 1 - length, length);
		if (n > 0)
			length += (size_t)n;
	} while (n > 0 && length < size - 1);
	sas_port->close(fd);
	text[length] = '\0';
	return n < 0 ? n : (ssize_t)length;
}

/* The value of a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static uint8_t boot_id[16];

static void read_boot_id(void)
{
	char text[64];
	uint8_t id[16] = {0};
	unsigned digits = 0;

	if (read_text("/proc/sys/kernel/random/boot_id", text, sizeof text) < 0)
		return;
	for (const char *c = text; *c != '\0' && *c != '\n'; c++) {
		int digit = hex_digit(*c);

		if (digit < 0 && *c == '-')
			continue;
		if (digit < 0 || digits == 32)
			return;
		id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
		digits++;
	}
	if (digits == 32)
		memcpy(boot_id, id, sizeof boot_id);
}

void sas_port_boot_id(uint8_t id[16])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_boot_id);
	memcpy(id, boot_id, sizeof boot_id);
}

uint64_t sas_port_pid_namespace(void)
{
	struct stat st;

	if (sas_port->fstatat(AT_FDCWD, "/proc/self/ns/pid", &st, 0) < 0)
		return 0;
	return st.st_ino;
}

static uint32_t *wiped_words;

static void make_wiped_words(void)
{
	void *page = sas_port->mmap(NULL, WIPED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (SAS_MAP_FAILED(page))
		return;
	if (sas_port->madvise(page, WIPED_BYTES, MADV_WIPEONFORK) == 0)
		wiped_words = page;
	else
		sas_port->munmap(page, WIPED_BYTES);
}

uint32_t *sas_port_wiped_word(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static uint32_t used;
	uint32_t number;

	pthread_once(&once, make_wiped_words);
	number = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
	return wiped_words && number < WIPED_BYTES / sizeof *wiped_words ? wiped_words + number : NULL;
}

static int is_program(struct dl_phdr_info *info, size_t size, void *headers)
{
	(void)size;
	return (uintptr_t)info->dlpi_phdr == *(unsigned long *)headers;
}

/* What we can see is what lies in our name space. */
int sas_port_apart(void)
{
	unsigned long headers = getauxval(AT_PHDR);

	return headers != 0 && dl_iterate_phdr(is_program, &headers) == 0;
}

/* Behind `count` blank-separated fields, and the blanks that follow them. */
static const char *skip_fields(const char *text, int count)
{
	for (; count > 0; count--) {
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return text;
}

int sas_port_thread_exists(int pid, int tid)
{
	return syscall(SYS_tgkill, pid, tid, 0) == 0 || errno != ESRCH;
}

/* The hexadecimal number at *text, which then points behind it. */
static uint64_t parse_hex(const char **text)
{
	uint64_t value = 0;
	int digit;

	for (; (digit = hex_digit(**text)) >= 0; (*text)++)
		value = value << 4 | (uint64_t)digit;
	return value;
}

static size_t append(char *text, size_t text_size, size_t at, const char *from, size_t length)
{
	if (length > text_size - 1 - at)
		length = text_size - 1 - at;
	memcpy(text + at, from, length);
	text[at + length] = '\0';
	return at + length;
}

/* Lines of a file of /proc until `see` gives something else than 0. A longer one is cut. */
static void each_line(const char *path, int (*see)(const char *line, void *arg), void *arg)
{
	char buffer[4608];      /* a line: 73 bytes, and a path */
	int found = 0, in_long_line = 0, fd = sas_port->openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	size_t filled = 0;
	ssize_t n;

	if (fd < 0)
		return;
	while (!found && (n = UNINTERRUPTED(read(fd, buffer + filled, sizeof buffer - 1 - filled))) > 0) {
		char *line = buffer, *end;

		filled += (size_t)n;
		buffer[filled] = '\0';
		while (!found && ((end = strchr(line, '\n')) != NULL || filled == sizeof buffer - 1)) {
			if (end != NULL)
				*end = '\0';
			if (!in_long_line)
				found = see(line, arg);
			in_long_line = end == NULL;
			filled -= end == NULL ? filled : (size_t)(end + 1 - line);
			line = end == NULL ? line : end + 1;
		}
		memmove(buffer, line, filled);
	}
	sas_port->close(fd);
}

/* Is it the first line of a mapping, and of which addresses? */
static int is_mapping(const char *line, uint64_t *start, uint64_t *end)
{
	const char *c = line;

	*start = parse_hex(&c);
	if (c == line || *c++ != '-')
		return 0;
	*end = parse_hex(&c);
	return 1;
}

struct occupant { uintptr_t low, high; char *text; size_t size; };

/* If a line of /proc/self/maps overlaps [low, high], write its range and name. */
static int describe_overlap(const char *line, void *arg)
{
	const struct occupant *o = arg;
	uint64_t start, end;
	const char *name;
	size_t at;

	if (!is_mapping(line, &start, &end) || start > o->high || end <= o->low)
		return 0;
	name = skip_fields(line, 5);
	if (*name == '\0')
		name = "anonymous memory";
	at = append(o->text, o->size, 0, line, strcspn(line, " "));
	at = append(o->text, o->size, at, " ", 1);
	append(o->text, o->size, at, name, strlen(name));
	return 1;
}

void sas_port_occupant(uintptr_t address, size_t size, char *text, size_t text_size)
{
	struct occupant o = { address, size > UINTPTR_MAX - address ? UINTPTR_MAX : address + size - 1, text, text_size };

	if (text_size == 0)
		return;
	text[0] = '\0';
	if (size > 0)
		each_line("/proc/self/maps", describe_overlap, &o);
}

struct huge { uint64_t low, high, bytes; int inside; };

static int add_huge(const char *line, void *arg)
{
	static const char *const names[] = { "ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:", "Private_Hugetlb:" };
	struct huge *h = arg;
	uint64_t start, end;

	if (is_mapping(line, &start, &end)) {
		h->inside = start >= h->low && end <= h->high;
		return 0;
	}
	for (size_t i = 0; h->inside && i < sizeof names / sizeof names[0]; i++)
		if (strncmp(line, names[i], strlen(names[i])) == 0)
			h->bytes += strtoull(line + strlen(names[i]), NULL, 10) << 10;
	return 0;
}

uint64_t sas_port_huge_bytes(uintptr_t address, size_t size)
{
	struct huge h = { .low = address, .high = address + size };

	each_line("/proc/self/smaps", add_huge, &h);
	return h.bytes;
}

void sas_port_setting(const char *path, char *text, size_t size)
{
	if (read_text(path, text, size) < 0)
		text[0] = '\0';
}
