/* Owns the life of a connection: socket, TLS, deadlines, backpressure, orderly and disorderly
 * ends. It refuses peers that are silent, slow in the handshake, or that do not read what they
 * asked for. */
#include "lib/io/rpc/connection.h"

#include <stdlib.h>
#include <string.h>

static void serve(struct rpc_connection *c);

static void default_size(size_t *field, size_t value)
{
    if (*field == 0) {
        *field = value;
    }
}

static void default_ms(unsigned int *field, unsigned int value)
{
    if (*field == 0) {
        *field = value;
    }
}

static struct rpc_limits with_defaults(const struct rpc_limits *given)
{
    struct rpc_limits l = *given;
    default_size(&l.connections_max, 24576);
    default_size(&l.streams_max, 100);
    default_size(&l.header_bytes_max, 8192);
    default_size(&l.message_bytes_max, LIMIT_FRAME_BYTES);
    default_size(&l.queue_bytes_max, (size_t)8 * 1024 * 1024);
    default_size(&l.connection_bytes_max, (size_t)96 * 1024 * 1024);
    default_size(&l.server_bytes_max, (size_t)512 * 1024 * 1024);
    default_ms(&l.handshake_ms, 20000);
    default_ms(&l.keepalive_ms, 60000);
    default_ms(&l.idle_ms, 300000);
    l.message_bytes_max = MIN(l.message_bytes_max, (size_t)LIMIT_FRAME_BYTES);
    return l;
}

/* ---- engine ---- */

static void dirty_remove(struct rpc_connection *c)
{
    struct rpc_engine *engine = c->engine;
    if (!c->dirty) {
        return;
    }
    if (c->dirty_previous != NULL) {
        c->dirty_previous->dirty_next = c->dirty_next;
    } else {
        engine->dirty = c->dirty_next;
    }
    if (c->dirty_next != NULL) {
        c->dirty_next->dirty_previous = c->dirty_previous;
    } else {
        engine->dirty_last = c->dirty_previous;
    }
    c->dirty_next = c->dirty_previous = NULL;
    c->dirty = false;
    engine->dirty_count--;
}

static void idle_cb(uv_idle_t *idle)
{
    struct rpc_engine *engine = idle->data;
    uv_idle_stop(idle);
    /* What becomes dirty meanwhile waits for the next turn: two busy ones would starve the loop. */
    for (size_t n = engine->dirty_count; n > 0 && engine->dirty != NULL; n--) {
        struct rpc_connection *c = engine->dirty;
        dirty_remove(c);
        serve(c);
    }
    if (engine->dirty != NULL) {
        engine_wake(engine);
    }
    engine->on_idle(engine);
}

void engine_init(struct rpc_engine *engine, uv_loop_t *loop, bool server,
                 const struct rpc_limits *limits)
{
    engine->loop = loop;
    engine->server = server;
    engine->limits = with_defaults(limits);
    uv_idle_init(loop, &engine->idle);
    engine->idle.data = engine;
}

void engine_deinit(struct rpc_engine *engine)
{
    assert(engine->connections == NULL);
    free(engine->out.data);
}

void engine_wake(struct rpc_engine *engine)
{
    if (!uv_is_closing((uv_handle_t *)&engine->idle)) {
        uv_idle_start(&engine->idle, idle_cb);
    }
}

/* ---- making and freeing ---- */

struct rpc_connection *connection_new(struct rpc_engine *engine)
{
    struct rpc_connection *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->engine = engine;
    c->state = CONNECTION_CONNECTING;
    c->started_ms = c->received_ms = c->idle_ms = uv_now(engine->loop);
    if (http2_session_new(c) < 0) {
        free(c);
        return NULL;
    }
    uv_timer_init(engine->loop, &c->timer);
    c->timer.data = c;
    c->handles = 1;
    c->next = engine->connections;
    if (c->next != NULL) {
        c->next->previous = c;
    }
    engine->connections = c;
    engine->connection_count++;
    return c;
}

static void connection_free(struct rpc_connection *c)
{
    struct rpc_engine *engine = c->engine;
    assert(c->calls == NULL && c->handles == 0 && c->writes == 0);
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        engine->connections = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    engine->connection_count--;
    nghttp2_session_del(c->session);
    tls_deinit(&c->tls);
    tls_peer_deinit(&c->peer);
    free(c);
    engine->on_gone(engine);
}

