/* Owns making keys, requests and certificates. It refuses request keys that are not P-256 and
 * subjects that are no names or no role. */
#include "lib/io/rpc/pki.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/str.h"
#include "lib/io/rpc/pem.h"

#define CLOCK_SLACK_SECONDS 300
#define DAY_SECONDS         86400
#define SERIAL_BYTES        16

static void free_certificate(X509 **p)
{
    X509_free(*p);
}
static void free_key(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
static void free_request(X509_REQ **p)
{
    X509_REQ_free(*p);
}
static void free_bio(BIO **p)
{
    BIO_free(*p);
}

static int openssl_error(struct error *e, const char *what)
{
    char text[160] = "no reason given";
    unsigned long code = ERR_peek_error();
    if (code != 0) {
        ERR_error_string_n(code, text, sizeof(text));
    }
    ERR_clear_error();
    return error_set(e, E_IO, "OpenSSL cannot make %s: %s", what, text);
}

/* ---- objects to text ---- */

static const char *bio_text(struct arena *arena, BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    return len <= 0 ? NULL : arena_strndup(arena, data, (size_t)len);
}

static const char *key_text(struct arena *arena, EVP_PKEY *key)
{
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_secmem());
    if (bio == NULL || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
        return NULL;
    }
    return bio_text(arena, bio);
}

static const char *certificate_text(struct arena *arena, X509 *first, X509 *second)
{
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_X509(bio, first) != 1 ||
        (second != NULL && PEM_write_bio_X509(bio, second) != 1)) {
        return NULL;
    }
    return bio_text(arena, bio);
}

/* ---- the parts of a certificate ---- */

static int add_name(X509_NAME *name, int nid, const char *text)
{
    return text == NULL || X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8,
                                                      (const unsigned char *)text, -1, -1, 0);
}

static int set_serial(X509 *certificate)
{
    unsigned char random[SERIAL_BYTES];
    if (RAND_bytes(random, sizeof(random)) != 1) {
        return 0;
    }
    random[0] &= 0x7F; /* positive, and never shorter for lack of a first byte */
    random[0] |= 0x40;
    BIGNUM *number = BN_bin2bn(random, sizeof(random), NULL);
    int ok =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return ok;
}

static int set_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* Serial, time, subject and key; issuer NULL: self-signed. */
static X509 *new_certificate(EVP_PKEY *key, X509 *issuer, const char *common_name, const char *role,
                             int64_t valid_seconds)
{
    X509 *c = X509_new();
    time_t now = time(NULL);
    if (c == NULL) {
        return NULL;
    }
    X509_NAME *subject = X509_get_subject_name(c);
    bool ok =
        X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) &&
        ASN1_TIME_set(X509_getm_notBefore(c), now - CLOCK_SLACK_SECONDS) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(c), now + (time_t)valid_seconds) != NULL &&
        add_name(subject, NID_organizationalUnitName, role) &&
        add_name(subject, NID_commonName, common_name) && X509_set_pubkey(c, key) == 1 &&
        X509_set_issuer_name(c, issuer == NULL ? subject : X509_get_subject_name(issuer)) == 1;
    if (!ok) {
        X509_free(c);
        return NULL;
    }
    return c;
}

static EVP_PKEY *new_key(void)
{
    return EVP_EC_gen("P-256");
}

/* ---- the CA ---- */

int pki_make_ca(struct arena *arena, const char *common_name, struct pki_identity *ret_ca,
                struct error *e)
{
    CLEANUP(free_key) EVP_PKEY *key = new_key();
    CLEANUP(free_certificate)
    X509 *c = key == NULL ? NULL
                          : new_certificate(key, NULL, common_name, NULL,
                                            (int64_t)PKI_CA_DAYS * DAY_SECONDS);
    if (c == NULL || !set_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !set_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !set_extension(c, c, NID_subject_key_identifier, "hash") ||
        X509_sign(c, key, EVP_sha256()) <= 0) {
        return openssl_error(e, "a CA");
    }
    struct pki_identity ca = {.key_pem = key_text(arena, key),
                              .certificate_pem = certificate_text(arena, c, NULL)};
    if (ca.key_pem == NULL || ca.certificate_pem == NULL) {
        return openssl_error(e, "a CA");
    }
    *ret_ca = ca;
    return 0;
}

static int read_first(const char *pem, const char *what, X509 **ret, struct error *e)
{
    STACK_OF(X509) *chain = NULL;
    int r = pem_read_chain(pem, what, &chain, e);
    if (r == 0) {
        *ret = sk_X509_shift(chain);
        sk_X509_pop_free(chain, X509_free);
    }
    return r;
}

