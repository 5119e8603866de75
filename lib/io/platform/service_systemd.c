/*
 * The driver for systemd units, over sd-bus: a start or a stop is a job, and the job's own result is the answer. It refuses
 * units that are not loaded. Source of the calls: org.freedesktop.systemd1(5).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-journal.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/service.h"

#define SYSTEMD_NAME         "org.freedesktop.systemd1"
#define SYSTEMD_PATH         "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER      "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT         "org.freedesktop.systemd1.Unit"
#define SYSTEMD_SERVICE      "org.freedesktop.systemd1.Service"
#define SYSTEMD_SETTLE_MS    300
#define SYSTEMD_TAIL_LINES   200
#define SYSTEMD_ENTRIES      1000 /* looked at for them */
#define SYSTEMD_MESSAGE_TAIL 300
#define SYSTEMD_SLACK_US     100000 /* a process may speak before systemd has noted that it began */
#define SYSTEMD_LOOK_MS      50
#define SYSTEMD_LOOKS        10 /* for what systemd or its journal is about to say */

static void free_bus(sd_bus **bus)
{
    sd_bus_flush_close_unref(*bus);
}

static void free_message(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
}

static void free_slot(sd_bus_slot **slot)
{
    sd_bus_slot_unref(*slot);
}

static const char *unit_of(const struct service_place *place)
{
    const char *name = place->service->systemd;
    const char *dot = strrchr(name, '.');
    static const char *const kinds[] = {".service", ".socket", ".target", ".timer",
                                        ".path",    ".mount",  ".slice"};
    for (size_t i = 0; dot != NULL && i < ARRAY_SIZE(kinds); i++) {
        if (str_equal(dot, kinds[i])) {
            return name;
        }
    }
    return arena_printf(place->arena, "%s.service", name);
}

static int bus_error(struct error *e, int r, const sd_bus_error *why, const char *verb,
                     const char *unit)
{
    int code = error_from_errno(-r);
    const char *words = why != NULL && why->message != NULL ? why->message : strerror(-r);
    const char *hint = "";
    if (sd_bus_error_has_name(why, "org.freedesktop.systemd1.NoSuchUnit")) {
        code = E_NOT_FOUND;
        hint = ": install its unit file, or correct `service:`";
    } else if (code == E_DENIED) {
        hint = ": the agent must run as root, or be allowed by polkit";
    }
    return error_set(e, code, "cannot %s unit %s: %s%s", verb, unit, words, hint);
}

static int open_bus(sd_bus **ret, struct error *e)
{
    int r = sd_bus_open_system(ret);
    if (r < 0) {
        return error_set(e, E_UNAVAILABLE,
                         "systemd cannot be reached on this machine (%s): use `service: { process: "
                         "… }` where there is no systemd",
                         strerror(-r));
    }
    return 0;
}

struct unit_view {
    const char *object; /* arena */
    char *load, *active, *sub, *result;
    uint32_t pid, restarts; /* restarts: by itself, since it was last started on purpose */
    int32_t exit_code, exit_status;
    uint64_t since_us;
    uint64_t began_us;  /* when its last main process was started; 0: not known */
    int conditions_met; /* of its last start */
};

static void free_view(struct unit_view *view)
{
    free(view->load);
    free(view->active);
    free(view->sub);
    free(view->result);
}

static int read_unit(sd_bus *bus, struct unit_view *view, sd_bus_error *why)
{
    const char *o = view->object;
    int r = sd_bus_get_property_string(bus, SYSTEMD_NAME, o, SYSTEMD_UNIT, "LoadState", why,
                                       &view->load);
    if (r >= 0) {
        r = sd_bus_get_property_string(bus, SYSTEMD_NAME, o, SYSTEMD_UNIT, "ActiveState", why,
                                       &view->active);
    }
    if (r >= 0) {
        r = sd_bus_get_property_string(bus, SYSTEMD_NAME, o, SYSTEMD_UNIT, "SubState", why,
                                       &view->sub);
    }
    if (r >= 0) {
        r = sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_UNIT, "ActiveEnterTimestamp",
                                        why, 't', &view->since_us);
    }
    if (r >= 0) {
        r = sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_UNIT, "ConditionResult", why,
                                        'b', &view->conditions_met);
    }
    return r;
}

