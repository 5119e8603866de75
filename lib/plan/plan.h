/*
 * The plan: from what is observed to what is wanted, as hops x phases of step templates x node sets. It is
 * data: one shape table writes and reads it as canonical JSON, and its id is the SHA-256 of those bytes
 * (computed by the caller: this floor does no digests).
 *
 *   plan ── hops[]         9.11.3 -> 8.1.9, 8.1.9 -> 7.8.15
 *        ── node_sets[]    "all", "wave 1"
 *        └─ phases[]       walked one after the other; between two of them stands a barrier
 *             ├─ scope nodes: every node of the set walks the steps at its own pace
 *             └─ scope once:  the steps run one after the other, each at the one place that `on` names
 *
 * A place is a node's name, or "controller" for the executor inside lockstepd. A step is known by its phase's and
 * its own index and its place: "4.2@app-1".
 */
#ifndef LOCKSTEP_PLAN_PLAN_H
#define LOCKSTEP_PLAN_PLAN_H

#include "lib/plan/inventory.h"
#include "lib/spec/spec.h"

#define PLAN_CONTROLLER "controller"
#define PLAN_ALWAYS     "always"

enum direction {
    DIRECTION_NONE,
    DIRECTION_UP,
    DIRECTION_DOWN
}; /* NONE: nothing to do, or only repairs */
enum strategy_kind { STRATEGY_ALL_AT_ONCE, STRATEGY_ROLLING };
/* What of the way a plan is: all of it, only what is put on the nodes ahead of it, or what takes that off again. */
enum plan_part { PLAN_WHOLE, PLAN_STAGE, PLAN_DROP };

struct plan_node {
    const char *name;
    struct pairs vars;
    const char *from; /* observed version; NULL: nothing installed */
    bool running;
    const char *denied;      /* observed: why it may not start; NULL: it may */
    const char *pair;        /* its failover pair; NULL: it stands alone */
    struct pairs components; /* observed: component -> version */
};

/* What a step leaves on its node: a version of a component, or (NULL) none of it. */
struct plan_component {
    const char *name;
    const char *version;
};

struct plan_hop {
    const char *from, *to;
    int direction;                       /* enum direction */
    bool started;                        /* `to` is started; false: migrated through only */
    struct pairs schema_from, schema_to; /* database -> number as text */
    struct pairs
        schema_rolling; /* the same, where `expand` divides its migrations: while nodes roll */
};

struct plan_node_set {
    const char *name; /* "all", "canary", "wave 2" */
    struct strings nodes;
};

/* Which extra step an action is part of: so a journal tells what was done, and a rollback takes it back. */
struct plan_extra {
    const char *undoes; /* the run whose step this takes back; NULL: it is the step itself */
    const char *step;
    const char *from, *to; /* its hop; from NULL: a first installation */
    const char *database;  /* scope database: which */
};

/* What a migrate step locks, or writes anew. */
struct plan_lock {
    const char *object; /* "posts"; "an index …": its table */
    const char *mode;   /* "ACCESS EXCLUSIVE" */
    bool rewrites;
    int64_t bytes, rows;   /* of the table when the plan was made; 0: small, or not known */
    const char *migration; /* its file */
};

struct plan_step {
    const char
        *name; /* "migrate", "swap", an extra step's name; unique within its phase not needed */
    const char *title;  /* for people, after the name: "main 128 -> 118"; NULL: the name says it */
    const char *detail; /* for people, beside it: "10 down", "214 MB"; NULL: nothing */
    const char *on;     /* scope once: its place; NULL in a phase of nodes */
    struct action *action; /* ${node.*} and ${run} are still references; all others are resolved */
    int64_t deadline_ms;   /* from the intent to the outcome */
    int64_t stall_ms;      /* its progress must move once in so long; 0: it need not */
    int64_t retries;       /* after a FAILED outcome; never after UNKNOWN */
    int64_t backoff_ms;    /* before the first of them; doubles, up to LIMIT_BACKOFF_MS */
    int64_t
        retry_back; /* scope once: the word `retry` begins so many steps before this one, with what proves that it
                           may start; 0: with itself */
    const char *lossy;        /* what data it loses, and what cannot be undone */
    const char *back;         /* a step up: what its way back loses */
    struct list locks;        /* of struct plan_lock, the most dangerous first */
    const char *why;          /* an extra step: why it is in; PLAN_ALWAYS: without conditions */
    struct plan_extra *extra; /* what it is part of; NULL: a step of Lockstep's own */
    struct plan_component *component; /* the last step of its removal or installation; NULL */
};

