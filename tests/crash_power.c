/* SPDX-License-Identifier: MIT */
/*
 * crash_power.c - power cuts at any point of a process at work: what the library promised is there.
 *
 * The process is stepped; at sampled stores, and before and after each sync, the disk as a cut may leave it
 * is written to a directory, under another boot's id, and joined by a fresh process.
 *
 * crash_power [DURABILITY...] [SEED...]: these alone.
 */
#include <config.h>

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "crash/disk.h"
#include "crash/promise.h"
#include "crash/store.h"
#include "crash/watch.h"
#include "sas/media/layout.h"

#define SEGMENT (8UL << 20)     /* its block map has two pages */
#define SEGMENTS 4
#define PATIENCE 120
#define TELL 10

struct power_size {
	unsigned seeds, calls;
	unsigned rarity;        /* one image in so many points */
};

static const char *const durabilities[] = { "process", "disk", "pmem" };

struct power {
	struct scene *scene;
	struct promises *promises;
	struct disk disk;
	struct power_size size;
	unsigned seed;
	uint64_t points, images, clean, torn, none, joined, refused, failures, syncs;
};

static struct power_size test_size(void)
{
	const char *text = getenv("SAS_TEST_SIZE");

	if (text && strcmp(text, "long") == 0)
		return (struct power_size){ .seeds = 200, .calls = 80, .rarity = 4 };
	if (text && strcmp(text, "ci") == 0)
		return (struct power_size){ .seeds = 1, .calls = 30, .rarity = 60 };
	return (struct power_size){ .seeds = 3, .calls = 60, .rarity = 24 };
}

/* --- one cut */

/* Another boot than ours wrote this. */
static void change_boot(struct power *p, const char *image)
{
	char name[PATH_MAX + 32];
	struct sas_m_state state;
	int fd;

	snprintf(name, sizeof name, "%s/SAS00000.DAT", image);
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (pread(fd, &state, sizeof state, SAS_M_PAGE) == sizeof state) {
		memset(state.boot_id, 0xB0, sizeof state.boot_id);
		p->clean += state.clean;
		if (pwrite(fd, &state, sizeof state, SAS_M_PAGE) != sizeof state)
			store_give_up("cannot write", name);
	}
	close(fd);
}

static void cut(struct power *p)
{
	struct scene *s = p->scene;
	char image[PATH_MAX];
	int pid;

	store_make(image, "image");
	disk_cut(&p->disk, image);
	change_boot(p, image);
	p->images++;
	s->failed = 0;
	pid = scene_fork(PATIENCE);
	if (pid == 0) {
		promise_verify(s, p->promises, image);
		_exit(0);
	}
	if (scene_wait(s, pid, "the process after the cut") == 0) {
		p->torn += s->torn && s->verdict;
		p->none += s->verdict == 0;
		p->joined += s->verdict == 1;
		p->refused += s->verdict == 2;
	} else if (p->failures++ < TELL) {
		printf("FAIL %s, seed %u, cut in %s: %s\n", durabilities[p->promises->durability], p->seed,
		       p->promises->doing, s->sentence);
	}
}

/* --- one process at work */

/* Works on a region; or copies it, which is at rest in `from`. */
static void operate(struct power *p, const char *path, const char *from)
{
	promise_port(p->promises);
	watch_begin();
	if (from)
		promise_copy(p->scene, p->promises, from, path);
	else
		promise_work(p->scene, p->promises, path);
	watch_end();
	_exit(0);
}

static void step_through(struct power *p, struct watch *w)
{
	enum watch_event event;

	watch_range(w, SCENE_BASE, SCENE_BASE + SEGMENTS * SEGMENT);
	for (;;) {
		event = watch_step(w);
		if (event == WATCH_STOPPED || event == WATCH_GONE)
			break;
		if (event == WATCH_CALL) {
			int early = w->call.number == PROMISE_SETTLED || p->promises->dense ||
				    disk_draw(&p->disk, p->size.rarity * 2) == 0;

			if (early)
				cut(p);
			if (!disk_note_call(&p->disk, w) && !early)
				continue;
		} else if (event != WATCH_STORE || !w->changed) {
			continue;
		}
		p->points++;
		if (disk_draw(&p->disk, 40) == 0)
			disk_write_back(&p->disk);
		if ((event == WATCH_CALL && p->promises->dense) || disk_draw(&p->disk, p->size.rarity) == 0)
			cut(p);
	}
	if (event == WATCH_STOPPED) {
		cut(p);
		watch_kill(w);
	} else if (p->failures++ < TELL) {
		printf("FAIL seed %u: the process ended in %s: %s\n", p->seed, p->promises->doing,
		       p->scene->sentence);
	}
}

