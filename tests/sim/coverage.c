/* Owns the counts: what was tried, and which edges of the machines were never taken. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/sim.h"

/* What the headers' diagrams promise; the machines' own tables are not asked. */
static const struct {
    enum rollout_state from, to;
} rollout_edges[] = {
    {ROLLOUT_READY, ROLLOUT_RUNNING},      {ROLLOUT_RUNNING, ROLLOUT_PAUSED},
    {ROLLOUT_RUNNING, ROLLOUT_ABORTING},   {ROLLOUT_RUNNING, ROLLOUT_SUCCEEDED},
    {ROLLOUT_RUNNING, ROLLOUT_FAILED},     {ROLLOUT_PAUSED, ROLLOUT_RUNNING},
    {ROLLOUT_PAUSED, ROLLOUT_ABORTING},    {ROLLOUT_ABORTING, ROLLOUT_ABORTED},
    {ROLLOUT_RUNNING, ROLLOUT_INCOMPLETE},
};
static const char *const step_names[] = {"waiting", "under way", "done", "failed", "unknown"};
static const struct {
    enum step_state from, to;
} step_edges[] = {
    {STEP_WAITING, STEP_UNDER_WAY}, {STEP_UNDER_WAY, STEP_DONE}, {STEP_UNDER_WAY, STEP_FAILED},
    {STEP_UNDER_WAY, STEP_UNKNOWN}, {STEP_DONE, STEP_UNDER_WAY}, {STEP_FAILED, STEP_UNDER_WAY},
    {STEP_UNKNOWN, STEP_UNDER_WAY}, {STEP_UNKNOWN, STEP_DONE},   {STEP_UNKNOWN, STEP_FAILED},
};

static const char *const agent_events[] = {
    [AGENT_EVENT_REPLAY] = "replay",
    [AGENT_EVENT_RESUME] = "resume",
    [AGENT_EVENT_INSTRUCTION] = "instruction",
    [AGENT_EVENT_DURABLE] = "durable",
    [AGENT_EVENT_ACTED] = "acted",
    [AGENT_EVENT_LOST] = "lost",
    [AGENT_EVENT_FENCE] = "fence",
    [AGENT_EVENT_CONNECTED] = "connected",
    [AGENT_EVENT_FORGET] = "forget",
};

enum agent_answer {
    ANSWER_FENCE,
    ANSWER_INTENT,
    ANSWER_OUTCOME_DONE,
    ANSWER_OUTCOME_FAILED,
    ANSWER_OUTCOME_UNKNOWN,
    ANSWER_OVER,
    ANSWER_FORGET,
    ANSWER_ACT,
    ANSWER_ATTACH,
    ANSWER_REPORT,
    ANSWER_REPORT_DENIED,
    ANSWER_BUSY,
};
static const char *const answers[] = {
    "record fence",   "record intent", "record DONE",    "record FAILED",
    "record UNKNOWN", "record over",   "record forget",  "act",
    "attach",         "report",        "report: denied", "busy"};
static const struct {
    enum agent_event_type event;
    enum agent_answer answer;
} agent_edges[] = {
    {AGENT_EVENT_RESUME, ANSWER_ATTACH},
    {AGENT_EVENT_INSTRUCTION, ANSWER_INTENT},
    {AGENT_EVENT_INSTRUCTION, ANSWER_REPORT},
    {AGENT_EVENT_INSTRUCTION, ANSWER_REPORT_DENIED},
    {AGENT_EVENT_INSTRUCTION, ANSWER_BUSY},
    {AGENT_EVENT_DURABLE, ANSWER_ACT},
    {AGENT_EVENT_DURABLE, ANSWER_REPORT},
    {AGENT_EVENT_DURABLE, ANSWER_OUTCOME_DONE}, /* taken over from an earlier attempt */
    {AGENT_EVENT_ACTED, ANSWER_OUTCOME_DONE},
    {AGENT_EVENT_ACTED, ANSWER_OUTCOME_FAILED},
    {AGENT_EVENT_ACTED, ANSWER_OUTCOME_UNKNOWN},
    {AGENT_EVENT_ACTED, ANSWER_ACT},       /* what waited for an earlier attempt */
    {AGENT_EVENT_INSTRUCTION, ANSWER_ACT}, /* what was LOST is asked for */
    {AGENT_EVENT_INSTRUCTION,
     ANSWER_OUTCOME_UNKNOWN},             /* it was `once`, and the journal went back */
    {AGENT_EVENT_CONNECTED, ANSWER_BUSY}, /* LOST */
    {AGENT_EVENT_LOST, ANSWER_ACT},       /* asked for while it was looked for */
    {AGENT_EVENT_LOST, ANSWER_OUTCOME_UNKNOWN},
    {AGENT_EVENT_FENCE, ANSWER_FENCE},
    {AGENT_EVENT_CONNECTED, ANSWER_REPORT},
    {AGENT_EVENT_FORGET, ANSWER_OVER},
    {AGENT_EVENT_FORGET, ANSWER_OUTCOME_FAILED}, /* LOST, of a run that is over */
};

