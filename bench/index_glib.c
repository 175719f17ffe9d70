/* SPDX-License-Identifier: MIT */
/* index_glib.c - GLib's GTree, a balanced binary tree. A number is the pointer that is the key; strings are copied. */
#define _GNU_SOURCE
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include "index_peer.h"

struct glib { GTree *tree; uint64_t before; };

static GTree *of(void *tree)
{
	return ((struct glib *)tree)->tree;
}

static gint by_number(gconstpointer a, gconstpointer b, gpointer unused)
{
	uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;

	(void)unused;
	return x < y ? -1 : x > y;
}

static gint by_text(gconstpointer a, gconstpointer b, gpointer unused)
{
	(void)unused;
	return strcmp(a, b);
}

static void *open_glib(GCompareDataFunc compare, GDestroyNotify release)
{
	struct glib *g = allocate(sizeof *g);

	g->before = index_heap_bytes();
	g->tree = g_tree_new_full(compare, NULL, release, NULL);
	return g;
}

static void *open_numbers(const char *store, unsigned number, size_t count, int create)
{
	(void)store;
	(void)number;
	(void)count;
	(void)create;
	return open_glib(by_number, NULL);
}

static void *open_strings(const char *store, unsigned number, size_t count, int create)
{
	(void)store;
	(void)number;
	(void)count;
	(void)create;
	return open_glib(by_text, g_free);
}

static void close_glib(void *tree, int destroy)
{
	(void)destroy;
	g_tree_destroy(of(tree));
	free(tree);
}

static inline int put(GTree *tree, gpointer key, uint64_t value)
{
	gint before = g_tree_nnodes(tree);

	g_tree_insert(tree, key, (gpointer)value);
	return g_tree_nnodes(tree) > before;
}

static gpointer number_of(const struct index_key *key) { return (gpointer)key->number; }
static int put_number(void *tree, const struct index_key *key) { return put(of(tree), number_of(key), key->value); }
static int put_string(void *tree, const struct index_key *key) { return put(of(tree), g_strdup(key->bytes), key->value); }
static uint64_t get_number(void *tree, const struct index_key *key) { return (uint64_t)g_tree_lookup(of(tree), number_of(key)); }
static uint64_t get_string(void *tree, const struct index_key *key) { return (uint64_t)g_tree_lookup(of(tree), key->bytes); }
static int remove_number(void *tree, const struct index_key *key) { return g_tree_remove(of(tree), number_of(key)); }
static int remove_string(void *tree, const struct index_key *key) { return g_tree_remove(of(tree), key->bytes); }

static gboolean fold(gpointer key, gpointer value, gpointer sum)
{
	(void)key;
	*(uint64_t *)sum = index_fold(*(uint64_t *)sum, (uint64_t)value);
	return FALSE;
}

static uint64_t scan(void *tree)
{
	uint64_t sum = 0;

	g_tree_foreach(of(tree), fold, &sum);
	return sum;
}

static uint64_t bytes(void *tree)
{
	return index_heap_bytes() - ((struct glib *)tree)->before;
}

const struct index_peer index_glib[KINDS] = {
	[NUMBERS] = { "GLib GTree", 0, open_numbers, close_glib, put_number, get_number, index_no_reading, scan, remove_number,
		      bytes, NULL },
	[STRINGS] = { "GLib GTree", 0, open_strings, close_glib, put_string, get_string, index_no_reading, scan, remove_string,
		      bytes, NULL },
};
