/* What gRPC writes into its trailers beside the number: percent-encoded text. */
#ifndef LOCKSTEP_IO_RPC_STATUS_H
#define LOCKSTEP_IO_RPC_STATUS_H

#include <stddef.h>

#include "lib/io/rpc/rpc.h"

#define STATUS_MESSAGE_BYTES_MAX 1024                               /* of text */
#define STATUS_ENCODED_BYTES     (3 * STATUS_MESSAGE_BYTES_MAX + 1) /* each byte as %XX, and NUL */

/* Encodes what fits, cut between characters; NULL is "". Returns the length without NUL. */
size_t status_encode(const char *message, char ret_encoded[STATUS_ENCODED_BYTES]);
/* The reverse, of bytes from a peer: a broken escape stays as it is, a control character becomes a
 * blank. Writes at most `bytes` with the NUL. */
void status_decode(const char *encoded, size_t len, char *ret_message, size_t bytes);
/* What an HTTP status without a gRPC status means (gRPC's "HTTP to gRPC Status Code Mapping"). */
enum rpc_status status_from_http(int http_status);
/* What an HTTP/2 error code of a reset stream means (gRPC over HTTP/2, "Errors"). */
enum rpc_status status_from_reset(uint32_t http2_error);

#endif
