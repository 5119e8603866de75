/* Owns the fleets that are not over and the way between their machines and the world. It decides nothing. */
#include "controller/fleets.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fleet.h"
#include "controller/planning.h"
#include "controller/reply.h"
#include "controller/runs.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/log.h"
#include "lib/wire/fleet_record.h"
#include "lib/wire/pack.h"

#define FLEET_ID_LETTERS 12

static struct fleet_run *find_fleet(struct controller *c, const char *id)
{
    struct fleet_run *f = c->fleets;
    while (f != NULL && !str_equal(f->stored.fleet, id)) {
        f = f->next;
    }
    return f;
}

const char *fleet_key(const struct fleet_run *f, struct arena *arena, uint32_t member,
                      uint32_t attempt)
{
    return arena_printf(arena, "%s.%u.%u", f->stored.fleet, (unsigned)member, (unsigned)attempt);
}

/* ---- effects ---- */

static struct fleet_waiting *wait_for(struct fleet_run *f, uint64_t number, const char *text)
{
    struct fleet_waiting *w = calloc(1, sizeof(*w));
    assert(w != NULL);
    w->number = number;
    w->text = text != NULL ? strdup(text) : NULL;
    *f->waiting_end = w;
    f->waiting_end = &w->next;
    return w;
}

static void log_record(const struct fleet_run *f, const struct fleet_record *record)
{
    const char *why = record->why != NULL ? record->why : "";
    const char *colon = record->why != NULL ? ": " : "";
    switch (record->type) {
    case FLEET_RECORD_MEMBER:
        log_line(PROGRAM, "fleet %s: %s is %s%s%s", f->stored.name,
                 fleet_member(f->machine, record->member).cluster,
                 member_state_name(record->member_state), colon, why);
        break;
    case FLEET_RECORD_STATE:
        log_line(PROGRAM, "fleet %s is %s, at stage %s%s%s", f->stored.name,
                 fleet_state_name(record->state),
                 LIST_AT(&f->spec->stages, struct fleet_stage_spec, record->stage)->name, colon,
                 why);
        break;
    case FLEET_RECORD_APPROVAL:
        log_line(PROGRAM, "fleet %s: approved by %s%s%s", f->stored.name, record->who, colon, why);
        break;
    }
}

static void keep_record(struct fleet_run *f, const struct fleet_record *record)
{
    struct arena arena;
    arena_init(&arena);
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_fleet_record_pack(&arena, record, &packed, &e) < 0) {
        controller_fail(f->controller, &e);
    } else {
        f->last_number = journal_append(f->controller->journal, f->stream, packed);
        log_record(f, record);
    }
    arena_deinit(&arena);
    if (record->type == FLEET_RECORD_STATE) {
        wait_for(f, f->last_number, fleet_why(f->machine))->state = record->state;
    }
}

static void carry_out_one(struct fleet_run *f, const struct fleet_effect *effect)
{
    switch (effect->type) {
    case FLEET_EFFECT_RECORD:
        keep_record(f, &effect->record);
        break;
    case FLEET_EFFECT_PLAN:
        fleet_plan_member(f, effect->member, effect->attempt);
        break;
    case FLEET_EFFECT_START: {
        /* The newest record of the fleet is at least as new as the one that this has to wait for. */
        struct fleet_waiting *w = wait_for(f, f->last_number, effect->way.plan_id);
        w->start = true;
        w->member = effect->member;
        w->attempt = effect->attempt;
        break;
    }
    case FLEET_EFFECT_FIND:
        fleet_find_run(f, effect->member, effect->attempt);
        break;
    case FLEET_EFFECT_EVIDENCE:
        fleet_keep_evidence(f, effect);
        break;
    case FLEET_EFFECT_TELL:
        log_line(PROGRAM, "fleet %s still waits: %s", f->stored.name, effect->text);
        break;
    case FLEET_EFFECT_REFUSED:
        break; /* fleets_word() reads it */
    }
}

/* ---- the machine ---- */

static void on_time(uv_timer_t *timer)
{
    fleet_hear(timer->data, &(struct fleet_event){.type = FLEET_EVENT_TIME});
}

static void arm(struct fleet_run *f)
{
    int64_t deadline = fleet_deadline(f->machine);
    if (deadline == INT64_MAX) {
        uv_timer_stop(&f->timer);
    } else {
        int64_t left = deadline - act_now_ms();
        uv_timer_start(&f->timer, on_time, (uint64_t)MAX(left, 1), 0);
    }
}

