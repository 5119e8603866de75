/*
 * Owns the times that a rehearsal foretells: of its report, by the digest of each script, so that a script that has changed
 * since has none. It refuses a file that is no report.
 */
#include <string.h>

#include "cli/db.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"

#define REPORT_BYTES_MAX ((size_t)256 * 1024 * 1024)

static int64_t foretold(const json_t *migrations, const struct migration_script *script, bool down)
{
    size_t i = 0;
    json_t *m = NULL;
    json_array_foreach(migrations, i, m)
    {
        const json_t *leg = json_object_get(m, down ? "down" : "up");
        const char *digest = json_string_value(json_object_get(leg, "sha256"));
        if (digest != NULL && str_equal(digest, script->sha256) &&
            str_equal(json_string_value(json_object_get(leg, "state")), "done")) {
            return json_integer_value(json_object_get(leg, "ms"));
        }
    }
    return -1;
}

int db_expect_read(struct db_call *call, const char *path, struct db_way *way, struct error *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = file_read(call->arena, path, REPORT_BYTES_MAX, &text, &len, e);
    json_t *report = rc == 0 ? json_loadb(text, len, 0, NULL) : NULL;
    const json_t *migrations = json_object_get(report, "migrations");
    const char *at = json_string_value(json_object_get(report, "at"));
    if (rc == 0 && (!json_is_array(migrations) || at == NULL)) {
        rc = error_set(e, E_INVALID,
                       "%s is no report of a rehearsal: lockstep db rehearse -o FILE writes one",
                       path);
    }
    if (rc == 0) {
        const json_t *clone = json_object_get(report, "clone");
        uint64_t bytes = (uint64_t)json_integer_value(json_object_get(clone, "bytes"));
        int64_t *ms = arena_array(call->arena, MAX(way->count, 1), sizeof(*ms));
        for (size_t i = 0; i < way->count; i++) {
            ms[i] = foretold(migrations, db_script(way, i), way->down);
        }
        way->expected_ms = ms;
        way->rehearsed =
            arena_printf(call->arena, "rehearsed %s on %s", at, str_bytes(call->arena, bytes));
    }
    json_decref(report);
    return rc;
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
