/* Owns how a plan is written: one table for writing and reading. */
#include "lib/base/limits.h"
#include "lib/plan/plan.h"

#define AT(struct_, member_) .offset = offsetof(struct struct_, member_)
#define SHAPE_OF(name_, struct_, fields_)                                                          \
    {                                                                                              \
        .name = (name_), .size = sizeof(struct struct_), .fields = (fields_),                      \
        .field_count = ARRAY_SIZE(fields_)                                                         \
    }

static const char *const direction_words[] = {"none", "up", "down", NULL};
static const char *const strategy_words[] = {"all-at-once", "rolling", NULL};
static const char *const part_words[] = {"whole", "stage", "drop", NULL};
static const char *const on_failure_words[] = {"pause", "abort", "rollback", NULL};
static const char *const database_part_words[] = {"whole", "expand", "contract", NULL};
static const char *const scope_words[] = {"nodes", "once", NULL};

static const struct field node_fields[] = {
    {.key = "name", .type = SHAPE_NAME, AT(plan_node, name), .required = true},
    {.key = "vars", .type = SHAPE_MAP, AT(plan_node, vars)},
    {.key = "from", .type = SHAPE_VERSION, AT(plan_node, from)},
    {.key = "running", .type = SHAPE_BOOL, AT(plan_node, running)},
    {.key = "denied", .type = SHAPE_STRING, AT(plan_node, denied)},
    {.key = "pair", .type = SHAPE_NAME, AT(plan_node, pair)},
    {.key = "components", .type = SHAPE_MAP, AT(plan_node, components)},
};
static const struct shape node_shape = SHAPE_OF("node", plan_node, node_fields);

static const struct field database_fields[] = {
    {.key = "name", .type = SHAPE_NAME, AT(plan_observed_database, name), .required = true},
    {.key = "applied",
     .type = SHAPE_STRINGS,
     AT(plan_observed_database, applied),
     .max = LIMIT_MIGRATIONS},
};
static const struct shape database_shape =
    SHAPE_OF("database", plan_observed_database, database_fields);

static const struct field node_set_fields[] = {
    {.key = "name", .type = SHAPE_STRING, AT(plan_node_set, name), .required = true},
    {.key = "nodes",
     .type = SHAPE_STRINGS,
     AT(plan_node_set, nodes),
     .required = true,
     .max = LIMIT_CLUSTER_NODES},
};
static const struct shape node_set_shape = SHAPE_OF("node set", plan_node_set, node_set_fields);

static const struct field hop_fields[] = {
    {.key = "from", .type = SHAPE_VERSION, AT(plan_hop, from)},
    {.key = "to", .type = SHAPE_VERSION, AT(plan_hop, to), .required = true},
    {.key = "direction", .type = SHAPE_ENUM, AT(plan_hop, direction), .words = direction_words},
    {.key = "started", .type = SHAPE_BOOL, AT(plan_hop, started)},
    {.key = "schema_from", .type = SHAPE_MAP, AT(plan_hop, schema_from)},
    {.key = "schema_to", .type = SHAPE_MAP, AT(plan_hop, schema_to)},
    {.key = "schema_rolling", .type = SHAPE_MAP, AT(plan_hop, schema_rolling)},
};
static const struct shape hop_shape = SHAPE_OF("hop", plan_hop, hop_fields);

static const struct field lock_fields[] = {
    {.key = "object", .type = SHAPE_STRING, AT(plan_lock, object), .required = true},
    {.key = "mode", .type = SHAPE_STRING, AT(plan_lock, mode), .required = true},
    {.key = "rewrites", .type = SHAPE_BOOL, AT(plan_lock, rewrites)},
    {.key = "bytes", .type = SHAPE_INT, AT(plan_lock, bytes)},
    {.key = "rows", .type = SHAPE_INT, AT(plan_lock, rows)},
    {.key = "migration", .type = SHAPE_STRING, AT(plan_lock, migration)},
};
static const struct shape lock_shape = SHAPE_OF("lock", plan_lock, lock_fields);

static const struct field extra_fields[] = {
    {.key = "undoes", .type = SHAPE_STRING, AT(plan_extra, undoes)},
    {.key = "step", .type = SHAPE_NAME, AT(plan_extra, step), .required = true},
    {.key = "from", .type = SHAPE_VERSION, AT(plan_extra, from)},
    {.key = "to", .type = SHAPE_VERSION, AT(plan_extra, to), .required = true},
    {.key = "database", .type = SHAPE_NAME, AT(plan_extra, database)},
};
static const struct shape extra_shape = SHAPE_OF("extra step", plan_extra, extra_fields);

