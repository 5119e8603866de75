/* A ledger that lost its rows: nothing that ran once runs again without a word, and what is legitimate goes on. */
#include "tests/unit/io/db/fixture.h"

#include <stdlib.h>
#include <string.h>

#include "lib/io/db/actions.h"
#include "lib/io/db/settle.h"

static struct migration_item items[3];

static void make_items(struct fixture *f)
{
    items[0] = fixture_item(f, 1, "one", "CREATE TABLE a (x int);");
    items[1] = fixture_item(f, 2, "two", "INSERT INTO a (x) VALUES (1);");
    items[2] = fixture_item(f, 3, "three", "ALTER TABLE a ADD y int;");
}

static void checkpoint(struct fixture *f, const char *step)
{
    struct db_checkpoint_action a = {
        .database = f->database, .format = FORMAT_MORPH, .release = "r"};
    struct action action = {.db_checkpoint = &a};
    const char *before = f->act.step;
    f->act.step = step;
    assert_ok(act_db_checkpoint(&f->act, &action, &f->error));
    f->act.step = before;
}

/* A run that came to its end; then another one begins. */
static void next_run(struct fixture *f)
{
    static unsigned runs = 1;
    assert_ok(fixture_unlock(f, &f->act, FORMAT_MORPH));
    f->act = fixture_act(f, arena_printf(&f->arena, "later-%u", runs++), f->act.fence + 1, "place");
}

/* From the first migration to the last, with a checkpoint after each: three runs. */
static void history(struct fixture *f)
{
    make_items(f);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(fixture_lock(f, &f->act, FORMAT_MORPH, 20000));
        assert_ok(fixture_migrate(f, &f->act, false, &items[i], 1));
        checkpoint(f, "c");
        next_run(f);
    }
}

static size_t open_now(struct fixture *f)
{
    struct db_session s = {0};
    struct db_unsettled *list = NULL;
    size_t count = 0;
    fixture_open(f, &s, "look");
    assert_ok(db_unsettled(&s, &f->arena, FORMAT_MORPH, &list, &count, &f->error));
    for (size_t i = 0; i < count; i++) {
        assert_true(list[i].question && list[i].ours && !list[i].down);
    }
    db_close(&s);
    return count;
}

static void asks_about(struct fixture *f, const char *first, size_t count, const char *why)
{
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 3), E_UNKNOWN);
    assert_has(f->error.message, first);
    assert_has(f->error.message, "the evidence says that it ran by run ");
    assert_has(f->error.message, ", SHA-256 ");
    assert_has(f->error.message, why);
    assert_int_equal(open_now(f), count);
}

static void runs_on(struct fixture *f, const char *facts)
{
    if (fixture_migrate(f, &f->act, false, items, 3) != 0) {
        fail_msg("%s", f->error.message);
    }
    assert_string_equal(fixture_counts(f), facts);
    assert_int_equal(open_now(f), 0);
}

static const char *rows_of(struct fixture *f)
{
    return fixture_value(f, "SELECT count(*) FROM a");
}

/* ---- the ledger was emptied: it stops, and a person's word decides ---- */

static void emptied(struct fixture *f)
{
    history(f);
    /* What a script does, or a hand. */
    struct migration_item wipe = fixture_item(f, 4, "wipe", "DELETE FROM db_migrations;");
    assert_ok(fixture_migrate(f, &f->act, false, &wipe, 1));
    next_run(f);
    asks_about(f, "000001_one.sql is not in the ledger", 3,
               "the schema is still as that run left it");
    assert_has(f->error.message, "and 2 more like it");
    assert_string_equal(rows_of(f), "1");
    /* The same attempt again, and another run: asked again, nothing runs. */
    asks_about(f, "000001_one.sql", 3, "the schema is still");
    next_run(f);
    asks_about(f, "000001_one.sql", 3, "the schema is still");
    /* One step further than what is in doubt: that waits too. */
    assert_string_equal(rows_of(f), "1");
    assert_ok(
        db_settle(&f->act, &f->database, FORMAT_MORPH, &items[0], DB_ANSWER_APPLIED, &f->error));
    assert_ok(
        db_settle(&f->act, &f->database, FORMAT_MORPH, &items[2], DB_ANSWER_APPLIED, &f->error));
    asks_about(f, "000002_two.sql", 1, "the schema is still");
    assert_ok(
        db_settle(&f->act, &f->database, FORMAT_MORPH, &items[1], DB_ANSWER_REVERTED, &f->error));
    runs_on(f, "\"ran\":1,\"skipped\":2}"); /* he said that it is not there: it runs */
    assert_string_equal(rows_of(f), "2");
}

static void a_ledger_that_was_emptied_is_asked_about(void **state)
{
    (void)state;
    fixture_everywhere(emptied);
}

