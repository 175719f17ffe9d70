/* SPDX-License-Identifier: MIT */
/*
 * face_keep.c - memory of a thread that outlives a call: keys that were handed out, in a ring of eight, and a page.
 *
 * It is freed when the thread ends. The thread's one word of static storage points to it.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "face.h"

struct kept {
	struct { void *bytes; size_t size; } key[SPH_KEPT];
	unsigned next;
	void *page;
};

static __thread struct kept *kept __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static int key_error;

static void drop(void *arg)
{
	struct kept *k = arg;

	kept = NULL;
	for (unsigned i = 0; i < SPH_KEPT; i++)
		free(k->key[i].bytes);
	free(k->page);
	free(k);
}

static void make_key(void)
{
	key_error = pthread_key_create(&key, drop);
}

static struct kept *get_kept(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct kept *k = kept;

	if (k)
		return k;
	pthread_once(&once, make_key);
	if (key_error) {
		sas_service_fail(ENOMEM, "no place for memory of this thread: error %d", key_error);
		return NULL;
	}
	k = calloc(1, sizeof *k);
	if (!k || pthread_setspecific(key, k) != 0) {
		free(k);
		sas_service_fail(ENOMEM, "no memory for the keys of this thread");
		return NULL;
	}
	kept = k;
	return k;
}

void *sph_keep_key(size_t size)
{
	struct kept *k = get_kept();
	void *bytes;
	unsigned i;

	if (!k)
		return NULL;
	i = k->next;
	if (k->key[i].size < size) {
		bytes = realloc(k->key[i].bytes, size);
		if (!bytes) {
			sas_service_fail(ENOMEM, "no memory for a key of %zu bytes", size);
			return NULL;
		}
		k->key[i].bytes = bytes;
		k->key[i].size = size;
	}
	k->next = (i + 1) % SPH_KEPT;
	return k->key[i].bytes;
}

void *sph_keep_page(void)
{
	struct kept *k = get_kept();

	if (k && !k->page) {
		k->page = malloc(SPH_KEPT_PAGE + SPH_KEY_LONGEST);
		if (!k->page)
			sas_service_fail(ENOMEM, "no memory for the copy of a node");
	}
	return k ? k->page : NULL;
}
