/*
 * What the files of the compiler share: the state of one compilation, how a plan is put together, and the parts
 * that decide. Used by the files of this folder only.
 *
 *   path.c, path_rule.c   which releases stand on the way, and what the rules say of them
 *   way.c      from where to where: releases, hops, migrations of each database
 *   nodes.c    what each node needs, and what forbids it
 *   extra.c    which extra steps hold in which hop, and why
 *   undo.c     which extra steps of earlier runs are taken back, and where
 *   database.c, delegate.c   what a hop does to each database
 *   actions.c  the templates of Lockstep's own steps
 *   order.c    the order of a hop's pieces on a set of nodes, with the extra steps between them
 *   all_at_once.c, rolling.c   the two strategies
 *   halts.c    where a run may wait: gates, windows; its deadlines and failure budgets
 *   lint.c     what the SQL of a way locks, what it cannot undo, and what must fail
 *   migrator.c  migrators with an artifact of their own
 *   restore.c  databases that are put back to a backup
 *   look.c     what is asked of the databases before anything is touched, and before and after each moves
 *   component.c  which components a node gets, and where in a hop
 *   expand.c   which migrations of a hop run before its waves, and which after them
 *   prove.c    whether the way may roll, or the pair that breaks it
 *   detour.c   over which release it would roll
 *   prove_plan.c  what is proved of the plan as it was put together
 */
#ifndef LOCKSTEP_PLAN_COMPILER_H
#define LOCKSTEP_PLAN_COMPILER_H

#include "lib/plan/plan.h"

/* Where a migration stands when nodes roll. All at once there are no waves: all of it is before them. */
enum hop_side { SIDE_BEFORE, SIDE_AFTER };
#define HOP_SIDES 2

/* What one database does in one hop. */
struct hop_database {
    const struct app_database_spec *app;
    struct database_ref ref;
    const char *place;
    int format; /* enum migration_format_kind */
    const struct external_spec *external;
    int64_t schema_from, schema_to;   /* -1: not said */
    bool runs;                        /* something is to do */
    bool down;                        /* external: its direction */
    bool exact;                       /* after the hop the ledger is what `to` has */
    struct migration_way way;         /* native */
    int64_t count_from, count_to;     /* external: rows before and after */
    size_t node;                      /* of the tool: index of the node it runs on */
    struct strings before;            /* native: the ids that are applied before the hop */
    const struct external_spec *tool; /* external, or what some of `way` is delegated to; NULL */
    const char *tool_release;         /* whose tree the tool runs in */
    const struct known_release *migrator; /* it has an artifact of its own; NULL */
    bool staged_tree;                     /* that release is not what is installed there */
    bool tree_staged[HOP_SIDES];          /* the same, of each side of the waves */
    bool divided;                         /* native: `expand` divides the way … */
    int64_t expand;                       /* … at this migration … */
    size_t ups_first, downs_first;        /* … and so many of `way` run before the waves */
    int part;                             /* of a part: enum plan_database_part */
    bool goes_on;                         /* of a part: another one of the hop follows */
    const struct plan_restore *restore;   /* before all else it is put back to this; NULL */
};

struct hop_state {
    const char *from; /* NULL: nothing was installed */
    const char *to;
    enum direction direction;
    bool started;
    struct hop_database *databases;
    size_t database_count;
};

struct node_state {
    const struct node_spec *spec;
    const struct observed_node *seen; /* NULL: the inventory does not have it */
    int64_t at;                       /* index of its version in the path; -1: none of it */
    bool swap;                        /* not the wanted release yet */
    bool touch;                       /* to be swapped or to be started */
    bool lift;               /* as wanted, but it may not start: an earlier run denied it */
    bool permitted;          /* a start of this plan permits it */
    const char **components; /* what the node has of each, as the plan goes on; NULL: nothing */
    size_t partner;          /* the other node of its failover pair, or NO_PARTNER */
};
#define NO_PARTNER SIZE_MAX

