/* lockstepd: the controller. This file owns the order of a start and of an end. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "controller/agent_api.h"
#include "controller/controller.h"
#include "controller/fleets.h"
#include "controller/notify.h"
#include "controller/operator_api.h"
#include "controller/releases.h"
#include "controller/rollback.h"
#include "controller/runs.h"
#include "controller/sessions.h"
#include "controller/trust.h"
#include "lib/io/db/db.h"
#include "lib/io/place/place.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/log.h"
#include "lib/io/platform/service.h"

void controller_fail(struct controller *c, const struct error *e)
{
    log_line(PROGRAM, "what is decided can no longer be kept, so nothing more is done: %s",
             e->message);
    c->status = 1;
    uv_stop(&c->loop);
}

void controller_taken_over(struct controller *c, const char *node, uint64_t fence)
{
    if (c->stopping) {
        return;
    }
    log_line(
        PROGRAM,
        "node %s has seen fence %" PRIu64 ", and ours is %" PRIu64
        ": another controller has taken over, so this one stops. Where no other one runs, start "
        "it again: it will go above",
        node, fence, c->fence);
    c->stopping = true;
    c->status = CONTROLLER_TAKEN_OVER;
    uv_stop(&c->loop);
}

static bool rise(struct controller *c, uint64_t fence)
{
    struct error e = {0};
    if (fence - c->fence > CONTROLLER_FENCE_LEAP) {
        return false;
    }
    if (store_fence_raise(c->store, fence, &c->fence, &e) < 0) {
        controller_fail(c, &e);
    }
    return true;
}

bool controller_rise_above(struct controller *c, uint64_t fence)
{
    return fence <= c->fence || rise(c, fence);
}

bool controller_rise_past(struct controller *c, uint64_t fence)
{
    bool others = fence == c->fence && c->fence_told != c->fence;
    return (fence <= c->fence && !others) || rise(c, fence);
}

static void journal_durable_cb(void *context, uint64_t number)
{
    runs_durable(context, number);
    fleets_durable(context, number);
}

static void journal_failed(void *context, const struct error *e)
{
    controller_fail(context, e);
}

static void on_signal(uv_signal_t *handle, int number UNUSED)
{
    struct controller *c = handle->data;
    uv_stop(&c->loop);
}

static void trouble(const char *address, const struct error *error, void *userdata UNUSED)
{
    log_line(PROGRAM, "%s: %s", address, error->message);
}

/* Two controllers on one state directory would both decide. The descriptor stays open until the
 * process ends. */
static int claim_state(struct controller *c, struct error *e)
{
    int r = dir_make(c->options->state_dir, 0700, e);
    if (r < 0) {
        return r;
    }
    const char *path = arena_printf(&c->arena, "%s/lockstepd.lock", c->options->state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set(e, E_IO, "cannot open %s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        return error_set(e, E_CONFLICT, "another lockstepd runs on %s", c->options->state_dir);
    }
    return 0;
}

static int listen_for_all(struct controller *c, const struct pki_identity *server, struct error *e)
{
    struct rpc_method *methods = ARENA_ARRAY(
        &c->arena, agent_api_method_count + operator_api_method_count, struct rpc_method);
    size_t count = 0;
    for (size_t i = 0; i < agent_api_method_count; i++) {
        methods[count++] = agent_api_methods[i];
    }
    for (size_t i = 0; i < operator_api_method_count; i++) {
        methods[count++] = operator_api_methods[i];
    }
    const struct rpc_server_options options = {.host = c->options->host,
                                               .port = c->options->port,
                                               .chain_pem = server->certificate_pem,
                                               .key_pem = server->key_pem,
                                               .client_ca_pem = c->ca.certificate_pem,
                                               .on_trouble = trouble};
    int r = rpc_server_start(&c->loop, &options, methods, count, c, &c->server, e);
    return r < 0 ? r : trust_write_operator(c, rpc_server_port(c->server), e);
}

static int start(struct controller *c, struct error *e)
{
    struct pki_identity server = {0};
    int r = claim_state(c, e);
    if (r == 0) {
        r = store_open(arena_printf(&c->arena, "%s/lockstep.db", c->options->state_dir), &c->store,
                       e);
    }
    if (r == 0) {
        r = store_fence_raise(c->store, 0, &c->fence, e);
    }
    if (r == 0) {
        const struct journal_options options = {
            .path = arena_printf(&c->arena, "%s/journal.db", c->options->state_dir),
            .durable = journal_durable_cb,
            .failed = journal_failed,
            .context = c,
            .crash_before = c->options->crash_before,
            .crash_after = c->options->crash_after,
        };
        r = journal_open(&c->loop, &options, &c->journal, e);
    }
    if (r == 0) {
        r = trust_open(c, &server, e);
    }
    if (r == 0) {
        r = releases_open(c, e);
    }
    if (r == 0) {
        r = sessions_open(c, e);
    }
    if (r == 0) {
        r = runs_open(c, e);
    }
    if (r == 0) {
        r = rollbacks_open(c, e);
    }
    if (r == 0) {
        r = fleets_open(c, e);
    }
    return r < 0 ? r : listen_for_all(c, &server, e);
}

static void server_stopped(void *userdata)
{
    struct controller *c = userdata;
    c->server = NULL;
}

/* First nobody is heard any more, then everything is let go: a report that arrives in between is for the next life. */
static void stop(struct controller *c)
{
    c->stopping = true;
    if (c->server != NULL) {
        rpc_server_stop(c->server, 0, server_stopped, c);
    }
    while (c->server != NULL) {
        uv_run(&c->loop, UV_RUN_ONCE);
    }
    fleets_close(c);
    rollbacks_close(c);
    notify_close(c);
    runs_close(c);
    sessions_close(c);
    c->journal = journal_close(c->journal);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    c->store = store_close(c->store);
}

static int serve(const struct controller_options *options)
{
    struct controller c = {.options = options};
    arena_init(&c.arena);
    uv_loop_init(&c.loop);
    uv_signal_t signals[2];
    const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        uv_signal_init(&c.loop, &signals[i]);
        signals[i].data = &c;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    struct error e = {0};
    if (start(&c, &e) < 0) {
        log_line(PROGRAM, "%s", e.message);
        c.status = 1;
    } else {
        log_line(PROGRAM, "listening on %s:%u, fence %" PRIu64 ", CA %.16s", options->host,
                 rpc_server_port(c.server), c.fence, c.ca_fingerprint);
        uv_run(&c.loop, UV_RUN_DEFAULT);
    }
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        uv_close((uv_handle_t *)&signals[i], NULL);
    }
    stop(&c);
    uv_loop_close(&c.loop);
    arena_deinit(&c.arena);
    return c.status;
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
    struct controller_options options;
    int r = controller_options_read(&arena, argc, argv, &options);
    int status = r == 0 ? serve(&options) : r == CONTROLLER_OPTIONS_DONE ? 0 : 2;
    arena_deinit(&arena);
    return status;
}
