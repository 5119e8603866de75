/*
 * The agent machine: what one place owes for the instructions that it has been given. A place is a node's
 * agent, or the executor inside lockstepd: the same machine. Pure, as rollout.h.
 *
 *   one instruction:
 *
 *               INSTRUCTION            intent durable           worker ended
 *     (none) ───────────────> INTENDED ──────────────> ACTING ───────────────> ENDED ──its run is over──> (none)
 *                 │                                     │  ^                     ^ │
 *                 └ same key again: answered, not acted │  │ same key again      │ │ outcome durable, then reported;
 *                                     after a restart   v  │                     │ v reported again whenever asked
 *                       neither worker nor result:     LOST ──its run is over────┘
 *
 * Once means: for one key (run, phase.step, attempt) the shell is asked to act at most once per life, and after a
 * restart it is asked to *look* (effect ATTACH) before anything else. An instruction with a fence below the highest one
 * seen is refused, and the refusal is an outcome too: it is reported, not remembered, for the same key may come again
 * from who holds the new fence. What is known already is answered truly whatever the fence.
 *
 * Nothing is begun from the journal alone. It may be an older copy of itself, and say that something is under way which
 * ended long ago; so what is found neither alive nor ended is LOST until a controller asks for it in this life. An
 * instruction names the last step of its run that the controller has as DONE from this place. A place that does not
 * remember that one has lost its memory: of what could be doubled it says UNKNOWN, and acts when a person, who looked,
 * says retry. Everything else looks before it acts.
 *
 * A run that is over is remembered for a while (LIMIT_AGENT_RUNS_OVER of them): who said so may have been a controller
 * whose successor this place has not met yet, and that one asks on. It is answered from memory, and what is new to this
 * place is begun, for its fence is higher than the one that the end was told with.
 *
 * Another attempt of a step whose earlier attempt is still ACTING here WAITS for it: it takes over its DONE or its
 * UNKNOWN, and acts only after its FAILED. So no two attempts of one step ever run side by side, and a step that is
 * DONE here, though the controller has not heard it yet, is never acted again in the same run. What the controller has
 * heard it may want again (a proof that is older than a retry): `known` is the last attempt whose DONE it has; up to
 * that one none is taken over.
 *
 * The machine keeps no instructions, only keys: the shell keeps what it was told (and finds it again in the journal's
 * INTENT record) until the key's outcome is reported.
 */
#ifndef LOCKSTEP_CORE_AGENT_H
#define LOCKSTEP_CORE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/core/outcome.h"

#define AGENT_RUN_BYTES 33 /* a run's id: up to 32 letters, and NUL */

struct instruction_key {
    char run[AGENT_RUN_BYTES];
    uint32_t phase, step, attempt;
};

enum agent_instruction_state {
    INSTRUCTION_INTENDED, /* waits for the intent to be durable */
    INSTRUCTION_WAITING,  /* waits for the end of an earlier attempt of the same step */
    INSTRUCTION_ACTING, /* waits for the worker's end; its deadline is the controller's business */
    INSTRUCTION_LOST,   /* neither worker nor result: waits to be asked for, or for its run's end */
    INSTRUCTION_ENDED,  /* waits to be forgotten with its run */
};

/* What the place's own journal holds. */
enum agent_record_type {
    AGENT_RECORD_FENCE,
    AGENT_RECORD_INTENT,
    AGENT_RECORD_OUTCOME,
    AGENT_RECORD_OVER, /* the controller with this fence has the run's end; its files may go */
    AGENT_RECORD_FORGET
};
/* A step of a run at this place. */
struct agent_step_key {
    uint32_t phase, step, attempt; /* attempt 0: none */
};
struct agent_record {
    enum agent_record_type type;
    int64_t at_ms;
    uint64_t fence;             /* FENCE: the new highest; INTENT, OVER: whose word it is */
    uint32_t known;             /* INTENT */
    struct instruction_key key; /* INTENT, OUTCOME; OVER, FORGET: run only */
    struct outcome outcome;     /* OUTCOME; strings borrowed */
};

enum agent_event_type {
    AGENT_EVENT_REPLAY, /* a record of an earlier life */
    AGENT_EVENT_RESUME, /* all are replayed (none in a first life; it comes in every life, before all below):
                                unfinished intents are ATTACHed */
    AGENT_EVENT_INSTRUCTION, /* key, fence, known, last, once */
    AGENT_EVENT_DURABLE,     /* records up to `number` are durable */
    AGENT_EVENT_ACTED,       /* the worker of key ended, or was found ended: outcome */
    AGENT_EVENT_LOST,        /* ATTACH found neither worker nor result; once */
    AGENT_EVENT_FENCE,       /* the controller's welcome: fence */
    AGENT_EVENT_CONNECTED, /* to the controller: all of runs that are not over is reported again */
    AGENT_EVENT_FORGET, /* the controller with `fence` has the run's end durable: what acts may end, nothing of it begins */
};
struct agent_event {
    enum agent_event_type type;
    int64_t now_ms;
    const struct agent_record *record;
    struct instruction_key key;
    uint64_t fence;
    uint32_t known; /* INSTRUCTION: attempts up to it are not taken over */
    struct agent_step_key
        last; /* INSTRUCTION: of its run, the last DONE that the controller has from here */
    uint64_t number;
    const struct outcome *outcome;
    bool once; /* INSTRUCTION, LOST: acting again could double it */
};

enum agent_effect_type {
    AGENT_EFFECT_RECORD, /* append; numbered from 1 in this life */
    AGENT_EFFECT_ACT,    /* start the worker for key: its intent is durable */
    AGENT_EFFECT_ATTACH, /* look for a worker or a result of an earlier life; answer ACTED or LOST */
    AGENT_EFFECT_REPORT, /* tell the controller the outcome of key (it is durable) */
    AGENT_EFFECT_BUSY,   /* tell the controller that key is under way, or LOST */
};
struct agent_effect {
    enum agent_effect_type type;
    struct agent_record record;
    uint64_t number;
    struct instruction_key key;
    const struct outcome *outcome; /* REPORT; borrowed from the machine until the next step */
};
struct agent_effects {
    struct agent_effect items[LIMIT_EFFECTS];
    size_t count;
    bool
        more; /* call agent_step() again with the same event type AGENT_EVENT_DURABLE and the last number */
};

struct agent_machine;

/* Owns copies of the outcomes' strings (bounded: the message by LIMIT_ERROR_BYTES, the log keeps its last
 * LIMIT_LOG_TAIL_BYTES, facts that are longer are left out; LIMIT_AGENT_OUTCOMES keys are remembered; those of runs that
 * are over go first, then the oldest ended run's, with a FORGET record). Memory comes from the arena given here and, per run, from arenas inside. */
struct agent_machine *agent_new(struct arena *arena);
void agent_free(struct agent_machine *m); /* gives back the inner arenas */

void agent_step(struct agent_machine *m, const struct agent_event *event,
                struct agent_effects *out);
uint64_t agent_fence(const struct agent_machine *m);
size_t agent_under_way(const struct agent_machine *m);
/* Keys that are remembered, those under way included. */
size_t agent_remembered(const struct agent_machine *m);

#endif
