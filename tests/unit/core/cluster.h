/*
 * A whole cluster in one process: one rollout machine, an agent machine per place, pretended journals, network, workers
 * and clock. It asserts as it goes: nothing is instructed before its intent is durable, no step runs beside itself or
 * after it was done (but what a retry repeats on purpose, once its DONE was heard), what a retry goes back for never
 * starts on old proofs, `parallel` holds, and the journal alone rebuilds the machine at any moment.
 *
 * Streams are as TCP's: what is under way in a broken connection is lost, the rest comes in order.
 */
#ifndef LOCKSTEP_TESTS_UNIT_CORE_CLUSTER_H
#define LOCKSTEP_TESTS_UNIT_CORE_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/core/agent.h"
#include "lib/core/rollout.h"

#define CLUSTER_PLACES_MAX  5 /* four nodes and the controller's own executor */
#define CLUSTER_QUEUE_MAX   2048
#define CLUSTER_RECORDS_MAX 4096
#define CLUSTER_WORKERS_MAX 128

enum happening_type {
    HAPPENING_CONTROLLER_DURABLE,
    HAPPENING_CONTROLLER_UP,
    HAPPENING_PLACE_DURABLE,
    HAPPENING_PLACE_UP,
    HAPPENING_CONNECT,
    HAPPENING_INSTRUCTION,
    HAPPENING_FORGET,
    HAPPENING_REPORT,
    HAPPENING_WORKER,
    HAPPENING_RETRY,
};
struct happening {
    int64_t at_ms;
    uint64_t order;
    enum happening_type type;
    uint32_t place;
    uint64_t number;      /* of a record; or the fence */
    uint32_t known;       /* INSTRUCTION */
    struct step_key last; /* INSTRUCTION */
    uint32_t life;        /* of who it is for: of a later life it is nothing */
    uint32_t connection;
    struct instruction_key key;
    struct outcome outcome;
};

struct worker {
    uint32_t place;
    struct instruction_key key;
    bool ended;
    struct outcome outcome;
};

struct pretended_place {
    bool up, connected;
    uint32_t life, connection;
    struct agent_machine *machine;
    struct arena arena;
    struct agent_record journal[CLUSTER_RECORDS_MAX / 4];
    size_t count, durable, base; /* base: how many an earlier life left */
};

struct world {
    struct arena arena;
    const struct plan *plan;
    size_t places;
    int64_t now_ms;
    uint64_t order;
    struct happening queue[CLUSTER_QUEUE_MAX];
    size_t queued;
    /* the controller */
    bool up;
    uint32_t life;
    uint64_t fence;
    struct rollout *rollout;
    struct arena rollout_arena;
    struct record journal[CLUSTER_RECORDS_MAX];
    size_t count, durable;
    struct effect held[CLUSTER_QUEUE_MAX]; /* SENDs whose intent is not durable yet */
    size_t held_count;
    struct pretended_place place[CLUSTER_PLACES_MAX];
    struct worker workers[CLUSTER_WORKERS_MAX];
    size_t worker_count;
    /* faults */
    uint64_t seed; /* 0: none at random */
    int fail_percent, break_percent, crash_percent;
    bool fail_first; /* the first start of a step that a retry goes back for fails */
    size_t kill_controller_at, kill_place_at, kill_act_at; /* how many from the start; 0: never */
    bool kill_keeps_record;
    size_t controller_records, place_records, acts, first_failed;
    size_t kills;
    /* what is checked */
    int in_middle, in_middle_max;
    bool check_replay;
    size_t words;
    struct buf trace;
};

/* The one world, empty: set its faults, then run it. */
struct world *cluster_begin(struct plan *(*make)(struct arena *));
/* Until the run has ended, whatever dies on the way. A paused run is told to retry. */
void cluster_run(struct world *w);
void cluster_end(struct world *w);
/* Every step of the plan is done at every one of its places, exactly once; one that a retry repeats, at least once. */
void cluster_check_all_done_once(struct world *w);

#endif
