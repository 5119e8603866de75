/*
 * Owns a MariaDB backup: mariadb-dump's SQL text, read back to its last line, and the way back with the mariadb client.
 * Left out both ways: Lockstep's own tables, and the table of a tool's lock (the tool makes it where it is missing), which
 * would lock a restored database, or take our own lock away. It refuses to take anything away before the file is
 * known to be whole, and before the database itself has let this fence write. It is no transaction: an intent stands
 * until all of it is there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/evidence.h"
#include "lib/io/db/format.h"
#include "lib/io/db/mariadb.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/secret.h"

#define ARGUMENTS_MAX 48
#define END_LINE      "-- Dump completed"

struct program {
    const char *argv[ARGUMENTS_MAX];
    size_t count;
    const char *password;
};

static void add(struct program *p, const char *argument)
{
    assert(p->count < ARGUMENTS_MAX);
    p->argv[p->count++] = argument;
}

static void add_pair(struct program *p, struct arena *arena, const char *option, const char *value)
{
    if (value != NULL) {
        add(p, arena_printf(arena, "%s=%s", option, value));
    }
}

/* How the server's own programs connect as we do. The password from the place where the secrets are, again: nothing
 * keeps them. */
static int connect_as(struct db_session *s, const struct database_ref *ref, struct program *p,
                      struct error *e)
{
    const char *url = ref->url;
    struct mariadb_target t = {0};
    int rc = ref->url_secret != NULL ? secret_read(s->arena, ref->url_secret, &url, e) : 0;
    if (rc == 0) {
        rc = mariadb_url_parse(s->arena, url, &t, e);
    }
    if (rc == 0 && ref->password != NULL) {
        rc = secret_read(s->arena, ref->password, &t.password, e);
    }
    if (rc < 0) {
        return rc;
    }
    p->password = t.password;
    add(p, "--no-defaults"); /* it must stand first */
    add(p, t.host != NULL ? "--protocol=tcp" : "--protocol=socket");
    add_pair(p, s->arena, "--host", t.host);
    add(p, arena_printf(s->arena, "--port=%u", t.port));
    add_pair(p, s->arena, "--socket", t.socket);
    add_pair(p, s->arena, "--user", t.user);
    add(p, t.tls == MARIADB_TLS_DISABLED ? "--skip-ssl" : "--ssl");
    if (t.tls == MARIADB_TLS_VERIFY) {
        add(p, "--ssl-verify-server-cert");
    }
    add_pair(p, s->arena, "--ssl-ca", t.ca);
    add_pair(p, s->arena, "--ssl-cert", t.certificate);
    add_pair(p, s->arena, "--ssl-key", t.key);
    add(p, "--default-character-set=utf8mb4");
    return 0;
}

static int run(struct act *act, struct db_session *s, const struct program *p, struct error *e)
{
    struct env_value env = {.name = "MYSQL_PWD", .value = p->password};
    struct command command = {
        .argv = {.items = (const char **)p->argv, .count = p->count},
        .env = {.items = &env, .count = p->password != NULL ? 1 : 0},
        .output_bytes_max = LIMIT_RECORD_BYTES,
    };
    struct process_run_options options = {
        .command = &command,
        .directory = act->work_dir,
        .log_fd = -1,
        .timeout_ms = MAX(act_left_ms(act), 1),
        .pid_file = arena_printf(act->arena, "%s/backup.pid", act->work_dir),
        .enough = db_program_stopped,
        .context = act,
    };
    struct process_result result = {0};
    int rc = process_end_recorded(options.pid_file, e); /* a dead worker's */
    if (rc == 0) {
        rc = process_run(act->arena, &options, &result, e);
    }
    if (rc == E_NOT_FOUND) {
        return error_wrap(e, "database %s: install MariaDB's client programs (mariadb-client)",
                          s->name);
    }
    if (rc == 0 && result.stopped) {
        return db_program_was_stopped(e);
    }
    if (rc == 0 && !process_succeeded(&result)) {
        return db_fail(s, e, result.timed_out ? E_TIMEOUT : E_DATABASE, "%s: %s",
                       process_words(act->arena, &command, &result),
                       result.output != NULL ? result.output : "");
    }
    return rc;
}