static void watch_work(struct power *p, const char *path, const char *from)
{
	struct watch w;
	int pid;

	disk_init(&p->disk, path, SCENE_BASE, SEGMENT, p->seed + 1000, p->promises->durability == SASDurability__PMEM);
	pid = scene_fork(3600);
	if (pid == 0)
		operate(p, path, from);
	if (watch_attach(&w, pid) != 0)
		store_give_up("cannot watch", "the process");
	w.quick = 1;
	step_through(p, &w);
	p->syncs += p->disk.syncs;
	disk_free(&p->disk);
}

/* What the source has is promised of its copy, once that is there, whatever the durability. */
static void run_copy(struct power *p, const char *from)
{
	char path[PATH_MAX];

	store_make(path, "copy");
	p->promises->copying = p->promises->strict = 1;
	p->promises->exists = 0;
	watch_work(p, path, from);
}

static void run(struct power *p, unsigned seed, sas_durability_t durability)
{
	char path[PATH_MAX];
	uint64_t failures = p->failures;

	store_make(path, "work");
	memset(p->promises, 0, sizeof *p->promises);
	p->promises->durability = durability;
	p->promises->strict = durability != SASDurability__PROCESS;
	p->promises->seed = p->seed = seed;
	p->promises->calls = p->size.calls;
	p->promises->region_size = SEGMENTS * SEGMENT;
	p->promises->segment_size = SEGMENT;
	watch_work(p, path, NULL);
	if (p->failures == failures)
		run_copy(p, path);
}

/* --- all */

static void print_line(const struct power *p, const char *name)
{
	printf("%-10s %8lu %7lu %8lu %8lu %8lu %8lu %8lu %8lu %8lu\n", name, p->points, p->syncs, p->images,
	       p->clean, p->torn, p->none, p->joined, p->refused, p->failures);
}

static struct promises *new_promises(void)
{
	void *m = mmap(NULL, sizeof(struct promises), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		       0);

	if (m == MAP_FAILED)
		store_give_up("no memory for", "promises");
	return m;
}

static int test(int argc, char **argv)
{
	static struct power p;
	struct scene *scene = scene_new();
	struct promises *promises = new_promises();
	uint64_t failures = 0;
	unsigned seeds = 0, wanted = 0;

	for (int i = 1; i < argc; i++) {
		unsigned d = 0;

		while (d < 3 && strcmp(argv[i], durabilities[d]) != 0)
			d++;
		wanted |= d < 3 ? 1U << d : 0;
		seeds += d == 3;
	}
	printf("%-10s %8s %7s %8s %8s %8s %8s %8s %8s %8s\n", "durability", "points", "syncs", "images",
	       "clean", "torn", "none", "joined", "EUCLEAN", "failed");
	for (sas_durability_t d = SASDurability__PROCESS; d <= SASDurability__PMEM; d++) {
		if (wanted && !(wanted >> d & 1))
			continue;
		memset(&p, 0, sizeof p);
		p.scene = scene;
		p.promises = promises;
		p.size = test_size();
		for (int i = 1; i < argc; i++)
			if (atoi(argv[i]) > 0)
				run(&p, (unsigned)atoi(argv[i]), d);
		for (unsigned seed = 1; !seeds && seed <= p.size.seeds; seed++)
			run(&p, seed, d);
		print_line(&p, durabilities[d]);
		failures += p.failures;
	}
	return failures != 0;
}

int main(int argc, char **argv)
{
	const char *why;

	if (!watch_possible(&why)) {
		printf("skipped: %s\n", why);
		return 77;
	}
	return store_run_test(test, argc, argv);
}
