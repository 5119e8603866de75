/*
 * Owns sessions with PostgreSQL over libpq: a direct connection, text in and out. It refuses a pooler that hands our
 * statements to changing sessions, a standby where something is to be written, and to show a URL's password.
 */
#include "lib/io/db/postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/platform/process.h"

#define CONNINFO_BYTES_MAX 8192
#define FENCE_SQLSTATE     "LS001"
/* Of one that writes: the lock's holder, and the worker beside it. */
#define SESSIONS_NEEDED 2
#define SESSIONS_WORDS  "2 connections"

static PGconn *conn(const struct db_session *s)
{
    return s->handle;
}

static void notice(void *context, const char *message)
{
    const struct db_session *s = context;
    if (s->options.log_fd > 0) {
        ssize_t written UNUSED = write(s->options.log_fd, message, strlen(message));
    }
}

/* ---- the URL ---- */

static void append_quoted(struct buf *b, const char *keyword, const char *value)
{
    buf_printf(b, "%s%s='", b->len > 0 ? " " : "", keyword);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\') {
            buf_putc(b, '\\');
        }
        buf_putc(b, *p);
    }
    buf_putc(b, '\'');
}

int postgres_conninfo(struct arena *arena, const char *url, const char **ret,
                      const char **ret_password, struct error *e)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);
    PQfreemem(why); /* it repeats parts of the URL, which may be a password */
    if (options == NULL) {
        return error_set(
            e, E_INVALID,
            "the URL cannot be read: write postgres://user@host:5432/name, with %%40 for @, "
            "%%2F for / and so on inside a part");
    }
    struct buf b;
    buf_init(&b, arena, CONNINFO_BYTES_MAX);
    *ret_password = NULL;
    for (PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val == NULL) {
            continue;
        }
        if (str_equal(o->keyword, "password")) {
            *ret_password = arena_strdup(arena, o->val);
        } else {
            append_quoted(&b, o->keyword, o->val);
        }
    }
    PQconninfoFree(options);
    *ret = buf_text(&b);
    return b.overflow ? error_set(e, E_LIMIT, "the URL is too long") : 0;
}

/* "host:port/db as user", from the URL: there is no connection yet to ask. */
static const char *place_of(struct arena *arena, const char *url)
{
    const char *host = "the local socket";
    const char *port = "5432";
    const char *database = NULL;
    const char *user = NULL;
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val == NULL || o->val[0] == '\0') {
            continue;
        }
        if (str_equal(o->keyword, "host")) {
            host = o->val;
        } else if (str_equal(o->keyword, "port")) {
            port = o->val;
        } else if (str_equal(o->keyword, "dbname")) {
            database = o->val;
        } else if (str_equal(o->keyword, "user")) {
            user = o->val;
        }
    }
    const char *place = arena_printf(arena, "%s:%s/%s%s%s", host, port,
                                     database != NULL ? database : (user != NULL ? user : ""),
                                     user != NULL ? " as " : "", user != NULL ? user : "");
    PQconninfoFree(options);
    return place;
}

/* ---- connecting ---- */

/* What libpq and the server say at a failed connection, and what a person can do about it. The words are the
 * server's: with another lc_messages the last line answers. */
struct refusal {
    const char *words;
    int code;
    const char *what_to_do;
};
static const struct refusal refusals[] = {
    {"password authentication failed", E_DENIED,
     "the password is wrong: correct the file or the variable that password: names, or ALTER ROLE "
     "… PASSWORD"},
    {"no password supplied", E_DENIED, "the server wants a password: add password: { file: … }"},
    {"no pg_hba.conf entry", E_DENIED,
     "the server lets nobody in from here: add a line to its pg_hba.conf"},
    {"authentication failed", E_DENIED, "check the server's pg_hba.conf and the role"},
    {"permission denied for database", E_DENIED, "GRANT CONNECT ON DATABASE … TO the role"},
    {"is not permitted to log in", E_DENIED, "ALTER ROLE … LOGIN"},
    {"too many", E_UNAVAILABLE,
     "raise max_connections, or the limit of the role or database, or end idle sessions; Lockstep "
     "needs " SESSIONS_WORDS " at once"},
    {"remaining connection slots", E_UNAVAILABLE,
     "raise max_connections, or end idle sessions; Lockstep needs " SESSIONS_WORDS " at once"},
    {"starting up", E_UNAVAILABLE, "it will answer when it is up"},
    {"shutting down", E_UNAVAILABLE, "start the server again"},
    {"recovery", E_UNAVAILABLE, "it will answer when its recovery is over"},
    {"Connection refused", E_UNAVAILABLE, "is the server running, and is this its host and port?"},
    {"No such file or directory", E_UNAVAILABLE,
     "is the server running, and is this its socket's directory?"},
    {"could not translate host name", E_NOT_FOUND,
     "the host's name is not known here: check the URL"},
    {"timeout expired", E_UNAVAILABLE,
     "no answer: check the host, the port and what filters the network"},
    {"role \"", E_NOT_FOUND,
     "there is no such role: check the user in the URL, or CREATE ROLE … LOGIN"},
    {"does not exist", E_NOT_FOUND, "check the name in the URL, or CREATE DATABASE"},
};

