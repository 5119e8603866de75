/*
 * Owns from where to where: the version that counts as observed, the hops, and what each database does in each. Refuses
 * ledgers that no release explains. A half-done run is the usual case here: the ledger itself says what is still to do.
 */
#include "lib/base/str.h"
#include "lib/plan/compiler.h"

const struct release_spec *release_of(const struct compiler *c, const char *version)
{
    return version == NULL ? NULL : application_release(c->app, version);
}

const char *wanted_version(const struct spec *spec, const char *to)
{
    const char *wanted = to != NULL ? to : spec->cluster->version;
    const struct release_spec *release = application_release(spec->application, wanted);
    return release != NULL ? release->version : wanted;
}

int64_t schema_of(const struct compiler *c, const char *version, const char *database)
{
    const struct release_spec *release = release_of(c, version);
    const char *text = release == NULL ? NULL : pairs_get(&release->schema, database);
    uint64_t value;
    return text != NULL && str_to_u64(text, INT64_MAX, &value) ? (int64_t)value : -1;
}

const struct migration_set *known_set(const struct inventory *inventory, const char *version,
                                      const char *database)
{
    for (size_t i = 0; version != NULL && i < inventory->release_count; i++) {
        const struct known_release *r = &inventory->releases[i];
        for (size_t d = 0; str_equal(r->version, version) && d < r->database_count; d++) {
            if (str_equal(r->databases[d].name, database)) {
                return &r->databases[d].set;
            }
        }
    }
    return NULL;
}

static int format_of(const struct app_database_spec *app)
{
    if (app->migrations == NULL) {
        return FORMAT_NONE;
    }
    return app->migrations->external != NULL ? FORMAT_EXTERNAL : app->migrations->format;
}

static bool is_native(const struct app_database_spec *app)
{
    return migration_format_get((enum migration_format_kind)format_of(app)) != NULL;
}

static size_t unknown_to(const struct strings *applied, const struct migration_set *set)
{
    size_t unknown = 0;
    for (size_t i = 0; i < applied->count; i++) {
        unknown += migration_find(set, applied->items[i]) == NULL ? 1 : 0;
    }
    return unknown;
}

/* The ids that the ledger's rows mean. The oldest release that knows them explains them: what a newer one brought late,
 * below them, is not among them. */
static int explain(struct compiler *c, const struct migration_format *format, const char *database,
                   const struct strings *rows, struct strings *ret, struct error *e)
{
    const char *found = NULL;
    int result = rows->count == 0 ? 0 : E_INVALID;
    *ret = (struct strings){0};
    for (size_t i = 0; rows->count > 0 && i < c->inventory->release_count; i++) {
        const char *version = c->inventory->releases[i].version;
        const struct migration_set *set = known_set(c->inventory, version, database);
        struct strings ids = {0};
        struct error why = {0};
        bool older =
            found == NULL || version_compare(&c->spec->scheme, version, found) == VERSION_LESS;
        if (set == NULL || !older) {
            continue;
        }
        if (format->applied(c->arena, set, rows, &ids, &why) == 0) {
            found = version;
            *ret = ids;
            result = 0;
        } else if (result < 0) {
            *e = why;
        }
    }
    return result;
}

/* What is applied, by the ledger. What was begun and not ended counts as not done yet: it is met again, and looked at. */
static int ids_applied(struct compiler *c, const struct app_database_spec *app,
                       const struct observed_database *seen, struct strings *ret, struct error *e)
{
    const struct migration_format *format =
        migration_format_get((enum migration_format_kind)format_of(app));
    struct strings ids = seen->applied;
    if (format->applied != NULL) {
        int r = explain(c, format, app->name, &seen->applied, &ids, e);
        if (r < 0) {
            return r;
        }
    }
    struct strings now = {0};
    for (size_t i = 0; i < ids.count; i++) {
        bool begun = false;
        for (size_t o = 0; o < seen->open_count; o++) {
            begun = begun || (seen->open[o].ours && !seen->open[o].down &&
                              str_equal(seen->open[o].id, ids.items[i]));
        }
        if (!begun) {
            strings_push(c->arena, &now, ids.items[i]);
        }
    }
    for (size_t o = 0; o < seen->open_count; o++) {
        const struct observed_open *open = &seen->open[o];
        if (open->ours && open->down && !strings_have(&now, open->id)) {
            strings_push(c->arena, &now, open->id);
        }
    }
    *ret = now;
    return 0;
}

