/* The help texts, made from the table of verbs. */
#ifndef LOCKSTEP_CLI_HELP_H
#define LOCKSTEP_CLI_HELP_H

#include <stdio.h>

#include "cli/verb.h"

/* All verbs, or those of a group. */
void help_all(FILE *to, struct arena *arena, const char *group);
void help_verb(FILE *to, struct arena *arena, const struct verb *verb);

#endif
