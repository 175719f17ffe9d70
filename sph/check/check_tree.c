/* SPDX-License-Identifier: MIT */
/* check_tree.c - trees in a region's files: are they whole, what are they made of, what do they hold? Layer 5. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sph/pages/pages_block.h"
#include "sph/tree/node.h"

#define TRIES 64                /* to read a node that others change: more often, and something else is wrong */
#define SPH_LARGEST 65536U      /* page */

struct sph_check_tree {
	struct sph_check *c;
	struct sph_object *o;
	struct sph_blocks blocks;       /* begins with a copy of the header page */
	sas_type_t node;
	unsigned changes;               /* that are noted: what they have in transit is found by that */
	unsigned char again[SPH_LARGEST];
};

static struct sph_check_tree *make_tree(void)
{
	struct sph_check_tree *t = aligned_alloc(64, sizeof *t);

	if (t)
		t->blocks.at = NULL;
	else
		sas_service_fail(ENOMEM, "no memory of this process to look at a tree with");
	return t;
}

static void free_tree(struct sph_check_tree *t)
{
	if (t)
		free(t->blocks.at);
	free(t);
}

/* --- reading it */

/* What its words and its header say. */
static int is_node(const struct sph_check_tree *t, uint64_t block, const struct sph_node *n)
{
	uint64_t word = n->n.word;

	return SOMSASCheckBlockSig(&n->header) && n->header.blockType == t->node && n->header.blockSize == t->blocks.page_size &&
	       (uint64_t)n->header.baseBlock == block && word != SPH_WORD_OUTDATED && (word & 1 || word == n->version << 1);
}

/* As it was at one moment: where others may change it, read until it is the same twice. Whose word is odd is what its owner has left, or is
 * just leaving: each store keeps it whole. */
static int copy_node(void *arg, const void *node, void *copy)
{
	struct sph_check_tree *t = arg;
	const size_t page = t->blocks.page_size;
	struct sph_image *image = &t->c->image;
	uint64_t block = sph_blocks_around(&t->blocks, (uint64_t)node);
	int error = block ? sph_image_read(image, (uint64_t)node, copy, page) : SPH_NO_NODE, same = !t->c->live;

	for (unsigned i = 0; i < TRIES && !error && !same; i++) {
		memcpy(t->again, copy, page);
		error = sph_image_read(image, (uint64_t)node, copy, page);
		same = memcmp(t->again, copy, page) == 0;
	}
	if (error)
		return error;
	return same && is_node(t, block, copy) ? 0 : SPH_NO_NODE;
}

static int nth_block(void *arg, uint64_t n, uint64_t *first, uint32_t *count)
{
	const struct sph_check_tree *t = arg;

	if (n >= t->blocks.count)
		return 0;
	*first = t->blocks.at[n] + t->blocks.first;
	*count = t->blocks.pages;
	return 1;
}

static int owner_of(void *arg, uint64_t page, uint64_t *owner)
{
	const struct sph_check_tree *t = arg;
	SASBlockHeader header;
	int error = sph_check_page(t->c, t->o, page, &header, owner);

	return error < 0 ? error : 0;
}

static struct sph_tree_source source_of(struct sph_check_tree *t)
{
	return (struct sph_tree_source){ .root = sph_tree_root(&t->blocks.main.header), .page = t->blocks.page_size, .node = copy_node,
					 .block = nth_block, .owner = owner_of, .arg = t };
}

/* Its blocks, and its own part of the header page. As sph_check_blocks(). */
static int open_tree(struct sph_check_tree *t, struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	const struct sph_m_tree *m = sph_tree_of(&t->blocks.main.header);
	int error = sph_check_blocks(c, o, p, &t->blocks);

	t->c = c;
	t->o = o;
	t->node = sph_type_of(p->header.blockType)->node;
	if (error)
		return error;
	if (m->page_size != t->blocks.page_size || m->node_type != t->node || m->word == SPH_WORD_OUTDATED ||
	    m->version > SPH_CHECK_VERSIONS ||
	    (!(m->word & 1) && m->word != m->version << 1)) {
		sph_check_tell(c, o, p->address, "its header does not say where the tree begins");
		return 1;
	}
	o->info.toRecover += m->word & 1;
	t->changes = 0;
	for (size_t i = 0; i < sizeof m->changing / sizeof *m->changing; i++)
		t->changes += m->changing[i] != 0;
	o->info.toRecover += t->changes;
	return 0;
}

