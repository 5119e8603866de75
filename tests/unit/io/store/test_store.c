/* The controller's store: tokens are spent once, revisions grow only by what is new, one run per cluster. */
#include "lib/io/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/io/store/sqlite.h"

struct world {
    char path[64];
    struct store *store;
    struct arena arena;
    struct error e;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    arena_init(&w->arena);
    snprintf(w->path, sizeof(w->path), "/tmp/lockstep-store-XXXXXX");
    int fd = mkstemp(w->path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(store_open(w->path, &w->store, &w->e), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    w->store = store_close(w->store);
    unlink(w->path);
    arena_deinit(&w->arena);
    free(w);
    return 0;
}

static void the_fence_grows_at_every_start_and_above_what_others_have_seen(void **state)
{
    struct world *w = *state;
    uint64_t fence = 0;
    assert_int_equal(store_fence_raise(w->store, 0, &fence, &w->e), 0);
    assert_int_equal(fence, 1);
    assert_int_equal(store_fence_raise(w->store, 41, &fence, &w->e), 0);
    assert_int_equal(fence, 42);
    w->store = store_close(w->store);
    assert_int_equal(store_open(w->path, &w->store, &w->e), 0);
    assert_int_equal(store_fence_raise(w->store, 3, &fence, &w->e), 0);
    assert_int_equal(fence, 43);
}

static void execute(const struct world *w, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t number_of(const struct world *w, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return number;
}

static void a_store_of_another_version_is_refused_and_not_touched(void **state)
{
    struct world *w = *state;
    w->store = store_close(w->store);
    assert_int_equal(number_of(w, "PRAGMA user_version"), STORE_VERSION);
    for (int version = STORE_VERSION - 1; version <= STORE_VERSION + 1; version++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "PRAGMA user_version = %d; PRAGMA journal_mode = delete",
                 version);
        execute(w, sql);
        int r = store_open(w->path, &w->store, &w->e);
        if (version == STORE_VERSION) {
            assert_int_equal(r, 0);
            w->store = store_close(w->store);
            continue;
        }
        assert_int_equal(r, E_INVALID);
        assert_non_null(strstr(w->e.message, w->path));
        assert_non_null(strstr(
            w->e.message,
            version == 0 ? "move it away and start again"
                         : arena_printf(&w->arena, "has version %d, and this program", version)));
        assert_int_equal(number_of(w, "PRAGMA user_version"), version);
        assert_int_equal(number_of(w, "SELECT count(*) FROM pragma_journal_mode "
                                      "WHERE journal_mode = 'delete'"),
                         1);
    }
}

static void a_file_of_somebody_else_becomes_no_store(void **state)
{
    struct world *w = *state;
    w->store = store_close(w->store);
    unlink(w->path);
    execute(w, "CREATE TABLE theirs (a)");
    assert_int_equal(store_open(w->path, &w->store, &w->e), E_INVALID);
    assert_int_equal(number_of(w, "SELECT count(*) FROM sqlite_master"), 1);
}

static void a_token_is_spent_once_by_its_own_node_in_time(void **state)
{
    struct world *w = *state;
    assert_int_equal(store_token_put(w->store, "app-1", "secret", 1000, &w->e), 0);
    assert_int_equal(store_token_use(w->store, "app-2", "secret", 10, &w->e), E_DENIED);
    assert_int_equal(store_token_use(w->store, "app-1", "guess", 10, &w->e), E_DENIED);
    assert_int_equal(store_token_use(w->store, "app-1", "secret", 1000, &w->e), E_DENIED);
    assert_int_equal(store_token_use(w->store, "app-1", "secret", 999, &w->e), 0);
    assert_int_equal(store_token_use(w->store, "app-1", "secret", 999, &w->e), E_DENIED);
    assert_non_null(strstr(w->e.message, "lockstep node enroll app-1"));
}

static void a_newer_token_ends_the_older_one(void **state)
{
    struct world *w = *state;
    assert_int_equal(store_token_put(w->store, "app-1", "old", 1000, &w->e), 0);
    assert_int_equal(store_token_put(w->store, "app-1", "new", 1000, &w->e), 0);
    assert_int_equal(store_token_use(w->store, "app-1", "old", 10, &w->e), E_DENIED);
    assert_int_equal(store_token_use(w->store, "app-1", "new", 10, &w->e), 0);
}

static struct stored_revision revision(const char *digest, const char *version)
{
    return (struct stored_revision){.cluster = "chat",
                                    .digest = digest,
                                    .author = "ann",
                                    .at_ms = 5,
                                    .application = "guestbook",
                                    .version = version,
                                    .message = "why",
                                    .bundle = {(const uint8_t *)version, strlen(version)}};
}

static void a_revision_is_added_only_when_it_differs_from_the_newest(void **state)
{
    struct world *w = *state;
    uint32_t number = 0;
    bool changed = false;
    struct stored_revision one = revision("d1", "1.0.0");
    struct stored_revision two = revision("d2", "2.0.0");
    assert_int_equal(store_revision_put(w->store, &one, &number, &changed, &w->e), 0);
    assert_int_equal(number, 1);
    assert_true(changed);
    assert_int_equal(store_revision_put(w->store, &one, &number, &changed, &w->e), 0);
    assert_int_equal(number, 1);
    assert_false(changed);
    assert_int_equal(store_revision_put(w->store, &two, &number, &changed, &w->e), 0);
    assert_int_equal(number, 2);
    /* A revert is a revision of its own. */
    assert_int_equal(store_revision_put(w->store, &one, &number, &changed, &w->e), 0);
    assert_int_equal(number, 3);
    struct stored_revision newest = {0};
    assert_int_equal(store_revision(w->store, &w->arena, "chat", 0, &newest, &w->e), 0);
    assert_string_equal(newest.version, "1.0.0");
    assert_int_equal(newest.bundle.len, 5);
    assert_int_equal(store_revision(w->store, &w->arena, "chat", 2, &newest, &w->e), 0);
    assert_string_equal(newest.author, "ann");
    assert_string_equal(newest.version, "2.0.0");
    assert_int_equal(store_revision(w->store, &w->arena, "chat", 4, &newest, &w->e), E_NOT_FOUND);
    struct stored_revisions all = {0};
    assert_int_equal(store_revisions(w->store, &w->arena, "chat", &all, &w->e), 0);
    assert_int_equal(all.count, 3);
    assert_int_equal(all.items[0].number, 3);
    struct stored_revisions clusters = {0};
    assert_int_equal(store_clusters(w->store, &w->arena, &clusters, &w->e), 0);
    assert_int_equal(clusters.count, 1);
    assert_int_equal(clusters.items[0].number, 3);
}

static void a_cluster_has_one_run_that_is_not_over(void **state)
{
    struct world *w = *state;
    const struct bytes nothing = {(const uint8_t *)"{}", 2};
    assert_int_equal(store_plan_put(w->store, "p", nothing, nothing, &w->e), 0);
    struct stored_run run = {.run = "r1",
                             .cluster = "chat",
                             .plan_id = "p",
                             .to = "2.0.0",
                             .state = "running",
                             .started_ms = 1};
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    run.run = "r2";
    assert_int_equal(store_run_put(w->store, &run, &w->e), E_CONFLICT);
    assert_non_null(strstr(w->e.message, "r1"));
    struct stored_run other = run;
    other.cluster = "shop";
    assert_int_equal(store_run_put(w->store, &other, &w->e), 0);
    assert_int_equal(store_run_state(w->store, "r1", "failed", "why", 9, &w->e), 0);
    run.run = "r3";
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    struct stored_runs open = {0};
    assert_int_equal(store_runs_open(w->store, &w->arena, &open, &w->e), 0);
    assert_int_equal(open.count, 2);
    struct stored_run read = {0};
    assert_int_equal(store_run(w->store, &w->arena, "r1", &read, &w->e), 0);
    assert_string_equal(read.state, "failed");
    assert_string_equal(read.why, "why");
    assert_int_equal(store_run(w->store, &w->arena, "r9", &read, &w->e), E_NOT_FOUND);
}

static size_t to_take_back(struct world *w)
{
    struct stored_runs runs = {0};
    assert_int_equal(store_runs_to_roll_back(w->store, &w->arena, &runs, &w->e), 0);
    return runs.count;
}

static void a_run_is_to_be_taken_back_until_another_follows(void **state)
{
    struct world *w = *state;
    const struct bytes nothing = {(const uint8_t *)"{}", 2};
    assert_int_equal(store_plan_put(w->store, "p", nothing, nothing, &w->e), 0);
    struct stored_run run = {.run = "r1",
                             .cluster = "chat",
                             .plan_id = "p",
                             .to = "2.0.0",
                             .state = "running",
                             .started_ms = 1};
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    assert_int_equal(store_run_back(w->store, "r1", BACK_WANTED, &w->e), 0);
    assert_int_equal(to_take_back(w), 0); /* it is not over */
    assert_int_equal(store_run_state(w->store, "r1", "aborted", "why", 9, &w->e), 0);
    assert_int_equal(to_take_back(w), 1);
    run.run = "r2";
    run.cluster = "shop";
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    assert_int_equal(to_take_back(w), 1); /* another cluster's */
    run.run = "r3";
    run.cluster = "chat";
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    assert_int_equal(to_take_back(w), 0);
}

static void what_failed_is_in_quarantine_until_it_succeeded(void **state)
{
    struct world *w = *state;
    const struct bytes nothing = {(const uint8_t *)"{}", 2};
    assert_int_equal(store_plan_put(w->store, "p", nothing, nothing, &w->e), 0);
    const struct stored_run run = {.run = "r1",
                                   .cluster = "chat",
                                   .plan_id = "p",
                                   .to = "2.0.0",
                                   .state = "aborted",
                                   .started_ms = 1,
                                   .ended_ms = 2};
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    const struct stored_attempt failed = {.cluster = "chat",
                                          .spec = "d1",
                                          .from = "1.0.0",
                                          .to = "2.0.0",
                                          .run = "r1",
                                          .failed_ms = 77,
                                          .why = "app-2: health: no"};
    assert_int_equal(store_quarantine_put(w->store, &failed, &w->e), 0);
    w->store = store_close(w->store);
    assert_int_equal(store_open(w->path, &w->store, &w->e), 0);
    struct stored_attempt found = {0};
    struct stored_attempt like = failed;
    assert_int_equal(store_quarantine(w->store, &w->arena, &like, &found, &w->e), 1);
    assert_string_equal(found.run, "r1");
    assert_string_equal(found.why, "app-2: health: no");
    assert_int_equal(found.failed_ms, 77);
    like.from = NULL;
    assert_int_equal(store_quarantine(w->store, &w->arena, &like, &found, &w->e), 1);
    const struct stored_attempt others[] = {{.cluster = "shop", .spec = "d1", .to = "2.0.0"},
                                            {.cluster = "chat", .spec = "d2", .to = "2.0.0"},
                                            {.cluster = "chat", .spec = "d1", .to = "3.0.0"},
                                            {"chat", "d1", "1.1.0", "2.0.0", NULL, 0, NULL}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(store_quarantine(w->store, &w->arena, &others[i], &found, &w->e), 0);
        if (others[i].from != NULL) {
            assert_int_equal(store_quarantine_lift(w->store, &others[i], &w->e), 0);
        }
    }
    assert_int_equal(store_quarantine(w->store, &w->arena, &failed, &found, &w->e), 1);
    assert_int_equal(store_quarantine_lift(w->store, &failed, &w->e), 0);
    assert_int_equal(store_quarantine(w->store, &w->arena, &failed, &found, &w->e), 0);
}

static void a_run_of_a_fleet_is_found_by_its_key_which_no_other_has(void **state)
{
    struct world *w = *state;
    const struct bytes nothing = {(const uint8_t *)"{}", 2};
    assert_int_equal(store_plan_put(w->store, "p", nothing, nothing, &w->e), 0);
    struct stored_run run = {.run = "r1",
                             .cluster = "chat",
                             .plan_id = "p",
                             .to = "2.0.0",
                             .state = "running",
                             .started_ms = 1,
                             .fleet_key = "f.0.1"};
    struct stored_run found = {0};
    assert_int_equal(store_run_of_fleet(w->store, &w->arena, "f.0.1", &found, &w->e), E_NOT_FOUND);
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    assert_int_equal(store_run_of_fleet(w->store, &w->arena, "f.0.1", &found, &w->e), 0);
    assert_string_equal(found.run, "r1");
    run.run = "r2";
    run.cluster = "shop";
    assert_true(store_run_put(w->store, &run, &w->e) < 0);
    run.fleet_key = NULL;
    assert_int_equal(store_run_put(w->store, &run, &w->e), 0);
    assert_int_equal(store_run(w->store, &w->arena, "r2", &found, &w->e), 0);
    assert_null(found.fleet_key);
}

static void one_fleet_of_a_name_is_not_over_and_the_newest_counts(void **state)
{
    struct world *w = *state;
    struct stored_fleet fleet = {.fleet = "f1",
                                 .name = "chat",
                                 .version = "2.0.0",
                                 .bundle = {(const uint8_t *)"b", 1},
                                 .who = "anna",
                                 .acknowledged = true,
                                 .state = "ready",
                                 .started_ms = 5};
    struct stored_fleet found = {0};
    struct stored_fleets all = {0};
    assert_int_equal(store_fleet(w->store, &w->arena, NULL, &found, &w->e), E_NOT_FOUND);
    assert_int_equal(store_fleet_put(w->store, &fleet, &w->e), 0);
    fleet.fleet = "f2";
    assert_int_equal(store_fleet_put(w->store, &fleet, &w->e), E_CONFLICT);
    assert_non_null(strstr(w->e.message, "lockstep fleet abort chat"));
    assert_int_equal(store_fleet_state(w->store, "f1", "done", NULL, 9, &w->e), 0);
    assert_int_equal(store_fleet_put(w->store, &fleet, &w->e), 0);
    fleet.fleet = "f3";
    fleet.name = "board";
    assert_int_equal(store_fleet_put(w->store, &fleet, &w->e), 0);
    assert_int_equal(store_fleet(w->store, &w->arena, "chat", &found, &w->e), 0);
    assert_string_equal(found.fleet, "f2");
    assert_true(found.acknowledged && found.started_ms == 5 && found.ended_ms == 0);
    assert_int_equal(store_fleet(w->store, &w->arena, "f1", &found, &w->e), 0);
    assert_string_equal(found.state, "done");
    assert_int_equal(store_fleet(w->store, &w->arena, NULL, &found, &w->e), 0);
    assert_string_equal(found.fleet, "f3");
    assert_int_equal(store_fleets(w->store, &w->arena, true, &all, &w->e), 0);
    assert_int_equal(all.count, 2);
    assert_string_equal(all.items[1].fleet, "f2");
    assert_int_equal(store_fleet_state(w->store, "f3", "aborted", "why", 9, &w->e), 0);
    assert_int_equal(store_fleets(w->store, &w->arena, false, &all, &w->e), 0);
    assert_int_equal(all.count, 1);
    assert_string_equal(all.items[0].fleet, "f2");
}

static void evidence_is_of_one_fleet_stage_application_and_way(void **state)
{
    struct world *w = *state;
    const struct stored_evidence shown = {.fleet = "chat",
                                          .stage = "staging",
                                          .application = "d1",
                                          .from = "1.0.0",
                                          .to = "2.0.0",
                                          .cluster = "a",
                                          .run = "r1",
                                          .at_ms = 1};
    bool has = true;
    assert_int_equal(store_evidence_has(w->store, &shown, &has, &w->e), 0);
    assert_false(has);
    assert_int_equal(store_evidence_put(w->store, &shown, &w->e), 0);
    assert_int_equal(store_evidence_put(w->store, &shown, &w->e), 0);
    assert_int_equal(store_evidence_has(w->store, &shown, &has, &w->e), 0);
    assert_true(has);
    struct stored_evidence others[5] = {shown, shown, shown, shown, shown};
    others[0].fleet = "board";
    others[1].stage = "canary";
    others[2].application = "d2";
    others[3].from = "1.1.0";
    others[4].to = "1.1.0";
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_int_equal(store_evidence_has(w->store, &others[i], &has, &w->e), 0);
        assert_false(has);
    }
}

static void the_database_itself_refuses_a_second_open_run(void **state)
{
    struct world *w = *state;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    const char *insert =
        "INSERT INTO plan VALUES ('p', x'00', x'00');"
        "INSERT INTO run (run, cluster, plan_id, state, started_ms) VALUES ('a', 'c', 'p', 's', 1);"
        "INSERT INTO run (run, cluster, plan_id, state, started_ms) VALUES ('b', 'c', 'p', 's', "
        "1);";
    assert_int_equal(sqlite3_exec(db, insert, NULL, NULL, NULL), SQLITE_CONSTRAINT);
    sqlite3_close(db);
}

static void a_node_is_known_once_it_has_enrolled(void **state)
{
    struct world *w = *state;
    struct stored_node node = {0};
    assert_int_equal(store_node(w->store, &w->arena, "app-1", &node, &w->e), E_NOT_FOUND);
    assert_int_equal(store_node_enrolled(w->store, "app-1", "5e", 77, &w->e), 0);
    const struct stored_node seen = {.name = "app-1",
                                     .agent_version = "0.1",
                                     .os = "linux",
                                     .arch = "amd64",
                                     .address = "a:1",
                                     .seen_ms = 6};
    assert_int_equal(store_node_seen(w->store, &seen, &w->e), 0);
    assert_int_equal(store_node(w->store, &w->arena, "app-1", &node, &w->e), 0);
    assert_true(node.enrolled);
    assert_string_equal(node.serial, "5e");
    assert_string_equal(node.arch, "amd64");
    assert_int_equal(node.certificate_ends_ms, 77);
    assert_int_equal(node.seen_ms, 6);
}

static int64_t rehearsed(struct world *w, const char *cluster, const char *database,
                         const char *sha256)
{
    struct stored_rehearsed one = {0};
    int r = store_rehearsed(w->store, &w->arena, cluster, database, sha256, &one, &w->e);
    assert_true(r == 0 || r == E_NOT_FOUND);
    return r == 0 ? one.ms : -1;
}

static void what_was_rehearsed_is_known_by_cluster_database_and_script(void **state)
{
    struct world *w = *state;
    const struct stored_rehearsed first[] = {{"main", "aa", 10, 1000, 5},
                                             {"main", "bb", 20, 1000, 5}};
    const struct stored_rehearsed later[] = {{"main", "bb", 30, 2000, 6}};
    assert_int_equal(store_rehearsed_put(w->store, "c", first, 2, &w->e), 0);
    assert_int_equal(store_rehearsed_put(w->store, "c", later, 1, &w->e), 0);
    assert_int_equal(rehearsed(w, "c", "main", "aa"), 10);
    assert_int_equal(rehearsed(w, "c", "main", "bb"), 30);
    assert_int_equal(rehearsed(w, "c", "other", "aa"), -1);
    assert_int_equal(rehearsed(w, "d", "main", "aa"), -1);
}

static void the_oldest_rehearsals_go_past_the_limit(void **state)
{
    struct world *w = *state;
    size_t count = STORE_REHEARSED_MAX;
    struct stored_rehearsed *items = calloc(count, sizeof(*items));
    assert_non_null(items);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct stored_rehearsed){
            .database = "main", .sha256 = arena_printf(&w->arena, "%zu", i), .at_ms = 2000};
    }
    items[7].at_ms = 1000;
    assert_int_equal(store_rehearsed_put(w->store, "c", items, count, &w->e), 0);
    assert_int_equal(rehearsed(w, "c", "main", "7"), 0);
    const struct stored_rehearsed more = {"main", "new", 1, 3000, 0};
    assert_int_equal(store_rehearsed_put(w->store, "c", &more, 1, &w->e), 0);
    assert_int_equal(rehearsed(w, "c", "main", "7"), -1);
    assert_int_equal(rehearsed(w, "c", "main", "8"), 0);
    assert_int_equal(rehearsed(w, "c", "main", "new"), 1);
    free(items);
}

