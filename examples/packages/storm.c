/* SPDX-License-Identifier: MIT */
/*
 * storm.c - storm STORE INPUT KILLS READERS UPDATERS SEED: start readers and updaters; kill one updater
 * after the other, KILLS times, at random instants, while the others go on, and start it again; then
 * verify.
 *
 * A quarter of the kills fall into an updater's first milliseconds (its start, its join, its cleaning
 * up after the dead), the others into the work of any. After each death what it had begun and acknowledged
 * is copied from the board; at the end, when all have left, it must give the graph (history.c, model.c).
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
#include "storm.h"

#define PATIENCE 30000000000u                   /* nanoseconds, until something hangs */
#define EARLY_KILL 4000000u                     /* kills before an updater is ready: within this time */
#define LATE_KILL 25000000u                     /* kills of one at work */

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
static pid_t start(const char *command, const struct storm *storm, uint64_t slot, const char *option)
{
	char slot_text[2] = { (char)('0' + slot), '\0' };
	const char *arguments[] = { "packages", "-r", report_goes_to(), command, storm->store,
				    storm->board_file, slot_text, option, NULL };
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

static void start_updater(struct storm *storm, uint64_t slot, const char *finish)
{
	struct updater *updater = &storm->board->updaters[slot];

	atomic_store(&updater->begun, 0);
	atomic_store(&updater->acknowledged, 0);
	atomic_store(&updater->inside, CALL_NONE);
	atomic_store(&updater->holding, 0);
	atomic_store(&updater->ready, 0);
	atomic_store(&updater->waits_since, 0);
	atomic_store(&updater->changes_since, 0);
	storm->updaters[slot] = start("update", storm, slot, finish);
}

/* It is dead, or has left: nothing of its own is in good hands any more. */
static void bury_updater(struct storm *storm, uint64_t slot)
{
	struct updater *updater = &storm->board->updaters[slot];

	history_take(storm->history, updater);
	atomic_store(&updater->generation, 0);
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
	for (uint64_t i = 0; i < storm->reader_count; i++)
		storm->readers[i] = start("read", storm, i, NULL);
	for (uint64_t i = 0; i < storm->reader_count; i++)
		wait_for(&storm->board->readers[i].calls, storm->readers[i], "a reader");
}

/* What it waited for when it was killed counts as well: else the kill would hide that it never ended. */
static void count_kill(struct storm *storm, struct updater *updater)
{
	uint64_t waits = atomic_load(&updater->waits_since), changes = atomic_load(&updater->changes_since);

	if (waits != 0)
		keep_longest(&updater->longest_wait, waits);
	if (changes != 0)
		keep_longest(&updater->longest_change, changes);
	storm->kills++;
	storm->early += atomic_load(&updater->ready) == 0;
	storm->holding += atomic_load(&updater->holding) != 0;
	storm->by_call[atomic_load(&updater->inside) % CALLS]++;
}

/* Kill the updater of a slot: early, the one that has just been started there; else any that is at work. */
static uint64_t kill_one(struct storm *storm, uint64_t started)
{
	uint64_t random = next_random(storm);
	int early = random % 4 == 0, status;
	uint64_t slot = early ? started : random / 4 % storm->updater_count;
	struct updater *updater = &storm->board->updaters[slot];

	if (!early)
		wait_for(&updater->ready, storm->updaters[slot], "an updater");
	rest(random / 64 % (early ? EARLY_KILL : LATE_KILL));
	kill(storm->updaters[slot], SIGKILL);
	if (waitpid(storm->updaters[slot], &status, 0) != storm->updaters[slot] || !WIFSIGNALED(status) ||
	    WTERMSIG(status) != SIGKILL)
		die("an updater ended by itself, with status 0x%x", (unsigned)status);
	count_kill(storm, updater);
	bury_updater(storm, slot);
	start_updater(storm, slot, NULL);
	return slot;
}

static void stop_all(struct storm *storm)
{
	atomic_store(&storm->board->updaters_stop, 1);
	for (uint64_t i = 0; i < storm->updater_count; i++) {
		if (!ends_well(storm->updaters[i]))
			die("an updater did not end well");
		bury_updater(storm, i);
	}
	atomic_store(&storm->board->readers_stop, 1);
	for (uint64_t i = 0; i < storm->reader_count; i++) {
		if (!ends_well(storm->readers[i]))
			die("a reader did not end well");
		atomic_store(&storm->board->readers[i].generation, 0);
	}
}

/* One more, alone, which cleans up after the dead and waits for what they had retired. */
static void finish(struct storm *storm)
{
	start_updater(storm, 0, "finish");
	if (!ends_well(storm->updaters[0]))
		die("the last updater did not end well");
	bury_updater(storm, 0);
}

static void show_progress(const struct storm *storm, uint64_t kills)
{
	if (isatty(STDERR_FILENO) && (storm->kills % 10 == 0 || storm->kills == kills))
		fprintf(stderr, "\r  %llu of %llu kills%s", (unsigned long long)storm->kills,
			(unsigned long long)kills, storm->kills == kills ? "\n" : "");
}

static void play(struct storm *storm, uint64_t kills)
{
	uint64_t slot = 0, started = now();

	start_readers(storm);
	for (uint64_t i = 0; i < storm->updater_count; i++)
		start_updater(storm, i, NULL);
	while (storm->kills < kills) {
		slot = kill_one(storm, slot);
		show_progress(storm, kills);
	}
	stop_all(storm);
	report("storm.seconds", "%.1f", (double)(now() - started) / 1e9);
	finish(storm);
}

/* Gives how much was wrong. */
static uint64_t verify(struct storm *storm, const char *input)
{
	uint64_t wrong = history_replay(storm->history, storm->model);

	wrong += model_finish(storm->model, storm->root);
	wrong += audit_locks(storm) + audit_blocks(storm) + report_readers(storm);
	report_kills(storm);
	report_updaters(storm);
	return wrong + model_verify(storm->model, storm->root, map_file(input));
}

static void set_up(struct storm *storm, char **argv)
{
	int board_file;

	storm->store = argv[1];
	storm->reader_count = number_argument(argv[4], BOARD_READERS);
	storm->updater_count = number_argument(argv[5], BOARD_UPDATERS);
	if (storm->updater_count == 0)
		die("there must be an updater");
	storm->board = board_create(&board_file);
	storm->board->seed = storm->random = number_argument(argv[6], UINT64_MAX);
	snprintf(storm->board_file, sizeof(storm->board_file), "%d", board_file);
	storm->root = join_store("killer", argv[1]).root;
	if (storm->root == NULL)
		die("%s: nothing is loaded", argv[1]);
	storm->model = model_new(storm->root);
	storm->history = history_new();
}

int command_storm(int argc, char **argv)
{
	struct storm storm = { 0 };
	uint64_t wrong;

	if (argc != 7)
		die("usage: storm STORE INPUT KILLS READERS UPDATERS SEED");
	set_up(&storm, argv);
	play(&storm, number_argument(argv[3], 1000000));
	wrong = verify(&storm, argv[2]);
	SASCleanUp();
	model_free(storm.model);
	history_free(storm.history);
	return wrong == 0 ? 0 : 1;
}
