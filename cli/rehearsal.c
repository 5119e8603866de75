/* Owns how a rehearsal is told: a table for people, a file for programs. Refuses nothing: what is missing is a dash. */
#include "cli/rehearsal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/wire/pack.h"

#define TABLE_BYTES_MAX ((size_t)64 * 1024 * 1024)

static const json_t *get(const json_t *json, const char *key)
{
    return json_object_get(json, key);
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(get(json, key));
    return text != NULL ? text : "";
}

static int64_t number_of(const json_t *json, const char *key)
{
    return json_integer_value(get(json, key));
}

static const char *bytes_of(struct arena *arena, const json_t *json)
{
    return str_bytes(arena, (uint64_t)number_of(json, "bytes"));
}

static const json_t *find_table(const json_t *list, const char *table)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (str_equal(text_of(json_array_get(list, i), "table"), table)) {
            return json_array_get(list, i);
        }
    }
    return NULL;
}

static void put_line(struct buf *b, const char *word, const char *text)
{
    buf_printf(b, "%s%s: %s", b->len > 0 ? "\n" : "", word, text);
}

/* What made others wait, and what was written anew: a line each. */
static void put_leg(struct arena *arena, struct buf *b, const json_t *leg, const char *word)
{
    const json_t *locks = get(leg, "locks");
    const json_t *rewrites = get(leg, "rewritten");
    for (size_t i = 0; i < json_array_size(locks); i++) {
        const json_t *lock = json_array_get(locks, i);
        const json_t *rewrite = find_table(rewrites, text_of(lock, "table"));
        if (json_is_true(get(lock, "stops_writers"))) {
            put_line(b, word,
                     arena_printf(arena, "%s on %s%s%s", text_of(lock, "mode"),
                                  text_of(lock, "table"), rewrite != NULL ? ", written anew: " : "",
                                  rewrite != NULL ? bytes_of(arena, rewrite) : ""));
        }
    }
    for (size_t i = 0; i < json_array_size(rewrites); i++) {
        const json_t *rewrite = json_array_get(rewrites, i);
        const char *table = text_of(rewrite, "table");
        if (!json_is_true(get(find_table(locks, table), "stops_writers"))) {
            put_line(
                b, word,
                arena_printf(arena, "%s was written anew: %s", table, bytes_of(arena, rewrite)));
        }
    }
}

static const char *time_of(struct arena *arena, const json_t *leg)
{
    const char *state = text_of(leg, "state");
    return str_equal(state, "failed") ? "failed"
           : str_equal(state, "done") ? str_duration(arena, number_of(leg, "ms"))
                                      : "-";
}

static const char *lost_text(struct arena *arena, const json_t *migration)
{
    const json_t *lost = get(migration, "not_restored");
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    for (size_t i = 0; i < json_array_size(lost); i++) {
        buf_printf(&b, "%s%s", i > 0 ? "\n" : "", json_string_value(json_array_get(lost, i)));
    }
    return buf_text(&b);
}

/* The next line of a text of several. */
static const char *next_line(struct arena *arena, const char **text)
{
    size_t len = strcspn(*text, "\n");
    const char *line = arena_strndup(arena, *text, len);
    *text += len + ((*text)[len] == '\n' ? 1 : 0);
    return line;
}

static void add_migration(struct arena *arena, struct table *t, const json_t *migration)
{
    const json_t *up = get(migration, "up");
    const json_t *down = get(migration, "down");
    struct buf locks;
    buf_init(&locks, arena, LIMIT_TEXT_BYTES);
    put_leg(arena, &locks, up, "up");
    put_leg(arena, &locks, down, "down");
    const char *left = buf_text(&locks);
    const char *lost = lost_text(arena, migration);
    TABLE_ADD(t, text_of(migration, "id"), time_of(arena, up), time_of(arena, down),
              next_line(arena, &left), next_line(arena, &lost));
    while (*left != '\0' || *lost != '\0') {
        TABLE_ADD(t, "", "", "", next_line(arena, &left), next_line(arena, &lost));
    }
}

static void print_list(const json_t *report, const char *key, const char *label)
{
    const json_t *list = get(report, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        printf("%s: %s\n", label, json_string_value(json_array_get(list, i)));
    }
}

