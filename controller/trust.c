/* Owns what is signed and by whom. It refuses a token that is not for this node, used, or over. */
#include "controller/trust.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/log.h"

#define OPERATOR_SECONDS (3650LL * 24 * 60 * 60)
#define TOKEN_MS         (24LL * 60 * 60 * 1000)
#define HOST_NAME_BYTES  256

static const char *in_state(struct controller *c, const char *name)
{
    return arena_printf(&c->arena, "%s/%s", c->options->state_dir, name);
}

static int write_identity(struct controller *c, const char *certificate, const char *key,
                          const struct pki_identity *identity, struct error *e)
{
    int r = pki_write_file(in_state(c, key), identity->key_pem, true, e);
    return r < 0 ? r
                 : pki_write_file(in_state(c, certificate), identity->certificate_pem, false, e);
}

static int open_ca(struct controller *c, struct error *e)
{
    int r = dir_make(in_state(c, "ca"), 0700, e);
    if (r < 0) {
        return r;
    }
    r = pki_read_file(&c->arena, in_state(c, "ca/ca.crt"), &c->ca.certificate_pem, e);
    if (r == E_NOT_FOUND && (file_exists(in_state(c, "ca/ca.key")) ||
                             file_exists(in_state(c, "operator/operator.crt")))) {
        return error_set(e, E_NOT_FOUND,
                         "%s is gone, but what it signed is in use: put it back from a backup (a "
                         "new CA would lock out "
                         "every agent and operator)",
                         in_state(c, "ca/ca.crt"));
    }
    if (r == E_NOT_FOUND) {
        r = pki_make_ca(&c->arena, "Lockstep CA", &c->ca, e);
        if (r == 0) {
            r = write_identity(c, "ca/ca.crt", "ca/ca.key", &c->ca, e);
        }
    } else if (r == 0) {
        r = pki_read_file(&c->arena, in_state(c, "ca/ca.key"), &c->ca.key_pem, e);
    }
    char fingerprint[PKI_FINGERPRINT_BYTES];
    if (r == 0) {
        r = pki_fingerprint(c->ca.certificate_pem, fingerprint, e);
    }
    if (r == 0) {
        c->ca_fingerprint = arena_strdup(&c->arena, fingerprint);
    }
    return r;
}

/* An address as opposed to a name: digits and dots, or a colon. */
static bool is_address(const char *name)
{
    return strchr(name, ':') != NULL || strspn(name, "0123456789.") == strlen(name);
}

int trust_open(struct controller *c, struct pki_identity *ret_server, struct error *e)
{
    int r = open_ca(c, e);
    if (r < 0) {
        return r;
    }
    const char *names[ARRAY_SIZE(c->options->names) + 4] = {TRUST_AGENTS_NAME, TRUST_OPERATORS_NAME,
                                                            "localhost"};
    const char *addresses[ARRAY_SIZE(c->options->names) + 2] = {"127.0.0.1", "::1"};
    size_t name_count = 3;
    size_t address_count = 2;
    char host[HOST_NAME_BYTES];
    if (gethostname(host, sizeof(host)) == 0 && str_is_name(host) &&
        !str_equal(host, "localhost")) {
        names[name_count++] = host;
    }
    for (size_t i = 0; i < c->options->name_count; i++) {
        if (is_address(c->options->names[i])) {
            addresses[address_count++] = c->options->names[i];
        } else {
            names[name_count++] = c->options->names[i];
        }
    }
    const struct pki_server_options options = {
        .common_name = "lockstepd",
        .dns_names = names,
        .dns_count = name_count,
        .addresses = addresses,
        .address_count = address_count,
    };
    r = pki_make_server(&c->arena, &c->ca, &options, ret_server, e);
    if (r == 0) {
        r = dir_make(in_state(c, "tls"), 0700, e);
    }
    return r < 0 ? r : write_identity(c, "tls/server.crt", "tls/server.key", ret_server, e);
}

