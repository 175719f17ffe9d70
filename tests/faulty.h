/* SPDX-License-Identifier: MIT */
/*
 * faulty.h - a port whose calls can be made to fail, one at a time: the n-th call of one entry, once or from there on.
 */
#ifndef TESTS_FAULTY_H
#define TESTS_FAULTY_H

#include <sys/types.h>
#include "sas/ground/port.h"

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
	X(int, sync_file_range, (int fd, uint64_t offset, uint64_t size), (fd, offset, size))      \
	X(int, munlock, (const void *address, size_t size), (address, size))                       \
	X(int, membarrier, (int command), (command))                                               \
	X(int, futex_wait, (const uint32_t *word, uint32_t expected, uint64_t nanoseconds), (word, expected, nanoseconds)) \
	X(int, fsetxattr, (int fd, const char *name, const void *value, size_t size),              \
	  (fd, name, value, size))                                                                 \
	X(ssize_t, getdents64, (int fd, void *buffer, size_t size), (fd, buffer, size))

#define NAME(type, name, parameters, arguments) ENTRY_##name,
enum entry {
	ENTRIES(NAME)
	ENTRY_close, ENTRY_munmap, ENTRY_fsync, ENTRY_fdatasync, ENTRY_msync, ENTRY_pread, ENTRY_pwrite,
	ENTRY_COUNT
};


/* In place of an error: transfers of half the size, and of one byte. */
#define SHORT_HALF 1000
#define SHORT_BYTE 1001

extern struct fault {
	int armed, entry, error, on;    /* on: all calls from that one on fail */
	long index;
	long counts[ENTRY_COUNT];
} *fault;       /* shared with the children of a run */

extern const char *const entry_names[ENTRY_COUNT];
extern const struct faults_of { enum entry entry; int errors[9]; } faults_of[];
extern const size_t faults_of_count;

/* From now on the library works on this port; calls of the thread that says so, and of its children, are counted and fail. */
void faulty_install(void);

#endif
