/* Owns commands as steps and what a node observes of itself. It refuses to start a `once` command twice. */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <jansson.h>

#include "lib/base/str.h"
#include "lib/io/platform/actions.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/layout.h"
#include "lib/io/platform/permit.h"
#include "lib/io/platform/probe.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/service.h"

#define RUN_TAIL_BYTES 300

int act_run_directory(struct act *act, const struct run_action *a, const char **ret,
                      struct error *e)
{
    switch ((enum run_tree)a->tree) {
    case TREE_NONE:
        *ret = "/";
        return 0;
    case TREE_STAGED:
        return layout_find(act->arena, a->layout, a->release, a->sha256, ret, e);
    case TREE_INSTALLED:
        break;
    }
    if (a->layout == NULL) {
        *ret = "/";
        return 0;
    }
    *ret = a->layout;
    return file_exists(a->layout) ? 0
                                  : error_set(e, E_NOT_FOUND,
                                              "there is no installed release at %s for the command "
                                              "to run in: install one first",
                                              a->layout);
}

/* The intent of a `once` command is durable before it starts; found here by a repeat, the outcome cannot be known. */
static int record_intent(struct act *act, const char *path, struct error *e)
{
    if (file_exists(path)) {
        return error_set(e, E_UNKNOWN,
                         "the command was started before and nobody saw its end: find out what it "
                         "did, then say whether it is done");
    }
    const char *text =
        arena_printf(act->arena, "run %s step %s attempt %u\n", act->run, act->step, act->attempt);
    return file_write(path, text, strlen(text), 0600, e);
}

static void tick(void *context)
{
    struct act *act = context;
    act->progress(act, 0, 0, "running");
}

static int run_command(struct act *act, const struct run_action *a, const char *directory,
                       struct error *e)
{
    struct command command = a->command;
    int64_t timeout = command.timeout_ms > 0 ? command.timeout_ms : 600000;
    command.timeout_ms = act->deadline_ms > 0 ? MAX(MIN(timeout, act_left_ms(act)), 1) : timeout;
    const char *pid_file = arena_printf(act->arena, "%s/command.pid", act->work_dir);
    /* A worker that was killed leaves its command's group: it ends before another is started. */
    int r = process_end_recorded(pid_file, e);
    if (r < 0) {
        return r;
    }
    const char *intent = arena_printf(act->arena, "%s/" ACT_INTENT_FILE, act->work_dir);
    if (a->once && (r = record_intent(act, intent, e)) < 0) {
        return r;
    }
    struct process_run_options options = {.command = &command,
                                          .directory = directory,
                                          .log_fd = act->log_fd,
                                          .pid_file = pid_file,
                                          .tick = tick,
                                          .context = act};
    struct process_result result;
    r = process_run(act->arena, &options, &result, e);
    if (r < 0) {
        if (a->once && r != E_TIMEOUT) {
            file_remove(intent, NULL);
        }
        return r;
    }
    if (process_succeeded(&result)) {
        return 0;
    }
    size_t len = strlen(result.output);
    while (len > 0 && result.output[len - 1] == '\n') {
        len--;
    }
    size_t part = MIN(len, (size_t)RUN_TAIL_BYTES);
    int code = result.timed_out ? E_TIMEOUT : E_IO;
    return error_set(e, code, "%s%s%.*s", process_words(act->arena, &command, &result),
                     part > 0 ? "; its last lines: " : "", (int)part, result.output + len - part);
}

int act_run(struct act *act, const struct action *action, struct error *e)
{
    const struct run_action *a = action->run;
    const char *directory = NULL;
    int r = act_run_directory(act, a, &directory, e);
    return r == 0 ? run_command(act, a, directory, e) : r;
}

/* ---- observe ---- */

static int match_version(struct arena *arena, const char *expression, const char *text,
                         const char **ret, struct error *e)
{
    regex_t regex;
    int problem = regcomp(&regex, expression, REG_EXTENDED | REG_NEWLINE);
    if (problem != 0) {
        char words[128];
        regerror(problem, &regex, words, sizeof(words));
        return error_set(e, E_INVALID, "observe: the expression \"%s\" cannot be used: %s",
                         expression, words);
    }
    regmatch_t groups[2];
    if (regexec(&regex, text, ARRAY_SIZE(groups), groups, 0) == 0 && groups[1].rm_so >= 0) {
        *ret = arena_strndup(arena, text + groups[1].rm_so,
                             (size_t)(groups[1].rm_eo - groups[1].rm_so));
    }
    regfree(&regex);
    return 0;
}

static int observe_version(struct act *act, const struct observe_action *a, const char *marker,
                           const char **ret, struct error *e)
{
    *ret = marker;
    if (a->command == NULL) {
        return marker != NULL ? 0
                              : error_set(e, E_NOT_FOUND,
                                          "%s was not installed by Lockstep, and the application "
                                          "has no `observe:` that tells its version: add one",
                                          a->layout);
    }
    struct command command = *a->command;
    command.timeout_ms = command.timeout_ms > 0 ? command.timeout_ms : 30000;
    struct process_run_options options = {
        .command = &command, .directory = a->layout, .log_fd = act->log_fd};
    struct process_result result;
    const char *found = NULL;
    const char *why;
    struct error inner = {0};
    int r = process_run(act->arena, &options, &result, &inner);
    if (r < 0) {
        why = inner.message;
    } else if (!process_succeeded(&result)) {
        why = process_words(act->arena, &command, &result);
    } else {
        r = match_version(act->arena, a->matches != NULL ? a->matches : "([^[:space:]]+)",
                          result.output, &found, e);
        if (r < 0) {
            return r;
        }
        why = "its output does not match the expression";
    }
    if (found != NULL) {
        *ret = found;
        return 0;
    }
    act_log(act, "observe: %s; the marker says %s", why, marker != NULL ? marker : "nothing");
    return marker != NULL
               ? 0
               : error_set(e, E_NOT_FOUND,
                           "the version installed at %s cannot be observed: %s: check `observe:`",
                           a->layout, why);
}

