/* Owns the shell of the rollout machine: what controller/runs.c does over SQLite and gRPC, over pretended ones. One run at a
 * time. It keeps nothing in memory that a crash may not take. */
#include <string.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "tests/sim/sim.h"

#define PERSON_MS         30000 /* until somebody looks */
#define HALF_DONE_RECORDS 45    /* of the first run: behind the migrations, before its end */

static struct effects effects;

uint32_t key_place(const struct sim *s, uint32_t place)
{
    return s->places[place].node ? place : ROLLOUT_PLACE_CONTROLLER;
}

uint32_t place_of_key(const struct sim *s, uint32_t controller, uint32_t place)
{
    return place == ROLLOUT_PLACE_CONTROLLER ? s->controllers[controller].executor : place;
}

static struct sim_run *run_of(struct sim *s, const struct sim_controller *c)
{
    return &s->runs[c->run];
}

static void look_later(struct sim *s, int64_t in_ms)
{
    /* Who has seen many pauses takes more time for each. */
    later(s, in_ms << MIN(s->pauses, 6U), HAPPEN_OPERATOR);
}

/* ---- effects ---- */

static void script_crash(struct sim *s, uint32_t controller)
{
    controller_crash(s, controller, 3000);
    for (uint32_t i = 0; s->script.and_agents && i < s->scenario.node_count; i++) {
        place_crash(s, i, 2000);
    }
}

const char *person(uint64_t number)
{
    static const char *const names[] = {"alice", "bob", "carol", "dave"};
    return names[number % ARRAY_SIZE(names)];
}

static struct sim_mark mark_of(struct sim *s, const struct sim_controller *c,
                               const struct record *record)
{
    struct sim_mark m = {.type = record->type,
                         .key = record->key,
                         .state = record->state,
                         .status = record->outcome.status,
                         .word = record->word,
                         .now_ms = s->now_ms,
                         .at_ms = record->at_ms,
                         .deadline_ms = record->deadline_ms};
    const struct list *gates = &s->runs[c->run].plan.gates;
    for (size_t i = 0; i < gates->count; i++) {
        bool here = str_equal(LIST_AT(gates, const struct plan_gate, i)->name, record->gate);
        m.gate = here ? i : m.gate;
    }
    for (unsigned i = 0; i < 4; i++) {
        m.who |= str_equal(person(i), record->who) ? 1U << i : 0;
    }
    return m;
}

static bool keep_record(struct sim *s, uint32_t controller, const struct effect *effect)
{
    struct sim_controller *c = &s->controllers[controller];
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_record_pack(&s->scratch, &effect->record, &packed, &e) < 0) {
        violate(s, RULE_MACHINE, "a record cannot be packed: %s", e.message);
        return false;
    }
    if (c->disk_full) {
        controller_crash(s, controller, 20000);
        return false;
    }
    bool last = ++s->counts.controller_records == s->script.controller_at;
    if (last && !s->script.after) {
        script_crash(s, controller);
        return false;
    }
    journal_add(s, &c->journal, packed);
    c->marks = arena_grow(&s->arena, c->marks, c->journal.count - 1, &c->marks_capacity,
                          sizeof(*c->marks));
    c->marks[c->journal.count - 1] = mark_of(s, c, &effect->record);
    s->coverage->records++;
    if (effect->number != c->journal.count) {
        violate(s, RULE_REPLAY, "record %zu of the journal calls itself %llu", c->journal.count,
                (unsigned long long)effect->number);
    }
    check_record(s, controller, &effect->record);
    if (last) {
        c->journal.durable = c->journal.count;
        script_crash(s, controller);
        return false;
    }
    if (s->scenario.kind == KIND_FINISH_HALF_DONE && c->run == 0 &&
        c->journal.count == HALF_DONE_RECORDS) {
        later(s, 1, HAPPEN_WORDS);
    }
    if (faults_due(s, FAULT_WORDS_AT_RECORD, 0)) {
        struct event_in_queue *words = later(s, 0, HAPPEN_WORDS);
        words->number = 1 + chance(s, 7);
    }
    if (faults_due(s, FAULT_CONTROLLER_CRASH_AT_RECORD, 0)) {
        controller_crash(s, controller, 1000 + (int64_t)chance(s, 20000));
        return false;
    }
    struct event_in_queue *d = later(s, 1 + (int64_t)chance(s, 10), HAPPEN_CONTROLLER_DURABLE);
    d->controller = controller;
    d->life = c->life;
    d->number = effect->number;
    return true;
}