static int refuse(struct db_session *s, struct error *e)
{
    char words[320];
    snprintf(words, sizeof(words), "%s", PQerrorMessage(conn(s)));
    const char *fatal =
        strstr(words, "FATAL:"); /* before it stands where it connected to, which `place` says */
    const char *text = fatal != NULL ? fatal + strlen("FATAL:") : words;
    text += strspn(text, " ");
    for (char *p = words; *p != '\0'; p++) {
        if (*p == '\n') {
            *p = p[1] == '\0' ? '\0' : ' ';
        } else if (*p == '\t') {
            *p = ' ';
        }
    }
    s->fault = (struct db_fault){.lost = true};
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        if (strstr(text, refusals[i].words) != NULL) {
            return db_fail(s, e, refusals[i].code, "cannot connect: %s: %s", text,
                           refusals[i].what_to_do);
        }
    }
    return db_fail(s, e, E_UNAVAILABLE, "cannot connect: %s", text);
}

static int connect_to(struct db_session *s, const char *url, const char *password)
{
    char application[64];
    bool named = !str_empty(s->options.run);
    snprintf(application, sizeof(application), "lockstep%s%s", named ? " " : "",
             named ? s->options.run : "");
    char seconds[16];
    snprintf(seconds, sizeof(seconds), "%d", DB_CONNECT_TIMEOUT_MS / 1000);
    /* Later ones win: what stands before dbname can be set in the URL, what stands after it cannot. */
    const char *keywords[16];
    const char *values[16];
    size_t n = 0;
    const char *const pairs[][2] = {
        {"connect_timeout", seconds},
        {"keepalives_idle", "5"},
        {"keepalives_interval", "2"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "15000"},
        {"dbname", url},
        {"application_name", application},
        {"client_encoding", "UTF8"},
        {"password", password},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        if (pairs[i][1] != NULL) {
            keywords[n] = pairs[i][0];
            values[n++] = pairs[i][1];
        }
    }
    keywords[n] = NULL;
    values[n] = NULL;
    s->handle = PQconnectdbParams(keywords, values, 1);
    return s->handle != NULL && PQstatus(s->handle) == CONNECTION_OK ? 0 : E_UNAVAILABLE;
}

/* A limit that is too low is no matter of waiting: the second session would never come. */
static int check_limits(struct db_session *s, const char *superuser, const char *of_role,
                        const char *of_database, struct error *e)
{
    long role = strtol(of_role, NULL, 10);
    long database = strtol(of_database, NULL, 10);
    bool by_role = role >= 0 && role < SESSIONS_NEEDED;
    bool by_database = database >= 0 && database < SESSIONS_NEEDED;
    if (str_equal(superuser, "t") || (!by_role && !by_database)) {
        return 0;
    }
    return db_fail(s, e, E_LIMIT,
                   "Lockstep needs " SESSIONS_WORDS " at once (one holds the lock, one works), the "
                   "%s allows %ld: ALTER %s … CONNECTION LIMIT %d, or more",
                   by_role ? "role" : "database", by_role ? role : database,
                   by_role ? "ROLE" : "DATABASE", SESSIONS_NEEDED);
}

