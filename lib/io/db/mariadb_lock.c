/*
 * Owns, for MariaDB: the text of Lockstep's own tables, user-level locks and who has them, the proof that no earlier
 * session of a step is still at work, and who else is connected. It never waits inside the server for a lock, and it
 * refuses to say "nobody" where it may not look.
 *
 * The engine commits at every CREATE: the tables are made so that whoever comes after a maker that died goes on, and
 * the row of lockstep_layout is their end. TRUNCATE asks no trigger; a foreign key keeps it from the fence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/evidence.h"
#include "lib/io/db/mariadb.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/process.h"

#define POLL_MS        50
#define CREATOR        "creator"
#define WAIT_SECONDS   3600
#define TIME_TEXT(sql) "DATE_FORMAT(" sql ", '%Y-%m-%dT%H:%i:%sZ')"
#define NOW_TEXT       "varchar(32) NOT NULL DEFAULT (" TIME_TEXT("UTC_TIMESTAMP()") ")"
#define TABLE_END      ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;"
#define REFUSE         "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = "
#define ONLY_GROWS     REFUSE "'lockstep: the fence only grows'"
/* A locking read: a raise waits for a commit that is under way, and a commit sees a raise that came first. */
#define FENCED(name, event)                                                                        \
    "CREATE TRIGGER IF NOT EXISTS lockstep_fenced_" name "_" event " BEFORE " event                \
    " ON lockstep_" name " FOR EACH ROW BEGIN DECLARE live bigint; DECLARE words varchar(128);"    \
    " SELECT value INTO live FROM lockstep_fence WHERE one = 1 LOCK IN SHARE MODE;"                \
    " IF live IS NULL OR NEW.fence < live THEN SET words = CONCAT('" DB_FENCE_WORDS                \
    ": ', LEFT(NEW.run, 40), ' writes with ', NEW.fence, ', the database has seen ',"              \
    " COALESCE(live, 'none'));" REFUSE "words; END IF; END;"
#define FENCED_TABLE(name) FENCED(name, "INSERT") FENCED(name, "UPDATE")

const char mariadb_evidence_ddl[] =
    "CREATE TABLE IF NOT EXISTS lockstep_fence (one tinyint PRIMARY KEY CHECK (one = 1),"
    " value bigint NOT NULL" TABLE_END "INSERT INTO lockstep_fence SELECT 1, 0 FROM DUAL"
    " WHERE NOT EXISTS (SELECT 1 FROM lockstep_fence);"
    "CREATE TABLE IF NOT EXISTS lockstep_evidence (number bigint AUTO_INCREMENT PRIMARY KEY,"
    " run varchar(100) NOT NULL, step varchar(100) NOT NULL,"
    " ledger varchar(200) NOT NULL DEFAULT '', item varchar(300) NOT NULL, down tinyint NOT NULL,"
    " digest varchar(100) NOT NULL, how text NOT NULL, fence bigint NOT NULL,"
    " at " NOW_TEXT ", UNIQUE (run, step, item, down)" TABLE_END
    "CREATE TABLE IF NOT EXISTS lockstep_intent (ledger varchar(200) NOT NULL,"
    " item varchar(300) NOT NULL, down tinyint NOT NULL, run varchar(100) NOT NULL,"
    " step varchar(100) NOT NULL, digest varchar(100) NOT NULL, file text NOT NULL,"
    " line bigint NOT NULL, statement text NOT NULL, done bigint NOT NULL, state text NOT NULL,"
    " fence bigint NOT NULL, backend_pid bigint NOT NULL,"
    " asked_run varchar(100) NOT NULL DEFAULT '', asked_step varchar(100) NOT NULL DEFAULT '',"
    " asked_attempt bigint NOT NULL DEFAULT 0,"
    " at " NOW_TEXT ", UNIQUE (ledger, item, down)" TABLE_END
    "CREATE TABLE IF NOT EXISTS lockstep_checkpoint (run varchar(100) NOT NULL,"
    " step varchar(100) NOT NULL, `release` varchar(1000) NOT NULL, `schema` bigint NOT NULL,"
    " applied bigint NOT NULL, digest varchar(100) NOT NULL, fence bigint NOT NULL,"
    " fingerprint varchar(100) NOT NULL DEFAULT '', number bigint NOT NULL DEFAULT 0,"
    " evidence bigint NOT NULL DEFAULT 0,"
    " at " NOW_TEXT ", UNIQUE (run, step)" TABLE_END
    "CREATE TABLE IF NOT EXISTS lockstep_fingerprint (digest varchar(100) PRIMARY KEY,"
    " objects longtext NOT NULL, run varchar(100) NOT NULL, fence bigint NOT NULL,"
    " at " NOW_TEXT TABLE_END
    "CREATE TABLE IF NOT EXISTS lockstep_holder (one tinyint PRIMARY KEY CHECK (one = 1),"
    " run varchar(100) NOT NULL, host varchar(300) NOT NULL, machine varchar(100) NOT NULL,"
    " boot_id varchar(100) NOT NULL, pid_space varchar(100) NOT NULL, pid bigint NOT NULL,"
    " start_time bigint NOT NULL, fence bigint NOT NULL, backend_pid bigint NOT NULL,"
    " tool_lease bigint NOT NULL DEFAULT 0, since " NOW_TEXT ","
    " CONSTRAINT lockstep_holder_fence FOREIGN KEY (one) REFERENCES lockstep_fence (one)" TABLE_END
    "CREATE TRIGGER IF NOT EXISTS lockstep_fence_grows BEFORE UPDATE ON lockstep_fence"
    " FOR EACH ROW BEGIN IF NEW.value < OLD.value THEN " ONLY_GROWS "; END IF; END;"
    "CREATE TRIGGER IF NOT EXISTS lockstep_fence_stays BEFORE DELETE ON lockstep_fence"
    " FOR EACH ROW " ONLY_GROWS ";"
    "CREATE TRIGGER IF NOT EXISTS lockstep_fence_one BEFORE INSERT ON lockstep_fence FOR EACH ROW"
    " BEGIN IF EXISTS (SELECT 1 FROM lockstep_fence) THEN " ONLY_GROWS
    "; END IF; END;" FENCED_TABLE("evidence") FENCED_TABLE("intent") FENCED_TABLE("checkpoint")
        FENCED_TABLE("fingerprint")
            FENCED_TABLE("holder") "CREATE TABLE IF NOT EXISTS lockstep_layout (version bigint NOT "
                                   "NULL" TABLE_END;

