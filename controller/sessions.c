/*
 * Owns who is connected. A second stream of the same node takes the place of the first: the older
 * one is half-open, or the node was cloned; both are told apart by the log line.
 */
#include "controller/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "controller/runs.h"
#include "lib/base/str.h"
#include "lib/io/place/place.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/log.h"
#include "lib/plan/plan.h"
#include "lib/wire/message.h"

#define HEARTBEAT_MS   5000
#define OBSERVATION_MS 25000
#define CLEARING_MS    100000 /* after a deadline of its own the place clears up (job.h) */

struct session {
    struct session *next; /* owned by sessions->first */
    char *node;           /* owned */
    char *address;        /* owned */
    struct rpc_call *call;
};

/* The executor is spoken to as an agent is: messages, from the loop, never one inside the other. */
struct local_message {
    struct local_message *next;
    bool to_place;
    size_t len;
    uint8_t data[];
};

struct pending {
    struct pending *next;
    struct controller *controller;
    uint64_t id;
    char *place; /* owned */
    observed_function *answer;
    observing_function *progress;
    int64_t within_ms;
    void *context;
    uv_timer_t late;
};

struct sessions {
    struct session *first;
    struct place *executor;
    struct local_message *local, **local_end;
    uv_timer_t local_timer;
    struct pending *pending;
    uint64_t next_observation;
};

/* ---- observations ---- */

static void free_pending(uv_handle_t *handle)
{
    struct pending *p = handle->data;
    free(p->place);
    free(p);
}

static void take_out(struct pending *p)
{
    struct pending **link = &p->controller->sessions->pending;
    while (*link != p) {
        link = &(*link)->next;
    }
    *link = p->next;
    uv_close((uv_handle_t *)&p->late, free_pending);
}

static void answer(struct pending *p, const struct outcome *outcome)
{
    take_out(p);
    p->answer(p->context, outcome);
}

static void answer_with_words(struct pending *p, const char *message)
{
    const struct outcome outcome = {
        .status = OUTCOME_FAILED, .code = E_UNAVAILABLE, .message = message};
    answer(p, &outcome);
}

static void observation_late(uv_timer_t *timer)
{
    struct pending *p = timer->data;
    struct arena arena;
    arena_init(&arena);
    bool connected = sessions_connected(p->controller, p->place);
    answer_with_words(
        p, connected ? arena_printf(&arena, "%s did not answer within %s", p->place,
                                    str_duration(&arena, p->within_ms))
                     : arena_printf(&arena, "%s is not connected: is its lockstep-agent running?",
                                    p->place));
    arena_deinit(&arena);
}

uint64_t sessions_observe(struct controller *c, const struct observation *what,
                          observed_function *answered, void *context)
{
    int64_t within_ms = what->within_ms > 0 ? what->within_ms + CLEARING_MS : OBSERVATION_MS;
    struct pending *p = calloc(1, sizeof(*p));
    assert(p != NULL);
    *p = (struct pending){.next = c->sessions->pending,
                          .controller = c,
                          .id = ++c->sessions->next_observation,
                          .place = strdup(what->place),
                          .answer = answered,
                          .progress = what->progress,
                          .within_ms = within_ms,
                          .context = context};
    c->sessions->pending = p;
    const struct wire_order order = {
        .type = WIRE_ORDER_OBSERVE,
        .id = p->id,
        .action = {.data = (const uint8_t *)what->action, .len = strlen(what->action)},
        .cluster = what->cluster,
        .state_name = what->state_name,
        .left_ms = what->within_ms};
    bool sent = sessions_send(c, what->place, &order);
    uv_timer_init(&c->loop, &p->late);
    p->late.data = p;
    uv_timer_start(&p->late, observation_late, sent ? (uint64_t)within_ms : 0, 0);
    return p->id;
}

void sessions_unobserve(struct controller *c, uint64_t id)
{
    struct pending *p = c->sessions->pending;
    while (p != NULL && p->id != id) {
        p = p->next;
    }
    if (p != NULL) {
        const struct wire_order order = {.type = WIRE_ORDER_UNOBSERVE, .id = id};
        sessions_send(c, p->place, &order);
        take_out(p);
    }
}

static struct pending *find_pending(struct controller *c, const char *place, uint64_t id)
{
    struct pending *p = c->sessions->pending;
    while (p != NULL && (p->id != id || !str_equal(p->place, place))) {
        p = p->next;
    }
    return p;
}

static void take_observed(struct controller *c, const char *place, const struct wire_report *report)
{
    struct pending *p = find_pending(c, place, report->id);
    if (p != NULL) {
        answer(p, &report->outcome);
    }
}

static void take_progress(struct controller *c, const char *place, const struct wire_report *report)
{
    struct pending *p = report->id != 0 ? find_pending(c, place, report->id) : NULL;
    if (p != NULL && p->progress != NULL) {
        p->progress(p->context, report->done, report->total, report->text);
    } else if (report->id == 0) {
        runs_progress(c, place, report);
    }
}

