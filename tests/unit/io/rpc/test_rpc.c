/* Calls between our client and our server in one loop: messages, statuses, ends, queues and
 * windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/io/rpc/rpc_world.h"

static struct rpc_call *open_call(struct rpc_client *client, const char *path, struct seen *s)
{
    struct rpc_call *call = rpc_client_call(client, path, &seen_handlers, s);
    assert_non_null(call);
    return call;
}

static void echoes_a_message_and_says_who_called(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.server_name = "controller.test";
    o.token = "secret-token";
    struct rpc_client *client = world_connect(w, &o);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Echo", &s); /* before it is connected */
    assert_int_equal(rpc_call_send(call, text_bytes("hello")), 0);
    rpc_call_half_close(call);
    assert_int_equal(rpc_call_send(call, text_bytes("more")), E_UNAVAILABLE);
    world_until(w, &s.closes, 1);
    assert_int_equal(s.status, RPC_OK);
    assert_int_equal(s.messages, 1);
    assert_string_equal(s.last, "hello");
    assert_string_equal(w->last_peer, "app-1|agent|controller.test|secret-token");
    assert_int_equal(w->connected, 1);
    rpc_client_close_wait(client);
    assert_int_equal(w->gone, 1);
    assert_int_equal(w->gone_error.code, E_CANCELLED);
}

static void keeps_a_stream_open_in_both_directions(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Echo", &s);
    for (size_t i = 1; i <= 100; i++) {
        assert_int_equal(rpc_call_send(call, text_bytes("ping")), 0);
        world_until(w, &s.messages, i);
    }
    assert_int_equal(rpc_call_send(call, (struct bytes){0}), 0); /* an empty message is one */
    world_until(w, &s.messages, 101);
    assert_int_equal(s.closes, 0);
    rpc_call_half_close(call);
    world_until(w, &s.closes, 1);
    assert_int_equal(s.bytes, 400);
    assert_int_equal(s.status, RPC_OK);
    rpc_client_close_wait(client);
}

static void carries_a_message_at_the_limit_and_refuses_one_past_it(void **state)
{
    struct world *w = *state;
    w->options.limits.message_bytes_max = 1000000;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    uint8_t *data = calloc(1, LIMIT_FRAME_BYTES + 1);
    assert_non_null(data);
    struct seen fits = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Echo", &fits);
    assert_int_equal(rpc_call_send(call, (struct bytes){data, 1000000}), 0);
    rpc_call_half_close(call);
    world_until(w, &fits.closes, 1);
    assert_int_equal(fits.status, RPC_OK);
    assert_int_equal(fits.bytes, 1000000);
    struct seen large = {.world = w};
    call = open_call(client, "/t/Echo", &large);
    assert_int_equal(rpc_call_send(call, (struct bytes){data, 1000001}), 0);
    world_until(w, &large.closes, 1);
    assert_int_equal(large.status, RPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(large.message, "1000001"));
    struct seen never = {.world = w};
    call = open_call(client, "/t/Echo", &never);
    assert_int_equal(rpc_call_send(call, (struct bytes){data, LIMIT_FRAME_BYTES + 1}), E_INVALID);
    free(data);
    rpc_client_close_wait(client);
    assert_int_equal(never.closes, 1);
    assert_int_equal(never.status, RPC_CANCELLED);
}

static void carries_the_status_and_the_text_of_an_error(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    struct bytes reply = {0};
    struct error e = {0};
    int r = rpc_client_unary(client, "/t/Fail", text_bytes("x"), 5000, &w->arena, &reply, &e);
    assert_int_equal(r, E_CONFLICT);
    assert_string_equal(e.message, "50% of the nodes moved\n– plan again");
    r = rpc_client_unary(client, "/t/None", text_bytes("x"), 5000, &w->arena, &reply, &e);
    assert_int_equal(r, E_INVALID);
    assert_non_null(strstr(e.message, "no such method"));
    r = rpc_client_unary(client, "/t/Hang", text_bytes("x"), 100, &w->arena, &reply, &e);
    assert_int_equal(r, E_TIMEOUT);
    assert_null(reply.data);
    r = rpc_client_unary(client, "/t/Echo", text_bytes("still here"), 5000, &w->arena, &reply, &e);
    assert_int_equal(r, 0);
    assert_int_equal(reply.len, 10);
    assert_memory_equal(reply.data, "still here", 10);
    rpc_client_close_wait(client);
}

static void tells_the_server_when_the_client_cancels(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Hang", &s);
    world_until(w, &w->opened, 1);
    rpc_call_cancel(call);
    assert_int_equal(s.closes, 0); /* never from inside */
    world_until(w, &s.closes, 1);
    world_until(w, &w->closed, 1);
    assert_int_equal(s.status, RPC_CANCELLED);
    assert_int_equal(w->last_status, RPC_CANCELLED);
    rpc_client_close_wait(client);
}

static void closes_a_call_that_is_cancelled_before_it_left(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    struct seen s = {.world = w};
    rpc_call_cancel(open_call(client, "/t/Hang", &s));
    world_until(w, &s.closes, 1);
    assert_int_equal(s.status, RPC_CANCELLED);
    rpc_client_close_wait(client);
    assert_int_equal(w->opened, 0);
}

