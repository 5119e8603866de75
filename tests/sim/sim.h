/*
 * The simulator: the real machines, the real plan compiler and the real wire and journal bytes over a pretended world,
 * all of it decided by one seed. A world is a few nodes, one database, one controller (for a while two: a frozen one
 * and its successor) and an operator; runs follow one another, each planned from what the run before left there.
 *
 *   scenario.c    a random application and cluster, and plans for it
 *   world.c       clock, chance, the queue of what happens, the trace
 *   network.c     streams that break, delay, go silent on one side, say things twice and late
 *   controller.c  the shell of the rollout machine: journal, sessions, timer, operator
 *   place.c       the shell of the agent machine: journal, connection
 *   worker.c      what an action does, in small steps, to a node or to the database
 *   database.c    lock, fence, evidence, ledger, and what the schema really is
 *   faults.c      what goes wrong, and when
 *   invariants.c  what must hold after each event; it shares no code with the machines
 *   records.c     what a journal may say next, the same way
 *   coverage.c    what was seen, in numbers
 *   matrix.c      one plan of each kind, and one crash or lost message at each place in turn
 */
#ifndef LOCKSTEP_TESTS_SIM_SIM_H
#define LOCKSTEP_TESTS_SIM_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/core/agent.h"
#include "lib/core/rollout.h"
#include "lib/wire/message.h"
#include "lib/wire/record.h"

#define SIM_NODES_MAX    5
#define SIM_PLACES_MAX   (SIM_NODES_MAX + 2) /* the executor, and the one of a frozen controller */
#define SIM_RELEASES_MAX 4
#define SIM_ITEMS_MAX    16
#define SIM_RUNS_MAX     6
#define SIM_FAULTS_MAX   48
#define SIM_EVENTS_MAX   100000 /* of one seed */
#define SIM_DATABASE     "main"

/* ---- what goes wrong ---- */
enum fault_kind {
    FAULT_CONTROLLER_CRASH,
    FAULT_CONTROLLER_CRASH_AT_RECORD,
    FAULT_CONTROLLER_REBOOT,
    FAULT_CONTROLLER_HANG,
    FAULT_CONTROLLER_FROZEN,
    FAULT_CONTROLLER_DISK_FULL,
    FAULT_CONTROLLER_LOST_FSYNC, /* and it dies: of what was called durable the last is gone */
    FAULT_PLACE_CRASH,
    FAULT_PLACE_CRASH_AT_RECORD,
    FAULT_PLACE_REBOOT,
    FAULT_PLACE_HANG,
    FAULT_PLACE_EMPTY_DISK,
    FAULT_PLACE_OLD_JOURNAL,
    FAULT_PLACE_DISK_FULL,
    FAULT_SERVICE_DIES,
    FAULT_PLACE_LOST_FSYNC,
    FAULT_PARTITION,
    FAULT_HALF_OPEN,
    FAULT_BREAK,
    FAULT_SLOW_NETWORK,
    FAULT_DUPLICATES,
    FAULT_LATE_REPORTS,
    FAULT_CLOCK_FORWARD,
    FAULT_CLOCK_BACK,
    FAULT_DATABASE_RESTART,
    FAULT_DATABASE_KILL_SESSION,
    FAULT_DATABASE_SLOW,
    FAULT_ACTION_FAILS,
    FAULT_ACTION_HANGS,
    FAULT_ACTION_KILLED,
    FAULT_WORD_ABORT,
    FAULT_WORD_RETRY,
    FAULT_WORD_SKIP,
    FAULT_WORD_EXCLUDE,
    FAULT_WORD_ROLLBACK,
    FAULT_WORD_CLAIM,
    FAULT_WORD_UNCLAIM,
    FAULT_WORD_APPROVE,
    FAULT_WORDS_AT_RECORD, /* contradictory ones, between a record and its being durable */
};
#define FAULT_KINDS (FAULT_WORDS_AT_RECORD + 1)

struct fault {
    enum fault_kind kind;
    int64_t at_ms;
    uint64_t place;    /* which, modulo how many there are */
    int64_t length_ms; /* how long it lasts */
    uint64_t number;   /* after so many records, messages or actions */
    bool pending;      /* its time came; it waits for `number` more */
    bool over;
};

