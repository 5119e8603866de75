/* Owns the pretended cluster. */
#include "tests/unit/plan/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"

const char guestbook_application[] =
    "lockstep: 1\n"
    "kind: Application\n"
    "name: guestbook\n"
    "versions: semver\n"
    "paths: { down: { at_most: { majors: 1 } } }\n"
    "releases:\n"
    "  - version: \"1.0.0\"\n"
    "    artifact: { url: \"https://g.example/1.0.0.tar.gz\", sha256: " SHA(
        "1111") " }\n"
                "    schema: { main: 2 }\n"
                "    runs_with: { main: \"2..3\" }\n"
                "  - version: \"1.1.0\"\n"
                "    artifact: { url: \"https://g.example/1.1.0.tar.gz\", sha256: " SHA(
                    "2222") " }\n"
                            "    schema: { main: 3 }\n"
                            "    runs_with: { main: \"2..3\" }\n"
                            "  - version: \"2.0.0\"\n"
                            "    artifact: { url: \"https://g.example/2.0.0.tar.gz\", sha256: " SHA(
                                "3333") " }\n"
                                        "    schema: { main: 4 }\n"
                                        "    notes: { text: \"authors lose their address\", ack: "
                                        "true }\n"
                                        "layout: { path: \"/opt/guestbook\", keep: [data] }\n"
                                        "service: { systemd: guestbook }\n"
                                        "health: [ { http: { url: "
                                        "\"http://127.0.0.1:${node.port}/health\" }, consecutive: "
                                        "3, within: "
                                        "2m } ]\n"
                                        "databases:\n"
                                        "  main: { migrations: { format: morph, dir: migrations } "
                                        "}\n"
                                        "extra_steps:\n"
                                        "  - name: reinstall-module\n"
                                        "    when: { direction: down, hop_from: \">=2.0.0\", "
                                        "hop_to: \"1.0.0..1.1.0\" }\n"
                                        "    scope: node\n"
                                        "    after: start-requested\n"
                                        "    do:\n"
                                        "      - wait: { file: \"${layout.path}/module.log\", "
                                        "matches: completed, stall: 30s }\n"
                                        "      - service: stop\n"
                                        "      - run: { command: [bin/module, \"${hop.from}\", "
                                        "\"${hop.to}\", \"${node.name}\"] }\n"
                                        "      - service: start\n";

const char external_application[] =
    "lockstep: 1\n"
    "kind: Application\n"
    "name: toggles\n"
    "versions: semver\n"
    "releases:\n"
    "  - version: \"5.6.0\"\n"
    "    artifact: { url: \"https://t.example/5.6.0.tar.gz\", sha256: " SHA(
        "5555") " }\n"
                "    schema: { main: 210 }\n"
                "  - version: \"5.12.8\"\n"
                "    artifact: { url: \"https://t.example/5.12.8.tar.gz\", sha256: " SHA(
                    "6666") " }\n"
                            "    schema: { main: 276 }\n"
                            "layout: { path: /opt/toggles }\n"
                            "service: { systemd: toggles }\n"
                            "databases:\n"
                            "  main:\n"
                            "    migrations:\n"
                            "      external:\n"
                            "        from: newer\n"
                            "        up: { command: [node, migrate.js, up], env: { DATABASE_URL: "
                            "\"${database.main.url}\" }, "
                            "timeout: 5m }\n"
                            "        down: { command: [node, migrate.js, down, "
                            "\"${hop.schema_to}\"], timeout: 5m }\n"
                            "        ledger: { table: migrations, column: name }\n"
                            "        lock_advisory: [\"123\"]\n";

static const struct {
    const char *up_file, *up, *down_file, *down;
} scripts[GUESTBOOK_MIGRATIONS] = {
    {"000001_create_entries.up.sql", "CREATE TABLE entries (id int);",
     "000001_create_entries.down.sql", "DROP TABLE entries;"},
    {"000002_add_author.up.sql", "ALTER TABLE entries ADD COLUMN author text;",
     "000002_add_author.down.sql", "ALTER TABLE entries DROP COLUMN author;"},
    {"000003_add_index.up.sql", "CREATE INDEX by_author ON entries (author);",
     "000003_add_index.down.sql", "DROP INDEX by_author;"},
    {"000004_add_tags.up.sql", "ALTER TABLE entries ADD COLUMN tags text;",
     "000004_add_tags.down.sql", "ALTER TABLE entries DROP COLUMN tags;"},
};

