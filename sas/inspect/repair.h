/* SPDX-License-Identifier: MIT */
/*
 * repair.h - one repair of a region: what its parts share. Layer 3.
 *
 * Only what can be proved right is stored: copies that a checksum confirms, and what makes the files promise less
 * (space whose state is in doubt stays in use, bytes that are in doubt are not taken for zeros). Everything else is
 * told, and left as it is.
 *
 * repair.c: the anchor, trailers, state, attributes, the files beside the segments, and the order of it all.
 * repair_map.c: the segment table and the block maps.
 *
 * Locks: the anchor file of the region exclusively; nobody has joined. Signals: not async-signal-safe.
 * Fork: not to be called between fork and exec in a child.
 * Crash: each store is one pwrite of a word or page that is right by itself; a repair that was killed anywhere is done by the
 *   next one.
 */
#ifndef SAS_REPAIR_H
#define SAS_REPAIR_H

#include <stdint.h>
#include "inspect.h"

struct sas_repair {
	struct sas_inspect *in;
	SASRepaired told;
	void *arg;
	uint8_t *doubtful;              /* [segments]: free space there does not keep what its map promises */
	int fd;                         /* of the file that is being written; -1: none */
	uint64_t writing;               /* its segment */
};

/* Something has been repaired at byte `offset` of segment n's file. */
void sas_repair_tell(struct sas_repair *p, uint64_t n, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Store bytes in segment n's file; synced when another file's turn comes, and at the end. 0, or -errno and a sentence. */
int sas_repair_store(struct sas_repair *p, uint64_t n, uint64_t offset, const void *bytes, uint64_t size);

/* --- repair_map.c: 0, or -errno and a sentence */
/* Heads of tiles inside of other tiles: make them whole, or leave the map alone. Table first. */
int sas_repair_tiles(struct sas_repair *p);
/* Free space that is doubtful promises nothing any more. */
int sas_repair_promises(struct sas_repair *p);

#endif
