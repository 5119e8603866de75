/* Processes, the keeper, and the actions of a node on a real child and a real HTTP server. */
#include "tests/unit/io/platform/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/platform/actions.h"
#include "lib/io/platform/layout.h"
#include "lib/io/platform/permit.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/secret.h"
#include "lib/io/platform/service.h"
#include "tests/unit/io/platform/http_server.h"

#define SHA "3333333333333333333333333333333333333333333333333333333333333333"

static int run(struct scratch *s, struct command command, struct process_result *ret,
               struct error *e)
{
    struct process_run_options options = {
        .command = &command, .directory = s->dir, .log_fd = s->act.log_fd};
    return process_run(&s->arena, &options, ret, e);
}

static void runs_with_a_clean_environment_and_secrets(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct process_result result;
    scratch_write(s, "password", "s3cret\n", 0600);
    setenv("LEAK", "leaked", 1);
    struct secret secret = {.file = scratch_path(s, "password")};
    struct env_value values[] = {{.name = "A", .value = "b c"}, {.name = "PW", .secret = &secret}};
    struct command command = {
        .argv = ARGV("sh", "-c", "echo \"$A|$PW|$LEAK\"; pwd; ls /proc/self/fd | wc -l"),
        .env = {values, 2}};
    int extra = open("/dev/null", O_RDONLY); /* must not arrive in the child */
    scratch_ok(run(s, command, &result, &e), &e);
    close(extra);
    assert_true(process_succeeded(&result));
    /* 0, 1, 2 and the one that ls opened. */
    assert_string_equal(result.output, arena_printf(&s->arena, "b c|s3cret|\n%s\n4\n", s->dir));
}

static void says_how_a_command_ended(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct process_result result;
    struct command three = {.argv = ARGV("sh", "-c", "exit 3")};
    scratch_ok(run(s, three, &result, &e), &e);
    assert_string_equal(process_words(&s->arena, &three, &result), "sh ended with status 3");
    struct command nine = {.argv = ARGV("sh", "-c", "kill -9 $$")};
    scratch_ok(run(s, nine, &result, &e), &e);
    assert_string_equal(process_words(&s->arena, &nine, &result),
                        "sh was killed by signal 9 (Killed)");
    struct command none = {.argv = ARGV("no-such-program")};
    assert_int_equal(run(s, none, &result, &e), E_NOT_FOUND);
    scratch_says(&e, "not found in PATH");
    struct command relative = {.argv = ARGV("bin/app")};
    assert_int_equal(run(s, relative, &result, &e), E_NOT_FOUND);
    scratch_write(s, "bin/app", "#!/no/such/interpreter\n", 0755);
    assert_int_equal(run(s, relative, &result, &e), E_NOT_FOUND);
    scratch_says(&e, "interpreter");
    struct command nobody = {.argv = ARGV("true"), .user = "no-such-user"};
    assert_int_equal(run(s, nobody, &result, &e), E_NOT_FOUND);
    struct secret missing = {.file = scratch_path(s, "none")};
    struct env_value value = {.name = "PW", .secret = &missing};
    struct command unsecret = {.argv = ARGV("true"), .env = {&value, 1}};
    assert_int_equal(run(s, unsecret, &result, &e), E_NOT_FOUND);
    scratch_says(&e, "environment PW");
}

static void a_timeout_ends_the_whole_group(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct process_result result;
    struct command command = {.argv = ARGV("sh", "-c", "sleep 61 & echo $!; wait"),
                              .timeout_ms = 300};
    scratch_ok(run(s, command, &result, &e), &e);
    assert_true(result.timed_out);
    struct process_id child;
    pid_t pid = (pid_t)atoi(result.output);
    assert_true(pid > 1);
    bool alive = process_identify(pid, &child, NULL) == 0 && process_alive(&child);
    assert_false(alive);
}

static int leads_its_group(void *context, const struct process_id *id, struct error *e UNUSED)
{
    *(int *)context += getpgid(id->pid) == id->pid;
    return 0;
}

/* Whoever reads the record may end the group from then on. */
static void a_process_leads_its_group_before_it_is_recorded(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct command command = {.argv = ARGV("true")};
    int leads = 0;
    struct process_place place = {
        .directory = s->dir, .output_fd = -1, .record = leads_its_group, .context = &leads};
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        scratch_ok(process_spawn(&command, &place, &pid, &e), &e);
        waitpid(pid, NULL, 0);
    }
    assert_int_equal(leads, 20);
}

