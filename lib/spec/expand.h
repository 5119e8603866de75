/*
 * ${…} references in the text of a spec: ${node.name}, ${node.VAR}, ${cluster.name},
 * ${release.version},
 * ${layout.path}, ${hop.from}, ${hop.to}, ${hop.schema_from}, ${hop.schema_to}, ${run},
 * ${database.NAME.url}. `$${` is a literal `${`. There are no expressions and no defaults. An
 * unknown name is an error that lists the known ones.
 */
#ifndef LOCKSTEP_SPEC_EXPAND_H
#define LOCKSTEP_SPEC_EXPAND_H

#include "lib/spec/shape.h"

/* Returns the value of a name such as "node.port", or NULL. */
typedef const char *expand_lookup(const void *context, const char *name);

/* Expands one text. *ret is `text` itself when it holds no reference. */
int expand_text(struct arena *arena, const char *text, expand_lookup *lookup, const void *context,
                const char **ret, struct error *e);
/* A deep copy of `in` (shape->size bytes at `out`) with every string expanded; struct pairs and
 * lists too. */
int expand_shape(struct arena *arena, const struct shape *shape, const void *in,
                 expand_lookup *lookup, const void *context, void *out, struct error *e);
/* Calls `seen` for every reference in every string of `in`: for checks before anything runs.
 * `field` is the address that marks_find() knows; name is NULL for a reference that is not closed
 * or not a name. Names live in `arena`. */
void expand_references(struct arena *arena, const struct shape *shape, const void *in,
                       void (*seen)(void *context, const char *name, const void *field),
                       void *context);

#endif
