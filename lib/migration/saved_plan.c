/*
 * Owns Mattermost's saved plans. Refuses another version of them, a field of another type, and a migration whose name,
 * number or direction is not what its file name says: morph would write one thing and a reader see another.
 */
#include "lib/migration/saved_plan.h"

#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/migration/base64.h"
#include "lib/migration/name.h"

#define PLAN_VERSION 1

const char *saved_plan_name(struct arena *arena, int64_t from, int64_t to)
{
    return arena_printf(arena, "migration_plan_%" PRId64 "_%" PRId64 ".json", from, to);
}

int saved_migration_of(struct arena *arena, const struct migration_file *file,
                       struct saved_migration *ret, struct error *e)
{
    struct script_name name = {0};
    if (script_name_read(arena, file->name, UINT32_MAX, &name) != SCRIPT_NAME_OK) {
        return error_set(e, E_INVALID,
                         "\"%s\" is no file name of morph: NUMBER_NAME.up.sql or "
                         "NUMBER_NAME.down.sql",
                         file->name);
    }
    *ret = (struct saved_migration){*file, name.name, (int64_t)name.version, name.down};
    return 0;
}

/* ---- reading ---- */

static int text_of(const json_t *object, const char *key, const char **ret, struct error *e)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) {
        return error_set(e, E_INVALID, "%s is %s", key, value == NULL ? "missing" : "not a text");
    }
    *ret = json_string_value(value);
    return 0;
}

static int bytes_of(struct arena *arena, const json_t *object, struct bytes *ret, struct error *e)
{
    const json_t *value = json_object_get(object, "Bytes");
    const char *text = "";
    if (value != NULL && !json_is_null(value)) { /* Go writes no bytes as null */
        int r = text_of(object, "Bytes", &text, e);
        if (r < 0) {
            return r;
        }
    }
    if (strlen(text) > (size_t)LIMIT_MIGRATION_BYTES / 3 * 4 + 4) {
        return error_set(e, E_LIMIT, "Bytes holds more than %d bytes", LIMIT_MIGRATION_BYTES);
    }
    if (!base64_decode(arena, text, ret)) {
        return error_set(e, E_INVALID, "Bytes is not base64");
    }
    return 0;
}

static int check_fields(const json_t *object, const struct saved_migration *m, struct error *e)
{
    const char *name;
    const char *direction;
    int r = text_of(object, "Name", &name, e);
    r = r < 0 ? r : text_of(object, "Direction", &direction, e);
    if (r < 0) {
        return r;
    }
    const json_t *version = json_object_get(object, "Version");
    if (!json_is_integer(version)) {
        return error_set(e, E_INVALID, "Version is %s",
                         version == NULL ? "missing" : "not a number");
    }
    if (!str_equal(direction, "up") && !str_equal(direction, "down")) {
        return error_set(e, E_INVALID, "Direction is \"%.20s\", neither \"up\" nor \"down\"",
                         direction);
    }
    const char *differs = !str_equal(name, m->name)                     ? "Name"
                          : json_integer_value(version) != m->version   ? "Version"
                          : (strcmp(direction, "down") == 0) != m->down ? "Direction"
                                                                        : NULL;
    if (differs != NULL) {
        return error_set(e, E_INVALID, "%s is not what its file name %s says", differs,
                         m->file.name);
    }
    return 0;
}

static int read_migration(struct arena *arena, const json_t *object, struct saved_migration *ret,
                          struct error *e)
{
    if (!json_is_object(object)) {
        return error_set(e, E_INVALID, "not an object");
    }
    const char *raw;
    struct migration_file file = {0};
    int r = text_of(object, "RawName", &raw, e);
    r = r < 0 ? r : bytes_of(arena, object, &file.text, e);
    if (r < 0) {
        return r;
    }
    file.name = arena_strdup(arena, raw);
    r = saved_migration_of(arena, &file, ret, e);
    return r < 0 ? r : check_fields(object, ret, e);
}