/* ---- what is broken on purpose, to see that it is found ---- */
enum sabotage {
    SABOTAGE_NONE,
    SABOTAGE_SEND_BEFORE_DURABLE,
    SABOTAGE_PLACE_FSYNC_LIES,
    SABOTAGE_FENCE_NOT_RAISED,
    SABOTAGE_ACT_ON_REPEATED,
    SABOTAGE_REPORTS_OF_ANY_RUN,
    SABOTAGE_REPORTS_OF_ANY_PLACE,
    SABOTAGE_LIVING_WORKER_LOST,
    SABOTAGE_LOST_ONCE_FORGOTTEN,
    SABOTAGE_FORGET_TOO_EARLY,
    SABOTAGE_NEVER_FORGET,
    SABOTAGE_EFFECT_WITHOUT_EVIDENCE,
    SABOTAGE_INTENT_NOT_LOOKED_AT,
    SABOTAGE_JOURNAL_LOSES_A_RECORD,
    SABOTAGE_OUTCOME_UNTRUE,
};
#define SABOTAGES (SABOTAGE_OUTCOME_UNTRUE + 1)

/* ---- what is promised: each is a rule of the design ---- */
enum rule {
    RULE_ONCE_ITEM,     /* no migration's effect twice */
    RULE_ONCE_COMMAND,  /* a `once` command starts once for one attempt */
    RULE_ONCE_STEP,     /* a step never runs beside itself, nor after its DONE was heard */
    RULE_ONCE_MIGRATOR, /* no two migrators at the same time */
    RULE_FENCED, /* nothing of an older controller takes effect after a newer one raised the fence */
    RULE_COMPATIBLE, /* no release runs on a schema that it does not run with */
    RULE_BUDGET, /* rolling: no node is begun with while more than max_unavailable would be down, as far as it is
                          known, whoever took them */
    RULE_BARRIER,      /* no step of a phase begins before the one before it is done everywhere */
    RULE_PARALLEL,     /* a phase's `parallel` holds */
    RULE_INTENT_FIRST, /* nothing is instructed before its intent is durable */
    RULE_PROOFS,       /* what a retry goes back for never starts on old proofs */
    RULE_REPLAY,       /* the journal alone gives the same machine */
    RULE_JOURNAL_TRUE, /* what the journal says is what happened */
    RULE_ENDS,         /* when faults stop, every run ends */
    RULE_RETRY,        /* … and when it was paused, retry leads to its end */
    RULE_LOCKS,        /* an ended run leaves no lock */
    RULE_STOPS,        /* a run that is over begins nothing any more where that is known */
    RULE_ASKED,        /* a place begins nothing that nobody asked of it in this life */
    RULE_WHOLE,        /* a run that succeeded left every node and database as the plan said */
    RULE_RELEASE_KEPT, /* the release that a node had stays on its disk until the run is finished */
    RULE_GATE,    /* nothing behind a gate begins before so many different people have approved */
    RULE_WINDOW,  /* no wave begins outside the window */
    RULE_RETRIES, /* what failed is tried again by itself so often, and so late, as its step says */
    RULE_PACE,    /* no more starts in a time than the plan says */
    RULE_FAILURES, /* no more nodes are left behind by themselves than the plan says */
    RULE_DEADLINE, /* a run that is not over always has a next deadline, and a step the plan's */
    RULE_BOUNDED,  /* effects, attempts and memory stay within their limits */
    RULE_MACHINE,  /* no assertion of a machine fails */
};
#define RULES (RULE_MACHINE + 1)

