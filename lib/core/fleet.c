/* Owns the door of the fleet machine and its states. It trusts no journal that does not fit the fleet. */
#include "lib/core/fleet.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/core/fleet_state.h"

static const bool allowed[FLEET_STATES][FLEET_STATES] = {
    [FLEET_READY] = {[FLEET_RUNNING] = true, [FLEET_ABORTING] = true},
    [FLEET_RUNNING] = {[FLEET_RUNNING] = true, /* the next stage */
                       [FLEET_SOAKING] = true,
                       [FLEET_AT_GATE] = true,
                       [FLEET_PAUSED] = true,
                       [FLEET_ABORTING] = true,
                       [FLEET_DONE] = true,
                       [FLEET_INCOMPLETE] = true},
    [FLEET_SOAKING] = {[FLEET_RUNNING] = true,
                       [FLEET_AT_GATE] = true,
                       [FLEET_PAUSED] = true,
                       [FLEET_ABORTING] = true},
    [FLEET_AT_GATE] = {[FLEET_RUNNING] = true, [FLEET_PAUSED] = true, [FLEET_ABORTING] = true},
    [FLEET_PAUSED] = {[FLEET_RUNNING] = true, [FLEET_ABORTING] = true},
    [FLEET_ABORTING] = {[FLEET_ABORTED] = true},
};

static const bool member_allowed[MEMBER_STATES][MEMBER_STATES] = {
    [MEMBER_WAITING] = {[MEMBER_PLANNING] = true,
                        /* in a replay, which knows no PLANNING */
                        [MEMBER_RUNNING] = true,
                        [MEMBER_DONE] = true,
                        [MEMBER_FAILED] = true,
                        [MEMBER_LEFT] = true},
    [MEMBER_PLANNING] = {[MEMBER_WAITING] = true,
                         [MEMBER_RUNNING] = true,
                         [MEMBER_DONE] = true,
                         [MEMBER_FAILED] = true,
                         [MEMBER_LEFT] = true},
    /* to itself and to LEFT: in a replay, of a run that was never started */
    [MEMBER_RUNNING] = {[MEMBER_WAITING] = true,
                        [MEMBER_RUNNING] = true,
                        [MEMBER_DONE] = true,
                        [MEMBER_FAILED] = true,
                        [MEMBER_LEFT] = true},
    [MEMBER_DONE] = {[MEMBER_FAILED] = true},
    [MEMBER_FAILED] = {[MEMBER_WAITING] = true, [MEMBER_LEFT] = true},
};

static const char *const state_names[FLEET_STATES] = {"ready",   "running",    "soaking",
                                                      "at-gate", "paused",     "aborting",
                                                      "done",    "incomplete", "aborted"};
static const char *const member_names[MEMBER_STATES] = {"waiting", "planning", "running",
                                                        "done",    "failed",   "left"};

const char *fleet_state_name(enum fleet_state state)
{
    return state_names[state];
}

const char *member_state_name(enum member_state state)
{
    return member_names[state];
}

bool fleet_state_is_end(enum fleet_state state)
{
    return state == FLEET_DONE || state == FLEET_INCOMPLETE || state == FLEET_ABORTED;
}

bool fleet_is_active(const struct fleet *f)
{
    return f->state == FLEET_RUNNING || f->state == FLEET_SOAKING || f->state == FLEET_AT_GATE;
}

void fleet_copy(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text != NULL ? text : "");
}

/* ---- the two mutators: for decisions and for replayed records ---- */

