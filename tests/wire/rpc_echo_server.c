/*
 * A small server for test_transport.py: makes its certificates with pki, serves every kind of call with raw
 * bytes and ends, with all memory given back, when its standard input is closed.
 *
 *   rpc_echo_server FOLDER [handshake_ms keepalive_ms idle_ms connections_max]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/io/rpc/pki.h"
#include "lib/io/rpc/rpc.h"

struct counts {
    uv_loop_t *loop;
    struct rpc_server *server;
    size_t opened;
    size_t closed;
    size_t cancelled;
    size_t queued_most;
    uv_pipe_t input;
    char input_bytes[16];
};

static void count_open(struct rpc_call *call)
{
    struct counts *n = rpc_call_server_data(call);
    n->opened++;
}

static void count_close(struct rpc_call *call, enum rpc_status status, const char *message)
{
    struct counts *n = rpc_call_server_data(call);
    (void)message;
    n->closed++;
    n->cancelled += status == RPC_CANCELLED || status == RPC_UNAVAILABLE;
    free(rpc_call_get_data(call));
}

static void send_or_fail(struct rpc_call *call, const void *data, size_t len)
{
    if (rpc_call_send(call, (struct bytes){.data = data, .len = len}) < 0) {
        rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "the answer does not fit");
    }
}

static void echo_message(struct rpc_call *call, struct bytes message)
{
    send_or_fail(call, message.data, message.len);
}

static void finish_ok(struct rpc_call *call)
{
    rpc_call_finish(call, RPC_OK, NULL);
}

static void fail_message(struct rpc_call *call, struct bytes message)
{
    (void)message;
    rpc_call_finish(call, RPC_NOT_FOUND, "no such node: 100% »gone«\nask again");
}

static void who_message(struct rpc_call *call, struct bytes message)
{
    const struct rpc_peer *p = rpc_call_peer(call);
    char text[1024];
    (void)message;
    int len = snprintf(text, sizeof(text), "%s|%s|%s|%s|%s",
                       p->common_name != NULL ? p->common_name : "-",
                       p->role != NULL ? p->role : "-", p->serial != NULL ? p->serial : "-",
                       p->token != NULL ? p->token : "-", p->address);
    send_or_fail(call, text, (size_t)len);
}

static void stats_message(struct rpc_call *call, struct bytes message)
{
    struct counts *n = rpc_call_server_data(call);
    char text[256];
    size_t rss = 0;
    (void)message;
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            rss = strtoul(line + 8, NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    int len = snprintf(text, sizeof(text), "%zu %zu %zu %zu %zu %zu", n->opened, n->closed,
                       n->cancelled, rpc_server_connections(n->server), n->queued_most, rss);
    send_or_fail(call, text, (size_t)len);
}

/* "COUNT SIZE": that many messages, as the client takes them. */
struct producer {
    unsigned long left;
    size_t size;
};

static void produce(struct rpc_call *call)
{
    struct counts *n = rpc_call_server_data(call);
    struct producer *p = rpc_call_get_data(call);
    while (p != NULL && p->left > 0 && rpc_call_queued_bytes(call) < (size_t)512 * 1024) {
        uint8_t *data = calloc(1, p->size + 1);
        if (data == NULL) {
            rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "memory");
            return;
        }
        memset(data, (int)(p->left & 0xFF), p->size);
        send_or_fail(call, data, p->size);
        free(data);
        p->left--;
        n->queued_most = MAX(n->queued_most, rpc_call_queued_bytes(call));
    }
    if (p != NULL && p->left == 0) {
        rpc_call_finish(call, RPC_OK, NULL);
    }
}

static void stream_message(struct rpc_call *call, struct bytes message)
{
    char text[64] = "";
    struct producer *p = calloc(1, sizeof(*p));
    memcpy(text, message.data, MIN(message.len, sizeof(text) - 1));
    char *end = text;
    if (p == NULL) {
        return;
    }
    p->left = strtoul(text, &end, 10);
    p->size = strtoul(end, NULL, 10);
    rpc_call_set_data(call, p);
    produce(call);
}

static void sink_message(struct rpc_call *call, struct bytes message)
{
    size_t *total = rpc_call_get_data(call);
    if (total == NULL) {
        total = calloc(1, sizeof(*total));
        rpc_call_set_data(call, total);
    }
    if (total != NULL) {
        *total += message.len;
    }
}

static void sink_end(struct rpc_call *call)
{
    const size_t *total = rpc_call_get_data(call);
    char text[32];
    int len = snprintf(text, sizeof(text), "%zu", total != NULL ? *total : 0);
    send_or_fail(call, text, (size_t)len);
    rpc_call_finish(call, RPC_OK, NULL);
}

static void deny(struct rpc_call *call)
{
    count_open(call);
    if (rpc_call_peer(call)->common_name == NULL) {
        rpc_call_finish(call, RPC_UNAUTHENTICATED, "a certificate is needed");
    }
}

