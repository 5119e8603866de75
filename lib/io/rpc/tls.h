/*
 * TLS 1.3 over bytes: OpenSSL without a socket. A tls_context holds the settings of one server or
 * client, a struct tls is one connection's side. Ciphertext comes in as a borrowed slice that is used
 * up at once and goes out into one buffer that the caller owns and empties after each call: an idle
 * connection keeps neither.
 */
#ifndef LOCKSTEP_IO_RPC_TLS_H
#define LOCKSTEP_IO_RPC_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

/* Ciphertext on its way out. `failed`: memory ran out, the connection must be closed. */
struct tls_out {
    uint8_t *data; /* owned */
    size_t len;
    size_t capacity;
    bool failed;
};

struct tls_context {
    unsigned int refs;
    SSL_CTX *ssl;       /* owned */
    BIO_METHOD *method; /* owned */
    bool server;
    char self[32];        /* "agent": who we are in an error text (client) */
    char fingerprint[65]; /* of the CA that the client insists on, "" when ca_pem is given */
};

struct tls_server_options {
    const char *chain_pem;
    const char *key_pem;
    const char *client_ca_pem; /* NULL: no client certificate is asked for */
};
int tls_context_new_server(const struct tls_server_options *options,
                           struct tls_context **ret_context, struct error *e);

struct tls_client_options {
    const char *ca_pem; /* one of these two */
    const char *ca_fingerprint;
    const char *certificate_pem; /* NULL: none */
    const char *key_pem;
    const char *self; /* NULL: "agent" */
};
int tls_context_new_client(const struct tls_client_options *options,
                           struct tls_context **ret_context, struct error *e);
struct tls_context *tls_context_ref(struct tls_context *context);
/* Frees it with the last reference. NULL does nothing. */
void tls_context_unref(struct tls_context *context);

struct tls {
    SSL *ssl;                    /* owned */
    struct tls_context *context; /* owned reference */
    struct tls_out *out;         /* borrowed */
    const uint8_t *in;           /* borrowed during a call */
    size_t in_len;
};

enum tls_result {
    TLS_DONE,   /* the handshake is finished, or bytes were read */
    TLS_AGAIN,  /* all input is used up */
    TLS_CLOSED, /* the peer said goodbye */
    TLS_FAILED, /* *e says why; an alert may be in `out` */
};

/* server_name: what the peer's certificate must be for (client), NULL on a server. 0 or E_LIMIT,
 * E_INVALID. */
int tls_init(struct tls *t, struct tls_context *context, struct tls_out *out,
             const char *server_name, struct error *e);
void tls_deinit(struct tls *t);

/* Hands ciphertext in; it must be used up by tls_handshake and tls_read before it goes away. */
void tls_feed(struct tls *t, const uint8_t *data, size_t len);
/* Goes on with the handshake; TLS_DONE only with TLS 1.3 and ALPN h2. */
enum tls_result tls_handshake(struct tls *t, struct error *e);
enum tls_result tls_read(struct tls *t, uint8_t *plain, size_t bytes, size_t *ret_len,
                         struct error *e);
int tls_write(struct tls *t, const uint8_t *plain, size_t len, struct error *e);
/* Why OpenSSL's last call failed, in words (tls_error.c); clears OpenSSL's own queue. */
void tls_describe_failure(const struct tls *t, struct error *e);
/* Says goodbye into `out`. */
void tls_shutdown(struct tls *t);

struct tls_peer {
    char *common_name; /* all owned, all may be NULL */
    char *role;
    char *serial;
    char *server_name;
};
/* Who is on the other side; E_DENIED when a certificate's names are not usable. */
int tls_peer_get(const struct tls *t, struct tls_peer *ret_peer, struct error *e);
void tls_peer_deinit(struct tls_peer *peer);

#endif
