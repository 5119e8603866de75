/* Owns what `rehearse` shows of a plan: each step, what the cluster is like when it fails, and what Lockstep does then. */
#include "cli/rehearse_steps.h"

#include <string.h>

#include "cli/output.h"
#include "lib/base/str.h"

#define LEFT_MIN   16
#define LEFT_MAX   44
#define RIGHT_MIN  30
#define WIDTH_PIPE 120
#define BYTES_MAX  (64 * 1024)

struct page {
    struct context *c;
    const struct plan *plan;
    size_t left, right;         /* columns */
    const char *cluster, *does; /* of the case before */
};

static const char *step_words(struct arena *arena, const struct plan *plan,
                              const struct step_key *key)
{
    const struct plan_step *step = plan_step_at(plan, key->phase, key->step);
    return arena_printf(
        arena, "%s%s%s%s%s", step->name, step->title != NULL ? " " : "",
        step->title != NULL ? step->title : "",
        key->place == ROLLOUT_PLACE_CONTROLLER ? "" : " at ",
        key->place == ROLLOUT_PLACE_CONTROLLER ? "" : rollout_place_name(plan, key->place));
}

static const char *hop_words(struct arena *arena, const struct plan *plan, int64_t hop)
{
    if (hop < 0) {
        return "before";
    }
    if ((size_t)hop >= plan->hops.count) {
        return "after";
    }
    const struct plan_hop *h = LIST_AT(&plan->hops, const struct plan_hop, hop);
    return arena_printf(arena, "hop %lld   %s -> %s", (long long)hop + 1,
                        h->from != NULL ? h->from : "nothing", h->to);
}

/* ---- two columns ---- */

static void print_wrapped(const struct page *p, const char *label, const char *text)
{
    struct buf lines;
    buf_init(&lines, p->c->arena, BYTES_MAX);
    put_wrapped(&lines, label, p->left, text, p->right);
    fputs(buf_text(&lines), stdout);
}

static void print_case(struct page *p, struct arena *arena, const struct rehearsal *r)
{
    const char *cluster = rehearsal_cluster_words(arena, p->plan, r);
    const char *does = rehearsal_does_words(arena, p->plan, r);
    const char *label = arena_printf(
        arena, "  %s", text_cut(arena, step_words(arena, p->plan, &r->key), p->left - 4));
    if (str_equal(cluster, p->cluster) && str_equal(does, p->does)) {
        print_wrapped(p, label, "the same");
        return;
    }
    print_wrapped(p, label, cluster);
    print_wrapped(p, "",
                  str_equal(does, p->does) ? "-> the same" : arena_printf(arena, "-> %s", does));
    p->cluster = arena_strdup(p->c->arena, cluster);
    p->does = arena_strdup(p->c->arena, does);
}

/* ---- JSON ---- */

static json_t *nodes_json(const struct plan *plan, const struct rehearsal *r)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < plan->nodes.count; i++) {
        json_array_append_new(
            nodes, json_pack("{s:o, s:o, s:b, s:b}", "name",
                             json_text(LIST_AT(&plan->nodes, const struct plan_node, i)->name),
                             "release", json_text(r->nodes[i].release), "running",
                             r->nodes[i].running, "may_start", !r->nodes[i].denied));
    }
    return nodes;
}

static json_t *databases_json(const struct rehearsal *r)
{
    json_t *databases = json_array();
    for (size_t i = 0; i < r->database_count; i++) {
        const struct rehearsal_database *d = &r->databases[i];
        json_array_append_new(
            databases, json_pack("{s:o, s:o, s:o, s:b, s:b}", "name", json_text(d->name), "schema",
                                 json_text(d->schema), "toward", json_text(d->toward), "restoring",
                                 d->restoring, "locked", d->locked));
    }
    return databases;
}

static json_t *words_json(const struct rehearsal *r)
{
    json_t *words = json_array();
    for (size_t i = 0; r->state == ROLLOUT_PAUSED && i < REHEARSAL_WORDS; i++) {
        json_array_append_new(
            words, json_pack("{s:s, s:b, s:o}", "word", word_name(r->words[i].word), "taken",
                             r->words[i].taken, "why", json_text(r->words[i].why)));
    }
    return words;
}

