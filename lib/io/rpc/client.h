/* What blocking.c needs of a client beside its public part. */
#ifndef LOCKSTEP_IO_RPC_CLIENT_H
#define LOCKSTEP_IO_RPC_CLIENT_H

#include "lib/io/rpc/rpc.h"

/* Why it closed; code 0 while it has not. */
const struct error *client_error(const struct rpc_client *client);
uv_loop_t *client_loop(const struct rpc_client *client);
/* *freed becomes true when the client is freed. */
void client_tell_freed(struct rpc_client *client, bool *freed);

#endif