static void lets_the_server_cancel_from_inside_a_callback(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Cancel", &s);
    assert_int_equal(rpc_call_send(call, text_bytes("a")), 0);
    assert_int_equal(rpc_call_send(call, text_bytes("b")), 0);
    world_until(w, &s.closes, 1);
    assert_int_equal(s.status, RPC_CANCELLED);
    assert_int_equal(w->received_messages, 1); /* none after it was given up */
    rpc_client_close_wait(client);
}

static void lets_a_handler_stop_the_server(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Stop", &s);
    assert_int_equal(rpc_call_send(call, text_bytes("stop")), 0);
    world_until(w, &w->gone, 1);
    assert_int_equal(s.messages, 1); /* what was queued is still written */
    assert_int_equal(s.status, RPC_UNAVAILABLE);
    assert_int_equal(w->gone_error.code, E_UNAVAILABLE);
    rpc_client_close(client);
    w->server = NULL; /* freed by itself, the loop's end proves it */
}

static void bounds_the_queue_and_says_when_it_drains(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    o.limits.queue_bytes_max = 1024 * 1024;
    struct rpc_client *client = world_connect(w, &o);
    uint8_t *data = calloc(1, 600000);
    assert_non_null(data);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Hang", &s);
    assert_int_equal(rpc_call_send(call, (struct bytes){data, 600000}), 0);
    assert_int_equal(rpc_call_queued_bytes(call), 600005);
    assert_int_equal(rpc_call_send(call, (struct bytes){data, 600000}), E_LIMIT);
    world_until(w, &s.drains, 1);
    assert_in_range(rpc_call_queued_bytes(call), 0, LIMIT_CHUNK_BYTES);
    assert_int_equal(rpc_call_send(call, (struct bytes){data, 600000}), 0);
    world_until(w, &w->received_bytes, 1200000);
    free(data);
    rpc_client_close_wait(client);
}

static void stops_the_peer_while_a_call_is_held(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    uint8_t *data = calloc(1, 100000);
    assert_non_null(data);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Hold", &s);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(rpc_call_send(call, (struct bytes){data, 100000}), 0);
    }
    world_run_ms(w, 300);
    assert_in_range(w->received_bytes, 900000, 1024 * 1024);
    struct bytes reply = {0};
    struct error e = {0}; /* other calls go on meanwhile */
    assert_int_equal(
        rpc_client_unary(client, "/t/Echo", text_bytes("x"), 5000, &w->arena, &reply, &e), 0);
    free(data);
    rpc_client_close_wait(client);
    assert_int_equal(s.closes, 1);
}

static void releases_what_was_held(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    uint8_t *data = calloc(1, 100000);
    assert_non_null(data);
    struct seen s = {.world = w};
    struct rpc_call *call = open_call(client, "/t/Hold", &s);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(rpc_call_send(call, (struct bytes){data, 100000}), 0);
    }
    world_run_ms(w, 200);
    assert_true(w->received_bytes < 3000000);
    rpc_call_hold(w->last_call, false);
    world_until(w, &w->received_messages, 30);
    free(data);
    rpc_client_close_wait(client);
}

static void bounds_the_calls_of_a_connection(void **state)
{
    struct world *w = *state;
    w->options.limits.streams_max = 3;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    world_until(w, &w->connected, 1);
    struct seen s[3] = {{.world = w}, {.world = w}, {.world = w}};
    for (size_t i = 0; i < 3; i++) {
        open_call(client, "/t/Hang", &s[i]);
    }
    assert_null(rpc_client_call(client, "/t/Hang", &seen_handlers, &s[0]));
    world_until(w, &w->opened, 3);
    rpc_client_close_wait(client);
}

static void ends_every_call_when_the_connection_goes(void **state)
{
    struct world *w = *state;
    world_serve(w);
    struct rpc_client_options o = world_options(w);
    struct rpc_client *client = world_connect(w, &o);
    struct seen s[20] = {0};
    for (size_t i = 0; i < 20; i++) {
        open_call(client, "/t/Hang", &s[i]);
    }
    world_until(w, &w->opened, 20);
    rpc_client_close_wait(client);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(s[i].closes, 1);
        assert_int_equal(s[i].status, RPC_CANCELLED);
    }
    world_until(w, &w->closed, 20);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(echoes_a_message_and_says_who_called),
        CASE(keeps_a_stream_open_in_both_directions),
        CASE(carries_a_message_at_the_limit_and_refuses_one_past_it),
        CASE(carries_the_status_and_the_text_of_an_error),
        CASE(tells_the_server_when_the_client_cancels),
        CASE(closes_a_call_that_is_cancelled_before_it_left),
        CASE(lets_the_server_cancel_from_inside_a_callback),
        CASE(lets_a_handler_stop_the_server),
        CASE(bounds_the_queue_and_says_when_it_drains),
        CASE(stops_the_peer_while_a_call_is_held),
        CASE(releases_what_was_held),
        CASE(bounds_the_calls_of_a_connection),
        CASE(ends_every_call_when_the_connection_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
