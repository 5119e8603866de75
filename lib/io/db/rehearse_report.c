/* Owns the form of a rehearsal's report. Refuses nothing: a text that is not UTF-8 is told as such. */
#include "lib/base/str.h"
#include "lib/io/db/rehearse.h"

static json_t *text(const char *words)
{
    json_t *json = words != NULL ? json_string(words) : json_null();
    return json != NULL ? json : json_string("(not UTF-8)");
}

static json_t *texts(const struct strings *items)
{
    json_t *list = json_array();
    for (size_t i = 0; i < items->count; i++) {
        json_array_append_new(list, text(items->items[i]));
    }
    return list;
}

/* The step that has no way back, and not those before it, which could not be gone back therefore. */
static bool lacks_way_back(const struct rehearse_telling *t, size_t i)
{
    const struct rehearse_report *report = t->report;
    return t->no_way_back != NULL && report->steps[i].files[1] == NULL &&
           (i + 1 == report->count || report->steps[i + 1].files[1] != NULL);
}

static json_t *leg_json(const struct rehearse_step *step, int leg)
{
    const struct rehearse_leg *l = &step->legs[leg];
    if (step->files[leg] == NULL) {
        return json_null();
    }
    json_t *locks = json_array();
    for (size_t i = 0; i < l->locks_count; i++) {
        const struct rehearse_lock *lock = &l->locks[i];
        json_array_append_new(locks, json_pack("{s:o, s:s, s:b}", "table", text(lock->table),
                                               "mode", lock->mode, "stops_writers",
                                               lock->strength >= REHEARSE_STOPS_WRITERS));
    }
    json_t *rewrites = json_array();
    for (size_t i = 0; i < l->rewrites_count; i++) {
        json_array_append_new(rewrites, json_pack("{s:o, s:I}", "table", text(l->rewrites[i].table),
                                                  "bytes", (json_int_t)l->rewrites[i].bytes));
    }
    const char *state = l->failed ? "failed" : l->ran ? "done" : "not run";
    return json_pack("{s:o, s:o, s:s, s:I, s:o, s:o}", "file", text(step->files[leg]), "sha256",
                     text(step->digests[leg]), "state", state, "ms", (json_int_t)l->ms, "locks",
                     locks, "rewritten", rewrites);
}

static json_t *steps_json(const struct rehearse_telling *t)
{
    json_t *list = json_array();
    int up = t->down ? 1 : 0;
    for (size_t i = 0; i < t->report->count; i++) {
        const struct rehearse_step *step = &t->report->steps[i];
        json_t *lost = texts(&step->lost);
        if (lacks_way_back(t, i)) {
            json_array_append_new(lost, json_string("there is no script for the way back"));
        }
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "id", text(step->id), "up",
                                              leg_json(step, up), "down", leg_json(step, 1 - up),
                                              "not_restored", lost));
    }
    return list;
}

static json_int_t total_ms(const struct rehearse_telling *t, int leg)
{
    int64_t ms = 0;
    for (size_t i = 0; i < t->report->count; i++) {
        ms += t->report->steps[i].legs[leg].ms;
    }
    return ms;
}

static const char *state_of(const struct rehearse_telling *t)
{
    return t->rc == E_CANCELLED                             ? "interrupted"
           : t->rc < 0                                      ? "failed"
           : t->count == 0                                  ? "nothing to do"
           : t->report->lossy > 0 || t->no_way_back != NULL ? "not restored"
                                                            : "done";
}

json_t *rehearse_json(const struct rehearse_telling *t)
{
    int up = t->down ? 1 : 0;
    json_t *clone = t->clone != NULL ? json_pack("{s:o, s:I, s:I, s:b}", "name", text(t->clone),
                                                 "bytes", (json_int_t)t->bytes, "ms",
                                                 (json_int_t)t->clone_ms, "kept", t->kept)
                                     : json_null();
    json_t *error = t->rc < 0 ? json_pack("{s:s, s:o}", "code", error_name(t->error->code),
                                          "message", text(t->error->message))
                              : json_null();
    return json_pack(
        "{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:{s:I, s:I}, s:b, s:o, s:o}", "database",
        text(t->options->live->name), "format", migration_format_words[t->options->format],
        "direction", t->down ? "down" : "up", "state", state_of(t), "clone", clone, "migrations",
        steps_json(t), "not_compared", texts(&t->report->left_out), "not_measured",
        texts(&t->report->not_measured), "ms", "up", total_ms(t, up), "down", total_ms(t, 1 - up),
        "one_way", t->one_way, "no_way_back", text(t->no_way_back), "error", error);
}
