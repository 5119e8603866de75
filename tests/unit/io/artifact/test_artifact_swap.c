/* The swap of the installed tree: forth and back, and killed after each of its steps. */
#include "tests/unit/io/platform/scratch.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/artifact/artifact.h"
#include "lib/io/artifact/tree.h"

#define SHA_1  "1111111111111111111111111111111111111111111111111111111111111111"
#define SHA_2  "2222222222222222222222222222222222222222222222222222222222222222"
#define TREE_1 "opt/app.lockstep/1.0.0-11111111"
#define TREE_2 "opt/app.lockstep/2.0.0-22222222"

static const struct layout_release one = {"1.0.0", SHA_1};
static const struct layout_release two = {"2.0.0", SHA_2};
static const char *keep_items[] = {"config", "data/db", "logs/", "data/db/inner"};
static const struct strings keep = {keep_items, ARRAY_SIZE(keep_items)};

static void mark(struct scratch *s, const char *tree, const struct layout_release *release)
{
    struct error e = {0};
    scratch_ok(layout_write_marker(scratch_path(s, tree), release, &e), &e);
}

/* 1.0.0 installed and lived in, 2.0.0 staged with a config of its own. */
static void make_trees(struct scratch *s, bool marked)
{
    scratch_write(s, "opt/app/bin/app", "one", 0755);
    scratch_write(s, "opt/app/config/app.conf", "ours", 0600);
    scratch_write(s, "opt/app/data/db/rows", "rows", 0600);
    scratch_write(s, "opt/app/data/cache", "cache of one", 0600);
    scratch_write(s, TREE_2 "/bin/app", "two", 0755);
    scratch_write(s, TREE_2 "/config/app.conf", "stock of two", 0600);
    mark(s, TREE_2, &two);
    if (marked) {
        mark(s, "opt/app", &one);
    }
}

static void die_at(void *context, const char *what)
{
    (void)what;
    int *left = context;
    if (--*left == 0) {
        kill(getpid(), SIGKILL);
    }
}

static int swap_to(struct scratch *s, const struct layout_release *to, int die_after,
                   struct error *e)
{
    struct tree_swap swap = {.layout = scratch_path(s, "opt/app"), .to = *to, .keep = &keep};
    if (die_after > 0) {
        swap.step = die_at;
        swap.context = &die_after;
    }
    return tree_swap(&s->arena, &swap, e);
}

static void is_two(struct scratch *s)
{
    assert_string_equal(scratch_read(s, "opt/app/bin/app"), "two");
    assert_string_equal(scratch_read(s, "opt/app/config/app.conf"), "ours");
    assert_string_equal(scratch_read(s, "opt/app/data/db/rows"), "rows");
    assert_string_equal(scratch_read(s, "opt/app/data/cache"), "(none)");
    assert_string_equal(scratch_read(s, TREE_1 "/bin/app"), "one");
    assert_string_equal(scratch_read(s, TREE_1 "/config/app.conf"), "stock of two");
    assert_string_equal(scratch_read(s, TREE_1 "/data/db/rows"), "(none)");
    assert_string_equal(scratch_read(s, TREE_1 "/data/cache"), "cache of one");
    assert_false(file_exists(scratch_path(s, TREE_2)));
    assert_false(file_exists(scratch_path(s, "opt/app.lockstep/swap.json")));
    assert_false(file_exists(scratch_path(s, "opt/app.lockstep/.swap")));
}

static void is_one(struct scratch *s)
{
    assert_string_equal(scratch_read(s, "opt/app/bin/app"), "one");
    assert_string_equal(scratch_read(s, "opt/app/config/app.conf"), "ours");
    assert_string_equal(scratch_read(s, "opt/app/data/db/rows"), "rows");
    assert_string_equal(scratch_read(s, TREE_2 "/bin/app"), "two");
    assert_string_equal(scratch_read(s, TREE_2 "/config/app.conf"), "stock of two");
    assert_false(file_exists(scratch_path(s, TREE_1)));
    assert_false(file_exists(scratch_path(s, "opt/app.lockstep/swap.json")));
}

static void swaps_and_carries_the_keep_paths(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    make_trees(s, true);
    scratch_ok(swap_to(s, &two, 0, &e), &e);
    is_two(s);
    scratch_ok(swap_to(s, &two, 0, &e), &e);
    is_two(s);
}

static void swaps_back_to_the_very_same_trees(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    make_trees(s, true);
    scratch_ok(swap_to(s, &two, 0, &e), &e);
    scratch_ok(swap_to(s, &one, 0, &e), &e);
    is_one(s);
}

