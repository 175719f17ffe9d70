/* SPDX-License-Identifier: MIT */
/*
 * context.c - contexts: making and destroying them, and how calls on them begin and end. See context.h. Layer 5.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "sph/heap/block_list.h"
#include "context.h"
#include "saslock.h"
#include "sasregion.h"
#include "sassim.h"

const struct sph_kind sph_context_kind = { SAS_RUNTIME_CONTEXT, "context" };

#define SMALLEST ((size_t)heap_offset + SPH_GRANULE)
#define SMALLEST_TREE (16UL << 10)
#define LARGEST_TREE (1UL << 20)

_Static_assert(sizeof(SASBlockHeader) + sizeof(struct sph_m_context) == heap_offset && offsetof(struct sph_m_context, old) == 48,
	       "contexts are media");

/* --- keys */

struct sph_key sph_context_key(unsigned char bytes[SPH_CONTEXT_KEYS], uint64_t address, const char *name)
{
	size_t size = name ? strnlen(name, SPH_CONTEXT_NAME_MAX) : 0;

	for (unsigned i = 0; i < SPH_CONTEXT_KEY; i++)
		bytes[i] = (unsigned char)(address >> (8 * (SPH_CONTEXT_KEY - 1 - i)));
	if (size)
		memcpy(bytes + SPH_CONTEXT_KEY, name, size);
	return (struct sph_key){ bytes, SPH_CONTEXT_KEY + size };
}

uint64_t sph_context_key_address(struct sph_key key)
{
	uint64_t address = 0;

	for (unsigned i = 0; i < SPH_CONTEXT_KEY && i < key.size; i++)
		address = address << 8 | key.bytes[i];
	return address;
}

int sph_context_is_name_of(struct sph_key key, uint64_t address)
{
	return key.size > SPH_CONTEXT_KEY && sph_context_key_address(key) == address;
}

int sph_context_check_name(const char *name, size_t *size)
{
	if (!name || !*name)
		return sas_service_fail(EINVAL, name ? "a name without a character" : "the name is NULL");
	*size = strnlen(name, SPH_CONTEXT_NAME_MAX + 1);
	if (*size <= SPH_CONTEXT_NAME_MAX)
		return 0;
	return sas_service_fail(ENAMETOOLONG, "a name of more than %u bytes", SPH_CONTEXT_NAME_MAX);
}

const char *sph_context_string(const struct sph_context *c, uint64_t address)
{
	uintptr_t start = (uintptr_t)c->header;
	const char *string = (const char *)address;

	if (address % SPH_GRANULE || address < start + heap_offset || address >= start + c->header->blockSize)
		return NULL;
	return memchr(string, 0, start + c->header->blockSize - address) ? string : NULL;
}

/* --- opening */

size_t sph_context_tree_size(const SASBlockHeader *header)
{
	size_t size = SMALLEST_TREE;

	while (size < LARGEST_TREE && size < header->blockSize / 4)
		size *= 2;
	return size;
}

int sph_context_open_tree(struct sph_context *c, uint64_t address, sas_type_t type, SASBlockHeader **tree)
{
	SASBlockHeader *header = (SASBlockHeader *)address;
	int error = 0;

	if (c->look.size == 0 || address - c->look.base >= c->look.size || address % SMALLEST_TREE)
		error = sas_service_fail(EUCLEAN, "the context at %p: a tree of it cannot be at %#lx", (void *)c->header, address);
	if (!error)
		error = sas_look_reach(&c->look, header);
	if (!error && (!SOMSASCheckBlockSigAndTypeAndSubtype(header, type) || header->blockSize != sph_context_tree_size(c->header)))
		error = sas_service_fail(EUCLEAN, "the context at %p: there is no tree of it at %#lx", (void *)c->header, address);
	if (!error)
		error = sph_pages_sound(header);
	*tree = error ? NULL : header;
	return error;
}

int sph_context_open(struct sph_context *c, const void *context)
{
	uint64_t names, addresses;
	int error;

	c->header = (SASBlockHeader *)(uintptr_t)context;
	c->m = (struct sph_m_context *)sph_object_words(context);
	c->names = c->addresses = NULL;
	error = sas_look_reach(&c->look, context);
	if (!error && !sph_object_is(c->header, &sph_context_kind))
		error = sas_service_fail(EINVAL, "%p is no context", context);
	if (error)
		return error;
	names = sph_load_acquire(&c->m->names);
	addresses = sph_load_acquire(&c->m->addresses);
	if (!names || !addresses || sph_load_acquire(&c->m->state) == SPH_CONTEXT_MAKING)
		return 0;
	error = sph_context_open_tree(c, names, SAS_RUNTIME_STRINGBTREE, &c->names);
	return error ? error : sph_context_open_tree(c, addresses, SAS_RUNTIME_INDEX, &c->addresses);
}

