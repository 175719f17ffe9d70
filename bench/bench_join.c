/* SPDX-License-Identifier: MIT */
/*
 * bench_join.c - how long a process takes to join a region of 1,000 segments, and to leave it.
 *
 * While another process has joined, as is the rule, and alone; the first join of a process, which also
 * loads what the library prepares once; and the classic join, which maps 64 segments at once.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sassim.h>
#include "measure.h"

#define ROUNDS 1000
#define FRESH 200
#define TARGET 150000.0         /* ns */

struct times {
	uint64_t join[ROUNDS], leave[ROUNDS];
	const char *path;
	unsigned i;
};

static void by_handle(void *arg)
{
	struct times *t = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t begin = now_ns(), joined;
		SASRegion_t region = join(0);

		joined = now_ns();
		if (SASRegionLeave(region) != 0)
			give_up("leave");
		t->leave[i] = now_ns() - joined;
		t->join[i] = joined - begin;
	}
}

static void classic(void *arg)
{
	struct times *t = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t begin = now_ns(), joined;

		if (SASJoinRegionByName(t->path) != 0)
			give_up("classic join");
		joined = now_ns();
		SASCleanUp();
		t->leave[i] = now_ns() - joined;
		t->join[i] = joined - begin;
	}
}

static void first(void *arg)
{
	struct times *t = arg;
	uint64_t begin = now_ns();

	join(0);
	t->join[t->i] = now_ns() - begin;
}

/* A peer that stays until its end of the pipe is closed. */
static pid_t start_peer(int hold[2])
{
	char byte;
	pid_t pid;
	int ready[2];

	if (pipe(hold) != 0 || pipe(ready) != 0 || (pid = fork()) < 0)
		give_up("peer");
	if (pid == 0) {
		SASRegion_t region = join(0);

		close(hold[1]);
		if (!SASRegionBlockAlloc(region, 4096) || write(ready[1], "", 1) != 1)
			_exit(1);
		if (read(hold[0], &byte, 1) != 0)
			_exit(1);
		SASRegionLeave(region);
		_exit(0);
	}
	close(hold[0]);
	if (read(ready[0], &byte, 1) != 1)
		give_up("peer");
	return pid;
}

enum { WARM, FIRST, CLASSIC, KINDS };

static void run(struct times *t, double worst[KINDS])
{
	double median[KINDS];
	int hold[2];
	pid_t peer;

	in_child(by_handle, t);
	report("join, nobody else there", t->join, ROUNDS);
	report("leave, as the last one", t->leave, ROUNDS);
	peer = start_peer(hold);
	in_child(by_handle, t);
	median[WARM] = report("join beside a peer", t->join, ROUNDS);
	report("leave beside a peer", t->leave, ROUNDS);
	for (t->i = 0; t->i < FRESH; t->i++)
		in_child(first, t);
	median[FIRST] = report("join beside a peer, the first of a process", t->join, FRESH);
	in_child(classic, t);
	median[CLASSIC] = report("classic join beside a peer: maps 64 segments", t->join, ROUNDS);
	report("classic leave beside a peer", t->leave, ROUNDS);
	close(hold[1]);
	waitpid(peer, NULL, 0);
	for (int k = 0; k < KINDS; k++)
		worst[k] = median[k] > worst[k] ? median[k] : worst[k];
}

int main(int argc, char **argv)
{
	static const char *const kinds[KINDS] = { "join", "join, the first of a process", "classic join" };
	struct times *t = shared(sizeof *t);
	char **blocks = shared(SEGMENTS * sizeof *blocks);
	double worst[KINDS] = { 0 };

	describe_machine();
	t->path = store_make(argc, argv);
	make_segments(blocks);
	for (int i = 1; i <= RUNS; i++) {
		printf("bench_join, %lu segments, run %d\n", SEGMENTS, i);
		run(t, worst);
	}
	store_remove();
	for (int k = 0; k < KINDS; k++)
		printf("%s: median %.1f us in the worst run; target under %.0f us: %s\n", kinds[k],
		       worst[k] / 1e3, TARGET / 1e3, worst[k] < TARGET ? "met" : "MISSED");
	return 0;
}
