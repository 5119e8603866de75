/* Owns the checks of extra steps, drain and undrain: what they do, where and when. */
#include "lib/base/str.h"
#include "lib/spec/check.h"

static void check_wait(const struct checker *c, const struct wait_action *wait)
{
    check_regex(c, &wait->matches, wait->matches, 0);
    if (wait->file != NULL) {
        return;
    }
    if (wait->matches != NULL) {
        check_say(c, &wait->matches,
                  "matches: belongs to wait: { file }; for http and command write it inside");
    }
    if (wait->stall_ms != 0) {
        check_say(c, &wait->stall_ms,
                  "stall: belongs to wait: { file }: only a file can be seen growing");
    }
}

static void check_follow(const struct checker *c, const struct application *app,
                         const struct extra_step *step, const struct follow_action *follow)
{
    const char *name = follow->database.name;
    if (step->scope == SCOPE_NODE) {
        check_say(c, follow,
                  "follow needs scope: once or database: its work is one, not each node's");
    } else if (step->scope == SCOPE_DATABASE && name != NULL) {
        check_say(c, &follow->database.name, "database: of follow is the step's own here");
    } else if (step->scope == SCOPE_ONCE && name == NULL) {
        check_say(c, follow, "follow needs database:, where its progress is asked");
    } else if (name != NULL && !check_has_database(app, name)) {
        check_no_database(c, &follow->database.name, "follow", name, app);
    }
    if (follow->run != NULL && marks_find(c->marks, &follow->run->command.timeout_ms).line != 0) {
        check_say(c, &follow->run->command.timeout_ms,
                  "timeout: has no meaning here: stall: and within: of follow end the command");
    }
}

static void check_do(const struct checker *c, const struct application *app,
                     const struct extra_step *step, const struct action *action)
{
    if (action->follow != NULL) {
        check_follow(c, app, step, action->follow);
    }
    if (action->sql != NULL && step->scope != SCOPE_DATABASE) {
        check_say(c, &action->sql, "sql needs scope: database, which says where it runs");
    }
    if (step->scope == SCOPE_DATABASE && (action->service != NULL || action->health != NULL)) {
        check_say(c, action->service != NULL ? (const void *)&action->service : &action->health,
                  "service and health are for nodes: with scope: database there is none");
    }
    if (action->wait != NULL) {
        check_wait(c, action->wait);
        if (action->wait->http != NULL) {
            check_regex(c, &action->wait->http->matches, action->wait->http->matches, 0);
        }
        if (action->wait->command != NULL) {
            check_regex(c, &action->wait->command->matches, action->wait->command->matches, 0);
        }
    }
    if (action->health != NULL) {
        check_checks(c, &action->health->checks);
    }
}

static void check_scope(const struct checker *c, const struct application *app,
                        const struct extra_step *step)
{
    if (step->database != NULL && step->scope != SCOPE_DATABASE) {
        check_say(c, &step->database, "database: belongs to scope: database");
    } else if (step->database != NULL && !check_has_database(app, step->database)) {
        check_no_database(c, &step->database, "database", step->database, app);
    } else if (step->scope == SCOPE_DATABASE && app->databases.count == 0) {
        check_say(c, &step->scope, "scope: database, but the application has no databases:");
    }
    if (step->on != NULL && step->scope != SCOPE_ONCE) {
        check_say(c, &step->on, "on: belongs to scope: once");
    }
}

static void check_step(const struct checker *c, const struct application *app,
                       const struct extra_step *step)
{
    if (step->after == POINT_NONE && step->before == POINT_NONE &&
        marks_find(c->marks, &step->after).line == 0 &&
        marks_find(c->marks, &step->before).line == 0) {
        check_say(c, step, "an extra step needs after: or before: with a point of the hop");
    }
    if (step->after != POINT_NONE && step->before != POINT_NONE) {
        check_say(c, &step->before, "after: and before: exclude each other");
    }
    check_scope(c, app, step);
    check_when(c, step->when);
    for (size_t i = 0; i < step->actions.count; i++) {
        check_do(c, app, step, LIST_AT(&step->actions, const struct action, i));
    }
    for (size_t i = 0; i < step->undo.count; i++) {
        check_do(c, app, step, LIST_AT(&step->undo, const struct action, i));
    }
    if (step->undo.count > 0 && step->irreversible != NULL) {
        check_say(c, &step->undo, "undo: and irreversible: exclude each other");
    }
    if (step->undo.count > 0 && (step->when == NULL || step->when->direction == WHEN_ANY)) {
        check_say(c, &step->undo,
                  "undo: needs when: { direction: up } or down: on the way back a step of both "
                  "directions would run beside its own undo");
    }
    if (step->undo.count == 0 && step->undo_looks) {
        check_say(c, &step->undo_looks, "undo_looks: says something of undo:, which is not there");
    }
}

static void check_drain(const struct checker *c, const struct application *app, const char *key,
                        const struct list *actions)
{
    const struct extra_step step = {.name = key, .scope = SCOPE_NODE};
    for (size_t i = 0; i < actions->count; i++) {
        const struct action *action = LIST_AT(actions, const struct action, i);
        if (action->run == NULL && action->wait == NULL && action->health == NULL) {
            check_say(c, action, "%s: is for run, wait and health: %s belongs to extra_steps", key,
                      action_kind_name(action_kind(action)));
        } else {
            check_do(c, app, &step, action);
        }
    }
}

void check_extra_steps(const struct checker *c, const struct application *app)
{
    check_drain(c, app, "drain", &app->drain);
    check_drain(c, app, "undrain", &app->undrain);
    if (app->undrain.count > 0 && app->drain.count == 0) {
        check_say(c, &app->undrain, "undrain: takes back what drain: does, and there is none");
    }
    for (size_t i = 0; i < app->extra_steps.count; i++) {
        const struct extra_step *step = LIST_AT(&app->extra_steps, const struct extra_step, i);
        check_step(c, app, step);
        for (size_t j = 0; j < i && step->name != NULL; j++) {
            const struct extra_step *other = LIST_AT(&app->extra_steps, const struct extra_step, j);
            if (str_equal(step->name, other->name)) {
                check_say(c, &step->name,
                          "extra step \"%s\" is there twice, the first is at line %d", step->name,
                          marks_find(c->marks, &other->name).line);
                break;
            }
        }
    }
}
