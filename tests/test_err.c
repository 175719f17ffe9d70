/* SPDX-License-Identifier: MIT */
/*
 * test_err.c - sentences, the sink, what is deferred, and the log of SAS_LOG.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sas/ground/err.h"
#include "help.h"

#define TOLD_MAX 64

static struct {
	int level;
	char sentence[SAS_ERR_SENTENCE];
} told[TOLD_MAX];
static int told_count;
static char *log_path;

static void collect(int level, const char *sentence, void *arg)
{
	ck_assert_ptr_eq(arg, &told_count);
	ck_assert_int_lt(told_count, TOLD_MAX);
	told[told_count].level = level;
	strcpy(told[told_count++].sentence, sentence);
}

static void set_up(void)
{
	unsetenv("SAS_LOG");
	told_count = 0;
	log_path = help_path(help_store(), "log");
}

/* Set SAS_LOG to LEVEL:FILE, as the library reads it once per process. */
static void open_log(const char *level)
{
	char value[96];

	snprintf(value, sizeof value, "%s:%s", level, log_path);
	setenv("SAS_LOG", value, 1);
	sas_err_open_env();
}

static void read_log(char *text, size_t size)
{
	FILE *file = fopen(log_path, "r");

	ck_assert_ptr_nonnull(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

static int count_lines(const char *text)
{
	int lines = 0;

	for (; *text != '\0'; text++)
		lines += *text == '\n';
	return lines;
}

START_TEST(last_before_failure_is_empty)
{
	ck_assert_str_eq(sas_err_last(), "");
}
END_TEST

START_TEST(fail_keeps_sentence_and_gives_minus_error)
{
	ck_assert_int_eq(sas_fail(ENOSPC, "no room for segment %d in %s", 7, "here"), -ENOSPC);
	ck_assert_str_eq(sas_err_last(), "no room for segment 7 in here");
}
END_TEST

START_TEST(fail_keeps_errno)
{
	errno = EXDEV;
	sas_fail(ENOSPC, "x");
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(fail_with_last_sentence_as_argument_keeps_both)
{
	sas_fail(EIO, "inner");
	sas_fail(EIO, "outer: %s", sas_err_last());
	ck_assert_str_eq(sas_err_last(), "outer: inner");
}
END_TEST

START_TEST(fail_with_long_sentence_cuts_it)
{
	char text[2 * SAS_ERR_SENTENCE];

	memset(text, 'x', sizeof text);
	text[SAS_ERR_SENTENCE - 1] = '\0';
	sas_fail(EIO, "%s", text);
	ck_assert_str_eq(sas_err_last(), text);
	text[SAS_ERR_SENTENCE - 1] = 'x';
	text[sizeof text - 1] = '\0';
	sas_fail(EIO, "%s", text);
	ck_assert_uint_eq(strlen(sas_err_last()), SAS_ERR_SENTENCE - 1);
	ck_assert_str_eq(sas_err_last() + SAS_ERR_SENTENCE - 5, "x...");
}
END_TEST

static void *fail_in_thread(void *arg)
{
	ck_assert_str_eq(sas_err_last(), "");
	sas_fail(EIO, "thread %d", *(int *)arg);
	return strdup(sas_err_last());
}

START_TEST(last_in_other_thread_is_its_own)
{
	pthread_t threads[8];
	int numbers[8];

	sas_fail(EIO, "main");
	for (int i = 0; i < 8; i++) {
		numbers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fail_in_thread, &numbers[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		char expected[32];
		void *sentence;

		pthread_join(threads[i], &sentence);
		snprintf(expected, sizeof expected, "thread %d", i);
		ck_assert_str_eq(sentence, expected);
		free(sentence);
	}
	ck_assert_str_eq(sas_err_last(), "main");
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static struct rlimit memory_limit;

static void give_memory_back(void **had)
{
	setrlimit(RLIMIT_AS, &memory_limit);
	while (had != NULL) {
		void **next = *had;

		free(had);
		had = next;
	}
}

/* Use up all memory; a list of what was had. NULL where that cannot be. */
static void **exhaust_memory(void)
{
	struct rlimit none;
	void **had = NULL, **block;

	/* The limit would hold for valgrind itself, and an emulator does not pass it on. */
	if (help_instrumented())
		return NULL;
	getrlimit(RLIMIT_AS, &memory_limit);
	none = memory_limit;
	none.rlim_cur = 1;
	if (setrlimit(RLIMIT_AS, &none) != 0)
		return NULL;
	for (size_t size = 1 << 20; size >= sizeof *block; size /= 2) {
		while ((block = malloc(size)) != NULL) {
			*block = had;
			had = block;
		}
	}
	return had;
}

static pthread_barrier_t barrier;

static void *fail_between_barriers(void *arg)
{
	pthread_barrier_wait(&barrier);
	strcpy(arg, (sas_fail(ENOMEM, "second thread"), sas_err_last()));
	pthread_barrier_wait(&barrier);
	return NULL;
}

START_TEST(fail_without_memory_has_sentence)
{
	char first[SAS_ERR_SENTENCE], second[SAS_ERR_SENTENCE];
	pthread_t thread;
	void **had;

	pthread_barrier_init(&barrier, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, fail_between_barriers, second), 0);
	had = exhaust_memory();
	if (had == NULL) {
		puts("fail_without_memory_has_sentence: skipped, memory cannot be limited here");
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		pthread_join(thread, NULL);
		return;
	}
	sas_fail(ENOMEM, "first thread");
	strcpy(first, sas_err_last());
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	give_memory_back(had);
	pthread_join(thread, NULL);
	ck_assert_str_eq(first, "first thread");
	ck_assert_ptr_nonnull(strstr(second, "no memory to keep the sentence"));
}
END_TEST
#endif

START_TEST(sink_hears_levels_up_to_its_own)
{
	sas_err_set_sink(collect, &told_count, SAS_ERR_WARNING);
	sas_fail(EIO, "an error");
	sas_note(SAS_ERR_WARNING, "a warning");
	sas_note(SAS_ERR_INFO, "some news");
	ck_assert_int_eq(told_count, 2);
	ck_assert_int_eq(told[0].level, SAS_ERR_ERROR);
	ck_assert_str_eq(told[0].sentence, "an error");
	ck_assert_int_eq(told[1].level, SAS_ERR_WARNING);
	ck_assert_str_eq(told[1].sentence, "a warning");
}
END_TEST

START_TEST(sink_set_to_null_is_silent)
{
	sas_err_set_sink(collect, &told_count, SAS_ERR_DEBUG);
	sas_err_set_sink(NULL, NULL, SAS_ERR_DEBUG);
	sas_fail(EIO, "unheard");
	ck_assert_int_eq(told_count, 0);
	ck_assert_str_eq(sas_err_last(), "unheard");
}
END_TEST

START_TEST(note_leaves_last_sentence)
{
	sas_fail(EIO, "an error");
	sas_err_set_sink(collect, &told_count, SAS_ERR_DEBUG);
	sas_note(SAS_ERR_WARNING, "a warning");
	ck_assert_str_eq(sas_err_last(), "an error");
}
END_TEST

static void fail_again(int level, const char *sentence, void *arg)
{
	(void)level;
	(void)sentence;
	++*(int *)arg;
	sas_err_defer();
	sas_fail(EPERM, "inside the sink");
	sas_err_flush();
	sas_fail(EPERM, "inside the sink");
}

START_TEST(sink_that_fails_is_not_called_again)
{
	int calls = 0;

	sas_err_set_sink(fail_again, &calls, SAS_ERR_DEBUG);
	sas_fail(EIO, "first");
	ck_assert_int_eq(calls, 1);
	sas_err_defer();
	sas_fail(EIO, "second");
	sas_err_flush();
	ck_assert_int_eq(calls, 2);
}
END_TEST

static void look_at_cancellation(int level, const char *sentence, void *arg)
{
	(void)level;
	(void)sentence;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, arg);
}

START_TEST(sink_runs_with_cancellation_off)
{
	int inside = PTHREAD_CANCEL_ENABLE, after;

	sas_err_set_sink(look_at_cancellation, &inside, SAS_ERR_ERROR);
	sas_fail(EIO, "x");
	ck_assert_int_eq(inside, PTHREAD_CANCEL_DISABLE);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &after);
	ck_assert_int_eq(after, PTHREAD_CANCEL_ENABLE);
}
END_TEST

START_TEST(deferred_messages_are_told_by_last_flush)
{
	sas_err_set_sink(collect, &told_count, SAS_ERR_INFO);
	sas_err_defer();
	sas_fail(EIO, "one");
	sas_err_defer();
	sas_note(SAS_ERR_INFO, "two");
	sas_err_flush();
	ck_assert_int_eq(told_count, 0);
	ck_assert_str_eq(sas_err_last(), "one");
	sas_err_flush();
	ck_assert_int_eq(told_count, 2);
	ck_assert_str_eq(told[0].sentence, "one");
	ck_assert_str_eq(told[1].sentence, "two");
	ck_assert_int_eq(told[1].level, SAS_ERR_INFO);
}
END_TEST

START_TEST(deferred_messages_over_eight_keep_newest_in_order)
{
	char expected[32];

	sas_err_set_sink(collect, &told_count, SAS_ERR_WARNING);
	for (int round = 0; round < 2; round++) {
		told_count = 0;
		sas_err_defer();
		for (int i = 0; i < 11; i++)
			sas_fail(EIO, "message %d", i);
		sas_err_flush();
		ck_assert_int_eq(told_count, 9);
		ck_assert_str_eq(told[0].sentence, "3 messages before the next one are lost");
		for (int i = 1; i < 9; i++) {
			snprintf(expected, sizeof expected, "message %d", i + 2);
			ck_assert_str_eq(told[i].sentence, expected);
		}
	}
}
END_TEST

START_TEST(edge_turns_results_into_errno)
{
	errno = 0;
	ck_assert_int_eq(sas_err_edge(0), 0);
	ck_assert_int_eq(errno, 0);
	ck_assert_int_eq(sas_err_edge(-ENOSPC), -1);
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(log_gets_line_per_message)
{
	char text[8192];
	regex_t line;

	open_log("warning");
	sas_fail(EIO, "an error");
	sas_note(SAS_ERR_INFO, "not asked for");
	sas_note(SAS_ERR_WARNING, "a file named \"a\nb\033[1m\"");
	read_log(text, sizeof text);
	ck_assert_int_eq(regcomp(&line,
				 "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\."
				 "[0-9]{3}Z sasphere\\[[0-9]+\\] error: an error\n"
				 "[^\n]+ warning: a file named \"a\\?b\\?\\[1m\"\n$",
				 REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&line, text, 0, NULL, 0) == 0, "log: %s", text);
	regfree(&line);
}
END_TEST

START_TEST(log_line_tells_date_of_clock)
{
	char text[8192], before[32], after[32];
	time_t now = time(NULL);

	open_log("1");
	strftime(before, sizeof before, "%Y-%m-%dT%H:%M", gmtime(&now));
	sas_fail(EIO, "x");
	now = time(NULL);
	strftime(after, sizeof after, "%Y-%m-%dT%H:%M", gmtime(&now));
	read_log(text, sizeof text);
	ck_assert_msg(strncmp(text, before, strlen(before)) == 0 || strncmp(text, after, strlen(after)) == 0,
		      "log: %s", text);
}
END_TEST

START_TEST(log_has_mode_0600_and_is_appended_to)
{
	static char text[65536];
	struct stat st;

	umask(0);
	open_log("error");
	ck_assert_int_eq(stat(log_path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			for (int j = 0; j < 50; j++)
				sas_fail(EIO, "process %d message %d", i, j);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	read_log(text, sizeof text);
	ck_assert_int_eq(count_lines(text), 200);
}
END_TEST

START_TEST(log_and_sink_both_hear)
{
	char text[8192];

	open_log("error");
	sas_err_set_sink(collect, &told_count, SAS_ERR_ERROR);
	sas_fail(EIO, "for both");
	read_log(text, sizeof text);
	ck_assert_ptr_nonnull(strstr(text, "for both"));
	ck_assert_int_eq(told_count, 1);
}
END_TEST

START_TEST(log_on_descriptor_that_became_another_file_is_not_written)
{
	char *other_path = help_path(help_store(), "other");
	struct stat st;
	int other;

	open_log("error");
	other = open(other_path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(other, 0);
	for (int fd = STDERR_FILENO + 1; fd < other; fd++)
		dup2(other, fd);
	sas_fail(EIO, "must not be written");
	ck_assert_int_eq(fstat(other, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

START_TEST(log_level_that_is_none_is_ignored_with_sentence)
{
	static const char *const bad[] = { "loud", "0", "5", "errors", ":", "warning,info", "11:/tmp/x" };

	setenv("SAS_LOG", bad[_i], 1);
	sas_err_open_env();
	ck_assert_ptr_nonnull(strstr(sas_err_last(), bad[_i]));
	ck_assert_ptr_nonnull(strstr(sas_err_last(), "LEVEL:FILE"));
}
END_TEST

START_TEST(log_on_symbolic_link_is_refused_with_sentence)
{
	char *target = help_path(help_store(), "target");

	ck_assert_int_eq(symlink(target, log_path), 0);
	open_log("error");
	sas_fail(EIO, "goes nowhere");
	ck_assert_int_ne(access(target, F_OK), 0);
}
END_TEST

START_TEST(log_on_symbolic_link_leaves_sentence)
{
	ck_assert_int_eq(symlink("/nowhere/x", log_path), 0);
	open_log("error");
	ck_assert_ptr_nonnull(strstr(sas_err_last(), "cannot open the file"));
}
END_TEST

START_TEST(log_without_file_goes_to_standard_error)
{
	char text[1024];
	int ends[2];
	ssize_t n;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	setenv("SAS_LOG", "info", 1);
	sas_note(SAS_ERR_INFO, "to be seen");   /* reads SAS_LOG by itself */
	n = read(ends[0], text, sizeof text - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(strstr(text, " info: to be seen\n"));
}
END_TEST

START_TEST(log_never_takes_descriptor_of_standard_stream)
{
	char text[8192];

	close(STDIN_FILENO);
	open_log("error");
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1);
	sas_fail(EIO, "x");
	read_log(text, sizeof text);
	ck_assert_int_eq(count_lines(text), 1);
}
END_TEST

static void *fail_in_loop(void *arg)
{
	for (int i = 0; i < 2000; i++)
		sas_fail(EIO, "%s %d", (const char *)arg, i);
	return NULL;
}

static void ignore(int level, const char *sentence, void *arg)
{
	(void)level;
	(void)arg;
	ck_assert_uint_gt(strlen(sentence), 0);
}

START_TEST(set_sink_while_threads_fail_is_safe)
{
	pthread_t threads[4];
	int arguments[3];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fail_in_loop, "thread"), 0);
	for (int i = 0; i < 2000; i++)
		sas_err_set_sink(i % 4 == 0 ? NULL : ignore, &arguments[i % 3], i % 4 + 1);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static void add_sentence_tests(TCase *tests)
{
	tcase_add_test(tests, last_before_failure_is_empty);
	tcase_add_test(tests, fail_keeps_sentence_and_gives_minus_error);
	tcase_add_test(tests, fail_keeps_errno);
	tcase_add_test(tests, fail_with_last_sentence_as_argument_keeps_both);
	tcase_add_test(tests, fail_with_long_sentence_cuts_it);
	tcase_add_test(tests, last_in_other_thread_is_its_own);
	tcase_add_test(tests, edge_turns_results_into_errno);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_test(tests, fail_without_memory_has_sentence);
#endif
}

static void add_sink_tests(TCase *tests)
{
	tcase_add_test(tests, sink_hears_levels_up_to_its_own);
	tcase_add_test(tests, sink_set_to_null_is_silent);
	tcase_add_test(tests, note_leaves_last_sentence);
	tcase_add_test(tests, sink_that_fails_is_not_called_again);
	tcase_add_test(tests, sink_runs_with_cancellation_off);
	tcase_add_test(tests, deferred_messages_are_told_by_last_flush);
	tcase_add_test(tests, deferred_messages_over_eight_keep_newest_in_order);
	tcase_add_test(tests, set_sink_while_threads_fail_is_safe);
}

static void add_log_tests(TCase *tests)
{
	tcase_add_test(tests, log_gets_line_per_message);
	tcase_add_test(tests, log_line_tells_date_of_clock);
	tcase_add_test(tests, log_has_mode_0600_and_is_appended_to);
	tcase_add_test(tests, log_and_sink_both_hear);
	tcase_add_test(tests, log_on_descriptor_that_became_another_file_is_not_written);
	tcase_add_loop_test(tests, log_level_that_is_none_is_ignored_with_sentence, 0, 7);
	tcase_add_test(tests, log_on_symbolic_link_is_refused_with_sentence);
	tcase_add_test(tests, log_on_symbolic_link_leaves_sentence);
	tcase_add_test(tests, log_without_file_goes_to_standard_error);
	tcase_add_test(tests, log_never_takes_descriptor_of_standard_stream);
}

int main(void)
{
	static void (*const add[])(TCase *) = { add_sentence_tests, add_sink_tests, add_log_tests };
	static const char *const names[] = { "sentence", "sink", "log" };
	Suite *suite = suite_create("err");

	for (unsigned i = 0; i < 3; i++) {
		TCase *tests = help_case(suite, names[i]);

		tcase_add_checked_fixture(tests, set_up, NULL);
		add[i](tests);
	}
	return help_main(suite);
}