/* --- the check */

static void tell_problem(const void *node, const char *what, void *arg)
{
	const struct sph_check_tree *t = arg;

	sph_check_tell(t->c, t->o, (uint64_t)node, "%s", what);
}

int sph_check_tree(struct sph_check *c, struct sph_object *o, const struct sph_place *p)
{
	struct sph_tree_source from;
	struct sph_tree_info info;
	struct sph_check_tree *t = make_tree();
	long result = t ? open_tree(t, c, o, p) : -ENOMEM;

	if (!result) {
		from = source_of(t);
		result = sph_tree_survey(&from, &info, tell_problem, t);
		if (result >= 0 && info.in_transit && !t->changes)
			sph_check_tell(c, o, p->address, "%lu pages are in transit, and there is no note of a change", info.in_transit);
	}
	free_tree(t);
	return result < 0 ? (int)result : 0;
}

/* --- its keys, and of whoever checks what has a tree */

struct keys {
	struct sph_check_tree *tree;
	struct sph_key from;
	SASObjectKey_t visit;
	void *arg;
	uint64_t nodes;                 /* visited: no more than there are pages */
	unsigned char *bytes;           /* this key, and the one before */
	size_t last;                    /* its size, and 1; 0: there is none */
};

static int tell_node(const struct keys *k, const void *node, const char *what)
{
	tell_problem(node, what, k->tree);
	return 1;
}

static int visit_leaf(struct keys *k, const void *node, const struct sph_node *leaf)
{
	const size_t page = k->tree->blocks.page_size, prefix = sph_node_prefix_size(leaf, page);
	struct sph_entry entries[SPH_SLOTS];
	unsigned count = sph_leaf_order(leaf, page, entries);
	int result = 0;

	memcpy(k->bytes, sph_node_prefix(leaf, page, prefix), prefix);
	for (unsigned i = 0; i < count && !result; i++) {
		struct sph_key key = { k->bytes, prefix + entries[i].key.size }, last = { k->bytes + SPH_LARGEST, k->last - 1 };

		if (key.size > page)
			return tell_node(k, node, "a key is longer than a page");
		memcpy(k->bytes + prefix, entries[i].key.bytes, entries[i].key.size);
		if (k->from.bytes && sph_key_compare(key, k->from) < 0)
			continue;
		if (k->last && sph_key_compare(last, key) >= 0)
			return tell_node(k, node, "keys are out of order");
		result = k->visit(key.bytes, key.size, entries[i].value, k->arg);
		memcpy(k->bytes + SPH_LARGEST, key.bytes, key.size);
		k->last = key.size + 1;
	}
	return result;
}

/* level -1: the root. 1: a problem was told, or `visit` has ended it. */
static int visit_node(struct keys *k, const void *node, int level)
{
	struct sph_check_tree *t = k->tree;
	struct sph_node *copy = aligned_alloc(64, t->blocks.page_size);
	uint64_t first;
	int result = copy ? copy_node(t, node, copy) : sas_service_fail(ENOMEM, "no memory of this process to read a tree with");

	if (result == SPH_NO_NODE || (!result && ((level >= 0 && copy->n.level != level) || copy->n.level > SPH_DEPTH)))
		result = tell_node(k, node, "a pointer does not lead to a node of its place");
	else if (!result && k->nodes++ >= (uint64_t)t->blocks.count * t->blocks.pages)
		result = tell_node(k, node, "there are more pointers to nodes than pages");
	else if (!result && copy->n.level == 0)
		result = visit_leaf(k, node, copy);
	else if (!result)
		for (unsigned i = k->from.bytes ? sph_inner_find(copy, t->blocks.page_size, k->from, 0, &first) : 0;
		     i <= sph_view_count(copy) && !result; i++)
			result = visit_node(k, sph_view_child(copy, i), copy->n.level - 1);
	free(copy);
	return result;
}

int sph_check_open_tree(struct sph_check *c, struct sph_object *o, const struct sph_place *p, struct sph_check_tree **tree)
{
	*tree = make_tree();
	return *tree ? open_tree(*tree, c, o, p) : -ENOMEM;
}

void sph_check_close_tree(struct sph_check_tree *tree)
{
	free_tree(tree);
}