static void instruct(struct sim *s, uint32_t controller, const struct held_send *h)
{
    struct sim_controller *c = &s->controllers[controller];
    struct sim_run *run = run_of(s, c);
    uint32_t place = place_of_key(s, controller, h->key.place);
    struct action action = {0};
    struct error e = {0};
    size_t node = h->key.place == ROLLOUT_PLACE_CONTROLLER ? PLAN_NO_NODE : h->key.place;
    if (plan_action_for(&s->scratch, &run->plan, h->key.phase, h->key.step, node, run->id, &action,
                        &e) < 0) {
        violate(s, RULE_MACHINE, "an action cannot be made: %s", e.message);
        return;
    }
    json_t *json = shape_to_json(&action_shape, &action);
    struct buf text;
    buf_init(&text, &s->scratch, LIMIT_ACTION_BYTES);
    json_canonical(json, &text);
    json_decref(json);
    struct wire_order order = {
        .type = WIRE_ORDER_INSTRUCTION,
        .instruction = {
            .key = {.phase = h->key.phase, .step = h->key.step, .attempt = h->key.attempt},
            .fence = c->fence,
            .known = h->known,
            .last = {.phase = h->last.phase, .step = h->last.step, .attempt = h->last.attempt},
            .cluster = "sim",
            .name = "step",
            .state_name = "sim.shelf",
            .action = {.data = (const uint8_t *)buf_text(&text), .len = text.len},
            .left_ms = MAX(h->deadline_ms - wall_ms(s), 1)}};
    memcpy(order.instruction.key.run, run->id, sizeof(run->id));
    send_order(s, controller, place, &order);
}

static void hold_send(struct sim *s, uint32_t controller, const struct effect *effect)
{
    struct sim_controller *c = &s->controllers[controller];
    struct held_send h = {effect->after, effect->key, effect->known, effect->last,
                          effect->deadline_ms};
    if (h.after <= c->journal.durable || s->sabotage == SABOTAGE_SEND_BEFORE_DURABLE) {
        instruct(s, controller, &h);
        return;
    }
    c->held = arena_grow(&s->arena, c->held, c->held_count, &c->held_capacity, sizeof(*c->held));
    c->held[c->held_count++] = h;
}

static void tell(struct sim *s, uint32_t controller, const struct effect *e)
{
    struct sim_controller *c = &s->controllers[controller];
    const struct sim_run *run = run_of(s, c);
    switch (e->tell) {
    case TELL_STATE:
        coverage_rollout(s, c->seen_state, e->state);
        c->seen_state = e->state;
        trace(s, "run %s at controller %u: %s%s%s", run->id, (unsigned)c->generation,
              rollout_state_name(e->state), e->text != NULL ? ": " : "",
              e->text != NULL ? e->text : "");
        look_later(s, PERSON_MS);
        break;
    case TELL_PHASE:
        trace(s, "phase %s", plan_phase_at(&run->plan, e->key.phase)->name);
        break;
    case TELL_STEP_STARTED:
    case TELL_STEP_ENDED:
        trace(s, "  %u.%u.%u %s@%s %s%s%s", e->key.phase, e->key.step, e->key.attempt,
              plan_step_at(&run->plan, e->key.phase, e->key.step)->name,
              rollout_place_name(&run->plan, e->key.place),
              e->tell == TELL_STEP_STARTED ? "..." : outcome_status_name(e->status),
              e->text != NULL ? ": " : "", e->text != NULL ? e->text : "");
        break;
    case TELL_WORD:
        trace(s, "%s: %s of %s", e->record.who != NULL ? e->record.who : "the failure budget",
              word_name(e->record.word),
              e->key.place == ROLLOUT_PLACE_NONE ? "the run"
                                                 : rollout_place_name(&run->plan, e->key.place));
        break;
    case TELL_WAITING:
        trace(s, "waiting: %s", e->text != NULL ? e->text : "");
        look_later(s, PERSON_MS);
        break;
    }
}

