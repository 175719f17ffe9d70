/* SPDX-License-Identifier: MIT */
/* log_grow.c - more intent logs, when more threads come than the anchor has logs for. Layer 3. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "block/block.h"
#include "ground/err.h"
#include "log.h"
#include "media/persist.h"

/*
 * One more chunk. ALLOC is recorded before the block is published, the chunk's offset is a redo record: a death before the
 * commit frees the block, one after it stores the offset.
 */
int sas_log_grow(struct sas_region *r, uint64_t slot)
{
	struct sas_intent intent;
	uint64_t offset = 0;
	unsigned i = 0;
	int error;

	while (i < SAS_M_LOG_CHUNKS && sas_m_load_acquire_u64(&r->state->log_chunk[i]))
		i++;
	if (i == SAS_M_LOG_CHUNKS)
		return sas_fail(EAGAIN, "%s: there is no room for more intent logs", r->path);
	error = sas_intent_begin(r, slot, &intent);
	if (error)
		return error;
	error = sas_block_take(&intent, slot, r->anchor.log_chunk_size, &offset);
	if (!error) {
		memset(sas_at(r, offset), 0, r->anchor.log_chunk_size);
		error = sas_persist(r, sas_at(r, offset), r->anchor.log_chunk_size);
	}
	if (!error)
		error = sas_intent_redo(&intent, &r->state->log_chunk[i], &offset, sizeof offset);
	if (error) {
		sas_intent_abort(&intent);
		return error;
	}
	return sas_intent_commit(&intent);
}
