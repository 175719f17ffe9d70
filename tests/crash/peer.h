/* SPDX-License-Identifier: MIT */
/*
 * peer.h - a process that lives in the region in which another one is killed, and goes on.
 *
 * Its calls are timed from when they begin or from the kill, whichever is later: before the kill it may
 * rightly wait for the other one.
 */
#ifndef CRASH_PEER_H
#define CRASH_PEER_H

#include "ops.h"

struct peer {
	int pid;
	int to, from;           /* pipes */
};

/* Started, and joined where there is a region. 0; -1: the scene has a sentence. */
int peer_start(struct peer *p, struct scene *s, const char *path, int has_slot);
/* Let it call; on return it has begun. */
void peer_go(struct peer *p);
/* Wait until it has called, filled the region, emptied it, and left. */
int peer_finish(struct peer *p, struct scene *s);

#endif
