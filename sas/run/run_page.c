/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <string.h>
#include "ground/err.h"
#include "run_page.h"

static uint32_t page_top(const struct sas_run *run)
{
	uint32_t top = sas_load_acquire_u32(&run->header->page_top);

	return top < SAS_RUN_PAGES ? top : SAS_RUN_PAGES;
}

/* Who finds a free page takes it by changing its owner from 0. */
static int claim(struct sas_run *run, uint32_t owner, uint32_t kind, uint32_t *number)
{
	uint32_t top = page_top(run);

	for (uint32_t i = 0; i < top; i++) {
		uint32_t nobody = 0;

		if (sas_load_relaxed_u32(&run->pages[i].owner) != 0 ||
		    !sas_cas_acq_rel_u32(&run->pages[i].owner, &nobody, owner))
			continue;
		memset(run->pages[i].bytes, 0, sizeof run->pages[i].bytes);
		__atomic_store_n(&run->pages[i].kind, kind, __ATOMIC_RELEASE);
		*number = i;
		return 0;
	}
	return 1;
}

static int grow(struct sas_region *r, uint32_t seen)
{
	struct sas_run_header *h = r->run->header;
	uint32_t top;
	int error = sas_run_grow_lock(r);

	if (error)
		return error;
	top = page_top(r->run);
	if (top + SAS_RUN_STEP > SAS_RUN_PAGES)
		error = sas_fail(EAGAIN, "%s: all %u pages of run-time state are in use", r->path, SAS_RUN_PAGES);
	else if (top == seen) {
		error = sas_run_reserve(r, r->run, SAS_RUN_PAGE_OFFSET + top * SAS_RUN_PAGE, SAS_RUN_STEP * SAS_RUN_PAGE);
		if (error) {
			error = sas_fail(-error, "%s/" SAS_RUN_NAME ": no room for more run-time state: %s", r->path,
					 strerror(-error));
		} else {
			if (r->anchor.incompat & SAS_M_INCOMPAT_PREALLOCATED)   /* its file is formatted without being emptied */
				memset(&r->run->pages[top], 0, SAS_RUN_STEP * SAS_RUN_PAGE);
			sas_store_release_u32(&h->page_top, top + SAS_RUN_STEP);
		}
	}
	sas_run_grow_unlock(r);
	return error;
}

int sas_run_page_take(struct sas_region *r, uint32_t owner, uint32_t kind, uint32_t *number)
{
	for (;;) {
		uint32_t seen = page_top(r->run);
		int error;

		if (claim(r->run, owner, kind, number) == 0)
			return 0;
		error = grow(r, seen);
		if (error)
			return error;
	}
}

void sas_run_page_give(struct sas_run *run, uint32_t number)
{
	struct sas_run_page *page = &run->pages[number];

	__atomic_store_n(&page->kind, 0, __ATOMIC_RELAXED);
	sas_store_release_u32(&page->owner, 0);
}

void sas_run_page_give_all(struct sas_run *run, uint32_t owner)
{
	uint32_t top = page_top(run);

	for (uint32_t i = 0; i < top; i++)
		if (sas_load_acquire_u32(&run->pages[i].owner) == owner)
			sas_run_page_give(run, i);
}

int64_t sas_run_page_next(const struct sas_run *run, uint32_t owner, uint32_t kind, uint32_t number)
{
	uint32_t top = page_top(run);

	for (; number < top; number++)
		if (sas_load_acquire_u32(&run->pages[number].owner) == owner &&
		    __atomic_load_n(&run->pages[number].kind, __ATOMIC_ACQUIRE) == kind)
			return number;
	return -1;
}
