/* SPDX-License-Identifier: MIT */
/*
 * crash_lock.c - every operation on address locks, its thread killed after every instruction, beside the living.
 *
 * Locks are in SAS.run, which images of a region leave out, and whose robust mutexes only the kernel marks. So there are no
 * images here: for each instruction of an operation a fresh process is stepped up to it, and killed, in the one region in
 * which others live on. What they find is what any survivor finds: the kernel's own mark, the same file, the same
 * addresses. An operation has some hundred instructions, and no region has to be made for each, so that all of them can be had.
 * First the operation runs through with its stores watched: those after which a byte of SAS.run has changed are the points
 * that smaller sizes of the test take.
 *
 * Afterwards, at times after somebody else has changed the lock's word (so that only the evidence is left), one that lives recovers,
 * and judges: no lock is held but by the living, no bit says that somebody waits, no latch is taken, no page has an owner that died,
 * each address has one place and each line is in one chain, a death of a writer is told and no other; the locks can be
 * taken and exclude. Recoveries are killed at each of their changes as well.
 *
 * crash_lock [OPERATION...]: these alone. Of the recoveries the smallest size takes some, which SAS_TEST_SEED says, and others in each run.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "crash/scene.h"
#include "crash/store.h"
#include "crash/trace.h"
#include "crash/watch.h"
#include "sas/lock/lock.h"
#include "saslock.h"
#include "sassim.h"

#define READ SasUserLock__READ
#define WRITE SasUserLock__WRITE
#define INTENT SasUserLock__INTENT
#define ADDRESSES 20U
#define POINTS 8192U
#define FULL 12U                /* locks of a chain that does not grow */
#define FAR 2000U               /* steps that take longer than to go by a trace */
#define ONE_IN 3U               /* recoveries, of the smallest size */
#define PATIENCE 3000           /* seconds for an operation */

enum where {
	SAME,                   /* the same addresses each time */
	FRESH,                  /* new ones */
	ONE_BUCKET,             /* new ones of one bucket, that is new as well */
	FULL_BUCKET             /* new ones of a bucket whose chain is full */
};

struct lock_op {
	const char *name;
	void (*begin)(void);    /* in the process that is killed, before it is stepped */
	void (*run)(void);      /* stepped */
	enum where where;
	unsigned count;         /* addresses that matter */
	unsigned others;        /* of these the survivor holds READ: a bit each */
	int awaited;            /* another process waits for the first one for WRITE */
	const char *of;         /* a recovery: of this one, killed at each of its changes */
	int takes_over;         /* that takes the lock that the dead one held */
};

static struct scene *scene;
static SASRegion_t region;
static char *base;
static void *at[ADDRESSES];
static uint64_t fresh;          /* addresses and buckets used so far */

static void must(int condition, const char *what)
{
	if (!condition)
		scene_fail(scene, "%s: %s (%s)", what, strerror(errno), SASLastErrorMessage());
}
#define MUST(condition) must((condition) != 0, #condition)

/* --- the operations */

static void take(void *address, sas_userlock_request_t mode) { MUST(SASLockTake(address, mode, 0, -1) == 0); }
static void give(void *address) { MUST(SASLockGive(address) == 0); }

static void pair(void *address, sas_userlock_request_t mode)
{
	take(address, mode);
	give(address);
}

/* It has its slot, and knows the region. */
static void warm(void) { pair(base + 8, WRITE); }
static void cold(void) { }
static void write_pair(void) { pair(at[0], WRITE); }
static void read_pair(void) { pair(at[0], READ); }
static void intent_pair(void) { pair(at[0], INTENT); }
static void hold_first(void) { warm(); take(at[1], READ); }
static void hold_write(void) { warm(); take(at[0], WRITE); }
static void hold_read(void) { warm(); take(at[0], READ); }
static void hold_intent(void) { warm(); take(at[0], INTENT); }
static void give_first(void) { give(at[0]); }

static void upgrade_read(void)
{
	take(at[0], WRITE);
	give(at[0]);
}

static void upgrade_to_intent(void)
{
	take(at[0], INTENT);
	take(at[0], WRITE);
	give(at[0]);
	give(at[0]);
}

static void hold_sixteen(void)
{
	warm();
	for (unsigned i = 1; i <= SAS_RUN_HOLDS; i++)
		take(at[i], i % 2 ? WRITE : READ);
}

static void hold_three(void)
{
	warm();
	for (unsigned i = 1; i < 4; i++)
		take(at[i], INTENT);
}

