/* The journal records of a fleet <-> bytes (proto/journal.proto), as those of a run: what is not known is refused whole. */
#ifndef LOCKSTEP_WIRE_FLEET_RECORD_H
#define LOCKSTEP_WIRE_FLEET_RECORD_H

#include "lib/base/buf.h"
#include "lib/core/fleet.h"

/* E_LIMIT: more than LIMIT_RECORD_BYTES; E_INVALID. Bytes and strings live in the arena. */
int wire_fleet_record_pack(struct arena *arena, const struct fleet_record *record,
                           struct bytes *ret, struct error *e);
int wire_fleet_record_unpack(struct arena *arena, struct bytes bytes, struct fleet_record *ret,
                             struct error *e);

#endif
