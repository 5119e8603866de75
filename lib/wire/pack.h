/*
 * Bytes <-> protobuf-c messages, with arenas and limits. What comes from outside can make an unpacked message grow
 * only in proportion to its bytes.
 */
#ifndef LOCKSTEP_WIRE_PACK_H
#define LOCKSTEP_WIRE_PACK_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"

/* The bytes are the arena's. E_LIMIT when they are more than `bytes_max`. */
int wire_pack_max(struct arena *arena, const ProtobufCMessage *message, size_t bytes_max,
                  struct bytes *ret, struct error *e);
/* With LIMIT_FRAME_BYTES. */
int wire_pack(struct arena *arena, const ProtobufCMessage *message, struct bytes *ret,
              struct error *e);

/* A message of the type of `descriptor`, in the arena: never free it. In its string fields stands "?" for each control
 * character but line ends and tabs; bytes fields are as they were. E_LIMIT: more bytes than `bytes_max`; E_INVALID:
 * not such a message, or one that would unpack to far more than its bytes. */
int wire_unpack_max(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                    struct bytes bytes, size_t bytes_max, const ProtobufCMessage **ret,
                    struct error *e);
int wire_unpack(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
                struct bytes bytes, const ProtobufCMessage **ret, struct error *e);

/* For a string field: valid UTF-8, as every protobuf reader demands. `text` itself when it is; NULL becomes "". */
char *wire_text(struct arena *arena, const char *text);
/* What somebody else said, fit to be kept and shown: at most bytes_max - 1 bytes of it (the first, or with `keep_end` the
 * last), valid UTF-8, and no control characters but line ends and tabs (a terminal would obey them). NULL is "". */
char *wire_plain(struct arena *arena, const char *text, size_t bytes_max, bool keep_end);

#endif