static void leave(void) { SASThreadCleanUp(); }
static void reset(void) { SASLockReset(); }

static const struct lock_op ops[] = {
	{ .name = "write", .begin = warm, .run = write_pair, .count = 1 },
	{ .name = "read", .begin = warm, .run = read_pair, .count = 1 },
	{ .name = "intent", .begin = warm, .run = intent_pair, .count = 1 },
	{ .name = "read-beside-reader", .begin = warm, .run = read_pair, .count = 1, .others = 1 },
	{ .name = "intent-beside-reader", .begin = warm, .run = intent_pair, .count = 1, .others = 1 },
	{ .name = "read-nested", .begin = hold_first, .run = read_pair, .count = 2, .others = 3 },
	{ .name = "write-nested", .begin = hold_first, .run = write_pair, .count = 2 },
	{ .name = "insert", .begin = warm, .run = read_pair, .where = FRESH, .count = 1 },
	{ .name = "first-lock", .begin = cold, .run = intent_pair, .count = 1 },
	{ .name = "rekey", .begin = warm, .run = read_pair, .where = FULL_BUCKET, .count = 1 },
	{ .name = "rekey-write", .begin = warm, .run = write_pair, .where = FULL_BUCKET, .count = 1 },
	{ .name = "upgrade", .begin = hold_read, .run = upgrade_read, .count = 1 },
	{ .name = "upgrade-intent", .begin = hold_intent, .run = upgrade_read, .count = 1 },
	{ .name = "upgrade-twice", .begin = hold_read, .run = upgrade_to_intent, .count = 1 },
	{ .name = "release-awaited", .begin = hold_write, .run = give_first, .count = 1, .awaited = 1 },
	{ .name = "release-read-awaited", .begin = hold_read, .run = give_first, .count = 1, .awaited = 1 },
	{ .name = "release-intent-awaited", .begin = hold_intent, .run = give_first, .count = 1, .awaited = 1 },
	{ .name = "page-of-records", .begin = hold_sixteen, .run = read_pair, .count = 17 },
	{ .name = "chain", .begin = hold_three, .run = read_pair, .where = ONE_BUCKET, .count = 4 },
	{ .name = "leave", .begin = hold_three, .run = leave, .count = 4 },
	{ .name = "recover-write", .of = "write", .begin = warm, .run = reset, .count = 1 },
	{ .name = "recover-read", .of = "read-beside-reader", .begin = warm, .run = reset, .count = 1, .others = 1 },
	{ .name = "recover-upgrade", .of = "upgrade-twice", .begin = warm, .run = reset, .count = 1 },
	{ .name = "recover-rekey", .of = "rekey", .begin = warm, .run = reset, .where = FULL_BUCKET, .count = 1 },
	{ .name = "recover-chain", .of = "chain", .begin = warm, .run = reset, .where = ONE_BUCKET, .count = 4 },
	{ .name = "recover-page", .of = "page-of-records", .begin = warm, .run = reset, .count = 17 },
	{ .name = "take-over", .of = "upgrade", .begin = warm, .run = write_pair, .count = 1, .takes_over = 1 },
};

