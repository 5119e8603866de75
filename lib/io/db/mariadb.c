/*
 * Owns sessions with MariaDB over libmariadb: a direct connection, text in and out. It refuses a proxy that hands our
 * statements to changing sessions, a server that is read-only where something is to be written, to send a password
 * as it is to a server that is not proved, and to show one.
 */
#include "lib/io/db/mariadb.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/evidence.h"
#include "lib/io/platform/secret.h"

#define STATEMENT_BYTES_MAX (LIMIT_MIGRATION_BYTES + LIMIT_TEXT_BYTES)
#define CONNECTION_KILLED   1927 /* ER_CONNECTION_KILLED, which not every header has */
#define IDLE_TIMEOUT        4031
#define WARNINGS_MAX        "64"

static MYSQL *conn(const struct db_session *s)
{
    return mariadb_of(s)->connection;
}

static unsigned server_status(const struct db_session *s)
{
    unsigned status = 0;
    mariadb_get_infov(conn(s), MARIADB_CONNECTION_SERVER_STATUS, &status);
    return status;
}

static bool backslashes(const struct db_session *s)
{
    return (server_status(s) & SERVER_STATUS_NO_BACKSLASH_ESCAPES) == 0;
}

/* ---- errors ---- */

/* What the library and the server say at a failed connection, and what a person can do about it. */
struct refusal {
    unsigned number;
    int code;
    const char *what_to_do;
};
static const struct refusal refusals[] = {
    {ER_ACCESS_DENIED_ERROR, E_DENIED,
     "the user or the password is wrong: correct the file or the variable that password: names "
     "(or add it), or ALTER USER … IDENTIFIED BY …"},
    {ER_ACCESS_DENIED_NO_PASSWORD_ERROR, E_DENIED,
     "this user comes in over the socket only, or needs a password: add password: { file: … }"},
    {ER_DBACCESS_DENIED_ERROR, E_DENIED, "GRANT the user its rights ON the database.*"},
    {ER_HOST_NOT_PRIVILEGED, E_DENIED, "the server lets nobody in from here: CREATE USER …@'host'"},
    {ER_HOST_IS_BLOCKED, E_DENIED, "mariadb-admin flush-hosts on the server"},
    {ER_MUST_CHANGE_PASSWORD_LOGIN, E_DENIED, "the password has expired: ALTER USER …"},
    {CR_AUTH_PLUGIN_CANNOT_LOAD, E_DENIED,
     "this user's way to log in is not known here, or would show the password to a server that "
     "is not proved (?ssl-mode=verify-identity)"},
    {CR_AUTH_PLUGIN_ERR, E_DENIED,
     "this user's way to log in is not known here, or would show the password to a server that "
     "is not proved (?ssl-mode=verify-identity)"},
    {CR_SSL_CONNECTION_ERROR, E_DENIED,
     "check the server's certificate, ssl-mode and ssl-ca in the URL"},
    {ER_BAD_DB_ERROR, E_NOT_FOUND, "check the name in the URL, or CREATE DATABASE"},
    {CR_UNKNOWN_HOST, E_NOT_FOUND, "the host's name is not known here: check the URL"},
    {ER_CON_COUNT_ERROR, E_UNAVAILABLE, "raise max_connections, or end idle sessions"},
    {ER_TOO_MANY_USER_CONNECTIONS, E_UNAVAILABLE,
     "raise max_user_connections, or the user's limit, or end idle sessions"},
    {ER_USER_LIMIT_REACHED, E_UNAVAILABLE, "raise the user's limit"},
    {ER_SERVER_SHUTDOWN, E_UNAVAILABLE, "start the server again"},
    {CR_CONNECTION_ERROR, E_UNAVAILABLE, "is the server running, and is this its socket?"},
    {CR_CONN_HOST_ERROR, E_UNAVAILABLE, "is the server running, and is this its host and port?"},
    {CR_SERVER_GONE_ERROR, E_UNAVAILABLE, "is the server running, and is this its host and port?"},
    {CR_SERVER_LOST, E_UNAVAILABLE,
     "no answer: check the host, the port and what filters the network"},
};