static void set_member(struct fleet *f, const struct fleet_record *record)
{
    struct member *m = &f->members[record->member];
    struct stage *stage = &f->stages[m->stage];
    enum member_state state = record->member_state;
    assert(member_allowed[m->state][state]);
    if (m->state == MEMBER_DONE || state == MEMBER_WAITING) {
        stage->soak_until_ms = 0; /* the stage is not over, after all */
        stage->approvals = 0;
    }
    m->state = state;
    m->attempt = record->attempt;
    m->asked = f->live;
    m->again_ms = 0;
    m->since_ms = record->at_ms;
    m->run_paused = false;
    if (state == MEMBER_RUNNING) {
        COPY(m->plan_id, record->way.plan_id);
        COPY(m->application, record->way.application);
        COPY(m->from, record->way.from);
        COPY(m->to, record->way.to);
        m->run[0] = '\0';
    }
    if (state == MEMBER_WAITING || (state == MEMBER_DONE && record->run == NULL)) {
        m->run[0] = m->from[0] = m->to[0] = '\0';
    }
    if (record->run != NULL && record->run != m->run) {
        COPY(m->run, record->run);
    }
    m->skipped = state == MEMBER_LEFT && record->who != NULL;
    COPY(m->why, state == MEMBER_FAILED || state == MEMBER_LEFT ? record->why : NULL);
}

static void set_state(struct fleet *f, const struct fleet_record *record)
{
    enum fleet_state state = record->state;
    assert(allowed[f->state][state]);
    if (f->state == FLEET_PAUSED && state == FLEET_RUNNING) {
        for (uint32_t i = 0; i < f->count; i++) {
            if (f->members[i].state == MEMBER_FAILED) {
                set_member(f, &(struct fleet_record){.member = i,
                                                     .member_state = MEMBER_WAITING,
                                                     .attempt = f->members[i].attempt});
            }
        }
    }
    if (state == FLEET_SOAKING) {
        f->stages[record->stage].soak_until_ms = record->until_ms;
    }
    f->state = state;
    f->stage = record->stage;
    if (state == FLEET_RUNNING) {
        f->why[0] = '\0'; /* why it goes on is for the journal alone */
    } else if (record->why != f->why) {
        COPY(f->why, record->why);
    }
    bool waits = state == FLEET_PAUSED || state == FLEET_AT_GATE || state == FLEET_ABORTING;
    f->remind_ms = waits ? record->at_ms + FLEET_REMIND_MS : INT64_MAX;
}

/* ---- effects ---- */

struct fleet_effect *fleet_add(struct fleet_effects *out, enum fleet_effect_type type)
{
    assert(out->count < LIMIT_EFFECTS);
    struct fleet_effect *e = &out->items[out->count++];
    memset(e, 0, sizeof(*e));
    e->type = type;
    return e;
}

char *fleet_text(struct fleet *f, const struct fleet_effects *out)
{
    assert(out->count < LIMIT_EFFECTS);
    return f->texts[out->count];
}

uint64_t fleet_change_state(struct fleet *f, const struct fleet_change *change, int64_t now_ms,
                            struct fleet_effects *out)
{
    char *text = fleet_text(f, out);
    fleet_copy(text, LIMIT_ERROR_BYTES, change->why);
    struct fleet_effect *e = fleet_add(out, FLEET_EFFECT_RECORD);
    e->number = ++f->records;
    e->record = (struct fleet_record){.type = FLEET_RECORD_STATE,
                                      .at_ms = now_ms,
                                      .state = change->state,
                                      .stage = change->stage,
                                      .until_ms = change->until_ms,
                                      .why = text[0] != '\0' ? text : NULL,
                                      .who = change->who};
    set_state(f, &e->record);
    return e->number;
}

uint64_t fleet_change_member(struct fleet *f, const struct member_change *change, int64_t now_ms,
                             struct fleet_effects *out)
{
    struct member *m = &f->members[change->member];
    char *text = fleet_text(f, out);
    fleet_copy(text, LIMIT_ERROR_BYTES, change->why);
    struct fleet_effect *e = fleet_add(out, FLEET_EFFECT_RECORD);
    e->number = ++f->records;
    e->record = (struct fleet_record){.type = FLEET_RECORD_MEMBER,
                                      .at_ms = now_ms,
                                      .member = change->member,
                                      .member_state = change->state,
                                      .attempt = m->attempt,
                                      .run = change->run,
                                      .why = text[0] != '\0' ? text : NULL,
                                      .who = change->who};
    set_member(f, &e->record);
    return e->number;
}

