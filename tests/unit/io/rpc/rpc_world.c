/* The server of the transport's tests: /t/Echo echoes, /t/Fail refuses, /t/Hang waits, /t/Hold
 * takes no more window, /t/Early answers before the client is done, /t/Cancel gives the call up. */
#include "tests/unit/io/rpc/rpc_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bytes text_bytes(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static struct world *world_of(struct rpc_call *call)
{
    return rpc_call_server_data(call);
}

static void on_open(struct rpc_call *call)
{
    struct world *w = world_of(call);
    const struct rpc_peer *p = rpc_call_peer(call);
    w->opened++;
    w->last_call = call;
    snprintf(w->last_peer, sizeof(w->last_peer), "%s|%s|%s|%s",
             p->common_name != NULL ? p->common_name : "-", p->role != NULL ? p->role : "-",
             p->server_name != NULL ? p->server_name : "-", p->token != NULL ? p->token : "-");
}

static void on_hold_open(struct rpc_call *call)
{
    on_open(call);
    rpc_call_hold(call, true);
}

static void count(struct rpc_call *call, struct bytes message)
{
    struct world *w = world_of(call);
    w->received_messages++;
    w->received_bytes += message.len;
}

static void echo(struct rpc_call *call, struct bytes message)
{
    count(call, message);
    assert_int_equal(rpc_call_send(call, message), 0);
}

static void fail_it(struct rpc_call *call, struct bytes message)
{
    struct error e = {0};
    count(call, message);
    error_set(&e, E_CONFLICT, "50%% of the nodes moved\n– plan again");
    rpc_call_finish_error(call, &e);
    rpc_call_finish(call, RPC_OK, "a second finish does nothing");
}

static void cancel_it(struct rpc_call *call, struct bytes message)
{
    count(call, message);
    rpc_call_cancel(call);
    rpc_call_cancel(call);
    assert_int_equal(rpc_call_send(call, message), E_UNAVAILABLE);
}

static void stop_it(struct rpc_call *call, struct bytes message)
{
    struct world *w = world_of(call);
    count(call, message);
    assert_int_equal(rpc_call_send(call, message), 0);
    rpc_server_stop(w->server, 0, NULL, NULL);
}

static void on_half_close(struct rpc_call *call)
{
    world_of(call)->half_closed++;
    rpc_call_finish(call, RPC_OK, NULL);
}

static void on_drain(struct rpc_call *call)
{
    world_of(call)->drained++;
}

static void on_close(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct world *w = world_of(call);
    assert_non_null(message);
    w->closed++;
    w->last_status = status;
    w->last_call = w->last_call == call ? NULL : w->last_call;
    rpc_call_finish(call, RPC_OK, NULL); /* too late, and harmless */
    assert_int_equal(rpc_call_send(call, text_bytes("late")), E_UNAVAILABLE);
}

static const struct rpc_method methods[] = {
    {"/t/Echo", {on_open, echo, on_half_close, on_drain, on_close}},
    {"/t/Fail", {on_open, fail_it, NULL, NULL, on_close}},
    {"/t/Hang", {on_open, count, NULL, NULL, on_close}},
    {"/t/Hold", {on_hold_open, count, NULL, NULL, on_close}},
    {"/t/Cancel", {on_open, cancel_it, NULL, NULL, on_close}},
    {"/t/Stop", {on_open, stop_it, NULL, NULL, on_close}},
};

static void on_trouble(const char *address, const struct error *error, void *userdata)
{
    struct world *w = userdata;
    assert_non_null(address);
    snprintf(w->trouble, sizeof(w->trouble), "%s", error->message);
}

int world_setup(void **state)
{
    static const char *const names[] = {"controller.test"};
    static const char *const addresses[] = {"127.0.0.1"};
    struct pki_server_options server = {
        .dns_names = names, .dns_count = 1, .addresses = addresses, .address_count = 1};
    struct pki_subject agent = {.name = "app-1", .role = "agent", .valid_seconds = 3600};
    struct error e = {0};
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    arena_init(&w->arena);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(pki_make_ca(&w->arena, "Lockstep CA", &w->ca, &e), 0);
    assert_int_equal(pki_make_server(&w->arena, &w->ca, &server, &w->server_identity, &e), 0);
    assert_int_equal(pki_make_client(&w->arena, &w->ca, &agent, &w->agent, &e), 0);
    w->options = (struct rpc_server_options){.host = "127.0.0.1",
                                             .chain_pem = w->server_identity.certificate_pem,
                                             .key_pem = w->server_identity.key_pem,
                                             .client_ca_pem = w->ca.certificate_pem,
                                             .on_trouble = on_trouble};
    *state = w;
    return 0;
}

