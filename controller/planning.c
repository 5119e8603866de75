/* Owns the order of planning. The decisions are lib/plan's; the looking is the places'. */
#include "controller/planning.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controller/backups.h"
#include "controller/past.h"
#include "controller/releases.h"
#include "controller/sessions.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/digest.h"
#include "lib/spec/expand.h"
#include "lib/wire/pack.h"

struct planning {
    struct controller *controller;
    struct planning_callbacks callbacks;
    bool forgotten;
    struct arena arena;
    struct complaints complaints;
    struct spec spec;
    const char *digest;
    const char *to;
    struct backups restores;
    const struct plan *same_as;
    bool observe_only, rolls_back, knows_releases;
    struct inventory inventory;
    const char *state_name;
    size_t unanswered;
    struct release_request *wanted; /* releases to know */
    size_t wanted_count;
    size_t wanted_next;
    struct arena *release_arenas; /* of the known releases */
    size_t release_arena_count;
    struct planning_result result;
    uv_timer_t soon;
};

/* One question to one place. */
struct question {
    struct planning *planning;
    struct observed_node *node; /* or … */
    struct observed_database *database;
};

/* ---- bundles ---- */

const char *bundle_digest(struct arena *arena, const Lockstep__V1__Bundle *bundle)
{
    struct digest d;
    if (digest_init(&d, NULL) < 0) {
        abort();
    }
    for (size_t i = 0; i < bundle->n_files; i++) {
        /* Length first, so that no two bundles are the same stream of bytes. The name is only for
         * messages. */
        char len[32];
        int n = snprintf(len, sizeof(len), "%zu\n", bundle->files[i]->text.len);
        digest_update(&d, len, (size_t)n);
        digest_update(&d, bundle->files[i]->text.data, bundle->files[i]->text.len);
    }
    char hex[DIGEST_HEX_BYTES];
    digest_final_hex(&d, hex);
    return arena_strdup(arena, hex);
}

int bundle_read(struct arena *arena, const Lockstep__V1__Bundle *bundle, struct spec *ret,
                struct complaints *complaints)
{
    struct spec_file *files = ARENA_ARRAY(arena, bundle->n_files + 1, struct spec_file);
    for (size_t i = 0; i < bundle->n_files; i++) {
        const Lockstep__V1__File *file = bundle->files[i];
        files[i] = (struct spec_file){
            .name = arena_strdup(arena, file->name),
            .text = arena_strndup(arena, (const char *)file->text.data, file->text.len),
            .len = file->text.len};
    }
    return spec_read(arena, files, bundle->n_files, ret, complaints);
}

/* ---- ending ---- */

static void freed(uv_handle_t *handle)
{
    struct planning *p = handle->data;
    for (size_t i = 0; i < p->release_arena_count; i++) {
        arena_deinit(&p->release_arenas[i]);
    }
    arena_deinit(&p->arena);
    free(p);
}

static void end(struct planning *p)
{
    complaints_sort(&p->complaints);
    p->result.complaints = p->complaints.items;
    p->result.complaint_count = p->complaints.count;
    p->result.spec = &p->spec;
    p->result.digest = p->digest;
    if (!p->forgotten) {
        p->callbacks.over(p->callbacks.context, &p->result);
    }
    uv_close((uv_handle_t *)&p->soon, freed);
}

static void tell(struct planning *p, const char *line)
{
    if (!p->forgotten) {
        p->callbacks.progress(p->callbacks.context, line);
    }
}

void planning_forget(struct planning *p)
{
    p->forgotten = true;
}

/* ---- compiling ---- */

static struct plan_request what_to_plan(const struct planning *p)
{
    return (struct plan_request){.to = p->to,
                                 .spec_digest = p->digest,
                                 .restores = p->restores.items,
                                 .restore_count = p->restores.count,
                                 .rolls_back = p->rolls_back};
}

