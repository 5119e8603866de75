/* The journal's promises: order, numbers without gaps, durable means durable, and a crash loses only what was not. */
#include "lib/io/store/journal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "lib/base/limits.h"

struct world {
    char dir[64];
    char path[96];
    uv_loop_t loop;
    struct journal *journal;
    uint64_t durable;
    bool failed;
    struct error error;
};

static void durable(void *context, uint64_t number)
{
    struct world *w = context;
    assert_true(number > w->durable);
    w->durable = number;
}

static void failed(void *context, const struct error *e)
{
    struct world *w = context;
    assert_false(w->failed);
    w->failed = true;
    w->error = *e;
}

static struct journal_options options_of(struct world *w)
{
    return (struct journal_options){
        .path = w->path, .durable = durable, .failed = failed, .context = w};
}

static void open_journal(struct world *w)
{
    struct journal_options options = options_of(w);
    struct error e = {0};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(journal_open(&w->loop, &options, &w->journal, &e), 0);
}

static void close_journal(struct world *w)
{
    w->journal = journal_close(w->journal);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    snprintf(w->dir, sizeof(w->dir), "/tmp/lockstep-journal-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof(w->path), "%s/journal.db", w->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    char command[160];
    snprintf(command, sizeof(command), "rm -r %s", w->dir);
    int r = system(command);
    free(w);
    return r;
}

static uint64_t append(struct world *w, const char *stream, const char *text)
{
    return journal_append(w->journal, stream, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void tick(uv_timer_t *timer UNUSED)
{
}

static void turn(struct world *w)
{
    /* The journal's handle keeps no loop alive: it is the program that waits, here with a timer. */
    uv_timer_t timer;
    uv_timer_init(&w->loop, &timer);
    uv_timer_start(&timer, tick, 1, 0);
    uv_run(&w->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void wait_until_durable(struct world *w, uint64_t number)
{
    while (w->durable < number && !w->failed) {
        turn(w);
    }
}

struct seen {
    char text[4096];
    uint64_t last;
};

static int see(void *context, uint64_t number, struct bytes data, struct error *e UNUSED)
{
    struct seen *seen = context;
    assert_true(number > seen->last);
    seen->last = number;
    size_t len = strlen(seen->text);
    snprintf(seen->text + len, sizeof(seen->text) - len, "%.*s ", (int)data.len,
             (const char *)data.data);
    return 0;
}

static void gives_back_a_stream_in_its_order_after_a_restart(void **state)
{
    struct world *w = *state;
    open_journal(w);
    assert_int_equal(append(w, "a", "one"), 1);
    assert_int_equal(append(w, "b", "other"), 2);
    assert_int_equal(append(w, "a", "two"), 3);
    wait_until_durable(w, 3);
    assert_int_equal(w->durable, 3);
    close_journal(w);
    open_journal(w);
    assert_int_equal(journal_last(w->journal), 3);
    assert_int_equal(journal_durable(w->journal), 3);
    struct seen a = {{0}, 0};
    struct seen all = {{0}, 0};
    assert_int_equal(journal_read(w->journal, "a", 0, see, &a, NULL), 0);
    assert_int_equal(journal_read(w->journal, NULL, 0, see, &all, NULL), 0);
    assert_string_equal(a.text, "one two ");
    assert_string_equal(all.text, "one other two ");
    close_journal(w);
}

static void keeps_what_was_appended_when_it_is_closed_at_once(void **state)
{
    struct world *w = *state;
    open_journal(w);
    for (int i = 0; i < 500; i++) {
        append(w, "a", "x");
    }
    close_journal(w);
    open_journal(w);
    assert_int_equal(journal_last(w->journal), 500);
    close_journal(w);
}

static void never_gives_a_number_twice_after_a_stream_is_forgotten(void **state)
{
    struct world *w = *state;
    open_journal(w);
    append(w, "a", "one");
    append(w, "a", "two");
    journal_forget(w->journal, "a");
    close_journal(w);
    open_journal(w);
    struct seen a = {{0}, 0};
    assert_int_equal(journal_read(w->journal, "a", 0, see, &a, NULL), 0);
    assert_string_equal(a.text, "");
    assert_int_equal(append(w, "a", "three"), 3);
    close_journal(w);
}

static void reads_another_record_while_the_thread_writes(void **state)
{
    struct world *w = *state;
    open_journal(w);
    append(w, "a", "one");
    wait_until_durable(w, 1);
    for (int i = 0; i < 200; i++) {
        append(w, "b", "noise");
        struct seen a = {{0}, 0};
        assert_int_equal(journal_read(w->journal, "a", 0, see, &a, NULL), 0);
        assert_string_equal(a.text, "one ");
    }
    close_journal(w);
}

static int see_one(void *context, uint64_t number UNUSED, struct bytes data UNUSED, struct error *e)
{
    int *count = context;
    (*count)++;
    return error_set(e, E_INVALID, "enough");
}

static void stops_a_reader_that_says_so(void **state)
{
    struct world *w = *state;
    open_journal(w);
    append(w, "a", "one");
    append(w, "a", "two");
    wait_until_durable(w, 2);
    int count = 0;
    struct error e = {0};
    assert_int_equal(journal_read(w->journal, "a", 0, see_one, &count, &e), E_INVALID);
    assert_int_equal(count, 1);
    assert_string_equal(e.message, "enough");
    close_journal(w);
}

static void tells_once_that_the_disk_is_full_and_writes_nothing_later(void **state)
{
    struct world *w = *state;
    open_journal(w);
    append(w, "a", "before");
    wait_until_durable(w, 1);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit small = {.rlim_cur = 64 * 1024, .rlim_max = old.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static uint8_t large[LIMIT_RECORD_BYTES];
    journal_append(w->journal, "a", (struct bytes){large, sizeof(large)});
    append(w, "a", "after");
    wait_until_durable(w, 3);
    for (int i = 0; i < 50; i++) {
        turn(w);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_true(w->failed);
    assert_int_equal(w->durable, 1);
    assert_non_null(strstr(w->error.message, w->path));
    close_journal(w);
    open_journal(w);
    struct seen a = {{0}, 0};
    assert_int_equal(journal_read(w->journal, "a", 0, see, &a, NULL), 0);
    assert_string_equal(a.text, "before ");
    close_journal(w);
}

/* Appends five records in a child whose journal kills it at a number; returns the signal it ended with. */
static int die_at(struct world *w, uint64_t before, uint64_t after)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct journal_options options = options_of(w);
        options.crash_before = before;
        options.crash_after = after;
        uv_loop_init(&w->loop);
        if (journal_open(&w->loop, &options, &w->journal, NULL) != 0) {
            _exit(1);
        }
        for (int i = 0; i < 5; i++) {
            append(w, "a", "x");
        }
        wait_until_durable(w, 5);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void dies_just_before_or_just_after_the_number_it_is_told(void **state)
{
    struct world *w = *state;
    for (uint64_t number = 1; number <= 5; number++) {
        unlink(w->path);
        assert_int_equal(die_at(w, number, 0), SIGKILL);
        open_journal(w);
        assert_int_equal(journal_last(w->journal), number - 1);
        close_journal(w);
        char wal[128];
        snprintf(wal, sizeof(wal), "%s-wal", w->path);
        unlink(wal);
        unlink(w->path);
        assert_int_equal(die_at(w, 0, number), SIGKILL);
        open_journal(w);
        assert_int_equal(journal_last(w->journal), number);
        close_journal(w);
        unlink(wal);
    }
}

static void a_journal_of_another_version_is_refused(void **state)
{
    struct world *w = *state;
    open_journal(w);
    close_journal(w);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
    struct journal_options options = options_of(w);
    struct journal *journal = NULL;
    struct error e = {0};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(journal_open(&loop, &options, &journal, &e), E_INVALID);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_non_null(strstr(e.message, w->path));
    assert_non_null(strstr(e.message, "has version 9, and this program"));
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    open_journal(w);
    close_journal(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_back_a_stream_in_its_order_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keeps_what_was_appended_when_it_is_closed_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(never_gives_a_number_twice_after_a_stream_is_forgotten,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(reads_another_record_while_the_thread_writes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_journal_of_another_version_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_a_reader_that_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_once_that_the_disk_is_full_and_writes_nothing_later,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(dies_just_before_or_just_after_the_number_it_is_told, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
