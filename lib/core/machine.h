/*
 * The inside of the rollout machine, shared by the files that it is split into: rollout.c (the door and the order of
 * the work), words.c (operators). Private to lib/core.
 */
#ifndef LOCKSTEP_CORE_MACHINE_H
#define LOCKSTEP_CORE_MACHINE_H

#include "lib/core/walk.h"

/* The most effects that an event or one piece of work adds: a claim that is taken over, a word, and the state. */
#define WORK_EFFECTS 6
static_assert(LIMIT_EFFECTS >= 4 * WORK_EFFECTS, "a call has room for its event and some work");

/* Whose words count. */
struct claim {
    char who[LIMIT_NAME_BYTES]; /* "": nobody */
    int64_t until_ms;
};

struct rollout {
    enum rollout_state state;
    enum cause cause; /* of the state */
    bool live;        /* BEGIN or RESUME has been */
    bool go_on;     /* PAUSED: a word took something out of the way; RUNNING when nothing is left */
    bool roll_back; /* the way back is planned when the run is ABORTED */
    struct walk walk;
    struct claim claim;
    uint32_t resend;  /* slots below it have been asked after a RESUME */
    int64_t clock_ms; /* of the last TIME */
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

/* ---- words.c ---- */

/* An operator's word: its effects, or a refusal. */
void words_take(struct rollout *r, const struct word_event *word, int64_t now_ms,
                struct effects *out);
/* A WORD record, from a decision or from a replay. Returns whether it fits; nothing has changed when not. */
bool words_note(struct rollout *r, const struct record *record);

#endif
