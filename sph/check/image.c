/* SPDX-License-Identifier: MIT */
/* image.c - see image.h. Layer 5. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "sas/service.h"

static int no_memory(void)
{
	return sas_service_fail(ENOMEM, "no memory of this process to look at objects with");
}

/* --- lists, which may grow while they are asked for */

static int list_blocks(struct sph_image *image)
{
	long count = SASInspectListBlocks(image->inspect, SASBlock__IN_USE, NULL, 0), had = -1;
	SASBlockInfo *more;
	size_t kept = 0;

	while (count > had) {
		had = count;
		more = realloc(image->blocks, (size_t)(had + 1) * sizeof *more);
		if (!more)
			return no_memory();
		image->blocks = more;
		count = SASInspectListBlocks(image->inspect, SASBlock__IN_USE, more, (size_t)had);
	}
	if (count < 0)
		return -errno;
	for (long i = 0; i < count; i++)
		if (image->blocks[i].generation != 0 && image->blocks[i].generation != SAS_GENERATION_RETIRED)
			image->blocks[kept++] = image->blocks[i];
	image->count = kept;
	return 0;
}

int sph_image_joined(const struct sph_image *image)
{
	long count = SASInspectListParticipants(image->inspect, NULL, 0), had = -1;
	SASParticipantInfo *list = NULL, *more;
	int joined = 0;

	while (count > had) {
		had = count;
		more = realloc(list, (size_t)(had + 1) * sizeof *more);
		if (!more) {
			free(list);
			return no_memory();
		}
		list = more;
		count = SASInspectListParticipants(image->inspect, list, (size_t)had);
	}
	for (long i = 0; i < count; i++)
		joined += list[i].alive != 0;
	free(list);
	return count < 0 ? -errno : joined;
}

/* --- opening */

int sph_image_open(struct sph_image *image, SASInspect_t inspect)
{
	SASInspectInfo info = { .structSize = sizeof info };

	*image = (struct sph_image){ .inspect = inspect };
	if (SASInspectGetInfo(inspect, &info) != 0)
		return -errno;
	image->base = info.base;
	image->end = info.base + info.regionSize;
	image->finder = info.finder;
	image->intents = info.intents != 0;
	image->bytes = malloc(SPH_IMAGE_WINDOW);
	return image->bytes ? list_blocks(image) : no_memory();
}

void sph_image_close(struct sph_image *image)
{
	free(image->blocks);
	free(image->bytes);
}

/* --- reading */

const SASBlockInfo *sph_image_block(const struct sph_image *image, uint64_t address)
{
	size_t low = 0, high = image->count;

	/* The last one that begins at or below it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uint64_t)image->blocks[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address - (uint64_t)image->blocks[low - 1].address >= image->blocks[low - 1].size)
		return NULL;
	return &image->blocks[low - 1];
}

/* The window around an address of the region, whose size is a multiple of it. */
static int read_window(struct sph_image *image, uint64_t window)
{
	if (image->window == window)
		return 0;
	image->window = 0;
	if (SASInspectRead(image->inspect, (const void *)window, image->bytes, SPH_IMAGE_WINDOW) != 0)
		return -errno;
	image->window = window;
	return 0;
}

int sph_image_read(struct sph_image *image, uint64_t address, void *to, size_t size)
{
	const SASBlockInfo *block = sph_image_block(image, address);
	char *at = to;

	if (!block || size > block->size - (address - (uint64_t)block->address))
		return -EFAULT;
	if (size >= SPH_IMAGE_DIRECT)
		return SASInspectRead(image->inspect, (const void *)address, to, size) == 0 ? 0 : -errno;
	while (size > 0) {
		uint64_t inside = (address - image->base) % SPH_IMAGE_WINDOW, piece = SPH_IMAGE_WINDOW - inside;
		int error = read_window(image, address - inside);

		if (error)
			return error;
		if (piece > size)
			piece = size;
		memcpy(at, image->bytes + inside, piece);
		address += piece;
		at += piece;
		size -= piece;
	}
	return 0;
}