int connection_open_socket(struct rpc_connection *c)
{
    int r = uv_tcp_init(c->engine->loop, &c->tcp);
    if (r == 0) {
        c->tcp.data = c;
        c->tcp_open = true;
        c->handles++;
    }
    return r;
}

uint64_t connection_now(const struct rpc_connection *c)
{
    return uv_now(c->engine->loop);
}

bool connection_is_live(const struct rpc_connection *c)
{
    return c->session != NULL;
}

void connection_touch(struct rpc_connection *c)
{
    struct rpc_engine *engine = c->engine;
    if (c->dirty || c->state == CONNECTION_CLOSED) {
        return;
    }
    c->dirty = true;
    c->dirty_previous = engine->dirty_last;
    if (engine->dirty_last != NULL) {
        engine->dirty_last->dirty_next = c;
    } else {
        engine->dirty = c;
    }
    engine->dirty_last = c;
    engine->dirty_count++;
    engine_wake(engine);
}

void connection_handle_closed(uv_handle_t *handle)
{
    struct rpc_connection *c = handle->data;
    assert(c->handles > 0);
    if (--c->handles == 0) {
        connection_free(c);
    }
}

static void close_now(struct rpc_connection *c)
{
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    c->state = CONNECTION_CLOSED;
    dirty_remove(c);
    if (c->tcp_open && !uv_is_closing((uv_handle_t *)&c->tcp)) {
        uv_close((uv_handle_t *)&c->tcp, connection_handle_closed);
    }
    if (!uv_is_closing((uv_handle_t *)&c->timer)) {
        uv_close((uv_handle_t *)&c->timer, connection_handle_closed);
    }
}

/* ---- writing ---- */

struct write {
    uv_write_t request;
    struct rpc_connection *connection;
    uint8_t data[];
};

static void write_cb(uv_write_t *request, int status)
{
    struct write *w = CONTAINER_OF(request, struct write, request);
    struct rpc_connection *c = w->connection;
    free(w);
    c->writes--;
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    if (status < 0) {
        struct error e = {0};
        error_set(&e, E_UNAVAILABLE, "the connection broke: %s", uv_strerror(status));
        connection_fail(c, &e);
        return;
    }
    serve(c);
}

/* Sends the ciphertext of the engine's buffer; what the socket does not take at once is copied and
 * waits. */
static int write_out(struct rpc_connection *c)
{
    struct tls_out *out = &c->engine->out;
    size_t len = out->len;
    size_t sent = 0;
    int r = out->failed ? -1 : 0;
    out->len = 0;
    out->failed = false;
    if (r < 0 || len == 0 || c->state == CONNECTION_CLOSED) {
        return r;
    }
    if (c->writes == 0) {
        uv_buf_t buffer = uv_buf_init((char *)out->data, (unsigned int)len);
        int n = uv_try_write((uv_stream_t *)&c->tcp, &buffer, 1);
        if (n < 0 && n != UV_EAGAIN) {
            return -1;
        }
        sent = n > 0 ? (size_t)n : 0;
    }
    if (sent == len) {
        return 0;
    }
    struct write *w = malloc(sizeof(*w) + (len - sent));
    if (w == NULL) {
        return -1;
    }
    w->connection = c;
    memcpy(w->data, out->data + sent, len - sent);
    uv_buf_t buffer = uv_buf_init((char *)w->data, (unsigned int)(len - sent));
    if (uv_write(&w->request, (uv_stream_t *)&c->tcp, &buffer, 1, write_cb) < 0) {
        free(w);
        return -1;
    }
    c->writes++;
    return 0;
}

/* Frames of the session through TLS into the engine's buffer, about WRITE_BYTES of them. 1: there
 * may be more. */
static int encrypt_frames(struct rpc_connection *c, struct error *e)
{
    uint8_t *stage = c->engine->stage;
    size_t staged = 0;
    size_t total = 0;
    for (;;) {
        const uint8_t *frame = NULL;
        ssize_t n = total >= WRITE_BYTES ? 0 : nghttp2_session_mem_send(c->session, &frame);
        if (n < 0) {
            return error_set(e, E_INVALID, "HTTP/2 failed: %s", nghttp2_strerror((int)n));
        }
        if (staged > 0 && (n == 0 || staged + (size_t)n > WRITE_BYTES)) {
            if (tls_write(&c->tls, stage, staged, e) < 0) {
                return e->code;
            }
            staged = 0;
        }
        if (n == 0) {
            return total >= WRITE_BYTES ? 1 : 0;
        }
        assert((size_t)n <= WRITE_BYTES);
        memcpy(stage + staged, frame, (size_t)n);
        staged += (size_t)n;
        total += (size_t)n;
    }
}

