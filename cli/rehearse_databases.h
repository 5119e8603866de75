/* `lockstep rehearse --database`: a plan's migrations on clones of its databases. */
#ifndef LOCKSTEP_CLI_REHEARSE_DATABASES_H
#define LOCKSTEP_CLI_REHEARSE_DATABASES_H

#include "cli/verb.h"

int rehearse_databases(struct context *c);

#endif