static void how_long_a_runs_steps_took_is_kept_for_the_newest_runs(void **state)
{
    struct world *w = *state;
    const struct stored_took like = {.application = "app", .cluster = "c", .step = "swap"};
    struct stored_tooks found = {0};
    for (int64_t i = 0; i <= STORE_TOOK_RUNS_MAX; i++) {
        const struct stored_took run = {.run = arena_printf(&w->arena, "r%d", (int)i),
                                        .cluster = "c",
                                        .application = "app",
                                        .at_ms = 1000 + i};
        const struct stored_took lines[] = {
            {"", "", "", 0, "swap", "a", i % 2 == 0 ? "1" : "2", "", "", 1, 10 + i, 10 + i, 20 + i},
            {"", "", "", 0, "1.sql", "a", "1", "main", "aa", 1, 100 + i, 100 + i, 100 + i}};
        assert_int_equal(store_took_put(w->store, &run, lines, 2, &w->e), 0);
        assert_int_equal(store_took_put(w->store, &run, lines, 2, &w->e), 0); /* again */
    }
    assert_int_equal(store_took(w->store, &w->arena, &like, &found, &w->e), 0);
    assert_int_equal(found.count, STORE_TOOK_RUNS_MAX); /* r0 is gone, none is there twice */
    assert_string_equal(found.items[0].run, "r20");
    assert_string_equal(found.items[STORE_TOOK_RUNS_MAX - 1].run, "r1");
    struct stored_took second = like;
    second.release = "2";
    assert_int_equal(store_took(w->store, &w->arena, &second, &found, &w->e), 0);
    assert_int_equal(found.count, STORE_TOOK_RUNS_MAX / 2);
    assert_int_equal(found.items[0].mean_ms, 10 + 19);
    assert_int_equal(found.items[0].longest_ms, 20 + 19);
}

