/* Owns reading PEM. It refuses keys with a passphrase: there is nobody to ask. */
#include "lib/io/rpc/pem.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16

static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

int pem_read_chain(const char *pem, const char *what, STACK_OF(X509) * *ret_chain, struct error *e)
{
    if (pem == NULL) {
        return error_set(e, E_INVALID, "the %s is missing", what);
    }
    STACK_OF(X509) *chain = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *one = NULL;
    while (chain != NULL && bio != NULL && sk_X509_num(chain) < CHAIN_MAX &&
           (one = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        if (sk_X509_push(chain, one) <= 0) {
            X509_free(one);
            break;
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    if (chain == NULL || sk_X509_num(chain) == 0) {
        sk_X509_free(chain);
        return error_set(e, E_INVALID, "the %s is not a certificate in PEM (BEGIN CERTIFICATE)",
                         what);
    }
    *ret_chain = chain;
    return 0;
}

int pem_read_key(const char *pem, EVP_PKEY **ret_key, struct error *e)
{
    BIO *bio = pem == NULL ? NULL : BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL) {
        return error_set(e, E_INVALID,
                         "the private key is not one in PEM without a passphrase "
                         "(BEGIN PRIVATE KEY)");
    }
    *ret_key = key;
    return 0;
}

int pem_fingerprint(X509 *certificate, char ret_hex[65])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1 || len != 32) {
        ERR_clear_error();
        return -1;
    }
    for (unsigned int i = 0; i < len; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4U];
        ret_hex[2 * i + 1] = digits[digest[i] & 15U];
    }
    ret_hex[64] = '\0';
    return 0;
}

int pem_serial(X509 *certificate, char **ret_serial, struct error *e)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number == NULL ? NULL : BN_bn2hex(number);
    char *copy = hex == NULL ? NULL : strdup(hex);
    OPENSSL_free(hex);
    BN_free(number);
    if (copy == NULL) {
        return error_set(e, E_LIMIT, "out of memory for a certificate");
    }
    for (char *c = copy; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'F') {
            *c = (char)(*c - 'A' + 'a');
        }
    }
    *ret_serial = copy;
    return 0;
}
