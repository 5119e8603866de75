/* A .tar.gz of texts, written in one go: whole under its name, or not there. */
#ifndef LOCKSTEP_CLI_TARBALL_H
#define LOCKSTEP_CLI_TARBALL_H

#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct tarball;

/* `top` is the directory that all entries stand in. E_IO, E_DENIED. */
int tarball_begin(struct arena *arena, const char *path, const char *top, struct tarball **ret,
                  struct error *e);
/* "logs/4.2-migrate.txt"; the text is copied out. */
int tarball_add(struct tarball *t, const char *name, const char *text, size_t len, struct error *e);
/* Puts it in place (mode 0600). After an error of any call: removes what was written. */
int tarball_end(struct tarball *t, int result, struct error *e);

#endif