static int refuse(struct db_session *s, struct error *e)
{
    unsigned number = mysql_errno(conn(s));
    const char *words = mysql_error(conn(s));
    s->fault = (struct db_fault){.lost = true};
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        if (refusals[i].number == number) {
            return db_fail(s, e, refusals[i].code, "cannot connect: %s: %s", words,
                           refusals[i].what_to_do);
        }
    }
    return db_fail(s, e, E_UNAVAILABLE, "cannot connect: %s (error %u)", words, number);
}

static bool means_lost(unsigned number)
{
    switch (number) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case ER_SERVER_SHUTDOWN:
    case CONNECTION_KILLED:
    case IDLE_TIMEOUT:
        return true;
    default:
        return false;
    }
}

/* What a person can do about an error that says less than it could. */
static const char *what_to_do(unsigned number)
{
    switch (number) {
    case MARIADB_BINLOG_TRUST:
        return ". Lockstep's own tables need triggers: SET GLOBAL log_bin_trust_function_creators "
               "= 1 on the server, or let a user with SUPER make them";
    case MARIADB_NOT_SUPPORTED:
        return ". Lockstep needs GET_LOCK(), which a Galera cluster does not have";
    default:
        return "";
    }
}

/* `statement` of `sql` is the one that failed; NULL: not known. */
static int fail(struct db_session *s, const char *sql, const struct mariadb_statement *statement,
                struct error *e)
{
    unsigned number = mysql_errno(conn(s));
    char words[LIMIT_ERROR_BYTES];
    snprintf(words, sizeof(words), "%s", mysql_error(conn(s)));
    s->fault =
        (struct db_fault){.number = number,
                          .lost = means_lost(number),
                          .waited = number == MARIADB_LOCK_WAIT,
                          .late = number == MARIADB_LATE,
                          .fenced = number == MARIADB_SIGNAL && str_starts(words, DB_FENCE_WORDS)};
    snprintf(s->fault.sqlstate, sizeof(s->fault.sqlstate), "%s", mysql_sqlstate(conn(s)));
    if (statement != NULL) {
        const char *line = number == ER_PARSE_ERROR ? strstr(words, "' at line ") : NULL;
        s->fault.line = line != NULL ? mariadb_line_at(sql, statement->start) - 1 +
                                           (int)strtol(line + strlen("' at line "), NULL, 10)
                                     : mariadb_line_at(sql, statement->word);
    }
    if (s->fault.lost) {
        return db_fail(s, e, E_UNAVAILABLE, "the connection was lost: %s", words);
    }
    if ((server_status(s) & SERVER_STATUS_IN_TRANS) != 0) {
        mysql_real_query(conn(s), "DO 1", 4); /* an error does not say whether it is still open */
    }
    return db_fail(s, e, s->fault.fenced ? E_DENIED : E_DATABASE, "%s (error %u, SQLSTATE %s)%s",
                   words, number, s->fault.sqlstate, what_to_do(number));
}

/* ---- connecting ---- */

