/*
 * How long things took before: in a rehearsal, in earlier runs. It is given to the rendering of a plan and never to its
 * compilation: a plan's bytes, and so its id, are the same whatever is known, and a plan that was reviewed does not change
 * because something ran meanwhile. Whoever knows durations (a report's file, a controller's history) fills one list.
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
    /* Any other step, by its name, its place and its release. */
    const char *step;    /* "swap", "backup" */
    const char *place;   /* NULL: at a place of which nothing better is known */
    const char *release; /* as durations_release() says it; NULL: of any */
    int64_t ms;
    int64_t longest_ms; /* the longest of several; 0: `ms` */
};

struct known_durations {
    const struct known_duration *items;
    size_t count;
    const char *source; /* in words: "rehearsed 2026-03-02 on 2.1 GB"; NULL: not said */
};

/* What is known of some steps: migrations are counted one by one, other steps as one, however many nodes they run on. */
struct duration_sum {
    int64_t ms;
    size_t known, all;
};

/* Which release a step is about: the one that it stages, the one that its hop goes to, or the plan's last. */
const char *durations_release(const struct plan *plan, size_t phase, size_t step);

/* A step on one place (NULL: of a phase of nodes). */
struct duration_sum durations_of_step(const struct known_durations *known, const struct plan *plan,
                                      size_t phase, size_t step, const char *place);

/* ---- a whole plan ----
 * A phase of nodes takes as long as its slowest node, or as its nodes take `parallel` at a time; phases follow one another. A step
 * that nothing is known of takes no time and is counted as not known. Gates, windows and holds are people's and are not in it. */
struct forecast;
struct forecast *forecast_new(struct arena *arena, const struct known_durations *known,
                              const struct plan *plan);
struct duration_sum forecast_migrations(const struct forecast *f);
struct duration_sum forecast_rest(const struct forecast *f); /* all but the migrations */
/* All at once, from the first phase that takes nodes down to their health, without its soak; all == 0: no service goes down,
 * or not all of it at once. */
struct duration_sum forecast_down(const struct forecast *f);
/* All phases from this one on. */
struct duration_sum forecast_from(const struct forecast *f, size_t phase);

/* Where one node of a phase stands; in a phase of scope once, the one walk through its steps. */
struct walked {
    const char *place;  /* NULL: scope once */
    size_t steps_done;  /* of the phase's */
    int64_t elapsed_ms; /* of the step under way; -1: none is */
};
struct phase_left {
    int64_t ms; /* never negative */
    bool
        longer; /* a step under way takes longer than it ever did, by more than FORECAST_SLACK_MS and a tenth */
};
#define FORECAST_SLACK_MS 1000
struct phase_left forecast_phase_left(const struct forecast *f, size_t phase,
                                      const struct walked *walks, size_t count);

#endif
