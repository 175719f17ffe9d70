/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "faulty.h"

#define TEXT(type, name, parameters, arguments) #name,
const char *const entry_names[ENTRY_COUNT] = {
	ENTRIES(TEXT)
	"close", "munmap", "fsync", "fdatasync", "msync", "pread", "pwrite"
};

struct fault *fault;
static __thread int is_ours;

static int strikes(enum entry entry)
{
	long index;

	if (!is_ours)
		return 0;
	index = fault->counts[entry]++;
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

static int is_short(void)
{
	return fault->error == SHORT_HALF || fault->error == SHORT_BYTE;
}

static size_t shortened(size_t size)
{
	return fault->error == SHORT_HALF && size > 1 ? size / 2 : size > 0;
}

static ssize_t fail_pread(int fd, void *buffer, size_t size, uint64_t offset)
{
	if (!strikes(ENTRY_pread))
		return sas_port_linux.pread(fd, buffer, size, offset);
	if (!is_short())
		return -fault->error;
	return sas_port_linux.pread(fd, buffer, shortened(size), offset);
}

static ssize_t fail_pwrite(int fd, const void *buffer, size_t size, uint64_t offset)
{
	if (!strikes(ENTRY_pwrite))
		return sas_port_linux.pwrite(fd, buffer, size, offset);
	if (!is_short())
		return -fault->error;
	return sas_port_linux.pwrite(fd, buffer, shortened(size), offset);
}

static struct sas_port port;

void faulty_install(void)
{
	is_ours = 1;
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

const struct faults_of faults_of[] = {
	{ ENTRY_openat, { EMFILE, EACCES, EIO, EROFS, ENOSPC, ENOMEM, EDQUOT } },
	{ ENTRY_close, { EIO } },
	{ ENTRY_fstat, { EIO, ENOMEM } },
	{ ENTRY_fstatat, { EIO, EACCES } },
	{ ENTRY_fstatfs, { EIO } },
	{ ENTRY_pread, { EIO, ENOMEM, SHORT_HALF, SHORT_BYTE } },
	{ ENTRY_pwrite, { ENOSPC, EIO, EDQUOT, EFBIG, SHORT_HALF, SHORT_BYTE } },
	{ ENTRY_ftruncate, { EIO, EFBIG, EACCES, ENOSPC, EDQUOT } },
	{ ENTRY_fallocate, { ENOSPC, EDQUOT, EIO, EFBIG, EOPNOTSUPP } },
	{ ENTRY_lseek, { EIO } },
	{ ENTRY_fsync, { EIO, ENOSPC, EDQUOT } },
	{ ENTRY_fdatasync, { EIO, ENOSPC, EDQUOT } },
	{ ENTRY_linkat, { EIO, ENOSPC, EDQUOT, EACCES, EROFS, ENOENT } },
	{ ENTRY_unlinkat, { EIO, EACCES, EROFS } },
	{ ENTRY_mkdirat, { EACCES, EROFS, ENOSPC, EDQUOT } },
	{ ENTRY_fchmod, { EIO, EACCES, EROFS } },
	{ ENTRY_fchown, { EPERM, EDQUOT } },
	{ ENTRY_flock, { EIO, ENOLCK } },
	{ ENTRY_ofd_lock, { ENOLCK, EAGAIN } },
	{ ENTRY_ofd_test, { EIO } },
	{ ENTRY_mmap, { ENOMEM, EAGAIN, EACCES } },
	{ ENTRY_munmap, { ENOMEM } },
	{ ENTRY_mprotect, { ENOMEM } },
	{ ENTRY_msync, { EIO, ENOMEM } },
	{ ENTRY_sync_file_range, { EIO, ENOSPC } },
	{ ENTRY_madvise, { EINVAL, ENOMEM } },
	{ ENTRY_mbind, { EPERM, ENOSYS, EINVAL, ENOMEM } },
	{ ENTRY_get_mempolicy, { EPERM, ENOSYS } },
	{ ENTRY_munlock, { ENOMEM } },
	{ ENTRY_membarrier, { EPERM, ENOSYS } },
	{ ENTRY_futex_wait, { EINTR } },        /* all others begin again in the port */
	{ ENTRY_fgetxattr, { EIO, EOPNOTSUPP } },
	{ ENTRY_fsetxattr, { ENOSPC, EDQUOT, EOPNOTSUPP } },
	{ ENTRY_getdents64, { EIO, ENOMEM } },
};

const size_t faults_of_count = sizeof faults_of / sizeof faults_of[0];
