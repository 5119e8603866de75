/* Owns calls: their queue of messages, gRPC's five-byte framing in both directions, and the bounds
 * on what a call may hold. It refuses compressed and too large messages. */
#include <stdlib.h>
#include <string.h>

#include "lib/io/rpc/connection.h"
#include "lib/io/rpc/status.h"

#define PARTIAL_FIRST_BYTES 16384

static const struct rpc_handlers no_handlers = {0};

struct rpc_call *call_new(struct rpc_connection *c)
{
    struct rpc_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    call->connection = c;
    call->handlers = &no_handlers;
    call->path = "";
    call->peer = (struct rpc_peer){.common_name = c->peer.common_name,
                                   .role = c->peer.role,
                                   .serial = c->peer.serial,
                                   .server_name = c->peer.server_name,
                                   .address = c->address};
    call->next = c->calls;
    if (call->next != NULL) {
        call->next->previous = call;
    }
    c->calls = call;
    c->call_count++;
    return call;
}

static void drop_queue(struct rpc_call *call)
{
    while (call->queue != NULL) {
        struct chunk *chunk = call->queue;
        call->queue = chunk->next;
        free(chunk);
    }
    call->queue_last = NULL;
    call->connection->bytes -= call->queued;
    call->queued = 0;
}

static void drop_partial(struct rpc_call *call)
{
    free(call->partial);
    call->partial = NULL;
    call->connection->bytes -= call->partial_capacity;
    call->connection->engine->assembling_bytes -= call->partial_capacity;
    call->partial_len = call->partial_capacity = 0;
}

void call_close(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct rpc_connection *c = call->connection;
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        c->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
    c->call_count--;
    if (c->call_count == 0) {
        c->idle_ms = connection_now(c);
        connection_arm(c);
        connection_touch(c); /* a drain may have waited for this one */
    }
    call->ended = call->deaf = call->cancelled = true; /* on_close may still ask things of it */
    drop_queue(call);
    drop_partial(call);
    if (call->opened && call->handlers->on_close != NULL) {
        call->handlers->on_close(call, status, message != NULL ? message : "");
    }
    free(call->message);
    free(call->token);
    free(call->owned_path);
    free(call);
}

void call_set_message(struct rpc_call *call, const char *message)
{
    free(call->message);
    call->message = NULL;
    if (message != NULL) {
        /* Longer than is sent by one character's bytes, so that the encoder finds where to cut. */
        size_t len = MIN(strlen(message), (size_t)STATUS_MESSAGE_BYTES_MAX + 4);
        call->message = calloc(1, len + 1);
        if (call->message != NULL) {
            memcpy(call->message, message, len);
        }
    }
}

void call_refuse(struct rpc_call *call, enum rpc_status status, const char *message)
{
    if (call->connection->engine->server) {
        rpc_call_finish(call, status, message);
        call->deaf = true;
    } else if (!call->has_status) {
        call->has_status = true;
        call->status = status;
        call_set_message(call, message);
        call->ended = call->deaf = true;
        drop_queue(call);
        http2_reset(call, NGHTTP2_CANCEL);
    }
    drop_partial(call);
}

/* ---- in ---- */

/* Room for what came, never for what was only announced. */
static bool reserve_partial(struct rpc_call *call, size_t more)
{
    struct rpc_connection *c = call->connection;
    size_t need = call->partial_len + more;
    if (need <= call->partial_capacity) {
        return true;
    }
    size_t capacity = MAX(MAX(call->partial_capacity * 2, need), (size_t)PARTIAL_FIRST_BYTES);
    capacity = MIN(capacity, call->message_len);
    size_t added = capacity - call->partial_capacity;
    if (c->bytes + added > c->engine->limits.connection_bytes_max ||
        (c->engine->server &&
         c->engine->assembling_bytes + added > c->engine->limits.server_bytes_max)) {
        return false;
    }
    uint8_t *partial = realloc(call->partial, capacity);
    if (partial == NULL) {
        return false;
    }
    call->partial = partial;
    call->partial_capacity = capacity;
    c->bytes += added;
    c->engine->assembling_bytes += added;
    return true;
}

static void deliver(struct rpc_call *call, const uint8_t *data, size_t len)
{
    call->frame_header_len = 0;
    if (call->handlers->on_message != NULL) {
        call->handlers->on_message(call, (struct bytes){.data = data, .len = len});
    }
}

/* True when the five bytes are complete and acceptable. */
static bool take_frame_header(struct rpc_call *call, const uint8_t **data, size_t *len)
{
    size_t n = MIN(*len, FRAME_HEADER_BYTES - call->frame_header_len);
    memcpy(call->frame_header + call->frame_header_len, *data, n);
    call->frame_header_len += n;
    *data += n;
    *len -= n;
    if (call->frame_header_len < FRAME_HEADER_BYTES) {
        return false;
    }
    const uint8_t *h = call->frame_header;
    call->message_len =
        (size_t)h[1] << 24U | (size_t)h[2] << 16U | (size_t)h[3] << 8U | (size_t)h[4];
    if (h[0] != 0) {
        call_refuse(call, h[0] == 1 ? RPC_UNIMPLEMENTED : RPC_INTERNAL,
                    h[0] == 1 ? "compressed messages are not supported: send without compression"
                              : "a message does not begin as gRPC messages do");
        return false;
    }
    if (call->message_len > call->connection->engine->limits.message_bytes_max) {
        char text[128];
        snprintf(text, sizeof(text),
                 "a message of %zu bytes is larger than the %zu that are accepted",
                 call->message_len, call->connection->engine->limits.message_bytes_max);
        call_refuse(call, RPC_RESOURCE_EXHAUSTED, text);
        return false;
    }
    return true;
}

