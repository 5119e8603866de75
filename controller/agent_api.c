/*
 * Owns the service of agents. It refuses whoever has no agent's certificate, except for Enroll,
 * where a token buys one; and a certificate that is not the newest of its node.
 */
#include "controller/agent_api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/controller.h"
#include "controller/sessions.h"
#include "controller/trust.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/log.h"
#include "proto/agent.pb-c.h"

static struct controller *controller_of(const struct rpc_call *call)
{
    return rpc_call_server_data(call);
}

static bool is_agent(struct rpc_call *call)
{
    const struct rpc_peer *peer = rpc_call_peer(call);
    struct error e = {0};
    if (!str_equal(peer->role, "agent") || peer->common_name == NULL) {
        rpc_call_finish(call, RPC_UNAUTHENTICATED, "this call wants an agent's certificate");
        return false;
    }
    if (store_node_check(controller_of(call)->store, peer->common_name, peer->serial, &e) < 0) {
        rpc_call_finish_error(call, &e);
        return false;
    }
    return true;
}

/* ---- Enroll and Renew ---- */

static void reply_certificate(struct rpc_call *call, const char *certificate)
{
    struct controller *c = controller_of(call);
    Lockstep__V1__EnrollReply reply = LOCKSTEP__V1__ENROLL_REPLY__INIT;
    reply.certificate =
        (ProtobufCBinaryData){.data = (uint8_t *)certificate, .len = strlen(certificate)};
    reply.ca = (ProtobufCBinaryData){.data = (uint8_t *)c->ca.certificate_pem,
                                     .len = strlen(c->ca.certificate_pem)};
    struct arena arena;
    arena_init(&arena);
    size_t len = lockstep__v1__enroll_reply__get_packed_size(&reply);
    uint8_t *packed = arena_alloc(&arena, len);
    lockstep__v1__enroll_reply__pack(&reply, packed);
    bool sent = rpc_call_send(call, (struct bytes){.data = packed, .len = len}) == 0;
    rpc_call_finish(call, sent ? RPC_OK : RPC_RESOURCE_EXHAUSTED, NULL);
    arena_deinit(&arena);
}

static void on_enroll(struct rpc_call *call, struct bytes message)
{
    struct controller *c = controller_of(call);
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    Lockstep__V1__EnrollRequest *request =
        lockstep__v1__enroll_request__unpack(NULL, message.len, message.data);
    int r = request == NULL ? error_set(&e, E_INVALID, "that is no enrollment") : 0;
    if (r == 0 && !str_is_name(request->node)) {
        r = error_set(&e, E_INVALID, "that is no node's name");
    }
    const char *certificate = NULL;
    if (r == 0) {
        const char *csr = arena_strndup(&arena, (const char *)request->csr.data, request->csr.len);
        r = trust_enroll(c, &arena, request->node, request->token, csr, &certificate, &e);
        log_line(PROGRAM, "node %s %s from %s%s%s", request->node,
                 r == 0 ? "enrolled" : "could not enroll", rpc_call_peer(call)->address,
                 r < 0 ? ": " : "", r < 0 ? e.message : "");
    }
    if (r == 0) {
        reply_certificate(call, certificate);
    } else {
        rpc_call_finish_error(call, &e);
    }
    if (request != NULL) {
        lockstep__v1__enroll_request__free_unpacked(request, NULL);
    }
    arena_deinit(&arena);
}

