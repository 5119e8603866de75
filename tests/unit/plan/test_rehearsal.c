/* What a rehearsal of a plan runs on a clone: the plan's own migrations, and what takes them back. */
#include "lib/plan/rehearsal.h"
#include "tests/unit/plan/texts.h"

static struct plan_rehearsal found;
static struct error error;

static int rehearse(const char *database, bool one_way)
{
    const struct plan_rehearsal_request request = {.spec = &w.spec,
                                                   .inventory = &w.inventory,
                                                   .plan = &w.plan,
                                                   .database = database,
                                                   .one_way = one_way};
    error = (struct error){0};
    return plan_rehearse(&w.arena, &request, &found, &error);
}

/* The files' names. */
static const char *words(const struct list *items)
{
    struct buf text;
    buf_init(&text, &w.arena, 4096);
    for (size_t i = 0; i < items->count; i++) {
        const struct migration_item *item = LIST_AT(items, const struct migration_item, i);
        buf_printf(&text, "%s%s", i > 0 ? " " : "", item->file);
    }
    return buf_text(&text);
}

static const char *names(bool down, size_t first, size_t last)
{
    const struct migration_set *set = &w.inventory.releases[2].databases[0].set;
    struct buf text;
    buf_init(&text, &w.arena, 4096);
    for (size_t i = first;; i += first < last ? 1 : (size_t)-1) {
        const struct migration *m = &set->items[i];
        buf_printf(&text, "%s%s", i != first ? " " : "", down ? m->down.file : m->up.file);
        if (i == last) {
            return buf_text(&text);
        }
    }
}

static void compiled(const char *wanted, const char *runs, size_t ledger)
{
    guestbook(wanted, "");
    world_runs(&w, runs);
    world_ledger(&w, ledger);
    assert_int_equal(world_compile(&w, NULL), 0);
}

static void goes_over_all_hops_and_back_the_last_first(void **state UNUSED)
{
    compiled("2.0.0", "1.0.0", 2);
    assert_int_equal(rehearse("main", false), 0);
    assert_false(found.action.down);
    assert_string_equal(found.place, PLAN_CONTROLLER);
    assert_string_equal(words(&found.action.there), names(false, 2, 3));
    assert_string_equal(words(&found.action.back), names(true, 3, 2));
    assert_null(found.action.no_way_back);
    assert_null(found.action.clone);
}

static void a_way_down_comes_back_up_with_the_newer_releases_scripts(void **state UNUSED)
{
    compiled("1.0.0", "2.0.0", 4);
    assert_int_equal(rehearse("main", false), 0);
    assert_true(found.action.down);
    assert_string_equal(words(&found.action.there), names(true, 3, 2));
    assert_string_equal(words(&found.action.back), names(false, 2, 3));
}

static void the_way_back_ends_where_a_script_is_missing(void **state UNUSED)
{
    compiled("2.0.0", "1.0.0", 2);
    for (size_t i = 0; i < w.inventory.release_count; i++) {
        struct migration_set *set = &w.inventory.releases[i].databases[0].set;
        if (set->count > 2) {
            set->items[2].down = (struct migration_script){0};
        }
    }
    assert_int_equal(rehearse("main", false), 0);
    assert_int_equal(found.action.back.count, 1);
    assert_string_equal(found.action.no_way_back, names(false, 2, 2));
    assert_int_equal(rehearse("main", true), 0);
    assert_int_equal(found.action.back.count, 0);
    assert_null(found.action.no_way_back);
}

static void a_plan_without_migrations_gives_none(void **state UNUSED)
{
    compiled("2.0.0", "2.0.0", 4);
    assert_int_equal(rehearse("main", false), 0);
    assert_int_equal(found.action.there.count, 0);
    assert_int_equal(rehearse("other", false), E_NOT_FOUND);
    assert_non_null(strstr(error.message, "no database \"other\""));
}

static void the_cluster_names_the_clone(void **state UNUSED)
{
    compiled("2.0.0", "1.0.0", 2);
    struct clone_spec clone = {.url = "postgres://u@elsewhere/spare"};
    struct cluster_database_spec *site =
        LIST_AT(&w.spec.cluster->databases, struct cluster_database_spec, 0);
    site->rehearse_on = &clone;
    assert_int_equal(rehearse("main", false), 0);
    assert_string_equal(found.action.clone->url, clone.url);
    assert_string_equal(found.action.clone->name, "main");
}

static void what_the_applications_own_migrator_does_is_refused(void **state UNUSED)
{
    static const char toggles[] = "lockstep: 1\nkind: Cluster\nname: t\napplication: toggles\n"
                                  "version: \"5.12.8\"\nnodes: [ { name: a }, { name: b } ]\n"
                                  "databases: { main: { url: \"postgres://u@h/d\" } }\n"
                                  "strategy: all-at-once\n";
    world_init(&w);
    world_read(&w, toggles, external_application);
    world_release(&w, "5.6.0", 0);
    world_release(&w, "5.12.8", 0);
    world_runs(&w, "5.6.0");
    world_rows(&w, 210);
    assert_int_equal(world_compile(&w, NULL), 0);
    assert_int_equal(rehearse("main", false), E_INVALID);
    assert_non_null(strstr(error.message, "the application's own migrator"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(goes_over_all_hops_and_back_the_last_first),
        T(a_way_down_comes_back_up_with_the_newer_releases_scripts),
        T(the_way_back_ends_where_a_script_is_missing),
        T(a_plan_without_migrations_gives_none),
        T(the_cluster_names_the_clone),
        T(what_the_applications_own_migrator_does_is_refused),
    };
    return cmocka_run_group_tests_name("plan/rehearsal", tests, NULL, NULL);
}
