/*
 * A plan, indexed once for walking it: names become slots, node sets become arrays of slots. Private to lib/core.
 * A slot is a node's index, or the number of nodes for the controller.
 */
#ifndef LOCKSTEP_CORE_LAYOUT_H
#define LOCKSTEP_CORE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/core/rollout.h"
#include "lib/plan/plan.h"

struct layout_set {
    uint32_t *slots;
    uint32_t count;
};

struct layout_name {
    const char *name; /* borrowed from the plan */
    uint32_t slot;
};

struct layout {
    const struct plan *plan;   /* borrowed */
    struct layout_name *names; /* sorted */
    struct layout_set *sets;   /* as plan->node_sets */
    struct layout_set *on;     /* per phase of scope once: the slot of each step */
    uint32_t slot_count;
    const char *broken; /* why the plan cannot be walked; NULL: it can */
};

/* Linear in the plan, but for sorting the names. */
void layout_init(struct layout *l, struct arena *arena, const struct plan *plan);
uint32_t layout_slot_of_name(const struct layout *l, const char *name); /* ROLLOUT_PLACE_UNKNOWN */
uint32_t layout_slot_of_place(const struct layout *l, uint32_t place);  /* ROLLOUT_PLACE_UNKNOWN */
uint32_t layout_place_of_slot(const struct layout *l, uint32_t slot);
/* How many places begin the phase: the set's nodes; 1 of scope once; 0 when it has no steps. */
uint32_t layout_members(const struct layout *l, uint32_t phase);
/* The slot of the i-th of them. */
uint32_t layout_member(const struct layout *l, uint32_t phase, uint32_t i);

#endif
