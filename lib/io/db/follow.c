/*
 * Owns out-of-band work: a command that may run for hours, and a query that says how far the work is. The query decides, not the
 * command: at its end all is done, whatever the command said; without a step nearer for too long it has failed. It refuses an
 * answer that is no number from 0 to 1.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/io/db/actions.h"
#include "lib/io/db/db.h"
#include "lib/io/platform/actions.h"
#include "lib/io/platform/process.h"

#define ANSWER_MS    60000 /* one answer */
#define END_MS       30000 /* how long the command may go on when the work is at its end */
#define DEATHS_MAX   3     /* in a row, without a step nearer */
#define TAIL_BYTES   300
#define FAR_AWAY     2.0 /* further than any answer */
#define PERCENT      100
#define ANSWER_SHOWN 60
#define SLEEP_MS     200
#define TENTHS       10

struct follow {
    struct act *act;
    const struct follow_action *a;
    struct db_session session;
    double left;       /* to the end; FAR_AWAY: no answer yet */
    double nearest;    /* the least that was left */
    int64_t nearer_ms; /* when that was */
    uint64_t nearer;   /* how often it came nearer */
    int64_t started_ms;
    int64_t asked_ms;
    int64_t reached_ms; /* 0: not yet */
    int rc;             /* why it ends, other than well */
    struct error *e;
    size_t starts;
    bool running;
};

/* ---- the answer ---- */

static int number_of(struct follow *f, const char *cell, struct error *e)
{
    if (cell == NULL) { /* nothing was counted yet */
        return 0;
    }
    char *end = NULL;
    double value = strtod(cell, &end);
    if (end == cell || *end != '\0' || !(value >= 0 && value <= 1)) {
        return error_set(
            e, E_INVALID,
            "database %s: the progress is \"%.*s\", which is no number from 0 to 1: see "
            "sql: of follow",
            f->a->database.name, ANSWER_SHOWN, cell);
    }
    f->left = f->a->to == 1 ? 1 - value : value;
    return 0;
}

static int open_session(struct follow *f, struct error *e)
{
    if (f->session.handle != NULL && !f->session.lost) {
        return 0;
    }
    db_close(&f->session);
    f->session = (struct db_session){0};
    int rc = db_open_to_look(f->act, &f->session, &f->a->database, false, e);
    if (rc == 0 && f->session.engine->limit_statements != NULL) {
        rc = f->session.engine->limit_statements(&f->session, ANSWER_MS, e);
    }
    return rc;
}

/* A server that is not there for a while is no news; the deadlines go on. */
static int ask(struct follow *f, struct error *e)
{
    struct arena scratch;
    arena_init(&scratch);
    struct db_rows rows = {0};
    int rc = open_session(f, e);
    if (rc == 0) {
        rc = db_query(&f->session, &scratch, f->a->sql, NULL, 0, &rows, e);
    }
    if (rc == 0) {
        const char *cell = rows.count > 0 && rows.columns > 0 ? db_cell(&rows, 0, 0) : NULL;
        rc = number_of(f, cell, e);
    }
    arena_deinit(&scratch);
    if (rc == E_UNAVAILABLE || (rc < 0 && f->session.lost)) {
        *e = (struct error){0};
        rc = 0;
    }
    return rc;
}

/* ---- is it over? ---- */

static double done_of(const struct follow *f)
{
    double left = MIN(f->left, 1.0);
    return f->a->to == 1 ? 1 - left : left;
}

static const char *words(struct follow *f)
{
    return f->left > 1 ? "no answer yet"
                       : arena_printf(f->act->arena, "progress %.3g of %lld", done_of(f),
                                      (long long)f->a->to);
}

static void tell(struct follow *f)
{
    char text[64];
    int tenths = f->left > 1 ? 0 : (int)((1 - f->left) * PERCENT * TENTHS);
    snprintf(text, sizeof(text), "%d.%d %%%s", tenths / TENTHS, tenths % TENTHS,
             f->running ? ", its command runs" : "");
    /* A step nearer may be far less than a tenth of a percent: each is one. */
    f->act->progress(f->act, f->nearer, 0, text);
}

static void judge(struct follow *f, int64_t now)
{
    if (f->left < f->nearest) {
        f->nearest = f->left;
        f->nearer_ms = now;
        f->nearer++;
    }
    if (f->left <= 0) {
        f->reached_ms = f->reached_ms > 0 ? f->reached_ms : now;
        return;
    }
    f->reached_ms = 0;
    const char *name = f->a->database.name;
    if (act_stopped(f->act)) {
        f->rc = error_set(f->e, E_CANCELLED, "database %s: stopped at %s", name, words(f));
    } else if (now - f->nearer_ms >= f->a->stall_ms) {
        f->rc = error_set(f->e, E_TIMEOUT,
                          "database %s: %s, and no step nearer for %s: what does the work has "
                          "stopped; see its output, then retry",
                          name, words(f), str_duration(f->act->arena, f->a->stall_ms));
    } else if (now - f->started_ms >= f->a->within_ms || act_left_ms(f->act) == 0) {
        f->rc = error_set(f->e, E_TIMEOUT, "database %s: %s after %s: see within: of follow", name,
                          words(f), str_duration(f->act->arena, now - f->started_ms));
    }
}

