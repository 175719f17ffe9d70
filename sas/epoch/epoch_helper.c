/* SPDX-License-Identifier: MIT */
/*
 * epoch_helper.c - a thread of this process that reclaims every so often, for programs that ask for one.
 *
 * Nothing needs it: it serves threads that defer a little and then do nothing for long.
 *
 * Locks: helper_lock, before all others but never held while it reclaims. Fork: the child has none.
 * Signals: all but those of faults are blocked in it, which may be a segment's first touch.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include "epoch_defer.h"
#include "ground/err.h"

struct helper {
	struct sas_region *region;      /* NULL: there is none */
	pthread_t thread;
	long milliseconds;
	int stop;
};

static struct helper helpers[SAS_REGIONS_MAX];
static pthread_mutex_t helper_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t helper_bell = PTHREAD_COND_INITIALIZER;

/* helper_lock held. 1: it is to end. */
static int wait_turn(struct helper *h)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += h->milliseconds / 1000;
	until.tv_nsec += h->milliseconds % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!h->stop && error != ETIMEDOUT)
		error = pthread_cond_clockwait(&helper_bell, &helper_lock, CLOCK_MONOTONIC, &until);
	return h->stop;
}

static void *help(void *arg)
{
	struct helper *h = arg;

	pthread_mutex_lock(&helper_lock);
	while (!wait_turn(h)) {
		pthread_mutex_unlock(&helper_lock);
		sas_epoch_reclaim(h->region, SAS_RECLAIM_ALL);
		pthread_mutex_lock(&helper_lock);
	}
	pthread_mutex_unlock(&helper_lock);
	return NULL;
}

static int start_thread(struct helper *h)
{
	sigset_t most, before;
	int error;

	sigfillset(&most);
	sigdelset(&most, SIGSEGV);
	sigdelset(&most, SIGBUS);
	sigdelset(&most, SIGFPE);
	sigdelset(&most, SIGILL);
	sigdelset(&most, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	error = pthread_create(&h->thread, NULL, help, h);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int sas_helper_start(struct sas_region *r, long milliseconds)
{
	struct helper *h = &helpers[r->number];
	int error = 0;

	pthread_mutex_lock(&helper_lock);
	h->milliseconds = milliseconds;
	if (h->region) {
		error = EALREADY;
	} else {
		h->stop = 0;
		h->region = r;
		error = start_thread(h);
		if (error)
			h->region = NULL;
	}
	pthread_mutex_unlock(&helper_lock);
	if (error == EALREADY)
		return sas_fail(error, "%s: this process has a helper for it", r->path);
	return error ? sas_fail(error, "%s: no thread for the helper: %s", r->path, strerror(error)) : 0;
}

int sas_helper_stop(const struct sas_region *r)
{
	struct helper *h = &helpers[r->number];
	int there, self;

	pthread_mutex_lock(&helper_lock);
	self = h->region == r && pthread_equal(h->thread, pthread_self());
	there = h->region == r && !h->stop && !self;
	if (there) {
		h->stop = 1;
		pthread_cond_broadcast(&helper_bell);
	}
	pthread_mutex_unlock(&helper_lock);
	if (self)
		return sas_fail(EDEADLK, "%s: a deferred call that the helper runs cannot end it", r->path);
	if (!there)
		return 0;
	pthread_join(h->thread, NULL);
	pthread_mutex_lock(&helper_lock);
	h->region = NULL;
	pthread_mutex_unlock(&helper_lock);
	return 1;
}

int sas_helper_end(const struct sas_region *r)
{
	int error = sas_region_known(r);

	if (!error)
		error = sas_helper_stop(r);
	return error < 0 ? error : 0;
}

void sas_helper_forget(void)
{
	memset(helpers, 0, sizeof helpers);
	pthread_mutex_init(&helper_lock, NULL);
	pthread_cond_init(&helper_bell, NULL);
}