/* Kills a child after its n-th step. False when it came to its end before. */
static bool killed_at(struct scratch *s, const struct layout_release *to, int n)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct error e = {0};
        _exit(swap_to(s, to, n, &e) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

static void ends_the_same_when_killed_after_any_step(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    int points = 0;
    for (int n = 1;; n++) {
        dir_remove(scratch_path(s, "opt"), NULL);
        make_trees(s, true);
        if (!killed_at(s, &two, n)) {
            break;
        }
        points++;
        /* One whole release is on the disk at every point. */
        const char *installed = scratch_read(s, "opt/app/bin/app");
        assert_true(strcmp(installed, "one") == 0 || strcmp(installed, "two") == 0);
        /* Killed a second time while it finishes, at every later point, is covered by the next test. */
        scratch_ok(swap_to(s, &two, 0, &e), &e);
        is_two(s);
    }
    assert_true(points >= 8);
}

static void a_killed_repair_is_repaired_again(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    for (int n = 1; n < 20; n++) {
        for (int m = 1; m < 20; m++) {
            dir_remove(scratch_path(s, "opt"), NULL);
            make_trees(s, true);
            if (!killed_at(s, &two, n)) {
                return;
            }
            bool again = killed_at(s, &two, m);
            scratch_ok(swap_to(s, &two, 0, &e), &e);
            is_two(s);
            if (!again) {
                break;
            }
        }
    }
    fail_msg("the swap never came to its end");
}

static void goes_back_after_a_kill_at_any_step(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    for (int n = 1;; n++) {
        dir_remove(scratch_path(s, "opt"), NULL);
        make_trees(s, true);
        bool killed = killed_at(s, &two, n);
        scratch_ok(swap_to(s, &one, 0, &e), &e);
        is_one(s);
        if (!killed) {
            break;
        }
    }
}

static void carries_the_data_though_something_writes_into_the_old_place(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    for (int n = 1;; n++) {
        dir_remove(scratch_path(s, "opt"), NULL);
        make_trees(s, true);
        bool killed = killed_at(s, &two, n);
        if (!file_exists(scratch_path(s, "opt/app/data/db"))) {
            scratch_write(s, "opt/app/data/db/rows", "strayed", 0600);
        }
        scratch_ok(swap_to(s, &two, 0, &e), &e);
        assert_string_equal(scratch_read(s, "opt/app/data/db/rows"), "rows");
        assert_string_equal(scratch_read(s, "opt/app/config/app.conf"), "ours");
        if (!killed) {
            break;
        }
    }
}

static void keeps_an_installation_that_it_found(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    make_trees(s, false);
    scratch_ok(swap_to(s, &two, 0, &e), &e);
    assert_string_equal(scratch_read(s, "opt/app/bin/app"), "two");
    assert_string_equal(scratch_read(s, "opt/app/config/app.conf"), "ours");
    char command[512];
    snprintf(command, sizeof(command), "cat %s/opt/app.lockstep/found-*/bin/app >%s/found", s->dir,
             s->dir);
    assert_int_equal(system(command), 0);
    assert_string_equal(scratch_read(s, "found"), "one");
}

static void installs_where_nothing_is(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    make_trees(s, true);
    dir_remove(scratch_path(s, "opt/app"), NULL);
    scratch_ok(swap_to(s, &two, 0, &e), &e);
    assert_string_equal(scratch_read(s, "opt/app/config/app.conf"), "stock of two");
    assert_false(file_exists(scratch_path(s, TREE_2)));
}

static void refuses_keep_paths_that_lead_out(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    make_trees(s, true);
    static const char *const bad[] = {"../x", "/etc", "a/../../b", ".", ""};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *items[] = {bad[i]};
        struct strings paths = {items, 1};
        struct tree_swap swap = {.layout = scratch_path(s, "opt/app"), .to = two, .keep = &paths};
        assert_int_equal(tree_swap(&s->arena, &swap, &e), E_INVALID);
        assert_string_equal(scratch_read(s, "opt/app/bin/app"), "one");
    }
    assert_int_equal(symlink("/etc", scratch_path(s, "opt/app/link")), 0);
    const char *items[] = {"link/passwd"};
    struct strings paths = {items, 1};
    struct tree_swap swap = {.layout = scratch_path(s, "opt/app"), .to = two, .keep = &paths};
    assert_int_equal(tree_swap(&s->arena, &swap, &e), E_INVALID);
    scratch_says(&e, "symbolic link");
}

static void refuses_what_is_not_staged(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    make_trees(s, true);
    dir_remove(scratch_path(s, TREE_2), NULL);
    assert_int_equal(swap_to(s, &two, 0, &e), E_NOT_FOUND);
    scratch_says(&e, "stage it first");
}

static void retires_all_but_the_newest(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    make_trees(s, true);
    scratch_write(s, "opt/app.lockstep/.tmp-half/x", "x", 0600);
    for (int i = 0; i < 3; i++) {
        scratch_write(s, arena_printf(&s->arena, "opt/app.lockstep/0.%d.0-00000000/bin/app", i),
                      "old", 0755);
        const char *tree =
            arena_printf(&s->arena, "%s/opt/app.lockstep/0.%d.0-00000000", s->dir, i);
        usleep(20000);
        assert_int_equal(chmod(tree, 0755), 0);
    }
    size_t removed = 0;
    scratch_ok(tree_retire(&s->arena, scratch_path(s, "opt/app"), 2, &removed, &e), &e);
    assert_int_equal(removed, 2);
    assert_true(file_exists(scratch_path(s, "opt/app.lockstep/0.2.0-00000000")));
    assert_true(file_exists(scratch_path(s, "opt/app.lockstep/0.1.0-00000000")));
    assert_false(file_exists(scratch_path(s, "opt/app.lockstep/0.0.0-00000000")));
    assert_false(file_exists(scratch_path(s, "opt/app.lockstep/.tmp-half")));
    assert_string_equal(scratch_read(s, "opt/app/bin/app"), "one");
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(swaps_and_carries_the_keep_paths),
        T(swaps_back_to_the_very_same_trees),
        T(ends_the_same_when_killed_after_any_step),
        T(a_killed_repair_is_repaired_again),
        T(goes_back_after_a_kill_at_any_step),
        T(carries_the_data_though_something_writes_into_the_old_place),
        T(keeps_an_installation_that_it_found),
        T(installs_where_nothing_is),
        T(refuses_keep_paths_that_lead_out),
        T(refuses_what_is_not_staged),
        T(retires_all_but_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
