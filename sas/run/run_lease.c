/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "run_lease.h"

int sas_lease_lives(const struct sas_region *r, uint64_t n, uint32_t tag)
{
	uint32_t number = tag >> 10;
	const struct sas_run_thread *slot;

	if (!r->run || number >= sas_load_acquire_u32(&r->run->header->thread_top))
		return 0;
	slot = &r->run->threads[number];
	return sas_load_acquire_u32(&slot->state) == SAS_RUN_USED && sas_lease_tag(number, sas_m_load_relaxed_u32(&slot->lives)) == tag &&
	       sas_lease_lists(slot, n);
}

int sas_lease_lists_any(const struct sas_run_thread *slot)
{
	for (unsigned i = 0; i < SAS_RUN_LEASES; i++)
		if (sas_load_relaxed_u32(&slot->lease_of[i]))
			return 1;
	return 0;
}