static int check_server(struct db_session *s, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(
        s, s->arena,
        "SELECT pg_backend_pid(), pg_is_in_recovery(), coalesce(current_schema(), ''), rolsuper,"
        " rolconnlimit, datconnlimit FROM pg_roles, pg_database WHERE rolname = session_user AND"
        " datname = current_database()",
        NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    snprintf(s->schema, sizeof(s->schema), "%s", db_cell(&rows, 0, 2));
    s->backend_pid = strtoll(db_cell(&rows, 0, 0), NULL, 10);
    if (s->backend_pid != PQbackendPID(conn(s))) {
        return db_fail(s, e, E_INVALID,
                       "a pooler (PgBouncer?) stands between Lockstep and the server: the "
                       "session's process is %d, "
                       "the answer came from %lld. A session's lock would not hold there: give the "
                       "server's own "
                       "host and port",
                       PQbackendPID(conn(s)), (long long)s->backend_pid);
    }
    if (s->options.read_only) {
        return db_exec(s, "SET default_transaction_read_only = on", e);
    }
    if (str_equal(db_cell(&rows, 0, 1), "t")) {
        return db_fail(s, e, E_UNAVAILABLE,
                       "the server is a standby: give the primary, or several hosts and "
                       "?target_session_attrs=read-write");
    }
    return check_limits(s, db_cell(&rows, 0, 3), db_cell(&rows, 0, 4), db_cell(&rows, 0, 5), e);
}

static int pg_open(struct db_session *s, const char *url, const char *password, struct error *e)
{
    const char *conninfo;
    const char *in_url;
    int rc = postgres_conninfo(s->arena, url, &conninfo, &in_url, e);
    if (rc < 0) {
        error_wrap(e, "database %s", s->name);
        return rc;
    }
    s->place = place_of(s->arena, url);
    if (connect_to(s, url, password) < 0) {
        return refuse(s, e);
    }
    PQsetNoticeProcessor(conn(s), notice, s);
    return check_server(s, e);
}

static void pg_close(struct db_session *s)
{
    PQfinish(conn(s));
}

/* ---- statements ---- */

/* Of the character position (from 1) that the server reports for `sql`. */
static int line_of(const char *sql, const char *position)
{
    if (position == NULL || sql == NULL) {
        return 0;
    }
    long characters = strtol(position, NULL, 10);
    int line = 1;
    for (const char *p = sql; *p != '\0' && characters > 1; p++) {
        if (((unsigned char)p[1] & 0xc0) != 0x80) { /* a UTF-8 character ends here */
            characters--;
        }
        if (*p == '\n') {
            line++;
        }
    }
    return line;
}

static bool means_lost(const char *sqlstate)
{
    return str_starts(sqlstate, "08") || str_equal(sqlstate, "57P01") ||
           str_equal(sqlstate, "57P02") || str_equal(sqlstate, "57P03") ||
           str_equal(sqlstate, "57P05");
}

static int fail(struct db_session *s, const PGresult *result, const char *sql, struct error *e)
{
    const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *words = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    s->fault = (struct db_fault){0};
    s->fault.lost =
        PQstatus(conn(s)) == CONNECTION_BAD || (sqlstate != NULL && means_lost(sqlstate));
    if (sqlstate != NULL) {
        snprintf(s->fault.sqlstate, sizeof(s->fault.sqlstate), "%s", sqlstate);
        s->fault.fenced = str_equal(sqlstate, FENCE_SQLSTATE);
        s->fault.waited = str_equal(sqlstate, "55P03");
        s->fault.late = str_equal(sqlstate, "57014");
        s->fault.line = line_of(sql, PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION));
    }
    if (s->fault.lost) {
        return db_fail(s, e, E_UNAVAILABLE, "the connection was lost: %s",
                       words != NULL ? words : "the server closed it (restarted?)");
    }
    if (words == NULL) {
        return db_fail(s, e, E_DATABASE, "%s", PQerrorMessage(conn(s)));
    }
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    return db_fail(s, e, s->fault.fenced ? E_DENIED : E_DATABASE, "%s%s%s%s%s (SQLSTATE %s)", words,
                   detail != NULL ? ". " : "", detail != NULL ? detail : "",
                   hint == NULL                              ? ""
                   : detail != NULL && str_ends(detail, ".") ? " "
                                                             : ". ",
                   hint != NULL ? hint : "", sqlstate != NULL ? sqlstate : "?");
}

