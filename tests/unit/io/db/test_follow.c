/* Out-of-band work on a real server: a shell script moves a table on, and Lockstep follows it. */
#include "tests/unit/io/db/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io/platform/files.h"

#define ASK "SELECT done FROM work"

static char last_words[128];
static uint64_t steps_nearer;

static void listen(struct act *act, uint64_t done, uint64_t total, const char *text)
{
    (void)act;
    assert_int_equal(total, 0); /* the words say how far; the number only that it moved */
    steps_nearer = done;
    snprintf(last_words, sizeof(last_words), "%s", text);
}

static const char *script(struct fixture *f, const char *body)
{
    const char *path = arena_printf(&f->arena, "%s/work.sh", f->dir);
    const char *text =
        arena_printf(&f->arena,
                     "#!/bin/sh\nset -e\necho start >> %s/starts\n"
                     "export PGPASSWORD=" PG_PASSWORD "\n"
                     "sql() { psql -qAtX -h 127.0.0.1 -p %d -U postgres -d \"$1\" -c \"$2\"; }\n"
                     "db=%s\n%s",
                     f->dir, f->server->port, fixture_value(f, "SELECT current_database()"), body);
    assert_ok(file_write(path, text, strlen(text), 0700, &f->error));
    return path;
}

static size_t starts(struct fixture *f)
{
    char line[64];
    size_t count = 0;
    FILE *file = fopen(arena_printf(&f->arena, "%s/starts", f->dir), "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        count++;
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

static int follow(struct fixture *f, const char *body, int64_t to, int64_t stall_ms)
{
    struct run_action run = {.tree = TREE_NONE};
    const char *argv[] = {body != NULL ? script(f, body) : NULL};
    run.command.argv = (struct strings){argv, 1};
    struct follow_action a = {.database = f->database,
                              .run = body != NULL ? &run : NULL,
                              .sql = ASK,
                              .to = to,
                              .every_ms = 100,
                              .stall_ms = stall_ms,
                              .within_ms = 60000};
    struct action action = {.follow = &a};
    f->act.progress = listen;
    f->act.facts = NULL;
    return act_follow(&f->act, &action, &f->error);
}

static void begin(struct fixture *f, const char *done)
{
    fixture_postgres(f);
    fixture_exec(f, arena_printf(&f->arena,
                                 "CREATE TABLE work (done float); GRANT ALL ON work TO public;"
                                 "INSERT INTO work VALUES (%s)",
                                 done));
}

static void goes_to_its_end_and_is_then_done_already(void **state UNUSED)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, "0");
    assert_ok(follow(f, "for i in 0.25 0.5 1; do sql $db \"UPDATE work SET done = $i\"; done\n", 1,
                     30000));
    assert_string_equal(f->act.facts, "{\"progress\":1.0,\"starts\":1}");
    assert_string_equal(last_words, "100.0 %");
    assert_in_range(steps_nearer, 2, 4); /* 0, 1, and what was seen in between */
    assert_ok(follow(f, "exit 1\n", 1, 30000));
    assert_string_equal(f->act.facts, "{\"progress\":1.0,\"starts\":0}");
    assert_int_equal(starts(f), 1);
    fixture_end(f);
}

static void starts_again_what_died_half_way(void **state UNUSED)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, "0");
    assert_ok(follow(f,
                     "sql $db 'UPDATE work SET done = done + 0.25'\n"
                     "[ $(sql $db 'SELECT done FROM work') = 1 ] || kill -9 $$\n",
                     1, 30000));
    assert_int_equal(starts(f), 4);
    fixture_end(f);
}

static void what_dies_without_a_step_nearer_is_given_up(void **state UNUSED)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, "0.5");
    assert_int_equal(follow(f, "echo no disk is left; exit 3\n", 1, 30000), E_IO);
    assert_has(f->error.message, "ended with status 3 3 times at progress 0.5 of 1");
    assert_has(f->error.message, "its last lines: no disk is left");
    assert_int_equal(starts(f), 3);
    fixture_end(f);
}

static void what_hangs_is_ended_and_said(void **state UNUSED)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, "0.5");
    assert_int_equal(
        follow(f, "echo $$ > ${0%/*}/work.pid; echo waiting for a lock; exec sleep 1000\n", 1, 500),
        E_TIMEOUT);
    assert_has(f->error.message, "progress 0.5 of 1, and no step nearer for 500 ms");
    assert_has(f->error.message, "its last lines: waiting for a lock");
    char *pid = NULL;
    size_t len = 0;
    assert_ok(file_read(&f->arena, arena_printf(&f->arena, "%s/work.pid", f->dir), 64, &pid, &len,
                        &f->error));
    assert_int_equal(kill(atoi(pid), 0), -1);
    fixture_end(f);
}

static void goes_back_to_0_in_reverse(void **state UNUSED)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, "1");
    assert_ok(
        follow(f, "for i in 0.5 0; do sql $db \"UPDATE work SET done = $i\"; done\n", 0, 30000));
    assert_string_equal(f->act.facts, "{\"progress\":0.0,\"starts\":1}");
    fixture_end(f);
}

/* A command that only hands the work over has ended well: it is not started again. */
static void follows_what_something_else_does(void **state UNUSED)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, "NULL");
    const char *later = "(sleep 0.5; sql $db 'UPDATE work SET done = 1') >/dev/null 2>&1 &\n";
    assert_ok(follow(f, later, 1, 30000));
    assert_int_equal(starts(f), 1);
    assert_ok(follow(f, NULL, 1, 30000));
    assert_int_equal(follow(f, NULL, 0, 300), E_TIMEOUT);
    fixture_end(f);
}

static void refuses_what_is_no_part_of_one(void **state UNUSED)
{
    struct fixture fixture;
    struct fixture *f = &fixture;
    begin(f, "37");
    assert_int_equal(follow(f, "exit 1\n", 1, 30000), E_INVALID);
    assert_has(f->error.message, "the progress is \"37\", which is no number from 0 to 1");
    assert_int_equal(starts(f), 0);
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_to_its_end_and_is_then_done_already),
        cmocka_unit_test(starts_again_what_died_half_way),
        cmocka_unit_test(what_dies_without_a_step_nearer_is_given_up),
        cmocka_unit_test(what_hangs_is_ended_and_said),
        cmocka_unit_test(goes_back_to_0_in_reverse),
        cmocka_unit_test(follows_what_something_else_does),
        cmocka_unit_test(refuses_what_is_no_part_of_one),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
