/* SPDX-License-Identifier: MIT */
/*
 * hold.c - a participant for scripts: hold DIRECTORY [SIZE|MODE:OFFSET...] joins the region, allocates blocks of
 * these sizes, prints their addresses, takes the locks of these offsets in the region (MODE is r, i or w; u: is in the middle of an update of
 * an object there), prints "ready", and stays until its standard input ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <saslock.h>
#include <sasregion.h>
#include "sas/service.h"

static struct sas_use in_update;
static int is_in_update;

static int failed(const char *what)
{
	fprintf(stderr, "hold: %s: %s\n", what, SASLastErrorMessage());
	return 1;
}

/* The first update of an address takes its lock, the next one announces itself. The last word of the command: no call is made inside. */
static int update(const void *object)
{
	if (sas_use_begin(&in_update, object, SAS_USE_UPDATE) != 0)
		return -1;
	sas_use_end(&in_update);
	is_in_update = 1;
	return sas_use_begin(&in_update, object, SAS_USE_UPDATE);
}

static int take_lock(SASRegion_t region, const char *what)
{
	SASRegionInfo info = { .structSize = sizeof(info) };
	sas_userlock_request_t mode = *what == 'r' ? SasUserLock__READ : *what == 'i' ? SasUserLock__INTENT : SasUserLock__WRITE;

	if (SASRegionGetInfo(region, &info))
		return -1;
	if (*what == 'u')
		return update((char *)info.base + strtoul(what + 2, NULL, 0));
	return SASLockTake((char *)info.base + strtoul(what + 2, NULL, 0), mode, 0, SAS_LOCK_WAIT_FOREVER);
}

int main(int argc, char **argv)
{
	SASRegion_t region = argc > 1 ? SASRegionJoin(argv[1], NULL) : NULL;
	char byte;

	if (!region)
		return failed("join");
	for (int i = 2; i < argc; i++) {
		void *block = NULL;

		if (strchr("riuw", argv[i][0]) ? take_lock(region, argv[i]) != 0 :
		    !(block = SASRegionBlockAlloc(region, strtoul(argv[i], NULL, 0))))
			return failed(argv[i]);
		if (block)
			printf("%p\n", block);
	}
	printf("ready\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	if (is_in_update)
		sas_use_end(&in_update);
	return SASRegionLeave(region) ? failed("leave") : 0;
}
