/* SPDX-License-Identifier: MIT */
/*
 * load.c - copies of the library in one process, for test_load.sh. Usage:
 *
 *   load local|global|space STORE1 STORE2 LIBRARY...
 *
 * Loads the libraries by dlopen(3), and uses all copies at once. For `space` the last one is loaded by dlmopen(3), in a
 * name space of its own, and must refuse. With -DLINKED the first copy is the one that the program is linked with. With
 * -DALONE there is no other.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef LINKED
#include <sasinspect.h>
#include <sasregion.h>
#include <sassim.h>
#include <sphthread.h>
#endif

#define BLOCK (2UL << 20)       /* a segment */

#define must(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

struct copy {
	int (*join)(const char *store);
	void (*leave)(void);
	void *(*alloc)(unsigned long size);
	void (*set_finder)(void *finder);
	void *(*finder)(void);
	void (*set_up)(void);
	int (*pid)(void);
	const char *(*message)(void);
	long (*check)(const char *store, void (*problem)(const char *, unsigned long, const char *, void *), void *arg);
	const char *store;
};
static struct copy copies[2];
static unsigned count;
static sigjmp_buf back;
static volatile int foreign;

static void fail(int line, const char *condition)
{
	fprintf(stderr, "load.c:%d: in process %d: %s does not hold (%s)", line, (int)getpid(), condition, strerror(errno));
	for (unsigned i = 0; i < count; i++)
		fprintf(stderr, "; copy %u says \"%s\"", i, copies[i].message());
	fprintf(stderr, "\n");
	_exit(1);
}

#ifndef ALONE
static void *symbol(void *library, const char *name)
{
	void *address = dlsym(library, name);

	if (!address) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return address;
}