/* 0: nothing more to send now; 1: waits for the socket or its next turn; negative: failed. */
static int flush(struct rpc_connection *c, struct error *e)
{
    if (write_out(c) < 0) { /* what TLS had to say by itself */
        return error_set(e, E_UNAVAILABLE, "the connection broke while writing");
    }
    for (int turn = 0; turn < WRITES_PER_TURN; turn++) {
        if (c->writes > 0) {
            return 1;
        }
        int more = encrypt_frames(c, e);
        if (more < 0) {
            return more;
        }
        if (write_out(c) < 0) {
            return error_set(e, E_UNAVAILABLE, "the connection broke while writing");
        }
        if (more == 0) {
            return c->writes > 0 ? 1 : 0;
        }
    }
    connection_touch(c);
    return 1;
}

/* ---- ends ---- */

static void end_calls(struct rpc_connection *c, const char *why)
{
    while (c->calls != NULL) {
        bool ours = c->calls->cancelled;
        call_close(c->calls, ours ? RPC_CANCELLED : RPC_UNAVAILABLE,
                   ours ? "this side gave the call up" : why);
    }
}

static void shutdown_cb(uv_shutdown_t *request, int status)
{
    struct rpc_connection *c = CONTAINER_OF(request, struct rpc_connection, shutdown);
    if (c->state == CONNECTION_LINGER && (status < 0 || c->eof)) {
        close_now(c);
    }
}

/* Says goodbye and waits a moment for the peer's: a reset would make it lose the last words. */
static void linger(struct rpc_connection *c)
{
    c->state = CONNECTION_LINGER;
    nghttp2_session_del(c->session);
    c->session = NULL;
    tls_shutdown(&c->tls);
    if (write_out(c) < 0 || c->eof ||
        uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, shutdown_cb) < 0) {
        close_now(c);
        return;
    }
    c->deadline_ms = connection_now(c) + LINGER_MS;
    connection_arm(c);
}

void connection_fail(struct rpc_connection *c, const struct error *e)
{
    if (c->state == CONNECTION_LINGER || c->state == CONNECTION_CLOSED) {
        if (c->state == CONNECTION_LINGER) {
            close_now(c);
        }
        return;
    }
    struct error mine = *e;
    enum connection_state was = c->state;
    c->state =
        CONNECTION_LINGER; /* whatever the callbacks below do is no more for this connection */
    nghttp2_session_del(c->session);
    c->session = NULL;
    c->engine->on_failed(c, &mine);
    end_calls(c, mine.message);
    if (was == CONNECTION_CONNECTING || mine.code == E_UNAVAILABLE) {
        c->engine->out.len = 0;
        close_now(c);
        return;
    }
    linger(c);
}

static void drain_now(struct rpc_connection *c)
{
    if (c->state != CONNECTION_OPEN) {
        if (c->state < CONNECTION_OPEN) {
            struct error e = {0};
            error_set(&e, E_CANCELLED, "the connection was closed before it was up");
            connection_fail(c, &e);
        }
        return;
    }
    c->state = CONNECTION_DRAINING;
    c->deadline_ms = connection_now(c) + c->grace_ms;
    nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    connection_arm(c);
}

void connection_drain(struct rpc_connection *c, unsigned int grace_ms)
{
    if (c->state == CONNECTION_DRAINING) {
        c->deadline_ms = MIN(c->deadline_ms, connection_now(c) + grace_ms);
        connection_arm(c);
        return;
    }
    c->drain_wanted = true;
    c->grace_ms = grace_ms;
    connection_touch(c);
}

/* on_drain of the calls whose queue moved. A handler may end any call, but frees none: calls are
 * freed by nghttp2's callbacks and by connection_fail only. */
static void report_drained(struct rpc_connection *c)
{
    for (struct rpc_call *call = c->calls; call != NULL; call = call->next) {
        if (!call->drained || call->queued > LIMIT_CHUNK_BYTES) {
            continue;
        }
        call->drained = false;
        if (!call->ended && call->handlers->on_drain != NULL) {
            call->handlers->on_drain(call);
        }
    }
}