/* ---- the machine ---- */

static void cover(struct sim *s, struct sim_controller *c)
{
    for (uint32_t i = 0; i < s->place_count; i++) {
        if (!s->places[i].node && i != c->executor) {
            continue;
        }
        struct place_view v = rollout_place(c->rollout, key_place(s, i));
        if (v.state != c->seen[i]) {
            coverage_step(s, c->seen[i], v.state);
            c->seen[i] = v.state;
        }
    }
}

static void arm(struct sim *s, uint32_t controller)
{
    struct sim_controller *c = &s->controllers[controller];
    int64_t deadline = rollout_deadline(c->rollout);
    c->timer++;
    if (deadline == INT64_MAX) {
        return;
    }
    struct event_in_queue *e = later(s, MAX(deadline - wall_ms(s), 1), HAPPEN_CONTROLLER_TIMER);
    e->controller = controller;
    e->number = c->timer;
    e->life = c->life;
}

static bool carry_out(struct sim *s, uint32_t controller, const struct effect *e)
{
    switch (e->type) {
    case EFFECT_RECORD:
        return keep_record(s, controller, e);
    case EFFECT_SEND:
        hold_send(s, controller, e);
        break;
    case EFFECT_TELL:
        tell(s, controller, e);
        break;
    case EFFECT_REFUSED:
        trace(s, "refused: %s", e->text);
        s->coverage->refusals++;
        break;
    }
    return true;
}

/* One word at once, or two: what the bits of `number` say, in an order that nobody would choose. */
void controller_words(struct sim *s, uint64_t number)
{
    controller_word(s, (number & 1) != 0 ? WORD_RETRY : WORD_ABORT);
    if ((number & 2) != 0) {
        controller_word(s, (number & 1) != 0 ? WORD_ABORT : WORD_RETRY);
    }
    if ((number & 4) != 0) {
        controller_word(s, WORD_RETRY);
    }
}

void controller_event(struct sim *s, uint32_t controller, struct event event)
{
    struct sim_controller *c = &s->controllers[controller];
    if (!c->up || c->rollout == NULL || s->failed) {
        return;
    }
    uint32_t life = c->life;
    event.now_ms = wall_ms(s);
    uint64_t steps = 0;
    do {
        rollout_step(c->rollout, &event, &effects);
        if (++steps > SIM_EVENTS_MAX) {
            violate(s, RULE_BOUNDED, "one event has work without an end");
            return;
        }
        check_bounds(s, controller, &effects);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < effects.count; i++) {
            if (!carry_out(s, controller, &effects.items[i]) || c->life != life || s->failed) {
                return;
            }
        }
    } while (effects.more);
    cover(s, c);
    check_replay(s, controller);
    check_parallel(s, controller);
    arm(s, controller);
}

/* ---- durable ---- */

static void tell_over(struct sim *s, uint32_t controller, uint32_t place, const char *run)
{
    struct wire_order order = {.type = WIRE_ORDER_FORGET,
                               .fence = s->controllers[controller].fence};
    memcpy(order.run, run, sizeof(order.run));
    send_order(s, controller, place, &order);
}

static void end_run(struct sim *s, uint32_t controller, enum rollout_state state)
{
    struct sim_controller *c = &s->controllers[controller];
    struct sim_run *run = run_of(s, c);
    c->run_over = true;
    c->rollout = NULL;
    if (controller == s->now_controller && !run->over) {
        run->over = true;
        s->coverage->ends[state]++;
        check_run_end(s, run, state);
    }
    if (s->sabotage == SABOTAGE_NEVER_FORGET) {
        return;
    }
    for (uint32_t i = 0; i < s->place_count; i++) {
        tell_over(s, controller, i, run->id);
    }
}