static void on_renew(struct rpc_call *call, struct bytes message)
{
    if (!is_agent(call)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct error e = {0};
    Lockstep__V1__RenewRequest *request =
        lockstep__v1__renew_request__unpack(NULL, message.len, message.data);
    const char *certificate = NULL;
    int r = request == NULL ? error_set(&e, E_INVALID, "that is no renewal") : 0;
    if (r == 0) {
        const char *csr = arena_strndup(&arena, (const char *)request->csr.data, request->csr.len);
        r = trust_renew(controller_of(call), &arena, rpc_call_peer(call)->common_name, csr,
                        &certificate, &e);
    }
    if (r == 0) {
        reply_certificate(call, certificate);
    } else {
        rpc_call_finish_error(call, &e);
    }
    if (request != NULL) {
        lockstep__v1__renew_request__free_unpacked(request, NULL);
    }
    arena_deinit(&arena);
}

/* ---- Session ---- */

static void session_open(struct rpc_call *call)
{
    is_agent(call);
}

static void session_message(struct rpc_call *call, struct bytes message)
{
    sessions_message(controller_of(call), call, message);
}

static void session_half_close(struct rpc_call *call)
{
    rpc_call_finish(call, RPC_OK, NULL);
}

static void session_close(struct rpc_call *call, enum rpc_status status UNUSED,
                          const char *message UNUSED)
{
    sessions_call_closed(controller_of(call), call);
}

/* ---- Fetch ---- */

struct fetch {
    int fd;
    uint64_t offset;
    uint64_t end;
    uint64_t total;
};

static void fetch_free(struct rpc_call *call)
{
    struct fetch *f = rpc_call_get_data(call);
    if (f != NULL) {
        close(f->fd);
        free(f);
        rpc_call_set_data(call, NULL);
    }
}

static int send_chunk(struct rpc_call *call, struct fetch *f, uint8_t *data, size_t len)
{
    Lockstep__V1__FetchChunk chunk = LOCKSTEP__V1__FETCH_CHUNK__INIT;
    chunk.offset = f->offset;
    chunk.total = f->total;
    chunk.data = (ProtobufCBinaryData){.data = data, .len = len};
    size_t packed_len = lockstep__v1__fetch_chunk__get_packed_size(&chunk);
    uint8_t *packed = malloc(packed_len);
    assert(packed != NULL);
    lockstep__v1__fetch_chunk__pack(&chunk, packed);
    int r = rpc_call_send(call, (struct bytes){.data = packed, .len = packed_len});
    free(packed);
    return r;
}

/* Sends until the queue holds enough; on_drain goes on. */
static void fetch_pump(struct rpc_call *call)
{
    struct fetch *f = rpc_call_get_data(call);
    if (f == NULL) {
        return;
    }
    uint8_t *data = malloc(LIMIT_CHUNK_BYTES);
    assert(data != NULL);
    bool first = true;
    while (first || (f->offset < f->end && rpc_call_queued_bytes(call) <= 2 * LIMIT_CHUNK_BYTES)) {
        first = false;
        size_t want = (size_t)MIN((uint64_t)LIMIT_CHUNK_BYTES, f->end - f->offset);
        ssize_t got = pread(f->fd, data, want, (off_t)f->offset);
        if (got < 0 || (size_t)got < want) {
            rpc_call_finish(call, RPC_DATA_LOSS, "the blob cannot be read at the controller");
            break;
        }
        if (send_chunk(call, f, data, want) < 0) {
            break; /* full: on_drain; gone: on_close */
        }
        f->offset += want;
        if (f->offset == f->end) {
            rpc_call_finish(call, RPC_OK, NULL);
            break;
        }
    }
    free(data);
}

static int fetch_open(struct controller *c, struct rpc_call *call,
                      const Lockstep__V1__FetchRequest *request, struct error *e)
{
    if (request == NULL || strlen(request->sha256) != 64 ||
        strspn(request->sha256, "0123456789abcdef") != 64) {
        return error_set(e, E_INVALID, "that is no digest");
    }
    struct arena arena;
    arena_init(&arena);
    const char *path = arena_printf(&arena, "%s/%s", c->blobs_dir, request->sha256);
    int64_t size = file_size(path);
    int fd = size < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    arena_deinit(&arena);
    if (fd < 0) {
        return error_set(e, E_NOT_FOUND, "the controller has no blob %.12s", request->sha256);
    }
    if (request->offset > (uint64_t)size) {
        close(fd);
        return error_set(e, E_INVALID, "blob %.12s has %lld bytes", request->sha256,
                         (long long)size);
    }
    uint64_t left = (uint64_t)size - request->offset;
    struct fetch *f = calloc(1, sizeof(*f));
    assert(f != NULL);
    *f = (struct fetch){.fd = fd,
                        .offset = request->offset,
                        .end = request->offset +
                               (request->length != 0 ? MIN(request->length, left) : left),
                        .total = (uint64_t)size};
    rpc_call_set_data(call, f);
    return 0;
}

static void on_fetch(struct rpc_call *call, struct bytes message)
{
    if (!is_agent(call)) {
        return;
    }
    if (rpc_call_get_data(call) != NULL) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "one request is enough");
        return;
    }
    struct error e = {0};
    Lockstep__V1__FetchRequest *request =
        lockstep__v1__fetch_request__unpack(NULL, message.len, message.data);
    if (fetch_open(controller_of(call), call, request, &e) < 0) {
        rpc_call_finish_error(call, &e);
    } else {
        fetch_pump(call);
    }
    if (request != NULL) {
        lockstep__v1__fetch_request__free_unpacked(request, NULL);
    }
}

static void fetch_close(struct rpc_call *call, enum rpc_status status UNUSED,
                        const char *message UNUSED)
{
    fetch_free(call);
}

const struct rpc_method agent_api_methods[] = {
    {"/lockstep.v1.Agents/Enroll", {.on_message = on_enroll}},
    {"/lockstep.v1.Agents/Renew", {.on_message = on_renew}},
    {"/lockstep.v1.Agents/Session",
     {.on_open = session_open,
      .on_message = session_message,
      .on_half_close = session_half_close,
      .on_close = session_close}},
    {"/lockstep.v1.Agents/Fetch",
     {.on_message = on_fetch, .on_drain = fetch_pump, .on_close = fetch_close}},
};
const size_t agent_api_method_count = ARRAY_SIZE(agent_api_methods);
