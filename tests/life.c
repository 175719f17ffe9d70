/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "life.h"

char context[256];

void expect(int holds, const char *format, ...)
{
	va_list args;

	if (holds)
		return;
	fprintf(stderr, "%s: ", context);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (errno %d, \"%s\")\n", errno, SASLastErrorMessage());
	_exit(1);
}

static void join_with(struct life *l, unsigned flags)
{
	SASRegionOptions o;

	help_options(&o, flags);
	o.durability = l->durability;
	o.mode = 0640;
	o.numaPolicy = SASNuma__INTERLEAVE_SEGMENTS;
	l->region = SASRegionJoin(l->store, &o);
	l->failed = !l->region;
}

void life_create(struct life *l) { join_with(l, SAS_JOIN_CREATE); }
static void do_join(struct life *l) { join_with(l, 0); }
static void do_join_eagerly(struct life *l) { join_with(l, SAS_JOIN_EAGER); }
static void do_join_to_read(struct life *l) { join_with(l, SAS_JOIN_READONLY); }

void life_leave(struct life *l)
{
	if (l->region)
		l->failed = SASRegionLeave(l->region) != 0;
	l->region = NULL;
}

static void take(struct life *l, void **block, size_t size)
{
	*block = SASRegionBlockAlloc(l->region, size);
	l->failed = !*block;
}

static void do_alloc_small(struct life *l) { take(l, &l->small, 4096); }
static void do_alloc_half(struct life *l) { take(l, &l->half, HELP_SEGMENT / 2); }
void life_alloc_large(struct life *l) { take(l, &l->large, LARGE); }

static void give(struct life *l, void **block, size_t size)
{
	if (*block)
		l->failed = SASBlockFree(*block, size) != 0;
	if (!l->failed)
		*block = NULL;
}

static void do_free_small(struct life *l) { give(l, &l->small, 4096); }
static void do_free_half(struct life *l) { give(l, &l->half, HELP_SEGMENT / 2); }
static void do_free_large(struct life *l) { give(l, &l->large, LARGE); }
static void do_set_finder(struct life *l) { l->failed = SASRegionSetFinder(l->region, l->small) != 0; }
static void do_sync(struct life *l) { l->failed = SASSync(l->region) != 0; }
static void do_trim(struct life *l) { l->failed = SASRegionTrim(l->region) < 0; }
static void do_recover(struct life *l) { l->failed = SASRegionRecover(l->region) < 0; }
static void do_check(struct life *l) { l->failed = SASRegionCheck(l->store, NULL, NULL) < 0; }
static void do_reset(struct life *l) { l->failed = SASRegionReset(l->region) != 0; }
static void do_remove_path(struct life *l) { l->failed = SASRegionRemovePath(l->store, 0) != 0; }

static void do_list(struct life *l)
{
	SASRegionInfo info = { .structSize = sizeof info };

	l->failed = SASRegionGetInfo(l->region, &info) != 0 ||
		    SASRegionListBlocks(l->region, SASBlock__UNCOMMITTED, NULL, 0) < 0;
}

static void do_remove(struct life *l)
{
	l->failed = SASRegionRemove(l->region) != 0;
	if (!l->failed)
		l->region = NULL;
}

static void do_map_ahead(struct life *l)
{
	l->failed = SASMapAhead(l->half, HELP_SEGMENT / 2) != 0;
}

/* A child of fork registers by itself. */
static void do_fork(struct life *l)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		void *block = SASRegionBlockAlloc(l->region, 4096);

		expect(block || errno, "it cannot allocate, without an errno");
		expect(!block || SASBlockFree(block, 4096) == 0 || errno, "it cannot free, without an errno");
		SASRegionLeave(l->region);
		_exit(0);
	}
	expect(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "the child ended with %d", status);
}

const struct step steps[] = {
	{ "create", life_create, JOINS },
	{ "alloc small", do_alloc_small, 0 },
	{ "alloc large", life_alloc_large, 0 },
	{ "alloc half", do_alloc_half, 0 },
	{ "set finder", do_set_finder, 0 },
	{ "list", do_list, 0 },
	{ "free large", do_free_large, 0 },
	{ "sync", do_sync, 0 },
	{ "trim", do_trim, 0 },
	{ "recover", do_recover, 0 },
	{ "check", do_check, 0 },
	{ "fork", do_fork, 0 },
	{ "free small", do_free_small, 0 },
	{ "leave", life_leave, 0 },
	{ "join", do_join, JOINS },
	{ "map ahead", do_map_ahead, MUTE },
	{ "alloc large again", life_alloc_large, 0 },
	{ "leave again", life_leave, 0 },
	{ "join eagerly", do_join_eagerly, JOINS },
	{ "free half", do_free_half, 0 },
	{ "trim again", do_trim, 0 },
	{ "leave a third time", life_leave, 0 },
	{ "join to read", do_join_to_read, JOINS },
	{ "leave after reading", life_leave, 0 },
	{ "join to reset", do_join, JOINS },
	{ "reset", do_reset, ENDS },
	{ "alloc after reset", life_alloc_large, 0 },
	{ "remove", do_remove, ENDS },
	{ "create again", life_create, JOINS },
	{ "alloc", life_alloc_large, 0 },
	{ "leave for good", life_leave, 0 },
	{ "remove by path", do_remove_path, ENDS | JOINS },
};
const int step_count = sizeof steps / sizeof steps[0];

void take_until(struct life *l, int step)
{
	for (int i = 0; i < step; i++) {
		l->failed = 0;
		steps[i].take(l);
		expect(!l->failed, "the step \"%s\" before it fails", steps[i].name);
	}
}
