/*
 * Large sets: ten thousand migrations of each format, a chain and a wide graph. A scan over all of them for each of them
 * would be 10^8 comparisons of texts for each question here; and an arena that held it would show it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/migration/migration.h"
#include "tests/unit/migration/sets.h"

enum { MANY = 10000 };

static struct set_test t;

static struct migration_file *files_of(const char *up, const char *down, const char *text,
                                       int count)
{
    struct migration_file *files = ARENA_ARRAY(&t.arena, 2 * MANY + 1, struct migration_file);
    size_t n = 0;
    for (int i = count; i > 0; i--) { /* the worst order for who keeps them sorted */
        files[n++] = set_file(arena_printf(&t.arena, "%06d_m%d%s", i, i, up), text);
        if (down != NULL) {
            files[n++] = set_file(arena_printf(&t.arena, "%06d_m%d%s", i, i, down), text);
        }
    }
    return files;
}

static struct strings ids_of_set(const struct migration_set *set)
{
    struct strings ids = {ARENA_ARRAY(&t.arena, set->count, const char *), set->count};
    for (size_t i = 0; i < set->count; i++) {
        ids.items[i] = set->items[set->count - 1 - i].id;
    }
    return ids;
}

/* All up, all down, half of it, to the middle. */
static void every_way(const struct migration_set *all)
{
    struct strings none = {0};
    struct strings ids = ids_of_set(all);
    struct migration_set empty = {0};
    struct migration_set half;
    struct migration_way way;
    t.error = (struct error){0};
    const char *middle = all->items[all->count / 2 - 1].id;
    assert_int_equal(migration_until(&t.arena, t.format, all, middle, &half, &t.error), 0);
    assert_int_equal(migration_way(&t.arena, t.format, &none, all, all, &way, &t.error), 0);
    assert_int_equal(way.up_count, all->count);
    assert_int_equal(migration_way(&t.arena, t.format, &ids, all, &empty, &way, &t.error), 0);
    assert_int_equal(way.down_count, all->count);
    assert_string_equal(way.down[0].id, all->items[all->count - 1].id);
    assert_int_equal(migration_way(&t.arena, t.format, &ids, all, &half, &way, &t.error), 0);
    assert_int_equal(way.down_count, all->count - half.count);
    ids = ids_of_set(&half);
    assert_int_equal(migration_way(&t.arena, t.format, &ids, all, all, &way, &t.error), 0);
    assert_int_equal(way.up_count, all->count - half.count);
}

static void run(enum migration_format_kind kind, const struct migration_file *files, size_t count)
{
    t.format = migration_format_get(kind);
    struct migration_set set = set_of(&t, files);
    assert_int_equal(set.count, count);
    every_way(&set);
    assert_true(t.arena.bytes < (size_t)200 * 1024 * 1024);
    arena_deinit(&t.arena);
}

static void ten_thousand_files_of_each_format(void **state UNUSED)
{
    run(FORMAT_MORPH, files_of(".up.sql", ".down.sql", "SELECT 1;", MANY), MANY);
    run(FORMAT_GOLANG_MIGRATE, files_of(".up.sql", ".down.sql", "SELECT 1;", MANY), MANY);
    run(FORMAT_GOOSE, files_of(".sql", NULL, "-- +goose Up\nA;\n-- +goose Down\nB;\n", MANY), MANY);
}

enum form { CHAIN, LADDER, STAR };

static const char *parents_of(int i, enum form form)
{
    switch (form) {
    case CHAIN:
        return i == 1 ? "" : arena_printf(&t.arena, "parent: %d\n", i - 1);
    case LADDER:
        return i <= 2 ? (i == 1 ? "" : "parent: 1\n")
                      : arena_printf(&t.arena, "parents: [%d, %d]\n", i - 1, i - 2);
    case STAR:
        return i == 1 ? "" : "parent: 1\n";
    }
    return "";
}

static void a_graph_of_many(enum form form, int count)
{
    struct migration_file *files =
        ARENA_ARRAY(&t.arena, (size_t)count * 3 + 1, struct migration_file);
    for (int i = 1; i <= count; i++) {
        struct migration_file *f = &files[(i - 1) * 3];
        f[0] = set_file(arena_printf(&t.arena, "%d_m/up.sql", i), "SELECT 1;");
        f[1] = set_file(arena_printf(&t.arena, "%d_m/down.sql", i), "SELECT 2;");
        f[2] = set_file(arena_printf(&t.arena, "%d_m/metadata.yaml", i), parents_of(i, form));
    }
    t.format = migration_format_get(FORMAT_SOURCEGRAPH);
    struct migration_set set = set_of(&t, files);
    assert_int_equal(set.count, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(set.items[i].version, i + 1);
    }
    if (form != STAR) { /* the middle of a star has no half */
        every_way(&set);
    }
    arena_deinit(&t.arena);
}

static void ten_thousand_folders_in_every_shape(void **state UNUSED)
{
    a_graph_of_many(CHAIN, MANY);
    a_graph_of_many(LADDER, MANY);
    a_graph_of_many(STAR, MANY);
}

static int set_up(void **state UNUSED)
{
    arena_init(&t.arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_files_of_each_format),
        cmocka_unit_test(ten_thousand_folders_in_every_shape),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
