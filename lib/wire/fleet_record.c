/* Owns the layout of a fleet's journal records. It refuses what it does not know whole. */
#include "lib/wire/fleet_record.h"

#include "lib/wire/record.h"
#include "proto/journal.pb-c.h"

static_assert(FLEET_READY == 0 && FLEET_RUNNING == 1 && FLEET_SOAKING == 2 && FLEET_AT_GATE == 3 &&
                  FLEET_PAUSED == 4 && FLEET_ABORTING == 5 && FLEET_DONE == 6 &&
                  FLEET_INCOMPLETE == 7 && FLEET_ABORTED == 8,
              "journals keep these numbers: new states come at the end");
static_assert(MEMBER_WAITING == 0 && MEMBER_PLANNING == 1 && MEMBER_RUNNING == 2 &&
                  MEMBER_DONE == 3 && MEMBER_FAILED == 4 && MEMBER_LEFT == 5,
              "journals keep these numbers: new states come at the end");

int wire_fleet_record_pack(struct arena *arena, const struct fleet_record *record,
                           struct bytes *ret, struct error *e)
{
    Lockstep__V1__FleetRecord message = LOCKSTEP__V1__FLEET_RECORD__INIT;
    Lockstep__V1__FleetMemberRecord member = LOCKSTEP__V1__FLEET_MEMBER_RECORD__INIT;
    Lockstep__V1__FleetStateRecord state = LOCKSTEP__V1__FLEET_STATE_RECORD__INIT;
    Lockstep__V1__FleetApprovalRecord approval = LOCKSTEP__V1__FLEET_APPROVAL_RECORD__INIT;
    message.version = WIRE_RECORD_VERSION;
    message.at_ms = record->at_ms;
    switch (record->type) {
    case FLEET_RECORD_MEMBER:
        member.member = record->member;
        member.state = (uint32_t)record->member_state;
        member.attempt = record->attempt;
        member.plan_id = wire_text(arena, record->way.plan_id);
        member.application = wire_text(arena, record->way.application);
        member.from = wire_text(arena, record->way.from);
        member.to = wire_text(arena, record->way.to);
        member.run = wire_text(arena, record->run);
        member.why = wire_text(arena, record->why);
        member.who = wire_text(arena, record->who);
        message.record_case = LOCKSTEP__V1__FLEET_RECORD__RECORD_MEMBER;
        message.member = &member;
        break;
    case FLEET_RECORD_STATE:
        state.state = (uint32_t)record->state;
        state.stage = record->stage;
        state.until_ms = record->until_ms;
        state.why = wire_text(arena, record->why);
        state.who = wire_text(arena, record->who);
        message.record_case = LOCKSTEP__V1__FLEET_RECORD__RECORD_STATE;
        message.state = &state;
        break;
    case FLEET_RECORD_APPROVAL:
        approval.stage = record->stage;
        approval.why = wire_text(arena, record->why);
        approval.who = wire_text(arena, record->who);
        message.record_case = LOCKSTEP__V1__FLEET_RECORD__RECORD_APPROVAL;
        message.approval = &approval;
        break;
    }
    return wire_pack_max(arena, &message.base, LIMIT_RECORD_BYTES, ret, e);
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static int unknown(struct error *e, const char *what, uint32_t number)
{
    return error_set(e, E_INVALID, "its %s %u is not known: a newer Lockstep wrote it", what,
                     (unsigned)number);
}

static int read_member(const Lockstep__V1__FleetMemberRecord *m, struct fleet_record *ret,
                       struct error *e)
{
    if (m->state >= MEMBER_STATES) {
        return unknown(e, "state", m->state);
    }
    ret->type = FLEET_RECORD_MEMBER;
    ret->member = m->member;
    ret->member_state = (enum member_state)m->state;
    ret->attempt = m->attempt;
    ret->way = (struct fleet_way){m->plan_id, m->application, m->from, m->to};
    ret->run = text_or_null(m->run);
    ret->why = text_or_null(m->why);
    ret->who = text_or_null(m->who);
    return 0;
}

static int read_state(const Lockstep__V1__FleetStateRecord *m, struct fleet_record *ret,
                      struct error *e)
{
    if (m->state >= FLEET_STATES) {
        return unknown(e, "state", m->state);
    }
    ret->type = FLEET_RECORD_STATE;
    ret->state = (enum fleet_state)m->state;
    ret->stage = m->stage;
    ret->until_ms = m->until_ms;
    ret->why = text_or_null(m->why);
    ret->who = text_or_null(m->who);
    return 0;
}

static int read_record(const Lockstep__V1__FleetRecord *m, struct fleet_record *ret,
                       struct error *e)
{
    int r = wire_record_check(&m->base, m->version, e);
    if (r < 0) {
        return r;
    }
    ret->at_ms = m->at_ms;
    if (m->record_case == LOCKSTEP__V1__FLEET_RECORD__RECORD_MEMBER) {
        return read_member(m->member, ret, e);
    }
    if (m->record_case == LOCKSTEP__V1__FLEET_RECORD__RECORD_STATE) {
        return read_state(m->state, ret, e);
    }
    if (m->record_case == LOCKSTEP__V1__FLEET_RECORD__RECORD_APPROVAL) {
        ret->type = FLEET_RECORD_APPROVAL;
        ret->stage = m->approval->stage;
        ret->why = text_or_null(m->approval->why);
        ret->who = text_or_null(m->approval->who);
        return 0;
    }
    return error_set(e, E_INVALID, "its kind is not known: a newer Lockstep wrote it");
}

int wire_fleet_record_unpack(struct arena *arena, struct bytes bytes, struct fleet_record *ret,
                             struct error *e)
{
    const ProtobufCMessage *message;
    int r = wire_unpack_max(arena, &lockstep__v1__fleet_record__descriptor, bytes,
                            LIMIT_RECORD_BYTES, &message, e);
    struct fleet_record read = {0};
    if (r == 0) {
        r = read_record((const Lockstep__V1__FleetRecord *)message, &read, e);
    }
    if (r < 0) {
        error_wrap(e, "a record of the fleet's journal is refused");
        return r;
    }
    *ret = read;
    return 0;
}
