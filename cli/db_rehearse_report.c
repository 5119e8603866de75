/* Owns how a rehearsal is told: a table for people, one document for programs. */
#include <stdio.h>
#include <string.h>

#include "cli/db_rehearse.h"
#include "cli/output.h"
#include "lib/base/str.h"

#define TABLE_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* The step that has no way back, and those before it, which could not be gone back therefore. */
static bool lacks_way_back(const struct db_rehearsal *r, size_t i)
{
    return r->no_way_back != NULL && r->report.steps[i].files[1] == NULL &&
           (i + 1 == r->report.count || r->report.steps[i + 1].files[1] != NULL);
}

static int64_t total_ms(const struct db_rehearsal *r, int leg)
{
    int64_t ms = 0;
    for (size_t i = 0; i < r->report.count; i++) {
        ms += r->report.steps[i].legs[leg].ms;
    }
    return ms;
}

/* ---- JSON ---- */

static json_t *leg_json(const struct rehearse_step *step, int leg)
{
    const struct rehearse_leg *l = &step->legs[leg];
    if (step->files[leg] == NULL) {
        return json_null();
    }
    json_t *locks = json_array();
    for (size_t i = 0; i < l->locks_count; i++) {
        json_array_append_new(locks, json_pack("{s:o, s:s}", "table", json_text(l->locks[i].table),
                                               "mode", l->locks[i].mode));
    }
    json_t *rewrites = json_array();
    for (size_t i = 0; i < l->rewrites_count; i++) {
        json_array_append_new(rewrites,
                              json_pack("{s:o, s:I}", "table", json_text(l->rewrites[i].table),
                                        "bytes", (json_int_t)l->rewrites[i].bytes));
    }
    const char *state = l->failed ? "failed" : l->ran ? "done" : "not run";
    return json_pack("{s:o, s:o, s:s, s:I, s:o, s:o}", "file", json_text(step->files[leg]),
                     "sha256", json_text(step->digests[leg]), "state", state, "ms",
                     (json_int_t)l->ms, "locks", locks, "rewritten", rewrites);
}

static json_t *texts(const struct strings *items)
{
    json_t *list = json_array();
    for (size_t i = 0; i < items->count; i++) {
        json_array_append_new(list, json_text(items->items[i]));
    }
    return list;
}

static json_t *steps_json(const struct db_rehearsal *r)
{
    json_t *list = json_array();
    int up = r->report.down ? 1 : 0;
    for (size_t i = 0; i < r->report.count; i++) {
        const struct rehearse_step *step = &r->report.steps[i];
        json_t *lost = texts(&step->lost);
        if (lacks_way_back(r, i)) {
            json_array_append_new(lost, json_string("there is no script for the way back"));
        }
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "id", json_text(step->id),
                                              "up", leg_json(step, up), "down",
                                              leg_json(step, 1 - up), "not_restored", lost));
    }
    return list;
}

json_t *db_rehearsal_json(const struct db_rehearsal *r, int rc, const struct error *e)
{
    int up = r->report.down ? 1 : 0;
    const char *state = rc == E_CANCELLED                               ? "interrupted"
                        : rc < 0                                        ? "failed"
                        : r->way.count == 0                             ? "nothing to do"
                        : r->report.lossy > 0 || r->no_way_back != NULL ? "not restored"
                                                                        : "done";
    json_t *clone = r->clone != NULL
                        ? json_pack("{s:o, s:I, s:I}", "name", json_text(r->clone), "bytes",
                                    (json_int_t)r->bytes, "ms", (json_int_t)r->clone_ms)
                        : json_null();
    json_t *error = rc < 0 ? json_pack("{s:s, s:o}", "code", error_name(e->code), "message",
                                       json_text(e->message))
                           : json_null();
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:{s:I, s:I}, s:o}", "database",
                     r->call.ref.name, "format", r->call.format->name, "direction",
                     r->way.down ? "down" : "up", "state", state, "at",
                     time_text(r->call.arena, r->at), "clone", clone, "migrations", steps_json(r),
                     "not_compared", texts(&r->report.left_out), "not_measured",
                     texts(&r->report.not_measured), "ms", "up", (json_int_t)total_ms(r, up),
                     "down", (json_int_t)total_ms(r, 1 - up), "error", error);
}

/* ---- for people ---- */

static const struct rehearse_rewrite *rewrite_of(const struct rehearse_leg *leg, const char *table)
{
    for (size_t i = 0; i < leg->rewrites_count; i++) {
        if (str_equal(leg->rewrites[i].table, table)) {
            return &leg->rewrites[i];
        }
    }
    return NULL;
}

static bool was_locked(const struct rehearse_leg *leg, const char *table)
{
    for (size_t i = 0; i < leg->locks_count; i++) {
        if (str_equal(leg->locks[i].table, table) &&
            leg->locks[i].strength >= REHEARSE_STOPS_WRITERS) {
            return true;
        }
    }
    return false;
}

static void put_line(struct buf *b, const char *word, const char *text)
{
    buf_printf(b, "%s%s: %s", b->len > 0 ? "\n" : "", word, text);
}

