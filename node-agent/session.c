/* Owns the connection to the controller and its repeats. It refuses nothing that the place should
 * decide. */
#include "node-agent/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/log.h"

#define PROGRAM       "lockstep-agent"
#define DIAL_FIRST_MS 200
#define DIAL_MOST_MS  5000
#define DIAL_TAKEN_MS 60000
#define HEARTBEAT_MS  5000
#define REPORT_BYTES  (LIMIT_RECORD_BYTES + 4096)

enum session_state {
    SESSION_WAITING,  /* for the timer */
    SESSION_DIALLING, /* for the connection or its failure */
    SESSION_GREETING, /* hello is sent: for the welcome */
    SESSION_OPEN,     /* for orders */
    SESSION_STOPPED,  /* the end */
};

struct session {
    uv_loop_t *loop;                     /* borrowed */
    const struct agent_options *options; /* borrowed */
    const struct identity *identity;     /* borrowed */
    struct place *place;                 /* borrowed */
    enum session_state state;
    struct rpc_client *client;
    bool closing; /* the client has been given back; CLOSED is still to come */
    struct rpc_call *call;
    uv_timer_t timer; /* WAITING: dial again; OPEN: heartbeat */
    uint64_t dial_ms;
    char last_error[LIMIT_ERROR_BYTES]; /* so that the same trouble is logged once */
};

static void dial(uv_timer_t *timer);

/* A client is given back exactly once. */
static void let_go(struct session *s)
{
    if (s->client != NULL && !s->closing) {
        s->closing = true;
        rpc_client_close(s->client);
    }
}

static void wait_and_dial(struct session *s)
{
    if (s->state == SESSION_STOPPED) {
        return;
    }
    s->state = SESSION_WAITING;
    uint64_t jitter = 0;
    uv_random(NULL, NULL, &jitter, sizeof(jitter), 0, NULL);
    uv_timer_start(&s->timer, dial, s->dial_ms / 2 + jitter % (s->dial_ms / 2 + 1), 0);
    s->dial_ms = MIN(s->dial_ms * 2, (uint64_t)DIAL_MOST_MS);
}

static bool send_report(struct session *s, const struct wire_report *report)
{
    struct arena arena;
    arena_init(&arena);
    struct bytes packed = {0};
    bool sent = s->call != NULL && wire_report_pack(&arena, report, &packed, NULL) == 0 &&
                rpc_call_send(s->call, packed) == 0;
    arena_deinit(&arena);
    return sent;
}

void session_report(struct session *s, const struct wire_report *report)
{
    if (s->state != SESSION_OPEN) {
        return; /* the place says it again when the controller listens */
    }
    bool must_arrive = report->type == WIRE_REPORT_ENDED || report->type == WIRE_REPORT_OBSERVED;
    if (!send_report(s, report) && must_arrive && s->call != NULL) {
        rpc_call_cancel(s->call); /* a new connection starts with what has ended */
    }
}

static void beat(uv_timer_t *timer)
{
    struct session *s = timer->data;
    const struct wire_report report = {.type = WIRE_REPORT_HEARTBEAT,
                                       .under_way = place_under_way(s->place)};
    send_report(s, &report);
    place_look(s->place);
    if (act_now_ms() > s->identity->renew_at_ms) {
        uv_stop(s->loop); /* main() renews before it dials again */
    }
}

static void welcomed(struct session *s, const struct wire_order *welcome)
{
    s->state = SESSION_OPEN;
    s->dial_ms = DIAL_FIRST_MS;
    s->last_error[0] = '\0';
    log_line(PROGRAM, "connected to %s:%u as %s", s->options->host, s->options->port,
             s->identity->node);
    uint64_t every = welcome->heartbeat_ms != 0 ? welcome->heartbeat_ms : HEARTBEAT_MS;
    uv_timer_start(&s->timer, beat, every, every);
    place_connected(s->place, welcome->fence);
}

