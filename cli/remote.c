/* Owns the connection to the controller. It refuses to guess: a missing identity is said with what makes one. */
#include "cli/remote.h"

#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/io/rpc/pki.h"
#include "lib/wire/pack.h"

#define SERVER_NAME       "operators.lockstepd"
#define IDENTITY_DEFAULT  "/var/lib/lockstep/operator"
#define CONNECT_MS        10000
#define ADDRESS_BYTES_MAX 512

struct remote_stream {
    struct remote *remote; /* borrowed */
    const ProtobufCMessageDescriptor *descriptor;
    void (*seen)(void *context, const ProtobufCMessage *message);
    void *context;
    struct rpc_call *call; /* NULL: over */
    enum rpc_status status;
    bool stopped;
    struct error e;
};

/* ---- who we are ---- */

static const char *identity_directory(struct context *c)
{
    const char *given = args_text(&c->args, "identity");
    const char *set = getenv("LOCKSTEP_IDENTITY");
    const char *home = getenv("HOME");
    if (given != NULL) {
        return given;
    }
    if (!str_empty(set)) {
        return set;
    }
    if (!str_empty(home)) {
        const char *own = arena_printf(c->arena, "%s/.config/lockstep", home);
        if (file_exists(own)) {
            return own;
        }
    }
    return IDENTITY_DEFAULT;
}

static int read_address(struct context *c, const char *directory, const char **ret, struct error *e)
{
    const char *given = args_text(&c->args, "controller");
    const char *set = getenv("LOCKSTEP_CONTROLLER");
    if (given != NULL || !str_empty(set)) {
        *ret = given != NULL ? given : set;
        return 0;
    }
    char *text = NULL;
    size_t len = 0;
    int r = file_read(c->arena, arena_printf(c->arena, "%s/controller", directory),
                      ADDRESS_BYTES_MAX, &text, &len, e);
    if (r == 0) {
        text[strcspn(text, " \t\r\n")] = '\0';
        *ret = text;
    }
    return r;
}

static int split_address(struct arena *arena, const char *address,
                         struct rpc_client_options *options, struct error *e)
{
    assert(address != NULL);
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;
    if (colon == NULL || colon == address || !str_to_u64(colon + 1, UINT16_MAX, &port) ||
        port == 0) {
        return error_set(e, E_INVALID, "the controller's address \"%s\" is not HOST:PORT", address);
    }
    bool brackets = address[0] == '[' && colon[-1] == ']';
    options->host = arena_strndup(arena, address + (brackets ? 1 : 0),
                                  (size_t)(colon - address) - (brackets ? 2 : 0));
    options->port = (uint16_t)port;
    return 0;
}

static int read_identity(struct context *c, struct rpc_client_options *options, struct error *e)
{
    const char *directory = identity_directory(c);
    if (!file_exists(directory)) {
        return error_set(e, E_NOT_FOUND,
                         "there is no identity in %s: on the controller it is STATE/operator; copy "
                         "that directory here and name it with --identity or LOCKSTEP_IDENTITY",
                         directory);
    }
    const char *address = NULL;
    int r = pki_read_file(c->arena, arena_printf(c->arena, "%s/ca.crt", directory),
                          &options->ca_pem, e);
    if (r == 0) {
        r = pki_read_file(c->arena, arena_printf(c->arena, "%s/operator.crt", directory),
                          &options->certificate_pem, e);
    }
    if (r == 0) {
        r = pki_read_file(c->arena, arena_printf(c->arena, "%s/operator.key", directory),
                          &options->key_pem, e);
    }
    if (r == 0) {
        r = read_address(c, directory, &address, e);
    }
    if (r < 0) {
        return error_wrap(e, "the identity in %s cannot be used", directory);
    }
    return split_address(c->arena, address, options, e);
}

/* ---- the connection ---- */

static void on_state(struct rpc_client *client UNUSED, enum rpc_client_state state,
                     const struct error *error, void *userdata)
{
    struct remote *r = userdata;
    switch (state) {
    case RPC_CLIENT_CONNECTED:
        r->connected = true;
        break;
    case RPC_CLIENT_CLOSED:
        r->closed = true;
        r->why = *error;
        break;
    }
}

static int connect_client(struct remote *r, struct error *e)
{
    r->connected = false;
    r->closed = false;
    r->why = (struct error){0};
    return rpc_client_new(&r->loop, &r->options, on_state, r, &r->client, e);
}

int remote_open(struct context *c, struct remote *r)
{
    *r = (struct remote){
        .arena = c->arena,
        .options = {.server_name = SERVER_NAME, .self = "command", .connect_ms = CONNECT_MS}};
    uv_loop_init(&r->loop);
    struct error e = {0};
    int result = read_identity(c, &r->options, &e);
    if (result == 0) {
        result = connect_client(r, &e);
    }
    if (result < 0) {
        say_error(&e);
        return CLI_FAILED;
    }
    return 0;
}