/* What made others wait, and what was written anew: a line each. */
static void put_leg(const struct db_rehearsal *r, struct buf *b, const struct rehearse_leg *leg,
                    const char *word)
{
    struct arena *arena = r->call.arena;
    for (size_t i = 0; i < leg->locks_count; i++) {
        const struct rehearse_lock *lock = &leg->locks[i];
        const struct rehearse_rewrite *rewrite = rewrite_of(leg, lock->table);
        if (lock->strength >= REHEARSE_STOPS_WRITERS) {
            put_line(b, word,
                     arena_printf(arena, "%s on %s%s%s", lock->mode, lock->table,
                                  rewrite != NULL ? ", written anew: " : "",
                                  rewrite != NULL ? str_bytes(arena, rewrite->bytes) : ""));
        }
    }
    for (size_t i = 0; i < leg->rewrites_count; i++) {
        if (!was_locked(leg, leg->rewrites[i].table)) {
            put_line(b, word,
                     arena_printf(arena, "%s was written anew: %s", leg->rewrites[i].table,
                                  str_bytes(arena, leg->rewrites[i].bytes)));
        }
    }
}

static const char *time_of(const struct db_rehearsal *r, const struct rehearse_step *step, int leg)
{
    const struct rehearse_leg *l = &step->legs[leg];
    return l->failed ? "failed" : l->ran ? str_duration(r->call.arena, l->ms) : "-";
}

static const char *lost_text(const struct db_rehearsal *r, size_t i)
{
    const struct strings *lost = &r->report.steps[i].lost;
    struct buf b;
    buf_init(&b, r->call.arena, LIMIT_TEXT_BYTES);
    for (size_t k = 0; k < lost->count; k++) {
        buf_printf(&b, "%s%s", k > 0 ? "\n" : "", lost->items[k]);
    }
    if (lacks_way_back(r, i)) {
        buf_puts(&b, "there is no script for the way back");
    }
    return buf_text(&b);
}

/* The next line of a text of several. */
static const char *next_line(struct arena *arena, const char **text)
{
    size_t len = strcspn(*text, "\n");
    const char *line = arena_strndup(arena, *text, len);
    *text += len + ((*text)[len] == '\n' ? 1 : 0);
    return line;
}

static void add_step(const struct db_rehearsal *r, struct table *t, size_t i)
{
    struct arena *arena = r->call.arena;
    const struct rehearse_step *step = &r->report.steps[i];
    int up = r->report.down ? 1 : 0;
    struct buf locks;
    buf_init(&locks, arena, LIMIT_TEXT_BYTES);
    put_leg(r, &locks, &step->legs[up], "up");
    put_leg(r, &locks, &step->legs[1 - up], "down");
    const char *left = buf_text(&locks);
    const char *lost = lost_text(r, i);
    TABLE_ADD(t, step->id, time_of(r, step, up), time_of(r, step, 1 - up), next_line(arena, &left),
              next_line(arena, &lost));
    while (*left != '\0' || *lost != '\0') {
        TABLE_ADD(t, "", "", "", next_line(arena, &left), next_line(arena, &lost));
    }
}

static void print_end(const struct db_rehearsal *r)
{
    struct arena *arena = r->call.arena;
    const struct rehearse_report *report = &r->report;
    int up = report->down ? 1 : 0;
    for (size_t i = 0; i < report->left_out.count; i++) {
        printf("not compared: %s\n", report->left_out.items[i]);
    }
    for (size_t i = 0; i < report->not_measured.count; i++) {
        printf("not measured: %s\n", report->not_measured.items[i]);
    }
    printf("%zu migrations: up in %s, down in %s\n", report->count,
           str_duration(arena, total_ms(r, up)), str_duration(arena, total_ms(r, 1 - up)));
    if (r->one_way) {
        printf("the way back was not gone\n");
    } else if (report->lossy > 0) {
        printf("%zu of them are not restored by the way back\n", report->lossy);
    } else if (r->no_way_back != NULL) {
        printf("%s has no way back; what comes before it was not gone back either\n",
               r->no_way_back);
    }
}

void db_rehearsal_print(const struct db_rehearsal *r)
{
    if (r->clone == NULL) {
        if (r->way.count == 0) {
            printf("database %s: nothing to rehearse\n", r->call.ref.name);
        }
        return;
    }
    printf("database %s: rehearsed on %s, a clone of %s that was made in %s%s\n", r->call.ref.name,
           r->clone, str_bytes(r->call.arena, r->bytes), str_duration(r->call.arena, r->clone_ms),
           r->keep ? " and was kept" : "");
    struct table t;
    table_init(&t, r->call.arena, 5);
    TABLE_ADD(&t, "MIGRATION", "UP", "DOWN", "LOCKS THAT STOP WRITERS", "NOT RESTORED");
    for (size_t i = 0; i < r->report.count; i++) {
        add_step(r, &t, i);
    }
    struct buf out;
    buf_init(&out, r->call.arena, TABLE_BYTES_MAX);
    table_put(&t, "  ", &out);
    fputs(buf_text(&out), stdout);
    print_end(r);
}
