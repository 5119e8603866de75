/*
 * Owns the times that a rehearsal foretells: of its report, by the digest of each script, so that a script that has changed
 * since has none. It refuses a file that is no report.
 */
#include <string.h>

#include "cli/db.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"
#include "lib/plan/durations.h"

#define REPORT_BYTES_MAX ((size_t)256 * 1024 * 1024)

static json_t *read_report(struct arena *arena, const char *path, const char **ret_words,
                           struct error *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = file_read(arena, path, REPORT_BYTES_MAX, &text, &len, e);
    json_t *report = rc == 0 ? json_loadb(text, len, 0, NULL) : NULL;
    const char *at = json_string_value(json_object_get(report, "at"));
    if (rc == 0 && (!json_is_array(json_object_get(report, "migrations")) || at == NULL)) {
        error_set(e, E_INVALID,
                  "%s is no report of a rehearsal: lockstep db rehearse -o FILE writes one", path);
        json_decref(report);
        return NULL;
    }
    if (rc == 0) {
        const json_t *clone = json_object_get(report, "clone");
        uint64_t bytes = (uint64_t)json_integer_value(json_object_get(clone, "bytes"));
        *ret_words = arena_printf(arena, "rehearsed %s on %s", at, str_bytes(arena, bytes));
    }
    return report;
}

static int read_durations(struct arena *arena, const char *path, struct known_durations *ret,
                          struct error *e)
{
    const char *words = NULL;
    json_t *report = read_report(arena, path, &words, e);
    if (report == NULL) {
        return e->code;
    }
    const json_t *migrations = json_object_get(report, "migrations");
    struct known_duration *items =
        ARENA_ARRAY(arena, 2 * json_array_size(migrations) + 1, struct known_duration);
    size_t count = 0;
    for (size_t i = 0; i < 2 * json_array_size(migrations); i++) {
        const json_t *leg =
            json_object_get(json_array_get(migrations, i / 2), i % 2 == 0 ? "up" : "down");
        const char *digest = json_string_value(json_object_get(leg, "sha256"));
        if (digest != NULL && str_equal(json_string_value(json_object_get(leg, "state")), "done")) {
            /* The command line and the site may call a database otherwise: the script tells. */
            items[count++] =
                (struct known_duration){.sha256 = arena_strdup(arena, digest),
                                        .ms = json_integer_value(json_object_get(leg, "ms"))};
        }
    }
    *ret = (struct known_durations){items, count, words};
    json_decref(report);
    return 0;
}

static int64_t foretold(const struct known_durations *known, const struct migration_script *script)
{
    for (size_t i = 0; script->sha256 != NULL && i < known->count; i++) {
        if (str_equal(known->items[i].sha256, script->sha256)) {
            return known->items[i].ms;
        }
    }
    return -1;
}

int db_expect_read(struct db_call *call, const char *path, struct db_way *way, struct error *e)
{
    struct known_durations known = {0};
    int rc = read_durations(call->arena, path, &known, e);
    if (rc < 0) {
        return rc;
    }
    int64_t *ms = arena_array(call->arena, MAX(way->count, 1), sizeof(*ms));
    for (size_t i = 0; i < way->count; i++) {
        ms[i] = foretold(&known, db_script(way, i));
    }
    way->expected_ms = ms;
    way->rehearsed = known.source;
    return 0;
}

void db_expect_print(const struct db_call *call, const struct db_way *way)
{
    int64_t total = 0;
    size_t unknown = 0;
    for (size_t i = 0; i < way->count; i++) {
        int64_t ms = way->expected_ms[i];
        unknown += ms < 0 ? 1 : 0;
        total += MAX(ms, 0);
    }
    printf("about %s (%s)", str_duration(call->arena, total), way->rehearsed);
    if (unknown > 0) {
        printf(", without %zu that were not rehearsed so", unknown);
    }
    printf("\n");
}
