/* The fence and the evidence: what the server itself refuses. */
#include "tests/unit/io/db/fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct db_work work = {
    .run = "r", .step = "1.1", .item = "i", .digest = "d", .fence = 7, .attempt = 1};

static void made(struct fixture *f, struct db_session *s)
{
    fixture_open(f, s, "r");
    assert_ok(db_evidence_create(s, act_now_ms() + 5000, &f->error));
    assert_ok(db_fence_raise(s, 7, act_now_ms() + 5000, &f->error));
}

static void fence_grows(struct fixture *f)
{
    struct db_session s = {0};
    made(f, &s);
    uint64_t fence = 0;
    assert_ok(db_fence_raise(&s, 7, act_now_ms() + 5000, &f->error)); /* equal is fine */
    assert_ok(db_fence_raise(&s, 9, act_now_ms() + 5000, &f->error));
    assert_int_equal(db_fence_raise(&s, 8, act_now_ms() + 5000, &f->error), E_DENIED);
    assert_has(f->error.message, "fence 8 is old");
    assert_has(f->error.message, "seen 9");
    assert_ok(db_fence_read(&s, &fence, &f->error));
    assert_int_equal(fence, 9);
    /* Not even SQL by hand takes it back. */
    const char *prefix = s.engine->prefix;
    assert_true(db_exec(&s, arena_printf(&f->arena, "UPDATE %sfence SET value = 1", prefix),
                        &f->error) < 0);
    assert_has(f->error.message, "only grows");
    assert_true(db_exec(&s, arena_printf(&f->arena, "DELETE FROM %sfence", prefix), &f->error) < 0);
    assert_has(f->error.message, "only grows");
    assert_true(db_exec(&s,
                        fixture_pick(f, "TRUNCATE lockstep.fence",
                                     "INSERT OR REPLACE INTO lockstep_fence VALUES (1, 1)",
                                     "REPLACE INTO lockstep_fence VALUES (1, 1)"),
                        &f->error) < 0);
    assert_has(f->error.message, "only grows");
    assert_ok(db_fence_read(&s, &fence, &f->error));
    assert_int_equal(fence, 9);
    db_close(&s);
}

static void the_fence_only_grows(void **state)
{
    (void)state;
    fixture_everywhere(fence_grows);
}

static void replay_stale(struct fixture *f)
{
    struct db_session s = {0}, stale = {0};
    bool commits = f->kind == DB_MARIADB; /* at every CREATE */
    const char *effect = commits ? "INSERT INTO effect VALUES (1)" : "CREATE TABLE effect (x int)";
    made(f, &s);
    if (commits) {
        fixture_exec(f, "CREATE TABLE effect (x int)");
    }
    fixture_open(f, &stale, "r");
    struct db_work second = work;
    second.item = "second";
    assert_ok(db_evidence_add(&stale, &work, DB_HOW_RAN, &f->error));
    assert_ok(db_begin(&stale, &f->error));
    assert_ok(db_exec(&stale, effect, &f->error));
    if (f->kind != DB_SQLITE) {
        assert_ok(db_fence_raise(&s, 8, act_now_ms() + 5000, &f->error));
    } else {
        db_rollback(&stale); /* SQLite has one writer: the raise comes before or after */
        assert_ok(db_fence_raise(&s, 8, act_now_ms() + 5000, &f->error));
        assert_ok(db_begin(&stale, &f->error));
        assert_ok(db_exec(&stale, effect, &f->error));
    }
    assert_int_equal(db_evidence_add(&stale, &second, DB_HOW_RAN, &f->error), E_DENIED);
    assert_true(stale.fault.fenced);
    assert_has(f->error.message, "the fence is old");
    db_rollback(&stale);
    struct db_checkpoint c = {.run = "r", .step = "1", .release = "x", .digest = "d", .fence = 7};
    assert_int_equal(db_checkpoint_write(&stale, &c, &f->error), E_DENIED);
    assert_int_equal(db_intent_add(&stale, &second, &(struct db_progress){0}, &f->error), E_DENIED);
    struct db_holder self;
    assert_ok(db_holder_self(&f->arena, "r", 7, &self, &f->error));
    assert_int_equal(db_holder_write(&stale, &self, &f->error), E_DENIED);
    bool there = true;
    assert_ok(s.engine->table_exists(&s, "effect", &there, &f->error));
    assert_int_equal(there, commits);
    if (commits) {
        assert_string_equal(fixture_value(f, "SELECT count(*) FROM effect"), "0");
    }
    db_close(&stale);
    db_close(&s);
}

