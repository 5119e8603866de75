/*
 * Owns the making and the taking away of a rehearsal's clone and directory. Dead rehearsals are cleared up first: their
 * programs are ended, their holders stopped, their clones removed. It refuses to touch what no rehearsal has made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/db/fingerprint.h"
#include "lib/io/db/hold.h"
#include "lib/io/db/rehearse_parts.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define DIRECTORY        "rehearsals"
#define RECORD           "clone.json"
#define RECORD_BYTES_MAX 65536
#define NAME_BYTES_MAX   63
#define END_MS           60000 /* clearing up has this long, whatever the deadline was */
#define NAME_ENDING      "_lockstep_rehearsal_"

static const struct rehearse_engine *const engines[] = {&rehearse_postgres, &rehearse_sqlite,
                                                        &rehearse_mariadb};

const struct database_ref *rehearse_clone(const struct rehearsal *r)
{
    return &r->ref;
}

const char *rehearse_place(const struct rehearsal *r)
{
    return r->clone.place;
}

uint64_t rehearse_bytes(const struct rehearsal *r)
{
    return r->bytes;
}

int64_t rehearse_clone_ms(const struct rehearsal *r)
{
    return r->clone_ms;
}

/* ---- what is ours alone ---- */

static int lock_alive(const char *home, int *ret_fd, bool *ret_locked, struct error *e)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/alive", home);
    *ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*ret_fd < 0) {
        return file_error(e, errno, "write", path);
    }
    *ret_locked = flock(*ret_fd, LOCK_EX | LOCK_NB) == 0;
    return 0;
}

/* It gets its name when it is locked: whoever looks for the dead never meets it unlocked. */
static int make_home(struct rehearsal *r, struct error *e)
{
    const char *top = arena_printf(r->arena, "%s/" DIRECTORY, r->outer.state_dir);
    const char *before = arena_printf(r->arena, "%s/.%s", top, r->outer.run);
    r->home = arena_printf(r->arena, "%s/%s", top, r->outer.run);
    bool locked = false;
    int rc = dir_make(arena_printf(r->arena, "%s/work", before), 0700, e);
    rc = rc < 0 ? rc : dir_make(arena_printf(r->arena, "%s/states", before), 0700, e);
    rc = rc < 0 ? rc : lock_alive(before, &r->alive_fd, &locked, e);
    if (rc == 0 && rename(before, r->home) < 0) {
        rc = file_error(e, errno, "make", r->home);
    }
    return rc;
}

static int name_clone(struct rehearsal *r, struct error *e)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return error_set(e, E_IO, "the system gives no random number: %s", strerror(errno));
    }
    size_t len = strlen(r->options.live->name);
    size_t room = NAME_BYTES_MAX - strlen(NAME_ENDING) - 16;
    r->name = arena_printf(r->arena, "%.*s" NAME_ENDING "%016llx", (int)MIN(len, room),
                           r->options.live->name, (unsigned long long)random);
    json_t *json = json_pack("{s:s, s:s}", "database", r->options.live->name, "name", r->name);
    char *text = json_dumps(json, JSON_SORT_KEYS);
    json_decref(json);
    int rc = text == NULL ? error_set(e, E_INVALID, "the database's name is no text")
                          : file_write(arena_printf(r->arena, "%s/" RECORD, r->home), text,
                                       strlen(text), 0600, e);
    free(text);
    return rc;
}

/* ---- the dead ---- */

static int bury(struct rehearsal *r, const char *home, struct error *e)
{
    char *text = NULL;
    size_t len = 0;
    int rc = process_end_recorded(arena_printf(r->arena, "%s/work/backup.pid", home), e);
    rc = rc < 0 ? rc : hold_stop_all(&r->outer, home, e);
    struct error missing;
    if (rc == 0 && r->engine->sweep_named != NULL &&
        file_read(r->arena, arena_printf(r->arena, "%s/" RECORD, home), RECORD_BYTES_MAX, &text,
                  &len, &missing) == 0) {
        json_t *json = json_loadb(text, len, 0, NULL);
        const char *name = json_string_value(json_object_get(json, "name"));
        const char *database = json_string_value(json_object_get(json, "database"));
        if (name != NULL && str_equal(database, r->options.live->name)) {
            rc = r->engine->sweep_named(r, name, e);
        }
        json_decref(json);
    }
    return rc < 0 ? rc : dir_remove(home, e);
}

