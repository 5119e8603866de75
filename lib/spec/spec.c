/*
 * Owns the way from files to a spec: which document is which, which Application a Cluster means,
 * and lookups. Refuses documents of an unknown kind, a second Cluster or Fleet, and Applications that nobody
 * names.
 */
#include "lib/spec/spec.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/check.h"
#include "lib/spec/node.h"

struct found_application {
    const struct yaml_document *document;
    const char *name; /* NULL when it could not be read */
};

struct found {
    struct arena *arena;
    struct complaints *complaints;
    const struct yaml_document *cluster;
    const struct yaml_document *fleet;
    struct found_application *applications;
    size_t count, capacity;
};

#define SAY(f, at, ...)                                                                            \
    complaints_add((f)->complaints, (at).file, (at).line, (at).column, __VA_ARGS__)

/* A Cluster or a Fleet: one of each. */
static void sort_single(struct found *f, const struct yaml_document **first, const char *kind,
                        const struct yaml_document *document)
{
    if (*first == NULL) {
        *first = document;
        return;
    }
    SAY(f, document->mark, "a second %s: the first is at %s:%d; validate and apply them one by one",
        kind, (*first)->file, (*first)->mark.line);
}

static void sort_document(struct found *f, const struct yaml_document *document)
{
    static const char *const kinds[] = {"Cluster", "Application", "Fleet"};
    struct mark at;
    if (document->root->kind == NODE_BROKEN) {
        return;
    }
    if (document->root->kind != NODE_MAPPING) {
        SAY(f, document->mark, "a document is a mapping with lockstep: 1 and a kind, found %s",
            node_describe(f->arena, document->root));
        return;
    }
    const char *kind = yaml_peek(document, "kind", &at);
    if (kind == NULL) {
        SAY(f, document->mark,
            "the key \"kind\" is missing: write kind: Cluster, kind: Application or kind: Fleet");
    } else if (strcmp(kind, kinds[0]) == 0) {
        sort_single(f, &f->cluster, kind, document);
    } else if (strcmp(kind, kinds[2]) == 0) {
        sort_single(f, &f->fleet, kind, document);
    } else if (strcmp(kind, kinds[1]) == 0) {
        f->applications = arena_grow(f->arena, f->applications, f->count, &f->capacity,
                                     sizeof(struct found_application));
        f->applications[f->count++] = (struct found_application){
            .document = document, .name = yaml_peek(document, "name", NULL)};
    } else {
        const char *nearest = str_nearest(kind, kinds, ARRAY_SIZE(kinds));
        SAY(f, at,
            nearest != NULL ? "unknown kind %s, did you mean \"%s\"?"
                            : "unknown kind %s: it is Cluster, Application or Fleet%s",
            text_quote(f->arena, kind), nearest != NULL ? nearest : "");
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A path to a file rather than a name of the catalog. */
static bool is_path(const char *application)
{
    return strchr(application, '/') != NULL || str_ends(application, ".yaml") ||
           str_ends(application, ".yml");
}

static bool is_named(const struct found_application *app, const char *application)
{
    if (is_path(application)) {
        return str_equal(base_name(app->document->file), base_name(application));
    }
    return str_equal(app->name, application);
}

static void complain_no_application(struct found *f, const struct mark *at, const char *wanted)
{
    const char **names = ARENA_ARRAY(f->arena, f->count, const char *);
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++) {
        names[count] = f->applications[i].name;
        count += names[count] != NULL ? 1 : 0;
    }
    const char *nearest = str_nearest(wanted, names, count);
    if (nearest != NULL) {
        SAY(f, *at, "no application %s here, did you mean \"%s\"?", text_quote(f->arena, wanted),
            nearest);
    } else {
        SAY(f, *at, "no application %s here; given are %s", text_quote(f->arena, wanted),
            count > 0 ? str_join(f->arena, names, count) : "others without a name");
    }
}

/* The Application that the Cluster names, or the only one; the others are complaints. */
static const struct yaml_document *choose_application(struct found *f)
{
    const struct yaml_document *chosen = NULL;
    struct mark at = {0};
    const char *wanted = f->cluster != NULL ? yaml_peek(f->cluster, "application", &at) : NULL;
    if (wanted != NULL && f->count == 1 && is_path(wanted)) {
        return f->applications[0]
            .document; /* whoever opened the path may have given it another name */
    }
    for (size_t i = 0; i < f->count && chosen == NULL; i++) {
        if (wanted == NULL || is_named(&f->applications[i], wanted)) {
            chosen = f->applications[i].document;
        }
    }
    if (chosen == NULL && f->count > 0) {
        complain_no_application(f, &at, wanted);
        return f->count == 1 ? f->applications[0].document : NULL;
    }
    for (size_t i = 0; i < f->count; i++) {
        const struct yaml_document *other = f->applications[i].document;
        if (other == chosen) {
            continue;
        }
        if (f->cluster != NULL) {
            SAY(f, other->mark, "no Cluster names this Application: leave it out");
        } else {
            SAY(f, other->mark,
                "a second Application: the first is at %s:%d; validate them one by one",
                chosen->file, chosen->mark.line);
        }
    }
    return chosen;
}

/* Whether `versions:` holds one of its words, or is left out. */
static bool scheme_known(const struct yaml_document *application)
{
    if (application == NULL || node_get(application->root, "versions") == NULL) {
        return true;
    }
    const char *word = yaml_peek(application, "versions", NULL);
    for (size_t i = 0; version_scheme_words[i] != NULL; i++) {
        if (str_equal(word, version_scheme_words[i])) {
            return true;
        }
    }
    return false;
}

static void set_scheme(struct arena *arena, struct spec *spec)
{
    const struct application *app = spec->application;
    spec->scheme = (struct version_scheme){.kind = (enum version_scheme_kind)app->versions};
    if (spec->scheme.kind != VERSION_LISTED) {
        return;
    }
    const char **listed = ARENA_ARRAY(arena, app->releases.count, const char *);
    size_t count = 0;
    for (size_t i = 0; i < app->releases.count; i++) {
        listed[count] = LIST_AT(&app->releases, struct release_spec, i)->version;
        count += listed[count] != NULL ? 1 : 0;
    }
    spec->scheme.listed = listed;
    spec->scheme.listed_count = count;
}

/* external: without format: means format: external. */
static void settle_formats(struct application *app)
{
    for (size_t i = 0; i < app->databases.count; i++) {
        struct migrations_spec *m =
            LIST_AT(&app->databases, struct app_database_spec, i)->migrations;
        if (m != NULL && m->external != NULL && m->format == FORMAT_NONE) {
            m->format = FORMAT_EXTERNAL;
        }
    }
}

int spec_read(struct arena *arena, const struct spec_file *files, size_t file_count,
              struct spec *ret, struct complaints *complaints)
{
    struct found f = {.arena = arena, .complaints = complaints};
    struct spec spec = {0};
    struct marks *marks;
    for (size_t i = 0; i < file_count; i++) {
        struct yaml_documents documents =
            yaml_read(arena, files[i].name, files[i].text, files[i].len, complaints);
        for (size_t j = 0; j < documents.count; j++) {
            sort_document(&f, documents.items[j]);
        }
    }
    const struct yaml_document *application = choose_application(&f);
    if (f.cluster != NULL) {
        spec.cluster = ARENA_NEW(arena, struct cluster);
        shape_from_yaml(&cluster_shape, f.cluster, spec.cluster, &marks, arena, complaints);
        spec.cluster_marks = marks;
    }
    if (f.fleet != NULL) {
        spec.fleet = ARENA_NEW(arena, struct fleet_spec);
        shape_from_yaml(&fleet_shape, f.fleet, spec.fleet, &marks, arena, complaints);
        spec.fleet_marks = marks;
    }
    if (application != NULL) {
        spec.application = ARENA_NEW(arena, struct application);
        shape_from_yaml(&application_shape, application, spec.application, &marks, arena,
                        complaints);
        spec.application_marks = marks;
        set_scheme(arena, &spec);
        settle_formats(spec.application);
    }
    spec_check(arena, &spec, scheme_known(application), complaints);
    complaints_sort(complaints);
    *ret = spec;
    return complaints->count == 0 ? 0 : E_INVALID;
}

const struct release_spec *application_release(const struct application *app, const char *version)
{
    for (size_t i = 0; i < app->releases.count; i++) {
        const struct release_spec *release = LIST_AT(&app->releases, const struct release_spec, i);
        if (str_equal(release->version, version)) {
            return release;
        }
    }
    if (app->versions == VERSION_LISTED || version == NULL) {
        return NULL;
    }
    struct version_scheme scheme = {.kind = (enum version_scheme_kind)app->versions};
    for (size_t i = 0; i < app->releases.count; i++) { /* v1.2.3 is 1.2.3 */
        const struct release_spec *release = LIST_AT(&app->releases, const struct release_spec, i);
        if (release->version != NULL &&
            version_compare(&scheme, release->version, version) == VERSION_EQUAL) {
            return release;
        }
    }
    return NULL;
}

const struct node_spec *cluster_node(const struct cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        const struct node_spec *node = LIST_AT(&cluster->nodes, const struct node_spec, i);
        if (node->name != NULL && str_equal(node->name, name)) {
            return node;
        }
    }
    return NULL;
}

const struct cluster_database_spec *cluster_database(const struct cluster *cluster,
                                                     const char *name)
{
    for (size_t i = 0; i < cluster->databases.count; i++) {
        const struct cluster_database_spec *database =
            LIST_AT(&cluster->databases, const struct cluster_database_spec, i);
        if (str_equal(database->name, name)) {
            return database;
        }
    }
    return NULL;
}

const char *pairs_get(const struct pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (str_equal(pairs->items[i].key, key)) {
            return pairs->items[i].value;
        }
    }
    return NULL;
}
