/* Owns the way from paths on the command line to sets of specs. What is wrong inside a file is lib/spec's to say. */
#include "cli/specs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"

#define DIRECTORIES_MAX 3

/* One file, and what it says of itself before anything is checked. */
struct source {
    struct spec_file file;
    bool has_cluster;
    const char *wanted; /* `application:` of its Cluster, or NULL */
    struct mark wanted_at;
    const char *application; /* name of its Application, "" without one; NULL: it holds none */
    bool given;              /* on the command line */
    bool used;               /* in a set */
};

struct sources {
    struct arena *arena;
    struct source **items;
    size_t count, capacity;
};

/* ---- reading ---- */

static void peek(struct arena *arena, struct source *s)
{
    struct complaints unheard; /* spec_read() will say them */
    complaints_init(&unheard, arena);
    struct yaml_documents documents =
        yaml_read(arena, s->file.name, s->file.text, s->file.len, &unheard);
    for (size_t i = 0; i < documents.count; i++) {
        const char *kind = yaml_peek(documents.items[i], "kind", NULL);
        if (str_equal(kind, "Cluster") && !s->has_cluster) {
            s->has_cluster = true;
            s->wanted = yaml_peek(documents.items[i], "application", &s->wanted_at);
        } else if (str_equal(kind, "Application") && s->application == NULL) {
            const char *name = yaml_peek(documents.items[i], "name", NULL);
            s->application = name != NULL ? name : "";
        }
    }
}

static int add_source(struct sources *list, const char *path, bool given, struct source **ret,
                      struct error *e)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_equal(list->items[i]->file.name, path)) {
            list->items[i]->given = list->items[i]->given || given;
            *ret = list->items[i];
            return 0;
        }
    }
    struct source *s = ARENA_NEW(list->arena, struct source);
    char *text = NULL;
    int r = file_read(list->arena, path, LIMIT_SPEC_BYTES, &text, &s->file.len, e);
    if (r < 0) {
        return r;
    }
    s->file.name = path;
    s->file.text = text;
    s->given = given;
    peek(list->arena, s);
    list->items =
        arena_grow(list->arena, list->items, list->count, &list->capacity, sizeof(struct source *));
    list->items[list->count++] = s;
    *ret = s;
    return 0;
}

/* ---- where an Application is ---- */

static bool is_path(const char *application)
{
    return strchr(application, '/') != NULL || str_ends(application, ".yaml") ||
           str_ends(application, ".yml");
}

static size_t catalog_directories(struct arena *arena, const char **directories)
{
    size_t count = 0;
    const char *set = getenv("LOCKSTEP_CATALOG");
    if (!str_empty(set)) {
        directories[count++] = set;
    }
    char program[LIMIT_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (len > 0) {
        program[len] = '\0';
        const char *bin = path_parent(arena, program);
        directories[count++] =
            arena_printf(arena, "%s/configs", path_parent(arena, path_parent(arena, bin)));
        directories[count++] =
            arena_printf(arena, "%s/share/lockstep/configs", path_parent(arena, bin));
    }
    return count;
}

static const char *beside(struct arena *arena, const char *file, const char *path)
{
    return path[0] == '/' || strchr(file, '/') == NULL
               ? path
               : arena_printf(arena, "%s/%s", path_parent(arena, file), path);
}

static struct source *find_given_by_name(const struct sources *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_equal(list->items[i]->application, name)) {
            return list->items[i];
        }
    }
    return NULL;
}

static void complain_no_file(struct sources *list, const struct source *cluster, const char *path,
                             const struct error *e, struct complaints *complaints)
{
    const struct mark *at = &cluster->wanted_at;
    complaints_add(complaints, cluster->file.name, at->line, at->column, "application %s: %s",
                   cluster->wanted,
                   e->code == E_NOT_FOUND ? arena_printf(list->arena, "there is no file %s", path)
                                          : e->message);
}

static void complain_no_name(struct sources *list, const struct source *cluster,
                             const char *const *directories, size_t count,
                             struct complaints *complaints)
{
    const struct mark *at = &cluster->wanted_at;
    const char **names = ARENA_ARRAY(list->arena, list->count + 1, const char *);
    size_t name_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!str_empty(list->items[i]->application)) {
            names[name_count++] = list->items[i]->application;
        }
    }
    const char *nearest = str_nearest(cluster->wanted, names, name_count);
    if (nearest != NULL) {
        complaints_add(complaints, cluster->file.name, at->line, at->column,
                       "no application \"%s\" here, did you mean \"%s\"?", cluster->wanted,
                       nearest);
        return;
    }
    complaints_add(complaints, cluster->file.name, at->line, at->column,
                   "no application \"%s\": write the path of its file, or put %s.yaml into the "
                   "catalog (looked in %s)",
                   cluster->wanted, cluster->wanted,
                   count > 0 ? str_join(list->arena, directories, count) : "no directory");
}

