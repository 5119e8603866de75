/* Owns the two helpers that run the loop themselves, for command lines. They refuse nothing, and
 * must not be used from inside a callback. */
#include <string.h>

#include "lib/io/rpc/client.h"

struct unary {
    struct arena *arena; /* borrowed */
    struct bytes reply;
    size_t replies;
    bool done;
    bool late;
    bool timer_closed;
    enum rpc_status status;
    char message[LIMIT_ERROR_BYTES];
};

static void on_message(struct rpc_call *call, struct bytes message)
{
    struct unary *u = rpc_call_get_data(call);
    if (u->replies++ == 0) {
        u->reply.len = message.len;
        u->reply.data =
            (const uint8_t *)arena_strndup(u->arena, (const char *)message.data, message.len);
    }
}

static void on_close(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct unary *u = rpc_call_get_data(call);
    u->done = true;
    u->status = status;
    snprintf(u->message, sizeof(u->message), "%s", message);
}

static const struct rpc_handlers unary_handlers = {.on_message = on_message, .on_close = on_close};

struct deadline {
    uv_timer_t timer;
    struct rpc_call *call; /* borrowed; NULL when it is over */
    struct unary *unary;
};

static void on_deadline(uv_timer_t *timer)
{
    struct deadline *d = timer->data;
    if (!d->unary->done) {
        d->unary->late = true;
        rpc_call_cancel(d->call);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct deadline *d = handle->data;
    d->unary->timer_closed = true;
}

static int judge(const struct unary *u, const char *path, unsigned int timeout_ms, struct error *e)
{
    if (u->late && u->status == RPC_CANCELLED) {
        return error_set(e, E_TIMEOUT, "%s: no answer within %u ms", path, timeout_ms);
    }
    if (u->status != RPC_OK) {
        int code = rpc_status_to_error(u->status);
        if (u->message[0] == '\0') {
            return error_set(e, code, "%s: %s", path, rpc_status_name(u->status));
        }
        return error_set(e, code, "%s", u->message);
    }
    if (u->replies != 1) {
        return error_set(e, E_INVALID, "%s: %zu answers where one was due", path, u->replies);
    }
    return 0;
}

int rpc_client_unary(struct rpc_client *client, const char *path, struct bytes request,
                     unsigned int timeout_ms, struct arena *arena, struct bytes *ret_reply,
                     struct error *e)
{
    uv_loop_t *loop = client_loop(client);
    struct unary u = {.arena = arena};
    struct rpc_call *call = rpc_client_call(client, path, &unary_handlers, &u);
    if (call == NULL) {
        const struct error *why = client_error(client);
        return error_set(e, why->code < 0 ? why->code : E_UNAVAILABLE, "%s",
                         why->code < 0 ? why->message
                                       : "no call can be made on this connection now");
    }
    struct deadline d = {.call = call, .unary = &u};
    uv_update_time(loop);
    uv_timer_init(loop, &d.timer);
    d.timer.data = &d;
    uv_timer_start(&d.timer, on_deadline, timeout_ms, 0);
    int sent = rpc_call_send(call, request);
    if (sent < 0) {
        rpc_call_cancel(call);
    } else {
        rpc_call_half_close(call);
    }
    while (!u.done) {
        uv_run(loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&d.timer, on_timer_closed);
    while (!u.timer_closed) {
        uv_run(loop, UV_RUN_NOWAIT);
    }
    if (sent < 0) {
        return error_set(e, sent, "%s: the request is too large", path);
    }
    int r = judge(&u, path, timeout_ms, e);
    if (r == 0) {
        *ret_reply = u.reply;
    }
    return r;
}

void rpc_client_close_wait(struct rpc_client *client)
{
    if (client == NULL) {
        return;
    }
    bool freed = false;
    uv_loop_t *loop = client_loop(client);
    client_tell_freed(client, &freed);
    rpc_client_close(client);
    while (!freed) {
        uv_run(loop, UV_RUN_ONCE);
    }
}
