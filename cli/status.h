/* What `status` and `history` say, as JSON. The caller owns what is returned. */
#ifndef LOCKSTEP_CLI_STATUS_H
#define LOCKSTEP_CLI_STATUS_H

#include <jansson.h>

#include "proto/operator.pb-c.h"

json_t *status_json(const Lockstep__V1__StatusReply *reply);
json_t *run_json(const Lockstep__V1__RunSummary *run);

#endif
