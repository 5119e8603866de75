/*
 * What the files of paths share: the releases that may stand on a way, and what each rule says of them. Used by path.c and
 * path_rule.c only.
 */
#ifndef LOCKSTEP_PLAN_PATH_H
#define LOCKSTEP_PLAN_PATH_H

#include "lib/plan/compiler.h"

/* A release between the two ends, ends included. */
struct path_stop {
    const char *version; /* borrowed from the application */
    bool required, forbidden;
    int64_t hops; /* to the end; -1: the end is out of reach */
};

/* What a rule says of a release: how many lines stand below it, and how many below it or at it. */
struct path_place {
    int64_t below, passed;
};

struct path_rule_state {
    const struct path_rule *spec;
    const char *key;        /* "paths.down" or "paths.down[2]", for messages */
    bool counts;            /* visit or at_most */
    enum version_unit unit; /* what it counts */
    int64_t at_most;
    struct version_line *lines; /* those that count, in order; NULL: every number */
    size_t line_count;
    struct version_line *tops; /* every number, in pairs: the highest one of each first number */
    size_t top_count;
    struct path_place *places;    /* of each stop */
    bool *from, *to, *via, *skip; /* whether each stop is in the range; NULL: no range */
};

struct walk {
    struct arena *arena;
    const struct application *app;
    const struct version_scheme *scheme;
    bool up;
    struct path_stop *stops; /* oldest first, as version_sort() says */
    size_t count;
    size_t first, last; /* where the way starts and ends: indexes of stops */
    struct path_rule_state *rules;
    size_t rule_count;
};

int path_rules_read(struct walk *w, const struct list *specs, struct error *e);
/* Is b farther than a on this walk? */
bool path_farther(const struct walk *w, size_t a, size_t b);
/* Which rule refuses the hop, in words; NULL: none does. With `quiet` any word will do. */
const char *path_refusal(const struct walk *w, size_t a, size_t b, bool quiet);
/* A rule that refuses the hop to the end, with the releases that it wants between and that are not listed. NULL: none. */
const char *path_missing(const struct walk *w, size_t a);
/* The releases between a and the end, and why none of them helps. */
const char *path_unfit(const struct walk *w, size_t a);

#endif