static int check_result(struct db_session *s, PGresult *result, const char *sql, struct error *e)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
        s->fault = (struct db_fault){
            .lost = true}; /* the session is in the middle of a copy: it must go */
        return db_fail(s, e, E_INVALID,
                       "COPY … FROM STDIN and TO STDOUT need a client that feeds them: use INSERT");
    }
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) {
        return 0;
    }
    return fail(s, result, sql, e);
}

/* Waits for the answer; tells the watch once when it is late. */
static void await_answer(struct db_session *s)
{
    const struct db_watch *watch = s->options.watch;
    int64_t late = process_clock_ms() + watch->after_ms;
    bool told = false;
    while (PQisBusy(conn(s)) != 0) {
        struct pollfd fd = {.fd = PQsocket(conn(s)), .events = POLLIN};
        int64_t left = told ? -1 : MAX(late - process_clock_ms(), 0);
        int ready = poll(&fd, 1, (int)left);
        if (ready == 0) {
            told = true;
            watch->slow(watch->context);
        } else if (ready > 0 && PQconsumeInput(conn(s)) == 0) {
            return;
        } else if (ready < 0 && errno != EINTR) {
            return;
        }
    }
}

/* PQexec(), watched: the last result of all, which is the error where there is one. */
static PGresult *watched_exec(struct db_session *s, const char *sql)
{
    if (PQsendQuery(conn(s), sql) == 0) {
        return NULL;
    }
    PGresult *last = NULL;
    for (;;) {
        await_answer(s);
        PGresult *result = PQgetResult(conn(s));
        if (result == NULL) {
            return last;
        }
        PQclear(last);
        last = result;
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH ||
            PQstatus(conn(s)) == CONNECTION_BAD) {
            return last;
        }
    }
}

static int pg_exec(struct db_session *s, const char *sql, struct error *e)
{
    PGresult *result = s->options.watch != NULL ? watched_exec(s, sql) : PQexec(conn(s), sql);
    int rc = check_result(s, result, sql, e);
    PQclear(result);
    return rc;
}

static int copy_rows(struct db_session *s, const PGresult *result, struct arena *arena,
                     struct db_rows *ret, struct error *e)
{
    size_t count = (size_t)PQntuples(result);
    size_t columns = (size_t)PQnfields(result);
    if (count > DB_ROWS_MAX) {
        return db_fail(s, e, E_LIMIT, "an answer has more than %d rows", DB_ROWS_MAX);
    }
    *ret = (struct db_rows){.count = count, .columns = columns};
    ret->changed = strtoull(PQcmdTuples((PGresult *)result), NULL, 10);
    ret->cells = arena_array(arena, MAX(count * columns, 1), sizeof(char *));
    for (size_t row = 0; row < count; row++) {
        for (size_t column = 0; column < columns; column++) {
            if (!PQgetisnull(result, (int)row, (int)column)) {
                ret->cells[row * columns + column] =
                    arena_strdup(arena, PQgetvalue(result, (int)row, (int)column));
            }
        }
    }
    return 0;
}

static int pg_query(struct db_session *s, struct arena *arena, const char *sql,
                    const char *const *params, size_t count, struct db_rows *ret, struct error *e)
{
    PGresult *result = PQexecParams(conn(s), sql, (int)count, NULL, params, NULL, NULL, 0);
    int rc = check_result(s, result, sql, e);
    if (rc == 0) {
        rc = copy_rows(s, result, arena, ret, e);
    }
    PQclear(result);
    return rc;
}

/* ---- statements whose answers wait ---- */

static int pg_queue(struct db_session *s, const char *sql, const char *const *params, size_t count,
                    struct error *e)
{
    bool ready = PQpipelineStatus(conn(s)) == PQ_PIPELINE_ON || PQenterPipelineMode(conn(s)) == 1;
    if (ready && PQsendQueryParams(conn(s), sql, (int)count, NULL, params, NULL, NULL, 0) == 1) {
        return 0;
    }
    return fail(s, NULL, sql, e);
}

/* The answers in their order, each followed by NULL; the synchronisation's own comes last. The first failure is told, what
 * the server then skipped is not. */
