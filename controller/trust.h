/*
 * The controller's certificates: its CA, its own server certificate, and the first operator's
 * identity. All in the state directory; keys are mode 0600.
 *
 *   STATE/ca/{ca.crt,ca.key}          made on the first start
 *   STATE/tls/{server.crt,server.key} made anew at every start
 *   STATE/operator/{ca.crt,operator.crt,operator.key,controller}  what `lockstep --identity` reads;
 * role admin
 */
#ifndef LOCKSTEP_CONTROLLER_TRUST_H
#define LOCKSTEP_CONTROLLER_TRUST_H

#include "controller/controller.h"

#define TRUST_AGENTS_NAME    "agents.lockstepd"
#define TRUST_OPERATORS_NAME "operators.lockstepd"
#define TRUST_AGENT_SECONDS  (90LL * 24 * 60 * 60)

/* Makes or reads the CA into c->ca, and the server's certificate into *ret_server. */
int trust_open(struct controller *c, struct pki_identity *ret_server, struct error *e);
/* Makes the first operator's identity when there is none, and writes where the controller listens.
 */
int trust_write_operator(struct controller *c, uint16_t port, struct error *e);

/* A one-use token for a node, valid until *ret_ends_ms: "ls1.NODE.FINGERPRINT.SECRET". */
int trust_make_token(struct controller *c, struct arena *arena, const char *node, int64_t valid_ms,
                     const char **ret_token, int64_t *ret_ends_ms, struct error *e);
/* Spends a token's secret and signs the node's request. */
int trust_enroll(struct controller *c, struct arena *arena, const char *node, const char *secret,
                 const char *request_pem, const char **ret_certificate_pem, struct error *e);
/* Signs a new certificate for a node that showed its old one. */
int trust_renew(struct controller *c, struct arena *arena, const char *node,
                const char *request_pem, const char **ret_certificate_pem, struct error *e);

#endif