/* ---- reading back ---- */

/* Marks in `found` which of `lines` (how a line begins) stand in the file. Rows are written without line ends. */
static int scan(struct db_session *s, const char *path, const struct strings *lines, bool *found,
                int broken, struct error *e)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return db_fail(s, e, error_from_errno(errno), "cannot read %s: %s", path, strerror(errno));
    }
    char *line = NULL;
    size_t capacity = 0;
    bool complete = false;
    while (getline(&line, &capacity, f) > 0) {
        complete = str_starts(line, END_LINE);
        for (size_t i = 0; i < lines->count; i++) {
            found[i] = found[i] || str_starts(line, lines->items[i]);
        }
    }
    int rc = ferror(f) ? db_fail(s, e, E_IO, "cannot read %s: %s", path, strerror(errno)) : 0;
    free(line);
    fclose(f);
    if (rc == 0 && !complete) {
        return db_fail(s, e, broken, "%s is not whole: it does not end with \"" END_LINE "\"",
                       path);
    }
    return rc;
}

/* Tables that are not the application's, quoted for an IN (…). */
static int find_left_out(struct db_session *s, const char **ret_quoted, struct strings *ret,
                         struct error *e)
{
    static const char *const own[] = {MARIADB_OWN_NAMES};
    struct buf b;
    buf_init(&b, s->arena, LIMIT_TEXT_BYTES);
    const char **names = arena_array(s->arena, ARRAY_SIZE(own) + db_formats_count, sizeof(*names));
    size_t count = 0;
    int rc = 0;
    for (; count < ARRAY_SIZE(own); count++) {
        names[count] = own[count];
    }
    for (size_t i = 0; rc == 0 && i < db_formats_count; i++) {
        const char *table = NULL;
        rc = db_formats[i]->lock_table != NULL ? db_formats[i]->lock_table(s, s->arena, &table, e)
                                               : 0;
        if (rc == 0 && table != NULL) {
            names[count++] = table;
        }
    }
    for (size_t i = 0; i < count; i++) {
        buf_printf(&b, "%s'%s'", i > 0 ? ", " : "", names[i]);
    }
    *ret_quoted = buf_text(&b);
    *ret = (struct strings){.items = names, .count = count};
    return rc;
}

static int check_dump(struct db_session *s, const char *path, const char *left_out, struct error *e)
{
    struct db_rows rows = {0};
    int rc =
        db_query(s, s->arena,
                 arena_printf(s->arena,
                              "SELECT CONCAT(CASE TABLE_TYPE WHEN 'VIEW' THEN '/*!50001 VIEW `'"
                              " WHEN 'SEQUENCE' THEN 'CREATE SEQUENCE `' ELSE 'CREATE TABLE `' END,"
                              " REPLACE(TABLE_NAME, '`', '``'), '`') FROM information_schema.TABLES"
                              " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT IN (%s)",
                              left_out),
                 NULL, 0, &rows, e);
    if (rc < 0) {
        return rc;
    }
    bool *found = arena_array(s->arena, MAX(rows.count, 1), sizeof(*found));
    struct strings lines = {.items = rows.cells, .count = rows.count};
    rc = scan(s, path, &lines, found, E_DATABASE, e);
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        if (!found[i]) {
            rc = db_fail(s, e, E_DATABASE, "the backup %s has no line \"%s…\"", path,
                         lines.items[i]);
        }
    }
    return rc;
}

