/*
 * Owns a PostgreSQL backup: pg_dump's custom format, listed back by pg_restore. Left out: Lockstep's own schema and
 * the rows of a tool's lock, which would lock a restored database.
 */
#include "lib/io/db/postgres.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/format.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/secret.h"

#define ARGUMENTS_MAX 24

static int run(struct act *act, struct db_session *s, const char *const *argv, size_t count,
               const char *password, struct process_result *ret, struct error *e)
{
    struct env_value env[2] = {
        {.name = "PGAPPNAME", .value = arena_printf(act->arena, "lockstep %s", act->run)},
        {.name = "PGPASSWORD", .value = password}};
    struct command command = {
        .argv = {.items = (const char **)argv, .count = count},
        .env = {.items = env, .count = password != NULL ? 2 : 1},
        .output_bytes_max = LIMIT_RECORD_BYTES,
    };
    struct process_run_options options = {
        .command = &command,
        .directory = act->work_dir,
        .log_fd = -1,
        .timeout_ms = MAX(act_left_ms(act), 1),
        .pid_file = arena_printf(act->arena, "%s/backup.pid", act->work_dir),
    };
    int rc = process_end_recorded(options.pid_file, e); /* a dead worker's */
    if (rc == 0) {
        rc = process_run(act->arena, &options, ret, e);
    }
    if (rc == E_NOT_FOUND) {
        return error_wrap(
            e, "database %s: install PostgreSQL's client programs (postgresql-client)", s->name);
    }
    if (rc == 0 && !process_succeeded(ret)) {
        return db_fail(s, e, ret->timed_out ? E_TIMEOUT : E_DATABASE, "%s: %s",
                       process_words(act->arena, &command, ret),
                       ret->output != NULL ? ret->output : "");
    }
    return rc;
}

/* From the place where the secrets are, again: nothing keeps them. */
static int find_password(struct db_session *s, const struct database_ref *ref,
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

int postgres_dump(struct db_session *s, struct act *act, const struct database_ref *ref,
                  const char *path, struct error *e)
{
    const char *conninfo = NULL;
    const char *password = NULL;
    int rc = find_password(s, ref, &conninfo, &password, e);
    const char *argv[ARGUMENTS_MAX] = {
        "pg_dump", "-Fc", "--no-password", "--exclude-schema=lockstep", "-f", path};
    size_t count = 6;
    for (size_t i = 0; rc == 0 && i < db_formats_count && count < ARGUMENTS_MAX - 2; i++) {
        const char *table = NULL;
        rc = db_formats[i]->lock_table != NULL ? db_formats[i]->lock_table(s, s->arena, &table, e)
                                               : 0;
        if (rc == 0 && table != NULL) {
            argv[count++] = arena_printf(s->arena, "--exclude-table-data=%s", table);
        }
    }
    struct process_result result = {0};
    if (rc == 0) {
        argv[count++] = "-d";
        argv[count++] = conninfo;
        rc = run(act, s, argv, count, password, &result, e);
    }
    if (rc == 0) {
        const char *list[] = {"pg_restore", "--list", path};
        rc = run(act, s, list, ARRAY_SIZE(list), NULL, &result, e);
    }
    secret_wipe(password);
    return rc;
}