#define PLAN_LOCKS_MAX 20 /* of one step; those that matter less are left out */

enum phase_scope { PHASE_NODES, PHASE_ONCE };
/* Which migrations of a hop that `expand` divides. */
enum plan_database_part { PART_WHOLE, PART_EXPAND, PART_CONTRACT };

struct plan_phase {
    const char *name; /* "preflight", "stage", "stop", "migrate main", "swap and start" */
    int64_t hop;      /* index; -1 before the first, hop count after the last */
    int scope;        /* enum phase_scope */
    int64_t node_set; /* PHASE_NODES */
    int64_t parallel; /* PHASE_NODES: how many nodes at once; 0: all */
    bool
        disruptive; /* from here on the service is touched: a failure pauses; before, the run just fails */
    bool no_return;  /* the point of no return is inside */
    int part;        /* enum plan_database_part: what it moves of its database */
    bool takes_down; /* its nodes are (or go) down while it runs: for the table of downtimes */
    bool
        rests; /* before it nothing is half-way: a wave begins here, and the run may wait for a window */
    struct list steps; /* of struct plan_step */
};

/* Before this phase the run waits until so many people have approved. */
struct plan_gate {
    const char *name; /* unique: "canary", "wave 2" */
    int64_t phase;
    int64_t approvers;
    int64_t timeout_ms; /* 0: the default of a pause */
};

struct plan_left_out {
    const char *name;
    const char *why; /* "9.11.3 is not >=10.3.8" */
};

/* What must still be so when the plan is applied. */
struct plan_observed_database {
    const char *name;
    struct strings applied;
};

struct plan {
    int64_t lockstep; /* 1 */
    const char *kind; /* "Plan" */
    const char *cluster;
    const char *application;
    const char *spec_digest; /* SHA-256 of the spec revision that it was compiled from */
    const char *from, *to;   /* versions; from NULL: a first installation */
    int direction;
    int strategy;
    int part; /* enum plan_part */
    int on_failure;
    int64_t max_unavailable; /* rolling: how many nodes may be down, whoever took them; 0: any */
    struct action
        *watch; /* with max_unavailable: what a node's agent looks at meanwhile (observe) */
    struct starts_spec *starts;        /* no more starts than so many in a time; NULL: any */
    int64_t wave_ms, run_ms, pause_ms; /* deadlines; 0: none, and the default of a pause */
    int64_t failures_nodes;    /* so many may be left behind before a failure stops the run */
    int64_t failures_per_node; /* which failure counts a node as failed; 0: the first */
    struct list gates;         /* of struct plan_gate, by phase */
    struct list windows;       /* of struct window_spec; none: at any time */
    struct list nodes;         /* of struct plan_node: name, vars, observed version */
    struct list databases;     /* of struct plan_observed_database */
    struct list node_sets;     /* of struct plan_node_set */
    struct list hops;          /* of struct plan_hop */
    struct list phases;        /* of struct plan_phase */
    struct list left_out;      /* of struct plan_left_out */
    struct strings proved;     /* sentences */
    struct strings warnings;
    struct strings notes; /* release notes that ask for an acknowledgement */
};

extern const struct shape plan_shape;

/* A database that is put back to a backup: its ledger holds then what it held when the backup was made. */
struct plan_restore {
    const char *database;
    const char *on;   /* the place that made the file, and has it */
    const char *path; /* absolute */
    const char *sha256;
    const char *fingerprint; /* of the schema in it; NULL: not known */
    int64_t bytes;
    const char *run;          /* that made it */
    const char *made;         /* when, in words */
    struct strings applied;   /* the ledger's ids in it */
    struct strings half_done; /* migrations that stood half-done in it */
};

struct plan_request {
    const char *to; /* NULL: the cluster's version */
    const char *spec_digest;
    const struct plan_restore *restores; /* of different databases; the others migrate */
    size_t restore_count; /* > 0: all-at-once and in one hop, whatever the paths say */
    bool rolls_back;      /* it follows a run by itself: a failure of it only pauses */
};

/* The way over releases, both ends included: {"9.11.3","8.1.9","7.8.15"}; each as the application writes it. Of the ways
 * that `paths:` allows, the one with the fewest hops, then the one with the newest first stop, second stop … `from` NULL: a
 * first installation ({to}). E_INVALID names the rule that refuses and the releases that are missing. */
struct plan_way {
    struct strings releases;
    struct strings reasons; /* of each: which rule asks for the stop; "" at the ends */
};
int plan_way(struct arena *arena, const struct application *app,
             const struct version_scheme *scheme, const char *from, const char *to,
             struct plan_way *ret, struct error *e);
