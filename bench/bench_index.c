/* SPDX-License-Identifier: MIT */
/*
 * bench_index.c - ordered maps side by side: ours, those in files (LMDB, libpmemobj), those in memory alone (absl::btree_map,
 * std::map, GTree), as far as configure found them. Each of them in processes of its own, with a store of its own.
 *
 * One process: insertion in random order; lookups in another order, of keys that are there and of keys that are not; a scan in order;
 * removal in random order; insertion in order; a load of keys in order. All peers of a turn do a twentieth of the work, one after the
 * other, so that the machine's slow and fast minutes meet all of them.
 * Two processes, for some tenths of a second each: one reads; both read, each a tree of its own; one reads while the other
 * changes a tree of its own, and then the one that is read.
 *
 * Settings: SAS_BENCH_KEYS (1000000), SAS_BENCH_ROUNDS (3), SAS_BENCH_PEERS (parts of names, with commas between them: those alone, and
 * "ours" is the first of them).
 */
#define _GNU_SOURCE
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "index_work.h"

#define TURNS 20U
#define SCAN_TURNS 5U
#define PAIR_TURNS 5U
#define PAIR_NS 100000000U      /* of a turn */
#define MOST_ROUNDS 99U
#define MOST_PEERS 8U

static const struct index_peer *const all_peers[] = {
	index_sasphere,
#ifdef HAVE_LMDB
	index_lmdb,
#endif
#ifdef HAVE_PMEMOBJ
	index_pmemobj,
#endif
#ifdef HAVE_ABSEIL
	index_abseil,
#endif
	index_stdmap,
#ifdef HAVE_GLIB
	index_glib,
#endif
};

enum figure {   /* of a round */
	INSERT, LOOK, MISS, SCAN, REMOVE, ORDERED, LOAD,        /* ns an operation */
	BYTES, BYTES_ORDERED,                                   /* a key */
	READ, READ_TWO, READ_APART, READ_TOGETHER,              /* million/s */
	WRITE, WRITE_APART, WRITE_TOGETHER,
	FIGURES
};

struct contender {
	const struct index_peer *peer;
	char store[4200];
	struct worker one, other;
	double figures[FIGURES][MOST_ROUNDS];
};

static struct contender contenders[MOST_PEERS];
static unsigned peers, rounds, round_number;

static void note(struct contender *c, enum figure f, double value)
{
	c->figures[f][round_number] = value;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const struct contender *c, enum figure f)
{
	double values[MOST_ROUNDS];

	memcpy(values, c->figures[f], rounds * sizeof *values);
	qsort(values, rounds, sizeof *values, by_value);
	return values[rounds / 2];
}

/* All of them, by turns. */
static void by_turns(const struct key_set *set, enum work work, enum figure figure)
{
	uint64_t ns[MOST_PEERS] = { 0 };

	for (unsigned t = 0; t < TURNS; t++)
		for (unsigned p = 0; p < peers; p++)
			ns[p] += worker_do(&contenders[p].one, (struct order){
				work, 0, set->count * t / TURNS, set->count * (t + 1) / TURNS }).ns;
	for (unsigned p = 0; p < peers; p++)
		note(&contenders[p], figure, (double)ns[p] / (double)set->count);
}

static void at_once(struct contender *c, const struct key_set *set, enum work work, enum figure figure)
{
	struct answer a = worker_do(&c->one, (struct order){ .work = work });

	if (work == WORK_BYTES)
		note(c, figure, (double)a.count / (double)set->count);
	else
		note(c, figure, (double)a.ns / (double)set->count);
}

/* Adds what the two do in a turn; WORK_OPEN: nothing. */
static void together(struct contender *c, struct order one, struct order other, struct answer sums[2])
{
	struct worker *workers[2] = { &c->one, &c->other };
	struct order orders[2] = { one, other };
	uint64_t from = now_ns() + 1000000;

	for (int i = 0; i < 2; i++)
		if (orders[i].work != WORK_OPEN) {
			orders[i].from = from;
			orders[i].to = from + PAIR_NS;
			worker_tell(workers[i], orders[i]);
		}
	for (int i = 0; i < 2; i++)
		if (orders[i].work != WORK_OPEN) {
			struct answer a = worker_hear(workers[i]);

			sums[i].ns += a.ns;
			sums[i].count += a.count;
		}
}

static double rate(struct answer a)
{
	return (double)a.count * 1e3 / (double)a.ns;
}