static const struct field component_fields[] = {
    {.key = "name", .type = SHAPE_NAME, AT(plan_component, name), .required = true},
    {.key = "version", .type = SHAPE_VERSION, AT(plan_component, version)},
};
static const struct shape component_shape = SHAPE_OF("component", plan_component, component_fields);

static const struct field step_fields[] = {
    {.key = "name", .type = SHAPE_STRING, AT(plan_step, name), .required = true},
    {.key = "title", .type = SHAPE_STRING, AT(plan_step, title)},
    {.key = "detail", .type = SHAPE_STRING, AT(plan_step, detail)},
    {.key = "on", .type = SHAPE_NAME, AT(plan_step, on)},
    {.key = "action",
     .type = SHAPE_OBJECT,
     AT(plan_step, action),
     .required = true,
     .shape = &action_shape},
    {.key = "deadline",
     .type = SHAPE_INT,
     AT(plan_step, deadline_ms),
     .required = true,
     .min = 1,
     .max = LIMIT_DURATION_MS},
    {.key = "stall", .type = SHAPE_INT, AT(plan_step, stall_ms), .max = LIMIT_DURATION_MS},
    {.key = "retries", .type = SHAPE_INT, AT(plan_step, retries), .max = LIMIT_ATTEMPTS},
    {.key = "backoff", .type = SHAPE_INT, AT(plan_step, backoff_ms), .max = LIMIT_BACKOFF_MS},
    {.key = "retry_back", .type = SHAPE_INT, AT(plan_step, retry_back), .max = LIMIT_PHASE_STEPS},
    {.key = "lossy", .type = SHAPE_STRING, AT(plan_step, lossy)},
    {.key = "back", .type = SHAPE_STRING, AT(plan_step, back)},
    {.key = "locks",
     .type = SHAPE_LIST,
     AT(plan_step, locks),
     .shape = &lock_shape,
     .max = PLAN_LOCKS_MAX},
    {.key = "why", .type = SHAPE_STRING, AT(plan_step, why)},
    {.key = "extra", .type = SHAPE_OBJECT, AT(plan_step, extra), .shape = &extra_shape},
    {.key = "component", .type = SHAPE_OBJECT, AT(plan_step, component), .shape = &component_shape},
};
static const struct shape step_shape = SHAPE_OF("step", plan_step, step_fields);

static const struct field phase_fields[] = {
    {.key = "name", .type = SHAPE_STRING, AT(plan_phase, name), .required = true},
    {.key = "hop",
     .type = SHAPE_INT,
     AT(plan_phase, hop),
     .required = true,
     .min = -1,
     .max = LIMIT_HOPS + 1},
    {.key = "scope", .type = SHAPE_ENUM, AT(plan_phase, scope), .words = scope_words},
    {.key = "node_set", .type = SHAPE_INT, AT(plan_phase, node_set), .max = LIMIT_PHASES},
    {.key = "parallel", .type = SHAPE_INT, AT(plan_phase, parallel), .max = LIMIT_CLUSTER_NODES},
    {.key = "disruptive", .type = SHAPE_BOOL, AT(plan_phase, disruptive)},
    {.key = "no_return", .type = SHAPE_BOOL, AT(plan_phase, no_return)},
    {.key = "part", .type = SHAPE_ENUM, AT(plan_phase, part), .words = database_part_words},
    {.key = "takes_down", .type = SHAPE_BOOL, AT(plan_phase, takes_down)},
    {.key = "rests", .type = SHAPE_BOOL, AT(plan_phase, rests)},
    {.key = "steps",
     .type = SHAPE_LIST,
     AT(plan_phase, steps),
     .required = true,
     .shape = &step_shape,
     .min = 1,
     .max = LIMIT_PHASE_STEPS},
};
static const struct shape phase_shape = SHAPE_OF("phase", plan_phase, phase_fields);

static const struct field gate_fields[] = {
    {.key = "name", .type = SHAPE_STRING, AT(plan_gate, name), .required = true},
    {.key = "phase",
     .type = SHAPE_INT,
     AT(plan_gate, phase),
     .required = true,
     .max = LIMIT_PHASES},
    {.key = "approvers",
     .type = SHAPE_INT,
     AT(plan_gate, approvers),
     .required = true,
     .min = 1,
     .max = LIMIT_APPROVERS},
    {.key = "timeout", .type = SHAPE_INT, AT(plan_gate, timeout_ms), .max = LIMIT_DURATION_MS},
};
static const struct shape gate_shape = SHAPE_OF("gate", plan_gate, gate_fields);

