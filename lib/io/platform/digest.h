/*
 * SHA-256 of bytes, of a stream and of a file. Digests are 64 lower-case hex digits. It owns
 * nothing of what it reads; it refuses nothing but an unreadable file.
 */
#ifndef LOCKSTEP_IO_PLATFORM_DIGEST_H
#define LOCKSTEP_IO_PLATFORM_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

#define DIGEST_SHA256_BYTES 32
#define DIGEST_HEX_BYTES    65 /* 64 digits and NUL */

/* A digest under way. */
struct digest {
    void *context; /* owned; NULL after digest_final and digest_deinit */
};

/* 0 or E_LIMIT (memory). */
int digest_init(struct digest *d, struct error *e);
void digest_update(struct digest *d, const void *data, size_t len);
/* Writes the digest and gives the memory back. */
void digest_final(struct digest *d, uint8_t ret_digest[DIGEST_SHA256_BYTES]);
void digest_final_hex(struct digest *d, char ret_hex[DIGEST_HEX_BYTES]);
/* Gives the memory back of one that was not finished; else nothing. */
void digest_deinit(struct digest *d);

void digest_bytes(const void *data, size_t len, uint8_t ret_digest[DIGEST_SHA256_BYTES]);
void digest_bytes_hex(const void *data, size_t len, char ret_hex[DIGEST_HEX_BYTES]);
/* Reads the whole file, blocking. ret_size (may be NULL) gets its bytes. E_NOT_FOUND, E_DENIED,
 * E_IO, and E_INVALID for what is no regular file. */
int digest_file_hex(const char *path, char ret_hex[DIGEST_HEX_BYTES], uint64_t *ret_size,
                    struct error *e);

#endif
