/* Owns the worker processes of places: an action in small steps, each of which a crash may be the last. They outlive the agent and
 * die with the machine. What node actions change is here; databases are database.c's. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "tests/sim/sim.h"

#define AT_LATE 100 /* it has taken effect; its outcome is late */

struct sim_worker *worker_find(struct sim_place *p, const struct instruction_key *key)
{
    for (struct sim_worker *w = p->workers; w != NULL; w = w->next) {
        if (strcmp(w->key.run, key->run) == 0 && w->key.phase == key->phase &&
            w->key.step == key->step && w->key.attempt == key->attempt) {
            return w;
        }
    }
    return NULL;
}

bool worker_once(const struct sim_worker *w)
{
    return w->action.run != NULL && w->action.run->once;
}

/* What the agent knows of the job: as job_new(), and nothing runs yet. */
struct sim_worker *worker_new(struct sim *s, uint32_t place,
                              const struct wire_instruction *instruction)
{
    struct sim_place *p = &s->places[place];
    struct sim_worker *w = ARENA_NEW(&s->arena, struct sim_worker);
    w->place = place;
    w->key = instruction->key;
    w->known = instruction->known;
    w->fence = instruction->fence;
    w->generation =
        p->connected ? s->controllers[p->owner].generation : (uint32_t)instruction->fence;
    w->give_up_ms = s->now_ms + MAX(instruction->left_ms, 1);
    for (uint32_t i = 0; i < s->run_count; i++) {
        w->run = strcmp(s->runs[i].id, w->key.run) == 0 ? i : w->run;
    }
    json_t *json =
        json_loadb((const char *)instruction->action.data, instruction->action.len, 0, NULL);
    struct error e = {0};
    if (json == NULL || shape_from_json(&action_shape, json, &w->action, &s->arena, &e) < 0) {
        violate(s, RULE_MACHINE, "an action cannot be read: %s", e.message);
    }
    json_decref(json);
    w->next = p->workers;
    p->workers = w;
    return w;
}

/* Who asks for it now is obeyed, when it is still to be started. */
void worker_renew(struct sim *s, struct sim_worker *w, const struct wire_instruction *instruction)
{
    const struct sim_place *p = &s->places[w->place];
    w->known = instruction->known;
    w->fence = instruction->fence;
    w->generation = s->controllers[p->owner].generation;
    w->give_up_ms = s->now_ms + MAX(instruction->left_ms, 1);
    w->asked = p->life + 1;
}

bool worker_would_double(struct sim *s, const struct wire_instruction *instruction)
{
    struct action action = {0};
    struct error e = {0};
    json_t *json =
        json_loadb((const char *)instruction->action.data, instruction->action.len, 0, NULL);
    bool read = json != NULL && shape_from_json(&action_shape, json, &action, &s->scratch, &e) == 0;
    json_decref(json);
    return read && action.run != NULL && action.run->once;
}

static int64_t pace(struct sim *s, const struct sim_worker *w)
{
    if (w->hangs && w->at == AT_LATE) {
        return 60000 + (int64_t)chance(s, (uint64_t)25 * 60 * 1000);
    }
    return 1 + (int64_t)chance(s, s->now_ms < s->database.slow_until_ms ? 20000 : 800);
}

static void go_on(struct sim *s, struct sim_worker *w)
{
    struct event_in_queue *e = later(s, pace(s, w), HAPPEN_WORKER);
    e->worker = w;
    e->place = w->place;
    e->number = w->starts;
}

void worker_look_later(struct sim *s, struct sim_worker *w, int64_t in_ms)
{
    struct event_in_queue *e = later(s, in_ms, HAPPEN_WORKER);
    e->worker = w;
    e->place = w->place;
    e->number = 0;
}

void worker_start(struct sim *s, struct sim_worker *w)
{
    struct sim_place *p = &s->places[w->place];
    if (w->state == WORKER_RUNS && s->sabotage != SABOTAGE_ACT_ON_REPEATED) {
        violate(s, RULE_ONCE_STEP, "place %u starts a worker that lives", (unsigned)w->place);
        return;
    }
    check_act(s, w);
    s->coverage->actions[action_kind(&w->action)]++;
    w->state = WORKER_RUNS;
    w->life = p->life;
    w->at = 0;
    w->item = 0;
    w->starts++;
    w->session = false;
    w->session_killed = false;
    w->temporary = false;
    w->fails = faults_due(s, FAULT_ACTION_FAILS, w->place);
    w->hangs = faults_due(s, FAULT_ACTION_HANGS, w->place);
    trace(s, "    place %u acts %s.%u.%u.%u (%s)%s", (unsigned)w->place, w->key.run, w->key.phase,
          w->key.step, w->key.attempt, action_kind_name(action_kind(&w->action)),
          w->fails   ? ", will fail"
          : w->hangs ? ", will hang"
                     : "");
    go_on(s, w);
}

