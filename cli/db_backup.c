/*
 * Owns `lockstep db backup` and `restore`. A backup appears under its name only whole and read back; one that is there is
 * never written over. A restore asks for --yes, and holds the lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/db_run.h"
#include "cli/output.h"
#include "lib/base/str.h"
#include "lib/io/platform/files.h"

static int whole_path(struct arena *arena, const char *given, const char **ret, struct error *e)
{
    if (given[0] == '/') {
        *ret = given;
        return 0;
    }
    char *here = getcwd(NULL, 0);
    if (here == NULL) {
        return error_set(e, E_IO, "cannot tell the current directory: %s", strerror(errno));
    }
    *ret = arena_printf(arena, "%s/%s", here, given);
    free(here);
    return 0;
}

/* The action names its file by run and step: in a directory of its own beside the wanted one, then it gets its name. */
static int make(struct db_call *call, const char *to, struct error *e)
{
    if (file_exists(to)) {
        return error_set(e, E_EXISTS, "%s is there already: a backup is never written over", to);
    }
    const char *directory =
        arena_printf(call->arena, "%s/.%s", path_parent(call->arena, to), call->act.run);
    struct db_backup_action backup = {.database = call->ref, .directory = directory};
    struct action action = {.db_backup = &backup};
    int rc = act_db_backup(&call->act, &action, e);
    json_t *facts = rc == 0 ? json_loads(call->act.facts, 0, NULL) : NULL;
    const char *path = json_string_value(json_object_get(facts, "path"));
    if (rc == 0 && path != NULL) {
        rc = file_rename(path, to, e);
    }
    json_decref(facts);
    dir_remove(directory, NULL);
    return rc;
}

static void print_backup(const struct db_call *call, const char *to)
{
    json_t *facts = json_loads(call->act.facts, 0, NULL);
    if (call->c->json) {
        json_object_set_new(facts, "path", json_text(to));
        json_object_set_new(facts, "database", json_text(call->ref.name));
        print_json(facts);
        return;
    }
    printf("database %s: %s in %s, sha256 %s\n", call->ref.name,
           str_bytes(call->arena, (uint64_t)json_integer_value(json_object_get(facts, "bytes"))),
           to, json_string_value(json_object_get(facts, "sha256")));
    json_decref(facts);
}

int db_make_backup(struct context *c)
{
    struct db_call call;
    int status = CLI_WRONG_USE;
    const char *to = args_text(&c->args, "to");
    if (to == NULL) {
        say("into which file? Say --to FILE");
        return CLI_WRONG_USE;
    }
    if (!db_call_read(c, DB_NEEDS_NOTHING, &call, &status)) {
        return status;
    }
    struct error e = {0};
    int rc = whole_path(call.arena, to, &to, &e);
    rc = rc < 0 ? rc : db_act(&call, "backup", &e);
    rc = rc < 0 ? rc : make(&call, to, &e);
    if (rc < 0) {
        return db_fail_with(&e);
    }
    print_backup(&call, to);
    return CLI_DONE;
}

/* ---- restore ---- */

static int restore(struct db_call *call, const char *from, struct error *e)
{
    struct db_restore_action restore = {
        .database = call->ref, .format = (int)call->format->kind, .path = from};
    struct action action = {.db_restore = &restore};
    int rc = db_claim(call, "restore", e);
    bool claimed = rc == 0;
    rc = rc < 0 ? rc : db_take_lock(call, e);
    rc = rc < 0 ? rc : act_db_restore(&call->act, &action, e);
    struct error second = {0};
    int released = claimed ? db_give_lock(call, &second) : 0;
    if (rc == 0 && released < 0) {
        *e = second;
        rc = released;
    }
    db_disclaim(call, claimed && rc != E_UNAVAILABLE && rc != E_UNKNOWN && released == 0);
    return rc;
}

int db_run_restore(struct context *c)
{
    struct db_call call;
    int status = CLI_WRONG_USE;
    const char *from = args_text(&c->args, "from");
    if (from == NULL) {
        say("from which file? Say --from FILE");
        return CLI_WRONG_USE;
    }
    if (!db_call_read(c, DB_NEEDS_FORMAT, &call, &status)) {
        return status;
    }
    if (!args_flag(&c->args, "yes")) {
        say("all that is in database %s now goes, and what %s holds comes instead: stop the "
            "application, then say --yes",
            call.ref.name, from);
        return CLI_WRONG_USE;
    }
    struct error e = {0};
    struct db_look look = {0};
    int rc = whole_path(call.arena, from, &from, &e);
    rc = rc < 0 ? rc : restore(&call, from, &e);
    rc = rc < 0 ? rc : db_look_once(&call, &look, &e);
    if (rc < 0) {
        return db_fail_with(&e);
    }
    if (c->json) {
        print_json(json_pack("{s:s, s:s, s:I}", "database", call.ref.name, "path", from, "applied",
                             (json_int_t)look.applied.count));
    } else {
        printf("database %s is as %s has it: %s\n", call.ref.name, from,
               db_look_words(call.arena, &look));
    }
    return CLI_DONE;
}