void controller_durable(struct sim *s, uint32_t controller, uint64_t number)
{
    struct sim_controller *c = &s->controllers[controller];
    if (number > c->journal.count) {
        return; /* of a run before */
    }
    uint64_t from = c->journal.durable;
    c->journal.durable = MAX(c->journal.durable, number);
    size_t count = c->held_count;
    struct held_send *held = c->held;
    c->held = NULL;
    c->held_count = 0;
    c->held_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        if (held[i].after <= c->journal.durable) {
            instruct(s, controller, &held[i]);
        } else {
            c->held =
                arena_grow(&s->arena, c->held, c->held_count, &c->held_capacity, sizeof(*c->held));
            c->held[c->held_count++] = held[i];
        }
    }
    for (uint64_t i = from; i < c->journal.durable; i++) {
        if (c->marks[i].type == RECORD_STATE && rollout_state_is_end(c->marks[i].state)) {
            end_run(s, controller, c->marks[i].state);
            break;
        }
    }
}

void controller_timer(struct sim *s, uint32_t controller)
{
    controller_event(s, controller, (struct event){.type = EVENT_TIME});
}

/* ---- sessions ---- */

void controller_session(struct sim *s, uint32_t controller, uint32_t place, bool up)
{
    struct sim_controller *c = &s->controllers[controller];
    c->told[place] = false;
    c->well[place] = false;
    if (c->run_over) {
        return;
    }
    controller_event(s, controller,
                     (struct event){.type = up ? EVENT_PLACE_UP : EVENT_PLACE_DOWN,
                                    .place = key_place(s, place)});
    const struct sim_run *run = run_of(s, c);
    if (up && !c->run_over && c->up && s->places[place].node && run->plan.watch != NULL) {
        struct wire_order order = {.type = WIRE_ORDER_WATCH, .state_name = "sim.shelf"};
        memcpy(order.run, run->id, sizeof(order.run));
        send_order(s, controller, place, &order);
    }
}

static void take_serving(struct sim *s, uint32_t controller, uint32_t place,
                         const struct wire_report *report)
{
    struct sim_controller *c = &s->controllers[controller];
    if (c->run_over || strcmp(report->run, run_of(s, c)->id) != 0) {
        return;
    }
    c->told[place] = true;
    c->well[place] = report->running;
    controller_event(s, controller,
                     (struct event){.type = report->running ? EVENT_NODE_WELL : EVENT_NODE_UNWELL,
                                    .place = key_place(s, place)});
}

static int run_by_id(const struct sim *s, const char *id)
{
    for (uint32_t i = 0; i < s->run_count; i++) {
        if (strcmp(s->runs[i].id, id) == 0) {
            return (int)i;
        }
    }
    return -1;
}

void controller_report(struct sim *s, uint32_t controller, uint32_t place,
                       const struct wire_report *report)
{
    struct sim_controller *c = &s->controllers[controller];
    if (report->type == WIRE_REPORT_SERVING) {
        take_serving(s, controller, place, report);
        return;
    }
    int run = run_by_id(s, report->key.run);
    bool ended = report->type == WIRE_REPORT_ENDED;
    if ((!ended && report->type != WIRE_REPORT_BUSY) || run < 0) {
        return;
    }
    bool mine = (uint32_t)run == c->run || s->sabotage == SABOTAGE_REPORTS_OF_ANY_RUN;
    if (mine && !c->run_over && ended) {
        struct event event = {.type = EVENT_OUTCOME, .outcome = &report->outcome};
        event.key = (struct step_key){.phase = report->key.phase,
                                      .step = report->key.step,
                                      .place = key_place(s, place),
                                      .attempt = report->key.attempt};
        if (s->sabotage == SABOTAGE_REPORTS_OF_ANY_PLACE && s->places[place].node) {
            event.key.place = (place + 1) % (uint32_t)s->scenario.node_count;
        }
        controller_event(s, controller, event);
        if (s->sabotage == SABOTAGE_FORGET_TOO_EARLY && percent(s, 10)) {
            tell_over(s, controller, place, report->key.run);
        }
        return;
    }
    bool over = (uint32_t)run < c->run || ((uint32_t)run == c->run && c->run_over);
    if (over && s->sabotage != SABOTAGE_NEVER_FORGET) {
        tell_over(s, controller, place, report->key.run);
    }
}

static void tell_places(struct sim *s, uint32_t controller)
{
    struct sim_controller *c = &s->controllers[controller];
    for (uint32_t i = 0; i < s->place_count; i++) {
        if (c->session[i]) {
            controller_session(s, controller, i, true);
        }
    }
}

/* ---- lives ---- */

