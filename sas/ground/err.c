/* SPDX-License-Identifier: MIT */
/*
 * err.c - sentences of failures, the program's sink, and the log of SAS_LOG. Layer 0.
 *
 * Two may listen: the sink that the program sets, and the file that the environment names, so
 * that a program with a sink of its own can be looked at without a change. Both get a message
 * in the thread that causes it; what the sink itself causes goes to the file only.
 *
 * Locks: none; the sink is an immutable record behind one word, so a fork at any moment is safe.
 * Fork: the child's thread keeps its sentence and what it has deferred.
 * Cancellation is off while listeners are told: the caller still has things to undo.
 * TLS: 16 bytes, initial-exec, so that the library can be loaded by dlopen; all else is allocated at a
 * thread's first failure and freed by a key's destructor.
 */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "err.h"
#include "port.h"

#define DEFERRED_MAX 8

struct message {
	int level;
	char sentence[SAS_ERR_SENTENCE];
};

struct deferred {
	unsigned count;                 /* since the defer; the newest DEFERRED_MAX are kept */
	struct message messages[DEFERRED_MAX];
};

struct thread_state {
	struct deferred *deferred;      /* NULL until a message is deferred */
	char last[SAS_ERR_SENTENCE];
};

struct sink {
	sas_err_sink call;
	void *arg;
	int up_to;
	struct sink *older;             /* never freed: another thread may be in it */
};

#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

THREAD_LOCAL struct thread_state *thread_state;
THREAD_LOCAL uint16_t defer_depth;
THREAD_LOCAL uint16_t in_sink;
THREAD_LOCAL uint16_t lost_sentence;    /* the last failure had no memory for its sentence */

/* For one thread that fails while there is no memory. Others get NO_MEMORY to read. */
static struct thread_state spare_state;
static sas_u32_t spare_taken;
static const char NO_MEMORY[] = "a call failed, and there is no memory to keep the sentence that says why";
static const char *const level_names[] = { "", "error", "warning", "info", "debug" };

static sas_ptr_t sink_in_use;           /* struct sink *; NULL: silent */
static sas_ptr_t sinks;                 /* every sink there ever was */

/* The log of SAS_LOG. Written once, before log_up_to publishes it. */
static sas_u32_t log_up_to;             /* 0: there is none */
static int log_fd;
static dev_t log_device;
static ino_t log_inode;

static pthread_key_t state_key;
static int state_key_error;

static void free_state(void *arg)
{
	struct thread_state *state = arg;

	thread_state = NULL;
	free(state->deferred);
	if (state != &spare_state) {
		free(state);
		return;
	}
	memset(&spare_state, 0, sizeof spare_state);
	/* Pairs with the exchange in allocate_state(). */
	sas_store_release_u32(&spare_taken, 0);
}

static void create_key(void)
{
	state_key_error = sas_port_apart() ? ENOTSUP : pthread_key_create(&state_key, free_state);
}

static struct thread_state *allocate_state(void)
{
	struct thread_state *state = calloc(1, sizeof *state);

	if (state == NULL && sas_exchange_acq_rel_u32(&spare_taken, 1) == 0)
		state = &spare_state;
	return state;
}

/* The calling thread's state; NULL where there is no memory for it. */
static struct thread_state *get_state(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct thread_state *state = thread_state;

	if (state != NULL)
		return state;
	pthread_once(&once, create_key);
	state = allocate_state();
	if (state == NULL)
		return NULL;
	thread_state = state;
	/* Without a key it is lost when the thread ends: better than a failure without a sentence. */
	if (state_key_error == 0)
		pthread_setspecific(state_key, state);
	return state;
}

static void cut(char sentence[SAS_ERR_SENTENCE], int length)
{
	if (length < 0)
		strcpy(sentence, "a message that cannot be formatted");
	else if (length >= SAS_ERR_SENTENCE)
		strcpy(sentence + SAS_ERR_SENTENCE - 4, "...");
}

/* Days since 1970 as a date of the Gregorian calendar; gmtime_r() takes a lock that a fork can
 * leave taken for ever. Years begin in March here, so that the leap day is the last one. */
static void split_date(int64_t days, int *year, int *month, int *day)
{
	int64_t since = days + 719468;                  /* since 0000-03-01 */
	int64_t era = since / 146097;                   /* of 400 years */
	int64_t in_era = since % 146097;
	int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * in_year + 2) / 153;            /* 0: March */

	*day = (int)(in_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(y + era * 400 + (*month <= 2));
}

