/* What really is, beside what the machine believes, and the rules that it is judged by. Shared by fleet_world.c and
 * fleet_rules.c. */
#ifndef LOCKSTEP_TESTS_SIM_FLEET_RULES_H
#define LOCKSTEP_TESTS_SIM_FLEET_RULES_H

#include "lib/base/buf.h"
#include "lib/core/fleet.h"
#include "tests/sim/fleet_world.h"

#define CLUSTERS_MAX 12
#define RUNS_MAX     4000
#define RECORDS_MAX  20000
#define TOLD_MAX     64
#define PEOPLE       4

enum truth { TRUTH_NONE, TRUTH_FAILED, TRUTH_LEFT, TRUTH_SKIPPED };

/* What was known of a cluster, and by which record: what is lost with that is not known any more. */
struct told {
    enum truth truth;
    uint64_t record; /* 0: the store keeps it */
};

struct sim_cluster {
    const char *name, *application, *from;
    uint32_t stage;
    bool wanted;   /* it is where the fleet takes it */
    bool pending;  /* a start was asked for, in this life */
    uint32_t live; /* a run that is not over; 0: none */
    bool planning;
    uint32_t attempt;
    enum truth truth;
    struct told told[TOLD_MAX]; /* how it came to that, the newest last */
    size_t told_count;
    int64_t succeeded_ms; /* of its last run */
};
struct sim_run { /* number 1 first */
    uint32_t cluster, attempt;
    bool foreign;
    enum rollout_state state;
    int64_t started_ms;
    const char *id, *from;
};
struct pending {
    uint32_t cluster, attempt;
    uint64_t after;
};
struct stage_truth {
    uint32_t approved; /* a bit for each person */
    bool must_look;    /* something in it was moved: approvals count anew */
};

struct fleet_world {
    const struct fleet_sim *sim;
    struct fleet_verdict *verdict;
    struct arena arena;
    uint64_t random;
    int64_t now_ms;
    const struct fleet_spec *spec;
    struct fleet *machine;
    struct arena life; /* of the machine */
    struct sim_cluster clusters[CLUSTERS_MAX];
    uint32_t cluster_count;
    struct stage_truth stages[LIMIT_FLEET_STAGES];
    struct sim_run runs[RUNS_MAX];
    uint32_t run_count;
    struct bytes journal[RECORDS_MAX];
    uint64_t records, durable;
    struct pending pending[CLUSTERS_MAX];
    size_t pending_count;
    struct fleet_event answers[CLUSTERS_MAX * 4];
    size_t answer_count;
    bool stepping, calm, refused;
    bool paused, aborted; /* as people know */
    uint64_t paused_by, aborted_by;
    uint64_t pause_record; /* the newest */
    bool crash_armed;
    int64_t grace_ms; /* until then a plan that is refused means nothing */
};

/* A rule was broken; the first one counts. */
void fleet_broken(struct fleet_world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
const struct fleet_stage_spec *fleet_stage_at(const struct fleet_world *w, size_t stage);
/* What is known of a cluster from this record on, and what is left when only so many are durable. */
void fleet_know(struct sim_cluster *c, enum truth truth, uint64_t record);
void fleet_forget(struct sim_cluster *c, uint64_t durable);
/* Has a run in the stage shown this cluster's way? */
bool fleet_is_shown(const struct fleet_world *w, const char *stage, const struct sim_cluster *way);
/* What the machine wants to begin, what really begins, what it writes down. */
void fleet_judge_start(struct fleet_world *w, uint32_t at);
void fleet_judge_run(struct fleet_world *w, uint32_t at, uint32_t attempt);
void fleet_judge_record(struct fleet_world *w, const struct fleet_record *record);

#endif