static void replay(struct sim *s, struct sim_controller *c)
{
    for (size_t i = 0; i < c->journal.count; i++) {
        bool lost = s->sabotage == SABOTAGE_JOURNAL_LOSES_A_RECORD && i + 2 == c->journal.count;
        struct record record = {0};
        struct error e = {0};
        if (wire_record_unpack(&s->scratch, c->journal.items[i], &record, &e) < 0) {
            violate(s, RULE_MACHINE, "a record cannot be read: %s", e.message);
            return;
        }
        const struct event event = {
            .type = EVENT_REPLAY, .now_ms = record.at_ms, .record = &record};
        if (!lost) {
            rollout_step(c->rollout, &event, &effects);
        }
        if (effects.count != 0 && !lost) {
            violate(s, RULE_REPLAY, "a replayed record has effects");
        }
    }
}

static void go_on(struct sim *s, uint32_t controller)
{
    struct sim_controller *c = &s->controllers[controller];
    struct sim_run *run = run_of(s, c);
    arena_deinit(&c->arena);
    c->rollout = rollout_new(&c->arena, &run->plan);
    c->seen_state = ROLLOUT_READY;
    memset(c->seen, 0, sizeof(c->seen));
    memset(c->told, 0, sizeof(c->told));
    memset(c->well, 0, sizeof(c->well));
    memset(c->middle, 0, sizeof(c->middle));
    bool begun = c->journal.count > 0;
    replay(s, c);
    enum rollout_state state = rollout_state(c->rollout);
    c->seen_state = state;
    for (uint32_t i = 0; i < s->place_count; i++) {
        c->seen[i] = rollout_place(c->rollout, key_place(s, i)).state;
    }
    if (rollout_state_is_end(state)) {
        end_run(s, controller, state);
        return;
    }
    tell_places(s, controller);
    controller_event(s, controller,
                     (struct event){.type = begun ? EVENT_RESUME : EVENT_BEGIN, .who = "alice"});
    look_later(s, PERSON_MS);
}

void controller_start(struct sim *s, uint32_t controller)
{
    struct sim_controller *c = &s->controllers[controller];
    if (c->up) {
        return;
    }
    c->up = true;
    c->generation = ++s->generations;
    bool raised = s->sabotage != SABOTAGE_FENCE_NOT_RAISED || s->fences == 0;
    c->began_ms = s->now_ms;
    c->began_skew_ms = s->skew_ms;
    c->fence = raised ? ++s->fences : s->fences;
    trace(s, "controller %u starts with fence %llu", (unsigned)c->generation,
          (unsigned long long)c->fence);
    if (!c->run_over && s->run_count > 0) {
        go_on(s, controller);
    }
    look_later(s, PERSON_MS);
}

static void drop_memory(struct sim *s, uint32_t controller)
{
    struct sim_controller *c = &s->controllers[controller];
    c->up = false;
    c->life++;
    c->held_count = 0;
    c->rollout = NULL;
    c->busy_until_ms = 0;
    for (uint32_t i = 0; i < s->place_count; i++) {
        bool there = c->session[i] && s->places[i].connected && s->places[i].owner == controller;
        c->session[i] = false;
        if (there) {
            network_break(s, i);
        }
    }
}

static bool has_ended(const struct sim_controller *c)
{
    for (size_t i = 0; i < c->journal.count; i++) {
        if (c->marks[i].type == RECORD_STATE && rollout_state_is_end(c->marks[i].state)) {
            return true;
        }
    }
    return false;
}

static void crash(struct sim *s, uint32_t controller, int64_t back_in_ms, bool lost_fsync)
{
    struct sim_controller *c = &s->controllers[controller];
    if (!c->up) {
        return;
    }
    trace(s, "controller %u dies%s", (unsigned)c->generation,
          lost_fsync ? ", and its disk had not kept what it said it had" : "");
    drop_memory(s, controller);
    journal_crash(s, &c->journal, lost_fsync);
    c->run_over = c->run_over && (!lost_fsync || s->run_count == 0 || has_ended(c));
    place_crash(s, c->executor, back_in_ms);
    later(s, back_in_ms + 1, HAPPEN_CONTROLLER_START)->controller = controller;
}

