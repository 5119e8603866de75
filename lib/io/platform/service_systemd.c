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
#define SYSTEMD_MESSAGE_TAIL 300

static void free_bus(sd_bus **bus)
{
    sd_bus_flush_close_unref(*bus);
}

static void free_message(sd_bus_message **message)
{
    sd_bus_message_unref(*message);
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
    uint32_t pid;
    int32_t exit_code, exit_status;
    uint64_t since_us;
};

static void free_view(struct unit_view *view)
{
    free(view->load);
    free(view->active);
    free(view->sub);
    free(view->result);
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
        r = sd_bus_get_property_string(bus, SYSTEMD_NAME, view->object, SYSTEMD_UNIT, "LoadState",
                                       &why, &view->load);
    }
    if (r >= 0) {
        r = sd_bus_get_property_string(bus, SYSTEMD_NAME, view->object, SYSTEMD_UNIT, "ActiveState",
                                       &why, &view->active);
    }
    if (r >= 0) {
        r = sd_bus_get_property_string(bus, SYSTEMD_NAME, view->object, SYSTEMD_UNIT, "SubState",
                                       &why, &view->sub);
    }
    if (r >= 0) {
        r = sd_bus_get_property_trivial(bus, SYSTEMD_NAME, view->object, SYSTEMD_UNIT,
                                        "ActiveEnterTimestamp", &why, 't', &view->since_us);
    }
    if (r >= 0 && str_ends(unit, ".service") && str_equal(view->load, "loaded")) {
        const char *o = view->object;
        (void)(sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "MainPID", &why,
                                           'u', &view->pid) >= 0 &&
               sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "ExecMainCode",
                                           &why, 'i', &view->exit_code) >= 0 &&
               sd_bus_get_property_trivial(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "ExecMainStatus",
                                           &why, 'i', &view->exit_status) >= 0 &&
               sd_bus_get_property_string(bus, SYSTEMD_NAME, o, SYSTEMD_SERVICE, "Result", &why,
                                          &view->result) >= 0);
    }
    r = r < 0 ? bus_error(e, r, &why, "look at", unit) : 0;
    sd_bus_error_free(&why);
    return r;
}

static bool is_running(const struct unit_view *view)
{
    return str_equal(view->active, "active") || str_equal(view->active, "activating") ||
           str_equal(view->active, "reloading") || str_equal(view->active, "deactivating");
}

