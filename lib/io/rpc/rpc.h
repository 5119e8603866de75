/*
 * gRPC over HTTP/2 (nghttp2), TLS 1.3 (OpenSSL) and one libuv loop: server and client, bytes in,
 * bytes out. It owns connections, calls, framing, flow control and every bound on them. It refuses
 * plaintext, TLS before 1.3, peers without ALPN "h2" and compressed messages. It knows no message
 * type.
 *
 * Rules for every function and callback here:
 * - One thread: the loop's. Callbacks come from the loop, never from inside a function of this
 * header (the two that run the loop themselves, rpc_client_unary and rpc_client_close_wait,
 * excepted).
 * - Every function may be called from inside every callback. What would destroy something is
 * deferred.
 * - A call lives until its on_close has returned; then its pointer is dead. on_close comes exactly
 * once for each call whose on_open came (server) or that rpc_client_call returned (client).
 * - Bytes and text handed to a callback are borrowed for its duration; bytes and text handed to a
 *   function are copied.
 */
#ifndef LOCKSTEP_IO_RPC_RPC_H
#define LOCKSTEP_IO_RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/util.h"

/* The codes of gRPC (grpc.io, "Status codes and their use in gRPC"). */
enum rpc_status {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
};

/* 0 is RPC_OK; an `enum lockstep_error` becomes its nearest status (E_IO and E_DATABASE both
 * INTERNAL). */
enum rpc_status rpc_status_from_error(int code);
/* RPC_OK is 0; else the nearest `enum lockstep_error` (UNAUTHENTICATED and PERMISSION_DENIED:
 * E_DENIED). */
int rpc_status_to_error(enum rpc_status status);
/* A number from the wire; what is no status becomes RPC_UNKNOWN. */
enum rpc_status rpc_status_from_wire(uint64_t number);
/* "NOT_FOUND" … Never NULL. */
const char *rpc_status_name(enum rpc_status status);

/* ---- limits: a field that is 0 takes the default beside it ---- */

struct rpc_limits {
    size_t connections_max;   /* 24576; a further one is closed at once (server) */
    size_t streams_max;       /* 100 calls at once on one connection */
    size_t header_bytes_max;  /* 8 KiB of headers in one request or answer, else RESOURCE_EXHAUSTED;
                                 8 times as much closes the connection */
    size_t message_bytes_max; /* LIMIT_FRAME_BYTES; a larger message is RESOURCE_EXHAUSTED */
    size_t queue_bytes_max; /* 8 MiB not yet sent on one call; one larger message alone is taken */
    size_t connection_bytes_max; /* 96 MiB queued and half-received on one connection */
    size_t server_bytes_max;     /* 512 MiB half-received on all connections of a server together */
    unsigned int handshake_ms; /* 20 s from accept to the peer's first SETTINGS; also for one block
                                  of headers, and for the client's connect when connect_ms is 0 */
    unsigned int keepalive_ms; /* 60 s; PING at half of it, closed when nothing came for all */
    unsigned int idle_ms;      /* 300 s; a connection without a call is told to go (server) */
};

/* ---- calls ---- */

struct rpc_call;

/* Every member may be NULL. Of one struct for server and client, const tables. */
struct rpc_handlers {
    /* Server only: the headers are here, nothing else yet. rpc_call_peer() says who it is; to
     * refuse, rpc_call_finish(). */
    void (*on_open)(struct rpc_call *call);
    /* One whole message; comes never after the call was finished or cancelled by this side. */
    void (*on_message)(struct rpc_call *call, struct bytes message);
    /* Server only: the client will send nothing more. */
    void (*on_half_close)(struct rpc_call *call);
    /* Bytes left the queue and at most LIMIT_CHUNK_BYTES are still in it: a producer goes on. */
    void (*on_drain)(struct rpc_call *call);
    /* The call is over for whatever reason. Server: the status that this side finished with, or
     * CANCELLED (the client gave up) or UNAVAILABLE (the connection went). Client: the server's
     * status and text, or what happened to the connection. `message` is never NULL. */
    void (*on_close)(struct rpc_call *call, enum rpc_status status, const char *message);
};

/* Queues one message. E_LIMIT: the queue is full, wait for on_drain and send again; E_UNAVAILABLE:
 * this side ended the call, or the connection is gone (on_close comes or came); E_INVALID: longer
 * than message_bytes_max. */
int rpc_call_send(struct rpc_call *call, struct bytes message) MUST_CHECK;
/* Bytes queued and not yet handed to the connection, framing included. */
size_t rpc_call_queued_bytes(const struct rpc_call *call);
/* Server: ends the call after what is queued. A second call does nothing. message may be NULL; it
 * is cut at 1 KiB. */
void rpc_call_finish(struct rpc_call *call, enum rpc_status status, const char *message);
/* Server: rpc_call_finish with the status and the text of an error. */
void rpc_call_finish_error(struct rpc_call *call, const struct error *error);
/* Client: nothing more will be sent, after what is queued. */
void rpc_call_half_close(struct rpc_call *call);
/* Gives the call up at once, queue and all; on_close comes with CANCELLED. */
void rpc_call_cancel(struct rpc_call *call);
/* While held, the peer is not granted more of the flow control window: at most one window (1 MiB)
 * more of messages still comes, then the peer has to wait. */
void rpc_call_hold(struct rpc_call *call, bool hold);

void rpc_call_set_data(struct rpc_call *call, void *data);
void *rpc_call_get_data(const struct rpc_call *call);
/* The userdata of rpc_server_start, or NULL on a client's call. */
void *rpc_call_server_data(const struct rpc_call *call);

