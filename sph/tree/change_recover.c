/* SPDX-License-Identifier: MIT */
/*
 * change_recover.c - pages that changes of the dead have left: in transit, and reached or not. See change.c.
 */
#include <config.h>

#include <sched.h>
#include "change.h"

/* A key that leads through the node, if anything does. An inner node's separators do not change; a leaf's keys count while its word
 * stays. 1; 0: it has none: an empty leaf, a node with one child; -ENOMEM. */
static int key_through(struct sph_change *c, struct sph_node *node, struct sph_key *key)
{
	size_t prefix = sph_node_prefix_size(node, c->page);

	if (node->n.level) {
		if (sph_inner_last(node, c->page) == 0)
			return 0;
		*key = sph_change_separator(c, node, 0);
		return key->bytes ? 1 : sph_change_no_memory();
	}
	for (;;) {
		uint64_t word = __atomic_load_n(sph_node_word(node), __ATOMIC_ACQUIRE);
		unsigned slot = 0;

		while (slot < SPH_SLOTS && !(__atomic_load_n(&node->body.bits[slot / 64], __ATOMIC_ACQUIRE) >> slot % 64 & 1))
			slot++;
		*key = sph_leaf_suffix(node, c->page, slot);
		if (!key->bytes)
			slot = SPH_SLOTS;
		else
			*key = sph_change_join(c, sph_node_prefix(node, c->page, prefix), prefix, *key);
		if (!sph_word_is(sph_node_word(node), word) ||
		    (word & 1 && word != SPH_WORD_OUTDATED && sas_owner_lives(c->u->region, word >> 1))) {
			sched_yield();
			continue;
		}
		return slot == SPH_SLOTS ? 0 : key->bytes ? 1 : sph_change_no_memory();
	}
}

/* Is the page a node that the tree reaches? What leads through it leads to it, or to what is there instead. Nobody replaces it
 * meanwhile, as it is in transit by us. Where this cannot be found out, it stays in use. */
static int is_reached(void *page, void *arg)
{
	struct sph_change *c = arg;
	struct sph_path path;
	struct sph_key key;
	int has = key_through(c, page, &key);

	if (has <= 0)
		return has < 0 || sph_cursor_passes(&c->look, c->tree, page) != 0;
	return sph_walk(&c->look, c->tree, key, SPH_AT, 0, &path) < 0 || sph_path_has(&path, page);
}

/* The dead in `changing` give way to us: so whoever finds us dead does the rest. A bit for each of them. */
static unsigned take_over(struct sas_use *u, struct sph_m_tree *t)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < sizeof t->changing / sizeof *t->changing; i++) {
		uint64_t owner = __atomic_load_n(&t->changing[i], __ATOMIC_ACQUIRE);

		if (owner && owner != u->token && !sas_owner_lives(u->region, owner) &&
		    __atomic_compare_exchange_n(&t->changing[i], &owner, u->token, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			taken |= 1U << i;
	}
	return taken;
}

void sph_change_recover(struct sas_use *u, SASBlockHeader *tree)
{
	struct sph_m_tree *t = sph_tree_of(tree);
	struct sph_path nowhere = { .depth = 0 };
	unsigned taken = take_over(u, t);
	struct sph_change c;

	if (!taken)
		return;
	memset(&c, 0, sizeof c);
	c.u = u;
	c.look = sph_look_of(u);
	c.tree = tree;
	c.t = t;
	c.page = t->page_size;
	c.path = &nowhere;
	sph_pages_reclaim(u, tree, is_reached, &c);
	sph_change_free(&c);
	for (unsigned i = 0; i < sizeof t->changing / sizeof *t->changing; i++)
		if (taken >> i & 1)
			__atomic_store_n(&t->changing[i], 0, __ATOMIC_RELEASE);
}
