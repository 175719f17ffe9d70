/* SPDX-License-Identifier: MIT */
/*
 * change_make.c - what every change of nodes does: beginning, holding, making new nodes, publishing, undoing. See
 * change.c.
 */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include "change.h"

struct sph_chunk {
	struct sph_chunk *next;
	size_t used, size;
	_Alignas(16) unsigned char bytes[];
};

/* --- memory of a change */

void *sph_change_grab(struct sph_change *c, size_t size)
{
	struct sph_chunk *m = c->memory;
	size_t least = size > 32000 ? size : 32000;

	size = (size + 15) & ~(size_t)15;
	if (!m || m->size - m->used < size) {
		m = malloc(sizeof *m + least + 16);
		if (!m)
			return NULL;
		m->next = c->memory;
		m->used = 0;
		m->size = least + 16;
		c->memory = m;
	}
	m->used += size;
	return m->bytes + m->used - size;
}

int sph_change_no_memory(void)
{
	return sas_service_fail(ENOMEM, "no memory of this process to change the tree in");
}

/* --- holding, making, ending */

/* 0; 1: begin again. */
int sph_change_hold(struct sph_change *c, struct sph_node *node, uint64_t was)
{
	struct sph_hold *h = &c->holds[c->hold_count];

	if (!was || !sph_hold_take(h, c->u, sph_node_word(node), &node->version, was))
		return 1;
	c->hold_count++;
	return 0;
}

/* A place in the list of new nodes. */
static int room_for_one(struct sph_change *c)
{
	size_t room = c->made_room ? 2 * c->made_room : 64;
	struct sph_node **made;

	if (c->made_count < c->made_room)
		return 0;
	made = realloc(c->made, room * sizeof(*made));
	if (!made)
		return sph_change_no_memory();
	c->made = made;
	c->made_room = room;
	return 0;
}

static int make_node(struct sph_change *c, const struct sph_node *image, uint64_t *made)
{
	const struct sph_node *near = c->path->depth ? c->path->step[c->path->depth - 1].node : NULL;
	int error = room_for_one(c);
	struct sph_node *node;
	SASBlockHeader h;
	uint64_t version;

	if (error)
		return error;
	node = sph_pages_take(c->u, c->tree, near, &error);
	if (!node)
		return error;
	c->made[c->made_count++] = node;
	version = __atomic_load_n(&node->version, __ATOMIC_RELAXED) + 1;
	h = (SASBlockHeader){ .blockType = c->t->node_type, .blockSize = c->page, .baseBlock = sph_pages_block_of(c->u, c->tree, node),
			      .blockSig1 = block__Signature_1, .blockSig2 = block__Signature_2 };
	/* Whose page it was may have died before its word said so. */
	__atomic_store_n(sph_node_word(node), SPH_WORD_OUTDATED, __ATOMIC_RELAXED);
	sph_racy_begin();
	sph_racy_copy(&node->n.level, &image->n.level, c->page - SPH_NODE_CONTENT);
	sph_racy_copy(&node->header.blockSig1, &h.blockSig1, sizeof h - offsetof(SASBlockHeader, blockSig1));
	__atomic_store_n(&node->version, version, __ATOMIC_RELEASE);
	__atomic_store_n(sph_node_word(node), version << 1, __ATOMIC_RELEASE);
	*made = sph_pointer_to(node, &image->n);
	return 0;
}

#define CELLS (sizeof(((struct sph_m_tree *)0)->changing) / sizeof(uint64_t))

static void give_cell(struct sph_change *c)
{
	if (c->cell)
		__atomic_store_n(c->cell, 0, __ATOMIC_RELEASE);
}

