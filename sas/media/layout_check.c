/* SPDX-License-Identifier: MIT */
/* layout_check.c - the media format, frozen. What fails here is a change of the format. Layer 1. */
#include <config.h>

#include <stddef.h>
#include "layout.h"

#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
#define AT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define VALUE(name, value) _Static_assert((name) == (value), #name)

SIZE(sas_m_block_header, 64);
AT(sas_m_block_header, special, 0);
AT(sas_m_block_header, signature_1, 8);
AT(sas_m_block_header, type, 16);
AT(sas_m_block_header, signature_2, 24);
AT(sas_m_block_header, size, 32);
AT(sas_m_block_header, free_space, 40);
AT(sas_m_block_header, base_block, 48);
AT(sas_m_block_header, next_block, 56);
VALUE(SAS_M_BLOCK_TYPE_ANCHOR, 0x10010100U);

SIZE(sas_m_anchor, 368);
AT(sas_m_anchor, block_header, 0);
AT(sas_m_anchor, magic, 64);
AT(sas_m_anchor, format, 72);
AT(sas_m_anchor, endian, 76);
AT(sas_m_anchor, header_size, 80);
AT(sas_m_anchor, page_size, 84);
AT(sas_m_anchor, incompat, 88);
AT(sas_m_anchor, ro_compat, 92);
AT(sas_m_anchor, compat, 96);
AT(sas_m_anchor, mode, 100);
AT(sas_m_anchor, uuid, 104);
AT(sas_m_anchor, base, 120);
AT(sas_m_anchor, region_size, 128);
AT(sas_m_anchor, segment_size, 136);
AT(sas_m_anchor, anchor_size, 144);
AT(sas_m_anchor, table_offset, 152);
AT(sas_m_anchor, log_offset, 160);
AT(sas_m_anchor, log_count, 168);
AT(sas_m_anchor, log_chunk_size, 176);
AT(sas_m_anchor, map_offset, 184);
AT(sas_m_anchor, map_size, 192);
AT(sas_m_anchor, maps, 200);
AT(sas_m_anchor, created_at, 208);
AT(sas_m_anchor, generation, 216);
AT(sas_m_anchor, durability, 220);
AT(sas_m_anchor, numa_policy, 224);
AT(sas_m_anchor, numa_spread, 228);
AT(sas_m_anchor, huge, 230);
AT(sas_m_anchor, numa_nodes, 232);
AT(sas_m_anchor, checksum, 360);

SIZE(sas_m_state, 608);
AT(sas_m_state, life, 0);
AT(sas_m_state, clean, 4);
AT(sas_m_state, generation, 8);
AT(sas_m_state, list_mode, 12);
AT(sas_m_state, finder, 16);
AT(sas_m_state, boot_id, 24);
AT(sas_m_state, log_chunk, 40);
AT(sas_m_state, tickets, 544);
AT(sas_m_state, reserved, 552);

SIZE(sas_m_segment, 32);
AT(sas_m_segment, file, 0);
AT(sas_m_segment, block, 4);

SIZE(sas_m_trailer, 80);
AT(sas_m_trailer, magic, 0);
AT(sas_m_trailer, format, 8);
AT(sas_m_trailer, header_size, 12);
AT(sas_m_trailer, uuid, 16);
AT(sas_m_trailer, number, 32);
AT(sas_m_trailer, base, 40);
AT(sas_m_trailer, region_size, 48);
AT(sas_m_trailer, segment_size, 56);
AT(sas_m_trailer, generation, 64);
AT(sas_m_trailer, reserved, 68);
AT(sas_m_trailer, checksum, 72);

SIZE(sas_m_log, 64);
AT(sas_m_log, magic, 0);
AT(sas_m_log, state, 8);
AT(sas_m_log, used, 12);
AT(sas_m_log, sequence, 16);

SIZE(sas_m_record, 24);
AT(sas_m_record, type, 0);
AT(sas_m_record, length, 4);
AT(sas_m_record, where, 8);
AT(sas_m_record, sequence, 16);
AT(sas_m_record, check, 20);

VALUE(SAS_M_NUMA_INTERLEAVE, 3);
VALUE(SAS_M_SPREAD_SEGMENTS, 1);
VALUE(SAS_M_HUGE_TRANSPARENT, 1);
VALUE(SAS_M_HUGE_TLB, 2);
VALUE(SAS_M_NEVER, 0);
VALUE(SAS_M_FREED, 1);
VALUE(SAS_M_DIRTY, 2);
VALUE(SAS_M_USED, 3);
VALUE(SAS_M_ORDER_CARVED, 63);
VALUE(SAS_M_GENERATION_RETIRED, 0xffffffU);
VALUE(SAS_M_LOG_IDLE, 0);
VALUE(SAS_M_LOG_ACTIVE, 1);
VALUE(SAS_M_LOG_COMMITTED, 2);
VALUE(SAS_M_RECORD_UNDO, 1);
VALUE(SAS_M_RECORD_REDO, 2);
VALUE(SAS_M_RECORD_REINDEX, 3);
VALUE(SAS_M_RECORD_ALLOC, 4);
