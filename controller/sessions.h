/*
 * The places that are connected: agents over their streams, and the executor inside this program
 * under the name "controller". Orders go out by name; what comes back is handed to the runs and to
 * whoever observes.
 */
#ifndef LOCKSTEP_CONTROLLER_SESSIONS_H
#define LOCKSTEP_CONTROLLER_SESSIONS_H

#include "controller/controller.h"
#include "lib/core/outcome.h"
#include "lib/wire/message.h"

/* Opens the executor's place as well. */
int sessions_open(struct controller *c, struct error *e);
void sessions_close(struct controller *c);

bool sessions_connected(const struct controller *c, const char *place);

/* False when the place is not connected or too slow to take it: then it is as if it had not been
 * said. */
bool sessions_send(struct controller *c, const char *place, const struct wire_order *order);
/* To every connected place. */
void sessions_forget_run(struct controller *c, const char *run);

/* Asks a place to look. `answer` comes exactly once, never from inside this call; a place that is
 * not connected or does not answer in time gives a FAILED outcome. `action` is canonical JSON. */
typedef void observed_function(void *context, const struct outcome *outcome);
typedef void observing_function(void *context, uint64_t done, uint64_t total, const char *text);
struct observation {
    const char *place;
    const char *action;
    const char *cluster;
    const char *state_name;
    int64_t within_ms;            /* 0: as long as a look takes */
    observing_function *progress; /* NULL: not told */
};
/* A number for sessions_unobserve(). */
uint64_t sessions_observe(struct controller *c, const struct observation *what,
                          observed_function *answer, void *context);
/* Nobody waits for it any more: no answer comes, and the place ends what it does for it. */
void sessions_unobserve(struct controller *c, uint64_t id);

/* For agent_api.c: the life of a stream. */
void sessions_message(struct controller *c, struct rpc_call *call, struct bytes message);
void sessions_call_closed(struct controller *c, struct rpc_call *call);

#endif
