/* Owns the shell of the agent machine: what lib/io/place does with a journal, processes and a connection, with pretended
 * ones. Its memory goes with a crash; its workers go with the machine that they run on. */
#include <string.h>

#include "tests/sim/sim.h"

static struct agent_effects agent_effects;

static void forget_run(struct sim *s, uint32_t place, const char *id)
{
    struct sim_place *p = &s->places[place];
    for (struct sim_worker **link = &p->workers; *link != NULL;) {
        struct sim_worker *w = *link;
        if (strcmp(w->key.run, id) == 0) {
            database_run_over(s, place, w->run);
            worker_kill(s, w);
            *link = w->next;
        } else {
            link = &w->next;
        }
    }
}

static bool keep_record(struct sim *s, uint32_t place, const struct agent_effect *effect,
                        const struct wire_instruction *arriving)
{
    struct sim_place *p = &s->places[place];
    const struct agent_record *record = &effect->record;
    if (record->type == AGENT_RECORD_INTENT) {
        worker_new(s, place, arriving)->asked = p->life + 1;
    }
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_place_record_pack(&s->scratch, record, arriving, &packed, &e) < 0) {
        violate(s, RULE_MACHINE, "a place's record cannot be packed: %s", e.message);
        return false;
    }
    if (p->disk_full) {
        place_crash(s, place, 20000);
        return false;
    }
    bool last = ++s->counts.place_records[place] == s->script.place_at && place == s->script.place;
    if (last && !s->script.after) {
        place_crash(s, place, 2000);
        return false;
    }
    journal_add(s, &p->journal, packed);
    s->coverage->records++;
    if (last) {
        p->journal.durable = p->journal.count;
        place_crash(s, place, 2000);
        return false;
    }
    if (record->type == AGENT_RECORD_OVER) {
        forget_run(s, place, record->key.run);
    }
    if (faults_due(s, FAULT_PLACE_CRASH_AT_RECORD, place)) {
        place_crash(s, place, 500 + (int64_t)chance(s, 20000));
        return false;
    }
    struct event_in_queue *d = later(s, 1 + (int64_t)chance(s, 10), HAPPEN_PLACE_DURABLE);
    d->place = place;
    d->life = p->life;
    d->number = p->journal.count - p->base;
    return true;
}

static bool carry_out(struct sim *s, uint32_t place, const struct agent_effect *e,
                      const struct wire_instruction *arriving)
{
    struct sim_place *p = &s->places[place];
    struct sim_worker *w = NULL;
    switch (e->type) {
    case AGENT_EFFECT_RECORD:
        return keep_record(s, place, e, arriving);
    case AGENT_EFFECT_ACT:
    case AGENT_EFFECT_ATTACH:
        w = worker_find(p, &e->key);
        if (w == NULL) {
            violate(s, RULE_MACHINE, "place %u acts on what it was never told", (unsigned)place);
            return false;
        }
        if (e->type == AGENT_EFFECT_ACT) {
            worker_start(s, w);
        } else {
            w->life = p->life - 1; /* another one started it, if any */
            worker_look_later(s, w, 1 + (int64_t)chance(s, 1500));
        }
        break;
    case AGENT_EFFECT_REPORT: {
        struct wire_report report = {
            .type = WIRE_REPORT_ENDED, .key = e->key, .outcome = *e->outcome};
        if (s->sabotage == SABOTAGE_OUTCOME_UNTRUE && percent(s, 30)) {
            report.outcome.status = OUTCOME_DONE;
        }
        send_report(s, place, &report);
        break;
    }
    case AGENT_EFFECT_BUSY: {
        const struct wire_report report = {.type = WIRE_REPORT_BUSY, .key = e->key};
        send_report(s, place, &report);
        break;
    }
    }
    return true;
}

