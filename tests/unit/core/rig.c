/* Owns one machine and its journal. */
#include "tests/unit/core/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"

struct rig rig;

static size_t next_dies_at;

/* The journals' words: one journal is held against another of an earlier machine. */
static struct arena words;

int rig_setup(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    next_dies_at = 0;
    arena_init(&rig.arena);
    arena_init(&words);
    return 0;
}

int rig_teardown(void **state)
{
    (void)state;
    arena_deinit(&rig.arena);
    arena_deinit(&words);
    return 0;
}

void rig_end(void)
{
    arena_deinit(&rig.arena);
    memset(&rig, 0, sizeof(rig));
    arena_init(&rig.arena);
}

struct journal *rig_journal(size_t dies_at)
{
    next_dies_at = dies_at;
    return &rig.journal;
}

void rig_begin(struct plan *plan)
{
    rig.plan = plan;
    rig.now = 0;
    rig.r = rollout_new(&rig.arena, plan);
    rig.journal.count = 0;
    rig.journal.dies_at = next_dies_at;
    next_dies_at = 0;
}

/* ---- text ---- */

static void say(const char *text)
{
    size_t len = strlen(rig.seen);
    snprintf(rig.seen + len, sizeof(rig.seen) - len, "%s%s", len > 0 ? " " : "", text);
}

static void say_key(const char *what, const struct step_key *key)
{
    char text[64];
    int place = key->place == ROLLOUT_PLACE_CONTROLLER ? 0 : (int)key->place + 1;
    snprintf(text, sizeof(text), "%s:%u.%u@%d#%u", what, (unsigned)key->phase, (unsigned)key->step,
             place, (unsigned)key->attempt);
    say(text);
}

static void say_word(const struct record *record)
{
    char text[128];
    char at[32] = "";
    if (record->key.place != ROLLOUT_PLACE_NONE) {
        snprintf(at, sizeof(at), "@%u", (unsigned)record->key.place + 1);
    }
    snprintf(text, sizeof(text), "%s%s by %s", word_name(record->word), at,
             record->who != NULL ? record->who : "budget");
    say(text);
}

static void say_effect(const struct effect *e)
{
    switch (e->type) {
    case EFFECT_RECORD:
        switch (e->record.type) {
        case RECORD_INTENT:
            say_key("intent", &e->record.key);
            break;
        case RECORD_OUTCOME:
            say_key(outcome_status_name(e->record.outcome.status), &e->record.key);
            break;
        case RECORD_STATE:
            say(rollout_state_name(e->record.state));
            break;
        case RECORD_WORD:
            say_word(&e->record);
            break;
        }
        break;
    case EFFECT_SEND:
        say_key("send", &e->key);
        break;
    case EFFECT_TELL:
        if (e->tell == TELL_WAITING) {
            say("waiting");
        }
        break;
    case EFFECT_REFUSED:
        say("refused");
        assert_non_null(e->text);
        break;
    }
}

/* ---- the journal ---- */

static void keep(const struct record *record)
{
    struct record *kept = &rig.journal.records[rig.journal.count];
    assert_true(rig.journal.count < JOURNAL_MAX);
    rig.journal.count++;
    *kept = *record;
    kept->why = arena_strdup(&words, record->why);
    kept->who = arena_strdup(&words, record->who);
    kept->gate = arena_strdup(&words, record->gate);
    kept->outcome.message = arena_strdup(&words, record->outcome.message);
}

static void take_effects(struct event event);

/* Another life: what the journal holds, the places, then it goes on. */
static void live_again(void)
{
    rig.r = rollout_new(&rig.arena, rig.plan);
    for (size_t i = 0; i < rig.journal.count; i++) {
        const struct event event = {.type = EVENT_REPLAY,
                                    .now_ms = rig.journal.records[i].at_ms,
                                    .record = &rig.journal.records[i]};
        rollout_step(rig.r, &event, &rig.out);
        assert_int_equal(rig.out.count, 0);
    }
    rig_all_up();
    take_effects((struct event){.type = EVENT_RESUME});
}

static void take_effects(struct event event)
{
    struct effects out;
    event.now_ms = rig.now;
    do {
        rollout_step(rig.r, &event, &out);
        event.type = EVENT_MORE;
        for (size_t i = 0; i < out.count; i++) {
            if (out.items[i].type == EFFECT_RECORD) {
                keep(&out.items[i].record);
            }
            say_effect(&out.items[i]);
            if (out.items[i].type == EFFECT_RECORD && rig.journal.count == rig.journal.dies_at) {
                rig.out = out;
                live_again();
                return;
            }
        }
        rig.out = out;
    } while (out.more);
}

void rig_same_journal(const struct journal *a, const struct journal *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct record *x = &a->records[i];
        const struct record *y = &b->records[i];
        assert_int_equal(x->type, y->type);
        assert_memory_equal(&x->key, &y->key, sizeof(x->key));
        assert_int_equal(x->state, y->state);
        assert_int_equal(x->word, y->word);
        assert_int_equal(x->cause, y->cause);
        assert_true(str_equal(x->who, y->who));
    }
}

/* ---- events ---- */

const char *rig_live_again(void)
{
    rig.seen[0] = '\0';
    live_again();
    return rig.seen;
}

const char *rig_step(struct event event)
{
    rig.seen[0] = '\0';
    take_effects(event);
    return rig.seen;
}

void rig_all_up(void)
{
    for (uint32_t i = 0; i <= rig.plan->nodes.count; i++) {
        const uint32_t place = i == rig.plan->nodes.count ? ROLLOUT_PLACE_CONTROLLER : i;
        take_effects((struct event){.type = EVENT_PLACE_UP, .place = place});
    }
}

const char *rig_say(struct word_event word)
{
    return rig_step((struct event){.type = EVENT_WORD, .word = word});
}

const char *rig_word(enum word word)
{
    return rig_say((struct word_event){.word = word, .who = "bob"});
}

const char *rig_at(int64_t ms)
{
    rig.now = ms;
    return rig_step((struct event){.type = EVENT_TIME});
}

const char *rig_ended(uint32_t phase, uint32_t step, uint32_t place, uint32_t attempt,
                      enum outcome_status status)
{
    struct outcome outcome = {.status = status,
                              .code = status == OUTCOME_DONE ? 0 : E_IO,
                              .message = status == OUTCOME_DONE ? NULL : "the disk is gone"};
    return rig_step((struct event){
        .type = EVENT_OUTCOME,
        .outcome = &outcome,
        .key = {.phase = phase, .step = step, .place = place, .attempt = attempt},
    });
}

const char *rig_refusal(void)
{
    for (size_t i = 0; i < rig.out.count; i++) {
        if (rig.out.items[i].type == EFFECT_REFUSED) {
            return rig.out.items[i].text;
        }
    }
    return "";
}
