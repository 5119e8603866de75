/* The format of golang-migrate (github.com/golang-migrate/migrate). Rules and their source: docs/MIGRATIONS.md. */
#ifndef LOCKSTEP_MIGRATION_GOLANG_MIGRATE_H
#define LOCKSTEP_MIGRATION_GOLANG_MIGRATE_H

#include "lib/migration/migration.h"

extern const struct migration_format migration_format_golang_migrate;

#endif