static void step(struct sim *s, uint32_t place, struct agent_event event,
                 const struct wire_instruction *arriving)
{
    struct sim_place *p = &s->places[place];
    uint32_t life = p->life;
    event.now_ms = wall_ms(s);
    if (!p->up || s->failed) {
        return;
    }
    do {
        agent_step(p->machine, &event, &agent_effects);
        check_place_bounds(s, place, &agent_effects);
        for (size_t i = 0; i < agent_effects.count; i++) {
            coverage_agent(s, event.type, &agent_effects.items[i]);
            if (!carry_out(s, place, &agent_effects.items[i], arriving) || p->life != life ||
                s->failed) {
                return;
            }
        }
        event = (struct agent_event){.type = AGENT_EVENT_DURABLE,
                                     .now_ms = event.now_ms,
                                     .number = p->journal.durable - p->base};
    } while (agent_effects.more);
}

void place_event(struct sim *s, uint32_t place, struct agent_event event)
{
    step(s, place, event, NULL);
}

bool place_hangs(const struct sim *s, uint32_t place)
{
    const struct sim_place *p = &s->places[place];
    return p->hangs_until_ms > s->now_ms ||
           (p->copied && s->controllers[0].busy_until_ms > s->now_ms);
}

void place_durable(struct sim *s, uint32_t place, uint64_t number)
{
    struct sim_place *p = &s->places[place];
    p->journal.durable = MAX(p->journal.durable, p->base + number);
    place_event(
        s, place,
        (struct agent_event){.type = AGENT_EVENT_DURABLE, .number = p->journal.durable - p->base});
}

void place_connected(struct sim *s, uint32_t place, uint64_t fence)
{
    s->places[place].watched[0] = '\0'; /* whoever wants to know asks again */
    place_event(s, place, (struct agent_event){.type = AGENT_EVENT_FENCE, .fence = fence});
    if (s->places[place].connected) {
        place_event(s, place, (struct agent_event){.type = AGENT_EVENT_CONNECTED});
    }
}

void place_serving(struct sim *s, uint32_t place)
{
    struct sim_place *p = &s->places[place];
    int running = s->nodes[place].runs >= 0;
    if (!p->node || !p->up || !p->connected || place_hangs(s, place) || p->watched[0] == '\0' ||
        p->told_running == running) {
        return;
    }
    p->told_running = running;
    struct wire_report report = {.type = WIRE_REPORT_SERVING, .running = running != 0};
    memcpy(report.run, p->watched, sizeof(report.run));
    send_report(s, place, &report);
}

bool place_revive(struct sim *s, uint32_t place)
{
    struct sim_node *n = &s->nodes[place];
    bool permitted = n->permitted < 0 || n->permitted == n->installed;
    if (!n->died || n->denied || !permitted || n->installed < 0) {
        return false;
    }
    n->died = false;
    n->runs = n->installed;
    check_nodes(s, "a service was started by hand");
    return true;
}

void place_order(struct sim *s, uint32_t place, const struct wire_order *order)
{
    struct sim_place *p = &s->places[place];
    struct agent_event event = {.type = AGENT_EVENT_FORGET};
    uint64_t fence =
        order->type == WIRE_ORDER_INSTRUCTION ? order->instruction.fence : order->fence;
    p->heard_fence = MAX(p->heard_fence, fence);
    switch (order->type) {
    case WIRE_ORDER_WELCOME:
        place_connected(s, place, order->fence);
        break;
    case WIRE_ORDER_INSTRUCTION: {
        const struct wire_instruction *in = &order->instruction;
        struct sim_worker *known = worker_find(p, &in->key);
        if (s->sabotage == SABOTAGE_ACT_ON_REPEATED && known != NULL) {
            worker_start(s, known);
            return;
        }
        if (known != NULL && in->fence >= agent_fence(p->machine)) {
            worker_renew(s, known, in);
        }
        event = (struct agent_event){.type = AGENT_EVENT_INSTRUCTION,
                                     .key = in->key,
                                     .fence = in->fence,
                                     .known = in->known,
                                     .last = in->last,
                                     .once = worker_would_double(s, in)};
        step(s, place, event, in);
        break;
    }
    case WIRE_ORDER_FORGET:
        for (uint32_t i = 0; i < s->run_count && p->owner == s->now_controller; i++) {
            bool this = strcmp(s->runs[i].id, order->run) == 0;
            p->told_over[i] = this ? MAX(p->told_over[i], order->fence) : p->told_over[i];
        }
        memcpy(event.key.run, order->run, sizeof(event.key.run));
        event.fence = order->fence;
        place_event(s, place, event);
        break;
    case WIRE_ORDER_WATCH:
        memcpy(p->watched, order->run, sizeof(p->watched));
        p->told_running = -1;
        place_serving(s, place);
        break;
    case WIRE_ORDER_OBSERVE:
    case WIRE_ORDER_UNOBSERVE:
        break;
    }
}

