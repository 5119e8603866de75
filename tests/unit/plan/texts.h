/*
 * What the tests of whole plans share: the guestbook's world, and a comparison that shows both texts. Everything is static: each
 * test program has its own world.
 */
#ifndef LOCKSTEP_TESTS_PLAN_TEXTS_H
#define LOCKSTEP_TESTS_PLAN_TEXTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "tests/unit/plan/world.h"

#define BACKUP  "backup: { when: always, with: { sqlite: /var/backups } }\n"
#define ROLLING "strategy: { rolling: { canary: 1, max_unavailable: 1, soak: 5s } }\n"

#define REQUIRED  "paths: { required: [\"1.1.0\"], between: migrate-only }"
#define OLD_PATHS "paths: { down: { at_most: { majors: 1 } } }"

static struct world w;

UNUSED static void guestbook_of(const char *version, const char *more, const char *application)
{
    world_init(&w);
    world_read(&w, guestbook_cluster(&w, version, more), application);
    world_release(&w, "1.0.0", 2);
    world_release(&w, "1.1.0", 3);
    world_release(&w, "2.0.0", 4);
}

UNUSED static void guestbook(const char *version, const char *more)
{
    guestbook_of(version, more, guestbook_application);
}

UNUSED static const char *with(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    assert_non_null(at);
    static char texts[2][16384]; /* two, so that a change of a change works */
    static size_t turn;
    char *changed = texts[turn++ % 2];
    int len = snprintf(changed, sizeof(texts[0]), "%.*s%s%s", (int)(at - text), text, new,
                       at + strlen(old));
    assert_in_range(len, 1, sizeof(texts[0]) - 1);
    return changed;
}

UNUSED static void check(const char *key, const char *got, const char *want)
{
    if (getenv("LOCKSTEP_PRINT_PLANS") != NULL) {
        printf("=== %s\n%s", key, got);
        fflush(stdout);
        return;
    }
    if (strcmp(got, want) != 0) {
        fail_msg("%s:\n%s", key, got);
    }
}

static int tear_down(void **state UNUSED)
{
    world_deinit(&w);
    return 0;
}

#define T(name) cmocka_unit_test_teardown(name, tear_down)

#endif
