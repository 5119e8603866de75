/* Owns the HTTP/2 session: nghttp2's callbacks become calls, headers become who calls what, and
 * ends become statuses. It refuses floods of headers and of frames that want an answer nobody
 * reads. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/str.h"
#include "lib/io/rpc/connection.h"
#include "lib/io/rpc/status.h"

#define NV(n, v, f)                                                                                \
    {                                                                                              \
        .name = (uint8_t *)(uintptr_t)(n), .value = (uint8_t *)(uintptr_t)(v),                     \
        .namelen = strlen(n), .valuelen = strlen(v), .flags = (f)                                  \
    }

static struct rpc_call *call_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

/* ---- headers in ---- */

static int begin_headers_cb(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct rpc_connection *c = user_data;
    c->header_bytes = 0;
    c->headers_ms = connection_now(c);
    connection_arm(c);
    if (!c->engine->server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct rpc_call *call = c->call_count >= c->engine->limits.streams_max ? NULL : call_new(c);
    if (call == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    call->stream = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, call->stream, call);
    return 0;
}

static bool is(const uint8_t *text, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(text, wanted, len) == 0;
}

static bool is_grpc_type(const uint8_t *value, size_t len)
{
    static const char type[] = "application/grpc";
    size_t n = sizeof(type) - 1;
    return len >= n && memcmp(value, type, n) == 0 &&
           (len == n || value[n] == '+' || value[n] == ';');
}

static const struct rpc_method *find_method(const struct rpc_engine *engine, const uint8_t *path,
                                            size_t len)
{
    for (size_t i = 0; i < engine->method_count; i++) {
        if (is(path, len, engine->methods[i].path)) {
            return &engine->methods[i];
        }
    }
    return NULL;
}

static int request_header(struct rpc_call *call, const uint8_t *name, size_t name_len,
                          const uint8_t *value, size_t len)
{
    static const char bearer[] = "Bearer ";
    size_t prefix = sizeof(bearer) - 1;
    if (is(name, name_len, ":method")) {
        call->is_post = is(value, len, "POST");
    } else if (is(name, name_len, ":path")) {
        const struct rpc_method *method = find_method(call->connection->engine, value, len);
        if (method != NULL) {
            call->handlers = &method->handlers;
            call->path = method->path;
        }
    } else if (is(name, name_len, "content-type")) {
        call->is_grpc = is_grpc_type(value, len);
    } else if (is(name, name_len, "authorization") && len > prefix && call->token == NULL &&
               strncasecmp((const char *)value, bearer, prefix) == 0) {
        call->token = strndup((const char *)value + prefix, len - prefix);
        call->peer.token = call->token;
        if (call->token == NULL) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return 0;
}

static unsigned int to_number(const uint8_t *value, size_t len)
{
    unsigned int n = 0;
    for (size_t i = 0; i < len; i++) {
        if (i > 3 || value[i] < '0' || value[i] > '9') {
            return 9999;
        }
        n = n * 10 + (unsigned int)(value[i] - '0');
    }
    return len == 0 ? 9999 : n;
}

static void response_header(struct rpc_call *call, const uint8_t *name, size_t name_len,
                            const uint8_t *value, size_t len)
{
    if (call->deaf) {
        return;
    }
    if (is(name, name_len, ":status")) {
        call->http_status = (int)to_number(value, len);
    } else if (is(name, name_len, "content-type")) {
        call->is_grpc = is_grpc_type(value, len);
    } else if (is(name, name_len, "grpc-status")) {
        call->has_status = true;
        call->status = rpc_status_from_wire(to_number(value, len));
    } else if (is(name, name_len, "grpc-message")) {
        char text[STATUS_MESSAGE_BYTES_MAX + 1];
        status_decode((const char *)value, len, text, sizeof(text));
        call_set_message(call, text);
    }
}

static int header_cb(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user_data)
{
    (void)flags;
    struct rpc_connection *c = user_data;
    size_t max = c->engine->limits.header_bytes_max;
    c->header_bytes +=
        name_len + value_len + 32; /* as RFC 9113 counts SETTINGS_MAX_HEADER_LIST_SIZE */
    if (c->header_bytes > max * HEADER_FLOOD_FACTOR) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct rpc_call *call = call_of(session, frame->hd.stream_id);
    if (call == NULL) {
        return 0;
    }
    if (c->header_bytes > max) {
        call->refused_headers = true;
        return 0;
    }
    if (c->engine->server) {
        return frame->headers.cat == NGHTTP2_HCAT_REQUEST
                   ? request_header(call, name, name_len, value, value_len)
                   : 0;
    }
    response_header(call, name, name_len, value, value_len);
    return 0;
}

/* ---- frames in ---- */

/* Not gRPC at all: an answer that a browser or curl understands. */
static void answer_http(struct rpc_call *call, const char *status)
{
    struct rpc_connection *c = call->connection;
    nghttp2_nv headers[] = {NV(":status", status, NGHTTP2_NV_FLAG_NONE)};
    call->answered = call->ended = call->deaf = true;
    nghttp2_submit_response(c->session, call->stream, headers, ARRAY_SIZE(headers), NULL);
    connection_touch(c);
}

static void request_complete(struct rpc_call *call)
{
    if (call->refused_headers) {
        call_refuse(call, RPC_RESOURCE_EXHAUSTED, "the headers of the call are too large");
    } else if (!call->is_post) {
        answer_http(call, "405");
    } else if (!call->is_grpc) {
        answer_http(call, "415");
    } else if (call->path[0] == '\0') {
        call_refuse(call, RPC_UNIMPLEMENTED,
                    "this server has no such method: is it of the same version?");
    } else {
        call->opened = true;
        if (call->handlers->on_open != NULL) {
            call->handlers->on_open(call);
        }
    }
}

static void response_complete(struct rpc_call *call, bool ended)
{
    if (call->refused_headers) {
        call_refuse(call, RPC_RESOURCE_EXHAUSTED, "the headers of the answer are too large");
    } else if (call->http_status == 200 && !call->is_grpc) {
        call_refuse(call, RPC_UNKNOWN, "the answer is not gRPC: is this the controller's port?");
    }
    if (ended) {
        call->remote_ended = true;
        if (!call->ended || call->queued > 0) { /* the server wants no more: stop sending */
            call->ended = true;
            http2_reset(call, NGHTTP2_NO_ERROR);
        }
    }
}

static void headers_received(struct rpc_connection *c, struct rpc_call *call,
                             const nghttp2_frame *frame)
{
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    c->headers_ms = 0;
    if (call == NULL) {
        return;
    }
    if (!c->engine->server) {
        response_complete(call, ended);
        return;
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        request_complete(call);
    }
    if (ended) {
        call_remote_ended(call);
    }
}

static int frame_recv_cb(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct rpc_connection *c = user_data;
    struct rpc_call *call = frame->hd.stream_id == 0 ? NULL : call_of(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS) {
        headers_received(c, call, frame);
    } else if (frame->hd.type == NGHTTP2_DATA) {
        if (call != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            call_remote_ended(call);
        }
    } else if (frame->hd.type == NGHTTP2_SETTINGS) {
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 && !c->ready) {
            c->ready = true;
            connection_arm(c);
            c->engine->on_ready(c);
        }
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        c->goaway = true;
    }
    return 0;
}

static int data_cb(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct rpc_call *call = call_of(session, stream);
    nghttp2_session_consume_connection(session, len);
    if (call == NULL) {
        nghttp2_session_consume_stream(session, stream, len);
        return 0;
    }
    call_receive(call, data, len);
    if (call->held) {
        call->held_bytes += len;
    } else {
        nghttp2_session_consume_stream(session, stream, len);
    }
    return 0;
}

/* ---- the end of a stream ---- */

static void close_server_call(struct rpc_call *call, uint32_t error_code)
{
    if (call->end_sent) {
        call_close(call, call->status, call->message);
    } else if (call->cancelled) {
        call_close(call, RPC_CANCELLED, "this side gave the call up");
    } else {
        call_close(call, RPC_CANCELLED,
                   error_code == NGHTTP2_PROTOCOL_ERROR ? "the client broke the rules of HTTP/2"
                                                        : "the client gave the call up");
    }
}

static void close_client_call(struct rpc_call *call, uint32_t error_code)
{
    if (call->cancelled) {
        call_close(call, RPC_CANCELLED, "this side gave the call up");
    } else if (call->has_status) {
        call_close(call, call->status, call->message);
    } else if (call->http_status != 0 && call->http_status != 200) {
        call_close(call, status_from_http(call->http_status),
                   "the answer is not gRPC, but an HTTP error");
    } else if (error_code == NGHTTP2_REFUSED_STREAM) {
        call_close(call, RPC_UNAVAILABLE,
                   "the server did not take the call: it stops, or has too many; try again");
    } else {
        call_close(call, status_from_reset(error_code),
                   "the server ended the call without a status");
    }
}

static int stream_close_cb(nghttp2_session *session, int32_t stream, uint32_t error_code,
                           void *user_data)
{
    struct rpc_connection *c = user_data;
    struct rpc_call *call = call_of(session, stream);
    if (call == NULL) {
        return 0;
    }
    nghttp2_session_set_stream_user_data(session, stream, NULL);
    if (c->engine->server) {
        close_server_call(call, error_code);
    } else {
        close_client_call(call, error_code);
    }
    return 0;
}

static int frame_send_cb(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct rpc_connection *c = user_data;
    if (!c->engine->server || frame->hd.type != NGHTTP2_HEADERS ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    struct rpc_call *call = call_of(session, frame->hd.stream_id);
    if (call != NULL) {
        call->end_sent = true;
        if (!call->remote_ended) { /* "stop sending", RFC 9113 section 8.1 */
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                      NGHTTP2_NO_ERROR);
        }
    }
    return 0;
}

/* ---- out ---- */

static ssize_t read_data_cb(nghttp2_session *session, int32_t stream, uint8_t *data, size_t len,
                            uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct rpc_connection *c = user_data;
    struct rpc_call *call = source->ptr;
    size_t n = call_take(call, data, len);
    if (call->queue != NULL) {
        return (ssize_t)n;
    }
    if (!call->ended) {
        return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (c->engine->server) {
        char number[16];
        char text[STATUS_ENCODED_BYTES];
        snprintf(number, sizeof(number), "%d", (int)call->status);
        status_encode(call->message, text);
        nghttp2_nv trailers[] = {NV("grpc-status", number, NGHTTP2_NV_FLAG_NONE),
                                 NV("grpc-message", text, NGHTTP2_NV_FLAG_NO_INDEX)};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, stream, trailers, text[0] == '\0' ? 1 : 2) < 0) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)n;
}

