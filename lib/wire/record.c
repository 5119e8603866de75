/* Owns the layout of journal records. It refuses what it does not know whole. */
#include "lib/wire/record.h"

#include <string.h>

#include "proto/journal.pb-c.h"

static_assert(ROLLOUT_READY == 0 && ROLLOUT_RUNNING == 1 && ROLLOUT_PAUSED == 2 &&
                  ROLLOUT_ABORTING == 3 && ROLLOUT_SUCCEEDED == 4 && ROLLOUT_FAILED == 5 &&
                  ROLLOUT_ABORTED == 6 && ROLLOUT_WAITING == 7 && ROLLOUT_INCOMPLETE == 8,
              "journals keep these numbers: new states come at the end");
static_assert(WORD_ABORT == 0 && WORD_RETRY == 1 && WORD_SKIP == 2 && WORD_EXCLUDE == 3 &&
                  WORD_ROLLBACK == 4 && WORD_CLAIM == 5 && WORD_UNCLAIM == 6 && WORD_APPROVE == 7,
              "journals keep these numbers: new words come at the end");
static_assert(CAUSE_NONE == 0 && CAUSE_FAILURE == 1 && CAUSE_MISFIT == 2 && CAUSE_WORD == 3 &&
                  CAUSE_WAVE_LATE == 4 && CAUSE_RUN_LATE == 5 && CAUSE_GATE == 6 &&
                  CAUSE_WINDOW == 7,
              "journals keep these numbers: new causes come at the end");

static void step_to(const struct step_key *key, Lockstep__V1__RunStep *ret)
{
    lockstep__v1__run_step__init(ret);
    ret->phase = key->phase;
    ret->step = key->step;
    ret->place = key->place;
    ret->attempt = key->attempt;
}

static int step_from(const Lockstep__V1__RunStep *step, struct step_key *ret, struct error *e)
{
    if (step == NULL) {
        return error_set(e, E_INVALID, "it names no step");
    }
    *ret = (struct step_key){
        .phase = step->phase,
        .step = step->step,
        .place = step->place,
        .attempt = step->attempt,
    };
    return 0;
}

int wire_record_pack(struct arena *arena, const struct record *record, struct bytes *ret,
                     struct error *e)
{
    Lockstep__V1__RunRecord message = LOCKSTEP__V1__RUN_RECORD__INIT;
    Lockstep__V1__RunStep step;
    Lockstep__V1__RunIntent intent = LOCKSTEP__V1__RUN_INTENT__INIT;
    Lockstep__V1__RunOutcome ended = LOCKSTEP__V1__RUN_OUTCOME__INIT;
    Lockstep__V1__RunState state = LOCKSTEP__V1__RUN_STATE__INIT;
    Lockstep__V1__RunWord word = LOCKSTEP__V1__RUN_WORD__INIT;
    Lockstep__V1__Outcome outcome;
    message.version = WIRE_RECORD_VERSION;
    message.at_ms = record->at_ms;
    step_to(&record->key, &step);
    switch (record->type) {
    case RECORD_INTENT:
        intent.step = &step;
        intent.deadline_ms = record->deadline_ms;
        message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_INTENT;
        message.intent = &intent;
        break;
    case RECORD_OUTCOME:
        wire_outcome_to(arena, &record->outcome, LIMIT_FACTS_BYTES, &outcome);
        ended.step = &step;
        ended.outcome = &outcome;
        message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_OUTCOME;
        message.outcome = &ended;
        break;
    case RECORD_STATE:
        state.state = (uint32_t)record->state;
        state.why = wire_text(arena, record->why);
        state.who = wire_text(arena, record->who);
        state.cause = (uint32_t)record->cause;
        state.roll_back = record->roll_back;
        message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_STATE;
        message.state = &state;
        break;
    case RECORD_WORD:
        word.word = (uint32_t)record->word;
        word.step = &step;
        word.gate = wire_text(arena, record->gate);
        word.until_ms = record->deadline_ms;
        word.why = wire_text(arena, record->why);
        word.who = wire_text(arena, record->who);
        message.record_case = LOCKSTEP__V1__RUN_RECORD__RECORD_WORD;
        message.word = &word;
        break;
    }
    return wire_pack_max(arena, &message.base, LIMIT_RECORD_BYTES, ret, e);
}

/* In the message or in any that it holds. Records nest three deep, and repeat nothing. */
static bool has_unknown(const ProtobufCMessage *message)
{
    if (message->n_unknown_fields > 0) {
        return true;
    }
    const char *base = (const char *)message;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED) {
            continue;
        }
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            uint32_t chosen;
            memcpy(&chosen, base + field->quantifier_offset, sizeof(chosen));
            if (chosen != field->id) {
                continue;
            }
        }
        const ProtobufCMessage *inner;
        memcpy(&inner, base + field->offset, sizeof(inner));
        if (inner != NULL && has_unknown(inner)) {
            return true;
        }
    }
    return false;
}

