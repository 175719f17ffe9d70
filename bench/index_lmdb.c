/* SPDX-License-Identifier: MIT */
/*
 * index_lmdb.c - LMDB: a transaction for each change, without syncs and into the map itself, which a crash of the process survives
 * as ours does; one read transaction for many lookups. Pages in use are counted, not those of its file.
 */
#define _GNU_SOURCE
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "index_peer.h"

struct lmdb {
	MDB_env *env;
	MDB_dbi map;
	MDB_txn *read;
	char path[4200];
};

static void must(int error, const char *what)
{
	if (error) {
		fprintf(stderr, "LMDB: %s\n", mdb_strerror(error));
		give_up(what);
	}
}

static void *open_lmdb(const char *store, unsigned number, size_t count, unsigned flags)
{
	struct lmdb *l = allocate(sizeof *l);
	MDB_txn *t;

	snprintf(l->path, sizeof l->path, "%s/%u.mdb", store, number);
	must(mdb_env_create(&l->env), "mdb_env_create");
	must(mdb_env_set_mapsize(l->env, (1UL << 30) + count * 1024), "mdb_env_set_mapsize");
	must(mdb_env_open(l->env, l->path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP, 0600), l->path);
	must(mdb_txn_begin(l->env, NULL, 0, &t), "mdb_txn_begin");
	must(mdb_dbi_open(t, NULL, flags | MDB_CREATE, &l->map), "mdb_dbi_open");
	must(mdb_txn_commit(t), "mdb_txn_commit");
	return l;
}

static void *open_numbers(const char *store, unsigned number, size_t count, int create)
{
	(void)create;
	return open_lmdb(store, number, count, MDB_INTEGERKEY);
}

static void *open_strings(const char *store, unsigned number, size_t count, int create)
{
	(void)create;
	return open_lmdb(store, number, count, 0);
}

static void close_lmdb(void *tree, int destroy)
{
	struct lmdb *l = tree;
	char lock[4300];

	if (l->read)
		mdb_txn_abort(l->read);
	mdb_env_close(l->env);
	snprintf(lock, sizeof lock, "%s-lock", l->path);
	if (destroy && (unlink(l->path) != 0 || unlink(lock) != 0))
		give_up(l->path);
	free(l);
}

static MDB_val number_of(const struct index_key *key)
{
	return (MDB_val){ sizeof key->number, (void *)(uintptr_t)&key->number };
}

static MDB_val string_of(const struct index_key *key)
{
	return (MDB_val){ key->size, (void *)(uintptr_t)key->bytes };
}

static inline int put(struct lmdb *l, MDB_val key, uint64_t value)
{
	MDB_val data = { sizeof value, &value };
	MDB_txn *t;
	int error;

	must(mdb_txn_begin(l->env, NULL, 0, &t), "mdb_txn_begin");
	error = mdb_put(t, l->map, &key, &data, MDB_NOOVERWRITE);
	if (error == MDB_KEYEXIST) {
		mdb_txn_abort(t);
		return 0;
	}
	must(error, "mdb_put");
	must(mdb_txn_commit(t), "mdb_txn_commit");
	return 1;
}

static inline uint64_t get(struct lmdb *l, MDB_val key)
{
	uint64_t value;
	MDB_val data;
	int error = mdb_get(l->read, l->map, &key, &data);

	if (error == MDB_NOTFOUND)
		return 0;
	must(error, "mdb_get");
	memcpy(&value, data.mv_data, sizeof value);
	return value;
}

static inline int remove_key(struct lmdb *l, MDB_val key)
{
	MDB_txn *t;
	int error;

	must(mdb_txn_begin(l->env, NULL, 0, &t), "mdb_txn_begin");
	error = mdb_del(t, l->map, &key, NULL);
	if (error == MDB_NOTFOUND) {
		mdb_txn_abort(t);
		return 0;
	}
	must(error, "mdb_del");
	must(mdb_txn_commit(t), "mdb_txn_commit");
	return 1;
}

static int put_number(void *tree, const struct index_key *key) { return put(tree, number_of(key), key->value); }
static int put_string(void *tree, const struct index_key *key) { return put(tree, string_of(key), key->value); }
static uint64_t get_number(void *tree, const struct index_key *key) { return get(tree, number_of(key)); }
static uint64_t get_string(void *tree, const struct index_key *key) { return get(tree, string_of(key)); }
static int remove_number(void *tree, const struct index_key *key) { return remove_key(tree, number_of(key)); }
static int remove_string(void *tree, const struct index_key *key) { return remove_key(tree, string_of(key)); }

static void reading(void *tree, int begin)
{
	struct lmdb *l = tree;

	if (!begin)
		mdb_txn_reset(l->read);
	else if (l->read)
		must(mdb_txn_renew(l->read), "mdb_txn_renew");
	else
		must(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->read), "mdb_txn_begin");
}

static uint64_t scan(void *tree)
{
	struct lmdb *l = tree;
	uint64_t value, sum = 0;
	MDB_val key, data;
	MDB_cursor *c;
	int error;

	must(mdb_cursor_open(l->read, l->map, &c), "mdb_cursor_open");
	while ((error = mdb_cursor_get(c, &key, &data, MDB_NEXT)) == 0) {
		memcpy(&value, data.mv_data, sizeof value);
		sum = index_fold(sum, value);
	}
	if (error != MDB_NOTFOUND)
		must(error, "mdb_cursor_get");
	mdb_cursor_close(c);
	return sum;
}

static uint64_t bytes(void *tree)
{
	struct lmdb *l = tree;
	MDB_stat s;

	reading(l, 1);
	must(mdb_stat(l->read, l->map, &s), "mdb_stat");
	reading(l, 0);
	return (s.ms_branch_pages + s.ms_leaf_pages + s.ms_overflow_pages) * (uint64_t)s.ms_psize;
}

const struct index_peer index_lmdb[KINDS] = {
	[NUMBERS] = { "LMDB", 1, open_numbers, close_lmdb, put_number, get_number, reading, scan, remove_number, bytes, NULL },
	[STRINGS] = { "LMDB", 1, open_strings, close_lmdb, put_string, get_string, reading, scan, remove_string, bytes, NULL },
};