/* The oldest known release that explains the whole ledger, when the wanted one does not; NULL: it does, or none. */
static const char *native_release(struct compiler *c, const char *database,
                                  const struct strings *applied)
{
    const struct migration_set *target = known_set(c->inventory, c->to, database);
    if (target == NULL || unknown_to(applied, target) == 0) {
        return NULL;
    }
    const char *found = NULL;
    for (size_t i = 0; i < c->inventory->release_count; i++) {
        const char *version = c->inventory->releases[i].version;
        const struct migration_set *set = known_set(c->inventory, version, database);
        if (set != NULL && release_of(c, version) != NULL && unknown_to(applied, set) == 0 &&
            (found == NULL || version_compare(&c->spec->scheme, version, found) == VERSION_LESS)) {
            found = version;
        }
    }
    return found;
}

/* External: the oldest release that has exactly so many rows, when that is past the wanted one. */
static const char *external_release(struct compiler *c, const char *database, int64_t count)
{
    int64_t wanted = schema_of(c, c->to, database);
    const char *found = NULL;
    for (size_t i = 0; count > wanted && i < c->app->releases.count; i++) {
        const char *version = LIST_AT(&c->app->releases, struct release_spec, i)->version;
        if (schema_of(c, version, database) == count &&
            (found == NULL || version_compare(&c->spec->scheme, version, found) == VERSION_LESS)) {
            found = version;
        }
    }
    return found;
}

/* Counts `version` in: the newest wins when anything is above the target (its scripts are needed), else the oldest. */
static void count_in(const struct compiler *c, const char *version, const char **from)
{
    const struct version_scheme *scheme = &c->spec->scheme;
    if (version == NULL) {
        return;
    }
    if (*from == NULL) {
        *from = version;
        return;
    }
    enum version_order to_target = version_compare(scheme, version, c->to);
    enum version_order best_to_target = version_compare(scheme, *from, c->to);
    enum version_order to_best = version_compare(scheme, version, *from);
    bool above = to_target == VERSION_GREATER;
    bool best_above = best_to_target == VERSION_GREATER;
    if ((above && to_best == VERSION_GREATER) ||
        (!above && !best_above && to_best == VERSION_LESS)) {
        *from = version;
    }
}

static void check_version(struct compiler *c, const char *version, const char *node,
                          struct strings *told)
{
    if (strings_have(told, version)) {
        return;
    }
    strings_push(c->arena, told, version);
    if (release_of(c, version) == NULL) {
        forbid(c,
               "node %s runs %s, which is not a release of %s: add it to releases: with its "
               "schema, so that a way from it can be found",
               node, version, c->app->name);
    } else if (version_compare(&c->spec->scheme, version, c->to) == VERSION_INCOMPARABLE &&
               plan_direction(c->arena, c->app, &c->spec->scheme, version, c->to) ==
                   DIRECTION_NONE) {
        forbid(c, "node %s runs %s, which cannot be compared with %s: there is no way", node,
               version, c->to);
    }
}

int way_from(struct compiler *c, const char **ret_from)
{
    const char *from = NULL;
    size_t before = c->complaints->count;
    struct strings told = {0};
    for (size_t i = 0; i < c->node_count; i++) {
        const struct observed_node *seen = c->nodes[i].seen;
        if (seen != NULL && seen->version != NULL) {
            check_version(c, seen->version, seen->name, &told);
        }
    }
    if (c->complaints->count > before) {
        return E_INVALID;
    }
    for (size_t i = 0; i < told.count; i++) {
        count_in(c, told.items[i], &from);
    }
    for (size_t i = 0; i < c->app->databases.count; i++) {
        const struct app_database_spec *app =
            LIST_AT(&c->app->databases, struct app_database_spec, i);
        const struct observed_database *seen = inventory_database(c->inventory, app->name);
        if (seen == NULL || (seen->applied.count == 0 && seen->open_count == 0)) {
            continue;
        }
        const char *release = NULL;
        struct strings ids;
        struct error e = {0};
        if (is_native(app)) {
            bool meant = ids_applied(c, app, seen, &ids, &e) == 0;
            release = meant ? native_release(c, app->name, &ids) : NULL;
        } else if (format_of(app) == FORMAT_EXTERNAL) {
            release = external_release(c, app->name, (int64_t)seen->applied.count);
        }
        count_in(c, release, &from);
    }
    *ret_from = from;
    return 0;
}