static void compile(struct planning *p)
{
    struct plan *plan = ARENA_NEW(&p->arena, struct plan);
    const struct plan_request request = what_to_plan(p);
    if (p->same_as != NULL) {
        plan_differences(&p->arena, p->same_as, &p->inventory, &p->result.differences);
        end(p);
        return;
    }
    if (plan_compile(&p->arena, &p->spec, &p->inventory, &request, plan, &p->complaints) == 0 &&
        p->complaints.count == 0) {
        struct buf json;
        buf_init(&json, &p->arena, LIMIT_FRAME_BYTES / 2);
        plan_to_json(&p->arena, plan, &json);
        if (json.overflow) {
            complaints_add(&p->complaints, NULL, 0, 0,
                           "the plan is larger than %d bytes: split the way with --to",
                           LIMIT_FRAME_BYTES / 2);
            end(p);
            return;
        }
        char id[DIGEST_HEX_BYTES];
        digest_bytes_hex(json.data, json.len, id);
        p->result.plan = plan;
        p->result.plan_json = (struct bytes){.data = (const uint8_t *)json.data, .len = json.len};
        p->result.plan_id = arena_strdup(&p->arena, id);
    }
    end(p);
}

/* ---- knowing the releases ---- */

static void want_releases(struct planning *p);
static void know_next(struct planning *p);

static void release_progress(void *context, uint64_t done, uint64_t total)
{
    struct planning *p = context;
    struct arena arena;
    arena_init(&arena);
    const struct release_request *wanted = &p->wanted[p->wanted_next];
    const char *version =
        wanted->migrator != NULL ? wanted->migrator->version : wanted->release->version;
    tell(p, total > 0 ? arena_printf(&arena, "fetching %s: %s of %s", version,
                                     str_bytes(&arena, done), str_bytes(&arena, total))
                      : arena_printf(&arena, "fetching %s: %s", version, str_bytes(&arena, done)));
    arena_deinit(&arena);
}

static void release_known(void *context, struct arena *arena, const struct known_release *release,
                          const struct error *e)
{
    struct planning *p = context;
    if (e != NULL) {
        const struct release_request *wanted = &p->wanted[p->wanted_next];
        struct mark at = marks_find(p->spec.application_marks, &wanted->artifact->url);
        complaints_add(&p->complaints, at.file, at.line, at.column, "%s", e->message);
    } else {
        p->release_arenas[p->release_arena_count++] = *arena;
        if (p->wanted[p->wanted_next].migrator != NULL) {
            p->inventory.migrators[p->inventory.migrator_count++] = *release;
        } else {
            p->inventory.releases[p->inventory.release_count++] = *release;
        }
    }
    p->wanted_next++;
    know_next(p);
}

static void know_next(struct planning *p)
{
    if (p->forgotten) {
        end(p);
    } else if (p->wanted_next < p->wanted_count) {
        const struct release_callbacks callbacks = {
            .progress = release_progress, .done = release_known, .context = p};
        releases_read(p->controller, &p->wanted[p->wanted_next], &callbacks);
    } else if (p->complaints.count > 0) {
        compile(p); /* for all else that is wrong */
    } else {
        want_releases(p);
    }
}

static bool is_known_or_wanted(const struct planning *p, const struct artifact_spec *artifact)
{
    for (size_t i = 0; i < p->wanted_count; i++) {
        if (p->wanted[i].artifact == artifact) {
            return true;
        }
    }
    return false;
}

static void want_migrators(struct planning *p, const struct plan_request *request)
{
    const struct external_spec **migrators = NULL;
    size_t count = plan_migrators_needed(&p->arena, &p->spec, &p->inventory, request, &migrators);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < migrators[i]->artifact.count; j++) {
            const struct artifact_spec *artifact =
                LIST_AT(&migrators[i]->artifact, struct artifact_spec, j);
            if (!is_known_or_wanted(p, artifact)) {
                p->wanted[p->wanted_count++] =
                    (struct release_request){.application = p->spec.application,
                                             .migrator = migrators[i],
                                             .artifact = artifact};
            }
        }
    }
}