static const struct rpc_method methods[] = {
    {"/echo.Echo/Unary", {count_open, echo_message, finish_ok, NULL, count_close}},
    {"/echo.Echo/Bidi", {count_open, echo_message, finish_ok, NULL, count_close}},
    {"/echo.Echo/Fail", {count_open, fail_message, NULL, NULL, count_close}},
    {"/echo.Echo/Hang", {count_open, NULL, NULL, NULL, count_close}},
    {"/echo.Echo/Who", {count_open, who_message, finish_ok, NULL, count_close}},
    {"/echo.Echo/Stats", {count_open, stats_message, finish_ok, NULL, count_close}},
    {"/echo.Echo/Stream", {count_open, stream_message, NULL, produce, count_close}},
    {"/echo.Echo/Sink", {count_open, sink_message, sink_end, NULL, count_close}},
    {"/echo.Echo/Private", {deny, echo_message, finish_ok, NULL, count_close}},
};

static void on_trouble(const char *address, const struct error *error, void *userdata)
{
    (void)userdata;
    fprintf(stderr, "trouble %s: %s: %s\n", address, error_name(error->code), error->message);
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct counts *n = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(n->input_bytes, sizeof(n->input_bytes));
}

static void input_cb(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct counts *n = stream->data;
    (void)buffer;
    if (len < 0) {
        uv_close((uv_handle_t *)stream, NULL);
        rpc_server_stop(n->server, 0, NULL, NULL);
    }
}

static int save(const char *folder, const char *name, const char *text, struct error *e)
{
    char path[LIMIT_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return pki_write_file(path, text, true, e);
}

static int make_certificates(struct arena *arena, const char *folder, struct pki_identity *ca,
                             struct pki_identity *server, struct error *e)
{
    static const char *const names[] = {"localhost", "controller.test"};
    static const char *const addresses[] = {"127.0.0.1"};
    struct pki_server_options o = {
        .dns_names = names, .dns_count = 2, .addresses = addresses, .address_count = 1};
    struct pki_subject subject = {.name = "alice", .role = "operator", .valid_seconds = 3600};
    struct pki_identity client = {0};
    struct pki_identity other_ca = {0};
    struct pki_identity stranger = {0};
    int r = pki_make_ca(arena, "Test CA", ca, e);
    r = r < 0 ? r : pki_make_ca(arena, "Another CA", &other_ca, e);
    r = r < 0 ? r : pki_make_server(arena, ca, &o, server, e);
    r = r < 0 ? r : pki_make_client(arena, ca, &subject, &client, e);
    r = r < 0 ? r : pki_make_client(arena, &other_ca, &subject, &stranger, e);
    r = r < 0 ? r : save(folder, "ca.pem", ca->certificate_pem, e);
    r = r < 0 ? r : save(folder, "client.pem", client.certificate_pem, e);
    r = r < 0 ? r : save(folder, "client.key", client.key_pem, e);
    r = r < 0 ? r : save(folder, "stranger.pem", stranger.certificate_pem, e);
    return r < 0 ? r : save(folder, "stranger.key", stranger.key_pem, e);
}

static unsigned int number(int argc, char **argv, int at)
{
    return argc > at ? (unsigned int)strtoul(argv[at], NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    static uv_loop_t loop;
    static struct counts n;
    struct arena arena;
    struct error e = {0};
    struct pki_identity ca = {0};
    struct pki_identity server = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: rpc_echo_server FOLDER\n");
        return 2;
    }
    arena_init(&arena);
    uv_loop_init(&loop);
    n.loop = &loop;
    int r = make_certificates(&arena, argv[1], &ca, &server, &e);
    struct rpc_server_options o = {.host = "127.0.0.1",
                                   .chain_pem = server.certificate_pem,
                                   .key_pem = server.key_pem,
                                   .client_ca_pem = ca.certificate_pem,
                                   .on_trouble = on_trouble};
    o.limits.handshake_ms = number(argc, argv, 2);
    o.limits.keepalive_ms = number(argc, argv, 3);
    o.limits.idle_ms = number(argc, argv, 4);
    o.limits.connections_max = number(argc, argv, 5);
    if (r < 0 || rpc_server_start(&loop, &o, methods, ARRAY_SIZE(methods), &n, &n.server, &e) < 0) {
        fprintf(stderr, "rpc_echo_server: %s\n", e.message);
        return 1;
    }
    uv_pipe_init(&loop, &n.input, 0);
    n.input.data = &n;
    uv_pipe_open(&n.input, 0);
    uv_read_start((uv_stream_t *)&n.input, alloc_cb, input_cb);
    printf("%u\n", (unsigned int)rpc_server_port(n.server));
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    r = uv_loop_close(&loop);
    arena_deinit(&arena);
    fprintf(stderr, "ended: opened %zu closed %zu loop %d\n", n.opened, n.closed, r);
    return r == 0 && n.opened == n.closed ? 0 : 1;
}
