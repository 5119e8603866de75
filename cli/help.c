/* Owns how the help reads. */
#include "cli/help.h"

#include <string.h>

#include "cli/output.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

static const char ends[] =
    "Exit status:\n"
    "    0  done, or nothing was to do\n"
    "    1  failed, refused or invalid\n"
    "    2  wrong use\n"
    "    3  a person has to answer: the run is paused or at a gate, or a migration may have run\n"
    "    4  the run was aborted\n"
    "    5  the controller, or the database, cannot be reached\n"
    "    6  the cluster has moved since the plan was made; a ledger or schema is not as known\n"
    "    7  the run is done, but nodes were left behind\n"
    "    8  the run was taken back: all is as it was before it\n"
    "  130  interrupted (a watched run goes on)\n";

static void print_table(FILE *to, struct arena *arena, const struct table *t)
{
    struct buf out;
    buf_init(&out, arena, LIMIT_TEXT_BYTES);
    table_put(t, "  ", &out);
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

static void print_verbs(FILE *to, struct arena *arena, const char *group, bool remote)
{
    struct table t;
    table_init(&t, arena, 2);
    size_t len = group != NULL ? strlen(group) : 0;
    for (size_t i = 0; i < verb_count; i++) {
        const struct verb *v = verbs[i];
        bool in_group = group == NULL || (strncmp(v->name, group, len) == 0 && v->name[len] == ' ');
        if (v->remote == remote && in_group) {
            TABLE_ADD(&t, arena_printf(arena, "%s %s", v->name, v->usage), v->summary);
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
    fputs("\nThe identity is --identity, else $LOCKSTEP_IDENTITY, else ~/.config/lockstep, else\n"
          "/var/lib/lockstep/operator. The controller is --controller, else $LOCKSTEP_CONTROLLER, "
          "else\n"
          "what the identity says. lockstep VERB --help tells more, with an example.\n\n",
          to);
    fputs(ends, to);
}

void help_verb(FILE *to, struct arena *arena, const struct verb *verb)
{
    fprintf(to, "usage: lockstep %s%s%s\n\n%s\n", verb->name, verb->usage[0] != '\0' ? " " : "",
            verb->usage, verb->about);
    if (verb->option_count > 0) {
        print_options(to, arena, "Options:", verb->options, verb->option_count);
        fputc('\n', to);
    }
    fprintf(to, "Example:\n%s\n", verb->example);
    print_options(to, arena, "Options of all verbs:", global_options, global_option_count);
}
