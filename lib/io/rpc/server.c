/* Owns the listening socket and the connections that came through it. It refuses connections past
 * the limit; who may call what is the handlers' business. */
#include <stdlib.h>
#include <string.h>

#include "lib/io/rpc/connection.h"

#define BACKLOG 4096

struct rpc_server {
    struct rpc_engine engine;
    uv_tcp_t listener;
    struct tls_context *tls; /* owned reference; for connections to come */
    char *client_ca_pem;     /* owned, may be NULL */
    uint16_t port;
    void (*on_trouble)(const char *address, const struct error *error, void *userdata);
    bool stop_wanted;
    bool listening;
    bool closing;      /* the last two handles */
    bool accept_later; /* memory ran out: when a connection is freed */
    unsigned int handles;
    unsigned int grace_ms;
    void (*on_stopped)(void *userdata);
    void *stopped_data;
};

static struct rpc_server *server_of(struct rpc_engine *engine)
{
    return CONTAINER_OF(engine, struct rpc_server, engine);
}

static void server_free(struct rpc_server *s)
{
    engine_deinit(&s->engine);
    tls_context_unref(s->tls);
    free(s->client_ca_pem);
    free(s);
}

static void handle_closed(uv_handle_t *handle)
{
    struct rpc_server *s = handle->data;
    if (--s->handles > 0) {
        return;
    }
    void (*on_stopped)(void *) = s->on_stopped;
    void *data = s->stopped_data;
    server_free(s);
    if (on_stopped != NULL) {
        on_stopped(data);
    }
}

static void idle_closed(uv_handle_t *handle)
{
    struct rpc_engine *engine = handle->data;
    handle->data = server_of(engine);
    handle_closed(handle);
}

static void close_when_empty(struct rpc_engine *engine)
{
    struct rpc_server *s = server_of(engine);
    if (!s->stop_wanted || s->listening || engine->connections != NULL || s->closing) {
        return;
    }
    s->closing = true;
    uv_close((uv_handle_t *)&engine->idle, idle_closed);
}

static void on_idle(struct rpc_engine *engine)
{
    struct rpc_server *s = server_of(engine);
    if (s->stop_wanted && s->listening) {
        s->listening = false;
        uv_close((uv_handle_t *)&s->listener, handle_closed);
        for (struct rpc_connection *c = engine->connections; c != NULL; c = c->next) {
            connection_drain(c, s->grace_ms);
        }
    }
    close_when_empty(engine);
}

static void on_ready(struct rpc_connection *c)
{
    (void)c;
}

static void on_failed(struct rpc_connection *c, struct error *e)
{
    struct rpc_server *s = server_of(c->engine);
    if (s->on_trouble != NULL && e->code != E_UNAVAILABLE && e->code != E_CANCELLED) {
        s->on_trouble(c->address, e, s->engine.userdata);
    }
}

/* ---- accepting ---- */

static void name_peer(struct rpc_connection *c)
{
    struct sockaddr_storage peer = {0};
    int len = sizeof(peer);
    char host[48] = "?";
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &len) < 0) {
        snprintf(c->address, sizeof(c->address), "?");
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer;
        uv_ip6_name(in6, host, sizeof(host));
        snprintf(c->address, sizeof(c->address), "[%s]:%u", host,
                 (unsigned int)ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&peer;
        uv_ip4_name(in, host, sizeof(host));
        snprintf(c->address, sizeof(c->address), "%s:%u", host, (unsigned int)ntohs(in->sin_port));
    }
}

static void connection_cb(uv_stream_t *listener, int status)
{
    struct rpc_server *s = listener->data;
    struct error e = {0};
    if (status < 0) {
        error_set(&e, E_LIMIT, "a connection cannot be accepted: %s", uv_strerror(status));
        if (s->on_trouble != NULL) {
            s->on_trouble("?", &e, s->engine.userdata);
        }
        return;
    }
    struct rpc_connection *c = connection_new(&s->engine);
    s->accept_later = c == NULL; /* libuv keeps it, and offers no other until it is taken */
    if (c == NULL) {
        return;
    }
    int r = connection_open_socket(c);
    if (r == 0) {
        r = uv_accept(listener, (uv_stream_t *)&c->tcp);
    }
    if (r < 0 || s->stop_wanted) {
        error_set(&e, E_UNAVAILABLE, "the connection went away: %s", uv_strerror(r));
        connection_fail(c, &e);
        return;
    }
    name_peer(c);
    if (s->engine.connection_count > s->engine.limits.connections_max) {
        error_set(&e, E_LIMIT, "more than %zu connections: closed the new one",
                  s->engine.limits.connections_max);
        connection_fail(c, &e);
        return;
    }
    connection_start(c, s->tls, NULL);
}

static void on_gone(struct rpc_engine *engine)
{
    struct rpc_server *s = server_of(engine);
    if (s->accept_later && !s->stop_wanted) {
        connection_cb((uv_stream_t *)&s->listener, 0);
    }
    close_when_empty(engine);
}