static void two_processes(struct contender *c, const struct key_set *set)
{
	/* Tree 0 is of the one process, tree 1 of the other. */
	static const struct order idle = { .work = WORK_OPEN }, read_0 = { .work = WORK_READ_FOR };
	static const struct order read_1 = { .work = WORK_READ_FOR, .tree = 1 }, write_0 = { .work = WORK_WRITE_FOR };
	static const struct order write_1 = { .work = WORK_WRITE_FOR, .tree = 1 };
	struct answer alone[2] = { 0 }, both[2] = { 0 }, writes[2] = { 0 }, apart[2] = { 0 }, shared[2] = { 0 };

	worker_start(&c->other, c->peer, set, c->store);
	worker_do(&c->other, (struct order){ .work = WORK_OPEN, .tree = 1 });
	worker_tell(&c->one, (struct order){ .work = WORK_PUT, .tree = 0, .to = set->count });
	worker_do(&c->other, (struct order){ .work = WORK_PUT, .tree = 1, .to = set->count });
	worker_hear(&c->one);
	if (c->peer->many)
		worker_do(&c->other, (struct order){ .work = WORK_ATTACH, .tree = 0 });
	for (unsigned t = 0; t < PAIR_TURNS; t++) {
		together(c, read_0, idle, alone);
		together(c, read_0, read_1, both);
		together(c, idle, read_1, alone);
		together(c, idle, write_1, writes);
		together(c, read_0, write_1, apart);
		if (c->peer->many)
			together(c, read_0, write_0, shared);
	}
	note(c, READ, (rate(alone[0]) + rate(alone[1])) / 2);
	note(c, READ_TWO, rate(both[0]) + rate(both[1]));
	note(c, WRITE, rate(writes[1]));
	note(c, READ_APART, rate(apart[0]));
	note(c, WRITE_APART, rate(apart[1]));
	if (c->peer->many) {
		note(c, READ_TOGETHER, rate(shared[0]));
		note(c, WRITE_TOGETHER, rate(shared[1]));
	}
	worker_do(&c->other, (struct order){ .work = WORK_CLOSE, .tree = 1 });
	worker_stop(&c->other);
}

static void each(const struct key_set *set, void (*phase)(struct contender *, const struct key_set *))
{
	for (unsigned p = 0; p < peers; p++)
		phase(&contenders[p], set);
}

static void start(struct contender *c, const struct key_set *set)
{
	worker_start(&c->one, c->peer, set, c->store);
	worker_do(&c->one, (struct order){ .work = WORK_OPEN });
}

static void stop(struct contender *c, const struct key_set *set)
{
	(void)set;
	worker_do(&c->one, (struct order){ .work = WORK_CLOSE });
	worker_stop(&c->one);
}

/* In a new process, whose heap has not been used. */
static void renew(struct contender *c, const struct key_set *set)
{
	stop(c, set);
	start(c, set);
}

/* A scan is a turn. */
static void scans(const struct key_set *set)
{
	uint64_t ns[MOST_PEERS] = { 0 };

	for (unsigned t = 0; t < SCAN_TURNS; t++)
		for (unsigned p = 0; p < peers; p++)
			ns[p] += worker_do(&contenders[p].one, (struct order){ .work = WORK_SCAN }).ns;
	for (unsigned p = 0; p < peers; p++)
		note(&contenders[p], SCAN, (double)ns[p] / (double)(set->count * SCAN_TURNS));
}

static void bytes(struct contender *c, const struct key_set *set) { at_once(c, set, WORK_BYTES, BYTES); }
static void bytes_ordered(struct contender *c, const struct key_set *set) { at_once(c, set, WORK_BYTES, BYTES_ORDERED); }

static void load(struct contender *c, const struct key_set *set)
{
	if (c->peer->load) {
		at_once(c, set, WORK_LOAD, LOAD);
		worker_do(&c->one, (struct order){ .work = WORK_SCAN });
	}
}

static void round_of(const struct key_set *set)
{
	each(set, start);
	by_turns(set, WORK_PUT, INSERT);
	by_turns(set, WORK_LOOK, LOOK);
	by_turns(set, WORK_MISS, MISS);
	scans(set);
	each(set, bytes);
	by_turns(set, WORK_REMOVE, REMOVE);
	each(set, renew);
	by_turns(set, WORK_PUT_ORDERED, ORDERED);
	each(set, bytes_ordered);
	each(set, renew);
	each(set, load);
	each(set, renew);
	each(set, two_processes);
	each(set, stop);
}

/* A figure, and how many times ours it is. */
static void cell(const struct contender *c, enum figure f)
{
	double value = median(c, f), ours = median(&contenders[0], f);

	if (value == 0)
		printf(" %14s", "-");
	else if (ours == 0)
		printf(" %14.1f", value);
	else
		printf(" %8.1f %5.2f", value, value / ours);
}