/* What a place that has gone will not answer any more. The timers answer, from the loop. */
static void give_up_observations(struct controller *c, const char *place)
{
    for (struct pending *p = c->sessions->pending; p != NULL; p = p->next) {
        if (str_equal(p->place, place)) {
            uv_timer_start(&p->late, observation_late, 0, 0);
        }
    }
}

/* ---- what places say ---- */

static void take_report(struct controller *c, const char *place, const struct wire_report *report)
{
    if (c->stopping) {
        return;
    }
    switch (report->type) {
    case WIRE_REPORT_ENDED:
        runs_ended(c, place, report);
        break;
    case WIRE_REPORT_PROGRESS:
        take_progress(c, place, report);
        break;
    case WIRE_REPORT_OBSERVED:
        take_observed(c, place, report);
        break;
    case WIRE_REPORT_SERVING:
        runs_serving(c, place, report);
        break;
    case WIRE_REPORT_BUSY:
        runs_busy(c, report);
        break;
    case WIRE_REPORT_HEARTBEAT:
    case WIRE_REPORT_HELLO:
        break;
    }
}

/* ---- the executor ---- */

static void local_push(struct controller *c, bool to_place, struct bytes data)
{
    struct local_message *m = malloc(sizeof(*m) + data.len);
    assert(m != NULL);
    *m = (struct local_message){.to_place = to_place, .len = data.len};
    memcpy(m->data, data.data, data.len);
    *c->sessions->local_end = m;
    c->sessions->local_end = &m->next;
    uv_timer_start(&c->sessions->local_timer, c->sessions->local_timer.timer_cb, 0, 0);
}

static void local_deliver(struct controller *c, const struct local_message *m)
{
    struct arena arena;
    arena_init(&arena);
    const struct bytes data = {.data = m->data, .len = m->len};
    struct wire_order order;
    struct wire_report report;
    struct error e = {0};
    if (m->to_place) {
        if (wire_order_unpack(&arena, data, &order, &e) == 0) {
            place_order(c->sessions->executor, &order);
        }
    } else if (wire_report_unpack(&arena, data, &report, &e) == 0) {
        take_report(c, PLAN_CONTROLLER, &report);
    }
    if (e.code != 0) {
        log_line(PROGRAM, "the executor: %s", e.message);
    }
    arena_deinit(&arena);
}

static void local_drain(uv_timer_t *timer)
{
    struct controller *c = timer->data;
    struct local_message *m = c->sessions->local;
    c->sessions->local = NULL;
    c->sessions->local_end = &c->sessions->local;
    while (m != NULL) {
        struct local_message *next = m->next;
        local_deliver(c, m);
        free(m);
        m = next;
    }
}

static void executor_reports(void *context, const struct wire_report *report)
{
    struct controller *c = context;
    struct arena arena;
    arena_init(&arena);
    struct bytes packed = {0};
    struct error e = {0};
    if (wire_report_pack(&arena, report, &packed, &e) == 0) {
        local_push(c, false, packed);
    } else {
        log_line(PROGRAM, "the executor: %s", e.message);
    }
    arena_deinit(&arena);
}

static void executor_failed(void *context, const struct error *e)
{
    controller_fail(context, e);
}

int sessions_open(struct controller *c, struct error *e)
{
    struct sessions *s = arena_alloc(&c->arena, sizeof(*s));
    c->sessions = s;
    s->local_end = &s->local;
    /* Never an id of an earlier life: a late answer to that one's question is nobody's. */
    s->next_observation = c->fence << 32;
    uv_timer_init(&c->loop, &s->local_timer);
    s->local_timer.data = c;
    uv_timer_start(&s->local_timer, local_drain, 0, 0);
    const struct place_options options = {
        .state_dir = arena_printf(&c->arena, "%s/executor", c->options->state_dir),
        .program = "/proc/self/exe",
        .worker = {.blobs = c->blobs_dir},
        .crash_before = c->options->place_crash_before,
        .crash_after = c->options->place_crash_after,
        .report = executor_reports,
        .failed = executor_failed,
        .context = c,
    };
    int r = place_open(&c->loop, &options, &s->executor, e);
    if (r == 0) {
        (void)controller_rise_above(c, place_fence(s->executor));
        place_connected(s->executor, c->fence);
    }
    return r;
}

void sessions_close(struct controller *c)
{
    struct sessions *s = c->sessions;
    if (s == NULL) {
        return;
    }
    place_close(s->executor);
    s->executor = NULL;
    uv_close((uv_handle_t *)&s->local_timer, NULL);
    while (s->pending != NULL) {
        answer_with_words(s->pending, "the controller is stopping");
    }
    while (s->local != NULL) {
        struct local_message *next = s->local->next;
        free(s->local);
        s->local = next;
    }
}

/* ---- agents ---- */

static struct session *find(const struct controller *c, const char *node)
{
    for (struct session *s = c->sessions->first; s != NULL; s = s->next) {
        if (str_equal(s->node, node)) {
            return s;
        }
    }
    return NULL;
}

bool sessions_connected(const struct controller *c, const char *place)
{
    return str_equal(place, PLAN_CONTROLLER) || find(c, place) != NULL;
}

