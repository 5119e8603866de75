/* Owns the look before a run: what could stop it later is found now, all of it at once. It changes nothing. */
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/io/artifact/artifact.h"
#include "lib/io/artifact/tree.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/ports.h"
#include "lib/io/platform/process.h"
#include "lib/io/platform/service.h"

#define PREFLIGHT_INODES_MIN   1024
#define PREFLIGHT_REPORT_BYTES 8192

struct findings {
    struct act *act;
    struct buf text;
    size_t count;
    int code; /* of the first */
};

static void add(struct findings *f, const struct error *found)
{
    act_log(f->act, "preflight: %s", found->message);
    buf_printf(&f->text, "%s%s", f->count > 0 ? "; " : "", found->message);
    f->code = f->count == 0 ? found->code : f->code;
    f->count++;
}

static void check_place(struct findings *f, const struct preflight_action *a)
{
    struct error found = {0};
    bool exists = false;
    const char *parent = path_existing(f->act->arena, path_parent(f->act->arena, a->layout));
    if (tree_is_plain(a->layout, &exists, &found) < 0) {
        add(f, &found);
    }
    if (tree_writable(parent, &found) < 0) {
        add(f, &found);
    }
    /* Moving a directory elsewhere changes the directory itself. */
    if (exists && tree_writable(a->layout, &found) < 0) {
        add(f, &found);
    }
}

static uint64_t check_space(struct findings *f, const struct preflight_action *a)
{
    struct error found = {0};
    struct arena *arena = f->act->arena;
    uint64_t bytes = 0;
    uint64_t inodes = 0;
    if (disk_free(a->layout, &bytes, &inodes, &found) < 0) {
        add(f, &found);
        return 0;
    }
    if (a->bytes_needed > 0 && (uint64_t)a->bytes_needed > bytes) {
        error_set(&found, E_LIMIT, "the disk of %s has %s free, and %s are needed: free %s",
                  a->layout, str_bytes(arena, bytes), str_bytes(arena, (uint64_t)a->bytes_needed),
                  str_bytes(arena, (uint64_t)a->bytes_needed - bytes));
        add(f, &found);
    }
    if (inodes < PREFLIGHT_INODES_MIN) {
        error_set(
            &found, E_LIMIT,
            "the file system of %s has only %llu inodes free: delete files that are not needed",
            a->layout, (unsigned long long)inodes);
        add(f, &found);
    }
    return bytes;
}

static void check_port(struct findings *f, const char *text, const struct service_status *status)
{
    struct error found = {0};
    uint64_t port;
    struct port_listener listener;
    if (!str_to_u64(text, 65535, &port) || port == 0) {
        error_set(&found, E_INVALID, "\"%s\" is no port number: correct `ports:`", text);
        add(f, &found);
        return;
    }
    if (port_listener((uint16_t)port, &listener, &found) < 0) {
        add(f, &found);
        return;
    }
    bool own = listener.pid > 0 && status->running && status->pid > 0 &&
               process_descends(listener.pid, status->pid);
    if (!listener.taken || own) {
        return;
    }
    if (listener.pid > 0) {
        error_set(&found, E_CONFLICT,
                  "port %s is taken by pid %d (%s): stop it, or give this node another port", text,
                  (int)listener.pid, process_name(f->act->arena, listener.pid));
    } else {
        error_set(&found, E_CONFLICT,
                  "port %s is taken by a process that this agent may not look at (`ss -ltnp` as "
                  "root shows it): stop it, or give this node another port",
                  text);
    }
    add(f, &found);
}

static void check_service(struct findings *f, const struct preflight_action *a)
{
    struct error found = {0};
    struct service_status status = {.running = false};
    if (a->service != NULL) {
        struct service_place place = {.arena = f->act->arena,
                                      .service = a->service,
                                      .application = f->act->application,
                                      .state_dir = f->act->state_dir,
                                      .layout = a->layout,
                                      .program = f->act->program};
        /* A program that is not there is no finding: the release that is coming brings it. */
        if (a->service->systemd != NULL && service_exists(&place, &found) < 0) {
            add(f, &found);
        }
        /* Asked all the same: a unit whose file is gone may still run, and holds its port rightly. */
        if (service_state(&place, &status, &found) < 0 && f->count == 0) {
            add(f, &found);
        }
    }
    for (size_t i = 0; i < a->ports.count; i++) {
        check_port(f, a->ports.items[i], &status);
    }
}

int act_preflight(struct act *act, const struct action *action, struct error *e)
{
    const struct preflight_action *a = action->preflight;
    struct findings f = {.act = act};
    buf_init(&f.text, act->arena, PREFLIGHT_REPORT_BYTES);
    int r = layout_check(a->layout, e);
    if (r < 0) {
        return r;
    }
    check_place(&f, a);
    uint64_t free_bytes = check_space(&f, a);
    check_service(&f, a);
    for (size_t i = 0; i < a->users.count; i++) {
        struct error found = {0};
        if (!tree_user_exists(a->users.items[i])) {
            error_set(&found, E_NOT_FOUND,
                      "there is no user \"%s\" on this machine: create it, or change `user:`",
                      a->users.items[i]);
            add(&f, &found);
        }
    }
    if (f.count > 0) {
        return error_set(e, f.code, "%s", buf_text(&f.text));
    }
    act->facts =
        arena_printf(act->arena, "{\"disk_free_bytes\":%llu}", (unsigned long long)free_bytes);
    return 0;
}
