/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rank.h"

#ifdef SAS_DEBUG
#undef NDEBUG
#include <assert.h>

static __thread unsigned held __attribute__((tls_model("initial-exec")));

void sas_rank_take(unsigned rank)
{
	assert(held >> rank == 0 && "locks are taken out of their order");
	held |= 1U << rank;
}

void sas_rank_give(unsigned rank)
{
	assert((held >> rank & 1) && "a lock is given back that was not taken");
	held &= ~(1U << rank);
}
#else
extern int sas_rank_is_off;     /* a translation unit may not be empty */
#endif
