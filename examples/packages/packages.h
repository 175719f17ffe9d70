/* SPDX-License-Identifier: MIT */
/*
 * packages.h - what crosses the files of the program `packages`, file by file.
 */
#ifndef PACKAGES_PACKAGES_H
#define PACKAGES_PACKAGES_H

#include <stdint.h>
#include <stdio.h>
#include <sasregion.h>
#include "graph.h"

struct board;

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
uint64_t changed_number(const struct root *root, uint64_t seed, uint64_t sequence);
void extra_name(char *name, size_t size, uint64_t extra);
int version_is_listed(const struct version *version);
struct version_block *version_block_of(struct version *version);
uint64_t version_checksum(const struct version *version);
uint64_t mix(uint64_t sum, const void *bytes, size_t length);
void edges_of(const struct version *version, void (*visit)(struct edge *edge));
void edge_link(struct edge *edge);
void edge_unlink(struct edge *edge);

/* build.c: from the text to the graph */
struct root *graph_build(struct arena *arena, struct slice text);

/* entry.c: what update number N puts into an entry; a function of N, so that anybody can check it */
struct version_block *entry_make(const struct root *root, struct package *package, uint64_t sequence,
				 struct version *older, struct board *board);
int entry_is_right(const struct root *root, const struct version *version);

/* board.c: what is shared beside the region */
struct board *board_create(int *file);
struct board *board_open(const char *file_number);
uint64_t board_oldest_era(struct board *board);
void board_linger(struct board *board, int gap);

/* retire.c: from an entry that was replaced to a block that is free */
void retire(struct root *root, struct version_block *block, struct board *board);
void retire_finish(struct root *root);
void retire_reap(struct root *root, struct board *board);
uint64_t retire_length(const struct root *root);

/* scratch.c: space that the updater only works with */
void scratch_use(struct board *board, uint64_t random);

/* leaks.c: blocks that a dead updater held */
SASBlockInfo *leaks_find(const struct root *root, uint32_t mine, const struct board *board,
			 struct board *marks, uint64_t *found);
void leaks_free(struct root *root, uint32_t mine, struct board *board);

/* model.c: what the graph must look like, kept outside the region */
struct model;
struct model *model_new(const struct root *root);
void model_free(struct model *model);
int model_apply(struct model *model, uint64_t number, uint64_t action, uint64_t sequence);
int model_agrees(const struct model *model, const struct root *root, uint64_t number);
void model_undo(struct model *model);
uint64_t model_verify(const struct model *model, const struct root *root, struct slice text);

/* One per sub-command: */
int command_load(int argc, char **argv);
int command_answer(int argc, char **argv);
int command_measure(int argc, char **argv);
int command_update(int argc, char **argv);
int command_read(int argc, char **argv);
int command_storm(int argc, char **argv);
int command_walk(int argc, char **argv);

#endif