/* A unit whose file has gone can still run: its process is asked for whatever its LoadState. */
static void read_service(sd_bus *bus, struct unit_view *view)
{
    const char *o = view->object;
    (void)(sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "MainPID", NULL, 'u',
                                       &view->pid) >= 0 &&
           sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "NRestarts", NULL,
                                       'u', &view->restarts) >= 0 &&
           sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE,
                                       "ExecMainStartTimestamp", NULL, 't', &view->began_us) >= 0 &&
           sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "ExecMainCode", NULL,
                                       'i', &view->exit_code) >= 0 &&
           sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "ExecMainStatus",
                                       NULL, 'i', &view->exit_status) >= 0 &&
           sd_bus_get_property_string(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "Result", NULL,
                                      &view->result) >= 0);
}

static int view_unit(const struct service_place *place, sd_bus *bus, struct unit_view *view,
                     struct error *e)
{
    const char *unit = unit_of(place);
    sd_bus_error why = SD_BUS_ERROR_NULL;
    CLEANUP(free_message) sd_bus_message *reply = NULL;
    const char *object = NULL;
    int r = sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "LoadUnit", &why,
                               &reply, "s", unit);
    if (r >= 0) {
        r = sd_bus_message_read(reply, "o", &object);
    }
    if (r >= 0) {
        view->object = arena_strdup(place->arena, object);
        r = read_unit(bus, view, &why);
    }
    if (r >= 0 && str_ends(unit, ".service")) {
        read_service(bus, view);
    }
    r = r < 0 ? bus_error(e, r, &why, "look at", unit) : 0;
    sd_bus_error_free(&why);
    return r;
}

/* It has ended, and systemd is about to start it again (`Restart=`). */
static bool is_between(const struct unit_view *view)
{
    return str_equal(view->sub, "auto-restart");
}

static bool is_down(const struct unit_view *view)
{
    return str_equal(view->active, "inactive") || str_equal(view->active, "failed");
}

static bool is_running(const struct unit_view *view)
{
    return !is_between(view) &&
           (str_equal(view->active, "active") || str_equal(view->active, "activating") ||
            str_equal(view->active, "reloading") || str_equal(view->active, "deactivating"));
}

/* SIGCHLD's codes in ExecMainCode: CLD_EXITED, CLD_KILLED, CLD_DUMPED. */
static const char *view_words(struct arena *arena, const struct unit_view *view)
{
    if (is_running(view)) {
        return arena_printf(arena, "is %s (%s)", view->active, view->sub);
    }
    const char *state = is_between(view) ? "being restarted" : view->active;
    if (view->exit_code == CLD_EXITED) {
        return arena_printf(arena, "is %s: its main process ended with status %d", state,
                            view->exit_status);
    }
    if (view->exit_code == CLD_KILLED || view->exit_code == CLD_DUMPED) {
        return arena_printf(arena, "is %s: its main process was killed by signal %d (%s)", state,
                            view->exit_status, strsignal(view->exit_status));
    }
    if (view->since_us == 0 && !view->conditions_met && view->exit_code == 0) {
        return arena_printf(arena, "is %s: a Condition in its unit file is not met", view->active);
    }
    return arena_printf(arena, "is %s (%s%s%s)", view->active, view->sub,
                        view->result != NULL ? ", " : "", view->result != NULL ? view->result : "");
}

static int systemd_state(const struct service_place *place, struct service_status *ret,
                         struct error *e)
{
    CLEANUP(free_bus) sd_bus *bus = NULL;
    CLEANUP(free_view) struct unit_view view = {.object = NULL};
    int r = open_bus(&bus, e);
    if (r == 0) {
        r = view_unit(place, bus, &view, e);
    }
    if (r < 0) {
        return r;
    }
    *ret =
        (struct service_status){.running = is_running(&view),
                                .settled = str_equal(view.active, "active"),
                                .pid = (pid_t)view.pid,
                                .since_ms = is_running(&view) ? (int64_t)(view.since_us / 1000) : 0,
                                .words = view_words(place->arena, &view)};
    return 0;
}

/* A unit that cannot be started, whatever it does now. */
static int not_loaded(const struct service_place *place, const struct unit_view *view,
                      struct error *e)
{
    const char *unit = unit_of(place);
    if (str_equal(view->load, "masked")) {
        return error_set(e, E_DENIED,
                         "unit %s is masked: `systemctl unmask %s`, or correct `service:`", unit,
                         unit);
    }
    if (!str_equal(view->load, "not-found")) {
        return error_set(e, E_INVALID,
                         "the file of unit %s cannot be used (%s): `systemctl status %s` says why; "
                         "correct it, then `systemctl daemon-reload`",
                         unit, view->load, unit);
    }
    return error_set(e, E_NOT_FOUND,
                     "unit %s is not-found: install its unit file (and `systemctl "
                     "daemon-reload`), or correct `service:`",
                     unit);
}