void worker_kill(struct sim *s, struct sim_worker *w)
{
    if (w->state != WORKER_RUNS) {
        return;
    }
    w->state = WORKER_DIED;
    w->session = false;
    if (w->migrates) {
        w->migrates = false;
        s->database.migrators--;
    }
}

static void leave_outcome(struct sim *s, struct sim_worker *w)
{
    w->state = WORKER_ENDED;
    check_ended(s, w);
    worker_tell(s, w);
}

void worker_end(struct sim *s, struct sim_worker *w, enum outcome_status status, int code,
                const char *message)
{
    w->session = false;
    w->outcome = (struct outcome){.status = status,
                                  .code = code,
                                  .message = message,
                                  .started_ms = wall_ms(s),
                                  .ended_ms = wall_ms(s)};
    if (w->hangs && w->at != AT_LATE) {
        w->at = AT_LATE;
        go_on(s, w);
    } else {
        leave_outcome(s, w);
    }
}

/* As job.c: the exit of a child, or what is found after a restart. */
void worker_tell(struct sim *s, struct sim_worker *w)
{
    struct sim_place *p = &s->places[w->place];
    struct agent_event event = {.type = AGENT_EVENT_ACTED, .key = w->key, .outcome = &w->outcome};
    struct outcome none = {.status = OUTCOME_FAILED, .code = E_IO, .message = "the worker died"};
    if (!p->up || worker_find(p, &w->key) != w) {
        return;
    }
    if (place_hangs(s, w->place)) {
        worker_look_later(s, w, 500);
        return;
    }
    bool doubles = worker_once(w) && w->begun && s->sabotage != SABOTAGE_LOST_ONCE_FORGOTTEN;
    switch (w->state) {
    case WORKER_RUNS:
        if (s->sabotage != SABOTAGE_LIVING_WORKER_LOST) {
            return; /* it will end */
        }
        event = (struct agent_event){.type = AGENT_EVENT_LOST, .key = w->key};
        break;
    case WORKER_ENDED:
        break;
    case WORKER_WAITS:
        event = (struct agent_event){.type = AGENT_EVENT_LOST, .key = w->key, .once = doubles};
        break;
    case WORKER_DIED:
        if (w->life != p->life) {
            event = (struct agent_event){.type = AGENT_EVENT_LOST, .key = w->key, .once = doubles};
            break;
        }
        none.status = doubles ? OUTCOME_UNKNOWN : OUTCOME_FAILED;
        none.code = doubles ? E_UNKNOWN : E_IO;
        event.outcome = &none;
        break;
    }
    place_event(s, w->place, event);
}

/* ---- nodes ---- */

static void done(struct sim *s, struct sim_worker *w)
{
    worker_end(s, w, OUTCOME_DONE, 0, NULL);
}

static void start(struct sim *s, struct sim_worker *w, struct sim_node *n)
{
    bool permitted = n->permitted < 0 || n->permitted == n->installed;
    if (n->denied || !permitted || n->installed < 0) {
        worker_end(s, w, OUTCOME_FAILED, E_DENIED, "starts are denied");
        return;
    }
    if (n->runs < 0) {
        n->runs = n->installed;
    }
    n->boots = -1;
    n->down_by_us = false;
    n->died = false;
    check_nodes(s, "a start");
    done(s, w);
}

static void stop(struct sim *s, struct sim_node *n)
{
    n->down_by_us = n->down_by_us || n->runs >= 0;
    n->died = false;
    n->runs = -1;
    n->boots = -1;
    check_nodes(s, "a stop");
}

static void service(struct sim *s, struct sim_worker *w, struct sim_node *n)
{
    switch ((enum service_verb)w->action.service->verb) {
    case SERVICE_START:
        start(s, w, n);
        break;
    case SERVICE_STOP:
        stop(s, n);
        done(s, w);
        break;
    case SERVICE_RESTART:
        stop(s, n);
        start(s, w, n);
        break;
    }
}