const char *guestbook_cluster(struct world *w, const char *version, const char *more)
{
    return arena_printf(&w->arena,
                        "lockstep: 1\n"
                        "kind: Cluster\n"
                        "name: demo\n"
                        "application: guestbook\n"
                        "version: \"%s\"\n"
                        "nodes:\n"
                        "  - { name: app-1, roles: [app, lead], vars: { port: 8001 } }\n"
                        "  - { name: app-2, roles: [app], vars: { port: 8002 } }\n"
                        "  - { name: app-3, roles: [app], vars: { port: 8003 } }\n"
                        "databases:\n"
                        "  main: { url: \"sqlite:///var/lib/guestbook.db\", via: controller }\n"
                        "%s",
                        version, more);
}

void world_init(struct world *w)
{
    *w = (struct world){0};
    arena_init(&w->arena);
}

void world_deinit(struct world *w)
{
    arena_deinit(&w->arena);
}

static void fail_with(const struct complaints *complaints)
{
    for (size_t i = 0; i < complaints->count; i++) {
        const struct complaint *c = &complaints->items[i];
        print_error("%s:%d:%d: %s\n", c->file != NULL ? c->file : "-", c->line, c->column,
                    c->message);
    }
    fail_msg("%zu complaints", complaints->count);
}

void world_read(struct world *w, const char *cluster, const char *application)
{
    struct spec_file files[] = {{"cluster.yaml", cluster, strlen(cluster)},
                                {"application.yaml", application, strlen(application)}};
    complaints_init(&w->complaints, &w->arena);
    if (spec_read(&w->arena, files, 2, &w->spec, &w->complaints) < 0) {
        fail_with(&w->complaints);
    }
    struct inventory *inventory = &w->inventory;
    inventory->node_count = w->spec.cluster->nodes.count;
    inventory->nodes = ARENA_ARRAY(&w->arena, inventory->node_count, struct observed_node);
    for (size_t i = 0; i < inventory->node_count; i++) {
        inventory->nodes[i] = (struct observed_node){
            .name = LIST_AT(&w->spec.cluster->nodes, struct node_spec, i)->name,
            .enrolled = true,
            .connected = true,
            .disk_free_bytes = INT64_C(10000000000),
            .os = "linux",
            .arch = "amd64"};
    }
    inventory->database_count = w->spec.application->databases.count;
    inventory->databases =
        ARENA_ARRAY(&w->arena, inventory->database_count + 1, struct observed_database);
    for (size_t i = 0; i < inventory->database_count; i++) {
        inventory->databases[i] = (struct observed_database){
            .name = LIST_AT(&w->spec.application->databases, struct app_database_spec, i)->name,
            .connected = true,
            .engine = "SQLite 3.40"};
    }
    inventory->releases = ARENA_ARRAY(&w->arena, LIMIT_HOPS, struct known_release);
}

void world_runs(struct world *w, const char *version)
{
    for (size_t i = 0; i < w->inventory.node_count; i++) {
        w->inventory.nodes[i].version = version;
        w->inventory.nodes[i].running = version != NULL;
    }
}

static struct migration_set guestbook_set(struct world *w, size_t count)
{
    struct migration_file *files = ARENA_ARRAY(&w->arena, count * 2, struct migration_file);
    for (size_t i = 0; i < count; i++) {
        files[i * 2] =
            (struct migration_file){scripts[i].up_file,
                                    {(const uint8_t *)scripts[i].up, strlen(scripts[i].up)},
                                    arena_printf(&w->arena, "%063zu1", i)};
        files[i * 2 + 1] =
            (struct migration_file){scripts[i].down_file,
                                    {(const uint8_t *)scripts[i].down, strlen(scripts[i].down)},
                                    arena_printf(&w->arena, "%063zu2", i)};
    }
    struct migration_set set;
    struct error e = {0};
    int r = migration_format_get(FORMAT_MORPH)->read(&w->arena, files, count * 2, &set, &e);
    assert_string_equal(e.message, "");
    assert_int_equal(r, 0);
    return set;
}

