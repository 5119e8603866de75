/*
 * Owns the statement of an extra step: it runs once in its run and step. It is cut and carried out as a migration is
 * (units.h, execute.h), but for a ledger: none knows of it. It refuses to begin or end a transaction.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/db/execute.h"
#include "lib/io/db/migrate.h"
#include "lib/io/platform/digest.h"

#define ITEM "sql"

/* No tool keeps a ledger of it. */
static const struct db_format no_format = {.kind = FORMAT_NONE, .name = ITEM};

static struct bytes text_of(const struct db_sql_action *a)
{
    return (struct bytes){.data = (const uint8_t *)a->statement, .len = strlen(a->statement)};
}

static int look_at(struct arena *arena, const struct db_sql_action *a, enum db_engine_kind engine,
                   struct error *e)
{
    struct script script;
    script_read(arena, text_of(a), engine, &script);
    int rc = script_check(&script, 1, e);
    for (size_t i = 0; rc == 0 && i < script.count; i++) {
        if (statement_controls(&script.items[i])) {
            rc = error_set(e, E_INVALID,
                           "the statement begins or ends a transaction; it runs in one of "
                           "Lockstep's own, together with its evidence: leave BEGIN and COMMIT "
                           "out");
        }
    }
    return rc;
}

static int read_units(struct execute *x, const struct db_sql_action *a, struct error *e)
{
    const struct db_engine *engine = x->session->engine;
    struct migration_pieces pieces = {0};
    const struct units_rules rules = {.engine = engine->kind,
                                      .schema_in_transactions = engine->schema_in_transactions,
                                      .transactional = true};
    int rc = look_at(x->arena, a, engine->kind, e);
    rc = rc < 0 ? rc : migration_whole(x->arena, text_of(a), false, &pieces, e);
    return rc < 0 ? rc : units_of(x->arena, &pieces, &rules, &x->units, e);
}

/* Of this run and step; nobody else's. */
static int find_intent(struct execute *x, const struct db_intent **ret, struct error *e)
{
    struct db_intent *intents = NULL;
    size_t count = 0;
    int rc = db_intents_read(x->session, x->arena, x->work.ledger, &intents, &count, e);
    *ret = rc == 0 && count > 0 ? &intents[0] : NULL;
    return rc;
}

static int run(struct execute *x, const struct db_sql_action *a, struct error *e)
{
    const struct db_intent *intent = NULL;
    size_t from = 0;
    int rc = read_units(x, a, e);
    rc = rc < 0 ? rc : find_intent(x, &intent, e);
    x->intent = intent != NULL;
    if (rc == 0 && intent != NULL) {
        rc = execute_resume(x, intent, &from, e);
    }
    if (rc == 0) {
        rc = from < x->units.count ? execute_units(x, from, e) : execute_outcome(x, e);
    }
    return rc;
}

static int look_and_run(struct act *act, struct execute *x, const struct db_sql_action *a,
                        struct error *e)
{
    struct db_evidence evidence = {0};
    int rc = db_evidence_find(x->session, act->arena, &x->work, &evidence, e);
    if (rc < 0) {
        return rc;
    }
    if (evidence.found && !str_equal(evidence.digest, x->work.digest)) {
        return error_set(e, E_CONFLICT, "step %s ran another statement at %s: plan again",
                         act->step, evidence.at);
    }
    if (evidence.found) {
        act_log(act, "database %s: the statement ran at %s already", a->database.name, evidence.at);
        return 0;
    }
    return run(x, a, e);
}

static int once(struct act *act, const struct db_sql_action *a, const struct db_trace *trace,
                struct error *e)
{
    char hex[DIGEST_HEX_BYTES];
    digest_bytes_hex(a->statement, strlen(a->statement), hex);
    struct db_session s = {0};
    struct waits waits;
    const struct migration_item item = {.id = ITEM, .file = ITEM};
    struct execute x = {.act = act,
                        .session = &s,
                        .format = &no_format,
                        .database = &a->database,
                        .item = &item,
                        .arena = act->arena,
                        .waits = &waits};
    x.work =
        (struct db_work){.run = act->run,
                         .step = act->step,
                         .item = ITEM,
                         .digest = hex,
                         .ledger = arena_printf(act->arena, ITEM " %s %s", act->run, act->step),
                         .fence = act->fence,
                         .attempt = act->attempt};
    bool temporary = false;
    waits_init(&waits, act, &a->database, 0);
    waits.file = ITEM;
    int rc = db_work_open(act, &s, &a->database, FORMAT_NONE, trace, &temporary, e);
    if (rc == 0) {
        waits_watch(&waits, &s);
        rc = look_and_run(act, &x, a, e);
        if (rc < 0 && strstr(e->message, "database ") == NULL) {
            error_wrap(e, "database %s", a->database.name);
        }
    }
    return db_work_close(act, &s, &a->database, FORMAT_NONE, temporary, rc, e);
}

int db_sql(struct act *act, const struct db_sql_action *a, const struct db_trace *trace,
           struct error *e)
{
    int rc;
    do {
        rc = once(act, a, trace, e);
    } while (db_again(act, rc));
    return rc;
}

int act_db_sql(struct act *act, const struct action *action, struct error *e)
{
    return db_sql(act, action->sql, NULL, e);
}
