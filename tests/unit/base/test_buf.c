/* The buffer's promises: always terminated, and never past its maximum. */
#include "lib/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

static void is_an_empty_text_at_first(void **state)
{
    struct buf b;
    buf_init(&b, *state, 10);
    assert_string_equal(buf_text(&b), "");
    buf_puts(&b, "");
    buf_append(&b, "x", 0);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_text(&b), "");
    assert_false(b.overflow);
}

static void appends_in_order_and_stays_terminated(void **state)
{
    struct buf b;
    buf_init(&b, *state, 1000);
    buf_puts(&b, "node ");
    buf_putc(&b, 'a');
    buf_append(&b, "pp-12", 4);
    buf_printf(&b, " in %d ms", 250);
    assert_string_equal(buf_text(&b), "node app-1 in 250 ms");
    assert_int_equal(b.len, strlen("node app-1 in 250 ms"));
}

static void holds_bytes_that_are_no_text(void **state)
{
    static const char bytes[] = {'a', '\0', 'b'};
    struct buf b;
    buf_init(&b, *state, 10);
    buf_append(&b, bytes, sizeof(bytes));
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, bytes, 3);
    assert_int_equal(b.data[3], '\0');
}

static void grows_through_many_sizes(void **state)
{
    struct buf b;
    buf_init(&b, *state, 100000);
    for (int i = 0; i < 100000; i++) {
        buf_putc(&b, (char)('a' + i % 26));
    }
    assert_false(b.overflow);
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(b.data[i], 'a' + i % 26);
    }
    assert_int_equal(b.data[100000], '\0');
}

static void takes_exactly_its_maximum_and_no_byte_more(void **state)
{
    struct buf b;
    buf_init(&b, *state, 8);
    buf_puts(&b, "12345678");
    assert_false(b.overflow);
    assert_string_equal(buf_text(&b), "12345678");
    buf_putc(&b, '9');
    assert_true(b.overflow);
    assert_string_equal(buf_text(&b), "12345678");
}

static void printf_takes_exactly_the_maximum_and_no_byte_more(void **state)
{
    struct buf b;
    buf_init(&b, *state, 8);
    buf_printf(&b, "%08d", 42);
    assert_false(b.overflow);
    assert_string_equal(buf_text(&b), "00000042");

    struct buf c;
    buf_init(&c, *state, 8);
    buf_printf(&c, "%09d", 42);
    assert_true(c.overflow);
    assert_string_equal(buf_text(&c), "");
}

static void takes_nothing_after_an_overflow(void **state)
{
    struct buf b;
    buf_init(&b, *state, 4);
    buf_puts(&b, "too long");
    assert_true(b.overflow);
    buf_putc(&b, 'a');
    buf_printf(&b, "%d", 1);
    assert_int_equal(b.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_an_empty_text_at_first, setup, teardown),
        cmocka_unit_test_setup_teardown(appends_in_order_and_stays_terminated, setup, teardown),
        cmocka_unit_test_setup_teardown(holds_bytes_that_are_no_text, setup, teardown),
        cmocka_unit_test_setup_teardown(grows_through_many_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_exactly_its_maximum_and_no_byte_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(printf_takes_exactly_the_maximum_and_no_byte_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(takes_nothing_after_an_overflow, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
