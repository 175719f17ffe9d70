/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "peer.h"
#include "store.h"

#define PATIENCE 120            /* seconds until a peer counts as hung */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void note_call(struct scene *s, uint64_t began)
{
	uint64_t ended = now(), killed = __atomic_load_n(&s->killed_ns, __ATOMIC_ACQUIRE);

	if (killed > began)
		began = killed < ended ? killed : ended;
	if (ended - began > s->longest_ns)
		s->longest_ns = ended - began;
}

static SASRegion_t join(struct scene *s, const char *path)
{
	SASRegionOptions o;
	SASRegion_t region;
	uint64_t began = now();

	op_options(s->op, &o);
	region = SASRegionJoin(path, &o);
	if (!region)
		scene_fail_call(s, "SASRegionJoin of the peer");
	note_call(s, began);
	return region;
}

/* 0; -1: the region has come to its end. */
static int call(struct scene *s, SASRegion_t region)
{
	uint64_t began = now();
	void *p = SASRegionBlockAlloc(region, 4096);

	note_call(s, began);
	if (!p && errno == ESTALE && (s->op->flags & OP_ENDS))
		return -1;
	if (!p)
		scene_fail_call(s, "SASRegionBlockAlloc of the peer");
	began = now();
	if (SASBlockFree(p, 4096) != 0 && !(errno == ESTALE && (s->op->flags & OP_ENDS)))
		scene_fail_call(s, "SASBlockFree of the peer");
	note_call(s, began);
	began = now();
	if (SASRegionListBlocks(region, SASBlock__FREE, NULL, 0) < 0 &&
	    !(errno == ESTALE && (s->op->flags & OP_ENDS)))
		scene_fail_call(s, "SASRegionListBlocks of the peer");
	note_call(s, began);
	if (s->op->peer) {
		began = now();
		s->op->peer(s, region);
		note_call(s, began);
	}
	return 0;
}

static void read_byte(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		_exit(1);
}

static void write_byte(int fd)
{
	if (write(fd, "", 1) != 1)
		_exit(1);
}

/* The end may come between any two calls: then the peer makes the region anew, with all that are left. */
static SASRegion_t follow(struct scene *s, const char *path, SASRegion_t region)
{
	while (call(s, region) != 0) {
		if (SASRegionLeave(region) != 0)
			scene_fail_call(s, "SASRegionLeave of the peer");
		region = join(s, path);
	}
	return region;
}

static void live(struct scene *s, const char *path, int has_slot, int in, int out)
{
	SASRegion_t region = s->op->flags & OP_ABSENT ? NULL : join(s, path);

	if (region && has_slot)
		call(s, region);
	s->longest_ns = 0;
	write_byte(out);
	read_byte(in);
	write_byte(out);
	if (!region)
		region = join(s, path);
	region = follow(s, path, region);
	/* From here on the one that is killed is dead. */
	read_byte(in);
	region = follow(s, path, region);
	model_exhaust(s, region);
	if (SASRegionLeave(region) != 0)
		scene_fail_call(s, "SASRegionLeave of the peer");
}

int peer_start(struct peer *p, struct scene *s, const char *path, int has_slot)
{
	int to[2], from[2];
	char byte;

	if (pipe(to) != 0 || pipe(from) != 0)
		store_give_up("no pipe for", "a peer");
	p->pid = scene_fork(PATIENCE);
	if (p->pid == 0) {
		close(to[1]);
		close(from[0]);
		live(s, path, has_slot, to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	p->to = to[1];
	p->from = from[0];
	return read(p->from, &byte, 1) == 1 ? 0 : peer_finish(p, s);
}

void peer_go(struct peer *p)
{
	char byte = 0;

	/* Where it has died its end tells. */
	if (write(p->to, &byte, 1) != 1 || read(p->from, &byte, 1) != 1)
		return;
}

int peer_finish(struct peer *p, struct scene *s)
{
	char byte = 0;
	ssize_t sent = write(p->to, &byte, 1);

	(void)sent;
	close(p->to);
	close(p->from);
	return scene_wait(s, p->pid, "the peer");
}