static void tell(const struct key_set *set)
{
	printf("%s, %zu of %.1f bytes: ns an operation, bytes a key; how many times ours\n", set->name, set->count, set->mean_size);
	printf("  %-22s %14s %14s %14s %14s %14s %14s %14s %14s %14s\n", "", "insert", "look up", "miss", "scan", "remove",
	       "insert ordered", "load ordered", "bytes", "when ordered");
	for (unsigned p = 0; p < peers; p++) {
		printf("  %-22s", contenders[p].peer->name);
		for (enum figure f = INSERT; f <= BYTES_ORDERED; f++)
			cell(&contenders[p], f);
		printf("\n");
	}
	printf("%s, two processes: million operations/s; to one process alone\n", set->name);
	printf("  %-22s %14s %14s %14s %14s %14s %14s %14s\n", "", "one reads", "two read", "beside writer", "of its tree",
	       "one writes", "beside reader", "of its tree");
	for (unsigned p = 0; p < peers; p++) {
		printf("  %-22s", contenders[p].peer->name);
		for (enum figure f = READ; f <= WRITE_TOGETHER; f++) {
			double value = median(&contenders[p], f);

			if (value == 0)
				printf(" %14s", "-");
			else
				printf(" %8.2f %5.2f", value, value / median(&contenders[p], f < WRITE ? READ : WRITE));
		}
		printf("\n");
	}
	printf("\n");
	fflush(stdout);
}

static unsigned long setting(const char *name, unsigned long otherwise, unsigned long most)
{
	const char *text = getenv(name);
	unsigned long value = text ? strtoul(text, NULL, 10) : otherwise;

	if (value < 1 || value > most)
		give_up(name);
	return value;
}

/* Is the name among those that the user wants? */
static int is_wanted(const char *name)
{
	const char *wanted = getenv("SAS_BENCH_PEERS");
	char *list = wanted ? strdup(wanted) : NULL, *rest = list, *part;
	int found = !list;

	while (!found && (part = strsep(&rest, ",")))
		found = *part && strstr(name, part);
	free(list);
	return found;
}

static void measure(const char *store)
{
	size_t count = setting("SAS_BENCH_KEYS", 1000000, 1UL << 30);
	struct key_set set;

	rounds = (unsigned)setting("SAS_BENCH_ROUNDS", 3, MOST_ROUNDS);
	for (unsigned i = 0; i < sizeof all_peers / sizeof *all_peers; i++)
		if (is_wanted(all_peers[i]->name)) {
			struct contender *c = &contenders[peers++];

			snprintf(c->store, sizeof c->store, "%s/%u", store, i);
			if (mkdir(c->store, 0700) != 0)
				give_up(c->store);
		}
	printf("bench_index, medians of %u rounds\n", rounds);
	for (unsigned which = 0; which < KEY_SETS; which++) {
		unsigned next = 0;

		key_set_make(&set, which, count);
		for (unsigned i = 0; i < sizeof all_peers / sizeof *all_peers; i++)
			if (is_wanted(all_peers[i]->name))
				contenders[next++].peer = &all_peers[i][set.kind];
		for (round_number = 0; round_number < rounds; round_number++)
			round_of(&set);
		tell(&set);
		key_set_free(&set);
	}
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *where)
{
	(void)s;
	(void)type;
	(void)where;
	return remove(path);
}

/* libpmem has looked at these before main(). The store counts as persistent memory; cache lines are not written back, as what the
 * others promise, to survive the death of a process, does not need it. */
static void set_environment(char **argv)
{
	if (getenv("PMEM_NO_FLUSH"))
		return;
	setenv("PMEM_NO_FLUSH", "1", 1);
	setenv("PMEM_IS_PMEM_FORCE", "1", 0);
	execv("/proc/self/exe", argv);
	give_up("/proc/self/exe");
}

/* The work is done by a child, so that the store is removed whatever becomes of it. */
int main(int argc, char **argv)
{
	char *in_memory[] = { argv[0], "/dev/shm" };
	const char *store;
	int status;
	pid_t pid;

	set_environment(argv);
	store = argc > 1 || getenv("TMPDIR") ? store_make(argc, argv) : store_make(2, in_memory);
	describe_machine();
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		measure(store);
		exit(0);
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (waitpid(pid, &status, 0) != pid)
		give_up("waitpid");
	if (nftw(store, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		give_up(store);
	return status != 0;
}
