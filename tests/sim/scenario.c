/* Owns the random application and cluster, and what is observed of the pretended world when a plan is made. The real
 * readers and the real compiler do the rest; a plan goes through its JSON, as in the controller. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "tests/sim/sim.h"

#define STALL_MS (5LL * 60 * 1000)
#define DIGEST   "%064zu"

/* One plan of the kind, in a world where all that it can do is done. */
static void choose_kind(struct sim *s)
{
    struct scenario *c = &s->scenario;
    enum { RELEASES = 3 };
    static const int schema[RELEASES] = {1, 3, 4};
    bool down = c->kind == KIND_DOWN || c->kind == KIND_ROLLING_DOWN;
    c->rolling = c->kind == KIND_ROLLING_UP || c->kind == KIND_ROLLING_DOWN;
    c->external = c->kind == KIND_EXTERNAL;
    c->node_count = 2;
    c->release_count = RELEASES;
    c->once_step = true;
    c->max_unavailable = 1;
    c->first = c->kind == KIND_FIRST_INSTALL ? -1 : down ? 1 : 0;
    c->to = down ? 0 : c->kind == KIND_TWO_HOPS ? 2 : 1;
    c->bare[1] = true;
    for (size_t i = 0; i < RELEASES; i++) {
        struct sim_release *r = &c->releases[i];
        r->version = arena_printf(&s->arena, "1.%zu.0", i);
        r->schema = schema[i];
        r->low = c->rolling && i > 0 ? schema[i - 1] : schema[i];
        r->high = c->rolling && i + 1 < RELEASES ? schema[i + 1] : schema[i];
        c->item_count = (size_t)schema[i];
    }
}

/* The older release does not run with what contracts, and the newer one not without what expands. */
static void divide(struct scenario *c)
{
    for (size_t i = 1; c->rolling && !c->external && i < c->release_count; i++) {
        struct sim_release *r = &c->releases[i];
        struct sim_release *older = &c->releases[i - 1];
        if (r->schema - older->schema >= 2 && r->schema % 2 == 0) {
            r->expand = older->schema + 1;
            r->low = r->expand;
            older->high = r->expand;
        }
    }
}

/* All that a strategy may say, in some of the worlds: its own chance, so that the others stay as they were. */
static void choose_strictness(struct sim *s)
{
    struct scenario *c = &s->scenario;
    uint64_t own = s->seed ^ UINT64_C(0x57121c7);
    c->strict = chance_of(&own) % 3 == 0;
    if (!c->strict || chance_of(&own) % 2 == 0) {
        return;
    }
    /* Worlds begin on a Tuesday at 22:13 UTC: in the window, or before it, and few waves fit into it. */
    enum { BEGINS = 22 * 60 + 13, DAY = 24 * 60, HOUR = 60 };
    struct sim_window *w = &c->window;
    w->offset = ((int)(chance_of(&own) % 3) - 1) * HOUR;
    int from = BEGINS + w->offset - 5 + (int)(chance_of(&own) % 8);
    w->from = from % DAY;
    w->to = (from + 6 + (int)(chance_of(&own) % 6)) % DAY;
    w->days = chance_of(&own) % 2 == 0 ? 0x7f : 0x25;
}

/* Behind the way in which nodes move. */
static void write_strictness(struct sim *s, struct buf *b)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    const struct scenario *c = &s->scenario;
    const struct sim_window *w = &c->window;
    uint64_t own = s->seed;
    if (!c->strict) {
        return;
    }
    static const char *const after[] = {"staged", "canary", "wave"};
    size_t gate = chance_of(&own) % (c->rolling ? 3 : 1);
    buf_printf(b, ", gates: [ { after: %s, approvers: %d } ]", after[gate],
               1 + (int)(chance_of(&own) % 3));
    if (chance_of(&own) % 2 == 0) {
        buf_printf(b, ", failures: { nodes: 1, per_node: %d }", 1 + (int)(chance_of(&own) % 2));
    }
    if (chance_of(&own) % 2 == 0) {
        buf_printf(b, ", starts: { at_most: %d, within: 5m }", 1 + (int)(chance_of(&own) % 3));
    }
    if (chance_of(&own) % 2 == 0) {
        buf_puts(b, ", deadlines: { wave: 10m, run: 20m }");
    }
    if (w->days != 0) {
        buf_printf(b,
                   ", windows: [ { from: \"%02d:%02d\", to: \"%02d:%02d\", timezone: "
                   "\"%c%02d:00\", days: [",
                   w->from / 60, w->from % 60, w->to / 60, w->to % 60, w->offset < 0 ? '-' : '+',
                   abs(w->offset) / 60);
        const char *comma = "";
        for (unsigned i = 0; i < 7; i++) {
            if ((w->days >> i & 1) != 0) {
                buf_printf(b, "%s%s", comma, days[i]);
                comma = ", ";
            }
        }
        buf_puts(b, "] } ]");
    }
}

