/*
 * Shared by the files of the MariaDB engine only: mariadb.c (sessions), mariadb_url.c, mariadb_text.c (how the server
 * reads a text), mariadb_lock.c (locks, evidence), mariadb_waits.c, mariadb_dump.c (backup and restore), mariadb_schema.c.
 */
#ifndef LOCKSTEP_IO_DB_MARIADB_H
#define LOCKSTEP_IO_DB_MARIADB_H

#include <mysql.h>

#include "lib/io/db/session.h"

/* The error numbers that the code decides by (https://mariadb.com/kb/en/mariadb-error-codes/). */
#define MARIADB_KILL_DENIED     1095
#define MARIADB_NO_SUCH_THREAD  1094
#define MARIADB_EMPTY_QUERY     1065
#define MARIADB_LOCK_WAIT       1205
#define MARIADB_LATE            1969 /* ER_STATEMENT_TIMEOUT */
#define MARIADB_BINLOG_TRUST    1419
#define MARIADB_PRIVILEGE       1227
#define MARIADB_SIGNAL          1644
#define MARIADB_NOT_SUPPORTED   1235
#define MARIADB_LOCK_NAME_CHARS 64 /* of GET_LOCK(), and of a database's name */

/* ---- the URL ---- */

enum mariadb_tls {
    MARIADB_TLS_PREFERRED, /* where the server can */
    MARIADB_TLS_DISABLED,
    MARIADB_TLS_REQUIRED, /* encrypted, but by whom is not asked */
    MARIADB_TLS_VERIFY,   /* the certificate and its name */
};

struct mariadb_target {
    const char *user; /* NULL: the operating system's */
    const char *password;
    const char *host; /* NULL: the socket */
    const char *socket;
    unsigned port;
    const char *database;
    enum mariadb_tls tls;
    const char *ca, *certificate, *key; /* files */
};

/* mysql://user:password@host:3306/database?socket=…&ssl-mode=…&ssl-ca=…&ssl-cert=…&ssl-key=…, or with tcp(host:port) and
 * unix(/path) for the host, as Go's driver writes it: its own options are passed over there. E_INVALID never repeats
 * what may be a password. */
int mariadb_url_parse(struct arena *arena, const char *url, struct mariadb_target *ret,
                      struct error *e);

/* ---- texts ---- */

/* From `at`: where the string, the quoted name or the comment ends that begins there; `at` itself when none does. What
 * stands in an executable comment is text as any other. */
size_t mariadb_skip(const char *sql, size_t at, bool backslashes);
/* A statement of a text, as the server cuts it. */
struct mariadb_statement {
    size_t start,
        end;     /* from the first byte that is no blank to its semicolon, or the text's end */
    size_t word; /* its first word; `end` when there is none */
    bool calls;  /* CALL and what else may answer with any number of results */
};
/* False: there is no more. *at goes behind it. */
bool mariadb_next_statement(const char *sql, size_t *at, bool backslashes,
                            struct mariadb_statement *ret);
/* The line of an offset, from 1. */
int mariadb_line_at(const char *sql, size_t offset);

/* ---- sessions ---- */

struct mariadb {
    MYSQL *connection;
    const char *database;
    bool several;      /* the server takes more than one statement in a text now */
    bool wait_limited; /* mariadb_limit_wait(): until the transaction's end */
};

static inline struct mariadb *mariadb_of(const struct db_session *s)
{
    return s->handle;
}

/* A name of a user-level lock of ours: "lockstep:KIND:…" for this database; a digest where the name would be too long
 * or would differ in case only. */
const char *mariadb_lock_name(const struct db_session *s, const char *kind, const char *what);
#define MARIADB_SESSION_LOCK                                                                       \
    "lockstep:session:" /* and the connection's number: a session of ours */
/* All sessions p, and the program that each names itself; "" where the performance schema is off. */
#define MARIADB_PROGRAM "COALESCE(a.ATTR_VALUE, '')"
#define MARIADB_SESSIONS                                                                           \
    " FROM information_schema.PROCESSLIST p LEFT JOIN"                                             \
    " performance_schema.session_account_connect_attrs a"                                          \
    " ON a.PROCESSLIST_ID = p.ID AND a.ATTR_NAME = 'program_name'"
#define MARIADB_OURS "IS_USED_LOCK(CONCAT('" MARIADB_SESSION_LOCK "', p.ID)) IS NOT NULL"

extern const char mariadb_evidence_ddl[];
/* The tables that it makes; and quoted for an IN (…). */
#define MARIADB_OWN_NAMES                                                                          \
    "lockstep_fence", "lockstep_evidence", "lockstep_intent", "lockstep_checkpoint",               \
        "lockstep_fingerprint", "lockstep_holder", "lockstep_layout"
#define MARIADB_OWN_TABLES                                                                         \
    "'lockstep_fence', 'lockstep_evidence', 'lockstep_intent', 'lockstep_checkpoint',"             \
    " 'lockstep_fingerprint', 'lockstep_holder', 'lockstep_layout'"

int mariadb_creator_lock(struct db_session *s, struct error *e);
void mariadb_creator_unlock(struct db_session *s);
int mariadb_limit_wait(struct db_session *s, int64_t ms, struct error *e);
extern const struct db_lock_limit mariadb_lock_limit;
int mariadb_limit_statements(struct db_session *s, int64_t ms, struct error *e);
int mariadb_try_lock(struct db_session *s, const struct db_holder *self, bool *ret,
                     struct error *e);
int mariadb_keep_lock(struct db_session *s, const struct db_holder *self, bool *ret,
                      struct error *e);
int mariadb_unlock(struct db_session *s, const struct db_holder *self, struct error *e);
int mariadb_lock_state(struct db_session *s, struct arena *arena, struct db_lock_state *ret,
                       struct error *e);
int mariadb_sole_worker(struct db_session *s, const char *run, const char *step,
                        int64_t deadline_ms, struct error *e);
int mariadb_worker_lives(struct db_session *s, const char *run, const char *step, bool *ret,
                         struct error *e);
int mariadb_advisory_state(struct db_session *s, struct arena *arena, const char *key,
                           struct db_lock_state *ret, struct error *e);
int mariadb_advisory_try(struct db_session *s, const char *key, bool *ret, struct error *e);
int mariadb_advisory_release(struct db_session *s, const char *key, struct error *e);
int mariadb_writers(struct db_session *s, struct arena *arena, struct db_writer **ret,
                    size_t *ret_count, struct error *e);
int mariadb_terminate(struct db_session *s, int64_t pid, struct error *e);

int mariadb_dump(struct db_session *s, struct act *act, const struct database_ref *ref,
                 const char *path, struct error *e);
int mariadb_restore(struct db_session *s, struct act *act, const struct database_ref *ref,
                    const char *path, struct error *e);

/* Everything but the tables in `left_out` ('…', '…'), which is not empty. The session looks at no foreign key afterwards. */
int mariadb_drop_all(struct db_session *s, const char *left_out, struct error *e);

int mariadb_objects(struct db_session *s, struct arena *arena, struct db_object **ret,
                    size_t *ret_count, struct error *e);
int mariadb_schema_state(struct db_session *s, struct arena *arena, const char **ret,
                         struct error *e);

#endif
