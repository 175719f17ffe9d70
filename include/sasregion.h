/* SPDX-License-Identifier: MIT */
/*
 * sasregion.h - regions by handle: many in one process, with options, inspection and repair.
 *
 * Sizes, lengths and addresses are bytes. All calls are thread-safe and cancel-safe. Only
 * SASMapAhead(), SASHandleFault() and SASRegionFinder() may be called from a signal handler; another call
 * from a handler that interrupted a library call fails with EDEADLK. int calls give 0, or -1 and
 * errno; pointer calls NULL and errno. Every failure leaves a sentence: SASLastErrorMessage().
 * Every call is all or nothing, also when the process is killed inside it. Page: sasregion(3).
 */
#ifndef SASPHERE_SASREGION_H
#define SASPHERE_SASREGION_H

#include <stddef.h>
#include <stdint.h>
#include "sastype.h"

/* A joined region. Owned by the library; valid until the SASRegionLeave() that undoes its last join. */
typedef struct sas_region *SASRegion_t;

/* How much a region survives, chosen at its creation. */
typedef enum {
	SASDurability__PROCESS = 0,     /* the death of any process; the kernel writes back in its own time */
	SASDurability__DISK = 1,        /* also a power cut: each metadata change is synced as it is made */
	SASDurability__PMEM = 2         /* the same by cache-line write-back on a DAX mapping */
} sas_durability_t;

typedef enum {
	SASNuma__DEFAULT = 0,
	SASNuma__PREFERRED = 1,         /* numaNodes: the nodes to prefer */
	SASNuma__BIND = 2,              /* them alone */
	SASNuma__INTERLEAVE = 3,        /* over them, page by page */
	SASNuma__INTERLEAVE_SEGMENTS = 4        /* regions: segment n on the (n mod k)-th of the k nodes */
} sas_numa_t;

/* In which pages the memory of a region lies: a wish, made at its creation. Where it cannot be had, the next lower one. */
typedef enum {
	SASHuge__NONE = 0,              /* small pages */
	SASHuge__TRANSPARENT = 1,       /* huge pages as the kernel has them to give */
	SASHuge__HUGETLB = 2            /* those of hugetlbfs: what a directory there has in any case */
} sas_huge_t;

/* Flags of SASRegionJoin(). */
#define SAS_JOIN_CREATE 0x0001          /* create the region where there is none */
#define SAS_JOIN_EXCLUSIVE 0x0002       /* with CREATE: EEXIST where there is one */
#define SAS_JOIN_READONLY 0x0004        /* map the segments for reading; changing calls give EROFS */
#define SAS_JOIN_EAGER 0x0008           /* map all segments now, not at their first touch */
#define SAS_JOIN_MAP64 0x0010           /* map up to 64 existing segments now, as a classic join does */
#define SAS_JOIN_SPARSE 0x0020          /* create: blocks take file space at their first touch */
#define SAS_JOIN_PREALLOCATED 0x0040    /* create: in files that exist at full size; see sasphere-region(5) */
#define SAS_JOIN_SINGLE_HOST 0x0080     /* I promise that one host uses it: allow NFS, CIFS, 9p, FUSE */
#define SAS_JOIN_RELOCATED 0x0100       /* if its addresses are taken, map it elsewhere (implies READONLY) */

/* Start from SASRegionOptionsInit(); 0 in a field means the default. */
typedef struct SASRegionOptions {
	size_t structSize;              /* set by SASRegionOptionsInit() */
	unsigned flags;                 /* SAS_JOIN_... */
	unsigned mode;                  /* create: file mode; default 0666 & ~umask */
	uint64_t base;                  /* create: first address, multiple of 2 MiB; default: a slot hashed from the UUID */
	uint64_t regionSize;            /* create: multiple of segmentSize; default 1 TiB */
	uint64_t segmentSize;           /* create: power of two, 2 MiB or more; default 256 MiB */
	sas_durability_t durability;    /* create */
	sas_numa_t numaPolicy;          /* create */
	const char *numaNodes;          /* create: a list as numactl(8) reads it, such as "0-1"; NULL: all */
	sas_huge_t hugePages;           /* create */
	uint32_t reserved[13];          /* 0 */
} SASRegionOptions;

typedef struct SASRegionInfo {
	size_t structSize;              /* set by the caller: sizeof(SASRegionInfo); of an older one, what that has */
	char path[4096];
	uint8_t uuid[16];
	uint64_t base, mappedAt, regionSize, segmentSize;
	uint64_t segmentsMax, segmentsPresent, segmentsMapped;
	uint64_t bytesInUse, bytesFree;         /* blocks of the program; free space in present segments */
	uint64_t blocksInUse;
	uint32_t generation;            /* of this process: what it allocates carries it */
	uint32_t participants;          /* processes that have joined, this one included */
	uint32_t threads;               /* their threads that hold a slot */
	uint32_t recoveries;            /* dead threads that have been recovered since the run file was made */
	uint32_t flags;                 /* SAS_JOIN_... in force */
	uint32_t mode;
	sas_durability_t durability;
	uint64_t faults, busErrors;     /* lazily mapped segments, SIGBUS in the region: this process */
	uint64_t allocations, frees;    /* of blocks, by all threads since the run file was made */
	uint64_t lockWaits;             /* address locks that they did not have at once */
	sas_huge_t hugeWanted, hugePages;       /* as it was made; what this process has */
	uint64_t hugeBytes;             /* of the region, that huge pages map in this process now */
	char hugeReason[160];           /* why hugePages is not hugeWanted; "" */
	sas_numa_t numaPolicy;
	char numaNodes[256];            /* "0-1,3"; "": all; cut where there is no room */
} SASRegionInfo;