void http2_answer(struct rpc_call *call)
{
    struct rpc_connection *c = call->connection;
    bool alone = call->ended && call->queue == NULL;
    char number[16];
    char text[STATUS_ENCODED_BYTES];
    snprintf(number, sizeof(number), "%d", (int)call->status);
    status_encode(alone ? call->message : NULL, text);
    nghttp2_nv headers[] = {NV(":status", "200", NGHTTP2_NV_FLAG_NONE),
                            NV("content-type", "application/grpc", NGHTTP2_NV_FLAG_NONE),
                            NV("grpc-status", number, NGHTTP2_NV_FLAG_NONE),
                            NV("grpc-message", text, NGHTTP2_NV_FLAG_NO_INDEX)};
    nghttp2_data_provider body = {.source = {.ptr = call}, .read_callback = read_data_cb};
    size_t count = !alone ? 2 : text[0] == '\0' ? 3 : 4;
    call->answered = true;
    if (nghttp2_submit_response(c->session, call->stream, headers, count, alone ? NULL : &body) <
        0) {
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream,
                                  NGHTTP2_INTERNAL_ERROR);
    }
    connection_touch(c);
}

int http2_request(struct rpc_call *call)
{
    struct rpc_connection *c = call->connection;
    nghttp2_nv headers[8] = {NV(":method", "POST", NGHTTP2_NV_FLAG_NONE),
                             NV(":scheme", "https", NGHTTP2_NV_FLAG_NONE),
                             NV(":path", call->path, NGHTTP2_NV_FLAG_NONE),
                             NV(":authority", c->authority, NGHTTP2_NV_FLAG_NONE),
                             NV("content-type", "application/grpc", NGHTTP2_NV_FLAG_NONE),
                             NV("te", "trailers", NGHTTP2_NV_FLAG_NONE),
                             NV("user-agent", "lockstep", NGHTTP2_NV_FLAG_NONE)};
    size_t count = 7;
    if (c->authorization != NULL) {
        headers[count++] =
            (nghttp2_nv)NV("authorization", c->authorization, NGHTTP2_NV_FLAG_NO_INDEX);
    }
    nghttp2_data_provider body = {.source = {.ptr = call}, .read_callback = read_data_cb};
    int32_t stream = nghttp2_submit_request(c->session, NULL, headers, count, &body, call);
    if (stream < 0) {
        return stream;
    }
    call->stream = stream;
    connection_touch(c);
    return 0;
}

