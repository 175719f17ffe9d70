/* SPDX-License-Identifier: MIT */
/*
 * test_context_path.c - paths through contexts in contexts, and project contexts.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <sassim.h>
#include <sassimpleheap.h>
#include <sphcontext.h>
#include "fixture.h"

static SPHContext_t root;

static void set_up(void)
{
	default_begin();
	root = SPHContextCreate(64 * KIB);
	help_succeeds(root != NULL);
}

static void *value_of(uint64_t n)
{
	return (void *)n;
}

/* --- paths */

START_TEST(paths_lead_through_contexts)
{
	SPHContext_t a;

	help_succeeds(SPHContextAddPath(root, "a/b/c", value_of(16)) == 1);
	a = SPHContextFindByName(root, "a");
	ck_assert_int_eq(SPHContextIs(a), 1);
	ck_assert_ptr_eq(SPHContextFindPath(root, "a/b/c"), value_of(16));
	ck_assert_ptr_eq(SPHContextFindPath(root, "//a///b/c//"), value_of(16));
	ck_assert_ptr_eq(SPHContextFindPath(root, "a"), a);
	ck_assert_ptr_eq(SPHContextFindPath(a, "b/c"), value_of(16));
	help_succeeds(SPHContextAddPath(root, "a/b/d", value_of(32)));
	help_succeeds(SPHContextAddPath(root, "top", value_of(48)));
	ck_assert_ptr_eq(SPHContextFindByName(SPHContextFindPath(root, "a/b"), "d"), value_of(32));
	help_fails(SPHContextFindPath(root, "a/x/c") == NULL, ENOENT);
	help_fails(SPHContextFindPath(root, "a/b/c/d") == NULL, ENOTDIR);
	help_fails(SPHContextFindByName(root, "a/b") == NULL, ENOENT);
	ck_assert_int_eq(SPHContextGetCount(root), 2);
}
END_TEST

START_TEST(wrong_paths_change_nothing)
{
	char *path = malloc(3000);
	uint64_t before;

	memset(path, 'n', 3000);
	strcpy(path + SPH_CONTEXT_NAME_MAX + 1, "/x");
	help_succeeds(SPHContextAddPath(root, "a/b", value_of(16)));
	before = help_sum(region, SASBlock__IN_USE);
	help_fails(!SPHContextAddPath(root, "a/b", value_of(32)), EEXIST);
	help_fails(!SPHContextAddPath(root, "a", value_of(32)), EEXIST);
	help_fails(!SPHContextAddPath(root, "a/b/c", value_of(32)), ENOTDIR);
	help_fails(!SPHContextAddPath(root, "", value_of(32)), EINVAL);
	help_fails(!SPHContextAddPath(root, "//", value_of(32)), EINVAL);
	help_fails(!SPHContextAddPath(root, NULL, value_of(32)), EINVAL);
	help_fails(!SPHContextAddPath(root, "x/y", NULL), EINVAL);
	help_fails(!SPHContextAddPath(value_of(0), "x", value_of(32)), EINVAL);
	help_fails(!SPHContextAddPath(root, path, value_of(32)), ENAMETOOLONG);
	strcpy(path + SPH_CONTEXT_NAME_MAX + 1, "nn/x");
	path[1] = '/';
	help_fails(!SPHContextAddPath(root, path, value_of(32)), ENAMETOOLONG);
	help_fails(SPHContextFindPath(root, "/") == NULL, EINVAL);
	help_fails(SPHContextRemovePath(root, NULL) == -1, EINVAL);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before);
	ck_assert_int_eq(SPHContextGetCount(root), 1);
	free(path);
}
END_TEST

START_TEST(no_space_for_a_path_leaves_nothing)
{
	uint64_t before;
	void *block;

	while ((block = SASBlockAlloc(2 * MIB)))
		;
	while ((block = SASBlockAlloc(256 * KIB)))
		;
	before = help_sum(region, SASBlock__IN_USE);
	help_fails(!SPHContextAddPath(root, "a/b/c/d/e/f/g/h", value_of(16)), ENOMEM);
	ck_assert_uint_eq(help_sum(region, SASBlock__IN_USE), before);
	ck_assert_int_eq(SPHContextGetCount(root), 0);
}
END_TEST

START_TEST(remove_path_takes_one_name)
{
	help_succeeds(SPHContextAddPath(root, "a/b/c", value_of(16)));
	ck_assert_int_eq(SPHContextRemovePath(root, "a/b/c"), 0);
	help_fails(SPHContextRemovePath(root, "a/b/c") == -3, ENOENT);
	help_fails(SPHContextRemovePath(root, "x/b/c") == -3, ENOENT);
	ck_assert_int_eq(SPHContextIs(SPHContextFindPath(root, "a/b")), 1);
	help_succeeds(SPHContextAddName(root, "number", value_of(16)));
	help_fails(SPHContextRemovePath(root, "number/c") == -1, ENOTDIR);
}
END_TEST

