/* Owns the checks within an Application: releases, schemas, databases, layout, observe, health. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/check.h"
#include "lib/spec/node.h"

static bool has_database(const struct application *app, const char *name)
{
    for (size_t i = 0; i < app->databases.count; i++) {
        if (str_equal(LIST_AT(&app->databases, struct app_database_spec, i)->name, name)) {
            return true;
        }
    }
    return false;
}

static void complain_no_database(const struct checker *c, const void *field, const char *key,
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

/* ---- releases ---- */

/* A listed version has to be one word of a range. */
static bool is_range_word(const char *version)
{
    return strpbrk(version, " \t\n\r|,<>=*^~!") == NULL && strstr(version, "..") == NULL &&
           version[0] != '-';
}

static void check_release_version(const struct checker *c, const struct release_spec *release)
{
    struct error e = {0};
    if (release->version == NULL || !c->scheme_known) {
        return;
    }
    if (c->spec->scheme.kind == VERSION_LISTED) {
        if (strlen(release->version) > LIMIT_VERSION_BYTES || !is_range_word(release->version)) {
            check_say(c, &release->version,
                      "version %s: a listed version is one word without blanks, \"..\" and the "
                      "signs of ranges, "
                      "at most %d bytes",
                      text_quote(c->arena, release->version), LIMIT_VERSION_BYTES);
        }
    } else if (version_check(&c->spec->scheme, release->version, &e) < 0) {
        check_say(c, &release->version, "%s", e.message);
    }
}

struct ordered_release {
    const struct release_spec *release;
    const struct version_scheme *scheme;
};

static int by_version(const void *left, const void *right)
{
    const struct ordered_release *a = left;
    const struct ordered_release *b = right;
    int order = a->scheme->kind == VERSION_LISTED
                    ? strcmp(a->release->version, b->release->version)
                    : version_sort(a->scheme, a->release->version, b->release->version);
    return order != 0 ? order : (a->release < b->release ? -1 : 1);
}

static void check_duplicate_releases(const struct checker *c, const struct application *app)
{
    struct ordered_release *sorted =
        ARENA_ARRAY(c->arena, app->releases.count, struct ordered_release);
    size_t count = 0;
    for (size_t i = 0; i < app->releases.count; i++) {
        const struct release_spec *release = LIST_AT(&app->releases, const struct release_spec, i);
        if (release->version != NULL &&
            (c->spec->scheme.kind == VERSION_LISTED ||
             version_check(&c->spec->scheme, release->version, NULL) == 0)) {
            sorted[count++] = (struct ordered_release){release, &c->spec->scheme};
        }
    }
    if (count < 2 || !c->scheme_known) {
        return;
    }
    qsort(sorted, count, sizeof(*sorted), by_version);
    const struct release_spec *first = sorted[0].release;
    for (size_t i = 1; i < count; i++) {
        const struct release_spec *next = sorted[i].release;
        bool same =
            c->spec->scheme.kind == VERSION_LISTED
                ? strcmp(first->version, next->version) == 0
                : version_compare(&c->spec->scheme, first->version, next->version) == VERSION_EQUAL;
        if (!same) {
            first = next;
            continue;
        }
        check_say(c, &next->version, "release \"%s\" is the same version as \"%s\" at line %d",
                  next->version, first->version, marks_find(c->marks, &first->version).line);
    }
}

static void check_artifacts(const struct checker *c, const struct list *artifacts)
{
    for (size_t i = 0; i < artifacts->count; i++) {
        const struct artifact_spec *a = LIST_AT(artifacts, const struct artifact_spec, i);
        for (size_t j = 0; j < i; j++) {
            const struct artifact_spec *b = LIST_AT(artifacts, const struct artifact_spec, j);
            if (str_equal(a->os, b->os) && str_equal(a->arch, b->arch)) {
                check_say(c, a, "two artifacts are for %s/%s: give each its own os and arch",
                          a->os != NULL ? a->os : "any os", a->arch != NULL ? a->arch : "any arch");
                break;
            }
        }
    }
}

