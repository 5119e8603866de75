/* Owns waiting for one thing to become so. A file that stops growing is a failure when `stall` says so. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/str.h"
#include "lib/io/platform/actions.h"
#include "lib/io/platform/files.h"
#include "lib/io/platform/probe.h"
#include "lib/io/platform/process.h"

#define WAIT_EVERY_MS   500
#define WAIT_LINE_BYTES (64 * 1024)

struct file_view {
    int64_t size;
    int64_t changed_ms; /* monotonic, when we saw it change last */
    int64_t looked_at;  /* bytes that hold no match */
    unsigned long long inode;
};

/* Reads on from where it was; a file that shrank or was replaced is read anew. A last line without its end is read
 * again next time. */
static int look_at_file(const struct wait_action *a, struct file_view *view, struct probe *ret,
                        struct error *e)
{
    struct stat st;
    if (stat(a->file, &st) < 0) {
        return 0;
    }
    if (a->matches == NULL) {
        ret->good = true;
        return 0;
    }
    if ((unsigned long long)st.st_ino != view->inode || st.st_size < view->looked_at) {
        view->looked_at = 0;
    }
    if ((unsigned long long)st.st_ino != view->inode || st.st_size != view->size) {
        view->changed_ms = process_clock_ms();
    }
    view->inode = (unsigned long long)st.st_ino;
    view->size = st.st_size;
    FILE *file = fopen(a->file, "re");
    if (file == NULL || fseeko(file, (off_t)view->looked_at, SEEK_SET) < 0) {
        if (file != NULL) {
            fclose(file);
        }
        return 0;
    }
    static const size_t room = WAIT_LINE_BYTES;
    char line[WAIT_LINE_BYTES];
    int r = 0;
    while (r == 0 && fgets(line, (int)room, file) != NULL) {
        r = probe_matches(a->matches, line, e);
        if (str_ends(line, "\n") || strlen(line) == room - 1) {
            view->looked_at = ftello(file);
        }
    }
    fclose(file);
    ret->good = r == 1;
    return r < 0 ? r : 0;
}

static int look(struct act *act, const struct wait_action *a, struct file_view *view,
                struct probe *ret, struct error *e)
{
    *ret = (struct probe){.words = ""};
    if (a->file != NULL) {
        ret->words = a->matches != NULL ? arena_printf(act->arena, "no line of %s matches \"%s\"",
                                                       a->file, a->matches)
                                        : arena_printf(act->arena, "%s is not there", a->file);
        return look_at_file(a, view, ret, e);
    }
    if (a->http != NULL) {
        return probe_http(act, a->http, ret, e);
    }
    if (a->tcp != NULL) {
        return probe_tcp(act, a->tcp, ret, e);
    }
    if (a->command != NULL) {
        return probe_command(act, a->command, "/", ret, e);
    }
    return error_set(e, E_INVALID,
                     "wait: names nothing to wait for: give a file, http, tcp or command");
}

static int wait_round(struct act *act, const struct wait_action *a, struct file_view *view,
                      int64_t started, struct error *e)
{
    int64_t within = a->within_ms > 0 ? a->within_ms : 30LL * 60 * 1000;
    struct probe probe;
    int r = look(act, a, view, &probe, e);
    if (r < 0 || probe.good) {
        return r < 0 ? r : 1;
    }
    int64_t now = process_clock_ms();
    if (a->file != NULL && a->stall_ms > 0 && now - view->changed_ms >= a->stall_ms) {
        const char *tail = file_tail(act->arena, a->file, 200);
        return error_set(e, E_TIMEOUT,
                         "%s, and it has not grown for %s: what writes it has stopped%s%s",
                         probe.words, str_duration(act->arena, a->stall_ms),
                         *tail != '\0' ? "; its last lines: " : "", tail);
    }
    if (now - started >= within || act_left_ms(act) == 0) {
        return error_set(e, E_TIMEOUT, "waited %s: %s", str_duration(act->arena, now - started),
                         probe.words);
    }
    act->progress(act, (uint64_t)MAX(view->size, 0), 0, probe.words);
    return 0;
}

int act_wait(struct act *act, const struct action *action, struct error *e)
{
    int64_t started = process_clock_ms();
    struct file_view view = {.size = -1, .changed_ms = started};
    /* Each round gives its memory back: a wait may take hours. */
    struct arena scratch;
    arena_init(&scratch);
    struct act asking = *act;
    asking.arena = &scratch;
    int r;
    while ((r = wait_round(&asking, action->wait, &view, started, e)) == 0) {
        arena_deinit(&scratch);
        process_sleep_ms(WAIT_EVERY_MS);
    }
    arena_deinit(&scratch);
    return r < 0 ? r : 0;
}
