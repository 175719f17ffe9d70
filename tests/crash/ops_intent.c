/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sas/run/log.h"
#include "sas/region/runtime.h"
#include "ops.h"

#define RANGES 5

uint64_t intent_word(uint64_t address, int after)
{
	return (address ^ 0x0101010101010101UL) + (uint64_t)after;
}

/* Words in several pages of several blocks, one pair side by side. */
void intent_prepare(struct scene *s, SASRegion_t region)
{
	static const uint64_t at[RANGES] = { 0x0, 0xff8, 0x1000, 0x2010, 0x3ff8 };
	uint64_t size = 16UL << 10, block = (uintptr_t)SASRegionBlockAlloc(region, size);

	if (!block)
		scene_fail_call(s, "SASRegionBlockAlloc");
	model_alloc(s, region, size);
	s->word_count = RANGES;
	for (unsigned i = 0; i < RANGES; i++) {
		s->words[i] = block + at[i];
		*(uint64_t *)s->words[i] = intent_word(s->words[i], 0);
	}
}

static struct sas_thread *thread;

static void begin(struct scene *s, SASRegion_t region, struct sas_intent *intent)
{
	if (sas_call_begin(region, SAS_CALL_WRITE | SAS_CALL_SLOT, &thread) != 0 ||
	    sas_intent_begin(region, (uint64_t)sas_thread_slot(thread, region), intent) != 0)
		scene_fail_call(s, "sas_intent_begin");
}

void intent_begin(struct scene *s, SASRegion_t region)
{
	struct sas_intent intent;

	/* Records of an earlier intent: nothing of them may come back. */
	begin(s, region, &intent);
	for (unsigned i = 0; i < RANGES; i++) {
		uint64_t wrong = ~0UL;

		if (sas_intent_redo(&intent, (void *)s->words[i], &wrong, sizeof wrong) != 0)
			scene_fail_call(s, "sas_intent_redo");
	}
	if (sas_intent_abort(&intent) != 0)
		scene_fail_call(s, "sas_intent_abort");
	sas_call_end(thread);
}

/* Twice in one range: undo goes back to the first of them. */
static void change(struct scene *s, struct sas_intent *intent, unsigned i)
{
	uint64_t *word = (void *)s->words[i];

	if (sas_intent_undo(intent, word, sizeof *word) != 0)
		scene_fail_call(s, "sas_intent_undo");
	*word = 1;
	if (sas_intent_undo(intent, word, sizeof *word) != 0)
		scene_fail_call(s, "sas_intent_undo");
	*word = intent_word(s->words[i], 1);
}

static void replace(struct scene *s, struct sas_intent *intent, unsigned i)
{
	uint64_t new = intent_word(s->words[i], 1);

	if (sas_intent_redo(intent, (void *)s->words[i], &new, sizeof new) != 0)
		scene_fail_call(s, "sas_intent_redo");
}

static void end(struct scene *s, struct sas_intent *intent, int commit)
{
	if ((commit ? sas_intent_commit(intent) : sas_intent_abort(intent)) != 0)
		scene_fail_call(s, commit ? "sas_intent_commit" : "sas_intent_abort");
	sas_call_end(thread);
}

void intent_undo_commit(struct scene *s, const char *path, SASRegion_t region)
{
	struct sas_intent intent;

	(void)path;
	begin(s, region, &intent);
	for (unsigned i = 0; i < RANGES; i++)
		change(s, &intent, i);
	end(s, &intent, 1);
}

void intent_undo_abort(struct scene *s, const char *path, SASRegion_t region)
{
	struct sas_intent intent;

	(void)path;
	begin(s, region, &intent);
	for (unsigned i = 0; i < RANGES; i++)
		change(s, &intent, i);
	end(s, &intent, 0);
}

void intent_redo(struct scene *s, const char *path, SASRegion_t region)
{
	struct sas_intent intent;

	(void)path;
	begin(s, region, &intent);
	for (unsigned i = 0; i < RANGES; i++)
		replace(s, &intent, i);
	end(s, &intent, 1);
}

void intent_both(struct scene *s, const char *path, SASRegion_t region)
{
	struct sas_intent intent;

	(void)path;
	begin(s, region, &intent);
	for (unsigned i = 0; i < RANGES; i++) {
		if (i % 2)
			replace(s, &intent, i);
		else
			change(s, &intent, i);
	}
	end(s, &intent, 1);
}
