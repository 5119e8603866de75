/* What operators may call (proto/operator.proto): specs, plans, runs, nodes. Roles: a viewer reads,
 * an operator applies, an admin enrolls nodes. */
#ifndef LOCKSTEP_CONTROLLER_OPERATOR_API_H
#define LOCKSTEP_CONTROLLER_OPERATOR_API_H

#include "lib/io/rpc/rpc.h"

extern const struct rpc_method operator_api_methods[];
extern const size_t operator_api_method_count;

#endif
