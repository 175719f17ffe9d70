/* SPDX-License-Identifier: MIT */
/*
 * index_pmemobj.c - a map on libpmemobj, which has none of its own: a B+-tree whose changes are transactions of its, one each.
 *
 * Nodes are of 20 entries. An entry begins with a number, or the first eight bytes of a string, which itself is an object of
 * its own. Full nodes are split on the way down; nodes from which keys are removed stay. The first key of an inner node is not looked at; the
 * others are their nodes' own. Reads use addresses, not PMEMoids.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <libpmemobj.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "index_peer.h"

#define ENTRIES 20U
#define HEADER 16U              /* libpmemobj's, of an object */

/* In the pool: `text` and places of nodes are offsets. */
struct entry { uint64_t head, text, word; };
struct node { uint32_t level, count; struct entry entries[ENTRIES]; };
struct root { uint64_t node; };

struct map {
	PMEMobjpool *pool;
	struct root *root;
	uint64_t id;
	char path[4200];
};

static void must(int error, const char *what)
{
	if (error) {
		fprintf(stderr, "libpmemobj: %s\n", pmemobj_errormsg());
		give_up(what);
	}
}

static void *at(const struct map *m, uint64_t offset)
{
	return (char *)m->pool + offset;
}

static PMEMoid object(const struct map *m, uint64_t offset)
{
	return (PMEMoid){ m->id, offset };
}

static uint64_t take(const struct map *m, size_t size)
{
	PMEMoid o = pmemobj_tx_alloc(size, 0);

	(void)m;
	must(OID_IS_NULL(o), "pmemobj_tx_alloc");
	return o.off;
}

/* It is about to change. */
static void save(const void *from, const void *to)
{
	must(pmemobj_tx_add_range_direct(from, (size_t)((const char *)to - (const char *)from)), "pmemobj_tx_add_range_direct");
}

static void begin(const struct map *m)
{
	must(pmemobj_tx_begin(m->pool, NULL, TX_PARAM_NONE), "pmemobj_tx_begin");
}

static void commit(void)
{
	pmemobj_tx_commit();
	must(pmemobj_tx_end(), "a transaction");
}

static uint64_t head_of(const struct index_key *key, int is_text)
{
	uint64_t head = 0;

	if (!is_text)
		return key->number;
	memcpy(&head, key->bytes, key->size < sizeof head ? key->size : sizeof head);
	return be64toh(head);
}

