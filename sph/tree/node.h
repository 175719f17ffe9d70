/* SPDX-License-Identifier: MIT */
/*
 * node.h - the nodes of a tree: their bytes, their words, searching one. tree.h says what they are for.
 *
 *   0    SASBlockHeader
 *   64   struct sph_m_page: owner, version, struct sph_m_node; so a search begins with the second line
 *
 * A leaf, then:
 *   128  bits: which slots count         160  a fingerprint per slot
 *   then, from the next multiple of 8, `width` bytes per slot, where all keys are of one length, or of nearly one; else an offset (16 bits)
 *   per slot, of a record {length (16 bits), bytes}
 *   From the end of the page downwards: a value per slot, so that those of slots 8 * i to 8 * i + 7 are a line; a long prefix; records.
 *
 * An inner node, then:
 *   128  marks, each 16th head, a multiple of 16 of them
 *   then, for the search, count heads: the first 4 bytes of each separator; count second heads: 4 bytes behind what a run of separators with
 *   the same head begins with; count + 1 children; count sizes of that common beginning; count + 1 offsets: separator i lies from offset[i]
 *   to offset[i + 1]; at the end of the page a long prefix
 *   Child i holds what is at or above separator i - 1 and below separator i.
 *
 * The prefix is what all keys of a node begin with, and do not repeat. A short one has its place in struct sph_m_node.
 *
 * Who reads beside a writer may find any bytes in a node: all that is computed from them is bounded by the page
 * before it is used.
 */
#ifndef SPH_NODE_H
#define SPH_NODE_H

#include <endian.h>
#include "sph/racy.h"
#include "tree.h"

#define SPH_SLOTS 256U
#define SPH_NEAR 16U                    /* slots whose fingerprints are compared at once */
#define SPH_VARIES 0xffffU              /* width: keys differ in length, and stand in records */

#define SPH_PREFIX_SHORT 28U
struct sph_m_node {
	uint64_t word;
	uint8_t level;                  /* 0: a leaf */
	uint8_t padded;                 /* leaf: keys differ in length, and each has the room of the longest one, behind a byte for its length */
	uint16_t prefix;                /* its size */
	uint16_t count;                 /* inner: separators; leaf: slots there are */
	uint16_t width;                 /* leaf: bytes of a key's room, or SPH_VARIES */
	uint16_t heap;                  /* leaf: where the lowest record begins, from the end of the page */
	uint16_t spilled;               /* leaf: a bit for each SPH_NEAR slots: keys that are best put there stand elsewhere */
	unsigned char short_prefix[SPH_PREFIX_SHORT];
};
_Static_assert(sizeof(struct sph_m_node) == 48, "a node's own part of its page's header");

#define SPH_NODE_BODY 128U
#define SPH_LEAF_PRINTS 160U

struct sph_node {                       /* a page */
	SASBlockHeader header;
	uint64_t owner, version;
	struct sph_m_node n;
	union {
		uint64_t bits[SPH_SLOTS / 64];          /* leaf */
		uint32_t marks[16];                     /* inner */
	} body;
};

#define SPH_NODE_CONTENT offsetof(struct sph_node, n.level)     /* what is before it belongs to the page, and to who holds the node */

/* The part of a tree's header page that is the tree's own. */
struct sph_m_tree {
	uint64_t word;                  /* of the pointer to the root, as a node's */
	uint64_t root;
	uint64_t version;
	uint32_t node_type, page_size;
	uint64_t leaf_records;          /* 1: the leaf packed last has its keys in records: a hint for sph_leaf_prefetch() */
	uint64_t reserved[3];
	uint64_t changing[16];          /* threads that are replacing nodes: tokens */
	struct { uint64_t changes, reserved[7]; } stripe[8];    /* what tree_changes() sums up */
};
_Static_assert(sizeof(struct sph_m_tree) <= 4096 - SPH_PAGES_OBJECT_OFFSET, "the tree's part of the header page");

static inline struct sph_m_tree *sph_tree_of(const SASBlockHeader *tree)
{
	return (struct sph_m_tree *)((char *)(uintptr_t)tree + SPH_PAGES_OBJECT_OFFSET);
}

/* --- words (word.c): version * 2; or token * 2 + 1 of who is changing the node; or OUTDATED: it was replaced */
#define SPH_WORD_OUTDATED 0x8000000000000001ULL

static inline uint64_t *sph_node_word(struct sph_node *node)
{
	return &node->n.word;
}
static inline uint64_t sph_word_of(uint64_t token)
{
	return token << 1 | 1;
}
/* What a reader may go by: a version; or the word of an owner who is dead, and changes nothing any more. 0: start
 * again. */