static const struct lock_op *op_of(const char *name)
{
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

/* --- addresses */

static void *next_of_bucket(uint32_t bucket, uint64_t *last)
{
	do
		*last += 8;
	while (sas_lock_bucket(*last) != bucket);
	return (void *)*last;
}

static uint64_t last_full;      /* address of the bucket that is full */

static void choose(const struct lock_op *op)
{
	uint64_t last = (uintptr_t)base;
	uint32_t bucket = (uint32_t)(fresh * 7 + 11) % SAS_RUN_BUCKETS;

	fresh++;
	for (unsigned i = 0; i < op->count; i++)
		switch (op->where) {
		case SAME:
			at[i] = base + 4096 + 64 * i;
			break;
		case FRESH:
			at[i] = base + (1 << 20) + 64 * (fresh * ADDRESSES + i);
			break;
		case ONE_BUCKET:
			at[i] = next_of_bucket(bucket, &last);
			break;
		case FULL_BUCKET:
			at[i] = next_of_bucket(5, &last_full);
			break;
		}
}

/* --- one who lives, and locks as it is told */

static struct { int pid, to, from; } prober;
struct request { void *address; sas_userlock_request_t mode; long milliseconds; int keeps; };

static void probe_for_ever(int in, int out)
{
	struct request r;
	int error;

	while (read(in, &r, sizeof r) == sizeof r) {
		error = r.keeps >= 0 && SASLockTake(r.address, r.mode, 0, r.milliseconds) != 0 ? errno : 0;
		if (!error && r.keeps <= 0)
			MUST(SASLockGive(r.address) == 0);
		if (write(out, &error, sizeof error) != sizeof error)
			break;
	}
	_exit(0);
}

static void start_prober(void)
{
	int to[2], from[2];

	MUST(pipe(to) == 0 && pipe(from) == 0);
	prober.pid = scene_fork(PATIENCE);
	if (prober.pid == 0) {
		close(to[1]);
		close(from[0]);
		probe_for_ever(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	prober.to = to[1];
	prober.from = from[0];
}

static void ask(struct request r)
{
	MUST(write(prober.to, &r, sizeof r) == sizeof r);
}

static int answer(void)
{
	struct pollfd p = { .fd = prober.from, .events = POLLIN };
	int error;

	if (poll(&p, 1, 10000) != 1)
		scene_fail(scene, "a survivor hangs in its call");
	MUST(read(prober.from, &error, sizeof error) == sizeof error);
	return error;
}

/* Take it, and give it back. */
static int probe(void *address, sas_userlock_request_t mode)
{
	ask((struct request){ address, mode, 0, 0 });
	return answer();
}

/* --- what is found */

static const struct sas_run *run(void) { return region->run; }

static struct sas_run_line *line_of(void *address, uint64_t *word, uint32_t *place, unsigned *places)
{
	struct sas_run_line *found = NULL;
	uint32_t number = sas_lock_bucket((uintptr_t)address);

	*places = 0;
	*word = 0;
	do {
		struct sas_run_line *line = &run()->lines[number];

		for (uint32_t i = 0; i < SAS_LOCKS_PER_LINE; i++)
			if (line->lock[i].word.word && line->lock[i].key.word == (uintptr_t)address) {
				found = line;
				*place = i;
				*word = line->lock[i].word.word;
				++*places;
			}
		number = line->next.word;
	} while (number);
	return found;
}

static int slot_of(int pid)
{
	for (uint32_t i = 0; i < run()->header->thread_top.word; i++)
		if (run()->threads[i].state.word == SAS_RUN_USED && run()->threads[i].tid == (uint32_t)pid)
			return (int)i;
	return -1;
}

/* The victim's WRITE, which recovery has to tell of. */
static int writes(void *address, int slot)
{
	uint32_t place;
	unsigned places;
	uint64_t word;

	return slot >= 0 && line_of(address, &word, &place, &places) && !sas_lock_rekeying(word) &&
	       (word & SAS_LOCK_WRITE) && sas_lock_slot(word) == (uint32_t)slot;
}

static void judge_table(void)
{
	uint32_t top = run()->header->line_top.word, space = run()->header->line_space.word, reached = 0;
	static uint8_t seen[SAS_RUN_LINES];

	memset(seen, 0, sizeof seen);
	if (top > space)
		scene_fail(scene, "%u lines are in use, and %u have space", top, space);
	for (uint32_t bucket = 0; bucket < SAS_RUN_BUCKETS; bucket++) {
		if (run()->lines[bucket].latch.word)
			scene_fail(scene, "the latch of bucket %u says %#x", bucket, run()->lines[bucket].latch.word);
		for (uint32_t n = run()->lines[bucket].next.word; n; n = run()->lines[n].next.word, reached++)
			if (n >= space || seen[n]++)
				scene_fail(scene, "line %u is in two chains, or nowhere", n);
	}
	/* One more may be in its chain already: line_link says so. */
	if (reached != top - SAS_RUN_BUCKETS && !(run()->header->line_link.word && reached == top - SAS_RUN_BUCKETS + 1))
		scene_fail(scene, "%u lines are in chains, of %u", reached, top - SAS_RUN_BUCKETS);
}

static void judge_slots(void)
{
	for (uint32_t i = 0; i < run()->header->page_top.word; i++) {
		uint32_t owner = run()->pages[i].owner.word;

		if (owner && run()->threads[owner - 1].state.word != SAS_RUN_USED)
			scene_fail(scene, "page %u belongs to slot %u, which is free", i, owner - 1);
	}
	for (uint32_t i = 0; i < run()->header->thread_top.word; i++) {
		const struct sas_run_thread *t = &run()->threads[i];

		if (t->state.word == SAS_RUN_USED && t->tid != (uint32_t)getpid() && t->tid != (uint32_t)prober.pid)
			scene_fail(scene, "slot %u still belongs to thread %u, which is dead", i, t->tid);
		if (t->state.word == SAS_RUN_USED)
			continue;
		for (uint32_t k = 0; k < SAS_RUN_HOLDS; k++)
			if (t->holds[k].word)
				scene_fail(scene, "slot %u is free and holds %#x", i, t->holds[k].word);
		if ((t->lock_wait.word & SAS_WAIT_OPEN) || t->lock_latch.word)
			scene_fail(scene, "slot %u is free, and waits or has latch %u", i, t->lock_latch.word);
	}
}

static void judge_word(const struct lock_op *op, unsigned i, int wrote)
{
	uint32_t place = 0, wanted = op->others >> i & 1;
	struct sas_run_line *line;
	unsigned places;
	uint64_t word;

	line = line_of(at[i], &word, &place, &places);
	if (places > 1)
		scene_fail(scene, "address %u has %u places", i, places);
	if (line && (word & (SAS_LOCK_HELD | SAS_LOCK_WAITS)) != wanted)
		scene_fail(scene, "the word of address %u is %#lx; %u readers live", i, word, wanted);
	if ((line && (line->marks[place] & SAS_LOCK_DIED)) != wrote)
		scene_fail(scene, "address %u: a writer %s, and the mark is %d", i, wrote ? "died" : "did not die", !wrote);
}

/* It can be had, and excludes. */
static void judge_use(const struct lock_op *op, unsigned i, int wrote)
{
	int error;

	if (op->others >> i & 1) {
		MUST(SASLockHeld(at[i]) == READ);
		MUST(probe(at[i], WRITE) == EBUSY);
		MUST(probe(at[i], INTENT) == 0);
		MUST(SASLockGive(at[i]) == 0);
	}
	errno = 0;
	error = SASLockTake(at[i], WRITE, SAS_LOCK_OWNERDEAD, 0) == 0 ? 0 : errno;
	if (error != (wrote ? EOWNERDEAD : 0))
		scene_fail(scene, "address %u: %s; a writer %s", i, strerror(error), wrote ? "died" : "did not die");
	MUST(probe(at[i], READ) == EBUSY);
	MUST(SASLockGive(at[i]) == 0);
	MUST(probe(at[i], READ) == 0);
	MUST(probe(at[i], WRITE) == 0);
}

/* --- one try */

struct figures { unsigned long steps, changes, kills, holding, failures; };

static int start(const struct lock_op *op, struct watch *w)
{
	int pid = scene_fork(PATIENCE);

	if (pid == 0) {
		op->begin();
		watch_begin();
		op->run();
		watch_end();
		_exit(0);
	}
	return watch_attach(w, pid);
}

static void prepare(const struct lock_op *op)
{
	choose(op);
	for (unsigned i = 0; i < op->count; i++) {
		/* It has its place; whoever takes it next saves evidence after READ, and none after WRITE. */
		if (op->where == SAME)
			pair(at[i], fresh & 1 ? READ : WRITE);
		if (op->others >> i & 1)
			MUST(SASLockTry(at[i], READ) == 0);
	}
}

/* The other process waits for it: the word says so. */
static void let_wait(void)
{
	uint32_t place;
	unsigned places;
	uint64_t word = 0;

	ask((struct request){ at[0], WRITE, -1, 1 });
	while (!(word & SAS_LOCK_CHANGE_WAITS))
		line_of(at[0], &word, &place, &places);
}

static void end_wait(void)
{
	MUST(answer() == 0);
	ask((struct request){ at[0], WRITE, 0, -1 });
	MUST(answer() == 0);
}

static void judge(const struct lock_op *op, const int *wrote)
{
	SASLockReset();
	judge_table();
	judge_slots();
	for (unsigned i = 0; i < op->count; i++)
		judge_word(op, i, wrote[i]);
	for (unsigned i = 0; i < op->count; i++)
		judge_use(op, i, wrote[i]);
	judge_table();
}

/* Somebody changes the words after the death and before the recovery, as far as they let him. */
static void meddle(const struct lock_op *op)
{
	for (unsigned i = 0; i < op->count; i++)
		probe(at[i], READ);
}

static void kill_and_judge(const struct lock_op *op, struct watch *w, struct figures *f, int meddles)
{
	int slot = slot_of(w->pid), wrote[ADDRESSES] = { 0 }, holds = 0;

	for (unsigned i = 0; i < op->count; i++)
		holds += wrote[i] = writes(at[i], slot);
	f->kills++;
	f->holding += holds != 0;
	watch_kill(w);
	if (op->awaited) {
		end_wait();
	} else if (meddles) {
		meddle(op);
	}
	judge(op, wrote);
}

/* Killed after so many steps; by the trace if there is one. 0: it went another way, and was at the end before. */
static int kill_once(const struct lock_op *op, uint64_t steps, const struct trace *trace, struct figures *f)
{
	struct watch w;
	int there = 1;

	prepare(op);
	if (start(op, &w) != 0)
		scene_fail(scene, "the process did not come to the operation");
	if (op->awaited)
		let_wait();
	if (trace)
		there = trace_go(trace, &w, steps);
	else
		watch_skip(&w, steps);
	kill_and_judge(op, &w, f, (int)(steps + fresh) & 1);
	return there;
}

static struct trace way;        /* of an operation that is no recovery */

/* Where it is short, operations go more ways than one, by who had the lock last; steps find all of them. */
static void kill_at(const struct lock_op *op, uint64_t steps, struct figures *f)
{
	if (steps <= FAR || !kill_once(op, steps, &way, f))
		kill_once(op, steps, NULL, f);
}

/* The one that is to recover has joined before: a join recovers as well. */
static void kill_first(const struct lock_op *op, uint64_t first, struct watch *second, int *wrote)
{
	struct watch w;

	prepare(op);
	if (start(op, second) != 0 || start(op_of(op->of), &w) != 0)
		scene_fail(scene, "a process did not come to the operation");
	watch_skip(&w, first);
	for (unsigned i = 0; i < op->count; i++)
		wrote[i] = writes(at[i], slot_of(w.pid));
	watch_kill(&w);
}

/* The one is killed, then the one that recovers it. */
static void kill_both(const struct lock_op *op, uint64_t first, uint64_t second, struct figures *f)
{
	int wrote[ADDRESSES] = { 0 };
	struct watch w;

	kill_first(op, first, &w, wrote);
	watch_skip(&w, second);
	/* Who has taken over dies with the lock as well. */
	for (unsigned i = 0; i < op->count; i++)
		wrote[i] |= writes(at[i], slot_of(w.pid));
	f->kills += 2;
	watch_kill(&w);
	if (second & 1)
		meddle(op);
	judge(op, wrote);
}

/* Run it through, and note after which steps SAS.run has changed. */
static unsigned find_points(const struct lock_op *op, struct watch *w, uint64_t *points, uint64_t *steps, int *wrote)
{
	uintptr_t low = (uintptr_t)run()->header, high = low + ((run()->size + 4095) & ~4095UL);
	enum watch_event event;
	unsigned count = 0;

	watch_range(w, low, high);
	trace_begin(&way);
	while ((event = watch_step(w)) != WATCH_STOPPED && event != WATCH_GONE) {
		trace_note(&way, w);
		if (event == WATCH_STORE && w->changed && count < POINTS)
			points[count++] = w->steps;
	}
	*steps = w->steps;
	if (event == WATCH_GONE)
		scene_fail(scene, "the process ended inside the operation");
	watch_no_range(w);
	for (unsigned i = 0; i < op->count; i++)
		wrote[i] |= writes(at[i], slot_of(w->pid));
	watch_kill(w);
	return count;
}

/* --- an operation */

static int size;                /* 0 ci, 1, 2 long */

static void recoveries(const struct lock_op *op, struct figures *f)
{
	static uint64_t first[POINTS], second[POINTS];
	const struct lock_op *of = op_of(op->of);
	uint64_t steps;
	unsigned firsts, seconds, stride;
	struct watch w;
	int wrote[ADDRESSES] = { 0 };

	prepare(op);
	if (start(of, &w) != 0)
		scene_fail(scene, "the first process did not come to the operation");
	firsts = find_points(of, &w, first, &steps, wrote);
	judge(op, wrote);
	stride = size == 2 ? 1 : 1 + firsts / (size ? 6 : 3);
	for (unsigned i = 0; i < firsts; i += stride) {
		unsigned apart;

		/* What the recovery of this death has to do. */
		kill_first(op, first[i], &w, wrote);
		seconds = find_points(op, &w, second, &steps, wrote);
		f->steps += steps;
		f->changes += seconds;
		judge(op, wrote);
		apart = size == 2 ? 1 : 1 + seconds / (size ? 8 : 4);
		for (unsigned k = i % apart; k < seconds; k += apart)
			kill_both(op, first[i], second[k] + (k & 1), f);
	}
}

static void try_all(const struct lock_op *op, struct figures *f)
{
	static uint64_t points[POINTS];
	int wrote[ADDRESSES] = { 0 };
	struct watch w;
	uint64_t steps;
	unsigned count;

	if (op->of) {
		recoveries(op, f);
		return;
	}
	prepare(op);
	if (start(op, &w) != 0)
		scene_fail(scene, "the process did not come to the operation");
	if (op->awaited)
		let_wait();
	count = find_points(op, &w, points, &steps, wrote);
	if (op->awaited)
		end_wait();
	judge(op, wrote);
	f->steps = steps;
	f->changes = count;
	/* Every instruction; or each change, and the instruction after it; or every other one of them. */
	for (uint64_t n = 0; size == 2 && n <= steps; n++)
		kill_at(op, n, f);
	for (unsigned i = 0; size < 2 && i < count; i += size ? 1 + count / 40 : 1 + count / 12) {
		kill_at(op, points[i], f);
		kill_at(op, points[i] - 1, f);
	}
	for (uint64_t n = fresh % 7; size == 1 && n <= steps; n += 1 + steps / 30)
		kill_at(op, n, f);
}

static void fill_bucket(void)
{
	last_full = (uintptr_t)base;
	for (unsigned i = 0; i < FULL; i++)
		pair(next_of_bucket(5, &last_full), READ);
}

static void live(const struct lock_op *op, struct figures *f, const char *path)
{
	setenv("SASSTOREPATH", path, 1);
	MUST(SASJoinRegion() == 0);
	region = SASRegionDefault();
	base = (char *)region->base;
	start_prober();
	fill_bucket();
	pair(base + 8, WRITE);
	MUST(probe(base + 8, WRITE) == 0);
	try_all(op, f);
	_exit(0);
}

/* --- the test */

static int is_chosen(const struct lock_op *op, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], op->name) == 0)
			return 1;
	return argc < 2;
}

