/*
 * Actions on the release trees of one node (lib/io/platform/layout.h says where they lie). Stage, swap and retire hold
 * a lock on the store, so two of them never meet. Each can be killed at any moment and called again.
 */
#ifndef LOCKSTEP_IO_ARTIFACT_ARTIFACT_H
#define LOCKSTEP_IO_ARTIFACT_ARTIFACT_H

#include "lib/io/platform/act.h"
#include "lib/io/platform/layout.h"

/* Looks at everything that could stop a run later and reports all of it in one message. Changes nothing. Facts:
 * {"disk_free_bytes": …}. */
act_function act_preflight;
/* The archive's tree, whole, under its release name in the store. There already, or installed: done. Owner: the
 * running user; as root the owner of the installed tree's directory (of its parent when nothing is installed yet). */
act_function act_stage;
/* The staged release becomes the installed tree in one rename; the keep paths go with it. */
act_function act_swap;
/* Deletes all kept trees but the `keep_releases` that were put there last, and half-made ones. */
act_function act_retire;

/* The marker of the installed tree. E_NOT_FOUND: nothing there, or not put there by Lockstep. */
int artifact_installed(struct arena *arena, const char *layout, struct layout_release *ret,
                       struct error *e);

#endif
