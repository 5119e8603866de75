/*
 * The fleet machine: clusters, stage by stage, to one version. Pure, and over runs: a member's way is planned when its
 * stage comes, and one run takes it; what a run does inside is the rollout machine's (rollout.h). The shell carries the
 * effects out (controller/fleets.c), and so does a pretended world (tests/sim/test_fleet.c).
 *
 *   READY ──BEGIN──> RUNNING ──all clusters of the last stage are done──> DONE, or INCOMPLETE with some left behind
 *                    │ ^  │ ^
 *                    │ │  │ └── soaked ── SOAKING <─────────────────┐ the stage is done,
 *                    │ │  └──── enough have approved ── AT_GATE <───┤ and has a soak, a gate
 *                    │ │                                            │
 *   a surprise,      │ └─ word: resume ── PAUSED ── at its deadline told again (it never decides)
 *   or the word      └──────────────────────^  <── from SOAKING and AT_GATE too
 *   pause
 *   word: abort, from any state ──> ABORTING ──nothing is under way any more──> ABORTED
 *
 * A surprise is: a plan that is refused, evidence that is missing, a run that did not start or did not succeed, beyond
 * the stage's budget of failures; a run that pauses; a cluster that was done and that somebody else has moved since. Only
 * the word `resume` ends a pause: what failed is planned anew, unless it was skipped before. Abort stops scheduling;
 * a run that is under way ends by itself, or by the words that runs have.
 *
 *   WAITING ──its stage, and a place in it──> PLANNING ──a way, with the evidence asked for──> RUNNING ──succeeded──> DONE
 *      ^                                       │    └─ nothing to do ────────────────────────────────────────────────> DONE
 *      └── resume ── FAILED <──refused─────────┘<────────── failed, aborted, incomplete, not started ──┘                │
 *                    │    ^──────────────────────────────────────────────────────── another's run has moved it ────────┘
 *                    └──word skip, or within the budget at the end of the stage──> LEFT   (skip: from WAITING, PLANNING too)
 *
 * A later stage begins nothing before every earlier one is over, soaked and approved; so a cluster that was moved takes
 * its fleet back to its stage, which soaks and is approved again. Up and down are alike: a way down is proved where it
 * costs least, too; a cluster that is where it should be is done at once, untouched.
 *
 * Journal discipline: that a member's run will be started is recorded (RUNNING, with its plan) before it is (START comes
 * after that record). After a crash the shell replays the records and says RESUME; the machine asks for the run of every
 * member that is RUNNING (FIND, by fleet, member and attempt). Where there is none, none was started: it is planned anew
 * with the next attempt. Planning is not recorded: it changes nothing. What is DONE is asked for, too: another's run may
 * have moved it when nobody could keep that any more. Nothing goes on before all of that is answered. A plan that is refused
 * within ROLLOUT_RESUME_GRACE_MS of the RESUME is made again: the nodes must have had the time to come back.
 */
#ifndef LOCKSTEP_CORE_FLEET_H
#define LOCKSTEP_CORE_FLEET_H

#include "lib/core/rollout.h"
#include "lib/spec/spec.h"

#define FLEET_REMIND_MS (15LL * 60 * 1000)
#define FLEET_AGAIN_MS  2000LL /* between two plans after a restart */

enum fleet_state {
    FLEET_READY,      /* waits for BEGIN or the first replayed record */
    FLEET_RUNNING,    /* waits for plans and runs */
    FLEET_SOAKING,    /* waits for the time */
    FLEET_AT_GATE,    /* waits for approvals */
    FLEET_PAUSED,     /* waits for a word; a reminder is sent at its deadline */
    FLEET_ABORTING,   /* waits for the runs that are under way */
    FLEET_DONE,       /* the end */
    FLEET_INCOMPLETE, /* the end: some clusters were left behind */
    FLEET_ABORTED,    /* the end */
};
#define FLEET_STATES (FLEET_ABORTED + 1)
const char *fleet_state_name(enum fleet_state state);
bool fleet_state_is_end(enum fleet_state state);

enum member_state {
    MEMBER_WAITING,  /* for its stage */
    MEMBER_PLANNING, /* for its plan */
    MEMBER_RUNNING,  /* for its run */
    MEMBER_DONE,
    MEMBER_FAILED, /* for a word, or the end of its stage */
    MEMBER_LEFT,   /* behind */
};
#define MEMBER_STATES (MEMBER_LEFT + 1)
const char *member_state_name(enum member_state state);

/* What a plan goes: what evidence is of. All strings borrowed; "" where there is none. */
struct fleet_way {
    const char *plan_id;
    const char *application; /* the digest of what the vendor says */
    const char *from, *to;
};

