/* Owns the form of a holder's files and the look at its flock. Secrets are written as references only. */
#include "lib/io/db/hold_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/process.h"

#define FILE_BYTES_MAX 65536
#define DIGEST_DIGITS  16

static const char *const state_names[] = {"none", "waiting", "held", "lost", "failed", "released"};

const char *hold_state_name(enum hold_state state)
{
    return state_names[state];
}

const char *hold_dir(struct arena *arena, const char *state_dir,
                     const struct database_ref *database)
{
    const struct secret *secret = database->url_secret;
    const char *where = arena_printf(arena, "%s|%s|%s", database->url != NULL ? database->url : "",
                                     secret != NULL && secret->file != NULL ? secret->file : "",
                                     secret != NULL && secret->env != NULL ? secret->env : "");
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(where, strlen(where), hex);
    return arena_printf(arena, "%s/" HOLD_DIRS "/%s-%.*s", state_dir, database->name, DIGEST_DIGITS,
                        hex);
}

static int write_json(struct arena *arena, const char *dir, const char *file, json_t *json,
                      struct error *e)
{
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(json);
    if (text == NULL) {
        return error_set(e, E_LIMIT, "out of memory");
    }
    const char *path = arena_printf(arena, "%s/%s", dir, file);
    int rc = file_write(path, text, strlen(text), 0600, e);
    free(text);
    return rc;
}

static int read_json(struct arena *arena, const char *dir, const char *file, json_t **ret,
                     struct error *e)
{
    char *text = NULL;
    size_t len = 0;
    const char *path = arena_printf(arena, "%s/%s", dir, file);
    int rc = file_read(arena, path, FILE_BYTES_MAX, &text, &len, e);
    if (rc < 0) {
        return rc;
    }
    json_t *json = json_loadb(text, len, 0, NULL);
    if (json == NULL) {
        return error_set(e, E_INVALID,
                         "%s is damaged: stop the holder that its directory names, then remove it",
                         path);
    }
    *ret = json;
    return 0;
}

static json_t *secret_json(const struct secret *secret)
{
    return secret == NULL ? json_null()
                          : json_pack("{s:s*, s:s*}", "file", secret->file, "env", secret->env);
}

static const char *text_of(struct arena *arena, const json_t *json, const char *key)
{
    return arena_strdup(arena, json_string_value(json_object_get(json, key)));
}

static int64_t number_of(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static struct secret *secret_of(struct arena *arena, const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_object(value)) {
        return NULL;
    }
    struct secret *secret = ARENA_NEW(arena, struct secret);
    secret->file = text_of(arena, value, "file");
    secret->env = text_of(arena, value, "env");
    return secret;
}

int hold_spec_write(struct arena *arena, const char *dir, const struct hold_spec *spec,
                    struct error *e)
{
    const struct database_ref *d = &spec->database;
    json_t *json =
        json_pack("{s:s, s:s*, s:o, s:o, s:s*, s:i, s:s, s:I, s:I, s:s*, s:s*}", "name", d->name,
                  "url", d->url, "password", secret_json(d->password), "url_secret",
                  secret_json(d->url_secret), "ledger", d->ledger, "format", spec->format, "run",
                  spec->run, "fence", (json_int_t)spec->fence, "wait_ms", (json_int_t)spec->wait_ms,
                  "leash", spec->leash, "step", spec->step);
    if (json == NULL) {
        return error_set(e, E_INVALID, "database %s: its URL is not UTF-8", d->name);
    }
    return write_json(arena, dir, HOLD_SPEC, json, e);
}

int hold_spec_read(struct arena *arena, const char *dir, struct hold_spec *ret, struct error *e)
{
    json_t *json = NULL;
    int rc = read_json(arena, dir, HOLD_SPEC, &json, e);
    if (rc < 0) {
        return rc;
    }
    *ret = (struct hold_spec){
        .database = {.name = text_of(arena, json, "name"),
                     .url = text_of(arena, json, "url"),
                     .password = secret_of(arena, json, "password"),
                     .url_secret = secret_of(arena, json, "url_secret"),
                     .ledger = text_of(arena, json, "ledger")},
        .format = (int)number_of(json, "format"),
        .run = text_of(arena, json, "run"),
        .fence = (uint64_t)number_of(json, "fence"),
        .wait_ms = number_of(json, "wait_ms"),
        .leash = text_of(arena, json, "leash"),
        .step = text_of(arena, json, "step"),
    };
    json_decref(json);
    if (ret->database.name == NULL || ret->run == NULL) {
        return error_set(e, E_INVALID, "%s/" HOLD_SPEC " is damaged", dir);
    }
    return 0;
}

