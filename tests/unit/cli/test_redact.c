/* What counts as a secret in somebody else's text, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/redact.h"

static void is(const char *text, const char *wanted)
{
    struct arena arena;
    arena_init(&arena);
    assert_string_equal(redact(&arena, text, strlen(text)), wanted);
    arena_deinit(&arena);
}

static void passwords_in_urls_are_left_out(void **state)
{
    (void)state;
    is("url: postgres://mm:hunter2@db:5432/chat?x=1",
       "url: postgres://mm:[left out]@db:5432/chat?x=1");
    is("\"mysql://u:p@ss@h/x\"", "\"mysql://u:[left out]@h/x\"");
    is("https://chat.example:8065/a@b", "https://chat.example:8065/a@b");
    is("postgres://mm@db/chat", "postgres://mm@db/chat");
    is("://:@", "://:@");
}

static void values_of_telling_names_are_left_out(void **state)
{
    (void)state;
    is("PGPASSWORD=hunter2 pg_dump", "PGPASSWORD=[left out] pg_dump");
    is("{\"api_key\": \"a\\\"b\", \"x\": 1}", "{\"api_key\": \"[left out]\", \"x\": 1}");
    is("Token: abc, next", "Token: [left out], next");
    is("SECRET='a b' c", "SECRET='[left out]' c");
    is("password:\n  file: /x", "password:\n  file: /x");
    is("password: { file: /etc/pw }", "password: { file: /etc/pw }");
    is("{\"password\":{\"file\":\"/x\"}}", "{\"password\":{\"file\":\"/x\"}}");
    is("password: ${node.secret}", "password: ${node.secret}");
    is("tokens=5 passwords: 3", "tokens=5 passwords: 3");
    is("password=", "password=");
    is("password", "password");
}

static void private_keys_are_left_out(void **state)
{
    (void)state;
    is("a\n-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nb\n",
       "a\n[left out]\nb\n");
    is("-----BEGIN PRIVATE KEY-----\nMHcC", "[left out]");
    is("-----BEGIN CERTIFICATE-----\nMHcC\n-----END CERTIFICATE-----\n",
       "-----BEGIN CERTIFICATE-----\nMHcC\n-----END CERTIFICATE-----\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_in_urls_are_left_out),
        cmocka_unit_test(values_of_telling_names_are_left_out),
        cmocka_unit_test(private_keys_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
