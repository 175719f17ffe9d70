/* SPDX-License-Identifier: MIT */
/*
 * uuid.c - UUIDs by libuuid, or from the kernel's random bytes where it is missing. Layer 0.
 */
#include <config.h>

#include "uuid.h"

#ifdef HAVE_LIBUUID
#include <uuid/uuid.h>

int sas_uuid_new(uint8_t uuid[16])
{
	uuid_generate_random(uuid);
	return 0;
}
#else
#include "err.h"
#include "port.h"

int sas_uuid_new(uint8_t uuid[16])
{
	int error = sas_port_random(uuid, 16);

	if (error < 0)
		return sas_fail(-error, "no random bytes for a UUID");
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);   /* version 4 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);   /* the variant of RFC 4122 */
	return 0;
}
#endif

void sas_uuid_text(const uint8_t uuid[16], char text[SAS_UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	char *to = text;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[uuid[i] >> 4];
		*to++ = digits[uuid[i] & 15];
	}
	*to = '\0';
}
