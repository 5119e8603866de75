/* Owns the questions about what the ledger lacks: it looks, and asks about all of them in one transaction. */
#include "lib/io/db/claims.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/execute.h"
#include "lib/io/db/fingerprint.h"
#include "lib/migration/judge.h"

/* What stands there now, and what stood there at the checkpoints; read only when something is in doubt. */
struct scene {
    bool seen; /* the engine's schema can be read */
    bool bare;
    const char *fingerprint, *ledger_digest;
    struct db_checkpoint *checkpoints; /* oldest first */
    size_t count;
};

bool claims_is_question(const struct db_intent *intent)
{
    return str_equal(intent->progress.state, EXECUTE_CLAIMED);
}

bool claims_answered(const struct act *act, const struct db_intent *intent)
{
    return intent->asked_attempt != 0 && act->attempt > intent->asked_attempt &&
           str_equal(intent->asked_run, act->run) && str_equal(intent->asked_step, act->step);
}

static struct db_work work_of(const struct claims *c, const struct migration_item *item)
{
    return (struct db_work){.run = c->act->run,
                            .step = c->act->step,
                            .item = item->id,
                            .digest = item->sha256 != NULL ? item->sha256 : "",
                            .ledger = db_ledger_name(c->session, c->format, c->arena),
                            .file = item->file,
                            .fence = c->act->fence,
                            .attempt = c->act->attempt};
}

static const struct db_intent *intent_of(const struct claims *c, const char *id)
{
    for (size_t i = 0; i < c->intents_count; i++) {
        if (str_equal(c->intents[i].item, id)) {
            return &c->intents[i];
        }
    }
    return NULL;
}

int claims_forget(struct claims *c, struct error *e)
{
    size_t left = 0;
    for (size_t i = 0; i < c->intents_count; i++) {
        const struct db_intent *intent = &c->intents[i];
        /* Only a format whose ids are numbers looks at the version. */
        struct migration_item item = {
            .id = intent->item, .version = strtoll(intent->item, NULL, 10), .file = intent->file};
        if (!claims_is_question(intent) || !db_ledger_has(c->ledger, &item, c->format)) {
            c->intents[left++] = *intent;
            continue;
        }
        struct db_work work = work_of(c, &item);
        int rc = db_intent_remove(c->session, &work, e);
        if (rc < 0) {
            return rc;
        }
    }
    c->intents_count = left;
    return 0;
}

/* ---- looking ---- */

/* What every database of PostgreSQL has. */
static bool is_there_anyway(const struct db_object *o)
{
    return (str_equal(o->kind, "schema") && str_equal(o->name, "public")) ||
           (str_equal(o->kind, "extension") && str_equal(o->name, "plpgsql"));
}

static int see(struct claims *c, struct scene *ret, struct error *e)
{
    struct db_session *s = c->session;
    struct db_fingerprint now = {0};
    int rc = db_checkpoints_read(s, c->arena, &ret->checkpoints, &ret->count, e);
    if (rc < 0 || s->engine->objects == NULL) {
        return rc;
    }
    rc = db_fingerprint_read(s, c->arena, &now, e);
    if (rc < 0) {
        return rc;
    }
    ret->seen = ret->bare = true;
    for (size_t i = 0; i < now.count; i++) {
        ret->bare = ret->bare && is_there_anyway(&now.items[i]);
    }
    ret->fingerprint = now.digest;
    ret->ledger_digest = db_ledger_digest(c->arena, c->ledger);
    return 0;
}

static enum judge_says says_of(const struct db_evidence *evidence)
{
    if (str_equal(evidence->how, DB_HOW_SAID "retry")) {
        return JUDGE_SAYS_NOTHING;
    }
    return evidence->down ? JUDGE_SAYS_REVERTED : JUDGE_SAYS_APPLIED;
}

static void compare(const struct scene *scene, const struct db_evidence *evidence,
                    struct judge_claim *ret)
{
    const struct db_checkpoint *after = NULL; /* the first one that covers it */
    for (size_t i = 0; i < scene->count && after == NULL; i++) {
        after = scene->checkpoints[i].evidence >= evidence->number ? &scene->checkpoints[i] : NULL;
    }
    ret->bare = scene->bare;
    if (!scene->seen || after == NULL) {
        return; /* what it made was never looked at */
    }
    const struct db_checkpoint *newest = &scene->checkpoints[scene->count - 1];
    /* One that was written with the ledger of now speaks of a state without it. */
    ret->as_left = str_equal(newest->fingerprint, scene->fingerprint) &&
                   !str_equal(newest->digest, scene->ledger_digest);
    for (const struct db_checkpoint *c = scene->checkpoints; c < after; c++) {
        if (str_equal(c->fingerprint, scene->fingerprint) &&
            str_equal(c->digest, scene->ledger_digest)) {
            ret->as_before = true;
            ret->moved = !str_equal(after->fingerprint, c->fingerprint);
        }
    }
}