static void choose(struct sim *s)
{
    struct scenario *c = &s->scenario;
    if (c->kind != KIND_RANDOM) {
        choose_kind(s);
        return;
    }
    choose_strictness(s);
    c->release_count = 2 + chance(s, SIM_RELEASES_MAX - 1);
    c->node_count = 1 + chance(s, SIM_NODES_MAX);
    c->external = percent(s, 40);
    c->rolling = percent(s, 50);
    c->once_step = percent(s, 40);
    c->max_unavailable = 1 + (int)chance(s, MIN(c->node_count, 2));
    bool wide = c->rolling || percent(s, 30);
    int schema = 1 + (int)chance(s, 2);
    for (size_t i = 0; i < c->release_count; i++) {
        struct sim_release *r = &c->releases[i];
        r->version = arena_printf(&s->arena, "1.%zu.0", i);
        r->schema = schema;
        schema += (int)chance(s, 4);
    }
    for (size_t i = 0; i < c->release_count; i++) {
        struct sim_release *r = &c->releases[i];
        r->low = wide && i > 0 ? c->releases[i - 1].schema : r->schema;
        r->high = wide && i + 1 < c->release_count ? c->releases[i + 1].schema : r->schema;
        c->item_count = (size_t)r->schema;
    }
    divide(c);
    for (size_t i = 0; i < c->item_count; i++) {
        c->bare[i] = percent(s, 25);
    }
    c->first = percent(s, 20) ? -1 : (int)chance(s, c->release_count);
}

static void write_application(struct sim *s, struct buf *b)
{
    struct scenario *c = &s->scenario;
    buf_puts(b, "lockstep: 1\nkind: Application\nname: shelf\nversions: semver\nreleases:\n");
    for (size_t i = 0; i < c->release_count; i++) {
        const struct sim_release *r = &c->releases[i];
        buf_printf(b,
                   "  - version: \"%s\"\n    artifact: { url: \"https://shelf.example/%s.tar.gz\", "
                   "sha256: \"" DIGEST "\" }\n    schema: { main: %d }\n    runs_with: { main: "
                   "\"%d..%d\" }\n",
                   r->version, r->version, i + 1, r->schema, r->low, r->high);
        if (r->expand > 0) {
            buf_printf(b, "    expand: { main: %d }\n", r->expand);
        }
    }
    if (c->kind == KIND_TWO_HOPS) {
        buf_puts(b, "paths: { required: [\"1.1.0\"] }\n");
    }
    buf_puts(b, "layout: { path: /opt/shelf }\nservice: { systemd: shelf }\n"
                "health: [ { http: { url: \"http://127.0.0.1:8080/\" }, within: 1m } ]\n"
                "databases:\n");
    if (c->external) {
        buf_puts(b, "  main:\n    migrations:\n      external:\n        from: newer\n"
                    "        up: { command: [migrate, up], timeout: 5m }\n"
                    "        down: { command: [migrate, down, \"${hop.schema_to}\"], timeout: 5m "
                    "}\n"
                    "        ledger: { table: migrations, column: name }\n"
                    "        lock_advisory: [\"123\"]\n");
    } else {
        buf_puts(b, "  main: { migrations: { format: morph, dir: migrations } }\n");
    }
    if (c->once_step) {
        buf_puts(b,
                 "extra_steps:\n  - name: reindex\n    when: { direction: up }\n    scope: node\n"
                 "    after: start-requested\n    do:\n      - run: { command: [bin/reindex] }\n"
                 "  - name: warm\n    when: { direction: up }\n    scope: database\n"
                 "    after: migrated\n    do:\n      - sql: \"SELECT 1\"\n");
    }
}

static void write_cluster(struct sim *s, struct buf *b)
{
    struct scenario *c = &s->scenario;
    buf_printf(b,
               "lockstep: 1\nkind: Cluster\nname: sim\napplication: shelf\nversion: \"%s\"\n"
               "nodes:\n",
               c->releases[0].version);
    for (size_t i = 0; i < c->node_count; i++) {
        buf_printf(b, "  - { name: app-%zu, roles: [app] }\n", i + 1);
    }
    const char *via = percent(s, 70) ? "controller" : "app-1";
    buf_printf(b, "databases:\n  main: { url: \"postgres://u@db/shelf\", via: %s }\n", via);
    const char *failure = c->kind == KIND_RANDOM && percent(s, 15) ? "abort" : "pause";
    const char *backup = percent(s, 50) ? "always" : "never";
    if (c->rolling) {
        buf_printf(b,
                   "strategy: { rolling: { canary: %d, max_unavailable: %d, soak: 5s }, "
                   "if_not_rolling: all-at-once, on_failure: %s",
                   (int)chance(s, MIN(c->node_count, 2)), c->max_unavailable, failure);
    } else {
        buf_printf(b, "strategy: { all_at_once: true, one_first: %s, on_failure: %s",
                   percent(s, 50) ? "true" : "false", failure);
    }
    write_strictness(s, b);
    buf_puts(b, " }\n");
    buf_printf(b, "backup: { when: %s, with: { pg_dump: /var/backups } }\n", backup);
}

