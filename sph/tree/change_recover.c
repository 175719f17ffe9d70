/* SPDX-License-Identifier: MIT */
/*
 * change_recover.c - pages that changes of the dead have left: in transit, and reached or not. See change.c.
 *
 * Who recovers puts its name over the dead one's in `changing` first: when it dies as well, its name is the dead one
 * there, and what it was looking at is looked at again.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include "change.h"

struct sweep {
	struct sas_look look;
	const SASBlockHeader *tree;
	size_t page;
	unsigned char *from, *next;     /* keys */
	size_t size;                    /* of `from` */
};

/* Among the nodes of the way, and the leaves beside the last one. Racy. */
static int is_on(const struct sph_path *path, const void *node, size_t page)
{
	for (unsigned i = 0; i < path->depth; i++)
		if (path->step[i].node == node)
			return 1;
	if (path->depth < 2)
		return 0;
	for (unsigned i = 0; i <= sph_inner_last(path->step[path->depth - 2].node, page); i++)
		if (sph_node_at(sph_inner_child(path->step[path->depth - 2].node, page, i)) == node)
			return 1;
	return 0;
}

/* The way to s->from, as it was at one moment; s->from is behind what was seen then. 1: the node is there; 0;
 * -ENOENT: that was the end; -errno. */
static int look_from(struct sweep *s, const void *node)
{
	struct sph_path path;
	unsigned char *seen;
	size_t size = 0;
	int found, more, error;

	do {
		error = sph_walk(&s->look, s->tree, (struct sph_key){ s->from, s->size }, SPH_AT, 0, &path);
		if (error)
			return error;
		found = is_on(&path, node, s->page);
		more = path.depth > 2 ? sph_path_bound(&path, s->page, path.depth - 2, 1, s->next, &size) : 0;
	} while (!sph_path_is_unchanged(&path));
	if (more < 0)
		return sph_path_is_broken(s->tree);
	seen = s->from;
	s->from = s->next;
	s->next = seen;
	s->size = size;
	return found ? 1 : more ? 0 : -ENOENT;
}

/*
 * Does the tree reach the page? Its content cannot tell: it may be an empty leaf, or a node whose only child has
 * been replaced. So all nodes above leaves are gone over, in the order of keys. The page is in transit by us: nobody
 * can take it out of the tree, nor put it in, and what it holds of the keys can only grow. So it is met if it is
 * reached. Where the tree is broken nothing is given back.
 */
static int is_reached(void *page, void *arg)
{
	struct sweep *s = arg;
	int found;

	s->size = 0;
	do
		found = look_from(s, page);
	while (!found);
	return found != -ENOENT;
}

/* The names of the dead in `changing` are ours. A bit for each. */
static unsigned take_cells(struct sas_use *u, struct sph_m_tree *t)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < sizeof t->changing / sizeof *t->changing; i++) {
		uint64_t owner = __atomic_load_n(&t->changing[i], __ATOMIC_ACQUIRE);

		if (!owner || owner == u->token || sas_owner_lives(u->region, owner))
			continue;
		if (__atomic_compare_exchange_n(&t->changing[i], &owner, u->token, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			taken |= 1U << i;
	}
	return taken;
}

int sph_change_recover(struct sas_use *u, SASBlockHeader *tree)
{
	struct sph_m_tree *t = sph_tree_of(tree);
	size_t longest = sph_tree_longest(tree);
	unsigned char *keys = malloc(2 * longest);
	struct sweep s = { .tree = tree, .page = t->page_size, .from = keys, .next = keys + longest };
	unsigned taken;

	if (!keys)
		return sph_change_no_memory();
	sph_look_in(&s.look, u);
	taken = take_cells(u, t);
	if (taken)
		sph_pages_reclaim(u, tree, is_reached, &s);
	for (unsigned i = 0; taken >> i; i++)
		if (taken >> i & 1)
			__atomic_store_n(&t->changing[i], 0, __ATOMIC_RELEASE);
	free(keys);
	return 0;
}