static void check_schemas(const struct checker *c, const struct application *app,
                          const struct release_spec *release)
{
    struct error e = {0};
    for (size_t i = 0; i < release->schema.count; i++) {
        const struct pair *pair = &release->schema.items[i];
        uint64_t number;
        if (!has_database(app, pair->key)) {
            complain_no_database(c, &pair->key, "schema", pair->key, app);
        }
        if (!str_to_u64(pair->value, INT64_MAX - 1, &number)) {
            check_say(c, &pair->value, "schema of %s should be a whole number, found %s", pair->key,
                      text_quote(c->arena, pair->value));
        }
    }
    for (size_t i = 0; i < release->runs_with.count; i++) {
        const struct pair *pair = &release->runs_with.items[i];
        const char *own = pairs_get(&release->schema, pair->key);
        struct int_ranges ranges;
        uint64_t number;
        if (!has_database(app, pair->key)) {
            complain_no_database(c, &pair->key, "runs_with", pair->key, app);
        }
        if (int_ranges_parse(c->arena, pair->value, &ranges, &e) < 0) {
            check_say(c, &pair->value, "runs_with of %s: %s", pair->key, e.message);
        } else if (own != NULL && str_to_u64(own, INT64_MAX - 1, &number) &&
                   !int_ranges_have(&ranges, (int64_t)number)) {
            check_say(c, &pair->value,
                      "runs_with of %s is %s, which leaves out the release's own schema %s",
                      pair->key, text_quote(c->arena, pair->value), own);
        }
    }
}

/* Whether this database is moved by a format of which Lockstep knows each migration. */
static bool is_native(const struct application *app, const char *name)
{
    for (size_t i = 0; i < app->databases.count; i++) {
        const struct app_database_spec *d = LIST_AT(&app->databases, struct app_database_spec, i);
        if (str_equal(d->name, name)) {
            return d->migrations != NULL && d->migrations->external == NULL;
        }
    }
    return false;
}

/* A release is started on its `expand` while a hop rolls, and on its schema in the end. */
static void check_expand(const struct checker *c, const struct application *app,
                         const struct release_spec *release)
{
    for (size_t i = 0; i < release->expand.count; i++) {
        const struct pair *pair = &release->expand.items[i];
        const char *own = pairs_get(&release->schema, pair->key);
        const char *runs = pairs_get(&release->runs_with, pair->key);
        struct int_ranges ranges;
        struct error e = {0};
        uint64_t number;
        uint64_t schema;
        if (!has_database(app, pair->key)) {
            complain_no_database(c, &pair->key, "expand", pair->key, app);
        } else if (!is_native(app, pair->key)) {
            check_say(
                c, &pair->key,
                "expand of %s: Lockstep does not read its migrations, so it cannot run a part "
                "of them: only a format: with dir: can be divided",
                pair->key);
        } else if (!str_to_u64(pair->value, INT64_MAX - 1, &number)) {
            check_say(c, &pair->value, "expand of %s should be a migration's number, found %s",
                      pair->key, text_quote(c->arena, pair->value));
        } else if (own == NULL || !str_to_u64(own, INT64_MAX - 1, &schema) || number >= schema) {
            check_say(
                c, &pair->value,
                "expand of %s is %s, which should be below the release's schema%s%s: what lies "
                "between the two runs after the last wave",
                pair->key, pair->value, own != NULL ? " " : ", and it says none",
                own != NULL ? own : "");
        } else if (runs == NULL || (int_ranges_parse(c->arena, runs, &ranges, &e) == 0 &&
                                    !int_ranges_have(&ranges, (int64_t)number))) {
            check_say(
                c, &pair->value,
                "expand of %s is %s, and the release does not run with it: it is started on it "
                "while nodes roll; write runs_with: { %s: \"%s..%s\" }",
                pair->key, pair->value, pair->key, pair->value, own);
        }
    }
}

static void check_scripts(const struct checker *c, const struct application *app,
                          const struct release_spec *release)
{
    for (size_t i = 0; i < release->scripts.count; i++) {
        const struct scripts_spec *s = LIST_AT(&release->scripts, const struct scripts_spec, i);
        if (s->database != NULL && !has_database(app, s->database)) {
            complain_no_database(c, &s->database, "scripts", s->database, app);
        }
    }
}

static void check_range(const struct checker *c, const void *field, const char *key,
                        const char *text)
{
    const struct range *range;
    struct error e = {0};
    if (text != NULL && c->scheme_known &&
        range_parse(c->arena, &c->spec->scheme, text, &range, &e) < 0) {
        check_say(c, field, "%s: %s", key, e.message);
    }
}

