/* Owns one outgoing connection: finding the address, connecting, and telling the owner how it
 * ended. It never connects twice: the owner decides when to try again. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/rpc/client.h"
#include "lib/io/rpc/connection.h"

#define ADDRESSES_MAX 8

struct rpc_client {
    struct rpc_engine engine;
    struct rpc_connection *connection; /* NULL when it is gone */
    struct tls_context *tls;           /* owned reference */
    uv_getaddrinfo_t resolver;
    uv_connect_t connect;
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t address_count;
    size_t address_next;
    char *host;          /* owned */
    char *server_name;   /* owned */
    char *authority;     /* owned */
    char *authorization; /* owned, may be NULL */
    uint16_t port;
    bool begun;
    bool resolving;
    bool connected;
    bool closed;   /* CLOSED was told */
    bool released; /* by the owner */
    bool *freed;   /* borrowed from rpc_client_close_wait, may be NULL */
    struct error error;
    void (*on_state)(struct rpc_client *client, enum rpc_client_state state,
                     const struct error *error, void *userdata);
    void *userdata;
};

static struct rpc_client *client_of(struct rpc_engine *engine)
{
    return CONTAINER_OF(engine, struct rpc_client, engine);
}

static void client_free(struct rpc_client *client)
{
    if (client->freed != NULL) {
        *client->freed = true;
    }
    engine_deinit(&client->engine);
    tls_context_unref(client->tls);
    free(client->host);
    free(client->server_name);
    free(client->authority);
    if (client->authorization != NULL) {
        OPENSSL_cleanse(client->authorization, strlen(client->authorization));
    }
    free(client->authorization);
    free(client);
}

static void idle_closed(uv_handle_t *handle)
{
    client_free(client_of(handle->data));
}

static void release_when_closed(struct rpc_client *client)
{
    if (client->closed && client->released && !uv_is_closing((uv_handle_t *)&client->engine.idle)) {
        uv_close((uv_handle_t *)&client->engine.idle, idle_closed);
    }
}

static void tell_when_gone(struct rpc_client *client)
{
    if (client->connection != NULL || client->resolving || client->closed) {
        return;
    }
    client->closed = true;
    client->connected = false;
    if (client->on_state != NULL) {
        client->on_state(client, RPC_CLIENT_CLOSED, &client->error, client->userdata);
    }
    release_when_closed(client);
}

/* ---- the engine's calls ---- */

static void on_gone(struct rpc_engine *engine)
{
    struct rpc_client *client = client_of(engine);
    client->connection = NULL;
    if (client->resolving) {
        uv_cancel((uv_req_t *)&client->resolver);
    }
    tell_when_gone(client);
}

static void on_ready(struct rpc_connection *c)
{
    struct rpc_client *client = c->owner;
    client->connected = true;
    if (client->on_state != NULL && !client->released) {
        struct error none = {0};
        client->on_state(client, RPC_CLIENT_CONNECTED, &none, client->userdata);
    }
}

static void on_failed(struct rpc_connection *c, struct error *e)
{
    struct rpc_client *client = c->owner;
    client->connected = false;
    if (client->released) {
        error_set(e, E_CANCELLED, "the connection was closed by this side");
    } else {
        error_wrap(e, "%.200s:%u", client->host, (unsigned int)client->port);
    }
    client->error = *e;
}

/* ---- connecting ---- */

static void try_next(struct rpc_client *client, int reason);

static void socket_closed(uv_handle_t *handle)
{
    struct rpc_connection *c = handle->data;
    if (c->state == CONNECTION_CLOSED) {
        connection_handle_closed(handle);
        return;
    }
    struct rpc_client *client = c->owner;
    c->handles--;
    c->tcp_open = false;
    try_next(client, (int)(intptr_t)client->connect.data);
}

static void connect_cb(uv_connect_t *request, int status)
{
    struct rpc_connection *c = request->handle->data;
    struct rpc_client *client = c->owner;
    if (c->state != CONNECTION_CONNECTING) {
        return;
    }
    if (status == 0) {
        snprintf(c->address, sizeof(c->address), "%.50s:%u", client->host,
                 (unsigned int)client->port);
        connection_start(c, client->tls, client->server_name);
        return;
    }
    client->connect.data = (void *)(intptr_t)status;
    uv_close((uv_handle_t *)&c->tcp, socket_closed);
}

