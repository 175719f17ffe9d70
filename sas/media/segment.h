/* SPDX-License-Identifier: MIT */
/*
 * segment.h - segment files: their names, making one, mapping one. Layer 2.
 *
 * Crash: a file is made whole under no name (O_TMPFILE, else SAS.tmp.*), synced and linked into place; the
 * table entry PRESENT is published after that. A file in place without its entry is taken over
 * by the next creator when its trailer fits. The library never unlinks or truncates one while others may
 * have it mapped.
 * Signals: sas_segment_map_quiet() is async-signal-safe and serves the fault handler.
 */
#ifndef SAS_SEGMENT_H
#define SAS_SEGMENT_H

#include <stdint.h>
#include "region/region.h"

#define SAS_SEGMENT_NAME 32
/* "SAS%05lX.DAT" without stdio: the fault handler writes names. */
char *sas_segment_name(char name[SAS_SEGMENT_NAME], uint64_t number);
/* The number in such a name; -1: it is none. */
int64_t sas_segment_number(const char *name);

static inline int sas_segment_present(const struct sas_region *r, uint64_t n)
{
	return n < r->segments && sas_m_load_acquire_u32(&r->table[n].file) == SAS_M_SEGMENT_PRESENT;
}
static inline int sas_segment_mapped(const struct sas_region *r, uint64_t n)
{
	return __atomic_load_n(&r->mapped[n], __ATOMIC_ACQUIRE);
}

/* Open and check a segment's file. -errno: ENOENT missing, EUCLEAN foreign, EPERM owner or mode, ELOOP link. */
int sas_segment_open(struct sas_region *r, uint64_t n, int *fd);
int sas_segment_map_quiet(struct sas_region *r, uint64_t n);
/* The same with a sentence; 0 at once when it is mapped. The library's own code calls this before it touches a segment. */
int sas_segment_need(struct sas_region *r, uint64_t n);
int sas_segment_need_range(struct sas_region *r, uint64_t offset, uint64_t size);
/* Make segment n's file, if there is none. block_lock held. */
int sas_segment_make(struct sas_region *r, uint64_t n);
/* Give a new file the size of a segment and its trailer. -errno, no sentence. */
int sas_segment_set_size(int fd, uint64_t segment_size);
/* What the trailer of segment n says. */
void sas_segment_trailer(struct sas_m_trailer *t, const struct sas_m_anchor *a, uint64_t n);
/* Trailer and attributes of segment n's file, which has its size. */
int sas_segment_write_trailer(int fd, const struct sas_m_anchor *a, uint64_t n);
/* The directory's descriptor, opened again when the program closed it. */
int sas_region_dir(struct sas_region *r);
/* The anchor file's lock: flock with an end. It is held for microseconds by joins, and longer by who copies or removes the
 * region, or is stopped. EBUSY. */
int sas_file_lock_anchor(const char *path, int fd, int how);
/* Build a file of the region under a temporary name and put it in place; fill writes its content. The file has this
 * mode and, where we may, this owner and group. -EEXIST: there is one. */
int sas_file_publish(int dir, const char *path, const char *name, unsigned mode, uid_t uid, gid_t gid,
		     int (*fill)(int fd, void *arg), void *arg);
/* Call see for each name in the directory until it gives non-zero. */
int sas_directory_each(int dir, int (*see)(int dir, const char *name, void *arg), void *arg);
/* Delete the temporary files of creations that were cut short; each is told, unless told is NULL. */
int sas_file_sweep(int dir, void (*told)(const char *name, void *arg), void *arg);
/* A descriptor to give up when they run out. */
void sas_region_keep_spare(struct sas_region *r);
/* All present segments have their files. */
int sas_segment_verify_all(struct sas_region *r);

#endif
