/*
 * Certificates: the controller's own CA (P-256 ECDSA), server certificates, requests and what is
 * signed from them, fingerprints, random tokens and the files these live in. It refuses other key
 * types in requests than P-256, and names that are no names. The time in certificates is the system
 * clock's; not-before is five minutes back, for nodes whose clock is late.
 *
 * All functions: 0, or a negative code with *e set and the results untouched. Results are in the
 * arena.
 */
#ifndef LOCKSTEP_IO_RPC_PKI_H
#define LOCKSTEP_IO_RPC_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

#define PKI_FINGERPRINT_BYTES 65 /* 64 lower-case hex digits and NUL */
#define PKI_TOKEN_BYTES       44 /* 43 characters of base64url (32 random bytes) and NUL */
#define PKI_CA_DAYS           3650
#define PKI_SERVER_DAYS       397
#define PKI_NAMES_MAX         64
#define PKI_PEM_BYTES_MAX     (256 * 1024)

/* A private key and its certificate. */
struct pki_identity {
    const char *key_pem;
    const char *certificate_pem;
};

/* A new self-signed CA, PKI_CA_DAYS long. */
int pki_make_ca(struct arena *arena, const char *common_name, struct pki_identity *ret_ca,
                struct error *e);

struct pki_server_options {
    const char *common_name; /* NULL: the first name */
    const char *const *dns_names;
    size_t dns_count;
    const char *const *addresses; /* "127.0.0.1", "::1" */
    size_t address_count;
    unsigned int days; /* 0: PKI_SERVER_DAYS */
};
/* A new key and a server certificate signed by the CA; certificate_pem is the chain: its own, then
 * the CA's (what rpc_server_options.chain_pem wants). E_INVALID: no name, a bad address, a bad CA.
 */
int pki_make_server(struct arena *arena, const struct pki_identity *ca,
                    const struct pki_server_options *options, struct pki_identity *ret_server,
                    struct error *e);

int pki_make_key(struct arena *arena, const char **ret_key_pem, struct error *e);
/* A request for the holder of the key; the CA decides what it signs, the name is only a wish. */
int pki_make_request(struct arena *arena, const char *key_pem, const char *common_name,
                     const char **ret_request_pem, struct error *e);

struct pki_subject {
    const char *name; /* common name, str_is_name */
    const char
        *role; /* organizational unit: "agent", or "viewer", "operator", "approver", "admin" */
    int64_t valid_seconds; /* from now on; at most until the CA's own end */
};
/* Signs the request's key (never its subject) for client use, with a random 128-bit serial.
 * E_INVALID: the request is none, its signature is wrong, its key is not P-256, or the subject is
 * not allowed. */
int pki_sign_request(struct arena *arena, const struct pki_identity *ca, const char *request_pem,
                     const struct pki_subject *subject, const char **ret_certificate_pem,
                     struct error *e);
/* pki_make_key, pki_make_request and pki_sign_request in one, for a certificate made at the
 * controller. */
int pki_make_client(struct arena *arena, const struct pki_identity *ca,
                    const struct pki_subject *subject, struct pki_identity *ret_client,
                    struct error *e);

struct pki_certificate {
    const char *common_name; /* "" when it has none */
    const char *role;        /* "" when it has none */
    const char *serial;      /* lower-case hex, as rpc_peer.serial */
    int64_t not_before;      /* seconds since 1970, UTC */
    int64_t not_after;
    char fingerprint[PKI_FINGERPRINT_BYTES]; /* SHA-256 of its DER */
};
/* Of the first certificate in the text. */
int pki_read_certificate(struct arena *arena, const char *pem,
                         struct pki_certificate *ret_certificate, struct error *e);
int pki_fingerprint(const char *pem, char ret_fingerprint[PKI_FINGERPRINT_BYTES], struct error *e);
/* E_INVALID unless the key belongs to the first certificate. */
int pki_check_identity(const struct pki_identity *identity, struct error *e);

/* 32 random bytes as base64url. E_IO: the system's random source failed. */
int pki_random_token(char ret_token[PKI_TOKEN_BYTES], struct error *e);

/* Replaces the file in one step (temporary file beside it, fsync, rename); a secret is mode 0600,
 * else 0644. The folder must exist. */
int pki_write_file(const char *path, const char *text, bool secret, struct error *e);
/* The whole text of a PEM file, at most PKI_PEM_BYTES_MAX. E_NOT_FOUND, E_DENIED, E_INVALID (no PEM
 * in it). */
int pki_read_file(struct arena *arena, const char *path, const char **ret_pem, struct error *e);

#endif
