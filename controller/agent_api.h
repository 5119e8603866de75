/* What agents may call (proto/agent.proto): enrolling, renewing, the session, fetching blobs. */
#ifndef LOCKSTEP_CONTROLLER_AGENT_API_H
#define LOCKSTEP_CONTROLLER_AGENT_API_H

#include "lib/io/rpc/rpc.h"

extern const struct rpc_method agent_api_methods[];
extern const size_t agent_api_method_count;

#endif