int mariadb_dump(struct db_session *s, struct act *act, const struct database_ref *ref,
                 const char *path, struct error *e)
{
    static const char *const options[] = {"--single-transaction", "--quick",  "--routines",
                                          "--triggers",           "--events", "--hex-blob",
                                          "--no-tablespaces"};
    const char *database = mariadb_of(s)->database;
    const char *quoted = NULL;
    struct strings left_out = {0};
    struct program p = {.argv = {"mariadb-dump"}, .count = 1};
    int rc = connect_as(s, ref, &p, e);
    if (rc == 0) {
        rc = find_left_out(s, &quoted, &left_out, e);
    }
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        add(&p, options[i]);
    }
    for (size_t i = 0; i < left_out.count; i++) {
        add(&p, arena_printf(s->arena, "--ignore-table=%s.%s", database, left_out.items[i]));
    }
    if (rc == 0) {
        add_pair(&p, s->arena, "--result-file", path);
        add(&p, "--");
        add(&p, database);
        rc = run(act, s, &p, e);
    }
    secret_wipe(p.password);
    return rc == 0 ? check_dump(s, path, quoted, e) : rc;
}

/* ---- the way back ---- */

int mariadb_drop_all(struct db_session *s, const char *left_out, struct error *e)
{
    struct db_rows rows = {0};
    const char *sql = arena_printf(
        s->arena,
        "SELECT CASE TABLE_TYPE WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE'"
        " ELSE 'TABLE' END, TABLE_NAME FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT IN (%s)"
        " UNION ALL SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES"
        " WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE IN ('PROCEDURE', 'FUNCTION')"
        " UNION ALL SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS"
        " WHERE EVENT_SCHEMA = DATABASE()",
        left_out);
    int rc = db_query(s, s->arena, sql, NULL, 0, &rows, e);
    if (rc == 0) {
        rc = db_exec(s, "SET SESSION foreign_key_checks = 0", e);
    }
    for (size_t i = 0; rc == 0 && i < rows.count; i++) {
        struct buf b;
        buf_init(&b, s->arena, LIMIT_TEXT_BYTES);
        buf_printf(&b, "DROP %s IF EXISTS `", db_cell(&rows, i, 0));
        for (const char *c = db_cell(&rows, i, 1); *c != '\0'; c++) {
            buf_puts(&b, *c == '`' ? "`" : "");
            buf_putc(&b, *c);
        }
        buf_putc(&b, '`');
        rc = db_exec(s, buf_text(&b), e);
    }
    return rc;
}

/* From here on it may be half-done, for whoever comes next; and here an old fence is refused. */
static int mark(struct db_session *s, const char *path, struct error *e)
{
    if (s->restoring == NULL) {
        return 0;
    }
    struct db_work work = *s->restoring;
    work.ledger = "restore";
    work.file = path;
    struct db_progress progress = {.state = "", .statement = "restore"};
    struct db_intent *open = NULL;
    size_t count = 0;
    int rc = db_intents_read(s, s->arena, work.ledger, &open, &count, e);
    if (rc < 0) {
        return rc;
    }
    return count > 0 ? db_intent_move(s, &work, &progress, e)
                     : db_intent_add(s, &work, &progress, e);
}

int mariadb_restore(struct db_session *s, struct act *act, const struct database_ref *ref,
                    const char *path, struct error *e)
{
    struct program p = {.argv = {"mariadb"}, .count = 1};
    struct strings left_out = {0};
    const char *quoted = NULL;
    if (strpbrk(path, "\n;") != NULL || path[0] != '/') {
        return db_fail(s, e, E_INVALID, "\"%.200s\" is no absolute path without ; in it", path);
    }
    struct strings none = {0};
    int rc = scan(s, path, &none, NULL, E_INVALID, e);
    rc = rc < 0 ? rc : connect_as(s, ref, &p, e);
    rc = rc < 0 ? rc : find_left_out(s, &quoted, &left_out, e);
    rc = rc < 0 ? rc : mark(s, path, e);
    bool begun = rc == 0;
    rc = rc < 0 ? rc : mariadb_drop_all(s, quoted, e);
    if (rc == 0) {
        add(&p, "--batch");
        add(&p, "--abort-source-on-error");
        add_pair(&p, s->arena, "--execute", arena_printf(s->arena, "source %s", path));
        add(&p, "--");
        add(&p, mariadb_of(s)->database);
        rc = run(act, s, &p, e);
    }
    secret_wipe(p.password);
    if (rc < 0 && begun) {
        return error_wrap(e, "the restore is half-done, the application must not start: remove the "
                             "reason and restore again");
    }
    return rc;
}
