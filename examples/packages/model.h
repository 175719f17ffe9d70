/* SPDX-License-Identifier: MIT */
/*
 * model.h - what the graph must look like: by number, for each name, how many versions of the input are
 * left, and which changes made the newer ones.
 */
#ifndef PACKAGES_MODEL_H
#define PACKAGES_MODEL_H

#include "board.h"
#include "graph.h"

struct name_state {
	uint64_t loaded;                /* versions of the input, the oldest ones */
	uint64_t count;
	uint64_t made[VERSIONS_MOST + 1];       /* changes that made the others, oldest first */
};

struct name_model {
	struct name_state state;
	struct change open;             /* the last one, begun by who died; sequence 0: there is none */
};

struct model {
	uint64_t names;
	struct name_model *by_number;
	uint64_t there, not_there;      /* of the open ones */
	uint64_t half;                  /* neither */
	uint64_t lost;                  /* acknowledged, and a later change did not find it */
	uint64_t impossible;            /* no updater could have done that */
};

int state_agrees(const struct name_state *state, const struct root *root, uint64_t number);

#endif
