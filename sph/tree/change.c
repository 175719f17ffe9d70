/* SPDX-License-Identifier: MIT */
/*
 * change.c - replacing nodes: splits, merges, leaves packed anew.
 *
 * One change holds, from the leaf upwards, the nodes that it replaces and the one whose pointer to them it stores,
 * the holder; on the way up a node whose children change in number is replaced as well. Then
 *      1  the old pages go in transit, as the new ones have been since they were taken
 *      2  the pointer in the holder is stored: from here on the tree is the new one
 *      3  the words of the old nodes say OUTDATED, the holder's gets a new version
 *      4  the new pages are settled, the old ones given back
 * Dead before 2: the tree is the old one, its words name a dead owner, whom the next one to come takes over; the new
 * pages are in transit and not reached. Dead after 2: the new one; the old pages are in transit and not reached. A
 * page that is reached and in transit is settled. `changing` in the tree's header names who is at it: the next one
 * finds a dead name there, puts its own in its place, and sees to the pages. 1 counts for it too: its name stands
 * there first.
 *
 * A word that has changed since the way down, or that somebody holds, makes the whole change begin again: nobody
 * waits while he holds one.
 */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include "change.h"

#define REPACK 90       /* a leaf that is packed anew is to be at most so full, or else it is split */
#define GIVING 55       /* a neighbour that is less full takes some of what is too much here */
#define MERGED 85       /* two nodes become one that is at most so full */

/* The nodes that take the place of others: count of them, and what separates them. */
struct row {
	unsigned count;
	uint64_t node[2];
	struct sph_key separator;
};

static void will_go(struct sph_change *c, struct sph_node *node)
{
	c->old[c->old_count++] = node;
}

/*
 * Where to cut a row of entries in two: near `wish`, where both sides fit. Among the places near it, where the keys
 * differ earliest: that makes the shortest separator (Bayer and Unterauer, TODS 1977). 0: nowhere.
 */
static unsigned cut_leaf(const struct sph_change *c, const struct sph_entry *entries, unsigned count, unsigned wish)
{
	unsigned best = 0, reach = count / 16;
	size_t least = (size_t)-1;

	for (unsigned i = 0; i < 2 * count; i++) {
		unsigned away = (i + 1) / 2, at = i & 1 ? wish - away : wish + away;
		size_t common;

		if (at < 1 || at >= count)
			continue;
		if (best && away > reach)
			break;
		common = sph_key_common(entries[at - 1].key, entries[at].key);
		if (common >= least || !sph_change_fits(c, sph_leaf_size(entries, at, c->page), 100) ||
		    !sph_change_fits(c, sph_leaf_size(entries + at, count - at, c->page), 100))
			continue;
		best = at;
		least = common;
	}
	return best;
}

static int make_two_leaves(struct sph_change *c, const struct sph_entry *entries, unsigned count, unsigned cut, struct row *row)
{
	int error;

	if (!cut)
		return sas_service_fail(EUCLEAN, "the tree %p: %u keys of a node do not go into two", (void *)c->tree, count);
	row->count = 2;
	row->separator = sph_separator_between(entries[cut - 1].key, entries[cut].key);
	error = sph_change_make_leaf(c, entries, cut, &row->node[0]);
	return error ? error : sph_change_make_leaf(c, entries + cut, count - cut, &row->node[1]);
}

/* An inner node as a row of children, each with the separator before it; the first one's key does not count. */
static size_t inner_size(const struct sph_entry *children, unsigned count)
{
	return sph_inner_size(children + 1, count - 1);
}

static int make_inner(struct sph_change *c, unsigned level, const struct sph_entry *children, unsigned count, uint64_t *made)
{
	return sph_change_make_inner(c, level, children[0].value, children + 1, count - 1, made);
}