START_TEST(circles_end_with_the_path)
{
	help_succeeds(SPHContextAddName(root, "self", root));
	help_succeeds(SPHContextAddPath(root, "a/up", root));
	ck_assert_ptr_eq(SPHContextFindPath(root, "self/self/self/a/up/self"), root);
	help_succeeds(SPHContextAddPath(root, "self/a/up/b", value_of(16)));
	ck_assert_ptr_eq(SPHContextFindByName(root, "b"), value_of(16));
	help_fails(SPHContextFindPath(root, "self/self/none") == NULL, ENOENT);
}
END_TEST

#define DEEP 40U

START_TEST(paths_may_be_deep)
{
	char path[2 * DEEP + 1] = "";

	for (unsigned i = 0; i < DEEP; i++)
		strcat(path, "d/");
	help_succeeds(SPHContextAddPath(root, path, value_of(16)));
	ck_assert_ptr_eq(SPHContextFindPath(root, path), value_of(16));
}
END_TEST

#define RACERS 4U

static void race(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	char path[64];

	must(SASJoinRegion() == 0);
	for (unsigned i = 0; i < 12; i++) {
		snprintf(path, sizeof path, "p%u/q%u/r/%u", i / 4, i, me);
		must(SPHContextAddPath(root, path, value_of(me + 1)) == 1);
	}
	SASCleanUp();
}

START_TEST(processes_make_one_way)
{
	pid_t pid[RACERS];
	char path[64];
	size_t count;

	SASCleanUp();
	for (uintptr_t i = 0; i < RACERS; i++)
		pid[i] = help_fork(race, (void *)i);
	for (unsigned i = 0; i < RACERS; i++)
		help_done(pid[i]);
	ck_assert_int_eq(SASJoinRegion(), 0);
	region = SASRegionDefault();
	for (unsigned i = 0; i < 12 * RACERS; i++) {
		snprintf(path, sizeof path, "p%u/q%u/r/%u", i / RACERS / 4, i / RACERS, i % RACERS);
		ck_assert_ptr_eq(SPHContextFindPath(root, path), value_of(i % RACERS + 1));
	}
	/* root, 3, 12 and 12, of three blocks each, and nothing that a slower one has left. */
	free(help_list(region, SASBlock__IN_USE, &count));
	SPHContextDestroy(root);
	{
		size_t after;

		free(help_list(region, SASBlock__IN_USE, &after));
		ck_assert_uint_eq(count - after, 3);
		ck_assert_uint_ge(count, 28 * 3);
		ck_assert_uint_le(count, 28 * 3 + 4);
	}
}
END_TEST

/* --- projects */

START_TEST(projects_hang_off_the_finder)
{
	SPHContext_t project, other;

	ck_assert_ptr_null(getCurrentProjectContext());
	help_fails(getProjectContextByName("one") == NULL, ENOENT);
	help_fails(SPHDestroyProjectContext("one") == 1, ENOENT);
	help_fails(SPHRemoveProjectContext("one") == NULL, ENOENT);
	ck_assert_ptr_null(getSASFinder());
	project = SPHSetupProjectContext("one");
	help_succeeds(project != NULL);
	ck_assert_ptr_eq(getCurrentProjectContext(), project);
	ck_assert_uint_eq(SPHContextFreeSpace(project), MIB - 128);
	ck_assert_uint_eq(SPHContextFreeSpace(getSASFinder()), 64 * KIB - 128 - 16);
	ck_assert_ptr_eq(SPHContextFindByName(getSASFinder(), "one"), project);
	other = SPHSetupAltProjectContext("two");
	ck_assert_ptr_nonnull(other);
	ck_assert_ptr_eq(getCurrentProjectContext(), project);
	ck_assert_ptr_eq(SPHSetupProjectContext("one"), project);
	ck_assert_ptr_eq(getProjectContextByName("two"), other);
	ck_assert_ptr_eq(SPHRemoveProjectContext("one"), project);
	ck_assert_ptr_null(getCurrentProjectContext());
	ck_assert_int_eq(SPHContextIs(project), 1);
	ck_assert_int_eq(SPHDestroyProjectContext("two"), 0);
	ck_assert_int_eq(SPHContextIs(other), 0);
	help_fails(SPHDestroyProjectContext("two") == 1, ENOENT);
	ck_assert_int_eq(SPHContextDestroy(project), 0);
}
END_TEST

