/*
 * The controller, as a verb sees it: one connection, calls with one answer, calls with a stream of
 * answers. Who we are comes from the identity directory: ca.crt, operator.crt, operator.key, and the
 * controller's HOST:PORT in `controller`.
 */
#ifndef LOCKSTEP_CLI_REMOTE_H
#define LOCKSTEP_CLI_REMOTE_H

#include <protobuf-c/protobuf-c.h>
#include <uv.h>

#include "cli/verb.h"
#include "lib/base/buf.h"
#include "lib/io/rpc/rpc.h"
#include "proto/operator.pb-c.h"

#define REMOTE_CALL_MS    30000
#define REMOTE_OBSERVE_MS 120000 /* a call that asks the nodes */

struct remote {
    struct arena *arena; /* borrowed */
    uv_loop_t loop;
    struct rpc_client_options options;
    struct rpc_client *client; /* owned */
    bool connected;            /* it was, once */
    bool closed;
    struct error why;             /* it closed */
    struct remote_stream *stream; /* under way */
};

/* Reads the identity and starts to connect. What is wrong has been said; the result is 0 or an enum
 * cli_exit. remote_close() is due in every case. */
int remote_open(struct context *c, struct remote *r);
void remote_close(struct remote *r);
/* Another connection on the same loop, after the first one was lost. */
int remote_reconnect(struct remote *r, struct error *e);

/* One message out, one back, in the arena. `method` is "ListClusters". */
int remote_call(struct remote *r, const char *method, const ProtobufCMessage *request,
                unsigned int timeout_ms, const ProtobufCMessageDescriptor *descriptor,
                const ProtobufCMessage **ret_reply, struct error *e);
/* const Lockstep__V1__PingReply *reply = REMOTE_CALL(&r, Ping, PingReply, ping_reply, &request.base, ms, &e); NULL
 * with *e. */
#define REMOTE_CALL(r, method, type, descriptor, request, timeout_ms, e)                           \
    ((const Lockstep__V1__##type *)remote_ask((r), #method, (request), (timeout_ms),               \
                                              &lockstep__v1__##descriptor##__descriptor, (e)))
const ProtobufCMessage *remote_ask(struct remote *r, const char *method,
                                   const ProtobufCMessage *request, unsigned int timeout_ms,
                                   const ProtobufCMessageDescriptor *descriptor, struct error *e);

/* One message out, any number back; runs the loop until the call is over. The message is borrowed
 * for the call of `seen`. 0, or the server's or the connection's error; E_CANCELLED after
 * remote_stop(). */
int remote_stream(struct remote *r, const char *method, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *descriptor,
                  void (*seen)(void *context, const ProtobufCMessage *message), void *context,
                  struct error *e);
/* From inside a callback of the loop: ends the stream. */
void remote_stop(struct remote *r);

/* Whether an error means that the controller is not there (any more), rather than that it refused. */
bool remote_is_lost(const struct remote *r, int code);
/* Says the error; CLI_UNREACHABLE or CLI_FAILED. */
int remote_fail(const struct remote *r, const struct error *e);

#endif