/* What takes an extra step of an earlier run back. The point where it stands mirrors the one where the step stood. */
enum undo_slot {
    UNDO_RUNNING,  /* before a node stops: it was done while the release that is left ran */
    UNDO_STOPPED,  /* stopped, the release that is left still installed */
    UNDO_MIGRATED, /* before the databases move back */
    UNDO_SWAPPED,  /* stopped, the release that is gone to installed */
    UNDO_FINISHED, /* at the end: it was done before anything stopped */
};

struct undo {
    const struct extra_step *step;
    const struct done_step *done; /* the first of them */
    struct hop_state way;         /* the step's own hop */
    size_t hop;                   /* the plan's, where it is taken back */
    enum undo_slot slot;
    bool *nodes; /* scope node: which are still to do, by index; NULL: at done->place */
    size_t left; /* places still to do */
};

/* Nodes by index, in the cluster's order. */
struct members {
    const char *name;
    size_t *items;
    size_t count;
};

struct compiler {
    struct arena *arena;
    const struct spec *spec;
    const struct application *app;
    const struct cluster *cluster;
    const struct inventory *inventory; /* with the ledgers that restores will leave */
    const struct inventory *observed;  /* as it is */
    const struct plan_request *request;
    struct plan *plan;
    struct complaints *complaints;
    const char *to;
    const char *layout; /* its path; ${node.*} are still references */
    struct strings path;
    struct hop_state *hops;
    size_t hop_count;
    struct node_state *nodes;
    size_t node_count;
    bool migrates;         /* any hop runs anything in any database */
    struct list undos;     /* of struct undo, in the journals' order */
    bool must_stop;        /* a node that runs must be stopped though it keeps its release */
    const char *component; /* what ${component.version} means; NULL: nothing */
    const struct hop_state *meant; /* what ${hop.…} means instead of the plan's own; NULL */
    struct list waves;             /* of struct wave_marks, as they were put into the plan */
};

/* Where a wave stands in the plan: its phases, the last one excluded. */
struct wave_marks {
    size_t begin, end;
    bool canary;
    bool last; /* of its hop */
};