static void check_when(const struct checker *c, const struct when_spec *when)
{
    if (when != NULL) {
        check_range(c, &when->hop_from, "hop_from", when->hop_from);
        check_range(c, &when->hop_to, "hop_to", when->hop_to);
    }
}

static void check_data_checks(const struct checker *c, const struct application *app,
                              const struct release_spec *release)
{
    for (size_t i = 0; i < release->checks.count; i++) {
        const struct data_check_spec *check =
            LIST_AT(&release->checks, const struct data_check_spec, i);
        if (check->database != NULL && !has_database(app, check->database)) {
            complain_no_database(c, &check->database, "checks", check->database, app);
        }
        if (check->when != NULL && check->when->role != NULL) {
            check_say(c, &check->when->role,
                      "role: is for steps on nodes: a check asks a database");
        }
        check_when(c, check->when);
    }
}

static void check_releases(const struct checker *c, const struct application *app)
{
    for (size_t i = 0; i < app->releases.count; i++) {
        const struct release_spec *release = LIST_AT(&app->releases, const struct release_spec, i);
        check_release_version(c, release);
        check_artifacts(c, &release->artifact);
        check_schemas(c, app, release);
        check_expand(c, app, release);
        check_scripts(c, app, release);
        check_data_checks(c, app, release);
    }
    check_duplicate_releases(c, app);
}

/* ---- paths, databases, layout ---- */

static void check_named_releases(const struct checker *c, const struct application *app,
                                 const char *key, const struct strings *versions)
{
    for (size_t i = 0; i < versions->count; i++) {
        if (application_release(app, versions->items[i]) == NULL) {
            check_say(c, &versions->items[i], "%s: \"%s\" is no release of the application", key,
                      versions->items[i]);
        }
    }
}

/* forbidden: a version alone is a range too, and both must mean a release that there is. */
static void check_forbidden(const struct checker *c, const struct application *app)
{
    const struct paths_spec *paths = app->paths;
    for (size_t i = 0; i < paths->forbidden.count; i++) {
        const struct range *range;
        struct error e = {0};
        size_t meant = 0;
        if (range_parse(c->arena, &c->spec->scheme, paths->forbidden.items[i], &range, &e) < 0) {
            check_say(c, &paths->forbidden.items[i], "forbidden: %s", e.message);
            continue;
        }
        for (size_t j = 0; j < paths->required.count; j++) {
            if (range_has(range, paths->required.items[j])) {
                check_say(c, &paths->forbidden.items[i], "\"%s\" is both required and forbidden",
                          paths->forbidden.items[i]);
            }
        }
        for (size_t j = 0; j < app->releases.count; j++) {
            const char *version = LIST_AT(&app->releases, const struct release_spec, j)->version;
            meant += version != NULL && range_has(range, version) ? 1 : 0;
        }
        if (meant == 0) {
            check_say(c, &paths->forbidden.items[i],
                      "forbidden: \"%s\" is no release of the application",
                      paths->forbidden.items[i]);
        }
    }
}

static bool has_unit(const struct checker *c, enum version_unit unit)
{
    switch (c->spec->scheme.kind) {
    case VERSION_SEMVER:
    case VERSION_DOTTED:
        return true;
    case VERSION_DATAMINER:
        return unit == UNIT_MAJOR;
    case VERSION_LISTED:
        break;
    }
    return false;
}

static void check_unit(const struct checker *c, const void *field, enum version_unit unit)
{
    if (has_unit(c, unit)) {
        return;
    }
    check_say(c, field,
              c->spec->scheme.kind == VERSION_LISTED
                  ? "paths: a rule on majors or minors needs versions with numbers; these are "
                    "listed"
                  : "paths: dataminer has no minors: its majors are 9.6, 10.0, 10.1");
}

static void check_lines(const struct checker *c, const struct path_rule *rule)
{
    bool minors = rule->visit == VISIT_EACH_MINOR || rule->minors_at_most > 0;
    enum version_unit unit = minors ? UNIT_MINOR : UNIT_MAJOR;
    struct version_line line;
    if (rule->visit == VISIT_ANY && rule->majors_at_most == 0 && rule->minors_at_most == 0) {
        check_say(c, &rule->lines, "lines: belongs to visit: or at_most:, whose numbers it lists");
        return;
    }
    for (size_t i = 0; has_unit(c, unit) && i < rule->lines.count; i++) {
        if (!version_line_parse(&c->spec->scheme, unit, rule->lines.items[i], &line)) {
            check_say(c, &rule->lines.items[i], "lines: \"%s\" is no %s such as %s",
                      rule->lines.items[i], minors ? "minor" : "major",
                      minors || c->spec->scheme.kind == VERSION_DATAMINER ? "10.3" : "10");
        }
    }
}

