/*
 * Owns the checks that both documents share (places, hints, expressions, paths) and those that need
 * the two together. A value that the tables refused is NULL here and stepped over: each mistake is
 * told once.
 */
#include "lib/spec/check.h"

#include <regex.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/expand.h"
#include "lib/spec/node.h"

void check_say(const struct checker *c, const void *field, const char *fmt, ...)
{
    struct mark at = marks_find(c->marks, field);
    if (at.line == 0) {
        at = marks_find(c->marks, c->root);
    }
    va_list args;
    va_start(args, fmt);
    const char *message = arena_vprintf(c->arena, fmt, args);
    va_end(args);
    complaints_add(c->complaints, at.file, at.line, at.column, "%s", message);
}

const char *check_hint(const struct checker *c, const char *word, const char *const *known,
                       size_t count)
{
    const char *nearest = str_nearest(word, known, count);
    if (nearest != NULL) {
        return arena_printf(c->arena, ", did you mean \"%s\"?", nearest);
    }
    if (count == 0) {
        return "";
    }
    return arena_printf(c->arena, "; known %s %s%s", count == 1 ? "is" : "are",
                        str_join(c->arena, known, MIN(count, (size_t)12)),
                        count > 12 ? " and more" : "");
}

static const char *any_letter(const void *context UNUSED, const char *name UNUSED)
{
    return "x";
}

void check_regex(const struct checker *c, const void *field, const char *text, size_t groups_min)
{
    const char *plain = NULL;
    if (text == NULL || expand_text(c->arena, text, any_letter, NULL, &plain, NULL) < 0) {
        return; /* a broken reference is told by check_references() */
    }
    regex_t regex;
    int r = regcomp(&regex, plain, REG_EXTENDED);
    if (r != 0) {
        char why[128];
        regerror(r, &regex, why, sizeof(why));
        check_say(c, field, "%s is no POSIX extended regular expression: %s",
                  text_quote(c->arena, text), why);
        return;
    }
    if (regex.re_nsub < groups_min) {
        check_say(c, field, "%s needs a group in parentheses around the value",
                  text_quote(c->arena, text));
    }
    regfree(&regex);
}

void check_checks(const struct checker *c, const struct list *checks)
{
    for (size_t i = 0; i < checks->count; i++) {
        const struct check *check = LIST_AT(checks, const struct check, i);
        if (check->http != NULL) {
            check_regex(c, &check->http->matches, check->http->matches, 0);
        }
        if (check->command != NULL) {
            check_regex(c, &check->command->matches, check->command->matches, 0);
        }
        if (check->log != NULL) {
            check_regex(c, &check->log->error, check->log->error, 0);
        }
    }
}

/* One of its parts between slashes is "..". */
static bool climbs(const char *path)
{
    for (const char *part = path; *part != '\0';) {
        size_t len = strcspn(part, "/");
        if (len == 2 && memcmp(part, "..", 2) == 0) {
            return true;
        }
        part += len;
        part += *part == '/' ? 1 : 0;
    }
    return false;
}

void check_path_inside(const struct checker *c, const void *field, const char *key,
                       const char *path)
{
    if (path == NULL) {
        return;
    }
    if (path[0] == '\0' || str_equal(path, ".") || str_equal(path, "./")) {
        check_say(c, field, "%s names no path inside the release", key);
    } else if (path[0] == '/') {
        check_say(c, field, "%s %s should be relative to the release's directory", key,
                  text_quote(c->arena, path));
    } else if (climbs(path)) {
        check_say(c, field, "%s %s leaves the release's directory: \"..\" is not allowed", key,
                  text_quote(c->arena, path));
    } else if (strlen(path) >= LIMIT_PATH_BYTES) {
        check_say(c, field, "%s is longer than %d bytes", key, LIMIT_PATH_BYTES);
    }
}

