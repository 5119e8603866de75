/*
 * Owns the backup that stands before the point of no return. A file appears under its name only whole and read
 * back; it refuses to call anything a backup that was not.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/db.h"
#include "lib/io/db/format.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

static int run_own_procedure(struct act *act, const struct db_backup_action *a, struct error *e)
{
    struct process_run_options options = {
        .command = a->command,
        .directory = act->work_dir,
        .log_fd = act->log_fd,
        .timeout_ms = act_left_ms(act),
        .pid_file = arena_printf(act->arena, "%s/backup.pid", act->work_dir),
    };
    if (a->command->timeout_ms > 0) {
        options.timeout_ms = MIN(options.timeout_ms, a->command->timeout_ms);
    }
    struct process_result result = {0};
    int rc = process_end_recorded(options.pid_file, e); /* a dead worker's */
    if (rc == 0) {
        rc = process_run(act->arena, &options, &result, e);
    }
    if (rc == 0 && !process_succeeded(&result)) {
        rc = error_set(e, E_IO, "database %s: the backup failed: %s", a->database.name,
                       process_words(act->arena, a->command, &result));
    }
    if (rc == 0) {
        act->facts = "{\"command\":true}";
    }
    return rc;
}

static int finish(struct act *act, const char *path, struct error *e)
{
    char hex[DIGEST_HEX_BYTES];
    uint64_t bytes = 0;
    int rc = digest_file_hex(path, hex, &bytes, e);
    if (rc < 0) {
        return rc;
    }
    json_t *json =
        json_pack("{s:I, s:s, s:s}", "bytes", (json_int_t)bytes, "path", path, "sha256", hex);
    char *text = json != NULL ? json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL) {
        return error_set(e, E_INVALID, "the backup's path is not UTF-8");
    }
    act->facts = arena_strdup(act->arena, text);
    free(text);
    return 0;
}

static int dump(struct act *act, const struct db_backup_action *a, const char *path,
                struct error *e)
{
    const char *partial = arena_printf(act->arena, "%s.partial", path);
    struct db_session s = {0};
    struct db_options options = {.run = act->run, .read_only = true, .log_fd = act->log_fd};
    int rc = file_remove(partial, e);
    if (rc == 0) {
        rc = db_open_wait(&s, act->arena, &a->database, &options, act->deadline_ms, e);
    }
    if (rc == 0) {
        rc = s.engine->dump(&s, act, &a->database, partial, e);
    }
    db_close(&s);
    if (rc == 0) {
        rc = file_sync(partial, e);
    }
    if (rc == 0) {
        rc = file_rename(partial, path, e);
    }
    if (rc < 0) {
        file_remove(partial, NULL);
    }
    return rc;
}

int act_db_backup(struct act *act, const struct action *action, struct error *e)
{
    const struct db_backup_action *a = action->db_backup;
    if (a->command != NULL && a->command->argv.count > 0) {
        return run_own_procedure(act, a, e);
    }
    if (str_empty(a->directory) || a->directory[0] != '/') {
        return error_set(e, E_INVALID,
                         "database %s: a backup needs an absolute directory, or a command",
                         a->database.name);
    }
    int rc = dir_make(a->directory, 0700, e);
    /* The step is in the name: two backups of one run are two. A repeat of the same step finds its own. */
    const char *path = arena_printf(act->arena, "%s/%s-%s-%s.backup", a->directory,
                                    a->database.name, act->run, act->step);
    if (rc == 0 && !file_exists(path)) {
        rc = dump(act, a, path, e);
    }
    return rc == 0 ? finish(act, path, e) : rc;
}