/* The intent of a run. */
void fleet_start_member(struct fleet *f, uint32_t i, const struct fleet_way *way, int64_t now_ms,
                        struct fleet_effects *out)
{
    struct member *m = &f->members[i];
    struct fleet_effect *e = fleet_add(out, FLEET_EFFECT_RECORD);
    uint64_t number = ++f->records;
    e->number = number;
    e->record = (struct fleet_record){.type = FLEET_RECORD_MEMBER,
                                      .at_ms = now_ms,
                                      .member = i,
                                      .member_state = MEMBER_RUNNING,
                                      .attempt = m->attempt,
                                      .way = *way};
    set_member(f, &e->record);
    e = fleet_add(out, FLEET_EFFECT_START);
    e->after = number;
    e->member = i;
    e->attempt = m->attempt;
    e->way = (struct fleet_way){m->plan_id, m->application, m->from, m->to};
}

void fleet_drop_plans(struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->members[i].state == MEMBER_PLANNING) {
            f->members[i].state = MEMBER_WAITING; /* nothing was recorded, nothing is undone */
        }
    }
}

size_t fleet_members_in(const struct fleet *f, const struct stage *stage, enum member_state state)
{
    size_t count = 0;
    for (uint32_t i = stage->first; i < stage->first + stage->count; i++) {
        count += f->members[i].state == state ? 1 : 0;
    }
    return count;
}

/* Against the budget. Who was skipped was a person's decision. */
size_t fleet_lost_in(const struct fleet *f, const struct stage *stage)
{
    size_t lost = fleet_members_in(f, stage, MEMBER_FAILED);
    for (uint32_t i = stage->first; i < stage->first + stage->count; i++) {
        lost += f->members[i].state == MEMBER_LEFT && !f->members[i].skipped ? 1 : 0;
    }
    return lost;
}

/* ---- replay ---- */

static bool fits(const struct fleet *f, const struct fleet_record *record)
{
    switch (record->type) {
    case FLEET_RECORD_MEMBER:
        return f->state != FLEET_READY && record->member < f->count &&
               record->member_state != MEMBER_PLANNING &&
               record->attempt >= f->members[record->member].attempt &&
               member_allowed[f->members[record->member].state][record->member_state];
    case FLEET_RECORD_STATE:
        return record->stage < f->spec->stages.count && allowed[f->state][record->state];
    case FLEET_RECORD_APPROVAL:
        return record->stage < f->spec->stages.count;
    }
    return false;
}

static void replay(struct fleet *f, const struct fleet_record *record)
{
    f->records++;
    bool fitting = f->misfit[0] == '\0' && fits(f, record);
    if (fitting && record->type == FLEET_RECORD_MEMBER) {
        set_member(f, record);
    } else if (fitting && record->type == FLEET_RECORD_STATE) {
        set_state(f, record);
    } else if (fitting) {
        fitting = fleet_note_approval(f, record->stage, record->who);
    }
    if (!fitting && f->misfit[0] == '\0') {
        snprintf(f->misfit, sizeof(f->misfit),
                 "record %llu of its journal does not fit the fleet: only abort is left",
                 (unsigned long long)f->records);
    }
}

static void begin(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    f->live = true;
    f->grace_ms =
        event->type == FLEET_EVENT_RESUME ? event->now_ms + ROLLOUT_RESUME_GRACE_MS : INT64_MIN;
    if (event->type == FLEET_EVENT_BEGIN) {
        fleet_change_state(f, &(struct fleet_change){.state = FLEET_RUNNING, .who = event->who},
                           event->now_ms, out);
    } else if (f->misfit[0] != '\0') {
        COPY(f->why, f->misfit);
        fleet_pause_because(f, f->misfit, event->now_ms, out);
    }
}

/* ---- the door ---- */

