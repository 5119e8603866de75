/* What Sourcegraph's migrator sees in the text of a script: expressions over bytes, comments included. */
#ifndef LOCKSTEP_MIGRATION_SOURCEGRAPH_TEXT_H
#define LOCKSTEP_MIGRATION_SOURCEGRAPH_TEXT_H

#include <stdbool.h>

#include "lib/base/buf.h"

/* What it sends: without an old header between two lines "-- +++", without blanks, an outer BEGIN; and COMMIT; at the ends. */
struct bytes sourcegraph_canonical(struct bytes text);
/* CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON table, anywhere, in capitals. */
bool sourcegraph_builds_index(struct bytes sql);
/* Is that, with its semicolon, all there is beside comments? */
bool sourcegraph_only_builds_index(struct bytes sql);
/* CREATE, COMMENT ON or DROP EXTENSION, anywhere, in capitals. */
bool sourcegraph_touches_extension(struct bytes sql);

#endif
