/*
 * Rehearsals of databases: which are under way, and what they have shown. A rehearsal holds nothing that a run needs for long,
 * but its dump reads every table; so a run of the same cluster goes first, and ends it.
 */
#ifndef LOCKSTEP_CONTROLLER_REHEARSALS_H
#define LOCKSTEP_CONTROLLER_REHEARSALS_H

#include <jansson.h>

#include "controller/controller.h"
#include "lib/plan/plan.h"

/* A run of this cluster begins: its rehearsal ends, and its operator is told why (operator_rehearse.c). */
void rehearsals_stop(struct controller *c, const char *cluster, const char *run);

/* Keeps the times of a report, by the scripts' digests. */
int rehearsals_keep(struct controller *c, const char *cluster, const json_t *report,
                    struct error *e);
/* What was kept of a plan's scripts. */
int rehearsals_known(struct controller *c, struct arena *arena, const struct plan *plan,
                     struct stored_rehearsed **ret, size_t *ret_count, struct error *e);

#endif