/* ---- lives ---- */

static void replay(struct sim *s, uint32_t place)
{
    struct sim_place *p = &s->places[place];
    for (size_t i = 0; i < p->journal.count && !s->failed; i++) {
        struct agent_record record = {0};
        struct wire_instruction instruction = {0};
        struct error e = {0};
        if (wire_place_record_unpack(&s->scratch, p->journal.items[i], &record, &instruction, &e) <
            0) {
            violate(s, RULE_MACHINE, "a place's record cannot be read: %s", e.message);
            return;
        }
        if (record.type == AGENT_RECORD_INTENT && worker_find(p, &record.key) == NULL) {
            worker_new(s, place, &instruction);
        }
        place_event(s, place, (struct agent_event){.type = AGENT_EVENT_REPLAY, .record = &record});
    }
}

void place_start(struct sim *s, uint32_t place)
{
    struct sim_place *p = &s->places[place];
    if (p->up || p->copied) {
        return;
    }
    p->up = true;
    p->hangs_until_ms = 0;
    p->machine = agent_new(&p->arena);
    p->base = p->journal.count;
    trace(s, "place %u starts", (unsigned)place);
    struct sim_node *n = &s->nodes[place];
    if (p->node && n->boots >= 0) {
        n->runs = n->boots;
        n->boots = -1;
        check_nodes(s, "a node has booted");
    }
    replay(s, place);
    place_event(s, place, (struct agent_event){.type = AGENT_EVENT_RESUME});
    later(s, 1 + (int64_t)chance(s, 1000), HAPPEN_CONNECT)->place = place;
}

static void drop_memory(struct sim *s, uint32_t place)
{
    struct sim_place *p = &s->places[place];
    p->up = false;
    p->life++;
    p->heard_fence = 0;
    memset(p->told_over, 0, sizeof(p->told_over));
    network_break(s, place);
    agent_free(p->machine);
    p->machine = NULL;
    arena_deinit(&p->arena);
    journal_crash(s, &p->journal, s->sabotage == SABOTAGE_PLACE_FSYNC_LIES);
}

void place_crash(struct sim *s, uint32_t place, int64_t back_in_ms)
{
    if (!s->places[place].up) {
        return;
    }
    trace(s, "place %u dies", (unsigned)place);
    drop_memory(s, place);
    later(s, back_in_ms, HAPPEN_PLACE_START)->place = place;
}

void place_reboot(struct sim *s, uint32_t place, int64_t back_in_ms)
{
    struct sim_place *p = &s->places[place];
    trace(s, "place %u's machine goes down", (unsigned)place);
    bool was_up = p->up;
    if (was_up) {
        drop_memory(s, place);
    }
    for (struct sim_worker *w = p->workers; w != NULL; w = w->next) {
        worker_kill(s, w);
    }
    database_host_died(s, place);
    struct sim_node *n = &s->nodes[place];
    if (p->node && n->runs >= 0) {
        n->boots = n->runs;
        n->runs = -1;
    }
    if (back_in_ms != INT64_MAX && was_up) {
        later(s, back_in_ms, HAPPEN_PLACE_START)->place = place;
    }
}
