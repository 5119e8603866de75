/*
 * Owns the backup that stands before the point of no return. A file appears under its name only whole and read
 * back; it refuses to call anything a backup that was not. Of the site's own procedure it believes the exit status, and
 * what it was told to look at: a file that is young enough, a command that verifies it.
 */
#include <glob.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/db/format.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

/* ---- the site's own procedure ---- */

static int run_command(struct act *act, const struct db_backup_action *a,
                       const struct command *command, const char *what, struct error *e)
{
    struct process_run_options options = {
        .command = command,
        .directory = act->work_dir,
        .log_fd = act->log_fd,
        .timeout_ms = act_left_ms(act),
        .pid_file = arena_printf(act->arena, "%s/backup.pid", act->work_dir),
    };
    if (command->timeout_ms > 0) {
        options.timeout_ms = MIN(options.timeout_ms, command->timeout_ms);
    }
    struct process_result result = {0};
    int rc = process_end_recorded(options.pid_file, e); /* a dead worker's */
    if (rc == 0) {
        rc = process_run(act->arena, &options, &result, e);
    }
    if (rc == 0 && !process_succeeded(&result)) {
        rc = error_set(e, E_IO, "database %s: %s: %s", a->database.name, what,
                       process_words(act->arena, command, &result));
    }
    return rc;
}

/* The youngest regular file that the pattern names; path NULL: none. */
struct found {
    const char *path;
    int64_t bytes;
    int64_t age_ms;
};

static struct found find_file(struct act *act, const char *pattern)
{
    struct found found = {0};
    glob_t names;
    if (glob(pattern, 0, NULL, &names) != 0) {
        return found;
    }
    int64_t youngest = INT64_MIN;
    for (size_t i = 0; i < names.gl_pathc; i++) {
        struct stat st;
        if (stat(names.gl_pathv[i], &st) < 0 || !S_ISREG(st.st_mode)) {
            continue;
        }
        int64_t at = st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
        if (at > youngest) {
            youngest = at;
            found.path = arena_strdup(act->arena, names.gl_pathv[i]);
            found.bytes = st.st_size;
            found.age_ms = MAX(act_now_ms() - at, 0);
        }
    }
    globfree(&names);
    return found;
}

static int verify_file(struct act *act, const struct db_backup_action *a, const char *path,
                       struct error *e)
{
    if (a->verify == NULL || a->verify->argv.count == 0) {
        return 0;
    }
    struct command command = *a->verify;
    struct env_value *env = arena_array(act->arena, a->verify->env.count + 1, sizeof(*env));
    if (a->verify->env.count > 0) {
        memcpy(env, a->verify->env.items, a->verify->env.count * sizeof(*env));
    }
    if (path != NULL) {
        env[command.env.count++] = (struct env_value){.name = "BACKUP_FILE", .value = path};
    }
    command.env.items = env;
    return run_command(act, a, &command, "the backup was not verified", e);
}

static int accept_file(struct act *act, const struct db_backup_action *a, const struct found *found,
                       bool made, struct error *e)
{
    int rc = verify_file(act, a, found->path, e);
    if (rc < 0) {
        return rc;
    }
    act_log(act, "database %s: the backup is %s, %s, %s old%s", a->database.name, found->path,
            str_bytes(act->arena, (uint64_t)found->bytes), str_duration(act->arena, found->age_ms),
            made ? "" : ": young enough, it is not made again");
    return db_set_facts(act,
                        json_pack("{s:I, s:I, s:b, s:b, s:s}", "age_ms", (json_int_t)found->age_ms,
                                  "bytes", (json_int_t)found->bytes, "command", true, "made", made,
                                  "path", found->path),
                        e);
}

/* With `file`: the procedure must leave one, not empty, and younger than the procedure itself or than max_age. */
static int run_with_file(struct act *act, const struct db_backup_action *a, struct error *e)
{
    struct found found = find_file(act, a->file);
    if (a->max_age_ms > 0 && found.path != NULL && found.bytes > 0 &&
        found.age_ms <= a->max_age_ms) {
        return accept_file(act, a, &found, false, e);
    }
    int64_t started_ms = act_now_ms();
    int rc = run_command(act, a, a->command, "the backup failed", e);
    if (rc < 0) {
        return rc;
    }
    found = find_file(act, a->file);
    /* A file system may keep whole seconds only. */
    int64_t age_max_ms = a->max_age_ms > 0 ? a->max_age_ms : act_now_ms() - started_ms + 2000;
    if (found.path == NULL || found.bytes == 0 || found.age_ms > age_max_ms) {
        const char *why = found.path == NULL ? "no such file is there" : "the newest is empty";
        if (found.path != NULL && found.bytes > 0) {
            why = arena_printf(act->arena, "the newest, %s, is %s old", found.path,
                               str_duration(act->arena, found.age_ms));
        }
        return error_set(
            e, E_IO, "database %s: the backup's command ended well, but left no backup at %s: %s",
            a->database.name, a->file, why);
    }
    return accept_file(act, a, &found, true, e);
}