void call_receive(struct rpc_call *call, const uint8_t *data, size_t len)
{
    while (!call->deaf) {
        bool complete = call->frame_header_len == FRAME_HEADER_BYTES;
        if (!complete && (len == 0 || !take_frame_header(call, &data, &len))) {
            return;
        }
        if (call->partial_len == 0 && len >= call->message_len) {
            const uint8_t *message = data;
            data += call->message_len;
            len -= call->message_len;
            deliver(call, message, call->message_len);
            continue;
        }
        if (len == 0) {
            return;
        }
        size_t n = MIN(len, call->message_len - call->partial_len);
        if (!reserve_partial(call, n)) {
            call_refuse(call, RPC_RESOURCE_EXHAUSTED,
                        "too much is half-received at once: send less in parallel");
            return;
        }
        memcpy(call->partial + call->partial_len, data, n);
        call->partial_len += n;
        data += n;
        len -= n;
        if (call->partial_len == call->message_len) {
            deliver(call, call->partial, call->message_len);
            drop_partial(call);
        }
    }
}

void call_remote_ended(struct rpc_call *call)
{
    call->remote_ended = true;
    if (call->deaf) {
        return;
    }
    if (call->frame_header_len != 0) {
        call_refuse(call, RPC_INTERNAL, "the call ended inside a message");
    } else if (call->connection->engine->server && call->handlers->on_half_close != NULL) {
        call->handlers->on_half_close(call);
    }
}

/* ---- out ---- */

size_t call_take(struct rpc_call *call, uint8_t *data, size_t len)
{
    size_t taken = 0;
    while (taken < len && call->queue != NULL) {
        struct chunk *chunk = call->queue;
        size_t n = MIN(len - taken, chunk->len - chunk->sent);
        memcpy(data + taken, chunk->data + chunk->sent, n);
        chunk->sent += n;
        taken += n;
        if (chunk->sent == chunk->len) {
            call->queue = chunk->next;
            if (call->queue == NULL) {
                call->queue_last = NULL;
            }
            free(chunk);
        }
    }
    call->queued -= taken;
    call->connection->bytes -= taken;
    call->drained = call->drained || taken > 0;
    return taken;
}

int rpc_call_send(struct rpc_call *call, struct bytes message)
{
    struct rpc_connection *c = call->connection;
    const struct rpc_limits *l = &c->engine->limits;
    if (call->ended || !connection_is_live(c)) {
        return E_UNAVAILABLE;
    }
    if (message.len > l->message_bytes_max) {
        return E_INVALID;
    }
    size_t len = message.len + FRAME_HEADER_BYTES;
    if ((call->queued > 0 && call->queued + len > l->queue_bytes_max) ||
        (c->bytes > 0 && c->bytes + len > l->connection_bytes_max)) {
        return E_LIMIT;
    }
    struct chunk *chunk = malloc(sizeof(*chunk) + len);
    if (chunk == NULL) {
        return E_LIMIT;
    }
    *chunk = (struct chunk){.len = len};
    uint8_t *p = chunk->data;
    p[0] = 0;
    for (unsigned int i = 0; i < 4; i++) {
        p[1 + i] = (uint8_t)(message.len >> (24U - 8U * i));
    }
    if (message.len > 0) {
        memcpy(p + FRAME_HEADER_BYTES, message.data, message.len);
    }
    if (call->queue_last != NULL) {
        call->queue_last->next = chunk;
    } else {
        call->queue = chunk;
    }
    call->queue_last = chunk;
    call->queued += len;
    c->bytes += len;
    if (c->engine->server && !call->answered) {
        http2_answer(call);
    } else {
        http2_resume(call);
    }
    return 0;
}

size_t rpc_call_queued_bytes(const struct rpc_call *call)
{
    return call->queued;
}

void rpc_call_finish(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct rpc_connection *c = call->connection;
    if (call->ended || !c->engine->server) {
        return;
    }
    call->ended = call->deaf = true;
    call->status = status;
    call_set_message(call, message);
    if (!connection_is_live(c)) {
        return;
    }
    if (!call->answered) {
        http2_answer(call);
    } else {
        http2_resume(call);
    }
}

void rpc_call_finish_error(struct rpc_call *call, const struct error *error)
{
    rpc_call_finish(call, rpc_status_from_error(error->code), error->message);
}

void rpc_call_half_close(struct rpc_call *call)
{
    if (call->ended || call->connection->engine->server) {
        return;
    }
    call->ended = true;
    if (connection_is_live(call->connection)) {
        http2_resume(call);
    }
}

void rpc_call_cancel(struct rpc_call *call)
{
    if (call->cancelled) {
        return;
    }
    call->cancelled = call->ended = call->deaf = true;
    drop_queue(call);
    if (connection_is_live(call->connection)) {
        http2_reset(call, NGHTTP2_CANCEL);
    }
}

void rpc_call_hold(struct rpc_call *call, bool hold)
{
    call->held = hold;
    if (!hold && call->held_bytes > 0) {
        size_t len = call->held_bytes;
        call->held_bytes = 0;
        if (connection_is_live(call->connection)) {
            http2_consume(call, len);
        }
    }
}

void rpc_call_set_data(struct rpc_call *call, void *data)
{
    call->data = data;
}

void *rpc_call_get_data(const struct rpc_call *call)
{
    return call->data;
}

void *rpc_call_server_data(const struct rpc_call *call)
{
    return call->connection->engine->userdata;
}

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
    return &call->peer;
}