/* ---- native formats ---- */

static bool in_any_set(const struct compiler *c, const char *database, const char *id)
{
    for (size_t i = 0; i < c->path.count; i++) {
        const struct migration_set *set = known_set(c->inventory, c->path.items[i], database);
        if (set != NULL && migration_find(set, id) != NULL) {
            return true;
        }
    }
    return false;
}

static bool in_list(const struct migration *items, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(items[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* What the tool would skip without a word, for its ledger knows only how far it is. */
static const struct migration *late_one(const struct migration_format *format,
                                        const struct migration_set *target,
                                        const struct strings *here, const struct migration_way *way)
{
    for (size_t i = 0; format->applied != NULL && i < target->count; i++) {
        const char *id = target->items[i].id;
        if (!strings_have(here, id) && !in_list(way->up, way->up_count, id)) {
            return &target->items[i];
        }
    }
    return NULL;
}

struct strings state_after(const struct compiler *c, const struct strings *state,
                           const struct migration_way *way)
{
    struct strings after = {0};
    for (size_t i = 0; i < state->count; i++) {
        if (!in_list(way->down, way->down_count, state->items[i])) {
            strings_push(c->arena, &after, state->items[i]);
        }
    }
    for (size_t i = 0; i < way->up_count; i++) {
        strings_push(c->arena, &after, way->up[i].id);
    }
    return after;
}

static size_t node_named(const struct compiler *c, const char *name)
{
    for (size_t i = 0; name != NULL && i < c->node_count; i++) {
        if (str_equal(c->nodes[i].spec->name, name)) {
            return i;
        }
    }
    return 0;
}

/* Who runs what is no SQL. */
static void find_delegate(struct compiler *c, struct hop_database *db, const char *newer)
{
    for (size_t i = 0; i < db->way.down_count + db->way.up_count; i++) {
        bool down = i < db->way.down_count;
        const struct migration *m = down ? &db->way.down[i] : &db->way.up[i - db->way.down_count];
        const struct external_spec *delegate = db->app->migrations->delegate;
        if (!is_delegated(m, down)) {
            continue;
        }
        const struct command *command =
            delegate == NULL ? NULL : (down ? &delegate->down : &delegate->up);
        if (command == NULL || command->argv.count == 0) {
            forbid_at(c, db->app->migrations,
                      "%s is no SQL: only the application's own migrator runs it. Name that one "
                      "as migrations.delegate of database %s, with its %s: command",
                      down ? m->down.file : m->up.file, db->app->name, down ? "down" : "up");
            return;
        }
        db->tool = delegate;
        db->tool_release = newer;
        db->node = node_named(c, delegate->on);
    }
}

static void native_way(struct compiler *c, size_t index, struct hop_database *db,
                       struct strings *state)
{
    struct hop_state *hop = &c->hops[index];
    bool last = index + 1 == c->hop_count;
    const struct migration_set *target = known_set(c->inventory, hop->to, db->app->name);
    bool back = hop->direction == DIRECTION_DOWN && db->restore == NULL;
    const char *newer_version = back ? hop->from : hop->to;
    const struct migration_set *newer = known_set(c->inventory, newer_version, db->app->name);
    if (target == NULL || newer == NULL) {
        forbid(c, "the migrations of %s %s for %s are not known: its artifact could not be read",
               c->app->name, target == NULL ? hop->to : newer_version, db->app->name);
        return;
    }
    /* What belongs to another hop of this way is that hop's business. */
    struct strings here = {0};
    for (size_t i = 0; i < state->count; i++) {
        const char *id = state->items[i];
        if (last || migration_find(target, id) != NULL || migration_find(newer, id) != NULL ||
            !in_any_set(c, db->app->name, id)) {
            strings_push(c->arena, &here, id);
        }
    }
    struct error e = {0};
    const struct migration_format *format =
        migration_format_get((enum migration_format_kind)db->format);
    const struct migration *late = NULL;
    if (migration_way(c->arena, format, &here, newer, target, &db->way, &e) == 0 &&
        (late = late_one(format, target, &here, &db->way)) != NULL) {
        error_set(&e, E_INVALID,
                  "%s is late: a higher version is applied, and %s would skip it without a word; "
                  "give the file a higher number",
                  late->up.file, format->name);
    }
    if (e.message[0] != '\0') {
        forbid(c, "database %s, %s -> %s: %s", db->app->name, hop->from != NULL ? hop->from : "-",
               hop->to, e.message);
        return;
    }
    /* A ledger that a broken-off run left beyond this hop is not brought back to it. */
    if (!last && hop->direction == DIRECTION_DOWN) {
        db->way.up_count = 0;
    }
    if (!last && hop->direction == DIRECTION_UP) {
        db->way.down_count = 0;
    }
    db->runs = db->way.up_count + db->way.down_count > 0 || db->restore != NULL;
    db->before = *state;
    find_delegate(c, db, newer_version);
    *state = state_after(c, state, &db->way);
    db->exact = state->count == target->count && unknown_to(state, target) == 0;
}

/* ---- external ---- */

static const char *release_with(struct compiler *c, const char *database, int64_t count)
{
    for (size_t i = 0; i < c->app->releases.count; i++) {
        const char *version = LIST_AT(&c->app->releases, struct release_spec, i)->version;
        if (schema_of(c, version, database) == count) {
            return version;
        }
    }
    return NULL;
}

static void refuse_partial(struct compiler *c, const struct hop_state *hop,
                           const struct hop_database *db, int64_t rows)
{
    const char *has = arena_printf(c->arena, "%s has %lld", hop->to, (long long)db->schema_to);
    if (hop->from != NULL && !str_equal(hop->from, hop->to)) {
        has = arena_printf(c->arena, "%s has %lld, %s", hop->from, (long long)db->schema_from, has);
    }
    forbid(c,
           "partial ledger: database %s holds %lld rows in %s, %s: look at what the migrator left, "
           "bring it to one of the two by hand, and plan again; or say partial_ok: true when the "
           "migrator goes on by itself",
           db->app->name, (long long)rows,
           db->external->ledger != NULL ? db->external->ledger->table : "its ledger", has);
}

/* The rows between two hops' ends belong to neither; past the hop's end in its direction nothing is to do. */
static void external_way(struct compiler *c, size_t index, struct hop_database *db, int64_t *rows)
{
    const struct hop_state *hop = &c->hops[index];
    bool last = index + 1 == c->hop_count;
    if (db->schema_to < 0) {
        forbid(c,
               "release %s of %s says no schema: for %s: an external migrator needs the number "
               "of rows that its ledger has then",
               hop->to, c->app->name, db->app->name);
        return;
    }
    db->count_from = *rows;
    db->count_to = db->schema_to;
    db->exact = true;
    db->runs = db->restore != NULL;
    if (*rows == db->schema_to) {
        return;
    }
    bool beyond = hop->direction == DIRECTION_DOWN ? *rows < db->schema_to : *rows > db->schema_to;
    bool whole = *rows == 0 || release_with(c, db->app->name, *rows) != NULL;
    if (beyond && !last && whole) {
        db->exact = false;
        return;
    }
    if (!whole && !db->external->partial_ok) {
        refuse_partial(c, hop, db, *rows);
        return;
    }
    db->runs = true;
    db->down = *rows > db->schema_to;
    db->tool = db->external;
    db->tool_release = db->down ? hop->from : hop->to;
    *rows = db->schema_to;
}

/* ---- hops ---- */

static bool init_database(struct compiler *c, const struct hop_state *hop,
                          const struct app_database_spec *app, struct hop_database *db)
{
    const struct cluster_database_spec *d = cluster_database(c->cluster, app->name);
    *db = (struct hop_database){.app = app, .format = format_of(app), .exact = true};
    db->schema_from = schema_of(c, hop->from, app->name);
    db->schema_to = schema_of(c, hop->to, app->name);
    if (d == NULL) {
        return false;
    }
    db->ref = (struct database_ref){d->name, d->url, d->password, d->url_from,
                                    app->migrations != NULL ? app->migrations->ledger : NULL};
    db->place = str_empty(d->via) ? PLAN_CONTROLLER : d->via;
    if (db->format == FORMAT_EXTERNAL) {
        db->external = app->migrations->external;
        db->node = node_named(c, db->external->on);
    }
    return true;
}

static void move_database(struct compiler *c, size_t d)
{
    const struct app_database_spec *app = LIST_AT(&c->app->databases, struct app_database_spec, d);
    const struct observed_database *seen = inventory_database(c->inventory, app->name);
    struct strings state = {0};
    struct error e = {0};
    int64_t rows = seen != NULL ? (int64_t)seen->applied.count : 0;
    if (seen != NULL && is_native(app) && ids_applied(c, app, seen, &state, &e) < 0) {
        forbid(c, "database %s: %s", app->name, e.message);
        return;
    }
    for (size_t h = 0; h < c->hop_count; h++) {
        struct hop_database *db = &c->hops[h].databases[d];
        if (!init_database(c, &c->hops[h], app, db)) {
            forbid(c,
                   "cluster %s says nothing about database %s, which %s has: add it to "
                   "databases:",
                   c->cluster->name, app->name, c->app->name);
            return;
        }
        db->restore = restore_of(c, app->name);
        if (is_native(app)) {
            native_way(c, h, db, &state);
        } else if (db->format == FORMAT_EXTERNAL) {
            external_way(c, h, db, &rows);
        } else {
            db->runs = db->restore != NULL;
        }
        c->migrates = c->migrates || db->runs;
    }
}

/* Is a node, or a ledger, beyond the end of this hop already? Then its release must not be started. */
static bool is_passed(const struct compiler *c, size_t hop)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i].at > (int64_t)hop + 1) {
            return true;
        }
    }
    for (size_t d = 0; d < c->hops[hop].database_count; d++) {
        if (!c->hops[hop].databases[d].exact) {
            return true;
        }
    }
    return false;
}