typedef enum {
	SASBlock__IN_USE = 0,           /* each block of the program and of the runtime, not merged */
	SASBlock__FREE = 1,             /* was in use once; buddies merged */
	SASBlock__UNCOMMITTED = 2,      /* never used; buddies merged */
	SASBlock__SEGMENT = 3,          /* segments that have files */
	SASBlock__FREE_REGION = 4,      /* ranges of the region that have no files yet */
	SASBlock__IN_USE_MERGED = 5     /* in use, buddies merged: the compact use list */
} sas_block_kind_t;

#define SAS_GENERATION_RETIRED 0xffffffU        /* SASEpochFree() has condemned the block */

typedef struct SASBlockInfo {
	void *address;
	uint64_t size;
	uint32_t generation;            /* of the process that allocated it; 0: the runtime's own */
	uint32_t kind;                  /* sas_block_kind_t */
} SASBlockInfo;

extern __C__ void SASRegionOptionsInit (SASRegionOptions *options);
/* Join the region in a directory. NULL options: lazy, read and write, never create. The same
 * directory again gives the same handle and is counted. */
extern __C__ SASRegion_t SASRegionJoin (const char *directory, const SASRegionOptions *options);
extern __C__ int SASRegionLeave (SASRegion_t region);
/* Delete the region's files; every other participant gets ESTALE. Leaves it. */
extern __C__ int SASRegionRemove (SASRegion_t region);
/* The same for a region that this process has not joined. Deletes only files it recognises;
 * EBUSY while participants live, unless force. */
extern __C__ int SASRegionRemovePath (const char *directory, int force);
/* Back to an empty region of the same geometry. */
extern __C__ int SASRegionReset (SASRegion_t region);
/* The region that the classic calls use, or NULL. */
extern __C__ SASRegion_t SASRegionDefault (void);
/* The joined region that an address belongs to, or NULL and EFAULT. */
extern __C__ SASRegion_t SASRegionOf (const void *address);
extern __C__ int SASRegionGetInfo (SASRegion_t region, SASRegionInfo *info);

extern __C__ void *SASRegionFinder (SASRegion_t region);
extern __C__ int SASRegionSetFinder (SASRegion_t region, void *finder);

extern __C__ void *SASRegionBlockAlloc (SASRegion_t region, size_t size);
/* Finds its region by the address. EFAULT, EINVAL, ENOENT, EPERM, EROFS, ESTALE, EDEADLK. */
extern __C__ int SASBlockFree (void *block, size_t size);
/*
 * Where the memory of a block in use is taken from now on; what is there moves, unless others have it mapped. A wish, as all
 * placement: where it cannot be had the sink gets a warning, and the call gives 0. DEFAULT: as the rest of the region.
 * nodes: as SASRegionOptions.numaNodes. EINVAL, EFAULT, ENOENT, EPERM, EROFS, ESTALE, EDEADLK.
 */
extern __C__ int SASBlockPlace (void *block, size_t size, sas_numa_t policy, const char *nodes);
/* SASRegionBlockAlloc() and SASBlockPlace() in one. */
extern __C__ void *SASRegionBlockAllocPlaced (SASRegion_t region, size_t size, sas_numa_t policy, const char *nodes);
/* What the kernel has for an address: the policy, and its nodes as text, "0-1,3", cut where size bytes have no room. */
extern __C__ int SASBlockPlacement (const void *address, sas_numa_t *policy, char *nodes, size_t size);
/* The block in use that an address lies in. ENOENT: none. */
extern __C__ int SASBlockFind (const void *address, SASBlockInfo *info);
/* Stores up to capacity entries, ascending by address; gives how many there are, or -1. */
extern __C__ long SASRegionListBlocks (SASRegion_t region, sas_block_kind_t kind, SASBlockInfo *buffer, size_t capacity);
/* Give the file space of free blocks back to the file system; bytes given, or -1. */
extern __C__ long SASRegionTrim (SASRegion_t region);

/* Map the segments under [address, address + length). Async-signal-safe. */
extern __C__ int SASMapAhead (const void *address, size_t length);
/* For a program's own SIGSEGV handler: 1 if the fault was ours and is mended, else 0.
 * info: siginfo_t *, context: ucontext_t *. Async-signal-safe. */
extern __C__ int SASHandleFault (void *info, void *context);
/* Where a relocated region has the byte that pointers name by `address`. */
extern __C__ const void *SASRegionAddress (SASRegion_t region, const void *address);

/* All that was stored before the call is on stable storage when it gives 0. After a failure, EIO
 * until the region is joined again. */
extern __C__ int SASSync (SASRegion_t region);
/* The same for the bytes of a range in one region: cheap on persistent memory, and without the other files. EFAULT:
 * there is no such range. */
extern __C__ int SASSyncRange (const void *address, size_t size);
/* Complete or roll back what dead participants left. How many, or -1. */
extern __C__ int SASRegionRecover (SASRegion_t region);

/* Errors: the calling thread's last failure in a sentence; never NULL. Valid until its next failure. */
extern __C__ const char *SASLastErrorMessage (void);
typedef enum {
	SASLog__ERROR = 1,
	SASLog__WARNING = 2,
	SASLog__INFO = 3,
	SASLog__DEBUG = 4
} sas_log_level_t;
typedef void (*SASLogSink) (sas_log_level_t level, const char *sentence, void *arg);
/* Called in the thread that causes the message, outside locks, never in a signal handler. NULL: silent. */
extern __C__ void SASSetLogSink (SASLogSink sink, void *arg, sas_log_level_t upTo);
/* "1.0.0". */
extern __C__ const char *SASVersion (void);

#endif
