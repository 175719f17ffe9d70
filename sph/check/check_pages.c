/* SPDX-License-Identifier: MIT */
/* check_pages.c - checks of what is made of pages: pages.h says what that is. Layer 5. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sph/pages/pages_block.h"

/* --- blocks */

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t sph_blocks_around(const struct sph_blocks *b, uint64_t page)
{
	uint64_t size = b->main.header.blockSize, main = (uint64_t)b->main.header.baseBlock;
	uint64_t inside = (page - main) & (size - 1), block = page - inside;

	if (inside < b->first || (inside - b->first) % b->page_size != 0 || inside - b->first >= (uint64_t)b->pages * b->page_size)
		return 0;
	return bsearch(&block, b->at, b->count, sizeof block, by_address) ? block : 0;
}

/* A block that the object lists as its expansion. 0: it is one; 1: it is none, which was told; -errno. */
static int check_expansion(struct sph_check *c, struct sph_object *o, const struct sph_blocks *b, uint64_t n, uint64_t address)
{
	_Alignas(64) union { SASBlockHeader header; unsigned char bytes[sizeof(SASBlockHeader) + sizeof(struct sph_m_pages)]; } copy;
	const SASBlockHeader *main = &b->main.header;
	const SASBlockInfo *block = sph_image_block(&c->image, address);
	int error;

	if (!block || (uint64_t)block->address != address || block->size != main->blockSize || address == (uint64_t)main->baseBlock) {
		sph_check_tell(c, o, address, "it is listed as expansion %lu, and is no further block of %zu bytes", n, main->blockSize);
		return 1;
	}
	error = sph_check_read(c, o, address, &copy, sizeof copy);
	if (error)
		return error;
	if (SOMSASCheckBlockSig(&copy.header) && copy.header.blockType == main->blockType && copy.header.blockSize == main->blockSize &&
	    copy.header.baseBlock == main->baseBlock && sph_pages(&copy.header)->page_size == b->page_size &&
	    sph_pages_sound(&copy.header) == 0)
		return 0;
	sph_check_tell(c, o, address, "it is listed as expansion %lu, and its header says something else", n);
	return 1;
}

/* The block that lists the expansions for which the header page has no room. */
static int check_list(struct sph_check *c, struct sph_object *o, const struct sph_blocks *b)
{
	const SASBlockHeader *main = &b->main.header;
	uint64_t further = sph_pages(main)->further;
	const SASBlockInfo *block = further ? sph_image_block(&c->image, further) : NULL;
	struct { SASBlockHeader header; uint64_t space; } copy;
	int error;

	if (!further || (!block && c->image.intents && sph_pages(main)->expansions <= SPH_PAGES_LISTED))
		return 1;
	if (!block || (uint64_t)block->address != further || block->size != main->blockSize) {
		sph_check_tell(c, o, further, "it lists further expansions, and is no block of %zu bytes", main->blockSize);
		return 1;
	}
	error = sph_check_read(c, o, further, &copy, sizeof copy);
	if (error)
		return error;
	/* A space of no bytes, which a program's own never is; or a death came before that was written. */
	if (SOMSASCheckBlockSigAndTypeAndSubtype(&copy.header, SAS_RUNTIME_SIMPLESPACE) && copy.space == 0) {
		sph_check_part(c, further, o);
		return 0;
	}
	if (sph_pages(main)->expansions > SPH_PAGES_LISTED || SOMSASCheckBlockSig(&copy.header))
		sph_check_tell(c, o, further, "it lists further expansions, and has no header that says so");
	else
		o->info.toRecover++;
	return 1;
}

/* 0, with the entry; 1: there is none. */
static int read_entry(struct sph_check *c, struct sph_object *o, const struct sph_blocks *b, int has_list, uint64_t n, uint64_t *entry)
{
	const struct sph_m_pages *p = sph_pages(&b->main.header);

	if (n < SPH_PAGES_LISTED) {
		*entry = p->listed[n];
		return 0;
	}
	n -= SPH_PAGES_LISTED;
	if (!has_list || n >= (b->main.header.blockSize - SPH_PAGES_HEADER) / sizeof *entry)
		return 1;
	return sph_check_read(c, o, p->further + SPH_PAGES_HEADER + n * sizeof *entry, entry, sizeof *entry);
}

/* What a death in the middle of growing, or of destroying, has left: the next who grows it begins with that. */
static int check_next(struct sph_check *c, struct sph_object *o, const struct sph_blocks *b, int has_list, uint64_t n)
{
	const SASBlockInfo *block;
	SASBlockHeader header;
	uint64_t entry;
	int error = read_entry(c, o, b, has_list, n, &entry);

	if (error || entry == 0)
		return error < 0 ? error : 0;
	block = sph_image_block(&c->image, entry);
	if (!block || (uint64_t)block->address != entry || block->size != b->main.header.blockSize) {
		if (!c->image.intents)
			sph_check_tell(c, o, entry, "it is noted as the next expansion, and is no block of %zu bytes",
				       b->main.header.blockSize);
		return 0;
	}
	error = sph_check_read(c, o, entry, &header, sizeof header);
	if (error)
		return error < 0 ? error : 0;
	if (SOMSASCheckBlockSig(&header) && header.baseBlock != b->main.header.baseBlock) {
		sph_check_tell(c, o, entry, "it is noted as the next expansion, and is an object of its own");
		return 0;
	}
	sph_check_part(c, entry, o);
	o->info.toRecover++;
	return 0;
}

