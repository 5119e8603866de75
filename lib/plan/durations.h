/*
 * How long things took before: in a rehearsal, in earlier runs. It is given to the rendering of a plan and never to its
 * compilation: a plan's bytes, and so its id, are the same whatever is known, and a plan that was reviewed does not change
 * because something ran meanwhile. Whoever knows durations (a report's file, a store, a history) fills one list.
 */
#ifndef LOCKSTEP_PLAN_DURATIONS_H
#define LOCKSTEP_PLAN_DURATIONS_H

#include "lib/spec/action.h"

struct plan;
struct plan_step;

/* One of the two kinds. Where several entries fit, the first counts: put the newest first. */
struct known_duration {
    /* A migration: by its script, so that one that was changed since is not known. */
    const char *database; /* NULL: of any */
    const char *sha256;
    /* Any other step, by its name and its place. */
    const char *step;  /* "swap", "backup" */
    const char *place; /* NULL: anywhere */
    int64_t ms;
};

struct known_durations {
    const struct known_duration *items;
    size_t count;
    const char *source; /* in words: "rehearsed 2026-03-02 on 2.1 GB"; NULL: not said */
};

/* What is known of some steps: migrations are counted one by one, other steps as one. */
struct duration_sum {
    int64_t ms;
    size_t known, all;
};

/* A step on one place (NULL: of a phase of nodes). */
struct duration_sum durations_of_step(const struct known_durations *known,
                                      const struct plan_step *step, const char *place);
/* All migrations of a plan, then all its other steps, as long as the run takes: nodes of a phase go at once, or `parallel` at
 * a time. */
struct duration_sum durations_of_migrations(const struct known_durations *known,
                                            const struct plan *plan);
struct duration_sum durations_of_rest(const struct known_durations *known, const struct plan *plan);

#endif
