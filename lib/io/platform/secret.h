/*
 * Secrets are read at the moment of use, where they are used, and are in no log, plan, journal or error: messages
 * name the file or the variable, never the value.
 */
#ifndef LOCKSTEP_IO_PLATFORM_SECRET_H
#define LOCKSTEP_IO_PLATFORM_SECRET_H

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/spec/action.h"

#define SECRET_BYTES_MAX (64 * 1024)

/* The first line of the file, without its newline, or the environment variable's value. In the arena. E_NOT_FOUND,
 * E_DENIED, E_INVALID (empty), E_LIMIT. */
int secret_read(struct arena *arena, const struct secret *secret, const char **ret_value,
                struct error *e);
/* Overwrites a value that is not needed any more. NULL is fine. */
void secret_wipe(const char *value);

#endif
