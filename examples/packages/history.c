/* SPDX-License-Identifier: MIT */
/*
 * history.c - what all updaters had begun, and what they had acknowledged when they ended. Copied from
 * the board after each death, sorted by number at the end, and told to the model.
 */
#include <stdlib.h>
#include "board.h"
#include "packages.h"

struct past {
	struct change change;
	int acknowledged;
};

struct history {
	struct past *all;
	uint64_t count, room, acknowledged;
};

struct history *history_new(void)
{
	struct history *history = calloc(1, sizeof(*history));

	if (history == NULL)
		die("no memory");
	return history;
}

void history_free(struct history *history)
{
	free(history->all);
	free(history);
}

static void make_room(struct history *history, uint64_t more)
{
	if (history->count + more <= history->room)
		return;
	history->room = 2 * (history->count + more);
	history->all = realloc(history->all, history->room * sizeof(*history->all));
	if (history->all == NULL)
		die("no memory");
}

/* Of an updater that has ended. */
void history_take(struct history *history, const struct updater *updater)
{
	uint64_t acknowledged = atomic_load(&updater->acknowledged), begun = atomic_load(&updater->begun);

	if (begun > BOARD_CHANGES || begun - acknowledged > 1)
		die("the board makes no sense");
	make_room(history, begun);
	for (uint64_t i = 0; i < begun; i++)
		history->all[history->count++] = (struct past){ updater->changes[i], i < acknowledged };
	history->acknowledged += acknowledged;
}

static int compare_pasts(const void *a, const void *b)
{
	const struct past *x = a, *y = b;

	return (x->change.sequence > y->change.sequence) - (x->change.sequence < y->change.sequence);
}

/* How many numbers were given twice. */
uint64_t history_replay(struct history *history, struct model *model)
{
	uint64_t twice = 0;

	if (history->count > 0)
		qsort(history->all, history->count, sizeof(*history->all), compare_pasts);
	for (uint64_t i = 0; i < history->count; i++) {
		twice += i > 0 && compare_pasts(&history->all[i - 1], &history->all[i]) == 0;
		model_apply(model, &history->all[i].change, history->all[i].acknowledged);
	}
	report("updates.acknowledged", "%llu", (unsigned long long)history->acknowledged);
	return twice;
}