static void on_order(struct rpc_call *call, struct bytes message)
{
    struct session *s = rpc_call_get_data(call);
    struct arena arena;
    arena_init(&arena);
    struct wire_order order;
    struct error e = {0};
    if (wire_order_unpack(&arena, message, &order, &e) < 0) {
        log_line(PROGRAM, "the controller sent what is no order: %s", e.message);
        rpc_call_cancel(call);
    } else if (order.type == WIRE_ORDER_WELCOME) {
        welcomed(s, &order);
    } else {
        place_order(s->place, &order);
    }
    arena_deinit(&arena);
}

static void log_once(struct session *s, const char *text)
{
    if (strncmp(s->last_error, text, sizeof(s->last_error) - 1) != 0) {
        size_t len = MIN(strlen(text), sizeof(s->last_error) - 1);
        memcpy(s->last_error, text, len);
        s->last_error[len] = '\0';
        log_line(PROGRAM, "%s", text);
    }
}

static void on_call_closed(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct session *s = rpc_call_get_data(call);
    s->call = NULL;
    if (s->state == SESSION_STOPPED) {
        return;
    }
    if (status != RPC_CANCELLED && status != RPC_UNAVAILABLE) {
        log_once(s, message);
    }
    if (status == RPC_ABORTED) {
        s->dial_ms = DIAL_TAKEN_MS; /* another agent has this node's name: do not take turns */
    }
    let_go(s);
}

static const struct rpc_handlers handlers = {.on_message = on_order, .on_close = on_call_closed};

static void greet(struct session *s)
{
    struct utsname machine;
    uname(&machine);
    bool amd64 = str_equal(machine.machine, "x86_64");
    bool arm64 = str_equal(machine.machine, "aarch64");
    const struct wire_report report = {.type = WIRE_REPORT_HELLO,
                                       .hello = {.node = s->identity->node,
                                                 .version = LOCKSTEP_VERSION,
                                                 .fence = place_fence(s->place),
                                                 .boot_id = "",
                                                 .os = "linux",
                                                 .arch = amd64   ? "amd64"
                                                         : arm64 ? "arm64"
                                                                 : machine.machine}};
    s->state = SESSION_GREETING;
    s->call = rpc_client_call(s->client, "/lockstep.v1.Agents/Session", &handlers, s);
    if (!send_report(s, &report)) {
        let_go(s);
    }
}

static void on_state(struct rpc_client *client UNUSED, enum rpc_client_state state,
                     const struct error *error, void *userdata)
{
    struct session *s = userdata;
    switch (state) {
    case RPC_CLIENT_CONNECTED:
        greet(s);
        break;
    case RPC_CLIENT_CLOSED:
        if (error != NULL && error->code != E_CANCELLED) {
            log_once(s, error->message);
        }
        let_go(s);
        s->client = NULL;
        s->closing = false;
        uv_timer_stop(&s->timer);
        wait_and_dial(s);
        break;
    }
}

static void dial(uv_timer_t *timer)
{
    struct session *s = timer->data;
    const struct rpc_client_options options = {.host = s->options->host,
                                               .port = s->options->port,
                                               .server_name = AGENT_SERVER_NAME,
                                               .ca_pem = s->identity->ca_pem,
                                               .certificate_pem = s->identity->certificate_pem,
                                               .key_pem = s->identity->key_pem};
    struct error e = {0};
    s->state = SESSION_DIALLING;
    if (rpc_client_new(s->loop, &options, on_state, s, &s->client, &e) < 0) {
        log_once(s, e.message);
        wait_and_dial(s);
    }
}

struct session *session_new(uv_loop_t *loop, const struct agent_options *options,
                            const struct identity *identity)
{
    struct session *s = calloc(1, sizeof(*s));
    assert(s != NULL);
    s->loop = loop;
    s->options = options;
    s->identity = identity;
    s->dial_ms = DIAL_FIRST_MS;
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    return s;
}

void session_start(struct session *s, struct place *place)
{
    s->place = place;
    uv_timer_start(&s->timer, dial, 0, 0);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void session_stop(struct session *s)
{
    s->state = SESSION_STOPPED;
    let_go(s);
    while (s->client != NULL) {
        uv_run(s->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&s->timer, timer_closed);
}
