/* SPDX-License-Identifier: MIT */
/*
 * storm.h - what the killer knows: storm.c and audit.c.
 */
#ifndef PACKAGES_STORM_H
#define PACKAGES_STORM_H

#include <sys/types.h>
#include "board.h"
#include "packages.h"

struct storm {
	const char *store;
	char board_file[16];                    /* its descriptor, for the children */
	struct board *board;
	struct root *root;
	struct model *model;
	struct history *history;
	uint64_t random;
	pid_t readers[BOARD_READERS], updaters[BOARD_UPDATERS];
	uint64_t reader_count, updater_count;
	uint64_t kills, early, holding, by_call[CALLS];         /* what the deaths interrupted */
};

/* audit.c */
uint64_t audit_locks(const struct storm *storm);
uint64_t audit_blocks(const struct storm *storm);
void report_kills(const struct storm *storm);
void report_updaters(const struct storm *storm);
uint64_t report_readers(const struct storm *storm);

#endif