void fleet_step(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    out->count = 0;
    out->more = false;
    switch (event->type) {
    case FLEET_EVENT_REPLAY:
        assert(!f->live);
        replay(f, event->record);
        return;
    case FLEET_EVENT_BEGIN:
    case FLEET_EVENT_RESUME:
        begin(f, event, out);
        break;
    case FLEET_EVENT_PLANNED:
    case FLEET_EVENT_REFUSED:
        fleet_take_plan(f, event, out);
        break;
    case FLEET_EVENT_RUN:
        fleet_take_run(f, event, out);
        break;
    case FLEET_EVENT_NO_RUN:
        fleet_take_no_run(f, event, out);
        break;
    case FLEET_EVENT_MOVED:
        fleet_take_move(f, event, out);
        break;
    case FLEET_EVENT_UNMOVED:
        (void)fleet_is_found(f, event);
        break;
    case FLEET_EVENT_WORD:
        fleet_take_word(f, event, out);
        break;
    case FLEET_EVENT_TIME:
        fleet_remind(f, event->now_ms, out);
        break;
    case FLEET_EVENT_MORE:
        break;
    }
    if (f->live && !fleet_state_is_end(f->state)) {
        fleet_walk(f, event->now_ms, out);
    }
}

int64_t fleet_deadline(const struct fleet *f)
{
    int64_t deadline = f->state == FLEET_SOAKING ? f->stages[f->stage].soak_until_ms : f->remind_ms;
    for (size_t i = 0; f->live && f->state == FLEET_RUNNING && i < f->count; i++) {
        const struct member *m = &f->members[i];
        if (m->state == MEMBER_WAITING && m->again_ms != 0) {
            deadline = MIN(deadline, m->again_ms);
        }
    }
    return f->live ? deadline : INT64_MAX;
}

struct fleet *fleet_new(struct arena *arena, const struct fleet_spec *spec)
{
    struct fleet *f = ARENA_NEW(arena, struct fleet);
    f->spec = spec;
    f->remind_ms = INT64_MAX;
    f->stages = ARENA_ARRAY(arena, spec->stages.count, struct stage);
    for (size_t i = 0; i < spec->stages.count; i++) {
        const struct fleet_stage_spec *stage = LIST_AT(&spec->stages, struct fleet_stage_spec, i);
        f->stages[i] = (struct stage){
            .spec = stage, .first = (uint32_t)f->count, .count = (uint32_t)stage->clusters.count};
        f->count += stage->clusters.count;
    }
    assert(f->count > 0 && f->count <= LIMIT_FLEET_CLUSTERS);
    f->members = ARENA_ARRAY(arena, f->count, struct member);
    for (uint32_t i = 0; i < spec->stages.count; i++) {
        for (uint32_t j = 0; j < f->stages[i].count; j++) {
            struct member *m = &f->members[f->stages[i].first + j];
            m->cluster = f->stages[i].spec->clusters.items[j];
            m->stage = i;
        }
    }
    return f;
}

enum fleet_state fleet_state(const struct fleet *f)
{
    return f->state;
}

uint32_t fleet_stage(const struct fleet *f)
{
    return f->stage;
}

const char *fleet_why(const struct fleet *f)
{
    return f->why[0] != '\0' ? f->why : NULL;
}

size_t fleet_members(const struct fleet *f)
{
    return f->count;
}

struct member_view fleet_member(const struct fleet *f, uint32_t member)
{
    const struct member *m = &f->members[member];
    return (struct member_view){.cluster = m->cluster,
                                .stage = m->stage,
                                .attempt = m->attempt,
                                .state = m->state,
                                .since_ms = m->since_ms,
                                .run_paused = m->run_paused,
                                .run = m->run,
                                .from = m->from,
                                .to = m->to,
                                .why = m->why};
}

uint32_t fleet_find(const struct fleet *f, const char *cluster)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (str_equal(f->members[i].cluster, cluster)) {
            return i;
        }
    }
    return UINT32_MAX;
}
