/* SPDX-License-Identifier: MIT */
/*
 * anchor.c - the layout of a new region, and the checks of what a file's anchor or trailer says.
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "anchor.h"
#include "ground/err.h"
#include "ground/hash.h"
#include "ground/uuid.h"

#define AT(field) offsetof(struct sas_m_anchor, field)

static int is_power(uint64_t n)
{
	return n && !(n & (n - 1));
}

static uint64_t round_power(uint64_t n)
{
	uint64_t power = 1;

	while (power < n)
		power <<= 1;
	return power;
}

static uint64_t round_page(uint64_t n)
{
	return (n + SAS_M_PAGE - 1) & ~(SAS_M_PAGE - 1);
}

/* Why these numbers are no geometry of a region, or NULL. */
static const char *geometry_fault(uint64_t base, uint64_t region_size, uint64_t segment_size)
{
	if (!is_power(segment_size) || segment_size < SAS_M_MIN_SEGMENT)
		return "the segment size is not a power of two of 2 MiB or more";
	if (!region_size || region_size % segment_size)
		return "the region size is not a multiple of the segment size";
	if (region_size / segment_size > SAS_M_MAX_SEGMENTS)
		return "the region has more segments than a region may have";
	if (!base || base % SAS_M_MIN_SEGMENT)
		return "the base address is not a multiple of 2 MiB";
	if (base >= SAS_ADDRESS_END || region_size > SAS_ADDRESS_END - base)
		return "the region ends above address 0x800000000000";
	return NULL;
}

static uint64_t table_end(uint64_t region_size, uint64_t segment_size)
{
	return round_page(2 * SAS_M_PAGE + region_size / segment_size * sizeof(struct sas_m_segment));
}

static uint64_t default_chunk(uint64_t segment_size)
{
	return segment_size >= 16UL << 20 ? 1UL << 20 : 128UL << 10;
}

static uint64_t anchor_size_for(uint64_t region_size, uint64_t segment_size)
{
	uint64_t least = table_end(region_size, segment_size) + SAS_ANCHOR_MIN_LOGS * SAS_M_LOG_SIZE;
	uint64_t usual = default_chunk(segment_size);

	return round_power(least > usual ? least : usual);
}

int sas_geometry_check(uint64_t base, uint64_t region_size, uint64_t segment_size)
{
	const char *fault = geometry_fault(base, region_size, segment_size);

	if (!fault && anchor_size_for(region_size, segment_size) > segment_size / 4)
		fault = "so many segments need a larger segment size: their table does not fit in segment 0";
	if (fault)
		return sas_fail(EINVAL,
				"no region can have base 0x%llx, region size %llu, segment size %llu: %s",
				(unsigned long long)base, (unsigned long long)region_size,
				(unsigned long long)segment_size, fault);
	return 0;
}

void sas_anchor_compute(struct sas_m_anchor *a)
{
	uint64_t segments = sas_segments_of(a);
	uint64_t map_bytes = sas_map_bytes(a->segment_size);
	uint64_t maps = a->segment_size / 4 / map_bytes;

	a->anchor_size = anchor_size_for(a->region_size, a->segment_size);
	a->table_offset = 2 * SAS_M_PAGE;
	a->log_offset = table_end(a->region_size, a->segment_size);
	a->log_count = (a->anchor_size - a->log_offset) / SAS_M_LOG_SIZE;
	a->log_chunk_size = default_chunk(a->segment_size);
	a->maps = maps < segments ? maps : segments;
	a->map_size = round_power(a->maps * map_bytes);
	/* Both are powers of two, so the larger one is a multiple of map_size. */
	a->map_offset = a->anchor_size > a->map_size ? a->anchor_size : a->map_size;
}

void sas_anchor_set_header(struct sas_m_anchor *a)
{
	a->block_header.signature_1 = SAS_M_BLOCK_SIGNATURE_1;
	a->block_header.signature_2 = SAS_M_BLOCK_SIGNATURE_2;
	a->block_header.type = SAS_M_BLOCK_TYPE_ANCHOR;
	a->block_header.size = a->anchor_size;
	a->block_header.base_block = a->base;
}

uint64_t sas_anchor_checksum(const struct sas_m_anchor *a)
{
	union {
		struct sas_m_anchor anchor;
		uint8_t page[SAS_M_PAGE];
	} copy;

	if (a->header_size > sizeof(copy))
		return 0;
	memcpy(&copy, a, a->header_size);
	copy.anchor.checksum = 0;
	return sas_hash64(&copy, a->header_size);
}

uint64_t sas_trailer_checksum(const struct sas_m_trailer *t)
{
	struct sas_m_trailer copy = *t;

	copy.checksum = 0;
	return sas_hash64(&copy, sizeof(copy));
}