static void dropped(struct fixture *f)
{
    history(f);
    fixture_exec(f, "DROP TABLE db_migrations");
    asks_about(f, "000001_one.sql", 3, "the schema is still");
    f->act.attempt = 2; /* `retry` of the run */
    assert_int_equal(fixture_migrate(f, &f->act, false, items, 3), E_DATABASE);
    assert_has(f->error.message, "000001_one.sql"); /* the table is there */
    fixture_exec(f, "DROP TABLE a");
    f->act.attempt = 3;
    runs_on(f, "\"ran\":3,\"skipped\":0}");
    assert_string_equal(rows_of(f), "1");
}

static void a_retry_is_the_word_that_it_may_run(void **state)
{
    (void)state;
    fixture_everywhere(dropped);
}

static void the_same_steps_own_evidence_counts_as_well(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    make_items(f);
    assert_ok(fixture_migrate(f, &f->act, false, items, 1));
    fixture_exec(f, "DELETE FROM db_migrations");
    asks_about(f, "000001_one.sql", 1, "nothing tells whether it was taken back");
    fixture_end(f);
}

static void the_tools_own_row_is_an_answer(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    history(f);
    fixture_exec(f, "DELETE FROM db_migrations WHERE version > 1");
    asks_about(f, "000002_two.sql", 2, "the schema is still");
    fixture_exec(f, "INSERT INTO db_migrations VALUES (2, 'two'), (3, 'three')");
    runs_on(f, "\"ran\":0,\"skipped\":3}");
    fixture_end(f);
}

static void a_ledger_of_one_row_is_answered_by_one_word(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    make_items(f);
    for (size_t i = 0; i < 3; i++) {
        items[i].id = arena_printf(&f->arena, "%zu", i + 1);
        items[i].previous = (int64_t)i;
    }
    struct db_migrate_action migrate = {.database = f->database,
                                        .format = FORMAT_GOLANG_MIGRATE,
                                        .items = {.items = items, .count = 3}};
    struct action action = {.db_migrate = &migrate};
    assert_ok(act_db_migrate(&f->act, &action, &f->error));
    fixture_exec(f, "TRUNCATE schema_migrations");
    f->act = fixture_act(f, "run-2", 8, "place");
    assert_int_equal(act_db_migrate(&f->act, &action, &f->error), E_UNKNOWN);
    assert_has(f->error.message, "and 2 more like it");
    assert_ok(db_settle(&f->act, &f->database, FORMAT_GOLANG_MIGRATE, &items[2], DB_ANSWER_APPLIED,
                        &f->error));
    assert_string_equal(fixture_value(f, "SELECT count(*) FROM lockstep.intent"), "0");
    assert_ok(act_db_migrate(&f->act, &action, &f->error));
    assert_string_equal(fixture_counts(f), "\"ran\":0,\"skipped\":3}");
    assert_string_equal(fixture_value(f, "SELECT version || ' ' || dirty FROM schema_migrations"),
                        "3 false");
    fixture_end(f);
}

static void two_ledgers_do_not_speak_for_each_other(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    history(f);
    f->database.ledger = "db_config_migrations";
    struct migration_item one = fixture_item(f, 1, "one", "CREATE TABLE config (x int);");
    assert_ok(fixture_migrate(f, &f->act, false, &one, 1));
    assert_string_equal(fixture_counts(f), "\"ran\":1,\"skipped\":0}");
    fixture_end(f);
}

/* ---- what is legitimate goes on ---- */

static void taken_down_by_the_tool(struct fixture *f)
{
    history(f);
    /* As its down does it: to what stood there at the checkpoint of the second run. */
    fixture_exec(f, "ALTER TABLE a DROP COLUMN y");
    fixture_exec(f, "DELETE FROM db_migrations WHERE version = 3");
    runs_on(f, "\"ran\":1,\"skipped\":2}");
    checkpoint(f, "c");
    next_run(f);
    /* Rows alone leave no trace in the schema: whether they went cannot be seen. */
    fixture_exec(f, "ALTER TABLE a DROP COLUMN y");
    fixture_exec(f, "DELETE FROM db_migrations WHERE version > 1");
    asks_about(f, "000002_two.sql", 1, "it changed nothing that the schema shows");
}

static void what_the_tool_took_down_goes_up_again(void **state)
{
    (void)state;
    fixture_everywhere(taken_down_by_the_tool);
}

static void half_way_down(struct fixture *f)
{
    history(f);
    /* No checkpoint ever stood here. */
    fixture_exec(f, "ALTER TABLE a DROP COLUMN y");
    fixture_exec(f, "CREATE TABLE other (x int)");
    fixture_exec(f, "DELETE FROM db_migrations WHERE version = 3");
    asks_about(f, "000003_three.sql", 1, "nothing tells whether it was taken back");
}

