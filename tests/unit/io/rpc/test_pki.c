/* Certificates, requests, fingerprints, tokens and their files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lib/io/platform/digest.h"
#include "lib/io/rpc/pki.h"

struct pki {
    struct arena arena;
    struct pki_identity ca;
    char folder[64];
};

static int setup(void **state)
{
    struct pki *p = calloc(1, sizeof(*p));
    struct error e = {0};
    assert_non_null(p);
    arena_init(&p->arena);
    assert_int_equal(pki_make_ca(&p->arena, "Lockstep CA", &p->ca, &e), 0);
    snprintf(p->folder, sizeof(p->folder), "/tmp/lockstep-pki-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pki *p = *state;
    assert_int_equal(rmdir(p->folder), 0); /* no temporary file is left */
    arena_deinit(&p->arena);
    free(p);
    return 0;
}

static X509 *parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *c = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(c);
    return c;
}

static void makes_a_ca_for_ten_years(void **state)
{
    struct pki *p = *state;
    struct pki_certificate c = {0};
    struct error e = {0};
    assert_int_equal(pki_read_certificate(&p->arena, p->ca.certificate_pem, &c, &e), 0);
    assert_string_equal(c.common_name, "Lockstep CA");
    assert_string_equal(c.role, "");
    int64_t now = (int64_t)time(NULL);
    assert_in_range(c.not_after, now + 3650LL * 86400 - 60, now + 3650LL * 86400 + 60);
    assert_in_range(c.not_before, now - 400, now - 200);
    X509 *x = parse(p->ca.certificate_pem);
    assert_int_equal(X509_check_ca(x), 1);
    X509_free(x);
    assert_int_equal(pki_check_identity(&p->ca, &e), 0);
}

static void makes_a_server_certificate_for_its_names_only(void **state)
{
    struct pki *p = *state;
    static const char *const names[] = {"ctl.example", "ctl"};
    static const char *const addresses[] = {"192.0.2.7", "2001:db8::7"};
    struct pki_server_options o = {
        .dns_names = names, .dns_count = 2, .addresses = addresses, .address_count = 2};
    struct pki_identity server = {0};
    struct error e = {0};
    assert_int_equal(pki_make_server(&p->arena, &p->ca, &o, &server, &e), 0);
    X509 *x = parse(server.certificate_pem);
    X509 *ca = parse(p->ca.certificate_pem);
    assert_int_equal(X509_check_host(x, "ctl.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "other.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(x, "2001:db8::7", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "192.0.2.8", 0), 0);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0), 1);
    assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_CLIENT, 0), 0);
    EVP_PKEY *key = X509_get0_pubkey(ca);
    assert_int_equal(X509_verify(x, key), 1);
    X509_free(x);
    X509_free(ca);
    static const char *const evil[] = {"x,DNS:bank.example"};
    o = (struct pki_server_options){.dns_names = evil, .dns_count = 1};
    assert_int_equal(pki_make_server(&p->arena, &p->ca, &o, &server, &e), E_INVALID);
    static const char *const no_address[] = {"300.1.1.1"};
    o = (struct pki_server_options){.addresses = no_address, .address_count = 1};
    assert_int_equal(pki_make_server(&p->arena, &p->ca, &o, &server, &e), E_INVALID);
    o = (struct pki_server_options){0};
    assert_int_equal(pki_make_server(&p->arena, &p->ca, &o, &server, &e), E_INVALID);
}

static void signs_the_key_of_a_request_and_never_its_subject(void **state)
{
    struct pki *p = *state;
    const char *key = NULL;
    const char *request = NULL;
    const char *certificate = NULL;
    struct pki_subject subject = {.name = "app-1", .role = "agent", .valid_seconds = 3600};
    struct pki_certificate c = {0};
    struct pki_certificate second = {0};
    struct error e = {0};
    assert_int_equal(pki_make_key(&p->arena, &key, &e), 0);
    assert_int_equal(pki_make_request(&p->arena, key, "admin", &request, &e), 0);
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, request, &subject, &certificate, &e), 0);
    struct pki_identity made = {.key_pem = key, .certificate_pem = certificate};
    assert_int_equal(pki_check_identity(&made, &e), 0);
    assert_int_equal(pki_read_certificate(&p->arena, certificate, &c, &e), 0);
    assert_string_equal(c.common_name, "app-1");
    assert_string_equal(c.role, "agent");
    assert_int_equal(strlen(c.serial), 32);
    assert_in_range(c.not_after, (int64_t)time(NULL) + 3500, (int64_t)time(NULL) + 3601);
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, request, &subject, &certificate, &e), 0);
    assert_int_equal(pki_read_certificate(&p->arena, certificate, &second, &e), 0);
    assert_string_not_equal(c.serial, second.serial);
    subject.valid_seconds = 3650LL * 86400; /* the CA's own end comes first */
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, request, &subject, &certificate, &e), 0);
    assert_int_equal(pki_read_certificate(&p->arena, certificate, &c, &e), 0);
    assert_int_equal(pki_read_certificate(&p->arena, p->ca.certificate_pem, &second, &e), 0);
    assert_true(c.not_after <= second.not_after);
}