/* Everything that can go on goes on: called after each event of the connection. */
static void serve(struct rpc_connection *c)
{
    struct error e = {0};
    if (c->drain_wanted) {
        c->drain_wanted = false;
        drain_now(c);
    }
    if (c->state != CONNECTION_OPEN && c->state != CONNECTION_DRAINING) {
        return;
    }
    int pending = flush(c, &e);
    if (pending < 0) {
        connection_fail(c, &e);
        return;
    }
    report_drained(c);
    if (nghttp2_session_want_read(c->session) == 0 && nghttp2_session_want_write(c->session) == 0) {
        error_set(&e, c->goaway ? E_UNAVAILABLE : E_INVALID,
                  c->goaway ? "the peer ended the session" : "the peer broke the rules of HTTP/2");
        connection_fail(c, &e);
        return;
    }
    if (c->state == CONNECTION_OPEN && c->goaway && c->call_count == 0) {
        connection_drain(c, 0);
    }
    if (c->state == CONNECTION_DRAINING && c->call_count == 0 && pending == 0 &&
        nghttp2_session_want_write(c->session) == 0) {
        error_set(&e, E_CANCELLED,
                  c->goaway ? "the peer closed the connection: it stops, or nothing was asked"
                            : "the connection was closed");
        e.code = c->goaway ? E_UNAVAILABLE : E_CANCELLED;
        c->engine->on_failed(c, &e);
        linger(c);
    }
}

/* ---- reading ---- */

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct rpc_connection *c = handle->data;
    *buffer = uv_buf_init((char *)c->engine->read_buffer, READ_BYTES);
}

static void tls_up(struct rpc_connection *c)
{
    struct error e = {0};
    if (tls_peer_get(&c->tls, &c->peer, &e) < 0) {
        connection_fail(c, &e);
        return;
    }
    c->state = CONNECTION_OPEN;
}

static int receive_plain(struct rpc_connection *c, struct error *e)
{
    for (;;) {
        size_t len = 0;
        switch (tls_read(&c->tls, c->engine->plain, PLAIN_BYTES, &len, e)) {
        case TLS_AGAIN:
            return 0;
        case TLS_CLOSED:
            return error_set(e, E_UNAVAILABLE, "the peer closed the connection");
        case TLS_FAILED:
            return e->code;
        case TLS_DONE:
            break;
        }
        if (http2_receive(c, c->engine->plain, len, e) < 0) {
            return e->code;
        }
    }
}

static void receive(struct rpc_connection *c, const uint8_t *data, size_t len)
{
    struct error e = {0};
    tls_feed(&c->tls, data, len);
    c->received_ms = connection_now(c);
    c->ping_sent = false;
    if (c->state == CONNECTION_HANDSHAKE) {
        enum tls_result r = tls_handshake(&c->tls, &e);
        if (r == TLS_FAILED || r == TLS_CLOSED) {
            if (r == TLS_CLOSED) {
                error_set(&e, E_UNAVAILABLE,
                          "the peer closed the connection during the TLS handshake");
            }
            connection_fail(c, &e);
        } else if (r == TLS_DONE) {
            tls_up(c);
        } else if (write_out(c) < 0) {
            error_set(&e, E_UNAVAILABLE, "the connection broke during the TLS handshake");
            connection_fail(c, &e);
        }
    }
    if ((c->state == CONNECTION_OPEN || c->state == CONNECTION_DRAINING) &&
        receive_plain(c, &e) < 0) {
        connection_fail(c, &e);
    }
    c->tls.in_len = 0; /* a failed connection leaves the rest */
    serve(c);
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct rpc_connection *c = stream->data;
    if (c->state == CONNECTION_LINGER) {
        c->eof = c->eof || n < 0;
        /* A shutdown that still waits for its writes ends it itself, or LINGER_MS does. */
        if (n < 0 && (n != UV_EOF || c->writes == 0)) {
            close_now(c);
        }
        return;
    }
    if (n > 0) {
        receive(c, (const uint8_t *)buffer->base, (size_t)n);
    } else if (n < 0) {
        struct error e = {0};
        c->eof = true;
        if (n == UV_EOF) {
            error_set(&e, E_UNAVAILABLE,
                      c->ready ? "the peer closed the connection"
                               : "the peer closed the connection before it was up");
        } else {
            error_set(&e, E_UNAVAILABLE, "the connection broke: %s", uv_strerror((int)n));
        }
        connection_fail(c, &e);
    }
}