void http2_resume(struct rpc_call *call)
{
    /* An error only says that the stream was not waiting for data. */
    nghttp2_session_resume_data(call->connection->session, call->stream);
    connection_touch(call->connection);
}

void http2_reset(struct rpc_call *call, uint32_t error_code)
{
    nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE, call->stream,
                              error_code);
    connection_touch(call->connection);
}

void http2_consume(struct rpc_call *call, size_t len)
{
    nghttp2_session_consume_stream(call->connection->session, call->stream, len);
    connection_touch(call->connection);
}

uint32_t http2_remote_streams_max(const struct rpc_connection *c)
{
    return nghttp2_session_get_remote_settings(c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

/* ---- the session ---- */

static int submit_settings(struct rpc_connection *c)
{
    const struct rpc_limits *l = &c->engine->limits;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)l->header_bytes_max},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->engine->server ? (uint32_t)l->streams_max : 0},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    size_t count = c->engine->server ? 3 : 4; /* a server must not send ENABLE_PUSH */
    int r = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, count);
    if (r == 0) {
        r = nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                  CONNECTION_WINDOW_BYTES);
    }
    return r;
}

int http2_session_new(struct rpc_connection *c)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int r = nghttp2_session_callbacks_new(&callbacks);
    if (r == 0) {
        r = nghttp2_option_new(&option);
    }
    if (r == 0) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers_cb);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, header_cb);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_recv_cb);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data_cb);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_close_cb);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_send_cb);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_mem memory = http2_memory(); /* copied */
        r = c->engine->server
                ? nghttp2_session_server_new3(&c->session, callbacks, c, option, &memory)
                : nghttp2_session_client_new3(&c->session, callbacks, c, option, &memory);
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (r == 0 && (r = submit_settings(c)) < 0) {
        nghttp2_session_del(c->session);
        c->session = NULL;
    }
    return r;
}

int http2_receive(struct rpc_connection *c, const uint8_t *data, size_t len, struct error *e)
{
    ssize_t n = nghttp2_session_mem_recv(c->session, data, len);
    if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
        return error_set(e, E_INVALID, "the client does not speak HTTP/2");
    }
    if (n == NGHTTP2_ERR_CALLBACK_FAILURE) {
        return error_set(e, E_LIMIT, "the peer sends more than %zu bytes of headers at once",
                         c->engine->limits.header_bytes_max * HEADER_FLOOD_FACTOR);
    }
    if (n < 0) {
        return error_set(e, E_INVALID, "HTTP/2 failed: %s", nghttp2_strerror((int)n));
    }
    if (nghttp2_session_get_outbound_queue_size(c->session) > OUTBOUND_FRAMES_MAX) {
        return error_set(e, E_LIMIT, "the peer does not read the answers to what it sends");
    }
    return 0;
}
