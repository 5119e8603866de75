/* The format of Sourcegraph's migrator (folders in a graph). Rules and their source: docs/MIGRATIONS.md. */
#ifndef LOCKSTEP_MIGRATION_SOURCEGRAPH_H
#define LOCKSTEP_MIGRATION_SOURCEGRAPH_H

#include "lib/migration/migration.h"

extern const struct migration_format migration_format_sourcegraph;

#endif