int trust_write_operator(struct controller *c, uint16_t port, struct error *e)
{
    int r = dir_make(in_state(c, "operator"), 0700, e);
    if (r == 0 && !file_exists(in_state(c, "operator/operator.crt"))) {
        struct pki_identity first = {0};
        const struct pki_subject subject = {
            .name = "admin", .role = "admin", .valid_seconds = OPERATOR_SECONDS};
        r = pki_make_client(&c->arena, &c->ca, &subject, &first, e);
        if (r == 0) {
            r = pki_write_file(in_state(c, "operator/ca.crt"), c->ca.certificate_pem, false, e);
        }
        if (r == 0) {
            r = write_identity(c, "operator/operator.crt", "operator/operator.key", &first, e);
        }
    }
    if (r < 0) {
        return r;
    }
    bool any = str_equal(c->options->host, "0.0.0.0") || str_equal(c->options->host, "::");
    const char *address =
        arena_printf(&c->arena, "%s:%u\n", any ? "127.0.0.1" : c->options->host, port);
    return file_write(in_state(c, "operator/controller"), address, strlen(address), 0644, e);
}

int trust_make_token(struct controller *c, struct arena *arena, const char *node, int64_t valid_ms,
                     const char **ret_token, int64_t *ret_ends_ms, struct error *e)
{
    if (!str_is_name(node) || str_equal(node, "controller")) {
        return error_set(e, E_INVALID,
                         "\"%s\" cannot be a node's name: letters, digits, '.', '_' and '-'", node);
    }
    if (valid_ms < 0 || valid_ms > LIMIT_DURATION_MS) {
        return error_set(e, E_INVALID, "a token is valid for at most 30 days");
    }
    char secret[PKI_TOKEN_BYTES];
    int r = pki_random_token(secret, e);
    if (r < 0) {
        return r;
    }
    char digest[DIGEST_HEX_BYTES];
    digest_bytes_hex(secret, strlen(secret), digest);
    int64_t ends_ms = act_now_ms() + (valid_ms > 0 ? valid_ms : TOKEN_MS);
    r = store_token_put(c->store, node, digest, ends_ms, e);
    if (r < 0) {
        return r;
    }
    *ret_token = arena_printf(arena, "ls1.%s.%s.%s", node, c->ca_fingerprint, secret);
    *ret_ends_ms = ends_ms;
    return 0;
}

static int sign(struct controller *c, struct arena *arena, const char *node,
                const char *request_pem, const char **ret_certificate_pem, struct error *e)
{
    const struct pki_subject subject = {
        .name = node, .role = "agent", .valid_seconds = TRUST_AGENT_SECONDS};
    return pki_sign_request(arena, &c->ca, request_pem, &subject, ret_certificate_pem, e);
}

static int remember(struct controller *c, struct arena *arena, const char *node,
                    const char *certificate_pem, bool renewed, struct error *e)
{
    struct pki_certificate certificate;
    int r = pki_read_certificate(arena, certificate_pem, &certificate, e);
    if (r < 0) {
        return r;
    }
    int64_t ends_ms = certificate.not_after * 1000;
    return renewed ? store_node_renewed(c->store, node, certificate.serial, ends_ms, e)
                   : store_node_enrolled(c->store, node, certificate.serial, ends_ms, e);
}

int trust_enroll(struct controller *c, struct arena *arena, const char *node, const char *secret,
                 const char *request_pem, const char **ret_certificate_pem, struct error *e)
{
    char digest[DIGEST_HEX_BYTES];
    digest_bytes_hex(secret, strlen(secret), digest);
    /* Signed first: a bad request must not use the token up. */
    int r = sign(c, arena, node, request_pem, ret_certificate_pem, e);
    if (r == 0) {
        r = store_token_use(c->store, node, digest, act_now_ms(), e);
    }
    return r < 0 ? r : remember(c, arena, node, *ret_certificate_pem, false, e);
}

int trust_renew(struct controller *c, struct arena *arena, const char *node,
                const char *request_pem, const char **ret_certificate_pem, struct error *e)
{
    int r = sign(c, arena, node, request_pem, ret_certificate_pem, e);
    return r < 0 ? r : remember(c, arena, node, *ret_certificate_pem, true, e);
}