static int test(int argc, char **argv)
{
	struct figures *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum = { 0 };
	unsigned seed = scene_seed();
	char path[PATH_MAX];

	scene = scene_new();
	setenv("SAS_BASE", "0x565800000000", 1);
	setenv("SAS_REGION_SIZE", "64M", 1);
	setenv("SAS_SEGMENT_SIZE", "2M", 1);
	if (size == 0 && argc < 2)
		printf("one recovery in %u: SAS_TEST_SEED=%#x\n", ONE_IN, seed);
	printf("%-24s %8s %8s %8s %8s\n", "operation", "steps", "changes", "kills", "writing");
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		int pid;

		if (!is_chosen(&ops[i], argc, argv) || (size == 0 && argc < 2 && ops[i].of && (i + seed) % ONE_IN != 0))
			continue;
		memset(f, 0, sizeof *f);
		scene->failed = 0;
		store_make(path, "locks");
		pid = scene_fork(PATIENCE);
		if (pid == 0)
			live(&ops[i], f, path);
		if (scene_wait(scene, pid, "the survivor") != 0) {
			f->failures++;
			printf("FAIL %s: kill %lu: %s\n", ops[i].name, f->kills, scene->sentence);
		}
		printf("%-24s %8lu %8lu %8lu %8lu\n", ops[i].name, f->steps, f->changes, f->kills, f->holding);
		fflush(stdout);
		sum.steps += f->steps;
		sum.changes += f->changes;
		sum.kills += f->kills;
		sum.holding += f->holding;
		sum.failures += f->failures;
	}
	printf("%-24s %8lu %8lu %8lu %8lu\n", "all", sum.steps, sum.changes, sum.kills, sum.holding);
	printf("real kills: %lu, %s\n", sum.kills, sum.failures ? "NOT all survived" : "all survived");
	return sum.failures != 0;
}

int main(int argc, char **argv)
{
	const char *why = "", *text = getenv("SAS_TEST_SIZE");

	size = !text ? 1 : strcmp(text, "long") == 0 ? 2 : strcmp(text, "ci") == 0 ? 0 : 1;
	for (int i = 1; i < argc; i++)
		if (!op_of(argv[i])) {
			fprintf(stderr, "usage: crash_lock [OPERATION...]: no operation is called %s\n", argv[i]);
			return 2;
		}
	if (!watch_possible(&why)) {
		printf("skipped: %s\n", why);
		return 77;
	}
	return store_run_test(test, argc, argv);
}
