/*
 * Owns the rehearsal as an action: what a plan would run on a database, on a clone of it. It refuses a ledger that is not as
 * planned. Whoever stops listening ends it, and the clone goes.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/db/rehearse.h"

#define CLONE_KEY "rehearse_on: at the database in the Cluster"

static int name_run(struct act *act, struct error *e)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return error_set(e, E_IO, "the system gives no random number: %s", strerror(errno));
    }
    act->run = arena_printf(act->arena, "rehearsal-%016llx", (unsigned long long)random);
    act->step = "";
    return 0;
}

static void say(struct act *act, const char *words)
{
    if (act->progress != NULL) {
        act->progress(act, 0, 0, words);
    }
}

/* The clone is what the database was a moment ago; the plan may be older. */
static int compare_ledger(struct act *act, const struct db_rehearse_action *a,
                          const struct database_ref *clone, struct error *e)
{
    struct db_session s = {0};
    struct db_ledger ledger = {0};
    int rc = db_open_to_look(act, &s, clone, true, e);
    rc = rc < 0 ? rc : db_ledger_read(&s, act->arena, a->format, NULL, &ledger, e);
    db_close(&s);
    for (size_t i = 0; rc == 0 && i < a->there.count; i++) {
        const struct migration_item *item = &((const struct migration_item *)a->there.items)[i];
        if (db_ledger_has(&ledger, item, a->format) != a->down) {
            rc = error_set(e, E_CONFLICT,
                           "database %s: %s is %s by now: somebody migrated it since the plan was "
                           "made. Plan again",
                           a->database.name, item->file != NULL ? item->file : item->id,
                           a->down ? "not applied any more" : "applied");
        }
    }
    return rc;
}

static int on_the_clone(struct act *act, const struct db_rehearse_action *a, struct rehearsal *r,
                        struct rehearse_report *report, struct error *e)
{
    const struct rehearse_way way = {.there = a->there, .back = a->back, .down = a->down};
    int rc = compare_ledger(act, a, rehearse_clone(r), e);
    return rc < 0 ? rc : rehearse_run(r, &way, report, e);
}

static int rehearse(struct act *act, const struct db_rehearse_action *a,
                    const struct rehearse_options *options, struct rehearse_telling *telling,
                    struct rehearse_report *report, struct error *e)
{
    struct rehearsal *r = NULL;
    struct error second = {0};
    say(act, "making the clone");
    int rc = rehearse_begin(act, options, &r, e);
    if (rc < 0) {
        return rc;
    }
    telling->clone = arena_strdup(act->arena, rehearse_place(r));
    telling->bytes = rehearse_bytes(r);
    telling->clone_ms = rehearse_clone_ms(r);
    rc = on_the_clone(act, a, r, report, e);
    say(act, "removing the clone");
    int ended = rehearse_end(r, false, &second);
    if (rc == 0 && ended < 0) {
        *e = second;
        rc = ended;
    }
    return rc;
}

int act_db_rehearse(struct act *act, const struct action *action, struct error *e)
{
    const struct db_rehearse_action *a = action->db_rehearse;
    const struct rehearse_options options = {.live = &a->database,
                                             .clone = a->clone,
                                             .clone_key = CLONE_KEY,
                                             .format = a->format,
                                             .rows_bytes_max = (uint64_t)a->rows_bytes_max};
    struct rehearse_report report = {.down = a->down};
    struct rehearse_telling telling = {.options = &options,
                                       .report = &report,
                                       .count = a->there.count,
                                       .down = a->down,
                                       .one_way = a->back.count == 0 && a->no_way_back == NULL,
                                       .no_way_back = a->no_way_back};
    struct act mine = *act;
    int rc = name_run(&mine, e);
    rc = rc < 0 || a->there.count == 0 ? rc : rehearse(&mine, a, &options, &telling, &report, e);
    telling.rc = rc;
    telling.error = e;
    struct error second = {0};
    int told = db_set_facts(act, rehearse_json(&telling), &second);
    if (rc == 0 && told < 0) {
        *e = second;
        rc = told;
    }
    return rc;
}