/* The releases alone. */
int plan_path(struct arena *arena, const struct application *app,
              const struct version_scheme *scheme, const char *from, const char *to,
              struct strings *ret, struct error *e);
/* Up or down, by the order of the versions, or by `paths.switch` where they have none; NONE: equal, or no way. */
enum direction plan_direction(struct arena *arena, const struct application *app,
                              const struct version_scheme *scheme, const char *from,
                              const char *to);

/* Which releases' artifacts the compiler will want to know for what is requested: the caller fetches them and fills inventory.releases, and calls again until nothing new is named:
 * a ledger that holds what none of them brought needs a newer one, nearest first. */
int plan_releases_needed(struct arena *arena, const struct spec *spec,
                         const struct inventory *inventory, const struct plan_request *request,
                         struct strings *ret, struct error *e);

/* The migrators with an artifact of their own that may be started for it; few too many are better than one too few.
 * *ret: of struct external_spec *, in the arena. */
size_t plan_migrators_needed(struct arena *arena, const struct spec *spec,
                             const struct inventory *inventory, const struct plan_request *request,
                             const struct external_spec ***ret);

/* Compiles. Everything that forbids it is a complaint (with file and line where a spec is to blame, without where the
 * cluster is); returns 0 or E_INVALID. A plan of no phases means that nothing is to do. */
int plan_compile(struct arena *arena, const struct spec *spec, const struct inventory *inventory,
                 const struct plan_request *request, struct plan *ret,
                 struct complaints *complaints);

/* Walks a plan's phases and proves what "proved:" says, from the plan and the spec alone; the sentences go to *ret.
 * plan_compile() does this last. E_INVALID with a complaint: the first phase that breaks one. */
int plan_prove(struct arena *arena, const struct spec *spec, const struct plan *plan,
               struct strings *ret, struct complaints *complaints);

bool plan_extra_equal(const struct plan_extra *a, const struct plan_extra *b);

/* The part of a whole plan (stage.c): preflight and stage, or the removal of what it would stage. Empty: there is nothing
 * to stage. Shares what it holds with `whole`. */
void plan_part_of(struct arena *arena, const struct plan *whole, enum plan_part part,
                  struct plan *ret);
/* "staged 1.1.0 and 2.0.0 for a later apply": what a run of a part has done, in words; NULL of a whole plan. */
const char *plan_part_words(struct arena *arena, const struct plan *plan);

/* Canonical JSON, without a trailing newline. */
void plan_to_json(struct arena *arena, const struct plan *plan, struct buf *out);
/* Reads and checks: every index, place and node set must fit, so that what runs a plan need not look again. */
int plan_from_json(struct arena *arena, const char *text, size_t len, struct plan *ret,
                   struct error *e);

/* In what the inventory differs from what the plan was compiled from, in words, one each; none: it may be applied. */
void plan_differences(struct arena *arena, const struct plan *plan, const struct inventory *now,
                      struct strings *ret);

/* The plan as README.md shows one; `id` is its SHA-256 in hex. Plain text, at most `width` columns where it can. `known` (NULL:
 * nothing) is for the times in it. */
struct known_durations;
void plan_render(const struct plan *plan, const char *id, int width,
                 const struct known_durations *known, struct arena *arena, struct buf *out);

/* The action of a step for one place with all references resolved. `run` is the run's id. */
int plan_action(struct arena *arena, const struct plan *plan, size_t phase, size_t step,
                const char *place, const char *run, struct action *ret, struct error *e);

/* The same for a node by its index in plan->nodes, without a search; PLAN_NO_NODE for the controller. */
#define PLAN_NO_NODE SIZE_MAX
int plan_action_for(struct arena *arena, const struct plan *plan, size_t phase, size_t step,
                    size_t node, const char *run, struct action *ret, struct error *e);

/* `watch` of the plan for a node, resolved; only where there is one. */
int plan_watch_for(struct arena *arena, const struct plan *plan, size_t node, const char *run,
                   struct action *ret, struct error *e);

/* In a plan of no phases: is nothing to do? */
static inline bool plan_is_empty(const struct plan *plan)
{
    return plan->phases.count == 0;
}

static inline const struct plan_phase *plan_phase_at(const struct plan *plan, size_t phase)
{
    return LIST_AT(&plan->phases, const struct plan_phase, phase);
}

static inline const struct plan_step *plan_step_at(const struct plan *plan, size_t phase,
                                                   size_t step)
{
    return LIST_AT(&plan_phase_at(plan, phase)->steps, const struct plan_step, step);
}

#endif