START_TEST(projects_are_there_in_the_next_run)
{
	SPHContext_t project = SPHSetupProjectContext("one");

	SASCleanUp();
	help_fails(SPHSetupProjectContext("one") == NULL, EINVAL);
	help_fails(getProjectContextByName("one") == NULL, EINVAL);
	ck_assert_int_eq(SASJoinRegion(), 0);
	region = SASRegionDefault();
	ck_assert_ptr_eq(getProjectContextByName("one"), project);
	ck_assert_ptr_eq(SPHSetupProjectContext("one"), project);
}
END_TEST

START_TEST(projects_refuse_what_is_no_context)
{
	help_fails(SPHSetupProjectContext(NULL) == NULL, EINVAL);
	help_fails(SPHSetupProjectContext("") == NULL, EINVAL);
	setSASFinder(SASSimpleHeapCreate(4096));
	help_fails(SPHSetupProjectContext("one") == NULL, EEXIST, "finder");
	help_fails(SPHSetupAltProjectContext("one") == NULL, EEXIST, "finder");
	help_fails(getProjectContextByName("one") == NULL, EEXIST, "finder");
	help_fails(SPHRemoveProjectContext("one") == NULL, EEXIST, "finder");
	help_fails(SPHDestroyProjectContext("one") == -1, EEXIST, "finder");
	setSASFinder(root);
	help_succeeds(SPHContextAddName(root, "one", value_of(16)));
	help_fails(SPHSetupProjectContext("one") == NULL, EEXIST, "one");
	help_fails(SPHDestroyProjectContext("one") == -1, EEXIST, "one");
	ck_assert_ptr_eq(SPHContextFindByName(root, "one"), value_of(16));
	ck_assert_ptr_null(getCurrentProjectContext());
}
END_TEST

static void *set_up_project(void *arg)
{
	(void)arg;
	return SPHSetupProjectContext("same");
}

START_TEST(threads_set_up_one_project)
{
	pthread_t threads[4];
	void *got, *first = NULL;

	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, set_up_project, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], &got);
		ck_assert_ptr_nonnull(got);
		ck_assert(!first || first == got);
		first = got;
	}
}
END_TEST

static void die_in_setup(void *arg)
{
	must(SASJoinRegion() == 0);
	for (;;) {
		must(SPHSetupProjectContext("dying") != NULL);
		must(SPHDestroyProjectContext("dying") == 0);
		__atomic_fetch_add((uint64_t *)arg, 1, __ATOMIC_RELAXED);
	}
}

START_TEST(deaths_in_setups_leave_the_root)
{
	uint64_t *rounds = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t state = help_seed("deaths_in_setups_leave_the_root"), before;
	long kills = help_size(5, 20, 400);
	pid_t pid;

	ck_assert_ptr_ne(rounds, MAP_FAILED);
	for (long i = 0; i < kills; i++) {
		before = *rounds;
		pid = help_fork(die_in_setup, rounds);
		ck_assert(until(__atomic_load_n(rounds, __ATOMIC_RELAXED) > before, PATIENCE));
		help_spin(help_below(&state, 2000000));
		kill(pid, SIGKILL);
		ck_assert_int_eq(help_wait(pid, PATIENCE), 128 + SIGKILL);
		/* The lock is had at once, and what was begun is there or not. */
		help_succeeds(SPHSetupProjectContext("mine") != NULL);
		ck_assert_int_eq(SPHContextCheck(getSASFinder(), NULL, NULL), 0);
		ck_assert_int_eq(SPHDestroyProjectContext("mine"), 0);
		errno = 0;
		ck_assert(SPHDestroyProjectContext("dying") == 0 || errno == ENOENT);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("paths and projects");
	TCase *c = help_case(suite, "paths");

	tcase_add_checked_fixture(c, set_up, default_end);
	tcase_add_test(c, paths_lead_through_contexts);
	tcase_add_test(c, wrong_paths_change_nothing);
	tcase_add_test(c, no_space_for_a_path_leaves_nothing);
	tcase_add_test(c, remove_path_takes_one_name);
	tcase_add_test(c, circles_end_with_the_path);
	tcase_add_test(c, paths_may_be_deep);
	tcase_add_test(c, processes_make_one_way);
	tcase_add_test(c, projects_hang_off_the_finder);
	tcase_add_test(c, projects_are_there_in_the_next_run);
	tcase_add_test(c, projects_refuse_what_is_no_context);
	tcase_add_test(c, threads_set_up_one_project);
	help_add_death(c, deaths_in_setups_leave_the_root);
	return help_main(suite);
}