int sph_check_keys(struct sph_check_tree *tree, const void *from, size_t size, SASObjectKey_t key, void *arg)
{
	struct keys k = { .tree = tree, .from = { from, size }, .visit = key, .arg = arg };
	const void *root = sph_tree_root(&tree->blocks.main.header);
	int result = 0;

	k.bytes = malloc(2 * SPH_LARGEST);
	if (!k.bytes)
		return sas_service_fail(ENOMEM, "no memory of this process to read a tree with");
	if (root)
		result = visit_node(&k, root, -1);
	free(k.bytes);
	return result;
}

/* --- one tree, by who wants to see it */

struct sight {
	struct sph_check check;
	struct sph_object object;
	struct sph_check_tree *tree;
	char first[400];                /* problem */
};

static void keep_first(const SASObjectInfo *object, const void *where, const char *sentence, void *arg)
{
	struct sight *s = arg;

	(void)object;
	if (!s->first[0])
		snprintf(s->first, sizeof s->first, "%p: %s", where, sentence);
}

static int find_tree(struct sight *s, uint64_t address, struct sph_place *p)
{
	struct sph_image *image = &s->check.image;
	const SASBlockInfo *block = sph_image_block(image, address);
	const struct sph_type *type;
	int error = sph_image_read(image, address, &p->header, sizeof p->header);

	if (error && error != -EFAULT)
		return error;
	type = error || !SOMSASCheckBlockSig(&p->header) ? NULL : sph_type_of(p->header.blockType);
	if (!type || !type->node)
		return sas_service_fail(EINVAL, "no index or string tree begins at %#lx", address);
	p->address = p->base = address;
	p->limit = block->size - (address - (uint64_t)block->address);
	s->object.type = type;
	s->object.info = (SASObjectInfo){ .structSize = sizeof s->object.info, .address = (void *)address, .type = p->header.blockType };
	return 0;
}

/* 0, or -errno; whatever it gives is ended. */
static int begin_sight(struct sight *s, SASInspect_t inspect, const void *tree)
{
	struct sph_place p;
	int error;

	memset(s, 0, sizeof *s);
	s->check.problem = keep_first;
	s->check.arg = s;
	s->tree = make_tree();
	error = sph_image_open(&s->check.image, inspect);
	if (error)
		return error;
	if (!s->tree)
		return -ENOMEM;
	s->check.live = sph_image_joined(&s->check.image) != 0;
	error = find_tree(s, (uint64_t)tree, &p);
	if (!error)
		error = open_tree(s->tree, &s->check, &s->object, &p);
	return error < 0 ? error : 0;
}

/* What has been seen counts, if there was no problem. */
static int end_sight(struct sight *s, int result)
{
	free_tree(s->tree);
	sph_image_close(&s->check.image);
	if (result < 0 || !s->check.problems)
		return result;
	if (s->check.live)
		return sas_service_fail(EAGAIN, "the %s at %p is being changed: %s", s->object.type->name, s->object.info.address, s->first);
	return sas_service_fail(EUCLEAN, "the %s at %p is broken: %s", s->object.type->name, s->object.info.address, s->first);
}

static int survey(struct sight *s, SASTreeInfo *info)
{
	struct sph_tree_source from = source_of(s->tree);
	struct sph_tree_info found;
	long problems = sph_tree_survey(&from, &found, tell_problem, s->tree);

	if (problems < 0)
		return (int)problems;
	sph_tree_describe(&found, s->tree->blocks.page_size, info);
	return 0;
}

int SASObjectTreeInfo(SASInspect_t inspect, const void *tree, SASTreeInfo *info)
{
	struct sight s;
	int error;

	if (!info || info->structSize != sizeof *info)
		return sas_service_errno(sas_service_fail(EINVAL, "SASTreeInfo.structSize is not set to the structure's size"));
	error = begin_sight(&s, inspect, tree);
	if (!error && !s.check.problems)
		error = survey(&s, info);
	return sas_service_errno(end_sight(&s, error));
}

int SASObjectTreeKeys(SASInspect_t inspect, const void *tree, const void *from, size_t size, SASObjectKey_t key, void *arg)
{
	struct sight s;
	int result;

	if (!key)
		return sas_service_errno(sas_service_fail(EINVAL, "SASObjectTreeKeys: nobody takes the keys"));
	result = begin_sight(&s, inspect, tree);
	if (!result && !s.check.problems)
		result = sph_check_keys(s.tree, from, size, key, arg);
	result = end_sight(&s, result);
	return result < 0 ? sas_service_errno(result) : result;
}