void coverage_rollout(struct sim *s, enum rollout_state from, enum rollout_state to)
{
    s->coverage->rollout_edges[from][to]++;
}

void coverage_step(struct sim *s, enum step_state from, enum step_state to)
{
    s->coverage->step_edges[from][to]++;
}

static enum agent_answer answer_of_record(const struct agent_record *r)
{
    switch (r->type) {
    case AGENT_RECORD_FENCE:
        return ANSWER_FENCE;
    case AGENT_RECORD_INTENT:
        return ANSWER_INTENT;
    case AGENT_RECORD_OVER:
        return ANSWER_OVER;
    case AGENT_RECORD_FORGET:
        return ANSWER_FORGET;
    case AGENT_RECORD_OUTCOME:
        break;
    }
    switch (r->outcome.status) {
    case OUTCOME_DONE:
        return ANSWER_OUTCOME_DONE;
    case OUTCOME_FAILED:
        return ANSWER_OUTCOME_FAILED;
    case OUTCOME_UNKNOWN:
        break;
    }
    return ANSWER_OUTCOME_UNKNOWN;
}

void coverage_agent(struct sim *s, enum agent_event_type event, const struct agent_effect *effect)
{
    enum agent_answer answer = ANSWER_BUSY;
    switch (effect->type) {
    case AGENT_EFFECT_RECORD:
        answer = answer_of_record(&effect->record);
        break;
    case AGENT_EFFECT_ACT:
        answer = ANSWER_ACT;
        break;
    case AGENT_EFFECT_ATTACH:
        answer = ANSWER_ATTACH;
        break;
    case AGENT_EFFECT_REPORT:
        answer = event == AGENT_EVENT_INSTRUCTION && effect->outcome->code == E_DENIED &&
                         effect->outcome->status == OUTCOME_FAILED
                     ? ANSWER_REPORT_DENIED
                     : ANSWER_REPORT;
        break;
    case AGENT_EFFECT_BUSY:
        break;
    }
    s->coverage->agent_edges[event][answer]++;
}

size_t coverage_never(const struct coverage *c, bool print)
{
    size_t never = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rollout_edges); i++) {
        if (c->rollout_edges[rollout_edges[i].from][rollout_edges[i].to] == 0) {
            never++;
            if (print) {
                printf("never: run %s -> %s\n", rollout_state_name(rollout_edges[i].from),
                       rollout_state_name(rollout_edges[i].to));
            }
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(step_edges); i++) {
        if (c->step_edges[step_edges[i].from][step_edges[i].to] == 0) {
            never++;
            if (print) {
                printf("never: step %s -> %s\n", step_names[step_edges[i].from],
                       step_names[step_edges[i].to]);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(agent_edges); i++) {
        if (c->agent_edges[agent_edges[i].event][agent_edges[i].answer] == 0) {
            never++;
            if (print) {
                printf("never: agent %s -> %s\n", agent_events[agent_edges[i].event],
                       answers[agent_edges[i].answer]);
            }
        }
    }
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        if (c->faults[i] == 0) {
            never++;
            if (print) {
                printf("never: fault %s\n", fault_name((enum fault_kind)i));
            }
        }
    }
    return never;
}

void coverage_print(const struct coverage *c)
{
    printf("seeds %" PRIu64 ", runs %" PRIu64 " (", c->seeds, c->runs);
    for (size_t i = ROLLOUT_SUCCEEDED; i < ROLLOUT_STATES; i++) {
        if (!rollout_state_is_end((enum rollout_state)i)) {
            continue;
        }
        printf("%s%" PRIu64 " %s", i == ROLLOUT_SUCCEEDED ? "" : ", ", c->ends[i],
               rollout_state_name((enum rollout_state)i));
    }
    printf("), plans refused %" PRIu64 "\n", c->plans_refused);
    printf("events %" PRIu64 ", messages %" PRIu64 " (%" PRIu64 " lost), records %" PRIu64
           ", words: %" PRIu64 " retry, %" PRIu64 " abort, %" PRIu64 " refused\n",
           c->events, c->messages, c->lost, c->records, c->retries_of_operator,
           c->aborts_of_operator, c->refusals);
    printf("faults:");
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        printf("%s %" PRIu64 " %s", i == 0 ? "" : ",", c->faults[i],
               fault_name((enum fault_kind)i));
    }
    printf("\nactions:");
    for (size_t i = 0; i <= ACTION_DB_OBSERVE; i++) {
        if (c->actions[i] > 0) {
            printf(" %s %" PRIu64, action_kind_name((enum action_kind)i), c->actions[i]);
        }
    }
    printf("\ninvariants checked:\n");
    for (size_t i = 0; i < RULES; i++) {
        if (c->checks[i] > 0) {
            printf("  %12" PRIu64 "  %s\n", c->checks[i], rule_name((enum rule)i));
        }
    }
    coverage_never(c, true);
}