int hold_status_write(struct arena *arena, const char *dir, const struct hold_status *status,
                      const struct db_holder *self, struct error *e)
{
    struct process_id id = {.pid = (pid_t)self->pid, .start_ticks = self->start_time};
    memcpy(id.boot_id, self->boot_id, MIN(strlen(self->boot_id), sizeof(id.boot_id) - 1));
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:i, s:s*, s:s*}", "state", hold_state_name(status->state),
        "run", status->run, "process", process_id_text(arena, &id), "backend_pid",
        (json_int_t)status->backend_pid, "fence", (json_int_t)status->fence, "code", status->code,
        "message", status->message, "yielded", status->yielded);
    if (json == NULL) {
        return error_set(e, E_INVALID, "the holder's state cannot be written as JSON");
    }
    return write_json(arena, dir, HOLD_STATUS, json, e);
}

/* ---- the wish ---- */

int hold_wish_write(struct arena *arena, const char *dir, const char **ret, struct error *e)
{
    static unsigned serial;
    struct process_id self;
    int rc = process_identify(getpid(), &self, e);
    if (rc < 0) {
        return rc;
    }
    const char *text = arena_printf(arena, "%s\n%" PRId64 " %u", process_id_text(arena, &self),
                                    process_clock_ms(), ++serial);
    /* Not durable: it means nothing without its process. A half-written one is none, and is followed by a signal. */
    const char *path = arena_printf(arena, "%s/" HOLD_YIELD, dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    ssize_t written = fd >= 0 ? write(fd, text, strlen(text)) : -1;
    int problem = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (written != (ssize_t)strlen(text)) {
        return file_error(e, written < 0 ? problem : ENOSPC, "write", path);
    }
    *ret = text;
    return 0;
}

int hold_wish_remove(struct arena *arena, const char *dir, struct error *e)
{
    const char *path = arena_printf(arena, "%s/" HOLD_YIELD, dir);
    return unlink(path) < 0 && errno != ENOENT ? file_error(e, errno, "remove", path) : 0;
}

const char *hold_wish_read(struct arena *arena, const char *dir)
{
    char *text = NULL;
    size_t len = 0;
    const char *path = arena_printf(arena, "%s/" HOLD_YIELD, dir);
    if (file_read(arena, path, FILE_BYTES_MAX, &text, &len, NULL) < 0) {
        return NULL;
    }
    struct process_id id;
    const char *process = arena_strndup(arena, text, strcspn(text, "\n"));
    return process_id_parse(process, &id) && process_alive(&id) ? text : NULL;
}

static bool is_locked(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    /* Shared: two that look do not take each other for a holder. */
    bool locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

bool hold_alive(struct arena *arena, const char *dir)
{
    return is_locked(arena_printf(arena, "%s/" HOLD_ALIVE, dir));
}

bool hold_leashed(const struct hold_spec *spec)
{
    return spec->leash == NULL || is_locked(spec->leash);
}

int hold_status_read(struct arena *arena, const char *dir, struct hold_status *ret, struct error *e)
{
    struct hold_status status = {.alive = hold_alive(arena, dir)};
    json_t *json = NULL;
    int rc = read_json(arena, dir, HOLD_STATUS, &json, e);
    if (rc < 0 && rc != E_NOT_FOUND) {
        return rc;
    }
    if (rc == 0) {
        const char *name = json_string_value(json_object_get(json, "state"));
        for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
            if (str_equal(name, state_names[i])) {
                status.state = (enum hold_state)i;
            }
        }
        status.run = text_of(arena, json, "run");
        status.process = text_of(arena, json, "process");
        struct process_id id;
        status.pid = status.process != NULL && process_id_parse(status.process, &id) ? id.pid : 0;
        status.backend_pid = number_of(json, "backend_pid");
        status.fence = (uint64_t)number_of(json, "fence");
        status.code = (int)number_of(json, "code");
        status.message = text_of(arena, json, "message");
        status.yielded = text_of(arena, json, "yielded");
        json_decref(json);
    }
    *ret = status;
    return 0;
}
