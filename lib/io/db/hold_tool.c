/* Owns which of a tool's session locks the holder has. It never waits for one inside the server. */
#include "lib/io/db/hold_tool.h"

#include <stdlib.h>
#include <string.h>

void hold_tool_reset(struct hold_tool *tool)
{
    free((char *)tool->yielded);
    *tool = (struct hold_tool){.format = tool->format};
}

int hold_tool_keys(struct hold_tool *tool, struct db_session *s, struct arena *arena,
                   struct error *e)
{
    if (tool->known || tool->format == NULL || tool->format->advisory_keys == NULL) {
        tool->known = true;
        return 0;
    }
    int rc = tool->format->advisory_keys(s, arena, &tool->keys, e);
    tool->known = rc == 0;
    return rc;
}

/* All first ones, the failure of each told, the first one kept. */
static int release(struct hold_tool *tool, struct db_session *s, size_t count, struct error *e)
{
    int rc = 0;
    for (size_t i = count; i > 0; i--) {
        struct error second = {0};
        int released =
            s->engine->advisory_release(s, tool->keys.items[i - 1], rc == 0 ? e : &second);
        rc = rc == 0 ? released : rc;
    }
    return rc;
}

int hold_tool_take(struct hold_tool *tool, struct db_session *s, struct arena *arena, bool *ret,
                   const char **ret_words, struct error *e)
{
    assert(tool->known);
    size_t got = tool->taken ? tool->keys.count : 0;
    bool free_now = true;
    int rc = 0;
    while (rc == 0 && free_now && got < tool->keys.count) {
        rc = s->engine->advisory_try(s, tool->keys.items[got], &free_now, e);
        got += rc == 0 && free_now ? 1 : 0;
    }
    if (rc == 0 && free_now) {
        tool->taken = true;
        *ret = true;
        return 0;
    }
    struct db_lock_state state = {0};
    if (rc == 0) {
        rc = s->engine->advisory_state(s, arena, tool->keys.items[got], &state, e);
    }
    struct error second = {0};
    int released = release(tool, s, got, rc == 0 ? e : &second);
    if (rc == 0 && released == 0) {
        *ret = false;
        *ret_words =
            arena_printf(arena, "%s's own lock (%s): %s", tool->format->name, tool->keys.items[got],
                         state.held ? state.words : "it was let go just now");
    }
    return rc < 0 ? rc : released;
}

int hold_tool_give_back(struct hold_tool *tool, struct db_session *s, struct error *e)
{
    size_t count = tool->taken ? tool->keys.count : 0;
    tool->taken = false;
    return release(tool, s, count, e);
}

void hold_tool_end_yield(struct hold_tool *tool)
{
    free((char *)tool->yielded);
    tool->yielded = NULL;
}

int hold_tool_yield(struct hold_tool *tool, struct db_session *s, const char *wish, struct error *e)
{
    int rc = hold_tool_give_back(tool, s, e);
    if (rc < 0) {
        return rc;
    }
    char *copy = strdup(wish);
    if (copy == NULL) {
        return error_set(e, E_LIMIT, "out of memory");
    }
    free((char *)tool->yielded);
    tool->yielded = copy;
    return 0;
}
