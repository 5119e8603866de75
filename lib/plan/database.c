/* Owns what a hop does to each database: backup, lock, migrations, checkpoint. Refuses a backup that cannot be made. */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

static bool any_irreversible(struct compiler *c, size_t hop)
{
    for (size_t i = 0; i < c->app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&c->app->extra_steps, struct extra_step, i);
        const char *why = NULL;
        if (step->irreversible != NULL && extra_holds(c, step, hop, &why)) {
            return true;
        }
    }
    return false;
}

static bool any_lossy(struct compiler *c)
{
    if (restores(c)) {
        return true;
    }
    for (size_t h = 0; h < c->hop_count; h++) {
        if (any_irreversible(c, h)) {
            return true;
        }
        for (size_t d = 0; d < c->hops[h].database_count; d++) {
            if (lossy_of(c, &c->hops[h].databases[d]) != NULL) {
                return true;
            }
        }
    }
    return false;
}

bool is_engine(const struct hop_database *db, const struct observed_database *seen,
               const char *scheme, const char *engine)
{
    return db->ref.url != NULL ? str_starts(db->ref.url, scheme)
                               : seen != NULL && str_starts(seen->engine, engine);
}

bool is_mariadb(const struct compiler *c, const struct database_ref *ref)
{
    const struct hop_database db = {.ref = *ref};
    const struct observed_database *seen =
        c->inventory != NULL ? inventory_database(c->inventory, ref->name) : NULL;
    return is_engine(&db, seen, "mysql:", "MariaDB") || is_engine(&db, seen, "mariadb:", "MySQL");
}

static void add_backup(struct compiler *c, int64_t hop, const struct hop_database *db,
                       const struct observed_database *seen)
{
    const struct backup_with *with = c->cluster->backup->with;
    struct db_backup_action raw = {.database = db->ref};
    const char *how = NULL;
    if (with != NULL && with->pg_dump != NULL && is_engine(db, seen, "postgres", "PostgreSQL")) {
        raw.directory = with->pg_dump;
        how = "pg_dump";
    } else if (with != NULL && with->mariadb_dump != NULL && is_mariadb(c, &db->ref)) {
        raw.directory = with->mariadb_dump;
        how = "mariadb-dump";
    } else if (with != NULL && with->sqlite != NULL && is_engine(db, seen, "sqlite", "SQLite")) {
        raw.directory = with->sqlite;
        how = "SQLite's backup";
    } else if (with != NULL && with->command != NULL) {
        raw.command = with->command;
        raw.file = c->cluster->backup->file;
        raw.max_age_ms = raw.file != NULL ? c->cluster->backup->max_age_ms : 0;
        raw.verify = c->cluster->backup->verify;
        how = "the site's own command";
    } else {
        forbid_at(c, &c->cluster->backup->with,
                  "backup.with says no way to back up database %s: add pg_dump, "
                  "mariadb_dump, sqlite or command",
                  db->app->name);
        return;
    }
    struct plan_phase *phase =
        add_once_phase(c, hop, arena_printf(c->arena, "backup %s", db->app->name));
    struct plan_step *step = add_step(c, phase, "backup", db->app->name, db->place, BACKUP_MS);
    struct action in = {.db_backup = &raw};
    resolve_shape(c, 0, db->app->name, &action_shape, &in, step->action);
    step->detail = how;
    if (seen != NULL && seen->bytes > 0) {
        step->detail =
            arena_printf(c->arena, "%s, %s", how, str_bytes(c->arena, (uint64_t)seen->bytes));
    }
}

bool backup_is_due(struct compiler *c, bool *ret_lossy)
{
    const struct backup_spec *backup = c->cluster->backup;
    *ret_lossy = any_lossy(c);
    return backup != NULL && backup->when != BACKUP_NEVER &&
           (backup->when != BACKUP_LOSSY || *ret_lossy);
}

void phases_backup(struct compiler *c, int64_t hop)
{
    const struct backup_spec *backup = c->cluster->backup;
    bool lossy = false;
    if (!backup_is_due(c, &lossy)) {
        if (lossy) {
            warn(c,
                 "this plan loses data and no backup is made before it: see backup: of cluster "
                 "%s",
                 c->cluster->name);
        }
        return;
    }
    size_t first = c->plan->phases.count;
    for (size_t d = 0; d < c->hops[0].database_count; d++) {
        const struct hop_database *db = &c->hops[0].databases[d];
        const struct observed_database *seen = inventory_database(c->inventory, db->app->name);
        bool empty = c->plan->from == NULL && (seen == NULL || seen->applied.count == 0);
        bool said = c->hops[0].direction == DIRECTION_NONE && !c->migrates;
        if (!empty && !said) {
            add_backup(c, hop, db, seen);
        }
    }
    bool looked_at = backup->file != NULL && backup->with != NULL && backup->with->command != NULL;
    if (backup->max_age_ms > 0 && !looked_at && c->plan->phases.count > first) {
        warn(c,
             "backup max_age %s: this run takes a backup of its own right before it migrates; the "
             "age of other backups is not looked at",
             str_duration(c->arena, backup->max_age_ms));
    }
}

