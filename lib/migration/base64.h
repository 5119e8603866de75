/* Base64 with padding (RFC 4648, section 4): what Go writes for bytes in JSON. */
#ifndef LOCKSTEP_MIGRATION_BASE64_H
#define LOCKSTEP_MIGRATION_BASE64_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"

char *base64_encode(struct arena *arena, struct bytes data);
/* false: not base64. */
bool base64_decode(struct arena *arena, const char *text, struct bytes *ret);

#endif