/* The separator at the cut goes up. By bytes: separators differ much in length. */
static int make_two_inner(struct sph_change *c, unsigned level, const struct sph_entry *children, unsigned count, int at_end, struct row *row)
{
	const size_t all = inner_size(children, count), common = sph_key_common(children[1].key, children[count - 1].key);
	size_t used = 0;
	unsigned cut = 2;
	int error;

	for (; cut < count - 2 && used < all / 2; cut++)
		used += SPH_INNER_ENTRY + children[cut].key.size - common;
	if (at_end)
		cut = count - 2;
	while (cut > 2 && !sph_change_fits(c, inner_size(children, cut), 100))
		cut--;
	while (cut < count - 2 && !sph_change_fits(c, inner_size(children + cut, count - cut), 100))
		cut++;
	/* The node was one page but for one separator, so half of it and that one fit into another. */
	if (!sph_change_fits(c, inner_size(children, cut), 100) || !sph_change_fits(c, inner_size(children + cut, count - cut), 100))
		return sas_service_fail(EUCLEAN, "the tree %p: %u separators of a node do not go into two", (void *)c->tree, count - 1);
	row->count = 2;
	row->separator = children[cut].key;
	error = make_inner(c, level, children, cut, &row->node[0]);
	return error ? error : make_inner(c, level, children + cut, count - cut, &row->node[1]);
}

/* --- upwards */

static int go_up(struct sph_change *c, unsigned depth, unsigned first, unsigned gone, const struct row *row);

/* The tree's pointer to its root; 0: the tree is empty. */
static int new_root(struct sph_change *c, const struct row *row)
{
	struct sph_hold *h = &c->holds[c->hold_count];
	struct sph_entry separator = { .key = row->separator, .value = row->node[1] };
	uint64_t node = row->count ? row->node[0] : 0;
	int error = 0;

	if (row->count == 2)
		error = sph_change_make_inner(c, sph_node_at(node)->n.level + 1U, node, &separator, 1, &node);
	if (error)
		return sph_change_undo(c, error);
	if (!sph_hold_take(h, c->u, &c->t->word, &c->t->version, c->path->word))
		return sph_change_undo(c, 1);
	c->hold_count++;
	return sph_change_publish(c, &c->t->root, node);
}

/* How many; -errno. */
static int take_children(struct sph_change *c, const struct sph_node *inner, struct sph_entry *children)
{
	int got = sph_change_take_inner(c, inner, children + 1);

	children[0] = (struct sph_entry){ .value = *sph_inner_cell(inner, 0) };
	return got < 0 ? got : got + 1;
}

/* Children `first` up to before first + gone give way to the row; there is room for it. How many there are then. */
static unsigned splice(struct sph_entry *children, unsigned count, unsigned first, unsigned gone, const struct row *row)
{
	const struct sph_key key = children[first].key;

	memmove(children + first + row->count, children + first + gone, (count - first - gone) * sizeof *children);
	for (unsigned i = 0; i < row->count; i++)
		children[first + i] = (struct sph_entry){ .key = i ? row->separator : key, .value = row->node[i] };
	return count - gone + row->count;
}

/* A small inner node takes a neighbour in, if both go into one. *gone, *first: as for go_up(). 0: it stays as it is;
 * 1: joined, and *children are of both; -errno. */
static int join_inner(struct sph_change *c, unsigned depth, struct sph_entry **children, unsigned *count, unsigned *first, unsigned *gone)
{
	struct sph_node *parent = c->path->step[depth - 1].node, *other;
	unsigned at = c->path->step[depth - 1].child, theirs;
	int right = at < parent->n.count, got;
	struct sph_entry *all;
	struct sph_key between;
	uint64_t word;

	if (!right && at == 0)
		return 0;
	other = sph_node_at(*sph_inner_cell(parent, right ? at + 1 : at - 1));
	if (sas_use_reach(c->u, other) < 0)
		return 0;
	word = __atomic_load_n(sph_node_word(other), __ATOMIC_ACQUIRE);
	if (word & 1 || sph_change_hold(c, other, word))
		return 0;
	theirs = other->n.count + 1U;
	all = sph_change_grab(c, (theirs + *count) * sizeof *all);
	between = sph_change_separator(c, parent, right ? at : at - 1);
	if (!all || !between.bytes)
		return sph_change_no_memory();
	got = take_children(c, other, right ? all + *count : all);
	if (got < 0)
		return got;
	memcpy(right ? all : all + theirs, *children, *count * sizeof *all);
	all[right ? *count : theirs].key = between;
	if (!sph_change_fits(c, inner_size(all, theirs + *count), MERGED)) {
		sph_hold_undo(&c->holds[--c->hold_count]);
		return 0;
	}
	will_go(c, other);
	*children = all;
	*count += theirs;
	if (!right)
		*first = at - 1;
	*gone = 2;
	return 1;
}

