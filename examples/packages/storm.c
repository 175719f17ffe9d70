/* SPDX-License-Identifier: MIT */
/*
 * storm.c - storm STORE INPUT KILLS READERS SEED: start readers, start the updater and kill it,
 * KILLS times, at random instants; then verify.
 *
 * A quarter of the kills fall into an updater's first milliseconds (its start, its join, its cleaning
 * up after the one before), the others into its work. Between a death and the next start nobody
 * changes the graph: then what was acknowledged goes into the model, and the graph itself says whether
 * the one change that was begun and not acknowledged is there.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sassim.h>
#include <sasregion.h>
#include "board.h"
#include "packages.h"

#define PATIENCE 30000000000u                   /* nanoseconds, until something hangs */
#define EARLY_KILL 4000000u                     /* kills before an updater is ready: within this time */
#define LATE_KILL 25000000u                     /* kills of one at work */

struct storm {
	const char *store;
	char board_file[16];                    /* its descriptor, for the children */
	struct board *board;
	struct root *root;
	struct model *model;
	uint32_t generation;
	uint64_t random;
	pid_t readers[BOARD_READERS];
	uint64_t reader_count;
	uint64_t kills, early, by_call[CALLS];  /* what the deaths interrupted */
	uint64_t acknowledged, there, not_there;
	SASBlockInfo *held;                     /* leaks that the last death left */
	uint64_t held_count, leaked;            /* and all so far */
	uint64_t wrong;
};

static void rest(uint64_t nanoseconds)
{
	struct timespec time = { (time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u) };

	while (nanosleep(&time, &time) != 0 && errno == EINTR)
		;
}

static uint64_t next_random(struct storm *storm)
{
	return storm->random = random_of(storm->random);
}

/* This program again, as a process of its own that dies with us: "packages -r REPORT COMMAND ...". */
static pid_t start(const char *command, const struct storm *storm, const char *option)
{
	const char *arguments[] = { "packages", "-r", report_goes_to(), command, storm->store,
				    storm->board_file, option, NULL };
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child > 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		execv("/proc/self/exe", (char **)arguments);
	_exit(127);
}

static pid_t start_updater(struct storm *storm, const char *finish)
{
	atomic_store(&storm->board->begun, 0);
	atomic_store(&storm->board->acknowledged, 0);
	atomic_store(&storm->board->inside, CALL_NONE);
	atomic_store(&storm->board->ready, 0);
	return start("update", storm, finish);
}