void controller_crash(struct sim *s, uint32_t controller, int64_t back_in_ms)
{
    crash(s, controller, back_in_ms, false);
}

void controller_lose_fsync(struct sim *s, uint32_t controller, int64_t back_in_ms)
{
    crash(s, controller, back_in_ms, true);
}

/* A copy of its disk goes on elsewhere: its journals as far as they are durable, none of its processes. */
void controller_freeze(struct sim *s, int64_t length_ms)
{
    struct sim_controller *old = &s->controllers[0];
    struct sim_controller *c = &s->controllers[1];
    if (s->now_controller != 0 || !old->up || s->place_count == SIM_PLACES_MAX) {
        return;
    }
    trace(s, "controller %u is frozen; its successor starts", (unsigned)old->generation);
    old->busy_until_ms = s->now_ms + length_ms;
    c->executor = (uint32_t)s->place_count++;
    c->run = old->run;
    c->run_over = old->run_over;
    for (size_t i = 0; i < old->journal.durable; i++) {
        journal_add(s, &c->journal, old->journal.items[i]);
        c->marks = arena_grow(&s->arena, c->marks, i, &c->marks_capacity, sizeof(*c->marks));
        c->marks[i] = old->marks[i];
    }
    c->journal.durable = c->journal.count;
    struct sim_place *from = &s->places[old->executor];
    struct sim_place *to = &s->places[c->executor];
    from->copied = true;
    database_host_died(s, old->executor); /* the server has heard nothing of it for too long */
    for (size_t i = 0; i < from->journal.durable; i++) {
        journal_add(s, &to->journal, from->journal.items[i]);
    }
    to->journal.durable = to->journal.count;
    s->now_controller = 1;
    later(s, length_ms + 1000 + (int64_t)chance(s, 60000), HAPPEN_CONTROLLER_GONE)->controller = 0;
    /* Places that hear nothing any more break off at different times. */
    for (uint32_t i = 0; i < s->place_count; i++) {
        later(s, 5000 + (int64_t)chance(s, (uint64_t)length_ms * 2 + 10000), HAPPEN_SILENCE)
            ->place = i;
    }
    /* When the old one is back, so is its address: some come to it once more. */
    for (uint32_t i = 0; i < s->scenario.node_count; i++) {
        if (percent(s, 40)) {
            struct event_in_queue *e =
                later(s, length_ms + (int64_t)chance(s, 10000), HAPPEN_SILENCE);
            e->place = i;
            e->number = 1;
        }
    }
    place_start(s, c->executor);
    controller_start(s, 1);
}

void controller_gone(struct sim *s, uint32_t controller)
{
    struct sim_controller *c = &s->controllers[controller];
    trace(s, "controller %u is gone for good", (unsigned)c->generation);
    drop_memory(s, controller);
    place_reboot(s, c->executor, INT64_MAX);
}

void controller_run(struct sim *s, uint32_t controller, uint32_t run)
{
    struct sim_controller *c = &s->controllers[controller];
    c->run = run;
    c->run_over = false;
    c->journal.count = 0;
    c->journal.durable = 0;
    c->held_count = 0;
    go_on(s, controller);
}

void controller_word(struct sim *s, enum word word)
{
    struct sim_controller *c = &s->controllers[s->now_controller];
    if (!c->up || c->run_over || c->busy_until_ms > s->now_ms) {
        return;
    }
    trace(s, "the operator says %s", word_name(word));
    s->coverage->retries_of_operator += word == WORD_RETRY ? 1 : 0;
    s->coverage->aborts_of_operator += word == WORD_ABORT ? 1 : 0;
    const struct plan *plan = &run_of(s, c)->plan;
    struct word_event said = {.word = word, .who = "bob", .force = s->calm};
    if (word == WORD_EXCLUDE) {
        said.place = LIST_AT(&plan->nodes, struct plan_node, chance(s, plan->nodes.count))->name;
    }
    if (!s->calm && percent(s, 20)) {
        said.who = "carol";
    }
    if (plan->gates.count > 0 && word == WORD_APPROVE) {
        said.who = person(chance(s, 4));
    }
    controller_event(s, s->now_controller, (struct event){.type = EVENT_WORD, .word = said});
}