static int pg_flush(struct db_session *s, struct error *e)
{
    int rc = PQpipelineSync(conn(s)) == 1 ? 0 : fail(s, NULL, NULL, e);
    bool over = rc < 0;
    while (!over) {
        PGresult *result = PQgetResult(conn(s));
        ExecStatusType status = PQresultStatus(result);
        over = status == PGRES_PIPELINE_SYNC || PQstatus(conn(s)) == CONNECTION_BAD;
        if (rc == 0 && result != NULL && status != PGRES_PIPELINE_SYNC) {
            rc = check_result(s, result, NULL, e);
        }
        PQclear(result);
    }
    if (rc == 0 && PQstatus(conn(s)) == CONNECTION_BAD) {
        rc = fail(s, NULL, NULL, e);
    }
    PQexitPipelineMode(conn(s));
    return rc;
}

static bool pg_in_transaction(const struct db_session *s)
{
    PGTransactionStatusType status = PQtransactionStatus(conn(s));
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

/* ---- questions about the database ---- */

static int pg_identity(struct db_session *s, struct arena *arena, const char **ret, struct error *e)
{
    return db_value(
        s, arena,
        "SELECT 'postgres:' || (SELECT system_identifier FROM pg_control_system()) || ':' || oid "
        "FROM pg_database WHERE datname = current_database()",
        NULL, 0, ret, e);
}

static int pg_version(struct db_session *s, struct arena *arena, const char **ret, struct error *e)
{
    const char *number = PQparameterStatus(conn(s), "server_version");
    if (number == NULL) {
        return db_fail(s, e, E_DATABASE, "the server does not say its version");
    }
    *ret = arena_printf(arena, "PostgreSQL %.*s", (int)strcspn(number, " "), number);
    return 0;
}

static int pg_bytes(struct db_session *s, uint64_t *ret, struct error *e)
{
    const char *text = NULL;
    int rc =
        db_value(s, s->arena, "SELECT pg_database_size(current_database())", NULL, 0, &text, e);
    if (rc == 0) {
        *ret = text != NULL ? strtoull(text, NULL, 10) : 0;
    }
    return rc;
}

static int pg_table_exists(struct db_session *s, const char *table, bool *ret, struct error *e)
{
    const char *quoted;
    int rc = db_quote_name(s->engine, s->arena, table, &quoted, e);
    const char *text = NULL;
    if (rc == 0) {
        rc = db_value(s, s->arena, "SELECT to_regclass($1) IS NOT NULL", &quoted, 1, &text, e);
    }
    if (rc == 0) {
        *ret = str_equal(text, "t");
    }
    return rc;
}

static const char *const schemes[] = {"postgres://", "postgresql://", NULL};

const struct db_engine db_postgres = {
    .kind = DB_POSTGRES,
    .name = "PostgreSQL",
    .database_name = "current_database()",
    .table_names = "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                   "WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', "
                   "'information_schema', 'lockstep') AND n.nspname NOT LIKE 'pg\\_%'",
    .schemes = schemes,
    .name_quote = '"',
    .text_type = "text",
    .open = pg_open,
    .close = pg_close,
    .exec = pg_exec,
    .query = pg_query,
    .queue = pg_queue,
    .flush = pg_flush,
    .begin = "BEGIN",
    .schema_in_transactions = true,
    .in_transaction = pg_in_transaction,
    .identity = pg_identity,
    .version = pg_version,
    .bytes = pg_bytes,
    .tables = postgres_tables,
    .table_exists = pg_table_exists,
    .writers = postgres_writers,
    .prefix = "lockstep.",
    .evidence_ddl = postgres_evidence_ddl,
    .creator_lock = postgres_creator_lock,
    .limit_wait = postgres_limit_wait,
    .lock_limit = &postgres_lock_limit,
    .limit_statements = postgres_limit_statements,
    .try_lock = postgres_try_lock,
    .keep_lock = postgres_keep_lock,
    .unlock = postgres_unlock,
    .lock_state = postgres_lock_state,
    .sole_worker = postgres_sole_worker,
    .worker_lives = postgres_worker_lives,
    .advisory_state = postgres_advisory_state,
    .schema_state = postgres_schema_state,
    .index_state = postgres_index_state,
    .advisory_try = postgres_advisory_try,
    .advisory_release = postgres_advisory_release,
    .objects = postgres_objects,
    .terminate = postgres_terminate,
    .dump = postgres_dump,
    .restore = postgres_restore,
};
