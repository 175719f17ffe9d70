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

	return n->n.level && place <= sph_view_count(n) ? sph_node_at(sph_inner_child(n, page_of(n), place)) : NULL;
}

/* --- all nodes */

struct survey {
	const struct sph_tree_source *from;
	size_t page;
	struct sph_tree_info *info;
	uint64_t *reached;              /* addresses */
	uint64_t count, room;
	uint64_t pages;                 /* there are no more nodes */
	uint64_t percents;              /* of all leaves */
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

static int no_memory(void)
{
	return sas_service_fail(ENOMEM, "no memory of this process to check a tree with");
}

static int count_pages(struct survey *s)
{
	uint64_t first;
	uint32_t count;
	int more;

	s->pages = 0;
	for (uint64_t n = 0; (more = s->from->block(s->from->arg, n, &first, &count)) > 0; n++)
		s->pages += count;
	return more;
}

/* 1: there are more pointers than pages, so some node is reached again and again. */
static int note(struct survey *s, const void *node)
{
	int error = s->count < s->pages ? 0 : count_pages(s);

	if (error)
		return error;
	if (s->count >= s->pages) {
		tell(s, node, "there are more pointers to nodes than pages");
		return 1;
	}
	if (s->count == s->room) {
		uint64_t room = s->room ? 2 * s->room : 1024, *more = realloc(s->reached, room * sizeof *more);

		if (!more)
			return no_memory();
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

	if (!sph_leaf_is_sound(copy, s->page))
		tell(s, node, "the form of a leaf cannot be");
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
	s->percents += sph_leaf_percent(copy, s->page);
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
		return no_memory();
	if (!sph_inner_is_sound(copy, s->page))
		tell(s, node, "the form of an inner node cannot be");
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
		return no_memory();
	error = note(s, node);
	if (!error)
		error = s->from->node(s->from->arg, node, copy);
	if (error == SPH_NO_NODE) {
		tell(s, node, "a pointer does not lead to a node");
		error = 0;
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
static int look_at_page(struct survey *s, uint64_t at)
{
	int reached = s->count && bsearch(&at, s->reached, s->count, sizeof at, by_address) != NULL;
	uint64_t owner = 0;
	int error = s->from->owner(s->from->arg, at, &owner);

	s->info->free_pages += owner == 0;
	s->info->in_transit += owner != 0 && owner != SPH_PAGE_USED;
	if (reached && owner == 0)
		tell(s, (const void *)at, "a free page is a node");
	if (!reached && owner == SPH_PAGE_USED)
		tell(s, (const void *)at, "a page is in use that nothing leads to");
	return error;
}

static int look_at_pages(struct survey *s)
{
	int error = 0, more = 1;
	uint64_t first;
	uint32_t count;

	if (s->count)
		qsort(s->reached, s->count, sizeof *s->reached, by_address);
	for (uint64_t i = 1; i < s->count; i++)
		if (s->reached[i] == s->reached[i - 1])
			tell(s, (const void *)s->reached[i], "two pointers lead to one node");
	for (uint64_t n = 0; !error && (more = s->from->block(s->from->arg, n, &first, &count)) > 0; n++)
		for (uint32_t i = 0; i < count && !error; i++)
			error = look_at_page(s, first + i * s->page);
	return error ? error : more;
}

long sph_tree_survey(const struct sph_tree_source *from, struct sph_tree_info *info,
		     void (*problem)(const void *node, const char *what, void *arg), void *arg)
{
	struct survey s = { .from = from, .page = from->page, .info = info, .problem = problem, .arg = arg };
	const struct bounds none = { { NULL, 0 }, { NULL, 0 } };
	int error = 0;

	memset(info, 0, sizeof *info);
	if (from->root)
		error = look_at(&s, from->root, 1, -1, &none);
	if (!error)
		error = look_at_pages(&s);
	info->used_bytes = (info->leaves + info->inner) * s.page;
	info->leaf_percent = info->leaves ? s.percents / info->leaves : 0;
	free(s.reached);
	return error < 0 ? error : s.problems;
}

/* --- in memory */

struct live { struct sas_look *look; const SASBlockHeader *tree; };

static int copy_live(void *arg, const void *node, void *copy)
{
	const struct live *live = arg;

	return sph_tree_copy_node(live->look, live->tree, node, copy) ? SPH_NO_NODE : 0;
}

static int block_live(void *arg, uint64_t n, uint64_t *first, uint32_t *count)
{
	const struct live *live = arg;
	const SASBlockHeader *block = sph_pages_block(live->tree, n);

	if (!block || sas_look_reach(live->look, block) || sph_pages(block)->page_size != sph_tree_of(live->tree)->page_size)
		return 0;
	*first = (uintptr_t)block + sph_pages(block)->first;
	*count = sph_pages(block)->count;
	return 1;
}

static int owner_live(void *arg, uint64_t page, uint64_t *owner)
{
	const struct live *live = arg;
	int error = sas_look_reach(live->look, (const void *)page);

	if (!error)
		*owner = __atomic_load_n(&sph_page((void *)page)->owner, __ATOMIC_ACQUIRE);
	return error;
}

static long survey_live(struct sas_look *l, const SASBlockHeader *tree, struct sph_tree_info *info,
			void (*problem)(const void *node, const char *what, void *arg), void *arg)
{
	struct live live = { l, tree };
	const struct sph_tree_source from = { .root = sph_tree_root(tree), .page = sph_tree_of(tree)->page_size,
					      .node = copy_live, .block = block_live, .owner = owner_live, .arg = &live };

	return sph_tree_survey(&from, info, problem, arg);
}

int sph_tree_info(struct sas_look *l, const SASBlockHeader *tree, struct sph_tree_info *info)
{
	long problems = survey_live(l, tree, info, NULL, NULL);

	return problems < 0 ? (int)problems : 0;
}

long sph_tree_check(struct sas_use *u, SASBlockHeader *tree, void (*problem)(const void *node, const char *what, void *arg), void *arg)
{
	struct sas_look look;
	struct sph_tree_info info;
	int error = sph_change_recover(u, tree);

	sph_look_in(&look, u);
	return error ? error : survey_live(&look, tree, &info, problem, arg);
}

void sph_tree_describe(const struct sph_tree_info *found, size_t page, SASTreeInfo *info)
{
	*info = (SASTreeInfo){
		.structSize = sizeof *info,
		.keys = found->keys, .depth = found->depth, .leaves = found->leaves, .inner = found->inner,
		.keyBytes = found->key_bytes, .usedBytes = found->used_bytes,
		.freePages = found->free_pages, .inTransit = found->in_transit,
		.pageSize = page, .longestKey = page / 4, .leafPercent = found->leaf_percent,
	};
}