int sph_change_begin(struct sph_change *c, struct sas_use *u, SASBlockHeader *tree, const struct sph_path *path)
{
	memset(c, 0, offsetof(struct sph_change, holds));
	c->u = u;
	sph_look_in(&c->look, u);
	c->tree = tree;
	c->t = sph_tree_of(tree);
	c->page = c->t->page_size;
	c->path = path;
	for (unsigned i = 0; i < CELLS; i++) {
		uint64_t *cell = &c->t->changing[(u->token + i) % CELLS], owner = __atomic_load_n(cell, __ATOMIC_ACQUIRE);

		if (owner && owner != u->token && !sas_owner_lives(u->region, owner)) {
			give_cell(c);
			return 1;
		}
		if (!owner && !c->cell && __atomic_compare_exchange_n(cell, &owner, u->token, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			c->cell = cell;
	}
	return c->cell == NULL;
}

struct sph_change_mark sph_change_mark(const struct sph_change *c)
{
	return (struct sph_change_mark){ c->memory, c->memory ? c->memory->used : 0 };
}

void sph_change_release(struct sph_change *c, struct sph_change_mark mark)
{
	while (c->memory != mark.chunk) {
		struct sph_chunk *next = c->memory->next;

		free(c->memory);
		c->memory = next;
	}
	if (c->memory)
		c->memory->used = mark.used;
}

void sph_change_free(struct sph_change *c)
{
	sph_change_release(c, (struct sph_change_mark){ NULL, 0 });
	free(c->made);
}

static void end(struct sph_change *c)
{
	give_cell(c);
	sph_change_free(c);
}

int sph_change_undo(struct sph_change *c, int result)
{
	while (c->hold_count)
		sph_hold_undo(&c->holds[--c->hold_count]);
	while (c->made_count) {
		struct sph_node *node = c->made[--c->made_count];

		__atomic_store_n(sph_node_word(node), SPH_WORD_OUTDATED, __ATOMIC_RELEASE);
		sph_pages_give(c->tree, node);
	}
	end(c);
	return result;
}

/* A page of the tree is in transit by somebody else: a dead one, or who is finding out whether the tree has it. */
static int look_for_the_dead(struct sph_change *c, unsigned withdrawn)
{
	struct sas_use *u = c->u;
	SASBlockHeader *tree = c->tree;
	int error;

	while (withdrawn)
		sph_pages_settle(c->old[--withdrawn]);
	sph_change_undo(c, 0);
	error = sph_change_recover(u, tree);
	sched_yield();
	return error ? error : 1;
}

int sph_change_publish(struct sph_change *c, uint64_t *at, uint64_t node)
{
	struct sph_hold *holder = &c->holds[c->hold_count - 1];

	for (unsigned i = 0; i < c->old_count; i++)
		if (sph_pages_withdraw(c->u, c->old[i]))
			return look_for_the_dead(c, i);
	__atomic_store_n(at, node, __ATOMIC_RELEASE);
	for (unsigned i = 0; i + 1 < c->hold_count; i++)
		sph_hold_outdate(&c->holds[i]);
	sph_hold_end(holder);
	for (size_t i = 0; i < c->made_count; i++)
		sph_pages_settle(c->made[i]);
	for (unsigned i = 0; i < c->old_count; i++)
		sph_pages_give(c->tree, c->old[i]);
	end(c);
	return 0;
}

/* --- entries out of nodes */

struct sph_key sph_change_join(struct sph_change *c, const unsigned char *prefix, size_t size, struct sph_key suffix)
{
	unsigned char *bytes = sph_change_grab(c, size + suffix.size + 8);

	if (!bytes)
		return (struct sph_key){ NULL, 0 };
	memcpy(bytes, prefix, size);
	if (suffix.size)
		memcpy(bytes + size, suffix.bytes, suffix.size);
	return (struct sph_key){ bytes, size + suffix.size };
}

/* Up to 8 bytes as they stand in a head: always 8 are stored, and what is too much gives way to what comes next. */
static inline unsigned char *put_bytes(unsigned char *to, const unsigned char *bytes, size_t size, uint64_t head)
{
	if (size <= 8) {
		head = htobe64(head);
		memcpy(to, &head, sizeof head);
	} else {
		memcpy(to, bytes, size);
	}
	return to + size;
}

/* Whole keys instead of suffixes, one after the other in one piece of memory. */
static int with_prefix(struct sph_change *c, const struct sph_node *node, struct sph_entry *entries, unsigned count)
{
	size_t size = sph_node_prefix_size(node, c->page), sum = count * size;
	const unsigned char *prefix = sph_node_prefix(node, c->page, size);
	const uint64_t head = sph_head8(prefix, size);
	unsigned char *at;

	if (!size)
		return 0;
	for (unsigned i = 0; i < count; i++)
		sum += entries[i].key.size;
	at = sph_change_grab(c, sum + sizeof head);
	if (!at)
		return sph_change_no_memory();
	for (unsigned i = 0; i < count; i++) {
		struct sph_entry *e = &entries[i];
		struct sph_key suffix = e->key;

		e->key = (struct sph_key){ at, size + suffix.size };
		at = put_bytes(put_bytes(at, prefix, size, head), suffix.bytes, suffix.size, e->head);
		e->head = size < 8 ? head | e->head >> 8 * size : head;
	}
	return 0;
}

/* The entries of a leaf that is held, with whole keys, to entries[0..]. How many; -errno. */
int sph_change_take_leaf(struct sph_change *c, const struct sph_node *leaf, struct sph_entry *entries)
{
	unsigned count = sph_leaf_order(leaf, c->page, entries);
	int error = with_prefix(c, leaf, entries, count);

	return error ? error : (int)count;
}

/* The same of an inner node: its separators. */
int sph_change_take_inner(struct sph_change *c, const struct sph_node *inner, struct sph_entry *separators)
{
	unsigned count = inner->n.count;
	int error;

	for (unsigned i = 0; i < count; i++) {
		struct sph_key suffix = sph_inner_suffix(inner, c->page, i);

		separators[i].key = suffix;
		/* For with_prefix() alone. */
		separators[i].head = inner->n.prefix && suffix.size ? sph_head8(suffix.bytes, suffix.size) : 0;
		separators[i].value = *sph_inner_cell(inner, i + 1);
	}
	error = with_prefix(c, inner, separators, count);
	return error ? error : (int)count;
}

/* The separator of two neighbours in `inner`, whole. */
struct sph_key sph_change_separator(struct sph_change *c, const struct sph_node *inner, unsigned i)
{
	size_t size = sph_node_prefix_size(inner, c->page);

	return sph_change_join(c, sph_node_prefix(inner, c->page, size), size, sph_inner_suffix(inner, c->page, i));
}

/* --- new nodes out of entries */

static struct sph_node *image_of(struct sph_change *c)
{
	return sph_change_grab(c, c->page);
}

int sph_change_make_leaf(struct sph_change *c, const struct sph_entry *entries, unsigned count, uint64_t *made)
{
	struct sph_node *image = image_of(c);

	if (!image)
		return sph_change_no_memory();
	if (!sph_change_fits(c, sph_leaf_size(entries, count, c->page), 100))
		return sas_service_fail(EUCLEAN, "the tree %p: %u keys do not go into a leaf", (void *)c->tree, count);
	sph_leaf_pack(image, c->page, entries, count);
	sph_leaf_note_form(c->t, image);
	return make_node(c, image, made);
}

int sph_change_make_inner(struct sph_change *c, unsigned level, uint64_t leftmost, const struct sph_entry *separators, unsigned count,
			  uint64_t *made)
{
	struct sph_node *image = image_of(c);

	if (!image)
		return sph_change_no_memory();
	sph_inner_pack(image, c->page, level, leftmost, separators, count);
	return make_node(c, image, made);
}
