/* Owns what is known of a run's backups: the step that made each, its outcome's facts, and the ledger at that time. */
#include "controller/backups.h"

#include <string.h>
#include <time.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/core/layout.h"
#include "lib/wire/record.h"

struct reading {
    struct arena *arena;
    const char *run;
    const struct plan *plan;
    const struct strings *databases;
    struct backups *backups;
};

static bool has(const struct strings *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_equal(list->items[i], text)) {
            return true;
        }
    }
    return false;
}

static const char *made_at(struct arena *arena, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[40];
    return gmtime_r(&seconds, &tm) != NULL &&
                   strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0
               ? arena_strdup(arena, text)
               : "the backup";
}

static const char *text_of(struct arena *arena, const json_t *facts, const char *key)
{
    const char *text = json_string_value(json_object_get(facts, key));
    return text != NULL ? arena_strdup(arena, text) : NULL;
}

static struct strings applied_then(const struct plan *plan, const char *database)
{
    for (size_t i = 0; i < plan->databases.count; i++) {
        const struct plan_observed_database *d =
            LIST_AT(&plan->databases, const struct plan_observed_database, i);
        if (str_equal(d->name, database)) {
            return d->applied;
        }
    }
    return (struct strings){0};
}

/* The newest backup of a database counts: a step may have been done again. */
static struct plan_restore *entry_of(struct reading *r, const char *database)
{
    struct backups *b = r->backups;
    for (size_t i = 0; i < b->count; i++) {
        if (str_equal(b->items[i].database, database)) {
            return &b->items[i];
        }
    }
    return &b->items[b->count++];
}

static int take(struct reading *r, const struct plan_step *step, const struct outcome *outcome,
                struct error *e)
{
    struct arena *arena = r->arena;
    const char *database = step->action->db_backup->database.name;
    json_t *facts = outcome->facts != NULL ? json_loads(outcome->facts, 0, NULL) : NULL;
    const char *path = text_of(arena, facts, "path");
    const char *sha256 = text_of(arena, facts, "sha256");
    if (sha256 == NULL || path == NULL) {
        json_decref(facts);
        return error_set(
            e, E_INVALID,
            "the backup of database %s in run %s was made by the site's own command%s%s: "
            "put it back by the site's own procedure while all nodes are stopped, "
            "then plan",
            database, r->run, path != NULL ? " in " : "", path != NULL ? path : "");
    }
    struct plan_restore *restore = entry_of(r, database);
    *restore = (struct plan_restore){
        .database = database,
        .on = step->on,
        .path = path,
        .sha256 = sha256,
        .fingerprint = text_of(arena, facts, "fingerprint"),
        .bytes = json_integer_value(json_object_get(facts, "bytes")),
        .run = r->run,
        .made = made_at(arena, outcome->ended_ms),
        .applied = applied_then(r->plan, database),
    };
    const json_t *half = json_object_get(facts, "half_done");
    restore->half_done.items = ARENA_ARRAY(arena, json_array_size(half) + 1, const char *);
    for (size_t i = 0; i < json_array_size(half); i++) {
        const char *file = json_string_value(json_array_get(half, i));
        restore->half_done.items[restore->half_done.count++] =
            arena_strdup(arena, file != NULL ? file : "?");
    }
    json_decref(facts);
    return 0;
}

static int seen(void *context, uint64_t number UNUSED, struct bytes data, struct error *e)
{
    struct reading *r = context;
    struct record record = {0};
    int rc = wire_record_unpack(r->arena, data, &record, e);
    if (rc < 0 || record.type != RECORD_OUTCOME || record.outcome.status != OUTCOME_DONE ||
        record.key.phase >= r->plan->phases.count ||
        record.key.step >= plan_phase_at(r->plan, record.key.phase)->steps.count) {
        return rc;
    }
    const struct plan_step *step = plan_step_at(r->plan, record.key.phase, record.key.step);
    const struct db_backup_action *a = step->action->db_backup;
    bool wanted = a != NULL && (r->databases->count == 0 || has(r->databases, a->database.name));
    return wanted ? take(r, step, &record.outcome, e) : 0;
}

static int complain_of_missing(const struct reading *r, struct error *e)
{
    if (r->backups->count == 0 && r->databases->count == 0) {
        return error_set(e, E_NOT_FOUND,
                         "run %s made no backup, so there is nothing to restore: see `lockstep "
                         "history` for others",
                         r->run);
    }
    for (size_t i = 0; i < r->databases->count; i++) {
        bool found = false;
        for (size_t b = 0; b < r->backups->count; b++) {
            found = found || str_equal(r->backups->items[b].database, r->databases->items[i]);
        }
        if (!found) {
            return error_set(e, E_NOT_FOUND, "run %s made no backup of database %s", r->run,
                             r->databases->items[i]);
        }
    }
    return 0;
}

int backups_of_run(struct controller *c, struct arena *arena, const char *run,
                   const struct strings *databases, struct backups *ret, struct error *e)
{
    struct stored_run stored = {0};
    struct bytes json = {0};
    struct plan *plan = ARENA_NEW(arena, struct plan);
    int rc = store_run(c->store, arena, run, &stored, e);
    rc = rc < 0 ? rc : store_plan(c->store, arena, stored.plan_id, &json, NULL, e);
    rc = rc < 0 ? rc : plan_from_json(arena, (const char *)json.data, json.len, plan, e);
    if (rc < 0) {
        return rc;
    }
    struct backups backups = {
        .release = plan->from,
        .items = ARENA_ARRAY(arena, plan->databases.count + 1, struct plan_restore)};
    struct reading r = {arena, stored.run, plan, databases, &backups};
    rc = journal_read(c->journal, stored.run, 0, seen, &r, e);
    rc = rc < 0 ? rc : complain_of_missing(&r, e);
    if (rc == 0) {
        *ret = backups;
    }
    return rc;
}