void world_ledger(struct world *w, size_t count)
{
    struct migration_set set = guestbook_set(w, count);
    struct observed_database *database = &w->inventory.databases[0];
    database->ledger_exists = count > 0;
    database->applied = (struct strings){ARENA_ARRAY(&w->arena, count, const char *), count};
    for (size_t i = 0; i < count; i++) {
        database->applied.items[i] = set.items[i].id;
    }
}

void world_rows(struct world *w, size_t count)
{
    struct observed_database *database = &w->inventory.databases[0];
    database->ledger_exists = true;
    database->applied = (struct strings){ARENA_ARRAY(&w->arena, count, const char *), count};
    for (size_t i = 0; i < count; i++) {
        database->applied.items[i] = arena_printf(&w->arena, "row-%04zu", i);
    }
}

static struct known_release *add_release(struct world *w, const char *version)
{
    const struct release_spec *release = application_release(w->spec.application, version);
    assert_non_null(release);
    struct known_release *r = &w->inventory.releases[w->inventory.release_count++];
    *r = (struct known_release){.version = version,
                                .sha256 =
                                    LIST_AT(&release->artifact, struct artifact_spec, 0)->sha256,
                                .bytes = 2000000,
                                .unpacked_bytes = 5000000};
    return r;
}

void world_release_files(struct world *w, const char *version, const struct migration_file *files)
{
    const struct app_database_spec *app =
        LIST_AT(&w->spec.application->databases, struct app_database_spec, 0);
    size_t count = 0;
    while (files[count].name != NULL) {
        count++;
    }
    struct known_release *r = add_release(w, version);
    r->databases = ARENA_NEW(&w->arena, struct known_database);
    r->databases[0].name = app->name;
    r->database_count = 1;
    struct error e = {0};
    const struct migration_format *format =
        migration_format_get((enum migration_format_kind)app->migrations->format);
    assert_non_null(format);
    int code = format->read(&w->arena, files, count, &r->databases[0].set, &e);
    assert_string_equal(e.message, "");
    assert_int_equal(code, 0);
}

void world_ids(struct world *w, const char *ids)
{
    struct observed_database *database = &w->inventory.databases[0];
    const char **items = ARENA_ARRAY(&w->arena, strlen(ids) + 1, const char *);
    size_t count = 0;
    for (const char *p = ids; *p != '\0';) {
        size_t len = strcspn(p, " ");
        items[count++] = arena_strndup(&w->arena, p, len);
        p += len + (p[len] == ' ' ? 1 : 0);
    }
    database->ledger_exists = true;
    database->applied = (struct strings){items, count};
}

void world_release(struct world *w, const char *version, size_t count)
{
    struct known_release *r = add_release(w, version);
    if (count > 0) {
        r->databases = ARENA_NEW(&w->arena, struct known_database);
        r->databases[0] = (struct known_database){"main", guestbook_set(w, count)};
        r->database_count = 1;
    }
}

int world_compile(struct world *w, const char *to)
{
    struct plan_request request = {.to = to,
                                   .spec_digest = SHA("dddd"),
                                   .restores = w->restores,
                                   .restore_count = w->restore_count};
    complaints_init(&w->complaints, &w->arena);
    return plan_compile(&w->arena, &w->spec, &w->inventory, &request, &w->plan, &w->complaints);
}

const char *world_render(struct world *w, const char *to)
{
    if (world_compile(w, to) < 0) {
        fail_with(&w->complaints);
    }
    struct buf b;
    buf_init(&b, &w->arena, 1024 * 1024);
    plan_render(&w->plan, SHA("7f3a"), 120, w->known, &w->arena, &b);
    return buf_text(&b);
}

const char *world_refusal(struct world *w, const char *to)
{
    assert_int_equal(world_compile(w, to), E_INVALID);
    struct buf b;
    buf_init(&b, &w->arena, 1024 * 1024);
    for (size_t i = 0; i < w->complaints.count; i++) {
        const struct complaint *c = &w->complaints.items[i];
        if (c->line > 0) {
            buf_printf(&b, "%s:%d:%d: ", c->file, c->line, c->column);
        }
        buf_printf(&b, "%s\n", c->message);
    }
    return buf_text(&b);
}

const char *world_json(struct world *w)
{
    struct buf b;
    buf_init(&b, &w->arena, 64 * 1024 * 1024);
    plan_to_json(&w->arena, &w->plan, &b);
    assert_false(b.overflow);
    return buf_text(&b);
}