uint64_t sph_word_wait(const struct sas_look *l, const uint64_t *word);
static inline uint64_t sph_word_read(const struct sas_look *l, const uint64_t *word)
{
	uint64_t w = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	return __builtin_expect(!(w & 1), 1) ? w : sph_word_wait(l, word);
}
/* What has been read since then counts. */
static inline int sph_word_is(const uint64_t *word, uint64_t was)
{
	sph_racy_end();
	return __atomic_load_n(word, __ATOMIC_RELAXED) == was;
}

/* A word that the thread has taken, from what a reader went by. */
struct sph_hold {
	uint64_t *word, *version, was;
};
/* 0: it is another one by now. */
int sph_hold_take(struct sph_hold *h, const struct sas_use *u, uint64_t *word, uint64_t *version, uint64_t was);
/* Nothing has been changed. */
void sph_hold_undo(const struct sph_hold *h);
void sph_hold_end(const struct sph_hold *h);
/* For ever: the node was replaced. Its page may be a node again, with a later version. */
void sph_hold_outdate(const struct sph_hold *h);

/* --- pointers to nodes: the address, and for a leaf in the bits that are 0 in it, as hints, where things are in the page, so that
 * sph_leaf_prefetch() knows before it is there */
#define SPH_POINTER_SLOTS 0xffU         /* one less than there are */
#define SPH_POINTER_PREFIX 0x100U       /* it is a long one */
#define SPH_POINTER_HINTS 0x1ffU
static inline struct sph_node *sph_node_at(uint64_t pointer)
{
	return (struct sph_node *)(pointer & ~(uint64_t)SPH_POINTER_HINTS);
}
static inline uint64_t sph_pointer_to(const struct sph_node *node, const struct sph_m_node *n)
{
	uint64_t hints = n->level ? 0 : (uint64_t)(n->count - 1) & SPH_POINTER_SLOTS;

	return (uintptr_t)node | hints | (!n->level && n->prefix > SPH_PREFIX_SHORT ? SPH_POINTER_PREFIX : 0);
}

/* --- keys */
/* The first 8, or 4, bytes so that numbers compare as the bytes do; zeros where there are none. */
static inline uint64_t sph_head8(const unsigned char *bytes, size_t size)
{
	uint64_t v = 0;

	if (__builtin_expect(size >= 8, 1)) {
		memcpy(&v, bytes, 8);
		return be64toh(v);
	}
	memcpy(&v, bytes, size);
	return be64toh(v);
}
static inline uint32_t sph_head4(const unsigned char *bytes, size_t size)
{
	uint32_t v = 0;

	if (__builtin_expect(size >= 4, 1)) {
		memcpy(&v, bytes, 4);
		return be32toh(v);
	}
	for (size_t i = 0; i < size; i++)
		v |= (uint32_t)bytes[i] << (24 - 8 * i);
	return v;
}
static inline int sph_key_compare(struct sph_key a, struct sph_key b)
{
	int c = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);

	return c ? c : a.size < b.size ? -1 : a.size > b.size;
}
/* How many bytes they begin with in common. */
static inline size_t sph_key_common(struct sph_key a, struct sph_key b)
{
	size_t n = 0, most = a.size < b.size ? a.size : b.size;

	while (n < most && a.bytes[n] == b.bytes[n])
		n++;
	return n;
}
uint64_t sph_key_hash(struct sph_key key);
static inline uint8_t sph_print(uint64_t hash)
{
	return (uint8_t)(hash >> 56);
}

/* --- leaves (leaf.c, leaf_order.c, leaf_pack.c). Sizes are of pages. */
struct sph_leaf_place {                 /* a key, looked for in a leaf */
	unsigned slot;
	uint64_t value;
};
/* 1: there; 0. Racy. */
int sph_leaf_find(const struct sph_node *leaf, size_t page, struct sph_key key, uint64_t hash, struct sph_leaf_place *place);
/* The slot for one more key, -1: it does not go into this leaf as it is. Racy. */
int sph_leaf_room(const struct sph_node *leaf, size_t page, struct sph_key key, uint64_t hash);
void sph_leaf_prefetch(const struct sph_m_tree *t, uint64_t pointer, uint64_t hash);
void sph_leaf_note_form(struct sph_m_tree *t, const struct sph_node *leaf);
/* The node is the caller's. */
void sph_leaf_add(struct sph_node *leaf, size_t page, unsigned slot, struct sph_key key, uint64_t hash, uint64_t value);
void sph_leaf_drop(struct sph_node *leaf, unsigned slot);
/* The value that was there. */
uint64_t sph_leaf_swap(struct sph_node *leaf, size_t page, unsigned slot, uint64_t value);
unsigned sph_leaf_count(const struct sph_node *leaf);
/* Whether a copy says where things are as sph_leaf_pack() lays them out, and what counts lies there. */
int sph_leaf_is_sound(const struct sph_node *leaf, size_t page);
/* Of its slots, or of the room for its records, whichever is scarcer. Racy. */
unsigned sph_leaf_percent(const struct sph_node *leaf, size_t page);
#define SPH_SMALL 30U                   /* percent: a node less full than that is joined with another one */
static inline int sph_leaf_is_small(const struct sph_node *leaf)
{
	unsigned count = sph_leaf_count(leaf);

	/* Not at each removal, where no neighbour has room. */
	return count % 8 == 0 && count * 100 < __atomic_load_n(&leaf->n.count, __ATOMIC_RELAXED) * SPH_SMALL;
}

