/* SPDX-License-Identifier: MIT */
/*
 * image.h - what is read of the objects in a region's files: bytes of its program's blocks, and of nothing else.
 *
 * By SASInspectRead(), in windows: it comes by pread(2), so a file that is cut meanwhile is an error and no SIGBUS, holes stay holes,
 * and the addresses need not be free here. One thread at a time.
 */
#ifndef SPH_CHECK_IMAGE_H
#define SPH_CHECK_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include "sasinspect.h"

#define SPH_IMAGE_WINDOW 65536U
#define SPH_IMAGE_DIRECT 512U

struct sph_image {
	SASInspect_t inspect;
	uint64_t base, end;             /* the region's addresses */
	uint64_t finder;
	int intents;                    /* there are logs to be replayed */
	SASBlockInfo *blocks;           /* in use by programs, ascending */
	size_t count;
	uint64_t window;                /* its first address; 0: none */
	unsigned char *bytes;
};

/* 0, or -errno with a sentence. What has been opened is closed, also where that failed. */
int sph_image_open(struct sph_image *image, SASInspect_t inspect);
void sph_image_close(struct sph_image *image);
/* How many processes have joined now; -errno. */
int sph_image_joined(const struct sph_image *image);
/* The block around an address; NULL: none in use. */
const SASBlockInfo *sph_image_block(const struct sph_image *image, uint64_t address);
/* 0; -EFAULT without a sentence: the bytes are not all in one block; other errors. SPH_IMAGE_DIRECT bytes or more are read anew each time. */
int sph_image_read(struct sph_image *image, uint64_t address, void *to, size_t size);
#endif
