/* Statuses, error codes and the text that travels with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/io/rpc/status.h"

static void keeps_the_kind_of_an_error_over_the_wire(void **state)
{
    static const int codes[] = {0,         E_INVALID,     E_NOT_FOUND, E_EXISTS,
                                E_IO,      E_LIMIT,       E_DENIED,    E_CONFLICT,
                                E_TIMEOUT, E_UNAVAILABLE, E_UNKNOWN,   E_CANCELLED};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        assert_int_equal(rpc_status_to_error(rpc_status_from_error(codes[i])), codes[i]);
    }
    assert_int_equal(rpc_status_from_error(E_DATABASE), RPC_INTERNAL);
    assert_int_equal(rpc_status_to_error(RPC_UNAUTHENTICATED), E_DENIED);
}

static void takes_an_unknown_number_for_unknown(void **state)
{
    (void)state;
    assert_int_equal(rpc_status_from_wire(16), RPC_UNAUTHENTICATED);
    assert_int_equal(rpc_status_from_wire(17), RPC_UNKNOWN);
    assert_int_equal(rpc_status_from_wire(UINT64_MAX), RPC_UNKNOWN);
    assert_string_equal(rpc_status_name(RPC_DATA_LOSS), "DATA_LOSS");
}

static void escapes_what_a_header_cannot_carry(void **state)
{
    char encoded[STATUS_ENCODED_BYTES];
    char decoded[64];
    const char *text = "100% »x«\r\nnext";
    (void)state;
    status_encode(text, encoded);
    assert_string_equal(encoded, "100%25 %C2%BBx%C2%AB%0D%0Anext");
    status_decode(encoded, strlen(encoded), decoded, sizeof(decoded));
    assert_string_equal(decoded, "100% »x« \nnext"); /* a control character does not come out */
    assert_int_equal(status_encode(NULL, encoded), 0);
}

static void leaves_broken_escapes_as_they_are(void **state)
{
    char decoded[16];
    (void)state;
    status_decode("%", 1, decoded, sizeof(decoded));
    assert_string_equal(decoded, "%");
    status_decode("%4", 2, decoded, sizeof(decoded));
    assert_string_equal(decoded, "%4");
    status_decode("%zz%41%00", 9, decoded, sizeof(decoded));
    assert_string_equal(decoded, "%zzA ");
    status_decode("0123456789abcdefgh", 18, decoded, sizeof(decoded));
    assert_string_equal(decoded, "0123456789abcde");
}

static void cuts_a_long_text_between_characters(void **state)
{
    char text[STATUS_MESSAGE_BYTES_MAX + 3];
    char encoded[STATUS_ENCODED_BYTES];
    (void)state;
    memset(text, 'a', sizeof(text));
    text[STATUS_MESSAGE_BYTES_MAX] = '\0';
    assert_int_equal(status_encode(text, encoded), STATUS_MESSAGE_BYTES_MAX);
    memcpy(text + STATUS_MESSAGE_BYTES_MAX - 1, "\xC3\xA9z", 4);
    assert_int_equal(status_encode(text, encoded), STATUS_MESSAGE_BYTES_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_kind_of_an_error_over_the_wire),
        cmocka_unit_test(takes_an_unknown_number_for_unknown),
        cmocka_unit_test(escapes_what_a_header_cannot_carry),
        cmocka_unit_test(leaves_broken_escapes_as_they_are),
        cmocka_unit_test(cuts_a_long_text_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
