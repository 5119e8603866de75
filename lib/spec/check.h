/* What the tables cannot say: relations between values, and between the two documents. Used by
 * spec.c only. */
#ifndef LOCKSTEP_SPEC_CHECK_H
#define LOCKSTEP_SPEC_CHECK_H

#include "lib/spec/spec.h"

/* `scheme_known` false: `versions:` could not be read, so that no version is judged.
 * Adds a complaint for everything that is wrong. Values that the tables refused are NULL and
 * stepped over. */
void spec_check(struct arena *arena, const struct spec *spec, bool scheme_known,
                struct complaints *complaints);

/* One document under examination. */
struct checker {
    struct arena *arena;
    struct complaints *complaints;
    const struct spec *spec;
    const struct marks *marks;
    bool scheme_known;
    const void *root; /* where something is that has no place of its own */
};

/* A complaint at a field's place, or at the document's when the field was not written. */
void check_say(const struct checker *c, const void *field, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* ", did you mean "x"?" or "; known are a, b and c": the end of a sentence about an unknown word.
 */
const char *check_hint(const struct checker *c, const char *word, const char *const *known,
                       size_t count);
void check_regex(const struct checker *c, const void *field, const char *text, size_t groups_min);
void check_checks(const struct checker *c, const struct list *checks);
void check_path_inside(const struct checker *c, const void *field, const char *key,
                       const char *path);
void check_path_absolute(const struct checker *c, const void *field, const char *key,
                         const char *path);

bool check_has_database(const struct application *app, const char *name);
/* "KEY: the application has no database …" with a hint. */
void check_no_database(const struct checker *c, const void *field, const char *key,
                       const char *name, const struct application *app);
/* A range of the application's versions, or NULL. */
void check_range(const struct checker *c, const void *field, const char *key, const char *text);
void check_when(const struct checker *c, const struct when_spec *when);

/* An application's checker, by its parts. */
void check_application(const struct checker *c, const struct application *app);
void check_artifacts(const struct checker *c, const struct list *artifacts);
void check_releases(const struct checker *c, const struct application *app);
void check_paths(const struct checker *c, const struct application *app);
void check_extra_steps(const struct checker *c, const struct application *app);
void check_components(const struct checker *c, const struct application *app);
/* Of the cluster's own checker. */
void check_wanted_components(const struct checker *c, const struct cluster *cluster,
                             const struct application *app);
void check_cluster(const struct checker *c, const struct cluster *cluster);
void check_fleet(const struct checker *c, const struct fleet_spec *fleet);
/* The two together. `a` and `b`: checkers of the application and of the cluster. */
void check_together(const struct checker *a, const struct checker *b);
void check_references(const struct checker *c, const struct shape *shape, const void *document);

#endif