static int read_identity(const struct pki_identity *identity, const char *what,
                         X509 **ret_certificate, EVP_PKEY **ret_key, struct error *e)
{
    int r = read_first(identity->certificate_pem, what, ret_certificate, e);
    if (r == 0) {
        r = pem_read_key(identity->key_pem, ret_key, e);
    }
    if (r == 0 && X509_check_private_key(*ret_certificate, *ret_key) != 1) {
        ERR_clear_error();
        r = error_set(e, E_INVALID,
                      "the private key does not belong to the %s: restore the two files that were "
                      "made together",
                      what);
    }
    return r;
}

int pki_check_identity(const struct pki_identity *identity, struct error *e)
{
    CLEANUP(free_certificate) X509 *c = NULL;
    CLEANUP(free_key) EVP_PKEY *key = NULL;
    return read_identity(identity, "certificate", &c, &key, e);
}

/* What a leaf of ours has beside its names, then the signature; never longer than the CA lives. */
static int sign_leaf(X509 *c, X509 *ca, EVP_PKEY *ca_key, const char *usage)
{
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, X509_get0_notAfter(c), X509_get0_notAfter(ca)) != 1) {
        return 0;
    }
    if ((days < 0 || seconds < 0) && X509_set1_notAfter(c, X509_get0_notAfter(ca)) != 1) {
        return 0;
    }
    return set_extension(c, ca, NID_basic_constraints, "critical,CA:FALSE") &&
           set_extension(c, ca, NID_key_usage, "critical,digitalSignature") &&
           set_extension(c, ca, NID_ext_key_usage, usage) &&
           set_extension(c, ca, NID_subject_key_identifier, "hash") &&
           set_extension(c, ca, NID_authority_key_identifier, "keyid") &&
           X509_sign(c, ca_key, EVP_sha256()) > 0;
}

/* ---- server certificates ---- */

static bool is_dns_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= 253 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == len;
}

/* Straight into the structure: text for OpenSSL's configuration language would need quoting. */
static int add_names(X509 *c, const struct pki_server_options *o, struct error *e)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    int r = names == NULL ? openssl_error(e, "a certificate") : 0;
    for (size_t i = 0; r == 0 && i < o->dns_count + o->address_count; i++) {
        bool is_dns = i < o->dns_count;
        const char *text = is_dns ? o->dns_names[i] : o->addresses[i - o->dns_count];
        GENERAL_NAME *name = GENERAL_NAME_new();
        void *value = NULL;
        if (is_dns && is_dns_name(text)) {
            ASN1_IA5STRING *ia5 = ASN1_IA5STRING_new();
            if (ia5 != NULL && ASN1_STRING_set(ia5, text, -1) == 1) {
                value = ia5;
            } else {
                ASN1_IA5STRING_free(ia5);
            }
        } else if (!is_dns) {
            value = a2i_IPADDRESS(text);
        }
        if (name == NULL || value == NULL) {
            GENERAL_NAME_free(name);
            r = error_set(e, E_INVALID, "\"%.200s\" is not %s that a server certificate can be for",
                          text, is_dns ? "a DNS name" : "an address");
            break;
        }
        GENERAL_NAME_set0_value(name, is_dns ? GEN_DNS : GEN_IPADD, value);
        if (sk_GENERAL_NAME_push(names, name) <= 0) {
            GENERAL_NAME_free(name);
            r = openssl_error(e, "a certificate");
        }
    }
    if (r == 0 && X509_add1_ext_i2d(c, NID_subject_alt_name, names, 0, 0) != 1) {
        r = openssl_error(e, "a certificate");
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    ERR_clear_error();
    return r;
}

