/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index_work.h"

#define BATCH 1000U             /* operations between two looks at the clock */

struct state {
	const struct index_peer *peer;
	const struct key_set *set;
	const char *store;
	void *trees[WORK_TREES];
	size_t place;           /* where WORK_READ_FOR has come to */
};

uint64_t index_heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

void index_no_reading(void *tree, int begin)
{
	(void)tree;
	(void)begin;
}

static void check(int right, const struct index_peer *peer, const char *what)
{
	if (!right) {
		fprintf(stderr, "%s: wrong result of ", peer->name);
		give_up(what);
	}
}

static void put_all(const struct index_peer *peer, void *tree, const struct index_key *keys, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		check(peer->put(tree, &keys[i]) == 1, peer, "an insertion");
}

static void remove_all(const struct index_peer *peer, void *tree, const struct index_key *keys, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		check(peer->remove(tree, &keys[i]) == 1, peer, "a removal");
}

static void look_all(const struct index_peer *peer, void *tree, const struct index_key *keys, size_t from, size_t to)
{
	peer->reading(tree, 1);
	for (size_t i = from; i < to; i++)
		check(peer->get(tree, &keys[i]) == keys[i].value, peer, "a lookup");
	peer->reading(tree, 0);
}

static void miss_all(const struct index_peer *peer, void *tree, const struct index_key *keys, size_t from, size_t to)
{
	peer->reading(tree, 1);
	for (size_t i = from; i < to; i++)
		check(peer->get(tree, &keys[i]) == 0, peer, "a lookup that should miss");
	peer->reading(tree, 0);
}

static void scan(const struct index_peer *peer, void *tree, uint64_t sum)
{
	peer->reading(tree, 1);
	check(peer->scan(tree) == sum, peer, "a scan");
	peer->reading(tree, 0);
}

/* Batches until the time `end`: of lookups, or of keys that are put and removed again. How many operations. */
static uint64_t work_until(struct state *s, void *tree, enum work work, uint64_t end)
{
	size_t batch = BATCH < s->set->count ? BATCH : s->set->count;
	uint64_t count = 0;

	do {
		size_t from = s->place, to = from + batch;

		if (to > s->set->count) {
			from = 0;
			to = batch;
		}
		s->place = to;
		if (work == WORK_READ_FOR)
			look_all(s->peer, tree, s->set->look, from, to);
		else {
			put_all(s->peer, tree, s->set->absent, from, to);
			remove_all(s->peer, tree, s->set->absent, from, to);
			count += batch;
		}
		count += batch;
	} while (now_ns() < end);
	return count;
}

static struct answer obey(struct state *s, const struct order *o)
{
	const struct index_peer *peer = s->peer;
	const struct key_set *set = s->set;
	void *tree = s->trees[o->tree];
	struct answer a = { .count = o->to - o->from };
	uint64_t began = now_ns();

	switch (o->work) {
	case WORK_OPEN: case WORK_ATTACH:
		s->trees[o->tree] = peer->open(s->store, o->tree, set->count, o->work == WORK_OPEN);
		break;
	case WORK_CLOSE:
		peer->close(tree, 1);
		s->trees[o->tree] = NULL;
		break;
	case WORK_PUT: put_all(peer, tree, set->random, o->from, o->to); break;
	case WORK_PUT_ORDERED: put_all(peer, tree, set->ordered, o->from, o->to); break;
	case WORK_LOOK: look_all(peer, tree, set->look, o->from, o->to); break;
	case WORK_MISS: miss_all(peer, tree, set->absent, o->from, o->to); break;
	case WORK_REMOVE: remove_all(peer, tree, set->look, o->from, o->to); break;
	case WORK_SCAN: scan(peer, tree, set->sum); break;
	case WORK_LOAD: peer->load(tree, set->ordered, set->count); break;
	case WORK_BYTES: a.count = peer->bytes(tree); break;
	case WORK_READ_FOR: case WORK_WRITE_FOR:
		while ((began = now_ns()) < o->from)
			continue;
		a.count = work_until(s, tree, o->work, o->to);
		break;
	}
	a.ns = now_ns() - began;
	return a;
}

_Noreturn static void work(int wire, struct state *s)
{
	struct order order;

	while (read(wire, &order, sizeof order) == sizeof order) {
		struct answer answer = obey(s, &order);

		if (write(wire, &answer, sizeof answer) != sizeof answer)
			give_up("an answer");
	}
	for (unsigned i = 0; i < WORK_TREES; i++)
		if (s->trees[i])
			s->peer->close(s->trees[i], 0);
	exit(0);
}

void worker_start(struct worker *w, const struct index_peer *peer, const struct key_set *set, const char *store)
{
	struct state state = { .peer = peer, .set = set, .store = store };
	int wires[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wires) != 0)
		give_up("socketpair");
	fflush(stdout);
	w->pid = fork();
	if (w->pid < 0)
		give_up("fork");
	if (w->pid == 0) {
		close(wires[0]);
		work(wires[1], &state);
	}
	close(wires[1]);
	w->wire = wires[0];
}

void worker_tell(struct worker *w, struct order order)
{
	if (write(w->wire, &order, sizeof order) != sizeof order)
		give_up("an order");
}

struct answer worker_hear(struct worker *w)
{
	struct answer answer;

	if (read(w->wire, &answer, sizeof answer) != sizeof answer)
		give_up("a worker has gone");
	return answer;
}

struct answer worker_do(struct worker *w, struct order order)
{
	worker_tell(w, order);
	return worker_hear(w);
}

void worker_stop(struct worker *w)
{
	int status;

	shutdown(w->wire, SHUT_RDWR);   /* later workers have copies of it */
	close(w->wire);
	if (waitpid(w->pid, &status, 0) != w->pid || status != 0)
		give_up("a worker has failed");
}