/* ---- the migrations of one hop ---- */

static const char *schema_title(struct compiler *c, const struct hop_database *db)
{
    if (db->schema_from >= 0 && db->schema_to >= 0 && db->schema_from != db->schema_to) {
        return arena_printf(c->arena, "%s %lld -> %lld", db->app->name, (long long)db->schema_from,
                            (long long)db->schema_to);
    }
    if (db->schema_from < 0 && db->schema_to >= 0) {
        return arena_printf(c->arena, "%s to %lld", db->app->name, (long long)db->schema_to);
    }
    return db->app->name;
}

/* Of one step: an item is an id, a file's name, a digest and some numbers. */
#define STEP_ITEMS_MAX 500
#define ITEM_BYTES_MAX 1000
static_assert(STEP_ITEMS_MAX * ITEM_BYTES_MAX < LIMIT_ACTION_BYTES, "an action holds its items");

static void step_some(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
                      const struct migration *items, size_t count, bool down)
{
    struct plan_step *step =
        add_step(c, phase, "migrate", schema_title(c, db), db->place, MIGRATE_MS);
    struct db_migrate_action *a = ARENA_NEW(c->arena, struct db_migrate_action);
    *a = (struct db_migrate_action){.database = db->ref, .format = db->format, .down = down};
    a->items = migration_items(c->arena, items, count, down);
    step->action->db_migrate = a;
    step->lossy = lossy_items(c, items, count, down);
    if (!down && c->plan->from != NULL) {
        step->back = back_items(c, items, count);
    }
    lint_step(c, step, db, items, count, down);
    static const char *const parts[][2] = {
        [PART_WHOLE] = {"", ""},
        [PART_EXPAND] = {", expand", ", expand taken back"},
        [PART_CONTRACT] = {", contract", ", contract taken back"}};
    step->detail = arena_printf(c->arena, "%zu %s%s", count, down ? "down" : "up",
                                parts[db->part][down ? 1 : 0]);
}

void step_native(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
                 const struct migration *items, size_t count, bool down)
{
    for (size_t i = 0; i < count; i += STEP_ITEMS_MAX) {
        step_some(c, phase, db, items + i, MIN(count - i, (size_t)STEP_ITEMS_MAX), down);
    }
}

void step_rows(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
               int64_t count, int64_t done_count)
{
    struct plan_step *step = add_step(c, phase, "ledger", db->app->name, db->place, LEDGER_MS);
    struct db_ledger_action *a = ARENA_NEW(c->arena, struct db_ledger_action);
    *a = (struct db_ledger_action){.database = db->ref,
                                   .format = FORMAT_EXTERNAL,
                                   .ledger = db->external->ledger,
                                   .expect_count = count,
                                   .or_done = done_count >= 0,
                                   .done_count = MAX(done_count, 0)};
    step->action->db_ledger = a;
    step->detail = done_count >= 0
                       ? arena_printf(c->arena, "%lld rows, or %lld when it has run already",
                                      (long long)count, (long long)done_count)
                       : arena_printf(c->arena, "%lld rows", (long long)count);
}

void steps_tool_lock(struct compiler *c, struct plan_phase *phase, const struct hop_database *db)
{
    for (size_t i = 0; i < db->tool->lock_advisory.count; i++) {
        struct plan_step *step =
            add_step(c, phase, "tool lock", db->app->name, db->place, TOOL_LOCK_WAIT_MS + SLACK_MS);
        struct db_tool_lock_action *a = ARENA_NEW(c->arena, struct db_tool_lock_action);
        *a = (struct db_tool_lock_action){db->ref, db->tool->lock_advisory.items[i],
                                          TOOL_LOCK_WAIT_MS};
        step->action->db_tool_lock = a;
        step->detail = "free";
    }
}

struct plan_step *step_tool(struct compiler *c, struct plan_phase *phase,
                            const struct hop_database *db, bool down, const char *title,
                            struct action *ret_in)
{
    const struct command *command = down ? &db->tool->down : &db->tool->up;
    struct run_action *raw = ARENA_NEW(c->arena, struct run_action);
    *raw = (struct run_action){.command = *command,
                               .tree = db->staged_tree ? TREE_STAGED : TREE_INSTALLED,
                               .layout = c->layout,
                               .release = db->tool_release,
                               .once = true};
    if (db->migrator != NULL) {
        raw->tree = TREE_STAGED;
        raw->layout = migrators_layout(c);
        raw->release = db->migrator->version;
        raw->sha256 = db->migrator->sha256;
    }
    *ret_in = (struct action){.run = raw};
    struct plan_step *step =
        add_step(c, phase, "migrate", title, c->nodes[db->node].spec->name,
                 (command->timeout_ms > 0 ? command->timeout_ms : MIGRATE_MS) + SLACK_MS);
    const char *way = down ? "down" : "up";
    step->detail = db->migrator != NULL
                       ? arena_printf(c->arena, "%s by migrator %s", way, db->migrator->version)
                       : arena_printf(c->arena, "%s of %s", way, db->tool_release);
    return step;
}

