/* PEM text to OpenSSL's objects and what is read from certificates; shared by tls and pki. */
#ifndef LOCKSTEP_IO_RPC_PEM_H
#define LOCKSTEP_IO_RPC_PEM_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/base/error.h"

/* All certificates of the text, in order, at least one; `what` names the text in errors. The
 * caller frees the stack and what is in it. */
int pem_read_chain(const char *pem, const char *what, STACK_OF(X509) * *ret_chain, struct error *e);
/* A private key without a passphrase; the caller frees it. */
int pem_read_key(const char *pem, EVP_PKEY **ret_key, struct error *e);
/* SHA-256 of the DER as 64 lower-case hex digits. 0 or -1. */
int pem_fingerprint(X509 *certificate, char ret_hex[65]);
/* Lower-case hex; the caller frees it. */
int pem_serial(X509 *certificate, char **ret_serial, struct error *e);

#endif
