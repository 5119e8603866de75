/*
 * What the controller knows of releases: their artifacts, kept by digest in the blobs directory,
 * and the migrations inside them, whose scripts are kept by digest too, from the first time a
 * release is planned with. The old release does not carry the way down; the newer one's scripts
 * stay here.
 */
#ifndef LOCKSTEP_CONTROLLER_RELEASES_H
#define LOCKSTEP_CONTROLLER_RELEASES_H

#include "controller/controller.h"
#include "lib/plan/inventory.h"
#include "lib/spec/spec.h"

int releases_open(struct controller *c, struct error *e);

struct release_request {
    const struct application *application;
    const struct release_spec *release;   /* or … */
    const struct external_spec *migrator; /* … a migrator with an artifact of its own */
    const struct artifact_spec *artifact; /* for one os and arch */
};

/* Fetches (unless it is here) and reads, in the pool. `done` comes from the loop, exactly once: the
 * release is in its own arena, which the caller gets and frees, or *e says what is wrong.
 * `progress` comes from the loop too. Everything in the request is borrowed until `done`. */
struct release_callbacks {
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void (*done)(void *context, struct arena *arena, const struct known_release *release,
                 const struct error *e);
    void *context;
};
void releases_read(struct controller *c, const struct release_request *request,
                   const struct release_callbacks *callbacks);

#endif
