/* How the operators' service answers: checks of roles, packing, complaints. */
#ifndef LOCKSTEP_CONTROLLER_REPLY_H
#define LOCKSTEP_CONTROLLER_REPLY_H

#include <protobuf-c/protobuf-c.h>

#include "controller/controller.h"
#include "proto/operator.pb-c.h"

enum role { ROLE_VIEWER, ROLE_OPERATOR, ROLE_APPROVER, ROLE_ADMIN };

struct controller *reply_controller(const struct rpc_call *call);
/* False, and the call is finished, when the caller's certificate has not at least that role. */
bool reply_allowed(struct rpc_call *call, enum role at_least);
/* The operator's name, for histories. */
const char *reply_who(const struct rpc_call *call);
/* Sends one message; the queue's limit ends the call. False when it is ended. */
bool reply_send(struct rpc_call *call, const ProtobufCMessage *message);
/* reply_send() and the end of the call. */
void reply_last(struct rpc_call *call, const ProtobufCMessage *message);
/* A request, in the arena; NULL with *e. Use: REPLY_REQUEST(WordRequest, word_request, &arena, message, &e). */
const ProtobufCMessage *reply_unpack(struct arena *arena,
                                     const ProtobufCMessageDescriptor *descriptor,
                                     struct bytes bytes, struct error *e);
#define REPLY_REQUEST(type, descriptor, arena, bytes, e)                                           \
    ((const Lockstep__V1__##type *)reply_unpack(                                                   \
        (arena), &lockstep__v1__##descriptor##__descriptor, (bytes), (e)))
/* The wire's form of complaints; in the arena. */
Lockstep__V1__Complaint **reply_complaints(struct arena *arena, const struct complaint *items,
                                           size_t count);

#endif
