/* Owns the checks within an Application: databases and their migrators, layout, observe, health; and what the checkers of its
 * other parts share. */
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/check.h"
#include "lib/spec/node.h"

bool check_has_database(const struct application *app, const char *name)
{
    for (size_t i = 0; i < app->databases.count; i++) {
        if (str_equal(LIST_AT(&app->databases, struct app_database_spec, i)->name, name)) {
            return true;
        }
    }
    return false;
}

void check_no_database(const struct checker *c, const void *field, const char *key,
                       const char *name, const struct application *app)
{
    const char **names = ARENA_ARRAY(c->arena, app->databases.count, const char *);
    for (size_t i = 0; i < app->databases.count; i++) {
        names[i] = LIST_AT(&app->databases, struct app_database_spec, i)->name;
    }
    check_say(c, field, "%s: the application has no database \"%s\"%s", key, name,
              app->databases.count > 0 ? check_hint(c, name, names, app->databases.count)
                                       : ": add databases:");
}

void check_range(const struct checker *c, const void *field, const char *key, const char *text)
{
    const struct range *range;
    struct error e = {0};
    if (text != NULL && c->scheme_known &&
        range_parse(c->arena, &c->spec->scheme, text, &range, &e) < 0) {
        check_say(c, field, "%s: %s", key, e.message);
    }
}

void check_when(const struct checker *c, const struct when_spec *when)
{
    if (when != NULL) {
        check_range(c, &when->hop_from, "hop_from", when->hop_from);
        check_range(c, &when->hop_to, "hop_to", when->hop_to);
    }
}

/* Of an application's own migrator: whose it is, the release's or its own. */
static void check_migrator(const struct checker *c, const struct external_spec *m)
{
    if (m == NULL) {
        return;
    }
    check_artifacts(c, &m->artifact);
    if (m->artifact.count > 0 && marks_find(c->marks, &m->from).line != 0) {
        check_say(
            c, &m->artifact,
            "artifact: and from: exclude each other: the migrator is in an archive of its own, "
            "or in the release's");
    }
    if (m->artifact.count > 0 && m->version == NULL) {
        check_say(c, &m->artifact, "a migrator with an artifact of its own needs its version:");
    }
    if (m->artifact.count == 0 && m->version != NULL) {
        check_say(
            c, &m->version,
            "version: is of a migrator with an artifact of its own: add artifact:, or leave it "
            "out");
    }
}

static void check_migrations(const struct checker *c, const struct migrations_spec *m)
{
    check_migrator(c, m->external);
    check_migrator(c, m->delegate);
    switch ((enum migration_format_kind)m->format) {
    case FORMAT_NONE:
        check_say(c, m,
                  "migrations need format: morph with dir:, or external: with the tool's commands");
        break;
    case FORMAT_MORPH:
    case FORMAT_GOLANG_MIGRATE:
    case FORMAT_GOOSE:
    case FORMAT_SOURCEGRAPH:
        if (m->external != NULL) {
            check_say(c, &m->external, "format: %s and external: exclude each other",
                      migration_format_words[m->format]);
        }
        if (m->delegate != NULL && m->format != FORMAT_GOOSE) {
            check_say(c, &m->delegate,
                      "delegate: is for migrations that are no SQL, which only goose has");
        }
        if (m->dir == NULL) {
            check_say(c, &m->format, "format: %s needs dir:, the folder of the migration files",
                      migration_format_words[m->format]);
        }
        break;
    case FORMAT_EXTERNAL:
        if (m->external == NULL) {
            check_say(c, &m->format, "format: external needs external: with up, down and ledger");
        }
        if (m->delegate != NULL) {
            check_say(c, &m->delegate,
                      "delegate: belongs to format: goose; an external migrator runs everything "
                      "itself");
        }
        if (m->dir != NULL) {
            check_say(
                c, &m->dir,
                "dir: belongs to a format that Lockstep reads: an external tool finds its own");
        }
        break;
    }
    check_path_inside(c, &m->dir, "dir", m->dir);
}

static void check_layout(const struct checker *c, const struct layout_spec *layout)
{
    if (layout == NULL) {
        return;
    }
    check_path_absolute(c, &layout->path, "path", layout->path);
    for (size_t i = 0; i < layout->keep.count; i++) {
        check_path_inside(c, &layout->keep.items[i], "keep", layout->keep.items[i]);
    }
}

static void check_ports(const struct checker *c, const struct strings *ports)
{
    for (size_t i = 0; i < ports->count; i++) {
        uint64_t port;
        if (strstr(ports->items[i], "${") == NULL &&
            (!str_to_u64(ports->items[i], 65535, &port) || port == 0)) {
            check_say(c, &ports->items[i], "ports: %s is no port from 1 to 65535",
                      text_quote(c->arena, ports->items[i]));
        }
    }
}

static void check_sessions(const struct checker *c, const struct sessions_probe *probe)
{
    if (probe == NULL) {
        return;
    }
    const char *const *matches = probe->http != NULL      ? &probe->http->matches
                                 : probe->command != NULL ? &probe->command->matches
                                                          : NULL;
    if (matches != NULL && *matches == NULL) {
        check_say(c, probe,
                  "sessions need matches:, an expression whose first group is the number, such as "
                  "\"sessions: ([0-9]+)\"");
    } else if (matches != NULL) {
        check_regex(c, matches, *matches, 1);
    }
}

void check_application(const struct checker *c, const struct application *app)
{
    check_sessions(c, app->sessions);
    if (app->mixed.policy != MIXED_NEVER && app->mixed.because != NULL) {
        check_say(c, &app->mixed.because, "because: is the reason for policy: never");
    }
    check_releases(c, app);
    check_paths(c, app);
    check_layout(c, app->layout);
    check_ports(c, &app->ports);
    check_checks(c, &app->health);
    if (app->observe != NULL) {
        check_regex(c, &app->observe->matches, app->observe->matches, 1);
    }
    for (size_t i = 0; i < app->databases.count; i++) {
        const struct app_database_spec *database =
            LIST_AT(&app->databases, const struct app_database_spec, i);
        if (database->migrations != NULL) {
            check_migrations(c, database->migrations);
        }
    }
}
