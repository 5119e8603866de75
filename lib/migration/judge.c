/* Owns the decision. It looks at nothing: the caller has looked. */
#include "lib/migration/judge.h"

static enum judge_verdict say(enum judge_verdict verdict, const char *why, const char **ret_why)
{
    *ret_why = why;
    return verdict;
}

static enum judge_verdict judge_index(const struct judge_case *c, const char **ret_why)
{
    if (c->index_drop) {
        return c->index_is ? say(JUDGE_RUN, "the index is still there", ret_why)
               : c->index_was
                   ? say(JUDGE_RAN, "the index is gone", ret_why)
                   : say(JUDGE_RUN, "there was no such index, and there is none", ret_why);
    }
    if (!c->index_is) {
        return say(JUDGE_RUN, "there is no such index", ret_why);
    }
    if (c->index_was && c->index_same) {
        return say(JUDGE_RUN, "the index that stood there before stands there", ret_why);
    }
    return c->index_valid ? say(JUDGE_RAN, "the index is there and valid", ret_why)
                          : say(JUDGE_CLEAN, "it left an invalid index", ret_why);
}

static enum judge_verdict judge_state(const struct judge_case *c, const char **ret_why)
{
    switch (c->seen) {
    case JUDGE_BLIND:
        break;
    case JUDGE_SAME:
        if (c->schema_only) {
            return say(JUDGE_RUN, "the schema is as it was before", ret_why);
        }
        if (c->atomic && c->surely) {
            return say(JUDGE_RUN, "the schema is as it was, and it would have changed it", ret_why);
        }
        return say(JUDGE_ASK, "the schema is as it was, and its rows cannot tell", ret_why);
    case JUDGE_CHANGED:
        return c->atomic
                   ? say(JUDGE_RAN, "the schema has changed, and it runs as a whole or not at all",
                         ret_why)
                   : say(JUDGE_ASK, "the schema has changed, and part of it may be missing",
                         ret_why);
    }
    return say(JUDGE_ASK, "nothing tells whether it ran", ret_why);
}

enum judge_verdict judge(const struct judge_case *c, const char **ret_why)
{
    if (c->other_text) {
        return c->answered ? say(JUDGE_RESTART, "a person said so", ret_why)
                           : say(JUDGE_ASK, "the script is not the one that was begun", ret_why);
    }
    if (c->answered) {
        return say(JUDGE_RUN, "a person said so", ret_why);
    }
    if (c->unknown) {
        return say(JUDGE_ASK, "part of it may have run", ret_why);
    }
    if (c->session_lost) {
        return say(JUDGE_ASK, "its session is gone, with what an earlier statement left there",
                   ret_why);
    }
    if (c->not_begun) {
        return say(JUDGE_RUN, "what stands before it was done, and it was not begun", ret_why);
    }
    switch (c->kind) {
    case UNIT_FREE:
    case UNIT_OWN:
        return say(JUDGE_RUN, "it would have been noted in its own transaction", ret_why);
    case UNIT_SESSION:
    case UNIT_UNDONE:
        return say(JUDGE_RUN, "it leaves nothing", ret_why);
    case UNIT_ALONE:
        break;
    }
    if (c->repeatable) {
        return say(JUDGE_RUN, "doing it twice does no harm", ret_why);
    }
    return c->index ? judge_index(c, ret_why) : judge_state(c, ret_why);
}

enum judge_verdict judge_claim(const struct judge_claim *c, const char **ret_why)
{
    switch (c->says) {
    case JUDGE_SAYS_NOTHING:
        return say(JUDGE_RUN, "no evidence says that it ran", ret_why);
    case JUDGE_SAYS_REVERTED:
        return say(JUDGE_RUN, "the evidence says that it was taken back", ret_why);
    case JUDGE_SAYS_APPLIED:
        break;
    }
    if (c->answered) {
        return say(JUDGE_RUN, "a person said so", ret_why);
    }
    if (c->bare) {
        return say(JUDGE_RUN, "nothing of any migration stands in the database", ret_why);
    }
    if (c->as_left) {
        return say(JUDGE_ASK, "the schema is still as that run left it", ret_why);
    }
    if (c->as_before && c->moved) {
        return say(JUDGE_RUN, "schema and ledger are those from before it ran", ret_why);
    }
    if (c->as_before) {
        return say(JUDGE_ASK, "it changed nothing that the schema shows, so its rows may stand",
                   ret_why);
    }
    return say(JUDGE_ASK, "nothing tells whether it was taken back", ret_why);
}