/* ---- the scenario ---- */
enum sim_kind {
    KIND_RANDOM,
    KIND_UP,
    KIND_DOWN,
    KIND_ROLLING_UP,
    KIND_ROLLING_DOWN,
    KIND_TWO_HOPS,
    KIND_FIRST_INSTALL,
    KIND_EXTERNAL,
    KIND_FINISH_HALF_DONE, /* the first run is aborted in its middle */
};
#define KINDS (KIND_FINISH_HALF_DONE + 1)
/* What goes wrong at one exact moment; numbers count from 1, 0: never. */
struct sim_script {
    uint64_t controller_at; /* the record of the controller that is its last */
    bool and_agents;        /* … and that of all agents */
    uint32_t place;
    uint64_t place_at;   /* the record of that place that is its agent's last */
    bool after;          /* when it is durable; else just before */
    uint64_t message_at; /* the message that is lost, with its stream */
};
struct sim_release {
    const char *version;
    int schema, low, high; /* what it brings, what it runs with */
    int expand;            /* its migrations up to there run before the waves; 0: not divided */
};
/* Minutes of the day, and of the time zone; days: a set, Monday first, empty: no window. */
struct sim_window {
    unsigned days;
    int from, to, offset;
};
struct scenario {
    enum sim_kind kind;
    int first; /* release that is there; -1: none */
    size_t to; /* KIND_RANDOM: each run another */
    struct spec spec;
    struct sim_release releases[SIM_RELEASES_MAX];
    size_t release_count, node_count;
    bool external, rolling, once_step;
    int max_unavailable;
    bool
        strict; /* gates, a window, a failure budget, deadlines, a pace of starts: all that a strategy may say */
    struct sim_window window;
    bool bare[SIM_ITEMS_MAX]; /* an item that no transaction can hold */
    const char *items[SIM_ITEMS_MAX];
    size_t item_count;
};

/* ---- the queue ---- */
enum happening {
    HAPPEN_CONTROLLER_START,
    HAPPEN_CONTROLLER_DURABLE,
    HAPPEN_CONTROLLER_TIMER,
    HAPPEN_CONTROLLER_GONE, /* a frozen one, for good */
    HAPPEN_PLACE_START,
    HAPPEN_PLACE_DURABLE,
    HAPPEN_CONNECT,
    HAPPEN_SILENCE, /* heartbeats were missing for long enough: the stream breaks */
    HAPPEN_ORDER,   /* bytes arrive at a place */
    HAPPEN_REPORT,  /* bytes arrive at the controller */
    HAPPEN_WORKER,
    HAPPEN_OPERATOR,
    HAPPEN_WORDS, /* the operator says abort, or what `number` says */
    HAPPEN_FAULT,
    HAPPEN_CALM, /* from here on nothing goes wrong any more */
};
#define HAPPENINGS (HAPPEN_CALM + 1)
struct event_in_queue {
    int64_t at_ms;
    uint64_t order;
    enum happening what;
    uint32_t place, controller;
    uint32_t life;
    uint32_t connection;
    uint64_t number;
    struct sim_worker *worker;
    struct bytes bytes;
};

/* ---- journals: bytes; what is past `durable` may be lost in a crash, from its end ---- */
struct sim_journal {
    struct bytes *items;
    size_t count, durable, capacity;
};
/* What the records of a controller say, beside their bytes. */
struct sim_mark {
    enum record_type type;
    struct step_key key;
    enum rollout_state state;
    enum outcome_status status;
    enum word word;
    size_t gate;  /* of an approval */
    unsigned who; /* whose, as a set of one */
    int64_t now_ms, at_ms, deadline_ms;
};

/* ---- workers: they outlive the agent, not the machine that they run on ---- */
enum worker_state {
    WORKER_WAITS, /* the agent knows of it; it was not started */
    WORKER_RUNS,
    WORKER_ENDED, /* left an outcome */
    WORKER_DIED,  /* left none */
};
struct sim_worker {
    struct sim_worker *next;
    uint32_t place;
    uint32_t life;   /* of the agent that started it */
    uint64_t starts; /* what is queued for an earlier one is nothing */
    struct instruction_key key;
    uint32_t run; /* index */
    uint32_t known;
    uint64_t fence;
    uint32_t generation; /* of the controller that instructed it */
    struct action action;
    enum worker_state state;
    int at; /* the next small step */
    int64_t give_up_ms;
    size_t item;
    bool begun; /* the action's own intent: from here on it may have run */
    bool session, session_killed, temporary, fails, hangs;
    bool migrates;  /* is an external migrator at work */
    uint32_t asked; /* the life of the agent in which it was last asked for */
    struct outcome outcome;
};

