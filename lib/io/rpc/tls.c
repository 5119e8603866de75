/* Owns OpenSSL: contexts, the BIO that joins it to our buffers, verification and who the peer is.
 * It refuses anything below TLS 1.3, a peer without ALPN h2, resumption (a ticket would outlive a
 * revoked certificate). */
#include "lib/io/rpc/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "lib/base/str.h"
#include "lib/io/rpc/pem.h"

#define OUT_FIRST_BYTES 16384

static const unsigned char alpn_h2[] = {2, 'h', '2'};

/* ---- the BIO ---- */

static int out_reserve(struct tls_out *out, size_t more)
{
    if (out->capacity - out->len >= more) {
        return 0;
    }
    size_t capacity = MAX(MAX(out->capacity * 2, out->len + more), (size_t)OUT_FIRST_BYTES);
    uint8_t *data = realloc(out->data, capacity);
    if (data == NULL) {
        out->failed = true;
        return -1;
    }
    out->data = data;
    out->capacity = capacity;
    return 0;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0 || out_reserve(t->out, (size_t)len) < 0) {
        return -1;
    }
    memcpy(t->out->data + t->out->len, data, (size_t)len);
    t->out->len += (size_t)len;
    return len;
}

static int bio_read(BIO *bio, char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0) {
        return 0;
    }
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = MIN((size_t)len, t->in_len);
    memcpy(data, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 100, "lockstep");
    if (m != NULL) {
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_ctrl(m, bio_ctrl);
    }
    return m;
}

/* ---- contexts ---- */

static int select_h2(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                     const unsigned char *offered, unsigned int offered_len, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, ret_len, alpn_h2, sizeof(alpn_h2), offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static struct tls_context *context_new(bool server, struct error *e)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        error_set(e, E_LIMIT, "out of memory for TLS");
        return NULL;
    }
    c->refs = 1;
    c->server = server;
    c->method = make_method();
    c->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (c->method == NULL || c->ssl == NULL ||
        SSL_CTX_set_min_proto_version(c->ssl, TLS1_3_VERSION) != 1) {
        error_set(e, E_LIMIT, "OpenSSL cannot make a TLS 1.3 context");
        tls_context_unref(c);
        return NULL;
    }
    SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_clear_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c->ssl, 0);
    SSL_CTX_set_read_ahead(c->ssl, 0);
    return c;
}

static int use_identity(struct tls_context *c, const char *chain_pem, const char *key_pem,
                        struct error *e)
{
    STACK_OF(X509) *chain = NULL;
    EVP_PKEY *key = NULL;
    int r = pem_read_chain(chain_pem, "certificate", &chain, e);
    if (r == 0) {
        r = pem_read_key(key_pem, &key, e);
    }
    if (r == 0) {
        X509 *leaf = sk_X509_shift(chain);
        if (SSL_CTX_use_cert_and_key(c->ssl, leaf, key, chain, 1) != 1) {
            r = error_set(e, E_INVALID,
                          "the private key does not belong to the certificate: use the two files "
                          "that were made together");
        }
        X509_free(leaf);
    }
    sk_X509_pop_free(chain, X509_free);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return r;
}

static int trust(struct tls_context *c, const char *ca_pem, struct error *e)
{
    STACK_OF(X509) *chain = NULL;
    int r = pem_read_chain(ca_pem, "CA certificate", &chain, e);
    X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);
    for (int i = 0; r == 0 && i < sk_X509_num(chain); i++) {
        X509 *ca = sk_X509_value(chain, i);
        if (X509_STORE_add_cert(store, ca) != 1 ||
            (c->server && SSL_CTX_add_client_CA(c->ssl, ca) != 1)) {
            r = error_set(e, E_LIMIT, "OpenSSL cannot keep the CA certificate");
        }
    }
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return r;
}

int tls_context_new_server(const struct tls_server_options *options,
                           struct tls_context **ret_context, struct error *e)
{
    struct tls_context *c = context_new(true, e);
    if (c == NULL) {
        return E_LIMIT;
    }
    int r = use_identity(c, options->chain_pem, options->key_pem, e);
    if (r == 0 && options->client_ca_pem != NULL) {
        r = trust(c, options->client_ca_pem, e);
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    }
    if (r < 0) {
        tls_context_unref(c);
        return r;
    }
    SSL_CTX_set_alpn_select_cb(c->ssl, select_h2, NULL);
    *ret_context = c;
    return 0;
}

