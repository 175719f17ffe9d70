/* SPDX-License-Identifier: MIT */
/*
 * verify.h - is a region that a process died in whole, and how far did the process come?
 *
 * In a process of its own, which knows nothing of the region: the files are checked as they are (layout.h's
 * invariants hold at each store), joined, which recovers, judged, filled to the last block and emptied again
 * (what the maps say is free can be had), left, and checked again.
 */
#ifndef CRASH_VERIFY_H
#define CRASH_VERIFY_H

#include "ops.h"

/* 0: whole, and the scene has the verdict; -1: it has a sentence. */
int verify_region(struct scene *s, const char *path);
/* In a process of the scene: SASRegionCheck() finds nothing, or the process fails. */
void verify_check(struct scene *s, const char *path, const char *when);

#endif