static int check_expansions(struct sph_check *c, struct sph_object *o, struct sph_blocks *b)
{
	const struct sph_m_pages *p = sph_pages(&b->main.header);
	int has_list, error = check_list(c, o, b);

	if (error < 0)
		return error;
	has_list = !error;
	for (uint64_t n = 0; n < p->expansions; n++) {
		uint64_t entry;

		error = read_entry(c, o, b, has_list, n, &entry);
		if (error > 0)
			sph_check_tell(c, o, (uint64_t)o->info.address, "of %lu expansions %lu have no entry", p->expansions, p->expansions - n);
		if (error)
			return error < 0 ? error : 0;
		error = check_expansion(c, o, b, n, entry);
		if (error < 0)
			return error;
		if (error)
			continue;
		sph_check_part(c, entry, o);
		b->at[b->count++] = entry;
		o->info.size += b->main.header.blockSize;
		o->info.expansions++;
	}
	return check_next(c, o, b, has_list, p->expansions);
}

static void check_twice(struct sph_check *c, struct sph_object *o, struct sph_blocks *b)
{
	size_t kept = 1;

	qsort(b->at, b->count, sizeof *b->at, by_address);
	for (size_t i = 1; i < b->count; i++)
		if (b->at[i] == b->at[i - 1])
			sph_check_tell(c, o, b->at[i], "it is listed twice as an expansion");
		else
			b->at[kept++] = b->at[i];
	b->count = kept;
}

int sph_check_blocks(struct sph_check *c, struct sph_object *o, const struct sph_place *place, struct sph_blocks *b)
{
	const struct sph_m_pages *p = sph_pages(&b->main.header);
	int error;

	b->at = NULL;
	b->count = 0;
	error = sph_check_read(c, o, place->address, b->main.bytes, sizeof b->main.bytes);
	if (error)
		return error;
	if (b->main.header.blockSize > place->limit || (uint64_t)b->main.header.baseBlock != place->address ||
	    sph_pages_sound(&b->main.header) != 0) {
		sph_check_tell(c, o, place->address, "its header does not say how it is made of pages: %u of %u bytes from %u on, in %zu", p->count,
			       p->page_size, p->first, b->main.header.blockSize);
		return 1;
	}
	if (p->expanding > 1 || p->load_factor < 1 || p->load_factor > 100)
		sph_check_tell(c, o, place->address, "it is said to expand (%u) from a load of %d percent on", p->expanding, p->load_factor);
	b->page_size = p->page_size;
	b->first = p->first;
	b->pages = p->count;
	o->info.toRecover += p->growing != 0;
	if (p->expansions >= c->image.count || (p->expansions && !p->expanding)) {
		sph_check_tell(c, o, place->address, "%lu expansions%s, in a region with %zu blocks in use", p->expansions,
			       p->expanding ? "" : " of what does not expand", c->image.count);
		return 1;
	}
	b->at = malloc((p->expansions + 1) * sizeof *b->at);
	if (!b->at)
		return sas_service_fail(ENOMEM, "no memory of this process to check the blocks of an object with");
	b->at[b->count++] = place->address;
	error = check_expansions(c, o, b);
	check_twice(c, o, b);
	return error;
}

/* --- pages */

int sph_check_page(struct sph_check *c, struct sph_object *o, uint64_t page, SASBlockHeader *header, uint64_t *owner)
{
	struct { SASBlockHeader header; struct sph_m_page page; } copy;
	int error = sph_check_read(c, o, page, &copy, sizeof copy);

	if (error)
		return error;
	*header = copy.header;
	*owner = copy.page.owner;
	if (*owner == 0 && SOMSASCheckBlockSig(header))
		sph_check_tell(c, o, page, "a page is free, and has a header");
	else if (*owner & SPH_PAGE_IN_TRANSIT)
		o->info.toRecover++;
	else if (*owner > SPH_PAGE_USED)
		sph_check_tell(c, o, page, "a page is neither free nor in use: its owner is %#lx", *owner);
	if (copy.page.version > SPH_CHECK_VERSIONS)
		sph_check_tell(c, o, page, "a page has had %lu versions", copy.page.version);
	return 0;
}

/* What a page of a compound heap is, a simple heap unless the program has made something else of it. */
static int check_used(struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	const SASBlockHeader *h = &p->header;
	const struct sph_type *type = sph_type_of(h->blockType);

	if (!SOMSASCheckBlockSig(h)) {
		sph_check_tell(c, o, p->address, "a page is in use, and has no header");
		return 0;
	}
	if (!type)
		return 0;
	if (h->blockSize < sizeof *h || h->blockSize > p->limit ||
	    ((uint64_t)h->baseBlock != p->base && (uint64_t)h->baseBlock != p->address)) {
		sph_check_tell(c, o, p->address, "the header of a page of %lu bytes says %zu, in the block at %p", p->limit, h->blockSize,
			       (void *)h->baseBlock);
		return 0;
	}
	return type->check ? type->check(c, o, p) : 0;
}

static int check_pages(struct sph_check *c, struct sph_object *o, const struct sph_blocks *b, uint64_t block)
{
	int error = 0;

	for (uint32_t i = 0; i < b->pages && error >= 0; i++) {
		struct sph_place p = { .address = block + b->first + (uint64_t)i * b->page_size, .limit = b->page_size, .base = block };
		uint64_t owner;

		error = sph_check_page(c, o, p.address, &p.header, &owner);
		if (!error && owner == SPH_PAGE_USED)
			error = check_used(c, o, &p);
	}
	return error < 0 ? error : 0;
}

int sph_check_compound(struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	struct sph_blocks b;
	int error = sph_check_blocks(c, o, p, &b);

	for (size_t i = 0; i < b.count && !error; i++)
		error = check_pages(c, o, &b, b.at[i]);
	free(b.at);
	return error < 0 ? error : 0;
}