/* One event and what follows from it. *ret_refused (may be NULL): why a word was refused, in `arena`. */
static void step_once(struct fleet_run *f, const struct fleet_event *event, struct arena *arena,
                      const char **ret_refused)
{
    struct fleet_effects *effects = malloc(sizeof(*effects));
    assert(effects != NULL);
    struct fleet_event now = *event;
    now.now_ms = act_now_ms();
    const struct fleet_event more = {.type = FLEET_EVENT_MORE, .now_ms = now.now_ms};
    do {
        fleet_step(f->machine, &now, effects);
        for (size_t i = 0; i < effects->count; i++) {
            carry_out_one(f, &effects->items[i]);
            if (effects->items[i].type == FLEET_EFFECT_REFUSED && ret_refused != NULL) {
                *ret_refused = arena_strdup(arena, effects->items[i].text);
            }
        }
        now = more;
    } while (effects->more);
    free(effects);
}

static void step(struct fleet_run *f, const struct fleet_event *event, struct arena *arena,
                 const char **ret_refused)
{
    assert(!f->stepping);
    f->stepping = true;
    step_once(f, event, arena, ret_refused);
    while (f->answers != NULL) {
        struct fleet_answer *answer = f->answers;
        f->answers = answer->next;
        if (f->answers == NULL) {
            f->answers_end = &f->answers;
        }
        step_once(f, &answer->event, NULL, NULL);
        arena_deinit(&answer->arena);
        free(answer);
    }
    f->stepping = false;
    arm(f);
    if (f->waiting == NULL) {
        fleet_tell(f); /* else when it is durable */
    }
}

void fleet_hear(struct fleet_run *f, const struct fleet_event *event)
{
    if (f->controller->stopping) {
        return;
    }
    if (!f->stepping) {
        step(f, event, NULL, NULL);
        return;
    }
    struct fleet_answer *answer = calloc(1, sizeof(*answer));
    assert(answer != NULL);
    struct arena *arena = &answer->arena;
    arena_init(arena);
    answer->event = *event;
    answer->event.run = arena_strdup(arena, event->run);
    answer->event.why = arena_strdup(arena, event->why);
    *f->answers_end = answer;
    f->answers_end = &answer->next;
}

/* ---- what waited for the journal ---- */

static void start_run(struct fleet_run *f, const struct fleet_waiting *w)
{
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    const char *id = NULL;
    struct stored_run run = {0};
    const struct run_start request = {
        .plan_id = w->text,
        .who = arena_printf(&arena, "fleet %s", f->stored.name),
        .fleet_key = fleet_key(f, &arena, w->member, w->attempt),
    };
    int r = runs_start(f->controller, &arena, &request, &id, &e);
    if (r == 0) {
        r = store_run(f->controller->store, &arena, id, &run, &e);
    }
    if (r == 0) {
        fleet_hear_run(f, w->member, w->attempt, &run);
    } else {
        fleet_hear(f, &(struct fleet_event){.type = FLEET_EVENT_NO_RUN,
                                            .member = w->member,
                                            .attempt = w->attempt,
                                            .why = e.message});
    }
    arena_deinit(&arena);
}

static void keep_state(struct fleet_run *f, const struct fleet_waiting *w)
{
    struct error e = {0};
    bool end = fleet_state_is_end(w->state);
    if (store_fleet_state(f->controller->store, f->stored.fleet, fleet_state_name(w->state),
                          w->text, end ? act_now_ms() : 0, &e) < 0) {
        controller_fail(f->controller, &e);
        return;
    }
    f->ended = end;
}

static void go_on(struct fleet_run *f, uint64_t durable)
{
    bool any = f->waiting != NULL;
    while (f->waiting != NULL && f->waiting->number <= durable) {
        struct fleet_waiting *w = f->waiting;
        f->waiting = w->next;
        if (f->waiting == NULL) {
            f->waiting_end = &f->waiting;
        }
        if (w->start) {
            start_run(f, w);
        } else {
            keep_state(f, w);
        }
        free(w->text);
        free(w);
    }
    if (any && f->waiting == NULL && !f->ended) {
        fleet_tell(f);
    }
}

static void end_fleet(struct fleet_run *f)
{
    struct fleet_run **link = &f->controller->fleets;
    while (*link != f) {
        link = &(*link)->next;
    }
    *link = f->next;
    fleet_tell_end(f);
    fleet_free(f);
}

void fleets_durable(struct controller *c, uint64_t number)
{
    for (struct fleet_run *f = c->fleets, *next; f != NULL; f = next) {
        go_on(f, number);
        next = f->next;
        if (f->ended) {
            end_fleet(f);
        }
    }
}