/* What is known of one release may show that another one is needed (a ledger's ids): asked until nothing new is named. */
static void want_releases(struct planning *p)
{
    struct strings versions = {0};
    struct error e = {0};
    /* When no way can be found the compiler says why, with all that is wrong beside it. */
    const struct plan_request request = what_to_plan(p);
    int r = plan_releases_needed(&p->arena, &p->spec, &p->inventory, &request, &versions, &e);
    size_t before = p->wanted_count;
    for (size_t i = 0; r == 0 && i < versions.count; i++) {
        const struct release_spec *release =
            application_release(p->spec.application, versions.items[i]);
        for (size_t j = 0; release != NULL && j < release->artifact.count; j++) {
            const struct artifact_spec *artifact =
                LIST_AT(&release->artifact, struct artifact_spec, j);
            if (!is_known_or_wanted(p, artifact)) {
                p->wanted[p->wanted_count++] = (struct release_request){
                    .application = p->spec.application, .release = release, .artifact = artifact};
            }
        }
    }
    want_migrators(p, &request);
    if (p->wanted_count == before) {
        compile(p);
    } else {
        know_next(p);
    }
}

static void make_room_for_releases(struct planning *p)
{
    const struct list *releases = &p->spec.application->releases;
    size_t most = 1;
    for (size_t i = 0; i < releases->count; i++) {
        most += LIST_AT(releases, struct release_spec, i)->artifact.count;
    }
    const struct list *databases = &p->spec.application->databases;
    size_t migrators = 1;
    for (size_t i = 0; i < databases->count; i++) {
        const struct migrations_spec *m =
            LIST_AT(databases, struct app_database_spec, i)->migrations;
        migrators += m != NULL && m->external != NULL ? m->external->artifact.count : 0;
        migrators += m != NULL && m->delegate != NULL ? m->delegate->artifact.count : 0;
    }
    p->inventory.migrators = ARENA_ARRAY(&p->arena, migrators, struct known_release);
    most += migrators;
    p->wanted = ARENA_ARRAY(&p->arena, most, struct release_request);
    p->release_arenas = ARENA_ARRAY(&p->arena, most, struct arena);
    p->inventory.releases = ARENA_ARRAY(&p->arena, most, struct known_release);
}

/* ---- observing ---- */

static const char *text_of(struct planning *p, const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text != NULL ? wire_plain(&p->arena, text, LIMIT_TEXT_BYTES, false) : NULL;
}

/* The installed version as the release of it is written in the spec: 10.3.8.0-13272-20230824-release is 10.3.8. */
static const char *version_of(struct planning *p, const json_t *facts)
{
    const char *version = text_of(p, facts, "version");
    const struct release_spec *release = application_release(p->spec.application, version);
    return release != NULL ? release->version : version;
}

static void take_node(struct planning *p, struct observed_node *node, const json_t *facts)
{
    node->connected = true;
    node->version = version_of(p, facts);
    node->artifact = text_of(p, facts, "artifact");
    node->running = json_is_true(json_object_get(facts, "running"));
    node->denied = text_of(p, facts, "denied");
    const json_t *sessions = json_object_get(facts, "sessions");
    node->sessions_known = json_is_integer(sessions) && json_integer_value(sessions) >= 0;
    node->sessions = node->sessions_known ? json_integer_value(sessions) : 0;
    node->disk_free_bytes = json_integer_value(json_object_get(facts, "disk_free_bytes"));
    const struct list *components = &p->spec.application->components;
    node->components.items = ARENA_ARRAY(&p->arena, components->count + 1, struct pair);
    for (size_t i = 0; i < components->count; i++) {
        const char *name = LIST_AT(components, struct component_spec, i)->name;
        const char *found = text_of(p, json_object_get(facts, "components"), name);
        if (found != NULL) {
            node->components.items[node->components.count++] = (struct pair){name, found};
        }
    }
    node->os = text_of(p, facts, "os");
    node->arch = text_of(p, facts, "arch");
}

static void take_open(struct planning *p, struct observed_database *database, const json_t *open)
{
    size_t count = json_array_size(open);
    database->open = ARENA_ARRAY(&p->arena, count + 1, struct observed_open);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(open, i);
        const char *id = text_of(p, one, "id");
        const char *words = text_of(p, one, "words");
        database->open[database->open_count++] =
            (struct observed_open){.id = id != NULL ? id : "?",
                                   .down = json_is_true(json_object_get(one, "down")),
                                   .ours = json_is_true(json_object_get(one, "ours")),
                                   .words = words != NULL ? words : "?"};
    }
}