void connection_start(struct rpc_connection *c, struct tls_context *context,
                      const char *server_name)
{
    struct error e = {0};
    c->state = CONNECTION_HANDSHAKE;
    uv_tcp_nodelay(&c->tcp, 1);
    if (tls_init(&c->tls, context, &c->engine->out, server_name, &e) < 0) {
        connection_fail(c, &e);
        return;
    }
    int r = uv_read_start((uv_stream_t *)&c->tcp, alloc_cb, read_cb);
    if (r < 0) {
        error_set(&e, E_UNAVAILABLE, "the connection cannot be read: %s", uv_strerror(r));
        connection_fail(c, &e);
        return;
    }
    if (!c->engine->server) {
        enum tls_result result = tls_handshake(&c->tls, &e);
        if (result == TLS_FAILED || write_out(c) < 0) {
            error_set(&e, E_UNAVAILABLE, "the TLS handshake cannot begin");
            connection_fail(c, &e);
            return;
        }
    }
    connection_arm(c);
}

/* ---- time ---- */

static uint64_t next_deadline(const struct rpc_connection *c)
{
    const struct rpc_limits *l = &c->engine->limits;
    switch (c->state) {
    case CONNECTION_CONNECTING:
    case CONNECTION_HANDSHAKE:
        return c->started_ms + l->handshake_ms;
    case CONNECTION_DRAINING:
    case CONNECTION_LINGER:
        return c->deadline_ms;
    case CONNECTION_CLOSED:
        return UINT64_MAX;
    case CONNECTION_OPEN:
        break;
    }
    if (!c->ready) {
        return c->started_ms + l->handshake_ms;
    }
    uint64_t next = c->received_ms + (c->ping_sent ? l->keepalive_ms : l->keepalive_ms / 2);
    if (c->headers_ms != 0) {
        next = MIN(next, c->headers_ms + l->handshake_ms);
    }
    if (c->engine->server && c->call_count == 0) {
        next = MIN(next, c->idle_ms + l->idle_ms);
    }
    return next;
}

static void on_silence(struct rpc_connection *c, uint64_t now)
{
    const struct rpc_limits *l = &c->engine->limits;
    struct error e = {0};
    if (c->state == CONNECTION_CONNECTING) {
        error_set(&e, E_TIMEOUT, "no answer within %u ms", l->handshake_ms);
        connection_fail(c, &e);
    } else if (!c->ready || (c->headers_ms != 0 && now >= c->headers_ms + l->handshake_ms)) {
        error_set(&e, E_TIMEOUT, "the peer took longer than %u ms for its %s", l->handshake_ms,
                  c->ready ? "headers" : "handshake");
        connection_fail(c, &e);
    } else if (now >= c->received_ms + l->keepalive_ms) {
        error_set(&e, E_TIMEOUT, "the peer was silent for %u ms", l->keepalive_ms);
        connection_fail(c, &e);
    } else if (c->engine->server && c->call_count == 0 && now >= c->idle_ms + l->idle_ms) {
        connection_drain(c, 0);
    } else if (!c->ping_sent && now >= c->received_ms + l->keepalive_ms / 2) {
        c->ping_sent = true;
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        serve(c);
    }
}

static void on_grace_over(struct rpc_connection *c)
{
    if (c->flushing) {
        struct error e = {0};
        error_set(&e, E_TIMEOUT, "the peer did not take what was queued");
        connection_fail(c, &e);
        return;
    }
    c->flushing = true;
    c->deadline_ms = connection_now(c) + FLUSH_MS;
    for (struct rpc_call *call = c->calls; call != NULL; call = call->next) {
        if (c->engine->server) {
            rpc_call_finish(call, RPC_UNAVAILABLE, "the server stops");
        } else {
            rpc_call_cancel(call);
        }
    }
    serve(c);
}

static void timer_cb(uv_timer_t *timer)
{
    struct rpc_connection *c = timer->data;
    uint64_t now = connection_now(c);
    if (now >= next_deadline(c)) {
        switch (c->state) {
        case CONNECTION_CONNECTING:
        case CONNECTION_HANDSHAKE:
        case CONNECTION_OPEN:
            on_silence(c, now);
            break;
        case CONNECTION_DRAINING:
            on_grace_over(c);
            break;
        case CONNECTION_LINGER:
            close_now(c);
            break;
        case CONNECTION_CLOSED:
            break;
        }
    }
    if (c->state != CONNECTION_CLOSED) {
        connection_arm(c);
    }
}

/* The timer only ever fires too early: deadlines that move out are found when it does. */
void connection_arm(struct rpc_connection *c)
{
    uint64_t now = connection_now(c);
    uint64_t at = next_deadline(c);
    if (!uv_is_closing((uv_handle_t *)&c->timer)) {
        uv_timer_start(&c->timer, timer_cb, at > now ? at - now : 1, 0);
    }
}
