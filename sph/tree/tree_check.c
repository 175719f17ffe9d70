/* SPDX-License-Identifier: MIT */
/*
 * tree_check.c - trees from outside: copies of nodes, what a tree is made of, and whether all of it fits together.
 *
 * Nothing that a node says is believed before it has been seen to lie within its page; a node is reached once.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include "node.h"

/* --- copies of nodes */

int sph_tree_copy_node(struct sas_look *l, const SASBlockHeader *tree, const void *node, void *copy)
{
	const size_t page = sph_tree_of(tree)->page_size;
	struct sph_node *n = (struct sph_node *)(uintptr_t)(node ? node : sph_tree_root(tree));
	uint64_t word;
	int error;

	if (!n)
		return -ENOENT;
	if ((uintptr_t)n % 512 || (l->size && (uintptr_t)n - l->base >= l->size))
		return sas_service_fail(EUCLEAN, "the tree %p: a pointer leads to %p, where no node of it can be", (const void *)tree, (void *)n);
	error = sas_look_reach(l, n);
	if (error)
		return error;
	do {
		word = sph_word_read(l, sph_node_word(n));
		if (!word)
			return sas_service_fail(ESTALE, "the node %p has been replaced", (void *)n);
		sph_racy_copy(copy, n, page);
	} while (!sph_word_is(sph_node_word(n), word));
	if (((struct sph_node *)copy)->header.blockSize != page)
		return sas_service_fail(EUCLEAN, "%p is no node of the tree %p", (void *)n, (const void *)tree);
	return 0;
}

static size_t page_of(const struct sph_node *copy)
{
	return copy->header.blockSize;
}

unsigned sph_view_level(const void *copy)
{
	return ((const struct sph_node *)copy)->n.level;
}

unsigned sph_view_count(const void *copy)
{
	const struct sph_node *n = copy;

	return n->n.level ? sph_inner_last(n, page_of(n)) : sph_leaf_count(n);
}

static struct sph_key whole(const struct sph_node *n, struct sph_key suffix, unsigned char *bytes)
{
	size_t prefix = sph_node_prefix_size(n, page_of(n));

	if (!suffix.bytes || prefix + suffix.size > page_of(n))
		return (struct sph_key){ NULL, 0 };
	memcpy(bytes, sph_node_prefix(n, page_of(n), prefix), prefix);
	memcpy(bytes + prefix, suffix.bytes, suffix.size);
	return (struct sph_key){ bytes, prefix + suffix.size };
}

int sph_view_key(const void *copy, unsigned place, unsigned char *bytes, size_t *size)
{
	struct sph_entry entries[SPH_SLOTS];
	const struct sph_node *n = copy;
	struct sph_key key;

	if (n->n.level)
		key = sph_inner_suffix(n, page_of(n), place);
	else
		key = place < sph_leaf_order(n, page_of(n), entries) ? entries[place].key : (struct sph_key){ NULL, 0 };
	key = whole(n, key, bytes);
	if (!key.bytes)
		return -ENOENT;
	*size = key.size;
	return 0;
}

uint64_t sph_view_value(const void *copy, unsigned place)
{
	struct sph_entry entries[SPH_SLOTS];
	const struct sph_node *n = copy;

	return !n->n.level && place < sph_leaf_order(n, page_of(n), entries) ? entries[place].value : 0;
}

const void *sph_view_child(const void *copy, unsigned place)
{
	const struct sph_node *n = copy;

	return n->n.level && place <= sph_view_count(n) ? (const void *)n->body.child[place] : NULL;
}

/* --- all nodes */

struct survey {
	struct sas_look *l;
	const SASBlockHeader *tree;
	size_t page;
	struct sph_tree_info *info;
	uint64_t *reached;              /* addresses */
	uint64_t count, room;
	long problems;
	void (*problem)(const void *node, const char *what, void *arg);
	void *arg;
};

static void tell(struct survey *s, const void *node, const char *what)
{
	s->problems++;
	if (s->problem)
		s->problem(node, what, s->arg);
}

static int note(struct survey *s, const void *node)
{
	if (s->count == s->room) {
		uint64_t room = s->room ? 2 * s->room : 1024, *more = realloc(s->reached, room * sizeof *more);

		if (!more)
			return sas_service_fail(ENOMEM, "no memory of this process to check a tree with");
		s->reached = more;
		s->room = room;
	}
	s->reached[s->count++] = (uintptr_t)node;
	return 0;
}

struct bounds {
	struct sph_key low, high;       /* NULL bytes: none */
};

static int is_within(const struct bounds *b, struct sph_key key)
{
	return (!b->low.bytes || sph_key_compare(key, b->low) >= 0) && (!b->high.bytes || sph_key_compare(key, b->high) < 0);
}

