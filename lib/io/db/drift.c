/*
 * Owns the comparison of a schema with what a checkpoint recorded. It repairs nothing; where nothing is recorded it
 * records what is there, and says so.
 */
#include <jansson.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/db/migrate.h"

#define SAID_MAX       10  /* differences in an error and in the facts */
#define SAID_BYTES_MAX 330 /* of them in an error: its words before and after need the rest */

static int facts(struct act *act, const struct db_fingerprint *now, const struct strings *words,
                 bool recorded, struct error *e)
{
    json_t *list = json_array();
    for (size_t i = 0; i < words->count && i < SAID_MAX; i++) {
        json_array_append_new(list, json_string(words->items[i]));
    }
    return db_set_facts(act,
                        json_pack("{s:I, s:b, s:s, s:b, s:o}", "differences",
                                  (json_int_t)words->count, "drift", words->count > 0,
                                  "fingerprint", now->digest, "recorded", recorded, "words", list),
                        e);
}

/* "release 2.0.0" or "the last checkpoint", for sentences. */
static const char *subject(struct act *act, const struct db_drift_action *a)
{
    return str_empty(a->release) ? "the last checkpoint"
                                 : arena_printf(act->arena, "release %s", a->release);
}

static int record(struct act *act, const struct db_drift_action *a, struct error *e)
{
    struct db_checkpoint_action checkpoint = {.database = a->database,
                                              .format = a->format,
                                              .ledger = a->ledger,
                                              .release = a->release,
                                              .schema = a->schema};
    struct db_session s = {0};
    struct db_checkpoint c = {0};
    struct db_fingerprint now = {0};
    bool temporary = false;
    int rc = db_work_open(act, &s, &a->database, a->format, NULL, &temporary, e);
    if (rc == 0) {
        rc = db_checkpoint_now(act, &s, &checkpoint, &c, &now, e);
    }
    rc = db_work_close(act, &s, &a->database, a->format, temporary, rc, e);
    if (rc < 0) {
        return rc;
    }
    act_log(act, "database %s: no schema was recorded for %s: it is now (%s)", a->database.name,
            subject(act, a), now.digest);
    return facts(act, &now, &(struct strings){0}, true, e);
}

static int refuse(const struct db_drift_action *a, const struct db_checkpoint *was,
                  const struct strings *words, struct arena *arena, struct error *e)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    size_t said = 0;
    while (said < words->count && said < SAID_MAX &&
           (said == 0 || b.len + strlen(words->items[said]) < SAID_BYTES_MAX)) {
        buf_printf(&b, "%s%.*s", said > 0 ? "; " : "", SAID_BYTES_MAX, words->items[said]);
        said++;
    }
    if (said < words->count) {
        buf_printf(&b, "; and %zu more, in this step's log", words->count - said);
    }
    return error_set(e, E_CONFLICT,
                     "database %s: its schema is not the one recorded %s%s%s: %s. Put it right, or "
                     "plan with drift: warn",
                     a->database.name, was->at, str_empty(was->release) ? "" : " for release ",
                     was->release, buf_text(&b));
}

static int compare(struct act *act, const struct db_drift_action *a,
                   const struct db_checkpoint *checkpoint, const struct db_fingerprint *was,
                   const struct db_fingerprint *now, struct error *e)
{
    struct strings words = {0};
    db_fingerprint_differences(act->arena, was, now, &words);
    int rc = facts(act, now, &words, false, e);
    if (rc < 0 || words.count == 0) {
        return rc;
    }
    act_log(act, "database %s: the schema differs from the one of run %s, step %s, release %s, %s:",
            a->database.name, checkpoint->run, checkpoint->step, checkpoint->release,
            checkpoint->at);
    for (size_t i = 0; i < words.count; i++) {
        act_log(act, "  %s", words.items[i]);
    }
    return a->policy == DRIFT_WARN ? 0 : refuse(a, checkpoint, &words, act->arena, e);
}

/* Has the ledger moved on since the checkpoint? Then the schema has too, and that is no drift. */
static int moved_on(struct act *act, struct db_session *s, const struct db_drift_action *a,
                    const struct db_checkpoint *checkpoint, bool *ret, struct error *e)
{
    struct db_ledger ledger = {0};
    if (a->format == FORMAT_NONE || !str_empty(a->release) || checkpoint->run == NULL) {
        return 0;
    }
    int rc = db_ledger_read(s, act->arena, a->format, a->ledger, &ledger, e);
    if (rc < 0 || str_equal(db_ledger_digest(act->arena, &ledger), checkpoint->digest)) {
        return rc;
    }
    *ret = true;
    act_log(act,
            "database %s: its ledger is not the one of the last checkpoint (%llu applied then, %zu "
            "now): the schemas are not compared",
            a->database.name, (unsigned long long)checkpoint->applied, ledger.ids.count);
    return 0;
}

static int drift_once(struct act *act, const struct db_drift_action *a, struct error *e)
{
    struct db_session s = {0};
    struct db_checkpoint checkpoint = {0};
    struct db_fingerprint was = {0};
    struct db_fingerprint now = {0};
    int rc = db_open_to_look(act, &s, &a->database, true, e);
    if (rc == 0 && s.engine->objects == NULL) {
        act_log(act, "database %s: the schema of a %s database cannot be read yet: not compared",
                a->database.name, s.engine->name);
        db_close(&s);
        return 0;
    }
    if (rc == 0) {
        rc = db_fingerprint_of(&s, act->arena, str_empty(a->release) ? NULL : a->release,
                               &checkpoint, &was, e);
    }
    bool moved = false;
    if (rc == 0) {
        rc = moved_on(act, &s, a, &checkpoint, &moved, e);
    }
    if (rc == 0 && checkpoint.run != NULL) {
        rc = db_fingerprint_read(&s, act->arena, &now, e);
    }
    db_close(&s);
    if (rc < 0 || moved) {
        return rc < 0 ? rc : facts(act, &now, &(struct strings){0}, false, e);
    }
    return checkpoint.run != NULL ? compare(act, a, &checkpoint, &was, &now, e) : record(act, a, e);
}

int act_db_drift(struct act *act, const struct action *action, struct error *e)
{
    int rc;
    do {
        rc = drift_once(act, action->db_drift, e);
    } while (db_again(act, rc));
    return rc;
}
