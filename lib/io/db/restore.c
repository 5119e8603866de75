/*
 * Owns the action that puts a database back to a backup: which file, that it is the right one, the lock, and what is
 * compared afterwards. How it is done in one transaction is the engine's.
 */
#include <jansson.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/db/migrate.h"
#include "lib/io/platform/digest.h"
#include "lib/io/platform/files.h"

struct restoring {
    struct act *act;
    const struct db_restore_action *a;
    const char *path;
    struct db_work work;
    bool already;
};

static int find_file(struct restoring *r, struct error *e)
{
    const struct db_restore_action *a = r->a;
    r->path = a->path;
    if (str_empty(a->path) && !str_empty(a->directory) && !str_empty(a->backup_step)) {
        r->path =
            db_backup_path(r->act, a->directory, a->database.name,
                           str_empty(a->backup_run) ? r->act->run : a->backup_run, a->backup_step);
    }
    if (str_empty(r->path) || r->path[0] != '/') {
        return error_set(e, E_INVALID,
                         "database %s: a restore needs the absolute path of a backup, or the "
                         "directory and the step that made it",
                         a->database.name);
    }
    char hex[DIGEST_HEX_BYTES];
    uint64_t bytes = 0;
    int rc = digest_file_hex(r->path, hex, &bytes, e);
    if (rc < 0) {
        return error_wrap(e, "database %s: the backup", a->database.name);
    }
    if (bytes == 0 || (a->sha256 != NULL && !str_equal(a->sha256, hex))) {
        return error_set(
            e, E_INVALID,
            "database %s: %s is not the backup that was made (%s): nothing was changed",
            a->database.name, r->path, bytes == 0 ? "it is empty" : "its SHA-256 is another one");
    }
    r->work = (struct db_work){.run = r->act->run,
                               .step = r->act->step,
                               .item = DB_RESTORED,
                               .digest = arena_strdup(r->act->arena, hex),
                               .fence = r->act->fence,
                               .attempt = r->act->attempt};
    return 0;
}

/* Intents speak of a state that is going. */
static int say_intents(struct restoring *r, struct db_session *s, struct error *e)
{
    struct db_intent *list = NULL;
    size_t count = 0;
    int rc = db_intents_read(s, r->act->arena, NULL, &list, &count, e);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        act_log(r->act,
                "database %s: %s stood half-done (run %s, %s): it goes with the state it "
                "stood in",
                s->name, list[i].file, list[i].run, list[i].at);
    }
    return rc;
}

/* For an engine that does not do it in its own transaction. */
static int leave_evidence(struct restoring *r, struct db_session *s, struct error *e)
{
    struct db_evidence evidence = {0};
    int rc = db_evidence_find(s, r->act->arena, &r->work, &evidence, e);
    if (rc < 0 || evidence.found) {
        return rc;
    }
    rc = db_begin(s, e);
    rc = rc < 0 ? rc
                : db_exec(s, arena_printf(s->arena, "DELETE FROM %sintent", s->engine->prefix), e);
    rc = rc < 0 ? rc : db_evidence_add(s, &r->work, DB_HOW_RAN, e);
    rc = rc < 0 ? rc : db_commit(s, e);
    if (rc < 0) {
        db_rollback(s);
    }
    return rc;
}

static int restore(struct restoring *r, struct db_session *s, struct error *e)
{
    struct db_evidence evidence = {0};
    int rc = db_evidence_find(s, r->act->arena, &r->work, &evidence, e);
    if (rc == 0 && evidence.found && !str_equal(evidence.digest, r->work.digest)) {
        return error_set(e, E_CONFLICT,
                         "database %s: step %s restored another file at %s: plan again", s->name,
                         r->act->step, evidence.at);
    }
    r->already = evidence.found;
    if (rc < 0 || r->already) {
        return rc;
    }
    if (s->engine->restore == NULL) {
        return db_fail(s, e, E_INVALID, "%s databases cannot be restored", s->engine->name);
    }
    rc = say_intents(r, s, e);
    s->restoring = &r->work;
    rc = rc < 0 ? rc : s->engine->restore(s, r->act, &r->a->database, r->path, e);
    s->restoring = NULL;
    return rc < 0 ? rc : leave_evidence(r, s, e);
}

static int compare(struct restoring *r, struct db_session *s, struct error *e)
{
    struct db_fingerprint now = {0};
    if (s->engine->objects != NULL) {
        int rc = db_fingerprint_read(s, r->act->arena, &now, e);
        if (rc < 0) {
            return rc;
        }
    }
    int rc = db_set_facts(r->act,
                          json_pack("{s:b, s:s?, s:s}", "already", r->already, "fingerprint",
                                    now.digest, "path", r->path),
                          e);
    if (rc == 0 && r->a->fingerprint != NULL && !str_equal(r->a->fingerprint, now.digest)) {
        return error_set(e, E_CONFLICT,
                         "database %s: it was restored from %s, but its schema is not the one at "
                         "the backup: look before anything starts",
                         s->name, r->path);
    }
    return rc;
}

static int restore_once(struct restoring *r, struct error *e)
{
    const struct db_restore_action *a = r->a;
    struct db_session s = {0};
    bool temporary = false;
    int rc = db_work_open(r->act, &s, &a->database, a->format, NULL, &temporary, e);
    if (rc == 0) {
        rc = restore(r, &s, e);
    }
    if (rc == 0) {
        rc = compare(r, &s, e);
    }
    return db_work_close(r->act, &s, &a->database, a->format, temporary, rc, e);
}

int act_db_restore(struct act *act, const struct action *action, struct error *e)
{
    struct restoring r = {.act = act, .a = action->db_restore};
    int rc = find_file(&r, e);
    if (rc < 0) {
        return rc;
    }
    if (r.a->look) {
        return db_set_facts(act, json_pack("{s:s, s:s}", "path", r.path, "sha256", r.work.digest),
                            e);
    }
    do {
        rc = restore_once(&r, e);
    } while (db_again(act, rc));
    return rc;
}