static int begin(struct sph_context *c, void *context)
{
	int error = sph_object_begin(&c->use, context, &sph_context_kind, SAS_USE_EXCLUSIVE);

	if (error)
		return error;
	c->cursor = NULL;
	c->hidden = NULL;
	c->cleared = 0;
	error = sas_look_begin_unlocked(&c->look, context);
	if (!error)
		error = sph_context_open(c, context);
	return error ? sas_use_result(&c->use, error) : 0;
}

int sph_context_end(struct sph_context *c, int error)
{
	sph_cursor_free(c->cursor);
	return sas_use_result(&c->use, error);
}

int sph_context_begin(struct sph_context *c, void *context)
{
	int error = begin(c, context);

	if (error)
		return error;
	error = sph_context_settle(c);
	if (!error && c->names && !c->cursor) {
		c->cursor = sph_cursor_make(c->addresses);
		error = c->cursor ? 0 : sas_service_fail(ENOMEM, "no memory for a cursor");
	}
	return error ? sph_context_end(c, error) : 0;
}

int sph_context_begin_names(struct sph_context *c, void *context)
{
	int error = sph_context_begin(c, context);

	if (error || c->names)
		return error;
	error = sph_context_plant(c);
	return error ? sph_context_end(c, error) : 0;
}

/* --- readers */

/* Somebody died in a call on it. */
static int finish(void *context)
{
	struct sph_context c;
	int error = begin(&c, context);

	return error ? error : sph_context_end(&c, sph_context_settle(&c));
}

/* What is to go does not count any more; what was coming does not yet. */
static void leave_out(struct sph_context *c, uint64_t state)
{
	c->hidden = NULL;
	c->cleared = 0;
	if (state == SPH_CONTEXT_UNDO)
		c->hidden = sph_context_string(c, sph_load_relaxed(&c->m->string));
	else if (state == SPH_CONTEXT_REMOVE)
		c->hidden = sph_context_string(c, sph_load_relaxed(&c->m->old));
	else if (state == SPH_CONTEXT_CLEAR)
		c->cleared = sph_load_relaxed(&c->m->value);
	else if (state == SPH_CONTEXT_DEAD)
		c->names = c->addresses = NULL;
}

/* -EAGAIN: something is left over, and `finishes`. */
static int ask(const void *context, int finishes, int (*question)(struct sph_context *, void *), void *arg)
{
	struct sph_context c;
	uint64_t state = SPH_CONTEXT_IDLE;
	int error = sas_look_begin(&c.look, context);

	if (error)
		return error;
	do {
		error = sph_context_open(&c, context);
		if (!error)
			state = sph_load_acquire(&c.m->state);
		if (!error && state != SPH_CONTEXT_IDLE && finishes)
			error = -EAGAIN;
		if (error)
			continue;
		leave_out(&c, state);
		error = question(&c, arg);
	} while (!sas_look_ok(&c.look, context));
	return error;
}

int sph_context_ask(const void *context, int (*question)(struct sph_context *, void *), void *arg)
{
	int error = sph_object_check(context, &sph_context_kind), finishes = 1;

	if (error)
		return error;
	while ((error = ask(context, finishes, question, arg)) == -EAGAIN && finishes) {
		error = finish((void *)(uintptr_t)context);
		if (error == -EROFS)
			finishes = 0;
		else if (error)
			break;
	}
	return error;
}

/* --- the public calls */

SPHContext_t SPHContextInit(void *heap_block, sas_type_t sasType, block_size_t heap_size)
{
	SASBlockHeader form = { .blockSig1 = block__Signature_1, .blockSig2 = block__Signature_2, .blockType = sasType };
	SASBlockHeader *header = heap_block;
	int error = 0;

	if (!sph_object_is(&form, &sph_context_kind))
		error = sas_service_fail(EINVAL, "%#x is no type of a context", sasType);
	else if (heap_size < SMALLEST || heap_size > LONG_MAX)
		error = sas_service_fail(EINVAL, "a context of %zu bytes: %zu are the least", heap_size, SMALLEST);
	if (!error)
		error = sph_object_reach(heap_block, &sph_context_kind);
	if (error)
		return sph_null(error);
	heap_size &= ~(size_t)(SPH_GRANULE - 1);
	/* What may have been there is no object any more before a byte of it changes. */
	__atomic_store_n(&header->blockSig1, 0, __ATOMIC_RELEASE);
	memset(sph_object_words(heap_block), 0, sizeof(struct sph_m_context));
	initSOMSASBlock(heap_block, sasType, (long)heap_size, (char *)heap_block + heap_offset);
	return heap_block;
}