/* ---- build.c ---- */
/* Appends a zeroed element; what was returned before is no longer valid. */
void *list_push(struct arena *arena, struct list *list, size_t size);
void strings_push(struct arena *arena, struct strings *strings, const char *text);
bool strings_have(const struct strings *strings, const char *text);
/* A complaint about the cluster as it is: without a place. */
void forbid(struct compiler *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A complaint about the value at `field` of one of the two specs. */
void forbid_at(struct compiler *c, const void *field, const char *fmt, ...) PRINTF_LIKE(3, 4);
void warn(struct compiler *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The plan's node set of these members; made at the first call with this name. */
int64_t node_set(struct compiler *c, const struct members *members);
struct plan_phase *add_nodes_phase(struct compiler *c, int64_t hop, const char *name,
                                   const struct members *members);
struct plan_phase *add_once_phase(struct compiler *c, int64_t hop, const char *name);
/* From this phase on, the service is touched. */
void disruptive_from(struct compiler *c, size_t phase);
/* A step with an empty action to fill. `on` is NULL in a phase of nodes. */
struct plan_step *add_step(struct compiler *c, struct plan_phase *phase, const char *name,
                           const char *title, const char *on, int64_t deadline_ms);

/* ---- resolve.c ---- */
/* Copies the struct of `shape` with every reference but ${node.*} and ${run} replaced; those and $${ stay as they
 * are, for plan_action(). Mistakes are complaints. */
void resolve_shape(struct compiler *c, size_t hop, const char *database, const struct shape *shape,
                   const void *in, void *out);
/* The same with ${migration.version} and ${migration.previous}. */
void resolve_delegated(struct compiler *c, size_t hop, const char *database,
                       const struct migration *migration, const struct action *in,
                       struct action *out);
const char *resolve_text(struct compiler *c, size_t hop, const char *database, const char *text);

/* database.c: MariaDB commits at every CREATE, ALTER and DROP. */
bool is_mariadb(const struct compiler *c, const struct database_ref *ref);

/* ---- way.c ---- */
/* The wanted version as the application's release writes it. */
const char *wanted_version(const struct spec *spec, const char *to);
int way_from(struct compiler *c, const char **ret_from);
void way_hops(struct compiler *c, const char *from);
const struct migration_set *known_set(const struct inventory *inventory, const char *version,
                                      const char *database);
/* What a ledger holds after the way. */
struct strings state_after(const struct compiler *c, const struct strings *state,
                           const struct migration_way *way);
const struct release_spec *release_of(const struct compiler *c, const char *version);
/* The schema number of a release for a database; -1 when it says none. */
int64_t schema_of(const struct compiler *c, const char *version, const char *database);
/* What some migrations lose in one direction, in words, or NULL. */
const char *lossy_items(struct compiler *c, const struct migration *items, size_t count, bool down);
/* What a hop's migrations of a database lose, in words, or NULL. */
const char *lossy_of(struct compiler *c, const struct hop_database *db);

/* ---- nodes.c ---- */
void nodes_read(struct compiler *c);
void nodes_check(struct compiler *c);
/* After way_hops(): what an earlier run began and did not end must be met by a step of this plan. */
void open_check(struct compiler *c);
struct members members_all(struct compiler *c);
struct members members_where(struct compiler *c, const char *name, const struct members *of,
                             bool (*keep)(const struct compiler *, size_t node, const void *),
                             const void *context);
const struct known_release *release_for(const struct compiler *c, size_t node, const char *version);
/* The members split by the artifact of `version` that fits them; one group is the usual answer. */
struct members *members_by_artifact(struct compiler *c, const struct members *of,
                                    const char *version, size_t *ret_count);

/* ---- extra.c ---- */
enum { SLOT_BEFORE, SLOT_AFTER };
/* Do the conditions hold in this hop? Their words go to *in, or the one that does not to *ret_not. */
bool when_holds(struct compiler *c, const struct when_spec *when, const struct hop_state *hop,
                struct strings *in, const char **ret_not);
/* Is the extra step in at this hop? *ret_why says why or why not. */
bool extra_holds(struct compiler *c, const struct extra_step *step, size_t hop,
                 const char **ret_why);
void extra_left_out(struct compiler *c);
/* Whether the step can be a step of a phase of these members. */
bool extra_is_inline(const struct compiler *c, const struct extra_step *step,
                     const struct members *members);
void extra_add_steps(struct compiler *c, struct plan_phase *phase, const struct extra_step *step,
                     size_t hop, const char *on, const char *database);
/* The application's own list of actions (drain, undrain) as steps of a phase of nodes. */
void steps_of_list(struct compiler *c, struct plan_phase *phase, const char *name,
                   const struct list *actions, size_t hop);
/* Phases of their own for the steps of a point; `members`: whom a step of scope node concerns. */
void extra_phases(struct compiler *c, size_t hop, enum step_point point, int side,
                  const struct members *members);
void extra_phase(struct compiler *c, const struct extra_step *step, size_t hop,
                 const struct members *members);

/* The actions of a list as steps of this name. */
struct extra_actions {
    const struct extra_step *step;
    const struct list *actions; /* its do: or its undo: */
    const char *name, *why;
    const char *on, *database;
    struct plan_extra *extra;
    const struct hop_state *way; /* what ${hop.…} means */
};
void extra_add_actions(struct compiler *c, struct plan_phase *phase, size_t hop,
                       const struct extra_actions *what);

/* ---- component.c ---- */
/* What each node has of components, and which nodes must be touched for one; needs nodes_check(). */
void components_read(struct compiler *c);
/* Does this plan move components alone, each of which may run in two versions? */
bool components_roll(struct compiler *c);
/* Why a component forbids rolling; NULL: none does. */
const char *components_forbid(struct compiler *c);
/* The members of this hop that get another version of this component; they have one (or none) of it. */
struct members component_members(struct compiler *c, size_t hop, size_t component, bool has,
                                 const struct members *members);
/* Its removal, where there is one, and its installation. */
void component_steps(struct compiler *c, struct plan_phase *phase, size_t hop, size_t component,
                     bool has);
/* From then on they have it. */
void component_given(struct compiler *c, size_t hop, size_t component,
                     const struct members *members);

/* ---- undo.c ---- */
/* What of the inventory's done steps this plan takes back; needs the hops. Nodes that must stop for it are to be touched. */
void undo_read(struct compiler *c);
/* Phases for what stands here on these nodes; NULL: what is not a node's. */
void undo_phases(struct compiler *c, size_t hop, enum undo_slot slot, const struct members *members,
                 int64_t parallel);
/* What no other place of the plan took back. */
void undo_rest(struct compiler *c);
/* Is anything still to be taken back? */
bool undo_any(const struct compiler *c);
/* On how many of these nodes is it still to do? */
size_t undo_count(const struct undo *undo, const struct members *members);
void undo_add_steps(struct compiler *c, struct plan_phase *phase, const struct undo *undo,
                    const char *on);
/* A phase of its own for it on those of the nodes where it is still to do; or once, at its place. */
void undo_phase(struct compiler *c, struct undo *undo, const struct members *members,
                int64_t parallel);
/* It stands in the plan on these nodes now. */
void undo_given(struct undo *undo, const struct members *members);
/* Which undos stand on the node in the middle of its move: equal ones may share a phase. */
uint64_t undo_signature(const struct compiler *c, size_t node);

/* ---- actions.c ---- */
void step_service(struct compiler *c, struct plan_phase *phase, size_t hop, enum service_verb verb);
void step_swap(struct compiler *c, struct plan_phase *phase, const struct known_release *release);
void step_permit(struct compiler *c, struct plan_phase *phase, size_t hop);
void step_deny(struct compiler *c, struct plan_phase *phase);
/* Nodes that are as wanted, but for what an earlier run denied them, and that no start permits. */
void phase_lift(struct compiler *c);
void step_health(struct compiler *c, struct plan_phase *phase, size_t hop, int64_t soak_ms);
void phase_check(struct compiler *c);
void phase_retire(struct compiler *c, const struct members *members);
/* Does the node go to the release of this hop? */
bool node_goes_to(const struct compiler *c, size_t node, size_t hop);
void phases_preflight(struct compiler *c, const struct members *members);
void phases_stage(struct compiler *c, const struct members *members);

/* ---- database.c ---- */
/* Is a backup due? *ret_lossy: anything on the way loses data. */
bool backup_is_due(struct compiler *c, bool *ret_lossy);
/* How? Backs up every database that has something in it. */
void phases_backup(struct compiler *c, int64_t hop);
/* Lock, migrate, checkpoint, unlock: one phase for each database that has something to do. */
void phases_migrate(struct compiler *c, size_t hop, enum hop_side side);
/* No phase so far has the point of no return. */
bool can_return(const struct plan *plan);
/* A phase that migrates a database and may lose `lossy`; locked, with the format's own lock or without. */
struct plan_phase *begin_migration(struct compiler *c, size_t hop, const struct hop_database *db,
                                   const char *name, const char *lossy, int format);
void end_migration(struct compiler *c, struct plan_phase *phase, size_t hop,
                   const struct hop_database *db, int format, bool checkpoint);
/* Migrations that go one way, by Lockstep itself. */
void step_native(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
                 const struct migration *items, size_t count, bool down);
/* External: the ledger has `count` rows; done_count >= 0: or that many, for it has run already. */
void step_rows(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
               int64_t count, int64_t done_count);
void steps_tool_lock(struct compiler *c, struct plan_phase *phase, const struct hop_database *db);
/* The start of the tool, without its action's arguments resolved; *ret_in is what to resolve into the step. */
struct plan_step *step_tool(struct compiler *c, struct plan_phase *phase,
                            const struct hop_database *db, bool down, const char *title,
                            struct action *ret_in);

/* ---- migrator.c ---- */
/* Finds the artifacts of the migrators of all hops, by the node that each runs on. */
void migrators_find(struct compiler *c);
/* Where they lie: a layout of their own, beside the releases'. */
const char *migrators_layout(struct compiler *c);
/* What they need on the disk of a node. */
int64_t migrators_bytes(struct compiler *c, size_t node);
void phases_stage_migrators(struct compiler *c);
void phases_retire_migrators(struct compiler *c);

/* ---- restore.c ---- */
bool restores(const struct compiler *c);
/* The restore of this database, or NULL. */
const struct plan_restore *restore_of(const struct compiler *c, const char *database);
/* Refuses what cannot be restored. The inventory as it will be once the databases are restored. */
void restores_read(struct compiler *c, const struct inventory *observed);
/* From, to: the releases between the two have no part in it. */
void restores_path(struct compiler *c, const char *from);
/* Before anything stops: are the files there, and the right ones? */
void steps_look_restores(struct compiler *c, struct plan_phase *phase);
/* Locked, restored, its ledger looked at; `last`: the database does nothing else in this hop. */
void phase_restore(struct compiler *c, size_t hop, const struct hop_database *db, bool last);
/* Why a step has no place on a database that is restored; NULL: it has. */
const char *restore_forbids(struct compiler *c, const struct extra_step *step);

/* ---- lint.c ---- */
/* What the scripts of a way lock and trap; a certain failure forbids the plan. PostgreSQL only. */
void lint_step(struct compiler *c, struct plan_step *step, const struct hop_database *db,
               const struct migration *items, size_t count, bool down);
/* Which of these ups have no way back at all, in words, or NULL. */
const char *irreversible_items(struct compiler *c, const struct migration *items, size_t count);
/* What the way back of these ups loses, in words, or NULL. */
const char *back_items(struct compiler *c, const struct migration *items, size_t count);
bool is_engine(const struct hop_database *db, const struct observed_database *seen,
               const char *scheme, const char *engine);

/* ---- look.c ---- */
/* Before anything is touched: has a schema drifted, and does the data suit the releases on the way? */
void phase_look(struct compiler *c);
/* All nodes have stopped: no session of the application is left. For each database that moves in these hops. */
void phase_writers(struct compiler *c, size_t first, size_t end);
void step_writers(struct compiler *c, struct plan_phase *phase, const struct hop_database *db);
/* Before the checkpoint of a release: is the schema the one that was recorded for it? */
void step_drift_after(struct compiler *c, struct plan_phase *phase, size_t hop,
                      const struct hop_database *db);

/* ---- delegate.c ---- */
/* The ledger holds these ids; or_done: or this one has come, or gone, already. */
void step_ids(struct compiler *c, struct plan_phase *phase, const struct hop_database *db,
              const struct strings *ids, const struct migration *or_done);
bool is_delegated(const struct migration *migration, bool down);
/* A way with migrations that are no SQL: Lockstep's own part up to each of them, then a start of the tool. */
void phases_delegated(struct compiler *c, size_t hop, const struct hop_database *db);

/* ---- order.c ---- */
struct pieces {
    bool stop;  /* draining and stopping are part of it (rolling) */
    bool idle;  /* these nodes do not run: there is nothing to drain */
    bool first; /* the first set of the hop: extra steps of scope once that stand before a point */
    bool last;  /* the last set of the hop: those that stand after one */
    int64_t parallel;
    int64_t soak_ms;
};
void order_set(struct compiler *c, size_t hop, const struct members *members,
               const struct pieces *pieces);
void order_finish(struct compiler *c, size_t hop, const struct members *members);

void compile_all_at_once(struct compiler *c);
void compile_rolling(struct compiler *c);
/* How many of so many nodes may be down at once. */
size_t rolling_budget(const struct cluster *cluster, size_t nodes);

/* ---- halts.c ---- */
/* Notes that the phases from `begin` on are a wave. */
void halts_wave(struct compiler *c, size_t begin, bool canary, bool last);
/* Last: where the run may wait, its gates and windows, and its budgets. */
void halts(struct compiler *c);

/* ---- expand.c ---- */
/* The schema at which a release divides its migrations of a database; -1: it does not. */
int64_t expand_of(const struct compiler *c, const char *version, const char *database);
/* Divides the hops of a rolling plan. */
void expand_divide(struct compiler *c);
/* What of the database's move stands there; `runs` is false where nothing does. */
struct hop_database hop_part(const struct compiler *c, size_t hop, const struct hop_database *db,
                             enum hop_side side);
/* Does any database of the hop move there? */
bool side_runs(const struct compiler *c, size_t hop, enum hop_side side);
/* The schema that stands while the hop's waves go by. */
int64_t schema_while_rolling(const struct compiler *c, const struct hop_state *hop,
                             const struct hop_database *db);

/* ---- prove.c ---- */
/* Where the database is when the hop begins: a run that was broken off may have left it between two releases. */
int64_t schema_before(const struct compiler *c, const struct hop_state *h,
                      const struct hop_database *db);
/* May the way roll? When not, *ret_why names the pair that breaks it. */
bool prove_rolling(struct compiler *c, const char **ret_why);
void prove_sentences(struct compiler *c);
/* What a release runs with, as written or its own schema; NULL: it says nothing. */
const char *runs_with_text(struct compiler *c, const char *version, const char *database);
bool runs_with(struct compiler *c, const char *version, const char *database, int64_t schema);

/* ---- detour.c ---- */
/* " (going over X first, which runs with DATABASE 2..3, would roll)", or "". */
const char *detour(struct compiler *c, const char *database);

/* ---- prove_plan.c ---- */
/* Walks the plan as it is now. False: a complaint says what breaks; else adds the sentences that hold. */
bool prove_plan(struct compiler *c, struct strings *ret);

/* ---- deadlines ---- */
#define SECOND_MS         INT64_C(1000)
#define MINUTE_MS         (60 * SECOND_MS)
#define PREFLIGHT_MS      (1 * MINUTE_MS)
#define STAGE_MS          (30 * MINUTE_MS)
#define DENY_MS           (30 * SECOND_MS)
#define SWAP_MS           (10 * MINUTE_MS)
#define RETIRE_MS         (10 * MINUTE_MS)
#define BACKUP_MS         (4 * 60 * MINUTE_MS)
#define LOCK_WAIT_MS      (2 * MINUTE_MS)
#define WRITERS_WAIT_MS   (1 * MINUTE_MS)
#define DRIFT_MS          (2 * MINUTE_MS)
#define DATA_CHECK_MS     (5 * MINUTE_MS)
#define TOOL_LOCK_WAIT_MS (1 * MINUTE_MS)
#define LEDGER_MS         (1 * MINUTE_MS)
#define CHECKPOINT_MS     (2 * MINUTE_MS)
#define MIGRATE_MS        (4 * 60 * MINUTE_MS)
#define SQL_MS            (30 * MINUTE_MS)
#define SERVICE_MS        (2 * MINUTE_MS)
#define SLACK_MS          (30 * SECOND_MS) /* for the way there and back, past an action's own limit */
/* Past an action's own `stall`: one answer of a database, the end of what the action started, and the way back. */
#define STALL_SLACK_MS      (2 * MINUTE_MS)
#define STAGE_RETRIES       2
#define STAGE_BACKOFF_MS    (5 * SECOND_MS)
#define WAVES_MAX           100 /* more waves than that become one phase that keeps `parallel` under way */
#define STAGE_BYTES_PERCENT 110 /* free space asked for, of the unpacked bytes */

static_assert(BACKUP_MS < LIMIT_DURATION_MS, "a deadline is a duration");
static_assert(STAGE_RETRIES < LIMIT_ATTEMPTS, "retries are attempts");

#endif