static void print_end(struct arena *arena, const json_t *report)
{
    const json_t *migrations = get(report, "migrations");
    const char *no_way_back = json_string_value(get(report, "no_way_back"));
    size_t lossy = 0;
    for (size_t i = 0; i < json_array_size(migrations); i++) {
        lossy += json_array_size(get(json_array_get(migrations, i), "not_restored")) > 0 ? 1 : 0;
    }
    print_list(report, "not_compared", "not compared");
    print_list(report, "not_measured", "not measured");
    size_t count = json_array_size(migrations);
    printf("%zu migration%s: up in %s, down in %s\n", count, count == 1 ? "" : "s",
           str_duration(arena, number_of(get(report, "ms"), "up")),
           str_duration(arena, number_of(get(report, "ms"), "down")));
    if (json_is_true(get(report, "one_way"))) {
        printf("the way back was not gone\n");
    } else if (lossy > (no_way_back != NULL ? 1 : 0)) {
        printf("%zu of them are not restored by the way back\n", lossy);
    } else if (no_way_back != NULL) {
        printf("%s has no way back; what comes before it was not gone back either\n", no_way_back);
    }
}

/* A copy in which no text speaks to the terminal: names in a report are the database's, and a place may be anybody's. */
static json_t *plain(struct arena *arena, const json_t *json)
{
    json_t *copy =
        json_is_object(json)  ? json_object()
        : json_is_array(json) ? json_array()
        : json_is_string(json)
            ? json_string(wire_plain(arena, json_string_value(json), LIMIT_TEXT_BYTES, false))
            : json_copy((json_t *)(uintptr_t)json);
    void *it = json_object_iter((json_t *)(uintptr_t)json);
    for (; it != NULL; it = json_object_iter_next((json_t *)(uintptr_t)json, it)) {
        json_object_set_new(copy, json_object_iter_key(it),
                            plain(arena, json_object_iter_value(it)));
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        json_array_append_new(copy, plain(arena, json_array_get(json, i)));
    }
    return copy;
}

static void print_report(struct arena *arena, const json_t *report)
{
    const json_t *clone = get(report, "clone");
    const json_t *migrations = get(report, "migrations");
    const char *database = text_of(report, "database");
    if (!json_is_object(clone)) {
        if (str_equal(text_of(report, "state"), "nothing to do")) {
            printf("database %s: nothing to rehearse\n", database);
        }
        return;
    }
    printf("database %s: rehearsed on %s, a clone of %s that was made in %s%s%s%s\n", database,
           text_of(clone, "name"), bytes_of(arena, clone),
           str_duration(arena, number_of(clone, "ms")),
           json_is_string(get(report, "by")) ? " by " : "", text_of(report, "by"),
           json_is_true(get(clone, "kept")) ? " and was kept" : "");
    struct table t;
    table_init(&t, arena, 5);
    TABLE_ADD(&t, "MIGRATION", "UP", "DOWN", "LOCKS THAT STOP WRITERS", "NOT RESTORED");
    for (size_t i = 0; i < json_array_size(migrations); i++) {
        add_migration(arena, &t, json_array_get(migrations, i));
    }
    struct buf out;
    buf_init(&out, arena, TABLE_BYTES_MAX);
    table_put(&t, "  ", &out);
    fputs(buf_text(&out), stdout);
    print_end(arena, report);
}

void rehearsal_print(struct arena *arena, const json_t *report)
{
    json_t *said = plain(arena, report);
    print_report(arena, said);
    json_decref(said);
}

void rehearsal_set_at(struct arena *arena, json_t *report, int64_t at_ms)
{
    json_object_set_new(report, "at", json_string(time_text(arena, at_ms)));
}

int rehearsal_status(const json_t *report)
{
    const char *state = text_of(report, "state");
    return str_equal(state, "done") || str_equal(state, "nothing to do") ? CLI_DONE
           : str_equal(state, "not restored")                            ? CLI_MOVED
                                                                         : CLI_FAILED;
}

int rehearsal_write(const char *path, const json_t *json, struct error *e)
{
    char *text = json_dumps(json, JSON_INDENT(2));
    int rc = text == NULL ? error_set(e, E_INVALID, "the report holds what is no text")
                          : write_output(path, text, strlen(text), e);
    free(text);
    return rc;
}

bool rehearsal_read_bytes(const char *text, uint64_t *ret)
{
    static const char *const units[] = {"", "kB", "MB", "GB", "TB"};
    size_t digits = strspn(text, "0123456789");
    char number[24] = "";
    uint64_t factor = 1;
    if (digits == 0 || digits >= sizeof(number)) {
        return false;
    }
    memcpy(number, text, digits);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++, factor *= 1000) {
        if (str_equal(text + digits, units[i])) {
            bool good = str_to_u64(number, UINT64_MAX / factor, ret);
            *ret *= factor;
            return good && *ret > 0;
        }
    }
    return false;
}