static void look_at_leaf(struct survey *s, const struct sph_node *copy, const void *node, const struct bounds *b)
{
	struct sph_entry entries[SPH_SLOTS];
	unsigned count = sph_leaf_order(copy, s->page, entries);
	unsigned char *bytes = malloc(2 * s->page);
	struct sph_key last = { NULL, 0 };
	struct sph_leaf_place place;

	if (count != sph_leaf_count(copy))
		tell(s, node, "a slot that counts has no key");
	for (unsigned i = 0; bytes && i < count; i++) {
		struct sph_key key = whole(copy, entries[i].key, bytes + (i & 1) * s->page);

		if (!key.bytes) {
			tell(s, node, "a key is longer than a page");
			continue;
		}
		if (last.bytes && sph_key_compare(last, key) >= 0)
			tell(s, node, "a key is there twice");
		if (!is_within(b, key))
			tell(s, node, "a key does not belong into this leaf");
		if (!sph_leaf_find(copy, s->page, key, sph_key_hash(key), &place) || place.slot != entries[i].slot)
			tell(s, node, "a key is not found by its fingerprint");
		s->info->key_bytes += key.size;
		last = key;
	}
	free(bytes);
	s->info->keys += count;
	s->info->leaves++;
}

static int look_at(struct survey *s, const void *node, unsigned depth, int level, const struct bounds *b);

/* Its separators in order and within its bounds, and its children. */
static int look_at_inner(struct survey *s, const struct sph_node *copy, const void *node, unsigned depth, const struct bounds *b)
{
	unsigned count = sph_view_count(copy);
	unsigned char *bytes = malloc(2 * s->page);
	struct bounds inside = *b;
	int error = 0;

	if (!bytes)
		return sas_service_fail(ENOMEM, "no memory of this process to check a tree with");
	for (unsigned i = 0; i <= count && !error; i++) {
		struct sph_key key = { NULL, 0 };

		if (i < count) {
			key = whole(copy, sph_inner_suffix(copy, s->page, i), bytes + (i & 1) * s->page);
			if (!key.bytes || !is_within(b, key) || (i && sph_key_compare(inside.low, key) >= 0))
				tell(s, node, "separators are out of order");
		}
		inside.high = key.bytes ? key : b->high;
		error = look_at(s, sph_view_child(copy, i), depth + 1, copy->n.level - 1, &inside);
		inside.low = key;
	}
	free(bytes);
	s->info->inner++;
	return error;
}

/* level -1: the root, which may have any. */
static int look_at(struct survey *s, const void *node, unsigned depth, int level, const struct bounds *b)
{
	struct sph_node *copy = aligned_alloc(64, s->page);
	int error;

	if (!copy)
		return sas_service_fail(ENOMEM, "no memory of this process to check a tree with");
	error = note(s, node);
	if (!error && sph_tree_copy_node(s->l, s->tree, node, copy)) {
		tell(s, node, "a pointer does not lead to a node");
	} else if (!error && ((level >= 0 && copy->n.level != level) || depth > SPH_DEPTH)) {
		tell(s, node, "a node is of another level than its place");
	} else if (!error) {
		if (depth > s->info->depth)
			s->info->depth = depth;
		if (copy->n.level)
			error = look_at_inner(s, copy, node, depth, b);
		else
			look_at_leaf(s, copy, node, b);
	}
	free(copy);
	return error;
}

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Each page is in use and reached, or neither; in transit: either. */
static void look_at_pages(struct survey *s)
{
	const SASBlockHeader *block;

	if (s->count)
		qsort(s->reached, s->count, sizeof *s->reached, by_address);
	for (uint64_t i = 1; i < s->count; i++)
		if (s->reached[i] == s->reached[i - 1])
			tell(s, (const void *)s->reached[i], "two pointers lead to one node");
	for (uint64_t n = 0; (block = sph_pages_block(s->tree, n)) != NULL; n++) {
		const struct sph_m_pages *p = sph_pages(block);

		if (sas_look_reach(s->l, block) || p->page_size != s->page)
			break;
		for (uint32_t i = 0; i < p->count; i++) {
			uint64_t at = (uintptr_t)block + p->first + i * s->page;
			uint64_t owner = __atomic_load_n(&sph_page((void *)at)->owner, __ATOMIC_ACQUIRE);
			int reached = s->count && bsearch(&at, s->reached, s->count, sizeof at, by_address) != NULL;

			s->info->free_pages += owner == 0;
			s->info->in_transit += owner != 0 && owner != SPH_PAGE_USED;
			if (reached && owner == 0)
				tell(s, (const void *)at, "a free page is a node");
			if (!reached && owner == SPH_PAGE_USED)
				tell(s, (const void *)at, "a page is in use that nothing leads to");
		}
	}
}

static int survey(struct survey *s)
{
	const struct bounds none = { { NULL, 0 }, { NULL, 0 } };
	const void *root = sph_tree_root(s->tree);
	int error = 0;

	s->page = sph_tree_of(s->tree)->page_size;
	memset(s->info, 0, sizeof *s->info);
	if (root)
		error = look_at(s, root, 1, -1, &none);
	if (!error)
		look_at_pages(s);
	s->info->used_bytes = (s->info->leaves + s->info->inner) * s->page;
	free(s->reached);
	return error;
}

int sph_tree_info(struct sas_look *l, const SASBlockHeader *tree, struct sph_tree_info *info)
{
	struct survey s = { .l = l, .tree = tree, .info = info };

	return survey(&s);
}

long sph_tree_check(struct sas_use *u, SASBlockHeader *tree, void (*problem)(const void *node, const char *what, void *arg), void *arg)
{
	struct sas_look look;
	struct sph_tree_info info;
	struct survey s = { .l = &look, .tree = tree, .info = &info, .problem = problem, .arg = arg };
	int error;

	sph_look_in(&look, u);
	error = sph_change_recover(u, tree);
	if (!error)
		error = survey(&s);
	return error ? error : s.problems;
}
