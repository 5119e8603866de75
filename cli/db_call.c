/*
 * Owns the options that all verbs of `lockstep db` share. A password that was written into the URL is taken out of it at
 * once and travels to the lock's holder in the environment: no file of ours ever holds it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/db.h"
#include "cli/db_url.h"
#include "cli/output.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

#define PASSWORD_ENV "LOCKSTEP_DB_PASSWORD"
#define WAIT_MS      (2 * 60 * 1000)
#define TIMEOUT_MS   (60 * 60 * 1000)

int db_status_of(int code)
{
    switch (code) {
    case 0:
        return CLI_DONE;
    case E_UNKNOWN:
        return CLI_PAUSED;
    case E_UNAVAILABLE:
        return CLI_UNREACHABLE;
    case E_CONFLICT:
        return CLI_MOVED;
    case E_CANCELLED:
        return CLI_INTERRUPTED;
    default:
        return CLI_FAILED;
    }
}

int db_fail_with(const struct error *e)
{
    say_error(e);
    return db_status_of(e->code);
}

static int duration(const struct args *args, const char *name, int64_t fallback, int64_t *ret,
                    struct error *e)
{
    const char *text = args_text(args, name);
    *ret = fallback;
    if (text == NULL || str_to_duration_ms(text, ret)) {
        return 0;
    }
    return error_set(e, E_INVALID, "--%s wants a duration like 30s, 2m or 1h, not \"%s\"", name,
                     text);
}

static int url_text(const struct args *args, const char **ret, struct error *e)
{
    const char *url = args_text(args, "url");
    const char *env = args_text(args, "url-env");
    if ((url == NULL) == (env == NULL)) {
        return error_set(e, E_INVALID,
                         "which database? Say it with either --url URL or --url-env NAME");
    }
    *ret = url != NULL ? url : getenv(env);
    if (str_empty(*ret)) {
        return error_set(e, E_INVALID, "%s %s", env != NULL ? env : "--url",
                         env != NULL ? "is not set, or is empty: --url-env names it" : "is empty");
    }
    return 0;
}

static int password(struct db_call *call, const char *in_url, struct error *e)
{
    const struct args *args = &call->c->args;
    const char *env = args_text(args, "password-env");
    const char *file = args_text(args, "password-file");
    if ((env != NULL) + (file != NULL) + (in_url != NULL) > 1) {
        return error_set(e, E_INVALID,
                         "the password is said twice: one of --password-env, --password-file and "
                         "the URL");
    }
    if (in_url != NULL) {
        setenv(PASSWORD_ENV, in_url, 1);
        env = PASSWORD_ENV;
    }
    char *whole = file != NULL ? realpath(file, NULL) : NULL; /* the holder starts elsewhere */
    call->password.env = env;
    call->password.file = whole != NULL ? arena_strdup(call->arena, whole) : file;
    free(whole);
    call->ref.password = env != NULL || file != NULL ? &call->password : NULL;
    return 0;
}

static int database(struct db_call *call, struct error *e)
{
    const struct args *args = &call->c->args;
    const char *text = NULL;
    struct db_url url;
    int rc = url_text(args, &text, e);
    char *here = rc == 0 ? getcwd(NULL, 0) : NULL;
    if (rc == 0) {
        rc = db_url_read(call->arena, text, here != NULL ? here : "", &url, e);
    }
    free(here);
    if (rc < 0) {
        return rc;
    }
    if (url.password != NULL && text == args_text(args, "url")) {
        memset((char *)text, '*', strlen(text)); /* no longer in the list of processes */
    }
    const char *ledger = args_text(args, "ledger");
    if (ledger != NULL && url.ledger != NULL && !str_equal(ledger, url.ledger)) {
        return error_set(e, E_INVALID,
                         "--ledger says %s and the URL's x-migrations-table says %s: which one?",
                         ledger, url.ledger);
    }
    call->ref = (struct database_ref){
        .name = url.name, .url = url.url, .ledger = ledger != NULL ? ledger : url.ledger};
    return password(call, url.password, e);
}

static int format(struct db_call *call, struct error *e)
{
    const char *word = args_text(&call->c->args, "format");
    const char **words = ARENA_ARRAY(call->arena, migration_formats_count, const char *);
    for (size_t i = 0; i < migration_formats_count; i++) {
        words[i] = migration_formats[i]->name;
        if (str_equal(word, words[i])) {
            call->format = migration_formats[i];
            return 0;
        }
    }
    const char *known = str_join(call->arena, words, migration_formats_count);
    return word == NULL
               ? error_set(e, E_INVALID, "whose migrations? --format is one of %s", known)
               : error_set(e, E_INVALID, "--format %s is not known: it is one of %s", word, known);
}

static int state_dir(struct db_call *call, struct error *e)
{
    const char *given = args_text(&call->c->args, "state");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (given != NULL && given[0] != '/') {
        char *here = getcwd(NULL, 0);
        given = arena_printf(call->arena, "%s/%s", here != NULL ? here : "", given);
        free(here);
    }
    if (given != NULL) {
        call->state_dir = given;
    } else if (!str_empty(xdg)) {
        call->state_dir = arena_printf(call->arena, "%s/lockstep", xdg);
    } else if (!str_empty(home)) {
        call->state_dir = arena_printf(call->arena, "%s/.local/state/lockstep", home);
    } else {
        return error_set(
            e, E_INVALID,
            "where is what a run needs remembered? There is no $HOME: say --state DIR");
    }
    return 0;
}

static int read_options(struct db_call *call, enum db_need need, struct error *e)
{
    const struct args *args = &call->c->args;
    bool folder = need == DB_NEEDS_FOLDER || need == DB_NEEDS_NO_DATABASE;
    int rc = need == DB_NEEDS_NO_DATABASE ? 0 : database(call, e);
    bool planned = folder && args_text(args, "plan") != NULL; /* it says the format itself */
    bool wants_format = need != DB_NEEDS_NOTHING && !planned;
    if (rc == 0 && (wants_format || args_text(args, "format") != NULL)) {
        rc = format(call, e);
    }
    if (rc == 0) {
        rc = duration(args, "wait", WAIT_MS, &call->wait_ms, e);
    }
    if (rc == 0) {
        rc = duration(args, "timeout", TIMEOUT_MS, &call->timeout_ms, e);
    }
    if (rc == 0 && need != DB_NEEDS_NO_DATABASE) {
        rc = state_dir(call, e);
    }
    if (rc == 0 && folder && planned == (args_text(args, "dir") != NULL)) {
        rc = error_set(e, E_INVALID, "where are the migrations? Say --dir DIR%s",
                       planned ? " or --plan FILE, not both" : "");
    }
    return rc;
}

bool db_call_read(struct context *c, enum db_need need, struct db_call *ret, int *ret_status)
{
    *ret = (struct db_call){.c = c, .arena = c->arena, .claim_fd = -1};
    struct error e = {0};
    if (read_options(ret, need, &e) < 0) {
        say_error(&e);
        *ret_status = CLI_WRONG_USE;
        return false;
    }
    const char *plan = args_text(&c->args, "plan");
    int rc = 0;
    if (need == DB_NEEDS_FOLDER || need == DB_NEEDS_NO_DATABASE) {
        rc = plan != NULL ? db_folder_read_plan(ret, plan, &e)
                          : db_folder_read(ret, args_text(&c->args, "dir"), &e);
    }
    if (rc < 0) {
        *ret_status = db_fail_with(&e);
    }
    return rc == 0;
}
