/* Once, whatever is killed: see matrix.c. */
#include "tests/unit/io/db/matrix.h"

static void a_killed_runner_leaves_what_an_undisturbed_one_leaves(void **state)
{
    (void)state;
    matrix_run(KILL_PROCESS);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_runner_leaves_what_an_undisturbed_one_leaves),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
