/*
 * The files between a holder and those who start it, ask it and stop it. Written whole or not at all.
 */
#ifndef LOCKSTEP_IO_DB_HOLD_FILES_H
#define LOCKSTEP_IO_DB_HOLD_FILES_H

#include "lib/io/db/hold.h"

#define HOLD_DIRS   "holders" /* below a place's state_dir: one directory for each database */
#define HOLD_ALIVE  "alive"
#define HOLD_SPEC   "spec.json"
#define HOLD_STATUS "status.json"
#define HOLD_YIELD  "yield"
#define HOLD_LOG    "log"

const char *hold_state_name(enum hold_state state);

int hold_spec_write(struct arena *arena, const char *dir, const struct hold_spec *spec,
                    struct error *e);
/* E_NOT_FOUND: no holder was started. */
int hold_spec_read(struct arena *arena, const char *dir, struct hold_spec *ret, struct error *e);

int hold_status_write(struct arena *arena, const char *dir, const struct hold_status *status,
                      const struct db_holder *self, struct error *e);

/* This process's wish that the tool's locks be given back: its text, which no earlier wish had. */
int hold_wish_write(struct arena *arena, const char *dir, const char **ret, struct error *e);
int hold_wish_remove(struct arena *arena, const char *dir, struct error *e);
/* The wish that stands, NULL when there is none or its process is dead. */
const char *hold_wish_read(struct arena *arena, const char *dir);

/* Somebody holds the flock. */
bool hold_alive(struct arena *arena, const char *dir);
/* Does the command that the holder was started for live? Without a leash: yes. */
bool hold_leashed(const struct hold_spec *spec);

#endif