static const char *foreign_request(struct arena *arena, const char *group, int break_it)
{
    EVP_PKEY *key = EVP_EC_gen(group);
    X509_REQ *request = X509_REQ_new();
    X509_REQ_set_pubkey(request, key);
    X509_REQ_sign(request, key, EVP_sha256());
    if (break_it) {
        X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request), NID_commonName,
                                   MBSTRING_UTF8, (const unsigned char *)"x", -1, -1, 0);
    }
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_REQ(bio, request);
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    const char *text = arena_strndup(arena, data, (size_t)len);
    BIO_free(bio);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return text;
}

static void refuses_requests_that_are_not_as_they_should_be(void **state)
{
    struct pki *p = *state;
    const char *out = NULL;
    struct pki_subject subject = {.name = "app-1", .role = "agent", .valid_seconds = 3600};
    struct error e = {0};
    const char *good = foreign_request(&p->arena, "P-256", 0);
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, good, &subject, &out, &e), 0);
    out = NULL;
    const char *p384 = foreign_request(&p->arena, "P-384", 0);
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, p384, &subject, &out, &e), E_INVALID);
    assert_non_null(strstr(e.message, "P-256"));
    const char *forged = foreign_request(&p->arena, "P-256", 1);
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, forged, &subject, &out, &e), E_INVALID);
    assert_non_null(strstr(e.message, "signature"));
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, "nonsense", &subject, &out, &e),
                     E_INVALID);
    subject.role = "root";
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, good, &subject, &out, &e), E_INVALID);
    subject = (struct pki_subject){.name = "../app", .role = "agent", .valid_seconds = 3600};
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, good, &subject, &out, &e), E_INVALID);
    subject = (struct pki_subject){.name = "app", .role = "agent", .valid_seconds = 0};
    assert_int_equal(pki_sign_request(&p->arena, &p->ca, good, &subject, &out, &e), E_INVALID);
    assert_null(out);
}

static void fingerprints_the_der_of_a_certificate(void **state)
{
    struct pki *p = *state;
    char got[PKI_FINGERPRINT_BYTES];
    char expected[DIGEST_HEX_BYTES];
    struct error e = {0};
    X509 *x = parse(p->ca.certificate_pem);
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);
    digest_bytes_hex(der, (size_t)len, expected);
    OPENSSL_free(der);
    X509_free(x);
    assert_int_equal(pki_fingerprint(p->ca.certificate_pem, got, &e), 0);
    assert_string_equal(got, expected);
    assert_int_equal(pki_fingerprint("no PEM", got, &e), E_INVALID);
}

static void makes_tokens_that_differ(void **state)
{
    char a[PKI_TOKEN_BYTES];
    char b[PKI_TOKEN_BYTES];
    struct error e = {0};
    (void)state;
    assert_int_equal(pki_random_token(a, &e), 0);
    assert_int_equal(pki_random_token(b, &e), 0);
    assert_int_equal(strlen(a), 43);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     43);
    assert_string_not_equal(a, b);
}

static void writes_secrets_for_the_owner_only_and_in_one_step(void **state)
{
    struct pki *p = *state;
    const char *path = arena_printf(&p->arena, "%s/ca.key", p->folder);
    const char *text = NULL;
    struct error e = {0};
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666); /* an old one that others can read */
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(pki_write_file(path, p->ca.key_pem, true, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(pki_read_file(&p->arena, path, &text, &e), 0);
    assert_string_equal(text, p->ca.key_pem);
    assert_int_equal(pki_write_file(path, "nothing of PEM", false, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(pki_read_file(&p->arena, path, &text, &e), E_INVALID);
    assert_non_null(strstr(e.message, path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pki_read_file(&p->arena, path, &text, &e), E_NOT_FOUND);
    assert_int_equal(pki_read_file(&p->arena, p->folder, &text, &e), E_INVALID);
    const char *nowhere = arena_printf(&p->arena, "%s/none/ca.key", p->folder);
    assert_int_equal(pki_write_file(nowhere, "x", true, &e), E_NOT_FOUND);
}

static void digests_bytes_streams_and_files_alike(void **state)
{
    struct pki *p = *state;
    /* FIPS 180-4's example of one block. */
    static const char expected[] =
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    char hex[DIGEST_HEX_BYTES];
    struct digest d;
    struct error e = {0};
    uint64_t size = 0;
    digest_bytes_hex("abc", 3, hex);
    assert_string_equal(hex, expected);
    assert_int_equal(digest_init(&d, &e), 0);
    digest_update(&d, "a", 1);
    digest_update(&d, "bc", 2);
    digest_final_hex(&d, hex);
    assert_string_equal(hex, expected);
    const char *path = arena_printf(&p->arena, "%s/abc", p->folder);
    assert_int_equal(pki_write_file(path, "abc", false, &e), 0);
    assert_int_equal(digest_file_hex(path, hex, &size, &e), 0);
    assert_string_equal(hex, expected);
    assert_int_equal(size, 3);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(digest_file_hex(path, hex, NULL, &e), E_NOT_FOUND);
    assert_int_equal(digest_file_hex(p->folder, hex, NULL, &e), E_INVALID);
    assert_int_equal(digest_init(&d, &e), 0);
    digest_deinit(&d);
    digest_deinit(&d);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(makes_a_ca_for_ten_years),
        CASE(makes_a_server_certificate_for_its_names_only),
        CASE(signs_the_key_of_a_request_and_never_its_subject),
        CASE(refuses_requests_that_are_not_as_they_should_be),
        CASE(fingerprints_the_der_of_a_certificate),
        CASE(makes_tokens_that_differ),
        CASE(writes_secrets_for_the_owner_only_and_in_one_step),
        CASE(digests_bytes_streams_and_files_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