static int fault_at(struct sas_fault *fault, uint64_t offset, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5), cold));

static int fault_at(struct sas_fault *fault, uint64_t offset, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	fault->offset = offset;
	return -error;
}

static int misfit(struct sas_fault *fault, uint64_t offset, const char *what, uint64_t value)
{
	return fault_at(fault, offset, EUCLEAN, "%s: %llu does not fit the region's geometry", what,
			(unsigned long long)value);
}

/* Magic, format and checksum: may the other fields be looked at? */
static int examine_header(const struct sas_m_anchor *a, struct sas_fault *fault)
{
	if (a->magic == __builtin_bswap64(SAS_M_MAGIC_ANCHOR))
		return fault_at(fault, AT(magic), EPROTONOSUPPORT,
				"made on a machine of the other byte order");
	if (a->magic != SAS_M_MAGIC_ANCHOR)
		return fault_at(fault, AT(magic), EUCLEAN,
				"no region's anchor: its magic number is 0x%016llx",
				(unsigned long long)a->magic);
	if (a->endian != SAS_M_ENDIAN)
		return fault_at(fault, AT(endian), EPROTONOSUPPORT,
				"byte order mark 0x%08x, this machine's is 0x%08x", a->endian, SAS_M_ENDIAN);
	if (a->format != SAS_M_FORMAT)
		return fault_at(fault, AT(format), a->format ? EPROTONOSUPPORT : EUCLEAN,
				"format %u, this library knows format %u", a->format, SAS_M_FORMAT);
	if (a->header_size < sizeof(*a) || a->header_size > SAS_M_PAGE)
		return fault_at(fault, AT(header_size), EUCLEAN, "header size %u is not between %zu and %lu",
				a->header_size, sizeof(*a), SAS_M_PAGE);
	if (a->checksum != sas_anchor_checksum(a))
		return fault_at(fault, AT(checksum), EUCLEAN,
				"the checksum is 0x%016llx, the anchor's bytes give 0x%016llx",
				(unsigned long long)a->checksum, (unsigned long long)sas_anchor_checksum(a));
	return 0;
}

static int examine_features(const struct sas_m_anchor *a, struct sas_fault *fault)
{
	if (a->incompat & ~SAS_M_INCOMPAT_KNOWN)
		return fault_at(fault, AT(incompat), EPROTONOSUPPORT, "the region uses unknown features 0x%x",
				a->incompat & ~SAS_M_INCOMPAT_KNOWN);
	if (!is_power(a->page_size) || a->page_size < SAS_M_PAGE || a->page_size > SAS_M_MIN_SEGMENT)
		return fault_at(fault, AT(page_size), EUCLEAN, "%u is not a page size", a->page_size);
	if (a->page_size != SAS_M_PAGE)
		return fault_at(fault, AT(page_size), EPROTONOSUPPORT,
				"made of pages of %u bytes, this library knows %lu", a->page_size, SAS_M_PAGE);
	if (a->mode & ~0777U)
		return fault_at(fault, AT(mode), EUCLEAN, "0%o is not a file mode", a->mode);
	if (a->durability > 2)
		return fault_at(fault, AT(durability), EUCLEAN, "unknown durability %u", a->durability);
	if (a->numa_policy > 3)
		return fault_at(fault, AT(numa_policy), EUCLEAN, "unknown NUMA policy %u", a->numa_policy);
	return 0;
}

/* The areas of segment 0: state, table and logs inside the anchor block, the map area after it. Each
 * comparison subtracts only what the one before it showed to be smaller, so that nothing wraps. */
static int examine_areas(const struct sas_m_anchor *a, struct sas_fault *fault)
{
	uint64_t segments = sas_segments_of(a);
	uint64_t table_bytes = segments * sizeof(struct sas_m_segment);
	uint64_t half = a->segment_size / 2;

	if (!is_power(a->anchor_size) || a->anchor_size > half || a->anchor_size < 4 * SAS_M_PAGE)
		return misfit(fault, AT(anchor_size), "size of the anchor block", a->anchor_size);
	if (a->table_offset % SAS_M_PAGE || a->table_offset < 2 * SAS_M_PAGE ||
	    a->table_offset >= a->anchor_size || table_bytes > a->anchor_size - a->table_offset)
		return misfit(fault, AT(table_offset), "offset of the segment table", a->table_offset);
	if (a->log_offset % SAS_M_PAGE || a->log_offset < a->table_offset + table_bytes ||
	    a->log_offset >= a->anchor_size)
		return misfit(fault, AT(log_offset), "offset of the intent logs", a->log_offset);
	if (!a->log_count || a->log_count > (a->anchor_size - a->log_offset) / SAS_M_LOG_SIZE)
		return misfit(fault, AT(log_count), "number of intent logs", a->log_count);
	if (!is_power(a->log_chunk_size) || a->log_chunk_size < SAS_M_LOG_SIZE || a->log_chunk_size > half)
		return misfit(fault, AT(log_chunk_size), "size of a chunk of logs", a->log_chunk_size);
	if (!is_power(a->map_size) || a->map_size < SAS_M_PAGE || a->map_size > half)
		return misfit(fault, AT(map_size), "size of the map area", a->map_size);
	if (!a->maps || a->maps > segments || a->maps > a->map_size / sas_map_bytes(a->segment_size))
		return misfit(fault, AT(maps), "number of maps", a->maps);
	if (a->map_offset % a->map_size || a->map_offset < a->anchor_size ||
	    a->map_offset > a->segment_size - a->map_size)
		return misfit(fault, AT(map_offset), "offset of the map area", a->map_offset);
	return 0;
}