int pki_make_server(struct arena *arena, const struct pki_identity *ca,
                    const struct pki_server_options *options, struct pki_identity *ret_server,
                    struct error *e)
{
    size_t count = options->dns_count + options->address_count;
    if (count == 0 || count > PKI_NAMES_MAX) {
        return error_set(e, E_INVALID,
                         "a server certificate is for 1 to %d names and addresses, not %zu",
                         PKI_NAMES_MAX, count);
    }
    const char *name = options->common_name != NULL ? options->common_name
                       : options->dns_count > 0     ? options->dns_names[0]
                                                    : options->addresses[0];
    if (strlen(name) >
        64) { /* X.520's bound of a common name; the alternative names count anyway */
        name = "lockstepd";
    }
    CLEANUP(free_certificate) X509 *issuer = NULL;
    CLEANUP(free_key) EVP_PKEY *ca_key = NULL;
    int r = read_identity(ca, "CA certificate", &issuer, &ca_key, e);
    if (r < 0) {
        return r;
    }
    unsigned int days = options->days != 0 ? options->days : PKI_SERVER_DAYS;
    CLEANUP(free_key) EVP_PKEY *key = new_key();
    CLEANUP(free_certificate)
    X509 *c =
        key == NULL ? NULL : new_certificate(key, issuer, name, NULL, (int64_t)days * DAY_SECONDS);
    if (c == NULL) {
        return openssl_error(e, "a server certificate");
    }
    r = add_names(c, options, e);
    if (r < 0) {
        return r;
    }
    if (!sign_leaf(c, issuer, ca_key, "serverAuth")) {
        return openssl_error(e, "a server certificate");
    }
    struct pki_identity server = {.key_pem = key_text(arena, key),
                                  .certificate_pem = certificate_text(arena, c, issuer)};
    if (server.key_pem == NULL || server.certificate_pem == NULL) {
        return openssl_error(e, "a server certificate");
    }
    *ret_server = server;
    return 0;
}

/* ---- requests ---- */

int pki_make_key(struct arena *arena, const char **ret_key_pem, struct error *e)
{
    CLEANUP(free_key) EVP_PKEY *key = new_key();
    const char *text = key == NULL ? NULL : key_text(arena, key);
    if (text == NULL) {
        return openssl_error(e, "a key");
    }
    *ret_key_pem = text;
    return 0;
}

int pki_make_request(struct arena *arena, const char *key_pem, const char *common_name,
                     const char **ret_request_pem, struct error *e)
{
    CLEANUP(free_key) EVP_PKEY *key = NULL;
    int r = pem_read_key(key_pem, &key, e);
    if (r < 0) {
        return r;
    }
    CLEANUP(free_request) X509_REQ *request = X509_REQ_new();
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());
    if (request == NULL || bio == NULL || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
        !add_name(X509_REQ_get_subject_name(request), NID_commonName, common_name) ||
        X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_REQ(bio, request) != 1) {
        return openssl_error(e, "a certificate request");
    }
    *ret_request_pem = bio_text(arena, bio);
    return 0;
}

static bool is_p256(EVP_PKEY *key)
{
    char group[64] = "";
    size_t len = 0;
    return EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
           str_equal(group, SN_X9_62_prime256v1);
}

static int check_subject(const struct pki_subject *s, struct error *e)
{
    static const char *const roles[] = {"agent", "viewer", "operator", "approver", "admin"};
    if (!str_is_name(s->name) || strlen(s->name) > 64) {
        return error_set(e, E_INVALID,
                         "\"%.100s\" is not a name that a certificate can carry (letters, digits, "
                         "'.', '_' and '-', at most 64)",
                         s->name != NULL ? s->name : "");
    }
    if (s->valid_seconds <= 0 || s->valid_seconds > (int64_t)PKI_CA_DAYS * DAY_SECONDS) {
        return error_set(e, E_INVALID, "a certificate is valid for 1 second to %d days",
                         PKI_CA_DAYS);
    }
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (str_equal(s->role, roles[i])) {
            return 0;
        }
    }
    return error_set(e, E_INVALID,
                     "\"%.40s\" is no role: agent, viewer, operator, approver or admin",
                     s->role != NULL ? s->role : "");
}

static int read_request(const char *pem, X509_REQ **ret_request, struct error *e)
{
    if (pem == NULL || strnlen(pem, PKI_PEM_BYTES_MAX) >= PKI_PEM_BYTES_MAX) {
        return error_set(e, E_INVALID, "the certificate request is missing or too large");
    }
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem, -1);
    CLEANUP(free_request)
    X509_REQ *request = bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    EVP_PKEY *key = request == NULL ? NULL : X509_REQ_get0_pubkey(request);
    const char *wrong = request == NULL                      ? "it is none in PEM"
                        : key == NULL || !is_p256(key)       ? "its key is not P-256"
                        : X509_REQ_verify(request, key) != 1 ? "its signature is wrong"
                                                             : NULL;
    ERR_clear_error();
    if (wrong != NULL) {
        return error_set(e, E_INVALID, "the certificate request is refused: %s", wrong);
    }
    *ret_request = request;
    request = NULL;
    return 0;
}