/* An entry outside a node: of a leaf, or a separator with the child to the right of it. */
struct sph_entry {
	uint64_t head;                  /* sph_head8() of the key */
	struct sph_key key;
	uint64_t value;
	unsigned slot;
};
static inline int sph_entry_before(const struct sph_entry *a, const struct sph_entry *b)
{
	if (a->head != b->head)
		return a->head < b->head;
	return sph_key_compare(a->key, b->key) < 0;
}
/* The key in a slot, without the prefix, of a copy or a node of the caller's. */
struct sph_key sph_leaf_suffix(const struct sph_node *leaf, size_t page, unsigned slot);
/* All entries in order; the keys without the prefix, and in the leaf itself. `entries` has room for SPH_SLOTS. How
 * many. */
unsigned sph_leaf_order(const struct sph_node *leaf, size_t page, struct sph_entry *entries);
/* Their slots alone; room for SPH_SLOTS. */
unsigned sph_leaf_slots(const struct sph_node *leaf, size_t page, uint8_t *slots);
uint64_t sph_leaf_value(const struct sph_node *leaf, size_t page, unsigned slot);
/* Calls `each` until it does not give 0, for entries of a copy. There are SPH_EACH_SLACK bytes behind the copy, and behind the room
 * for the longest key in `bytes`, which is each()'s for the call. */
#define SPH_EACH_SLACK 16U
int sph_leaf_each(const struct sph_node *leaf, size_t page, const uint8_t *slots, unsigned count, unsigned char *bytes,
		  int (*each)(struct sph_key key, uint64_t value, void *arg), void *arg);
/* How many bytes of a page these take, and can that be? */
size_t sph_leaf_size(const struct sph_entry *entries, unsigned count, size_t page);
/* The bytes between header and end of the page. Whoever calls has seen that they fit. */
void sph_leaf_pack(struct sph_node *leaf, size_t page, const struct sph_entry *entries, unsigned count);

/* --- prefixes */
/* What it takes of the end of the page. */
static inline size_t sph_prefix_far(size_t size)
{
	return size > SPH_PREFIX_SHORT ? size : 0;
}
/* Of what so many keys begin with in common, as much as is worth it: a long prefix takes as much of the page as it saves, or else it is a
 * short one. So whichever key is left out, the others take no more room than before. */
static inline size_t sph_prefix_worth(size_t common, size_t count)
{
	return common > SPH_PREFIX_SHORT && (common - SPH_PREFIX_SHORT) * count < common ? SPH_PREFIX_SHORT : common;
}
/* The prefix's size as a reader may use it. */
static inline size_t sph_node_prefix_size(const struct sph_node *node, size_t page)
{
	size_t size = __atomic_load_n(&node->n.prefix, __ATOMIC_RELAXED);

	return size <= page / 4 ? size : 0;
}
/* Racy: bounded by the page. */
static inline const unsigned char *sph_node_prefix(const struct sph_node *node, size_t page, size_t size)
{
	size_t values;

	if (__builtin_expect(size <= SPH_PREFIX_SHORT, 1))
		return node->n.short_prefix;
	values = __atomic_load_n(&node->n.level, __ATOMIC_RELAXED) ? 0 : __atomic_load_n(&node->n.count, __ATOMIC_RELAXED) * 8UL;
	if (values + size > page - SPH_NODE_BODY)
		values = 0;
	return (const unsigned char *)node + page - values - size;
}

