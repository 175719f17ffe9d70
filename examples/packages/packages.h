/* SPDX-License-Identifier: MIT */
/*
 * packages.h - what crosses the files of the program `packages`, file by file.
 */
#ifndef PACKAGES_PACKAGES_H
#define PACKAGES_PACKAGES_H

#include <stdint.h>
#include <stdio.h>
#include <saslock.h>
#include <sasregion.h>
#include "graph.h"

struct board;
struct updater;

/* support.c: reports, time, files, joining */
struct slice {
	const char *at;
	size_t length;
};
struct joined {
	struct root *root;
	uint64_t nanoseconds;                   /* the join took */
	uint32_t generation;
};
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_to(const char *path);
const char *report_goes_to(void);
void report(const char *key, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t now(void);                             /* nanoseconds, monotonic */
uint64_t random_of(uint64_t x);                 /* a number mixed beyond recognition */
struct slice map_file(const char *path);
struct joined join_store(const char *who, const char *store);
struct root *root_of(const char *store);        /* its finder, checked */
uint64_t number_argument(const char *text, uint64_t most);

/* parse.c: the control-file format */
struct stanza {
	struct slice package, version, architecture, section, summary, depends, pre_depends;
	uint64_t installed_size, size;
};
struct relation {
	struct slice name, qualifier, constraint;
	int more;                               /* an alternative of the same dependency follows */
};
int parse_stanza(struct slice *rest, struct stanza *stanza);
int parse_relation(struct slice *rest, struct relation *relation);

/* arena.c: many small things in a few large blocks */
struct arena {
	void *(*more)(size_t size);             /* where blocks come from */
	struct block_head *blocks;
	char *next, *end;
	uint64_t bytes;                         /* of its blocks */
	uint64_t count;
};
void *arena_take(struct arena *arena, size_t size);
const char *arena_text(struct arena *arena, struct slice text);

/* graph.c: what all programs do with the graph */
struct package *package_find(const struct root *root, const char *name, size_t length);
struct package_word *package_bucket(const struct root *root, const char *name, size_t length);
struct package *package_of_number(const struct root *root, uint64_t number);
uint64_t busy_number(const struct root *root, uint64_t random);
uint64_t drawn_number(const struct root *root, uint64_t seed, uint64_t draw);
void extra_name(char *name, size_t size, uint64_t extra);
int version_is_listed(const struct version *version);
struct version_block *version_block_of(struct version *version);
uint64_t version_checksum(const struct version *version);
uint64_t mix(uint64_t sum, const void *bytes, size_t length);
void edge_link(struct edge *edge);
void edge_unlink(struct edge *edge);

/* build.c: from the text to the graph */
struct root *graph_build(struct arena *arena, struct slice text);

/* entry.c: what change number N puts into an entry; a function of N, so that anybody can check it */
struct version_block *entry_make(const struct root *root, struct package *package, uint64_t sequence,
				 struct version *older, struct updater *me);
int entry_is_right(const struct root *root, const struct version *version);

/* board.c: what is shared beside the region */
struct board *board_create(int *file);
struct board *board_open(const char *file_number);
int board_is_living(const struct board *board, uint32_t generation);
void keep_longest(_Atomic uint64_t *longest, uint64_t start);
void linger(uint64_t sequence, int gap);

/* link.c: locks, and the edges of a version in the reverse lists of others */
void lock_take(struct updater *me, void *address, sas_userlock_request_t mode);
void lock_give(struct updater *me, void *address);
void version_link(struct version *version, struct updater *me);
void version_unlink(struct version *version, struct updater *me);

/* retire.c: from an entry that was replaced to a block that is free */
void retire(struct version_block *block, struct updater *me);
void retire_finish(void);

/* scratch.c: space that an updater only works with */
void scratch_use(struct updater *me, uint64_t random);
void scratch_give_all(struct updater *me);

/* leaks.c: blocks that the dead held */
void leaks_free(struct root *root, const struct board *board, struct updater *me);
uint64_t leaks_count(const struct root *root, const struct board *board, uint64_t *retired);

/* model.c: what the graph must look like, kept outside the region */
struct model;
struct change;
struct model *model_new(const struct root *root);
void model_free(struct model *model);
void model_apply(struct model *model, const struct change *change, int acknowledged);
uint64_t model_finish(struct model *model, const struct root *root);

/* compare.c: the graph against the model and the input */
uint64_t model_verify(const struct model *model, const struct root *root, struct slice text);

/* history.c: what dead updaters had begun and acknowledged */
struct history;
struct history *history_new(void);
void history_free(struct history *history);
void history_take(struct history *history, const struct updater *updater);
uint64_t history_replay(struct history *history, struct model *model);

/* One per sub-command: */
int command_load(int argc, char **argv);
int command_answer(int argc, char **argv);
int command_measure(int argc, char **argv);
int command_update(int argc, char **argv);
int command_read(int argc, char **argv);
int command_storm(int argc, char **argv);
int command_walk(int argc, char **argv);

#endif