static int systemd_exists(const struct service_place *place, struct error *e)
{
    CLEANUP(free_bus) sd_bus *bus = NULL;
    CLEANUP(free_view) struct unit_view view = {.object = NULL};
    int r = open_bus(&bus, e);
    if (r == 0) {
        r = view_unit(place, bus, &view, e);
    }
    return r == 0 && !str_equal(view.load, "loaded") ? not_loaded(place, &view, e) : r;
}

/* ---- the journal ---- */

static uint64_t words_since_us(const struct unit_view *view)
{
    return view->began_us > SYSTEMD_SLACK_US ? view->began_us - SYSTEMD_SLACK_US : 0;
}

/* What its processes wrote; and what systemd wrote about it, for one that could not become the program. */
static int match_unit(struct arena *arena, sd_journal *journal, const char *unit)
{
    int r = sd_journal_add_match(journal, arena_printf(arena, "_SYSTEMD_UNIT=%s", unit), 0);
    if (r >= 0) {
        r = sd_journal_add_disjunction(journal);
    }
    if (r >= 0) {
        r = sd_journal_add_match(journal, arena_printf(arena, "UNIT=%s", unit), 0);
    }
    return r >= 0 ? sd_journal_add_match(journal, "_UID=0", 0) : r;
}

/* "Started …", "Failed with result …": the state says that already. */
static bool is_managers_word(sd_journal *journal)
{
    static const char manager[] = "_PID=1";
    const void *data;
    size_t len;
    return sd_journal_get_data(journal, "_PID", &data, &len) >= 0 && len == sizeof(manager) - 1 &&
           memcmp(data, manager, len) == 0;
}

/* Which start of the unit an entry is of; "" when journald could not tell. */
static const char *start_of(struct arena *arena, sd_journal *journal)
{
    const void *data;
    size_t len;
    return sd_journal_get_data(journal, "_SYSTEMD_INVOCATION_ID", &data, &len) >= 0
               ? arena_strndup(arena, data, len)
               : "";
}

/* From the newest back, whole lines, at most bytes_max with their ends; of a newest line that is longer, its
 * beginning. What is older than since_us is another start's and would explain the wrong failure. systemd forgets when that
 * was with a unit that is stopped; then it ends where the journal changes to another start. */
static const char *read_back(struct arena *arena, sd_journal *journal, uint64_t since_us,
                             size_t bytes_max)
{
    static const char field[] = "MESSAGE=";
    const size_t field_len = sizeof(field) - 1;
    struct bytes lines[SYSTEMD_TAIL_LINES];
    size_t count = 0;
    size_t left = bytes_max;
    const char *newest = NULL;
    for (int i = 0; i < SYSTEMD_ENTRIES && count < ARRAY_SIZE(lines); i++) {
        if (sd_journal_previous(journal) <= 0) {
            break;
        }
        const void *data;
        size_t len;
        if (is_managers_word(journal)) {
            continue;
        }
        uint64_t at_us = 0;
        const char *start = start_of(arena, journal);
        newest = newest == NULL ? start : newest;
        if (since_us > 0 ? sd_journal_get_realtime_usec(journal, &at_us) >= 0 && at_us < since_us
                         : !str_equal(start, newest)) {
            break;
        }
        if (sd_journal_get_data(journal, "MESSAGE", &data, &len) < 0 || len < field_len) {
            continue;
        }
        len -= field_len;
        if (len + 1 > left) {
            if (count > 0 || left < 2) {
                break;
            }
            len = left - 1;
        }
        const char *text = arena_strndup(arena, (const char *)data + field_len, len);
        lines[count++] = (struct bytes){(const uint8_t *)text, len};
        left -= len + 1;
    }
    struct buf text;
    buf_init(&text, arena, bytes_max + 1);
    while (count > 0) {
        count--;
        buf_append(&text, lines[count].data, lines[count].len);
        buf_putc(&text, '\n');
    }
    return buf_text(&text);
}

static const char *log_tail_of(const struct service_place *place, uint64_t since_us,
                               size_t bytes_max)
{
    sd_journal *journal = NULL;
    if (sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM) < 0) {
        return "";
    }
    const char *text = "";
    if (match_unit(place->arena, journal, unit_of(place)) >= 0 &&
        sd_journal_seek_tail(journal) >= 0) {
        text = read_back(place->arena, journal, since_us, bytes_max);
    }
    sd_journal_close(journal);
    return text;
}

