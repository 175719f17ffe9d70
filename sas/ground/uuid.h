/* SPDX-License-Identifier: MIT */
/*
 * uuid.h - the names of regions. Layer 0.
 */
#ifndef SAS_UUID_H
#define SAS_UUID_H

#include <stdint.h>

#define SAS_UUID_TEXT 37        /* bytes of the text, its end included */

/* A new random UUID (RFC 4122, version 4); 0 or -errno. */
int sas_uuid_new(uint8_t uuid[16]);
/* "6f1c2a34-....", lower case. */
void sas_uuid_text(const uint8_t uuid[16], char text[SAS_UUID_TEXT]);

#endif