static int format_line(char *line, size_t size, int level, const char *sentence)
{
	struct timespec now;
	int year, month, day, second;

	clock_gettime(CLOCK_REALTIME, &now);
	split_date(now.tv_sec / 86400, &year, &month, &day);
	second = (int)(now.tv_sec % 86400);
	return snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ sasphere[%d] %s: %s\n",
			year, month, day, second / 3600, second / 60 % 60, second % 60,
			(int)(now.tv_nsec / 1000000), (int)getpid(), level_names[level], sentence);
}

/* Whether the descriptor still is the file that was opened: programs that close all descriptors
 * may have got the number again for something else. */
static int owns_log_fd(void)
{
	struct stat st;

	if (log_fd == STDERR_FILENO)
		return 1;
	return sas_port->fstat(log_fd, &st) == 0 && st.st_dev == log_device && st.st_ino == log_inode;
}

static void write_log(int level, const char *sentence)
{
	char line[SAS_ERR_SENTENCE + 96];
	int length = format_line(line, sizeof line, level, sentence);
	ssize_t written;

	if (length <= 0 || (size_t)length >= sizeof line || !owns_log_fd())
		return;
	/* Names may hold any byte, but a message stays one line, and harmless on a terminal. */
	for (char *c = line; c < line + length - 1; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	do
		written = write(log_fd, line, (size_t)length);
	while (written == -1 && errno == EINTR);
}

static int is_level(int level)
{
	return level >= SAS_ERR_ERROR && level <= SAS_ERR_DEBUG;
}

/* The sink, if it wants messages of this level from this thread now. */
static struct sink *get_sink(int level)
{
	/* Pairs with the release in sas_err_set_sink(). */
	struct sink *sink = sas_load_acquire_ptr(&sink_in_use);

	return sink != NULL && level <= sink->up_to && in_sink == 0 ? sink : NULL;
}

static int has_listener(int level)
{
	return level <= (int)sas_load_relaxed_u32(&log_up_to) || get_sink(level) != NULL;
}

static void tell_now(int level, const char *sentence)
{
	struct sink *sink = get_sink(level);
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	/* Pairs with the release in open_log(). */
	if (level <= (int)sas_load_acquire_u32(&log_up_to))
		write_log(level, sentence);
	if (sink != NULL) {
		in_sink = 1;
		sink->call(level, sentence, sink->arg);
		in_sink = 0;
	}
	pthread_setcancelstate(cancel_state, NULL);
}

static void defer(int level, const char *sentence)
{
	struct thread_state *state = get_state();
	struct message *message;

	if (state == NULL)
		return;
	if (state->deferred == NULL)
		state->deferred = calloc(1, sizeof *state->deferred);
	if (state->deferred == NULL)
		return;
	message = &state->deferred->messages[state->deferred->count++ % DEFERRED_MAX];
	message->level = level;
	strcpy(message->sentence, sentence);
}

static void tell(int level, const char *sentence)
{
	if (!has_listener(level))
		return;
	if (defer_depth > 0)
		defer(level, sentence);
	else
		tell_now(level, sentence);
}

static void keep(const char *sentence)
{
	struct thread_state *state = get_state();

	if (state != NULL)
		strcpy(state->last, sentence);
	else
		lost_sentence = 1;
}

int sas_fail(int error, const char *format, ...)
{
	char sentence[SAS_ERR_SENTENCE];        /* not in place: an argument may be the last sentence */
	int saved_errno = errno;
	va_list args;

	assert(error > 0);
	sas_err_open_env();
	va_start(args, format);
	cut(sentence, vsnprintf(sentence, sizeof sentence, format, args));
	va_end(args);
	keep(sentence);
	tell(SAS_ERR_ERROR, sentence);
	errno = saved_errno;
	return -error;
}

void sas_note(enum sas_err_level level, const char *format, ...)
{
	char sentence[SAS_ERR_SENTENCE];
	int saved_errno = errno;
	va_list args;

	assert(is_level((int)level));
	sas_err_open_env();
	if (!has_listener((int)level))
		return;
	va_start(args, format);
	cut(sentence, vsnprintf(sentence, sizeof sentence, format, args));
	va_end(args);
	tell((int)level, sentence);
	errno = saved_errno;
}

const char *sas_err_last(void)
{
	if (thread_state != NULL)
		return thread_state->last;
	return lost_sentence ? NO_MEMORY : "";
}

/* The record of these values: one that there has been before, else a new one. */
static struct sink *find_sink(sas_err_sink call, void *arg, int up_to)
{
	struct sink *sink;
	void *newest = sas_load_acquire_ptr(&sinks);

	for (sink = newest; sink != NULL; sink = sink->older)
		if (sink->call == call && sink->arg == arg && sink->up_to == up_to)
			return sink;
	sink = malloc(sizeof *sink);
	if (sink == NULL)
		return NULL;
	sink->call = call;
	sink->arg = arg;
	sink->up_to = up_to;
	do
		sink->older = newest;
	while (!sas_cas_acq_rel_ptr(&sinks, &newest, sink));
	return sink;
}

void sas_err_set_sink(sas_err_sink call, void *arg, int up_to)
{
	struct sink *sink = NULL;

	if (call != NULL) {
		sink = find_sink(call, arg, up_to);
		if (sink == NULL) {
			sas_fail(ENOMEM, "no memory for a new message sink: the old one stays");
			return;
		}
	}
	/* Publish: pairs with the acquire in get_sink(). */
	sas_store_release_ptr(&sink_in_use, sink);
}

/* The level that the first `length` bytes of text name, or 0. */
static int parse_level(const char *text, size_t length)
{
	for (int level = SAS_ERR_ERROR; level <= SAS_ERR_DEBUG; level++) {
		if (length == 1 && text[0] == '0' + level)
			return level;
		if (length == strlen(level_names[level]) && strncmp(text, level_names[level], length) == 0)
			return level;
	}
	return 0;
}

static int open_log_file(const char *path)
{
	struct stat st;
	int error, fd, low;

	low = sas_port->openat(AT_FDCWD, path,
			       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (low < 0)
		return low;
	/* Never in the place of a standard stream that the program has closed. */
	fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	error = fd < 0 ? -errno : sas_port->fstat(fd, &st);
	sas_port->close(low);
	if (error < 0) {
		if (fd >= 0)
			sas_port->close(fd);
		return error;
	}
	log_device = st.st_dev;
	log_inode = st.st_ino;
	return fd;
}

static void complain(const char *format, const char *value, const char *reason)
	__attribute__((format(printf, 1, 0)));

/* The sentence is left, but nobody asked for anything that could fail. */
static void complain(const char *format, const char *value, const char *reason)
{
	char sentence[SAS_ERR_SENTENCE];

	cut(sentence, snprintf(sentence, sizeof sentence, format, value, reason));
	keep(sentence);
	tell(SAS_ERR_WARNING, sentence);
}

static void open_log(void)
{
	const char *value = secure_getenv("SAS_LOG");
	size_t length;
	int level, fd = STDERR_FILENO;

	if (value == NULL || *value == '\0')
		return;
	length = strcspn(value, ":");
	level = parse_level(value, length);
	if (level == 0) {
		complain("SAS_LOG=%s is ignored: it must be LEVEL or LEVEL:FILE, and LEVEL %s", value,
			 "error, warning, info or debug");
		return;
	}
	if (value[length] == ':' && value[length + 1] != '\0') {
		fd = open_log_file(value + length + 1);
		if (fd < 0) {
			complain("SAS_LOG=%s is ignored: cannot open the file: %s", value, strerror(-fd));
			return;
		}
	}
	log_fd = fd;
	/* Publish: pairs with the acquire in tell_now(). */
	sas_store_release_u32(&log_up_to, (uint32_t)level);
}

void sas_err_open_env(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int saved_errno = errno;

	pthread_once(&once, open_log);
	errno = saved_errno;
}

void sas_err_defer(void)
{
	assert(defer_depth < UINT16_MAX);
	defer_depth++;
}

/* What was deferred, oldest first. The listeners may fail and defer again meanwhile. */
static void tell_deferred(struct deferred *deferred)
{
	unsigned first = deferred->count > DEFERRED_MAX ? deferred->count - DEFERRED_MAX : 0;

	if (first > 0)
		sas_note(SAS_ERR_WARNING, "%u messages before the next one are lost", first);
	for (unsigned i = first; i < deferred->count; i++) {
		const struct message *message = &deferred->messages[i % DEFERRED_MAX];

		tell_now(message->level, message->sentence);
	}
}

void sas_err_flush(void)
{
	struct thread_state *state = thread_state;
	struct deferred *deferred;
	int saved_errno = errno;

	assert(defer_depth > 0);
	if (--defer_depth > 0 || state == NULL || state->deferred == NULL)
		return;
	deferred = state->deferred;
	state->deferred = NULL;
	tell_deferred(deferred);
	if (state->deferred != NULL) {
		free(deferred);
	} else {
		deferred->count = 0;
		state->deferred = deferred;
	}
	errno = saved_errno;
}

int sas_err_edge(int result)
{
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}