/* SIGCHLD's codes in ExecMainCode: CLD_EXITED, CLD_KILLED, CLD_DUMPED. */
static const char *view_words(struct arena *arena, const struct unit_view *view)
{
    if (is_running(view)) {
        return arena_printf(arena, "is %s (%s)", view->active, view->sub);
    }
    if (view->exit_code == CLD_EXITED) {
        return arena_printf(arena, "is %s: its main process ended with status %d", view->active,
                            view->exit_status);
    }
    if (view->exit_code == CLD_KILLED || view->exit_code == CLD_DUMPED) {
        return arena_printf(arena, "is %s: its main process was killed by signal %d (%s)",
                            view->active, view->exit_status, strsignal(view->exit_status));
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

static int systemd_exists(const struct service_place *place, struct error *e)
{
    const char *unit = unit_of(place);
    CLEANUP(free_bus) sd_bus *bus = NULL;
    CLEANUP(free_view) struct unit_view view = {.object = NULL};
    int r = open_bus(&bus, e);
    if (r == 0) {
        r = view_unit(place, bus, &view, e);
    }
    if (r == 0 && !str_equal(view.load, "loaded")) {
        r = error_set(e, E_NOT_FOUND,
                      "unit %s is %s: install its unit file (and `systemctl daemon-reload`), or "
                      "correct `service:`",
                      unit, view.load);
    }
    return r;
}

static const char *systemd_log_tail(const struct service_place *place, size_t bytes_max)
{
    sd_journal *journal = NULL;
    if (sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM) < 0) {
        return "";
    }
    const char *match = arena_printf(place->arena, "_SYSTEMD_UNIT=%s", unit_of(place));
    struct buf text;
    buf_init(&text, place->arena, bytes_max * 2 + 4096);
    if (sd_journal_add_match(journal, match, 0) >= 0 && sd_journal_seek_tail(journal) >= 0 &&
        sd_journal_previous_skip(journal, SYSTEMD_TAIL_LINES) > 0) {
        do {
            const void *data;
            size_t len;
            static const char field[] = "MESSAGE=";
            if (sd_journal_get_data(journal, "MESSAGE", &data, &len) >= 0 &&
                len >= sizeof(field) - 1) {
                buf_append(&text, (const char *)data + sizeof(field) - 1,
                           MIN(len - (sizeof(field) - 1), bytes_max));
                buf_putc(&text, '\n');
            }
        } while (sd_journal_next(journal) > 0);
    }
    sd_journal_close(journal);
    return text.len > bytes_max ? buf_text(&text) + text.len - bytes_max : buf_text(&text);
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
    int r = sd_bus_match_signal(bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                "JobRemoved", on_job_removed, &job);
    if (r >= 0) {
        r = sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", &why,
                               NULL, "");
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

static int failed(const struct service_place *place, const char *what, struct error *e)
{
    struct service_status status = {.words = "is in an unknown state"};
    systemd_state(place, &status, NULL);
    const char *tail = systemd_log_tail(place, SYSTEMD_MESSAGE_TAIL);
    size_t len = strlen(tail);
    len -= len > 0 && tail[len - 1] == '\n';
    return error_set(e, E_IO, "unit %s %s; it %s%s%.*s", unit_of(place), what, status.words,
                     *tail != '\0' ? "; its last lines: " : "", (int)len, tail);
}

/* 1 when it runs already. A start that another has under way counts as ours: the job we queue joins it. */
static int look_before(const struct service_place *place, sd_bus *bus, const char *wanted,
                       struct error *e)
{
    CLEANUP(free_view) struct unit_view view = {.object = NULL};
    int r = view_unit(place, bus, &view, e);
    if (r < 0) {
        return r;
    }
    if (!str_equal(view.load, "loaded")) {
        /* What is not there is stopped; but it cannot be started. */
        return str_equal(wanted, "inactive")
                   ? 1
                   : error_set(e, E_NOT_FOUND,
                               "unit %s is %s: install its unit file, or correct `service:`",
                               unit_of(place), view.load);
    }
    return str_equal(view.active, wanted) ||
           (str_equal(wanted, "inactive") && str_equal(view.active, "failed"));
}

static int systemd_start(const struct service_place *place, struct error *e)
{
    CLEANUP(free_bus) sd_bus *bus = NULL;
    int r = open_bus(&bus, e);
    if (r == 0) {
        r = look_before(place, bus, "active", e);
    }
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    const char *result = NULL;
    r = run_job(place, bus, "StartUnit", &result, e);
    if (r < 0) {
        return r;
    }
    if (!str_equal(result, "done") && !str_equal(result, "skipped")) {
        return failed(place, arena_printf(place->arena, "was not started (%s)", result), e);
    }
    process_sleep_ms(SYSTEMD_SETTLE_MS);
    struct service_status status;
    r = systemd_state(place, &status, e);
    return r == 0 && !status.running ? failed(place, "was started and ended at once", e) : r;
}

static int systemd_stop(const struct service_place *place, struct error *e)
{
    CLEANUP(free_bus) sd_bus *bus = NULL;
    int r = open_bus(&bus, e);
    if (r == 0) {
        r = look_before(place, bus, "inactive", e);
    }
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    const char *result = NULL;
    r = run_job(place, bus, "StopUnit", &result, e);
    if (r < 0) {
        return r;
    }
    struct service_status status;
    r = systemd_state(place, &status, e);
    return r == 0 && status.running
               ? failed(place, arena_printf(place->arena, "was not stopped (%s)", result), e)
               : r;
}

const struct service_driver service_systemd_driver = {
    .exists = systemd_exists,
    .start = systemd_start,
    .stop = systemd_stop,
    .state = systemd_state,
    .log_tail = systemd_log_tail,
};
