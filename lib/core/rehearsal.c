/* Owns the rehearsal of one case: carries the machine's effects out over the pretended cluster. Refuses nothing. */
#include "lib/core/rehearsal.h"

#include <string.h>

#include "lib/core/rehearsal_world.h"

#define STILL_MAX                                                                                  \
    8 /* the clock was moved so often to the machine's deadline and nothing was instructed: it stands still */
#define BEGIN_MS ((int64_t)1000000 * 1000) /* some time of day: a case repeats */
#define PEOPLE   "a rehearsing operator"

static const enum word words[REHEARSAL_WORDS] = {WORD_RETRY, WORD_SKIP, WORD_EXCLUDE, WORD_ROLLBACK,
                                                 WORD_ABORT};

/* Instructed and not answered yet, in order: at most one a place. */
struct asked {
    struct step_key *keys;
    size_t head, count, size;
};

struct stage {
    struct arena *arena;
    const struct plan *plan;
    struct rollout *machine;
    struct rehearsal_world world;
    struct asked asked;
    enum rehearsal_fault fault;
    struct step_key at; /* where it happens */
    uint32_t attempts;  /* of the fault's step there */
    int64_t now_ms, first_ms;
    bool moved;          /* something was recorded or instructed since the clock moved */
    const char *refused; /* the last word's refusal */
    uint32_t approvals;
};

static bool is_fault(const struct stage *s, const struct step_key *key)
{
    return s->fault != REHEARSAL_NOTHING && key->phase == s->at.phase && key->step == s->at.step &&
           key->place == s->at.place;
}

static void take(struct stage *s, const struct effect *e)
{
    switch (e->type) {
    case EFFECT_RECORD:
        s->moved = true;
        break;
    case EFFECT_SEND:
        assert(s->asked.count < s->asked.size);
        s->asked.keys[(s->asked.head + s->asked.count++) % s->asked.size] = e->key;
        break;
    case EFFECT_REFUSED:
        s->refused = arena_strdup(s->arena, e->text);
        break;
    case EFFECT_TELL:
        break;
    }
}

static void step(struct stage *s, struct event event)
{
    struct effects out;
    event.now_ms = s->now_ms;
    do {
        rollout_step(s->machine, &event, &out);
        for (size_t i = 0; i < out.count; i++) {
            take(s, &out.items[i]);
        }
        event = (struct event){.type = EVENT_MORE, .now_ms = s->now_ms};
    } while (out.more);
}

static void say_service(struct stage *s, uint32_t node)
{
    bool well = s->world.nodes[node].running;
    step(s, (struct event){.type = well ? EVENT_NODE_WELL : EVENT_NODE_UNWELL, .place = node});
}

/* One of what was asked ends; false: nothing is asked. */
static bool answer(struct stage *s)
{
    if (s->asked.count == 0) {
        return false;
    }
    struct step_key key = s->asked.keys[s->asked.head];
    s->asked.head = (s->asked.head + 1) % s->asked.size;
    s->asked.count--;
    struct outcome outcome = {
        .status = OUTCOME_DONE, .started_ms = s->now_ms, .ended_ms = s->now_ms};
    bool fault = is_fault(s, &key);
    if (fault) {
        s->attempts = key.attempt;
        s->first_ms = s->first_ms == 0 ? s->now_ms : s->first_ms;
        outcome.status = OUTCOME_FAILED;
        outcome.code = E_INVALID;
        outcome.message = "it fails, in this rehearsal";
    }
    rehearsal_world_act(&s->world, &key, fault);
    if (!fault || s->fault == REHEARSAL_FAILS) {
        step(s, (struct event){.type = EVENT_OUTCOME, .key = key, .outcome = &outcome});
    }
    if (key.place < s->plan->nodes.count) {
        say_service(s, key.place);
    }
    return true;
}

/* What nobody needs to decide in a rehearsal: gates are approved, time passes. False: it stands still. */
static bool go_on(struct stage *s)
{
    enum rollout_state state = rollout_state(s->machine);
    if (rollout_state_is_end(state) || state == ROLLOUT_PAUSED) {
        return false;
    }
    uint64_t before = rollout_records(s->machine);
    if (state == ROLLOUT_WAITING && s->approvals < LIMIT_GATES * LIMIT_APPROVERS) {
        const char *who = arena_printf(s->arena, "approver %u", ++s->approvals);
        step(s, (struct event){.type = EVENT_WORD, .word = {.word = WORD_APPROVE, .who = who}});
        if (rollout_records(s->machine) > before) {
            return true;
        }
    }
    int64_t next = rollout_deadline(s->machine);
    if (next == INT64_MAX) {
        return false;
    }
    s->now_ms = MAX(s->now_ms, next);
    step(s, (struct event){.type = EVENT_TIME});
    return true;
}

