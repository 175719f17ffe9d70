/* SPDX-License-Identifier: MIT */
/*
 * sasstname.h - names of segment files, and files by name. Number 0 is the anchor segment.
 * The store is the default region's directory; before a join, the working directory.
 */
#ifndef SASPHERE_SASSTNAME_H
#define SASPHERE_SASSTNAME_H

#include "sassim.h"

/* Write "<store>/SAS00000.DAT" into name, of STORE_NAME_SIZE bytes; gives name. */
extern __C__ char *SASSegNameIndexed (char *name, sasseg_t segnum);
/* 1 if there is such a file, else 0. */
extern __C__ int SASSegNameExists (char *name);
extern __C__ int SASSegIndexExists (sasseg_t segnum);
/* A new sparse file of SegmentSize bytes, mode 0666 & ~umask; 0, or -1 and errno. */
extern __C__ int SASSegStoreCreateByName (char *name);
extern __C__ int SASSegStoreCreate (sasseg_t segnum);
/* Delete it. EBUSY: it is a segment of the joined region. */
extern __C__ int SASSegStoreRemoveByName (char *name);
extern __C__ int SASSegStoreRemove (sasseg_t segnum);

#endif