/* The node at `depth` of the path, whose children change in number, is replaced. It is held. */
static int replace_inner(struct sph_change *c, unsigned depth, unsigned first, unsigned gone, const struct row *row)
{
	struct sph_node *node = c->path->step[depth].node;
	unsigned level = node->n.level, at = depth ? c->path->step[depth - 1].child : 0, two = 1, count;
	/* One more comes than goes, at most. */
	struct sph_entry *children = sph_change_grab(c, (node->n.count + 2U) * sizeof *children);
	struct row up = { .count = 1 };
	int got, error;

	if (!children)
		return sph_change_undo(c, sph_change_no_memory());
	got = take_children(c, node, children);
	if (got < 0)
		return sph_change_undo(c, got);
	will_go(c, node);
	count = splice(children, (unsigned)got, first, gone, row);
	if (!count) {
		up.count = 0;
		return go_up(c, depth, at, 1, &up);
	}
	if (count == 1 && !depth) {
		up.node[0] = children[0].value;
		return go_up(c, depth, 0, 1, &up);
	}
	if (depth && sph_change_fits(c, inner_size(children, count), SPH_SMALL)) {
		if (sph_change_hold(c, c->path->step[depth - 1].node, c->path->step[depth - 1].word))
			return sph_change_undo(c, 1);
		error = join_inner(c, depth, &children, &count, &at, &two);
		if (error < 0)
			return sph_change_undo(c, error);
		/* The holds of the nodes that go stand before that of the one above. */
		if (error) {
			struct sph_hold above = c->holds[c->hold_count - 2];

			c->holds[c->hold_count - 2] = c->holds[c->hold_count - 1];
			c->holds[c->hold_count - 1] = above;
		}
	}
	if (sph_change_fits(c, inner_size(children, count), 100))
		error = make_inner(c, level, children, count, &up.node[0]);
	else
		error = make_two_inner(c, level, children, count, first + gone >= (unsigned)got, &up);
	return error ? sph_change_undo(c, error) : go_up(c, depth, at, two, &up);
}

/* What stood below the node at depth - 1, from its child `first` on, `gone` nodes, gives way to the row. */
static int go_up(struct sph_change *c, unsigned depth, unsigned first, unsigned gone, const struct row *row)
{
	const struct sph_step *above = depth ? &c->path->step[depth - 1] : NULL;

	if (!above)
		return new_root(c, row);
	if (!c->hold_count || c->holds[c->hold_count - 1].word != sph_node_word(above->node))
		if (sph_change_hold(c, above->node, above->word))
			return sph_change_undo(c, 1);
	if (row->count == 1 && gone == 1)
		return sph_change_publish(c, sph_inner_cell(above->node, first), row->node[0]);
	return replace_inner(c, depth - 1, first, gone, row);
}

/* --- leaves */

/* Of the leaf's neighbours under the same node, which is held, the first that is less than `percent` full; it is held
 * then, before the parent. NULL: none, or it is in use. */
static struct sph_node *neighbour(struct sph_change *c, unsigned percent, int *right)
{
	const struct sph_step *above = &c->path->step[c->path->depth - 2];
	struct sph_hold parent = c->holds[c->hold_count - 1];

	for (*right = 1; *right >= 0; --*right) {
		struct sph_node *other;
		uint64_t word;

		if (*right ? above->child >= above->node->n.count : above->child == 0)
			continue;
		other = sph_node_at(*sph_inner_cell(above->node, *right ? above->child + 1 : above->child - 1));
		if (sas_use_reach(c->u, other) < 0)
			continue;
		word = __atomic_load_n(sph_node_word(other), __ATOMIC_ACQUIRE);
		if (!word || word & 1 || sph_leaf_percent(other, c->page) >= percent)
			continue;
		c->hold_count--;
		if (sph_change_hold(c, other, word)) {
			c->holds[c->hold_count++] = parent;
			continue;
		}
		c->holds[c->hold_count++] = parent;
		return other;
	}
	return NULL;
}

/* The neighbour stays as it is. */
static void let_go(struct sph_change *c)
{
	struct sph_hold parent = c->holds[--c->hold_count];

	sph_hold_undo(&c->holds[c->hold_count - 1]);
	c->holds[c->hold_count - 1] = parent;
}

/* Entries of two neighbours: on either side of those of one there is room for those of the other. */
static struct sph_entry *grab_entries(struct sph_change *c)
{
	struct sph_entry *entries = sph_change_grab(c, (3 * SPH_SLOTS + 1) * sizeof *entries);