static int run_own_procedure(struct act *act, const struct db_backup_action *a, struct error *e)
{
    if (!str_empty(a->file)) {
        return run_with_file(act, a, e);
    }
    int rc = run_command(act, a, a->command, "the backup failed", e);
    if (rc == 0) {
        rc = verify_file(act, a, NULL, e);
    }
    if (rc == 0) {
        act->facts = "{\"command\":true}";
    }
    return rc;
}

/* ---- the engine's own ---- */

/* What is known of the file, beside the bytes. */
struct backup_facts {
    const char
        *fingerprint; /* of the schema in it; NULL: it changed meanwhile, or cannot be told */
    struct strings half_done; /* migrations that stand half-done in it */
};

static int finish(struct act *act, const char *path, const struct backup_facts *facts,
                  struct error *e)
{
    char hex[DIGEST_HEX_BYTES];
    uint64_t bytes = 0;
    int rc = digest_file_hex(path, hex, &bytes, e);
    if (rc < 0) {
        return rc;
    }
    json_t *json =
        json_pack("{s:I, s:s, s:s}", "bytes", (json_int_t)bytes, "path", path, "sha256", hex);
    if (json != NULL && facts->fingerprint != NULL) {
        json_object_set_new(json, "fingerprint", json_string(facts->fingerprint));
    }
    if (json != NULL && facts->half_done.count > 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < facts->half_done.count; i++) {
            json_array_append_new(list, json_string(facts->half_done.items[i]));
        }
        json_object_set_new(json, "half_done", list);
    }
    return db_set_facts(act, json, e);
}

static const char *schema_of(struct db_session *s, struct act *act)
{
    struct db_fingerprint now = {0};
    return s->engine->objects != NULL && db_fingerprint_read(s, act->arena, &now, NULL) == 0
               ? now.digest
               : NULL;
}

/* A backup of what stands half-done holds it half-done. */
static int find_intents(struct act *act, struct db_session *s, struct strings *ret, struct error *e)
{
    struct db_intent *list = NULL;
    size_t count = 0;
    bool there = false;
    int rc = db_evidence_exists(s, &there, e);
    if (rc == 0 && there) {
        rc = db_intents_read(s, act->arena, NULL, &list, &count, e);
    }
    ret->items = arena_array(act->arena, count + 1, sizeof(*ret->items));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        act_log(act, "database %s: %s stands half-done (run %s, %s): the backup holds it so",
                s->name, list[i].file, list[i].run, list[i].at);
        ret->items[ret->count++] = list[i].file;
    }
    return rc;
}

static int dump(struct act *act, struct db_session *s, const struct db_backup_action *a,
                const char *path, struct backup_facts *facts, struct error *e)
{
    const char *partial = arena_printf(act->arena, "%s.partial", path);
    int rc = file_remove(partial, e);
    if (rc == 0) {
        const char *before = schema_of(s, act);
        rc = s->engine->dump(s, act, &a->database, partial, e);
        const char *after = rc == 0 && before != NULL ? schema_of(s, act) : NULL;
        facts->fingerprint = after != NULL && str_equal(before, after) ? after : NULL;
    }
    rc = rc < 0 ? rc : file_sync(partial, e);
    rc = rc < 0 ? rc : file_rename(partial, path, e);
    if (rc < 0) {
        file_remove(partial, NULL);
    }
    return rc;
}

/* The step is in the name: two backups of one run are two. A repeat of the same step finds its own. */
const char *db_backup_path(struct act *act, const char *directory, const char *database,
                           const char *run, const char *step)
{
    return arena_printf(act->arena, "%s/%s-%s-%s.backup", directory, database, run, step);
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
    const char *path = db_backup_path(act, a->directory, a->database.name, act->run, act->step);
    struct backup_facts facts = {0};
    struct db_session s = {0};
    struct db_options options = {.run = act->run, .read_only = true, .log_fd = act->log_fd};
    if (rc == 0) {
        rc = db_open_wait(&s, act->arena, &a->database, &options, act->deadline_ms, e);
    }
    rc = rc < 0 ? rc : find_intents(act, &s, &facts.half_done, e);
    if (rc == 0 && !file_exists(path)) {
        rc = dump(act, &s, a, path, &facts, e);
    }
    db_close(&s);
    return rc == 0 ? finish(act, path, &facts, e) : rc;
}
