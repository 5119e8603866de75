/*
 * The two journals' records <-> bytes (proto/journal.proto). A record of another layout version, of an unknown kind or
 * with an unknown field is refused whole: a journal is never half understood.
 */
#ifndef LOCKSTEP_WIRE_RECORD_H
#define LOCKSTEP_WIRE_RECORD_H

#include "lib/core/agent.h"
#include "lib/core/rollout.h"
#include "lib/wire/message.h"
#include "lib/wire/pack.h"

#define WIRE_RECORD_VERSION 2
/* All layouts begin alike. E_INVALID: another version, or a part that is not known. */
int wire_record_check(const ProtobufCMessage *message, uint32_t version, struct error *e);

/* The controller's journal of a run. Bytes and strings live in the arena (strings may borrow from the bytes' owner
 * only while packing). E_LIMIT: more than LIMIT_RECORD_BYTES; E_INVALID. */
int wire_record_pack(struct arena *arena, const struct record *record, struct bytes *ret,
                     struct error *e);
int wire_record_unpack(struct arena *arena, struct bytes bytes, struct record *ret,
                       struct error *e);

/* A place's journal. `instruction` is what the intent is of: needed for INTENT (its key must be the record's, and its
 * fence is what is kept), ignored for the rest. `ret_instruction` (may be NULL) is filled for INTENT. */
int wire_place_record_pack(struct arena *arena, const struct agent_record *record,
                           const struct wire_instruction *instruction, struct bytes *ret,
                           struct error *e);
int wire_place_record_unpack(struct arena *arena, struct bytes bytes, struct agent_record *ret,
                             struct wire_instruction *ret_instruction, struct error *e);

#endif