	return entries ? entries + SPH_SLOTS : NULL;
}

/* A neighbour's come beside them; *entries are of both. How many these are; -errno. */
static int take_beside(struct sph_change *c, const struct sph_node *other, int right, struct sph_entry **entries, unsigned count)
{
	struct sph_entry *theirs = right ? *entries + count : *entries - SPH_SLOTS;
	int got = sph_change_take_leaf(c, other, theirs);

	if (got < 0)
		return got;
	if (!right) {
		*entries -= got;
		memmove(*entries, theirs, (unsigned)got * sizeof *theirs);
	}
	return (int)count + got;
}

static unsigned insert_in_order(struct sph_entry *entries, unsigned count, const struct sph_entry *entry)
{
	unsigned low = 0, high = count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (sph_entry_before(&entries[middle], entry))
			low = middle + 1;
		else
			high = middle;
	}
	memmove(entries + low + 1, entries + low, (count - low) * sizeof *entries);
	entries[low] = *entry;
	return low;
}

/* Keys that come in order fill their leaves: the new one is at the end of all, or at the beginning. */
static unsigned wish_for(const struct sph_change *c, unsigned at, unsigned count)
{
	int last = 1, first = 1;

	for (unsigned i = 0; i + 1 < c->path->depth; i++) {
		last &= c->path->step[i].child == sph_inner_last(c->path->step[i].node, c->page);
		first &= c->path->step[i].child == 0;
	}
	return last && at == count - 1 ? count - 1 : first && at == 0 ? 1 : count / 2;
}

static int insert_first(struct sph_change *c, const struct sph_entry *entry)
{
	struct row row = { .count = 1 };
	int error = sph_change_make_leaf(c, entry, 1, &row.node[0]);

	return error ? sph_change_undo(c, error) : new_root(c, &row);
}

/* Some of what is too much goes to a neighbour that has room. 1: *row is made; 0: there is none, or what they would
 * begin with in common is so short that they do not go into two; -errno. */
static int share(struct sph_change *c, struct sph_entry *entries, unsigned count, int *right, struct row *row)
{
	struct sph_node *other = neighbour(c, GIVING, right);
	unsigned cut;
	int both, error;

	if (!other)
		return 0;
	both = take_beside(c, other, *right, &entries, count);
	if (both < 0)
		return both;
	cut = cut_leaf(c, entries, (unsigned)both, (unsigned)both / 2);
	if (!cut) {
		let_go(c);
		return 0;
	}
	will_go(c, other);
	error = make_two_leaves(c, entries, (unsigned)both, cut, row);
	return error ? error : 1;
}

/*
 * A long key amid short ones may go into neither of two leaves (three would do). So the others are cut where it
 * belongs, and it comes again, to the end of one of them: from there it can be cut off, alone or with one neighbour,
 * and the rest goes into a page, as it was in one. 1; -errno.
 */
static int make_way(struct sph_change *c, struct sph_entry *entries, unsigned count, unsigned at, struct row *row)
{
	unsigned depth = c->path->depth, first = depth > 1 ? c->path->step[depth - 2].child : 0;
	int error;

	memmove(entries + at, entries + at + 1, (count - at - 1) * sizeof *entries);
	error = make_two_leaves(c, entries, count - 1, at < count - 1 ? at : 0, row);
	if (error)
		return sph_change_undo(c, error);
	error = go_up(c, depth - 1, first, 1, row);
	return error ? error : 1;
}

static int insert(struct sph_change *c, struct sph_node *leaf, const struct sph_entry *entry)
{
	struct sph_entry *entries = grab_entries(c);
	unsigned depth = c->path->depth, at, first = depth > 1 ? c->path->step[depth - 2].child : 0, wish, cut;
	struct row row = { .count = 1 };
	int count, right, result;

	if (!entries)
		return sph_change_undo(c, sph_change_no_memory());
	count = sph_change_take_leaf(c, leaf, entries);
	if (count < 0)
		return sph_change_undo(c, count);
	at = insert_in_order(entries, (unsigned)count++, entry);
	will_go(c, leaf);
	if (sph_change_fits(c, sph_leaf_size(entries, (unsigned)count, c->page), REPACK)) {
		result = sph_change_make_leaf(c, entries, (unsigned)count, &row.node[0]);
		return result ? sph_change_undo(c, result) : go_up(c, depth - 1, first, 1, &row);
	}
	wish = wish_for(c, at, (unsigned)count);
	if (depth > 1 && wish == (unsigned)count / 2) {
		if (sph_change_hold(c, c->path->step[depth - 2].node, c->path->step[depth - 2].word))
			return sph_change_undo(c, 1);
		result = share(c, entries, (unsigned)count, &right, &row);
		if (result)
			return result < 0 ? sph_change_undo(c, result) : go_up(c, depth - 1, first - !right, 2, &row);
	}
	cut = cut_leaf(c, entries, (unsigned)count, wish);
	if (!cut)
		return make_way(c, entries, (unsigned)count, at, &row);
	result = make_two_leaves(c, entries, (unsigned)count, cut, &row);
	return result ? sph_change_undo(c, result) : go_up(c, depth - 1, first, 1, &row);
}

