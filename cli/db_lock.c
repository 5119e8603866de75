/*
 * Owns `lockstep db lock`: who holds a database's locks, Lockstep's own and the tool's. Looking changes nothing; --let-go
 * ends only what an interrupted run of this state directory left.
 */
#include "cli/db_run.h"
#include "cli/output.h"
#include "lib/base/str.h"

static json_t *state_json(const struct db_lock_state *state)
{
    return json_pack("{s:b, s:o}", "held", (int)state->held, "words",
                     json_text(state->held ? state->words : NULL));
}

static int look(struct db_call *call, struct db_look *look, struct db_lock_state *tool,
                struct error *e)
{
    struct db_session s = {0};
    int rc = db_look_open(call, &s, e);
    rc = rc < 0 ? rc : db_look(call, &s, look, e);
    if (rc == 0 && call->format != NULL) {
        rc = db_tool_lock_state(&s, call->arena, (int)call->format->kind, tool, e);
    }
    db_close(&s);
    return rc;
}

static void print_lock(const struct db_call *call, const struct db_look *look,
                       const struct db_lock_state *tool)
{
    printf("lockstep   %s\n", look->lock.held ? look->lock.words : "free");
    if (call->format != NULL) {
        printf("%-10s %s\n", call->format->name, tool->held ? tool->words : "free");
    }
}

int db_show_lock(struct context *c)
{
    struct db_call call;
    int status = CLI_WRONG_USE;
    if (!db_call_read(c, DB_NEEDS_NOTHING, &call, &status)) {
        return status;
    }
    struct error e = {0};
    if (args_flag(&c->args, "let-go")) {
        bool was = false;
        if (db_let_go(&call, &was, &e) < 0) {
            return db_fail_with(&e);
        }
        say("%s", was ? "the interrupted run's lock is let go"
                      : "no interrupted run of this state directory holds it: nothing is let go");
    }
    struct db_look seen;
    struct db_lock_state tool = {0};
    if (look(&call, &seen, &tool, &e) < 0) {
        return db_fail_with(&e);
    }
    if (c->json) {
        print_json(json_pack("{s:s, s:o, s:o, s:I}", "database", call.ref.name, "lock",
                             state_json(&seen.lock), "tool_lock",
                             call.format != NULL ? state_json(&tool) : json_null(), "fence",
                             (json_int_t)seen.fence));
    } else {
        print_lock(&call, &seen, &tool);
    }
    return CLI_DONE;
}
