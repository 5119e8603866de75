/*
 * Owns what stood in a clone at one moment: its schema's fingerprint, and of each table how many rows there are and hashes
 * of its columns. States are kept in files, so that a long way needs no more memory than a short one.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/rehearse_parts.h"
#include "lib/io/platform/files.h"

#define STATE_BYTES_MAX (2 * DB_FINGERPRINT_BYTES_MAX)

const struct rehearse_table *rehearse_table_find(const struct rehearse_state *state, const char *id)
{
    for (size_t i = 0; i < state->count; i++) {
        if (str_equal(state->tables[i].id, id)) {
            return &state->tables[i];
        }
    }
    return NULL;
}

void rehearse_state_deinit(struct rehearse_state *state)
{
    arena_deinit(&state->arena);
    *state = (struct rehearse_state){0};
}

/* ---- reading ---- */

static bool was_touched(const struct rehearse_touched *touched, const char *id)
{
    for (size_t i = 0; touched != NULL && i < touched->count; i++) {
        if (str_equal(touched->ids[i], id)) {
            return true;
        }
    }
    return touched == NULL;
}

static void take_over(struct arena *arena, struct rehearse_table *t,
                      const struct rehearse_table *from)
{
    t->rows = arena_strdup(arena, from->rows);
    t->columns_count = from->columns_count;
    t->columns = arena_array(arena, MAX(from->columns_count, 1), sizeof(*t->columns));
    for (size_t i = 0; i < from->columns_count; i++) {
        t->columns[i] =
            (struct rehearse_column){.name = arena_strdup(arena, from->columns[i].name),
                                     .hash = arena_strdup(arena, from->columns[i].hash)};
    }
}

int rehearse_state_read(struct rehearsal *r, const struct rehearse_state *before,
                        const struct rehearse_touched *touched, struct rehearse_state *ret,
                        struct error *e)
{
    *ret = (struct rehearse_state){0};
    arena_init(&ret->arena);
    uint64_t max = r->options.rows_bytes_max > 0 ? r->options.rows_bytes_max : REHEARSE_ROWS_BYTES;
    struct db_fingerprint schema;
    int rc = db_fingerprint_read(&r->clone, &ret->arena, &schema, e);
    if (rc == 0) {
        ret->schema_digest = schema.digest;
        ret->schema = db_fingerprint_text(&ret->arena, &schema);
        rc = r->engine->tables(&r->clone, &ret->arena, &ret->tables, &ret->count, e);
    }
    for (size_t i = 0; rc == 0 && i < ret->count; i++) {
        struct rehearse_table *t = &ret->tables[i];
        const struct rehearse_table *was =
            before != NULL ? rehearse_table_find(before, t->id) : NULL;
        if (was != NULL && was->rows != NULL && !was_touched(touched, t->id) &&
            str_equal(was->storage, t->storage)) {
            take_over(&ret->arena, t, was);
        } else if (t->has_rows) {
            rc = r->engine->rows(&r->clone, &ret->arena, t, t->bytes <= max, e);
        }
    }
    if (rc < 0) {
        rehearse_state_deinit(ret);
    }
    return rc;
}

/* ---- files ---- */

static const char *path_of(struct rehearsal *r, struct arena *arena, size_t number)
{
    return arena_printf(arena, "%s/states/%zu", r->home, number);
}

static json_t *table_json(const struct rehearse_table *t)
{
    json_t *columns = json_array();
    for (size_t i = 0; i < t->columns_count; i++) {
        json_array_append_new(columns, json_pack("[s, s]", t->columns[i].name, t->columns[i].hash));
    }
    return json_pack("{s:s, s:s, s:s?, s:o}", "id", t->id, "name", t->name, "rows", t->rows,
                     "columns", columns);
}

int rehearse_state_keep(struct rehearsal *r, const struct rehearse_state *state, size_t number,
                        struct error *e)
{
    json_t *tables = json_array();
    for (size_t i = 0; i < state->count; i++) {
        json_array_append_new(tables, table_json(&state->tables[i]));
    }
    json_t *json = json_pack("{s:s, s:s, s:o}", "digest", state->schema_digest, "schema",
                             state->schema, "tables", tables);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    struct arena scratch;
    arena_init(&scratch);
    int rc = text == NULL
                 ? error_set(e, E_INVALID, "the schema of %s holds what is no text", r->ref.name)
                 : file_write(path_of(r, &scratch, number), text, strlen(text), 0600, e);
    free(text);
    arena_deinit(&scratch);
    return rc;
}

static const char *text_of(struct arena *arena, const json_t *json, const char *key)
{
    return arena_strdup(arena, json_string_value(json_object_get(json, key)));
}

static void load_table(struct arena *arena, const json_t *json, struct rehearse_table *ret)
{
    const json_t *columns = json_object_get(json, "columns");
    *ret = (struct rehearse_table){.id = text_of(arena, json, "id"),
                                   .name = text_of(arena, json, "name"),
                                   .rows = text_of(arena, json, "rows"),
                                   .columns_count = json_array_size(columns)};
    ret->columns = arena_array(arena, MAX(ret->columns_count, 1), sizeof(*ret->columns));
    for (size_t i = 0; i < ret->columns_count; i++) {
        const json_t *column = json_array_get(columns, i);
        ret->columns[i].name = arena_strdup(arena, json_string_value(json_array_get(column, 0)));
        ret->columns[i].hash = arena_strdup(arena, json_string_value(json_array_get(column, 1)));
    }
}

