/* One loop with a server, its certificates and what the tests saw; helpers of the transport's
 * tests. */
#ifndef LOCKSTEP_TESTS_RPC_WORLD_H
#define LOCKSTEP_TESTS_RPC_WORLD_H

#include "lib/io/rpc/pki.h"
#include "lib/io/rpc/rpc.h"

struct world {
    uv_loop_t loop;
    struct arena arena;
    struct pki_identity ca;
    struct pki_identity server_identity;
    struct pki_identity agent; /* "app-1", role agent */
    struct rpc_server *server;
    struct rpc_server_options options; /* to change before world_serve */
    bool stopped;
    /* the server's side */
    size_t opened, half_closed, closed, drained;
    size_t received_messages, received_bytes;
    enum rpc_status last_status;
    struct rpc_call *last_call; /* NULL when it is over */
    char last_peer[256];
    char trouble[LIMIT_ERROR_BYTES];
    /* the client's side */
    size_t connected, gone;
    struct error gone_error;
};

/* What one call of the client saw. */
struct seen {
    struct world *world;
    size_t messages, bytes, drains, closes;
    char last[64];
    enum rpc_status status;
    char message[2048];
};

int world_setup(void **state);
int world_teardown(void **state);
void world_serve(struct world *w);
/* Runs the loop until *value is at least `wanted`, at most ten seconds; fails the test then. */
void world_until(struct world *w, const size_t *value, size_t wanted);
void world_run_ms(struct world *w, unsigned int ms);
/* Options of a client that the server accepts. */
struct rpc_client_options world_options(struct world *w);
struct rpc_client *world_connect(struct world *w, const struct rpc_client_options *options);
struct bytes text_bytes(const char *text);

extern const struct rpc_handlers seen_handlers;
void world_on_state(struct rpc_client *client, enum rpc_client_state state,
                    const struct error *error, void *userdata);

#endif