bool sessions_send(struct controller *c, const char *place, const struct wire_order *order)
{
    bool local = str_equal(place, PLAN_CONTROLLER);
    struct session *s = local ? NULL : find(c, place);
    struct arena arena;
    arena_init(&arena);
    struct bytes packed = {0};
    struct error e = {0};
    bool sent = (local || s != NULL) && wire_order_pack(&arena, order, &packed, &e) == 0;
    if (e.code != 0) {
        log_line(PROGRAM, "an order for %s: %s", place, e.message);
    } else if (sent && local) {
        local_push(c, true, packed);
    } else if (sent && rpc_call_send(s->call, packed) < 0) {
        sent = false;
        rpc_call_finish(s->call, RPC_RESOURCE_EXHAUSTED,
                        "this agent does not read what it is sent");
    }
    arena_deinit(&arena);
    return sent;
}

void sessions_forget_run(struct controller *c, const char *run)
{
    struct wire_order order = {.type = WIRE_ORDER_FORGET, .fence = c->fence};
    if (wire_run_from(run, order.run, NULL) < 0) {
        return; /* no run of ours has such a name */
    }
    sessions_send(c, PLAN_CONTROLLER, &order);
    for (struct session *s = c->sessions->first; s != NULL; s = s->next) {
        sessions_send(c, s->node, &order);
    }
}

static void welcome(struct controller *c, struct session *s)
{
    const struct wire_order order = {
        .type = WIRE_ORDER_WELCOME, .fence = c->fence, .heartbeat_ms = HEARTBEAT_MS};
    sessions_send(c, s->node, &order);
}

static void remember_seen(struct controller *c, const struct session *s,
                          const struct wire_hello *hello)
{
    const struct stored_node node = {.name = s->node,
                                     .agent_version = hello->version,
                                     .os = hello->os,
                                     .arch = hello->arch,
                                     .address = s->address,
                                     .seen_ms = act_now_ms()};
    struct error e = {0};
    if (store_node_seen(c->store, &node, &e) < 0) {
        controller_fail(c, &e);
    }
}

static void greet(struct controller *c, struct rpc_call *call, const struct wire_hello *hello)
{
    const struct rpc_peer *peer = rpc_call_peer(call);
    if (!str_equal(hello->node, peer->common_name)) {
        rpc_call_finish(call, RPC_PERMISSION_DENIED, "the certificate is another node's");
        return;
    }
    if (hello->fence > c->fence && c->fence_told == c->fence) {
        rpc_call_finish(call, RPC_UNAVAILABLE, "another controller has taken over");
        controller_taken_over(c, hello->node, hello->fence);
        return;
    }
    if (!controller_rise_above(c, hello->fence)) {
        log_line(PROGRAM,
                 "node %s claims to have seen fence %llu, which no controller gave: refused",
                 hello->node, (unsigned long long)hello->fence);
        rpc_call_finish(call, RPC_PERMISSION_DENIED, "no controller gave such a fence");
        return;
    }
    struct session *old = find(c, hello->node);
    if (old != NULL) {
        log_line(
            PROGRAM,
            "node %s connects from %s while it is connected from %s: the older connection ends",
            old->node, peer->address, old->address);
        struct rpc_call *old_call = old->call;
        sessions_call_closed(c, old_call);
        rpc_call_finish(old_call, RPC_ABORTED, "this node has connected anew");
    }
    struct session *s = calloc(1, sizeof(*s));
    assert(s != NULL);
    *s = (struct session){.next = c->sessions->first,
                          .node = strdup(hello->node),
                          .address = strdup(peer->address),
                          .call = call};
    c->sessions->first = s;
    rpc_call_set_data(call, s);
    remember_seen(c, s, hello);
    log_line(PROGRAM, "node %s is connected from %s", s->node, s->address);
    welcome(c, s);
    runs_place_up(c, s->node);
}

void sessions_message(struct controller *c, struct rpc_call *call, struct bytes message)
{
    struct session *s = rpc_call_get_data(call);
    struct arena arena;
    arena_init(&arena);
    struct wire_report report;
    struct error e = {0};
    int r = wire_report_unpack(&arena, message, &report, &e);
    bool hello = r == 0 && report.type == WIRE_REPORT_HELLO;
    if (r < 0 || (s == NULL) != hello) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT,
                        r < 0 ? e.message : "hello comes first, and once");
    } else if (hello) {
        greet(c, call, &report.hello);
    } else {
        take_report(c, s->node, &report);
    }
    arena_deinit(&arena);
}

void sessions_call_closed(struct controller *c, struct rpc_call *call)
{
    struct session *s = rpc_call_get_data(call);
    if (s == NULL) {
        return;
    }
    rpc_call_set_data(call, NULL);
    struct session **link = &c->sessions->first;
    while (*link != s) {
        link = &(*link)->next;
    }
    *link = s->next;
    log_line(PROGRAM, "node %s is gone", s->node);
    struct error e = {0};
    if (store_node_left(c->store, s->node, act_now_ms(), &e) < 0) {
        controller_fail(c, &e);
    }
    give_up_observations(c, s->node);
    runs_place_down(c, s->node);
    free(s->node);
    free(s->address);
    free(s);
}