/* ---- the database ---- */
struct sim_database {
    bool up;
    uint64_t fence;
    int64_t slow_until_ms;
    uint32_t generation;        /* of the controller that raised it */
    bool effect[SIM_ITEMS_MAX]; /* what the schema really has */
    bool ledger[SIM_ITEMS_MAX];
    int rows; /* an external tool's ledger and schema in one */
    struct sim_evidence {
        uint32_t run, phase, step;
        size_t item;
        bool down;
    } evidence[SIM_RUNS_MAX * SIM_ITEMS_MAX * 2];
    size_t evidence_count;
    bool intent[SIM_ITEMS_MAX];
    bool locked;
    uint32_t lock_place, lock_run;
    uint32_t migrators; /* external ones at work now */
};

/* ---- nodes ---- */
struct sim_node {
    int installed;   /* release index; -1: none */
    int runs;        /* release index; -1: nothing */
    int boots;       /* what ran before a reboot, and starts with it */
    unsigned staged; /* a set of release indices */
    bool denied;
    uint32_t denied_run; /* by which */
    int permitted;       /* release index; -1: any */
    bool down_by_us;     /* a step of the present run stopped it */
    bool died;           /* by itself, and nothing has started it since */
    int had;             /* the release that it had when the run began; -1: none, or it may go */
};

struct sim_place {
    bool up, connected, disk_full;
    int64_t hangs_until_ms;
    bool node;    /* has a node; else it is an executor */
    bool copied;  /* the executor of a frozen controller: it runs elsewhere */
    bool tainted; /* lost what it had promised to remember: exempt until the next run */
    bool
        unheard; /* … and nothing that it has lost was ever heard by the controller: until the next run */
    uint32_t life, boot, connection, owner; /* owner: the controller that it is connected to */
    uint64_t base;                          /* the journal's count when this life began */
    struct agent_machine *machine;
    struct arena arena;
    struct sim_journal journal;
    struct sim_worker *workers;       /* of all runs; the newest first */
    uint64_t heard_fence;             /* in this life: the highest that any order carried */
    uint64_t told_over[SIM_RUNS_MAX]; /* in this life: FORGET has come, with this fence */
    /* silence: what is sent is lost until the connection breaks */
    bool deaf, dumb;
    int64_t cut_until_ms;
    char watched[AGENT_RUN_BYTES]; /* the run that wants to know how the service is; "": none */
    int told_running;              /* what was last said of it; -1: nothing */
};

struct held_send {
    uint64_t after;
    struct step_key key;
    uint32_t known;
    struct step_key last;
    int64_t deadline_ms;
};

struct sim_controller {
    bool up, disk_full;
    uint32_t life;
    uint32_t generation;
    uint64_t fence;
    uint32_t executor; /* place index */
    struct rollout *rollout;
    struct arena arena;
    uint32_t run;               /* index of the present run */
    struct sim_journal journal; /* of it */
    struct sim_mark *marks;     /* of its records */
    size_t marks_capacity;
    bool run_over; /* its end is durable */
    struct held_send *held;
    size_t held_count, held_capacity;
    bool session[SIM_PLACES_MAX]; /* it believes that the place is connected */
    uint32_t session_connection[SIM_PLACES_MAX];
    int64_t busy_until_ms; /* it hangs or is frozen: what happens to it waits */
    uint64_t timer;
    int64_t began_ms, began_skew_ms; /* of this life */
    /* what it was told of the nodes, and who is in the middle of a phase that takes them down */
    bool told[SIM_PLACES_MAX], well[SIM_PLACES_MAX], middle[SIM_PLACES_MAX];
    enum rollout_state seen_state;
    enum step_state seen[SIM_PLACES_MAX];
};