/* The source that holds the Application of a Cluster; NULL: none is named, or it is complained of. */
static struct source *find_application(struct sources *list, const struct source *cluster,
                                       struct complaints *complaints)
{
    struct error e = {0};
    struct source *found = NULL;
    const char *wanted = cluster->wanted;
    if (str_empty(wanted) || cluster->application != NULL) {
        return NULL;
    }
    if (is_path(wanted)) {
        const char *path = beside(list->arena, cluster->file.name, wanted);
        if (add_source(list, path, false, &found, &e) < 0) {
            complain_no_file(list, cluster, path, &e, complaints);
        }
        return found;
    }
    found = find_given_by_name(list, wanted);
    if (found != NULL || !str_is_name(wanted)) {
        return found; /* what is no name is complained of by its table */
    }
    const char *directories[DIRECTORIES_MAX];
    size_t count = catalog_directories(list->arena, directories);
    for (size_t i = 0; i < count; i++) {
        const char *path = arena_printf(list->arena, "%s/%s.yaml", directories[i], wanted);
        int r = add_source(list, path, false, &found, &e);
        if (r == 0) {
            return found;
        }
        if (r != E_NOT_FOUND) {
            complain_no_file(list, cluster, path, &e, complaints);
            return NULL;
        }
    }
    complain_no_name(list, cluster, directories, count, complaints);
    return NULL;
}

/* ---- sets ---- */

static bool same(const struct complaint *a, const struct complaint *b)
{
    return str_equal(a->file, b->file) && a->line == b->line && a->column == b->column &&
           str_equal(a->message, b->message);
}

/* An Application of two Clusters is read twice; its mistakes are said once. */
static void merge(struct complaints *to, const struct complaints *from)
{
    for (size_t i = 0; i < from->count; i++) {
        bool known = false;
        for (size_t j = 0; j < to->count && !known; j++) {
            known = same(&to->items[j], &from->items[i]);
        }
        if (!known) {
            const struct complaint *c = &from->items[i];
            complaints_add(to, c->file, c->line, c->column, "%s", c->message);
        }
    }
}

static void read_set(struct arena *arena, struct spec_sets *sets, const struct source *first,
                     const struct source *second)
{
    struct spec_set *set = &sets->items[sets->count++];
    set->files = ARENA_ARRAY(arena, 2, struct spec_file);
    set->files[set->count++] = first->file;
    if (second != NULL && second != first) {
        set->files[set->count++] = second->file;
    }
    struct complaints complaints;
    complaints_init(&complaints, arena);
    (void)spec_read(arena, set->files, set->count, &set->spec, &complaints);
    merge(&sets->complaints, &complaints);
}

int specs_read(struct arena *arena, const char *const *paths, size_t count, struct spec_sets *ret,
               struct error *e)
{
    struct sources list = {.arena = arena};
    for (size_t i = 0; i < count; i++) {
        struct source *unused = NULL;
        int r = add_source(&list, paths[i], true, &unused, e);
        if (r < 0) {
            return r;
        }
    }
    size_t given = list.count;
    struct spec_sets sets = {.items = ARENA_ARRAY(arena, given + 1, struct spec_set)};
    complaints_init(&sets.complaints, arena);
    for (size_t i = 0; i < given; i++) {
        struct source *cluster = list.items[i];
        if (cluster->has_cluster) {
            struct source *application = find_application(&list, cluster, &sets.complaints);
            cluster->used = true;
            if (application != NULL) {
                application->used = true;
            }
            read_set(arena, &sets, cluster, application);
        }
    }
    for (size_t i = 0; i < given; i++) {
        if (!list.items[i]->used) {
            read_set(arena, &sets, list.items[i], NULL);
        }
    }
    complaints_sort(&sets.complaints);
    sets.file_count = list.count;
    *ret = sets;
    return 0;
}

static int read_one(struct arena *arena, const char *path, struct spec_set *ret, struct error *e)
{
    struct spec_sets sets = {0};
    int r = specs_read(arena, &path, 1, &sets, e);
    if (r == 0 && sets.complaints.count > 0) {
        say_complaints(sets.complaints.items, sets.complaints.count);
        return SPECS_E_COMPLAINTS;
    }
    if (r == 0) {
        *ret = sets.items[0];
    }
    return r;
}

int specs_read_cluster(struct arena *arena, const char *path, struct spec_set *ret, struct error *e)
{
    struct spec_set set = {0};
    int r = read_one(arena, path, &set, e);
    if (r == 0 && set.spec.cluster == NULL && set.spec.fleet != NULL) {
        return error_set(e, E_INVALID, "%s holds a Fleet: lockstep fleet apply %s", path, path);
    }
    if (r == 0 && set.spec.cluster == NULL) {
        return error_set(e, E_INVALID, "%s holds no Cluster: name the file with kind: Cluster",
                         path);
    }
    if (r == 0) {
        *ret = set;
    }
    return r;
}

int specs_read_application(struct arena *arena, const char *path, struct spec_set *ret,
                           struct error *e)
{
    struct spec_set set = {0};
    int r = read_one(arena, path, &set, e);
    if (r == 0 && set.spec.application == NULL) {
        return error_set(e, E_INVALID,
                         "%s holds no Application: name the file with kind: Application", path);
    }
    if (r == 0) {
        *ret = set;
    }
    return r;
}

int specs_read_fleet(struct arena *arena, const char *path, struct spec_set *ret, struct error *e)
{
    struct spec_set set = {0};
    int r = read_one(arena, path, &set, e);
    if (r == 0 && set.spec.fleet == NULL) {
        return error_set(e, E_INVALID, "%s holds no Fleet: name the file with kind: Fleet%s", path,
                         set.spec.cluster != NULL ? ", or lockstep apply it as a Cluster" : "");
    }
    if (r == 0) {
        *ret = set;
    }
    return r;
}
