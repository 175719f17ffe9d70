/* SPDX-License-Identifier: MIT */
/*
 * repair_map.c - maps made whole: what a power cut may leave, pages of different age, and no more.
 *
 * A walk that meets a head believes it (FORMAT.md: any mixture of old and new pages shows, as heads in use, every block that was
 * in use throughout). So an entry in use inside a block is stale, and is made to say so. An entry in use inside a
 * free tile may be a younger block: it stays in use, and the free space around it is cut into tiles. A map with an entry that no
 * store of ours can have left is not touched.
 *
 * Crash: a map is stored from its end to its start, so entries inside a tile change while the tile still hides them, and the
 *   store of its head publishes them (M4).
 */
#include <config.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "ground/err.h"
#include "repair.h"
#include "block/tiles.h"

struct map {
	uint32_t *entries;
	uint64_t units;
	int table;                      /* of segments */
	int broken;                     /* not to be repaired */
};

static int is_used(uint32_t entry)
{
	return sas_entry_state(entry) == SAS_M_USED;
}

static int fits(const struct map *m, uint64_t unit, uint32_t entry)
{
	return (m->table && sas_entry_carved(entry)) || sas_inspect_fits(unit, m->units, entry);
}

/* Is an entry in use behind the head in [unit, unit + count)? Each must fit, or the map is broken. */
static int hides_used(struct map *m, uint64_t unit, uint64_t count)
{
	int found = 0;

	for (uint64_t i = unit + 1; i < unit + count; i++) {
		if (!is_used(m->entries[i]))
			continue;
		found = 1;
		m->broken |= !fits(m, i, m->entries[i]);
	}
	return found;
}

/* Behind a head in use no entry says so. A segment that holds blocks would be lost by that: then it is not ours to decide. */
static void make_stale(struct map *m, uint64_t unit, uint64_t count)
{
	for (uint64_t i = unit + 1; i < unit + count; i++) {
		if (!is_used(m->entries[i]))
			continue;
		m->broken |= m->table;
		m->entries[i] = sas_entry(SAS_M_DIRTY, 0, 0);
	}
}

/* Cover 2^order units, which a free tile claims, with tiles: each entry in use there is one, the rest is free. */
static void cover(struct map *m, uint64_t unit, uint32_t order)
{
	uint32_t entry = m->entries[unit], own = sas_entry_carved(entry) ? 0 : sas_entry_order(entry);

	if (is_used(entry)) {
		make_stale(m, unit, 1ULL << own);
		for (; own < order; own++)
			cover(m, unit + (1ULL << own), own);
	} else if (hides_used(m, unit, 1ULL << order)) {
		cover(m, unit, order - 1);
		cover(m, unit + (1ULL << (order - 1)), order - 1);
	} else {
		m->entries[unit] = sas_entry(SAS_M_DIRTY, order, 0);
	}
}

/* From head to head. */
static void make_whole(struct map *m)
{
	uint64_t unit = 0, count;

	while (unit < m->units && !m->broken) {
		uint32_t entry = m->entries[unit];

		if (!fits(m, unit, entry)) {
			m->broken = 1;
			return;
		}
		count = sas_entry_units(entry);
		if (hides_used(m, unit, count) && !m->broken) {
			if (is_used(entry))
				make_stale(m, unit, count);
			else
				cover(m, unit, sas_entry_order(entry));
		}
		unit += count;
	}
}

/* Free tiles promise nothing of their bytes, and are leased to nobody. */
static void make_dirty(struct map *m)
{
	for (uint64_t unit = 0; unit < m->units && !m->broken; unit += sas_entry_units(m->entries[unit])) {
		m->broken = !fits(m, unit, m->entries[unit]);
		if (!is_used(m->entries[unit]))
			m->entries[unit] = sas_entry(SAS_M_DIRTY, sas_entry_order(m->entries[unit]), 0);
	}
}

/* --- reading and storing */

/* Segment n's map, or (table) that of the segments; malloc'd. */
static int load(struct sas_repair *p, uint64_t n, int table, struct map *m)
{
	const struct sas_m_anchor *a = &p->in->anchor;
	int error = 0;

	memset(m, 0, sizeof(*m));
	m->table = table;
	m->units = table ? p->in->segments : a->segment_size / SAS_M_UNIT;
	m->entries = malloc(m->units * sizeof(*m->entries));
	if (!m->entries)
		return sas_fail(ENOMEM, "no memory for a map of %s", p->in->path);
	for (uint64_t i = 0; table && i < m->units; i++)
		m->entries[i] = p->in->table[i].block;
	if (!table)
		error = sas_inspect_read(p->in, sas_map_of(a, n), m->entries, m->units * sizeof(*m->entries));
	if (error)
		sas_fail(-error, "%s: the block map of segment %llu: %s", p->in->path, (unsigned long long)n,
			 strerror(-error));
	return error;
}

/* Where an entry lies, as an offset in the region. */
static uint64_t entry_at(const struct sas_repair *p, uint64_t n, int table, uint64_t unit)
{
	const struct sas_m_anchor *a = &p->in->anchor;

	if (table)
		return a->table_offset + unit * sizeof(struct sas_m_segment) + offsetof(struct sas_m_segment, block);
	return sas_map_of(a, n) + unit * sizeof(uint32_t);
}

/* What `change` makes of the map goes to the file, the last entry first. */
static int rewrite(struct sas_repair *p, uint64_t n, int table, void (*change)(struct map *m), const char *what)
{
	uint64_t size = p->in->anchor.segment_size, changed = 0, at = 0;
	struct map old = { 0 }, new;
	int error = load(p, n, table, &new);

	if (!error)
		error = load(p, n, table, &old);
	if (!error)
		change(&new);
	for (uint64_t i = new.broken ? 0 : new.units; i-- > 0 && !error;) {
		if (new.entries[i] == old.entries[i])
			continue;
		at = entry_at(p, n, table, i);
		error = sas_repair_store(p, at / size, at % size, &new.entries[i], sizeof(new.entries[i]));
		changed++;
	}
	if (!error && changed && table)
		sas_repair_tell(p, 0, at, "the segment table: %s: %llu entries", what, (unsigned long long)changed);
	else if (!error && changed)
		sas_repair_tell(p, at / size, at % size, "the block map of segment %llu: %s: %llu entries",
				(unsigned long long)n, what, (unsigned long long)changed);
	free(new.entries);
	free(old.entries);
	return error;
}

static int is_carved(const struct sas_repair *p, uint64_t n)
{
	return sas_inspect_present(p->in, n) && sas_entry_carved(p->in->table[n].block);
}

int sas_repair_tiles(struct sas_repair *p)
{
	static const char what[] = "tiles inside of others were made whole";
	int error = rewrite(p, 0, 1, make_whole, what);

	if (!error)
		error = sas_inspect_reload(p->in);
	for (uint64_t n = 0; n < p->in->segments && !error; n++)
		if (is_carved(p, n))
			error = rewrite(p, n, 0, make_whole, what);
	return error;
}

int sas_repair_promises(struct sas_repair *p)
{
	static const char what[] = "free space is no longer taken for zeros";
	int error = 0, table = 0;

	for (uint64_t n = 0; n < p->in->segments && !error; n++) {
		if (p->doubtful[n] && is_carved(p, n))
			error = rewrite(p, n, 0, make_dirty, what);
		else
			table |= p->doubtful[n];
	}
	return error || !table ? error : rewrite(p, 0, 1, make_dirty, what);
}