int pki_sign_request(struct arena *arena, const struct pki_identity *ca, const char *request_pem,
                     const struct pki_subject *subject, const char **ret_certificate_pem,
                     struct error *e)
{
    CLEANUP(free_certificate) X509 *issuer = NULL;
    CLEANUP(free_key) EVP_PKEY *ca_key = NULL;
    CLEANUP(free_request) X509_REQ *request = NULL;
    int r = check_subject(subject, e);
    if (r == 0) {
        r = read_identity(ca, "CA certificate", &issuer, &ca_key, e);
    }
    if (r == 0) {
        r = read_request(request_pem, &request, e);
    }
    if (r < 0) {
        return r;
    }
    CLEANUP(free_certificate)
    X509 *c = new_certificate(X509_REQ_get0_pubkey(request), issuer, subject->name, subject->role,
                              subject->valid_seconds);
    if (c == NULL || !sign_leaf(c, issuer, ca_key, "clientAuth")) {
        return openssl_error(e, "a client certificate");
    }
    const char *text = certificate_text(arena, c, NULL);
    if (text == NULL) {
        return openssl_error(e, "a client certificate");
    }
    *ret_certificate_pem = text;
    return 0;
}

int pki_make_client(struct arena *arena, const struct pki_identity *ca,
                    const struct pki_subject *subject, struct pki_identity *ret_client,
                    struct error *e)
{
    struct pki_identity client = {0};
    const char *request = NULL;
    int r = pki_make_key(arena, &client.key_pem, e);
    if (r == 0) {
        r = pki_make_request(arena, client.key_pem, subject->name, &request, e);
    }
    if (r == 0) {
        r = pki_sign_request(arena, ca, request, subject, &client.certificate_pem, e);
    }
    if (r == 0) {
        *ret_client = client;
    }
    return r;
}

/* ---- reading ---- */

static const char *entry_text(struct arena *arena, X509 *c, int nid)
{
    X509_NAME *subject = X509_get_subject_name(c);
    int at = X509_NAME_get_index_by_NID(subject, nid, -1);
    unsigned char *text = NULL;
    int len = at < 0 ? -1
                     : ASN1_STRING_to_UTF8(
                           &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    const char *copy = len > 0 ? arena_strndup(arena, (const char *)text, (size_t)len) : "";
    OPENSSL_free(text);
    return copy;
}

static int to_unix(const ASN1_TIME *time, int64_t *ret)
{
    struct tm tm = {0};
    if (ASN1_TIME_to_tm(time, &tm) != 1) {
        return -1;
    }
    *ret = (int64_t)timegm(&tm);
    return 0;
}

int pki_read_certificate(struct arena *arena, const char *pem,
                         struct pki_certificate *ret_certificate, struct error *e)
{
    CLEANUP(free_certificate) X509 *c = NULL;
    int r = read_first(pem, "certificate", &c, e);
    if (r < 0) {
        return r;
    }
    struct pki_certificate found = {.common_name = entry_text(arena, c, NID_commonName),
                                    .role = entry_text(arena, c, NID_organizationalUnitName)};
    char *serial = NULL;
    r = pem_serial(c, &serial, e);
    if (r < 0) {
        return r;
    }
    found.serial = arena_strdup(arena, serial);
    free(serial);
    if (to_unix(X509_get0_notBefore(c), &found.not_before) < 0 ||
        to_unix(X509_get0_notAfter(c), &found.not_after) < 0 ||
        pem_fingerprint(c, found.fingerprint) < 0) {
        return error_set(e, E_INVALID, "the certificate's times cannot be read");
    }
    *ret_certificate = found;
    return 0;
}

int pki_fingerprint(const char *pem, char ret_fingerprint[PKI_FINGERPRINT_BYTES], struct error *e)
{
    CLEANUP(free_certificate) X509 *c = NULL;
    int r = read_first(pem, "certificate", &c, e);
    if (r == 0 && pem_fingerprint(c, ret_fingerprint) < 0) {
        r = openssl_error(e, "a fingerprint");
    }
    return r;
}

int pki_random_token(char ret_token[PKI_TOKEN_BYTES], struct error *e)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[33] = {0}; /* 32, and a zero for the last group of three */
    if (RAND_bytes(random, 32) != 1) {
        return openssl_error(e, "random bytes");
    }
    for (size_t i = 0; i < PKI_TOKEN_BYTES - 1; i++) {
        size_t bit = i * 6;
        unsigned int pair = (unsigned int)random[bit / 8] << 8U;
        pair |= bit / 8 + 1 < sizeof(random) ? random[bit / 8 + 1] : 0U;
        ret_token[i] = digits[(pair >> (10U - bit % 8)) & 63U];
    }
    ret_token[PKI_TOKEN_BYTES - 1] = '\0';
    OPENSSL_cleanse(random, sizeof(random));
    return 0;
}
