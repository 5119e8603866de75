/*
 * Owns migrators that have a version and an artifact of their own: which one a database's tool is on its node, its tree beside
 * the releases' (never among them: its versions are others), and when it goes. Refuses a node that no artifact fits.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/plan/compiler.h"

#define MIGRATORS_SUFFIX ".migrators"

const char *migrators_layout(struct compiler *c)
{
    return arena_printf(c->arena, "%s" MIGRATORS_SUFFIX, c->layout);
}

/* ---- which ---- */

static bool fits(const char *have, const char *want)
{
    return have == NULL || want == NULL || str_equal(have, want);
}

/* By its digest: of what was fetched for the artifact that fits the node. */
static const struct known_release *known_for(const struct compiler *c,
                                             const struct external_spec *tool, size_t node)
{
    const struct observed_node *seen = c->nodes[node].seen;
    for (size_t i = 0; i < tool->artifact.count; i++) {
        const struct artifact_spec *a = LIST_AT(&tool->artifact, const struct artifact_spec, i);
        if (!fits(a->os, seen != NULL ? seen->os : NULL) ||
            !fits(a->arch, seen != NULL ? seen->arch : NULL)) {
            continue;
        }
        for (size_t m = 0; m < c->inventory->migrator_count; m++) {
            const struct known_release *known = &c->inventory->migrators[m];
            if (str_equal(known->sha256, a->sha256) && str_equal(known->version, tool->version)) {
                return known;
            }
        }
    }
    return NULL;
}

static void find_migrator(struct compiler *c, struct hop_database *db)
{
    const struct node_state *node = &c->nodes[db->node];
    db->migrator = known_for(c, db->tool, db->node);
    if (db->migrator == NULL) {
        forbid_at(c, &db->tool->artifact,
                  "migrator %s of database %s has no artifact that could be read for %s/%s, which "
                  "node %s is: add one, or say on: another node",
                  db->tool->version, db->app->name,
                  node->seen != NULL && node->seen->os != NULL ? node->seen->os : "?",
                  node->seen != NULL && node->seen->arch != NULL ? node->seen->arch : "?",
                  node->spec->name);
    }
}

void migrators_find(struct compiler *c)
{
    for (size_t h = 0; h < c->hop_count; h++) {
        for (size_t d = 0; d < c->hops[h].database_count; d++) {
            struct hop_database *db = &c->hops[h].databases[d];
            if (db->runs && db->tool != NULL && db->tool->artifact.count > 0) {
                find_migrator(c, db);
            }
        }
    }
}

/* Those that are to be staged on a node, each once: of struct known_release *. */
static struct list migrators_of(struct compiler *c, size_t node)
{
    struct list found = {0};
    for (size_t h = 0; h < c->hop_count; h++) {
        for (size_t d = 0; d < c->hops[h].database_count; d++) {
            const struct hop_database *db = &c->hops[h].databases[d];
            bool skip = db->migrator == NULL || db->node != node;
            for (size_t i = 0; i < found.count && !skip; i++) {
                skip = *LIST_AT(&found, const struct known_release *, i) == db->migrator;
            }
            if (!skip) {
                const struct known_release **item = list_push(c->arena, &found, sizeof(*item));
                *item = db->migrator;
            }
        }
    }
    return found;
}

int64_t migrators_bytes(struct compiler *c, size_t node)
{
    struct list migrators = migrators_of(c, node);
    int64_t bytes = 0;
    for (size_t i = 0; i < migrators.count; i++) {
        bytes += (*LIST_AT(&migrators, const struct known_release *, i))->unpacked_bytes;
    }
    return bytes / 100 * STAGE_BYTES_PERCENT;
}

/* A ledger that is as the wanted release has it is not moved; what goose delegates shows only on the way. */
static bool may_start(const struct spec *spec, const struct inventory *inventory, const char *to,
                      const struct app_database_spec *app)
{
    const struct observed_database *seen = inventory_database(inventory, app->name);
    const struct release_spec *release = application_release(spec->application, to);
    const char *text = release != NULL ? pairs_get(&release->schema, app->name) : NULL;
    uint64_t rows = 0;
    bool known = app->migrations->external != NULL && seen != NULL && text != NULL &&
                 str_to_u64(text, INT64_MAX, &rows);
    return !known || seen->applied.count != rows;
}

size_t plan_migrators_needed(struct arena *arena, const struct spec *spec,
                             const struct inventory *inventory, const struct plan_request *request,
                             const struct external_spec ***ret)
{
    const struct list *databases = &spec->application->databases;
    const char *to = request->to != NULL ? request->to : spec->cluster->version;
    size_t count = 0;
    *ret = ARENA_ARRAY(arena, databases->count + 1, const struct external_spec *);
    for (size_t i = 0; i < databases->count; i++) {
        const struct app_database_spec *app = LIST_AT(databases, struct app_database_spec, i);
        const struct migrations_spec *m = app->migrations;
        const struct external_spec *tool =
            m == NULL ? NULL : (m->external != NULL ? m->external : m->delegate);
        if (tool != NULL && tool->artifact.count > 0 && may_start(spec, inventory, to, app)) {
            (*ret)[count++] = tool;
        }
    }
    return count;
}

/* ---- its steps ---- */

static struct members only(struct compiler *c, size_t node)
{
    struct members one = {c->nodes[node].spec->name, ARENA_ARRAY(c->arena, 1, size_t), 1};
    one.items[0] = node;
    return one;
}

void phases_stage_migrators(struct compiler *c)
{
    for (size_t n = 0; n < c->node_count; n++) {
        struct list migrators = migrators_of(c, n);
        for (size_t i = 0; i < migrators.count; i++) {
            const struct known_release *m = *LIST_AT(&migrators, const struct known_release *, i);
            struct members one = only(c, n);
            struct plan_phase *phase = add_nodes_phase(c, -1, "stage migrator", &one);
            struct plan_step *step =
                add_step(c, phase, "stage migrator", m->version, NULL, STAGE_MS);
            step->detail = arena_printf(c->arena, "%s, SHA-256 %.8s",
                                        str_bytes(c->arena, (uint64_t)m->bytes), m->sha256);
            step->retries = STAGE_RETRIES;
            struct stage_action *a = ARENA_NEW(c->arena, struct stage_action);
            *a = (struct stage_action){{m->sha256, m->bytes, m->version},
                                       migrators_layout(c),
                                       c->app->layout->allow_special,
                                       c->app->layout->owner};
            step->action->stage = a;
        }
    }
}

void phases_retire_migrators(struct compiler *c)
{
    for (size_t n = 0; n < c->node_count; n++) {
        if (migrators_of(c, n).count == 0) {
            continue;
        }
        struct members one = only(c, n);
        struct plan_phase *phase =
            add_nodes_phase(c, (int64_t)c->hop_count, "retire migrators", &one);
        struct plan_step *step = add_step(c, phase, "retire migrators", NULL, NULL, RETIRE_MS);
        struct retire_action *a = ARENA_NEW(c->arena, struct retire_action);
        *a = (struct retire_action){.layout = migrators_layout(c),
                                    .keep_releases = c->app->layout->keep_releases};
        step->action->retire = a;
    }
}
