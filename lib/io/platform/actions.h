/*
 * The actions of a node that need no archive (act.h says how an action is called). Every one looks before it acts; a
 * repeat of what is so already is DONE.
 */
#ifndef LOCKSTEP_IO_PLATFORM_ACTIONS_H
#define LOCKSTEP_IO_PLATFORM_ACTIONS_H

#include "lib/io/platform/act.h"

/* Runs a command to its end. A repeat runs it again, except with `once`: when an earlier attempt's start is recorded in
 * work_dir without its end, the outcome is unknown (E_UNKNOWN). */
act_function act_run;
/* Start (refused while starts are denied, a swap is pending, or another release is permitted), stop, restart. */
act_function act_service;
/* Facts: {"healthy_after_ms": …}. */
act_function act_health;
act_function act_wait;
act_function act_deny;
act_function act_permit;
/* Facts: {"version","artifact","installed","running","disk_free_bytes","os","arch"}. */
act_function act_observe;

/* Where a command of a step runs: the installed tree, the staged one, or "/". */
int act_run_directory(struct act *act, const struct run_action *a, const char **ret,
                      struct error *e);

#endif
