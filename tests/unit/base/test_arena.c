/* The arena's promises: alignment, zeroed memory, growth, and a full stop at its limit. */
#include "lib/base/arena.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs fn in a child; returns whether it aborted, with what it said on its standard error. */
static bool aborts(void (*fn)(struct arena *), struct arena *a, char *ret_words, size_t bytes)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        fn(a);
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got = 0;
    while (len < bytes - 1 && (got = read(ends[0], ret_words + len, bytes - 1 - len)) > 0) {
        len += (size_t)got;
    }
    ret_words[len] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void gives_aligned_zeroed_memory(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    for (size_t bytes = 1; bytes < 200; bytes++) {
        unsigned char *p = arena_alloc(&a, bytes);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < bytes; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, bytes);
    }
    arena_deinit(&a);
}

static void keeps_what_it_gave_when_it_adds_blocks(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    char *texts[2000];
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        texts[i] = arena_printf(&a, "text number %zu of a long list of texts", i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char expected[64];
        snprintf(expected, sizeof(expected), "text number %zu of a long list of texts", i);
        assert_string_equal(texts[i], expected);
    }
    arena_deinit(&a);
}

static void serves_more_than_a_block_at_once(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    size_t bytes = (size_t)1024 * 1024;
    unsigned char *large = arena_alloc(&a, bytes);
    large[0] = 1;
    large[bytes - 1] = 2;
    unsigned char *small = arena_alloc(&a, 1);
    *small = 3;
    assert_int_equal(large[0] + large[bytes - 1] + *small, 6);
    arena_deinit(&a);
}

static void can_be_used_again_after_deinit(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    arena_alloc(&a, 100);
    arena_deinit(&a);
    assert_int_equal(a.bytes, 0);
    assert_string_equal(arena_strdup(&a, "again"), "again");
    arena_deinit(&a);
}

static void take_101_bytes(struct arena *a)
{
    arena_alloc(a, 101);
}

static void take_one_more(struct arena *a)
{
    arena_alloc(a, 1);
}

static void take_more_than_a_size_can_say(struct arena *a)
{
    arena_array(a, SIZE_MAX / 2, 3);
}

static void serves_exactly_its_limit_and_stops_past_it(void **state UNUSED)
{
    struct arena a;
    char words[256];
    arena_init(&a);
    a.bytes_max = 100;
    assert_true(aborts(take_101_bytes, &a, words, sizeof(words)));
    assert_non_null(strstr(words, "lockstep: an arena passed its limit"));
    arena_alloc(&a, 60);
    arena_alloc(&a, 40);
    assert_int_equal(a.bytes, 100);
    assert_true(aborts(take_one_more, &a, words, sizeof(words)));
    assert_non_null(strstr(words, "lockstep: an arena passed its limit"));
    arena_deinit(&a);
}

static void stops_when_an_array_overflows(void **state UNUSED)
{
    struct arena a;
    char words[256];
    arena_init(&a);
    assert_true(aborts(take_more_than_a_size_can_say, &a, words, sizeof(words)));
    assert_non_null(strstr(words, "lockstep: an array is too large"));
    arena_deinit(&a);
}

static void grows_an_array_and_keeps_its_elements(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    int *v = NULL;
    size_t capacity = 0;
    for (size_t n = 0; n < 1000; n++) {
        int *before = v;
        size_t room = capacity;
        v = arena_grow(&a, v, n, &capacity, sizeof(*v));
        assert_true(n < room ? v == before : v != before);
        assert_true(capacity > n);
        v[n] = (int)n;
    }
    for (size_t n = 0; n < 1000; n++) {
        assert_int_equal(v[n], (int)n);
    }
    assert_int_equal(capacity, 1024);
    arena_deinit(&a);
}

static void copies_strings(void **state UNUSED)
{
    struct arena a;
    arena_init(&a);
    char source[] = "lockstep";
    char *whole = arena_strdup(&a, source);
    char *part = arena_strndup(&a, source, 4);
    source[0] = 'X';
    assert_string_equal(whole, "lockstep");
    assert_string_equal(part, "lock");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_null(arena_strdup(&a, NULL));
    assert_string_equal(arena_printf(&a, "%s-%d", whole, 7), "lockstep-7");
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_aligned_zeroed_memory),
        cmocka_unit_test(keeps_what_it_gave_when_it_adds_blocks),
        cmocka_unit_test(serves_more_than_a_block_at_once),
        cmocka_unit_test(can_be_used_again_after_deinit),
        cmocka_unit_test(serves_exactly_its_limit_and_stops_past_it),
        cmocka_unit_test(stops_when_an_array_overflows),
        cmocka_unit_test(grows_an_array_and_keeps_its_elements),
        cmocka_unit_test(copies_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
