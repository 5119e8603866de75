/*
 * The difference of two texts, line by line, in the unified form (three lines around each change).
 * The shortest script of insertions and deletions, after E. W. Myers, "An O(ND) Difference Algorithm
 * and Its Variations" (1986), up to DIFF_EDITS_MAX edits; texts further apart are shown as replaced.
 */
#ifndef LOCKSTEP_CLI_DIFF_H
#define LOCKSTEP_CLI_DIFF_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"

#define DIFF_EDITS_MAX 2000

struct diff_options {
    const char *from_name, *to_name; /* for the two lines of the head */
};

/* Appends nothing when the texts are the same. */
void diff_unified(struct arena *arena, const char *from, const char *to,
                  const struct diff_options *options, struct buf *out);

#endif
