/* Owns how the help reads. */
#include "cli/help.h"

#include <string.h>

#include "cli/output.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

static const char *const ends[][2] = {
    {"  0", "done, or nothing was to do"},
    {"  1", "failed, refused or invalid"},
    {"  2", "wrong use"},
    {"  3", "a person has to answer: the run is paused or at a gate, or a migration may have run"},
    {"  4", "the run was aborted"},
    {"  5", "the controller, or the database, cannot be reached"},
    {"  6", "the cluster has moved since the plan was made; a ledger or schema is not as known"},
    {"  7", "the run is done, but nodes were left behind"},
    {"  8", "the run was taken back: all is as it was before it"},
    {"130", "interrupted (a watched run goes on)"},
};

#define COLUMNS_PIPE 80
#define COLUMNS_MAX  100 /* no wider than is good to read */
#define COLUMNS_MIN  60

static size_t page_columns(void)
{
    return (size_t)MAX(MIN(terminal_columns(COLUMNS_PIPE), COLUMNS_MAX), COLUMNS_MIN);
}

/* Lines of text are one paragraph up to an empty line. */
static void print_text(FILE *to, struct arena *arena, const char *text)
{
    struct buf out;
    buf_init(&out, arena, LIMIT_TEXT_BYTES);
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
        put_wrapped(&out, "", 0, arena_strndup(arena, text, len), page_columns());
        text += len + strspn(text + len, "\n");
        buf_puts(&out, *text != '\0' ? "\n" : "");
    }
    fputs(buf_text(&out), to);
}

/* Two columns, of which the second is wrapped. */
static void print_table(FILE *to, struct arena *arena, const struct table *t)
{
    struct buf out;
    buf_init(&out, arena, LIMIT_TEXT_BYTES);
    size_t left = 0;
    for (size_t i = 0; i < t->count; i++) {
        left = MAX(left, text_columns(t->rows[i].cells[0]) + 4);
    }
    for (size_t i = 0; i < t->count; i++) {
        const char *const *cells = t->rows[i].cells;
        put_wrapped(&out, arena_printf(arena, "  %s", cells[0]), left, cells[1],
                    page_columns() - left);
    }
    fputs(buf_text(&out), to);
}

static void print_options(FILE *to, struct arena *arena, const char *heading,
                          const struct option_spec *options, size_t count)
{
    struct table t;
    table_init(&t, arena, 2);
    for (size_t i = 0; i < count; i++) {
        const struct option_spec *o = &options[i];
        const char *letter = o->letter != '\0' ? arena_printf(arena, "-%c, ", o->letter) : "    ";
        TABLE_ADD(&t,
                  arena_printf(arena, "%s--%s%s%s", letter, o->name, o->value != NULL ? " " : "",
                               o->value != NULL ? o->value : ""),
                  o->help);
    }
    fprintf(to, "%s\n", heading);
    print_table(to, arena, &t);
}

static void print_ends(FILE *to, struct arena *arena)
{
    struct table t;
    table_init(&t, arena, 2);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        table_add(&t, ends[i]);
    }
    fputs("\nExit status:\n", to);
    print_table(to, arena, &t);
}

static void print_verbs(FILE *to, struct arena *arena, const char *group, bool remote)
{
    struct table t;
    table_init(&t, arena, 2);
    size_t len = group != NULL ? strlen(group) : 0;
    for (size_t i = 0; i < verb_count; i++) {
        const struct verb *v = verbs[i];
        bool in_group = group == NULL || (strncmp(v->name, group, len) == 0 && v->name[len] == ' ');
        if (v->remote == remote && in_group) {
            TABLE_ADD(&t, v->name, v->summary);
        }
    }
    if (t.count > 0) {
        fprintf(to, "%s\n", remote ? "With the controller:" : "On this machine alone:");
        print_table(to, arena, &t);
        fputc('\n', to);
    }
}

void help_all(FILE *to, struct arena *arena, const char *group)
{
    fprintf(to, "usage: lockstep [OPTION]... %s%sVERB ...\n\n", group != NULL ? group : "",
            group != NULL ? " " : "");
    if (group == NULL) {
        fputs("Takes a cluster to the version that its file says, up or down.\n\n", to);
    }
    print_verbs(to, arena, group, false);
    print_verbs(to, arena, group, true);
    if (group != NULL) {
        fprintf(to, "lockstep %s VERB --help tells more, with an example.\n", group);
        return;
    }
    print_options(to, arena, "Options, anywhere:", global_options, global_option_count);
    fputc('\n', to);
    print_text(to, arena,
               "The identity is --identity, else $LOCKSTEP_IDENTITY, else ~/.config/lockstep, else "
               "/var/lib/lockstep/operator. The controller is --controller, else "
               "$LOCKSTEP_CONTROLLER, else what the identity says.\n\n"
               "lockstep VERB --help tells more, with an example.\n");
    print_ends(to, arena);
}

void help_verb(FILE *to, struct arena *arena, const struct verb *verb)
{
    fprintf(to, "usage: lockstep %s%s%s\n\n", verb->name, verb->usage[0] != '\0' ? " " : "",
            verb->usage);
    print_text(to, arena, verb->about);
    fputc('\n', to);
    if (verb->option_count > 0) {
        print_options(to, arena, "Options:", verb->options, verb->option_count);
        fputc('\n', to);
    }
    fprintf(to, "Example:\n%s\n", verb->example);
    print_options(to, arena, "Options of all verbs:", global_options, global_option_count);
}