static void begin(struct stage *s, struct arena *arena, const struct plan *plan,
                  enum rehearsal_fault fault, struct step_key at)
{
    *s = (struct stage){.arena = arena, .plan = plan, .fault = fault, .at = at, .now_ms = BEGIN_MS};
    rehearsal_world_init(&s->world, arena, plan);
    s->asked.size = plan->nodes.count + 1;
    s->asked.keys = ARENA_ARRAY(arena, s->asked.size, struct step_key);
    s->machine = rollout_new(arena, plan);
    step(s, (struct event){.type = EVENT_BEGIN, .who = PEOPLE});
    step(s, (struct event){.type = EVENT_PLACE_UP, .place = ROLLOUT_PLACE_CONTROLLER});
    for (uint32_t i = 0; i < plan->nodes.count; i++) {
        step(s, (struct event){.type = EVENT_PLACE_UP, .place = i});
        say_service(s, i);
    }
}

static void walk(struct stage *s)
{
    int still = 0;
    while (still < STILL_MAX) {
        s->moved = false;
        while (answer(s)) {
        }
        if (!go_on(s)) {
            break;
        }
        still = s->moved || s->asked.count > 0 ? 0 : still + 1;
    }
}

static struct rehearsal_word try_word(struct arena *arena, const struct plan *plan,
                                      enum rehearsal_fault fault, struct step_key at,
                                      enum word word)
{
    struct arena scratch;
    arena_init(&scratch);
    struct stage s;
    begin(&s, &scratch, plan, fault, at);
    walk(&s);
    s.refused = NULL;
    step(&s, (struct event){.type = EVENT_WORD, .word = {.word = word, .who = PEOPLE}});
    struct rehearsal_word ret = {
        .word = word, .taken = s.refused == NULL, .why = arena_strdup(arena, s.refused)};
    arena_deinit(&scratch);
    return ret;
}

static const char *kept(struct arena *arena, const char *text)
{
    return text != NULL && text[0] != '\0' ? arena_strdup(arena, text) : NULL;
}

bool rehearsal_place(const struct plan *plan, uint32_t phase, uint32_t step, uint32_t *ret_place)
{
    const struct plan_phase *p = plan_phase_at(plan, phase);
    const char *on = plan_step_at(plan, phase, step)->on;
    if (p->scope == PHASE_NODES) {
        const struct plan_node_set *set =
            LIST_AT(&plan->node_sets, const struct plan_node_set, p->node_set);
        on = set->nodes.count > 0 ? set->nodes.items[0] : NULL;
    }
    if (on == NULL) {
        return false;
    }
    if (strcmp(on, PLAN_CONTROLLER) == 0) {
        *ret_place = ROLLOUT_PLACE_CONTROLLER;
        return true;
    }
    for (uint32_t i = 0; i < plan->nodes.count; i++) {
        if (strcmp(LIST_AT(&plan->nodes, const struct plan_node, i)->name, on) == 0) {
            *ret_place = i;
            return true;
        }
    }
    return false;
}

void rehearse_step(struct arena *arena, const struct plan *plan, enum rehearsal_fault fault,
                   struct step_key key, struct rehearsal *ret)
{
    struct stage s;
    begin(&s, arena, plan, fault, key);
    walk(&s);
    key.attempt = s.attempts;
    *ret = (struct rehearsal){
        .fault = fault,
        .key = key,
        .state = rollout_state(s.machine),
        .rolls_back = rollout_rolls_back(s.machine),
        .waited_ms = s.first_ms > 0 ? s.now_ms - s.first_ms : 0,
        .why = kept(arena, rollout_why(s.machine)),
        .waits = kept(arena, rollout_held(s.machine)),
        .left_behind = rollout_left_behind(s.machine),
        .nodes = s.world.nodes,
        .databases = s.world.databases,
        .database_count = s.world.database_count,
    };
    for (size_t i = 0; ret->state == ROLLOUT_PAUSED && i < REHEARSAL_WORDS; i++) {
        ret->words[i] = try_word(arena, plan, fault, key, words[i]);
    }
}