static void a_stale_fence_is_refused_by_the_server_itself(void **state)
{
    (void)state;
    fixture_everywhere(replay_stale);
}

static void raise_waits(struct fixture *f)
{
    if (f->kind == DB_SQLITE) {
        return; /* it has one writer */
    }
    struct db_session s = {0}, worker = {0};
    made(f, &s);
    fixture_open(f, &worker, "r");
    assert_ok(db_begin(&worker, &f->error));
    assert_ok(db_evidence_add(&worker, &work, DB_HOW_RAN, &f->error));
    int64_t before = act_now_ms();
    assert_int_equal(db_fence_raise(&s, 8, before + 400, &f->error), E_TIMEOUT);
    assert_true(act_now_ms() - before >= 350);
    assert_has(f->error.message, "from 7 to 8");
    assert_ok(db_commit(&worker, &f->error));
    assert_ok(db_fence_raise(&s, 8, act_now_ms() + 5000, &f->error));
    db_close(&worker);
    db_close(&s);
}

static void a_raise_waits_for_a_commit_that_is_under_way(void **state)
{
    (void)state;
    fixture_everywhere(raise_waits);
}

static void evidence_is_unique(struct fixture *f)
{
    struct db_session s = {0};
    struct db_evidence found = {0};
    made(f, &s);
    assert_ok(db_evidence_find(&s, &f->arena, &work, &found, &f->error));
    assert_false(found.found);
    assert_ok(db_evidence_add(&s, &work, DB_HOW_RAN, &f->error));
    assert_int_equal(db_evidence_add(&s, &work, DB_HOW_RAN, &f->error), E_DATABASE);
    assert_ok(db_evidence_find(&s, &f->arena, &work, &found, &f->error));
    assert_true(found.found);
    assert_string_equal(found.digest, "d");
    assert_string_equal(found.how, "ran");
    assert_has(found.at, "T");
    struct db_work back = work;
    back.down = true; /* the way back in the same step is another thing */
    assert_ok(db_evidence_add(&s, &back, DB_HOW_RAN, &f->error));
    struct db_evidence *list = NULL;
    size_t count = 0;
    assert_ok(db_evidence_read(&s, &f->arena, "r", "1.1", &list, &count, &f->error));
    assert_int_equal(count, 2);
    assert_false(list[0].down);
    assert_true(list[1].down);
    db_close(&s);
}

static void one_item_has_one_evidence(void **state)
{
    (void)state;
    fixture_everywhere(evidence_is_unique);
}

static void intents_are_the_items(struct fixture *f)
{
    struct db_session s = {0};
    made(f, &s);
    struct db_work up = work;
    up.ledger = "morph";
    up.file = "000001_i.up.sql";
    struct db_progress progress = {
        .done = 2, .state = "index none", .line = 7, .statement = "CREATE INDEX …"};
    assert_ok(db_intent_add(&s, &up, &progress, &f->error));
    struct db_work other = up;
    other.run = "another run";
    other.fence = 8;
    assert_int_equal(db_intent_add(&s, &other, &progress, &f->error), E_DATABASE);
    other.ledger = "goose"; /* another tool's item of the same name */
    assert_ok(db_intent_add(&s, &other, &progress, &f->error));
    assert_ok(db_intent_asked(&s, &up, &f->error));
    struct db_intent *list = NULL;
    size_t count = 0;
    assert_ok(db_intents_read(&s, &f->arena, "morph", &list, &count, &f->error));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].file, "000001_i.up.sql");
    assert_string_equal(list[0].progress.statement, "CREATE INDEX …");
    assert_int_equal(list[0].progress.line, 7);
    assert_int_equal(list[0].progress.done, 2);
    assert_string_equal(list[0].progress.state, "index none");
    assert_string_equal(list[0].asked_run, "r");
    assert_int_equal(list[0].asked_attempt, 1);
    other.ledger = "morph"; /* another run goes on with it: nobody was asked by that one */
    progress.done = 3;
    assert_ok(db_intent_move(&s, &other, &progress, &f->error));
    assert_ok(db_intents_read(&s, &f->arena, NULL, &list, &count, &f->error));
    assert_int_equal(count, 2);
    const struct db_intent *moved = &list[str_equal(list[0].ledger, "morph") ? 0 : 1];
    assert_string_equal(moved->run, "another run");
    assert_int_equal(moved->progress.done, 3);
    assert_int_equal(moved->asked_attempt, 0);
    assert_ok(db_intent_remove(&s, &up, &f->error));
    assert_ok(db_intents_read(&s, &f->arena, "morph", &list, &count, &f->error));
    assert_int_equal(count, 0);
    db_close(&s);
}

