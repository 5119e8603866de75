/* Owns the line of progress. */
#include "cli/progress.h"

#include "cli/output.h"

#define PROGRESS_COLUMNS 79

void progress_show(struct progress *p, const char *line)
{
    if (!is_terminal(stderr)) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    fprintf(stderr, "\r%s\033[K", text_cut(&arena, line, PROGRESS_COLUMNS));
    fflush(stderr);
    p->shown = true;
    arena_deinit(&arena);
}

void progress_end(struct progress *p)
{
    if (p->shown) {
        fputs("\r\033[K", stderr);
        p->shown = false;
    }
}
