/* SPDX-License-Identifier: MIT */
/*
 * word.c - the words of nodes: versions, and who changes a node.
 *
 *   even           version * 2
 *   odd            owner's token * 2 + 1
 *   OUTDATED       the node was replaced
 *
 * `version` in the node is stored before the word that has it. So whoever takes a word over from a dead owner goes on from `version` + 1,
 * which no reader has ever seen, whether the dead one was about to end or had just begun.
 */
#include <config.h>

#include <sched.h>
#include "node.h"

#define SPINS 128                       /* of about 40 ns; a change of a leaf takes 50, of several nodes some us */

uint64_t sph_word_wait(const struct sas_look *l, const uint64_t *word)
{
	uint64_t was = __atomic_load_n(word, __ATOMIC_ACQUIRE), now;

	if (was == SPH_WORD_OUTDATED || !(was & 1))
		return 0;
	for (unsigned i = 0;; i++) {
		now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (now != was)
			return 0;
		if (i % SPINS < SPINS - 1) {
			sas_pause();
			continue;
		}
		if (!sas_owner_lives(l->region, was >> 1))
			return was;
		sched_yield();
	}
}

int sph_hold_take(struct sph_hold *h, const struct sas_use *u, uint64_t *word, uint64_t *version, uint64_t was)
{
	h->word = word;
	h->version = version;
	h->was = was;
	if (!__atomic_compare_exchange_n(word, &was, sph_word_of(u->token), 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return 0;
	sph_racy_begin();
	return 1;
}

void sph_hold_undo(const struct sph_hold *h)
{
	if (h->was & 1)                 /* it was a dead one's */
		sph_hold_end(h);
	else
		__atomic_store_n(h->word, h->was, __ATOMIC_RELEASE);
}

void sph_hold_end(const struct sph_hold *h)
{
	uint64_t version = __atomic_load_n(h->version, __ATOMIC_RELAXED) + 1;

	__atomic_store_n(h->version, version, __ATOMIC_RELEASE);
	__atomic_store_n(h->word, version << 1, __ATOMIC_RELEASE);
}

void sph_hold_outdate(const struct sph_hold *h)
{
	__atomic_store_n(h->version, __atomic_load_n(h->version, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
	__atomic_store_n(h->word, SPH_WORD_OUTDATED, __ATOMIC_RELEASE);
}