static int read_list(struct arena *arena, const json_t *plan, const char *key,
                     struct saved_migration **ret, size_t *ret_count, struct error *e)
{
    const json_t *list = json_object_get(plan, key);
    if (list == NULL || json_is_null(list)) { /* Go writes a list without items as null */
        *ret_count = 0;
        return 0;
    }
    size_t count = json_array_size(list);
    if (!json_is_array(list)) {
        return error_set(e, E_INVALID, "%s is not a list", key);
    }
    if (count > LIMIT_MIGRATIONS) {
        return error_set(e, E_LIMIT, "%s holds %zu migrations, more than the limit of %d", key,
                         count, LIMIT_MIGRATIONS);
    }
    struct saved_migration *items = ARENA_ARRAY(arena, count, struct saved_migration);
    for (size_t i = 0; i < count; i++) {
        int r = read_migration(arena, json_array_get(list, i), &items[i], e);
        if (r < 0) {
            error_wrap(e, "%s[%zu]", key, i);
            return r;
        }
    }
    *ret = items;
    *ret_count = count;
    return 0;
}

static int read_plan(struct arena *arena, const json_t *json, struct saved_plan *ret,
                     struct error *e)
{
    const json_t *version = json_object_get(json, "Version");
    const json_t *automatic = json_object_get(json, "Auto");
    if (!json_is_integer(version) || json_integer_value(version) != PLAN_VERSION) {
        return error_set(e, E_INVALID, "its Version is not %d: morph would refuse it too",
                         PLAN_VERSION);
    }
    if (automatic != NULL && !json_is_boolean(automatic)) {
        return error_set(e, E_INVALID, "Auto is neither true nor false");
    }
    ret->automatic = json_is_true(automatic);
    int r = read_list(arena, json, "Migrations", &ret->migrations, &ret->count, e);
    return r < 0 ? r
                 : read_list(arena, json, "RevertMigrations", &ret->reverts, &ret->revert_count, e);
}

int saved_plan_read(struct arena *arena, struct bytes text, struct saved_plan *ret, struct error *e)
{
    json_error_t at;
    json_t *json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &at);
    if (json == NULL) {
        return error_set(e, E_INVALID, "this is no saved plan: line %d: %s", at.line, at.text);
    }
    struct saved_plan plan = {0};
    int r = read_plan(arena, json, &plan, e);
    json_decref(json);
    if (r < 0) {
        error_wrap(e, "this saved plan cannot be used");
        return r;
    }
    *ret = plan;
    return 0;
}

/* ---- writing ---- */

/* NULL: a name is not UTF-8. */
static json_t *list_to_json(struct arena *arena, const struct saved_migration *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct saved_migration *m = &items[i];
        json_t *object = json_object();
        json_object_set_new(object, "Bytes", json_string(base64_encode(arena, m->file.text)));
        int bad = json_object_set_new(object, "Name", json_string(m->name));
        bad |= json_object_set_new(object, "RawName", json_string(m->file.name));
        json_object_set_new(object, "Version", json_integer(m->version));
        json_object_set_new(object, "Direction", json_string(m->down ? "down" : "up"));
        json_array_append_new(list, object);
        if (bad != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static int append(const char *data, size_t len, void *out)
{
    buf_append(out, data, len);
    return 0;
}

int saved_plan_write(struct arena *arena, const struct saved_plan *plan, struct bytes *ret,
                     struct error *e)
{
    json_t *json = json_object();
    json_object_set_new(json, "Version", json_integer(PLAN_VERSION));
    json_object_set_new(json, "Auto", json_boolean(plan->automatic));
    int bad =
        json_object_set_new(json, "Migrations", list_to_json(arena, plan->migrations, plan->count));
    bad |= json_object_set_new(json, "RevertMigrations",
                               list_to_json(arena, plan->reverts, plan->revert_count));
    struct buf out;
    buf_init(&out, arena, SIZE_MAX / 4);
    if (bad == 0) {
        bad = json_dump_callback(json, append, &out, JSON_INDENT(1));
    }
    json_decref(json);
    if (bad != 0) {
        return error_set(e, E_INVALID, "a migration's name is not UTF-8: JSON cannot hold it");
    }
    *ret = (struct bytes){(const uint8_t *)buf_text(&out), out.len};
    return 0;
}

struct migration_file *saved_plan_files(struct arena *arena, const struct saved_plan *plan,
                                        size_t *ret_count)
{
    size_t count = 0;
    struct migration_file *files =
        ARENA_ARRAY(arena, plan->count + plan->revert_count, struct migration_file);
    for (size_t i = 0; i < plan->count; i++) {
        files[count++] = plan->migrations[i].file;
    }
    for (size_t i = 0; i < plan->revert_count; i++) {
        files[count++] = plan->reverts[i].file;
    }
    *ret_count = count;
    return files;
}