static void bounds_the_log_and_keeps_the_tail(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct process_result result;
    s->act.log_fd = open(scratch_path(s, "log"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct command command = {.argv = ARGV("sh", "-c", "seq 1 100000; echo the end"),
                              .output_bytes_max = 1000};
    scratch_ok(run(s, command, &result, &e), &e);
    close(s->act.log_fd);
    assert_int_equal(result.output_bytes, 588895 + 8);
    assert_true(file_size(scratch_path(s, "log")) < 1000 + LIMIT_LOG_TAIL_BYTES + 100);
    const char *log = scratch_read(s, "log");
    assert_non_null(strstr(log, "bytes left out"));
    assert_non_null(strstr(log, "the end"));
    assert_non_null(strstr(result.output, "100000\nthe end\n"));
}

static void a_pid_is_no_proof_without_its_start_time(void **state)
{
    struct scratch *s = *state;
    struct process_id id;
    struct process_id other;
    assert_int_equal(process_identify(getpid(), &id, NULL), 0);
    assert_true(process_alive(&id));
    assert_true(process_id_parse(process_id_text(&s->arena, &id), &other));
    assert_true(process_alive(&other));
    other.start_ticks++;
    assert_false(process_alive(&other));
    id.boot_id[0] = id.boot_id[0] == 'a' ? 'b' : 'a';
    assert_false(process_alive(&id));
    int64_t age = act_now_ms() - process_started_ms(&other);
    assert_true(age > -1000 && age < 120000);
}

/* ---- services ---- */

static struct process_service settings;
static struct service service;

static struct service_place place_of(struct scratch *s, const char *script)
{
    scratch_write(s, "opt/app/bin/app", script, 0755);
    static const char *argv[] = {"bin/app"};
    settings = (struct process_service){.command = {.argv = {argv, 1}}, .stop_within_ms = 1000};
    service = (struct service){.process = &settings, .within_ms = 20000};
    return (struct service_place){.arena = &s->arena,
                                  .service = &service,
                                  .application = "app",
                                  .state_dir = s->act.state_dir,
                                  .layout = scratch_path(s, "opt/app"),
                                  .program = "/proc/self/exe"};
}

/* The first line of what the service has said since its start: a process id. */
static pid_t said_pid(const struct service_place *place)
{
    for (int i = 0; i < 2000 && !strchr(service_log_tail(place, 1000), '\n'); i++) {
        usleep(10 * 1000);
    }
    return (pid_t)atoi(service_log_tail(place, 1000));
}

static void starts_once_is_found_again_and_stops(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_status status;
    struct service_status again;
    struct service_place place = place_of(s, "#!/bin/sh\nsleep 62 &\necho $!\nwait\n");
    scratch_ok(service_state(&place, &status, &e), &e);
    assert_false(status.running);
    assert_string_equal(status.words, "was never started");
    scratch_ok(service_start(&place, &e), &e);
    scratch_ok(service_state(&place, &status, &e), &e);
    assert_true(status.running);
    scratch_ok(service_start(&place, &e), &e);
    scratch_ok(service_state(&place, &again, &e), &e);
    assert_int_equal(status.pid, again.pid);
    struct process_id child;
    assert_int_equal(process_identify(said_pid(&place), &child, NULL), 0);
    assert_true(process_alive(&child));
    scratch_ok(service_stop(&place, &e), &e);
    scratch_ok(service_state(&place, &status, &e), &e);
    assert_false(status.running);
    assert_string_equal(status.words, "was killed by signal 15 (Terminated)");
    scratch_ok(service_stop(&place, &e), &e);
    assert_false(process_alive(&child));
    scratch_ok(service_start(&place, &e), &e);
    scratch_ok(service_state(&place, &again, &e), &e);
    assert_true(again.running);
    assert_int_not_equal(said_pid(&place), child.pid); /* of this start only */
    scratch_ok(service_stop(&place, &e), &e);
}

/* Waiting half a second for the last words of the start before is a wait for nothing: the new keeper has removed them. */
static void a_start_does_not_wait_for_the_words_of_the_one_before(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_place place = place_of(s, "#!/bin/sh\nexec sleep 62\n");
    scratch_ok(service_start(&place, &e), &e);
    int64_t fastest = INT64_MAX; /* a busy machine makes one slow, and the wait all of them */
    for (int i = 0; i < 5 && fastest >= 450; i++) {
        scratch_ok(service_stop(&place, &e), &e);
        int64_t from = process_clock_ms();
        scratch_ok(service_start(&place, &e), &e);
        fastest = MIN(fastest, process_clock_ms() - from);
    }
    scratch_ok(service_stop(&place, &e), &e);
    assert_in_range(fastest, 0, 449);
}

static void kills_what_does_not_stop(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_status status;
    struct service_place place =
        place_of(s, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n");
    settings.stop_within_ms = 200;
    scratch_ok(service_start(&place, &e), &e);
    int64_t from = process_clock_ms();
    scratch_ok(service_stop(&place, &e), &e);
    assert_true(process_clock_ms() - from < 4000);
    scratch_ok(service_state(&place, &status, &e), &e);
    assert_string_equal(status.words, "was killed by signal 9 (Killed)");
}

static void a_start_that_dies_at_once_says_why(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_place place = place_of(s, "#!/bin/sh\necho cannot bind port 80\nexit 3\n");
    assert_int_equal(service_start(&place, &e), E_IO);
    scratch_says(&e, "bin/app ended with status 3; its last lines: cannot bind port 80");
    unlink(scratch_path(s, "opt/app/bin/app"));
    assert_int_equal(service_start(&place, &e), E_IO);
    scratch_says(&e, "could not be started: the program");
    assert_int_equal(service_exists(&place, &e), E_NOT_FOUND);
}

static void outlives_its_starter_and_its_keeper(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_status status;
    struct service_place place = place_of(s, "#!/bin/sh\nexec sleep 63\n");
    fflush(NULL);
    pid_t starter = fork();
    if (starter == 0) {
        int r = service_start(&place, &e);
        if (r == 0) {
            kill(getpid(), SIGKILL);
        }
        _exit(1);
    }
    int wait_status;
    waitpid(starter, &wait_status, 0);
    assert_true(WIFSIGNALED(wait_status));
    scratch_ok(service_state(&place, &status, &e), &e);
    assert_true(status.running);
    /* The keeper is the service's parent. */
    char text[512] = "";
    FILE *file = fopen(arena_printf(&s->arena, "/proc/%d/stat", (int)status.pid), "r");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    int keeper = 0;
    assert_int_equal(sscanf(strrchr(text, ')') + 1, " %*c %d", &keeper), 1);
    assert_int_equal(kill(keeper, SIGTERM), 0); /* of no effect */
    usleep(50000);
    assert_int_equal(kill(keeper, 0), 0);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    usleep(50000);
    scratch_ok(service_state(&place, &status, &e), &e);
    assert_true(status.running);
    scratch_ok(service_start(&place, &e), &e);
    scratch_ok(service_stop(&place, &e), &e);
    scratch_ok(service_state(&place, &status, &e), &e);
    assert_false(status.running);
    assert_non_null(strstr(status.words, "nobody saw how it ended"));
}

static void says_that_there_is_no_systemd(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service unit = {.systemd = "lockstep-test-no-such-unit", .within_ms = 2000};
    struct service_place place = {
        .arena = &s->arena, .service = &unit, .application = "app", .state_dir = s->act.state_dir};
    setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/such/bus", 1);
    assert_int_equal(service_start(&place, &e), E_UNAVAILABLE);
    scratch_says(&e, "systemd cannot be reached");
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

/* ---- actions ---- */

static int do_service(struct scratch *s, struct service_place *place, enum service_verb verb,
                      struct error *e)
{
    struct service_action a = {.verb = verb, .service = &service, .layout = place->layout};
    struct action action = {.service = &a};
    return act_service(&s->act, &action, e);
}

static void starts_nothing_while_denied_or_not_permitted(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_place place = place_of(s, "#!/bin/sh\nexec sleep 64\n");
    struct deny_action deny = {"migrating 2.0.0 -> 1.0.0"};
    struct permit_action permit = {"1.0.0", "main 128"};
    struct action denying = {.deny = &deny};
    struct action permitting = {.permit = &permit};
    struct layout_release release = {"2.0.0", SHA};
    scratch_ok(layout_write_marker(place.layout, &release, &e), &e);
    scratch_ok(act_deny(&s->act, &denying, &e), &e);
    assert_int_equal(do_service(s, &place, SERVICE_START, &e), E_DENIED);
    scratch_says(&e, "denied by run r1: migrating 2.0.0 -> 1.0.0");
    scratch_ok(act_permit(&s->act, &permitting, &e), &e);
    assert_int_equal(do_service(s, &place, SERVICE_START, &e), E_DENIED);
    scratch_says(&e, "only 1.0.0 is permitted");
    permit.release = "2.0.0";
    scratch_ok(act_permit(&s->act, &permitting, &e), &e);
    scratch_write(s, "opt/app.lockstep/swap.json", "{}", 0600);
    assert_int_equal(do_service(s, &place, SERVICE_START, &e), E_CONFLICT);
    unlink(scratch_path(s, "opt/app.lockstep/swap.json"));
    scratch_ok(do_service(s, &place, SERVICE_START, &e), &e);
    scratch_ok(act_deny(&s->act, &denying, &e), &e);
    scratch_ok(do_service(s, &place, SERVICE_STOP, &e), &e);
    scratch_write(s, "state/permits/app", "damaged", 0600);
    assert_int_equal(do_service(s, &place, SERVICE_START, &e), E_INVALID);
}

static void healthy_is_n_in_a_row(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct http_server server;
    http_server_start(&server, "body", scratch_path(s, "posted"));
    struct http_check http = {.url =
                                  arena_printf(&s->arena, "http://127.0.0.1:%u/flaky", server.port),
                              .status = 200,
                              .matches = "^go+d$",
                              .timeout_ms = 2000};
    struct check check = {.http = &http, .consecutive = 3, .every_ms = 10, .within_ms = 5000};
    struct health_action health = {.checks = {&check, 1}, .soak_ms = 50};
    struct action action = {.health = &health};
    scratch_ok(act_health(&s->act, &action, &e), &e);
    assert_non_null(strstr(s->act.facts, "healthy_after_ms"));
    http.url = arena_printf(&s->arena, "http://127.0.0.1:%u/teapot", server.port);
    check.within_ms = 100;
    assert_int_equal(act_health(&s->act, &action, &e), E_TIMEOUT);
    scratch_says(&e, "/teapot answered 418: short and stout");
    http.status = 418;
    assert_int_equal(act_health(&s->act, &action, &e), E_TIMEOUT);
    scratch_says(&e, "does not match");
    struct tcp_check tcp = {.port = server.port, .timeout_ms = 1000};
    check = (struct check){.tcp = &tcp, .consecutive = 1, .every_ms = 10, .within_ms = 100};
    scratch_ok(act_health(&s->act, &action, &e), &e);
    http_server_stop(&server);
    assert_int_equal(act_health(&s->act, &action, &e), E_TIMEOUT);
    scratch_says(&e, "does not answer");
}

static void a_service_that_dies_while_watched_fails_at_once(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_place place =
        place_of(s, "#!/bin/sh\necho starting\nsleep 1\necho out of memory\nexit 7\n");
    struct command_check never = {.command = {.argv = ARGV("false")}};
    struct check check = {.command = &never, .consecutive = 1, .every_ms = 100, .within_ms = 30000};
    struct health_action health = {
        .checks = {&check, 1}, .service = &service, .layout = place.layout};
    struct action action = {.health = &health};
    scratch_ok(service_start(&place, &e), &e);
    int64_t from = process_clock_ms();
    assert_int_equal(act_health(&s->act, &action, &e), E_IO);
    assert_true(process_clock_ms() - from < 5000);
    scratch_says(&e, "ended with status 7");
    scratch_says(&e, "out of memory");
}

static void a_retried_health_starts_what_died(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_place place = place_of(s, "#!/bin/sh\ntest -e fixed || exit 7\nexec sleep 65\n");
    struct command_check fine = {.command = {.argv = ARGV("true")}};
    struct check check = {.command = &fine, .consecutive = 1, .every_ms = 10, .within_ms = 5000};
    struct health_action health = {
        .checks = {&check, 1}, .service = &service, .layout = place.layout};
    struct action action = {.health = &health};
    assert_int_not_equal(service_start(&place, &e), 0);
    s->act.attempt = 1;
    assert_int_equal(act_health(&s->act, &action, &e), E_IO);
    scratch_write(s, "opt/app/fixed", "", 0600);
    assert_int_equal(act_health(&s->act, &action, &e), E_IO);
    s->act.attempt = 2;
    scratch_ok(act_health(&s->act, &action, &e), &e);
    struct service_status now;
    scratch_ok(service_state(&place, &now, &e), &e);
    assert_true(now.running);
    scratch_ok(service_stop(&place, &e), &e);
}

static void a_log_counts_from_the_start_of_the_service(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct service_place place =
        place_of(s, "#!/bin/sh\necho ERROR of this start\nexec sleep 65\n");
    struct log_check log = {.file = scratch_path(s, "app.log"), .error = "^.*(ERROR|panic)"};
    struct check check = {.log = &log, .consecutive = 1, .every_ms = 10, .within_ms = 100};
    struct health_action health = {
        .checks = {&check, 1}, .service = &service, .layout = place.layout};
    struct action action = {.health = &health};
    scratch_write(s, "app.log", "2020-01-01T00:00:00Z ERROR long ago\n  panic of long ago\n", 0600);
    sleep(1); /* the log is older than the service */
    scratch_ok(service_start(&place, &e), &e);
    int fd = open(log.file, O_WRONLY | O_APPEND);
    assert_int_equal(dprintf(fd, "2099-01-01 00:00:00,123 INFO fine\n"), 34);
    scratch_ok(act_health(&s->act, &action, &e), &e);
    assert_int_equal(dprintf(fd, "2099-01-01T00:00:01.5+02:00 ERROR now\n"), 38);
    close(fd);
    assert_int_equal(act_health(&s->act, &action, &e), E_TIMEOUT);
    scratch_says(&e, "ERROR now");
    log.file = arena_printf(&s->arena, "%s/services/app/log", s->act.state_dir);
    assert_int_equal(act_health(&s->act, &action, &e), E_TIMEOUT);
    scratch_says(&e, "ERROR of this start");
    scratch_ok(service_stop(&place, &e), &e);
}

static void waits_for_a_line_and_sees_a_stall(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct wait_action wait = {.file = scratch_path(s, "upgrade.log"),
                               .matches = "completed",
                               .within_ms = 5000,
                               .stall_ms = 700};
    struct action action = {.wait = &wait};
    scratch_write(s, "upgrade.log", "working\n", 0600);
    assert_int_equal(act_wait(&s->act, &action, &e), E_TIMEOUT);
    scratch_says(&e, "has not grown");
    fflush(NULL);
    pid_t writer = fork();
    if (writer == 0) {
        usleep(200000);
        int fd = open(wait.file, O_WRONLY | O_APPEND);
        int n = dprintf(fd, "upgrade completed\n");
        _exit(n > 0 ? 0 : 1);
    }
    scratch_ok(act_wait(&s->act, &action, &e), &e);
    waitpid(writer, NULL, 0);
    wait.matches = "never";
    wait.stall_ms = 0;
    wait.within_ms = 100;
    assert_int_equal(act_wait(&s->act, &action, &e), E_TIMEOUT);
    scratch_says(&e, "no line of");
    wait.matches = "(";
    assert_int_equal(act_wait(&s->act, &action, &e), E_INVALID);
}

static void observes_what_is_there(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct command command = {.argv = ARGV("bin/app", "version")};
    struct observe_action observe = {
        .layout = scratch_path(s, "opt/app"), .command = &command, .matches = "Version: ([0-9.]+)"};
    struct action action = {.observe = &observe};
    scratch_ok(act_observe(&s->act, &action, &e), &e);
    assert_non_null(strstr(s->act.facts, "\"installed\":false"));
    assert_non_null(strstr(s->act.facts, "\"version\":null"));
    struct service_place place = place_of(s, "#!/bin/sh\necho Name: app\necho Version: 9.11.3\n");
    scratch_ok(act_observe(&s->act, &action, &e), &e);
    assert_non_null(strstr(s->act.facts, "\"artifact\":null"));
    assert_non_null(strstr(s->act.facts, "\"version\":\"9.11.3\""));
    observe.matches = "Other: (x)";
    assert_int_equal(act_observe(&s->act, &action, &e), E_NOT_FOUND);
    struct layout_release release = {"9.11.2", SHA};
    scratch_ok(layout_write_marker(place.layout, &release, &e), &e);
    scratch_ok(act_observe(&s->act, &action, &e), &e);
    assert_non_null(strstr(s->act.facts, "\"version\":\"9.11.2\""));
    assert_non_null(strstr(s->act.facts, "\"artifact\":\"" SHA "\""));
}

static void observes_how_many_sessions_there_are(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    place_of(s, "#!/bin/sh\necho sessions: $1\n");
    struct command_check command = {.command = {.argv = ARGV("bin/app", "42")},
                                    .matches = "sessions: ([^ ]*)"};
    struct sessions_probe sessions = {.command = &command};
    struct command version = {.argv = ARGV("bin/app", "1.0.0")};
    struct observe_action observe = {.layout = scratch_path(s, "opt/app"),
                                     .command = &version,
                                     .matches = "sessions: (.*)",
                                     .sessions = &sessions};
    struct action action = {.observe = &observe};
    scratch_ok(act_observe(&s->act, &action, &e), &e);
    assert_non_null(strstr(s->act.facts, "\"sessions\":42"));
    /* What is no number is no failure: a plan then says that it does not know. */
    command.command.argv = (struct strings)ARGV("bin/app", "many");
    scratch_ok(act_observe(&s->act, &action, &e), &e);
    assert_null(strstr(s->act.facts, "\"sessions\""));
    struct http_check http = {.url = "http://127.0.0.1:1/stats", .matches = "([0-9]+)"};
    sessions = (struct sessions_probe){.http = &http};
    scratch_ok(act_observe(&s->act, &action, &e), &e);
    assert_null(strstr(s->act.facts, "\"sessions\"")); /* nobody answers */
}

static void runs_in_the_tree_that_is_named_and_once(void **state)
{
    struct scratch *s = *state;
    struct error e = {0};
    struct run_action run = {.command = {.argv = ARGV("bin/app")},
                             .tree = TREE_STAGED,
                             .layout = scratch_path(s, "opt/app"),
                             .release = "2.0.0"};
    struct action action = {.run = &run};
    struct layout_release release = {"2.0.0", SHA};
    assert_int_equal(act_run(&s->act, &action, &e), E_NOT_FOUND);
    scratch_write(s, "opt/app.lockstep/2.0.0-33333333/bin/app", "#!/bin/sh\npwd >../../../where\n",
                  0755);
    scratch_ok(
        layout_write_marker(scratch_path(s, "opt/app.lockstep/2.0.0-33333333"), &release, &e), &e);
    scratch_ok(act_run(&s->act, &action, &e), &e);
    assert_string_equal(scratch_read(s, "where"),
                        arena_printf(&s->arena, "%s/opt/app.lockstep/2.0.0-33333333\n", s->dir));
    run = (struct run_action){.command = {.argv = ARGV("sh", "-c", "echo broken; exit 4")},
                              .tree = TREE_NONE,
                              .once = true};
    assert_int_equal(act_run(&s->act, &action, &e), E_IO);
    scratch_says(&e, "sh ended with status 4; its last lines: broken");
    assert_int_equal(act_run(&s->act, &action, &e), E_UNKNOWN);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "keep") == 0) {
        return service_keep_main(argv[2]);
    }
    unsetenv("http_proxy");
    const struct CMUnitTest tests[] = {
        T(runs_with_a_clean_environment_and_secrets),
        T(says_how_a_command_ended),
        T(a_timeout_ends_the_whole_group),
        T(a_process_leads_its_group_before_it_is_recorded),
        T(bounds_the_log_and_keeps_the_tail),
        T(a_pid_is_no_proof_without_its_start_time),
        T(starts_once_is_found_again_and_stops),
        T(a_start_does_not_wait_for_the_words_of_the_one_before),
        T(kills_what_does_not_stop),
        T(a_start_that_dies_at_once_says_why),
        T(outlives_its_starter_and_its_keeper),
        T(says_that_there_is_no_systemd),
        T(starts_nothing_while_denied_or_not_permitted),
        T(healthy_is_n_in_a_row),
        T(a_service_that_dies_while_watched_fails_at_once),
        T(a_retried_health_starts_what_died),
        T(a_log_counts_from_the_start_of_the_service),
        T(waits_for_a_line_and_sees_a_stall),
        T(observes_what_is_there),
        T(observes_how_many_sessions_there_are),
        T(runs_in_the_tree_that_is_named_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
