/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <sys/mman.h>
#include "epoch_help.h"

static uint64_t used_before;
static int count;

void epoch_begin(void)
{
	store_begin();
	region_create(GIB, 4 * MIB, 0);
	used_before = help_info(region).blocksInUse;
}

SASEpochInfo epoch_info(void)
{
	SASEpochInfo info = { .structSize = sizeof info };

	ck_assert_msg(SASEpochGetInfo(region, &info) == 0, "%s", SASLastErrorMessage());
	return info;
}

uint64_t blocks(void) { return help_info(region).blocksInUse - used_before; }

void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(p != MAP_FAILED);
	return p;
}

void *read_in_thread(void *arg)
{
	struct steps *s = arg;

	must(SASEpochEnter(region) == 0);
	step_reach(s, 1);
	step_await(&s->go, 1);
	must(SASEpochExit(region) == 0);
	step_reach(s, 2);
	step_await(&s->go, 2);
	return NULL;
}

void read_in_process(void *arg)
{
	read_in_thread(arg);
}

void add_one(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST);
}

int counted(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }
