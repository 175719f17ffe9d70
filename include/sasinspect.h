/* SPDX-License-Identifier: MIT */
/*
 * sasinspect.h - look at a region's files without joining it: read-only, by pread(2), so that
 * nothing changes and no hole is filled. Trusts nothing it reads.
 */
#ifndef SASPHERE_SASINSPECT_H
#define SASPHERE_SASINSPECT_H

#include <stddef.h>
#include <stdint.h>
#include "saslock.h"
#include "sasregion.h"

typedef struct sas_inspect *SASInspect_t;       /* owned by the caller; one thread at a time */

/* The attributes repeat what the files say; nothing depends on them. */
typedef enum {
	SASAttributes__NONE = 0,        /* the file system has none, or a preallocated file */
	SASAttributes__FIT = 1,
	SASAttributes__MISSING = 2,     /* some or all: a copy that did not keep them */
	SASAttributes__DIFFER = 3       /* a stray or misplaced file, perhaps */
} sas_attributes_t;

typedef struct SASSegmentInfo {
	uint64_t number, address, size;
	uint64_t allocatedBytes;        /* what the file takes on the disk */
	uint32_t use;                   /* 0 free, 1 carved into blocks, 2 part of a larger block */
	uint32_t uid, gid, mode;
	sas_attributes_t attributes;    /* do its user.sasphere.* attributes say what it is? */
	uint32_t reserved;
} SASSegmentInfo;

typedef struct SASParticipantInfo {
	uint32_t slot, pid, generation, threads;
	uint32_t alive;                 /* 1 yes, 0 dead and not yet recovered */
	uint32_t readOnly;
	uint64_t joinedAt;              /* seconds since 1970 */
	uint64_t pidNamespace;          /* in which pid is its number: inode of /proc/PID/ns/pid, 0 unknown */
} SASParticipantInfo;

/* A thread that has a slot. The counters are the slot's: they go on through the threads that had it one after the other. */
typedef struct SASThreadInfo {
	uint32_t slot, pid, tid;        /* pid and tid as in its own pid namespace; pid 0: its process has gone */
	uint32_t process;               /* slot of its process: SASParticipantInfo.slot */
	uint32_t generation;
	uint32_t alive;                 /* 1 yes, 0 dead and not yet recovered */
	uint32_t inEpoch;               /* 1: inside a critical section of epochs */
	uint32_t locksHeld;
	uint32_t waits;                 /* 1: for the lock waitsFor, in waitMode, since waitsSince */
	sas_userlock_request_t waitMode;
	void *waitsFor;
	uint64_t waitsSince;            /* ns since 1970 */
	uint64_t allocations, frees;    /* of blocks */
	uint64_t lockWaits;             /* locks that it did not have at once */
	uint64_t faults;                /* segments that the fault handler has mapped */
	uint64_t recoveries;            /* dead threads that it has recovered */
	uint64_t deferred, reclaimed;   /* by epochs */
} SASThreadInfo;

typedef struct SASInspectInfo {
	size_t structSize;
	uint8_t uuid[16];
	uint64_t base, regionSize, segmentSize, segmentsMax, segmentsPresent;
	uint64_t bytesInUse, bytesFree, blocksInUse, allocatedBytes;
	uint64_t finder, createdAt;
	uint32_t generation;            /* joins so far */
	uint32_t formatVersion, incompat, roCompat, compat;
	uint32_t mode, uid, gid;
	uint32_t clean;                 /* 1: its last participant left cleanly */
	uint32_t sparse, preallocated;
	uint32_t participantsAlive, participantsDead;
	uint32_t intents;               /* intent logs that are not empty */
	sas_durability_t durability;
	sas_numa_t numaPolicy;
	/* Of all threads, since SAS.run was made: blocks, locks not had at once, segments mapped at faults, dead threads recovered. */
	uint64_t allocations, frees, lockWaits, faults, recoveries;
	char numaNodes[256];            /* "0-1,3"; "": all; cut where there is no room */
	sas_huge_t hugeWanted;          /* as it was made */
	sas_huge_t hugePages;           /* the best that a process can get here, by the file system and the kernel's settings */
	char hugeReason[160];           /* why that is not hugeWanted; "" */
	uint32_t attributesFit, attributesMissing, attributesDiffer;    /* files; all 0: the file system has none */
	char attributesSaid[256];       /* what is wrong with the first of them; "" */
	uint32_t linearUseList;         /* 1: the use list shows each block; 0: buddies merged */
	uint32_t seizedBy;              /* thread id, in its own namespace, of who has called SASSeize(); 0: nobody */
} SASInspectInfo;

/* What a problem is about: file and offset say where, sentence what. */
typedef void (*SASProblem) (const char *file, uint64_t offset, const char *sentence, void *arg);

extern __C__ SASInspect_t SASInspectOpen (const char *directory);
extern __C__ void SASInspectClose (SASInspect_t inspect);
extern __C__ int SASInspectGetInfo (SASInspect_t inspect, SASInspectInfo *info);
extern __C__ long SASInspectListBlocks (SASInspect_t inspect, sas_block_kind_t kind, SASBlockInfo *buffer, size_t capacity);
extern __C__ long SASInspectListSegments (SASInspect_t inspect, SASSegmentInfo *buffer, size_t capacity);
extern __C__ long SASInspectListParticipants (SASInspect_t inspect, SASParticipantInfo *buffer, size_t capacity);
/* Bytes of the region, wherever it is not mapped; those of space without a file are zero. EFAULT outside of it. */
extern __C__ int SASInspectRead (SASInspect_t inspect, const void *address, void *buffer, size_t size);
/* SASLockList() without joining. */
extern __C__ long SASInspectListLocks (SASInspect_t inspect, SASLockInfo *buffer, size_t capacity);
extern __C__ long SASInspectListThreads (SASInspect_t inspect, SASThreadInfo *buffer, size_t capacity);

/* Full consistency check of a region's files. How many problems, each told to `problem`; -1 and errno
 * when it could not be done. Changes nothing. */
extern __C__ long SASRegionCheck (const char *directory, SASProblem problem, void *arg);
/* What a repair has done (done 1), or leaves as it is (done 0). */
typedef void (*SASRepaired) (const char *file, uint64_t offset, const char *sentence, int done, void *arg);
/* Repair what can be proved right in the files of an idle region. How many problems are left, -1 and errno. */
extern __C__ long SASRegionRepair (const char *directory, SASRepaired told, void *arg);
/* Copy an idle region's files into a new or empty directory: holes, modes and attributes kept. */
extern __C__ int SASRegionCopy (const char *from, const char *to);

#endif