static void take_tables(struct planning *p, struct observed_database *database,
                        const json_t *tables)
{
    size_t count = json_array_size(tables);
    database->tables = ARENA_ARRAY(&p->arena, count, struct observed_table);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(tables, i);
        const char *name = text_of(p, one, "name");
        if (name != NULL) {
            database->tables[database->table_count++] =
                (struct observed_table){name, json_integer_value(json_object_get(one, "bytes")),
                                        json_integer_value(json_object_get(one, "rows"))};
        }
    }
}

static void take_database(struct planning *p, struct observed_database *database,
                          const json_t *facts)
{
    database->connected = true;
    database->engine = text_of(p, facts, "engine");
    database->ledger_exists = json_is_true(json_object_get(facts, "ledger_exists"));
    database->bytes = json_integer_value(json_object_get(facts, "bytes"));
    database->fence = json_integer_value(json_object_get(facts, "fence"));
    if (!controller_rise_past(p->controller, (uint64_t)MAX(database->fence, 0))) {
        database->connected = false;
        database->problem =
            arena_printf(&p->arena, "its fence is %lld, which no controller's starts have made",
                         (long long)database->fence);
    }
    const json_t *holder = json_object_get(facts, "holder");
    if (json_is_object(holder)) {
        database->holder = arena_printf(
            &p->arena, "run %s on %s, pid %lld", json_string_value(json_object_get(holder, "run")),
            json_string_value(json_object_get(holder, "host")),
            (long long)json_integer_value(json_object_get(holder, "pid")));
    }
    const json_t *applied = json_object_get(facts, "applied");
    database->applied.items = ARENA_ARRAY(&p->arena, json_array_size(applied) + 1, const char *);
    for (size_t i = 0; i < json_array_size(applied); i++) {
        database->applied.items[database->applied.count++] =
            arena_strdup(&p->arena, json_string_value(json_array_get(applied, i)));
    }
    take_open(p, database, json_object_get(facts, "open"));
    take_tables(p, database, json_object_get(facts, "tables"));
}

static const char *versions_in_words(struct planning *p)
{
    const char **words = ARENA_ARRAY(&p->arena, p->inventory.node_count + 1, const char *);
    size_t count = 0;
    for (size_t i = 0; i < p->inventory.node_count; i++) {
        const struct observed_node *node = &p->inventory.nodes[i];
        const char *version = !node->connected        ? "unknown"
                              : node->version != NULL ? node->version
                                                      : "nothing";
        size_t j = 0;
        while (j < count && !str_equal(words[j], version)) {
            j++;
        }
        if (j == count) {
            words[count++] = version;
        }
    }
    return str_join(&p->arena, words, count);
}

static void all_answered(struct planning *p)
{
    if (p->controller->stopping) {
        end(p);
        return;
    }
    p->result.inventory = &p->inventory;
    p->result.observed = versions_in_words(p);
    struct error e = {0};
    if (store_observed_put(p->controller->store, p->spec.cluster->name, p->result.observed,
                           act_now_ms(), &e) < 0) {
        controller_fail(p->controller, &e);
    }
    if (p->observe_only || p->forgotten) {
        end(p);
    } else if (p->same_as != NULL && !p->knows_releases) {
        compile(p); /* what it needs of the releases is kept since it was made */
    } else {
        if (past_done(p->controller, &p->arena, p->spec.cluster->name, &p->inventory, &e) < 0) {
            complaints_add(&p->complaints, NULL, 0, 0, "%s", e.message);
        }
        make_room_for_releases(p);
        want_releases(p);
    }
}