static const struct field left_out_fields[] = {
    {.key = "name", .type = SHAPE_STRING, AT(plan_left_out, name), .required = true},
    {.key = "why", .type = SHAPE_STRING, AT(plan_left_out, why), .required = true},
};
static const struct shape left_out_shape = SHAPE_OF("left out", plan_left_out, left_out_fields);

#define TEXTS_MAX 4096

static const struct field plan_fields[] = {
    {.key = "lockstep",
     .type = SHAPE_INT,
     AT(plan, lockstep),
     .required = true,
     .min = 1,
     .max = 1},
    {.key = "kind", .type = SHAPE_STRING, AT(plan, kind), .required = true, .pattern = "Plan"},
    {.key = "cluster", .type = SHAPE_NAME, AT(plan, cluster), .required = true},
    {.key = "application", .type = SHAPE_STRING, AT(plan, application), .required = true},
    {.key = "spec_digest", .type = SHAPE_STRING, AT(plan, spec_digest)},
    {.key = "from", .type = SHAPE_VERSION, AT(plan, from)},
    {.key = "to", .type = SHAPE_VERSION, AT(plan, to), .required = true},
    {.key = "direction", .type = SHAPE_ENUM, AT(plan, direction), .words = direction_words},
    {.key = "strategy", .type = SHAPE_ENUM, AT(plan, strategy), .words = strategy_words},
    {.key = "part", .type = SHAPE_ENUM, AT(plan, part), .words = part_words},
    {.key = "on_failure", .type = SHAPE_ENUM, AT(plan, on_failure), .words = on_failure_words},
    {.key = "max_unavailable",
     .type = SHAPE_INT,
     AT(plan, max_unavailable),
     .max = LIMIT_CLUSTER_NODES},
    {.key = "watch", .type = SHAPE_OBJECT, AT(plan, watch), .shape = &action_shape},
    {.key = "starts", .type = SHAPE_OBJECT, AT(plan, starts), .shape = &starts_shape},
    {.key = "wave_deadline", .type = SHAPE_INT, AT(plan, wave_ms), .max = LIMIT_DURATION_MS},
    {.key = "run_deadline", .type = SHAPE_INT, AT(plan, run_ms), .max = LIMIT_DURATION_MS},
    {.key = "pause_deadline", .type = SHAPE_INT, AT(plan, pause_ms), .max = LIMIT_DURATION_MS},
    {.key = "failures_nodes",
     .type = SHAPE_INT,
     AT(plan, failures_nodes),
     .max = LIMIT_CLUSTER_NODES},
    {.key = "failures_per_node",
     .type = SHAPE_INT,
     AT(plan, failures_per_node),
     .max = LIMIT_ATTEMPTS},
    {.key = "gates",
     .type = SHAPE_LIST,
     AT(plan, gates),
     .shape = &gate_shape,
     .max = LIMIT_PHASES},
    {.key = "windows",
     .type = SHAPE_LIST,
     AT(plan, windows),
     .shape = &window_shape,
     .max = LIMIT_WINDOWS},
    {.key = "nodes",
     .type = SHAPE_LIST,
     AT(plan, nodes),
     .shape = &node_shape,
     .max = LIMIT_CLUSTER_NODES},
    {.key = "databases",
     .type = SHAPE_LIST,
     AT(plan, databases),
     .shape = &database_shape,
     .max = LIMIT_CLUSTER_DATABASES},
    {.key = "node_sets",
     .type = SHAPE_LIST,
     AT(plan, node_sets),
     .shape = &node_set_shape,
     .max = LIMIT_PHASES},
    {.key = "hops", .type = SHAPE_LIST, AT(plan, hops), .shape = &hop_shape, .max = LIMIT_HOPS},
    {.key = "phases",
     .type = SHAPE_LIST,
     AT(plan, phases),
     .shape = &phase_shape,
     .max = LIMIT_PHASES},
    {.key = "left_out",
     .type = SHAPE_LIST,
     AT(plan, left_out),
     .shape = &left_out_shape,
     .max = TEXTS_MAX},
    {.key = "proved", .type = SHAPE_STRINGS, AT(plan, proved), .max = TEXTS_MAX},
    {.key = "warnings", .type = SHAPE_STRINGS, AT(plan, warnings), .max = TEXTS_MAX},
    {.key = "notes", .type = SHAPE_STRINGS, AT(plan, notes), .max = TEXTS_MAX},
};
const struct shape plan_shape = SHAPE_OF("Plan", plan, plan_fields);
