/* The table of what a place can do: a new kind of action is its file, its line in lib/spec/action.c
 * and its line here. */
#ifndef LOCKSTEP_IO_PLACE_ACTIONS_H
#define LOCKSTEP_IO_PLACE_ACTIONS_H

#include <stdbool.h>

#include "lib/io/platform/act.h"

/* Carries out whatever the action is. As act_function. */
int actions_run(struct act *act, const struct action *action, struct error *e);
/* Acting again could double it: after a crash in the middle a person decides (rule 1). */
bool actions_once(const struct action *action);

#endif
