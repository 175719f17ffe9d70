/* SPDX-License-Identifier: MIT */
/*
 * port.h - the only place where the runtime meets the operating system. Layer 0.
 *
 * Every system call goes through this table, so that tests can make each of them fail, and record
 * what has been synced. Each entry behaves as the system call of its name, but gives -errno
 * instead of -1, and is never interrupted: EINTR is retried, except in `close` and `futex_wait`. Entries marked (h)
 * are called by the fault handler: plain system calls, async-signal-safe.
 */
#ifndef SAS_PORT_H
#define SAS_PORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/statfs.h>

struct sas_port {
	int (*openat)(int dir, const char *name, int flags, unsigned mode);             /* (h) */
	int (*close)(int fd);                                                           /* (h) */
	int (*fstat)(int fd, struct stat *st);                                          /* (h) */
	int (*fstatat)(int dir, const char *name, struct stat *st, int flags);
	int (*fstatfs)(int fd, struct statfs *st);
	ssize_t (*pread)(int fd, void *buffer, size_t size, uint64_t offset);           /* (h) */
	ssize_t (*pwrite)(int fd, const void *buffer, size_t size, uint64_t offset);
	int (*ftruncate)(int fd, uint64_t size);
	int (*fallocate)(int fd, int mode, uint64_t offset, uint64_t size);
	int64_t (*lseek)(int fd, int64_t offset, int whence);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	int (*linkat)(int from_dir, const char *from, int to_dir, const char *to, int flags);
	int (*unlinkat)(int dir, const char *name, int flags);
	int (*mkdirat)(int dir, const char *name, unsigned mode);
	int (*fchmod)(int fd, unsigned mode);
	int (*fchown)(int fd, unsigned uid, unsigned gid);
	int (*flock)(int fd, int operation);
	int (*ofd_lock)(int fd, int type, uint64_t offset, uint64_t size);              /* F_OFD_SETLK: F_RDLCK, F_WRLCK, F_UNLCK */
	int (*ofd_test)(int fd, int type, uint64_t offset, uint64_t size);              /* F_OFD_GETLK: 1 somebody holds it, 0 nobody */
	void *(*mmap)(void *address, size_t size, int protection, int flags, int fd, uint64_t offset);  /* (h); gives (void *)-errno */
	int (*munmap)(void *address, size_t size);
	int (*mprotect)(void *address, size_t size, int protection);
	int (*msync)(void *address, size_t size, int flags);
	int (*sync_file_range)(int fd, uint64_t offset, uint64_t size);  /* SYNC_FILE_RANGE_WRITE: begins to write, and does not wait */
	int (*madvise)(void *address, size_t size, int advice);                         /* (h) */
	int (*mbind)(void *address, size_t size, int mode, const unsigned long *nodes, unsigned long bits, unsigned flags);     /* (h) */
	int (*get_mempolicy)(int *mode, unsigned long *nodes, unsigned long bits, const void *address, unsigned long flags);    /* (h) */
	int (*munlock)(const void *address, size_t size);
	int (*membarrier)(int command);                 /* MEMBARRIER_CMD_... */
	ssize_t (*fgetxattr)(int fd, const char *name, void *value, size_t size);
	int (*fsetxattr)(int fd, const char *name, const void *value, size_t size);
	ssize_t (*getdents64)(int fd, void *buffer, size_t size);
	/* 0: woken, or *word was not `expected`; -ETIMEDOUT; -EINTR. Between processes. */
	int (*futex_wait)(const uint32_t *word, uint32_t expected, uint64_t nanoseconds);
	int (*futex_wake)(const uint32_t *word, int count);     /* how many */
	size_t (*page_size)(void);                      /* the kernel's pages: 4, 16 or 64 KiB. (h) */
	uint64_t (*now_ns)(void);                       /* CLOCK_MONOTONIC */
	uint64_t (*now_real_ns)(void);                  /* CLOCK_REALTIME */
	uint64_t (*now_s)(void);                        /* CLOCK_REALTIME, seconds since 1970 */
};

/* The table in use. Tests may point it at a copy of sas_port_linux with entries replaced, before any join. */
extern const struct sas_port *sas_port;
extern const struct sas_port sas_port_linux;

#define SAS_MAP_FAILED(p) ((uintptr_t)(p) >= (uintptr_t)-4095)

/* Whole transfers: retry short counts; -EIO where the file ends early. On hugetlbfs, which has no write(2), by a mapping. */
int sas_port_pread_all(int fd, void *buffer, size_t size, uint64_t offset);
int sas_port_pwrite_all(int fd, const void *buffer, size_t size, uint64_t offset);
/* Widen [*from, *to) to whole pages of the kernel, which mappings and the calls on them are made of. (h) */
void sas_port_widen(uint64_t *from, uint64_t *to);
/* msync(MS_SYNC) of the pages that hold these bytes. */
int sas_port_write_back(const void *address, size_t size);
/* Is fd (still) this file? A program that closes all descriptors gets our numbers for its own files. (h) */
int sas_port_is(int fd, dev_t device, ino_t inode);
/* Close it only then. (h) */
void sas_port_close_own(int fd, dev_t device, ino_t inode);
/* Random bytes; 0 or -errno. */
int sas_port_random(void *buffer, size_t size);
/* The boot's UUID, 16 bytes; all zero where the kernel does not tell. Cached. Not (h). */
void sas_port_boot_id(uint8_t id[16]);
/* The inode number of this process's pid namespace; 0 unknown. */
uint64_t sas_port_pid_namespace(void);
/*
 * 1: dlmopen(3) has loaded us beside the program, with a C library of our own. Thread-specific data of the two C libraries
 * lie in the same places: to use any would destroy the program's.
 */
int sas_port_apart(void);
/* A word, 0 now, that the kernel makes 0 again in every child, however that is made; each call gives another one, for good.
 * NULL: no memory, or a kernel that does not (before 4.14). */
uint32_t *sas_port_wiped_word(void);
/* 0: no thread of this process has this id, in our pid namespace. */
int sas_port_thread_exists(int pid, int tid);
/* What /proc/self/maps says overlaps [address, address + size): "7f..-7f.. name"; "" if nothing. */
void sas_port_occupant(uintptr_t address, size_t size, char *text, size_t text_size);
/* Bytes of the mappings in [address, address + size) that huge pages map in this process, as /proc/self/smaps says. */
uint64_t sas_port_huge_bytes(uintptr_t address, size_t size);
/* What a file of /proc or /sys holds; "" if there is none. */
void sas_port_setting(const char *path, char *text, size_t size);

#endif