void world_serve(struct world *w)
{
    struct error e = {0};
    int r =
        rpc_server_start(&w->loop, &w->options, methods, ARRAY_SIZE(methods), w, &w->server, &e);
    if (r != 0) {
        fail_msg("%s", e.message);
    }
}

static void on_stopped(void *userdata)
{
    struct world *w = userdata;
    w->stopped = true;
}

int world_teardown(void **state)
{
    struct world *w = *state;
    if (w->server != NULL) {
        rpc_server_stop(w->server, 0, on_stopped, w);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        assert_true(w->stopped);
    }
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->opened, w->closed);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    arena_deinit(&w->arena);
    free(w);
    return 0;
}

struct clock {
    uv_timer_t timer;
    bool late;
    bool closed;
};

static void on_time(uv_timer_t *timer)
{
    struct clock *clock = timer->data;
    clock->late = true;
}

static void on_clock_closed(uv_handle_t *handle)
{
    struct clock *clock = handle->data;
    clock->closed = true;
}

static bool run(struct world *w, const size_t *value, size_t wanted, unsigned int ms)
{
    struct clock clock = {0};
    uv_update_time(&w->loop);
    uv_timer_init(&w->loop, &clock.timer);
    clock.timer.data = &clock;
    uv_timer_start(&clock.timer, on_time, ms, 0);
    while (!clock.late && (value == NULL || *value < wanted)) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&clock.timer, on_clock_closed);
    while (!clock.closed) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    return clock.late;
}

void world_until(struct world *w, const size_t *value, size_t wanted)
{
    if (run(w, value, wanted, 10000)) {
        fail_msg("waited ten seconds for %zu, there are %zu (client: %s)", wanted, *value,
                 w->gone_error.message);
    }
}

void world_run_ms(struct world *w, unsigned int ms)
{
    run(w, NULL, 0, ms);
}

struct rpc_client_options world_options(struct world *w)
{
    return (struct rpc_client_options){.host = "127.0.0.1",
                                       .port = rpc_server_port(w->server),
                                       .ca_pem = w->ca.certificate_pem,
                                       .certificate_pem = w->agent.certificate_pem,
                                       .key_pem = w->agent.key_pem};
}

void world_on_state(struct rpc_client *client, enum rpc_client_state state,
                    const struct error *error, void *userdata)
{
    struct world *w = userdata;
    switch (state) {
    case RPC_CLIENT_CONNECTED:
        assert_true(rpc_client_is_connected(client));
        w->connected++;
        break;
    case RPC_CLIENT_CLOSED:
        assert_false(rpc_client_is_connected(client));
        w->gone++;
        w->gone_error = *error;
        break;
    }
}

struct rpc_client *world_connect(struct world *w, const struct rpc_client_options *options)
{
    struct rpc_client *client = NULL;
    struct error e = {0};
    if (rpc_client_new(&w->loop, options, world_on_state, w, &client, &e) < 0) {
        fail_msg("%s", e.message);
    }
    return client;
}

static void seen_message(struct rpc_call *call, struct bytes message)
{
    struct seen *s = rpc_call_get_data(call);
    s->messages++;
    s->bytes += message.len;
    size_t n = MIN(message.len, sizeof(s->last) - 1);
    memcpy(s->last, message.data, n);
    s->last[n] = '\0';
}

static void seen_drain(struct rpc_call *call)
{
    struct seen *s = rpc_call_get_data(call);
    s->drains++;
}

static void seen_close(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct seen *s = rpc_call_get_data(call);
    s->closes++;
    s->status = status;
    snprintf(s->message, sizeof(s->message), "%s", message);
}

const struct rpc_handlers seen_handlers = {
    .on_message = seen_message, .on_drain = seen_drain, .on_close = seen_close};