static void set_options(MYSQL *c, const struct mariadb_target *t, const struct db_session *s)
{
    unsigned connect_s = DB_CONNECT_TIMEOUT_MS / 1000;
    unsigned protocol = t->host != NULL ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
    unsigned off = 0;
    my_bool on = 1;
    mysql_optionsv(c, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_optionsv(c, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_optionsv(c, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_optionsv(c, MYSQL_OPT_LOCAL_INFILE, &off); /* a server could ask for any file */
    char program[64];
    bool named = !str_empty(s->options.run);
    snprintf(program, sizeof(program), "lockstep%s%s", named ? " " : "",
             named ? s->options.run : "");
    mysql_optionsv(c, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", program);
    if (t->tls != MARIADB_TLS_DISABLED) {
        mysql_ssl_set(c, t->key, t->certificate, t->ca, NULL, NULL);
    }
    if (t->tls == MARIADB_TLS_REQUIRED || t->tls == MARIADB_TLS_VERIFY) {
        mysql_optionsv(c, MYSQL_OPT_SSL_ENFORCE, &on);
    }
    if (t->tls == MARIADB_TLS_VERIFY) {
        mysql_optionsv(c, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
    } else if (t->host != NULL) {
        mysql_optionsv(c, MARIADB_OPT_RESTRICTED_AUTH,
                       "mysql_native_password,client_ed25519,caching_sha2_password,"
                       "sha256_password,auth_gssapi_client,parsec");
    }
}

/* A server's machine that is gone shows within half a minute, as with the other engines. */
static void watch_network(MYSQL *c)
{
    static const int on = 1, idle_s = 5, interval_s = 2, count = 3, unanswered_ms = 15000;
    int fd = (int)mysql_get_socket(c);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
}

static void start_library(void)
{
    mysql_library_init(0, NULL, NULL);
}

static int connect_to(struct db_session *s, const struct mariadb_target *t, const char *password,
                      struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct mariadb *m = ARENA_NEW(s->arena, struct mariadb);
    m->connection = mysql_init(NULL);
    m->database = t->database;
    if (m->connection == NULL) {
        return db_fail(s, e, E_LIMIT, "out of memory");
    }
    s->handle = m;
    set_options(m->connection, t, s);
    password = password != NULL ? password : t->password;
    /* Without its database at first: what stands in the process list there is marked as ours already. */
    if (mysql_real_connect(m->connection, t->host, t->user, password != NULL ? password : "", NULL,
                           t->port, t->socket, CLIENT_MULTI_RESULTS | CLIENT_FOUND_ROWS) == NULL) {
        return refuse(s, e);
    }
    if (t->tls >= MARIADB_TLS_REQUIRED && mysql_get_ssl_cipher(m->connection) == NULL) {
        s->fault = (struct db_fault){.lost = true};
        return db_fail(s, e, E_DENIED,
                       "the server has no encryption, which ssl-mode in the URL wants: give it a "
                       "certificate (ssl_cert, ssl_key)");
    }
    if (t->host != NULL) {
        watch_network(m->connection);
    }
    return 0;
}

static int check_server(struct db_session *s, struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, s->arena,
                      "SELECT CONNECTION_ID(), @@GLOBAL.read_only,"
                      " GET_LOCK(CONCAT('" MARIADB_SESSION_LOCK "', CONNECTION_ID()), 0)",
                      NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    s->backend_pid = strtoll(db_cell(&rows, 0, 0), NULL, 10);
    if (s->backend_pid != (int64_t)mysql_thread_id(conn(s)) ||
        !str_equal(db_cell(&rows, 0, 2), "1")) {
        return db_fail(s, e, E_INVALID,
                       "a proxy (MaxScale, ProxySQL?) stands between Lockstep and the server: the "
                       "session is %lu, the answer came from %lld. A session's lock would not hold "
                       "there: give the server's own host and port",
                       mysql_thread_id(conn(s)), (long long)s->backend_pid);
    }
    if (mysql_select_db(conn(s), mariadb_of(s)->database) != 0) {
        return refuse(s, e);
    }
    if (s->options.read_only) {
        return db_exec(s, "SET SESSION TRANSACTION READ ONLY", e);
    }
    if (!str_equal(db_cell(&rows, 0, 1), "0")) {
        return db_fail(s, e, E_UNAVAILABLE,
                       "the server is read-only (a replica?): give the primary's host");
    }
    return 0;
}

static int maria_open(struct db_session *s, const char *url, const char *password, struct error *e)
{
    struct mariadb_target t;
    int rc = mariadb_url_parse(s->arena, url, &t, e);
    if (rc < 0) {
        error_wrap(e, "database %s", s->name);
        return rc;
    }
    const char *user = t.user != NULL ? t.user : "";
    const char *as = t.user != NULL ? " as " : "";
    s->place =
        t.host != NULL
            ? arena_printf(s->arena, "%s:%u/%s%s%s", t.host, t.port, t.database, as, user)
            : arena_printf(s->arena, "%s %s%s%s", t.socket != NULL ? t.socket : "the local socket",
                           t.database, as, user);
    rc = connect_to(s, &t, password, e);
    secret_wipe(t.password);
    return rc == 0 ? check_server(s, e) : rc;
}

static void maria_close(struct db_session *s)
{
    mysql_close(conn(s));
}

/* ---- statements ---- */

/* What one transaction had set, once it is over. */
static int after_transaction(struct db_session *s, struct error *e)
{
    struct mariadb *m = mariadb_of(s);
    if (!m->wait_limited || (server_status(s) & SERVER_STATUS_IN_TRANS) != 0) {
        return 0;
    }
    m->wait_limited = false;
    static const char sql[] =
        "SET SESSION innodb_lock_wait_timeout = DEFAULT, SESSION lock_wait_timeout = DEFAULT";
    return mysql_real_query(m->connection, sql, sizeof(sql) - 1) != 0 ? fail(s, sql, NULL, e) : 0;
}

/* More than one statement in a text only where that is meant. */
static int allow_several(struct db_session *s, bool several, struct error *e)
{
    struct mariadb *m = mariadb_of(s);
    if (m->several == several) {
        return 0;
    }
    m->several = several;
    if (mysql_set_server_option(m->connection, several ? MYSQL_OPTION_MULTI_STATEMENTS_ON
                                                       : MYSQL_OPTION_MULTI_STATEMENTS_OFF) != 0) {
        return fail(s, "", NULL, e);
    }
    return 0;
}

static void log_warnings(struct db_session *s)
{
    static const char sql[] = "SHOW WARNINGS LIMIT " WARNINGS_MAX;
    MYSQL_RES *result =
        mysql_real_query(conn(s), sql, sizeof(sql) - 1) == 0 ? mysql_store_result(conn(s)) : NULL;
    MYSQL_ROW row;
    while (result != NULL && (row = mysql_fetch_row(result)) != NULL) {
        dprintf(s->options.log_fd, "%s %s: %s\n", row[0], row[1], row[2]);
    }
    mysql_free_result(result);
}

/* Takes the answers of `sql` one after the other, and keeps *statement the one that they belong to. */
static int drain(struct db_session *s, const char *sql, struct mariadb_statement *statement,
                 struct error *e)
{
    bool escapes = backslashes(s);
    size_t at = 0;
    bool known = mariadb_next_statement(sql, &at, escapes, statement);
    int more = 0;
    do {
        MYSQL_RES *result = mysql_store_result(conn(s));
        bool rows = mysql_field_count(conn(s)) > 0;
        if (result == NULL && rows) {
            return fail(s, sql, known ? statement : NULL, e);
        }
        mysql_free_result(result);
        more = mysql_next_result(conn(s));
        /* CALL answers with any number of rows, and ends with an answer without any. */
        if (more >= 0 && known && (!statement->calls || !rows)) {
            known = mariadb_next_statement(sql, &at, escapes, statement);
        }
    } while (more == 0);
    bool empty = known && statement->word == statement->end && sql[statement->end] == '\0';
    if (more > 0 && mysql_errno(conn(s)) == MARIADB_EMPTY_QUERY && empty) {
        return 0; /* a comment behind the last semicolon */
    }
    return more > 0 ? fail(s, sql, known ? statement : NULL, e) : 0;
}

/* Sends a text and waits for its first answer; tells the watch once when that is late. */
static bool send_watched(struct db_session *s, const char *sql)
{
    const struct db_watch *watch = s->options.watch;
    if (mysql_send_query(conn(s), sql, strlen(sql)) != 0) {
        return false;
    }
    if (watch != NULL) {
        struct pollfd answer = {.fd = (int)mysql_get_socket(conn(s)), .events = POLLIN};
        if (poll(&answer, 1, (int)MIN(watch->after_ms, INT32_MAX)) == 0) {
            watch->slow(watch->context);
        }
    }
    return mysql_read_query_result(conn(s)) == 0;
}

static int maria_exec(struct db_session *s, const char *sql, struct error *e)
{
    struct mariadb_statement first = {0};
    struct mariadb_statement next;
    size_t at = 0;
    bool there = mariadb_next_statement(sql, &at, backslashes(s), &first);
    bool several = there && mariadb_next_statement(sql, &at, backslashes(s), &next);
    if (!there || (!several && first.word == first.end)) {
        return 0; /* nothing but comments, which the server calls an error */
    }
    int rc = after_transaction(s, e);
    if (rc == 0) {
        rc = allow_several(s, several, e);
    }
    if (rc < 0) {
        return rc;
    }
    if (!send_watched(s, sql)) {
        return fail(s, sql, &first, e);
    }
    rc = drain(s, sql, &first, e);
    if (rc == 0 && s->options.log_fd > 0 && mysql_warning_count(conn(s)) > 0) {
        log_warnings(s);
    }
    return rc;
}

static void put_value(struct db_session *s, struct buf *b, const char *value)
{
    if (value == NULL) {
        buf_puts(b, "NULL");
        return;
    }
    size_t len = strlen(value);
    char *escaped = arena_alloc(s->arena, 2 * len + 1);
    unsigned long bytes = mysql_real_escape_string(conn(s), escaped, value, (unsigned long)len);
    buf_putc(b, '\'');
    buf_append(b, escaped, bytes);
    buf_putc(b, '\'');
}

/* With its parameters as quoted texts: the server turns them into what the column is. */
static int put_params(struct db_session *s, const char *sql, const char *const *params,
                      size_t count, struct buf *b, struct error *e)
{
    bool escapes = backslashes(s);
    for (size_t i = 0; sql[i] != '\0';) {
        size_t end = mariadb_skip(sql, i, escapes);
        if (end > i) {
            buf_append(b, sql + i, end - i);
            i = end;
            continue;
        }
        char *after = NULL;
        unsigned long number = sql[i] == '$' && sql[i + 1] >= '1' && sql[i + 1] <= '9'
                                   ? strtoul(sql + i + 1, &after, 10)
                                   : 0;
        if (number > 0 && number <= count) {
            put_value(s, b, params[number - 1]);
            i = (size_t)(after - sql);
        } else {
            buf_putc(b, sql[i++]);
        }
    }
    return b->overflow ? db_fail(s, e, E_LIMIT, "a statement is too long") : 0;
}

static int copy_rows(struct db_session *s, MYSQL_RES *result, struct arena *arena,
                     struct db_rows *ret, struct error *e)
{
    if (mysql_num_rows(result) > DB_ROWS_MAX) {
        return db_fail(s, e, E_LIMIT, "an answer has more than %d rows", DB_ROWS_MAX);
    }
    ret->count = (size_t)mysql_num_rows(result);
    ret->columns = mysql_num_fields(result);
    ret->cells = arena_array(arena, MAX(ret->count * ret->columns, 1), sizeof(char *));
    MYSQL_ROW row;
    for (size_t i = 0; (row = mysql_fetch_row(result)) != NULL; i += ret->columns) {
        const unsigned long *bytes = mysql_fetch_lengths(result);
        for (size_t column = 0; column < ret->columns; column++) {
            if (row[column] != NULL) {
                ret->cells[i + column] = arena_strndup(arena, row[column], bytes[column]);
            }
        }
    }
    return 0;
}

static int maria_query(struct db_session *s, struct arena *arena, const char *sql,
                       const char *const *params, size_t count, struct db_rows *ret,
                       struct error *e)
{
    struct buf b;
    buf_init(&b, s->arena, STATEMENT_BYTES_MAX);
    int rc = put_params(s, sql, params, count, &b, e);
    if (rc == 0) {
        rc = after_transaction(s, e);
    }
    if (rc == 0) {
        rc = allow_several(s, false, e);
    }
    if (rc < 0) {
        return rc;
    }
    if (mysql_real_query(conn(s), b.data, b.len) != 0) {
        return fail(s, sql, NULL, e);
    }
    MYSQL_RES *result = mysql_store_result(conn(s));
    if (result != NULL) {
        rc = copy_rows(s, result, arena, ret, e);
    } else if (mysql_field_count(conn(s)) > 0) {
        rc = fail(s, sql, NULL, e);
    } else {
        ret->changed = mysql_affected_rows(conn(s));
    }
    mysql_free_result(result);
    while (rc == 0 && mysql_next_result(conn(s)) == 0) { /* of a CALL */
        mysql_free_result(mysql_store_result(conn(s)));
    }
    return rc;
}

static bool maria_in_transaction(const struct db_session *s)
{
    return (server_status(s) & SERVER_STATUS_IN_TRANS) != 0;
}

/* ---- questions about the database ---- */

static int maria_identity(struct db_session *s, struct arena *arena, const char **ret,
                          struct error *e)
{
    struct db_rows rows;
    int rc = db_query(s, arena,
                      "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
                      " ('hostname', 'port', 'server_uid', 'server_uuid')",
                      NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    const char *uid = NULL;
    const char *host = "";
    const char *port = "";
    for (size_t i = 0; i < rows.count; i++) {
        const char *name = db_cell(&rows, i, 0);
        if (str_equal(name, "hostname")) {
            host = db_cell(&rows, i, 1);
        } else if (str_equal(name, "port")) {
            port = db_cell(&rows, i, 1);
        } else {
            uid = db_cell(&rows, i, 1);
        }
    }
    /* server_uid is a digest of the machine's address and the port; two servers of one machine differ by the latter. */
    *ret = arena_printf(arena, "mariadb:%s%s%s:%s/%s", uid != NULL ? uid : "",
                        uid != NULL ? "@" : "", host, port, mariadb_of(s)->database);
    return 0;
}

static int maria_version(struct db_session *s, struct arena *arena, const char **ret,
                         struct error *e UNUSED)
{
    const char *text = mysql_get_server_info(conn(s));
    *ret = arena_printf(arena, "%s %.*s", strstr(text, "MariaDB") != NULL ? "MariaDB" : "MySQL",
                        (int)strcspn(text, "-"), text);
    return 0;
}

static int maria_bytes(struct db_session *s, uint64_t *ret, struct error *e)
{
    const char *text = NULL;
    int rc = db_value(s, s->arena,
                      "SELECT SUM(DATA_LENGTH + INDEX_LENGTH) FROM information_schema.TABLES"
                      " WHERE TABLE_SCHEMA = DATABASE()",
                      NULL, 0, &text, e);
    if (rc == 0) {
        *ret = text != NULL ? strtoull(text, NULL, 10) : 0;
    }
    return rc;
}

static int maria_table_exists(struct db_session *s, const char *table, bool *ret, struct error *e)
{
    const char *quoted = NULL;
    int rc = db_quote_name(s->engine, s->arena, table, &quoted, e);
    if (rc < 0) {
        return rc;
    }
    const char *dot = strchr(table, '.');
    const char *params[] = {dot != NULL ? arena_strndup(s->arena, table, (size_t)(dot - table))
                                        : NULL,
                            dot != NULL ? dot + 1 : table};
    const char *found = NULL;
    rc = db_value(s, s->arena,
                  "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA ="
                  " COALESCE($1, DATABASE()) AND TABLE_NAME = $2"
                  " AND (@@lower_case_table_names > 0 OR BINARY TABLE_NAME = $2) LIMIT 1",
                  params, 2, &found, e);
    if (rc == 0) {
        *ret = found != NULL;
    }
    return rc;
}

static const char *const schemes[] = {"mysql://", "mariadb://", NULL};

const struct db_engine db_mariadb = {
    .kind = DB_MARIADB,
    .name = "MariaDB",
    .name_quote = '`',
    .text_type = "char",
    .database_name = "DATABASE()",
    .table_names = "SELECT table_name FROM information_schema.tables WHERE table_schema = "
                   "database() AND table_type = 'BASE TABLE'",
    .on_duplicate_key = true,
    .schemes = schemes,
    .open = maria_open,
    .close = maria_close,
    .exec = maria_exec,
    .query = maria_query,
    .begin = "START TRANSACTION",
    .in_transaction = maria_in_transaction,
    .identity = maria_identity,
    .version = maria_version,
    .bytes = maria_bytes,
    .table_exists = maria_table_exists,
    .writers = mariadb_writers,
    .prefix = "lockstep_",
    .evidence_ddl = mariadb_evidence_ddl,
    .creator_lock = mariadb_creator_lock,
    .creator_unlock = mariadb_creator_unlock,
    .limit_wait = mariadb_limit_wait,
    .lock_limit = &mariadb_lock_limit,
    .limit_statements = mariadb_limit_statements,
    .try_lock = mariadb_try_lock,
    .keep_lock = mariadb_keep_lock,
    .unlock = mariadb_unlock,
    .lock_state = mariadb_lock_state,
    .sole_worker = mariadb_sole_worker,
    .worker_lives = mariadb_worker_lives,
    .advisory_state = mariadb_advisory_state,
    .advisory_try = mariadb_advisory_try,
    .advisory_release = mariadb_advisory_release,
    .objects = mariadb_objects,
    .schema_state = mariadb_schema_state,
    .terminate = mariadb_terminate,
    .dump = mariadb_dump,
    .restore = mariadb_restore,
};
