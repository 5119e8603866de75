/* Owns the words that operators say to a fleet: what each may do in which state, and why not. Each is recorded with who and
 * why before it has an effect. */
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/str.h"
#include "lib/core/fleet_state.h"

static const char *const word_names[FLEET_WORDS] = {"pause", "resume", "skip", "approve", "abort"};

const char *fleet_word_name(enum fleet_word word)
{
    return word_names[word];
}

static void refuse(struct fleet *f, struct fleet_effects *out, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static void refuse(struct fleet *f, struct fleet_effects *out, const char *fmt, ...)
{
    char *text = fleet_text(f, out);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, LIMIT_ERROR_BYTES, fmt, args);
    va_end(args);
    fleet_add(out, FLEET_EFFECT_REFUSED)->text = text;
}

/* "paused by anna: why" */
static void change_by(struct fleet *f, enum fleet_state state, const struct fleet_event *event,
                      struct fleet_effects *out)
{
    char why[LIMIT_ERROR_BYTES];
    snprintf(why, sizeof(why), "%s by %s%s%s", fleet_word_name(event->word), event->who,
             str_empty(event->why) ? "" : ": ", event->why != NULL ? event->why : "");
    fleet_change_state(
        f, &(struct fleet_change){.state = state, .stage = f->stage, .why = why, .who = event->who},
        event->now_ms, out);
}

static void pause_fleet(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    if (!fleet_is_active(f)) {
        refuse(f, out, "the fleet is %s: there is nothing to pause", fleet_state_name(f->state));
        return;
    }
    change_by(f, FLEET_PAUSED, event, out);
    fleet_drop_plans(f);
}

static void resume_fleet(struct fleet *f, const struct fleet_event *event,
                         struct fleet_effects *out)
{
    if (f->state != FLEET_PAUSED) {
        refuse(f, out, "the fleet is %s: there is nothing to resume", fleet_state_name(f->state));
        return;
    }
    if (f->misfit[0] != '\0') {
        refuse(f, out, "%s", f->misfit);
        return;
    }
    for (size_t i = 0; i < f->count; i++) {
        const struct member *m = &f->members[i];
        if (m->state == MEMBER_RUNNING && m->run_paused) {
            refuse(f, out,
                   "run %s of %s is paused: answer it first, with lockstep retry, skip, exclude, "
                   "rollback or abort",
                   m->run, m->cluster);
            return;
        }
    }
    change_by(f, FLEET_RUNNING, event, out);
}

static void skip_member(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    uint32_t i = fleet_find(f, event->cluster);
    if (i == UINT32_MAX) {
        refuse(f, out, "no cluster \"%s\" is in this fleet",
               event->cluster != NULL ? event->cluster : "");
        return;
    }
    const struct member *m = &f->members[i];
    char why[LIMIT_ERROR_BYTES];
    switch (m->state) {
    case MEMBER_WAITING:
    case MEMBER_PLANNING:
    case MEMBER_FAILED:
        break;
    case MEMBER_RUNNING:
        refuse(f, out, "run %s of %s is under way: lockstep abort %s ends it", m->run, m->cluster,
               m->run);
        return;
    case MEMBER_DONE:
    case MEMBER_LEFT:
        refuse(f, out, "%s is %s: there is nothing to skip", m->cluster,
               m->state == MEMBER_DONE ? "done" : "left behind");
        return;
    }
    if (f->state == FLEET_ABORTING || f->misfit[0] != '\0') {
        refuse(f, out, "the fleet is aborting: it begins nothing more");
        return;
    }
    snprintf(why, sizeof(why), "skipped by %s%s%s", event->who, str_empty(event->why) ? "" : ": ",
             event->why != NULL ? event->why : "");
    fleet_change_member(
        f,
        &(struct member_change){.member = i, .state = MEMBER_LEFT, .why = why, .who = event->who},
        event->now_ms, out);
}

bool fleet_note_approval(struct fleet *f, uint32_t stage, const char *who)
{
    struct stage *s = &f->stages[stage];
    if (f->state != FLEET_AT_GATE || f->stage != stage || str_empty(who) ||
        s->approvals == LIMIT_APPROVERS) {
        return false;
    }
    for (size_t i = 0; i < s->approvals; i++) {
        if (str_equal(s->approved[i], who)) {
            return false;
        }
    }
    snprintf(s->approved[s->approvals++], LIMIT_NAME_BYTES, "%s", who);
    return true;
}

static void approve(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    if (f->state != FLEET_AT_GATE) {
        refuse(f, out, "the fleet is %s, at no gate: there is nothing to approve",
               fleet_state_name(f->state));
        return;
    }
    if (!fleet_note_approval(f, f->stage, event->who)) {
        refuse(f, out, "%s has approved this already: nobody is counted twice", event->who);
        return;
    }
    struct fleet_effect *e = fleet_add(out, FLEET_EFFECT_RECORD);
    e->number = ++f->records;
    e->record = (struct fleet_record){.type = FLEET_RECORD_APPROVAL,
                                      .at_ms = event->now_ms,
                                      .stage = f->stage,
                                      .why = event->why,
                                      .who = event->who};
}

static void abort_fleet(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    if (f->state == FLEET_ABORTING) {
        refuse(f, out, "the fleet is aborting: it waits for the runs that are under way");
        return;
    }
    change_by(f, FLEET_ABORTING, event, out);
    fleet_drop_plans(f);
}

void fleet_take_word(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out)
{
    assert(!str_empty(event->who));
    if (!f->live || fleet_state_is_end(f->state)) {
        refuse(f, out, "the fleet is %s: there is nothing to %s", fleet_state_name(f->state),
               fleet_word_name(event->word));
        return;
    }
    switch (event->word) {
    case FLEET_WORD_PAUSE:
        pause_fleet(f, event, out);
        break;
    case FLEET_WORD_RESUME:
        resume_fleet(f, event, out);
        break;
    case FLEET_WORD_SKIP:
        skip_member(f, event, out);
        break;
    case FLEET_WORD_APPROVE:
        approve(f, event, out);
        break;
    case FLEET_WORD_ABORT:
        abort_fleet(f, event, out);
        break;
    }
}
