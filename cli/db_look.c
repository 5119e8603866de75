/* Owns the look at a database: its ledger beside the folder, and who is at it. It changes nothing. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/db.h"
#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"

/* Tables that are no data of the application's. */
static bool is_ours_or_the_tools(const struct db_session *s, const char *name)
{
    return str_starts(name, "lockstep_") || str_equal(name, "sqlite_sequence") ||
           db_fingerprint_is_tools(s, name);
}

static int look_for_tables(struct db_call *call, struct db_session *s, struct db_look *look,
                           struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, call->arena, s->engine->table_names, NULL, 0, &rows, e);
    look->bare = true;
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        look->bare = look->bare && is_ours_or_the_tools(s, db_cell(&rows, i, 0));
    }
    return rc;
}

/* ---- the ledger beside the folder ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort(struct db_ids *ids)
{
    if (ids->count > 0) {
        qsort(ids->items, ids->count, sizeof(*ids->items), by_bytes);
    }
}

bool db_ids_have(const struct db_ids *ids, const char *id)
{
    return ids->count > 0 &&
           bsearch(&id, ids->items, ids->count, sizeof(*ids->items), by_bytes) != NULL;
}

struct db_ids db_ids_of(struct arena *arena, const struct migration_set *set)
{
    struct db_ids ids = {ARENA_ARRAY(arena, set->count, const char *), set->count};
    for (size_t i = 0; i < set->count; i++) {
        ids.items[i] = set->items[i].id;
    }
    sort(&ids);
    return ids;
}

static void compare(struct db_call *call, struct db_look *look)
{
    const struct migration_set *set = &call->folder.set;
    struct db_ids known = db_ids_of(call->arena, set);
    struct db_ids applied = {ARENA_ARRAY(call->arena, look->applied.count, const char *),
                             look->applied.count};
    look->unknown.items = ARENA_ARRAY(call->arena, look->applied.count, const char *);
    for (size_t i = 0; i < applied.count; i++) {
        applied.items[i] = look->applied.items[i];
        if (!db_ids_have(&known, applied.items[i])) {
            look->unknown.items[look->unknown.count++] = applied.items[i];
        }
    }
    sort(&applied);
    for (size_t i = 0; i < set->count; i++) {
        const struct migration *m = &set->items[i];
        if (db_ids_have(&applied, m->id) &&
            (look->newest == NULL || m->version > look->newest->version)) {
            look->newest = m;
        }
    }
    look->pending = ARENA_ARRAY(call->arena, set->count, struct db_pending);
    for (size_t i = 0; i < set->count; i++) {
        const struct migration *m = &set->items[i];
        if (m->up.file != NULL && !db_ids_have(&applied, m->id)) {
            bool late = look->newest != NULL && m->version < look->newest->version;
            look->pending[look->pending_count++] = (struct db_pending){m, late};
        }
    }
}

static int look_at_ledger(struct db_call *call, struct db_session *s, struct db_look *look,
                          struct error *e)
{
    if (call->format == NULL) {
        return 0;
    }
    int rc = db_ledger_read(s, call->arena, (int)call->format->kind, NULL, &look->ledger, e);
    if (rc < 0) {
        return rc;
    }
    look->applied = look->ledger.ids;
    if (call->folder.set.count == 0) {
        return 0;
    }
    if (call->format->applied != NULL) {
        struct error why = {0};
        look->applied = (struct strings){0};
        if (call->format->applied(call->arena, &call->folder.set, &look->ledger.ids, &look->applied,
                                  &why) < 0) {
            look->puzzle = arena_strdup(call->arena, why.message);
            return 0;
        }
    }
    compare(call, look);
    return 0;
}

/* ---- what the tool left half-done ---- */

static const struct migration *whose_previous_is(const struct migration_set *set, int64_t version)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].previous == version) {
            return &set->items[i];
        }
    }
    return NULL;
}

/* The tool's mark knows no file. golang-migrate's names only where its way led: below the first one (then that is the
 * one), or to a version, upwards or from the next one down. */
static void name_mark(struct db_call *call, struct db_unsettled *u)
{
    const struct migration_set *set = &call->folder.set;
    bool leads = call->format->kind == FORMAT_GOLANG_MIGRATE;
    const struct migration *next =
        leads ? whose_previous_is(set, strtoll(u->item, NULL, 10)) : NULL;
    const struct migration *m = leads && u->down ? next : migration_find(set, u->item);
    if (m != NULL) {
        u->item = m->id;
        u->file = u->down ? m->down.file : m->up.file;
    }
    u->or_down = next != NULL && next != m ? next->id : NULL;
}