/* One of the 16 who may change nodes at the same time; waits for its turn, and for that gives the leaf back. */
int sph_change_insert(struct sas_use *u, SASBlockHeader *tree, const struct sph_path *path, struct sph_hold *leaf, const struct sph_entry *entry)
{
	struct sph_change c;
	int error;

	if (sph_change_begin(&c, u, tree, path)) {
		if (leaf)
			sph_hold_undo(leaf);
		error = sph_change_recover(u, tree);
		sched_yield();
		return error ? error : 1;
	}
	if (!leaf)
		return insert_first(&c, entry);
	c.holds[c.hold_count++] = *leaf;
	return insert(&c, path->step[path->depth - 1].node, entry);
}

/* The leaf, held, is empty, or together with a neighbour goes into one. */
static int shrink(struct sph_change *c, struct sph_node *leaf)
{
	struct sph_entry *entries = grab_entries(c);
	unsigned depth = c->path->depth, first = depth > 1 ? c->path->step[depth - 2].child : 0;
	struct row row = { .count = 0 };
	struct sph_node *other;
	int count, right, error;

	if (!entries)
		return sph_change_undo(c, sph_change_no_memory());
	if (depth == 1) {
		if (sph_leaf_count(leaf))
			return sph_change_undo(c, 0);
		will_go(c, leaf);
		return go_up(c, 0, 0, 1, &row);
	}
	if (sph_change_hold(c, c->path->step[depth - 2].node, c->path->step[depth - 2].word))
		return sph_change_undo(c, 1);
	if (sph_leaf_count(leaf) == 0) {
		will_go(c, leaf);
		return go_up(c, depth - 1, first, 1, &row);
	}
	other = neighbour(c, 60, &right);
	if (!other)
		return sph_change_undo(c, 0);
	count = sph_change_take_leaf(c, leaf, entries);
	if (count >= 0)
		count = take_beside(c, other, right, &entries, (unsigned)count);
	if (count < 0)
		return sph_change_undo(c, count);
	if (count > (int)SPH_SLOTS || !sph_change_fits(c, sph_leaf_size(entries, (unsigned)count, c->page), MERGED))
		return sph_change_undo(c, 0);
	will_go(c, leaf);
	will_go(c, other);
	row.count = 1;
	error = sph_change_make_leaf(c, entries, (unsigned)count, &row.node[0]);
	return error ? sph_change_undo(c, error) : go_up(c, depth - 1, first - !right, 2, &row);
}

/* The leaf is small, unless somebody was faster. 0: done, or nothing to do; 1: once more. */
static int try_shrink(struct sas_use *u, SASBlockHeader *tree, struct sph_key key)
{
	struct sas_look look;
	struct sph_path path;
	struct sph_step *s;
	struct sph_change c;

	sph_look_in(&look, u);
	if (sph_walk(&look, tree, key, SPH_AT, 0, &path) < 0 || !path.depth)
		return 0;
	s = &path.step[path.depth - 1];
	if (!sph_leaf_is_small(s->node))
		return 0;
	if (sph_change_begin(&c, u, tree, &path)) {
		sph_change_recover(u, tree);
		return 1;
	}
	if (sph_change_hold(&c, s->node, s->word))
		return sph_change_undo(&c, 1);
	return shrink(&c, s->node);
}

void sph_change_shrink(struct sas_use *u, SASBlockHeader *tree, struct sph_key key)
{
	for (unsigned i = 0; i < 4 && try_shrink(u, tree, key) == 1; i++)
		;
}