/* Enrolment: the CA that the server sent is the one with the fingerprint we were given by hand,
 * and nothing else is trusted; then OpenSSL verifies as always, the server's name included. */
static int verify_pinned(X509_STORE_CTX *store, void *arg)
{
    const struct tls_context *c = arg;
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    STACK_OF(X509) *trusted = sk_X509_new_null();
    for (int i = 0; trusted != NULL && i < sk_X509_num(sent); i++) {
        char fingerprint[65];
        X509 *certificate = sk_X509_value(sent, i);
        if (pem_fingerprint(certificate, fingerprint) == 0 &&
            str_equal(fingerprint, c->fingerprint) && X509_check_ca(certificate) > 0) {
            sk_X509_push(trusted, certificate);
        }
    }
    int ok = 0;
    if (sk_X509_num(trusted) <= 0) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
    } else {
        X509_STORE_CTX_set0_trusted_stack(store, trusted);
        ok = X509_verify_cert(store) == 1;
    }
    sk_X509_free(trusted);
    return ok;
}

int tls_context_new_client(const struct tls_client_options *options,
                           struct tls_context **ret_context, struct error *e)
{
    if ((options->ca_pem == NULL) == (options->ca_fingerprint == NULL)) {
        return error_set(e, E_INVALID,
                         "a client needs either the CA's certificate or its fingerprint");
    }
    struct tls_context *c = context_new(false, e);
    if (c == NULL) {
        return E_LIMIT;
    }
    int r = 0;
    if (options->ca_pem != NULL) {
        r = trust(c, options->ca_pem, e);
    } else if (strspn(options->ca_fingerprint, "0123456789abcdef") != 64 ||
               strlen(options->ca_fingerprint) != 64) {
        r = error_set(e, E_INVALID,
                      "the CA's fingerprint must be 64 lower-case hex digits (SHA-256)");
    } else {
        memcpy(c->fingerprint, options->ca_fingerprint, sizeof(c->fingerprint));
        SSL_CTX_set_cert_verify_callback(c->ssl, verify_pinned, c);
    }
    if (r == 0 && options->certificate_pem != NULL) {
        r = options->key_pem == NULL
                ? error_set(e, E_INVALID, "a client certificate needs its private key")
                : use_identity(c, options->certificate_pem, options->key_pem, e);
    }
    if (r < 0) {
        tls_context_unref(c);
        return r;
    }
    snprintf(c->self, sizeof(c->self), "%s", options->self != NULL ? options->self : "agent");
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(c->ssl, alpn_h2, sizeof(alpn_h2));
    *ret_context = c;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL || --context->refs > 0) {
        return;
    }
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->method);
    free(context);
}

/* ---- one connection ---- */

