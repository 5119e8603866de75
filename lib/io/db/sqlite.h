/* Shared by the files of the SQLite engine only: sqlite.c (sessions) and sqlite_lock.c (holder's row, evidence). */
#ifndef LOCKSTEP_IO_DB_SQLITE_H
#define LOCKSTEP_IO_DB_SQLITE_H

#include "lib/io/db/session.h"

extern const char sqlite_evidence_ddl[];

int sqlite_objects(struct db_session *s, struct arena *arena, struct db_object **ret,
                   size_t *ret_count, struct error *e);
int sqlite_writers(struct db_session *s, struct arena *arena, struct db_writer **ret,
                   size_t *ret_count, struct error *e);
int sqlite_terminate(struct db_session *s, int64_t pid, struct error *e);
int sqlite_restore(struct db_session *s, struct act *act, const struct database_ref *ref,
                   const char *path, struct error *e);
int sqlite_try_lock(struct db_session *s, const struct db_holder *self, bool *ret, struct error *e);
int sqlite_keep_lock(struct db_session *s, const struct db_holder *self, bool *ret,
                     struct error *e);
int sqlite_unlock(struct db_session *s, const struct db_holder *self, struct error *e);
int sqlite_lock_state(struct db_session *s, struct arena *arena, struct db_lock_state *ret,
                      struct error *e);

#endif
