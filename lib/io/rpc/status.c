/* Owns the translation between statuses, error codes and their text on the wire. It refuses
 * nothing: a number that is no status is UNKNOWN. */
#include "lib/io/rpc/status.h"

#include <nghttp2/nghttp2.h>
#include <string.h>

enum rpc_status rpc_status_from_error(int code)
{
    if (code == 0) {
        return RPC_OK;
    }
    switch ((enum lockstep_error)code) {
    case E_INVALID:
        return RPC_INVALID_ARGUMENT;
    case E_NOT_FOUND:
        return RPC_NOT_FOUND;
    case E_EXISTS:
        return RPC_ALREADY_EXISTS;
    case E_IO:
    case E_DATABASE:
        return RPC_INTERNAL;
    case E_LIMIT:
        return RPC_RESOURCE_EXHAUSTED;
    case E_DENIED:
        return RPC_PERMISSION_DENIED;
    case E_CONFLICT:
        return RPC_FAILED_PRECONDITION;
    case E_TIMEOUT:
        return RPC_DEADLINE_EXCEEDED;
    case E_UNAVAILABLE:
        return RPC_UNAVAILABLE;
    case E_UNKNOWN:
        return RPC_UNKNOWN;
    case E_CANCELLED:
        return RPC_CANCELLED;
    }
    return RPC_UNKNOWN;
}

int rpc_status_to_error(enum rpc_status status)
{
    switch (status) {
    case RPC_OK:
        return 0;
    case RPC_CANCELLED:
        return E_CANCELLED;
    case RPC_UNKNOWN:
        return E_UNKNOWN;
    case RPC_INVALID_ARGUMENT:
    case RPC_OUT_OF_RANGE:
    case RPC_UNIMPLEMENTED:
        return E_INVALID;
    case RPC_DEADLINE_EXCEEDED:
        return E_TIMEOUT;
    case RPC_NOT_FOUND:
        return E_NOT_FOUND;
    case RPC_ALREADY_EXISTS:
        return E_EXISTS;
    case RPC_PERMISSION_DENIED:
    case RPC_UNAUTHENTICATED:
        return E_DENIED;
    case RPC_RESOURCE_EXHAUSTED:
        return E_LIMIT;
    case RPC_FAILED_PRECONDITION:
    case RPC_ABORTED:
        return E_CONFLICT;
    case RPC_INTERNAL:
    case RPC_DATA_LOSS:
        return E_IO;
    case RPC_UNAVAILABLE:
        return E_UNAVAILABLE;
    }
    return E_UNKNOWN;
}

enum rpc_status rpc_status_from_wire(uint64_t number)
{
    return number <= RPC_UNAUTHENTICATED ? (enum rpc_status)number : RPC_UNKNOWN;
}

const char *rpc_status_name(enum rpc_status status)
{
    static const char *const names[] = {
        [RPC_OK] = "OK",
        [RPC_CANCELLED] = "CANCELLED",
        [RPC_UNKNOWN] = "UNKNOWN",
        [RPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [RPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [RPC_NOT_FOUND] = "NOT_FOUND",
        [RPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [RPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [RPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [RPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [RPC_ABORTED] = "ABORTED",
        [RPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [RPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [RPC_INTERNAL] = "INTERNAL",
        [RPC_UNAVAILABLE] = "UNAVAILABLE",
        [RPC_DATA_LOSS] = "DATA_LOSS",
        [RPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    size_t i = (size_t)status;
    return i < ARRAY_SIZE(names) ? names[i] : "UNKNOWN";
}

/* Where to cut so that no UTF-8 sequence is torn. */
static size_t cut_length(const char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);
    if (len <= max) {
        return len;
    }
    len = max;
    while (len > 0 && ((unsigned char)text[len] & 0xC0U) == 0x80U) {
        len--;
    }
    return len;
}

size_t status_encode(const char *message, char ret_encoded[STATUS_ENCODED_BYTES])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    size_t len = message == NULL ? 0 : cut_length(message, STATUS_MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)message[i];
        if (c >= 0x20 && c <= 0x7E && c != '%') {
            ret_encoded[n++] = (char)c;
        } else {
            ret_encoded[n++] = '%';
            ret_encoded[n++] = digits[c >> 4U];
            ret_encoded[n++] = digits[c & 15U];
        }
    }
    assert(n < STATUS_ENCODED_BYTES);
    ret_encoded[n] = '\0';
    return n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void status_decode(const char *encoded, size_t len, char *ret_message, size_t bytes)
{
    assert(bytes > 0);
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < bytes; i++) {
        unsigned char c = (unsigned char)encoded[i];
        if (c == '%' && len - i > 2) {
            int high = hex_value(encoded[i + 1]);
            int low = hex_value(encoded[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (unsigned char)(high * 16 + low);
                i += 2;
            }
        }
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
        ret_message[n++] = control ? ' ' : (char)c;
    }
    ret_message[n] = '\0';
}

enum rpc_status status_from_http(int http_status)
{
    switch (http_status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
        return RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return RPC_UNAVAILABLE;
    default: /* a number from outside, not an enum */
        return RPC_UNKNOWN;
    }
}

enum rpc_status status_from_reset(uint32_t http2_error)
{
    switch (http2_error) {
    case NGHTTP2_REFUSED_STREAM:
        return RPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return RPC_PERMISSION_DENIED;
    default: /* a number from outside, not an enum */
        return RPC_INTERNAL;
    }
}