void way_hops(struct compiler *c, const char *from)
{
    bool stays = c->path.count == 1;
    c->hop_count = stays ? 1 : c->path.count - 1;
    c->hops = ARENA_ARRAY(c->arena, c->hop_count, struct hop_state);
    for (size_t h = 0; h < c->hop_count; h++) {
        struct hop_state *hop = &c->hops[h];
        hop->from = stays ? from : c->path.items[h];
        hop->to = stays ? c->to : c->path.items[h + 1];
        hop->direction = DIRECTION_UP;
        if (stays && from != NULL) {
            hop->direction = DIRECTION_NONE;
        } else if (hop->from != NULL) {
            hop->direction = plan_direction(c->arena, c->app, &c->spec->scheme, hop->from, hop->to);
        }
        hop->database_count = c->app->databases.count;
        hop->databases = ARENA_ARRAY(c->arena, hop->database_count, struct hop_database);
    }
    for (size_t d = 0; d < c->app->databases.count; d++) {
        move_database(c, d);
    }
    for (size_t h = 0; h < c->hop_count; h++) {
        bool last = h + 1 == c->hop_count;
        bool wanted = c->app->paths == NULL || c->app->paths->between == BETWEEN_START ||
                      c->plan->strategy == STRATEGY_ROLLING;
        c->hops[h].started = last || (wanted && !is_passed(c, h));
    }
    if (c->plan->strategy == STRATEGY_ROLLING) {
        expand_divide(c);
    }
}