static void complain(struct sim *s, const struct complaints *complaints, const char *what)
{
    for (size_t i = 0; i < complaints->count; i++) {
        trace(s, "%s: %s:%d: %s", what,
              complaints->items[i].file != NULL ? complaints->items[i].file : "-",
              complaints->items[i].line, complaints->items[i].message);
    }
}

static struct migration_set read_set(struct sim *s, size_t count)
{
    struct migration_file *files = ARENA_ARRAY(&s->arena, count * 2, struct migration_file);
    for (size_t i = 0; i < count; i++) {
        const char *bare = s->scenario.bare[i] ? "-- morph:nontransactional\n" : "";
        for (size_t way = 0; way < 2; way++) {
            const char *text =
                way == 0 ? arena_printf(&s->arena, "%sCREATE TABLE t%zu (id int);", bare, i)
                         : arena_printf(&s->arena, "%sDROP TABLE t%zu;", bare, i);
            files[i * 2 + way] = (struct migration_file){
                arena_printf(&s->arena, "%06zu_t%zu.%s.sql", i + 1, i, way == 0 ? "up" : "down"),
                {(const uint8_t *)text, strlen(text)},
                arena_printf(&s->arena, "%062zu%02zu", i, way)};
        }
    }
    struct migration_set set = {0};
    struct error e = {0};
    if (migration_format_get(FORMAT_MORPH)->read(&s->arena, files, count * 2, &set, &e) < 0) {
        violate(s, RULE_MACHINE, "the migrations of the scenario: %s", e.message);
    }
    return set;
}

void scenario_make(struct sim *s)
{
    struct scenario *c = &s->scenario;
    choose(s);
    struct buf application;
    struct buf cluster;
    buf_init(&application, &s->arena, LIMIT_TEXT_BYTES);
    buf_init(&cluster, &s->arena, LIMIT_TEXT_BYTES);
    write_application(s, &application);
    write_cluster(s, &cluster);
    struct spec_file files[] = {{"cluster.yaml", buf_text(&cluster), cluster.len},
                                {"application.yaml", buf_text(&application), application.len}};
    struct complaints complaints;
    complaints_init(&complaints, &s->arena);
    if (spec_read(&s->arena, files, 2, &c->spec, &complaints) < 0) {
        complain(s, &complaints, "the scenario");
        violate(s, RULE_MACHINE, "the scenario's files are refused: %s",
                complaints.count > 0 ? complaints.items[0].message : "?");
        return;
    }
    struct migration_set set = read_set(s, c->item_count);
    for (size_t i = 0; i < set.count; i++) {
        c->items[i] = set.items[i].id;
    }
    trace(s, "scenario: %zu releases, %zu nodes, %s, %s, %zu migrations", c->release_count,
          c->node_count, c->external ? "external" : "native",
          c->rolling ? "rolling" : "all-at-once", c->item_count);
}

int scenario_release(const struct sim *s, const char *version)
{
    for (size_t i = 0; version != NULL && i < s->scenario.release_count; i++) {
        if (str_equal(s->scenario.releases[i].version, version)) {
            return (int)i;
        }
    }
    return -1;
}

