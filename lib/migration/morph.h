/* The format of morph, Mattermost's migration runner. Rules and their source: docs/MIGRATIONS.md. */
#ifndef LOCKSTEP_MIGRATION_MORPH_H
#define LOCKSTEP_MIGRATION_MORPH_H

#include "lib/migration/migration.h"

extern const struct migration_format migration_format_morph;

#endif