SPHContext_t sph_context_make(SASRegion_t region, size_t size)
{
	void *block = SASRegionBlockAlloc(region, size);
	struct sph_context c;
	int error;

	if (!block)
		return NULL;
	error = SPHContextInit(block, SAS_RUNTIME_CONTEXT, size) ? sph_context_begin_names(&c, block) : -errno;
	if (!error)
		error = sph_context_end(&c, 0);
	if (!error)
		return block;
	if (SPHContextDestroy(block) != 0)
		SASBlockFree(block, size);
	return sph_null(error);
}

SPHContext_t SPHContextCreate(block_size_t heap_size)
{
	SASRegion_t region = SASRegionDefault();

	if (region)
		return sph_context_make(region, heap_size);
	return sph_null(sas_service_fail(EINVAL, "no region is joined, so a context has no place"));
}

static int bring_down(void *context)
{
	struct sph_context c;
	int error = begin(&c, context);

	if (error)
		return error;
	if (c.m->state != SPH_CONTEXT_DEAD)
		error = sph_context_settle(&c);
	if (!error) {
		/* Publish: the context is gone. */
		sph_context_set_state(&c, SPH_CONTEXT_DEAD);
		error = sph_context_fell(&c);
	}
	return sph_context_end(&c, error);
}

int SPHContextDestroy(SPHContext_t contxt)
{
	int error = sph_object_check(contxt, &sph_context_kind), result;

	if (!error && !SASRegionOf(contxt))
		error = sas_service_fail(EINVAL, "the context at %p is the program's own memory, not a block", contxt);
	if (error)
		return sas_service_errno(error);
	/* One lock over all of it, so that who waits finds no context, and not another's block. */
	if (SASLockTake(contxt, SasUserLock__WRITE, 0, -1) != 0)
		return -1;
	error = bring_down(contxt);
	result = error ? sas_service_errno(error) : sph_object_destroy(contxt, &sph_context_kind, 0);
	error = errno;
	SASLockGive(contxt);
	errno = error;
	return result;
}

int SPHContextIs(const void *value)
{
	int error = errno, is;

	if (!value || (uintptr_t)value % SPH_GRANULE || !SASRegionOf(value))
		return 0;
	is = sph_object_check(value, &sph_context_kind) == 0;
	errno = error;
	return is;
}

/* --- the heap */

void *SPHContextAlloc(SPHContext_t contxt, block_size_t alloc_size)
{
	void *range = NULL;
	struct sph_context c;
	int error = sph_context_begin(&c, contxt);

	if (!error)
		error = sph_context_end(&c, sph_block_take(&c.use, c.header, alloc_size, &range));
	return error ? sph_null(error) : range;
}

int SPHContextFree(SPHContext_t contxt, void *free_block, block_size_t alloc_size)
{
	struct sph_context c;
	int error = sph_context_begin(&c, contxt);

	if (error)
		return sas_service_errno(error);
	if (((uintptr_t)free_block - (uintptr_t)contxt) % SPH_GRANULE)
		error = sas_service_fail(EINVAL, "nothing that was taken from the context at %p begins at %p", contxt, free_block);
	if (!error)
		error = sph_block_give(&c.use, c.header, free_block, alloc_size);
	error = sph_context_end(&c, error);
	if (!error)
		return 0;
	sas_service_errno(error);
	return error == -EINVAL ? -2 : -1;
}

static int nothing(struct sph_context *c, void *arg)
{
	(void)c;
	(void)arg;
	return 0;
}

/* The list of free ranges changes in place: under the lock, after what the dead have left. */
block_size_t SPHContextFreeSpace(SPHContext_t contxt)
{
	struct sph_free_totals totals = { 0 };
	struct sas_use use;
	int error = sph_context_ask(contxt, nothing, NULL);

	if (!error)
		error = sph_object_begin(&use, contxt, &sph_context_kind, SAS_USE_READ);
	if (!error)
		error = sas_use_result(&use, sph_block_total(&use, contxt, &totals));
	if (!error)
		return totals.bytes;
	sas_service_errno(error);
	return 0;
}
