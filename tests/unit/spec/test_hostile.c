/* Texts that want to break the reader: each bound at and just past it, and thousands of mutated
 * good files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/spec/spec.h"

static size_t count_complaints(struct arena *a, const char *text, size_t len, const char *needle)
{
    struct complaints c;
    struct spec spec;
    struct spec_file file = {"f.yaml", text, len};
    complaints_init(&c, a);
    spec_read(a, &file, 1, &spec, &c);
    size_t found = 0;
    for (size_t i = 0; i < c.count; i++) {
        found += strstr(c.items[i].message, needle) != NULL ? 1 : 0;
    }
    return found;
}

static void nesting_stops_at_its_limit(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    for (int depth = LIMIT_SPEC_DEPTH; depth <= LIMIT_SPEC_DEPTH + 1; depth++) {
        struct buf text;
        buf_init(&text, &a, 4096);
        for (int i = 0; i < depth; i++) {
            buf_putc(&text, '[');
        }
        for (int i = 0; i < depth; i++) {
            buf_putc(&text, ']');
        }
        size_t told = count_complaints(&a, buf_text(&text), text.len, "nested more than 32 deep");
        assert_int_equal(told, depth > LIMIT_SPEC_DEPTH ? 1 : 0);
    }
    arena_deinit(&a);
}

static void values_stop_at_their_limit(void **state UNUSED)
{
    for (size_t extra = 0; extra <= 1; extra++) {
        struct arena a;
        arena_init(&a);
        struct buf text;
        buf_init(&text, &a, LIMIT_SPEC_BYTES);
        for (size_t i = 1; i < LIMIT_SPEC_NODES + extra; i++) { /* the list itself is one */
            buf_puts(&text, "- x\n");
        }
        assert_int_equal(count_complaints(&a, buf_text(&text), text.len, "more than 200000 values"),
                         extra);
        arena_deinit(&a);
    }
}

static void a_text_stops_at_its_limit(void **state UNUSED)
{
    for (size_t extra = 0; extra <= 1; extra++) {
        struct arena a;
        arena_init(&a);
        struct buf text;
        buf_init(&text, &a, LIMIT_SPEC_BYTES);
        buf_puts(&text, "lockstep: 1\nkind: Cluster\nname: \"");
        for (size_t i = 0; i < LIMIT_TEXT_BYTES + extra; i++) {
            buf_putc(&text, 'x');
        }
        buf_puts(&text, "\"\n");
        assert_int_equal(count_complaints(&a, buf_text(&text), text.len, "longer than 64 KiB"),
                         extra);
        arena_deinit(&a);
    }
}

static void a_file_stops_at_its_limit(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    char *text = arena_alloc(&a, LIMIT_SPEC_BYTES + 1);
    memset(text, '#', LIMIT_SPEC_BYTES + 1);
    assert_int_equal(count_complaints(&a, text, LIMIT_SPEC_BYTES, "larger than 4 MiB"), 0);
    assert_int_equal(count_complaints(&a, text, LIMIT_SPEC_BYTES + 1, "larger than 4 MiB"), 1);
    arena_deinit(&a);
}

static void a_billion_laughs_stay_one_complaint_each(void **state UNUSED)
{
    static const char text[] =
        "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n";
    struct arena a;
    arena_init(&a);
    assert_int_equal(count_complaints(&a, text, strlen(text), "aliases ("), 9);
    assert_int_equal(count_complaints(&a, text, strlen(text), "anchors (&"), 3);
    assert_true(a.bytes < 1024 * 1024);
    arena_deinit(&a);
}

static void many_equal_and_many_different_keys_are_read_in_time(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    struct buf text;
    buf_init(&text, &a, LIMIT_SPEC_BYTES);
    for (int i = 0; i < 100000; i++) {
        buf_printf(&text, "k%d: 1\n", i);
    }
    buf_puts(&text, "k77: 2\n");
    assert_int_equal(count_complaints(&a, buf_text(&text), text.len,
                                      "duplicate key \"k77\", the first is at line 78"),
                     1);
    arena_deinit(&a);
}

static void complex_keys_are_refused(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    static const char text[] = "? [a, b]\n: c\n";
    assert_int_equal(count_complaints(&a, text, strlen(text), "a key is a word"), 1);
    arena_deinit(&a);
}

