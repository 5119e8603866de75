/* Owns the crash matrix: of every kind of plan, one run with nothing wrong, and then that run again with one thing wrong at
 * each moment in turn. Each must end as the first, in one run, without a person, and nothing that must happen once twice. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

struct matrix {
    enum sim_kind kind;
    size_t stride, cases;
    struct coverage *coverage;
    struct sim_verdict calm; /* nothing went wrong */
    struct sim_options *failed;
    struct sim_verdict *verdict;
};

static bool same(const struct matrix *m, struct sim_verdict *v)
{
    const struct sim_counts *a = &m->calm.counts;
    const struct sim_counts *b = &v->counts;
    /* What is aborted in its middle may be finished by that run or by the next: only the end is the same. */
    bool whole = m->kind != KIND_FINISH_HALF_DONE;
    bool once = a->commands == b->commands && a->migrators == b->migrators && a->items == b->items;
    if (strcmp(m->calm.end, v->end) == 0 && b->pauses == 0 && (once || !whole)) {
        return true;
    }
    v->failed = true;
    v->rule = RULE_WHOLE;
    snprintf(v->text, sizeof(v->text),
             "%s; %d pauses, %d once commands, %d migrators, %d items; undisturbed: %s; %d, %d, %d",
             v->end, (int)b->pauses, (int)b->commands, (int)b->migrators, (int)b->items,
             m->calm.end, (int)a->commands, (int)a->migrators, (int)a->items);
    return false;
}

static bool one(struct matrix *m, struct sim_script script)
{
    if (m->verdict->failed || ++m->cases % m->stride != 0) {
        return false;
    }
    *m->failed = (struct sim_options){.seed = (uint64_t)m->kind, .kind = m->kind, .script = script};
    sim_run(m->failed, m->coverage, m->verdict);
    return !m->verdict->failed && same(m, m->verdict);
}

size_t matrix_run(enum sim_kind kind, size_t stride, struct coverage *coverage,
                  struct sim_options *ret_failed, struct sim_verdict *ret_verdict)
{
    struct matrix m = {.kind = kind,
                       .stride = stride,
                       .coverage = coverage,
                       .failed = ret_failed,
                       .verdict = ret_verdict};
    *ret_failed = (struct sim_options){.seed = (uint64_t)kind, .kind = kind};
    sim_run(ret_failed, coverage, ret_verdict);
    m.calm = *ret_verdict;
    for (uint64_t i = 1; i <= m.calm.counts.controller_records; i++) {
        for (int way = 0; way < 4; way++) {
            one(&m, (struct sim_script){
                        .controller_at = i, .after = way % 2 != 0, .and_agents = way / 2 != 0});
        }
    }
    for (uint32_t place = 0; place < m.calm.place_count; place++) {
        for (uint64_t i = 1; i <= m.calm.counts.place_records[place]; i++) {
            one(&m, (struct sim_script){.place = place, .place_at = i});
            one(&m, (struct sim_script){.place = place, .place_at = i, .after = true});
        }
    }
    for (uint64_t i = 1; i <= m.calm.counts.messages; i++) {
        one(&m, (struct sim_script){.message_at = i});
    }
    return m.cases;
}