static int expect_name(SSL *ssl, const char *name)
{
    unsigned char address[16];
    if (uv_inet_pton(AF_INET, name, address) == 0 || uv_inet_pton(AF_INET6, name, address) == 0) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

int tls_init(struct tls *t, struct tls_context *context, struct tls_out *out,
             const char *server_name, struct error *e)
{
    *t = (struct tls){.out = out};
    SSL *ssl = SSL_new(context->ssl);
    BIO *bio = BIO_new(context->method);
    if (ssl == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        ERR_clear_error();
        return error_set(e, E_LIMIT, "out of memory for a TLS connection");
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    t->ssl = ssl;
    t->context = tls_context_ref(context);
    if (context->server) {
        SSL_set_accept_state(ssl);
        return 0;
    }
    SSL_set_connect_state(ssl);
    if (expect_name(ssl, server_name) != 1) {
        tls_deinit(t);
        ERR_clear_error();
        return error_set(e, E_INVALID, "\"%.200s\" is not a usable server name", server_name);
    }
    return 0;
}

void tls_deinit(struct tls *t)
{
    SSL_free(t->ssl);
    tls_context_unref(t->context);
    *t = (struct tls){0};
}

void tls_feed(struct tls *t, const uint8_t *data, size_t len)
{
    assert(t->in_len == 0);
    t->in = data;
    t->in_len = len;
}

static enum tls_result result_of(struct tls *t, int returned, struct error *e)
{
    int reason = SSL_get_error(t->ssl, returned);
    if (t->out->failed) {
        error_set(e, E_LIMIT, "out of memory for a TLS connection");
        return TLS_FAILED;
    }
    if (reason == SSL_ERROR_WANT_READ) {
        ERR_clear_error();
        return TLS_AGAIN;
    }
    if (reason == SSL_ERROR_ZERO_RETURN) {
        ERR_clear_error();
        return TLS_CLOSED;
    }
    tls_describe_failure(t, e);
    return TLS_FAILED;
}

enum tls_result tls_handshake(struct tls *t, struct error *e)
{
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r != 1) {
        return result_of(t, r, e);
    }
    const unsigned char *protocol = NULL;
    unsigned int len = 0;
    SSL_get0_alpn_selected(t->ssl, &protocol, &len);
    if (len != 2 || memcmp(protocol, "h2", 2) != 0) {
        error_set(e, E_INVALID,
                  "the peer does not speak HTTP/2 (no ALPN \"h2\"): it is no gRPC peer");
        return TLS_FAILED;
    }
    return TLS_DONE;
}

enum tls_result tls_read(struct tls *t, uint8_t *plain, size_t bytes, size_t *ret_len,
                         struct error *e)
{
    ERR_clear_error();
    int r = SSL_read(t->ssl, plain, (int)MIN(bytes, (size_t)INT32_MAX));
    if (r <= 0) {
        return result_of(t, r, e);
    }
    *ret_len = (size_t)r;
    return TLS_DONE;
}

int tls_write(struct tls *t, const uint8_t *plain, size_t len, struct error *e)
{
    assert(len > 0 && len <= INT32_MAX);
    ERR_clear_error();
    int r = SSL_write(t->ssl, plain, (int)len);
    if (r <= 0) {
        result_of(t, r, e);
        return e->code < 0 ? e->code : error_set(e, E_IO, "TLS cannot write");
    }
    return 0;
}

void tls_shutdown(struct tls *t)
{
    /* Only after the handshake, and not after a fatal error: OpenSSL has sent its alert then. */
    if (t->ssl != NULL && SSL_is_init_finished(t->ssl)) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
}

/* ---- who the peer is ---- */

/* One entry of the subject as owned text; NULL in *ret when there is none. A name with a NUL or of
 * an unlikely length is refused: what two readers read differently is no name. */
static int subject_entry(X509 *certificate, int nid, char **ret, struct error *e)
{
    *ret = NULL;
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, nid, -1);
    if (at < 0) {
        return 0;
    }
    unsigned char *text = NULL;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len <= 0 || len > LIMIT_NAME_BYTES || memchr(text, 0, (size_t)len) != NULL) {
        OPENSSL_free(text);
        return error_set(e, E_DENIED, "the peer's certificate has a name that cannot be used");
    }
    *ret = strndup((const char *)text, (size_t)len);
    OPENSSL_free(text);
    return *ret == NULL ? error_set(e, E_LIMIT, "out of memory for a TLS connection") : 0;
}

int tls_peer_get(const struct tls *t, struct tls_peer *ret_peer, struct error *e)
{
    struct tls_peer peer = {0};
    int r = 0;
    const char *asked = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    if (asked != NULL) {
        peer.server_name = strndup(asked, 255);
    }
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);
    if (certificate != NULL) {
        r = subject_entry(certificate, NID_commonName, &peer.common_name, e);
        if (r == 0 && peer.common_name == NULL) {
            r = error_set(e, E_DENIED, "the peer's certificate has no common name");
        }
        if (r == 0) {
            r = subject_entry(certificate, NID_organizationalUnitName, &peer.role, e);
        }
        if (r == 0) {
            r = pem_serial(certificate, &peer.serial, e);
        }
    }
    if (r < 0) {
        tls_peer_deinit(&peer);
        return r;
    }
    *ret_peer = peer;
    return 0;
}

void tls_peer_deinit(struct tls_peer *peer)
{
    free(peer->common_name);
    free(peer->role);
    free(peer->serial);
    free(peer->server_name);
    *peer = (struct tls_peer){0};
}