static int look_at_unsettled(struct db_call *call, struct db_session *s, struct db_look *look,
                             struct error *e)
{
    int rc = db_unsettled(s, call->arena, (int)call->format->kind, &look->unsettled,
                          &look->unsettled_count, e);
    for (size_t i = 0; rc == 0 && i < look->unsettled_count; i++) {
        if (!look->unsettled[i].ours) {
            name_mark(call, &look->unsettled[i]);
        }
    }
    return rc;
}

/* ---- all of it ---- */

int db_look_open(struct db_call *call, struct db_session *s, struct error *e)
{
    struct db_options options = {.run = "", .read_only = true};
    return db_open(s, call->arena, &call->ref, &options, e);
}

int db_look(struct db_call *call, struct db_session *s, struct db_look *ret, struct error *e)
{
    struct db_look look = {.place = s->place};
    int rc = s->engine->version(s, call->arena, &look.engine, e);
    rc = rc < 0 ? rc : look_at_ledger(call, s, &look, e);
    rc = rc < 0 ? rc : look_for_tables(call, s, &look, e);
    rc = rc < 0 ? rc : db_evidence_exists(s, &look.evidence, e);
    if (rc == 0 && look.evidence) {
        rc = db_fence_read(s, &look.fence, e);
        rc = rc < 0 ? rc : db_holder_read(s, call->arena, &look.holder, e);
        rc = rc < 0 ? rc : s->engine->lock_state(s, call->arena, &look.lock, e);
    }
    if (rc == 0 && call->format != NULL) {
        rc = look_at_unsettled(call, s, &look, e);
    }
    if (rc == 0) {
        *ret = look;
    }
    return rc;
}

const char *db_unsettled_words(struct arena *arena, const struct db_unsettled *u)
{
    const char *what = u->file != NULL ? u->file : u->item != NULL ? u->item : "?";
    if (!u->ours) {
        return arena_printf(arena, "%s stopped on its way %s%s%s%s: its own tool says \"%s\"", what,
                            u->down ? "down" : "up", u->or_down != NULL ? ", or " : "",
                            u->or_down != NULL ? u->or_down : "",
                            u->or_down != NULL ? " on its way down" : "", u->mark);
    }
    if (u->question) {
        return arena_printf(arena,
                            "%s is not in the ledger, but the evidence says that it %s, and "
                            "nothing tells whether it was taken back",
                            what, u->statement);
    }
    const char *line =
        u->line > 0 ? arena_printf(arena, "; it stopped at %s:%d", what, u->line) : "";
    return arena_printf(arena,
                        "%s was begun on its way %s at %s and whether it ran to its end is not "
                        "known%s%s%.120s%s%s",
                        what, u->down ? "down" : "up", u->at, line,
                        str_empty(u->statement) ? "" : ": ", u->statement,
                        u->mark != NULL ? "; its own tool says: " : "",
                        u->mark != NULL ? u->mark : "");
}

int db_look_once(struct db_call *call, struct db_look *ret, struct error *e)
{
    struct db_session s = {0};
    int rc = db_look_open(call, &s, e);
    rc = rc < 0 ? rc : db_look(call, &s, ret, e);
    db_close(&s);
    return rc;
}

/* The directory that the file would be made in. */
static bool has_directory(const struct db_call *call, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL &&
           access(arena_strndup(call->arena, path, (size_t)(slash - path) + 1), X_OK) == 0;
}

int db_look_ahead(struct db_call *call, struct db_look *ret, struct error *e)
{
    static const char scheme[] = "sqlite://";
    int rc = db_look_once(call, ret, e);
    if (rc == E_NOT_FOUND && str_starts(call->ref.url, scheme) &&
        has_directory(call, call->ref.url + sizeof(scheme) - 1)) {
        *ret = (struct db_look){
            .engine = "SQLite", .place = call->ref.url + sizeof(scheme) - 1, .bare = true};
        *e = (struct error){0};
        rc = 0;
    }
    return rc;
}

const char *db_migration_words(struct arena *arena, const struct migration *m)
{
    const char *number = arena_printf(arena, "%lld", (long long)m->version);
    return str_equal(number, m->id) ? number : arena_printf(arena, "%s %s", number, m->id);
}

const char *db_look_words(struct arena *arena, const struct db_look *look)
{
    if (!look->ledger.exists || look->applied.count == 0) {
        return look->ledger.exists ? "nothing applied" : "no ledger yet";
    }
    return arena_printf(arena, "%zu applied%s%s", look->applied.count,
                        look->newest != NULL ? ", the newest is " : "",
                        look->newest != NULL ? db_migration_words(arena, look->newest) : "");
}
