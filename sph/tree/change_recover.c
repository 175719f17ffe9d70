/* SPDX-License-Identifier: MIT */
/*
 * change_recover.c - pages that changes of the dead have left: in transit, and reached or not. See change.c.
 */
#include <config.h>

#include <sched.h>
#include "change.h"

/* A key that leads through the node, if anything does. An inner node's separators do not change; a leaf's keys count while its word
 * stays. 1; 0: there is none. */
static int key_through(struct sph_change *c, struct sph_node *node, struct sph_key *key)
{
	size_t prefix = sph_node_prefix_size(node, c->page);

	if (node->n.level) {
		*key = sph_change_separator(c, node, 0);
		return key->bytes != NULL;
	}
	for (;;) {
		uint64_t word = __atomic_load_n(sph_node_word(node), __ATOMIC_ACQUIRE);
		unsigned slot = 0;

		while (slot < SPH_SLOTS && !(__atomic_load_n(&node->body.bits[slot / 64], __ATOMIC_ACQUIRE) >> slot % 64 & 1))
			slot++;
		*key = sph_leaf_suffix(node, c->page, slot);
		if (key->bytes)
			*key = sph_change_join(c, sph_node_prefix(node, c->page, prefix), prefix, *key);
		if (sph_word_is(sph_node_word(node), word) && !(word & 1 && word != SPH_WORD_OUTDATED && sas_owner_lives(c->u->region, word >> 1)))
			return key->bytes != NULL;
		sched_yield();
	}
}

/* Is the page a node that the tree reaches? What leads through it leads to it, or to what is there instead. */
static int is_reached(void *page, void *arg)
{
	struct sph_node *node = page, *at = node;
	struct sph_change *c = arg;
	struct sph_path path;
	struct sph_key key;

	/* A node with one child has no separator. */
	for (unsigned depth = 0; at->n.level && !at->n.count; depth++) {
		uint64_t child = __atomic_load_n(&at->body.child[0], __ATOMIC_RELAXED);

		if (depth == SPH_DEPTH || !child || child % 512 || (c->u->size && child - c->u->base >= c->u->size))
			return 0;
		at = (struct sph_node *)child;
		if (sas_use_reach(c->u, at) < 0)
			return 0;
	}
	if (!key_through(c, at, &key) || sph_walk(&c->look, c->tree, key, SPH_AT, 0, &path) < 0)
		return 0;
	for (unsigned i = 0; i < path.depth; i++)
		if (path.step[i].node == node)
			return 1;
	return 0;
}

void sph_change_recover(struct sas_use *u, SASBlockHeader *tree)
{
	struct sph_m_tree *t = sph_tree_of(tree);
	struct sph_path nowhere = { .depth = 0 };
	struct sph_change c;
	uint64_t dead[sizeof t->changing / sizeof *t->changing];
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof t->changing / sizeof *t->changing; i++) {
		uint64_t owner = __atomic_load_n(&t->changing[i], __ATOMIC_ACQUIRE);

		dead[i] = owner && owner != u->token && !sas_owner_lives(u->region, owner) ? owner : 0;
		count += dead[i] != 0;
	}
	if (!count)
		return;
	memset(&c, 0, sizeof c);
	c.u = u;
	sph_look_in(&c.look, u);
	c.tree = tree;
	c.t = t;
	c.page = t->page_size;
	c.path = &nowhere;
	sph_pages_reclaim(u, tree, is_reached, &c);
	sph_change_free(&c);
	for (unsigned i = 0; i < sizeof t->changing / sizeof *t->changing; i++)
		if (dead[i])
			__atomic_compare_exchange_n(&t->changing[i], &dead[i], 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