/* Asked while the command runs and while it does not. */
static void look(struct follow *f)
{
    int64_t now = process_clock_ms();
    if (f->rc < 0 || (f->asked_ms > 0 && now - f->asked_ms < f->a->every_ms)) {
        return;
    }
    f->asked_ms = now;
    struct error e = {0};
    int rc = ask(f, &e);
    if (rc < 0) {
        *f->e = e;
        f->rc = rc;
        return;
    }
    judge(f, process_clock_ms());
    tell(f);
}

static bool enough(void *context)
{
    struct follow *f = context;
    look(f);
    return f->rc < 0 || (f->reached_ms > 0 && process_clock_ms() - f->reached_ms >= END_MS);
}

static bool is_over(const struct follow *f)
{
    return f->rc < 0 || f->reached_ms > 0;
}

/* ---- the command ---- */

static void say_tail(struct follow *f, const char *output)
{
    size_t len = strlen(output);
    while (len > 0 && output[len - 1] == '\n') {
        len--;
    }
    size_t part = MIN(len, (size_t)TAIL_BYTES);
    if (part > 0) {
        const char *message = arena_strdup(f->act->arena, f->e->message);
        error_set(f->e, f->rc, "%s; its last lines: %.*s", message, (int)part, output + len - part);
    }
}

/* Runs it once. 1: it need not be started again; 0: it died. */
static int run_once(struct follow *f, const char *directory, struct arena *scratch, bool last)
{
    const struct run_action *run = f->a->run;
    struct process_run_options options = {
        .command = &run->command,
        .directory = directory,
        .log_fd = f->act->log_fd,
        .timeout_ms = MAX(MIN(act_left_ms(f->act), f->a->within_ms), 1),
        .pid_file = arena_printf(scratch, "%s/command.pid", f->act->work_dir),
        .enough = enough,
        .context = f,
    };
    struct process_result result = {0};
    int rc = process_end_recorded(options.pid_file, f->e); /* a dead worker's */
    f->starts++;
    f->running = true;
    rc = rc < 0 ? rc : process_run(scratch, &options, &result, f->e);
    f->running = false;
    if (rc < 0) {
        f->rc = rc;
        return 1;
    }
    f->asked_ms = 0; /* its last word is in the database now */
    look(f);
    if (is_over(f)) {
        if (f->rc == E_TIMEOUT) {
            say_tail(f, result.output);
        }
        return 1;
    }
    if (process_succeeded(&result)) {
        return 1;
    }
    const char *how = process_words(scratch, &run->command, &result);
    act_log(f->act, "database %s: %s at %s", f->a->database.name, how, words(f));
    if (last) {
        f->rc = error_set(f->e, E_IO, "database %s: %s %d times at %s", f->a->database.name, how,
                          DEATHS_MAX, words(f));
        say_tail(f, result.output);
    }
    return 0;
}

static void pause_for(struct follow *f, int64_t ms)
{
    int64_t until = process_clock_ms() + ms;
    while (!is_over(f) && process_clock_ms() < until) {
        process_sleep_ms(MIN(SLEEP_MS, f->a->every_ms));
        look(f);
    }
}

static void run_command(struct follow *f)
{
    const char *directory = NULL;
    int rc = act_run_directory(f->act, f->a->run, &directory, f->e);
    if (rc < 0) {
        f->rc = rc;
        return;
    }
    int deaths = 0;
    bool ended = false;
    while (!ended && !is_over(f)) {
        double before = f->nearest;
        struct arena scratch;
        arena_init(&scratch);
        ended = run_once(f, directory, &scratch, deaths + 1 == DEATHS_MAX) == 1;
        arena_deinit(&scratch);
        deaths = f->nearest < before ? 0 : deaths + 1;
        if (!ended) {
            pause_for(f, f->a->every_ms);
        }
    }
}

int act_follow(struct act *act, const struct action *action, struct error *e)
{
    struct follow f = {
        .act = act, .a = action->follow, .left = FAR_AWAY, .nearest = FAR_AWAY, .e = e};
    f.started_ms = process_clock_ms();
    f.nearer_ms = f.started_ms;
    look(&f);
    if (!is_over(&f) && f.a->run != NULL) {
        run_command(&f);
    }
    while (!is_over(&f)) {
        pause_for(&f, f.a->every_ms);
    }
    db_close(&f.session);
    if (f.rc < 0) {
        return f.rc;
    }
    return db_set_facts(
        act, json_pack("{s:f, s:I}", "progress", done_of(&f), "starts", (json_int_t)f.starts), e);
}