static void a_scripts_time_is_its_own_clusters_before_anothers(void **state)
{
    struct world *w = *state;
    const struct stored_took line = {"", "", "", 0, "1.sql", "a", "1", "main", "aa", 1, 7, 7, 7};
    const struct stored_took later = {"", "", "", 0, "1.sql", "a", "1", "main", "aa", 1, 9, 9, 9};
    const struct stored_took ours = {
        .run = "r1", .cluster = "c", .application = "app", .at_ms = 1000};
    const struct stored_took theirs = {
        .run = "r2", .cluster = "d", .application = "app", .at_ms = 2000};
    assert_int_equal(store_took_put(w->store, &ours, &line, 1, &w->e), 0);
    assert_int_equal(store_took_put(w->store, &theirs, &later, 1, &w->e), 0);
    struct stored_took like = {
        .application = "app", .cluster = "c", .database = "main", .sha256 = "aa"};
    struct stored_took found = {0};
    assert_int_equal(store_took_script(w->store, &w->arena, &like, &found, &w->e), 0);
    assert_int_equal(found.mean_ms, 7);
    like.cluster = "e";
    assert_int_equal(store_took_script(w->store, &w->arena, &like, &found, &w->e), 0);
    assert_int_equal(found.mean_ms, 9);
    like.application = "other";
    assert_int_equal(store_took_script(w->store, &w->arena, &like, &found, &w->e), E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_store_of_another_version_is_refused_and_not_touched,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_somebody_else_becomes_no_store, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_fence_grows_at_every_start_and_above_what_others_have_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_is_spent_once_by_its_own_node_in_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_newer_token_ends_the_older_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_is_added_only_when_it_differs_from_the_newest,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_cluster_has_one_run_that_is_not_over, setup, teardown),
        cmocka_unit_test_setup_teardown(how_long_a_runs_steps_took_is_kept_for_the_newest_runs,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_scripts_time_is_its_own_clusters_before_anothers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_failed_is_in_quarantine_until_it_succeeded, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_run_is_to_be_taken_back_until_another_follows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_run_of_a_fleet_is_found_by_its_key_which_no_other_has,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(one_fleet_of_a_name_is_not_over_and_the_newest_counts,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(evidence_is_of_one_fleet_stage_application_and_way, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_database_itself_refuses_a_second_open_run, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_rehearsed_is_known_by_cluster_database_and_script,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_rehearsals_go_past_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_is_known_once_it_has_enrolled, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
