/* SPDX-License-Identifier: MIT */
/*
 * sasmsync.h - write back, drop or read ahead ranges of a region, widened to pages. Sizes are bytes. All give 0,
 * or -1 and errno. Data is never lost. Thread-safe, not async-signal-safe. Page: sasMsyncWrite(3).
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