static void swap(struct sim *s, struct sim_worker *w, struct sim_node *n)
{
    int to = scenario_release(s, w->action.swap->artifact.version);
    if (n->installed != to && (n->staged & (1U << to)) == 0) {
        worker_end(s, w, OUTCOME_FAILED, E_NOT_FOUND, "the release is not staged");
        return;
    }
    n->staged &= ~(1U << to);
    if (n->installed >= 0) {
        n->staged |= 1U << n->installed;
    }
    n->installed = to;
    check_release_kept(s, w->place);
    done(s, w);
}

/* The application's own migrator: it knows neither fence nor evidence. */
static void migrator(struct sim *s, struct sim_worker *w)
{
    const struct command *c = &w->action.run->command;
    if (w->at == 1) {
        if (!s->database.up) {
            worker_end(s, w, OUTCOME_FAILED, E_DATABASE, "no connection");
            return;
        }
        s->coverage->checks[RULE_ONCE_MIGRATOR]++;
        s->counts.migrators++;
        if (s->database.migrators++ > 0) {
            violate(s, RULE_ONCE_MIGRATOR, "two migrators at the same time");
        }
        w->migrates = true;
        w->session = true;
        w->at = 2;
        go_on(s, w);
        return;
    }
    w->migrates = false;
    s->database.migrators--;
    if (w->session_killed) {
        worker_end(s, w, OUTCOME_FAILED, E_DATABASE, "the session was killed");
        return;
    }
    bool up = str_equal(c->argv.items[1], "up");
    int to = scenario_release(s, w->action.run->release);
    int rows = up ? s->scenario.releases[MAX(to, 0)].schema : atoi(c->argv.items[2]);
    database_move_rows(s, w, rows);
    done(s, w);
}

static void node_step(struct sim *s, struct sim_worker *w, struct sim_node *n)
{
    const struct action *a = &w->action;
    if (a->run != NULL && str_equal(a->run->command.argv.items[0], "migrate")) {
        migrator(s, w);
    } else if (a->deny != NULL) {
        n->denied = true;
        n->denied_run = w->run;
        done(s, w);
    } else if (a->permit != NULL) {
        n->denied = false;
        n->permitted = scenario_release(s, a->permit->release);
        done(s, w);
    } else if (a->service != NULL) {
        service(s, w, n);
    } else if (a->swap != NULL) {
        swap(s, w, n);
    } else if (a->stage != NULL) {
        n->staged |= 1U << scenario_release(s, a->stage->artifact.version);
        done(s, w);
    } else if (a->retire != NULL) {
        n->had = -1; /* the run is finished here */
        n->staged = 0;
        done(s, w);
    } else if (a->health != NULL && w->place < s->scenario.node_count && n->runs != n->installed) {
        worker_end(s, w, OUTCOME_FAILED, E_TIMEOUT, "not healthy");
    } else {
        done(s, w);
    }
}

static bool is_of_database(const struct action *a)
{
    enum action_kind kind = action_kind(a);
    return kind == ACTION_SQL || (kind >= ACTION_DB_LOCK && kind <= ACTION_DB_OBSERVE);
}

void worker_step(struct sim *s, const struct event_in_queue *e)
{
    struct sim_worker *w = e->worker;
    if (e->number == 0) {
        worker_tell(s, w);
        return;
    }
    if (w->state != WORKER_RUNS || e->number != w->starts) {
        return;
    }
    if (s->places[w->place].copied && place_hangs(s, w->place)) {
        go_on(s, w); /* its whole machine is frozen */
        return;
    }
    if (faults_due(s, FAULT_ACTION_KILLED, w->place)) {
        trace(s, "    the worker of place %u is killed", (unsigned)w->place);
        if (s->places[w->place].node && percent(s, 50)) {
            place_reboot(s, w->place, 5000); /* and all else there */
            return;
        }
        worker_kill(s, w);
        worker_tell(s, w);
        return;
    }
    if (w->at == 0) {
        check_begun(s, w);
        w->begun = true;
        w->at = 1;
        go_on(s, w);
        return;
    }
    if (w->at == AT_LATE) {
        leave_outcome(s, w);
        return;
    }
    if (w->fails) {
        worker_end(s, w, OUTCOME_FAILED, E_IO, "no luck");
        return;
    }
    if (is_of_database(&w->action)) {
        database_step(s, w);
        if (w->state == WORKER_RUNS && w->at != AT_LATE) {
            go_on(s, w);
        }
        return;
    }
    node_step(s, w, &s->nodes[w->place]);
}
