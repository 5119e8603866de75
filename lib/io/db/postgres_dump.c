/*
 * Owns a PostgreSQL backup: pg_dump's custom format, listed back by pg_restore and compared with the tables that there
 * are. Left out: Lockstep's own schema and the rows of a tool's lock, which would lock a restored database.
 */
#include "lib/io/db/postgres.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/format.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/secret.h"

#define ARGUMENTS_MAX  24
#define LIST_BYTES_MAX (256u * 1024 * 1024)

int postgres_program(struct act *act, struct db_session *s, const struct strings *argv,
                     const char *password, struct process_result *ret, struct error *e)
{
    struct env_value env[2] = {
        {.name = "PGAPPNAME", .value = arena_printf(act->arena, "lockstep %s", act->run)},
        {.name = "PGPASSWORD", .value = password}};
    struct command command = {
        .argv = *argv,
        .env = {.items = env, .count = password != NULL ? 2 : 1},
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
    int rc = process_end_recorded(options.pid_file, e); /* a dead worker's */
    if (rc == 0) {
        rc = process_run(act->arena, &options, ret, e);
    }
    if (rc == E_NOT_FOUND) {
        return error_wrap(
            e, "database %s: install PostgreSQL's client programs (postgresql-client)", s->name);
    }
    if (rc == 0 && ret->stopped) {
        return db_program_was_stopped(e);
    }
    if (rc == 0 && !process_succeeded(ret)) {
        return db_fail(s, e, ret->timed_out ? E_TIMEOUT : E_DATABASE, "%s: %s",
                       process_words(act->arena, &command, ret),
                       ret->output != NULL ? ret->output : "");
    }
    return rc;
}

int postgres_find_password(struct db_session *s, const struct database_ref *ref,
                           const char **ret_conninfo, const char **ret_password, struct error *e)
{
    const char *url = ref->url;
    int rc = ref->url_secret != NULL ? secret_read(s->arena, ref->url_secret, &url, e) : 0;
    if (rc == 0) {
        rc = postgres_conninfo(s->arena, url, ret_conninfo, ret_password, e);
    }
    if (rc == 0 && ref->password != NULL) {
        rc = secret_read(s->arena, ref->password, ret_password, e);
    }
    return rc;
}

int postgres_lock_tables(struct db_session *s, struct strings *ret, struct error *e)
{
    ret->items = arena_array(s->arena, MAX(db_formats_count, 1), sizeof(*ret->items));
    ret->count = 0;
    for (size_t i = 0; i < db_formats_count; i++) {
        const char *table = NULL;
        int rc = db_formats[i]->lock_table != NULL
                     ? db_formats[i]->lock_table(s, s->arena, &table, e)
                     : 0;
        if (rc < 0) {
            return rc;
        }
        if (table != NULL) {
            ret->items[ret->count++] = table;
        }
    }
    return 0;
}

/* ---- reading it back ---- */

int postgres_backup_list(struct act *act, struct db_session *s, const char *path, char **ret,
                         struct error *e)
{
    const char *list = arena_printf(act->arena, "%s/backup.list", act->work_dir);
    const char *words[] = {"pg_restore", "--list", "-f", list, path};
    struct strings argv = {.items = words, .count = ARRAY_SIZE(words)};
    struct process_result result = {0};
    struct error why = {0};
    size_t len = 0;
    int rc = postgres_program(act, s, &argv, NULL, &result, &why);
    if (rc == E_DATABASE) {
        rc = error_set(&why, E_INVALID, "%s is no whole backup of PostgreSQL: %s", path,
                       result.output != NULL ? result.output : "");
    }
    if (rc == 0) {
        rc = file_read(act->arena, list, LIST_BYTES_MAX, ret, &len, &why);
    }
    file_remove(list, NULL);
    if (rc < 0 && e != NULL) {
        *e = why;
    }
    return rc;
}

/* The tables that a backup must hold, as pg_restore lists them: "public posts". */
static int list_tables(struct db_session *s, struct db_rows *ret, struct error *e)
{
    return db_query(
        s, s->arena,
        "SELECT n.nspname || ' ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid ="
        " c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"
        " AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'lockstep')"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
        " AND d.objid = c.oid AND d.deptype = 'e')",
        NULL, 0, ret, e);
}

static bool has_row(const struct db_rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (str_equal(db_cell(rows, i, 0), name)) {
            return true;
        }
    }
    return false;
}

/* What stood there before and after the dump must be in it. */
static int verify(struct act *act, struct db_session *s, const struct db_rows *before,
                  const char *path, struct error *e)
{
    char *list = NULL;
    struct db_rows after = {0};
    int rc = postgres_backup_list(act, s, path, &list, e);
    if (rc == 0) {
        rc = list_tables(s, &after, e);
    }
    for (size_t i = 0; rc == 0 && i < before->count; i++) {
        const char *name = db_cell(before, i, 0);
        if (strpbrk(name, "\r\n") == NULL && has_row(&after, name) &&
            strstr(list, arena_printf(s->arena, " TABLE %s ", name)) == NULL) {
            rc = db_fail(s, e, E_DATABASE, "the backup %s does not hold the table %s: it is none",
                         path, name);
        }
    }
    return rc;
}

int postgres_dump(struct db_session *s, struct act *act, const struct database_ref *ref,
                  const char *path, struct error *e)
{
    const char *conninfo = NULL;
    const char *password = NULL;
    struct strings locks = {0};
    struct db_rows tables = {0};
    int rc = postgres_find_password(s, ref, &conninfo, &password, e);
    const char *words[ARGUMENTS_MAX] = {
        "pg_dump", "-Fc", "--no-password", "--exclude-schema=lockstep", "--no-subscriptions",
        "-f",      path};
    struct strings argv = {.items = words, .count = 7};
    if (rc == 0) {
        rc = postgres_lock_tables(s, &locks, e);
    }
    for (size_t i = 0; i < locks.count && argv.count < ARGUMENTS_MAX - 2; i++) {
        words[argv.count++] = arena_printf(s->arena, "--exclude-table-data=%s", locks.items[i]);
    }
    if (rc == 0) {
        rc = list_tables(s, &tables, e);
    }
    struct process_result result = {0};
    if (rc == 0) {
        words[argv.count++] = "-d";
        words[argv.count++] = conninfo;
        rc = postgres_program(act, s, &argv, password, &result, e);
    }
    secret_wipe(password);
    return rc == 0 ? verify(act, s, &tables, path, e) : rc;
}
