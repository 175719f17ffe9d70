/* SPDX-License-Identifier: MIT */
/*
 * layout.h - every byte that a region's files hold. Layer 1: includes nothing of ours.
 *
 * doc/FORMAT.md says the same for people; layout_check.c freezes it; both change with this file
 * in one commit. All numbers are little-endian. Offsets in a segment are bytes from the start of
 * its file. Addresses in the file are offsets from the region's base, so that a relocated mapping
 * can follow them; only the finder and what programs store are addresses.
 *
 * Segment 0:   anchor block { anchor page, state page, segment table, intent logs }, free space,
 *              the map area { block maps of the first `maps` segments }, free space, trailer page.
 * Segment n:   [its own block map, where n >= maps and it is carved], blocks, trailer page.
 *
 * The block map of a segment has an entry per 4 KiB unit. Entries at the heads of tiles say what
 * the tile is; the others are stale and mean nothing. A scan starts at unit 0 and goes from head
 * to head. Invariants, checked by check.c:
 *   M1  a tile lies naturally aligned inside its segment;
 *   M2  an entry that says USED is the head of a block: used entries never lie inside another
 *       used block and are never stale (a stale entry is FREED, DIRTY or NEVER);
 *   M3  the first 4 KiB of a FREED tile are zero, and all of a NEVER tile;
 *   M4  each change of a map is one store of one entry that keeps M1-M3, in the order in which
 *       the stores are written: so a map is whole after the death of its writer at any point,
 *       and any mixture of old and new pages of it still shows every block that was in use all
 *       the time between them.
 * A free tile may be leased: its generation field names the thread that has it in hand (run_lease.h). That is run-time
 * state: when nobody lives, it means nothing. A leased NEVER tile may have several units; all entries inside are 0.
 * The segment table is the same map one level up, with a segment as the unit.
 */
#ifndef SAS_LAYOUT_H
#define SAS_LAYOUT_H

#include <stdint.h>

#define SAS_M_MAGIC_ANCHOR 0x31524F48434E4153ULL        /* "SANCHOR1" in memory */
#define SAS_M_MAGIC_TRAILER 0x31454C4941525453ULL       /* "STRAILE1" */
#define SAS_M_MAGIC_LOG 0x31474F4C53415053ULL           /* "SPASLOG1" */

#define SAS_M_FORMAT 1
#define SAS_M_ENDIAN 0x01020304U

/* incompat: a library that does not know a bit refuses the region. */
#define SAS_M_INCOMPAT_PREALLOCATED 0x1U        /* files were there at full size: no trailer page, no holes */
#define SAS_M_INCOMPAT_KNOWN 0x1U
/* ro_compat: one that does not know a bit may only read it. */
#define SAS_M_RO_COMPAT_KNOWN 0x0U
/* compat: one that does not know a bit may ignore it. */
#define SAS_M_COMPAT_SPARSE 0x1U                /* blocks take file space at first touch */

#define SAS_M_NUMA_INTERLEAVE 3U
#define SAS_M_SPREAD_SEGMENTS 1U
#define SAS_M_HUGE_TRANSPARENT 1U
#define SAS_M_HUGE_TLB 2U

#define SAS_M_UNIT_SHIFT 12
#define SAS_M_UNIT (1UL << SAS_M_UNIT_SHIFT)
#define SAS_M_PAGE 4096UL
#define SAS_M_PAGE_MAX 65536UL                  /* a kernel's: file space is taken in multiples of it */
#define SAS_M_LARGE_TAIL (2UL << 20)    /* the page of the trailer where file sizes are multiples of huge pages */
#define SAS_M_MIN_SEGMENT (2UL << 20)
#define SAS_M_MAX_SEGMENTS (1UL << 20)
#define SAS_M_LOG_SIZE 4096UL
#define SAS_M_LOG_CHUNKS 63

/* An entry of a map: order | state << 6 | generation << 8. In a block map the generation of a free tile is a lease. */
#define SAS_M_NEVER 0U          /* never used, all zero; the whole entry is zero, but for a lease */
#define SAS_M_FREED 1U          /* was used; its first 4 KiB are zero */
#define SAS_M_DIRTY 2U          /* was used; nothing is known of its bytes */
#define SAS_M_USED 3U           /* a block; generation 0 is the runtime's own */
#define SAS_M_GENERATION_RETIRED 0xffffffU      /* of a block whose free was deferred: epoch.h */
#define SAS_M_ORDER_CARVED 63U  /* segment table only, with USED: one segment, see its block map */

/* The classic header that objects begin with (SASBlockHeader of sasalloc.h): frozen media too. */
#define SAS_M_BLOCK_SIGNATURE_1 0x0102030405060708ULL
#define SAS_M_BLOCK_SIGNATURE_2 0xA6A7A8A9AAABACADULL
#define SAS_M_BLOCK_TYPE_ANCHOR 0x10010100U
struct sas_m_block_header {
	uint64_t special;
	uint64_t signature_1;
	uint32_t type;
	uint32_t reserved;
	uint64_t signature_2;
	uint64_t size;
	uint64_t free_space;
	uint64_t base_block;
	uint64_t next_block;
};

