/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include "store.h"
#include "trace.h"

void trace_begin(struct trace *t)
{
	t->count = 0;
}

void trace_note(struct trace *t, const struct watch *w)
{
	if (w->steps <= t->count)
		return;
	if (t->count == t->room) {
		t->room = t->room ? 2 * t->room : 4096;
		t->at = realloc(t->at, t->room * sizeof *t->at);
		if (!t->at)
			store_give_up("no memory for", "a trace");
	}
	t->at[t->count++] = w->instruction;
}

int trace_go(const struct trace *t, struct watch *w, uint64_t step)
{
	const uintptr_t *at = t->at;
	uint64_t from = step < t->count ? step : t->count - 1, times = 0;
	int there = 0;
	enum watch_event event;

	while (from > 0 && at[from - 1] == at[from])
		from--;
	for (uint64_t i = 0; i <= from; i++)
		times += at[i] == at[from] && (i == 0 || at[i - 1] != at[i]);
	event = watch_reach(w, at[from], times, &there);
	if (event == WATCH_STEP)
		watch_skip(w, there ? step - from : step);
	return event == WATCH_STEP;
}

void trace_free(struct trace *t)
{
	free(t->at);
	*t = (struct trace){ NULL, 0, 0 };
}