/* ---- reading and freeing ---- */

static void timer_closed(uv_handle_t *handle)
{
    struct fleet_run *f = handle->data;
    arena_deinit(&f->arena);
    free(f);
}

void fleet_free(struct fleet_run *f)
{
    fleet_forget_plans(f);
    while (f->waiting != NULL) {
        struct fleet_waiting *next = f->waiting->next;
        free(f->waiting->text);
        free(f->waiting);
        f->waiting = next;
    }
    while (f->answers != NULL) {
        struct fleet_answer *next = f->answers->next;
        arena_deinit(&f->answers->arena);
        free(f->answers);
        f->answers = next;
    }
    uv_close((uv_handle_t *)&f->timer, timer_closed);
}

static int replay(void *context, uint64_t number, struct bytes data, struct error *e)
{
    struct fleet_run *f = context;
    struct arena arena;
    arena_init(&arena);
    struct fleet_record record = {0};
    int r = wire_fleet_record_unpack(&arena, data, &record, e);
    if (r == 0) {
        f->last_number = number;
        struct fleet_effects *effects = ARENA_NEW(&arena, struct fleet_effects);
        fleet_step(f->machine,
                   &(struct fleet_event){
                       .type = FLEET_EVENT_REPLAY, .now_ms = record.at_ms, .record = &record},
                   effects);
        assert(effects->count == 0);
    }
    arena_deinit(&arena);
    return r < 0 ? error_wrap(e, "record %" PRIu64, number) : 0;
}

static int read_spec(struct fleet_run *f, struct error *e)
{
    struct spec spec = {0};
    struct complaints complaints;
    complaints_init(&complaints, &f->arena);
    const Lockstep__V1__Bundle *bundle =
        REPLY_REQUEST(Bundle, bundle, &f->arena, f->stored.bundle, e);
    if (bundle == NULL) {
        return e->code;
    }
    if (bundle_read(&f->arena, bundle, &spec, &complaints) < 0 || spec.fleet == NULL) {
        return error_set(e, E_INVALID, "its file cannot be read any more: %s",
                         complaints.count > 0 ? complaints.items[0].message : "it holds no Fleet");
    }
    f->spec = spec.fleet;
    return 0;
}

int fleet_read(struct controller *c, const struct stored_fleet *stored, struct fleet_run **ret,
               struct error *e)
{
    struct fleet_run *f = calloc(1, sizeof(*f));
    assert(f != NULL);
    f->controller = c;
    f->waiting_end = &f->waiting;
    f->answers_end = &f->answers;
    arena_init(&f->arena);
    uv_timer_init(&c->loop, &f->timer);
    f->timer.data = f;
    int r = store_fleet(c->store, &f->arena, stored->fleet, &f->stored, e);
    if (r == 0) {
        r = read_spec(f, e);
    }
    if (r == 0) {
        f->stream = arena_printf(&f->arena, "fleet.%s", f->stored.fleet);
        f->machine = fleet_new(&f->arena, f->spec);
        r = journal_read(c->journal, f->stream, 0, replay, f, e);
    }
    if (r < 0) {
        fleet_free(f);
        return error_wrap(e, "fleet %s", stored->name);
    }
    *ret = f;
    return 0;
}

/* ---- starting and going on ---- */

static void keep_running(struct controller *c, struct fleet_run *f)
{
    f->next = c->fleets;
    c->fleets = f;
    if (fleet_state_is_end(fleet_state(f->machine))) {
        /* Only the store had not heard of the end yet. */
        wait_for(f, f->last_number, fleet_why(f->machine))->state = fleet_state(f->machine);
        return;
    }
    bool begun = f->last_number != 0;
    log_line(PROGRAM, "fleet %s %s: to %s, by %s", f->stored.name, begun ? "goes on" : "begins",
             f->stored.version, f->stored.who);
    step(f,
         &(struct fleet_event){.type = begun ? FLEET_EVENT_RESUME : FLEET_EVENT_BEGIN,
                               .who = f->stored.who},
         NULL, NULL);
}