/* ---- asking ---- */

static const char *knows(struct arena *arena, const struct db_evidence *evidence)
{
    bool ran = str_equal(evidence->how, DB_HOW_RAN);
    const char *digest = ran ? arena_printf(arena, ", SHA-256 %.12s", evidence->digest) : "";
    return arena_printf(arena, "%s by run %s, %s, at %s%s", ran ? "ran" : evidence->how,
                        evidence->run, evidence->step, evidence->at, digest);
}

static int ask_one(struct claims *c, const struct migration_item *item, const char *words,
                   bool stands, struct error *e)
{
    struct db_work work = work_of(c, item);
    struct db_progress progress = {.state = EXECUTE_CLAIMED, .statement = words};
    int rc = stands ? 0 : db_intent_add(c->session, &work, &progress, e);
    return rc < 0 ? rc : db_intent_asked(c->session, &work, e);
}

struct question {
    const struct migration_item *item;
    const char *words; /* what the evidence knows */
    bool stands;       /* it was asked before */
};

static int ask(struct claims *c, const struct question *list, size_t count, const char *why,
               struct error *e)
{
    int rc = db_begin(c->session, e);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = ask_one(c, list[i].item, list[i].words, list[i].stands, e);
    }
    rc = rc < 0 ? rc : db_commit(c->session, e);
    if (rc < 0) {
        db_rollback(c->session);
        return rc;
    }
    const char *more = count > 1 ? arena_printf(c->arena, ", and %zu more like it", count - 1) : "";
    return error_set(e, E_UNKNOWN,
                     "%s is not in the ledger of database %s, but the evidence says that it %s: "
                     "%s. Was the ledger emptied, or was it taken back%s? Nothing has run. Look "
                     "at what it makes. `retry` runs it again; or `lockstep db` marks %s as "
                     "applied or as reverted, or runs it the other way",
                     list[0].item->file, c->session->name, list[0].words, why, more,
                     list[0].item->id);
}

/* ---- all of them ---- */

static int by_item(const void *key, const void *element)
{
    return strcmp(key, ((const struct db_evidence *)element)->item);
}

static bool is_open(const struct claims *c, const struct migration_item *item,
                    const struct db_intent *intent)
{
    bool marked = c->ledger->mark != DB_MARK_NONE && str_equal(c->ledger->mark_id, item->id);
    bool begun = intent != NULL && !claims_is_question(intent);
    return !marked && !begun && !db_ledger_has(c->ledger, item, c->format);
}

static int check_item(struct claims *c, const struct migration_item *item,
                      const struct db_evidence *evidence, struct scene **scene,
                      struct question *ret, const char **ret_why, struct error *e)
{
    const struct db_intent *intent = intent_of(c, item->id);
    struct judge_claim claim = {.says = says_of(evidence),
                                .answered = intent != NULL && claims_answered(c->act, intent)};
    const char *why = "";
    if (claim.says == JUDGE_SAYS_APPLIED && !claim.answered) {
        if (*scene == NULL) {
            *scene = ARENA_NEW(c->arena, struct scene);
            int rc = see(c, *scene, e);
            if (rc < 0) {
                return rc;
            }
        }
        compare(*scene, evidence, &claim);
    }
    if (judge_claim(&claim, &why) == JUDGE_ASK) {
        *ret = (struct question){item, knows(c->arena, evidence), intent != NULL};
        *ret_why = why;
    } else if (claim.says == JUDGE_SAYS_APPLIED) {
        act_log(c->act, "%s: %s, and the ledger does not have it; it runs: %s", item->file,
                knows(c->arena, evidence), why);
    }
    return 0;
}

int claims_check(struct claims *c, struct error *e)
{
    struct db_evidence *evidence = NULL;
    size_t evidence_count = 0;
    int rc = claims_forget(c, e);
    rc = rc < 0 ? rc
                : db_evidence_newest(c->session, c->arena,
                                     db_ledger_name(c->session, c->format, c->arena), &evidence,
                                     &evidence_count, e);
    if (rc < 0 || evidence_count == 0) {
        return rc;
    }
    struct question *list = ARENA_ARRAY(c->arena, c->count, struct question);
    size_t count = 0;
    const char *why = "";
    struct scene *scene = NULL;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        const struct migration_item *item = &c->items[i];
        const struct db_evidence *found =
            bsearch(item->id, evidence, evidence_count, sizeof(*evidence), by_item);
        if (found == NULL || !is_open(c, item, intent_of(c, item->id))) {
            continue;
        }
        const char *reason = NULL;
        rc = check_item(c, item, found, &scene, &list[count], &reason, e);
        if (reason != NULL) {
            why = count == 0 ? reason : why;
            count++;
        }
    }
    return rc < 0 || count == 0 ? rc : ask(c, list, count, why, e);
}
