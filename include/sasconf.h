/* SPDX-License-Identifier: MIT */
/*
 * sasconf.h - the address range of a classic region and its sizes, in bytes.
 *
 * These are the values with which a classic join creates a region. A region that was
 * created with other values keeps them in its anchor: SASRegionGetInfo(3) tells them.
 */
#ifndef SASPHERE_SASCONF_H
#define SASPHERE_SASCONF_H

#include <sys/param.h>

#ifndef __C__
#ifdef __cplusplus
#define __C__ "C"
#else
#define __C__
#endif
#endif

#ifndef __WORDSIZE_64
#define __WORDSIZE_64
#endif
#define __BIGREGION__ 1

/* First address of a classic region. Free in plain and AddressSanitizer programs. */
#define __SAS_BASE_ADDRESS 0x200000000000L
/* Size of a classic region: 1 TiB. */
#define RegionSize 0x10000000000L
/* Size of a segment file's mapped part: 256 MiB. */
#define SegmentSize 0x10000000L

/* A range beside the region that the runtime leaves to programs; SASFindHeader() accepts it. */
#define __SAS_SHMAP_MAX 0x1000000L
#define __SAS_TEMP_ADDRESS (__SAS_BASE_ADDRESS + RegionSize + SegmentSize)
#define __SAS_TEMP_FREE (__SAS_BASE_ADDRESS + RegionSize + 4 * SegmentSize)

#define STORE_NAME_SIZE MAXPATHLEN

#endif