/* ---- what really happened, for the invariants ---- */
struct truth {
    bool done;          /* a worker has ended DONE */
    uint32_t begun;     /* the attempt whose `once` command has begun */
    uint32_t last_done; /* the attempt */
    bool proved;        /* done since the last start of what goes back to it */
    bool skipped;       /* a person has said that it counts as done */
};
struct sim_run {
    char id[AGENT_RUN_BYTES];
    struct plan plan; /* as it was read back from its JSON */
    const char *json;
    struct truth *truth;  /* by phase, step and place: see truth_of() */
    size_t *phase_first;  /* of each phase in truth */
    uint32_t phases_done; /* every step of the phases before it is done everywhere */
    size_t to;
    bool over;
    bool excluded[SIM_NODES_MAX + 1]; /* left behind, by a person's word */
    bool skipped[SIM_NODES_MAX + 1];  /* a step of it */
};

struct coverage {
    uint64_t seeds, events, runs, retries_of_operator, aborts_of_operator, refusals, plans_refused;
    uint64_t ends[ROLLOUT_STATES];
    uint64_t faults[FAULT_KINDS];
    uint64_t checks[RULES];
    uint64_t happenings[HAPPENINGS];
    uint64_t rollout_edges[ROLLOUT_STATES][ROLLOUT_STATES];
    uint64_t step_edges[STEP_UNKNOWN + 1][STEP_UNKNOWN + 1];
    uint64_t agent_edges[AGENT_EVENT_FORGET + 1][16];
    uint64_t actions[ACTION_DB_OBSERVE + 1];
    uint64_t messages, lost, records;
};

/* How often what must happen once has happened, and what could be broken. */
struct sim_counts {
    uint64_t controller_records, place_records[SIM_PLACES_MAX], messages;
    uint64_t commands, migrators, items, pauses;
};

struct sim {
    struct arena arena;
    uint64_t seed, chance, fault_chance;
    struct sim_script script;
    struct sim_counts counts;
    int only; /* kind of fault; -1: all */
    enum sabotage sabotage;
    bool calm;
    int64_t now_ms, skew_ms, calm_ms;
    bool clock_was_set_back;
    uint64_t order, events;
    struct event_in_queue *queue;
    size_t queued, queue_capacity;
    struct scenario scenario;
    struct sim_place places[SIM_PLACES_MAX];
    size_t place_count;
    struct sim_node nodes[SIM_PLACES_MAX]; /* those of executors stay empty */
    struct sim_database database;
    struct sim_controller controllers[2];
    uint32_t now_controller; /* the one that a place would connect to */
    uint32_t generations;
    uint64_t fences; /* the highest that was ever given */
    struct sim_run runs[SIM_RUNS_MAX];
    uint32_t run_count;
    uint32_t pauses;  /* of this run, and since the calm */
    uint32_t refused; /* plans, one after the other */
    bool finished;
    int64_t finish_ms;
    struct fault faults[SIM_FAULTS_MAX];
    size_t fault_count;
    uint64_t without; /* faults that are left out, by number */
    int64_t slow_until_ms, twice_until_ms, late_until_ms;
    struct coverage *coverage;
    struct arena scratch;
    /* the verdict */
    bool failed;
    enum rule rule;
    char verdict[1024];
    sigjmp_buf *abort_jump;
    uint64_t digest;
    bool trace;
};

/* ---- world.c ---- */
void world_init(struct sim *s);
void world_deinit(struct sim *s);
uint64_t chance_of(uint64_t *state);
uint64_t chance(struct sim *s, uint64_t below);
bool percent(struct sim *s, unsigned likely);
struct event_in_queue *later(struct sim *s, int64_t in_ms, enum happening what);
bool next_event(struct sim *s, struct event_in_queue *ret);
void trace(struct sim *s, const char *format, ...) PRINTF_LIKE(2, 3);
int64_t wall_ms(const struct sim *s);
struct bytes bytes_copy(struct sim *s, struct bytes bytes);
void journal_add(struct sim *s, struct sim_journal *j, struct bytes bytes);
/* A crash: what is not durable is lost, but for a beginning of it. `lies`: some of what was called durable, too. */
void journal_crash(struct sim *s, struct sim_journal *j, bool lies);

/* ---- scenario.c ---- */
void scenario_make(struct sim *s);
/* A plan for the next run from what is there; false: the compiler refuses, or nothing is to do. */
bool scenario_plan(struct sim *s, size_t to, struct sim_run *run);
int scenario_release(const struct sim *s, const char *version);
int scenario_item(const struct sim *s, const char *id);

