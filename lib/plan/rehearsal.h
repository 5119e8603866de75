/*
 * What a rehearsal of a plan runs on a clone of one of its databases: all the migrations of all hops there, and what takes
 * them back, from the releases that are known.
 */
#ifndef LOCKSTEP_PLAN_REHEARSAL_H
#define LOCKSTEP_PLAN_REHEARSAL_H

#include "lib/plan/plan.h"

struct plan_rehearsal {
    const char *place;                /* that talks to the database, and so makes the clone */
    struct db_rehearse_action action; /* `there` is empty: the plan does not migrate it */
};

struct plan_rehearsal_request {
    const struct spec *spec;
    const struct inventory *inventory; /* with the releases on the way */
    const struct plan *plan;
    const char *database;
    bool one_way;
};

/* Shares what it holds with the request. E_NOT_FOUND: no such database; E_INVALID: a way that is not SQL alone, that goes in
 * both directions, or that begins with a restore. */
int plan_rehearse(struct arena *arena, const struct plan_rehearsal_request *request,
                  struct plan_rehearsal *ret, struct error *e);

#endif