static void load(const char *mode, const char *path)
{
	int flags = RTLD_NOW | (strcmp(mode, "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL);
	int apart = strcmp(mode, "space") == 0 && count == 1;
	void *library = apart ? dlmopen(LM_ID_NEWLM, path, RTLD_NOW) : dlopen(path, flags);
	struct copy *c = &copies[count];

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	/* POSIX lets objects be functions. */
	*(void **)&c->join = symbol(library, "SASJoinRegionByName");
	*(void **)&c->leave = symbol(library, "SASCleanUp");
	*(void **)&c->alloc = symbol(library, "SASBlockAlloc");
	*(void **)&c->set_finder = symbol(library, "setSASFinder");
	*(void **)&c->finder = symbol(library, "getSASFinder");
	*(void **)&c->set_up = symbol(library, "SASThreadSetUp");
	*(void **)&c->pid = symbol(library, "sphdeGetPID");
	*(void **)&c->message = symbol(library, "SASLastErrorMessage");
	*(void **)&c->check = symbol(library, "SASRegionCheck");
	must(count == 0 || copies[0].join != c->join);
	count++;
}
#endif

/* A region for each copy: their addresses do not overlap. */
static void join_own(unsigned i)
{
	setenv("SAS_BASE", i == 0 ? "0x300000000000" : "0x310000000000", 1);    /* where it is made */
	must(copies[i].join(copies[i].store) == 0);
}

static char *take(unsigned i)
{
	char *block = copies[i].alloc(BLOCK);

	must(block != NULL);
	return block;
}

/* In a child, so that the segments are mapped nowhere here; then each copy's handler finds its own. */
static void touch_what_a_child_makes(void)
{
	char *made[2] = { NULL, NULL };
	int ends[2], status;
	pid_t pid;

	must(pipe(ends) == 0);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		for (unsigned i = 0; i < count; i++) {
			must(copies[i].pid() == getpid());
			made[i] = take(i);
			memset(made[i], 'a' + (int)i, BLOCK);
		}
		must(write(ends[1], made, sizeof made) == sizeof made);
		_exit(0);
	}
	must(read(ends[0], made, sizeof made) == sizeof made);
	must(waitpid(pid, &status, 0) == pid && status == 0);
	for (unsigned i = 0; i < count; i++)
		must(*(volatile char *)(made[i] + BLOCK - 1) == 'a' + (int)i);
	close(ends[0]);
	close(ends[1]);
}

/* What no copy knows reaches the program's handler, once. */
static void touch_nothing(void)
{
	foreign = 0;
	if (sigsetjmp(back, 1) == 0)
		*(volatile char *)8 = 1;
	must(foreign == 1);
}

static void handle(int number)
{
	(void)number;
	foreign++;
	siglongjmp(back, 1);
}

static void *in_thread(void *arg)
{
	for (unsigned i = 0; i < count; i++) {
		copies[i].set_up();
		take(i);
	}
	return arg;
}

static void work(void)
{
	pthread_t thread;

	for (unsigned i = 0; i < count; i++) {
		char *block = take(i);

		copies[i].set_finder(block);
		must(copies[i].finder() == block);
	}
	touch_what_a_child_makes();
	touch_nothing();
	must(pthread_create(&thread, NULL, in_thread, NULL) == 0);
	must(pthread_join(thread, NULL) == 0);
}

/* The second copy is refused what the first one has joined, and nothing happens to that. */
static void join_the_same(void)
{
	errno = 0;
	must(copies[1].join(copies[0].store) != 0 && errno == EADDRINUSE);
	must(strstr(copies[1].message(), "another copy of this library in this process has joined it") != NULL);
}

static void *key_of_space;

/* It would use the program's thread-specific data. Whatever it is asked to do, those stay. */
static void be_refused(void)
{
	pthread_key_t keys[8];

	for (int k = 0; k < 8; k++) {
		must(pthread_key_create(&keys[k], NULL) == 0);
		must(pthread_setspecific(keys[k], &key_of_space) == 0);
	}
	must(copies[1].join(copies[1].store) != 0);
	must(strstr(copies[1].message(), "dlmopen") != NULL);
	copies[1].leave();
	copies[1].set_up();
	must(copies[1].alloc(BLOCK) == NULL && copies[1].finder() == NULL);
	must(copies[1].pid() == getpid());
	for (int k = 0; k < 8; k++)
		must(pthread_getspecific(keys[k]) == &key_of_space);
	count = 1;
}

int main(int argc, char **argv)
{
	setenv("SAS_REGION_SIZE", "256M", 1);
	setenv("SAS_SEGMENT_SIZE", "2M", 1);
	if (argc < 4)
		return 2;
#ifdef LINKED
	copies[count++] = (struct copy){ .join = SASJoinRegionByName, .leave = SASCleanUp, .alloc = SASBlockAlloc,
		.set_finder = setSASFinder, .finder = getSASFinder, .set_up = SASThreadSetUp, .pid = sphdeGetPID,
		.message = SASLastErrorMessage };
	*(void **)&copies[0].check = (void *)SASRegionCheck;
#endif
#ifndef ALONE
	for (int i = 4; i < argc; i++)
		load(argv[1], argv[i]);
	must(count == 2);
#endif
	copies[0].store = argv[2];
	copies[1].store = argv[3];
	signal(SIGSEGV, handle);
	if (strcmp(argv[1], "space") == 0)
		be_refused();
	for (unsigned i = 0; i < count; i++)
		join_own(i);
	work();
	/* In each order; what is joined again goes over the others' handlers. */
	for (unsigned i = 0; i < count; i++) {
		copies[i].leave();
		touch_nothing();
		if (i == 0 && count == 2)
			must(copies[1].finder() != NULL);
		join_own(i);
		work();
	}
	if (count == 2) {
		copies[1].leave();
		join_the_same();
		join_own(1);
		work();
	}
	for (unsigned i = 0; i < count; i++)
		copies[i].leave();
	touch_nothing();
	for (unsigned i = 0; i < count; i++)
		must(copies[i].check(copies[i].store, NULL, NULL) == 0);
	return 0;
}