static void add_lossy(struct compiler *c, const struct migration *items, size_t count, bool down,
                      struct strings *words)
{
    for (size_t i = 0; i < count; i++) {
        const char *lossy = down ? items[i].down.lossy : items[i].up.lossy;
        if (lossy != NULL) {
            strings_push(c->arena, words,
                         arena_printf(c->arena, "%lld %s", (long long)items[i].version, lossy));
        }
    }
}

const char *lossy_items(struct compiler *c, const struct migration *items, size_t count, bool down)
{
    struct strings words = {0};
    add_lossy(c, items, count, down, &words);
    const char *stays = down ? NULL : irreversible_items(c, items, count);
    if (stays != NULL) {
        strings_push(c->arena, &words, stays);
    }
    return words.count == 0 ? NULL : str_join(c->arena, words.items, words.count);
}

const char *lossy_of(struct compiler *c, const struct hop_database *db)
{
    if (db->format == FORMAT_EXTERNAL) {
        return db->runs && db->down ? "what the migrator's downs lose is not known" : NULL;
    }
    struct strings words = {0};
    add_lossy(c, db->way.down, db->way.down_count, true, &words);
    add_lossy(c, db->way.up, db->way.up_count, false, &words);
    const char *stays = irreversible_items(c, db->way.up, db->way.up_count);
    if (stays != NULL) {
        strings_push(c->arena, &words, stays);
    }
    return words.count == 0 ? NULL : str_join(c->arena, words.items, words.count);
}