static const char *systemd_log_tail(const struct service_place *place, size_t bytes_max)
{
    CLEANUP(free_bus) sd_bus *bus = NULL;
    CLEANUP(free_view) struct unit_view view = {.object = NULL};
    if (open_bus(&bus, NULL) == 0) {
        view_unit(place, bus, &view, NULL);
    }
    return log_tail_of(place, words_since_us(&view), bytes_max);
}

/* ---- jobs ---- */

struct job {
    const char *path; /* of the job we wait for; NULL until its number is known */
    struct arena *arena;
    struct strings_pair {
        const char *path;
        const char *result;
    } seen
        [32]; /* jobs that were removed, newest last: ours may be over before we know its number */
    size_t count;
};

static int on_job_removed(sd_bus_message *message, void *context, sd_bus_error *why)
{
    (void)why;
    struct job *job = context;
    const char *path;
    const char *unit;
    const char *result;
    uint32_t id;
    if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) >= 0) {
        struct strings_pair *slot = &job->seen[job->count++ % ARRAY_SIZE(job->seen)];
        slot->path = arena_strdup(job->arena, path);
        slot->result = arena_strdup(job->arena, result);
    }
    return 0;
}

static const char *job_result(const struct job *job)
{
    for (size_t i = 0; i < MIN(job->count, ARRAY_SIZE(job->seen)); i++) {
        if (str_equal(job->seen[i].path, job->path)) {
            return job->seen[i].result;
        }
    }
    return NULL;
}

static int wait_for_job(sd_bus *bus, const struct job *job, int64_t until_ms)
{
    while (job_result(job) == NULL) {
        int64_t left = until_ms - process_clock_ms();
        if (left <= 0) {
            return -ETIMEDOUT;
        }
        int r = sd_bus_process(bus, NULL);
        if (r == 0) {
            r = sd_bus_wait(bus, (uint64_t)left * 1000);
        }
        if (r < 0 && r != -EINTR) {
            return r;
        }
    }
    return 0;
}

static int run_job(const struct service_place *place, sd_bus *bus, const char *method,
                   const char **ret_result, struct error *e)
{
    const char *unit = unit_of(place);
    int64_t left = place->service->within_ms > 0 ? place->service->within_ms : 120000;
    if (place->deadline_ms > 0) {
        left = MIN(left, MAX(place->deadline_ms - act_now_ms(), 0));
    }
    struct job job = {.arena = place->arena};
    sd_bus_error why = SD_BUS_ERROR_NULL;
    CLEANUP(free_message) sd_bus_message *reply = NULL;
    /* systemd sends its signals only to those who subscribed, and only from then on. */
    CLEANUP(free_slot) sd_bus_slot *slot = NULL; /* the bus may see another job after this one */
    int r = sd_bus_match_signal(bus, &slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                "JobRemoved", on_job_removed, &job);
    if (r >= 0) {
        r = sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", &why,
                               NULL, "");
        if (sd_bus_error_has_name(&why, "org.freedesktop.systemd1.AlreadySubscribed")) {
            sd_bus_error_free(&why);
            r = 0; /* by an earlier job on this bus */
        }
    }
    if (r >= 0) {
        r = sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, method, &why,
                               &reply, "ss", unit, "replace");
    }
    if (r >= 0) {
        r = sd_bus_message_read(reply, "o", &job.path);
    }
    const char *verb = str_equal(method, "StartUnit") ? "start" : "stop";
    if (r >= 0) {
        r = wait_for_job(bus, &job, process_clock_ms() + left);
    }
    if (r == -ETIMEDOUT) {
        r = error_set(
            e, E_TIMEOUT,
            "unit %s did not %s within %s: see `systemctl status %s`, or allow more with `within:`",
            unit, verb, str_duration(place->arena, left), unit);
    } else if (r < 0) {
        r = bus_error(e, r, &why, verb, unit);
    } else {
        *ret_result = job_result(&job);
        r = 0;
    }
    sd_bus_error_free(&why);
    return r;
}

