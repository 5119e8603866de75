/* Shared by the files of the PostgreSQL engine only: postgres.c (sessions) and postgres_lock.c (locks, evidence). */
#ifndef LOCKSTEP_IO_DB_POSTGRES_H
#define LOCKSTEP_IO_DB_POSTGRES_H

#include <libpq-fe.h>

#include "lib/io/db/session.h"
#include "lib/io/platform/process.h"

/* The advisory lock's key, "Lockstep" as eight bytes: one per database. */
#define POSTGRES_LOCK_KEY "5507730182447064432"

extern const char postgres_evidence_ddl[];

/* A connection string for PostgreSQL's own programs, without the password; *ret_password what the URL held, or
 * NULL. For messages too: it holds no secret. */
int postgres_conninfo(struct arena *arena, const char *url, const char **ret,
                      const char **ret_password, struct error *e);

int postgres_creator_lock(struct db_session *s, struct error *e);
int postgres_limit_wait(struct db_session *s, int64_t ms, struct error *e);
extern const struct db_lock_limit postgres_lock_limit;
int postgres_limit_statements(struct db_session *s, int64_t ms, struct error *e);
int postgres_try_lock(struct db_session *s, const struct db_holder *self, bool *ret,
                      struct error *e);
int postgres_keep_lock(struct db_session *s, const struct db_holder *self, bool *ret,
                       struct error *e);
int postgres_unlock(struct db_session *s, const struct db_holder *self, struct error *e);
int postgres_lock_state(struct db_session *s, struct arena *arena, struct db_lock_state *ret,
                        struct error *e);
int postgres_sole_worker(struct db_session *s, const char *run, const char *step,
                         int64_t deadline_ms, struct error *e);
int postgres_worker_lives(struct db_session *s, const char *run, const char *step, bool *ret,
                          struct error *e);
int postgres_advisory_state(struct db_session *s, struct arena *arena, const char *key,
                            struct db_lock_state *ret, struct error *e);
int postgres_advisory_try(struct db_session *s, const char *key, bool *ret, struct error *e);
int postgres_advisory_release(struct db_session *s, const char *key, struct error *e);
int postgres_writers(struct db_session *s, struct arena *arena, struct db_writer **ret,
                     size_t *ret_count, struct error *e);
int postgres_schema_state(struct db_session *s, struct arena *arena, const char **ret,
                          struct error *e);
int postgres_tables(struct db_session *s, struct arena *arena, struct db_rows *ret,
                    struct error *e);
int postgres_index_state(struct db_session *s, struct arena *arena,
                         const struct db_index_name *index, struct db_index_state *ret,
                         struct error *e);
int postgres_objects(struct db_session *s, struct arena *arena, struct db_object **ret,
                     size_t *ret_count, struct error *e);
int postgres_terminate(struct db_session *s, int64_t pid, struct error *e);
/* One of PostgreSQL's own programs, to its end; its output is ret->output's. */
int postgres_program(struct act *act, struct db_session *s, const struct strings *argv,
                     const char *password, struct process_result *ret, struct error *e);
/* From the place where the secrets are, again: nothing keeps them. The caller wipes *ret_password. */
int postgres_find_password(struct db_session *s, const struct database_ref *ref,
                           const char **ret_conninfo, const char **ret_password, struct error *e);
/* The list of what a backup holds, a line each, as pg_restore writes it. E_INVALID: it is none. */
int postgres_backup_list(struct act *act, struct db_session *s, const char *path, char **ret,
                         struct error *e);
/* The tables whose rows are a tool's lock: "schema.table", quoted. */
int postgres_lock_tables(struct db_session *s, struct strings *ret, struct error *e);
int postgres_restore(struct db_session *s, struct act *act, const struct database_ref *ref,
                     const char *path, struct error *e);
int postgres_dump(struct db_session *s, struct act *act, const struct database_ref *ref,
                  const char *path, struct error *e);

#endif