int wire_record_check(const ProtobufCMessage *message, uint32_t version, struct error *e)
{
    if (version != WIRE_RECORD_VERSION) {
        return error_set(e, E_INVALID,
                         "its layout is version %u, and this program knows %d: a newer Lockstep "
                         "wrote it",
                         (unsigned)version, WIRE_RECORD_VERSION);
    }
    if (has_unknown(message)) {
        return error_set(e, E_INVALID,
                         "it has a part that is not known: a newer Lockstep wrote it");
    }
    return 0;
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static int read_state(const Lockstep__V1__RunState *m, struct record *ret, struct error *e)
{
    if (m->state >= ROLLOUT_STATES || m->cause >= CAUSES) {
        return error_set(e, E_INVALID,
                         "its state %u of cause %u is not known: a newer Lockstep "
                         "wrote it",
                         (unsigned)m->state, (unsigned)m->cause);
    }
    ret->type = RECORD_STATE;
    ret->state = (enum rollout_state)m->state;
    ret->cause = (enum cause)m->cause;
    ret->roll_back = m->roll_back;
    ret->why = text_or_null(m->why);
    ret->who = text_or_null(m->who);
    return 0;
}

static int read_word(const Lockstep__V1__RunWord *m, struct record *ret, struct error *e)
{
    if (m->word >= WORDS) {
        return error_set(e, E_INVALID, "its word %u is not known: a newer Lockstep wrote it",
                         (unsigned)m->word);
    }
    ret->type = RECORD_WORD;
    ret->word = (enum word)m->word;
    ret->deadline_ms = m->until_ms;
    ret->gate = text_or_null(m->gate);
    ret->why = text_or_null(m->why);
    ret->who = text_or_null(m->who);
    return step_from(m->step, &ret->key, e);
}

static int read_record(const Lockstep__V1__RunRecord *m, struct record *ret, struct error *e)
{
    int err = wire_record_check(&m->base, m->version, e);
    if (err != 0) {
        return err;
    }
    ret->at_ms = m->at_ms;
    if (m->record_case == LOCKSTEP__V1__RUN_RECORD__RECORD_INTENT) {
        ret->type = RECORD_INTENT;
        ret->deadline_ms = m->intent->deadline_ms;
        return step_from(m->intent->step, &ret->key, e);
    }
    if (m->record_case == LOCKSTEP__V1__RUN_RECORD__RECORD_OUTCOME) {
        ret->type = RECORD_OUTCOME;
        err = step_from(m->outcome->step, &ret->key, e);
        return err == 0 ? wire_outcome_from(m->outcome->outcome, &ret->outcome, e) : err;
    }
    if (m->record_case == LOCKSTEP__V1__RUN_RECORD__RECORD_STATE) {
        return read_state(m->state, ret, e);
    }
    if (m->record_case == LOCKSTEP__V1__RUN_RECORD__RECORD_WORD) {
        return read_word(m->word, ret, e);
    }
    return error_set(e, E_INVALID, "its kind is not known: a newer Lockstep wrote it");
}

int wire_record_unpack(struct arena *arena, struct bytes bytes, struct record *ret, struct error *e)
{
    const ProtobufCMessage *message;
    int err = wire_unpack_max(arena, &lockstep__v1__run_record__descriptor, bytes,
                              LIMIT_RECORD_BYTES, &message, e);
    struct record read = {0};
    if (err == 0) {
        err = read_record((const Lockstep__V1__RunRecord *)message, &read, e);
    }
    if (err != 0) {
        error_wrap(e, "a record of the run's journal is refused");
        return err;
    }
    *ret = read;
    return 0;
}

/* ---- a place's own ---- */

int wire_place_record_pack(struct arena *arena, const struct agent_record *record,
                           const struct wire_instruction *instruction, struct bytes *ret,
                           struct error *e)
{
    Lockstep__V1__PlaceRecord message = LOCKSTEP__V1__PLACE_RECORD__INIT;
    Lockstep__V1__Key key = LOCKSTEP__V1__KEY__INIT;
    Lockstep__V1__Instruction intent = {.key = &key};
    Lockstep__V1__Ended ended = LOCKSTEP__V1__ENDED__INIT;
    Lockstep__V1__PlaceOver over = LOCKSTEP__V1__PLACE_OVER__INIT;
    Lockstep__V1__Outcome outcome;
    message.version = WIRE_RECORD_VERSION;
    message.at_ms = record->at_ms;
    switch (record->type) {
    case AGENT_RECORD_FENCE:
        message.record_case = LOCKSTEP__V1__PLACE_RECORD__RECORD_FENCE;
        message.fence = record->fence;
        break;
    case AGENT_RECORD_INTENT:
        assert(instruction != NULL);
        assert(memcmp(instruction->key.run, record->key.run, sizeof(record->key.run)) == 0 &&
               instruction->key.phase == record->key.phase &&
               instruction->key.step == record->key.step &&
               instruction->key.attempt == record->key.attempt);
        wire_instruction_to(arena, instruction, &intent);
        message.record_case = LOCKSTEP__V1__PLACE_RECORD__RECORD_INTENT;
        message.intent = &intent;
        break;
    case AGENT_RECORD_OUTCOME:
        wire_key_to(&record->key, &key);
        wire_outcome_to(arena, &record->outcome, LIMIT_FACTS_BYTES, &outcome);
        ended.key = &key;
        ended.outcome = &outcome;
        message.record_case = LOCKSTEP__V1__PLACE_RECORD__RECORD_OUTCOME;
        message.outcome = &ended;
        break;
    case AGENT_RECORD_OVER:
        assert(record->key.run[AGENT_RUN_BYTES - 1] == '\0');
        over.run = (char *)(uintptr_t)record->key.run;
        over.fence = record->fence;
        message.record_case = LOCKSTEP__V1__PLACE_RECORD__RECORD_OVER;
        message.over = &over;
        break;
    case AGENT_RECORD_FORGET:
        assert(record->key.run[AGENT_RUN_BYTES - 1] == '\0');
        message.record_case = LOCKSTEP__V1__PLACE_RECORD__RECORD_FORGET;
        message.forget = (char *)(uintptr_t)record->key.run;
        break;
    }
    return wire_pack_max(arena, &message.base, LIMIT_RECORD_BYTES, ret, e);
}

static int read_place_record(const Lockstep__V1__PlaceRecord *m, struct agent_record *ret,
                             struct wire_instruction *ret_instruction, struct error *e)
{
    int err = wire_record_check(&m->base, m->version, e);
    if (err != 0) {
        return err;
    }
    ret->at_ms = m->at_ms;
    if (m->record_case == LOCKSTEP__V1__PLACE_RECORD__RECORD_FENCE) {
        ret->type = AGENT_RECORD_FENCE;
        ret->fence = m->fence;
        return 0;
    }
    if (m->record_case == LOCKSTEP__V1__PLACE_RECORD__RECORD_INTENT) {
        ret->type = AGENT_RECORD_INTENT;
        err = wire_instruction_from(m->intent, ret_instruction, e);
        ret->key = ret_instruction->key;
        ret->fence = ret_instruction->fence;
        ret->known = ret_instruction->known;
        return err;
    }
    if (m->record_case == LOCKSTEP__V1__PLACE_RECORD__RECORD_OUTCOME) {
        ret->type = AGENT_RECORD_OUTCOME;
        err = wire_key_from(m->outcome->key, &ret->key, e);
        return err == 0 ? wire_outcome_from(m->outcome->outcome, &ret->outcome, e) : err;
    }
    if (m->record_case == LOCKSTEP__V1__PLACE_RECORD__RECORD_OVER) {
        ret->type = AGENT_RECORD_OVER;
        ret->fence = m->over->fence;
        return wire_run_from(m->over->run, ret->key.run, e);
    }
    if (m->record_case == LOCKSTEP__V1__PLACE_RECORD__RECORD_FORGET) {
        ret->type = AGENT_RECORD_FORGET;
        return wire_run_from(m->forget, ret->key.run, e);
    }
    return error_set(e, E_INVALID, "its kind is not known: a newer Lockstep wrote it");
}

int wire_place_record_unpack(struct arena *arena, struct bytes bytes, struct agent_record *ret,
                             struct wire_instruction *ret_instruction, struct error *e)
{
    const ProtobufCMessage *message;
    int err = wire_unpack_max(arena, &lockstep__v1__place_record__descriptor, bytes,
                              LIMIT_RECORD_BYTES, &message, e);
    struct agent_record read = {0};
    struct wire_instruction instruction = {0};
    if (err == 0) {
        err = read_place_record((const Lockstep__V1__PlaceRecord *)message, &read, &instruction, e);
    }
    if (err != 0) {
        error_wrap(e, "a record of this place's journal is refused");
        return err;
    }
    *ret = read;
    if (ret_instruction != NULL) {
        *ret_instruction = instruction;
    }
    return 0;
}