static void check_path_rules(const struct checker *c, const struct list *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct path_rule *rule = LIST_AT(rules, const struct path_rule, i);
        if (rule->visit != VISIT_ANY) {
            check_unit(c, &rule->visit, rule->visit == VISIT_EACH_MAJOR ? UNIT_MAJOR : UNIT_MINOR);
        }
        if (rule->majors_at_most > 0) {
            check_unit(c, &rule->majors_at_most, UNIT_MAJOR);
        }
        if (rule->minors_at_most > 0) {
            check_unit(c, &rule->minors_at_most, UNIT_MINOR);
        }
        if (rule->visit != VISIT_ANY && (rule->majors_at_most > 0 || rule->minors_at_most > 0)) {
            check_say(c, &rule->visit, "visit: and at_most: are two rules: write two of them");
        }
        if (rule->lines.count > 0) {
            check_lines(c, rule);
        }
        check_range(c, &rule->hop_from, "hop_from", rule->hop_from);
        check_range(c, &rule->hop_to, "hop_to", rule->hop_to);
        check_range(c, &rule->via, "via", rule->via);
        check_range(c, &rule->skip, "skip", rule->skip);
    }
}

static void check_paths(const struct checker *c, const struct application *app)
{
    const struct paths_spec *paths = app->paths;
    if (paths == NULL || !c->scheme_known) {
        return;
    }
    check_path_rules(c, &paths->up);
    check_path_rules(c, &paths->down);
    for (size_t i = 0; i < paths->switches.count; i++) {
        const struct path_switch *change = LIST_AT(&paths->switches, const struct path_switch, i);
        if (c->spec->scheme.kind != VERSION_DATAMINER) {
            check_say(c, change, "switch: only dataminer has releases without an order");
        }
        check_range(c, &change->hop_from, "hop_from", change->hop_from);
        check_range(c, &change->hop_to, "hop_to", change->hop_to);
    }
    check_named_releases(c, app, "required", &paths->required);
    check_forbidden(c, app);
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

/* ---- extra steps ---- */

static void check_wait(const struct checker *c, const struct wait_action *wait)
{
    check_regex(c, &wait->matches, wait->matches, 0);
    if (wait->file != NULL) {
        return;
    }
    if (wait->matches != NULL) {
        check_say(c, &wait->matches,
                  "matches: belongs to wait: { file }; for http and command write it inside");
    }
    if (wait->stall_ms != 0) {
        check_say(c, &wait->stall_ms,
                  "stall: belongs to wait: { file }: only a file can be seen growing");
    }
}

static void check_follow(const struct checker *c, const struct application *app,
                         const struct extra_step *step, const struct follow_action *follow)
{
    const char *name = follow->database.name;
    if (step->scope == SCOPE_NODE) {
        check_say(c, follow,
                  "follow needs scope: once or database: its work is one, not each node's");
    } else if (step->scope == SCOPE_DATABASE && name != NULL) {
        check_say(c, &follow->database.name, "database: of follow is the step's own here");
    } else if (step->scope == SCOPE_ONCE && name == NULL) {
        check_say(c, follow, "follow needs database:, where its progress is asked");
    } else if (name != NULL && !has_database(app, name)) {
        complain_no_database(c, &follow->database.name, "follow", name, app);
    }
    if (follow->run != NULL && marks_find(c->marks, &follow->run->command.timeout_ms).line != 0) {
        check_say(c, &follow->run->command.timeout_ms,
                  "timeout: has no meaning here: stall: and within: of follow end the command");
    }
}

static void check_do(const struct checker *c, const struct application *app,
                     const struct extra_step *step, const struct action *action)
{
    if (action->follow != NULL) {
        check_follow(c, app, step, action->follow);
    }
    if (action->sql != NULL && step->scope != SCOPE_DATABASE) {
        check_say(c, &action->sql, "sql needs scope: database, which says where it runs");
    }
    if (step->scope == SCOPE_DATABASE && (action->service != NULL || action->health != NULL)) {
        check_say(c, action->service != NULL ? (const void *)&action->service : &action->health,
                  "service and health are for nodes: with scope: database there is none");
    }
    if (action->wait != NULL) {
        check_wait(c, action->wait);
        if (action->wait->http != NULL) {
            check_regex(c, &action->wait->http->matches, action->wait->http->matches, 0);
        }
        if (action->wait->command != NULL) {
            check_regex(c, &action->wait->command->matches, action->wait->command->matches, 0);
        }
    }
    if (action->health != NULL) {
        check_checks(c, &action->health->checks);
    }
}

static void check_scope(const struct checker *c, const struct application *app,
                        const struct extra_step *step)
{
    if (step->database != NULL && step->scope != SCOPE_DATABASE) {
        check_say(c, &step->database, "database: belongs to scope: database");
    } else if (step->database != NULL && !has_database(app, step->database)) {
        complain_no_database(c, &step->database, "database", step->database, app);
    } else if (step->scope == SCOPE_DATABASE && app->databases.count == 0) {
        check_say(c, &step->scope, "scope: database, but the application has no databases:");
    }
    if (step->on != NULL && step->scope != SCOPE_ONCE) {
        check_say(c, &step->on, "on: belongs to scope: once");
    }
}

static void check_step(const struct checker *c, const struct application *app,
                       const struct extra_step *step)
{
    if (step->after == POINT_NONE && step->before == POINT_NONE &&
        marks_find(c->marks, &step->after).line == 0 &&
        marks_find(c->marks, &step->before).line == 0) {
        check_say(c, step, "an extra step needs after: or before: with a point of the hop");
    }
    if (step->after != POINT_NONE && step->before != POINT_NONE) {
        check_say(c, &step->before, "after: and before: exclude each other");
    }
    check_scope(c, app, step);
    check_when(c, step->when);
    for (size_t i = 0; i < step->actions.count; i++) {
        check_do(c, app, step, LIST_AT(&step->actions, const struct action, i));
    }
    for (size_t i = 0; i < step->undo.count; i++) {
        check_do(c, app, step, LIST_AT(&step->undo, const struct action, i));
    }
    if (step->undo.count > 0 && step->irreversible != NULL) {
        check_say(c, &step->undo, "undo: and irreversible: exclude each other");
    }
    if (step->undo.count > 0 && (step->when == NULL || step->when->direction == WHEN_ANY)) {
        check_say(c, &step->undo,
                  "undo: needs when: { direction: up } or down: on the way back a step of both "
                  "directions would run beside its own undo");
    }
    if (step->undo.count == 0 && step->undo_looks) {
        check_say(c, &step->undo_looks, "undo_looks: says something of undo:, which is not there");
    }
}

static void check_drain(const struct checker *c, const struct application *app, const char *key,
                        const struct list *actions)
{
    const struct extra_step step = {.name = key, .scope = SCOPE_NODE};
    for (size_t i = 0; i < actions->count; i++) {
        const struct action *action = LIST_AT(actions, const struct action, i);
        if (action->run == NULL && action->wait == NULL && action->health == NULL) {
            check_say(c, action, "%s: is for run, wait and health: %s belongs to extra_steps", key,
                      action_kind_name(action_kind(action)));
        } else {
            check_do(c, app, &step, action);
        }
    }
}

void check_extra_steps(const struct checker *c, const struct application *app)
{
    check_drain(c, app, "drain", &app->drain);
    check_drain(c, app, "undrain", &app->undrain);
    if (app->undrain.count > 0 && app->drain.count == 0) {
        check_say(c, &app->undrain, "undrain: takes back what drain: does, and there is none");
    }
    for (size_t i = 0; i < app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&app->extra_steps, const struct extra_step, i);
        check_step(c, app, step);
        for (size_t j = 0; j < i && step->name != NULL; j++) {
            const struct extra_step *other = LIST_AT(&app->extra_steps, const struct extra_step, j);
            if (str_equal(step->name, other->name)) {
                check_say(c, &step->name,
                          "extra step \"%s\" is there twice, the first is at line %d", step->name,
                          marks_find(c->marks, &other->name).line);
                break;
            }
        }
    }
}