int rehearse_state_load(struct rehearsal *r, size_t number, struct rehearse_state *ret,
                        struct error *e)
{
    *ret = (struct rehearse_state){0};
    arena_init(&ret->arena);
    char *text = NULL;
    size_t len = 0;
    const char *path = path_of(r, &ret->arena, number);
    int rc = file_read(&ret->arena, path, STATE_BYTES_MAX, &text, &len, e);
    json_t *json = rc == 0 ? json_loadb(text, len, 0, NULL) : NULL;
    if (rc == 0 && json == NULL) {
        rc = error_set(e, E_INVALID, "%s is damaged", path);
    }
    if (rc == 0) {
        const json_t *tables = json_object_get(json, "tables");
        ret->schema_digest = text_of(&ret->arena, json, "digest");
        ret->schema = text_of(&ret->arena, json, "schema");
        ret->count = json_array_size(tables);
        ret->tables = arena_array(&ret->arena, MAX(ret->count, 1), sizeof(*ret->tables));
        for (size_t i = 0; i < ret->count; i++) {
            load_table(&ret->arena, json_array_get(tables, i), &ret->tables[i]);
        }
    }
    json_decref(json);
    if (rc < 0) {
        rehearse_state_deinit(ret);
    }
    return rc;
}

/* ---- comparing ---- */

struct differences {
    struct arena *arena;
    struct rehearse_difference *items;
    size_t count, capacity;
};

static void add(struct differences *d, const char *what, const char *words)
{
    d->items = arena_grow(d->arena, d->items, d->count, &d->capacity, sizeof(*d->items));
    d->items[d->count++] = (struct rehearse_difference){.what = what, .words = words};
}

static int compare_schemas(struct differences *d, const struct rehearse_state *was,
                           const struct rehearse_state *now, struct error *e)
{
    if (str_equal(was->schema_digest, now->schema_digest)) {
        return 0;
    }
    struct db_fingerprint a;
    struct db_fingerprint b;
    struct strings words;
    int rc = db_fingerprint_parse(d->arena, was->schema, &a, e);
    rc = rc < 0 ? rc : db_fingerprint_parse(d->arena, now->schema, &b, e);
    if (rc < 0) {
        return rc;
    }
    db_fingerprint_differences(d->arena, &a, &b, &words);
    for (size_t i = 0; i < words.count; i++) {
        add(d, words.items[i], words.items[i]);
    }
    return 0;
}

static const struct rehearse_column *column_of(const struct rehearse_table *t, const char *name)
{
    for (size_t i = 0; i < t->columns_count; i++) {
        if (str_equal(t->columns[i].name, name)) {
            return &t->columns[i];
        }
    }
    return NULL;
}

static bool same_columns(const struct rehearse_table *a, const struct rehearse_table *b)
{
    bool same = a->columns_count == b->columns_count;
    for (size_t i = 0; same && i < a->columns_count; i++) {
        same = str_equal(a->columns[i].name, b->columns[i].name);
    }
    return same;
}

static void compare_rows(struct differences *d, const struct rehearse_table *was,
                         const struct rehearse_table *now)
{
    if (was->rows == NULL || now->rows == NULL) {
        return;
    }
    if (!str_equal(was->rows, now->rows)) {
        add(d, arena_printf(d->arena, "rows of %s", was->name),
            arena_printf(d->arena, "rows of %s: were %s, are %s", was->name, was->rows, now->rows));
        return;
    }
    size_t before = d->count;
    for (size_t i = 0; i < was->columns_count; i++) {
        const char *name = was->columns[i].name;
        const struct rehearse_column *other = column_of(now, name);
        if (other != NULL && name[0] != '\0' && !str_equal(other->hash, was->columns[i].hash)) {
            const char *what = arena_printf(d->arena, "values of %s.%s", was->name, name);
            add(d, what, arena_printf(d->arena, "%s are not what they were", what));
        }
    }
    const struct rehearse_column *all = column_of(was, "");
    const struct rehearse_column *all_now = column_of(now, "");
    if (d->count == before && all != NULL && all_now != NULL && same_columns(was, now) &&
        !str_equal(all->hash, all_now->hash)) {
        add(d, arena_printf(d->arena, "rows of %s", was->name),
            arena_printf(d->arena, "rows of %s: values belong to other rows than they did",
                         was->name));
    }
}

static const struct rehearse_table *by_name(const struct rehearse_state *state, const char *name)
{
    for (size_t i = 0; i < state->count; i++) {
        if (str_equal(state->tables[i].name, name)) {
            return &state->tables[i];
        }
    }
    return NULL;
}

int rehearse_state_compare(struct arena *arena, const struct rehearse_state *was,
                           const struct rehearse_state *now, struct rehearse_difference **ret,
                           size_t *ret_count, struct error *e)
{
    struct differences d = {.arena = arena};
    int rc = compare_schemas(&d, was, now, e);
    for (size_t i = 0; rc == 0 && i < was->count; i++) {
        const struct rehearse_table *other = by_name(now, was->tables[i].name);
        if (other != NULL) { /* a table that is gone is a difference of the schema */
            compare_rows(&d, &was->tables[i], other);
        }
    }
    *ret = d.items;
    *ret_count = d.count;
    return rc;
}