/* Why what is installed may not start here, in words; NULL: it may. */
static const char *denied_words(struct act *act, const char *layout)
{
    struct permit permit = {0};
    struct error e = {0};
    if (permit_read(act->arena, act->state_dir, act->application, &permit, &e) == 0 &&
        permit.denied != NULL) {
        return arena_printf(act->arena, "denied by run %s", permit.denied_run);
    }
    return permit_check(act->arena, act->state_dir, act->application, layout, &e) < 0
               ? arena_strdup(act->arena, e.message)
               : NULL;
}

/* How many sessions the node has, or -1: an answer that is no number is told in the log and no failure. */
static int observe_sessions(struct act *act, const struct observe_action *a, int64_t *ret,
                            struct error *e)
{
    struct probe probe = {.good = false, .words = "nothing was asked"};
    uint64_t count = 0;
    *ret = -1;
    int r = 0;
    if (a->sessions->http != NULL) {
        r = probe_http(act, a->sessions->http, &probe, e);
    } else if (a->sessions->command != NULL) {
        r = probe_command(act, a->sessions->command, a->layout, &probe, e);
    }
    if (r == 0 && probe.good && probe.group != NULL && str_to_u64(probe.group, INT64_MAX, &count)) {
        *ret = (int64_t)count;
    } else if (r == 0) {
        act_log(act, "sessions: not known: %s", probe.words);
    }
    return r;
}

/* Each component's version, where its command tells one; what fails is not there. */
static int observe_components(struct act *act, const struct observe_action *a, bool installed,
                              json_t *into, struct error *e)
{
    int r = 0;
    for (size_t i = 0; i < a->components.count && r == 0; i++) {
        const struct observe_component *component =
            &((const struct observe_component *)a->components.items)[i];
        struct command command = component->command;
        command.timeout_ms = command.timeout_ms > 0 ? command.timeout_ms : 30000;
        struct process_run_options options = {
            .command = &command, .directory = installed ? a->layout : "/", .log_fd = act->log_fd};
        struct process_result result;
        struct error inner = {0};
        const char *found = NULL;
        const char *why = "its output does not match the expression";
        if (process_run(act->arena, &options, &result, &inner) < 0) {
            why = inner.message;
        } else if (!process_succeeded(&result)) {
            why = process_words(act->arena, &command, &result);
        } else {
            r = match_version(act->arena, component->matches, result.output, &found, e);
        }
        if (r == 0 && found != NULL) {
            json_object_set_new(into, component->name, json_string(found));
        } else if (r == 0) {
            act_log(act, "component %s: it is not there: %s", component->name, why);
        }
    }
    return r;
}

/* The words of Debian and Go, which artifacts are named by. */
static const char *machine_word(const char *machine)
{
    static const char *const words[][2] = {
        {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"}, {"i686", "386"}};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_equal(machine, words[i][0])) {
            return words[i][1];
        }
    }
    return machine;
}

int act_observe(struct act *act, const struct action *action, struct error *e)
{
    const struct observe_action *a = action->observe;
    struct layout_release marker = {NULL, NULL};
    const char *version = NULL;
    bool installed = false;
    int r = layout_check(a->layout, e);
    if (r < 0) {
        return r;
    }
    /* An empty directory is what a package or an operator made ready, not an installation. */
    installed = file_exists(a->layout) && !dir_is_empty(a->layout);
    if (installed) {
        r = layout_read_marker(act->arena, a->layout, &marker, e);
        if (r < 0 && r != E_NOT_FOUND) {
            return r;
        }
        r = observe_version(act, a, marker.version, &version, e);
    }
    struct service_status status = {.running = false};
    if (r == 0 && a->service != NULL) {
        struct service_place place = {.arena = act->arena,
                                      .service = a->service,
                                      .application = act->application,
                                      .state_dir = act->state_dir,
                                      .layout = a->layout,
                                      .program = act->program};
        r = service_state(&place, &status, e);
    }
    int64_t sessions = -1;
    if (r == 0 && a->sessions != NULL && (a->service == NULL || status.running)) {
        r = observe_sessions(act, a, &sessions, e);
    }
    uint64_t free_bytes = 0;
    json_t *components = json_object();
    r = r == 0 ? observe_components(act, a, installed, components, e) : r;
    r = r == 0 ? disk_free(a->layout, &free_bytes, NULL, e) : r;
    if (r < 0) {
        json_decref(components);
        return r;
    }
    struct utsname name;
    uname(&name);
    json_t *json = json_pack("{s:s?,s:s?,s:b,s:b,s:I,s:s,s:s,s:s?,s:o}", "version", version,
                             "artifact", marker.sha256, "installed", (int)installed, "running",
                             (int)status.running, "disk_free_bytes", (json_int_t)free_bytes, "os",
                             "linux", "arch", machine_word(name.machine), "denied",
                             denied_words(act, a->layout), "components", components);
    if (json != NULL && sessions >= 0) {
        json_object_set_new(json, "sessions", json_integer(sessions));
    }
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(json);
    if (text == NULL) {
        return error_set(e, E_INVALID,
                         "the version observed at %s is no UTF-8 text: check `observe:`",
                         a->layout);
    }
    act->facts = arena_strdup(act->arena, text);
    free(text);
    return 0;
}
