/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "peer.h"
#include "step.h"
#include "verify.h"

#define PATIENCE 3600           /* seconds for a child that is stepped */
#define LONGEST_NS 1000000000UL /* that a call of a peer may take */
#define FAR_STEPS 2000U
#define SECOND_STEPS 6000U      /* of a recovery, and a little more */

static uint64_t now(void)
{
	struct timespec c;

	clock_gettime(CLOCK_MONOTONIC, &c);
	return (uint64_t)c.tv_sec * 1000000000U + (uint64_t)c.tv_nsec;
}

static unsigned draw(struct stepping *t, unsigned below)
{
	return step_draw(&t->random, below);
}

/* Every other one right after a change, the rest anywhere. */
static uint64_t draw_step(struct stepping *t, unsigned n)
{
	if (n % 2 && t->point_count)
		return t->points[draw(t, (unsigned)t->point_count)] + draw(t, 3);
	return draw(t, (unsigned)t->result.steps + 1);
}

/* Before the kill or after it the peer's call begins. */
static void kill_beside(struct stepping *t, struct watch *w, struct peer *peer, int waiting)
{
	if (waiting)
		peer_go(peer);
	__atomic_store_n(&t->scene->killed_ns, now(), __ATOMIC_RELEASE);
	watch_kill(w);
	if (!waiting)
		peer_go(peer);
	peer_finish(peer, t->scene);
}

/* Joined before the first one dies; then its call meets the dead one, and recovers. */
static void recover(struct scene *s, const char *path)
{
	SASRegion_t region = SASRegionJoin(path, NULL);

	if (!region)
		scene_fail_call(s, "SASRegionJoin of the second");
	op_warm(s, region);
	watch_begin();
	SASRegionRecover(region);
	SASRegionListBlocks(region, SASBlock__FREE, NULL, 0);
	watch_end();
	_exit(0);
}

static int start_second(struct stepping *t, struct watch *w, const char *path)
{
	int pid = scene_fork(PATIENCE);

	if (pid == 0)
		recover(t->scene, path);
	if (watch_attach(w, pid) == 0)
		return 0;
	step_fail(t, "the process that is to recover did not come to it");
	return -1;
}

/* The one is killed in its operation, the second while it recovers it. */
static void kill_both(struct stepping *t, struct watch *first, struct watch *second)
{
	watch_kill(first);
	watch_skip(second, draw(t, SECOND_STEPS));
	t->result.kills++;
}

static int is_second(const struct stepping *t, unsigned kind)
{
	return kind % 3 == 2 && !(t->op->flags & (OP_ENDS | OP_ABSENT));
}

/* The peer and those to be killed are there. */
static int gather(struct stepping *t, struct peer *peer, struct watch *w, struct watch *second, char *work,
		  unsigned kind)
{
	if (peer_start(peer, t->scene, work, kind & 1) != 0) {
		step_fail(t, "the peer of a kill");
		return -1;
	}
	if (is_second(t, kind) && start_second(t, second, work) != 0) {
		peer_finish(peer, t->scene);
		return -1;
	}
	if (step_start(t, w, work) == 0)
		return 0;
	if (is_second(t, kind))
		watch_kill(second);
	peer_finish(peer, t->scene);
	return -1;
}

static void judge_kill(struct stepping *t, const char *work, uint64_t step, unsigned kind)
{
	struct scene *s = t->scene;

	if (s->failed || verify_region(s, work) != 0) {
		step_fail(t, "killed after step %lu beside a peer that %s%s", step,
			  kind & 2 ? "waited" : "called later",
			  is_second(t, kind) ? ", and another one that recovered was killed too" : "");
		return;
	}
	if (s->longest_ns > t->result.longest_ns)
		t->result.longest_ns = s->longest_ns;
	if (s->longest_ns > LONGEST_NS) {
		snprintf(s->sentence, sizeof s->sentence, "a call of the peer took %lu us",
			 s->longest_ns / 1000);
		step_fail(t, "killed after step %lu", step);
		return;
	}
	t->result.survived += is_second(t, kind) ? 2 : 1;
}

/* Behind one of the stores and calls, every other time right behind it. */
static void go_by_events(struct stepping *t, struct watch *w, unsigned n)
{
	enum watch_event event = WATCH_STEP;

	watch_range(w, SCENE_BASE, SCENE_BASE + op_region_size(t->op));
	w->quick = 1;
	for (uint64_t left = draw(t, (unsigned)t->events + 1); left > 0 && event != WATCH_STOPPED && event != WATCH_GONE; left--)
		event = watch_step(w);
	/* Away from where the kernel stops it for a call: nothing can be done in its place there. */
	w->quick = 0;
	if (event == WATCH_CALL)
		event = watch_step(w);
	if (event != WATCH_GONE)
		watch_no_range(w);
	if (event != WATCH_STOPPED && event != WATCH_GONE)
		watch_skip(w, draw(t, n % 2 ? 3 : FAR_STEPS));
}

enum way { BY_STEPS, BY_TRACE, BY_EVENTS };

/* 0: the trace did not lead to the step; it was killed at its end. */
static int kill_once(struct stepping *t, uint64_t step, unsigned kind, enum way way)
{
	struct watch w, second;
	char work[PATH_MAX];
	struct peer peer;
	int reached = 1;

	t->scene->failed = 0;
	t->scene->killed_ns = 0;
	step_work_copy(work);
	if (gather(t, &peer, &w, &second, work, kind) != 0)
		return 1;
	if (way == BY_EVENTS)
		go_by_events(t, &w, kind);
	else if (way == BY_TRACE)
		reached = trace_go(&t->trace, &w, step);
	else
		watch_skip(&w, step);
	t->result.kills++;
	if (is_second(t, kind)) {
		kill_both(t, &w, &second);
		w = second;
	}
	kill_beside(t, &w, &peer, kind >> 1 & 1);
	judge_kill(t, work, step, kind);
	return reached;
}

static void kill_at(struct stepping *t, uint64_t step, unsigned kind)
{
	if (t->size.quick)
		kill_once(t, 0, kind, BY_EVENTS);
	else if (t->trace.count == 0 || !kill_once(t, step, kind, BY_TRACE))
		kill_once(t, step, kind, BY_STEPS);
}

void step_kills(struct stepping *t)
{
	t->random = t->size.one_in ? t->seed : 1;
	for (unsigned n = 0; n < t->size.kills; n++)
		kill_at(t, draw_step(t, n), n / 2 + n % 2);
}
