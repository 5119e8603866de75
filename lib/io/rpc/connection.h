/*
 * The inside of the transport: what server.c, client.c, http2.c and call.c share. An engine is the
 * loop's side of one server or one client; a connection is TLS and an HTTP/2 session on one TCP
 * stream; a call is one HTTP/2 stream. Nothing outside this folder includes this file.
 *
 * Work that a public function causes is never done in it: the connection is marked dirty, and the
 * engine's idle handle serves it on the next turn of the loop. That makes every function safe in
 * every callback.
 */
#ifndef LOCKSTEP_IO_RPC_CONNECTION_H
#define LOCKSTEP_IO_RPC_CONNECTION_H

#include <nghttp2/nghttp2.h>
#include <uv.h>

#include "lib/io/rpc/rpc.h"
#include "lib/io/rpc/tls.h"

#define READ_BYTES              65536 /* one read of the socket */
#define PLAIN_BYTES             16384 /* one TLS record */
#define WRITE_BYTES             65536 /* plaintext of one write */
#define WRITES_PER_TURN         16    /* then the other connections have their turn */
#define STREAM_WINDOW_BYTES     (1024 * 1024)
#define CONNECTION_WINDOW_BYTES (4 * 1024 * 1024)
#define HEADER_FLOOD_FACTOR     8
#define OUTBOUND_FRAMES_MAX     2048 /* answers that the peer does not read */
#define LINGER_MS               1000 /* from our FIN to the peer's */
#define FLUSH_MS                2000 /* for what is queued, after the grace is over */
#define FRAME_HEADER_BYTES      5    /* gRPC: compressed flag, length */

struct rpc_connection;

struct rpc_engine {
    uv_loop_t *loop; /* borrowed */
    uv_idle_t idle;
    struct rpc_limits limits;
    bool server;
    struct rpc_connection *connections; /* all that exist, newest first */
    size_t connection_count;
    struct rpc_connection *dirty; /* to be served, oldest first */
    struct rpc_connection *dirty_last;
    size_t dirty_count;
    size_t assembling_bytes; /* half-received, on all connections */
    struct tls_out out;      /* ciphertext of the connection at work; empty between callbacks */
    uint8_t read_buffer[READ_BYTES];
    uint8_t plain[PLAIN_BYTES];
    uint8_t stage[WRITE_BYTES];
    /* The owner's part. */
    void (*on_idle)(struct rpc_engine *engine);
    void (*on_ready)(struct rpc_connection *c); /* first SETTINGS came */
    void (*on_failed)(struct rpc_connection *c,
                      struct error *e);         /* before the calls hear of it; may wrap */
    void (*on_gone)(struct rpc_engine *engine); /* a connection was freed */
    const struct rpc_method *methods;           /* server, borrowed */
    size_t method_count;
    void *userdata; /* the server's */
};

/*
 *   CONNECTING --tcp up--> HANDSHAKE --tls done--> OPEN --stop, idle, GOAWAY--> DRAINING
 *       |                      |                     |                              |
 *       |                      '--------- error -----+------ all written -----------'
 *       |                                            v
 *       '------------- error ----------------->   LINGER --peer's FIN, LINGER_MS--> CLOSED
 */
enum connection_state {
    CONNECTION_CONNECTING, /* client: for the resolver and the socket; ends with connect_ms */
    CONNECTION_HANDSHAKE,  /* for TLS; ends with handshake_ms */
    CONNECTION_OPEN,     /* for frames; the first SETTINGS within handshake_ms, then keepalive_ms */
    CONNECTION_DRAINING, /* for the calls to end; ends with the grace, then FLUSH_MS */
    CONNECTION_LINGER,   /* calls are gone, FIN is sent: for the peer's FIN, ends with LINGER_MS */
    CONNECTION_CLOSED,   /* for libuv's close callbacks */
};

struct rpc_connection {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    struct rpc_engine *engine; /* borrowed */
    struct rpc_connection *next, *previous;
    struct rpc_connection *dirty_next, *dirty_previous;
    bool dirty;
    enum connection_state state;
    bool ready;        /* the peer's first SETTINGS came */
    bool drain_wanted; /* DRAINING on the next service */
    bool goaway;       /* the peer said GOAWAY */
    bool flushing;     /* DRAINING, the grace is over */
    bool ping_sent;    /* since something came last */
    bool eof;          /* the peer's FIN came */
    bool tcp_open;
    unsigned int handles; /* open libuv handles; the last close callback frees */
    unsigned int writes;  /* uv_write under way */
    struct tls tls;
    nghttp2_session *session; /* owned; NULL from LINGER on */
    struct rpc_call *calls;   /* open, newest first */
    size_t call_count;
    size_t bytes; /* queued and half-received, of all calls */
    size_t header_bytes;
    uint64_t started_ms;
    uint64_t received_ms;
    uint64_t headers_ms;  /* a block of headers began; 0: none is under way */
    uint64_t idle_ms;     /* without a call since */
    uint64_t deadline_ms; /* of DRAINING and LINGER */
    unsigned int grace_ms;
    struct tls_peer peer;
    char address[64];
    const char *authorization; /* client: "Bearer …", borrowed from the client, or NULL */
    const char *authority;     /* client: borrowed from the client */
    void *owner;               /* the client */
};