void check_path_absolute(const struct checker *c, const void *field, const char *key,
                         const char *path)
{
    if (path == NULL) {
        return;
    }
    if (path[0] != '/' && !str_starts(path, "${")) {
        check_say(c, field, "%s %s should be an absolute path", key, text_quote(c->arena, path));
    } else if (climbs(path)) {
        check_say(c, field, "%s %s: \"..\" is not allowed", key, text_quote(c->arena, path));
    } else if (path[strspn(path, "/.")] == '\0') {
        check_say(c, field,
                  "%s %s is the whole file system: name a directory of the application's own", key,
                  text_quote(c->arena, path));
    } else if (strlen(path) >= LIMIT_PATH_BYTES) {
        check_say(c, field, "%s is longer than %d bytes", key, LIMIT_PATH_BYTES);
    }
}

/* ---- the two documents together ---- */

static const char *const *release_names(const struct checker *c, const struct application *app,
                                        size_t *ret_count)
{
    const char **names = ARENA_ARRAY(c->arena, app->releases.count, const char *);
    size_t count = 0;
    for (size_t i = app->releases.count; i > 0; i--) { /* the newest stand last in most files */
        names[count] = LIST_AT(&app->releases, struct release_spec, i - 1)->version;
        count += names[count] != NULL ? 1 : 0;
    }
    *ret_count = count;
    return names;
}

static void check_wanted_version(const struct checker *a, const struct checker *b)
{
    const struct cluster *cluster = b->spec->cluster;
    const struct application *app = a->spec->application;
    if (cluster->version == NULL || app->releases.count == 0 || !a->scheme_known) {
        return;
    }
    struct error e = {0};
    if (a->spec->scheme.kind != VERSION_LISTED &&
        version_check(&a->spec->scheme, cluster->version, &e) < 0) {
        check_say(b, &cluster->version, "%s", e.message);
        return;
    }
    if (application_release(app, cluster->version) == NULL) {
        size_t count;
        const char *const *names = release_names(b, app, &count);
        check_say(b, &cluster->version, "version \"%s\" is no release of %s%s", cluster->version,
                  app->name != NULL ? app->name : "the application",
                  check_hint(b, cluster->version, names, count));
    }
}

static const char *const *dict_names(const struct checker *c, const struct list *dict, size_t size,
                                     size_t *ret_count)
{
    const char **names = ARENA_ARRAY(c->arena, dict->count, const char *);
    for (size_t i = 0; i < dict->count; i++) {
        names[i] = *(const char *const *)((const char *)dict->items + i * size);
    }
    *ret_count = dict->count;
    return names;
}

static void check_databases(const struct checker *a, const struct checker *b)
{
    const struct cluster *cluster = b->spec->cluster;
    const struct application *app = a->spec->application;
    size_t count;
    const char *const *names =
        dict_names(b, &app->databases, sizeof(struct app_database_spec), &count);
    for (size_t i = 0; i < count; i++) {
        if (cluster_database(cluster, names[i]) == NULL) {
            check_say(b, cluster->databases.count > 0 ? (const void *)&cluster->databases : cluster,
                      "the application uses a database \"%s\": add it to databases: with its url",
                      names[i]);
        }
    }
    for (size_t i = 0; i < cluster->databases.count; i++) {
        const struct cluster_database_spec *database =
            LIST_AT(&cluster->databases, const struct cluster_database_spec, i);
        bool known = false;
        for (size_t j = 0; j < count; j++) {
            known = known || str_equal(names[j], database->name);
        }
        if (!known) {
            check_say(b, database, "the application has no database \"%s\"%s", database->name,
                      check_hint(b, database->name, names, count));
        }
    }
}

static const char *const *node_names(const struct checker *c, const struct cluster *cluster,
                                     size_t *ret_count)
{
    const char **names = ARENA_ARRAY(c->arena, cluster->nodes.count + 1, const char *);
    size_t count = 0;
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        names[count] = LIST_AT(&cluster->nodes, struct node_spec, i)->name;
        count += names[count] != NULL ? 1 : 0;
    }
    *ret_count = count;
    return names;
}

