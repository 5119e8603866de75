/* Once, whatever becomes of the session: see matrix.c. */
#include "tests/unit/io/db/matrix.h"

static void an_ended_session_leaves_what_an_undisturbed_one_leaves(void **state)
{
    (void)state;
    matrix_run(END_SESSION);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ended_session_leaves_what_an_undisturbed_one_leaves),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