/* Wait for a process that ends by itself. */
static int ends_well(pid_t process)
{
	uint64_t until = now() + PATIENCE;
	int status;

	while (waitpid(process, &status, WNOHANG) == 0) {
		if (now() > until) {
			complain("process %d hangs", (int)process);
			kill(process, SIGKILL);
			waitpid(process, &status, 0);
			return 0;
		}
		rest(1000000);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Wait for a word that a process sets; the process must not end before. */
static void wait_for(_Atomic uint64_t *word, pid_t process, const char *what)
{
	uint64_t until = now() + PATIENCE;
	int status;

	while (atomic_load(word) == 0) {
		if (waitpid(process, &status, WNOHANG) != 0)
			die("%s ended with status 0x%x before it was at work", what, (unsigned)status);
		if (now() > until)
			die("%s is not at work after %d s", what, (int)(PATIENCE / 1000000000u));
		rest(50000);
	}
}

static void start_readers(struct storm *storm)
{
	for (uint64_t i = 0; i < storm->reader_count; i++) {
		char slot[2] = { (char)('0' + i), '\0' };

		storm->readers[i] = start("read", storm, slot);
	}
	for (uint64_t i = 0; i < storm->reader_count; i++)
		wait_for(&storm->board->readers[i].calls, storm->readers[i], "a reader");
}

/* The change that was begun and not acknowledged is there or not, nothing else. */
static void resolve_open_change(struct storm *storm, const struct change *change)
{
	if (model_apply(storm->model, change->number, change->action, change->sequence) != 0) {
		storm->wrong++;
		return;
	}
	if (model_agrees(storm->model, storm->root, change->number)) {
		storm->there++;
		return;
	}
	model_undo(storm->model);
	storm->not_there++;
	if (model_agrees(storm->model, storm->root, change->number))
		return;
	storm->wrong++;
	complain("update %llu is there by half", (unsigned long long)change->sequence);
}

static void take_changes(struct storm *storm)
{
	struct board *board = storm->board;
	uint64_t acknowledged = atomic_load(&board->acknowledged), begun = atomic_load(&board->begun);

	if (begun > BOARD_CHANGES || begun - acknowledged > 1)
		die("the board makes no sense");
	for (uint64_t i = 0; i < acknowledged; i++)
		if (model_apply(storm->model, board->changes[i].number, board->changes[i].action,
				board->changes[i].sequence) != 0)
			storm->wrong++;
	storm->acknowledged += acknowledged;
	if (begun > acknowledged)
		resolve_open_change(storm, &board->changes[acknowledged]);
}

static int was_held(const struct storm *storm, const SASBlockInfo *leak)
{
	for (uint64_t i = 0; i < storm->held_count; i++)
		if (storm->held[i].address == leak->address && storm->held[i].generation == leak->generation)
			return 1;
	return 0;
}

/* Count the blocks that this death has cut loose; the next updater has to find them by itself. */
static void count_leaks(struct storm *storm)
{
	uint64_t found;
	SASBlockInfo *leaks = leaks_find(storm->root, storm->generation, storm->board, NULL, &found);

	for (uint64_t i = 0; i < found; i++)
		storm->leaked += !was_held(storm, &leaks[i]);
	free(storm->held);
	storm->held = leaks;
	storm->held_count = found;
}

static void kill_one(struct storm *storm)
{
	uint64_t random = next_random(storm);
	int early = random % 4 == 0, status;
	pid_t updater = start_updater(storm, NULL);

	if (!early)
		wait_for(&storm->board->ready, updater, "the updater");
	rest(random / 4 % (early ? EARLY_KILL : LATE_KILL));
	kill(updater, SIGKILL);
	if (waitpid(updater, &status, 0) != updater || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		die("the updater ended by itself, with status 0x%x", (unsigned)status);
	storm->kills++;
	storm->early += atomic_load(&storm->board->ready) == 0;
	storm->by_call[atomic_load(&storm->board->inside) % CALLS]++;
	take_changes(storm);
	count_leaks(storm);
}

static void stop_readers(struct storm *storm)
{
	atomic_store(&storm->board->stop, 1);
	for (uint64_t i = 0; i < storm->reader_count; i++)
		if (!ends_well(storm->readers[i]))
			die("a reader did not end well");
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Gives the wrong answers. */
static uint64_t report_readers(const struct storm *storm)
{
	uint64_t queries = 0, calls = 0, wrong = 0, query = 0, call = 0, pause = 0;

	for (uint64_t i = 0; i < storm->reader_count; i++) {
		struct reader *reader = &storm->board->readers[i];

		queries += reader->queries;
		calls += reader->calls;
		wrong += reader->wrong;
		query = larger(query, reader->longest_query);
		call = larger(call, reader->longest_call);
		pause = larger(pause, reader->longest_pause);
	}
	report("readers.count", "%llu", (unsigned long long)storm->reader_count);
	report("readers.queries", "%llu", (unsigned long long)queries);
	report("readers.calls", "%llu", (unsigned long long)calls);
	report("readers.wrong", "%llu", (unsigned long long)wrong);
	report("readers.longest_query_ms", "%.1f", (double)query / 1e6);
	report("readers.longest_call_ms", "%.1f", (double)call / 1e6);
	report("readers.longest_pause_ms", "%.1f", (double)pause / 1e6);
	return wrong;
}

static void report_kills(const struct storm *storm)
{
	static const char *const names[CALLS] = { "none", "join", "list", "alloc", "free" };
	char key[32];
	uint64_t inside = 0;

	report("kills.all", "%llu", (unsigned long long)storm->kills);
	report("kills.early", "%llu", (unsigned long long)storm->early);
	for (int call = 1; call < CALLS; call++) {
		snprintf(key, sizeof(key), "kills.%s", names[call]);
		report(key, "%llu", (unsigned long long)storm->by_call[call]);
		inside += storm->by_call[call];
	}
	report("kills.inside", "%llu", (unsigned long long)inside);
	report("updates.acknowledged", "%llu", (unsigned long long)storm->acknowledged);
	report("updates.there", "%llu", (unsigned long long)storm->there);
	report("updates.not_there", "%llu", (unsigned long long)storm->not_there);
	report("updates.wrong", "%llu", (unsigned long long)storm->wrong);
}

/* After a last updater has cleaned up, nothing of what was cut loose may be left, and nothing else. */
static uint64_t audit(struct storm *storm)
{
	uint64_t leaked;

	stop_readers(storm);
	if (!ends_well(start_updater(storm, "finish")))
		die("the last updater did not end well");
	for (uint64_t i = 0; i < storm->reader_count; i++)
		atomic_store(&storm->board->readers[i].generation, 0);
	leaked = storm->leaked;
	count_leaks(storm);
	report("blocks.leaked", "%llu", (unsigned long long)leaked);
	report("blocks.freed", "%llu", (unsigned long long)(leaked - storm->held_count));
	report("blocks.lost", "%llu", (unsigned long long)storm->held_count);
	report("blocks.retired", "%llu", (unsigned long long)retire_length(storm->root));
	return storm->held_count + retire_length(storm->root);
}

static void show_progress(const struct storm *storm, uint64_t kills)
{
	if (isatty(STDERR_FILENO) && (storm->kills % 10 == 0 || storm->kills == kills))
		fprintf(stderr, "\r  %llu of %llu kills%s", (unsigned long long)storm->kills,
			(unsigned long long)kills, storm->kills == kills ? "\n" : "");
}

static void set_up(struct storm *storm, char **argv)
{
	struct joined joined;
	int board_file;

	storm->store = argv[1];
	storm->reader_count = number_argument(argv[4], BOARD_READERS);
	storm->board = board_create(&board_file);
	storm->board->seed = storm->random = number_argument(argv[5], UINT64_MAX);
	snprintf(storm->board_file, sizeof(storm->board_file), "%d", board_file);
	joined = join_store("killer", argv[1]);
	if (joined.root == NULL)
		die("%s: nothing is loaded", argv[1]);
	storm->root = joined.root;
	storm->generation = joined.generation;
	storm->model = model_new(joined.root);
}

int command_storm(int argc, char **argv)
{
	struct storm storm = { 0 };
	uint64_t kills, started = now(), wrong;

	if (argc != 6)
		die("usage: storm STORE INPUT KILLS READERS SEED");
	kills = number_argument(argv[3], 1000000);
	set_up(&storm, argv);
	start_readers(&storm);
	while (storm.kills < kills) {
		kill_one(&storm);
		show_progress(&storm, kills);
	}
	report("storm.seconds", "%.1f", (double)(now() - started) / 1e9);
	wrong = storm.wrong + audit(&storm);
	report_kills(&storm);
	wrong += report_readers(&storm);
	wrong += model_verify(storm.model, storm.root, map_file(argv[2]));
	SASCleanUp();
	model_free(storm.model);
	free(storm.held);
	return wrong == 0 ? 0 : 1;
}