static const char *advice(int reason)
{
    if (reason == UV_ECONNREFUSED) {
        return "; is the controller running there, on this port?";
    }
    return reason == UV_ETIMEDOUT || reason == UV_EHOSTUNREACH || reason == UV_ENETUNREACH
               ? "; check the address, the network and the firewalls"
               : "";
}

/* The next address; `reason` says why the last one did not work. */
static void try_next(struct rpc_client *client, int reason)
{
    struct rpc_connection *c = client->connection;
    struct error e = {0};
    int r = reason;
    if (client->address_next < client->address_count) {
        const struct sockaddr *address =
            (const struct sockaddr *)&client->addresses[client->address_next++];
        r = connection_open_socket(c);
        if (r == 0) {
            r = uv_tcp_connect(&client->connect, &c->tcp, address, connect_cb);
            if (r == 0) {
                return;
            }
            client->connect.data = (void *)(intptr_t)r;
            uv_close((uv_handle_t *)&c->tcp, socket_closed);
            return;
        }
    }
    error_set(&e, E_UNAVAILABLE, "cannot connect: %s%s", uv_strerror(r), advice(r));
    connection_fail(c, &e);
}

static void resolved_cb(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct rpc_client *client = CONTAINER_OF(request, struct rpc_client, resolver);
    client->resolving = false;
    for (struct addrinfo *a = found; a != NULL && client->address_count < ADDRESSES_MAX;
         a = a->ai_next) {
        if (a->ai_addrlen <= sizeof(client->addresses[0])) {
            memcpy(&client->addresses[client->address_count++], a->ai_addr, a->ai_addrlen);
        }
    }
    uv_freeaddrinfo(found);
    if (client->connection == NULL || client->connection->state != CONNECTION_CONNECTING) {
        tell_when_gone(client);
        return;
    }
    if (status < 0 || client->address_count == 0) {
        struct error e = {0};
        error_set(&e, E_NOT_FOUND,
                  "the name is not known: %s; check its spelling and this machine's name service",
                  uv_strerror(status < 0 ? status : UV_EAI_NONAME));
        connection_fail(client->connection, &e);
        return;
    }
    try_next(client, 0);
}

static void begin(struct rpc_client *client)
{
    if (client->connection == NULL || client->connection->state != CONNECTION_CONNECTING) {
        return;
    }
    connection_arm(client->connection);
    struct sockaddr_storage *first = &client->addresses[0];
    if (uv_ip4_addr(client->host, client->port, (struct sockaddr_in *)first) == 0 ||
        uv_ip6_addr(client->host, client->port, (struct sockaddr_in6 *)first) == 0) {
        client->address_count = 1;
        try_next(client, 0);
        return;
    }
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned int)client->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int r = uv_getaddrinfo(client->engine.loop, &client->resolver, resolved_cb, client->host,
                           service, &hints);
    if (r < 0) {
        struct error e = {0};
        error_set(&e, E_NOT_FOUND, "the name cannot be looked up: %s", uv_strerror(r));
        connection_fail(client->connection, &e);
        return;
    }
    client->resolving = true;
}

static void on_idle(struct rpc_engine *engine)
{
    struct rpc_client *client = client_of(engine);
    if (!client->begun) {
        client->begun = true;
        begin(client);
    }
}

/* ---- the public part ---- */

static int copy_texts(struct rpc_client *client, const struct rpc_client_options *options)
{
    const char *name = options->server_name != NULL ? options->server_name : options->host;
    size_t name_bytes = strlen(name) + 10;
    client->host = strdup(options->host);
    client->server_name = strdup(name);
    client->authority = malloc(name_bytes);
    if (client->host == NULL || client->server_name == NULL || client->authority == NULL) {
        return -1;
    }
    bool ipv6 = strchr(name, ':') != NULL;
    snprintf(client->authority, name_bytes, "%s%s%s:%u", ipv6 ? "[" : "", name, ipv6 ? "]" : "",
             (unsigned int)options->port);
    if (options->token != NULL) {
        size_t bytes = strlen(options->token) + sizeof("Bearer ");
        client->authorization = malloc(bytes);
        if (client->authorization == NULL) {
            return -1;
        }
        snprintf(client->authorization, bytes, "Bearer %s", options->token);
    }
    return 0;
}

static bool is_header_value(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7F) {
            return false;
        }
    }
    return true;
}

