/* Owns the rules of fleets. They ask the world and the journal, and share no code with the machine. */
#include "tests/sim/fleet_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/wire/fleet_record.h"

void fleet_broken(struct fleet_world *w, const char *fmt, ...)
{
    if (w->verdict->failed[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        vsnprintf(w->verdict->failed, sizeof(w->verdict->failed), fmt, args);
        va_end(args);
    }
}

const struct fleet_stage_spec *fleet_stage_at(const struct fleet_world *w, size_t stage)
{
    return LIST_AT(&w->spec->stages, const struct fleet_stage_spec, stage);
}

void fleet_know(struct sim_cluster *c, enum truth truth, uint64_t record)
{
    if (c->told_count == TOLD_MAX) {
        memmove(c->told, c->told + 1, (TOLD_MAX - 1) * sizeof(c->told[0]));
        c->told_count--;
    }
    c->told[c->told_count++] = (struct told){truth, record};
    c->truth = truth;
}

void fleet_forget(struct sim_cluster *c, uint64_t durable)
{
    while (c->told_count > 0 && c->told[c->told_count - 1].record > durable) {
        c->told_count--;
    }
    c->truth = c->told_count > 0 ? c->told[c->told_count - 1].truth : TRUTH_NONE;
}

/* ---- the rules ---- */

static size_t lost_in(const struct fleet_world *w, uint32_t stage)
{
    size_t lost = 0;
    for (uint32_t i = 0; i < w->cluster_count; i++) {
        const struct sim_cluster *c = &w->clusters[i];
        lost += c->stage == stage && (c->truth == TRUTH_FAILED || c->truth == TRUTH_LEFT) ? 1 : 0;
    }
    return lost;
}

/* An earlier stage is over, soaked and approved. */
static void judge_earlier(struct fleet_world *w, uint32_t stage, const struct sim_cluster *begun)
{
    const struct fleet_stage_spec *spec = fleet_stage_at(w, stage);
    uint32_t people = 0;
    for (uint32_t i = 0; i < w->cluster_count; i++) {
        const struct sim_cluster *c = &w->clusters[i];
        if (c->stage != stage) {
            continue;
        }
        if (!c->wanted && c->truth == TRUTH_NONE) {
            fleet_broken(w, "%s begins before %s of an earlier stage is over", begun->name,
                         c->name);
        }
        if (c->wanted && w->now_ms < c->succeeded_ms + spec->soak_ms) {
            fleet_broken(w, "%s begins before stage %s has soaked", begun->name, spec->name);
        }
    }
    for (int i = 0; i < PEOPLE; i++) {
        people += (w->stages[stage].approved >> i) & 1;
    }
    if (spec->gate != NULL && people < (uint32_t)spec->gate->approvers) {
        fleet_broken(w, "%s begins with %u approvals of stage %s", begun->name, people, spec->name);
    }
    if (lost_in(w, stage) > (size_t)spec->failures) {
        fleet_broken(w, "%s begins though stage %s has lost more than it may", begun->name,
                     spec->name);
    }
}

bool fleet_is_shown(const struct fleet_world *w, const char *stage, const struct sim_cluster *way)
{
    for (uint32_t i = 1; i <= w->run_count; i++) {
        const struct sim_run *run = &w->runs[i];
        const struct sim_cluster *c = &w->clusters[run->cluster];
        if (!run->foreign && run->state == ROLLOUT_SUCCEEDED &&
            str_equal(fleet_stage_at(w, c->stage)->name, stage) &&
            str_equal(run->from, way->from) && str_equal(c->application, way->application)) {
            return true;
        }
    }
    return false;
}

/* What the machine wants to begin. */
void fleet_judge_start(struct fleet_world *w, uint32_t at)
{
    const struct sim_cluster *c = &w->clusters[at];
    const struct fleet_stage_spec *spec = fleet_stage_at(w, c->stage);
    size_t under_way = 0;
    for (uint32_t i = 0; i < w->cluster_count; i++) {
        const struct sim_cluster *other = &w->clusters[i];
        bool fleets = other->pending || (other->live != 0 && !w->runs[other->live].foreign);
        under_way += other->stage == c->stage && (i == at || fleets) ? 1 : 0;
    }
    if (under_way > (size_t)spec->parallel) {
        fleet_broken(w, "%zu of stage %s are under way", under_way, spec->name);
    }
    for (uint32_t stage = 0; stage < c->stage; stage++) {
        judge_earlier(w, stage, c);
    }
    if (lost_in(w, c->stage) > (size_t)spec->failures) {
        fleet_broken(w, "%s begins though its stage has lost more than it may", c->name);
    }
    for (size_t i = 0; i < spec->requires.count; i++) {
        if (!fleet_is_shown(w, spec->requires.items[i], c)) {
            fleet_broken(w, "%s begins without evidence of %s", c->name, spec->requires.items[i]);
        }
    }
    if (w->paused || w->aborted) {
        fleet_broken(w, "%s begins though the fleet is %s", c->name,
                     w->paused ? "paused" : "aborted");
    }
    if (c->wanted || c->truth == TRUTH_SKIPPED) {
        fleet_broken(w, "%s begins though it is %s", c->name, c->wanted ? "there" : "skipped");
    }
}

/* What really begins. */
void fleet_judge_run(struct fleet_world *w, uint32_t at, uint32_t attempt)
{
    bool intended = false;
    for (uint32_t i = 1; i <= w->run_count; i++) {
        const struct sim_run *run = &w->runs[i];
        if (!run->foreign && run->cluster == at && run->attempt == attempt) {
            fleet_broken(w, "%s is started twice in attempt %u", w->clusters[at].name, attempt);
        }
    }
    for (uint64_t i = 0; i < w->durable; i++) {
        struct fleet_record record;
        wire_fleet_record_unpack(&w->life, w->journal[i], &record, NULL);
        intended = intended || (record.type == FLEET_RECORD_MEMBER && record.member == at &&
                                record.member_state == MEMBER_RUNNING && record.attempt == attempt);
    }
    if (!intended) {
        fleet_broken(w, "%s is started, and its intent is not durable", w->clusters[at].name);
    }
}

void fleet_judge_record(struct fleet_world *w, const struct fleet_record *record)
{
    if (record->type == FLEET_RECORD_MEMBER && record->member_state == MEMBER_LEFT &&
        record->who == NULL) {
        struct sim_cluster *c = &w->clusters[record->member];
        bool lost = c->truth == TRUTH_FAILED || c->truth == TRUTH_LEFT;
        fleet_know(c, TRUTH_LEFT, w->records);
        if (!lost || lost_in(w, c->stage) > (size_t)fleet_stage_at(w, c->stage)->failures) {
            fleet_broken(w, "%s is left behind without a reason", c->name);
        }
    }
    if (record->type == FLEET_RECORD_STATE && record->state == FLEET_PAUSED) {
        w->pause_record = w->records;
        w->paused_by = MIN(w->paused_by, w->records);
    }
    bool done = record->type == FLEET_RECORD_STATE && record->state == FLEET_DONE;
    bool incomplete = record->type == FLEET_RECORD_STATE && record->state == FLEET_INCOMPLETE;
    for (uint32_t i = 0; (done || incomplete) && i < w->cluster_count; i++) {
        const struct sim_cluster *c = &w->clusters[i];
        if (!c->wanted && (done || c->truth == TRUTH_NONE)) {
            fleet_broken(w, "the fleet is %s, and %s is not there", fleet_state_name(record->state),
                         c->name);
        }
        if (c->pending || (c->live != 0 && !w->runs[c->live].foreign)) {
            fleet_broken(w, "the fleet has ended, and %s is under way", c->name);
        }
    }
}
