/* The format of goose (github.com/pressly/goose). Rules and their source: docs/MIGRATIONS.md. */
#ifndef LOCKSTEP_MIGRATION_GOOSE_H
#define LOCKSTEP_MIGRATION_GOOSE_H

#include "lib/migration/migration.h"

extern const struct migration_format migration_format_goose;

#endif
