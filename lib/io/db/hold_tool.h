/*
 * The migration tool's own session locks, as the holder has them: all of them or none. They are taken by trying, never by
 * waiting, and in no order that could matter: what cannot be had at once gives back the rest.
 */
#ifndef LOCKSTEP_IO_DB_HOLD_TOOL_H
#define LOCKSTEP_IO_DB_HOLD_TOOL_H

#include "lib/io/db/format.h"

struct hold_tool {
    const struct db_format *format; /* borrowed; NULL: no tool */
    struct strings keys;            /* of this session; its arena */
    bool known;                     /* keys are read */
    bool taken;                     /* all of them */
    const char *yielded;            /* the wish that they were given back for; NULL: none; heap */
};

/* A new session: nothing is held. Frees what was kept. */
void hold_tool_reset(struct hold_tool *tool);
/* Of this session, into an arena that lives as long as it. */
int hold_tool_keys(struct hold_tool *tool, struct db_session *s, struct arena *arena,
                   struct error *e);
/* *ret: all are ours now. Else *ret_words names who has one. */
int hold_tool_take(struct hold_tool *tool, struct db_session *s, struct arena *arena, bool *ret,
                   const char **ret_words, struct error *e);
/* Nothing held is fine. E_CONFLICT: one was not ours any more. */
int hold_tool_give_back(struct hold_tool *tool, struct db_session *s, struct error *e);
/* Gives them back for a wish, or notes that none is held because of it. */
int hold_tool_yield(struct hold_tool *tool, struct db_session *s, const char *wish,
                    struct error *e);
/* They are ours again. */
void hold_tool_end_yield(struct hold_tool *tool);

#endif