static void an_intent_belongs_to_the_item_not_to_the_run(void **state)
{
    (void)state;
    fixture_everywhere(intents_are_the_items);
}

static void create_many(struct fixture *f)
{
    pid_t children[6];
    int start[2]; /* all are connected before the first one begins */
    assert_int_equal(pipe(start), 0);
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct db_session s = {0};
            struct db_options options = {.run = "r"};
            int rc = db_open(&s, &f->arena, &f->database, &options, &f->error);
            char byte;
            close(start[1]);
            ssize_t ended = read(start[0], &byte, 1);
            rc =
                rc < 0 || ended != 0 ? rc : db_evidence_create(&s, act_now_ms() + 10000, &f->error);
            if (rc < 0) {
                fprintf(stderr, "%s\n", f->error.message);
            }
            db_close(&s);
            _exit(rc == 0 ? 0 : 1);
        }
    }
    usleep(500000);
    close(start[0]);
    close(start[1]);
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        int ended = -1;
        assert_int_equal(waitpid(children[i], &ended, 0), children[i]);
        assert_int_equal(ended, 0);
    }
    assert_string_equal(fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %s",
                                                      fixture_own(f, "layout"))),
                        "1");
    assert_string_equal(fixture_value(f, arena_printf(&f->arena, "SELECT count(*) FROM %s",
                                                      fixture_own(f, "fence"))),
                        "1");
}

static void many_creators_make_it_once(void **state)
{
    (void)state;
    fixture_everywhere(create_many);
}

static void newer_layout(struct fixture *f)
{
    struct db_session s = {0};
    made(f, &s);
    assert_ok(db_exec(&s,
                      arena_printf(&f->arena, "UPDATE %slayout SET version = 99", s.engine->prefix),
                      &f->error));
    assert_int_equal(db_evidence_create(&s, act_now_ms() + 1000, &f->error), E_CONFLICT);
    assert_has(f->error.message, "newer Lockstep");
    assert_ok(db_exec(&s,
                      arena_printf(&f->arena, "UPDATE %slayout SET version = 1", s.engine->prefix),
                      &f->error));
    assert_int_equal(db_evidence_create(&s, act_now_ms() + 1000, &f->error), E_CONFLICT);
    assert_has(f->error.message, "older Lockstep");
    db_close(&s);
}

static void tables_of_another_layout_are_left_alone(void **state)
{
    (void)state;
    fixture_everywhere(newer_layout);
}

static void a_role_without_create_is_told_what_to_grant(void **state)
{
    (void)state;
    struct fixture fixture, *f = &fixture;
    fixture_postgres(f);
    fixture_exec(f, "DO $$ BEGIN CREATE ROLE weak LOGIN PASSWORD '" PG_PASSWORD
                    "'; EXCEPTION WHEN duplicate_object THEN"
                    " NULL; END $$");
    struct db_session s = {0};
    f->database.url = arena_printf(&f->arena, "postgres://weak@127.0.0.1:%d/%s", f->server->port,
                                   strrchr(f->database.url, '/') + 1);
    fixture_open(f, &s, "r");
    assert_int_equal(db_evidence_create(&s, act_now_ms() + 1000, &f->error), E_DATABASE);
    assert_has(f->error.message, "GRANT CREATE ON DATABASE");
    const char *identity = NULL;
    assert_ok(
        s.engine->identity(&s, &f->arena, &identity, &f->error)); /* an ordinary role may know it */
    assert_has(identity, "postgres:");
    db_close(&s);
    fixture_end(f);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fence_only_grows),
        cmocka_unit_test(a_stale_fence_is_refused_by_the_server_itself),
        cmocka_unit_test(a_raise_waits_for_a_commit_that_is_under_way),
        cmocka_unit_test(one_item_has_one_evidence),
        cmocka_unit_test(an_intent_belongs_to_the_item_not_to_the_run),
        cmocka_unit_test(many_creators_make_it_once),
        cmocka_unit_test(tables_of_another_layout_are_left_alone),
        cmocka_unit_test(a_role_without_create_is_told_what_to_grant),
    };
    return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run);
}
