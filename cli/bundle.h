/* Specs as they travel: the files as they were written, and the controller's complaints about them. */
#ifndef LOCKSTEP_CLI_BUNDLE_H
#define LOCKSTEP_CLI_BUNDLE_H

#include "cli/specs.h"
#include "proto/operator.pb-c.h"

/* In the arena; borrows the texts of the set. message may be NULL. */
Lockstep__V1__Bundle *bundle_of(struct arena *arena, const struct spec_set *set,
                                const char *message);
void bundle_say_complaints(struct arena *arena, Lockstep__V1__Complaint *const *items,
                           size_t count);

#endif
