/* Owns `db retry|mark-applied|mark-reverted`: what a person says about a migration that was begun and not ended. */
#include "cli/db_run.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "lib/base/str.h"

static int find_item(struct db_call *call, const char *name, struct migration_item *ret,
                     struct error *e)
{
    const struct migration_set *set = &call->folder.set;
    uint64_t number = 0;
    bool is_number = str_to_u64(name, INT64_MAX, &number);
    for (size_t i = 0; i < set->count; i++) {
        const struct migration *m = &set->items[i];
        if (str_equal(m->id, name) || (is_number && (uint64_t)m->version == number)) {
            struct list items = migration_items(call->arena, m, 1, m->up.file == NULL);
            *ret = *(struct migration_item *)items.items;
            return 0;
        }
    }
    return error_set(e, E_NOT_FOUND, "there is no migration %s in %s", name, call->folder.from);
}

static int say_it(struct db_call *call, const struct migration_item *item, enum db_answer answer,
                  struct error *e)
{
    int rc = db_claim(call, "settle", e);
    bool claimed = rc == 0;
    rc = rc < 0 ? rc : db_take_lock(call, e);
    rc = rc < 0 ? rc : db_settle(&call->act, &call->ref, (int)call->format->kind, item, answer, e);
    struct error second = {0};
    int released = claimed ? db_give_lock(call, &second) : 0;
    if (rc == 0 && released < 0) {
        *e = second;
        rc = released;
    }
    db_disclaim(call, claimed && released == 0);
    return rc;
}

static int settle(struct context *c, enum db_answer answer)
{
    struct db_call call;
    int status = CLI_WRONG_USE;
    if (!db_call_read(c, DB_NEEDS_FOLDER, &call, &status)) {
        return status;
    }
    struct error e = {0};
    struct db_look look = {0};
    struct migration_item item = {0};
    int rc = find_item(&call, args_operand(&c->args, 0), &item, &e);
    rc = rc < 0 ? rc : say_it(&call, &item, answer, &e);
    rc = rc < 0 ? rc : db_look_once(&call, &look, &e);
    if (rc < 0) {
        return db_fail_with(&e);
    }
    if (c->json) {
        print_json(json_pack("{s:s, s:o, s:s, s:I, s:I}", "database", call.ref.name, "id",
                             json_text(item.id), "answer", db_answers[answer].word, "applied",
                             (json_int_t)look.applied.count, "unsettled",
                             (json_int_t)look.unsettled_count));
    } else {
        printf("database %s: %s is settled (%s): %s\n", call.ref.name, item.id,
               db_answers[answer].word, db_look_words(call.arena, &look));
    }
    return look.unsettled_count > 0 ? CLI_PAUSED : CLI_DONE;
}

static int retry(struct context *c)
{
    return settle(c, DB_ANSWER_RETRY);
}

static int mark_applied(struct context *c)
{
    return settle(c, DB_ANSWER_APPLIED);
}

static int mark_reverted(struct context *c)
{
    return settle(c, DB_ANSWER_REVERTED);
}

#define ABOUT_SETTLE                                                                               \
    "For a migration that `status` shows as open: it was begun, and nobody knows whether it ran "  \
    "to\n"                                                                                         \
    "its end. It is believed, noted in the database as a person's word, and nothing runs. ID is\n" \
    "its number, or its name in the ledger. The fourth answer is `lockstep db down`, which runs\n" \
    "its down script.\n"                                                                           \
    "\n"                                                                                           \
    "Ends with 3 when something else stands open still.\n"                                         \
    "\n"                                                                                           \
    "--json: {database, id, answer, applied, unsettled}\n"

static const struct option_spec settle_options[] = {
    DB_OPTIONS_WHERE, DB_OPTIONS_FORMAT, DB_OPTIONS_FOLDER, DB_OPTIONS_PLAN, DB_OPTIONS_LOCK,
};

const struct verb verb_db_retry = {
    .name = "db retry",
    .usage = "ID --url URL --format FORMAT --dir DIR",
    .summary = "what was begun and not ended may run again, from its beginning",
    .about = "Forgets that the migration was begun: the next `up` (or `down`) takes the whole\n"
             "script from its beginning. Right when nothing of it stands there, or when you have\n"
             "undone what did.\n"
             "\n" ABOUT_SETTLE,
    .example = "  lockstep db retry 47 --url postgres://mm@db1/chat --format morph --dir m\n",
    .options = settle_options,
    .option_count = ARRAY_SIZE(settle_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = retry,
};

const struct verb verb_db_mark_applied = {
    .name = "db mark-applied",
    .usage = "ID --url URL --format FORMAT --dir DIR",
    .summary = "what was begun and not ended is done: the ledger says so",
    .about = "The ledger says that the migration is applied, as its tool would write it. Right\n"
             "when all that it makes is there, or when you have finished it by hand.\n"
             "\n" ABOUT_SETTLE,
    .example =
        "  lockstep db mark-applied 47 --url postgres://mm@db1/chat --format morph --dir m\n",
    .options = settle_options,
    .option_count = ARRAY_SIZE(settle_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = mark_applied,
};

const struct verb verb_db_mark_reverted = {
    .name = "db mark-reverted",
    .usage = "ID --url URL --format FORMAT --dir DIR",
    .summary = "what was begun and not ended is undone: the ledger says so",
    .about = "The ledger says that the migration is not applied. Right when nothing that it makes\n"
             "is there, or when you have taken it away by hand.\n"
             "\n" ABOUT_SETTLE,
    .example =
        "  lockstep db mark-reverted 47 --url postgres://mm@db1/chat --format morph --dir m\n",
    .options = settle_options,
    .option_count = ARRAY_SIZE(settle_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = mark_reverted,
};