static int failed(const struct service_place *place, uint64_t since_us, const char *what,
                  const char *words, struct error *e)
{
    const char *tail = "";
    /* The journal hears of the last lines a moment after systemd hears of the end. */
    for (int i = 0; *tail == '\0' && i < SYSTEMD_LOOKS; i++) {
        process_sleep_ms(i > 0 ? SYSTEMD_LOOK_MS : 0);
        tail = log_tail_of(place, since_us, SYSTEMD_MESSAGE_TAIL);
    }
    size_t len = strlen(tail);
    len -= len > 0 && tail[len - 1] == '\n';
    return error_set(e, E_IO, "unit %s %s; it %s%s%.*s", unit_of(place), what, words,
                     *tail != '\0' ? "; its last lines: " : "", (int)len, tail);
}

/* 1 when it runs already. A start that another has under way counts as ours: the job we queue joins it. */
static int look_before(const struct service_place *place, const struct unit_view *view,
                       bool wanted_up, struct error *e)
{
    if (!wanted_up) {
        return is_down(view);
    }
    if (!str_equal(view->load, "loaded")) {
        return not_loaded(place, view, e);
    }
    return str_equal(view->active, "active");
}

/* The limit of starts is meant for loops of systemd's own, not for one that was asked for. */
static void forget_failures(const struct service_place *place, sd_bus *bus)
{
    (void)sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "ResetFailedUnit",
                             NULL, NULL, "s", unit_of(place));
}

/* A unit that is started again and again is caught between two lives, when its last end can be read. */
static int look_after(const struct service_place *place, sd_bus *bus, uint32_t restarts_before,
                      struct unit_view *view, bool *ret_again, struct error *e)
{
    for (int i = 0; i < SYSTEMD_LOOKS; i++) {
        free_view(view);
        *view = (struct unit_view){.object = NULL};
        int r = view_unit(place, bus, view, e);
        if (r < 0) {
            return r;
        }
        *ret_again = is_between(view) || (view->restarts > 0 && view->restarts != restarts_before);
        if (!*ret_again || (!is_running(view) && view->exit_code != 0)) {
            return 0;
        }
        process_sleep_ms(SYSTEMD_LOOK_MS);
    }
    return 0;
}

static int systemd_start(const struct service_place *place, struct error *e)
{
    CLEANUP(free_bus) sd_bus *bus = NULL;
    CLEANUP(free_view) struct unit_view view = {.object = NULL};
    int r = open_bus(&bus, e);
    if (r == 0) {
        r = view_unit(place, bus, &view, e);
    }
    if (r == 0) {
        r = look_before(place, &view, true, e);
    }
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    uint32_t restarts = view.restarts;
    uint64_t since_us = (uint64_t)act_now_ms() * 1000;
    const char *result = NULL;
    forget_failures(place, bus);
    r = run_job(place, bus, "StartUnit", &result, e);
    if (r < 0) {
        return r;
    }
    bool done = str_equal(result, "done") || str_equal(result, "skipped");
    process_sleep_ms(done ? SYSTEMD_SETTLE_MS : 0);
    bool again = false;
    r = look_after(place, bus, restarts, &view, &again, e);
    if (r < 0 || (done && !again && is_running(&view))) {
        return r;
    }
    const char *words = view_words(place->arena, &view);
    if (again) {
        /* What could not be started is left stopped, or the next try would take one of its short lives for a start. */
        words =
            arena_printf(place->arena,
                         "%s; it was stopped, since systemd would start it again and again", words);
        const char *ignored;
        run_job(place, bus, "StopUnit", &ignored, NULL);
    }
    return failed(place, since_us,
                  done ? "was started and ended at once"
                       : arena_printf(place->arena, "was not started (%s)", result),
                  words, e);
}

static int systemd_stop(const struct service_place *place, struct error *e)
{
    CLEANUP(free_bus) sd_bus *bus = NULL;
    CLEANUP(free_view) struct unit_view view = {.object = NULL};
    int r = open_bus(&bus, e);
    if (r == 0) {
        r = view_unit(place, bus, &view, e);
    }
    if (r == 0) {
        r = look_before(place, &view, false, e);
    }
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    const char *result = NULL;
    r = run_job(place, bus, "StopUnit", &result, e);
    if (r < 0) {
        return r;
    }
    free_view(&view);
    view = (struct unit_view){.object = NULL};
    r = view_unit(place, bus, &view, e);
    return r == 0 && !is_down(&view)
               ? failed(place, words_since_us(&view),
                        arena_printf(place->arena, "was not stopped (%s)", result),
                        view_words(place->arena, &view), e)
               : r;
}

const struct service_driver service_systemd_driver = {
    .exists = systemd_exists,
    .start = systemd_start,
    .stop = systemd_stop,
    .state = systemd_state,
    .log_tail = systemd_log_tail,
};