int fleets_apply(struct controller *c, struct arena *arena, const struct fleets_request *request,
                 const char **ret_id, struct error *e)
{
    uint8_t random[FLEET_ID_LETTERS / 2];
    struct fleet_run *f = NULL;
    struct bytes bundle = {0};
    if (uv_random(NULL, NULL, random, sizeof(random), 0, NULL) != 0) {
        return error_set(e, E_IO, "the system gives no random numbers");
    }
    int r = wire_pack(arena, &request->bundle->base, &bundle, e);
    const struct stored_fleet stored = {.fleet = str_hex(arena, random, sizeof(random)),
                                        .name = request->spec->fleet->name,
                                        .version = request->spec->fleet->version,
                                        .bundle = bundle,
                                        .who = request->who,
                                        .acknowledged = request->acknowledged,
                                        .state = fleet_state_name(FLEET_READY),
                                        .started_ms = act_now_ms()};
    r = r < 0 ? r : store_fleet_put(c->store, &stored, e);
    r = r < 0 ? r : fleet_read(c, &stored, &f, e);
    if (r == 0 && f != NULL) {
        *ret_id = stored.fleet;
        keep_running(c, f);
    }
    return r;
}

int fleets_open(struct controller *c, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_fleets open = {0};
    int r = store_fleets(c->store, &arena, false, &open, e);
    for (size_t i = 0; r == 0 && i < open.count; i++) {
        struct fleet_run *f = NULL;
        struct error why = {0};
        if (fleet_read(c, &open.items[i], &f, &why) == 0 && f != NULL) {
            keep_running(c, f);
        } else {
            log_line(PROGRAM,
                     "%s cannot be read, so nothing of it is done (`lockstep fleet abort %s` ends "
                     "it)",
                     why.message, open.items[i].name);
        }
    }
    arena_deinit(&arena);
    if (r == 0) {
        fleets_durable(c, journal_durable(c->journal));
    }
    return r;
}

void fleets_close(struct controller *c)
{
    while (c->fleets != NULL) {
        struct fleet_run *f = c->fleets;
        c->fleets = f->next;
        fleet_free(f);
    }
}

/* ---- what happens ---- */

/* Not over, and not here: it could not be read back. Only an abort ends it. */
static int word_to_unread(struct controller *c, const char *id, const struct fleet_event *word,
                          const char **ret_state, struct error *e)
{
    struct arena arena;
    arena_init(&arena);
    struct stored_fleet stored = {0};
    int r = store_fleet(c->store, &arena, id, &stored, e);
    if (r == 0 && stored.ended_ms == 0 && word->word == FLEET_WORD_ABORT) {
        *ret_state = fleet_state_name(FLEET_ABORTED);
        r = store_fleet_state(c->store, id, *ret_state, "it could not be read back", act_now_ms(),
                              e);
    } else if (r == 0) {
        r = error_set(e, E_CONFLICT, "fleet %s is %s: there is nothing to %s", stored.name,
                      stored.state, fleet_word_name(word->word));
    }
    arena_deinit(&arena);
    return r;
}

int fleets_word(struct controller *c, const char *id, const struct fleet_event *word,
                const char **ret_state, struct error *e)
{
    struct fleet_run *f = find_fleet(c, id);
    if (f == NULL) {
        return word_to_unread(c, id, word, ret_state, e);
    }
    struct arena arena;
    arena_init(&arena);
    const char *refused = NULL;
    step(f, word, &arena, &refused);
    *ret_state = fleet_state_name(fleet_state(f->machine));
    log_line(PROGRAM, "%s says %s%s%s to fleet %s%s%s%s%s", word->who, fleet_word_name(word->word),
             word->cluster != NULL ? " of " : "", word->cluster != NULL ? word->cluster : "",
             f->stored.name, word->why != NULL ? ": " : "", word->why != NULL ? word->why : "",
             refused != NULL ? ", refused: " : "", refused != NULL ? refused : "");
    int r = refused != NULL ? error_set(e, E_CONFLICT, "%s", refused) : 0;
    arena_deinit(&arena);
    return r;
}

void fleets_run_is(struct controller *c, const char *cluster, const char *run)
{
    struct arena arena;
    arena_init(&arena);
    for (struct fleet_run *f = c->fleets; f != NULL; f = f->next) {
        struct stored_run stored = {0};
        struct error e = {0};
        uint32_t member = fleet_find(f->machine, cluster);
        if (member == UINT32_MAX || !str_equal(fleet_member(f->machine, member).run, run)) {
            continue;
        }
        if (store_run(c->store, &arena, run, &stored, &e) < 0) {
            controller_fail(c, &e);
            break;
        }
        fleet_hear_run(f, member, fleet_member(f->machine, member).attempt, &stored);
    }
    arena_deinit(&arena);
}

void fleets_moved(struct controller *c, const struct stored_run *run)
{
    for (struct fleet_run *f = c->fleets; f != NULL; f = f->next) {
        uint32_t member = fleet_find(f->machine, run->cluster);
        if (member != UINT32_MAX) {
            fleet_hear_move(f, member, run);
        }
    }
}