/* How many of the entries from `first` on are not above the key. */
static inline unsigned not_above(const struct map *m, const struct node *n, unsigned first, uint64_t head, const char *text)
{
	unsigned low = first, high = n->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct entry *e = &n->entries[middle];

		if (e->head > head || (text && e->head == head && strcmp(at(m, e->text), text) > 0))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int is_key(const struct map *m, const struct entry *e, uint64_t head, const char *text)
{
	return e->head == head && (!text || strcmp(at(m, e->text), text) == 0);
}

static void insert_entry(struct node *n, unsigned place, struct entry e)
{
	save(&n->count, &n->count + 1);
	save(&n->entries[place], &n->entries[n->count + 1]);
	memmove(&n->entries[place + 1], &n->entries[place], (n->count - place) * sizeof e);
	n->entries[place] = e;
	n->count++;
}

/* The upper half of a full child goes to a new one. */
static void split(struct map *m, struct node *parent, unsigned place)
{
	struct node *child = at(m, parent->entries[place].word);
	uint64_t upper = take(m, sizeof *child);
	struct node *u = at(m, upper);
	struct entry e;

	u->level = child->level;
	u->count = ENTRIES / 2;
	memcpy(u->entries, &child->entries[ENTRIES - u->count], u->count * sizeof e);
	e = u->entries[0];
	if (e.text && child->level == 0) {
		size_t size = strlen(at(m, e.text)) + 1;

		e.text = take(m, size);
		memcpy(at(m, e.text), at(m, u->entries[0].text), size);
	} else
		u->entries[0].text = 0;
	e.word = upper;
	save(&child->count, &child->count + 1);
	child->count -= u->count;
	insert_entry(parent, place + 1, e);
}

static void grow(struct map *m)
{
	uint64_t top = take(m, sizeof(struct node));
	struct node *n = at(m, top), *old = at(m, m->root->node);

	n->level = old->level + 1;
	n->count = 1;
	n->entries[0] = (struct entry){ .word = m->root->node };
	save(m->root, m->root + 1);
	m->root->node = top;
}

static inline int put(struct map *m, const struct index_key *key, const char *text)
{
	uint64_t head = head_of(key, text != NULL);
	struct entry e = { head, 0, key->value };
	struct node *n;
	unsigned place;
	int is_new;

	begin(m);
	n = at(m, m->root->node);
	if (n->count == ENTRIES) {
		grow(m);
		n = at(m, m->root->node);
	}
	while (n->level) {
		place = not_above(m, n, 1, head, text) - 1;
		if (((struct node *)at(m, n->entries[place].word))->count == ENTRIES) {
			split(m, n, place);
			place = not_above(m, n, 1, head, text) - 1;
		}
		n = at(m, n->entries[place].word);
	}
	place = not_above(m, n, 0, head, text);
	is_new = place == 0 || !is_key(m, &n->entries[place - 1], head, text);
	if (is_new) {
		if (text) {
			e.text = take(m, key->size + 1);
			memcpy(at(m, e.text), text, key->size + 1);
		}
		insert_entry(n, place, e);
	}
	commit();
	return is_new;
}

/* The leaf's entry of the key, or NULL. */
static inline struct entry *find(const struct map *m, const struct index_key *key, const char *text, struct node **leaf)
{
	uint64_t head = head_of(key, text != NULL);
	struct node *n = at(m, m->root->node);
	unsigned place;

	while (n->level)
		n = at(m, n->entries[not_above(m, n, 1, head, text) - 1].word);
	*leaf = n;
	place = not_above(m, n, 0, head, text);
	return place > 0 && is_key(m, &n->entries[place - 1], head, text) ? &n->entries[place - 1] : NULL;
}

static inline uint64_t get(const struct map *m, const struct index_key *key, const char *text)
{
	struct node *n;
	const struct entry *e = find(m, key, text, &n);

	return e ? e->word : 0;
}

static inline int remove_key(struct map *m, const struct index_key *key, const char *text)
{
	struct node *n;
	struct entry *e = find(m, key, text, &n);

	if (!e)
		return 0;
	begin(m);
	save(&n->count, &n->count + 1);
	save(e, &n->entries[n->count]);
	if (text)
		must(pmemobj_tx_free(object(m, e->text)), "pmemobj_tx_free");
	n->count--;
	memmove(e, e + 1, (size_t)((char *)&n->entries[n->count] - (char *)e));
	commit();
	return 1;
}

static int put_number(void *tree, const struct index_key *key) { return put(tree, key, NULL); }
static int put_string(void *tree, const struct index_key *key) { return put(tree, key, key->bytes); }
static uint64_t get_number(void *tree, const struct index_key *key) { return get(tree, key, NULL); }
static uint64_t get_string(void *tree, const struct index_key *key) { return get(tree, key, key->bytes); }
static int remove_number(void *tree, const struct index_key *key) { return remove_key(tree, key, NULL); }
static int remove_string(void *tree, const struct index_key *key) { return remove_key(tree, key, key->bytes); }

static uint64_t fold(const struct map *m, const struct node *n, uint64_t sum)
{
	for (unsigned i = 0; i < n->count; i++)
		sum = n->level ? fold(m, at(m, n->entries[i].word), sum) : index_fold(sum, n->entries[i].word);
	return sum;
}

static uint64_t scan(void *tree)
{
	const struct map *m = tree;

	return fold(m, at(m, m->root->node), 0);
}

static uint64_t size_of(const struct map *m, uint64_t offset)
{
	return pmemobj_alloc_usable_size(object(m, offset)) + HEADER;
}

static uint64_t size_below(const struct map *m, uint64_t offset)
{
	const struct node *n = at(m, offset);
	uint64_t size = size_of(m, offset);

	for (unsigned i = 0; i < n->count; i++) {
		if (n->level)
			size += size_below(m, n->entries[i].word);
		if (n->entries[i].text)
			size += size_of(m, n->entries[i].text);
	}
	return size;
}

static uint64_t bytes(void *tree)
{
	const struct map *m = tree;

	return size_below(m, m->root->node);
}

static void *open_map(const char *store, unsigned number, size_t count, int create)
{
	struct map *m = allocate(sizeof *m);
	PMEMoid root;

	(void)create;
	snprintf(m->path, sizeof m->path, "%s/%u.pool", store, number);
	m->pool = pmemobj_create(m->path, "bench", (256UL << 20) + count * 512, 0600);
	must(!m->pool, m->path);
	root = pmemobj_root(m->pool, sizeof *m->root);
	must(OID_IS_NULL(root), "pmemobj_root");
	m->id = root.pool_uuid_lo;
	m->root = at(m, root.off);
	begin(m);
	save(m->root, m->root + 1);
	m->root->node = take(m, sizeof(struct node));
	((struct node *)at(m, m->root->node))->level = ((struct node *)at(m, m->root->node))->count = 0;
	commit();
	return m;
}

static void close_map(void *tree, int destroy)
{
	struct map *m = tree;

	pmemobj_close(m->pool);
	if (destroy && unlink(m->path) != 0)
		give_up(m->path);
	free(m);
}

const struct index_peer index_pmemobj[KINDS] = {
	[NUMBERS] = { "libpmemobj", 0, open_map, close_map, put_number, get_number, index_no_reading, scan, remove_number, bytes, NULL },
	[STRINGS] = { "libpmemobj", 0, open_map, close_map, put_string, get_string, index_no_reading, scan, remove_string, bytes, NULL },
};
