/* SPDX-License-Identifier: MIT */
/*
 * region.h - what bytes in a region's files can do to who reads them. Bytes are an input: a list of changes to the
 * files of the sample (sample.h), so that a few bytes reach every structure, and a corpus is small.
 *
 *      byte 0          FUZZ_... flags
 *      then changes    place (1 byte: see region.c), offset in it (2 bytes, low first), length (1 byte), bytes
 *
 * Offsets and lengths are taken modulo what there is. A length of FUZZ_CUT cuts the file there. The region is looked
 * at by all calls that read without joining, and may then be repaired, or joined, used and left. No crash, no hang, nothing out of
 * bounds, no change by who only reads, and each failure with an errno that the pages name and a sentence.
 */
#ifndef FUZZ_REGION_H
#define FUZZ_REGION_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_SUMS 1U            /* checksums are corrected after the changes */
#define FUZZ_JOIN 2U
#define FUZZ_READ_ONLY 4U       /* joined for reading */
#define FUZZ_REPAIR 8U          /* if it is not joined */
#define FUZZ_DEAD 16U           /* its threads have died, and who joins finds the SAS.run that they left */
#define FUZZ_UNCLEAN 32U        /* not left cleanly: logs are replayed */
#define FUZZ_REBOOTED 64U       /* in another boot: the whole region is checked first */
#define FUZZ_LOCKS 128U         /* locks are listed as well, which reads 12 MiB */

#define FUZZ_CUT 0x80U
#define FUZZ_BYTES 24U          /* a change has up to so many */

extern const unsigned fuzz_places;
/* The size of a place in bytes. */
uint64_t fuzz_place_size(unsigned place);

/* Makes the sample. What is wrong ends the program: fuzz_failed, if set, is told before. */
void fuzz_begin(void);
extern void (*fuzz_failed)(void);
void fuzz_one(const uint8_t *input, size_t size);

#endif
