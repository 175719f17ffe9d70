/* SPDX-License-Identifier: MIT */
/*
 * check.h - one check of a region: what its parts share. Layer 3.
 *
 * check.c looks at anchor, state page, files and logs; check_map.c at the segment table, the block
 * maps, and what they say of the bytes of free space.
 */
#ifndef SAS_CHECK_H
#define SAS_CHECK_H

#include <stdint.h>
#include <string.h>
#include "inspect.h"

#define SAS_CHECK_BUFFER (64UL << 10)
#define SAS_CHECK_FIXED (SAS_M_LOG_CHUNKS + 3)

/* A block of the runtime that the region cannot do without. */
struct sas_fixed_block {
	uint64_t offset, size;
	const char *what;
	int seen;
};

struct sas_check {
	struct sas_inspect *in;
	SASProblem problem;
	void *arg;
	long problems;
	int quiet;                      /* a first look: count, tell nobody */
	int structure;                  /* leave out the bytes of free space */
	uint8_t *doubtful;              /* NULL, or set for segments whose free space does not keep what is promised */
	uint32_t intents;
	uint32_t attributes;            /* files whose attributes do not say what they are */
	char said[256];                 /* what is wrong with the first of them */
	struct sas_fixed_block fixed[SAS_CHECK_FIXED];
	unsigned fixed_count;
	uint32_t entries[SAS_INSPECT_WINDOW];
	uint8_t buffer[SAS_CHECK_BUFFER];
};

/* A problem at byte `offset` of segment n's file. */
void sas_check_report(struct sas_check *c, uint64_t n, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Segment n's file gives this error. 0: it says something of the file, whose own check reports it; else
 * it is the machine's, and told. */
int sas_check_unreadable(struct sas_check *c, uint64_t n, int error);
/* Segment n has a file and is carved into blocks. */
int sas_check_carved(const struct sas_check *c, uint64_t n);

/* --- check_map.c: 0 or -errno with a sentence; problems are reported */
int sas_check_table(struct sas_check *c);
int sas_check_maps(struct sas_check *c);

static inline int sas_check_zero(const void *bytes, uint64_t size)
{
	const uint8_t *p = bytes;

	return p[0] == 0 && !memcmp(p, p + 1, size - 1);
}

#endif
