/* Owns STATE/tls: making, reading and renewing the agent's certificate. The token is used once and
 * kept nowhere. */
#include "node-agent/identity.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/rpc/pki.h"
#include "proto/agent.pb-c.h"

#define CALL_MS 20000

static const char *file_in(struct arena *arena, const struct agent_options *options,
                           const char *name)
{
    return arena_printf(arena, "%s/tls/%s", options->state_dir, name);
}

int identity_read(struct arena *arena, const struct agent_options *options, struct identity *ret,
                  struct error *e)
{
    struct identity id = {.ca_file = file_in(arena, options, "ca.crt"),
                          .certificate_file = file_in(arena, options, "agent.crt"),
                          .key_file = file_in(arena, options, "agent.key")};
    struct pki_certificate certificate;
    int r = pki_read_file(arena, id.certificate_file, &id.certificate_pem, e);
    if (r == E_NOT_FOUND) {
        return error_set(e, E_NOT_FOUND,
                         "this agent has no certificate in %s/tls: run `lockstep node enroll NAME` "
                         "and start it once "
                         "with --token",
                         options->state_dir);
    }
    if (r == 0) {
        r = pki_read_file(arena, id.key_file, &id.key_pem, e);
    }
    if (r == 0) {
        r = pki_read_file(arena, id.ca_file, &id.ca_pem, e);
    }
    if (r == 0) {
        r = pki_read_certificate(arena, id.certificate_pem, &certificate, e);
    }
    if (r < 0) {
        return r;
    }
    id.node = arena_strdup(arena, certificate.common_name);
    int64_t life = certificate.not_after - certificate.not_before;
    id.renew_at_ms = (certificate.not_before + life / 3 * 2) * 1000;
    *ret = id;
    return 0;
}

/* "ls1.NODE.FINGERPRINT.SECRET"; a node's name may hold dots. */
struct token {
    const char *node, *fingerprint, *secret;
};

static int token_read(struct arena *arena, const char *text, struct token *ret, struct error *e)
{
    char *copy = arena_strndup(arena, text, strlen(text));
    char *secret = strrchr(copy, '.');
    char *fingerprint = NULL;
    if (secret != NULL) {
        *secret++ = '\0';
        fingerprint = strrchr(copy, '.');
    }
    if (fingerprint != NULL) {
        *fingerprint++ = '\0';
    }
    if (fingerprint == NULL || !str_starts(copy, "ls1.") ||
        strlen(fingerprint) != PKI_FINGERPRINT_BYTES - 1 || !str_is_name(copy + 4)) {
        return error_set(e, E_INVALID,
                         "that is no enrollment token: it looks like ls1.NODE.FINGERPRINT.SECRET, "
                         "and `lockstep node "
                         "enroll NODE` prints one");
    }
    *ret = (struct token){.node = copy + 4, .fingerprint = fingerprint, .secret = secret};
    return 0;
}

static const char *token_digest(struct arena *arena, const struct agent_options *options)
{
    char digest[DIGEST_HEX_BYTES];
    digest_bytes_hex(options->token, strlen(options->token), digest);
    return arena_strdup(arena, digest);
}

bool identity_token_is_spent(struct arena *arena, const struct agent_options *options)
{
    char *text = NULL;
    size_t len = 0;
    int r = file_read(arena, file_in(arena, options, "token.sha256"), LIMIT_NAME_BYTES, &text, &len,
                      NULL);
    return r == 0 && str_equal(text, token_digest(arena, options));
}

/* One call on a connection of its own. */
static int call(struct arena *arena, const struct rpc_client_options *options, const char *path,
                struct bytes request, struct bytes *ret_reply, struct error *e)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) {
        return error_set(e, E_LIMIT, "no event loop could be made");
    }
    struct rpc_client *client = NULL;
    int r = rpc_client_new(&loop, options, NULL, NULL, &client, e);
    if (r == 0) {
        r = rpc_client_unary(client, path, request, CALL_MS, arena, ret_reply, e);
        rpc_client_close_wait(client);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return r;
}

