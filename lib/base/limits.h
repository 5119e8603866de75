/*
 * Every bound that Lockstep keeps, in one place. What a peer or a file can make grow is held by one of
 * these; a test stands at each limit and just past it. The relations at the end are part of the design.
 */
#ifndef LOCKSTEP_BASE_LIMITS_H
#define LOCKSTEP_BASE_LIMITS_H

#include <assert.h>

/* Text. */
#define LIMIT_ERROR_BYTES     512
#define LIMIT_ERRORS_PER_CALL 100
#define LIMIT_NAME_BYTES      128         /* a node, cluster, release, step or database name */
#define LIMIT_PATH_BYTES      4096        /* a file path */
#define LIMIT_VERSION_BYTES   96          /* a version as written */
#define LIMIT_VERSION_PARTS   8           /* numbers in a dotted version */
#define LIMIT_RANGE_TERMS     32          /* comparators in one range */
#define LIMIT_TEXT_BYTES      (64 * 1024) /* one scalar of a spec */
#define LIMIT_LOG_TAIL_BYTES  (16 * 1024) /* what a step's log leaves in a report */

/* Spec files. */
#define LIMIT_SPEC_BYTES (4 * 1024 * 1024)
#define LIMIT_SPEC_NODES 200000 /* YAML nodes in one file */
#define LIMIT_SPEC_DEPTH 32

/* What a cluster may hold. */
#define LIMIT_CLUSTER_NODES     20000
#define LIMIT_CLUSTER_DATABASES 16
#define LIMIT_COMPONENTS        16
#define LIMIT_RELEASES          4096
#define LIMIT_HOPS              32
#define LIMIT_PHASES            8192
#define LIMIT_PHASE_STEPS       64
#define LIMIT_MIGRATIONS        20000
#define LIMIT_MIGRATION_BYTES   (16 * 1024 * 1024)
#define LIMIT_ARGV              64

#define LIMIT_FLEET_STAGES   32
#define LIMIT_FLEET_CLUSTERS 1024 /* of all stages */

/* The wire. */
#define LIMIT_FRAME_BYTES        (32 * 1024 * 1024) /* one gRPC message */
#define LIMIT_CHUNK_BYTES        (256 * 1024)       /* one range of an artifact */
#define LIMIT_RECORD_BYTES       (1024 * 1024)      /* one journal record */
#define LIMIT_ACTION_BYTES       (512 * 1024)       /* one action as JSON */
#define LIMIT_FACTS_BYTES        (256 * 1024) /* what a step finds, as JSON: it is journalled */
#define LIMIT_OBSERVED_BYTES     (8 * 1024 * 1024) /* what an observation is asked, or finds */
#define LIMIT_AGENT_INSTRUCTIONS 64                /* under way at once on one place */
#define LIMIT_AGENT_OUTCOMES     4096              /* remembered by one place */
#define LIMIT_AGENT_RUNS_OVER    4                 /* … of runs that are over */
#define LIMIT_EFFECTS            64                /* one call of a machine; then "more" */

/* Work. */
#define LIMIT_ATTEMPTS        16
#define LIMIT_STARTS          10000              /* of a start budget: so many are remembered */
#define LIMIT_BACKOFF_MS      (10LL * 60 * 1000) /* between two attempts, however often it doubled */
#define LIMIT_APPROVERS       16
#define LIMIT_DESPITE_BYTES   200 /* why an attempt in quarantine is made again */
#define LIMIT_GATES           16
#define LIMIT_WINDOWS         32
#define LIMIT_ARCHIVE_ENTRIES 1000000
#define LIMIT_ARCHIVE_BYTES   (64LL * 1024 * 1024 * 1024)
#define LIMIT_DURATION_MS     (30LL * 24 * 60 * 60 * 1000)

static_assert(LIMIT_RECORD_BYTES < LIMIT_FRAME_BYTES, "a record travels in one frame");
static_assert(LIMIT_CHUNK_BYTES < LIMIT_FRAME_BYTES, "a chunk travels in one frame");
static_assert(LIMIT_LOG_TAIL_BYTES < LIMIT_RECORD_BYTES, "an outcome with its log fits a record");
static_assert(LIMIT_ACTION_BYTES + LIMIT_TEXT_BYTES < LIMIT_RECORD_BYTES,
              "an instruction fits a record");
static_assert(LIMIT_FACTS_BYTES + LIMIT_LOG_TAIL_BYTES + LIMIT_TEXT_BYTES < LIMIT_RECORD_BYTES,
              "an outcome with its facts fits a record");
static_assert(LIMIT_OBSERVED_BYTES / LIMIT_MIGRATIONS >= 3 * LIMIT_NAME_BYTES,
              "the ledger of as many migrations as there may be can be observed");
static_assert(2 * LIMIT_OBSERVED_BYTES < LIMIT_FRAME_BYTES, "an observation travels in one frame");
static_assert(LIMIT_TEXT_BYTES < LIMIT_SPEC_BYTES, "a scalar is part of a file");
static_assert(LIMIT_AGENT_INSTRUCTIONS <= LIMIT_AGENT_OUTCOMES, "what runs will be remembered");

#endif