static int find_address(uv_loop_t *loop, const char *host, uint16_t port,
                        struct sockaddr_storage *ret, struct error *e)
{
    if (host == NULL) {
        return error_set(e, E_INVALID, "an address to listen on is missing");
    }
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)ret) == 0 ||
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)ret) == 0) {
        return 0;
    }
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned int)port);
    int r = uv_getaddrinfo(loop, &request, NULL, host, service, &hints);
    if (r < 0) {
        return error_set(e, E_INVALID,
                         "cannot listen on \"%.200s\": %s; use an address of this machine", host,
                         uv_strerror(r));
    }
    memcpy(ret, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

static int listen_on(struct rpc_server *s, const char *host, uint16_t port,
                     const struct sockaddr_storage *address, struct error *e)
{
    int r = uv_tcp_bind(&s->listener, (const struct sockaddr *)address, 0);
    if (r == 0) {
        r = uv_listen((uv_stream_t *)&s->listener, BACKLOG, connection_cb);
    }
    struct sockaddr_storage bound = {0};
    int len = sizeof(bound);
    if (r == 0) {
        r = uv_tcp_getsockname(&s->listener, (struct sockaddr *)&bound, &len);
    }
    if (r == UV_EADDRINUSE) {
        return error_set(
            e, E_EXISTS,
            "cannot listen on %.200s port %u: another program has it; stop that one or "
            "choose another port",
            host, (unsigned int)port);
    }
    if (r < 0) {
        return error_set(e, r == UV_EACCES ? E_DENIED : E_IO, "cannot listen on %.200s port %u: %s",
                         host, (unsigned int)port, uv_strerror(r));
    }
    s->port = bound.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&bound)->sin6_port)
                                          : ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

/* ---- the public part ---- */

int rpc_server_start(uv_loop_t *loop, const struct rpc_server_options *options,
                     const struct rpc_method *methods, size_t count, void *userdata,
                     struct rpc_server **ret_server, struct error *e)
{
    struct sockaddr_storage address = {0};
    int r = find_address(loop, options->host, options->port, &address, e);
    if (r < 0) {
        return r;
    }
    struct rpc_server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return error_set(e, E_LIMIT, "out of memory for a server");
    }
    struct tls_server_options tls = {.chain_pem = options->chain_pem,
                                     .key_pem = options->key_pem,
                                     .client_ca_pem = options->client_ca_pem};
    r = tls_context_new_server(&tls, &s->tls, e);
    if (r == 0 && options->client_ca_pem != NULL &&
        (s->client_ca_pem = strdup(options->client_ca_pem)) == NULL) {
        r = error_set(e, E_LIMIT, "out of memory for a server");
    }
    if (r < 0) {
        tls_context_unref(s->tls);
        free(s);
        return r;
    }
    engine_init(&s->engine, loop, true, &options->limits);
    s->engine.on_idle = on_idle;
    s->engine.on_ready = on_ready;
    s->engine.on_failed = on_failed;
    s->engine.on_gone = on_gone;
    s->engine.methods = methods;
    s->engine.method_count = count;
    s->engine.userdata = userdata;
    s->on_trouble = options->on_trouble;
    uv_tcp_init(loop, &s->listener);
    s->listener.data = s;
    s->handles = 2;
    s->listening = true;
    r = listen_on(s, options->host, options->port, &address, e);
    if (r < 0) {
        rpc_server_stop(s, 0, NULL, NULL); /* frees itself on the next turn of the loop */
        return r;
    }
    *ret_server = s;
    return 0;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

size_t rpc_server_connections(const struct rpc_server *server)
{
    return server->engine.connection_count;
}

int rpc_server_set_certificate(struct rpc_server *server, const char *chain_pem,
                               const char *key_pem, struct error *e)
{
    struct tls_server_options tls = {
        .chain_pem = chain_pem, .key_pem = key_pem, .client_ca_pem = server->client_ca_pem};
    struct tls_context *context = NULL;
    int r = tls_context_new_server(&tls, &context, e);
    if (r < 0) {
        return r;
    }
    tls_context_unref(server->tls);
    server->tls = context;
    return 0;
}

void rpc_server_stop(struct rpc_server *server, unsigned int grace_ms,
                     void (*on_stopped)(void *userdata), void *userdata)
{
    if (on_stopped != NULL) {
        server->on_stopped = on_stopped;
        server->stopped_data = userdata;
    }
    if (server->stop_wanted && !server->listening) {
        for (struct rpc_connection *c = server->engine.connections; c != NULL; c = c->next) {
            connection_drain(c, grace_ms);
        }
        return;
    }
    server->grace_ms = server->stop_wanted ? MIN(server->grace_ms, grace_ms) : grace_ms;
    server->stop_wanted = true;
    engine_wake(&server->engine);
}