static void where_nothing_can_tell_it_asks(void **state)
{
    (void)state;
    fixture_everywhere(half_way_down);
}

static void bare(struct fixture *f)
{
    history(f);
    fixture_exec(f, "DROP TABLE a");
    if (f->kind == DB_SQLITE) {
        fixture_exec(f, "DROP TABLE made"); /* the fixture's */
    }
    fixture_exec(f, "DROP TABLE db_migrations");
    runs_on(f, "\"ran\":3,\"skipped\":0}");
}

static void an_emptied_database_begins_anew(void **state)
{
    (void)state;
    fixture_everywhere(bare);
}

static void by_our_own_downs(struct fixture *f)
{
    history(f);
    struct migration_item down = fixture_item(f, 3, "three", "ALTER TABLE a DROP COLUMN y;");
    assert_ok(fixture_migrate(f, &f->act, true, &down, 1));
    next_run(f);
    runs_on(f, "\"ran\":1,\"skipped\":2}");
    /* The other way: the tool put it up, as it does at each start. Its word is enough. */
    next_run(f);
    assert_ok(fixture_migrate(f, &f->act, true, &down, 1));
    next_run(f);
    fixture_exec(f, "ALTER TABLE a ADD y int");
    fixture_exec(f, "INSERT INTO db_migrations VALUES (3, 'three')");
    assert_ok(fixture_migrate(f, &f->act, true, &down, 1));
    assert_string_equal(fixture_counts(f), "\"ran\":1,\"skipped\":0}");
}

static void what_we_took_down_is_known(void **state)
{
    (void)state;
    fixture_everywhere(by_our_own_downs);
}

static void restored(struct fixture *f)
{
    make_items(f);
    assert_ok(fixture_migrate(f, &f->act, false, items, 1));
    struct db_backup_action backup = {
        .database = f->database, .directory = f->dir, .max_age_ms = 0};
    struct action action = {.db_backup = &backup};
    f->act.step = "b";
    assert_ok(act_db_backup(&f->act, &action, &f->error));
    const char *made = db_backup_path(&f->act, f->dir, "main", f->act.run, "b");
    f->act.step = "4.3";
    assert_ok(fixture_migrate(f, &f->act, false, items + 1, 2)); /* rows, and no checkpoint */
    struct db_restore_action restore = {
        .database = f->database, .format = FORMAT_MORPH, .path = made};
    action = (struct action){.db_restore = &restore};
    f->act.step = "r";
    assert_ok(act_db_restore(&f->act, &action, &f->error));
    assert_string_equal(rows_of(f), "0");
    f->act = fixture_act(f, "run-2", 8, "place");
    runs_on(f, "\"ran\":2,\"skipped\":1}");
    assert_string_equal(rows_of(f), "1");
}

static void a_backup_that_was_put_back_outdates_the_evidence(void **state)
{
    (void)state;
    fixture_everywhere(restored);
}

static void a_foreign_restore_to_a_checkpoint_goes_on(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    history(f);
    /* pg_dump without our schema, while the second migration was the newest: here, put back by hand. */
    fixture_exec(f, "ALTER TABLE a DROP COLUMN y");
    fixture_exec(f, "DELETE FROM db_migrations WHERE version = 3");
    const char *file = arena_printf(&f->arena, "%s/foreign.dump", f->dir);
    setenv("PGPASSWORD", PG_PASSWORD, 1);
    assert_int_equal(system(arena_printf(&f->arena, "pg_dump -Fc -N lockstep -f %s '%s'", file,
                                         f->database.url)),
                     0);
    assert_ok(fixture_migrate(f, &f->act, false, items, 3));
    checkpoint(f, "c");
    next_run(f);
    assert_int_equal(system(arena_printf(&f->arena, "pg_restore --clean --if-exists -d '%s' %s",
                                         f->database.url, file)),
                     0);
    runs_on(f, "\"ran\":1,\"skipped\":2}");
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ledger_that_was_emptied_is_asked_about),
        cmocka_unit_test(a_retry_is_the_word_that_it_may_run),
        cmocka_unit_test(the_same_steps_own_evidence_counts_as_well),
        cmocka_unit_test(the_tools_own_row_is_an_answer),
        cmocka_unit_test(a_ledger_of_one_row_is_answered_by_one_word),
        cmocka_unit_test(two_ledgers_do_not_speak_for_each_other),
        cmocka_unit_test(what_the_tool_took_down_goes_up_again),
        cmocka_unit_test(where_nothing_can_tell_it_asks),
        cmocka_unit_test(an_emptied_database_begins_anew),
        cmocka_unit_test(what_we_took_down_is_known),
        cmocka_unit_test(a_backup_that_was_put_back_outdates_the_evidence),
        cmocka_unit_test(a_foreign_restore_to_a_checkpoint_goes_on),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
