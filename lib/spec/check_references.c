/* Owns the check that every ${…} of a spec will have a value where it stands, before anything runs.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/check.h"
#include "lib/spec/expand.h"
#include "lib/spec/node.h"

struct reference_set {
    bool node, layout, release, hop, database, migration, component;
};

/* What has a value under a top-level key; other keys know cluster.name only. */
static const struct {
    const char *key;
    struct reference_set set;
} places[] = {
    {"layout", {.node = true}},
    {"observe", {.node = true, .layout = true}},
    {"sessions", {.node = true, .layout = true}},
    {"ports", {.node = true, .layout = true}},
    {"service", {.node = true, .layout = true, .release = true, .database = true}},
    {"health", {.node = true, .layout = true, .release = true, .database = true}},
    {"drain", {.node = true, .layout = true, .release = true, .hop = true, .database = true}},
    {"undrain", {.node = true, .layout = true, .release = true, .hop = true, .database = true}},
    {"extra_steps", {.node = true, .layout = true, .release = true, .hop = true, .database = true}},
    {"components",
     {.node = true,
      .layout = true,
      .release = true,
      .hop = true,
      .database = true,
      .component = true}},
    /* in an Application: the commands of an external migrator, or of what is delegated to one */
    {"databases",
     {.node = true,
      .layout = true,
      .release = true,
      .hop = true,
      .database = true,
      .migration = true}},
    /* in a Cluster */
    {"check", {.release = true}},
    {"backup", {.database = true}},
};

struct looking {
    const struct checker *c;
    struct reference_set set;
};

static const char *const hop_names[] = {"hop.from", "hop.to", "hop.schema_from", "hop.schema_to",
                                        "run"};
static const char *const migration_names[] = {"migration.version", "migration.previous"};

/* "db" of database.db.url; NULL when it is none. */
static const char *database_of(struct arena *arena, const char *name)
{
    static const char prefix[] = "database.";
    static const char suffix[] = ".url";
    size_t len = strlen(name);
    if (!str_starts(name, prefix) || !str_ends(name, suffix) ||
        len <= strlen(prefix) + strlen(suffix)) {
        return NULL;
    }
    return arena_strndup(arena, name + strlen(prefix), len - strlen(prefix) - strlen(suffix));
}

static bool database_exists(const struct spec *spec, const char *name)
{
    if (spec->cluster != NULL && cluster_database(spec->cluster, name) != NULL) {
        return true;
    }
    for (size_t i = 0; spec->application != NULL && i < spec->application->databases.count; i++) {
        if (str_equal(LIST_AT(&spec->application->databases, struct app_database_spec, i)->name,
                      name)) {
            return true;
        }
    }
    return false;
}

/* The first node without the var, or NULL; *ret_any: one has it. */
static const struct node_spec *node_without(const struct cluster *cluster, const char *var,
                                            bool *ret_any)
{
    const struct node_spec *without = NULL;
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        const struct node_spec *node = LIST_AT(&cluster->nodes, const struct node_spec, i);
        bool has = pairs_get(&node->vars, var) != NULL;
        *ret_any = *ret_any || has;
        without = !has && without == NULL ? node : without;
    }
    return without;
}

static void complain_unknown(const struct looking *l, const char *name, const void *field)
{
    const struct spec *spec = l->c->spec;
    const char *known[64];
    size_t count = 0;
    known[count++] = "cluster.name";
    if (l->set.node) {
        known[count++] = "node.name";
        const struct node_spec *node =
            spec->cluster != NULL && spec->cluster->nodes.count > 0
                ? LIST_AT(&spec->cluster->nodes, const struct node_spec, 0)
                : NULL;
        for (size_t i = 0; node != NULL && i < node->vars.count && i < 24; i++) {
            known[count++] = arena_printf(l->c->arena, "node.%s", node->vars.items[i].key);
        }
    }
    if (l->set.layout) {
        known[count++] = "layout.path";
    }
    if (l->set.release) {
        known[count++] = "release.version";
    }
    for (size_t i = 0; l->set.hop && i < ARRAY_SIZE(hop_names); i++) {
        known[count++] = hop_names[i];
    }
    for (size_t i = 0; l->set.migration && i < ARRAY_SIZE(migration_names); i++) {
        known[count++] = migration_names[i];
    }
    if (l->set.component) {
        known[count++] = "component.version";
    }
    for (size_t i = 0;
         l->set.database && spec->application != NULL && i < spec->application->databases.count;
         i++) {
        known[count++] =
            arena_printf(l->c->arena, "database.%s.url",
                         LIST_AT(&spec->application->databases, struct app_database_spec, i)->name);
    }
    const char *nearest = str_nearest(name, known, count);
    if (nearest != NULL && !str_equal(nearest, name)) {
        check_say(l->c, field, "unknown reference ${%s}, did you mean ${%s}?", name, nearest);
    } else {
        check_say(l->c, field, "${%s} has no value here; known here are %s", name,
                  str_join(l->c->arena, known, count));
    }
}

static void check_node_reference(const struct looking *l, const char *name, const void *field)
{
    const struct cluster *cluster = l->c->spec->cluster;
    const char *var = name + strlen("node.");
    bool any = false;
    if (cluster == NULL || str_equal(var, "name")) {
        return;
    }
    const struct node_spec *without = node_without(cluster, var, &any);
    if (without == NULL) {
        return;
    }
    if (any && without->name != NULL) {
        check_say(l->c, field, "${%s} has no value on node \"%s\": add %s to its vars", name,
                  without->name, var);
    } else {
        complain_unknown(l, name, field);
    }
}

static void seen(void *context, const char *name, const void *field)
{
    const struct looking *l = context;
    if (name == NULL) {
        check_say(l->c, field,
                  "a ${ is not closed by a } or holds no name; a literal ${ is written $${");
        return;
    }
    if (l->set.node && str_starts(name, "node.") && name[strlen("node.")] != '\0') {
        check_node_reference(l, name, field);
        return;
    }
    bool known = str_equal(name, "cluster.name") ||
                 (l->set.layout && str_equal(name, "layout.path")) ||
                 (l->set.release && str_equal(name, "release.version")) ||
                 (l->set.component && str_equal(name, "component.version"));
    for (size_t i = 0; l->set.hop && i < ARRAY_SIZE(hop_names); i++) {
        known = known || str_equal(name, hop_names[i]);
    }
    for (size_t i = 0; l->set.migration && i < ARRAY_SIZE(migration_names); i++) {
        known = known || str_equal(name, migration_names[i]);
    }
    const char *database = l->set.database ? database_of(l->c->arena, name) : NULL;
    known = known || (database != NULL && database_exists(l->c->spec, database));
    if (!known) {
        complain_unknown(l, name, field);
    }
}

void check_references(const struct checker *c, const struct shape *shape, const void *document)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        struct looking l = {.c = c};
        for (size_t j = 0; j < ARRAY_SIZE(places); j++) {
            if (str_equal(places[j].key, shape->fields[i].key)) {
                l.set = places[j].set;
            }
        }
        if (shape == &cluster_shape && str_equal(shape->fields[i].key, "databases")) {
            l.set = (struct reference_set){0}; /* an address is resolved before there is a node */
        }
        struct shape one = *shape;
        one.fields = &shape->fields[i];
        one.field_count = 1;
        expand_references(c->arena, &one, document, seen, &l);
    }
}
