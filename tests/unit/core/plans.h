/* Plans built by hand, for the tests of the machines. */
#ifndef LOCKSTEP_TESTS_UNIT_CORE_PLANS_H
#define LOCKSTEP_TESTS_UNIT_CORE_PLANS_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/plan/plan.h"

struct plans {
    struct arena *arena;
    struct plan *plan;
};

/* A plan over nodes app-1 .. app-N, with a node set "all". */
struct plans plans_begin(struct arena *arena, size_t nodes, size_t phases_max);
/* Nodes first .. first + count - 1; returns the set's index. */
int64_t plans_set(struct plans *p, const char *name, size_t first, size_t count);
/* A phase; `set` -1: scope once. */
struct plan_phase *plans_phase(struct plans *p, const char *name, int64_t set, int64_t parallel,
                               bool disruptive);
/* A step of the last phase, with a deadline of 60 s. `on` NULL in a phase of nodes. */
struct plan_step *plans_step(struct plans *p, const char *name, const char *on);

/* Gives the step an action of this kind; a service is one to stop. */
void plans_act(struct plan_step *step, struct arena *arena, enum action_kind kind);

/* Three nodes, two hops: preflight, stop, migrate twice, swap and start. */
struct plan *plans_all_at_once(struct arena *arena);
/* Two nodes and an external migrator, a retry of which begins with the tool's lock and the ledger. */
struct plan *plans_external(struct arena *arena);
/* Four nodes: migrate, a canary, then the rest two at a time. */
struct plan *plans_rolling(struct arena *arena);

#endif
