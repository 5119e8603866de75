/* Owns the table of the Fleet: its keys, bounds and words. What needs two values to be judged is in check_fleet.c. */
#include "lib/spec/spec.h"
#include "lib/spec/table.h"

#define NAME_PATTERN "[A-Za-z0-9_][A-Za-z0-9._-]*"
#define NAME_HELP    "a name of letters, digits, '.', '_' and '-'"

static const struct field gate_fields[] = {
    {.key = "approvers",
     .type = SHAPE_INT,
     AT(fleet_gate_spec, approvers),
     .min = 1,
     .max = LIMIT_APPROVERS,
     .fallback = 1,
     .help = "How many different people have to approve."},
};
static const struct shape gate_shape =
    SHAPE("fleet gate", fleet_gate_spec, gate_fields, .scalar = "approvers",
          .help = "Where people decide whether the next stage begins.");

static const struct field stage_fields[] = {
    {.key = "name",
     .type = SHAPE_NAME,
     AT(fleet_stage_spec, name),
     .required = true,
     .help = "What the stage is called: staging, canary, rest."},
    {.key = "clusters",
     .type = SHAPE_STRINGS,
     AT(fleet_stage_spec, clusters),
     .required = true,
     .scalar_ok = true,
     .min = 1,
     .max = LIMIT_FLEET_CLUSTERS,
     .pattern = NAME_PATTERN,
     .pattern_help = NAME_HELP,
     .help = "The clusters of the stage, by the names that the controller holds them under; they "
             "begin in this order."},
    {.key = "parallel",
     .type = SHAPE_INT,
     AT(fleet_stage_spec, parallel),
     .min = 1,
     .max = LIMIT_FLEET_CLUSTERS,
     .fallback = 1,
     .help = "How many of its clusters are under way at once."},
    {.key = "failures",
     .type = SHAPE_INT,
     AT(fleet_stage_spec, failures),
     .min = 0,
     .max = LIMIT_FLEET_CLUSTERS,
     .help = "How many of its clusters may fail, and be left behind, before the fleet pauses."},
    {.key = "soak",
     .type = SHAPE_DURATION,
     AT(fleet_stage_spec, soak_ms),
     .help = "How long the fleet waits after the stage before the next one."},
    {.key = "gate",
     .type = SHAPE_OBJECT,
     AT(fleet_stage_spec, gate),
     .scalar_ok = true,
     .shape = &gate_shape,
     .help = "Who has to approve, after the stage and its soak, before the next one begins."},
    {.key = "requires",
     .type = SHAPE_STRINGS,
     AT(fleet_stage_spec, requires),
     .scalar_ok = true,
     .max = LIMIT_FLEET_STAGES,
     .pattern = NAME_PATTERN,
     .pattern_help = NAME_HELP,
     .help = "Earlier stages in which a run of the same application (by its digest) must have "
             "succeeded from the same version to the same version."},
};
static const struct shape stage_shape =
    SHAPE("stage", fleet_stage_spec, stage_fields,
          .help = "Clusters that move together; the next stage follows when they are done.");

static const char *const kind_words[] = {"Fleet", NULL};

static const struct field fleet_fields[] = {
    {.key = "lockstep",
     .type = SHAPE_INT,
     AT(fleet_spec, lockstep),
     .required = true,
     .min = 1,
     .max = 1,
     .help = "The version of this format."},
    {.key = "kind",
     .type = SHAPE_STRING,
     AT(fleet_spec, kind),
     .required = true,
     .words = kind_words},
    {.key = "name", .type = SHAPE_NAME, AT(fleet_spec, name), .required = true},
    {.key = "version",
     .type = SHAPE_VERSION,
     AT(fleet_spec, version),
     .required = true,
     .help = "The version that its clusters go to, in quotes: the one line that a commit changes."},
    {.key = "stages",
     .type = SHAPE_LIST,
     AT(fleet_spec, stages),
     .required = true,
     .shape = &stage_shape,
     .min = 1,
     .max = LIMIT_FLEET_STAGES,
     .help = "One after the other, up and down alike."},
};
const struct shape fleet_shape =
    SHAPE("Fleet", fleet_spec, fleet_fields,
          .help = "Clusters of one application that follow one version, stage by stage.");
