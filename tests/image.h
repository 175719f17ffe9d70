/* SPDX-License-Identifier: MIT */
/*
 * image.h - a region's files made byte by byte, without the runtime: what tests of inspection look
 * at, damage and repair. Errors end the program: a test that has no store has nothing to say.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include "sas/media/layout.h"

struct image {
	char path[PATH_MAX];
	union {
		struct sas_m_anchor anchor;
		uint8_t page[4096];
	};
	struct sas_m_state state;
	struct sas_m_segment *table;
	uint64_t segments;
};

#define IMAGE_BASE 0x565900000000UL     /* free under every sanitizer */
#define IMAGE_SEGMENT (2UL << 20)

/* A clean region of so many segments of 2 MiB, segment 0 carved and holding the runtime's blocks. */
void image_make(struct image *m, uint64_t segments);
/* Segment n as well: carved, never used; with a map of its own where the map area has none for it. */
void image_carve(struct image *m, uint64_t n);
/* 2^order segments as one block. */
void image_large_block(struct image *m, uint64_t n, uint32_t order, uint32_t generation);
/* Entry of unit `unit` of carved segment n. */
void image_entry(struct image *m, uint64_t n, uint64_t unit, uint32_t state, uint32_t order,
		 uint32_t generation);
/* Cover [from, to) units of carved segment n with tiles of this state. */
void image_fill(struct image *m, uint64_t n, uint64_t from, uint64_t to, uint32_t state);
/* Eight segments. 1 is carved: 4K used, 4K freed, 8K dirty, three times 16K used, the rest never used; 2 and 3 are
 * one block; no files from 4 on. */
void image_sample(struct image *m);
/* Write the anchor (with its checksum), state page and table. */
void image_store(struct image *m);
void image_trailer(struct image *m, uint64_t n);
void image_destroy(struct image *m);

/* Where the map of segment n lies: the segment, and the offset in its file. */
uint64_t image_map(const struct image *m, uint64_t n, uint64_t *offset);
void image_name(char name[32], uint64_t n);
void image_write(const struct image *m, const char *name, uint64_t offset, const void *bytes, size_t size);
void image_read(const struct image *m, const char *name, uint64_t offset, void *bytes, size_t size);
void image_write_segment(const struct image *m, uint64_t n, uint64_t offset, const void *bytes, size_t size);
void image_read_segment(const struct image *m, uint64_t n, uint64_t offset, void *bytes, size_t size);

/* A number that changes with any byte, size, mode or time of modification of any file of the directory. */
uint64_t image_fingerprint(const char *path);

#endif
