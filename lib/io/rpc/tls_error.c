/* Owns the words for what goes wrong in TLS: OpenSSL's reasons become what happened and what to
 * do. */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "lib/io/rpc/tls.h"

static int describe_server_certificate(const struct tls *t, long result, struct error *e)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return error_set(e, E_DENIED,
                         "the controller's certificate has expired: renew it, and check the "
                         "clocks on both machines");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return error_set(e, E_DENIED,
                         "the controller's certificate is not valid yet: check the clocks on "
                         "both machines");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return error_set(e, E_DENIED,
                         "the controller's certificate is for another name: use a name or an "
                         "address that it was made for");
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_INVALID_CA:
        if (t->context->fingerprint[0] != '\0') {
            return error_set(
                e, E_DENIED,
                "the controller's CA does not have the fingerprint %s that was expected: check the "
                "address, and ask for a new enrolment token",
                t->context->fingerprint);
        }
        return error_set(
            e, E_DENIED,
            "the controller's certificate is not signed by the CA this %s enrolled with: check the "
            "address; if the controller has a new CA, enroll again",
            t->context->self);
    default: /* OpenSSL's numbers, not an enum */
        return error_set(e, E_DENIED, "the controller's certificate was refused: %s",
                         X509_verify_cert_error_string(result));
    }
}

/* What the server says about the certificate that we showed. */
static int describe_alert(const struct tls *t, int reason, struct error *e)
{
    const char *why = NULL;
    switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        why = "it is not signed by the controller's CA";
        break;
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        why = "it has expired, or a clock is wrong";
        break;
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        why = "it was revoked";
        break;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        why = "it is not a client certificate that it accepts";
        break;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return error_set(
            e, E_DENIED,
            "the controller wants a client certificate and this %s has none: enroll it",
            t->context->self);
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        return error_set(e, E_INVALID,
                         "the peer does not speak HTTP/2: is this the controller's port?");
    default: /* OpenSSL's numbers, not an enum */
        return 0;
    }
    return error_set(e, E_DENIED,
                     "the controller refused the certificate of this %s: %s; enroll again",
                     t->context->self, why);
}

static bool is_plaintext(int reason)
{
    return reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST ||
           reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
           reason == SSL_R_BAD_RECORD_TYPE || reason == SSL_R_UNSUPPORTED_SSL_VERSION;
}

void tls_describe_failure(const struct tls *t, struct error *e)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    long verified = SSL_get_verify_result(t->ssl);
    char text[160] = "unknown";
    if (code != 0) {
        ERR_error_string_n(code, text, sizeof(text));
    }
    ERR_clear_error();
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && !t->context->server) {
        describe_server_certificate(t, verified, e);
        return;
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        error_set(e, E_DENIED, "the client's certificate was refused: %s",
                  X509_verify_cert_error_string(verified));
        return;
    }
    if (!t->context->server && describe_alert(t, reason, e) < 0) {
        return;
    }
    if (is_plaintext(reason)) {
        error_set(e, E_INVALID, "the peer does not speak TLS 1.3: is this the right port?");
        return;
    }
    error_set(e, E_INVALID, "TLS failed: %s", text);
}
