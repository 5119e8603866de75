/*
 * Owns what is asked of the databases: before anything is touched, whether a schema is still the one that was recorded and
 * whether the data suits the releases on the way; before a database moves while all nodes stand still, whether a session of the
 * application is left; after it moved, whether the schema is the one that the release had before. It refuses nothing itself.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

#define NAMED_BYTES 60 /* of a statement that has no words of its own */

static const struct cluster_database_spec *site_of(const struct compiler *c,
                                                   const struct hop_database *db)
{
    const struct cluster_database_spec *site = cluster_database(c->cluster, db->app->name);
    assert(site != NULL); /* way.c has complained */
    return site;
}

/* ---- drift ---- */

static void add_drift(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
                      const char *release, int64_t schema)
{
    struct plan_step *step = add_step(c, phase, "drift", db->app->name, db->place, DRIFT_MS);
    bool refuses = site_of(c, db)->drift == DRIFT_CHECK_REFUSE;
    struct db_drift_action *a = ARENA_NEW(c->arena, struct db_drift_action);
    *a = (struct db_drift_action){.database = db->ref,
                                  .format = db->format,
                                  .release = release,
                                  .schema = schema,
                                  .policy = refuses ? DRIFT_REFUSE : DRIFT_WARN};
    step->action->db_drift = a;
    const char *since = release == NULL
                            ? "since the last checkpoint"
                            : arena_printf(c->arena, "from the schema recorded for %s", release);
    step->detail = refuses ? arena_printf(c->arena, "%s, refused", since) : since;
}

static bool looks_for_drift(const struct compiler *c, const struct hop_database *db)
{
    return db->external == NULL && db->format != FORMAT_NONE &&
           site_of(c, db)->drift != DRIFT_CHECK_OFF;
}

/* What is half-done is not drift: the schema then differs because of it. */
static bool is_settled(const struct compiler *c, const struct hop_database *db)
{
    const struct observed_database *seen = inventory_database(c->inventory, db->app->name);
    return seen != NULL && seen->applied.count > 0 && seen->open_count == 0;
}

void step_drift_after(struct compiler *c, struct plan_phase *phase, size_t hop,
                      const struct hop_database *db)
{
    if (looks_for_drift(c, db) && db->exact) {
        add_drift(c, phase, db, c->hops[hop].to, MAX(db->schema_to, 0));
    }
}

/* ---- checks of the data ---- */

static const struct hop_database *database_named(const struct hop_state *hop, const char *name)
{
    for (size_t i = 0; i < hop->database_count; i++) {
        if (str_equal(hop->databases[i].app->name, name)) {
            return &hop->databases[i];
        }
    }
    return NULL;
}

static void add_check(struct compiler *c, struct plan_phase *phase, size_t hop,
                      const struct hop_database *db, const struct data_check_spec *check)
{
    struct plan_step *step = add_step(
        c, phase, "check", arena_printf(c->arena, "%s for %s", db->app->name, c->hops[hop].to),
        db->place, DATA_CHECK_MS);
    struct db_check_action *a = ARENA_NEW(c->arena, struct db_check_action);
    *a = (struct db_check_action){db->ref, resolve_text(c, hop, db->app->name, check->sql),
                                  resolve_text(c, hop, db->app->name, check->expect), check->says};
    step->action->db_check = a;
    step->detail = check->says != NULL
                       ? check->says
                       : arena_printf(c->arena, "%.*s: %s", NAMED_BYTES, check->sql, check->expect);
}

static void add_checks(struct compiler *c, struct plan_phase *phase, size_t hop)
{
    const struct hop_state *h = &c->hops[hop];
    const struct release_spec *release = release_of(c, h->to);
    for (size_t i = 0;
         release != NULL && h->direction != DIRECTION_NONE && i < release->checks.count; i++) {
        const struct data_check_spec *check =
            LIST_AT(&release->checks, const struct data_check_spec, i);
        const struct hop_database *db = database_named(h, check->database);
        struct strings in = {0};
        const char *not_in = NULL;
        if (db != NULL && db->restore == NULL && is_settled(c, db) &&
            when_holds(c, check->when, h, &in, &not_in)) {
            add_check(c, phase, hop, db, check);
        }
    }
}

void phase_look(struct compiler *c)
{
    bool stays = c->path.count == 1 && !c->migrates;
    struct plan_phase *phase = add_once_phase(c, -1, "look");
    steps_look_restores(c, phase);
    for (size_t d = 0; !stays && d < c->hops[0].database_count; d++) {
        const struct hop_database *db = &c->hops[0].databases[d];
        if (looks_for_drift(c, db) && is_settled(c, db) && db->restore == NULL) {
            add_drift(c, phase, db, NULL, MAX(db->schema_from, 0));
        }
    }
    for (size_t h = 0; h < c->hop_count; h++) {
        add_checks(c, phase, h);
    }
    if (phase->steps.count == 0) {
        c->plan->phases.count--;
    }
}

/* ---- writers ---- */

void step_writers(struct compiler *c, struct plan_phase *phase, const struct hop_database *db)
{
    static const struct writers_spec standard = {.policy = WRITERS_WAIT,
                                                 .wait_ms = WRITERS_WAIT_MS};
    const struct writers_spec *w = site_of(c, db)->writers;
    w = w != NULL ? w : &standard;
    int64_t wait_ms = w->policy == WRITERS_REFUSE ? 0 : w->wait_ms;
    struct plan_step *step =
        add_step(c, phase, "writers", db->app->name, db->place, wait_ms + SLACK_MS);
    struct db_writers_action *a = ARENA_NEW(c->arena, struct db_writers_action);
    *a = (struct db_writers_action){db->ref, w->policy, wait_ms, w->only, w->except};
    step->action->db_writers = a;
    const char *wait = str_duration(c->arena, wait_ms);
    switch ((enum writers_policy)w->policy) {
    case WRITERS_WAIT:
        step->detail = arena_printf(c->arena, "gone within %s", wait);
        break;
    case WRITERS_REFUSE:
        step->detail = "gone";
        break;
    case WRITERS_TERMINATE:
        step->detail = arena_printf(c->arena, "gone within %s, then ended", wait);
        break;
    }
}

void phase_writers(struct compiler *c, size_t first, size_t end)
{
    struct plan_phase *phase = add_once_phase(c, first == 0 ? -1 : (int64_t)first, "writers");
    for (size_t d = 0; d < c->hops[first].database_count; d++) {
        const struct hop_database *moves = NULL;
        for (size_t h = first; h < end && moves == NULL; h++) {
            moves = c->hops[h].databases[d].runs ? &c->hops[h].databases[d] : NULL;
        }
        if (moves != NULL) {
            step_writers(c, phase, moves);
        }
    }
    if (phase->steps.count == 0) {
        c->plan->phases.count--;
    }
}