/* ---- what must be known ---- */

static void need(struct arena *arena, struct strings *list, const char *version)
{
    if (version != NULL && !strings_have(list, version)) {
        strings_push(arena, list, version);
    }
}

/* The nearest release above all that are known, when a ledger holds what none of them brought. */
static const char *one_newer(struct compiler *c, const struct strings *known)
{
    const char *next = NULL;
    for (size_t i = 0; i < c->app->releases.count; i++) {
        const char *v = LIST_AT(&c->app->releases, struct release_spec, i)->version;
        if (!strings_have(known, v) &&
            version_compare(&c->spec->scheme, v, c->to) == VERSION_GREATER &&
            (next == NULL || version_compare(&c->spec->scheme, v, next) == VERSION_LESS)) {
            next = v;
        }
    }
    return next;
}

static bool is_explained(struct compiler *c)
{
    for (size_t d = 0; d < c->app->databases.count; d++) {
        const struct app_database_spec *app =
            LIST_AT(&c->app->databases, struct app_database_spec, d);
        const struct observed_database *seen = inventory_database(c->inventory, app->name);
        const struct migration_set *target = known_set(c->inventory, c->to, app->name);
        struct strings ids;
        struct error e = {0};
        if (!is_native(app) || seen == NULL || target == NULL) {
            continue;
        }
        if (ids_applied(c, app, seen, &ids, &e) < 0 ||
            (unknown_to(&ids, target) > 0 && native_release(c, app->name, &ids) == NULL)) {
            return false;
        }
    }
    return true;
}

int plan_releases_needed(struct arena *arena, const struct spec *spec,
                         const struct inventory *inventory, const struct plan_request *request,
                         struct strings *ret, struct error *e)
{
    struct complaints complaints;
    complaints_init(&complaints, arena);
    struct plan plan = {0};
    struct compiler c = {.arena = arena,
                         .spec = spec,
                         .app = spec->application,
                         .cluster = spec->cluster,
                         .request = request,
                         .plan = &plan,
                         .complaints = &complaints,
                         .to = wanted_version(spec, request->to)};
    restores_read(&c, inventory);
    nodes_read(&c);
    const char *from = NULL;
    if (way_from(&c, &from) < 0) {
        return error_set(e, E_INVALID, "%s", complaints.items[0].message);
    }
    int r = 0;
    if (restores(&c)) {
        restores_path(&c, from);
    } else {
        r = plan_path(arena, c.app, &spec->scheme, from, c.to, &c.path, e);
    }
    if (r < 0) {
        return r;
    }
    struct strings list = {0};
    /* Where all databases are restored nobody goes down, and the releases above have no part in it. */
    bool all = request->restore_count > 0 && request->restore_count == c.app->databases.count;
    for (size_t i = all ? c.path.count - 1 : 0; i < c.path.count; i++) {
        need(arena, &list, c.path.items[i]);
    }
    if (!is_explained(&c)) {
        struct strings known = list;
        for (size_t i = 0; i < inventory->release_count; i++) {
            need(arena, &known, inventory->releases[i].version);
        }
        for (size_t i = 0; i < inventory->release_count; i++) {
            need(arena, &list, inventory->releases[i].version);
        }
        need(arena, &list, one_newer(&c, &known));
    }
    *ret = list;
    return 0;
}