int sas_anchor_examine(const struct sas_m_anchor *a, struct sas_fault *fault)
{
	const char *geometry;
	int result = examine_header(a, fault);

	if (!result)
		result = examine_features(a, fault);
	if (result)
		return result;
	geometry = geometry_fault(a->base, a->region_size, a->segment_size);
	if (geometry)
		return fault_at(fault, AT(base), EUCLEAN,
				"base 0x%llx, region size %llu, segment size %llu: %s",
				(unsigned long long)a->base, (unsigned long long)a->region_size,
				(unsigned long long)a->segment_size, geometry);
	return examine_areas(a, fault);
}

int sas_trailer_fits(const struct sas_m_trailer *t, const struct sas_m_anchor *a, uint64_t number)
{
	return t->magic == SAS_M_MAGIC_TRAILER && t->format == a->format && t->header_size == sizeof(*t) &&
	       !memcmp(t->uuid, a->uuid, sizeof(t->uuid)) && t->number == number && t->base == a->base &&
	       t->region_size == a->region_size && t->segment_size == a->segment_size &&
	       t->generation == a->generation && t->checksum == sas_trailer_checksum(t);
}

int sas_trailer_examine(const struct sas_m_trailer *t, const struct sas_m_anchor *a, uint64_t number,
			struct sas_fault *fault)
{
#define TRAILER_AT(field) (a->segment_size + offsetof(struct sas_m_trailer, field))
	const struct {
		uint64_t at, has, wanted;
		const char *what;
	} fields[] = {
		{ TRAILER_AT(base), t->base, a->base, "base" },
		{ TRAILER_AT(region_size), t->region_size, a->region_size, "region size" },
		{ TRAILER_AT(segment_size), t->segment_size, a->segment_size, "segment size" },
		{ TRAILER_AT(generation), t->generation, a->generation, "generation" },
	};
	char uuid[SAS_UUID_TEXT];

	if (t->magic != SAS_M_MAGIC_TRAILER)
		return fault_at(fault, TRAILER_AT(magic), EUCLEAN,
				"no segment's trailer: its magic number is 0x%016llx",
				(unsigned long long)t->magic);
	if (t->format != a->format)
		return fault_at(fault, TRAILER_AT(format), t->format > a->format ? EPROTONOSUPPORT : EUCLEAN,
				"the trailer has format %u, the region %u", t->format, a->format);
	if (t->header_size != sizeof(*t))
		return fault_at(fault, TRAILER_AT(header_size), EUCLEAN,
				"the trailer's header size is %u, not %zu", t->header_size, sizeof(*t));
	if (t->checksum != sas_trailer_checksum(t))
		return fault_at(fault, TRAILER_AT(checksum), EUCLEAN,
				"the trailer's checksum does not fit its bytes");
	if (memcmp(t->uuid, a->uuid, sizeof(t->uuid))) {
		sas_uuid_text(t->uuid, uuid);
		return fault_at(fault, TRAILER_AT(uuid), EUCLEAN, "this file belongs to another region, %s: it is segment %llu there",
				uuid, (unsigned long long)t->number);
	}
	if (t->number != number)
		return fault_at(fault, TRAILER_AT(number), EUCLEAN, "this file is segment %llu of the region, not %llu",
				(unsigned long long)t->number, (unsigned long long)number);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].has != fields[i].wanted)
			return fault_at(fault, fields[i].at, EUCLEAN,
					"the trailer says %s %llu, the region's is %llu", fields[i].what,
					(unsigned long long)fields[i].has,
					(unsigned long long)fields[i].wanted);
	return 0;
}

int sas_anchor_validate(const struct sas_m_anchor *a, const char *file)
{
	struct sas_fault fault;
	int error = sas_anchor_examine(a, &fault);

	if (!error)
		return 0;
	return sas_fail(-error, "%s: offset %llu: %s", file, (unsigned long long)fault.offset, fault.text);
}