/* ---- network.c ---- */
void send_order(struct sim *s, uint32_t controller, uint32_t place, const struct wire_order *order);
void send_report(struct sim *s, uint32_t place, const struct wire_report *report);
void network_connect(struct sim *s, uint32_t place);
void network_break(struct sim *s, uint32_t place);
void network_arrive(struct sim *s, const struct event_in_queue *e);

/* ---- controller.c ---- */
void controller_start(struct sim *s, uint32_t controller);
void controller_crash(struct sim *s, uint32_t controller, int64_t back_in_ms);
void controller_event(struct sim *s, uint32_t controller, struct event event);
void controller_durable(struct sim *s, uint32_t controller, uint64_t number);
void controller_timer(struct sim *s, uint32_t controller);
void controller_report(struct sim *s, uint32_t controller, uint32_t place,
                       const struct wire_report *report);
void controller_session(struct sim *s, uint32_t controller, uint32_t place, bool up);
/* Its successor starts at once, with a copy of its disk; it wakes after length_ms, and knows nothing. */
void controller_freeze(struct sim *s, int64_t length_ms);
void controller_gone(struct sim *s, uint32_t controller);
void controller_run(struct sim *s, uint32_t controller, uint32_t run);
void controller_word(struct sim *s, enum word word);
/* A person of a few, by number. */
const char *person(uint64_t number);
void controller_words(struct sim *s, uint64_t number);
/* As a crash; and of what was called durable the last is gone. */
void controller_lose_fsync(struct sim *s, uint32_t controller, int64_t back_in_ms);
/* The person: looks at a paused run, and at the cluster when a run has ended. */
void operator_looks(struct sim *s);
/* Its place index as the machine counts. */
uint32_t key_place(const struct sim *s, uint32_t place);
uint32_t place_of_key(const struct sim *s, uint32_t controller, uint32_t place);

/* ---- place.c ---- */
void place_start(struct sim *s, uint32_t place);
void place_crash(struct sim *s, uint32_t place, int64_t back_in_ms);
void place_reboot(struct sim *s, uint32_t place, int64_t back_in_ms);
void place_event(struct sim *s, uint32_t place, struct agent_event event);
/* It does nothing now; what happens to it waits. */
bool place_hangs(const struct sim *s, uint32_t place);
void place_durable(struct sim *s, uint32_t place, uint64_t number);
void place_order(struct sim *s, uint32_t place, const struct wire_order *order);
void place_connected(struct sim *s, uint32_t place, uint64_t fence);
/* Says how its service is, where that is new and somebody wants to know. */
void place_serving(struct sim *s, uint32_t place);
/* Somebody starts again what died by itself; false: it may not be started. */
bool place_revive(struct sim *s, uint32_t place);

/* ---- worker.c ---- */
struct sim_worker *worker_find(struct sim_place *p, const struct instruction_key *key);
struct sim_worker *worker_new(struct sim *s, uint32_t place,
                              const struct wire_instruction *instruction);
void worker_renew(struct sim *s, struct sim_worker *w, const struct wire_instruction *instruction);
/* Would acting on it again double it? */
bool worker_would_double(struct sim *s, const struct wire_instruction *instruction);
void worker_start(struct sim *s, struct sim_worker *w);
void worker_step(struct sim *s, const struct event_in_queue *e);
/* In a moment, its agent sees how it stands. */
void worker_look_later(struct sim *s, struct sim_worker *w, int64_t in_ms);
void worker_tell(struct sim *s, struct sim_worker *w);
void worker_end(struct sim *s, struct sim_worker *w, enum outcome_status status, int code,
                const char *message);
bool worker_once(const struct sim_worker *w);
void worker_kill(struct sim *s, struct sim_worker *w);

/* ---- database.c ---- */
/* One small step of a database action; it ends with worker_end(). */
void database_step(struct sim *s, struct sim_worker *w);
void database_run_over(struct sim *s, uint32_t place, uint32_t run);
void database_host_died(struct sim *s, uint32_t place);
void database_sessions_die(struct sim *s);
#define DATABASE_HALF_DONE "another migration was begun and not ended"
void database_settle(struct sim *s);
int database_schema(const struct sim *s);
void database_move_rows(struct sim *s, struct sim_worker *w, int rows);

