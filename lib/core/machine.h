/*
 * The inside of the rollout machine, shared by the files that it is split into: rollout.c (the door and the order of
 * the work), words.c (operators), gates.c (people and windows), timers.c (deadlines), budget.c (failures that do not stop a
 * run), back.c (whether the way back is open). Private to lib/core.
 */
#ifndef LOCKSTEP_CORE_MACHINE_H
#define LOCKSTEP_CORE_MACHINE_H

#include "lib/core/walk.h"
#include "lib/core/window.h"

/* The most effects that an event or one piece of work adds: a claim that is taken over, a word, and the state. */
#define WORK_EFFECTS 6
static_assert(LIMIT_EFFECTS >= 4 * WORK_EFFECTS, "a call has room for its event and some work");

/* Whose words count. */
struct claim {
    char who[LIMIT_NAME_BYTES]; /* "": nobody */
    int64_t until_ms;
};

/* How long something has been at work, against a limit. */
struct stopwatch {
    int64_t limit_ms; /* 0: none */
    int64_t spent_ms; /* before `since_ms` */
    int64_t since_ms;
    bool on;
};

/* The gate that the run waits at. */
struct gate {
    uint32_t passed; /* the phase whose gate was opened last */
    size_t count;
    char approved[LIMIT_APPROVERS][LIMIT_NAME_BYTES];
};

struct rollout {
    enum rollout_state state;
    enum cause cause; /* of the state */
    bool live;        /* BEGIN or RESUME has been */
    bool go_on;     /* PAUSED: a word took something out of the way; RUNNING when nothing is left */
    bool roll_back; /* the way back is planned when the run is ABORTED */
    struct walk walk;
    struct claim claim;
    struct gate gate;
    struct windows windows;
    struct stopwatch run_watch, wave_watch;
    bool wave_on;      /* a wave is counted, though the run is not RUNNING */
    int64_t seen_ms;   /* of the last event */
    int64_t window_ms; /* WAITING for a window: when the next one opens; else INT64_MAX */
    uint32_t resend;   /* slots below it have been asked after a RESUME */
    int64_t clock_ms;  /* of the last TIME */
    int64_t remind_ms;
    int64_t held_ms; /* RUNNING, and a node may not begin yet: this is told again then */
    enum hold_why held;
    uint32_t held_slot;
    char held_words[LIMIT_ERROR_BYTES]; /* "": nothing is waited for */
    uint64_t records;
    char misfit[LIMIT_ERROR_BYTES]; /* why the journal does not fit; "" */
    char why[LIMIT_ERROR_BYTES];    /* of the state */
    char texts[LIMIT_EFFECTS]
              [LIMIT_ERROR_BYTES]; /* made for the effects of one call, by their index */
};

/* ---- rollout.c ---- */

/* A new state and what its record says. Strings are borrowed for the call; `who` until the effects are carried out. */
struct change {
    enum rollout_state state;
    enum cause cause;
    bool roll_back;
    const char *why;
    const char *who;
};
void machine_change_state(struct rollout *r, const struct change *change, int64_t now_ms,
                          struct effects *out);
/* A WORD record and its TELL; the machine has noted it before. The record's strings live as the event's. */
void machine_add_word(struct rollout *r, const struct record *record, struct effects *out);
void machine_refuse(struct rollout *r, struct effects *out, const char *fmt, ...) PRINTF_LIKE(3, 4);
void machine_tell_waiting(struct effects *out, const char *text);
/* The text of the next effect that is added. LIMIT_ERROR_BYTES. */
char *machine_text(struct rollout *r, const struct effects *out);
/* Why the run is as it is; "" when there is nothing to say. */
const char *machine_why(const struct rollout *r);

/* ---- timers.c ---- */

void stopwatch_go(struct stopwatch *s, int64_t at_ms);
void stopwatch_stop(struct stopwatch *s, int64_t at_ms);
int64_t stopwatch_due(const struct stopwatch *s); /* INT64_MAX: never */
void timers_init(struct rollout *r);
/* The state is new, for a decision or a replay. */
void timers_note_state(struct rollout *r, enum rollout_state before, enum cause cause_before,
                       int64_t at_ms);
/* The first step of a wave was instructed. */
void timers_note_wave(struct rollout *r, int64_t at_ms);
/* Every event brings the time: a clock that was set back takes what was armed back with it. */
void timers_see(struct rollout *r, int64_t now_ms);
void timers_resume(struct rollout *r, int64_t now_ms);
int64_t timers_due(const struct rollout *r);
/* One piece of work, or false: nothing is due. */
bool timers_work(struct rollout *r, int64_t now_ms, struct effects *out);

/* ---- gates.c ---- */

/* The gate before the phase that is walked now, or NULL. */
const struct plan_gate *gates_at(const struct rollout *r);
void gates_note_state(struct rollout *r, enum rollout_state before, enum cause cause_before);
bool gates_note_approval(struct rollout *r, const struct record *record);
/* Why the word approve is refused, or NULL; `text` is where words may be made. */
const char *gates_refuse(const struct rollout *r, const struct word_event *word,
                         char text[LIMIT_ERROR_BYTES]);
/* RUNNING: may the phase that is walked begin? True: no, the run WAITS now. */
bool gates_hold(struct rollout *r, int64_t now_ms, struct effects *out);
/* WAITING: goes on when it may. */
bool gates_work(struct rollout *r, int64_t now_ms, struct effects *out);

/* ---- budget.c ---- */

/* A step is bad: true when the failure budget has dealt with it. */
bool budget_takes(struct rollout *r, int64_t now_ms, struct effects *out);

/* ---- back.c ---- */

/* Has the run no way back but a restore, or none at all? Then *ret_why says so, and what to do. */
bool back_is_closed(const struct rollout *r, char *ret_why, size_t size);
/* A step is bad: does the plan say that the run goes back by itself, and may it? */
bool back_after_failure(const struct rollout *r);

/* ---- words.c ---- */

/* An operator's word: its effects, or a refusal. */
void words_take(struct rollout *r, const struct word_event *word, int64_t now_ms,
                struct effects *out);
/* A WORD record, from a decision or from a replay. Returns whether it fits; nothing has changed when not. */
bool words_note(struct rollout *r, const struct record *record);

#endif
