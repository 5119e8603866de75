/*
 * lockstep-agent: one on every node. It enrolls once, dials the controller, and carries out what it
 * is told through lib/io/place. This file owns the order of a start and of an end.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <uv.h>

#include "lib/io/db/db.h"
#include "lib/io/place/place.h"
#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/log.h"
#include "lib/io/platform/service.h"
#include "node-agent/identity.h"
#include "node-agent/options.h"
#include "node-agent/session.h"

#define PROGRAM        "lockstep-agent"
#define RENEW_AGAIN_MS (60LL * 60 * 1000)

struct agent {
    uv_loop_t loop;
    struct session *session;
    struct place *place;
    bool stopping;
    int status;
};

static void report(void *context, const struct wire_report *message)
{
    struct agent *agent = context;
    session_report(agent->session, message);
}

static void journal_failed(void *context, const struct error *e)
{
    struct agent *agent = context;
    log_line(PROGRAM, "the journal cannot be written, so nothing more is done: %s", e->message);
    agent->status = 1;
    agent->stopping = true;
    uv_stop(&agent->loop);
}

static void on_signal(uv_signal_t *handle, int number UNUSED)
{
    struct agent *agent = handle->data;
    agent->stopping = true;
    uv_stop(&agent->loop);
}

/* Two agents on one state directory would both act. The descriptor stays open until the process
 * ends. */
static int claim_state(struct arena *arena, const struct agent_options *options, struct error *e)
{
    int r = dir_make(options->state_dir, 0700, e);
    if (r < 0) {
        return r;
    }
    const char *path = arena_printf(arena, "%s/agent.lock", options->state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set(e, E_IO, "cannot open %s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        return error_set(e, E_CONFLICT, "another agent runs on %s", options->state_dir);
    }
    return 0;
}

static int ready_identity(struct arena *arena, const struct agent_options *options,
                          struct identity *ret, struct error *e)
{
    int r = identity_read(arena, options, ret, e);
    bool first = r == E_NOT_FOUND && options->token != NULL;
    bool anew = r == 0 && options->token != NULL && !identity_token_is_spent(arena, options);
    if (first || anew) {
        r = identity_enroll(arena, options, e);
        if (r < 0 && anew) {
            log_line(PROGRAM,
                     "the token was not taken (%s): going on with the certificate that is here",
                     e->message);
            return 0;
        }
        if (r == 0) {
            r = identity_read(arena, options, ret, e);
        }
        if (r == 0) {
            log_line(PROGRAM, "enrolled as %s", ret->node);
        }
    }
    if (r == 0 && act_now_ms() > ret->renew_at_ms) {
        r = identity_renew(arena, options, ret, e);
        if (r == 0) {
            r = identity_read(arena, options, ret, e);
        } else {
            log_line(PROGRAM, "the certificate could not be renewed yet: %s", e->message);
            ret->renew_at_ms = act_now_ms() + RENEW_AGAIN_MS;
            r = 0;
        }
    }
    return r;
}

/* One identity's life: until a signal, a broken journal, or a certificate that wants renewing. */
static int serve(struct agent *agent, struct arena *arena, const struct agent_options *options,
                 struct error *e)
{
    struct identity identity;
    int r = ready_identity(arena, options, &identity, e);
    if (r < 0) {
        return r;
    }
    agent->session = session_new(&agent->loop, options, &identity);
    const struct place_options place_options = {
        .state_dir = options->state_dir,
        .program = "/proc/self/exe",
        .worker = {.blobs = arena_printf(arena, "%s/blobs", options->state_dir),
                   .host = options->host,
                   .port = options->port,
                   .server_name = AGENT_SERVER_NAME,
                   .ca_file = identity.ca_file,
                   .certificate_file = identity.certificate_file,
                   .key_file = identity.key_file},
        .crash_before = options->crash_before,
        .crash_after = options->crash_after,
        .report = report,
        .failed = journal_failed,
        .context = agent,
    };
    r = place_open(&agent->loop, &place_options, &agent->place, e);
    if (r == 0) {
        session_start(agent->session, agent->place);
        uv_run(&agent->loop, UV_RUN_DEFAULT);
    }
    session_stop(agent->session);
    place_close(r == 0 ? agent->place : NULL);
    return r;
}

static int run(struct agent *agent, struct arena *arena, const struct agent_options *options,
               struct error *e)
{
    uv_loop_init(&agent->loop);
    uv_signal_t signals[2];
    const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        uv_signal_init(&agent->loop, &signals[i]);
        signals[i].data = agent;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    int r = claim_state(arena, options, e);
    while (r == 0 && !agent->stopping) {
        r = serve(agent, arena, options, e);
    }
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        uv_close((uv_handle_t *)&signals[i], NULL);
    }
    uv_run(&agent->loop, UV_RUN_DEFAULT);
    uv_loop_close(&agent->loop);
    return r;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "act") == 0) {
        return place_worker_main(argc - 1, argv + 1);
    }
    if (argc == 3 && strcmp(argv[1], "keep") == 0) {
        return service_keep_main(argv[2]);
    }
    if (argc == 3 && strcmp(argv[1], "hold") == 0) {
        return db_hold_main(argv[2]);
    }
    signal(SIGPIPE, SIG_IGN);
    struct arena arena;
    arena_init(&arena);
    struct agent_options options;
    int r = agent_options_read(&arena, argc, argv, &options);
    int status = AGENT_OPTIONS_EXIT(r);
    if (r == 0) {
        struct agent agent = {0};
        struct error e = {0};
        r = run(&agent, &arena, &options, &e);
        if (r < 0) {
            log_line(PROGRAM, "%s", e.message);
        }
        status = r < 0 ? 1 : agent.status;
    }
    arena_deinit(&arena);
    return status;
}
