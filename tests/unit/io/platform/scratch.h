/* What the tests of the two rooms share: a scratch directory, an act, and short words for files. */
#ifndef LOCKSTEP_TESTS_SCRATCH_H
#define LOCKSTEP_TESTS_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/io/platform/act.h"
#include "lib/io/platform/files.h"

struct scratch {
    struct arena arena;
    const char *dir;
    struct act act;
};

UNUSED static void scratch_progress(struct act *act, uint64_t done, uint64_t total,
                                    const char *text)
{
    (void)act;
    (void)done;
    (void)total;
    (void)text;
}

UNUSED static int scratch_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    arena_init(&s->arena);
    char dir[] = "/tmp/lockstep-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    s->dir = arena_strdup(&s->arena, dir);
    s->act = (struct act){.arena = &s->arena,
                          .run = "r1",
                          .cluster = "demo",
                          .application = "app",
                          .step = "1.1",
                          .attempt = 1,
                          .deadline_ms = act_now_ms() + 60000,
                          .program = "/proc/self/exe",
                          .state_dir = arena_printf(&s->arena, "%s/state", dir),
                          .work_dir = arena_printf(&s->arena, "%s/work", dir),
                          .log_fd = -1,
                          .progress = scratch_progress};
    dir_make(s->act.state_dir, 0700, NULL);
    dir_make(s->act.work_dir, 0700, NULL);
    *state = s;
    return 0;
}

UNUSED static int scratch_teardown(void **state)
{
    struct scratch *s = *state;
    dir_remove(s->dir, NULL);
    arena_deinit(&s->arena);
    free(s);
    return 0;
}

UNUSED static const char *scratch_path(struct scratch *s, const char *name)
{
    return arena_printf(&s->arena, "%s/%s", s->dir, name);
}

UNUSED static void scratch_write(struct scratch *s, const char *name, const char *text,
                                 unsigned mode)
{
    struct error e = {0};
    const char *path = scratch_path(s, name);
    dir_make(path_parent(&s->arena, path), 0755, &e);
    if (file_write(path, text, strlen(text), mode, &e) < 0) {
        fail_msg("%s", e.message);
    }
}

/* "(none)" when it is not there. */
UNUSED static const char *scratch_read(struct scratch *s, const char *name)
{
    char *text;
    return file_read(&s->arena, scratch_path(s, name), 1 << 20, &text, NULL, NULL) == 0 ? text
                                                                                        : "(none)";
}

UNUSED static void scratch_ok(int r, const struct error *e)
{
    if (r != 0) {
        fail_msg("%d: %s", r, e->message);
    }
}

UNUSED static void scratch_says(const struct error *e, const char *words)
{
    if (strstr(e->message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", e->message, words);
    }
}

#define ARGV(...)                                                                                  \
    {                                                                                              \
        (const char *[]){__VA_ARGS__}, ARRAY_SIZE(((const char *[]){__VA_ARGS__}))                 \
    }

#endif
