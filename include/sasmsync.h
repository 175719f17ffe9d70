/* SPDX-License-Identifier: MIT */
/*
 * sasmsync.h - write back, drop or read ahead ranges of a region: msync(2) and madvise(2) with the
 * range widened to pages. All give 0, or -1 and errno of the system call. Data is never lost.
 */
#ifndef SASPHERE_SASMSYNC_H
#define SASPHERE_SASMSYNC_H

#include <stddef.h>
#include "sastype.h"

#define SAS_ASYNC 1
#define SAS_SYNC 0

extern __C__ int sasMsyncPurge (void *startAddr, size_t size, int asyncBool);
extern __C__ int sasMsyncRelease (void *startAddr, size_t size);
extern __C__ int sasMsyncBring (void *startAddr, size_t size);
extern __C__ int sasMsyncSequential (void *startAddr, size_t size);
extern __C__ int sasMsyncRandom (void *startAddr, size_t size);
extern __C__ int sasMsyncWrite (void *startAddr, size_t size, int asyncBool);

#endif