static void check_place(const struct checker *a, const struct checker *b, const void *field,
                        const char *on, bool controller_ok)
{
    const struct cluster *cluster = b->spec->cluster;
    if (on == NULL || (controller_ok && str_equal(on, "controller")) ||
        cluster_node(cluster, on) != NULL) {
        return;
    }
    size_t count;
    const char *const *names = node_names(a, cluster, &count);
    check_say(a, field, "on: the cluster has no node \"%s\"%s", on,
              check_hint(a, on, names, count));
}

static bool has_role(const struct cluster *cluster, const char *role)
{
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        const struct node_spec *node = LIST_AT(&cluster->nodes, const struct node_spec, i);
        for (size_t j = 0; j < node->roles.count; j++) {
            if (str_equal(node->roles.items[j], role)) {
                return true;
            }
        }
    }
    return false;
}

static void check_role(const struct checker *a, const struct cluster *cluster,
                       const struct when_spec *when)
{
    if (when == NULL || when->role == NULL || has_role(cluster, when->role)) {
        return;
    }
    const char *known[16];
    size_t count = 0;
    for (size_t i = 0; i < cluster->nodes.count && count < ARRAY_SIZE(known); i++) {
        const struct node_spec *node = LIST_AT(&cluster->nodes, const struct node_spec, i);
        for (size_t j = 0; j < node->roles.count && count < ARRAY_SIZE(known); j++) {
            bool seen = false;
            for (size_t k = 0; k < count; k++) {
                seen = seen || str_equal(known[k], node->roles.items[j]);
            }
            known[count] = node->roles.items[j];
            count += seen ? 0 : 1;
        }
    }
    check_say(a, &when->role, "no node of the cluster has the role \"%s\"%s", when->role,
              count > 0 ? check_hint(a, when->role, known, count)
                        : ": give it to a node, such as roles: [app]");
}

void check_together(const struct checker *a, const struct checker *b)
{
    const struct application *app = a->spec->application;
    const struct cluster *cluster = b->spec->cluster;
    check_wanted_version(a, b);
    check_databases(a, b);
    check_wanted_components(b, cluster, app);
    for (size_t i = 0; i < app->databases.count; i++) {
        const struct migrations_spec *m =
            LIST_AT(&app->databases, const struct app_database_spec, i)->migrations;
        if (m != NULL && m->external != NULL) {
            check_place(a, b, &m->external->on, m->external->on, false);
        }
        if (m != NULL && m->delegate != NULL) {
            check_place(a, b, &m->delegate->on, m->delegate->on, false);
        }
    }
    const struct rolling_spec *rolling =
        cluster->strategy != NULL ? cluster->strategy->rolling : NULL;
    if (rolling != NULL && rolling->order == ORDER_FEWEST_SESSIONS_FIRST && app->sessions == NULL) {
        check_say(b, &rolling->order,
                  "order: fewest-sessions-first needs sessions: in the Application, which says how "
                  "many a node has");
    }
    for (size_t i = 0; i < app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&app->extra_steps, const struct extra_step, i);
        check_place(a, b, &step->on, step->on, true);
        check_role(a, cluster, step->when);
    }
}

void spec_check(struct arena *arena, const struct spec *spec, bool scheme_known,
                struct complaints *complaints)
{
    struct checker a = {arena,        complaints,       spec, spec->application_marks,
                        scheme_known, spec->application};
    struct checker b = {arena, complaints, spec, spec->cluster_marks, scheme_known, spec->cluster};
    if (spec->application != NULL) {
        check_application(&a, spec->application);
        check_extra_steps(&a, spec->application);
        check_components(&a, spec->application);
        check_references(&a, &application_shape, spec->application);
    }
    if (spec->cluster != NULL) {
        check_cluster(&b, spec->cluster);
        check_references(&b, &cluster_shape, spec->cluster);
    }
    if (spec->fleet != NULL) {
        const struct checker f = {arena, complaints, spec, spec->fleet_marks, true, spec->fleet};
        check_fleet(&f, spec->fleet);
    }
    if (spec->application != NULL && spec->cluster != NULL) {
        check_together(&a, &b);
    }
}