/* Who calls. Borrowed until on_close has returned. A certificate that is here was verified. */
struct rpc_peer {
    const char *common_name; /* NULL: no client certificate */
    const char *role;        /* the certificate's organizational unit, or NULL */
    const char *serial;      /* the certificate's serial, lower-case hex, or NULL */
    const char *server_name; /* the name the client asked for (SNI), or NULL */
    const char *address;     /* "192.0.2.1:40112" or "[2001:db8::1]:40112" */
    const char *token;       /* of "authorization: Bearer …" on this call, or NULL */
};
const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);

/* ---- server ---- */

struct rpc_server;

struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    struct rpc_handlers handlers;
};

struct rpc_server_options {
    const char *host;      /* an address or a name of this machine: "127.0.0.1", "::" */
    uint16_t port;         /* 0: a free one, see rpc_server_port */
    const char *chain_pem; /* the server's certificate, then its CA's (enrolment needs it) */
    const char *key_pem;
    const char
        *client_ca_pem; /* client certificates must be signed by it; NULL: none are asked for */
    struct rpc_limits limits;
    /* For the log, may be NULL: a connection ended in an error (refused certificate, silence …). */
    void (*on_trouble)(const char *address, const struct error *error, void *userdata);
};

/* Listens. `methods` is borrowed until the server has stopped, `options` are copied. E_INVALID
 * (PEM, host), E_EXISTS (the address is taken), E_DENIED, E_IO; then *ret_server is untouched and
 * what was opened is closed on the loop's next turn. */
int rpc_server_start(uv_loop_t *loop, const struct rpc_server_options *options,
                     const struct rpc_method *methods, size_t count, void *userdata,
                     struct rpc_server **ret_server, struct error *e);
uint16_t rpc_server_port(const struct rpc_server *server);
size_t rpc_server_connections(const struct rpc_server *server);
/* A renewed certificate, for connections that come from now on. On an error the old one stays. */
int rpc_server_set_certificate(struct rpc_server *server, const char *chain_pem,
                               const char *key_pem, struct error *e);
/* Stops listening, tells every peer to go, closes a connection when its calls are over or grace_ms
 * passed (0: what is queued is still written, calls end now with UNAVAILABLE). on_stopped (may be
 * NULL) comes when all handles are closed and the server is freed: it must not touch it. A second
 * stop only shortens the grace. */
void rpc_server_stop(struct rpc_server *server, unsigned int grace_ms,
                     void (*on_stopped)(void *userdata), void *userdata);

/* ---- client: one object is one connection; who wants another makes another ---- */

struct rpc_client;

/*
 *   new -> (connecting) --first SETTINGS--> CONNECTED --any end--> CLOSED
 *               '------------- refused, timeout, TLS … ------------^
 */
enum rpc_client_state {
    RPC_CLIENT_CONNECTED, /* at most once: TLS is done and the server has accepted our certificate
                           */
    RPC_CLIENT_CLOSED,    /* exactly once, after the on_close of every call; the last callback. The
                             error says why; E_CANCELLED when rpc_client_close asked for it */
};

struct rpc_client_options {
    const char *host;
    uint16_t port;
    const char *server_name; /* what the certificate must be for (name or address); NULL: host */
    const char *self;        /* who we are, for error texts: "agent", "command"; NULL: "agent" */
    const char *ca_pem;      /* exactly one of ca_pem and ca_fingerprint */
    const char
        *ca_fingerprint; /* SHA-256 of the CA certificate, lower-case hex: enrolment. The server
                            must send that CA certificate, and its own must verify against it */
    const char *certificate_pem; /* NULL: no client certificate */
    const char *key_pem;         /* of certificate_pem */
    const char *token;           /* "authorization: Bearer <token>" on every call, or NULL */
    unsigned int connect_ms;     /* name, TCP, TLS and HTTP/2 together; 0: limits.handshake_ms */
    struct rpc_limits limits;
};

/* Starts to connect; `options` are copied. Calls may be made at once, they leave when the
 * connection is up. on_state may be NULL. Fails at once only for what is wrong in the options
 * (E_INVALID) or memory (E_LIMIT). The owner gives the client back with rpc_client_close, exactly
 * once, before or after CLOSED. */
int rpc_client_new(uv_loop_t *loop, const struct rpc_client_options *options,
                   void (*on_state)(struct rpc_client *client, enum rpc_client_state state,
                                    const struct error *error, void *userdata),
                   void *userdata, struct rpc_client **ret_client, struct error *e);
/* Opens a call. handlers is borrowed until on_close. NULL: the connection is closing or closed, or
 * streams_max calls are open. */
struct rpc_call *rpc_client_call(struct rpc_client *client, const char *path,
                                 const struct rpc_handlers *handlers, void *data);
bool rpc_client_is_connected(const struct rpc_client *client);
/* Gives the client back: cancels its calls and closes; CLOSED still comes if it has not yet, so
 * userdata must live until then. Freed by itself afterwards. NULL does nothing. */
void rpc_client_close(struct rpc_client *client);
/* For command lines: rpc_client_close, and runs the loop until the client is freed. */
void rpc_client_close_wait(struct rpc_client *client);
/* For command lines: one message out, one message back. Runs the loop until the answer is there or
 * timeout_ms passed. *ret_reply is in the arena. 0, or the error of the server's status with its
 * text, of the connection, or E_TIMEOUT. Not from inside a callback. */
int rpc_client_unary(struct rpc_client *client, const char *path, struct bytes request,
                     unsigned int timeout_ms, struct arena *arena, struct bytes *ret_reply,
                     struct error *e);

#endif
