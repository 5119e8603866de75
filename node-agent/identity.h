/*
 * Who this agent is: the key that never leaves the node, the certificate that the controller
 * signed, the CA that it trusts. All in STATE/tls.
 */
#ifndef LOCKSTEP_NODE_AGENT_IDENTITY_H
#define LOCKSTEP_NODE_AGENT_IDENTITY_H

#include <stdbool.h>
#include <uv.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/io/rpc/rpc.h"
#include "node-agent/options.h"

struct identity {
    const char *node; /* the certificate's name */
    const char *ca_file, *certificate_file, *key_file;
    const char *ca_pem, *certificate_pem, *key_pem;
    int64_t renew_at_ms; /* two thirds of the certificate's life */
};

/* E_NOT_FOUND: this agent has never enrolled. */
int identity_read(struct arena *arena, const struct agent_options *options, struct identity *ret,
                  struct error *e);
/* The token on the command line is the one that this agent enrolled with: a start that repeats it is an ordinary start, a new one
 * asks for a new certificate. */
bool identity_token_is_spent(struct arena *arena, const struct agent_options *options);
/* Spends the token and writes STATE/tls. Runs a loop of its own. */
int identity_enroll(struct arena *arena, const struct agent_options *options, struct error *e);
/* A new certificate for the same key over a connection that the old one opened. Runs a loop of its
 * own. */
int identity_renew(struct arena *arena, const struct agent_options *options,
                   const struct identity *identity, struct error *e);

#endif