static int keep(struct arena *arena, const struct agent_options *options, const char *key_pem,
                struct bytes reply, struct error *e)
{
    Lockstep__V1__EnrollReply *message =
        lockstep__v1__enroll_reply__unpack(NULL, reply.len, reply.data);
    if (message == NULL) {
        return error_set(e, E_INVALID,
                         "the controller's answer cannot be read: is it another version?");
    }
    const char *certificate =
        arena_strndup(arena, (const char *)message->certificate.data, message->certificate.len);
    const char *ca = arena_strndup(arena, (const char *)message->ca.data, message->ca.len);
    lockstep__v1__enroll_reply__free_unpacked(message, NULL);
    int r = pki_check_identity(
        &(struct pki_identity){.key_pem = key_pem, .certificate_pem = certificate}, e);
    if (r == 0) {
        r = dir_make(file_in(arena, options, "."), 0700, e);
    }
    if (r == 0) {
        r = pki_write_file(file_in(arena, options, "agent.key"), key_pem, true, e);
    }
    if (r == 0) {
        r = pki_write_file(file_in(arena, options, "ca.crt"), ca, false, e);
    }
    /* The certificate comes last: it is what identity_read() looks for. */
    return r < 0 ? r : pki_write_file(file_in(arena, options, "agent.crt"), certificate, false, e);
}

int identity_enroll(struct arena *arena, const struct agent_options *options, struct error *e)
{
    struct token token;
    const char *key = NULL;
    const char *request_pem = NULL;
    int r = token_read(arena, options->token, &token, e);
    if (r == 0) {
        r = pki_make_key(arena, &key, e);
    }
    if (r == 0) {
        r = pki_make_request(arena, key, token.node, &request_pem, e);
    }
    if (r < 0 || request_pem == NULL) {
        return r;
    }
    Lockstep__V1__EnrollRequest request = LOCKSTEP__V1__ENROLL_REQUEST__INIT;
    request.token = (char *)token.secret;
    request.node = (char *)token.node;
    request.csr.data = (uint8_t *)request_pem;
    request.csr.len = strlen(request_pem);
    size_t len = lockstep__v1__enroll_request__get_packed_size(&request);
    uint8_t *packed = arena_alloc(arena, len);
    lockstep__v1__enroll_request__pack(&request, packed);
    const struct rpc_client_options client = {.host = options->host,
                                              .port = options->port,
                                              .server_name = AGENT_SERVER_NAME,
                                              .ca_fingerprint = token.fingerprint};
    struct bytes reply;
    r = call(arena, &client, "/lockstep.v1.Agents/Enroll", (struct bytes){packed, len}, &reply, e);
    if (r == 0) {
        r = keep(arena, options, key, reply, e);
    }
    const char *digest = token_digest(arena, options);
    return r < 0 ? r
                 : file_write(file_in(arena, options, "token.sha256"), digest, strlen(digest), 0600,
                              e);
}

int identity_renew(struct arena *arena, const struct agent_options *options,
                   const struct identity *identity, struct error *e)
{
    const char *request_pem = NULL;
    int r = pki_make_request(arena, identity->key_pem, identity->node, &request_pem, e);
    if (r < 0 || request_pem == NULL) {
        return r;
    }
    Lockstep__V1__RenewRequest request = LOCKSTEP__V1__RENEW_REQUEST__INIT;
    request.csr.data = (uint8_t *)request_pem;
    request.csr.len = strlen(request_pem);
    size_t len = lockstep__v1__renew_request__get_packed_size(&request);
    uint8_t *packed = arena_alloc(arena, len);
    lockstep__v1__renew_request__pack(&request, packed);
    const struct rpc_client_options client = {.host = options->host,
                                              .port = options->port,
                                              .server_name = AGENT_SERVER_NAME,
                                              .ca_pem = identity->ca_pem,
                                              .certificate_pem = identity->certificate_pem,
                                              .key_pem = identity->key_pem};
    struct bytes reply;
    r = call(arena, &client, "/lockstep.v1.Agents/Renew", (struct bytes){packed, len}, &reply, e);
    return r < 0 ? r : keep(arena, options, identity->key_pem, reply, e);
}
