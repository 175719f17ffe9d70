/* SPDX-License-Identifier: MIT */
/*
 * use.h - what the runtime does inside a use of an object. Layer 3.
 *
 * Between the begin and the end of a use the object's code runs, which holds nothing of the runtime's: `depth` is SAS_IN_USE then. A plain
 * reader may be a signal handler that has interrupted a call instead: there is SAS_IN_CALL, and nothing may be locked.
 */
#ifndef SAS_USE_H
#define SAS_USE_H

#include <pthread.h>
#include "region/runtime.h"

#define SAS_IN_CALL 1
#define SAS_IN_USE 2

struct sas_inner { int depth, cancel; };

static inline struct sas_inner sas_inner_begin(void)
{
	struct sas_inner i = { sas_here.depth, 0 };

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &i.cancel);
	sas_here.depth = SAS_IN_CALL;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return i;
}

static inline void sas_inner_end(struct sas_inner i)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	sas_here.depth = i.depth;
	pthread_setcancelstate(i.cancel, NULL);
}

#endif