static void steps_external(struct compiler *c, struct plan_phase *phase, size_t hop,
                           const struct hop_database *db)
{
    size_t first = phase->steps.count;
    steps_tool_lock(c, phase, db);
    if (!db->external->partial_ok) {
        step_rows(c, phase, db, db->count_from, db->count_to);
    }
    const struct command *command = db->down ? &db->external->down : &db->external->up;
    if (command->argv.count == 0) {
        forbid_at(c, db->external, "migrations.external of database %s has no %s: command",
                  db->app->name, db->down ? "down" : "up");
        return;
    }
    struct action in;
    struct plan_step *step = step_tool(c, phase, db, db->down, schema_title(c, db), &in);
    resolve_shape(c, hop, db->app->name, &action_shape, &in, step->action);
    step->lossy = lossy_of(c, db);
    /* Started again, it must be proved again that it may start. A retry of the ledger after it only looks. */
    step->retry_back = (int64_t)(phase->steps.count - 1 - first);
    step_rows(c, phase, db, db->count_to, -1);
}

static void step_lock(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
                      int format)
{
    struct plan_step *step =
        add_step(c, phase, "lock", db->app->name, db->place, LOCK_WAIT_MS + SLACK_MS);
    struct db_lock_action *a = ARENA_NEW(c->arena, struct db_lock_action);
    *a = (struct db_lock_action){db->ref, format, LOCK_WAIT_MS};
    step->action->db_lock = a;
}

static void step_checkpoint(struct compiler *c, struct plan_phase *phase, size_t hop,
                            const struct hop_database *db)
{
    struct plan_step *step =
        add_step(c, phase, "checkpoint", db->app->name, db->place, CHECKPOINT_MS);
    struct db_checkpoint_action *a = ARENA_NEW(c->arena, struct db_checkpoint_action);
    *a = (struct db_checkpoint_action){db->ref, db->format,
                                       db->external != NULL ? db->external->ledger : NULL,
                                       c->hops[hop].to, MAX(db->schema_to, 0)};
    step->action->db_checkpoint = a;
}

bool can_return(const struct plan *plan)
{
    for (size_t i = 0; i < plan->phases.count; i++) {
        if (plan_phase_at(plan, i)->no_return) {
            return false;
        }
    }
    return true;
}

/* Does the hop move this database already? Its sessions were gone before that. */
static bool moves_already(const struct plan *plan, size_t hop, const struct hop_database *db)
{
    for (size_t i = 0; i < plan->phases.count; i++) {
        const struct plan_phase *phase = plan_phase_at(plan, i);
        for (size_t s = 0; phase->hop == (int64_t)hop && s < phase->steps.count; s++) {
            const struct db_lock_action *a = plan_step_at(plan, i, s)->action->db_lock;
            if (a != NULL && str_equal(a->database.name, db->app->name)) {
                return true;
            }
        }
    }
    return false;
}

struct plan_phase *begin_migration(struct compiler *c, size_t hop, const struct hop_database *db,
                                   const char *name, const char *lossy, int format)
{
    bool first_loss = lossy != NULL && can_return(c->plan);
    bool first = !moves_already(c->plan, hop, db);
    struct plan_phase *phase = add_once_phase(c, (int64_t)hop, name);
    phase->disruptive = true;
    phase->no_return = first_loss;
    phase->part = db->part;
    if (c->plan->strategy == STRATEGY_ALL_AT_ONCE && first) {
        step_writers(c, phase, db);
    }
    step_lock(c, phase, db, format);
    return phase;
}

void end_migration(struct compiler *c, struct plan_phase *phase, size_t hop,
                   const struct hop_database *db, int format, bool checkpoint)
{
    if (checkpoint) {
        step_drift_after(c, phase, hop, db);
        step_checkpoint(c, phase, hop, db);
    }
    struct plan_step *step = add_step(c, phase, "unlock", db->app->name, db->place, DENY_MS);
    struct db_unlock_action *a = ARENA_NEW(c->arena, struct db_unlock_action);
    *a = (struct db_unlock_action){db->ref, format};
    step->action->db_unlock = a;
}

void phases_migrate(struct compiler *c, size_t hop, enum hop_side side)
{
    for (size_t d = 0; d < c->hops[hop].database_count; d++) {
        const struct hop_database part = hop_part(c, hop, &c->hops[hop].databases[d], side);
        const struct hop_database *db = &part;
        if (!db->runs) {
            continue;
        }
        if (db->restore != NULL) {
            bool last = db->tool == NULL && db->way.up_count + db->way.down_count == 0;
            phase_restore(c, hop, db, last);
            if (last) {
                continue;
            }
        }
        if (db->external == NULL && db->tool != NULL) {
            phases_delegated(c, hop, db);
            continue;
        }
        const char *name = arena_printf(c->arena, "migrate %s", db->app->name);
        struct plan_phase *phase = begin_migration(c, hop, db, name, lossy_of(c, db), db->format);
        if (db->external != NULL) {
            steps_external(c, phase, hop, db);
        } else {
            step_native(c, phase, db, db->way.down, db->way.down_count, true);
            step_native(c, phase, db, db->way.up, db->way.up_count, false);
        }
        end_migration(c, phase, hop, db, db->format, !db->goes_on);
    }
}