static void answered(void *context, const struct outcome *outcome)
{
    struct question *q = context;
    struct planning *p = q->planning;
    json_t *facts = outcome->facts != NULL ? json_loads(outcome->facts, 0, NULL) : NULL;
    const char *problem = NULL;
    if (outcome->status != OUTCOME_DONE) {
        problem = arena_strdup(&p->arena, outcome->message != NULL ? outcome->message
                                                                   : "it could not be observed");
    } else if (!json_is_object(facts)) {
        problem = "its answer cannot be read";
    } else if (q->node != NULL) {
        take_node(p, q->node, facts);
    } else {
        take_database(p, q->database, facts);
    }
    if (q->node != NULL) {
        q->node->problem = problem;
        q->node->connected = sessions_connected(p->controller, q->node->name);
    } else if (problem != NULL) {
        q->database->problem = problem;
    }
    json_decref(facts);
    if (--p->unanswered == 0) {
        all_answered(p);
    }
}

struct names {
    struct planning *planning;
    const struct node_spec *node; /* NULL: no node is meant */
};

/* What an observation may refer to. What only a hop knows is empty: observing needs none of it. */
static const char *name_value(const void *context, const char *name)
{
    const struct names *names = context;
    const struct planning *p = names->planning;
    if (str_equal(name, "cluster.name")) {
        return p->spec.cluster->name;
    }
    if (str_equal(name, "layout.path") && p->spec.application->layout != NULL) {
        return p->spec.application->layout->path;
    }
    if (names->node != NULL && str_equal(name, "node.name")) {
        return names->node->name;
    }
    if (names->node != NULL && str_starts(name, "node.")) {
        return pairs_get(&names->node->vars, name + strlen("node."));
    }
    return "";
}

static void ask(struct planning *p, struct question question, const char *place,
                const struct node_spec *node, const struct action *action)
{
    struct question *q = ARENA_NEW(&p->arena, struct question);
    *q = question;
    q->planning = p;
    struct names names = {.planning = p, .node = node};
    struct action expanded = {0};
    struct error e = {0};
    if (expand_shape(&p->arena, &action_shape, action, name_value, &names, &expanded, &e) == 0) {
        /* The layout's own path may refer to the node. */
        struct action again = {0};
        if (expand_shape(&p->arena, &action_shape, &expanded, name_value, &names, &again, &e) ==
            0) {
            expanded = again;
        }
    }
    json_t *json = shape_to_json(&action_shape, &expanded);
    struct buf text;
    buf_init(&text, &p->arena, LIMIT_RECORD_BYTES / 2);
    json_canonical(json, &text);
    json_decref(json);
    const struct observation what = {.place = place,
                                     .action = buf_text(&text),
                                     .cluster = p->spec.cluster->name,
                                     .state_name = p->state_name};
    p->unanswered++;
    sessions_observe(p->controller, &what, answered, q);
}

/* Nobody is asked what no plan needs. */
static bool orders_by_sessions(const struct cluster *cluster)
{
    const struct strategy_spec *s = cluster->strategy;
    return s != NULL && s->rolling != NULL && s->rolling->order == ORDER_FEWEST_SESSIONS_FIRST;
}

static struct list components_to_observe(struct planning *p)
{
    const struct list *components = &p->spec.application->components;
    struct observe_component *asked =
        ARENA_ARRAY(&p->arena, components->count + 1, struct observe_component);
    for (size_t i = 0; i < components->count; i++) {
        const struct component_spec *component =
            LIST_AT(components, const struct component_spec, i);
        asked[i] = (struct observe_component){component->name, component->observe->command,
                                              component->observe->matches};
    }
    return (struct list){asked, components->count};
}

static void observe_nodes(struct planning *p)
{
    const struct cluster *cluster = p->spec.cluster;
    const struct application *app = p->spec.application;
    p->inventory.node_count = cluster->nodes.count;
    p->inventory.nodes = ARENA_ARRAY(&p->arena, cluster->nodes.count + 1, struct observed_node);
    const struct list components = components_to_observe(p);
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        const struct node_spec *node = LIST_AT(&cluster->nodes, struct node_spec, i);
        struct observed_node *observed = &p->inventory.nodes[i];
        struct stored_node stored = {0};
        observed->name = node->name;
        observed->enrolled =
            store_node(p->controller->store, &p->arena, node->name, &stored, NULL) == 0;
        struct observe_action observe = {
            .layout = app->layout != NULL ? app->layout->path : NULL,
            .command = app->observe != NULL ? &app->observe->command : NULL,
            .matches = app->observe != NULL ? app->observe->matches : NULL,
            .service = app->service,
            .sessions = orders_by_sessions(cluster) ? app->sessions : NULL,
            .components = components};
        ask(p, (struct question){.node = observed}, node->name, node,
            &(struct action){.observe = &observe});
    }
}

