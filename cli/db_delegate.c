/*
 * Owns `--delegate`: the start of the application's own migrator for a migration that is no SQL (goose's .go), at its place
 * in the order. It dies with this call. Whether it did what it should is the ledger's to say (db_run.c).
 */
#include "cli/db_delegate.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/db.h"
#include "lib/base/str.h"
#include "lib/io/platform/process.h"

#define OUTPUT_BYTES_MAX ((int64_t)16 * 1024 * 1024)
#define TAIL_CHARS       600
#define BLANKS           " \t\n"

int db_delegate_read(struct db_call *call, const char *text, struct strings *ret, struct error *e)
{
    *ret = (struct strings){0};
    if (text == NULL) {
        return 0;
    }
    ret->items = ARENA_ARRAY(call->arena, strlen(text), const char *);
    const char *at = text + strspn(text, BLANKS);
    while (*at != '\0') {
        size_t len = strcspn(at, BLANKS);
        ret->items[ret->count++] = arena_strndup(call->arena, at, len);
        at += len;
        at += strspn(at, BLANKS);
    }
    if (strstr(text, "{version}") == NULL && strstr(text, "{previous}") == NULL) {
        return error_set(
            e, E_INVALID,
            "--delegate \"%s\" does not say which migration: write {version} where its "
            "number belongs, or {previous} for the number before it",
            text);
    }
    return 0;
}

static const char *filled(struct arena *arena, const char *word, const char *name,
                          const char *value)
{
    for (const char *at = strstr(word, name); at != NULL; at = strstr(word, name)) {
        word = arena_printf(arena, "%.*s%s%s", (int)(at - word), word, value, at + strlen(name));
    }
    return word;
}

static void make_command(struct arena *arena, const struct strings *words,
                         const struct migration *m, struct command *ret)
{
    const char *version = arena_printf(arena, "%" PRId64, m->version);
    const char *previous = arena_printf(arena, "%" PRId64, MAX(m->previous, 0));
    *ret = (struct command){.output_bytes_max = OUTPUT_BYTES_MAX};
    ret->argv.items = ARENA_ARRAY(arena, words->count, const char *);
    for (size_t i = 0; i < words->count; i++) {
        const char *word = filled(arena, words->items[i], "{version}", version);
        ret->argv.items[ret->argv.count++] = filled(arena, word, "{previous}", previous);
    }
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    struct env_value *values = ARENA_ARRAY(arena, count, struct env_value);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const char *sign = strchr(environ[i], '=');
        if (sign != NULL) {
            values[used++] = (struct env_value){
                .name = arena_strndup(arena, environ[i], (size_t)(sign - environ[i])),
                .value = sign + 1};
        }
    }
    ret->env = (struct list){.items = values, .count = used};
}

static const char *last_words(struct arena *arena, const char *output)
{
    size_t len = strlen(output);
    while (len > 0 && (output[len - 1] == '\n' || output[len - 1] == ' ')) {
        len--;
    }
    size_t from = len > TAIL_CHARS ? len - TAIL_CHARS : 0;
    return len == 0 ? "it said nothing" : arena_strndup(arena, output + from, len - from);
}

int db_delegate_run(struct db_call *call, const struct strings *words, const struct migration *m,
                    const char *file, struct error *e)
{
    struct arena *arena = call->arena;
    struct command command;
    struct process_result result = {0};
    make_command(arena, words, m, &command);
    char *here = getcwd(NULL, 0);
    struct process_run_options options = {.command = &command,
                                          .directory =
                                              here != NULL ? arena_strdup(arena, here) : "/",
                                          .log_fd = call->act.log_fd,
                                          .timeout_ms = MAX(act_left_ms(&call->act), 1)};
    free(here);
    act_log(&call->act, "%s: starting %s", file,
            str_join(arena, command.argv.items, command.argv.count));
    int rc = process_run(arena, &options, &result, e);
    if (rc < 0) {
        error_wrap(e, "%s", file);
    } else if (!process_succeeded(&result)) {
        rc = error_set(e, result.timed_out ? E_TIMEOUT : E_DATABASE, "%s: %s: %s", file,
                       process_words(arena, &command, &result), last_words(arena, result.output));
    }
    return rc;
}
