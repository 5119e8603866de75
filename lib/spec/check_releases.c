/* Owns the checks of an application's releases: versions, artifacts, schemas, what they expand, scripts, data. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/spec/check.h"
#include "lib/spec/node.h"

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

void check_artifacts(const struct checker *c, const struct list *artifacts)
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
        if (!check_has_database(app, pair->key)) {
            check_no_database(c, &pair->key, "schema", pair->key, app);
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
        if (!check_has_database(app, pair->key)) {
            check_no_database(c, &pair->key, "runs_with", pair->key, app);
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
        if (!check_has_database(app, pair->key)) {
            check_no_database(c, &pair->key, "expand", pair->key, app);
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
        if (s->database != NULL && !check_has_database(app, s->database)) {
            check_no_database(c, &s->database, "scripts", s->database, app);
        }
    }
}

static void check_data_checks(const struct checker *c, const struct application *app,
                              const struct release_spec *release)
{
    for (size_t i = 0; i < release->checks.count; i++) {
        const struct data_check_spec *check =
            LIST_AT(&release->checks, const struct data_check_spec, i);
        if (check->database != NULL && !check_has_database(app, check->database)) {
            check_no_database(c, &check->database, "checks", check->database, app);
        }
        if (check->when != NULL && check->when->role != NULL) {
            check_say(c, &check->when->role,
                      "role: is for steps on nodes: a check asks a database");
        }
        check_when(c, check->when);
    }
}

void check_releases(const struct checker *c, const struct application *app)
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