static int check_options(const struct rpc_client_options *o, struct error *e)
{
    if (str_empty(o->host) || strlen(o->host) > 255 || !is_header_value(o->host) || o->port == 0) {
        return error_set(e, E_INVALID, "the controller's address must be a host and a port");
    }
    if (o->server_name != NULL && (str_empty(o->server_name) || strlen(o->server_name) > 255 ||
                                   !is_header_value(o->server_name))) {
        return error_set(e, E_INVALID, "the controller's server name is not usable");
    }
    if (o->token != NULL &&
        (str_empty(o->token) || !is_header_value(o->token) || strlen(o->token) > 4096)) {
        return error_set(
            e, E_INVALID,
            "the token has blanks or other characters that no token has: copy it again");
    }
    return 0;
}

int rpc_client_new(uv_loop_t *loop, const struct rpc_client_options *options,
                   void (*on_state)(struct rpc_client *client, enum rpc_client_state state,
                                    const struct error *error, void *userdata),
                   void *userdata, struct rpc_client **ret_client, struct error *e)
{
    int r = check_options(options, e);
    if (r < 0) {
        return r;
    }
    struct rpc_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return error_set(e, E_LIMIT, "out of memory for a connection");
    }
    client->port = options->port;
    client->on_state = on_state;
    client->userdata = userdata;
    struct tls_client_options tls = {.ca_pem = options->ca_pem,
                                     .ca_fingerprint = options->ca_fingerprint,
                                     .certificate_pem = options->certificate_pem,
                                     .key_pem = options->key_pem,
                                     .self = options->self};
    r = copy_texts(client, options) < 0 ? error_set(e, E_LIMIT, "out of memory for a connection")
                                        : tls_context_new_client(&tls, &client->tls, e);
    if (r < 0) {
        client_free(client);
        return r;
    }
    struct rpc_limits limits = options->limits;
    if (options->connect_ms != 0) {
        limits.handshake_ms = options->connect_ms;
    }
    uv_update_time(loop); /* a command line may have been busy since the loop ran last */
    engine_init(&client->engine, loop, false, &limits);
    client->engine.on_idle = on_idle;
    client->engine.on_ready = on_ready;
    client->engine.on_failed = on_failed;
    client->engine.on_gone = on_gone;
    client->connection = connection_new(&client->engine);
    if (client->connection == NULL) {
        client->closed = true;
        rpc_client_close(client); /* freed on the next turn of the loop */
        return error_set(e, E_LIMIT, "out of memory for a connection");
    }
    client->connection->owner = client;
    client->connection->authority = client->authority;
    client->connection->authorization = client->authorization;
    engine_wake(&client->engine);
    *ret_client = client;
    return 0;
}

struct rpc_call *rpc_client_call(struct rpc_client *client, const char *path,
                                 const struct rpc_handlers *handlers, void *data)
{
    struct rpc_connection *c = client->connection;
    if (c == NULL || client->released || c->goaway || c->drain_wanted ||
        c->state >= CONNECTION_DRAINING) {
        return NULL;
    }
    size_t max = client->engine.limits.streams_max;
    if (c->ready) {
        max = MIN(max, (size_t)http2_remote_streams_max(c));
    }
    struct rpc_call *call = c->call_count >= max ? NULL : call_new(c);
    if (call == NULL) {
        return NULL;
    }
    call->handlers = handlers;
    call->data = data;
    call->owned_path = strdup(path);
    call->path = call->owned_path;
    if (call->owned_path == NULL || http2_request(call) < 0) {
        call_close(call, RPC_UNAVAILABLE, NULL); /* not opened: no on_close */
        return NULL;
    }
    call->opened = true;
    return call;
}

bool rpc_client_is_connected(const struct rpc_client *client)
{
    return client->connected;
}

const struct error *client_error(const struct rpc_client *client)
{
    return &client->error;
}

uv_loop_t *client_loop(const struct rpc_client *client)
{
    return client->engine.loop;
}

void client_tell_freed(struct rpc_client *client, bool *freed)
{
    client->freed = freed;
}

void rpc_client_close(struct rpc_client *client)
{
    if (client == NULL) {
        return;
    }
    assert(!client->released);
    client->released = true;
    struct rpc_connection *c = client->connection;
    if (c != NULL) {
        for (struct rpc_call *call = c->calls; call != NULL; call = call->next) {
            rpc_call_cancel(call);
        }
        connection_drain(c, 0);
    }
    release_when_closed(client);
}
