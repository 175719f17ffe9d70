/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what the commands of sasphere(1), and sasutil(1), share.
 *
 * A command is a function of its own arguments that gives the exit status. Messages go to standard
 * error as "sasphere COMMAND: sentence"; usage and results go to standard output.
 */
#ifndef SASPHERE_TOOL_H
#define SASPHERE_TOOL_H

#include <getopt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "sastype.h"

struct libscols_table;
struct libscols_line;
struct sas_inspect;

#define TOOL_OK 0
#define TOOL_FAILED 1           /* `check`: the region is bad */
#define TOOL_USAGE 2            /* `check`: also that it could not be read */

int cmd_addr(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_ctx(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_index(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_locks(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_rm(int argc, char **argv);

/* For messages: "sasphere" or "sasutil", and the command's name or "". */
extern const char *tool_program, *tool_command;

/* Print a sentence of ours, or the library's about its last failure; gives `status`. */
int tool_error(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
int tool_library_error(int status);
/* "Try --help"; gives TOOL_USAGE. */
int tool_try_help(void);
int tool_version(void);
/* What an option that all commands have, or one that is wrong, makes of a command: its exit status. */
static inline int tool_is_common(int option) { return option == 'h' || option == 'V' || option == '?'; }
int tool_common(int option, int (*usage)(void));
/* The end of every usage: --help, --version, and the page. */
void tool_usage_end(void);

/* The region's directory: the only operand, else SASSTOREPATH, else ".". NULL, with a message: too many. */
const char *tool_region(int argc, char **argv);
/* SASSTOREPATH, else ".". */
const char *tool_default_region(void);

/* "64M": bytes with K, M, G, T or P, of 1024 each. 0, or -1 with a message that names the option. */
int tool_size(const char *option, const char *text, uint64_t *size);
/* The inverse, at most 7 characters; digits alone where `bytes`. */
#define TOOL_SIZE 24
char *tool_size_text(char text[TOOL_SIZE], uint64_t size, int bytes);
/* Local time as ISO 8601; "" for 0. */
#define TOOL_TIME 40
char *tool_time_text(char text[TOOL_TIME], uint64_t seconds);
/* The same with milliseconds, from nanoseconds since 1970. */
char *tool_moment_text(char text[TOOL_TIME], uint64_t nanoseconds);
char *tool_uuid_text(char text[37], const uint8_t uuid[16]);
#define TOOL_NUMBER_TEXT 24
char *tool_number_text(char text[TOOL_NUMBER_TEXT], uint64_t n);
char *tool_address_text(char text[TOOL_NUMBER_TEXT], uint64_t address);
/* "read", "write", "intent", of a sas_userlock_request_t. */
const char *tool_mode_text(unsigned mode);
/* The same of an entry of a list, or "update". */
struct SASLockInfo;
const char *tool_lock_text(const struct SASLockInfo *lock);

/* --- types.c: "simple heap", of the type in an object's header; digits where it is unknown */
#define TOOL_TYPE_TEXT 32
char *tool_type_text(char text[TOOL_TYPE_TEXT], sas_type_t type);

/* "0x5800": 1; 0: it is no address. */
int tool_address(const char *text, uint64_t *address);

/* --- lists of the library */

/* One of its calls: stores up to `capacity` entries, gives how many there are, -1 and errno. */
typedef long (*tool_list)(void *arg, void *buffer, size_t capacity);
/* All entries, of `size` bytes each, malloc'd: asked again while the list grows under us. How many, or -1 with a message. */
long tool_fetch(tool_list list, void *arg, size_t size, void **buffer);

/* --- table.c: tables, and commands that print one */

#define TOOL_COLUMNS 48         /* at most in a table */
enum tool_type { TOOL_TEXT, TOOL_NUMBER, TOOL_BYTES, TOOL_BOOLEAN };

struct tool_column {
	const char *name;
	enum tool_type type;
	const char *help;
};

struct tool_table {
	const char *name;       /* in JSON */
	const struct tool_column *columns;
	size_t count;
	int json, bytes, noheadings;
	size_t shown[TOOL_COLUMNS], shown_count;
	struct libscols_table *scols;
};

/* The options of every table: where getopt_long() gives one of these, tool_table_option() takes it, and gives 1. */
#define TOOL_TABLE_SHORT "bJno:"
#define TOOL_TABLE_LONG                                                                               \
	{ "bytes", no_argument, NULL, 'b' }, { "json", no_argument, NULL, 'J' },                      \
		{ "noheadings", no_argument, NULL, 'n' }, { "output", required_argument, NULL, 'o' }
#define TOOL_COMMON_SHORT "hV"
#define TOOL_COMMON_LONG                                                                              \
	{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }

struct tool_table_options {
	int json, bytes, noheadings;
	const char *output;
};
int tool_table_option(struct tool_table_options *options, int option, const char *argument);
void tool_table_usage(void);
void tool_columns_usage(const struct tool_column *columns, size_t count);

/* Begin a table with the columns that --output names, else all. 0, or -1 with a message. */
int tool_table_begin(struct tool_table *t, const char *name, const struct tool_column *columns, size_t count,
		     const struct tool_table_options *options);
/* One more line: cell(column, text) writes the text of a column. 0, or -1 with a message. */
#define TOOL_CELL 4200
typedef void (*tool_cell)(size_t column, char text[TOOL_CELL], const struct tool_table *t, const void *row);
int tool_table_row(struct tool_table *t, tool_cell cell, const void *row);
/* Print it; gives the exit status. */
int tool_table_end(struct tool_table *t);
/* Forget it. */
void tool_table_drop(struct tool_table *t);

/* A table of what the library lists. */
struct tool_lister {
	const char *name;               /* in JSON */
	const struct tool_column *columns;
	size_t count, size;             /* columns; bytes of an entry */
	tool_cell cell;
	tool_list list;
};
/* All of it; gives the exit status. */
int tool_table_list(const struct tool_lister *lister, const struct tool_table_options *options, void *arg);

/* A command that shows what is read of a region without joining it. */
struct tool_view {
	int (*usage)(void);
	int (*show)(struct sas_inspect *inspect, const char *path, const struct tool_table_options *options);
	/* NULL: the options of tables alone. Else all of them, and who takes the others: 0, or -1 with a message. */
	const char *shorts;
	const struct option *longs;
	int (*take)(int option, const char *argument);
};
int tool_inspect(int argc, char **argv, const struct tool_view *view);

#endif