void remote_close(struct remote *r)
{
    rpc_client_close_wait(r->client);
    r->client = NULL;
    uv_run(&r->loop, UV_RUN_DEFAULT);
    uv_loop_close(&r->loop);
}

int remote_reconnect(struct remote *r, struct error *e)
{
    rpc_client_close_wait(r->client);
    r->client = NULL;
    return connect_client(r, e);
}

bool remote_is_lost(const struct remote *r, int code)
{
    return code == E_UNAVAILABLE || code == E_TIMEOUT ||
           (code == E_IO && (r->closed || !r->connected));
}

int remote_fail(const struct remote *r, const struct error *e)
{
    if (!remote_is_lost(r, e->code)) {
        say_error(e);
        return CLI_FAILED;
    }
    say("the controller at %s:%u cannot be reached: %s", r->options.host,
        (unsigned int)r->options.port, e->message);
    return CLI_UNREACHABLE;
}

/* ---- calls ---- */

static const char *path_of(struct remote *r, const char *method)
{
    return arena_printf(r->arena, "/lockstep.v1.Operator/%s", method);
}

int remote_call(struct remote *r, const char *method, const ProtobufCMessage *request,
                unsigned int timeout_ms, const ProtobufCMessageDescriptor *descriptor,
                const ProtobufCMessage **ret_reply, struct error *e)
{
    struct bytes packed = {0};
    struct bytes reply = {0};
    int result = wire_pack(r->arena, request, &packed, e);
    if (result == 0) {
        result = rpc_client_unary(r->client, path_of(r, method), packed, timeout_ms, r->arena,
                                  &reply, e);
    }
    return result < 0 ? result : wire_unpack(r->arena, descriptor, reply, ret_reply, e);
}

const ProtobufCMessage *remote_ask(struct remote *r, const char *method,
                                   const ProtobufCMessage *request, unsigned int timeout_ms,
                                   const ProtobufCMessageDescriptor *descriptor, struct error *e)
{
    const ProtobufCMessage *reply = NULL;
    return remote_call(r, method, request, timeout_ms, descriptor, &reply, e) < 0 ? NULL : reply;
}

static void stream_message(struct rpc_call *call, struct bytes bytes)
{
    struct remote_stream *s = rpc_call_get_data(call);
    struct arena arena;
    arena_init(&arena);
    const ProtobufCMessage *message = NULL;
    if (wire_unpack(&arena, s->descriptor, bytes, &message, &s->e) < 0) {
        rpc_call_cancel(call);
    } else if (!s->stopped) {
        s->seen(s->context, message);
    }
    arena_deinit(&arena);
}

static void stream_close(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct remote_stream *s = rpc_call_get_data(call);
    s->call = NULL;
    s->status = status;
    if (s->e.code == 0 && status != RPC_OK) {
        error_say(&s->e, rpc_status_to_error(status), "%s",
                  message[0] != '\0' ? message : rpc_status_name(status));
    }
}

static const struct rpc_handlers stream_handlers = {.on_message = stream_message,
                                                    .on_close = stream_close};

void remote_stop(struct remote *r)
{
    struct remote_stream *s = r->stream;
    if (s != NULL && s->call != NULL && !s->stopped) {
        s->stopped = true;
        rpc_call_cancel(s->call);
    }
}

int remote_stream(struct remote *r, const char *method, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *descriptor,
                  void (*seen)(void *context, const ProtobufCMessage *message), void *context,
                  struct error *e)
{
    struct bytes packed = {0};
    int result = wire_pack(r->arena, request, &packed, e);
    if (result < 0) {
        return result;
    }
    struct remote_stream s = {
        .remote = r, .descriptor = descriptor, .seen = seen, .context = context};
    s.call = rpc_client_call(r->client, path_of(r, method), &stream_handlers, &s);
    if (s.call == NULL) {
        return error_set(e, r->why.code < 0 ? r->why.code : E_UNAVAILABLE, "%s",
                         r->why.code < 0 ? r->why.message : "the connection is closed");
    }
    r->stream = &s;
    result = rpc_call_send(s.call, packed);
    if (result < 0) {
        rpc_call_cancel(s.call);
    } else {
        rpc_call_half_close(s.call);
    }
    while (s.call != NULL) {
        uv_run(&r->loop, UV_RUN_ONCE);
    }
    r->stream = NULL;
    if (result < 0) {
        return error_set(e, result, "%s: the request is too large", method);
    }
    if (s.stopped) {
        return error_set(e, E_CANCELLED, "stopped");
    }
    if (s.e.code < 0) {
        *e = s.e;
    }
    return s.e.code;
}