enum fleet_word {
    FLEET_WORD_PAUSE,
    FLEET_WORD_RESUME,
    FLEET_WORD_SKIP, /* a cluster takes no part any more */
    FLEET_WORD_APPROVE,
    FLEET_WORD_ABORT,
};
#define FLEET_WORDS (FLEET_WORD_ABORT + 1)
const char *fleet_word_name(enum fleet_word word);

/* ---- what the journal holds (lib/wire/fleet_record.h) ---- */
enum fleet_record_type { FLEET_RECORD_MEMBER, FLEET_RECORD_STATE, FLEET_RECORD_APPROVAL };
struct fleet_record {
    enum fleet_record_type type;
    int64_t at_ms;
    uint32_t member;                /* MEMBER: its index, over all stages */
    enum member_state member_state; /* MEMBER; never PLANNING */
    uint32_t attempt;               /* MEMBER */
    struct fleet_way way;           /* MEMBER RUNNING */
    const char *run;                /* MEMBER DONE, FAILED: its run; NULL: none */
    enum fleet_state state;         /* STATE */
    uint32_t stage;                 /* STATE, APPROVAL: where the fleet is */
    int64_t until_ms;               /* STATE SOAKING */
    const char *why, *who;          /* may be NULL */
};

/* ---- events ---- */
enum fleet_event_type {
    FLEET_EVENT_BEGIN,   /* who */
    FLEET_EVENT_REPLAY,  /* record */
    FLEET_EVENT_RESUME,  /* all records are replayed */
    FLEET_EVENT_PLANNED, /* member, attempt: its way, or nothing to do */
    FLEET_EVENT_REFUSED, /* member, attempt: why there is no plan */
    FLEET_EVENT_RUN,     /* member, attempt: its run is in this state; why */
    FLEET_EVENT_NO_RUN,  /* member, attempt: why it did not start; NULL: FIND found none */
    FLEET_EVENT_MOVED,   /* member: another's run moves it, or has; why */
    FLEET_EVENT_UNMOVED, /* member: FIND found it as it was left */
    FLEET_EVENT_WORD,
    FLEET_EVENT_TIME,
    FLEET_EVENT_MORE,
};
struct fleet_event {
    enum fleet_event_type type;
    int64_t now_ms;
    const struct fleet_record *record;
    uint32_t member, attempt;
    struct fleet_way way;       /* PLANNED */
    bool nothing_to_do;         /* PLANNED */
    struct strings proved;      /* PLANNED: the stages that have shown this way */
    const char *run;            /* RUN */
    enum rollout_state running; /* RUN */
    enum fleet_word word;       /* WORD */
    const char *cluster;        /* WORD skip */
    const char *why, *who;
};

/* ---- effects, in order ---- */
enum fleet_effect_type {
    FLEET_EFFECT_RECORD,
    FLEET_EFFECT_PLAN,  /* member, attempt: plan it from what is there now */
    FLEET_EFFECT_START, /* member, attempt: once record `after` is durable, start this plan */
    FLEET_EFFECT_FIND, /* member, attempt: RUNNING: is there a run of it? DONE: was it moved since? */
    FLEET_EFFECT_EVIDENCE, /* member: its run has shown this way */
    FLEET_EFFECT_TELL,     /* people are told again what the fleet waits for */
    FLEET_EFFECT_REFUSED,  /* why a word is not legal */
};
struct fleet_effect {
    enum fleet_effect_type type;
    struct fleet_record record;
    uint64_t number, after; /* RECORD, START: of the fleet's records, from 1 */
    uint32_t member, attempt;
    struct fleet_way
        way;         /* START, EVIDENCE; borrowed until the next fleet_step(), as all strings */
    const char *run; /* EVIDENCE */
    const char *text;
};
struct fleet_effects {
    struct fleet_effect items[LIMIT_EFFECTS];
    size_t count;
    bool more; /* call again with FLEET_EVENT_MORE */
};

struct fleet;
/* Sized once from the spec, which spec_read() has accepted. Borrows both. */
struct fleet *fleet_new(struct arena *arena, const struct fleet_spec *spec);
void fleet_step(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out);
int64_t fleet_deadline(const struct fleet *f);

/* ---- read only ---- */
enum fleet_state fleet_state(const struct fleet *f);
uint32_t fleet_stage(const struct fleet *f);  /* where it is */
const char *fleet_why(const struct fleet *f); /* of the state; NULL: nothing to say */
size_t fleet_members(const struct fleet *f);
struct member_view {
    const char *cluster;
    uint32_t stage, attempt;
    enum member_state state;
    bool run_paused;
    int64_t since_ms;                  /* in this state */
    const char *run, *from, *to, *why; /* "": none; until the next fleet_step() */
};
struct member_view fleet_member(const struct fleet *f, uint32_t member);
/* UINT32_MAX: no such cluster. */
uint32_t fleet_find(const struct fleet *f, const char *cluster);

#endif