struct chunk {
    struct chunk *next;
    size_t len;
    size_t sent;
    uint8_t data[];
};

struct rpc_call {
    struct rpc_connection *connection; /* borrowed */
    struct rpc_call *next, *previous;
    const struct rpc_handlers *handlers; /* borrowed */
    const char *path;                    /* borrowed from the method, or owned_path */
    char *owned_path;
    void *data;
    int32_t stream;
    struct rpc_peer peer;
    char *token; /* owned */
    /* out */
    struct chunk *queue, *queue_last; /* owned */
    size_t queued;
    bool answered;  /* server: the headers were submitted */
    bool ended;     /* this side ended it: finish, half_close or cancel */
    bool cancelled; /* by this side */
    bool drained;   /* bytes left the queue since on_drain was last looked at */
    enum rpc_status status;
    char *message; /* owned; of finish (server) or of the trailers (client) */
    /* in */
    bool opened; /* on_open was due: on_close will come */
    bool refused_headers;
    bool is_post;
    bool is_grpc;
    bool deaf; /* what still comes is dropped */
    bool remote_ended;
    bool has_status; /* client: grpc-status came, or this side decided the status */
    bool end_sent;   /* server: the trailers left */
    bool held;
    int http_status;
    size_t held_bytes;
    uint8_t frame_header[FRAME_HEADER_BYTES];
    size_t frame_header_len;
    size_t message_len; /* of the message under way */
    uint8_t *partial;   /* owned */
    size_t partial_len;
    size_t partial_capacity;
};

/* connection.c */
void engine_init(struct rpc_engine *engine, uv_loop_t *loop, bool server,
                 const struct rpc_limits *limits);
void engine_deinit(struct rpc_engine *engine);
/* on_idle and the dirty connections on the next turn. */
void engine_wake(struct rpc_engine *engine);
/* A connection with an HTTP/2 session and no socket yet (state CONNECTING). NULL: no memory. It
 * ends by connection_fail, and frees itself then. */
struct rpc_connection *connection_new(struct rpc_engine *engine);
/* Its uv_tcp_t, to be connected or accepted. 0 or libuv's error. */
int connection_open_socket(struct rpc_connection *c);
/* The uv_close callback of its handles. */
void connection_handle_closed(uv_handle_t *handle);
/* The socket is up: TLS begins. Takes nothing; on an error the connection fails by itself. */
void connection_start(struct rpc_connection *c, struct tls_context *context,
                      const char *server_name);
void connection_touch(struct rpc_connection *c); /* dirty: serve it on the next turn */
void connection_drain(struct rpc_connection *c, unsigned int grace_ms);
/* Ends it with an error: calls end UNAVAILABLE, what is in the TLS buffer (an alert, a GOAWAY) is
 * still written. */
void connection_fail(struct rpc_connection *c, const struct error *e);
void connection_arm(struct rpc_connection *c);
bool connection_is_live(const struct rpc_connection *c); /* has a session that takes frames */
uint64_t connection_now(const struct rpc_connection *c);

/* http2.c */
int http2_session_new(struct rpc_connection *c);
/* 0, or an error that the connection cannot go on after. */
int http2_receive(struct rpc_connection *c, const uint8_t *data, size_t len, struct error *e);
/* server: headers with the stream for data, or trailers-only. */
void http2_answer(struct rpc_call *call);
int http2_request(struct rpc_call *call);
void http2_resume(struct rpc_call *call);
void http2_reset(struct rpc_call *call, uint32_t error_code);
void http2_consume(struct rpc_call *call, size_t len);
/* How many calls the peer lets us open at once. */
uint32_t http2_remote_streams_max(const struct rpc_connection *c);

/* http2_memory.c */
nghttp2_mem http2_memory(void);

/* call.c */
struct rpc_call *call_new(struct rpc_connection *c);
/* Calls on_close (when it is due) and frees. */
void call_close(struct rpc_call *call, enum rpc_status status, const char *message);
/* Bytes of the stream's body, split anywhere. */
void call_receive(struct rpc_call *call, const uint8_t *data, size_t len);
void call_remote_ended(struct rpc_call *call);
/* The peer broke a rule: the server finishes with the status, the client resets and reports it. */
void call_refuse(struct rpc_call *call, enum rpc_status status, const char *message);
/* Moves up to `len` queued bytes out. */
size_t call_take(struct rpc_call *call, uint8_t *data, size_t len);
void call_set_message(struct rpc_call *call, const char *message);

#endif