int scenario_item(const struct sim *s, const char *id)
{
    for (size_t i = 0; i < s->scenario.item_count; i++) {
        if (str_equal(s->scenario.items[i], id)) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- what is observed ---- */

static void observe_nodes(struct sim *s, struct inventory *in)
{
    const struct scenario *c = &s->scenario;
    in->node_count = c->node_count;
    in->nodes = ARENA_ARRAY(&s->arena, c->node_count, struct observed_node);
    for (size_t i = 0; i < c->node_count; i++) {
        const struct sim_node *n = &s->nodes[i];
        in->nodes[i] = (struct observed_node){
            .name = LIST_AT(&c->spec.cluster->nodes, struct node_spec, i)->name,
            .enrolled = true,
            .connected = s->places[i].connected && s->places[i].owner == s->now_controller,
            .version = n->installed < 0 ? NULL : c->releases[n->installed].version,
            .artifact =
                n->installed < 0 ? NULL : arena_printf(&s->arena, DIGEST, (size_t)n->installed + 1),
            .running = n->runs >= 0,
            .denied = n->denied ? "denied by a run" : NULL,
            .disk_free_bytes = INT64_C(10000000000),
            .os = "linux",
            .arch = "amd64"};
    }
}

static void observe_database(struct sim *s, struct inventory *in)
{
    const struct scenario *c = &s->scenario;
    struct observed_database *d = ARENA_NEW(&s->arena, struct observed_database);
    *d = (struct observed_database){.name = SIM_DATABASE,
                                    .connected = true,
                                    .engine = "PostgreSQL 15.8",
                                    .ledger_exists = true,
                                    .fence = (int64_t)s->database.fence};
    d->applied.items = ARENA_ARRAY(&s->arena, c->item_count + 64, const char *);
    d->open = ARENA_ARRAY(&s->arena, SIM_ITEMS_MAX, struct observed_open);
    if (c->external) {
        for (int i = 0; i < s->database.rows; i++) {
            d->applied.items[d->applied.count++] = arena_printf(&s->arena, "row-%04d", i);
        }
    }
    for (size_t i = 0; !c->external && i < c->item_count; i++) {
        if (s->database.ledger[i]) {
            d->applied.items[d->applied.count++] = c->items[i];
        }
        if (s->database.intent[i]) {
            d->open[d->open_count++] = (struct observed_open){
                .id = c->items[i], .down = s->database.ledger[i], .ours = true, .words = "begun"};
        }
    }
    in->databases = d;
    in->database_count = 1;
}

static void know_releases(struct sim *s, struct inventory *in)
{
    const struct scenario *c = &s->scenario;
    in->releases = ARENA_ARRAY(&s->arena, c->release_count, struct known_release);
    in->release_count = c->release_count;
    for (size_t i = 0; i < c->release_count; i++) {
        struct known_release *r = &in->releases[i];
        *r = (struct known_release){.version = c->releases[i].version,
                                    .sha256 = arena_printf(&s->arena, DIGEST, i + 1),
                                    .bytes = 2000000,
                                    .unpacked_bytes = 5000000};
        if (!c->external) {
            r->databases = ARENA_NEW(&s->arena, struct known_database);
            r->databases[0] =
                (struct known_database){SIM_DATABASE, read_set(s, (size_t)c->releases[i].schema)};
            r->database_count = 1;
        }
    }
}

/* In every seventh world a step must move, and no worker of this simulator says that it does: one that hangs or is slow is given
 * up, before its deadline, and its true end comes late. */
static void add_stalls(const struct sim *s, struct plan *plan)
{
    for (size_t i = 0; s->seed % 7 == 3 && i < plan->phases.count; i++) {
        struct list *steps = &LIST_AT(&plan->phases, struct plan_phase, i)->steps;
        for (size_t k = 0; k < steps->count; k++) {
            LIST_AT(steps, struct plan_step, k)->stall_ms = STALL_MS;
        }
    }
}

bool scenario_plan(struct sim *s, size_t to, struct sim_run *run)
{
    struct inventory in = {0};
    observe_nodes(s, &in);
    observe_database(s, &in);
    know_releases(s, &in);
    const struct plan_request request = {.to = s->scenario.releases[to].version,
                                         .spec_digest = arena_printf(&s->arena, DIGEST, (size_t)0)};
    struct plan plan = {0};
    struct complaints complaints;
    complaints_init(&complaints, &s->arena);
    if (plan_compile(&s->arena, &s->scenario.spec, &in, &request, &plan, &complaints) < 0) {
        complain(s, &complaints, "no plan");
        s->coverage->plans_refused++;
        return false;
    }
    /* The compiler bounds only phases of many more nodes than these. */
    for (size_t i = s->seed % 5; i < plan.phases.count; i += 5) {
        struct plan_phase *phase = LIST_AT(&plan.phases, struct plan_phase, i);
        phase->parallel = phase->scope == PHASE_NODES ? 1 + (int64_t)(s->seed % 2) : 0;
    }
    add_stalls(s, &plan);
    struct buf text;
    buf_init(&text, &s->arena, (size_t)16 * 1024 * 1024);
    plan_to_json(&s->arena, &plan, &text);
    struct error e = {0};
    if (plan_from_json(&s->arena, buf_text(&text), text.len, &run->plan, &e) < 0) {
        violate(s, RULE_MACHINE, "a plan cannot be read back: %s", e.message);
        return false;
    }
    run->json = buf_text(&text);
    return run->plan.phases.count > 0;
}