static int bury_dead(struct rehearsal *r, struct error *e)
{
    const char *top = arena_printf(r->arena, "%s/" DIRECTORY, r->outer.state_dir);
    DIR *d = opendir(top);
    int rc = 0;
    for (struct dirent *entry = NULL; rc == 0 && d != NULL && (entry = readdir(d)) != NULL;) {
        const char *home = arena_printf(r->arena, "%s/%s", top, entry->d_name);
        int fd = -1;
        bool locked = false;
        if (entry->d_name[0] == '.' || !file_exists(arena_printf(r->arena, "%s/alive", home))) {
            continue; /* being made, or kept */
        }
        rc = lock_alive(home, &fd, &locked, e);
        if (rc == 0 && locked) {
            act_log(&r->outer, "clearing up after the rehearsal %s, which is dead", entry->d_name);
            rc = bury(r, home, e);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return rc;
}

/* ---- begin and end ---- */

static int blob(struct act *act, const char *sha256, const char **ret_path, struct error *e)
{
    struct rehearsal *r = act->shell;
    return r->outer.blob(&r->outer, sha256, ret_path, e);
}

static bool stopped(struct act *act)
{
    struct rehearsal *r = act->shell;
    return act_stopped(&r->outer);
}

static int open_live(struct rehearsal *r, struct error *e)
{
    struct db_options options = {
        .run = arena_printf(r->arena, "%s rehearsal", r->outer.run),
        .log_fd = r->outer.log_fd,
    };
    int rc = db_open(&r->live, r->arena, r->options.live, &options, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(engines); i++) {
        if (engines[i]->kind == r->live.engine->kind) {
            r->engine = engines[i];
        }
    }
    assert(rc < 0 || r->engine != NULL);
    return rc;
}

static int begin(struct rehearsal *r, struct error *e)
{
    int64_t started = process_clock_ms();
    int rc = open_live(r, e);
    rc = rc < 0 ? rc : bury_dead(r, e);
    rc = rc < 0 || r->engine->sweep == NULL ? rc : r->engine->sweep(r, e);
    rc = rc < 0 ? rc : make_home(r, e);
    if (rc < 0) {
        return rc;
    }
    r->act.state_dir = r->home;
    r->act.work_dir = r->outer.work_dir = arena_printf(r->arena, "%s/work", r->home);
    if (r->act.leash == NULL) {
        r->act.leash = arena_printf(r->arena, "%s/alive", r->home);
    }
    rc = name_clone(r, e);
    rc = rc < 0 ? rc : r->engine->make(r, e);
    r->clone_ms = process_clock_ms() - started;
    return rc;
}

int rehearse_begin(struct act *act, const struct rehearse_options *options, struct rehearsal **ret,
                   struct error *e)
{
    if (str_empty(options->live->url)) {
        return error_set(e, E_INVALID, "database %s: a rehearsal needs its url:, not url_from:",
                         options->live->name);
    }
    struct rehearsal *r = ARENA_NEW(act->arena, struct rehearsal);
    *r = (struct rehearsal){.outer = *act, .act = *act, .arena = act->arena, .options = *options};
    r->alive_fd = -1;
    arena_init(&r->clone_arena);
    r->act.shell = r;
    r->act.blob = blob;
    r->act.stopped = stopped;
    r->act.progress = NULL;
    r->act.fence = 1;
    r->act.attempt = 1;
    int rc = begin(r, e);
    if (rc < 0) {
        struct error ignored;
        rehearse_end(r, false, &ignored);
        return rc;
    }
    *ret = r;
    return 0;
}

static int end(struct rehearsal *r, bool keep, struct error *e)
{
    int rc = hold_stop_all(&r->outer, r->home, e);
    rc = rc < 0 || str_empty(r->ref.url) ? rc : r->engine->remove(r, keep, e);
    if (rc < 0) {
        return rc; /* the directory says what is left, for the next rehearsal */
    }
    if (!keep) {
        return dir_remove(r->home, e);
    }
    static const char *const parts[] = {"work", "states", "holders"};
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++) {
        rc = dir_remove(arena_printf(r->arena, "%s/%s", r->home, parts[i]), e);
    }
    rc = rc < 0 ? rc : file_remove(arena_printf(r->arena, "%s/" RECORD, r->home), e);
    rc = rc < 0 ? rc : file_remove(arena_printf(r->arena, "%s/alive", r->home), e);
    rmdir(r->home); /* nothing but a SQLite clone stays there */
    return rc;
}

int rehearse_end(struct rehearsal *r, bool keep, struct error *e)
{
    if (r == NULL) {
        return 0;
    }
    r->act.deadline_ms = MAX(r->act.deadline_ms, act_now_ms() + END_MS);
    r->outer.deadline_ms = r->act.deadline_ms;
    int rc = r->home != NULL && file_exists(r->home) ? end(r, keep, e) : 0;
    db_close(&r->clone);
    db_close(&r->live);
    arena_deinit(&r->clone_arena);
    if (r->alive_fd >= 0) {
        close(r->alive_fd);
    }
    return rc;
}
