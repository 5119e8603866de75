/* The inside of the fleet machine, shared by the files that it is split into: fleet.c (the door), fleet_walk.c (the order of
 * the work), fleet_answers.c (plans and runs), fleet_words.c (operators). Private to lib/core. */
#ifndef LOCKSTEP_CORE_FLEET_STATE_H
#define LOCKSTEP_CORE_FLEET_STATE_H

#include "lib/core/fleet.h"

#define FLEET_ID_BYTES 72 /* a SHA-256, or a run's name */
/* The most effects that one event, or one piece of work, adds. */
#define FLEET_WORK_EFFECTS 6
static_assert(LIMIT_EFFECTS >= 3 * FLEET_WORK_EFFECTS, "a call has room for its event and work");

struct member {
    const char *cluster; /* borrowed from the spec */
    uint32_t stage;
    enum member_state state;
    uint32_t attempt;
    bool asked;       /* RUNNING, DONE: known in this life, or asked for */
    bool finding;     /* … and not answered yet */
    int64_t again_ms; /* WAITING: not planned before; 0: at any time */
    int64_t since_ms;
    bool run_paused; /* RUNNING */
    bool skipped;    /* LEFT: by a person, not by the budget */
    char plan_id[FLEET_ID_BYTES], application[FLEET_ID_BYTES], run[FLEET_ID_BYTES];
    char from[LIMIT_VERSION_BYTES], to[LIMIT_VERSION_BYTES];
    char why[LIMIT_ERROR_BYTES]; /* FAILED, LEFT */
};

struct stage {
    const struct fleet_stage_spec *spec;
    uint32_t first, count; /* its members */
    int64_t soak_until_ms; /* 0: it has not begun to soak */
    size_t approvals;
    char approved[LIMIT_APPROVERS][LIMIT_NAME_BYTES];
};

struct fleet {
    const struct fleet_spec *spec;
    enum fleet_state state;
    bool live; /* BEGIN or RESUME has been */
    uint32_t stage;
    struct stage *stages;
    struct member *members;
    size_t count;
    uint64_t records;
    size_t finding;   /* members */
    int64_t grace_ms; /* until then nodes may still be coming back */
    int64_t remind_ms;
    char misfit[LIMIT_ERROR_BYTES]; /* why the journal does not fit; "" */
    char why[LIMIT_ERROR_BYTES];    /* of the state */
    char texts[LIMIT_EFFECTS][LIMIT_ERROR_BYTES];
};

struct fleet_change {
    enum fleet_state state;
    uint32_t stage;
    int64_t until_ms;
    const char *why, *who;
};
struct member_change {
    uint32_t member;
    enum member_state state;
    const char *run, *why, *who;
};

/* Changes, records, and that is all. */
uint64_t fleet_change_state(struct fleet *f, const struct fleet_change *change, int64_t now_ms,
                            struct fleet_effects *out);
uint64_t fleet_change_member(struct fleet *f, const struct member_change *change, int64_t now_ms,
                             struct fleet_effects *out);
struct fleet_effect *fleet_add(struct fleet_effects *out, enum fleet_effect_type type);
/* The text of the effect that is added next. */
char *fleet_text(struct fleet *f, const struct fleet_effects *out);
bool fleet_is_active(const struct fleet *f);
/* What is being planned is not wanted any more. */
void fleet_drop_plans(struct fleet *f);
/* The intent of a run, and its start. */
void fleet_start_member(struct fleet *f, uint32_t i, const struct fleet_way *way, int64_t now_ms,
                        struct fleet_effects *out);
/* Where it is active. */
void fleet_pause_because(struct fleet *f, const char *why, int64_t now_ms,
                         struct fleet_effects *out);
size_t fleet_members_in(const struct fleet *f, const struct stage *stage, enum member_state state);
/* Against the budget. */
size_t fleet_lost_in(const struct fleet *f, const struct stage *stage);
void fleet_copy(char *to, size_t size, const char *text);
#define COPY(to, text) fleet_copy((to), sizeof(to), (text))

/* fleet_walk.c */
/* All that can be done now: finds, begins, waits, ends. */
void fleet_walk(struct fleet *f, int64_t now_ms, struct fleet_effects *out);
void fleet_remind(struct fleet *f, int64_t now_ms, struct fleet_effects *out);

/* fleet_answers.c */
void fleet_take_plan(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out);
void fleet_take_run(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out);
void fleet_take_no_run(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out);
void fleet_take_move(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out);
/* Takes what FIND asked for as answered. False: it did not ask. */
bool fleet_is_found(struct fleet *f, const struct fleet_event *event);

/* fleet_words.c */
void fleet_take_word(struct fleet *f, const struct fleet_event *event, struct fleet_effects *out);
/* From a word or a replay. False: it does not fit. */
bool fleet_note_approval(struct fleet *f, uint32_t stage, const char *who);

#endif