/* ---- faults.c ---- */
void faults_make(struct sim *s);
void faults_happen(struct sim *s, size_t number);
void faults_end(struct sim *s, size_t number);
void faults_calm(struct sim *s);
/* Is it the moment of a fault that was waiting for the next record, message or action? */
bool faults_due(struct sim *s, enum fault_kind kind, uint32_t place);
const char *fault_name(enum fault_kind kind);

/* ---- invariants.c ---- */
void violate(struct sim *s, enum rule rule, const char *format, ...) PRINTF_LIKE(3, 4);
struct truth *truth_of(struct sim_run *run, uint32_t phase, uint32_t step, uint32_t place);
void truth_init(struct sim *s, struct sim_run *run);
void check_instructed(struct sim *s, uint32_t controller, uint32_t place,
                      const struct instruction_key *key);
void check_act(struct sim *s, struct sim_worker *w);
/* Does the place's journal hold the last step that the controller has durably as DONE from there? */
bool remembers_what_was_heard(struct sim *s, uint32_t place);
/* Its action begins: until here it may be started again. */
void check_begun(struct sim *s, const struct sim_worker *w);
void check_ended(struct sim *s, struct sim_worker *w);
void check_replay(struct sim *s, uint32_t controller);
void check_parallel(struct sim *s, uint32_t controller);
void check_record(struct sim *s, uint32_t controller, const struct record *record);
void check_nodes(struct sim *s, const char *when);
void check_bounds(struct sim *s, uint32_t controller, const struct effects *out);
void check_place_bounds(struct sim *s, uint32_t place, const struct agent_effects *out);
void check_release_kept(struct sim *s, uint32_t place);
void check_run_end(struct sim *s, struct sim_run *run, enum rollout_state state);
void check_end(struct sim *s);
const char *rule_name(enum rule rule);

/* ---- records.c ---- */
/* Each is the last mark of the controller's journal. */
void check_intent(struct sim *s, struct sim_controller *c, const struct record *record);
void check_outcome(struct sim *s, struct sim_controller *c, const struct record *record);
void check_state(struct sim *s, struct sim_controller *c, const struct record *record);
void check_left_behind(struct sim *s, struct sim_controller *c, const struct record *record);

/* ---- coverage.c ---- */
void coverage_rollout(struct sim *s, enum rollout_state from, enum rollout_state to);
void coverage_step(struct sim *s, enum step_state from, enum step_state to);
void coverage_agent(struct sim *s, enum agent_event_type event, const struct agent_effect *effect);
void coverage_print(const struct coverage *c);
size_t coverage_never(const struct coverage *c, bool print);

/* ---- run.c ---- */
struct sim_options {
    uint64_t seed, without;
    enum sabotage sabotage;
    int only; /* a kind of fault + 1: worlds are ill in this way alone; 0: in any */
    enum sim_kind kind;
    struct sim_script script;
    bool trace;
};
struct sim_verdict {
    bool failed;
    enum rule rule;
    char text[1024];
    uint64_t digest, events;
    size_t faults;
    struct sim_counts counts;
    size_t place_count;
    char end[256]; /* nodes, schema, ledger: as they were left */
};
void sim_run(const struct sim_options *options, struct coverage *coverage, struct sim_verdict *ret);
/* The faults that are not needed for the same failure, left out one by one. */
uint64_t sim_shrink(const struct sim_options *options, const struct sim_verdict *verdict);
const char *sabotage_name(enum sabotage sabotage);
const char *sim_kind_name(enum sim_kind kind);

/* ---- matrix.c ---- */
/* Every `stride`th case of a kind: each record of the controller, of each agent and of both, just before it is durable
 * and just after, and each message. Returns how many there were; a failure is in ret_failed and ret_verdict. */
size_t matrix_run(enum sim_kind kind, size_t stride, struct coverage *coverage,
                  struct sim_options *ret_failed, struct sim_verdict *ret_verdict);

#endif
