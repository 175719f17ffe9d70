/* SPDX-License-Identifier: MIT */
/*
 * disk.h - what of a directory would be left after a power cut.
 *
 * For each file (by its inode) the bytes that are safe: those of the last fsync(2), fdatasync(2) or msync(2)
 * that covered them. For the directory the names of its last fsync. Everything else is in the page cache, and
 * the kernel may write any of it at any time in any order; so at a cut each page that differs is old or new,
 * or a mixture by sectors of 512 bytes, and each name that differs is there or not. Space that was punched
 * counts as pages that became zero. disk_write_back() writes some of it early, so that states between two
 * syncs come to be old as well.
 *
 * Persistent memory (disk->lines): what is not safe is kept by lines of 64 bytes. Lines that were written back are safe after the
 * next fence; until then each is as it was, as it was written back, or as it is now. The process tells of both by
 * system calls that the kernel refuses (DISK_LINES, DISK_FENCE).
 *
 * What is safe is what the kernel was asked for, seen at the system call, whichever part of the library made
 * it. SAS.run is never part of it. Limits: writes of a sector are whole; a file system that loses what it has
 * reported as written, or a name and its file in another way, is not played.
 */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>
#include "watch.h"

#define DISK_FILES 128

/* Flags of an msync(2) of the watched process, which fails. */
#define DISK_LINES 0x10000      /* it has written back the lines of the range */
#define DISK_FENCE 0x20000      /* and has waited */
#define DISK_LINE 64UL

/* Bytes are kept in full, but only pages that may hold any are looked at. */
struct disk_file {
	uint64_t inode;
	char *safe;             /* size bytes, of room */
	char *now;              /* what the file holds, when it was read last */
	char *cut;              /* what a cut leaves of it */
	uint8_t *seen;          /* by page: not all of them are zeros */
	uint64_t size, mode;
};

struct disk_name {
	char name[64];
	uint64_t inode;
};

struct disk_line {
	uint64_t inode, at;
	char bytes[DISK_LINE];
};

struct disk {
	int lines;              /* persistent memory */
	struct disk_line *pending;      /* written back, not waited for */
	size_t pending_count, pending_room;
	char path[PATH_MAX];
	uint64_t inode;         /* of the directory */
	uint64_t room;          /* bytes that a file may have */
	uintptr_t base;
	uint64_t segment_size;
	struct disk_file files[DISK_FILES];
	unsigned file_count;
	struct disk_name names[DISK_FILES];     /* safe ones */
	unsigned name_count;
	unsigned random;
	uint64_t syncs;
};

/* An empty directory, safe as it is. */
void disk_init(struct disk *d, const char *path, uintptr_t base, uint64_t segment_size, unsigned seed, int lines);
void disk_free(struct disk *d);
/* A system call of the watched process has returned. 1: it made something safe. */
int disk_note_call(struct disk *d, const struct watch *w);
/* The kernel writes a little on its own. */
void disk_write_back(struct disk *d);
/* Write what a cut now may leave into an empty directory. */
void disk_cut(struct disk *d, const char *image);
unsigned disk_draw(struct disk *d, unsigned below);

#endif
