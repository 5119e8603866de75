/*
 * Where a release lies. The installed tree is at `layout`; all others lie beside it, on the same file system, under
 * `<layout>.lockstep/`:
 *
 *   /opt/app                          the installed tree, with .lockstep-release in it
 *   /opt/app.lockstep/1.2.0-0123abcd  staged, or installed before
 *   /opt/app.lockstep/found-20260302T101500Z   an installation that Lockstep did not put there
 *   /opt/app.lockstep/swap.json       a swap is under way: nothing may start (act_swap finishes it)
 *   /opt/app.lockstep/.tmp-*          half-made, of no meaning after a crash
 */
#ifndef LOCKSTEP_IO_PLATFORM_LAYOUT_H
#define LOCKSTEP_IO_PLATFORM_LAYOUT_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

#define LAYOUT_MARKER ".lockstep-release"

struct layout_release {
    const char *version;
    const char *sha256; /* of the archive it came from */
};

/* Absolute, not "/", no "." or ".." part: E_INVALID. */
int layout_check(const char *layout, struct error *e);
const char *layout_store(struct arena *arena, const char *layout);
/* `<layout>.lockstep/<version>-<first 8 digits of sha256>`; what cannot be in a file name becomes '_'. */
const char *layout_staged(struct arena *arena, const char *layout, const char *version,
                          const char *sha256);
/* Reads a tree's marker. E_NOT_FOUND: no tree or no marker; E_INVALID: not one of ours. */
int layout_read_marker(struct arena *arena, const char *tree, struct layout_release *ret,
                       struct error *e);
int layout_write_marker(const char *tree, const struct layout_release *release, struct error *e);
/* The tree of a release: staged beside, or else installed. sha256 may be NULL: any of that version. E_NOT_FOUND. */
int layout_find(struct arena *arena, const char *layout, const char *version, const char *sha256,
                const char **ret_tree, struct error *e);
bool layout_swap_pending(struct arena *arena, const char *layout);

#endif