static void observe_databases(struct planning *p)
{
    const struct application *app = p->spec.application;
    p->inventory.database_count = app->databases.count;
    p->inventory.databases =
        ARENA_ARRAY(&p->arena, app->databases.count + 1, struct observed_database);
    for (size_t i = 0; i < app->databases.count; i++) {
        const struct app_database_spec *database =
            LIST_AT(&app->databases, struct app_database_spec, i);
        const struct cluster_database_spec *site =
            cluster_database(p->spec.cluster, database->name);
        const struct migrations_spec *migrations = database->migrations;
        p->inventory.databases[i].name = database->name;
        struct db_observe_action observe = {
            .database = {.name = site->name,
                         .url = site->url,
                         .password = site->password,
                         .url_secret = site->url_from,
                         .ledger = migrations != NULL ? migrations->ledger : NULL},
            .format = migrations != NULL ? migrations->format : FORMAT_NONE,
            .ledger = migrations != NULL && migrations->external != NULL
                          ? migrations->external->ledger
                          : NULL};
        ask(p, (struct question){.database = &p->inventory.databases[i]},
            site->via != NULL ? site->via : PLAN_CONTROLLER, NULL,
            &(struct action){.db_observe = &observe});
    }
}

static void begin(uv_timer_t *timer)
{
    struct planning *p = timer->data;
    if (p->complaints.count > 0 || p->spec.cluster == NULL || p->spec.application == NULL) {
        end(p);
        return;
    }
    p->state_name =
        arena_printf(&p->arena, "%s.%s", p->spec.cluster->name, p->spec.application->name);
    size_t nodes = p->spec.cluster->nodes.count;
    size_t databases = p->spec.application->databases.count;
    tell(p, arena_printf(&p->arena, "observing %zu node%s and %zu database%s", nodes,
                         nodes == 1 ? "" : "s", databases, databases == 1 ? "" : "s"));
    p->unanswered = 1; /* this function's own, so that no answer ends it before all are asked */
    observe_nodes(p);
    observe_databases(p);
    if (--p->unanswered == 0) {
        all_answered(p);
    }
}

/* Which backups, and the release that they belong to. */
static void read_restores(struct planning *p, const struct planning_request *request)
{
    struct error e = {0};
    if (backups_of_run(p->controller, &p->arena, request->restore_run, &request->databases,
                       &p->restores, &e) < 0) {
        complaints_add(&p->complaints, NULL, 0, 0, "%s", e.message);
    } else if (p->to == NULL) {
        p->to = p->restores.release;
    }
}

struct planning *planning_start(struct controller *c, const struct planning_request *request,
                                const struct planning_callbacks *callbacks)
{
    struct planning *p = calloc(1, sizeof(*p));
    assert(p != NULL);
    p->controller = c;
    p->callbacks = *callbacks;
    arena_init(&p->arena);
    complaints_init(&p->complaints, &p->arena);
    p->to = str_empty(request->to) ? NULL : arena_strdup(&p->arena, request->to);
    p->same_as = request->same_as;
    p->observe_only = request->observe_only;
    p->knows_releases = request->knows_releases;
    p->rolls_back = request->rolls_back;
    p->digest = bundle_digest(&p->arena, request->bundle);
    if (bundle_read(&p->arena, request->bundle, &p->spec, &p->complaints) == 0 &&
        (p->spec.cluster == NULL || p->spec.application == NULL)) {
        complaints_add(&p->complaints, NULL, 0, 0, "%s",
                       p->spec.cluster == NULL
                           ? "there is no Cluster in these files"
                           : "the Cluster's Application is not among these files");
    }
    if (!str_empty(request->restore_run)) {
        read_restores(p, request);
    }
    uv_timer_init(&c->loop, &p->soon);
    p->soon.data = p;
    uv_timer_start(&p->soon, begin, 0, 0);
    return p;
}