static json_t *case_json(struct arena *arena, const struct plan *plan, const struct rehearsal *r)
{
    const struct plan_phase *phase = plan_phase_at(plan, r->key.phase);
    json_t *json = json_pack(
        "{s:I, s:o, s:s, s:o, s:s, s:s, s:i, s:I, s:b}", "hop", (json_int_t)phase->hop, "phase",
        json_text(phase->name), "step", plan_step_at(plan, r->key.phase, r->key.step)->name,
        "title", json_text(plan_step_at(plan, r->key.phase, r->key.step)->title), "place",
        rollout_place_name(plan, r->key.place), "state", rollout_state_name(r->state), "attempts",
        (int)r->key.attempt, "waited_ms", (json_int_t)r->waited_ms, "rolls_back", r->rolls_back);
    json_object_set_new(json, "nodes", nodes_json(plan, r));
    json_object_set_new(json, "databases", databases_json(r));
    json_object_set_new(json, "does", json_text(rehearsal_does_words(arena, plan, r)));
    json_object_set_new(json, "words", words_json(r));
    return json;
}

/* ---- the whole ---- */

/* A machine for each case, and one for each word: their memory is given back after each. */
static void show_case(struct page *p, struct step_key key, enum rehearsal_fault fault,
                      json_t *steps)
{
    struct arena scratch;
    arena_init(&scratch);
    struct rehearsal r;
    rehearse_step(&scratch, p->plan, fault, key, &r);
    if (p->c->json) {
        json_array_append_new(steps, case_json(&scratch, p->plan, &r));
    } else {
        print_case(p, &scratch, &r);
    }
    arena_deinit(&scratch);
}

static size_t left_columns(struct arena *arena, const struct plan *plan)
{
    size_t left = LEFT_MIN;
    for (uint32_t p = 0; p < plan->phases.count; p++) {
        for (uint32_t s = 0; s < plan_phase_at(plan, p)->steps.count; s++) {
            struct step_key key = {.phase = p, .step = s};
            if (rehearsal_place(plan, p, s, &key.place)) {
                left = MAX(left, text_columns(step_words(arena, plan, &key)) + 4);
            }
        }
    }
    return MIN(left, LEFT_MAX);
}

static void print_head(const struct page *p, const char *id, enum rehearsal_fault fault)
{
    const struct plan *plan = p->plan;
    printf("Rehearsal of plan %s   %s: %s %s -> %s\n\n", digest_short(p->c->arena, id),
           plan->cluster, plan->application, plan->from != NULL ? plan->from : "nothing", plan->to);
    print_wrapped(p, fault == REHEARSAL_FAILS ? "when this fails" : "when this never answers",
                  "the cluster is like this, and Lockstep does this");
}

int rehearse_steps(struct context *c, const struct plan *plan, const char *id,
                   enum rehearsal_fault fault)
{
    struct page page = {.c = c, .plan = plan, .left = left_columns(c->arena, plan)};
    size_t width = (size_t)terminal_columns(WIDTH_PIPE);
    page.right = width > page.left + RIGHT_MIN ? width - page.left : RIGHT_MIN;
    json_t *steps = json_array();
    if (!c->json) {
        print_head(&page, id, fault);
    }
    for (uint32_t p = 0; p < plan->phases.count; p++) {
        const struct plan_phase *phase = plan_phase_at(plan, p);
        if (!c->json && (p == 0 || plan_phase_at(plan, p - 1)->hop != phase->hop)) {
            puts(hop_words(c->arena, plan, phase->hop));
        }
        for (uint32_t s = 0; s < phase->steps.count; s++) {
            struct step_key key = {.phase = p, .step = s};
            if (rehearsal_place(plan, p, s, &key.place)) {
                show_case(&page, key, fault, steps);
            }
        }
    }
    if (c->json) {
        print_json(json_pack("{s:s, s:s, s:s, s:o}", "plan", id, "cluster", plan->cluster, "fault",
                             fault == REHEARSAL_FAILS ? "fails" : "no answer", "steps", steps));
    } else {
        json_decref(steps);
    }
    return CLI_DONE;
}
