/*
 * From files to a plan: read the spec, observe the cluster, get to know the releases on the way,
 * compile. All of it takes time, so it is an object that reports progress and ends once.
 *
 *   READING ──> OBSERVING ──all answered──> KNOWING ──each release──> COMPILING ──> over
 *      └ complaints ──────────────────────────┴─────────────────────────────────────^
 */
#ifndef LOCKSTEP_CONTROLLER_PLANNING_H
#define LOCKSTEP_CONTROLLER_PLANNING_H

#include "controller/controller.h"
#include "lib/plan/plan.h"
#include "proto/operator.pb-c.h"

struct planning_request {
    const Lockstep__V1__Bundle *bundle; /* borrowed for the call */
    const char *to;                     /* NULL or "": the cluster's version */
    const struct plan
        *same_as; /* borrowed until the end; NULL: just plan. Else: the differences to this plan */
    bool
        knows_releases; /* same_as: the result's inventory has the releases on the way all the same */
    bool observe_only; /* for status: no plan */
    bool rolls_back;   /* it follows a run by itself: then a failure only pauses */
    const char *
        restore_run; /* NULL or "": none; else back to its backups, and `to` is its release when not said */
    struct strings databases; /* restore_run: of these; empty: of all; borrowed for the call */
};

/* What it came to. Lives until `over` has returned. */
struct planning_result {
    const struct complaint *complaints;
    size_t complaint_count;
    const struct spec *spec;           /* what could be read */
    const struct inventory *inventory; /* NULL before observing */
    const char *digest;                /* of the bundle */
    const struct plan *plan;           /* NULL with complaints, or when only observed */
    struct bytes plan_json;
    const char *plan_id;
    struct strings differences; /* same_as */
    const char *observed;       /* versions in words: "1.1.0", "1.0.0 and 1.1.0", "nothing" */
};

struct planning_callbacks {
    void (*progress)(void *context, const char *line);
    void (*over)(void *context,
                 const struct planning_result *result); /* exactly once, from the loop */
    void *context;
};

struct planning;
struct planning *planning_start(struct controller *c, const struct planning_request *request,
                                const struct planning_callbacks *callbacks);
/* Nobody wants to know any more: no callback comes after this. */
void planning_forget(struct planning *p);

/* The SHA-256 of a bundle's files, names and texts; in the arena. */
const char *bundle_digest(struct arena *arena, const Lockstep__V1__Bundle *bundle);
/* Reads the files of a bundle. */
int bundle_read(struct arena *arena, const Lockstep__V1__Bundle *bundle, struct spec *ret,
                struct complaints *complaints);

#endif