/* xorshift64: the same numbers everywhere from one seed. */
static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static size_t load(const char *path, char *text, size_t max)
{
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        fail_msg("cannot open %s: run from the root of the tree", path);
        return 0;
    }
    size_t len = fread(text, 1, max, in);
    fclose(in);
    return len;
}

/* One to eight small wounds: a byte changed, a span cut out, doubled or moved, a token put in. */
static size_t wound(char *text, size_t len, size_t max, uint64_t *seed)
{
    static const char *const tokens[] = {
        "${",  "}",    "[",      "{ ",   "*a",  "&a ",  "!!int ",   "\t",   "\"",
        "---", "\n- ", "\xff",   "\\0",  "1.1", "~",    "null",     "<<: ", "..",
        "||",  "'",    ": {}\n", "\r\n", "? ",  "| \n", "%YAML 9\n"};
    for (uint64_t n = 1 + next(seed) % 8; n > 0 && len > 2; n--) {
        size_t at = next(seed) % len;
        size_t span = 1 + next(seed) % 40;
        span = span > len - at ? len - at : span;
        const char *token = tokens[next(seed) % ARRAY_SIZE(tokens)];
        switch (next(seed) % 4) {
        case 0:
            text[at] = (char)next(seed);
            break;
        case 1:
            memmove(text + at, text + at + span, len - at - span);
            len -= span;
            break;
        case 2:
            if (len + span <= max) {
                memmove(text + at + span, text + at, len - at);
                len += span;
            }
            break;
        case 3:
            if (len + strlen(token) <= max) {
                memmove(text + at + strlen(token), text + at, len - at);
                for (size_t i = 0; token[i] != '\0'; i++) {
                    text[at + i] = token[i];
                }
                len += strlen(token);
            }
            break;
        }
    }
    return len;
}

static void mutated_files_never_break_the_reader(void **state UNUSED)
{
    enum { ROUNDS = 3000, MAX = 64 * 1024 };
    static const char *const files[] = {
        "tests/specs/good/everything.yaml", "tests/specs/good/mattermost.yaml",
        "tests/specs/good/listed.yaml", "tests/specs/bad/relations.yaml"};
    const char *given = getenv("LOCKSTEP_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 0x5eed5eed5eedULL;
    print_message("seed: LOCKSTEP_TEST_SEED=%#llx\n", (unsigned long long)seed);
    static char original[MAX];
    size_t refused = 0;
    for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
        size_t original_len = load(files[f], original, MAX);
        for (int i = 0; i < ROUNDS; i++) {
            char *text = malloc(MAX); /* of its own, so that a sanitizer sees a read past its end */
            assert_non_null(text);
            memcpy(text, original, original_len);
            size_t len = wound(text, original_len, MAX, &seed);
            char *exact = realloc(text, len > 0 ? len : 1);
            assert_non_null(exact);
            struct arena a;
            arena_init(&a);
            struct complaints c;
            struct spec spec;
            struct spec_file file = {"f.yaml", exact, len};
            complaints_init(&c, &a);
            int r = spec_read(&a, &file, 1, &spec, &c);
            assert_int_equal(r, c.count == 0 ? 0 : E_INVALID);
            assert_true(a.bytes < 16 * 1024 * 1024);
            refused += r != 0 ? 1 : 0;
            if (r == 0 && spec.application != NULL) {
                json_t *json = shape_to_json(&application_shape, spec.application);
                struct error e = {0};
                struct application again = {0};
                if (shape_from_json(&application_shape, json, &again, &a, &e) < 0) {
                    fail_msg("what was accepted cannot be read back: %s", e.message);
                }
                json_decref(json);
            }
            arena_deinit(&a);
            free(exact);
        }
    }
    assert_true(refused > ROUNDS); /* the wounds do hurt */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_stops_at_its_limit),
        cmocka_unit_test(values_stop_at_their_limit),
        cmocka_unit_test(a_text_stops_at_its_limit),
        cmocka_unit_test(a_file_stops_at_its_limit),
        cmocka_unit_test(a_billion_laughs_stay_one_complaint_each),
        cmocka_unit_test(many_equal_and_many_different_keys_are_read_in_time),
        cmocka_unit_test(complex_keys_are_refused),
        cmocka_unit_test(mutated_files_never_break_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
