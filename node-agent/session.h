/*
 * The stream to the controller: dialled, kept, dialled again. Orders go to the place, reports go
 * out; what cannot be sent is not queued here: after the next connection the place reports again
 * what counts.
 *
 *              connected           welcome
 *   DIALLING ────────────> GREETING ───────> OPEN
 *       ^ wait a little longer each time │      │
 *       └──────────── WAITING <──────────┴──────┘ closed for whatever reason
 */
#ifndef LOCKSTEP_NODE_AGENT_SESSION_H
#define LOCKSTEP_NODE_AGENT_SESSION_H

#include <uv.h>

#include "lib/io/place/place.h"
#include "node-agent/identity.h"

struct session;

/* `identity` and `options` are borrowed for its life. */
struct session *session_new(uv_loop_t *loop, const struct agent_options *options,
                            const struct identity *identity);
void session_start(struct session *s, struct place *place);
void session_report(struct session *s, const struct wire_report *report);
/* Says good-bye; `closed` comes when its handles are gone. */
void session_stop(struct session *s);

#endif