/* Page 0 of segment 0, written once. `checksum` is the XXH64 (seed 0) of the header_size bytes
 * with checksum itself taken as 0. The first 64 bytes are a classic block header. */
struct sas_m_anchor {
	struct sas_m_block_header block_header;
	uint64_t magic;                 /* written last */
	uint32_t format;
	uint32_t endian;
	uint32_t header_size;
	uint32_t page_size;             /* SAS_M_PAGE, whatever the pages of the machine are */
	uint32_t incompat, ro_compat, compat;
	uint32_t mode;                  /* file mode of all its files */
	uint8_t uuid[16];
	uint64_t base;
	uint64_t region_size;
	uint64_t segment_size;
	uint64_t anchor_size;           /* bytes of the anchor block: power of two */
	uint64_t table_offset;          /* segment table: struct sas_m_segment[region_size / segment_size] */
	uint64_t log_offset;            /* first chunk of intent logs */
	uint64_t log_count;             /* logs in the first chunk */
	uint64_t log_chunk_size;        /* bytes of each further chunk: power of two */
	uint64_t map_offset;            /* map area: a block of map_size bytes */
	uint64_t map_size;
	uint64_t maps;                  /* segments whose maps are in the map area */
	uint64_t created_at;            /* seconds since 1970 */
	uint32_t generation;            /* resets of this directory so far; the trailers carry it too */
	uint32_t durability;
	uint32_t numa_policy;
	uint16_t numa_spread;           /* interleave: 0 page by page, 1 segment by segment */
	uint16_t huge;                  /* pages that were asked for: 0 small, 1 transparent huge pages, 2 hugetlbfs */
	uint64_t numa_nodes[16];        /* node mask; all zero: all nodes */
	uint64_t checksum;
};

/* Page 1 of segment 0: the words that change. */
#define SAS_M_LIFE_ACTIVE 1U
#define SAS_M_LIFE_DEAD 2U      /* being reset or removed: peers get ESTALE, a join completes it */
#define SAS_M_LIST_LINEAR 1U
struct sas_m_state {
	uint32_t life;
	uint32_t clean;                 /* 1: the last participant left with nothing to recover */
	uint32_t generation;            /* joins so far: each process takes the next (low 24 bits, never 0) */
	uint32_t list_mode;
	uint64_t finder;
	uint8_t boot_id[16];            /* of the boot in which clean became 0 */
	uint64_t log_chunk[SAS_M_LOG_CHUNKS];   /* offsets of the further log chunks; 0: none */
	uint64_t tickets;               /* drawn so far, in steps: each thread that may write takes the next */
	uint32_t reserved[14];
};

/* One per segment. */
#define SAS_M_SEGMENT_PRESENT 1U
struct sas_m_segment {
	uint32_t file;                  /* 0: there is no file */
	uint32_t block;                 /* an entry, the unit is a segment */
	uint32_t reserved[6];
};

/* Behind what is mapped of each segment file, at offset segment_size; no trailer where PREALLOCATED.
 * checksum as in the anchor. */
struct sas_m_trailer {
	uint64_t magic;
	uint32_t format;
	uint32_t header_size;
	uint8_t uuid[16];
	uint64_t number;
	uint64_t base;
	uint64_t region_size;
	uint64_t segment_size;
	uint32_t generation;
	uint32_t reserved;
	uint64_t checksum;
};

/* An intent log: SAS_M_LOG_SIZE bytes, this header first, then records. `used` publishes. */
#define SAS_M_LOG_IDLE 0U
#define SAS_M_LOG_ACTIVE 1U     /* recovery undoes, last record first */
#define SAS_M_LOG_COMMITTED 2U  /* recovery redoes, first record first */
struct sas_m_log {
	uint64_t magic;                 /* 0: never used */
	uint32_t state;
	uint32_t used;                  /* bytes of whole records after this header */
	uint32_t sequence;              /* counts intents; records of another one are stale */
	uint32_t reserved[11];
};

#define SAS_M_RECORD_UNDO 1U    /* where, then the bytes that were there */
#define SAS_M_RECORD_REDO 2U    /* where, then the bytes that will be there */
#define SAS_M_RECORD_REINDEX 3U /* where: a segment's offset; its run-time index may be stale */
#define SAS_M_RECORD_ALLOC 4U   /* where: a block that this intent allocates; undone by freeing it */
struct sas_m_record {
	uint32_t type;
	uint32_t length;                /* of the bytes that follow, before padding to 8 */
	uint64_t where;                 /* offset in the region */
	uint32_t sequence;              /* of the log when it was written */
	uint32_t check;                 /* XXH32 of the record with this field 0 and of its bytes */
};

#endif