/* ---- user-level locks ---- */

const char *mariadb_lock_name(const struct db_session *s, const char *kind, const char *what)
{
    const char *database = mariadb_of(s)->database;
    const char *plain = arena_printf(s->arena, "lockstep:%s:%s%s%s", kind, database,
                                     what[0] != '\0' ? ":" : "", what);
    bool same_in_any_case = strcspn(plain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(plain);
    for (const char *p = plain; *p != '\0'; p++) {
        same_in_any_case = same_in_any_case && (unsigned char)*p < 0x80;
    }
    if (same_in_any_case && strlen(plain) <= MARIADB_LOCK_NAME_CHARS) {
        return plain;
    }
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(plain, strlen(plain), hex);
    return arena_printf(s->arena, "lockstep:%s:%.40s", kind, hex);
}

static int check_key(struct db_session *s, const char *key, struct error *e)
{
    if (str_empty(key) || strlen(key) > MARIADB_LOCK_NAME_CHARS) {
        return db_fail(s, e, E_INVALID, "\"%.80s\" is no name for GET_LOCK(): 1 to %d characters",
                       key != NULL ? key : "", MARIADB_LOCK_NAME_CHARS);
    }
    return 0;
}

int mariadb_advisory_try(struct db_session *s, const char *key, bool *ret, struct error *e)
{
    const char *got = NULL;
    int rc = check_key(s, key, e);
    if (rc == 0) {
        rc = db_value(s, s->arena, "SELECT GET_LOCK($1, 0)", &key, 1, &got, e);
    }
    if (rc == 0 && got == NULL) {
        return db_fail(s, e, E_DATABASE, "GET_LOCK('%s') failed on the server", key);
    }
    if (rc == 0) {
        *ret = str_equal(got, "1");
    }
    return rc;
}

int mariadb_advisory_release(struct db_session *s, const char *key, struct error *e)
{
    const char *released = NULL;
    int rc = check_key(s, key, e);
    if (rc == 0) {
        rc = db_value(s, s->arena, "SELECT RELEASE_LOCK($1)", &key, 1, &released, e);
    }
    if (rc == 0 && !str_equal(released, "1")) {
        return db_fail(s, e, E_CONFLICT, "the lock '%s' was not ours any more when it was released",
                       key);
    }
    return rc;
}

#define SINCE TIME_TEXT("UTC_TIMESTAMP() - INTERVAL COALESCE(p.TIME, 0) SECOND")

static const char *session_words(struct arena *arena, const char *id, const struct db_rows *rows)
{
    if (rows->count == 0) {
        return arena_printf(
            arena, "connection %s (the PROCESS privilege is needed to see whose it is)", id);
    }
    const char *program = db_cell(rows, 0, 0);
    return arena_printf(arena, "connection %s (%s%s, user %s from %s, %s since %s)", id,
                        !str_empty(program)                   ? program
                        : str_equal(db_cell(rows, 0, 5), "1") ? "lockstep"
                                                              : "no program_name",
                        str_equal(db_cell(rows, 0, 5), "1") ? ", Lockstep's own" : "",
                        db_cell(rows, 0, 1), db_cell(rows, 0, 2), db_cell(rows, 0, 3),
                        db_cell(rows, 0, 4));
}

int mariadb_advisory_state(struct db_session *s, struct arena *arena, const char *key,
                           struct db_lock_state *ret, struct error *e)
{
    const char *id = NULL;
    struct db_rows rows = {0};
    int rc = check_key(s, key, e);
    if (rc == 0) {
        rc = db_value(s, arena, "SELECT IS_USED_LOCK($1)", &key, 1, &id, e);
    }
    if (rc == 0 && id != NULL) {
        rc = db_query(s, arena,
                      "SELECT " MARIADB_PROGRAM ", p.USER, p.HOST, p.COMMAND, " SINCE
                      ", " MARIADB_OURS MARIADB_SESSIONS " WHERE p.ID = $1",
                      &id, 1, &rows, e);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = (struct db_lock_state){.held = id != NULL, .words = "nobody"};
    if (id != NULL) {
        ret->pid = strtoll(id, NULL, 10);
        ret->words = session_words(arena, id, &rows);
    }
    return 0;
}

/* ---- making the tables, waiting ---- */

int mariadb_creator_lock(struct db_session *s, struct error *e)
{
    bool got = false;
    int rc = mariadb_advisory_try(s, mariadb_lock_name(s, CREATOR, ""), &got, e);
    return rc < 0 ? rc : got ? 0 : DB_E_BUSY;
}

void mariadb_creator_unlock(struct db_session *s)
{
    const char *name = mariadb_lock_name(s, CREATOR, "");
    struct db_fault fault = s->fault; /* what went wrong before is what the caller asks about */
    db_query(s, s->arena, "SELECT RELEASE_LOCK($1)", &name, 1, NULL, NULL);
    s->fault = fault;
}

/* In whole seconds, the server knows no others. The session's, until after_transaction() takes it back. */
int mariadb_limit_wait(struct db_session *s, int64_t ms, struct error *e)
{
    char sql[128];
    long long seconds = (long long)MIN(MAX((ms + 999) / 1000, 1), WAIT_SECONDS);
    snprintf(sql, sizeof(sql),
             "SET SESSION innodb_lock_wait_timeout = %lld, SESSION lock_wait_timeout = %lld",
             seconds, seconds);
    int rc = db_exec(s, sql, e);
    mariadb_of(s)->wait_limited = rc == 0 || mariadb_of(s)->wait_limited;
    return rc;
}

/* ---- the lock ---- */

static const char *lock_name(const struct db_session *s)
{
    return mariadb_lock_name(s, "database", "");
}

int mariadb_try_lock(struct db_session *s, const struct db_holder *self UNUSED, bool *ret,
                     struct error *e)
{
    return mariadb_advisory_try(s, lock_name(s), ret, e);
}

int mariadb_keep_lock(struct db_session *s, const struct db_holder *self UNUSED, bool *ret,
                      struct error *e)
{
    const char *name = lock_name(s);
    const char *ours = NULL;
    int rc = db_value(s, s->arena, "SELECT IS_USED_LOCK($1) = CONNECTION_ID()", &name, 1, &ours, e);
    if (rc == 0) {
        *ret = str_equal(ours, "1");
    }
    return rc;
}

int mariadb_unlock(struct db_session *s, const struct db_holder *self UNUSED, struct error *e)
{
    return mariadb_advisory_release(s, lock_name(s), e);
}

int mariadb_lock_state(struct db_session *s, struct arena *arena, struct db_lock_state *ret,
                       struct error *e)
{
    struct db_lock_state state;
    struct db_holder row = {0};
    int rc = mariadb_advisory_state(s, arena, lock_name(s), &state, e);
    if (rc == 0 && state.held) {
        rc = db_holder_read(s, arena, &row, e);
    }
    if (rc < 0) {
        return rc;
    }
    if (row.run != NULL && row.backend_pid == state.pid) {
        state.words = arena_printf(arena, "run %s on %s, pid %lld, since %s; %s", row.run, row.host,
                                   (long long)row.pid, row.since, state.words);
    }
    *ret = state;
    return 0;
}

/* ---- sessions ---- */

int mariadb_terminate(struct db_session *s, int64_t pid, struct error *e)
{
    int rc = db_exec(s, arena_printf(s->arena, "KILL CONNECTION %lld", (long long)pid), e);
    if (rc == E_DATABASE && s->fault.number == MARIADB_NO_SUCH_THREAD) {
        return 0; /* gone by itself */
    }
    if (rc == E_DATABASE && s->fault.number == MARIADB_KILL_DENIED) {
        return db_fail(s, e, E_DENIED,
                       "connection %lld is another user's: GRANT CONNECTION ADMIN ON *.* to ours, "
                       "or let an administrator KILL it",
                       (long long)pid);
    }
    return rc;
}

int mariadb_worker_lives(struct db_session *s, const char *run, const char *step, bool *ret,
                         struct error *e)
{
    struct db_lock_state state = {0};
    const char *name = mariadb_lock_name(s, "work", arena_printf(s->arena, "%s/%s", run, step));
    int rc = mariadb_advisory_state(s, s->arena, name, &state, e);
    if (rc == 0) {
        *ret = state.held;
    }
    return rc;
}

int mariadb_sole_worker(struct db_session *s, const char *run, const char *step,
                        int64_t deadline_ms, struct error *e)
{
    const char *name = mariadb_lock_name(s, "work", arena_printf(s->arena, "%s/%s", run, step));
    for (;;) {
        bool got = false;
        int rc = mariadb_advisory_try(s, name, &got, e);
        if (rc < 0 || got) {
            return rc;
        }
        struct db_lock_state state;
        rc = mariadb_advisory_state(s, s->arena, name, &state, e);
        if (rc == 0 && state.held) {
            rc = mariadb_terminate(s, state.pid, e);
        }
        if (rc < 0) {
            return error_wrap(e, "an earlier attempt of step %s is still at work: %s", step,
                              state.words);
        }
        if (act_now_ms() >= deadline_ms) {
            return db_fail(s, e, E_TIMEOUT,
                           "an earlier attempt of step %s is still at work on the server: %s. End "
                           "it there (KILL), then retry",
                           step, state.words);
        }
        process_sleep_ms(POLL_MS);
    }
}

/* Without the PROCESS privilege the list holds our own user's sessions only, and nothing says so. */
static int may_see_all(struct db_session *s, struct error *e)
{
    const char *count = NULL;
    int rc = db_value(s, s->arena, "SELECT COUNT(*) FROM information_schema.INNODB_TRX", NULL, 0,
                      &count, e);
    if (rc == E_DATABASE && s->fault.number == MARIADB_PRIVILEGE) {
        return db_fail(s, e, E_DENIED,
                       "whether somebody is connected cannot be seen: GRANT PROCESS ON *.* TO %s",
                       "the user in the URL");
    }
    return rc;
}

int mariadb_writers(struct db_session *s, struct arena *arena, struct db_writer **ret,
                    size_t *ret_count, struct error *e)
{
    struct db_rows rows = {0};
    int rc = may_see_all(s, e);
    if (rc == 0) {
        rc = db_query(s, arena,
                      "SELECT p.ID, p.USER, p.HOST, " MARIADB_PROGRAM
                      ", p.COMMAND, " SINCE MARIADB_SESSIONS
                      " WHERE p.DB = DATABASE() AND p.ID <> CONNECTION_ID()"
                      " AND NOT (" MARIADB_OURS ") ORDER BY p.ID",
                      NULL, 0, &rows, e);
    }
    if (rc < 0) {
        return rc;
    }
    struct db_writer *writers = arena_array(arena, MAX(rows.count, 1), sizeof(*writers));
    for (size_t i = 0; i < rows.count; i++) {
        const char *host = db_cell(&rows, i, 2);
        writers[i] = (struct db_writer){
            .pid = strtoll(db_cell(&rows, i, 0), NULL, 10),
            .user = db_cell(&rows, i, 1),
            .host = str_equal(host, "localhost") ? "local"
                                                 : arena_strndup(arena, host, strcspn(host, ":")),
            .application = db_cell(&rows, i, 3),
            .state = str_equal(db_cell(&rows, i, 4), "Sleep") ? "idle" : db_cell(&rows, i, 4),
            .since = db_cell(&rows, i, 5)};
    }
    *ret = writers;
    *ret_count = rows.count;
    return 0;
}