/* --- inner nodes (inner.c) */
#define SPH_INNER_ENTRY 20U             /* bytes a separator takes beside its own, and its child */
/* Where heads, second heads, children, sizes of runs, offsets and the bytes of separators begin, of so many. */
static inline size_t sph_inner_heads(size_t count)
{
	return SPH_NODE_BODY + (count / 16 + 15) / 16 * 64;
}
static inline size_t sph_inner_seconds(size_t count)
{
	return sph_inner_heads(count) + count * 4;
}
static inline size_t sph_inner_children(size_t count)
{
	return sph_inner_seconds(count) + count * 4;
}
static inline size_t sph_inner_skips(size_t count)
{
	return sph_inner_children(count) + (count + 1) * 8;
}
static inline size_t sph_inner_offsets(size_t count)
{
	return sph_inner_skips(count) + count * 2;
}
static inline size_t sph_inner_texts(size_t count)
{
	return sph_inner_offsets(count) + (count + 1) * 2;
}
/* Which child holds the key; `below`: which holds what is just below it; and the pointer to it, or 0. Racy. */
unsigned sph_inner_find(const struct sph_node *inner, size_t page, struct sph_key key, int below, uint64_t *child);
unsigned sph_inner_last(const struct sph_node *inner, size_t page);
/* 0: there is no such child. Racy. */
uint64_t sph_inner_child(const struct sph_node *inner, size_t page, unsigned i);
/* Of a copy: separators and their heads lie where sph_inner_pack() puts them, and fit together. */
int sph_inner_is_sound(const struct sph_node *inner, size_t page);
/* Separator i without the prefix. Racy: bounded by the page. */
struct sph_key sph_inner_suffix(const struct sph_node *inner, size_t page, unsigned i);
/* So many separators, with so many bytes in all, of which all begin with so many in common. */
static inline size_t sph_inner_bytes(unsigned count, size_t common, size_t sum)
{
	common = sph_prefix_worth(common, count);
	return sph_inner_texts(count) + sph_prefix_far(common) + sum - count * common;
}
size_t sph_inner_size(const struct sph_entry *separators, unsigned count);
/* children[0] is the leftmost; entry i's child is its value. */
void sph_inner_pack(struct sph_node *inner, size_t page, unsigned level, uint64_t leftmost, const struct sph_entry *separators, unsigned count);
/* Of a node that is held. */
static inline uint64_t *sph_inner_cell(const struct sph_node *inner, unsigned i)
{
	return (uint64_t *)(uintptr_t)((const char *)inner + sph_inner_children(inner->n.count)) + i;
}

/* --- the way from the root to a leaf (walk.c) */
#define SPH_DEPTH 24U                   /* of nodes with two children each, more than there are addresses */
struct sph_step {
	struct sph_node *node;
	uint64_t word;                  /* a reader may go by */
	unsigned child;                 /* that the way goes on to */
};
struct sph_path {
	uint64_t word;                  /* of the pointer to the root */
	unsigned depth;                 /* nodes; the last one is the leaf; 0: the tree is empty */
	struct sph_step step[SPH_DEPTH];
};
enum sph_side { SPH_AT, SPH_BELOW, SPH_LAST };  /* the leaf that holds the key, or what is just below it, or the last leaf */
/* `hash` is the key's, or 0. 0: the leaf has been reached; what it holds is believed as long as its word stays.
 * -EUCLEAN, or what sas_reach() says. */
int sph_walk(const struct sas_look *l, const SASBlockHeader *tree, struct sph_key key, enum sph_side side, uint64_t hash, struct sph_path *path);
/* All nodes on the way were as they have been read, all at one moment. */
int sph_path_is_unchanged(const struct sph_path *path);
/* The nearest separator above the way (`upper`), or below it, in the first `depth` nodes. 1; 0: there is none; -1: it
 * is torn. Racy. */
int sph_path_bound(const struct sph_path *path, size_t page, unsigned depth, int upper, unsigned char *bytes, size_t *size);
/* -EUCLEAN: it is torn, and nobody has changed it meanwhile. */
int sph_path_is_broken(const SASBlockHeader *tree);
/* For who is in a use: what reaching a node needs. */
static inline void sph_look_in(struct sas_look *l, const struct sas_use *u)
{
	l->region = u->region;
	l->base = u->base;
	l->size = u->size;
	l->mapped = u->mapped;
	l->shift = u->shift;
	l->watched = l->used = 0;
}

/* --- replacing nodes (change.c) */
/* The entry does not go into the leaf as it is, which the caller holds, and does no more after this (NULL: the tree
 * is empty). 0: it is in the tree; 1: begin again; -errno. */
int sph_change_insert(struct sas_use *u, SASBlockHeader *tree, const struct sph_path *path, struct sph_hold *leaf, const struct sph_entry *entry);
/* The leaf has become small: join it with a neighbour, or take it out when it is empty. Best effort. */
void sph_change_shrink(struct sas_use *u, SASBlockHeader *tree, struct sph_key key);
/* Pages that changes of the dead have left. 0; -ENOMEM. */
int sph_change_recover(struct sas_use *u, SASBlockHeader *tree);

#endif
