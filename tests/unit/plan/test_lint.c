/* What a plan says of the SQL on its way: locks by the size of their tables, traps, and what has no way back. */
#include "tests/unit/plan/texts.h"

#define UP1                                                                                        \
    {                                                                                              \
        "000001_a.up.sql", BYTES("CREATE TABLE posts (id int);"), SHA("aaaa")                      \
    }
#define DOWN1                                                                                      \
    {                                                                                              \
        "000001_a.down.sql", BYTES("DROP TABLE posts;"), SHA("bbbb")                               \
    }
#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct migration_file old_files[] = {UP1, DOWN1, {.name = NULL}};

static struct observed_table tables[] = {
    {"public.posts", INT64_C(12000000000), 90000000},
    {"audit.users", INT64_C(3000000), 1000},
};

/* From a release with one table to one with this migration, on PostgreSQL. */
static void way_of(const char *up, const char *down)
{
    world_init(&w);
    const char *cluster = guestbook_cluster(&w, "1.1.0", "");
    world_read(&w, with(cluster, "sqlite:///var/lib/guestbook.db", "postgres://gb@db/gb"),
               guestbook_application);
    struct migration_file files[] = {
        UP1,
        DOWN1,
        {"000002_b.up.sql", {(const uint8_t *)up, strlen(up)}, SHA("cccc")},
        {"000002_b.down.sql",
         {(const uint8_t *)down, down != NULL ? strlen(down) : 0},
         SHA("dddd")},
        {.name = NULL}};
    if (down == NULL) {
        files[3].name = NULL;
    }
    world_release_files(&w, "1.0.0", old_files);
    world_release_files(&w, "1.1.0", files);
    world_runs(&w, "1.0.0");
    world_ids(&w, "a");
    w.inventory.databases[0].tables = tables;
    w.inventory.databases[0].table_count = ARRAY_SIZE(tables);
}

static const struct plan_step *migrate(void)
{
    for (size_t p = 0; p < w.plan.phases.count; p++) {
        for (size_t s = 0; s < plan_phase_at(&w.plan, p)->steps.count; s++) {
            if (plan_step_at(&w.plan, p, s)->action->db_migrate != NULL) {
                return plan_step_at(&w.plan, p, s);
            }
        }
    }
    fail_msg("the plan migrates nothing");
    return NULL;
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in: %s", part, text);
    }
}

static void says_what_is_locked_and_how_large_it_is(void **state UNUSED)
{
    way_of("ALTER TABLE small ADD CHECK (x > 0);\n"
           "ALTER TABLE audit.users ADD COLUMN name text;\n"
           "ALTER TABLE posts ALTER COLUMN id TYPE bigint;\n"
           "CREATE INDEX posts_id ON posts (id);\n",
           "ALTER TABLE audit.users DROP COLUMN name;");
    const char *text = world_render(&w, NULL);
    has(text, "                  ACCESS EXCLUSIVE on posts (12 GB), rewrites it: 000002_b.up.sql\n"
              "                  ACCESS EXCLUSIVE on audit.users (3.0 MB): 000002_b.up.sql\n"
              "                  ACCESS EXCLUSIVE on small: 000002_b.up.sql\n"
              "                  back: 2 drops column audit.users.name\n");
    assert_int_equal(migrate()->locks.count, 3);
    has(world_json(&w), "\"locks\":[{\"bytes\":12000000000,\"migration\":\"000002_b.up.sql\","
                        "\"mode\":\"ACCESS EXCLUSIVE\",\"object\":\"posts\",\"rewrites\":true,"
                        "\"rows\":90000000}");
}

static void many_locks_are_bounded(void **state UNUSED)
{
    struct buf b;
    struct arena arena;
    arena_init(&arena);
    buf_init(&b, &arena, 100000);
    for (int i = 0; i < 100; i++) {
        buf_printf(&b, "DROP TABLE t%d;\n", i);
    }
    way_of(buf_text(&b), "SELECT 1;");
    has(world_render(&w, NULL), "locks on 15 more");
    assert_int_equal(migrate()->locks.count, PLAN_LOCKS_MAX);
    arena_deinit(&arena);
}

static void what_must_fail_is_refused_before_anything_stops(void **state UNUSED)
{
    way_of("ALTER TABLE posts ADD COLUMN x int;\nCREATE INDEX CONCURRENTLY i ON posts (x);\n",
           "ALTER TABLE posts DROP COLUMN x;");
    has(world_refusal(&w, NULL),
        "database main: 000002_b.up.sql would fail, and stop the run in the middle: line 2: CREATE "
        "INDEX CONCURRENTLY cannot run inside a transaction");
    world_deinit(&w);
    way_of("-- morph:nontransactional\nCREATE INDEX CONCURRENTLY i ON posts (id);\n",
           "-- morph:nontransactional\nDROP INDEX CONCURRENTLY i;");
    world_render(&w, NULL);
    world_deinit(&w);
    way_of("-- morph:nontransactional\nSELECT 1;\nCREATE INDEX CONCURRENTLY i ON posts (id);\n",
           "-- morph:nontransactional\nDROP INDEX CONCURRENTLY i;");
    has(world_refusal(&w, NULL),
        "line 3: CREATE INDEX CONCURRENTLY cannot run inside a transaction, "
        "and the statements of this file are one");
}

static void a_trap_is_a_warning(void **state UNUSED)
{
    way_of("SET search_path TO audit;\n", "SELECT 1;");
    world_render(&w, NULL);
    has(str_join(&w.arena, w.plan.warnings.items, w.plan.warnings.count),
        "database main: 000002_b.up.sql, line 1: ");
}

static void what_has_no_way_back_is_the_point_of_no_return(void **state UNUSED)
{
    way_of("ALTER TABLE posts ADD COLUMN x int;\n", NULL);
    has(world_render(&w, NULL), "! 2 cannot be undone (no down script): POINT OF NO RETURN");
    world_deinit(&w);
    way_of("ALTER TABLE posts ADD COLUMN x int;\n", "-- nothing\n");
    has(world_render(&w, NULL), "! 2 cannot be undone (its down is empty): POINT OF NO RETURN");
    world_deinit(&w);
    way_of("ALTER TABLE posts ADD COLUMN x int;\n", "ALTER TABLE posts DROP COLUMN x;");
    const char *text = world_render(&w, NULL);
    has(text, "back: 2 drops column posts.x");
    assert_null(strstr(text, "POINT OF NO RETURN"));
}

static void another_engine_has_other_locks(void **state UNUSED)
{
    guestbook("1.1.0", "");
    world_runs(&w, "1.0.0");
    world_ledger(&w, 2);
    world_render(&w, NULL);
    assert_int_equal(migrate()->locks.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(says_what_is_locked_and_how_large_it_is),         T(many_locks_are_bounded),
        T(what_must_fail_is_refused_before_anything_stops), T(a_trap_is_a_warning),
        T(what_has_no_way_back_is_the_point_of_no_return),  T(another_engine_has_other_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
