/* Owns how a rehearsed case reads: the cluster in one line, and what Lockstep does in another. Refuses nothing. */
#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/core/rehearsal.h"

#define NAMES_MAX 4 /* more nodes than that are counted */

static bool alike(const struct rehearsal_node *a, const struct rehearsal_node *b)
{
    return str_equal(a->release, b->release) && a->running == b->running && a->denied == b->denied;
}

static void node_words(struct buf *b, const struct rehearsal_node *n)
{
    if (n->release == NULL) {
        buf_puts(b, "nothing installed");
    } else {
        buf_printf(b, "%s %s", n->release, n->running ? "runs" : "stopped");
    }
    buf_puts(b, n->denied ? ", may not start" : "");
}

/* All the nodes that are like the first of them; they are marked in `told`. */
static void group_words(struct buf *b, const struct plan *plan, const struct rehearsal *r,
                        size_t first, bool *told)
{
    size_t count = 0;
    struct buf names;
    buf_init(&names, b->arena, LIMIT_TEXT_BYTES);
    for (size_t i = first; i < plan->nodes.count; i++) {
        if (told[i] || !alike(&r->nodes[first], &r->nodes[i])) {
            continue;
        }
        told[i] = true;
        if (++count <= NAMES_MAX) {
            buf_printf(&names, "%s%s", count > 1 ? " " : "",
                       LIST_AT(&plan->nodes, const struct plan_node, i)->name);
        }
    }
    if (count == plan->nodes.count && count > 1) {
        buf_printf(b, "all %zu: ", count);
    } else if (count > NAMES_MAX) {
        buf_printf(b, "%zu nodes: ", count);
    } else {
        buf_printf(b, "%s: ", buf_text(&names));
    }
    node_words(b, &r->nodes[first]);
}

static void database_words(struct buf *b, const struct rehearsal_database *d)
{
    const char *schema = d->schema != NULL ? d->schema : "nothing";
    if (d->restoring) {
        buf_printf(b, "%s half restored", d->name);
    } else if (d->toward != NULL && !str_equal(d->toward, d->schema)) {
        buf_printf(b, "%s between %s and %s", d->name, schema, d->toward);
    } else {
        buf_printf(b, "%s at %s", d->name, schema);
    }
    buf_puts(b, d->locked ? ", locked" : "");
}

const char *rehearsal_cluster_words(struct arena *arena, const struct plan *plan,
                                    const struct rehearsal *r)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    bool *told = ARENA_ARRAY(arena, plan->nodes.count, bool);
    for (size_t i = 0; i < plan->nodes.count; i++) {
        if (!told[i]) {
            buf_puts(&b, b.len > 0 ? "; " : "");
            group_words(&b, plan, r, i, told);
        }
    }
    for (size_t i = 0; i < r->database_count; i++) {
        buf_puts(&b, b.len > 0 ? "; " : "");
        database_words(&b, &r->databases[i]);
    }
    return buf_text(&b);
}

/* "retry, skip or abort", and why there is no way back where there is none. */
static void word_list(struct buf *b, const struct rehearsal *r)
{
    const char *taken[REHEARSAL_WORDS];
    size_t count = 0;
    const struct rehearsal_word *back = NULL;
    for (size_t i = 0; i < REHEARSAL_WORDS; i++) {
        if (r->words[i].taken) {
            taken[count++] = word_name(r->words[i].word);
        } else if (r->words[i].word == WORD_ROLLBACK) {
            back = &r->words[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        buf_printf(b, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", taken[i]);
    }
    if (back != NULL) {
        buf_printf(b, "; no rollback: %s", back->why);
    }
}

const char *rehearsal_does_words(struct arena *arena, const struct plan *plan,
                                 const struct rehearsal *r)
{
    struct buf b;
    buf_init(&b, arena, LIMIT_TEXT_BYTES);
    if (r->key.attempt > 1) {
        buf_printf(&b, "tries %u times", r->key.attempt);
        buf_printf(&b, r->waited_ms > 0 ? " in %s, " : ", ", str_duration(arena, r->waited_ms));
    } else if (r->fault == REHEARSAL_NO_ANSWER && r->waited_ms > 0) {
        buf_printf(&b, "waits %s, ", str_duration(arena, r->waited_ms));
    }
    switch (r->state) {
    case ROLLOUT_FAILED:
        buf_puts(&b, "ends the run as failed: nothing was touched, mend it and apply again");
        break;
    case ROLLOUT_PAUSED:
        buf_puts(&b, "pauses for a word: ");
        word_list(&b, r);
        break;
    case ROLLOUT_ABORTED:
        if (r->rolls_back) {
            buf_printf(&b, "aborts, and plans the way back to %s from here by itself",
                       plan->from != NULL ? plan->from : "nothing");
        } else {
            buf_puts(&b, "aborts: apply, or a revert, plans on from here");
        }
        break;
    case ROLLOUT_SUCCEEDED:
    case ROLLOUT_INCOMPLETE:
        buf_puts(&b, "goes on to the end");
        if (r->left_behind > 0) {
            buf_printf(&b, " with %zu node%s left behind", r->left_behind,
                       r->left_behind == 1 ? "" : "s");
        }
        break;
    case ROLLOUT_READY:
    case ROLLOUT_RUNNING:
    case ROLLOUT_ABORTING:
    case ROLLOUT_WAITING:
        buf_printf(&b, "waits: %s", r->waits != NULL ? r->waits : r->why != NULL ? r->why : "");
        break;
    }
    return buf_text(&b);
}
